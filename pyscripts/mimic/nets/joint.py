"""An enhancer in front of a recogniser, one network: noisy waveforms -> enhanced ones -> features of the recogniser."""

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from mimic.frontend.fbank import Fbank
from mimic.frontend.stft import Stft
from mimic.nets.enhancers import Enhanced, MaskEnhancer
from mimic.nets.recogniser import RecogniserNet


class Joint(nn.Module):
    """Both networks with what lies between them. The gradient passes from the recogniser to the enhancer."""

    def __init__(self, enhancer: MaskEnhancer, stft: Stft, recogniser: RecogniserNet, fbank: Fbank):
        super().__init__()
        self.enhancer, self.stft = enhancer, stft
        self.recogniser, self.fbank = recogniser, fbank

    def enhance(self, waveforms: Tensor, samples: Tensor) -> Enhanced:
        """Padded noisy waveforms (batch, samples), their lengths -> enhanced ones with the noisy phase."""
        return self.enhancer.transform(waveforms, samples, self.stft)

    def features(self, waveforms: Tensor, samples: Tensor) -> tuple[Tensor, Tensor]:
        """Enhanced waveforms, their lengths -> features (batch, frames, bins), lengths: those of the written files."""
        waveforms = _as_written(waveforms)
        rows = [self.fbank(row[:n]) for row, n in zip(waveforms, samples.tolist(), strict=True)]
        return pad_sequence(rows, batch_first=True), self.fbank.num_frames(samples)


def _as_written(waveforms: Tensor) -> Tensor:
    """Samples as a 16-bit file of mimic.io.recording gives them back.

    The gradient passes as if nothing had happened to them.
    In silence the logarithm of a filterbank shows the difference.
    """
    with torch.no_grad():
        change = (32768 * waveforms).round().clamp(-32768, 32767) / 32768 - waveforms
    return waveforms + change
