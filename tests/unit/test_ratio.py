"""The enhancement ratio: fixed, or by an estimated SNR; of utterances, long recordings and streams."""

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from model_maker import make_enhancer, program

from mimic.deploy.stream import Stream
from mimic.errors import UserError
from mimic.models.enhancer import Enhancer
from mimic.models.ratio import FADE_S, Curve, Mixer, RunningRatio, decibels, estimated_snr, mix, products, read_curve

CURVE = {"low": -2.0, "high": 6.0, "at_low": 0.9, "at_high": 0.3}
FLOAT32 = 2.0**-23  # relative distance of two numbers


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    directory = make_enhancer(tmp_path_factory.mktemp("ratio") / "causal", "causal")
    (directory / "ratio.json").write_text(json.dumps({"curve": CURVE}))
    return directory


def noise(samples: int, channels: int = 1, level: float = 0.1, seed: int = 0) -> np.ndarray:
    return (level * np.random.default_rng(seed).standard_normal((samples, channels))).astype(np.float32)


def test_a_curve_has_two_corners():
    curve = Curve(**CURVE)
    np.testing.assert_allclose(curve(np.array([-60.0, -2.0, 2.0, 6.0, 60.0])), [0.9, 0.9, 0.6, 0.3, 0.3], atol=1e-12)


@pytest.mark.parametrize("gain", [0.1, 1.0])
@pytest.mark.parametrize("level", [1e-5, 1.0])
@pytest.mark.parametrize("snr", [-5.0, 0.0, 12.0])
def test_the_estimate_is_the_snr_where_the_enhanced_signal_is_the_clean_one(snr, level, gain):
    """At any level, and whatever the enhancer's gain."""
    clean = noise(16000, 2, level).astype(float)
    added = noise(16000, 2, level, seed=1).astype(float)
    added -= clean * (added * clean).sum(0) / np.square(clean).sum(0)  # uncorrelated
    added *= np.sqrt(np.square(clean).sum(0) / np.square(added).sum(0)) * 10 ** (-snr / 20)
    signals = (clean + added).astype(np.float32), (gain * clean).astype(np.float32)
    # A rounding error of 2^-24 of a sample may point the same way in all samples, and counts 10^(12/20) as much in the
    # smaller part of the two; 1 is 9 dB.
    np.testing.assert_allclose(estimated_snr(*signals), snr, atol=9 * 2 * 4 * FLOAT32)


def test_the_estimate_of_silence_and_of_an_enhancer_that_does_nothing():
    x, other, zero = noise(1000), noise(1000, seed=1), np.zeros((1000, 1), np.float32)
    assert estimated_snr(zero, zero) == estimated_snr(x, zero) == 0
    assert estimated_snr(x, x) == 60 and estimated_snr(x, -x) == -60 and estimated_snr(x, other) < -10


def two_channels(samples: int) -> tuple[np.ndarray, np.ndarray]:
    """Noisy and enhanced signals with an estimate of about 20 dB in the first channel and -20 dB in the second."""
    x, other = noise(samples, 2), noise(samples, 2, seed=1)
    return x, np.stack([x[:, 0] + 0.1 * other[:, 0], 0.1 * x[:, 1] + other[:, 1]], axis=1)


def test_a_ratio_of_each_channel():
    x, y = two_channels(4000)
    expected = np.stack([0.3 * y[:, 0] + 0.7 * x[:, 0], 0.9 * y[:, 1] + 0.1 * x[:, 1]], axis=1)
    np.testing.assert_allclose(mix(x, y, Curve(**CURVE)), expected, atol=4 * FLOAT32)


def test_a_long_recording_goes_from_the_ratio_of_a_chunk_to_that_of_the_next():
    rate, curve, mixed = 8000, Curve(**CURVE), Mixer(Curve(**CURVE))
    for channel in (0, 1):
        noisy, enhanced = (x[:, [channel]] for x in two_channels(2 * rate))
        mixed.add(noisy, enhanced, rate)
    ones, zeros = np.ones((4 * rate, 1), np.float32), np.zeros((4 * rate, 1), np.float32)
    ratios = np.concatenate([mixed(zeros[i : i + 777], ones[i : i + 777], rate) for i in range(0, 4 * rate, 777)])[:, 0]
    tolerance = 2 * FLOAT32
    assert np.abs(ratios[: 2 * rate] - curve.at_high).max() < tolerance
    assert np.abs(ratios[round((2 + FADE_S) * rate) :] - curve.at_low).max() < tolerance
    assert abs(ratios[round((2 + FADE_S / 2) * rate)] - 0.6) < tolerance and np.abs(np.diff(ratios)).max() < 1e-3


def test_auto_is_the_default_of_a_model_that_has_a_curve(model, tmp_path):
    fitted, plain = Enhancer.load(model), Enhancer.load(make_enhancer(tmp_path / "plain", "causal"))
    assert fitted.ratio() == fitted.ratio("auto") == Curve(**CURVE) and plain.ratio() == 1.0
    x = noise(22050, 2)
    expected = mix(x[:, 0], fitted.enhance(x[:, 0], 16000, ratio=1), Curve(**CURVE))
    np.testing.assert_array_equal(fitted.enhance(x[:, 0], 16000), expected)
    other = fitted.enhance(x, 22050, ratio="auto")  # resampled: the ratio is that at the model's rate
    assert other.shape == x.shape and np.isfinite(other).all()
    fitted.save(tmp_path / "copy")
    np.testing.assert_array_equal(Enhancer.load(tmp_path / "copy").enhance(x, 22050), other)
    with pytest.raises(UserError, match=r"plain: no ratio.json, which the ratio auto needs: steps/fit_ratio.sh"):
        plain.enhance(x, 16000, ratio="auto")


@pytest.mark.parametrize("ratio", [-0.1, 1.1, float("nan"), "outo", "0.5"])
def test_ratios_that_cannot_be(model, ratio):
    loaded = Enhancer.load(model)
    for call in (loaded.ratio, loaded.blocks, lambda value: Stream(loaded.net, loaded.front, value)):
        with pytest.raises(UserError, match="enhancement ratio .*: from 0 .* to 1 .*, or auto"):
            call(ratio)


def test_a_stream_has_the_ratio_of_its_past(model):
    loaded = Enhancer.load(model)
    x = torch.from_numpy(noise(20000)[:, 0])
    outputs = []
    for size in (20000, 333):
        stream = Stream(loaded.net, loaded.front, loaded.ratio("auto"))
        parts = [stream(x[i : i + size]) for i in range(0, len(x), size)]
        outputs.append(torch.cat([*parts, stream(x[:0], last=True)]))
    torch.testing.assert_close(outputs[0], outputs[1], atol=1e-5, rtol=0)
    enhanced = loaded.net.enhance([x], loaded.front)[0].detach().numpy()
    sums = [np.cumsum(product) for product in products(x.numpy(), enhanced)]
    ratio = RunningRatio(Curve(**CURVE), 16000)
    ratio.decay = 1.0  # then it is that of all that was
    np.testing.assert_allclose(ratio(x.numpy(), enhanced), Curve(**CURVE)(decibels(*sums)), rtol=1e-9)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("no JSON", "not what steps/fit_ratio.sh writes"),
        ("[]", "not what steps/fit_ratio.sh writes"),
        ("{}", "not what steps/fit_ratio.sh writes"),
        (json.dumps({"curve": CURVE | {"at_low": 1.5}}), "at_low: 1.5 is out of its range"),
        (json.dumps({"curve": CURVE | {"low": 6.0}}), "low 6 has to be below high 6"),
        (json.dumps({"curve": CURVE | {"slope": 1}}), "unknown name 'slope'"),
        (json.dumps({"curve": {"low": 1.0}}), "not what steps/fit_ratio.sh writes"),
    ],
)
def test_a_damaged_curve_is_one_line(tmp_path, text, line):
    (tmp_path / "ratio.json").write_text(text)
    with pytest.raises(UserError, match=line) as error:
        read_curve(tmp_path)
    assert str(tmp_path / "ratio.json") in str(error.value) and "\n" not in str(error.value)


def test_programs_take_a_ratio(model, tmp_path, caplog):
    soundfile.write(tmp_path / "a.wav", noise(8000), 16000, "FLOAT")
    data = tmp_path / "data"
    data.mkdir()
    (data / "wav.scp").write_text(f"a {tmp_path / 'a.wav'}\n")
    (data / "utt2spk").write_text("a a\n")
    words = (model, tmp_path / "a.wav", tmp_path / "b.wav", "--enhancement-ratio")
    assert program("enhance_files.py", *words, "auto") == 0
    assert program("enhance.py", model, data, tmp_path / "out") == 0
    samples, _ = soundfile.read(tmp_path / "b.wav", dtype="float32")
    stored, _ = soundfile.read(tmp_path / "out/wav/a.wav", dtype="float32")
    np.testing.assert_allclose(stored, samples, atol=2.0**-16 + FLOAT32)  # 16 bit
    for value in ("2", "-0.1", "nan", "sometimes"):
        caplog.clear()
        assert program("enhance_files.py", *words, value) == 1 and "--enhancement-ratio" in caplog.messages[-1]
