"""--set of a recipe: what it is checked against, and the models that each setting reaches."""

import subprocess
import sys

import pytest
from data_maker import ROOT

from mimic.errors import UserError
from mimic.tasks.overrides import parse, read_trainings, resolve

TRAININGS = (
    ("conf/asr_demo.yaml", "exp/asr_clean", "--data.train", "exp/fbank/train_clean"),
    ("conf/enhance_demo.yaml", "exp/enhance_mse", "--loss.mimic_weight", "0"),
    ("conf/enhance_demo.yaml", "exp/my study/enhance_mimic"),
)
FEATURES = (("fbank", "conf/fbank.conf", "exp/fbank/dev_clean"), ("stft", "conf/stft.conf", "exp/stft/dev_clean"))
LISTED = [word for words in TRAININGS for word in (str(len(words)), *words)]
LISTED += [word for words in FEATURES for word in ("features", *words)]


@pytest.fixture
def models(monkeypatch):
    monkeypatch.chdir(ROOT)
    return read_trainings("".join(f"{word}\0" for word in LISTED))


def test_a_setting_reaches_the_models_that_have_it(models):
    words = ["train.epochs=3", "loss.mimic_weight=0.5", "enhance_*:train.lr=1e-4", "*_m*:mask.weight=0.5"]
    features = ["fbank.num_mel_bins=40", "dev_*:stft.n_fft=1024"]
    resolved, notes, errors = resolve(words + features, models)
    assert errors == [] and resolved[-2:] == features
    assert resolved[:-2] == [
        "train.epochs=3",
        "exp/enhance_mse:loss.mimic_weight=0.5",
        "exp/my?study/enhance_mimic:loss.mimic_weight=0.5",
        "enhance_*:train.lr=1e-4",
        "*_m*:mask.weight=0.5",
    ]
    assert notes == ["--set loss.mimic_weight=0.5: of enhance_mse, enhance_mimic"]
    assert [[model.name for model in models if parse(word).names(model)] for word in resolved[1:3]] == [
        ["enhance_mse"],
        ["enhance_mimic"],
    ]


@pytest.mark.parametrize(
    ("word", "line"),
    [
        ("train.lr", "--set takes [NAME:]section.key=value, got 'train.lr'"),
        ("lr=3", "--set takes [NAME:]section.key=value, got 'lr=3'"),
        ("train.lr=abc", "--set train.lr=abc: expected a number, above 0, got 'abc'"),
        ("mask.weight=2", "--set mask.weight=2: 2 is out of its range: a number, from 0 to 1"),
        ("train.lrr=1", "--set train.lrr=1: train: unknown name 'lrr': did you mean lr?"),
        ("trian.lr=1", "--set trian.lr=1: no model of this recipe has it: did you mean train.lr?"),
        ("trian.foo=1", "--set trian.foo=1: unknown name 'trian': did you mean train?"),
        ("asr_*:mask.weight=1", "--set asr_*:mask.weight=1: asr_clean has no mask.weight; enhance_mse has it"),
        ("enh_mse:train.lr=1", "--set enh_mse:train.lr=1: no model is called enh_mse: did you mean enhance_mse?"),
        (
            "fbank.num_mel_bin=40",
            "--set fbank.num_mel_bin=40: fbank: unknown name 'num_mel_bin': did you mean num_mel_bins?",
        ),
        ("mfcc.num_ceps=9", "--set mfcc.num_ceps=9: this recipe makes no mfcc features, only fbank, stft"),
        ("fbank.num_mel_bins=x", "--set fbank.num_mel_bins=x: expected a whole number, from 1 to 2147483647, got 'x'"),
        (
            "x:stft.n_fft=512",
            "--set x:stft.n_fft=512: no features are called x: this recipe makes dev_clean",
        ),
        (
            "fbank.num_mel_bins=400",
            "--set for fbank features: --num-mel-bins=400 is too many for 512 points: some bins are empty",
        ),
        (
            "x:train.lr=1",
            "--set x:train.lr=1: no model is called x: this recipe trains asr_clean, enhance_mimic, enhance_mse",
        ),
    ],
)
def test_what_is_wrong_is_a_line(models, word, line):
    assert resolve(["train.epochs=3", word], models)[2] == [line]


def test_values_that_do_not_fit_each_other_are_found_too(models):
    errors = resolve(["decode.min_ratio=2", "train.epochs=3"], models)[2]
    assert len(errors) == 1 and errors[0].startswith(
        "--set for asr_clean: conf/asr_demo.yaml: decode: min_ratio 2.0 is"
    )


def test_a_configuration_that_cannot_be_read():
    with pytest.raises(UserError, match="none.yaml: no such configuration"):
        read_trainings("2\0none.yaml\0exp/x\0")


@pytest.mark.parametrize(
    ("recipe", "words", "lines"),
    [
        (
            "run.sh",
            "train.lr=abc nomodel:train.lr=1 train.lrr=1 train.epochs=3",
            ["train.lr=abc: expected a number", "called nomodel: this recipe trains asr_clean, asr_mimic", "mean lr?"],
        ),
        ("local/run_segan.sh", "asr_sega:train.lr=1", ["no model is called asr_sega: did you mean asr_segan?"]),
    ],
)
@pytest.mark.parametrize("dry_run", ["true", "false"])
def test_recipes_check_before_their_first_stage(tmp_path, recipe, words, lines, dry_run):
    exp = tmp_path / "my exp"
    command = [f"./{recipe}", "--exp", exp, "--dry-run", dry_run, "--stage", "2", "--set", words]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    found = (done.stdout + done.stderr).splitlines()
    assert done.returncode == 1 and len(found) == len(lines), found
    assert all(line in text for line, text in zip(lines, found, strict=True))
    assert not exp.exists() or not list(exp.iterdir())


def test_a_setting_that_only_some_models_have(tmp_path):
    """As NAME: of those, whose directories have a blank in their names."""
    command = ["./run.sh", "--exp", tmp_path / "my exp", "--dry-run", "true", "--set", "loss.input_noise=0.5"]
    wrong = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert wrong.returncode == 1 and "loss: unknown name 'input_noise'" in wrong.stderr, wrong.stderr
    trainings = tmp_path / "trainings"
    trainings.write_text("".join(f"{word}\0" for word in LISTED))
    program = [sys.executable, ROOT / "pyscripts/recipe_settings.py", trainings, "data.vocabulary=30"]
    done = subprocess.run(program, cwd=ROOT, capture_output=True, text=True, check=True)
    assert (
        done.stdout == "exp/asr_clean:data.vocabulary=30\n" and "--set data.vocabulary=30: of asr_clean" in done.stderr
    )
    step = ["steps/train.sh", "--set", "*/my?exp/enhance_x:train.lr=0", "conf/enhance_demo.yaml"]
    for name, reached in (("enhance_x", True), ("enhance_y", False)):
        done = subprocess.run([*step, tmp_path / "my exp" / name], cwd=ROOT, capture_output=True, text=True)
        assert done.returncode == 1 and ("0 is out of its range" in done.stderr) == reached
