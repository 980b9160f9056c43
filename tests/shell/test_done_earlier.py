"""steps/lib/done.py: what earlier versions made, and what got another name since, is taken over or not touched."""

import hashlib

import pytest
from done_maker import SKIPPED, Done, own


def test_a_renamed_step_and_option_start_nothing_again(done):
    done.check("--option", "rirs=1", step="local/simulate_rirs.sh")
    (done.dir / "wav.scp").touch()
    done("mark", "exp/x")
    written = done.dir / ".fingerprint"
    written.write_text(written.read_text().replace("rirs", "rooms"))
    assert done.check("--option", "rirs=1", step="local/simulate_rirs.sh") == (0, SKIPPED)


def earlier(done: Done, a: str = "1") -> None:
    """exp/x as the version before left it: hashes of code, no step, no hash of what was large."""
    done.dir.mkdir(parents=True)
    (done.dir / "model.pt").write_text("weights")
    (done.dir / "archive").write_text("large")
    fingerprint = f'code "steps/lib/done.py" 0123\ninput "conf/a.yaml" 6f2a\noption "a" "{a}"\n'
    known = hashlib.sha256((done.tree / "conf/a.yaml").read_bytes()).hexdigest()[:16]
    (done.dir / ".fingerprint").write_text(fingerprint.replace("6f2a", known))
    done("mark", "exp/x")
    lines = (done.dir / ".done").read_text().splitlines()
    lines = [line.rpartition("\t")[0] + "\t-" if line.startswith("archive") else line for line in lines]
    (done.dir / ".done").write_text("\n".join(lines) + "\n")
    (done.dir / ".made").unlink(missing_ok=True)


def test_what_an_earlier_version_made_is_taken_over(done):
    earlier(done)
    words = ("--input", "conf/a.yaml", "--option", "a=1")
    assert done.check(*words) == (0, SKIPPED)
    assert '"steps/train.sh"' in (done.dir / ".fingerprint").read_text()
    assert "\t-" not in (done.dir / ".done").read_text()
    assert done.check("--input", "conf/a.yaml", "--option", "a=2")[0] == 1


def test_settings_that_got_another_name_are_the_same_settings(done):
    words = ("--option", "train.batch_size=4", "--option", "decode=--train.clip 3 --decode.beam 8")  # as typed
    done.work(*words)
    written = done.dir / ".fingerprint"
    former = written.read_text().replace("train.batch_size", "train.batch_utterances").replace("max_grad_norm", "clip")
    assert "batch_utterances" in former and "train.clip" in former
    written.write_text(former)
    other = ("--option", "train.batch_size=5", words[2], words[3].replace("clip", "max_grad_norm"))
    words = (*words[:3], other[3])
    assert done.check(*words) == (0, SKIPPED)
    assert "batch_size" in written.read_text() and "max_grad_norm" in written.read_text()  # for the next release
    written.write_text(former)
    code, line = done.check(*other)
    assert code == 1 and 'train.batch_size was "4" and is "5"; what was here is in exp/x.old' in line
    assert "batch_utterances" in (done.tree / "exp/x.old/.fingerprint").read_text()
    assert done.check(*words) == (0, "exp/x: exp/x.old is what is asked for: put back")


def test_a_model_of_an_earlier_version_has_its_settings_in_config_yaml(done):
    """The YAML files that they came from change with the recipe."""
    earlier(done)
    settings = "task: asr\ntrain: {batch_utterances: 4, lr: 0.0001, epochs: 20}\nmodel: {channels: [2, 4]}\n"
    (done.dir / "config.yaml").write_text(settings)
    done("mark", "exp/x")
    (done.tree / "conf/a.yaml").write_text("a: of this version\n")
    same = ("--option", "train.batch_size=4", "--option", "train.lr=1e-4", "--option", "model.channels=[2, 4]")
    code, line = done.check(*same, "--option", "train.epochs=21")
    assert code == 2 and "made by an earlier version of this recipe with other settings" in line
    assert done.check(*same, "--option", "train.new=1") == (0, SKIPPED)


@pytest.mark.parametrize("change", ["option", "input"])
def test_what_an_earlier_version_made_otherwise_is_not_touched(done, change):
    earlier(done)
    if change == "input":
        (done.tree / "conf/a.yaml").write_text("a: 2\n")
    code, line = done.check("--input", "conf/a.yaml", "--option", "a=1" if change == "input" else "a=2")
    assert code == 2 and "made by an earlier version of this recipe with other settings" in line
    assert own(done.dir) == ["archive", "model.pt"]
