"""Settings: their ranges, what YAML may hold, and the paths that a training reads."""

import subprocess
import sys
from typing import Annotated, Any, Literal, get_args, get_origin

import pytest
from data_maker import ROOT

from mimic import inputs, settings, yaml_file
from mimic.decoding.config import DecodeConfig
from mimic.errors import UserError
from mimic.frontend.front_end import FRONT_ENDS
from mimic.nets import NETS
from mimic.nets.crdnn import CrdnnConfig
from mimic.settings import LARGEST, Range
from mimic.tasks import TASKS
from mimic.tasks import config as configuration
from mimic.training.config import TrainConfig


def sections() -> dict[str, type]:
    """Every section of every task, and the options of features, by the names of their classes."""
    found = [TrainConfig, *(options for _, options in FRONT_ENDS.values())]
    for task in TASKS.values():
        found += task.SECTIONS.values()
    for nets in NETS.values():
        found += [sizes for _, sizes in nets.values()]
    return {section.__name__: section for section in found}


def numbers() -> list[tuple[type, str, Any, int]]:
    """(section, field, type of a number, how many lists it stands in) of all of them."""
    found = []
    for section in sections().values():
        for name, kind in settings.hints(section).items():
            depth = 0
            while get_origin(kind) is list:
                kind, depth = get_args(kind)[0], depth + 1
            plain = get_args(kind)[0] if get_origin(kind) is Annotated else kind
            if plain in (int, float):
                found.append((section, name, kind, depth))
    return found


def refused(section: type, name: str, depth: int, value: object) -> str:
    for _ in range(depth):
        value = [value]
    with pytest.raises(UserError, match=rf"x\.yaml: part\.{name}(\[0\])*: ") as error:
        settings.build(section, {name: value}, "x.yaml: part")
    assert "\n" not in str(error.value)
    return str(error.value)


def test_every_number_has_a_range_which_is_checked_and_named():
    assert len(numbers()) > 150
    for section, name, kind, depth in numbers():
        (allowed,) = [beside for beside in getattr(kind, "__metadata__", ()) if isinstance(beside, Range)]
        outside = [".nan", ".inf", "-.inf", "nan", "inf"]
        for bound, step in ((allowed.least, -1), (allowed.most, 1), (allowed.above, 0), (allowed.below, 0)):
            outside += [] if bound is None else [str(bound + step)]
        for value in outside:
            assert f"out of its range: a {'whole ' * (get_args(kind)[0] is int)}number, {allowed}" in refused(
                section, name, depth, value
            ), (section, name, value)
        for value in ("many", "true", "0x10", "1:30", "", "1 2", "١"):
            assert str(allowed) in refused(section, name, depth, value)
        refused(section, name, depth, None)
        refused(section, name, depth, {"a": "b"})
        if get_args(kind)[0] is int:
            refused(section, name, depth, "1.5")


def test_defaults_are_within_their_ranges():
    for section in sections().values():
        settings.build(section, {name: _written(getattr(section(), name)) for name in settings.hints(section)}, "x")


def _written(value: Any) -> Any:
    return [_written(item) for item in value] if isinstance(value, list) else str(value)


def test_other_kinds_of_values():
    for section in sections().values():
        for name, kind in settings.hints(section).items():
            if kind is bool:
                assert "expected true or false" in refused(section, name, 0, "2")
            elif get_origin(kind) is Literal:
                assert "expected one of" in refused(section, name, 0, "sideways")
            elif get_origin(kind) is list:
                assert "expected a list" in refused(section, name, 0, "7")


@pytest.mark.parametrize(
    ("text", "value"), [("010", 10), ("+3", 3), ("1e5", 100000), ("8.0", 8), ("0", 0), (str(LARGEST), LARGEST)]
)
def test_whole_numbers_are_read_as_people_write_them(text, value):
    assert settings.build(TrainConfig, {"warmup": text}, "x").warmup == value


def test_words_are_words(tmp_path):
    path = tmp_path / "x.yaml"
    for name in ("2024", "no", "010", "1e3", "on", "2024-01-01", "'null'", "~x", "=", "12:30"):
        path.write_text(f"task: asr\nnet: crdnn\ndata: {{train: {name}}}\n")
        assert configuration.read(path).data.train == name.strip("'")
        assert configuration.read(path, ["--data.train", name]).data.train == name
        again = configuration.read(path)
        configuration.write(again, tmp_path / "config.yaml")
        assert configuration.read(tmp_path / "config.yaml") == again
    path.write_text("task: asr\nnet: crdnn\ndata: {train: null}\n")
    with pytest.raises(UserError, match="data.train: has no value"):
        configuration.read(path)
    assert configuration.read(path, ["--data.train", ""]).data.train == ""


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (
            b"task: asr\nnet: crdnn\ntrain:\n  lr: 1\n  max_grad_norm: 2\n  lr: 3\n",
            "line 6: lr is given twice, first in line 4",
        ),
        (b"task: asr\ntask: lm\n", "line 2: task is given twice, first in line 1"),
        (b"task: asr\nnet: caf\xe9\n", "line 2 is not UTF-8: convert the file with iconv"),
        (b"", "empty: expected `key: value` lines"),
        (b"# nothing\n", "empty: expected"),
        (b"- asr\n", "expected `key: value` lines"),
        (b"task: asr\n\tnet: crdnn\n", "not YAML: .*line 2"),
        (b"task: [asr\n", "not YAML"),
        (b"task: \x00\n", "not YAML"),
        (b"a: !!int x\n", "not YAML"),
        (b"a: !!python/name:os.system x\n", "not YAML"),
        (b"base: [a.yaml, b.yaml]\n", "base: expected the name of one file"),
        (b"base:\n", "base: expected the name of one file"),
        (b"base: x.yaml\n", r"base: goes round in a circle \(.*x.yaml -> .*x.yaml\)"),
        (b"base: nowhere.yaml\n", "nowhere.yaml: no such configuration"),
        (b"base: .\n", "is a directory: give a YAML file"),
        (b"task: asr\nnet: crdnn\ntrain: 3\n", "train: expected a section"),
        (b"task: {a: b}\n", "task: unknown name"),
        (b"task: asr\nnet: [crdnn]\n", "net: unknown name"),
        (b"task: asr\nnet: crdnn\n3: 4\n", "unknown name '3'"),
        (b"task: asr\nnet: crdnn\ntrain: {epochs: }\n", "train.epochs: has no value"),
        (b"task: asr\nnet: crdnn\nmodel: {channels: 4}\n", "model.channels: expected a list as"),
    ],
)
def test_bad_yaml_is_one_line(tmp_path, content, line):
    (tmp_path / "x.yaml").write_bytes(content)
    with pytest.raises(UserError, match=line) as error:
        configuration.read(tmp_path / "x.yaml")
    assert "\n" not in str(error.value) and str(tmp_path) in str(error.value)


def test_a_circle_of_two_and_a_chain_of_bases(tmp_path):
    for name, text in {"a": "base: b.yaml", "b": "base: a.yaml", "c": "base: d/d.yaml\nx: {p: 1}"}.items():
        (tmp_path / f"{name}.yaml").write_text(f"{text}\n")
    (tmp_path / "d").mkdir()
    (tmp_path / "d/d.yaml").write_text("base: ../e.yaml\nx: {p: 2, q: 3}\n")
    (tmp_path / "e.yaml").write_bytes(b"\xef\xbb\xbfx: {q: 4, r: [1, 2]}\r\ny: &a {z: no}\r\nw: {<<: *a, v: ''}\r\n")
    with pytest.raises(UserError, match=r"a.yaml -> .*b.yaml -> .*a.yaml"):
        yaml_file.read(tmp_path / "a.yaml")
    values, files = yaml_file.read(tmp_path / "c.yaml")
    assert values["x"] == {"p": "1", "q": "3", "r": ["1", "2"]} and values["w"] == {"z": "no", "v": ""}
    assert [file.name for file in files] == ["c.yaml", "d.yaml", "e.yaml"]


@pytest.mark.parametrize(
    ("net", "words", "line"),
    [
        ("asr/conformer", "model.heads 5", "model: units 512 is not a multiple of twice the heads, 5"),
        ("asr/conformer", "model.kernel 4", "model: kernel 4: must be odd"),
        ("enhance/cnn_transformer", "model.heads 5", "heads 5 does not divide the last of channels, 256"),
        ("enhance/fcn", "model.kernel 8", "kernel 8: must be odd"),
        ("lm/transformer", "model.heads 5", "heads 5 does not divide units, 256"),
        ("distill/student", "model.position_groups 5", "have to divide units, 768"),
        ("segan/segan", "model.window 1000", "every layer can divide"),
        ("denoise/demucs", "model.stride 9", "kernel >= stride"),
        ("denoise/bilstm", "augment.snr [9,3]", r"augment: snr \[9.0, 3.0\]: expected the lowest and the highest"),
        ("denoise/bilstm", "augment.snr [9]", "expected the lowest and the highest"),
        ("asr/crdnn", "loss.attention_weight 0 --loss.ctc_weight 0", "needs CTC in every epoch"),
        ("asr/crdnn", "decode.min_ratio 2", "decode: min_ratio 2.0 is above max_ratio 1.0"),
        ("asr/crdnn", "train 3", "train: expected a section"),
        ("asr/crdnn", "train.lr.x 3", "train.lr: expected one value|lr has no keys"),
    ],
)
def test_values_that_do_not_fit_each_other(tmp_path, net, words, line):
    path = tmp_path / "x.yaml"
    path.write_text("task: {}\nnet: {}\n".format(*net.split("/")))
    with pytest.raises(UserError, match=line):
        configuration.read(path, f"--{words}".split())


def test_a_section_without_values_is_its_defaults(tmp_path):
    (tmp_path / "x.yaml").write_text("task: asr\nnet: crdnn\nmodel:\ndecode:\n")
    config = configuration.read(tmp_path / "x.yaml", ["--decode.beam", "3"])
    assert config.model == CrdnnConfig() and config.decode == DecodeConfig(beam=3)


def test_sections_without_torch_are_those_of_the_tasks_with_all_inputs():
    for name, task in TASKS.items():
        light = configuration.LIGHT_SECTIONS[name]
        sizes = [of for _, of in NETS[name].values() if paths(of)]
        known = task.SECTIONS | ({"model": sizes[0]} if sizes else {})
        assert light.items() <= known.items() and len(sizes) < 2
        assert {section for section, of in known.items() if section != "decode" and paths(of)} <= light.keys()


def paths(section: type) -> list[str]:
    return [name for name, _, _ in inputs.of_section(section())]


def test_inputs_of_a_training_without_torch(tmp_path):
    for name in ("train set", "dev$x", "model"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "feats.scp").touch()
    (tmp_path / "model/model.pt").touch()
    (tmp_path / "base.yaml").write_text(f"task: asr\nnet: crdnn\ndata: {{dev: '{tmp_path}/dev$x'}}\n")
    (tmp_path / "x.yaml").write_text("base: base.yaml\n")
    code = (
        "import runpy, sys; sys.argv = sys.argv[1:]\ntry: runpy.run_path(sys.argv[0], run_name='__main__')\n"
        "finally: assert not {'torch', 'numpy'} & set(sys.modules)"
    )
    words = ["--data.train", f"{tmp_path}/train set", "--data.init", f"{tmp_path}/model", "--train.workers", "2"]
    program = [sys.executable, "-c", code, str(ROOT / "pyscripts/train_inputs.py"), str(tmp_path / "x.yaml"), *words]
    found = subprocess.run(program, capture_output=True, text=True, check=True).stdout.splitlines()
    assert [line.split("\t") for line in found] == [
        ["task", "asr"],
        ["setting", "data.dev", f"{tmp_path}/dev$x"],
        ["setting", "data.init", f"{tmp_path}/model"],
        ["setting", "data.train", f"{tmp_path}/train set"],
        ["setting", "net", "crdnn"],
        ["setting", "task", "asr"],
        ["input", "data.train", f"{tmp_path}/train set", "steps/make_feats.sh"],
        ["input", "data.dev", f"{tmp_path}/dev$x", "steps/make_feats.sh"],
        ["input", "data.init", f"{tmp_path}/model", "steps/train.sh conf/asr.yaml"],
    ]


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ("--data.train DIR/train", "--data.dev is not given: steps/make_feats.sh makes it"),
        ("--data.train DIR/trian", "--data.train .*/trian: no such directory, did you mean .*/train.: steps/make"),
        ("--data.train DIR/empty", "--data.train .*/empty: holds no feats.scp: steps/make_feats.sh makes it"),
        ("--data.train DIR/x.yaml", "x.yaml: is a file, expected a directory: steps/make_feats.sh"),
        ("--data.train DIR/train --data.dev DIR/train --data.noises DIR/n", "--data.noises .*/n: no such directory"),
        ("--data.train DIR/train --data.dev DIR/train --data.init DIR/train", "--data.init .*: holds no model.pt"),
        ("--data.vocabulary -3", "data.vocabulary: -3 is out of its range"),
        ("--data.trian x", "did you mean train"),
        ("--loss.ctc_weight x", "loss.ctc_weight: expected a number"),
        ("--train.lr 0", "train.lr: 0 is out of its range"),
        ("--task asf", "task: unknown name 'asf': did you mean asr"),
    ],
)
def test_inputs_that_are_not_there(tmp_path, words, line):
    for name in ("train", "empty"):
        (tmp_path / name).mkdir()
    (tmp_path / "train/feats.scp").touch()
    (tmp_path / "x.yaml").write_text("task: asr\nnet: crdnn\n")
    with pytest.raises(UserError, match=line):
        configuration.training(tmp_path / "x.yaml", words.replace("DIR", str(tmp_path)).split())


def test_makers_are_there():
    reads = [beside for kind in vars(inputs).values() for beside in getattr(kind, "__metadata__", ())]
    words = {word.rstrip(",;") for read in reads for word in read.maker.split()}
    files = {word for word in words if word.startswith(("steps/", "local/", "conf/")) and "NAME" not in word}
    assert len(files) > 8 and [file for file in files if not (ROOT / file).is_file()] == []


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (
            "asr_*:data.wrong=1 enhance_*:data.trian_noisy=1",
            "data: unknown name 'trian_noisy': did you mean train_noisy?",
        ),
        ("train.lr", "--set takes [NAME:]section.key=value, got 'train.lr'"),
    ],
)
def test_set_reaches_the_trainings_that_it_names(tmp_path, words, line):
    step = ["steps/train.sh", "--set", words, "conf/enhance_demo.yaml", str(tmp_path / "enhance_x")]
    done = subprocess.run(step, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 1 and line in done.stdout + done.stderr and not (tmp_path / "enhance_x").exists()
