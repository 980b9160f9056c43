"""Scores of packages: DNSMOS P.835 and P.808, Distill-MOS and SRMR (without a reference), and ViSQOL (with one).

DNSMOS: C. Reddy et al., ICASSP 2021 (P.808) and ICASSP 2022 (P.835); the graphs are those of the package speechmos.
Distill-MOS: B. Stahl, H. Gamper, arXiv 2502.05356; the package distillmos. ViSQOL: M. Chinen et al., QoMEX 2020; the
package visqol-python. Each of these is 1 (bad) to 5. SRMR, the speech-to-reverberation modulation energy ratio: T. Falk
et al., IEEE TASLP 18(7), 2010; the package torchmetrics. All need packages of requirements-judges-no-deps.txt, none of
them librosa.
"""

from collections.abc import Callable, Iterable, Sequence
from contextlib import redirect_stdout
from functools import cache
from importlib.metadata import version
from io import StringIO
from typing import Any

import numpy as np

from mimic.errors import NotScored
from mimic.registry import installed

RATE = 16000  # Hz
WINDOW, STEP = round(9.01 * RATE), RATE  # samples of DNSMOS
# Polynomials from the outputs of the P.835 network to scores, as in Microsoft's script; highest power first.
MAPS = {
    "sig": (-0.08397278, 1.22083953, 0.0052439),
    "bak": (-0.13166888, 1.60915514, -0.39604546),
    "ovrl": (-0.06766283, 1.11546468, 0.04602535),
}
FFT, HOP, MELS = 321, 160, 120  # of the mel spectrogram that the P.808 network is given
TOP_DB, HALF_DB = 80.0, 40.0  # its range below the loudest bin, and the middle of it, which becomes 0
SHORTEST = 4096  # samples: ViSQOL compares patches of 0.4 s, which needs a few of them


@cache
def session(graph: str) -> Any:
    """A graph of speechmos in onnxruntime, one thread, so that the sums are the same on every machine."""
    import onnxruntime  # here: it is slow to load, and most scorings do without

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    path = installed("speechmos") / "dnsmos_models" / graph
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def windows(x: np.ndarray) -> list[np.ndarray]:
    """Windows of 9.01 s, a second apart, of a signal (samples,) at 16 kHz; as in Microsoft's script, a shorter one is
    doubled until it is long enough, and the last window is one that begins a whole number of seconds before the end.
    """
    whole = x.clip(-1, 1).astype(np.float32)
    while len(whole) < WINDOW:
        whole = np.tile(whole, 2)
    starts = range(max(1, len(whole) // RATE - WINDOW // RATE))
    # The script leaves out the windows (those from 7 to 23 s, for example) that rounding makes a sample shorter.
    return [whole[k * STEP : k * STEP + WINDOW] for k in starts if int((k + 9.01) * RATE) - k * RATE == WINDOW]


def p835(x: np.ndarray) -> list[float]:
    """SIG, BAK and OVRL of DNSMOS P.835: means over the windows of a signal (samples,) at 16 kHz."""
    found = [session("sig_bak_ovr.onnx").run(None, {"input_1": window[None]})[0][0] for window in windows(x)]
    return [
        float(np.mean([np.polyval(curve, output[column]) for output in found]))
        for column, curve in enumerate(MAPS.values())
    ]


def p808(x: np.ndarray) -> list[float]:
    """DNSMOS P.808: the mean over the windows of a signal (samples,) at 16 kHz."""
    inputs = [log_mel(window[:-HOP])[None] for window in windows(x)]
    return [float(np.mean([session("model_v8.onnx").run(None, {"input_1": one})[0][0, 0] for one in inputs]))]


def log_mel(x: np.ndarray) -> np.ndarray:
    """Log-mel spectrogram (frames, 120) of the P.808 network: its loudest bin is 1, 40 dB less 0, the least -1."""
    padded = np.pad(x.astype(np.float64), FFT // 2)
    shape = 0.5 * (1 - np.cos(2 * np.pi * np.arange(FFT) / FFT))
    frames = np.lib.stride_tricks.sliding_window_view(padded, FFT)[::HOP] * shape
    power = np.abs(np.fft.rfft(frames)) ** 2 @ mel_filters().T  # (frames, 120)
    decibel = 10 * np.log10(np.maximum(power, 1e-10) / max(power.max(), 1e-10))
    return ((np.maximum(decibel, -TOP_DB) + HALF_DB) / HALF_DB).astype(np.float32)


@cache
def mel_filters() -> np.ndarray:
    """Triangles (120, 161) of equal area on Slaney's mel scale from 0 to 8 kHz: linear to 1 kHz, then logarithmic."""
    per_mel, knee, step = 200 / 3, 1000.0, np.log(6.4) / 27

    def hertz(mel: np.ndarray) -> np.ndarray:
        return np.where(mel < knee / per_mel, per_mel * mel, knee * np.exp(step * (mel - knee / per_mel)))

    top = knee / per_mel + np.log(RATE / 2 / knee) / step
    edges = hertz(np.linspace(0, top, MELS + 2))
    bins = np.arange(FFT // 2 + 1) * RATE / FFT
    rising = (bins - edges[:-2, None]) / np.diff(edges)[:-1, None]
    falling = (edges[2:, None] - bins) / np.diff(edges)[1:, None]
    return np.maximum(0, np.minimum(rising, falling)) * (2 / (edges[2:] - edges[:-2]))[:, None]


@cache
def distill_network() -> Any:
    installed("distillmos")
    installed("xls_r_sqa")
    import distillmos  # optional; it loads torch

    with redirect_stdout(StringIO()):  # it prints where its weights are
        return distillmos.ConvTransformerSQAModel().eval()


def distill_mos(x: np.ndarray) -> list[float]:
    """Distill-MOS of a signal (samples,) at 16 kHz."""
    import torch  # takes seconds to load, and is used by this measure alone

    with torch.inference_mode():
        return [float(distill_network()(torch.from_numpy(x.astype(np.float32))[None])[0, 0])]


def srmr(x: np.ndarray) -> list[float]:
    """SRMR of a signal (samples,) at 16 kHz: a ratio of energies, less in reverberation."""
    import torch  # takes seconds to load, as does the package
    from torchmetrics.functional.audio import speech_reverberation_modulation_energy_ratio

    return [float(speech_reverberation_modulation_energy_ratio(torch.from_numpy(x.astype(np.float64)), RATE)[0])]


@cache
def visqol_program() -> Any:
    installed("visqol")
    import visqol  # optional

    api = visqol.VisqolApi()
    # The polynomial from similarity to score: the other map takes TensorFlow Lite, and gives other scores.
    api.create(mode="speech", use_lattice_model=False)
    return api


def visqol(clean: np.ndarray, x: np.ndarray) -> list[float]:
    """ViSQOL in its mode for speech, of signals (samples,) at 16 kHz. NotScored: too short."""
    if len(x) < SHORTEST:
        raise NotScored(f"shorter than {SHORTEST / RATE:g} s")
    try:
        return [float(visqol_program().measure_from_arrays(clean, x, RATE).moslqo)]
    except (ValueError, IndexError, RuntimeError) as error:
        raise NotScored(f"ViSQOL failed ({error})") from None


# Measures -> what computes them from a signal, the package, and its name on PyPI.
ALONE: dict[tuple[str, ...], tuple[Callable[[np.ndarray], Sequence[float]], str, str]] = {
    ("dnsmos-sig", "dnsmos-bak", "dnsmos-ovrl"): (p835, "speechmos", "speechmos"),
    ("dnsmos-p808",): (p808, "speechmos", "speechmos"),
    ("distill-mos",): (distill_mos, "distillmos", "distillmos"),
    ("srmr",): (srmr, "torchmetrics", "torchmetrics"),
}
WITH_REFERENCE = {("visqol",): (visqol, "visqol", "visqol-python")}


def require(measures: Iterable[str]) -> None:
    """UserError where a measure's package is not installed."""
    for names, (_, module, _) in (ALONE | WITH_REFERENCE).items():
        if set(names) & set(measures):
            installed(module)


def packages(measures: Iterable[str]) -> str:
    """Which packages compute the measures, for the header of a score file; "" where they take none."""
    used: dict[str, list[str]] = {}
    for names, (_, _, package) in (ALONE | WITH_REFERENCE).items():
        if chosen := [name for name in names if name in set(measures)]:
            used.setdefault(package, []).extend(chosen)
    return "".join(f"; {','.join(names)}: Python package {p} {version(p)}" for p, names in used.items())
