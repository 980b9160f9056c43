"""steps/compare.sh: differences, intervals and probabilities of two systems; what cannot be compared is reported."""

import random
import re
import subprocess
from collections.abc import Callable, Iterable
from pathlib import Path

import kaldialign
import numpy as np
import pytest
from data_maker import ROOT, edit, snapshot

from mimic.errors import UserError
from mimic.io.tables import write_table
from mimic.metrics.comparison import Value, bootci_lines, bootstrap, compare, read_pairs, read_system
from mimic.metrics.enhancement import Row, write_rows
from mimic.metrics.kaldi_files import score_files, write_files
from mimic.metrics.wer import align_set, characters, words

NAMES = ("A", "B")


def texts(seed: int, wrong: float, utterances: int = 120) -> dict[str, str]:
    """Hypotheses for `references()` with this share of words substituted or deleted."""
    rng = random.Random(seed)
    return {
        utt: " ".join(rng.choice(["X", ""]) if rng.random() < wrong else word for word in text.split())
        for utt, text in references(utterances).items()
    }


def references(utterances: int = 120) -> dict[str, str]:
    rng = random.Random(0)
    return {f"p{k % 3}-{k:03d}": " ".join(rng.choices("ABCDE", k=rng.randint(2, 9))) for k in range(utterances)}


def recognised(exp: Path, hyps: dict[str, str], refs: dict[str, str] | None = None) -> Path:
    """An experiment directory as stage 7 leaves it."""
    speakers = {utt: utt[:2] for utt in references()}
    files: dict[str, Iterable[str]] = {}
    for unit, tokenise in {"wer": words, "cer": characters}.items():
        files |= score_files(align_set(refs or references(), hyps, tokenise), speakers, unit, "x", {})
    (exp / "decode_test").mkdir(parents=True)
    write_files(files, exp / "decode_test", exp / "scoring/test")
    return exp


def enhanced(exp: Path, values: list[float | None], measure: str = "wb-pesq") -> Path:
    (exp / "scoring/test").mkdir(parents=True)
    rows = [Row(f"p-{k:03d}", {measure: value}, "-" if value else "silent") for k, value in enumerate(values)]
    write_rows(exp / "scoring/test/per_utt.tsv", rows, (measure,))
    return exp


def step(*arguments: str | Path) -> subprocess.CompletedProcess:
    return subprocess.run(["steps/compare.sh", *map(str, arguments)], cwd=ROOT, capture_output=True, text=True)


def test_mean_differences_by_theory():
    """For means the bootstrap must agree with the normal distribution, and use that the pairs belong together."""
    rng = np.random.default_rng(3)
    common, gain = rng.normal(2.5, 0.8, 400), rng.normal(0.03, 0.3, 400)
    a, b = ({f"u{k}": Value(v, 1) for k, v in enumerate(x)} for x in (common, common + gain))
    (found,) = compare([({"wb-pesq": a}, {"wb-pesq": b})], NAMES)
    half = 1.96 * gain.std() / np.sqrt(400)
    assert found.b - found.a == pytest.approx(gain.mean()) and found.n == 400
    assert (found.low, found.high) == pytest.approx((gain.mean() - half, gain.mean() + half), abs=0.002)
    z = gain.mean() / (gain.std() / np.sqrt(400))
    assert found.better == pytest.approx(0.5 * (1 + np.tanh(0.7988 * z * (1 + 0.0447 * z * z))), abs=0.01)
    assert compare([({"wb-pesq": a}, {"wb-pesq": b})], NAMES) == [found]
    # The same figures as errors of one word each: less is better.
    (found,) = compare([({"wer": a}, {"wer": b})], NAMES)
    assert found.b - found.a == pytest.approx(100 * gain.mean()) and found.better < 0.1


@pytest.mark.parametrize("wrong", [0.15, 0.19, 0.25])
def test_word_error_rates_agree_with_kaldialign(tmp_path, wrong):
    refs, a, b = references(), texts(1, 0.2), texts(2, wrong)
    systems = [read_system(str(recognised(tmp_path / name, hyps)), "test") for name, hyps in (("a", a), ("b", b))]
    found = {c.measure: c for c in compare([(systems[0], systems[1])], NAMES)}
    lists = [[text[utt].split() for utt in sorted(refs)] for text in (refs, a, b)]
    reference = kaldialign.bootstrap_wer_ci(*lists)
    total = kaldialign.batch_error_rate(lists[0], lists[1])
    assert found["wer"].a == pytest.approx(100 * total["err_rate"]) and found.keys() == {"wer", "cer"}
    assert found["wer"].better == pytest.approx(reference["p_s2_improv_over_s1"], abs=0.02)
    expected = 100 * (reference["system2"]["wer"] - reference["system1"]["wer"])
    assert (found["wer"].low + found["wer"].high) / 2 == pytest.approx(expected, abs=0.3)
    p = re.escape(f"{100 * reference['p_s2_improv_over_s1']:.2f}")
    line = r"%WER \d+\.\d\d 95% Conf Interval \[ \d+\.\d\d, \d+\.\d\d \]"
    kaldis = bootci_lines(*(system["wer"] for system in systems))
    assert re.fullmatch(rf"Set1: {line}\nSet2: {line}\nProbability of Set2 improving Set1: {p}\n", kaldis)


def test_a_system_against_itself_is_undecided():
    a = {"u1": Value(1.0, 1), "u2": Value(3.0, 1), "u3": None}
    (found,) = compare([({"stoi": a}, {"stoi": a})], NAMES)
    assert found.cells() == ["stoi", "2.0000", "2.0000", "+0.0000", "+0.0000", "+0.0000", "0.0000"] + [
        "undecided",
        "2",
        "1",
    ]
    (found,) = compare([({"stoi": {"u": None}}, {"stoi": {"u": Value(1, 1)}})], NAMES)
    assert set(found.cells()[1:-2]) == {"NA"} and found.cells()[-2:] == ["0", "1"]


# Four standard deviations of a share of n trials that hold with probability 0.95.
def slack(n: int) -> float:
    return 4 * np.sqrt(0.95 * 0.05 / n)


@pytest.mark.parametrize(("seeds", "between"), [(1, 0.0), (3, 0.5), (5, 0.5)])
def test_intervals_hold_the_true_difference_as_often_as_they_say(seeds, between):
    """Seeds and sentences have effects of their own; sentences are the same for all seeds. The true difference is 0."""
    trials, utts, rng = 100, 40, np.random.default_rng(7)
    held = 0
    for _ in range(trials):
        sentence, seed = 0.5 * rng.standard_normal(utts), between * rng.standard_normal((seeds, 1))
        gain = sentence + seed + rng.standard_normal((seeds, utts))
        pairs = [
            ({f"{u}": Value(0, 1) for u in range(utts)}, {f"{u}": Value(v, 1) for u, v in enumerate(row)})
            for row in gain
        ]
        found = bootstrap("wb-pesq", pairs, 250)
        held += found.low <= 0 <= found.high
    assert held / trials >= 0.95 - slack(trials)


def test_seeds_and_conditions_are_compared(tmp_path):
    """<seed> stands for the directories of all seeds; a table of the data directory tells the conditions."""
    values = np.random.default_rng(0).uniform(1, 3, 40)
    for seed, gain in (("", 0.1), ("_seed2", 0.2), ("_seed3", 0.3)):
        enhanced(tmp_path / f"mse{seed}", list(values))
        enhanced(tmp_path / f"mimic{seed}", [v + gain * (1 + k % 2) for k, v in enumerate(values)])
    write_table(tmp_path / "utt2snr", {f"p-{k:03d}": "5" if k % 2 else "0" for k in range(40)})
    systems = (f"{tmp_path}/mse<seed>", f"{tmp_path}/mimic<seed>")
    words = ("--by", "snr", "--seeds", "3", "--data", tmp_path, *systems, tmp_path / "out")
    done = step(*words)
    assert done.returncode == 0 and "seeds 1, 2, 3 and utterances" in done.stdout, done.stderr
    rows = [line.split("\t") for line in (tmp_path / "out/comparison_by.tsv").read_text().splitlines()[2:]]
    assert [row[:3] + row[5:6] for row in rows] == [
        ["snr", "0", "wb-pesq", "+0.2000"],
        ["snr", "5", "wb-pesq", "+0.4000"],
    ]
    # Within an SNR only seeds differ: the interval is that of three of them, t = 4.30.
    half = 4.30 * 0.1 / np.sqrt(3)
    assert 0.2 - float(rows[0][6]) == pytest.approx(half, rel=0.1)  # seven draws of three have a mean at the end
    assert "no noise in" in step("--by", "noise", *words[2:]).stderr
    with pytest.raises(UserError, match="neither has <seed>"):
        read_pairs((f"{tmp_path}/mse", f"{tmp_path}/mimic"), "test", (1, 2))
    with pytest.raises(UserError, match="mse_seed4: no such directory"):
        read_pairs(systems, "test", (1, 4))


def test_step_takes_directories_as_users_name_them(tmp_path):
    exp = tmp_path / "exp"
    recognised(exp / "asr_mse", texts(1, 0.3)), recognised(exp / "asr_mimic", texts(2, 0.1))
    values = list(np.random.default_rng(0).uniform(1, 3, 50))
    enhanced(exp / "enhance_mse", [*values, 2.0])
    enhanced(exp / "enhance_mimic", [*(v + 0.1 for v in values), None])
    done = step(exp / "asr_mse", exp / "asr_mimic", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    first = snapshot(tmp_path / "out")
    assert first.keys() == {"comparison.tsv", "wer_bootci", "cer_bootci"}
    header, *rows = [line.split("\t") for line in first["comparison.tsv"].decode().splitlines()[1:]]
    wer = dict(zip(header, rows[0], strict=True))
    assert (wer["measure"], wer["P(B better)"], wer["B is"], wer["n"]) == ("wer", "1.0000", "better", "120")
    assert float(wer["ci95min"]) < float(wer["B-A"]) < float(wer["ci95max"]) < 0
    assert float(wer["B-A"]) == pytest.approx(float(wer["B"]) - float(wer["A"]), abs=0.011)
    assert " ".join(rows[0]) in " ".join(done.stdout.split())
    # Scoring and decode directories are the same thing, and the bytes are the same every time.
    assert step(exp / "asr_mse/scoring/test", exp / "asr_mimic/decode_test", tmp_path / "out").returncode == 0
    again = snapshot(tmp_path / "out")
    assert [t.partition(b"\n")[2] for t in again.values()] == [t.partition(b"\n")[2] for t in first.values()]
    both = step(*(f"{exp}/enhance_{name},{exp}/asr_{name}" for name in ("mse", "mimic")))
    lines = {line.split()[0]: line.split() for line in both.stdout.splitlines()}
    assert lines["wer"][1:] == rows[0][1:]
    assert lines["wb-pesq"][3:] == ["+0.1000", "+0.1000", "+0.1000", "1.0000", "better", "50", "1"]


def test_what_kaldi_scored_is_read(tmp_path):
    """A decode directory alone, with none of the files that only we write."""
    recognised(tmp_path / "exp", texts(1, 0.2))
    decode = (tmp_path / "exp/decode_test").rename(tmp_path / "decode_other")
    for path in [*decode.glob("*_info"), *decode.glob("scoring_kaldi/*/missing")]:
        path.unlink()
    assert read_system(str(decode), "test").keys() == {"wer", "cer"}


def cut(exp: Path) -> None:
    path = exp / "scoring/test/wer_details/per_utt"
    edit(path, "".join(path.read_text().splitlines(True)[8:12]), "")


def break_line(exp: Path) -> None:
    edit(exp / "scoring/test/wer_details/per_utt", "p0-003 hyp ", "p0-003 hop ")


def begin_again(exp: Path) -> None:
    (exp / "scoring/test/.fingerprint").touch()


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (cut, "wer: the systems were scored on different utterances: 1 only in {a}: p0-006"),
        (break_line, "p0-003: not the four lines"),
        (begin_again, "is incomplete: score again"),
    ],
)
def test_what_cannot_be_compared_is_reported_in_one_line(tmp_path, change: Callable[[Path], None], problem):
    a, b = (recognised(tmp_path / name, texts(1, 0.2)) for name in NAMES)
    change(b)
    done = step(a, b, tmp_path / "out")
    assert done.returncode == 1 and problem.format(a=a) in done.stderr and len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "out").exists()


def test_other_references_sets_and_measures_are_errors(tmp_path):
    a = recognised(tmp_path / "a", texts(1, 0.2))
    lower = {utt: text.lower() for utt, text in references().items()}
    b = recognised(tmp_path / "b", texts(1, 0.2), lower)
    with pytest.raises(UserError, match="A and B have different references for 120: p0-000.*normaliser"):
        compare([(read_system(str(a), "test"), read_system(str(b), "test"))], NAMES)
    c = enhanced(tmp_path / "c", [1.0, 2.0])
    with pytest.raises(UserError, match="no measure in common: A has wer, cer, B has wb-pesq"):
        compare([(read_system(str(a), "test"), read_system(str(c), "test"))], NAMES)
    with pytest.raises(UserError, match="no scores of dev, only of test"):
        read_system(str(a), "dev")
    with pytest.raises(UserError, match="cer is in more than one"):
        read_system(f"{a},{b}", "test")
    with pytest.raises(UserError, match="nowhere: no such directory"):
        read_system(str(tmp_path / "nowhere"), "test")
