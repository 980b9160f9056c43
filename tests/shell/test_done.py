"""steps/lib/done.py: which work is done, what makes it again, and what it prints."""

import itertools
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from done_maker import SKIPPED, Done, data_dir, own

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "steps/lib"))
from uptodate.identity import audio_and_tables
from uptodate.state import Action, State, transition


def test_every_state_has_an_action_and_only_finished_work_is_skipped():
    for state, forced, kept in itertools.product(State, (False, True), (False, True)):
        action = transition(state, forced=forced, kept=kept)
        assert (action is Action.SKIP) == (state is State.DONE and not forced)
        assert (action is Action.REFUSE) == (state in (State.FOREIGN, State.OTHERS))


def test_done_and_unchanged(done):
    done.work("--option", "a=1", "b=x y", "--option", "--data.train=--z")
    assert done.check("--option", "--data.train=--z", "--option", "a=1", "b=x y") == (0, SKIPPED)


@pytest.mark.parametrize(
    "words, reason",
    [
        (["--option", "a=2"], 'a was "1" and is "2"'),
        (["--option", "a=1", "b=2"], 'b was unset and is "2"'),
        ([], 'a was "1" and is unset'),
        (["--option", "a=1", "--input", "conf/a.yaml"], "input conf/a.yaml is new"),
        (["--option", "a=1", "--force", "true"], "--force true"),
        (["--option", "a=1", "--version", "2"], "format version was 1 and is 2"),
    ],
)
def test_what_changed_is_named_and_what_was_there_is_kept(done, words, reason):
    done.work("--option", "a=1")
    assert done.check(*words) == (1, f"exp/x: to do again, {reason}; what was here is in exp/x.old")
    assert own(done.dir) == []
    assert (done.tree / "exp/x.old/model.pt").read_text() == "weights"


def test_code_that_changed_starts_nothing_again_and_is_reported_once(done):
    git = ["git", "-c", "user.name=n", "-c", "user.email=e@example.org"]
    (done.tree / "code.py").write_text("")
    for words in (["init", "-q"], ["add", "code.py"], ["commit", "-q", "-m", "one"]):
        subprocess.run([*git, *words], cwd=done.tree, check=True)
    done.work("--option", "a=1")
    assert done.check("--option", "a=1") == (0, SKIPPED)
    (done.tree / "code.py").write_text("# x\n")
    code, line = done.check("--option", "a=1")
    assert code == 0 and line.startswith(f"{SKIPPED} (made by revision ") and line.endswith("+changes)")
    assert done.check("--option", "a=1") == (0, SKIPPED)


def finished_data(done: Done) -> Path:
    """A data directory that a step has made."""
    done("check", "data/train", "--step", "local/prepare.sh", "--option", "a=1")
    (done.tree / "data/train/text").write_text("s-1 HELLO\n")
    assert done("mark", "data/train") == (0, "")
    return done.tree / "data/train"


@pytest.mark.parametrize("made_by_a_step", [False, True])
def test_a_table_edited_by_hand(done, made_by_a_step):
    data = finished_data(done) if made_by_a_step else data_dir(done.tree)
    done.work("--input", "data/train")
    assert done.check("--input", "data/train") == (0, SKIPPED)
    (data / "text").write_text("s-1 WORLD\n")
    if made_by_a_step:
        line = done.check("--input", "data/train")[1]
        assert "text was changed after it was made: run local/prepare.sh again" in line
        done("mark", "data/train")
    code, line = done.check("--input", "data/train")
    assert (code, line.split(";")[0]) == (1, "exp/x: to do again, input data/train changed")


def test_audio_counts_by_its_contents(done):
    data_dir(done.tree)
    done.work("--input", "data/train")
    os.utime(done.tree / "a.wav", (1, 1))
    assert done.check("--input", "data/train") == (0, SKIPPED)
    (done.tree / "a.wav").write_bytes(b"RIFX")
    assert done.check("--input", "data/train")[0] == 1


def test_folders_of_recordings_count_with_what_lies_below_them(done):
    (done.tree / "noises/train").mkdir(parents=True)
    (done.tree / "noises/train/a.wav").write_bytes(b"RIFF")
    done.work("--input", "noises")
    assert done.check("--input", "noises") == (0, SKIPPED)
    (done.tree / "noises/train/b.wav").write_bytes(b"RIFF")
    assert done.check("--input", "noises")[0] == 1


def test_what_is_made_inside_of_an_input_is_no_part_of_it(done):
    (done.tree / "joint/enhancer").mkdir(parents=True)
    (done.tree / "joint/enhancer/model.pt").touch()
    words = ("joint/enhancer/wav", "--step", "steps/enhance.sh", "--input", "joint/enhancer")
    assert done("check", *words)[0] == 1
    (done.tree / "joint/enhancer/wav/wav.scp").touch()
    assert done("mark", words[0]) == (0, "")
    assert done("check", *words)[0] == 0


def test_an_input_that_was_made_again_counts_by_what_came_out(done):
    data = finished_data(done)
    done.work("--input", "data/train")
    for text, code in (("s-1 HELLO\n", 0), ("s-1 OTHER\n", 1)):
        done("check", "data/train", "--step", "local/prepare.sh", "--option", f"a={text}")
        (data / "text").write_text(text)
        (data / "run_info.json").write_text(f'"{text}"')  # a time of day
        done("mark", "data/train")
        assert done.check("--input", "data/train")[0] == code


def test_input_that_is_not_ready(done):
    assert done.check("--input", "data/train") == (2, "done.py: exp/x: input data/train is missing")
    done("check", "data/train", "--step", "local/prepare.sh")
    line = "done.py: exp/x: input data/train is incomplete: run local/prepare.sh again"
    assert done.check("--input", "data/train") == (2, line)


def test_an_input_that_changed_during_the_work_is_noticed_at_its_end(done):
    words = ("--input", "conf/a.yaml")
    done.check(*words)
    (done.dir / "archive").write_text("half of it made with a: 1")
    (done.tree / "conf/a.yaml").write_text("a: 2\n")
    code, line = done("mark", "exp/x")
    assert code == 2 and line.endswith("input conf/a.yaml was changed while this was made: run it again")
    (done.tree / "conf/a.yaml").write_text("a: 1\n")  # also where it is as it was at the beginning
    assert done.check(*words)[1].startswith("exp/x: to do again, input conf/a.yaml changed while it was made")
    assert own(done.dir) == []


def test_a_dry_run_says_what_follows_and_does_nothing(done, monkeypatch):
    pending, changes = done.tree / "pending", done.tree / "changes"
    monkeypatch.setenv("MIMIC_CHANGES", str(changes))
    pending.touch(), changes.touch()
    dry = ("--dry-run", str(pending))
    finished_data(done)
    done.work("--input", "data/train", "--option", "a=1")
    before = sorted((p, p.stat().st_mtime_ns) for p in done.tree.rglob("*") if p not in (pending, changes))
    assert done.check("--input", "data/train", "--option", "a=1", *dry) == (0, "")
    words = ("check", "data/train", "--step", "local/prepare.sh", "--option", "a=2")
    assert done(*words, *dry) == (1, 'data/train: to do again, a was "1" and is "2"')
    line = "exp/x: to do again, input data/train is made before"
    assert done.check("--input", "data/train", "--option", "a=1", *dry) == (1, line)
    assert done("check", "exp/y", "--step", "s", "--input", "exp/x/model.pt", *dry) == (1, "exp/y: to do")
    assert pending.read_text().split() == ["data/train", "exp/x", "exp/y"]
    assert changes.read_text() == f'data/train: to do again, a was "1" and is "2"\n{line}\n'
    assert before == sorted((p, p.stat().st_mtime_ns) for p in done.tree.rglob("*") if p not in (pending, changes))


def test_wrong_words(done):
    for words in (["check"], ["look", "exp/x"], ["check", "exp/x", "--oops"], ["check", "exp/x", "--option", "a"]):
        assert done(*words)[0] == 2
    assert done.check("--lock", str(os.getpid()), "--version", "new")[0] == 2
    assert not done.dir.exists()


def test_a_fingerprint_says_what_decides(done):
    done.work("--option", "a=1", "--input", "conf/a.yaml")
    text = (done.dir / ".fingerprint").read_text()
    assert [line.split()[0] for line in text.splitlines()] == ["step", "version", "option", "input"]
    assert str(done.tree) not in text and json.loads((done.dir / ".made").read_text())["revision"]


def test_audio_of_both_tables_of_a_data_directory_counts(tmp_path):
    for name in ("noisy.wav", "clean.wav"):
        (tmp_path / name).touch()
    data = tmp_path / "data"
    data.mkdir()
    (data / "wav.scp").write_text(f"u {tmp_path}/noisy.wav")
    (data / "spk1.scp").write_text(f"u {tmp_path}/clean.wav\n")
    names = [
        str(path) for path in (data / "spk1.scp", data / "wav.scp", tmp_path / "clean.wav", tmp_path / "noisy.wav")
    ]
    assert audio_and_tables(data) == names
