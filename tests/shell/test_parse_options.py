"""steps/lib/parse_options.sh: Kaldi's surface, without its traps."""

import re
import shlex
from pathlib import Path

import pytest

SCRIPT = """set -euo pipefail
stage=1 stop_stage=7 flag=false text= cmd=launch.py
help_message='Scores are 100% safe \\n'
. parse_options.sh
printf '%s|' "$stage" "$stop_stage" "$flag" "$text" "$cmd" "$@"
"""


@pytest.mark.parametrize(
    "words, printed",
    [
        ([], "1|7|false||launch.py|"),
        (["--stage", "3", "--stop-stage", "4"], "3|4|false||launch.py|"),
        (["--stop_stage", "5", "--flag", "true"], "1|5|true||launch.py|"),
        (["--stage", "2", "data", "--stage", "9"], "2|7|false||launch.py|data|--stage|9|"),
        (["--text", 'a "b" `date` $(date) $HOME %s'], '1|7|false|a "b" `date` $(date) $HOME %s|launch.py|'),
        (["--text", "--lr 0.1"], "1|7|false|--lr 0.1|launch.py|"),
        (["--text", "--lr"], "1|7|false|--lr|launch.py|"),
        (["--text", ""], "1|7|false||launch.py|"),
        (["-x"], "1|7|false||launch.py|-x|"),
    ],
)
def test_values(sh, words, printed):
    result = sh(SCRIPT, *words)
    assert (result.returncode, result.stdout, result.stderr) == (0, printed, "")


@pytest.mark.parametrize(
    "words, line",
    [
        (["--stage=3"], "options to scripts must be of the form --name value, got '--stage=3'"),
        (["--bogus", "1"], "invalid option --bogus"),
        (["--stagee", "1"], "invalid option --stagee (did you mean --stage?)"),
        (["--stop-stag", "1"], "invalid option --stop-stag (did you mean --stop-stage?)"),
        (["--PATH", "/"], "invalid option --PATH"),
        (["--a;b", "1"], "invalid option --a;b"),
        (["--"], "invalid option --"),
        (["--stage"], "option --stage needs a value"),
        (["--stage", "--flag", "true"], "option --stage needs a value, but '--flag' follows"),
        (["--stage", "--config", "x"], "option --stage needs a value, but '--config' follows"),
        (["--flag", "yes"], 'expected "true" or "false": --flag yes'),
        (["--cmd", ""], "empty argument to --cmd option"),
        (["--config"], "option --config needs a value"),
        (["--config", "none"], "missing config 'none'"),
    ],
)
def test_errors_are_one_line(sh, words, line):
    result = sh(SCRIPT, *words)
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr.splitlines() == [f"test.sh: {line}"]


@pytest.mark.parametrize("word", ["--help", "-h"])
def test_help(sh, word):
    result = sh(SCRIPT, "--stage", "2", word)
    assert (result.returncode, result.stdout, result.stderr) == (0, "Scores are 100% safe \\n\n", "")


RANGES = """stage=1 nj=2 max_skip=0.01 channel= sil_prob=0.5 snrs="0 5" prune=0 compress=none size= force=false
enhancement_ratio=
. parse_options.sh
echo "$stage|$nj|$max_skip|$channel|$sil_prob|$snrs|$prune|$compress|$size|$enhancement_ratio"
"""


@pytest.mark.parametrize(
    "words, line",
    [
        (["--nj", "0"], "--nj takes a whole number of at least 1, got '0'"),
        (["--nj", "abc"], "--nj takes a whole number of at least 1, got 'abc'"),
        (["--nj", "010"], "--nj takes a whole number of at least 1, got '010'"),
        (["--nj", "99999999999999999999"], "--nj takes a whole number of at least 1, got '99999999999999999999'"),
        (["--nj", ""], "--nj takes a whole number of at least 1, got ''"),
        (["--channel", "-1"], "--channel takes a whole number of at least 0, got '-1'"),
        (["--max-skip", "7"], "--max-skip takes a number from 0 to 1, got '7'"),
        (["--max-skip", "nan"], "--max-skip takes a number from 0 to 1, got 'nan'"),
        (["--max-skip", "1 %"], "--max-skip takes a number from 0 to 1, got '1 %'"),
        (["--sil-prob", "0"], "--sil-prob takes a number above 0, below 1, got '0'"),
        (["--sil-prob", "1.0"], "--sil-prob takes a number above 0, below 1, got '1.0'"),
        (["--snrs", "0 inf"], "--snrs takes numbers from -100 to 100 or clean, got '0 inf'"),
        (["--prune", "0 0.5"], "--prune takes whole numbers of at least 0, got '0 0.5'"),
        (["--enhancement-ratio", "1.5"], "--enhancement-ratio takes a number from 0 to 1 or auto, got '1.5'"),
        (["--enhancement-ratio", "aut"], "--enhancement-ratio takes a number from 0 to 1 or auto, got 'aut'"),
        (["--compress", "zip"], "--compress takes one of none, int16, uint8, got 'zip'"),
        (["--compress", "none int16"], "--compress takes one of none, int16, uint8, got 'none int16'"),
        (["--config", "my.conf"], "--nj takes a whole number of at least 1, got '-3'"),
        (["--config", "other.conf"], 'expected "true" or "false": --force ja'),
    ],
)
def test_values_out_of_range_are_one_line(sh, tmp_path, words, line):
    (tmp_path / "my.conf").write_text("nj=-3\n")
    (tmp_path / "other.conf").write_text("force=ja\n")
    result = sh(RANGES, *words)
    assert (result.returncode, result.stdout, result.stderr) == (1, "", f"test.sh: {line}\n")


def test_values_in_range(sh):
    words = ["--nj", "1", "--max-skip", "1e-3", "--channel", "", "--sil-prob", ".9", "--snrs", "-2.5,+5"]
    words += ["--prune", "0 0 1", "--compress", "uint8", "--size", "", "--enhancement-ratio", "auto"]
    assert sh(RANGES, *words, nj="no number").stdout == "1|1|1e-3||.9|-2.5,+5|0 0 1|uint8||auto\n"
    assert sh(RANGES, "--enhancement-ratio", "0.5").stdout.endswith("|0.5\n")


LISTS = """recognisers= measures=all snrs="0 5" nj=2 seed=1
. parse_options.sh
echo "$recognisers|$measures|$snrs|$nj"
"""


@pytest.mark.parametrize(
    "words, line",
    [
        (["--recognisers", "A", "--recognisers", "B C"], "--recognisers 'A B C'"),
        (["--measures", "all", "--nj", "1", "--measures", "dnsmos-ovrl"], "--measures 'all,dnsmos-ovrl'"),
        (["--snrs", "0 5", "--snrs", "10"], "--snrs '0 5 10'"),
    ],
)
def test_several_values_go_into_one_word(sh, words, line):
    result = sh(LISTS, *words)
    name = line.split()[0]
    message = f"test.sh: {name} is given twice: several values go into one word: {line}\n"
    assert (result.returncode, result.stdout, result.stderr) == (1, "", message)


def test_the_last_one_counts_where_nothing_is_lost(sh, tmp_path):
    (tmp_path / "my.conf").write_text("recognisers=C nj=5\n")
    words = ["--nj", "3", "--nj", "4", "--recognisers", "", "--recognisers", "A B", "--recognisers", "A B"]
    assert sh(LISTS, "--config", "my.conf", *words).stdout == "A B|all|0 5|4\n"


def defaults(script: Path) -> dict[str, str]:
    """The block of defaults of a script."""
    block = script.read_text().split("help_message=")[0]
    found = re.findall(r"""^([a-z][a-z0-9_]*)=("[^"]*"|[^ \n]*)""", block, re.MULTILINE)
    return {name: value.strip('"') for name, value in found}


def test_every_number_has_a_range_and_its_default_is_in_it(root, sh):
    lines = (root / "steps/lib/option_ranges.txt").read_text().splitlines()
    names = [line.split()[0] for line in lines if line and not line.startswith("#")]
    assert len(set(names)) == len(names)
    scripts = [path for folder in ("steps", "local", "tests") for path in (root / folder).rglob("*.sh")]
    takes = [path for path in (root / "run.sh", *scripts) if ". parse_options.sh" in path.read_text()]
    blocks = [defaults(path) for path in (*takes, *(path for path in scripts if path.name.endswith("_options.sh")))]
    given = {(name, value) for block in blocks for name, value in block.items()}
    numbers = {name for name, value in given if re.fullmatch(r"(-?[0-9]+(\.[0-9]+)? ?)+", value)}
    assert numbers - {"pip_version"} <= set(names)
    assert set(names) <= {name for name, _ in given}  # no line is left of an option that is gone
    checks = "".join(
        f"{name}={shlex.quote(value)} _po_check {name} ${{_po_range[{name}]}}\n"
        for name, value in sorted(given)
        if name in names
    )
    every = "".join(f"{name}=\n" for name in names)
    result = sh(f"set -eu\n{every}set --\n. parse_options.sh\n{checks}echo good")
    assert (result.stdout, result.stderr) == ("good\n", "")


RENAMED = """#!/usr/bin/env bash
set -euo pipefail
ratio=0.5    # of the enhanced speech  # was: dry-wet
# removed: jobs
max_frames=9 # of a batch  # was: batch-frames, frames-per-batch
help_message=$(list_options.sh "$0")
. parse_options.sh
echo "$ratio $max_frames $*"
"""


def test_a_renamed_option_takes_its_old_name_and_names_the_new_one(sh, tmp_path):
    (tmp_path / "step.sh").write_text(RENAMED)
    (tmp_path / "my.conf").write_text("frames_per_batch=4\n")
    note = "step.sh: --{} is now --{}; the old name will be removed in the next release\n".format
    gone = "step.sh: --jobs does nothing any more; it will be refused in the next release\n"
    for words, printed, notes in [
        ("--dry-wet 0.25 --dry-wet 0.75 x", "0.75 9 x", note("dry-wet", "ratio") * 2),
        ("--batch_frames 3", "0.5 3", note("batch-frames", "max-frames")),
        ("--jobs 4 --ratio 1", "1 9", gone),
        ("--config my.conf --ratio 1", "1 4", note("frames-per-batch", "max-frames")),
    ]:
        result = sh(f"bash step.sh {words}", frames_per_batch="7")
        assert (result.stdout.strip(), result.stderr) == (printed, notes)
    assert "was" not in sh("bash step.sh --help").stdout
    assert "invalid option --dry-wets" in sh("bash step.sh --dry-wets 1").stderr


def test_help_without_message(sh):
    result = sh("set -u; . parse_options.sh", "--help")
    assert (result.returncode, result.stdout) == (0, "No help found.\n")


def test_config_comes_before_the_command_line(sh, tmp_path):
    (tmp_path / "my.conf").write_text("stage=4\nstop_stage=5\n")
    result = sh(SCRIPT, "--stage", "2", "--config", "my.conf")
    assert (result.returncode, result.stdout) == (0, "2|5|false||launch.py|")


def test_the_later_config_wins(sh, tmp_path):
    (tmp_path / "a.conf").write_text("stage=4 stop_stage=4\n")
    (tmp_path / "b.conf").write_text("stage=5\n")
    assert sh(SCRIPT, "--config", "a.conf", "--config", "b.conf").stdout == "5|4|false||launch.py|"


@pytest.mark.parametrize(
    ("name", "text"), [("my.yaml", "stage: 4\n"), ("fbank.conf", "# Kaldi's\n--num-mel-bins=80  # of them\n")]
)
def test_config_is_a_bash_file(sh, tmp_path, name, text):
    (tmp_path / name).write_text(text)
    result = sh(SCRIPT, "--config", name)
    assert result.returncode == 1 and not result.stdout
    assert result.stderr.startswith("test.sh: --config takes a bash file") and result.stderr.count("\n") == 1


def test_a_value_in_config_may_have_lines_of_options(sh, tmp_path):
    (tmp_path / "a.conf").write_text("# of mine\n\ncmd='\n  --mem 4G'\n")
    result = sh(SCRIPT, "--config", "a.conf")
    assert result.returncode == 0 and "--mem 4G" in result.stdout
    (tmp_path / "empty.conf").write_text("# nothing\n")
    assert sh(SCRIPT, "--config", "empty.conf").returncode == 0


@pytest.mark.parametrize("words", [[], ["--stage", "3"], ["--stop-stage", "2", "--flag", "true", "x"]])
def test_same_as_kaldi(sh, kaldi_utils, words):
    script = SCRIPT.replace("set -euo pipefail", "")
    mimic = sh(script, *words)
    kaldi = sh(script.replace(". parse", f". {kaldi_utils}/parse"), *words)
    assert (mimic.returncode, mimic.stdout) == (kaldi.returncode, kaldi.stdout)
    assert mimic.returncode == 0
