"""Enhancement of speech while it is spoken: samples go in as they come, and come out as soon as they are settled."""

import torch
from torch import Tensor
from torch.nn import functional as F

from mimic.errors import UserError
from mimic.frontend.stft import Stft
from mimic.models.ratio import Curve, RunningRatio, check_ratio, mix
from mimic.nets.enhancers import MaskEnhancer


class Stream:
    """One signal through a causal enhancer. In all, as many samples come out as went in: those of the whole signal.

    ratio: share of the enhanced signal in the output, from 0 to 1; a curve gives it by the SNR of the last seconds.
    latency: most samples that come in between a sample and its enhanced value.
    Raises UserError for an enhancer that is not causal.
    """

    def __init__(self, model: MaskEnhancer, stft: Stft, ratio: float | Curve = 1.0):
        if not hasattr(getattr(model, "net", None), "step"):
            raise UserError("this enhancer needs the future: train a causal one (conf/enhance_causal.yaml)")
        self.model, self.stft = model, stft
        self.ratio = RunningRatio(ratio, stft.rate) if isinstance(ratio, Curve) else check_ratio(ratio)
        self.latency, self.hop = stft.config.n_fft, stft.config.hop_length
        zeros = stft.window.new_zeros
        self._noisy = zeros(0)  # input whose output is not settled yet
        self._signal = zeros(self.latency // 2)  # from the first sample of the next frame on; frame 0 is centred at 0
        self._sums = zeros(2, self.latency)  # overlapping frames, and their squared windows, from the same sample on
        self._state = None
        self._samples = self._frames = 0

    @torch.inference_mode()
    def __call__(self, x: Tensor, last: bool = False) -> Tensor:
        """Samples (n,), 0 or more -> those that are settled now (m,); with `last`, all that are left."""
        x = x.to(self._noisy.device)
        self._samples += len(x)
        self._noisy = torch.cat([self._noisy, x])
        self._signal = torch.cat([self._signal, x])
        count = max(0, (len(self._signal) - self.latency) // self.hop + 1)
        if last and self._samples:
            count = self.stft.num_frames(self._samples) - self._frames
            self._signal = F.pad(self._signal, (0, max(0, (count - 1) * self.hop + self.latency - len(self._signal))))
        start = self._frames * self.hop - self.latency // 2  # of the sums, in samples of the signal
        if count:
            self._add(self._signal.unfold(0, self.latency, self.hop)[:count])
        end = self._samples - start if last else count * self.hop
        waveform = self._sums[0, max(0, -start) : end] / self._sums[1, max(0, -start) : end]
        self._signal, self._sums = self._signal[count * self.hop :], self._sums[:, count * self.hop :]
        self._frames += count
        noisy, self._noisy = self._noisy[: len(waveform)], self._noisy[len(waveform) :]
        if isinstance(self.ratio, float):
            return self.ratio * waveform + (1 - self.ratio) * noisy
        signals = noisy.cpu().numpy(), waveform.cpu().numpy()
        return torch.from_numpy(mix(*signals, self.ratio(*signals)))

    def _add(self, frames: Tensor) -> None:
        """Enhance frames (count, n_fft) and add them to the sums."""
        window = self.stft.window
        spectrum = torch.fft.rfft(frames * window)[None]  # (1, count, bins)
        spectrum, self._state = self.model.step(spectrum, self._state, self.stft)
        parts = torch.fft.irfft(spectrum[0], n=self.latency) * window  # (count, n_fft)
        self._sums = F.pad(self._sums, (0, len(parts) * self.hop))
        for i, part in enumerate(parts):
            here = slice(i * self.hop, i * self.hop + self.latency)
            self._sums[0, here] += part
            self._sums[1, here] += window.square()
