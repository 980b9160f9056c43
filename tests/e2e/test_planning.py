"""steps/plan.sh on the configurations of the tests."""

import json

import pytest
import soundfile

from mimic.io.tables import read_table

pytestmark = pytest.mark.xdist_group("begun")
HEADS = ["hours", "GiB of memory per job", "GB of disk"]


def test_a_plan_from_a_calibration(begun, monkeypatch):
    monkeypatch.setitem(begun.env, "MIMIC_FORKS", "")  # what a fork takes of time and memory says little
    options = ("--config", "tests/e2e/micro.conf", "--hours", "0.0125 10", "--within", "90d", "--json", "plan.json")
    try:
        output = begun.call("steps/plan.sh", *options)
        plan = json.loads((begun.root / "plan.json").read_text())
    finally:
        (begun.root / "plan.json").unlink(missing_ok=True)
    assert not list((begun.root / "exp").glob("plan.*"))
    for head in HEADS:
        assert f"\n{head} " in output
    assert "0.0125 h of speech within 90d: --nj 1 --ngpu 0: " in output
    small, large = plan["plans"]
    assert [stage["name"][0] for stage in small["stages"]] == [*"1234567", "t"]
    for few, many in zip(small["stages"], large["stages"], strict=True):
        assert 0 < few["seconds"] < many["seconds"] and few["memory"] <= many["memory"]
        assert few["disk"] <= many["disk"]
    assert 300 < large["stages"][3]["memory"] / 2**20 < 3000
    # Archives of features take the disk that those of the recipe take, for an hour.
    size = {}
    for kind in ("stft", "fbank"):
        begun.call("steps/make_feats.sh", "--type", kind, "corpus/dev_clean", f"exp/{kind}")
        size[kind] = sum(path.stat().st_size for path in (begun.root / "exp" / kind).rglob("*.ark"))
    wavs = read_table(begun.root / "corpus/dev_clean/wav.scp").values()
    hours = sum(soundfile.info(begun.root / wav).duration for wav in wavs) / 3600
    corpus = large["corpus"]
    learnt = corpus["train"] + corpus["dev"]
    made = 2 * (size["stft"] * learnt + size["fbank"] * (learnt + corpus["test"])) / hours  # noisy and clean
    assert large["stages"][1]["disk"] == pytest.approx(made, rel=0.1)


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ("--within soon", "--within takes a time such as 90m, 24h or 3d, got 'soon'"),
        ("--hours ten", "--hours takes numbers above 0, got 'ten'"),
        ("--nj 0", "--nj takes a whole number of at least 1, got '0'"),
        ("--asr-config none", "--asr-config none: no such file"),
        ("demo", "takes options only, got 'demo'; see --help"),
    ],
)
def test_what_cannot_work_is_one_line(begun, words, line):
    assert begun.call("steps/plan.sh", *words.split(), code=1) == f"steps/plan.sh: {line}\n"
