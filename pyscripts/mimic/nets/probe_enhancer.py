"""Enhancement from frozen features: a probe that estimates a mask of the spectrum (Tsai et al., "SUPERB-SG: Enhanced
Speech processing Universal PERformance Benchmark for Semantic and Generative Capabilities", 2022)."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mimic.errors import UserError
from mimic.frontend.cmvn import Cmvn
from mimic.frontend.front_end import FrontEnd
from mimic.frontend.stft import Stft
from mimic.nets.enhancers import Enhanced, MaskConfig, MaskEnhancer
from mimic.nets.graphs import Graph
from mimic.nets.masking import frames_at
from mimic.nets.probe import Probe, ProbeConfig
from mimic.nets.products import Linear

SHORTEST_S = 0.1  # a waveform gets silence up to here, so that it has a frame of any features


class FeatureMask(nn.Module):
    """Features (batch, frames, dim) and lengths -> mask (batch, frames, bins) between 0 and 1.

    Args:
        config: of the probe.
        normaliser: of the features, stored with the weights.
        bins: of the spectrum.
    """

    def __init__(self, config: ProbeConfig, normaliser: Cmvn, bins: int):
        super().__init__()
        self.normaliser = normaliser
        self.probe = Probe(len(normaliser.mean), config)
        self.output = Linear(self.probe.output_size, bins)

    def forward(self, features: Tensor, lengths: Tensor) -> Tensor:
        return self.output(self.probe(self.normaliser(features), lengths)[0]).sigmoid()


class ProbeEnhancer(MaskEnhancer):
    """Noisy waveforms -> enhanced ones with the noisy phase. The mask comes from other features than the spectrum.

    Args:
        front: makes these features of a waveform; it does not learn, and is not among the weights of this model.
        net: `FeatureMask` of them.
        config: how the mask is applied.
    """

    def __init__(self, front: FrontEnd, net: FeatureMask, config: MaskConfig):
        super().__init__(net, config)
        self._front = [front.requires_grad_(False).eval()]  # in a list, where no module looks for what learns

    @torch.no_grad()
    def features(self, waveforms: list[Tensor]) -> tuple[Tensor, Tensor]:
        """Waveforms (samples,) -> features (batch, frames, dim), lengths (batch,)."""
        front = self._front[0].to(waveforms[0].device)
        least = round(SHORTEST_S * front.rate)
        features = [front(F.pad(waveform, (0, max(0, least - len(waveform))))) for waveform in waveforms]
        lengths = torch.tensor([len(rows) for rows in features], device=waveforms[0].device)
        return nn.utils.rnn.pad_sequence(features, batch_first=True), lengths

    def transform(self, waveforms: Tensor, samples: Tensor, stft: Stft) -> Enhanced:
        """Padded noisy waveforms (batch, samples), their lengths (batch,) -> enhanced ones with the noisy phase.

        Each frame of the spectrum takes the mask of that moment, those after the last features the last mask.
        """
        features, lengths = self.features([row[:n] for row, n in zip(waveforms, samples.tolist(), strict=True)])
        mask = self.net(features, lengths)
        spectrum, frames = stft.transform(waveforms), stft.num_frames(samples)
        noisy = stft.log1p_magnitude(spectrum)  # (batch, frames, bins)
        ratio = stft.config.hop_length / stft.rate / self._front[0].frame_shift_s
        place = (torch.arange(noisy.shape[1], device=waveforms.device) * ratio + 1e-6).long()
        magnitude = self.apply_mask(frames_at(place, mask, lengths), noisy)
        return Enhanced(magnitude, frames, stft.resynthesise(magnitude, spectrum, samples), spectrum)

    def onnx(self, stft: Stft) -> Graph:
        """None: the features of another model would have to be in it."""
        raise UserError("a probe, whose features another model makes, cannot be exported: export that, or an enhancer")
