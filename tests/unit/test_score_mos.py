"""Scores that models predict: DNSMOS, Distill-MOS, ViSQOL; scoring without a reference."""

import sys

import numpy as np
import pytest
import score_enhancement
from peers import needs
from score_maker import noisy, speechlike, write_pair

from mimic.errors import NotScored, UserError
from mimic.metrics import mos, pesq
from mimic.metrics.enhancement import DNSMOS, STANDARD, describe, parse_measures
from mimic.metrics.scores import read_scores


def test_windows_are_those_of_the_script():
    """By hand: doubled until 9.01 s, one for each whole second that is left, less those that rounding makes shorter."""
    starts = {3.1: [0, 1, 2], 6: [0, 1, 2], 9.01: [0], 9.5: [0], 12.3: [0, 1, 2], 8.9: [0, 1, 2, 3, 4, 5, 6]}
    for seconds, expected in starts.items():
        x = np.arange(round(seconds * mos.RATE)) / 2e5
        found = mos.windows(x)
        assert all(len(window) == mos.WINDOW for window in found)
        firsts = [round(float(window[0]) * 2e5) for window in found]
        assert firsts == [k * mos.RATE % len(x) for k in expected], seconds


def test_mel_filters():
    """Slaney's scale: 1 kHz is mel 15, equal areas, filters that overlap their neighbours alone."""
    filters = mos.mel_filters()
    assert filters.shape == (120, 161) and filters.min() == 0
    peaks = filters.argmax(axis=1)
    assert (np.diff(peaks) >= 0).all() and peaks[-1] * mos.RATE / mos.FFT > 7700
    assert log_peak(1000.0) == pytest.approx(int(120 * 15 / (15 + np.log(8) / np.log(6.4) * 27)), abs=1)


def log_peak(hertz: float) -> int:
    """The band in which a tone is loudest."""
    tone = np.sin(2 * np.pi * hertz * np.arange(16000) / mos.RATE)
    return int(mos.log_mel(tone)[50].argmax())


@needs("speechmos")
def test_dnsmos_equals_its_script():
    """Figures of speechmos 0.0.1.1 with librosa 0.11, on the same signal."""
    x = noisy(speechlike(5.0), 0.02)
    np.testing.assert_allclose(mos.p835(x), [2.709127, 1.813046, 1.476595], atol=1e-4)
    assert mos.p808(x)[0] == pytest.approx(2.301000, abs=1e-4)


@needs("distillmos", "xls_r_sqa")
def test_distill_mos():
    x = noisy(speechlike(2.0), 0.02)
    assert 1 <= mos.distill_mos(x)[0] <= 5


@needs("visqol", "libsvm")
def test_visqol():
    x = speechlike(2.0)
    same, worse = mos.visqol(x, x)[0], mos.visqol(x, noisy(x, 0.1))[0]
    assert 1 <= worse < same <= 5 and same > 4.5
    with pytest.raises(NotScored, match="shorter than"):
        mos.visqol(x[:1000], x[:1000])


@needs("speechmos")
def test_scoring_without_a_reference(tmp_path, monkeypatch, capsys):
    write_pair(tmp_path, 2)
    words = ["--reference", "none", "--measures", "dnsmos-p808", tmp_path / "noisy_wav", tmp_path / "scoring"]
    monkeypatch.setattr(sys, "argv", ["score_enhancement.py", *map(str, words)])
    score_enhancement.main()
    found = read_scores(tmp_path / "scoring").figures["dnsmos-p808"]
    assert found.n == 2 and 1 < found.mean < 5
    assert "dnsmos-p808: Python package speechmos" in capsys.readouterr().out


@needs("gammatone")
def test_srmr_falls_in_reverberation():
    rng, t = np.random.default_rng(1), np.arange(32000) / 16000
    x = rng.standard_normal(32000) * np.maximum(0, np.sin(2 * np.pi * 4 * t))  # four syllables a second
    decay = rng.standard_normal(8000) * np.exp(-np.arange(8000) / 1600)
    reverberant = np.convolve(x, decay)[: len(x)]
    dry, wet = (mos.srmr(signal / np.abs(signal).max())[0] for signal in (x, reverberant))
    assert 0 < wet < dry


@needs("speechmos")
def test_measures_beside_all():
    assert parse_measures("all,dnsmos-ovrl") == (*STANDARD, "dnsmos-ovrl")
    assert parse_measures("all,distill-mos", reference=False)[:4] == DNSMOS


def test_measures_without_a_reference(monkeypatch):
    with pytest.raises(UserError, match="'stoi' needs clean speech, there are dnsmos-sig"):
        parse_measures("stoi", reference=False)
    monkeypatch.setattr("mimic.registry.find_spec", lambda name: None)
    with pytest.raises(UserError, match="speechmos is not installed: steps/setup.sh --judges true"):
        parse_measures("all", reference=False)


@pytest.mark.skipif(pesq.load("pesqc2") is None, reason="no pesqc2 that loads with this numpy")
def test_pesq_with_corrigendum_2(monkeypatch):
    """The other package, with its name in the header; wide-band scores differ."""
    x = speechlike(2.0)
    monkeypatch.setattr(pesq, "package", pesq.package)  # so that the test before and those after have what they had
    monkeypatch.setattr(pesq, "edition", "default")
    scores = {}
    for edition in ("default", "corrigendum2"):
        pesq.use(edition)
        scores[edition] = pesq.pesq(x, noisy(x, 0.05), "wb")
    assert abs(scores["corrigendum2"] - scores["default"]) > 0.01
    assert describe(["wb-pesq"]).count("P.862.2 with Corrigendum 2, Python package pesqc2 ") == 1


def test_pesq_that_is_not_installed(monkeypatch):
    monkeypatch.setattr(pesq, "package", pesq.package)
    monkeypatch.setattr(pesq, "edition", "default")
    monkeypatch.setattr(pesq, "load", lambda name: None)
    with pytest.raises(UserError, match="--pesq corrigendum2: .* pesqc2 is not installed.* pip install .*pesqc2"):
        pesq.use("corrigendum2")
