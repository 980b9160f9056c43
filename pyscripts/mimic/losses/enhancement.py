"""Losses of an enhancer: distances of spectra and of waveforms, and mimic loss, the distance of the embeddings of a
frozen perceptual model (Bagchi et al., "Spectral Feature Mapping with Mimic Loss for Robust Speech Recognition", 2018).
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from mimic.errors import UserError
from mimic.frontend.stft import Stft, compress
from mimic.losses import compressed
from mimic.losses.config import OF_SPECTRA, OF_WAVEFORMS, PARTS, EnhanceLoss
from mimic.losses.perceptual import load_perceptual
from mimic.losses.pesq import pesq_loss
from mimic.losses.stoi import one_minus_stoi
from mimic.losses.waveform import multi_resolution_stft, negative_si_sdr
from mimic.metrics.pesq import RATE
from mimic.metrics.stoi import NATIVE_RATE
from mimic.nets.enhancers import Enhanced
from mimic.nets.masking import masked_mean

UTTERANCE_LOSSES = dict(
    zip(OF_WAVEFORMS, (negative_si_sdr, multi_resolution_stft, one_minus_stoi, pesq_loss), strict=True)
)


class Waveforms(NamedTuple):
    """Padded waveforms (batch, samples) and their lengths (batch,), for the losses that need them.

    spectrum: of the noisy waveforms, complex (batch, frames, bins), where the enhanced ones have its phase; else None.
    estimate: the enhanced spectrum that the enhanced waveforms were made of, where the network gives one; else None.
    """

    enhanced: Tensor
    clean: Tensor
    samples: Tensor
    spectrum: Tensor | None
    estimate: Tensor | None = None

    @classmethod
    def of(cls, enhanced: Enhanced, clean: Tensor, samples: Tensor) -> "Waveforms":
        """What an enhancer made of a batch, beside its clean waveforms."""
        return cls(enhanced.waveforms, clean, samples, enhanced.spectrum, enhanced.estimate)


class EnhancementLoss(nn.Module):
    """The losses, with the perceptual model if they need one: frozen, its parameters take no gradient."""

    def __init__(self, config: EnhanceLoss, stft: Stft):
        super().__init__()
        self.config, self.stft = config, stft
        self.weights = {name: getattr(config, f"{name}_weight") for name in PARTS}
        self.perceptual = load_perceptual(config, stft) if config.mimic_weight > 0 else None
        self.mimics_waveforms = self.perceptual is not None and self.perceptual.uses_waveforms
        self.uses_waveforms = self.mimics_waveforms or config.of_waveforms
        for name, rate in (("stoi", NATIVE_RATE), ("pesq", RATE)):
            if self.weights[name] and stft.rate != rate:
                what = f"loss.{name}_weight: {name.upper()} takes {rate} Hz"
                raise UserError(f"{what}, the features are made from {stft.rate} Hz")

    def weights_at(self, epoch: int) -> dict[str, float]:
        """`weights` in an epoch, from 1; in validation, epoch 0, the final ones."""
        rise = self.config.mimic_rise
        return self.weights | {"mimic": self.weights["mimic"] * (min(1, epoch / rise) if epoch and rise else 1)}

    def forward(
        self, enhanced: Tensor, clean: Tensor, lengths: Tensor, waveforms: Waveforms | None = None
    ) -> dict[str, Tensor]:
        """Parts of the loss of log1p magnitudes (batch, frames, bins); `weights_at` has their weights.

        `waveforms` are needed where `uses_waveforms`.
        """
        parts = {"spectral": distance(self.config.distance, enhanced, clean, lengths)}
        if self.config.of_waveforms:
            assert waveforms is not None  # as `uses_waveforms` says
            # In 32 bits in mixed precision, too: products of powers would keep two digits.
            waveforms = waveforms._replace(enhanced=waveforms.enhanced.to(waveforms.clean.dtype))
            with torch.autocast(clean.device.type, enabled=False):
                parts |= self._of_waveforms(waveforms, lengths)
        if self.perceptual is not None:
            parts["mimic"] = self.mimic(enhanced, clean, lengths, waveforms)
        return parts

    def _of_waveforms(self, waveforms: Waveforms, lengths: Tensor) -> dict[str, Tensor]:
        """Losses of waveforms, and of their complex spectra."""
        config, parts = self.config, {}
        for name, loss in UTTERANCE_LOSSES.items():
            if self.weights[name]:
                parts[name] = loss(*waveforms[:3]).mean()
        if config.of_spectra:
            parts |= self._of_spectra(waveforms, lengths)
        if config.waveform_weight:
            parts["waveform"] = compressed.waveform_l1(*waveforms[:3])
        return parts

    def _of_spectra(self, waveforms: Waveforms, lengths: Tensor) -> dict[str, Tensor]:
        """Losses between complex spectra: of the clean waveforms, of the enhanced ones, and what these were made of."""
        config, parts = self.config, {}
        # Once: a power of each bin takes long.
        clean, again = (compress(self.stft.transform(side)) for side in (waveforms.clean, waveforms.enhanced))
        estimate = again if waveforms.estimate is None else compress(waveforms.estimate)
        if config.magnitude_weight:
            parts["magnitude"] = compressed.magnitude_mse(estimate, clean, lengths, config.missing_weight)
        if config.complex_weight:
            parts["complex"] = compressed.complex_mse(estimate, clean, lengths)
        if config.consistency_weight:
            parts["consistency"] = compressed.complex_mse(estimate, again, lengths)
        return parts

    def sizes(self, lengths: Tensor, samples: Tensor | None = None) -> dict[str, int]:
        """Over how many frames or utterances each part is a mean, from lengths in frames and in samples (batch,)."""
        sizes = dict.fromkeys(("spectral", *OF_SPECTRA), int(lengths.sum()))
        sizes |= dict.fromkeys(OF_WAVEFORMS, len(lengths))
        if samples is not None:
            sizes["waveform"] = int(samples.sum())
        if self.perceptual is not None:
            sizes["mimic"] = int(self.perceptual.num_frames(lengths, samples).sum())
        return sizes

    def mimic(self, enhanced: Tensor, clean: Tensor, lengths: Tensor, waveforms: Waveforms | None = None) -> Tensor:
        """Distance of the perceptual model's embeddings. The gradient passes through it to `enhanced` only."""
        assert self.perceptual is not None
        with torch.no_grad():
            wanted, _ = self.perceptual(clean, lengths, self._rows(waveforms, clean))
        found, lengths = self.perceptual(enhanced, lengths, self._rows(waveforms))
        kind = self.config.mimic_distance
        return torch.stack([distance(kind, a, b, lengths) for a, b in zip(found, wanted, strict=True)]).mean()

    def _rows(self, waveforms: Waveforms | None, clean: Tensor | None = None) -> list[Tensor]:
        """What a perceptual model of waveforms is given of enhanced speech, or of clean speech with its log1p
        magnitudes (batch, frames, bins); nothing for other models.
        """
        if not self.mimics_waveforms:
            return []
        assert waveforms is not None  # as `uses_waveforms` says
        rows = waveforms.enhanced if clean is None else waveforms.clean
        if clean is not None and waveforms.spectrum is not None and self.config.mimic_phase == "noisy":
            rows = self.stft.resynthesise(clean, waveforms.spectrum, waveforms.samples)
        return [row[:n] for row, n in zip(rows, waveforms.samples.tolist(), strict=True)]


def distance(kind: str, a: Tensor, b: Tensor, lengths: Tensor) -> Tensor:
    """Mean over real frames and everything in them of (batch, frames, ...)."""
    if kind == "cosine":
        return masked_mean(1 - torch.cosine_similarity(a.flatten(2), b.flatten(2), dim=2).unsqueeze(2), lengths)
    return masked_mean((a - b).square() if kind == "mse" else (a - b).abs(), lengths)
