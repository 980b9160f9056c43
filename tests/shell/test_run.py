"""run.sh before its first stage: options, help, what it refuses, one run at a time."""

import os
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from mimic.io.lock import Lock
from mimic.metrics.enhancement import MEASURES


@pytest.fixture
def checkout(root: Path, tmp_path: Path) -> Path:
    """The shell layer as a fresh clone has it: no .venv, no exp."""
    copy = tmp_path / "clone"
    copy.mkdir()
    for name in ("run.sh", "path.sh", "cmd.sh", "requirements.txt", "requirements-pesq.txt", "requirements-dev.txt"):
        shutil.copy(root / name, copy)
    for name in ("steps", "conf", "pyscripts"):
        shutil.copytree(root / name, copy / name)
    return copy


@pytest.fixture
def run(checkout: Path, env: dict[str, str]):
    clean = env | {"PATH": ":".join(env["PATH"].split(":")[1:])}  # run.sh finds steps/lib by itself

    def call(*words: str, before: tuple[str, ...] = (), code: int | None = None) -> str:
        """What run.sh says, less the line about the .venv that a fresh clone does not have."""
        command = [*before, "./run.sh", *words]
        result = subprocess.run(command, cwd=checkout, env=clean, capture_output=True, text=True, timeout=60)
        lines = (result.stdout + result.stderr).splitlines(keepends=True)
        output = "".join(line for line in lines if not line.startswith("path.sh: no "))
        assert code is None or result.returncode == code, output
        return output

    return call


def test_help_has_every_option_with_its_default_and_every_stage(run, checkout):
    output = run("--help", code=0)
    block = (checkout / "run.sh").read_text().split("help_message=")[0]
    block += (checkout / "steps/lib/recipe_options.sh").read_text()
    options = re.findall(r"^([a-z_]+)=(\S*) ", block, re.MULTILINE)
    assert len(options) > 20
    for name, default in options:
        found = re.search(rf"^  --{name.replace('_', '-')} +\S.*$", output, re.MULTILINE)
        assert found, name
        assert not default or found[0].endswith(f"({default})"), name
    assert "no-gate" not in output
    table = output[output.index("reads ") :]
    assert all(re.search(rf"^  {stage} \w+ .*\d min$", table, re.MULTILINE) for stage in range(1, 8))
    assert not (checkout / "exp").exists() and not (checkout / ".venv").exists()


OWN = "--lexicon, --lexicon-type and --allow-pipes are for your own data: give --corpus too"


@pytest.mark.parametrize(
    "words, line",
    [
        ("--bogus 1", "invalid option --bogus"),
        ("--stagge 1", "invalid option --stagge (did you mean --stage?)"),
        ("--stage", "option --stage needs a value"),
        ("--stage=3", "options to scripts must be of the form --name value, got '--stage=3'"),
        ("--stage three", "--stage takes a whole number of at least 0, got 'three'"),
        (
            "--stage 9 --stop-stage 9",
            "--stage 9: the stages are 1 data; 2 features; 3 perceptual model on clean speech; "
            "4 enhancement, without and with mimic loss; 5 dump of enhanced speech; 6 recognition; 7 scores",
        ),
        ("--stage 4 --stop-stage 3", "--stage 4 is after --stop-stage 3"),
        ("--num-threads all", "--num-threads takes a whole number of at least 0, got 'all'"),
        ("--nj 0", "--nj takes a whole number of at least 1, got '0'"),
        ("--force yes", 'expected "true" or "false": --force yes'),
        ("--oov-policy guess", "--oov-policy takes one of fail, skip, g2p, got 'guess'"),
        ("--compress zip", "--compress takes one of none, int16, uint8, got 'zip'"),
        (
            "--perceptual recogniser --fbank-config conf/logmel_22k.conf",
            "--perceptual recogniser: conf/logmel_22k.conf has 22050 Hz and the enhancer's spectra 16000; "
            "try --perceptual phones",
        ),
        ("--perceptual nowhere", "--perceptual nowhere: no model.pt: is it trained?"),
        ("--corpus none", "--corpus none has no directory train_clean"),
        ("--train-clean a", "one option per set means all six of them, got --train-clean a"),
        ("--train-clean a --corpus b", "give either --corpus or one option per set, not both"),
        ("--lexicon path.sh", OWN),
        ("--lexicon-type prob", OWN),
        ("--min-dur 1", "--min-dur and --max-dur are for your own data: give --corpus too"),
        ("--min-dur 2 --max-dur 1", "--min-dur 2 is above --max-dur 1"),
        ("--vbdemand-dir vb", "--vbdemand-dir and --skip-pesq-check are for --corpus vbdemand"),
        ("--skip-pesq-check true", "--vbdemand-dir and --skip-pesq-check are for --corpus vbdemand"),
        (
            "--corpus vbdemand --noise-dir steps",
            "--noise-dir and --rir-dir are for the demo corpus; local/mix_noise.sh mixes your own",
        ),
        ("--corpus vbdemand --lexicon path.sh", OWN),
        ("--corpus vbdemand", "--corpus vbdemand needs --vbdemand-dir: its directory, or where it is to be downloaded"),
        ("--measures all,pesq", f"--measures all,pesq: no measure 'pesq', there are {','.join(MEASURES)}"),
        ("--init conf", "--init conf: no model.pt: is it trained?"),
        ("--augment-noise-dir none", "--augment-noise-dir none: no such directory"),
        ("--config none", "missing config 'none'"),
        ("--asr-config none", "--asr-config none: no such file"),
        ("--noise-dir none", "--noise-dir none: no such directory"),
        ("--cmd-backend moon", "cmd.sh: unknown cmd_backend 'moon': local, slurm or sge"),
        ("3", "takes options only, got '3'; see --help"),
    ],
)
def test_what_cannot_work_is_one_line(run, checkout, words, line):
    output = run(*words.split(), code=1)
    assert output.splitlines() == [line if line.startswith("cmd.sh") else f"./run.sh: {line}"]
    assert not (checkout / "exp").exists()


def test_the_former_name_of_an_option_works_and_names_the_new_one(run):
    output = run("--no-gate", "true", code=1).splitlines()
    assert output[0].startswith("./run.sh: --no-gate is now --skip-pesq-check; the old name")
    assert output[1] == "./run.sh: --vbdemand-dir and --skip-pesq-check are for --corpus vbdemand"


def test_blanks_around_commas(run):
    """stoi and estoi are taken, in one word."""
    output = run("--measures", "stoi, estoi , pesq", code=1)
    assert output.startswith("./run.sh: --measures stoi,estoi,pesq: no measure 'pesq', there are ")


def test_config_is_read_before_the_command_line(run, checkout):
    (checkout / "my.conf").write_text("stage=6\nstop_stage=5\n")
    assert run("--config", "my.conf", code=1) == "./run.sh: --stage 6 is after --stop-stage 5\n"
    assert run("--stage", "7", "--config", "my.conf", code=1) == "./run.sh: --stage 7 is after --stop-stage 5\n"


def test_one_run_at_a_time(run, checkout):
    (checkout / "exp").mkdir()
    with Lock(checkout / "exp/.lock"):
        output = run(code=1)
    who = f"process {os.getpid()} on {os.uname().nodename}"
    assert output.startswith(f"done.py: exp is being written by another run ({who}): wait for it")
    assert output.count("\n") == 1


def test_unwritable_exp(run, checkout, powerless):
    (checkout / "exp").mkdir()
    (checkout / "exp").chmod(0o555)
    output = run(before=tuple(powerless), code=1)
    assert "exp/.lock" in output and "Permission denied" in output and output.count("\n") == 1


def test_with_kaldis_parse_options(run, checkout, kaldi_utils):
    (checkout / "local").mkdir()
    (checkout / "local/path.sh").write_text(f"PATH={kaldi_utils}:$PATH\n")
    (checkout / "my.conf").write_text("stage=6\nstop_stage=5\n")
    assert "Stages" in run("--help", code=0)
    assert run("--bogus", "1", code=1) == "./run.sh: invalid option --bogus\n"
    assert run("--config", "my.conf", code=1) == "./run.sh: --stage 6 is after --stop-stage 5\n"


def test_the_published_configurations_are_the_default_for_vbdemand(sh, root):
    names = ("fbank_config", "perceptual_config", "enhance_config", "asr_config", "asr_finetune_config")
    script = f"""{"= ".join(names)}= corpus=$1 enhance_config=$2
    . log.sh; . recipe.sh; choose_configs; echo {" ".join(f"${name}" for name in names)}"""
    cases = [("vbdemand", ""), ("demo", ""), ("vbdemand", "conf/enhance_resnet.yaml")]
    found = [sh(script, corpus, own, cwd=root).stdout.split() for corpus, own in cases]
    asr = ["conf/asr.yaml", "conf/asr.yaml"]
    assert found[0] == ["conf/fbank_40.conf", "conf/perceptual.yaml", "conf/enhance.yaml", *asr]
    assert found[1][:3] == ["conf/fbank.conf", "conf/perceptual_demo.yaml", "conf/enhance_demo.yaml"]
    assert found[1][3:] == ["conf/asr_demo.yaml", "conf/asr_finetune_demo.yaml"]
    assert found[2] == [*found[0][:2], "conf/enhance_resnet.yaml", *asr]


@pytest.mark.parametrize(
    "corpus, perceptual, config, fbank, model",
    [
        ("demo", "", "", "", "exp/asr_clean"),
        ("demo", "phones", "", "", "exp/perceptual"),
        ("mine", "", "conf/perceptual.yaml", "", "exp/perceptual"),
        ("mine", "", "", "conf/logmel_22k.conf", "exp/perceptual"),
        ("mine", "recogniser", "conf/perceptual.yaml", "", "exp/asr_clean"),
        ("vbdemand", "", "", "", "exp/perceptual"),
        ("vbdemand", "pretrained/fast_t", "", "", "pretrained/fast_t"),
    ],
)
def test_mimic_loss_is_computed_through(sh, root, corpus, perceptual, config, fbank, model):
    script = """corpus=$1 perceptual=$2 perceptual_config=$3 fbank_config=$4 exp=exp
    enhance_config= asr_config= asr_finetune_config=
    . log.sh; . recipe.sh; choose_configs; choose_perceptual; perceptual_dir"""
    assert sh(script, corpus, perceptual, config, fbank, cwd=root).stdout == f"{model}\n"


def test_a_table_has_a_row_for_each_seed(sh, root):
    script = r"""seed=$1 seeds=2 call=(x); . log.sh; . recipe.sh; dry_run() { printf '%s\n' "${words[@]}"; }
    score_table --pair noisy MSE -- "noisy=a=b,c" "MSE=e<seed>,j<seed>/asr" """
    rows = ["noisy@5=a=b,c", "MSE@5=e,j/asr", "MSE@6=e_seed6,j_seed6/asr"]
    assert sh(script, "5", cwd=root).stdout.splitlines() == ["--pair", "noisy", "MSE", *rows]


@pytest.mark.parametrize(
    "words", [["./run.sh", "--rows", "mse mimic", "--exp", "it's"], ["x", "", "a&b", "$HOME", "--set", "train.lr=1e-3"]]
)
def test_a_record_has_the_command_as_one_can_type_it(sh, root, words):
    line = sh('call=("$@"); . log.sh; . recipe.sh; command_line', *words, cwd=root).stdout
    assert shlex.split(line) == words and "train.lr=1e-3'" not in line


@pytest.mark.parametrize("measures, columns", [("all", "PESQ,eSTOI"), ("all,dnsmos-ovrl", "PESQ,DNSMOS,eSTOI")])
def test_dnsmos_has_a_column_where_it_is_scored(sh, root, measures, columns):
    script = r"""seed=1 seeds=1 measures=$1 call=(x); . log.sh; . recipe.sh; dry_run() { echo "${words[@]}"; }
    score_table --columns PESQ,eSTOI -- noisy=a,b"""
    assert sh(script, measures, cwd=root).stdout == f"--columns {columns} noisy@1=a,b\n"


@pytest.mark.parametrize("fitted", [False, True])
def test_the_ratio_auto_is_fitted_where_there_is_none(sh, root, tmp_path, fitted):
    """On dev, by a recogniser; noisy speech, ratio 0, is not enhanced."""
    if fitted:
        (tmp_path / "ratio.json").touch()
    script = r"""enhancement_ratio=$1 exp=exp data=data; common=() decoding=() one_job=(); . log.sh; . recipe.sh
        in_background() { shift; "$@"; }; wait_all() { :; }; dry_run() { false; }
        recognise() { echo "recognise $*"; }; score_words() { echo "score $*"; }; make_fbank() { :; }
        for one in steps/enhance.sh steps/fit_ratio.sh; do eval "$one() { echo $one \"\$@\"; }"; done
        fit_ratios exp/asr_clean "$2" """
    enhancer = str(tmp_path)
    assert sh(script, "0.5", enhancer).stdout == ""
    lines = sh(script, "auto", enhancer).stdout.splitlines()
    if fitted:
        assert lines == []
        return
    enhanced = [line.split() for line in lines if line.startswith("steps/enhance.sh")]
    assert [(words[2], words[-1]) for words in enhanced] == [
        (ratio, f"{enhancer}/ratio/{ratio}/wav") for ratio in ("0.25", "0.5", "0.75", "1")
    ]
    assert f"recognise {enhancer}/ratio/0 dev exp/fbank/dev_noisy exp/asr_clean" in lines
    assert f"recognise {enhancer}/ratio/1 dev {enhancer}/ratio/1/fbank exp/asr_clean" in lines
    scorings = [f"{ratio}={enhancer}/ratio/{ratio}/scoring/dev" for ratio in ("0", "0.25", "0.5", "0.75", "1")]
    assert lines[-1] == f"steps/fit_ratio.sh {enhancer} data/dev_noisy {' '.join(scorings)}"
