"""Filterbank features against kaldi-native-fbank; option files."""

from dataclasses import replace

import kaldi_native_fbank
import numpy as np
import pytest
import soundfile
import torch

from mimic.errors import UserError
from mimic.frontend.configs import FLOOR, FbankConfig
from mimic.frontend.extraction import FbankExtractor
from mimic.frontend.fbank import Fbank

BELOW_LOUDEST = 70 / 10 * np.log(10)  # 70 dB; deeper, float32 transforms disagree among themselves
VARIANTS = {
    "default": {},
    "no_snip": {"snip_edges": False},
    "negative_high": {"high_freq": -400.0, "low_freq": 64.0, "num_mel_bins": 40},
    "hamming": {"window_type": "hamming"},
    "blackman_no_dc": {"window_type": "blackman", "remove_dc_offset": False},
    "rectangular_no_preemphasis": {"window_type": "rectangular", "preemphasis_coefficient": 0.0},
    "energy": {"use_energy": True},
    "energy_floor": {"use_energy": True, "energy_floor": 1e6},
    "windowed_energy": {"use_energy": True, "raw_energy": False},
    "frames_20_5": {"frame_length": 20.0, "frame_shift": 5.0},
    "rate_22050": {"sample_frequency": 22050.0},
}


def speech(seconds: float, seed: int = 0) -> np.ndarray:
    """Something with the structure of speech: a gliding buzz in syllables, hiss, near-silence, a constant offset."""
    draw = np.random.default_rng(seed)
    t = np.arange(round(seconds * 16000)) / 16000
    buzz = sum(np.sin(2 * np.pi * k * (110 * t + 8 * np.sin(3 * t))) / k for k in range(1, 30))
    x = 0.1 * buzz * np.maximum(0, np.sin(2 * np.pi * 2.5 * t)) + 0.01
    x += (0.02 * (np.sin(9 * t) > 0.5) + 2e-4) * draw.normal(size=len(t))
    return (x.clip(-1, 0.9999) * 32768).astype(np.int16).astype(np.float32) / 32768


def kaldi(x: np.ndarray, config: FbankConfig) -> np.ndarray:
    options = kaldi_native_fbank.FbankOptions()
    frame, mel = options.frame_opts, options.mel_opts
    frame.samp_freq, frame.dither = config.sample_frequency, 0
    frame.frame_length_ms, frame.frame_shift_ms = config.frame_length, config.frame_shift
    frame.window_type, frame.preemph_coeff = config.window_type, config.preemphasis_coefficient
    frame.remove_dc_offset, frame.snip_edges = config.remove_dc_offset, config.snip_edges
    mel.num_bins, mel.low_freq, mel.high_freq = config.num_mel_bins, config.low_freq, config.high_freq
    options.use_energy, options.raw_energy = config.use_energy, config.raw_energy
    options.energy_floor = config.energy_floor
    fbank = kaldi_native_fbank.OnlineFbank(options)
    fbank.accept_waveform(config.sample_frequency, (x * 32768).tolist())
    fbank.input_finished()
    dim = config.num_mel_bins + config.use_energy
    return np.array([fbank.get_frame(i) for i in range(fbank.num_frames_ready)], np.float32).reshape(-1, dim)


def compare(actual: np.ndarray, expected: np.ndarray) -> None:
    assert actual.dtype == np.float32 and actual.shape == expected.shape
    above = (expected > expected.max(axis=1, keepdims=True) - BELOW_LOUDEST) & (expected > np.log(FLOOR) + 1)
    assert above.mean() > 0.9
    assert np.abs(actual - expected)[above].max() < 1e-3


@pytest.mark.parametrize("variant", VARIANTS)
def test_equals_kaldi(variant):
    config = FbankConfig(**VARIANTS[variant])
    x = speech(12.3)  # more than one block of frames
    peer = kaldi(x, config)
    compare(Fbank(config)(torch.from_numpy(x)).numpy(), peer)
    compare(FbankExtractor(config).extract(x), peer)


@pytest.mark.parametrize("variant", VARIANTS)
def test_tensors_have_the_features_of_arrays(variant):
    config, x = FbankConfig(**VARIANTS[variant]), speech(1.3)
    arrays, tensors = FbankExtractor(config).extract(x), Fbank(config)(torch.from_numpy(x)).numpy()
    # A bin's power has an error of the transform, which is relative to the loudest bin of its frame: n_fft terms of
    # float32, and as much again of the sums before it.
    loudest = arrays[:, config.use_energy :].max(1, keepdims=True)
    error = 2 * (2 * config.n_fft * np.finfo(np.float32).eps * np.exp((loudest - arrays) / 2))
    assert (np.abs(tensors - arrays) <= error).all()


def test_equals_kaldi_on_real_speech(real_data):
    for path in sorted((real_data / "speechocean762").rglob("*.opus"))[::125]:
        x, rate = soundfile.read(path, dtype="float32")
        assert rate == 16000
        compare(Fbank()(torch.from_numpy(x)).numpy(), kaldi(x, FbankConfig()))
        compare(FbankExtractor(FbankConfig()).extract(x), kaldi(x, FbankConfig()))


@pytest.mark.parametrize("snip_edges", [True, False])
def test_number_of_frames_at_every_length(snip_edges):
    config = FbankConfig(snip_edges=snip_edges)
    fbank = Fbank(config)
    lengths = [*range(0, 200, 7), *range(390, 410), *range(555, 565), 719, 720, 721]
    for n in lengths:
        x = speech(0.1)[:n]
        expected = kaldi(x, config) if n else np.zeros((0, 80))
        assert fbank(torch.from_numpy(x)).shape == (len(expected), 80) == (fbank.num_frames(n), 80)
        assert FbankExtractor(config).extract(x).shape == (len(expected), 80)
    assert fbank.num_frames(torch.tensor(lengths)).tolist() == [fbank.num_frames(n) for n in lengths]


def test_does_not_depend_on_the_batch():
    waveforms = [torch.from_numpy(speech(seconds, seed)) for seed, seconds in enumerate((0.3, 7.0, 2.21))]
    batch = torch.nn.utils.rnn.pad_sequence(waveforms, batch_first=True)
    fbank = Fbank()
    together = fbank(batch)
    assert together.shape == (3, fbank.num_frames(7 * 16000), 80)
    for waveform, row in zip(waveforms, together, strict=True):
        single = fbank(waveform)
        torch.testing.assert_close(row[: len(single)], single, atol=1e-3, rtol=0)


def test_silence_and_level():
    assert torch.equal(Fbank()(torch.zeros(1000)), torch.full((4, 80), float(np.log(np.float32(FLOOR)))))
    x = torch.from_numpy(speech(1.0))
    torch.testing.assert_close(Fbank()(x / 2)[:, 40], Fbank()(x)[:, 40] - np.log(4), atol=1e-3, rtol=0)


def test_gradient_is_the_slope():
    fbank, x = Fbank(FbankConfig(window_type="hamming")), torch.from_numpy(speech(0.5))
    x.requires_grad_()
    fbank(x).mean().backward()
    step = 1e-3 * x.grad / x.grad.square().sum()
    with torch.no_grad():
        rise = fbank(x + step).double().mean() - fbank(x - step).double().mean()
    assert rise.item() == pytest.approx(2e-3, rel=0.02)
    silent = torch.zeros(1000, requires_grad=True)
    fbank(silent).sum().backward()
    assert torch.equal(silent.grad, torch.zeros(1000))


def test_autocast_leaves_it_in_32_bits():
    x = torch.from_numpy(speech(0.5))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        mixed = Fbank()(x.bfloat16().float())
    assert torch.equal(mixed, Fbank()(x.bfloat16().float()))


def test_reads_kaldi_option_files(tmp_path, repository):
    assert FbankConfig.read(repository / "conf" / "fbank.conf") == FbankConfig()
    path = tmp_path / "fbank.conf"
    path.write_text("# for telephone speech\n--sample_frequency=8000 # Hz\n\n--num-mel-bins = 40\n--use-energy\n")
    expected = FbankConfig(sample_frequency=8000.0, num_mel_bins=40, use_energy=True)
    assert FbankConfig.read(path) == expected
    path.write_text("--num-mel-bins=40\n--allow-downsample=true\n--num-mel-bins=80\n")  # the last line counts
    assert FbankConfig.read(path) == FbankConfig()
    path.write_text("--htk-compat=f\n--allow-upsample\n--snip-edges=f\n--high-freq=-200")
    assert FbankConfig.read(path) == replace(FbankConfig(), snip_edges=False, high_freq=-200.0)


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("--num-mel-bin=40", r"fbank.conf:2: unknown option --num-mel-bin: the nearest is --num-mel-bins"),
        ("num-mel-bins=40", "fbank.conf:2: expected --name=value"),
        ("--num-mel-bins=4O", "fbank.conf:2: --num-mel-bins: expected a whole number, from 1 to 2147483647, got '4O'"),
        ("--use-energy=maybe", "fbank.conf:2: --use-energy: expected true or false"),
        ("--num-fft-bins=512", "fbank.conf:2: --num-fft-bins is an option of Kaldi that is not supported here"),
        ("--vtln-warp=1.1", "fbank.conf:2: --vtln-warp is an option of Kaldi that is not supported here"),
        ("--allow-downsample=false", "--allow-downsample=false is not supported, only true: remove the line"),
        ("--htk-compat=true", "fbank.conf:2: --htk-compat=true is not supported, only false"),
        ("--dither=1.0", "fbank.conf: --dither=1: .* set --dither=0"),
        ("--high-freq=9000", "fbank.conf: need .* 8000 Hz, got 20 and 9000"),
        ("--window-type=hammin", "fbank.conf: --window-type=hammin: expected one of povey"),
        ("--frame-shift=30", "fbank.conf: --frame-shift must be"),
    ],
)
def test_mistakes_in_option_files_are_named(tmp_path, line, complaint):
    path = tmp_path / "fbank.conf"
    path.write_text(f"--low-freq=20\n{line}\n")
    with pytest.raises(UserError, match=complaint):
        FbankConfig.read(path)


def test_too_many_bins_are_refused():
    with pytest.raises(UserError, match="--num-mel-bins=300 is too many"):
        Fbank(FbankConfig(num_mel_bins=300))
    with pytest.raises(UserError, match="no-such.conf"):
        FbankConfig.read("no-such.conf")
