"""Fitting the enhancement ratio by the estimated SNR to word errors on dev."""

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
from model_maker import make_enhancer, program

from mimic.deploy.fit_ratio import Errors, fit, read_errors
from mimic.errors import UserError
from mimic.io.tables import write_table
from mimic.models.enhancer import Enhancer
from mimic.models.ratio import Curve, estimated_snr

RATIOS = np.array([0.0, 0.5, 1.0])


def table(count: int, helps_below: float, strength: float, seed: int = 1) -> Errors:
    """Utterances of 10 words; the enhanced signal has fewer errors below an SNR, and more above."""
    draw = np.random.default_rng(seed)
    snrs = draw.uniform(-5, 20, count)
    sign = np.where(snrs < helps_below, -1, 1)
    expected = 2 + strength * sign * (RATIOS[:, None] - 0.5)
    return Errors(RATIOS, draw.poisson(expected).astype(float), np.full(count, 10.0), snrs)


def test_a_curve_that_helps_is_found():
    found = fit(table(600, 6.0, 1.5), 200)
    curve, facts = Curve(**found["curve"]), found["fit"]
    assert facts["kept"] == "curve" and curve.at_low == 1 and curve.at_high == 0 and 2 <= curve.low < curve.high <= 10
    assert facts["out_of_bag"]["high"] < 0 and all(entry["high"] < 0 for entry in facts["against"].values())
    assert facts["wer"]["auto"] < min(facts["wer"][name] for name in ("0", "0.5", "1"))
    assert found == fit(table(600, 6.0, 1.5), 200)


@pytest.mark.parametrize(("helps_below", "ratio"), [(100.0, 1.0), (-100.0, 0.0)])
def test_where_snr_plays_no_part_the_best_fixed_ratio_is_kept(helps_below, ratio):
    found = fit(table(300, helps_below, 1.5), 200)
    assert found["fit"]["kept"] == "fixed ratio" and found["curve"]["at_low"] == found["curve"]["at_high"] == ratio
    assert found["fit"]["wer"]["auto"] == found["fit"]["wer"][f"{ratio:g}"]


def test_of_equal_ratios_the_largest_is_kept():
    even = Errors(RATIOS, np.ones((3, 20)), np.full(20, 10.0), np.linspace(-5, 20, 20))
    assert fit(even, 50)["curve"]["at_low"] == 1.0
    with pytest.raises(UserError, match="one utterance is too little"):
        fit(Errors(RATIOS, np.ones((3, 1)), np.ones(1), np.zeros(1)))


def test_errors_between_two_ratios_are_interpolated():
    few = Errors(RATIOS, np.array([[4.0, 0.0], [2.0, 1.0], [3.0, 5.0]]), np.full(2, 10.0), np.zeros(2))
    np.testing.assert_allclose(few.at(np.array([0.25, 0.75])), [3.0, 3.0])
    for k, ratio in enumerate(RATIOS):
        np.testing.assert_array_equal(few.at(np.full(2, ratio)), few.errors[k])


@pytest.fixture(scope="module")
def scored(tmp_path_factory) -> Path:
    """A model, noisy speech, and its decodings at two ratios: the second utterance is better without enhancement."""
    root = tmp_path_factory.mktemp("fit")
    make_enhancer(root / "model", "causal")
    (root / "noisy").mkdir()
    draw = np.random.default_rng(0)
    for utt in ("a", "b"):
        soundfile.write(root / f"{utt}.wav", draw.normal(0, 0.1, 8000), 16000, "FLOAT")
    write_table(root / "noisy/wav.scp", {utt: str(root / f"{utt}.wav") for utt in "ab"})
    write_table(root / "noisy/utt2spk", {"a": "a", "b": "b"})
    write_table(root / "noisy/text", {"a": "ONE TWO THREE", "b": "FOUR FIVE"})
    for ratio, texts in (("0", {"a": "ONE", "b": "FOUR FIVE"}), ("1", {"a": "ONE TWO", "b": "FIVE"})):
        for name in ("decode", "scoring"):
            (root / f"{name}_{ratio}").mkdir()
        write_table(root / f"decode_{ratio}/text", texts)
        assert program("score_asr.py", root / "noisy", root / f"decode_{ratio}", root / f"scoring_{ratio}") == 0
    return root


def test_scorings_become_a_curve_beside_the_model(scored, capsys):
    places = {ratio: scored / f"scoring_{ratio:g}" for ratio in (0.0, 1.0)}
    enhancer = Enhancer.load(scored / "model")
    found = read_errors(enhancer, scored / "noisy", places)
    assert found.errors.tolist() == [[2, 0], [1, 1]] and found.words.tolist() == [3, 2]
    noisy, _ = soundfile.read(scored / "a.wav", dtype="float32")
    expected = estimated_snr(noisy, enhancer.enhance(noisy, 16000, ratio=1))
    np.testing.assert_allclose(found.snrs[0], expected, atol=1e-3)  # resampled by a factor of 1 and not at all
    words = [f"{ratio:g}={place}" for ratio, place in places.items()]
    assert program("fit_ratio.py", "--replications", "20", scored / "model", scored / "noisy", *words) == 0
    written = json.loads((scored / "model/ratio.json").read_text())
    assert written["fit"]["utterances"] == 2 and written["fit"]["scorings"]["1"] == str(places[1.0])
    assert Enhancer.load(scored / "model").curve == Curve(**written["curve"])
    assert "ratio     0: WER 40.00 %" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["0=DIR/scoring_0"], "scorings of at least two ratios"),
        (["0=DIR/scoring_0", "1.5=DIR/scoring_1"], "1.5 is out of its range"),
        (["0=DIR/scoring_0", "0.0=DIR/scoring_1"], "each ratio once"),
        (["0=DIR/scoring_0", "DIR/scoring_1"], "expected RATIO=DIR"),
        (["0=DIR/scoring_0", "1=DIR/noisy"], "no word errors"),
        (["0=DIR/scoring_0", "1=DIR/few"], "scored on different utterances"),
    ],
)
def test_what_cannot_be_fitted_is_one_line(scored, caplog, words, line):
    if not (scored / "few").exists():
        (scored / "few").mkdir()
        first = (scored / "scoring_0/utterances.jsonl").read_text().splitlines()[0]
        (scored / "few/utterances.jsonl").write_text(first + "\n")
    caplog.clear()
    words = [word.replace("DIR", str(scored)) for word in words]
    assert program("fit_ratio.py", scored / "model", scored / "noisy", *words) == 1
    assert line in caplog.messages[-1] and "\n" not in caplog.messages[-1]
