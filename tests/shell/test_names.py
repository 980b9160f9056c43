"""Names of directories are words: no step takes them for code, for options or for the number of a job."""

import pytest
from data_maker import UTTS, make_dir
from places import ODD_NAMES, ROOT

from mimic.io.tables import read_table


@pytest.fixture
def step(sh):
    """step(words...): runs a step from the root of the repository."""
    return lambda *words: sh('"$@"', *map(str, words), cwd=ROOT)


def test_a_step_in_directories_with_odd_names(step, tmp_path):
    """All of them in one path; the jobs have their own numbers although names have JOB in them."""
    odd = "/".join(ODD_NAMES)
    data, out = make_dir(tmp_path / odd / "data", utts=UTTS[:2]), tmp_path / odd / "out"
    result = step("steps/perturb_speed.sh", "--nj", 2, "--speeds", "1.1", data, out)
    assert (result.returncode, result.stderr) == (0, "")
    assert list(read_table(out / "wav.scp")) == [*UTTS[:2], *(f"sp1.1-{utt}" for utt in UTTS[:2])]
    assert sorted(path.name for path in (out / "log").glob("*.log")) == ["perturb_speed.1.log", "perturb_speed.2.log"]
    assert [path.name for path in tmp_path.iterdir()] == ODD_NAMES[:1] and not (ROOT / "ran").exists()


@pytest.mark.parametrize(("name", "message"), [("-x", "write ./-x for a name"), ("a\nb", "a line break")])
def test_names_that_no_program_can_take(step, name, message):
    result = step("steps/combine_data.sh", "exp/none", name)
    assert result.returncode == 1 and message in result.stderr and "exp/none" not in result.stderr


def test_a_data_directory_without_utterances(step, tmp_path):
    for table in ("wav.scp", "utt2spk", "text"):
        (tmp_path / table).touch()
    result = step("steps/make_feats.sh", tmp_path, tmp_path / "feats")
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr == f"steps/make_feats.sh: {tmp_path}/utt2spk is empty: no utterances\n"
    assert not (tmp_path / "feats").exists()
