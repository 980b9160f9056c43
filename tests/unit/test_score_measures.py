"""The measures of enhanced speech one by one: known values, reference implementations, signals without a score."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pystoi
import pytest
import soundfile
from data_maker import ROOT
from scipy.linalg import solve_toeplitz, toeplitz
from score_maker import RATE, needs_pesq, noisy, speechlike

from mimic.errors import NotScored, UserError
from mimic.metrics import composite
from mimic.metrics.comparison import Value, bootstrap
from mimic.metrics.enhancement import STANDARD, parse_measures, score_pair
from mimic.metrics.figures import Row, breakdown, by_condition, mean, means, summary
from mimic.metrics.pesq import count_segments, in_child, pesq
from mimic.metrics.spectral import lsd, mcd
from mimic.metrics.stoi import stoi_estoi


def pystoi_both(x: np.ndarray, y: np.ndarray) -> list[float]:
    return [pystoi.stoi(x, y, RATE, extended=extended) for extended in (False, True)]


@pytest.mark.parametrize("samples", [16000, 16001, 23456, 37777, 64000, 160007])
@pytest.mark.parametrize("level", [0.001, 0.03, 0.5])
def test_stoi_and_estoi_equal_pystoi(samples, level):
    x = speechlike(samples / RATE, samples % 7)
    y = noisy(x, level)
    np.testing.assert_allclose(stoi_estoi(x, y), pystoi_both(x, y), rtol=0, atol=1e-9)


def test_stoi_of_real_speech_equals_pystoi(real_data):
    files = sorted((real_data / "speechocean762/audio").rglob("*.*"))[:40:4]
    noise = np.concatenate([soundfile.read(f)[0] for f in sorted((real_data / "noise/test").rglob("*.*"))[:5]])
    for k, file in enumerate(files):
        x, rate = soundfile.read(file, dtype="float32")
        assert rate == RATE
        y = (x + (0.1 + 0.1 * k) * noise[k * 8000 : k * 8000 + len(x)]).astype(np.float32)
        np.testing.assert_allclose(stoi_estoi(x, y), pystoi_both(x, y), rtol=0, atol=1e-9)


def test_stoi_of_the_same_signal_is_one_and_needs_speech():
    x = speechlike(2)
    np.testing.assert_allclose(stoi_estoi(x, x), [1, 1], atol=1e-9)
    zeros = np.where(np.arange(len(x)) > len(x) // 2, 0, x)  # bands that are exactly zero give no NaN
    assert all(0 < score < 1 for score in stoi_estoi(x, zeros))
    for short in (x[:100], x[:6000], np.concatenate([x[:5000], np.zeros(30000, np.float32)])):
        with pytest.raises(NotScored, match="0.4 s"):
            stoi_estoi(short, short)


@needs_pesq
def test_pesq_of_the_same_signal():
    for seed in range(3):
        x = speechlike(2.5, seed)
        assert pesq(x, x, "wb") == pytest.approx(4.644, abs=5e-4)
        assert pesq(x, x, "nb") == pytest.approx(4.549, abs=5e-4)
        assert 1 < pesq(x, noisy(x, 0.05), "wb") < pesq(x, noisy(x, 0.005), "wb") < 4.6


@needs_pesq
def test_more_speech_than_the_standards_program_takes():
    """80 segments corrupt its memory: no score. A long signal with few is scored, in a child process."""
    voice, pause = speechlike(0.45), np.zeros(int(0.4 * RATE), np.float32)
    x = np.tile(np.concatenate([voice, pause]), 80)
    with pytest.raises(NotScored, match="50 segments"):
        pesq(x, x, "wb")
    assert count_segments(x) == 80 and count_segments(x[: RATE * 17]) == 20
    x = np.tile(np.concatenate([voice, pause, pause, pause]), 13)  # 21 s
    assert pesq(x, x, "wb") == pytest.approx(4.644, abs=5e-4)


def test_a_crash_in_the_child_process_costs_one_score():
    with pytest.raises(NotScored, match="crashed"):
        in_child(crash)
    with pytest.raises(NotScored, match="because"):
        in_child(refuse)
    assert in_child(float, "1.5") == 1.5


def crash() -> float:
    os.kill(os.getpid(), signal.SIGKILL)
    return 0.0


def refuse() -> float:
    raise NotScored("because")


def test_without_the_package_pesq_everything_else_is_scored():
    code = (
        "import sys; sys.modules['pesq'] = None\n"
        "from score_maker import *; from mimic.metrics.enhancement import *\n"
        "x = speechlike(2); print(*score_pair(x, noisy(x, 0.01), STANDARD), describe(), sep='\\n')"
    )
    env = {"PYTHONPATH": f"{ROOT}/pyscripts:{ROOT}/tests/unit"}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True)
    scores, reasons, version = done.stdout.splitlines()
    assert set(eval(scores)) == {"stoi", "estoi", "segsnr", "si-sdr"}
    assert set(eval(reasons)) == {"wb-pesq", "nb-pesq", "csig", "cbak", "covl"} and "not installed" in reasons
    assert "not installed" in version


def test_composite_of_the_same_signal():
    x = noisy(speechlike(2), 1e-3).astype(np.float64)  # in silence the reference program sees less than 35 dB
    lags, energies = composite.analyse(x)
    assert composite.llr(lags, lags) == composite.wss(energies, energies) == 0
    assert composite.segmental_snr(x, x) == 35
    assert composite.composite(x, x, 4.644, 35) == (5, 5, 5)


def test_composite_combines_its_parts():
    x = speechlike(2).astype(np.float64)
    y = noisy(x, 0.01).astype(np.float64)
    (x_lags, x_energies), (y_lags, y_energies) = composite.analyse(x), composite.analyse(y)
    llr, wss = composite.llr(x_lags, y_lags), composite.wss(x_energies, y_energies)
    snr = composite.segmental_snr(x, y)
    assert composite.composite(x, y, 3.0, snr) == pytest.approx(
        (
            np.clip(3.093 - 1.029 * llr + 0.603 * 3 - 0.009 * wss, 1, 5),
            np.clip(1.634 + 0.478 * 3 - 0.007 * wss + 0.063 * snr, 1, 5),
            np.clip(1.594 + 0.805 * 3 - 0.512 * llr - 0.007 * wss, 1, 5),
        )
    )


def test_frames_of_the_reference_program():
    x = np.ones(4800)
    assert composite.frames(x).shape == (36, 480)  # int(4800 / 120 - 4)
    window = 0.5 * (1 - np.cos(2 * np.pi * np.arange(1, 481) / 481))
    np.testing.assert_allclose(composite.analyse(x)[0][:, 7], np.correlate(window, window, "full")[479 : 479 + 17])
    with pytest.raises(NotScored):
        composite.frames(np.ones(599))


def test_llr_is_a_ratio_of_prediction_errors():
    x = speechlike(1).astype(np.float64)
    y = noisy(x, 0.05).astype(np.float64)
    fx, fy = composite.frames(x) * composite.WINDOW, composite.frames(y) * composite.WINDOW
    distances = []
    for a, b in zip(fx, fy, strict=True):
        ra, rb = (np.correlate(f, f, "full")[479 : 479 + 17] for f in (a, b))
        pa, pb = (np.concatenate([[1], -solve_toeplitz(r[:16], r[1:])]) for r in (ra, rb))
        distances.append(np.log((pb @ toeplitz(ra) @ pb) / (pa @ toeplitz(ra) @ pa)))
    best = np.mean(sorted(distances)[: round(0.95 * len(distances))])
    assert composite.llr(composite.analyse(x)[0], composite.analyse(y)[0]) == pytest.approx(best, rel=1e-6)


def test_wss_by_its_definition():
    """A loop over frames and bands, written from Klatt's definition."""
    x = speechlike(1).astype(np.float64)
    y = noisy(x, 0.02).astype(np.float64)
    fx, fy = composite.frames(x) * composite.WINDOW, composite.frames(y) * composite.WINDOW
    filters = np.zeros((25, 512))
    for row, (centre, width) in enumerate(zip(composite.CENTRES, composite.WIDTHS, strict=True)):
        for k in range(512):
            weight = np.exp(-11 * ((k - int(centre / 8000 * 512)) / (width / 8000 * 512)) ** 2) * 70 / width
            filters[row, k] = weight if weight > np.exp(-30 / (2 * 2.303)) else 0

    def slopes_and_weights(frame):
        levels = [10 * np.log10(max(f @ np.abs(np.fft.rfft(frame, 1024)[:512]) ** 2, 1e-10)) for f in filters]
        slopes = [levels[k + 1] - levels[k] for k in range(24)]
        weights = []
        for k in range(24):
            n = k
            if slopes[k] > 0:
                while n < 24 and slopes[n] > 0:
                    n += 1
                peak = levels[n - 1]
            else:
                while n >= 0 and slopes[n] <= 0:
                    n -= 1
                peak = levels[n + 1]
            weights.append(20 / (20 + max(levels) - levels[k]) / (1 + peak - levels[k]))
        return np.array(slopes), np.array(weights)

    distances = []
    for a, b in zip(fx, fy, strict=True):
        (sa, wa), (sb, wb) = slopes_and_weights(a), slopes_and_weights(b)
        weight = (wa + wb) / 2
        distances.append(np.sum(weight * (sa - sb) ** 2) / np.sum(weight))
    best = np.mean(sorted(distances)[: round(0.95 * len(distances))])
    assert composite.wss(composite.analyse(x)[1], composite.analyse(y)[1]) == pytest.approx(best, rel=1e-9)


def test_si_sdr_knows_gain_and_offset():
    rng = np.random.default_rng(0)
    x = rng.standard_normal(1000)
    x -= x.mean()
    noise = rng.standard_normal(1000)
    noise -= noise.mean() + (noise @ x) / (x @ x) * x
    noise *= np.sqrt(x @ x / (noise @ noise) / 10)  # 10 dB below x and orthogonal to it
    assert composite.si_sdr(x, x + noise) == pytest.approx(10)
    assert composite.si_sdr(3 * x + 1, -0.2 * (x + noise) + 5) == pytest.approx(10)
    with pytest.raises(NotScored, match="infinite"):
        composite.si_sdr(x, 2 * x)


@needs_pesq
@pytest.mark.parametrize(
    ("change", "reason", "na"),
    [
        (lambda x: (0 * x, x), "the clean audio is silent", set(STANDARD)),
        (lambda x: (x, 0 * x), "the enhanced audio is silent", set(STANDARD)),
        (lambda x: (x, 0 * x + np.float32(0.1)), "the enhanced audio is silent", set(STANDARD)),
        (lambda x: (x[:1600], noisy(x[:1600], 0.1)), "shorter than 0.25 s", {*STANDARD} - {"segsnr", "si-sdr"}),
        (lambda x: (x[:599], noisy(x[:599], 0.1)), "shorter than 38 ms", {*STANDARD} - {"si-sdr"}),
        (lambda x: (x * np.float32(1e-12), noisy(x * 0, 1e-12)), None, None),
        (lambda x: (x, x * np.float32(1e-30)), None, None),
        (lambda x: (noisy(0 * x, 0.1), noisy(0 * x, 0.1, 2)), None, None),
        (lambda x: (x, np.clip(20 * x, -1, 1)), None, set()),  # clipped
        (lambda x: (x, np.roll(x, 800)), None, set()),  # shifted by 50 ms
        (lambda x: (x, -x), "si-sdr", None),
    ],
)
def test_every_utterance_gets_a_value_or_a_reason(change, reason, na):
    scores, reasons = score_pair(*change(speechlike(1.6)), STANDARD)
    assert scores.keys() | reasons.keys() == set(STANDARD) and not scores.keys() & reasons.keys()
    assert all(np.isfinite(value) for value in scores.values())
    assert na is None or reasons.keys() == na
    assert reason is None or reason in f"{reasons}"


def test_measures_are_chosen_by_name():
    assert parse_measures("si-sdr,wb-pesq") == ("wb-pesq", "si-sdr") and parse_measures("all") == STANDARD
    assert parse_measures("si-sdr,all") == STANDARD
    assert parse_measures("stoi, estoi ,si-sdr") == ("stoi", "estoi", "si-sdr")
    with pytest.raises(UserError, match="pesqq.*wb-pesq"):
        parse_measures("pesqq")
    x = speechlike(1)
    narrow, reasons = score_pair(x[::2], noisy(x, 0.1)[::2], STANDARD, 8000)
    assert narrow.keys() >= {"stoi", "estoi", "segsnr", "si-sdr"} and 1 < narrow.get("nb-pesq", 2) < 4.6
    assert reasons.keys() >= {"wb-pesq", "csig", "cbak", "covl"}
    assert score_pair(x, noisy(x, 0.1), ["stoi", "si-sdr"])[0].keys() == {"stoi", "si-sdr"}


def test_means_and_intervals():
    rng = np.random.default_rng(5)
    values = list(rng.normal(3, 1, 400))
    found = mean([*values, None, None])
    assert (found.n, found.na) == (400, 2) and found.mean == pytest.approx(np.mean(values))
    half = 1.96 * np.std(values) / np.sqrt(400)
    assert found.low == pytest.approx(found.mean - half, abs=0.02)
    assert found.high == pytest.approx(found.mean + half, abs=0.02)
    assert mean(values) == mean(values) and mean([None]).cells() == ["NA", "NA", "NA", "0", "1"]
    rows = [Row("a-1", {"stoi": 0.5}), Row("a-2", {"stoi": None}, "why")]
    assert summary(means(rows, ["stoi"]))[1] == ["stoi", "0.5000", "0.5000", "0.5000", "1", "1"]
    assert len(breakdown(by_condition(rows, ["stoi"], [Path("nowhere")]))) == 1


def test_log_spectral_distance():
    """Of one frame by hand; levels do not count; a loss of 6 dB in half of the bins is ln 4 there."""
    x = speechlike(1.0)
    assert lsd(x, 0.25 * x) < 0.01  # the floor is not of their level
    rng = np.random.default_rng(1)
    x = rng.standard_normal(160000)
    spectrum = np.fft.rfft(x)
    half = len(spectrum) // 2
    y = np.fft.irfft(np.concatenate([spectrum[:half], 0.5 * spectrum[half:]]))
    scale = x @ y / (y @ y)  # before the logarithm levels are matched
    low, high = np.log(1 / scale**2), np.log(4 / scale**2)
    # windows smear the step over a few of 257 bins, and bins of noise near 0 differ more
    assert lsd(x, y) == pytest.approx(np.sqrt((low**2 + high**2) / 2), rel=0.05)


def test_mel_cepstral_distortion():
    """Pulses through 1 - a / z, whose mel cepstra are known: the bilinear transform of a zero is a zero and a pole."""
    a, warp = 0.5, 0.42
    x = np.zeros(16000)
    x[240::400] = 1  # one in each window, never at its edges
    y = x.copy()
    y[1:] -= a * x[:-1]
    assert mcd(x, x) == 0
    zero, m = (a - warp) / (1 - a * warp), np.arange(1, 25)
    cepstra = ((-warp) ** m - zero**m) / m
    # the window weighs both samples of the filter differently, by up to 6 %
    assert mcd(x, y) == pytest.approx(10 / np.log(10) * np.sqrt(2 * (cepstra**2).sum()), rel=0.05)


@pytest.mark.parametrize(("measure", "verdict"), [("lsd", "better"), ("mcd", "better"), ("srmr", "worse")])
def test_less_distance_is_better(measure, verdict):
    a, b = ({f"u{k}": Value(value + 0.01 * (k % 3), 1) for k in range(30)} for value in (2.0, 1.0))
    found = bootstrap(measure, [(a, b)])
    assert found.verdict == verdict and found.better == (verdict == "better")
