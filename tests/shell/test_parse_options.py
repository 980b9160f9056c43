"""steps/lib/parse_options.sh: Kaldi's surface, without its traps."""

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
    assert (result.returncode, result.stderr) == (0, "Scores are 100% safe \\n\n")


def test_help_without_message(sh):
    result = sh("set -u; . parse_options.sh", "--help")
    assert (result.returncode, result.stderr) == (0, "No help found.\n")


def test_config_comes_before_the_command_line(sh, tmp_path):
    (tmp_path / "my.conf").write_text("stage=4\nstop_stage=5\n")
    result = sh(SCRIPT, "--stage", "2", "--config", "my.conf")
    assert (result.returncode, result.stdout) == (0, "2|5|false||launch.py|")


def test_the_later_config_wins(sh, tmp_path):
    (tmp_path / "a.conf").write_text("stage=4 stop_stage=4\n")
    (tmp_path / "b.conf").write_text("stage=5\n")
    assert sh(SCRIPT, "--config", "a.conf", "--config", "b.conf").stdout == "5|4|false||launch.py|"


def test_config_is_no_yaml(sh, tmp_path):
    (tmp_path / "my.yaml").write_text("stage: 4\n")
    result = sh(SCRIPT, "--config", "my.yaml")
    assert result.returncode == 1
    assert result.stderr.startswith("test.sh: --config takes a bash file") and result.stderr.count("\n") == 1


@pytest.mark.parametrize("words", [[], ["--stage", "3"], ["--stop-stage", "2", "--flag", "true", "x"]])
def test_same_as_kaldi(sh, kaldi_utils, words):
    script = SCRIPT.replace("set -euo pipefail", "")
    ours = sh(script, *words)
    theirs = sh(script.replace(". parse", f". {kaldi_utils}/parse"), *words)
    assert (ours.returncode, ours.stdout) == (theirs.returncode, theirs.stdout)
    assert ours.returncode == 0
