"""Losses of an enhancer: distances of spectra and of waves, and mimic loss, the distance of what a frozen perceptual
model makes of spectra (Bagchi et al., "Spectral Feature Mapping with Mimic Loss for Robust Speech Recognition", 2018).
"""

from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn

from mimic.errors import UserError
from mimic.frontend.compression import compress
from mimic.frontend.stft import Stft
from mimic.losses import compressed
from mimic.losses.config import OF_SPECTRA, PARTS, EnhanceLoss
from mimic.losses.stoi import one_minus_stoi
from mimic.losses.waveform import multi_resolution_stft, negative_si_sdr
from mimic.metrics.stoi import NATIVE_RATE
from mimic.models.config import read_config
from mimic.models.recogniser import Recogniser
from mimic.nets import ssl
from mimic.nets.enhancers import Enhanced
from mimic.nets.masking import masked_mean
from mimic.nets.recogniser import RecogniserNet


class Waves(NamedTuple):
    """Padded waves (batch, samples) and their lengths (batch,), for the losses that hear them.

    spectrum: of the noisy waves, complex (batch, frames, bins), where the enhanced ones have its phase; else None.
    estimate: the enhanced spectrum that the enhanced waves were made of, where the network gives one; else None.
    """

    enhanced: Tensor
    clean: Tensor
    samples: Tensor
    spectrum: Tensor | None
    estimate: Tensor | None = None

    @classmethod
    def of(cls, enhanced: Enhanced, clean: Tensor, samples: Tensor) -> "Waves":
        """What an enhancer made of a batch, beside its clean waves."""
        return cls(enhanced.waves, clean, samples, enhanced.spectrum, enhanced.estimate)


class EnhancementLoss(nn.Module):
    """The losses, with the perceptual model if they need one: frozen, its parameters take no gradient."""

    bands: Tensor

    def __init__(self, config: EnhanceLoss, stft: Stft):
        super().__init__()
        self.config, self.stft = config, stft
        self.weights = {name: getattr(config, f"{name}_weight") for name in PARTS}
        self.register_buffer("bands", compressed.bark_bands(stft.dim, stft.rate), persistent=False)
        self.perceptual: RecogniserNet | ssl.SslEncoder | None = None
        if config.mimic_weight > 0:
            self.perceptual = _load(config.perceptual).requires_grad_(False).eval()
        self.perceives_waves = isinstance(self.perceptual, ssl.SslEncoder)
        self.hears_waves = self.perceives_waves or config.of_waves
        if config.stoi_weight and stft.rate != NATIVE_RATE:
            raise UserError(f"loss.stoi_weight: STOI takes {NATIVE_RATE} Hz, the features are made from {stft.rate} Hz")
        if isinstance(self.perceptual, ssl.SslEncoder):
            if stft.rate != ssl.RATE:
                raise UserError(f"{config.perceptual} hears {ssl.RATE} Hz: the features are made from {stft.rate} Hz")
            self.layers = config.mimic_layers or list(range(1, self.perceptual.num_layers + 1))
            wrong = [layer for layer in self.layers if not 0 <= layer <= self.perceptual.num_layers]
            if wrong:
                raise UserError(f"mimic_layers {wrong[0]}: {config.perceptual} has 0 to {self.perceptual.num_layers}")
        elif self.perceptual is not None and len(self.perceptual.normaliser.mean) != stft.dim:
            takes = f"takes {len(self.perceptual.normaliser.mean)} bins, the STFT has {stft.dim}"
            raise UserError(f"--loss.perceptual {config.perceptual}: {takes}: train one on STFT (conf/perceptual.yaml)")

    def forward(
        self, enhanced: Tensor, clean: Tensor, lengths: Tensor, waves: Waves | None = None
    ) -> dict[str, Tensor]:
        """Parts of the loss of log1p magnitudes (batch, frames, bins); `weights` has their weights.

        `waves` are needed where `hears_waves`.
        """
        parts = {"spectral": distance(self.config.distance, enhanced, clean, lengths)}
        if self.config.of_waves:
            assert waves is not None  # as `hears_waves` says
            parts |= self._of_waves(waves, lengths)
        if self.perceptual is not None:
            parts["mimic"] = self.mimic(enhanced, clean, lengths, waves)
        return parts

    def _of_waves(self, waves: Waves, lengths: Tensor) -> dict[str, Tensor]:
        """Losses of waves, and of their complex spectra."""
        config, parts = self.config, {}
        if config.si_sdr_weight:
            parts["si_sdr"] = negative_si_sdr(*waves[:3]).mean()
        if config.stft_weight:
            parts["stft"] = multi_resolution_stft(*waves[:3]).mean()
        if config.stoi_weight:
            parts["stoi"] = one_minus_stoi(*waves[:3]).mean()
        if config.of_spectra:
            parts |= self._of_spectra(waves, lengths)
        if config.waveform_weight:
            parts["waveform"] = compressed.waveform_l1(*waves[:3])
        return parts

    def _of_spectra(self, waves: Waves, lengths: Tensor) -> dict[str, Tensor]:
        """Losses between complex spectra: of the clean waves, of the enhanced ones, and what these were made of."""
        config, parts = self.config, {}
        clean, again = self.stft.transform(waves.clean), self.stft.transform(waves.enhanced)
        if config.loudness_weight:
            parts["loudness"] = compressed.loudness_distance(again, clean, lengths, self.bands)
        clean, again = compress(clean), compress(again)  # once: a power of each bin takes long
        estimate = again if waves.estimate is None else compress(waves.estimate)
        if config.magnitude_weight:
            parts["magnitude"] = compressed.magnitude_mse(estimate, clean, lengths)
        if config.complex_weight:
            parts["complex"] = compressed.complex_mse(estimate, clean, lengths)
        if config.consistency_weight:
            parts["consistency"] = compressed.complex_mse(estimate, again, lengths)
        return parts

    def sizes(self, lengths: Tensor, samples: Tensor | None = None) -> dict[str, int]:
        """Over how many frames or utterances each part is a mean, from lengths in frames and in samples (batch,)."""
        sizes = dict.fromkeys(("spectral", *OF_SPECTRA), int(lengths.sum()))
        sizes |= dict.fromkeys(("si_sdr", "stft", "stoi"), len(lengths))
        if samples is not None:
            sizes["waveform"] = int(samples.sum())
        if isinstance(self.perceptual, ssl.SslEncoder):
            assert samples is not None  # where `hears_waves`
            sizes["mimic"] = int(self.perceptual.num_frames(samples).sum())
        elif self.perceptual is not None:
            sizes["mimic"] = int(self.perceptual.embedded_lengths(lengths, self.config.mimic_layer).sum())
        return sizes

    def mimic(self, enhanced: Tensor, clean: Tensor, lengths: Tensor, waves: Waves | None = None) -> Tensor:
        """Distance of the perceptual model's responses. The gradient passes through it to `enhanced` only."""
        with torch.no_grad():
            wanted, _ = self._respond(clean, lengths, waves, False)
        heard, lengths = self._respond(enhanced, lengths, waves, True)
        kind = self.config.mimic_distance
        return torch.stack([distance(kind, a, b, lengths) for a, b in zip(heard, wanted, strict=True)]).mean()

    def _respond(
        self, magnitude: Tensor, lengths: Tensor, waves: Waves | None, enhanced: bool
    ) -> tuple[list[Tensor], Tensor]:
        """The responses that are compared, each (batch, frames, ...), and their lengths."""
        assert self.perceptual is not None
        if not isinstance(self.perceptual, ssl.SslEncoder):
            response, lengths = self.perceptual.embed(magnitude, lengths, self.config.mimic_layer)
            return [response], lengths
        assert waves is not None  # as `hears_waves` says
        if waves.spectrum is None:
            rows = waves.enhanced if enhanced else waves.clean
        else:  # clean speech gets the noisy phase too: an enhancer of magnitudes can reach it, and at zero it is there
            rows = self.stft.resynthesise(magnitude, waves.spectrum, waves.samples)
        return self.perceptual([row[:n] for row, n in zip(rows, waves.samples.tolist(), strict=True)], self.layers)


def distance(kind: str, a: Tensor, b: Tensor, lengths: Tensor) -> Tensor:
    """Mean over real frames and everything in them of (batch, frames, ...)."""
    if kind == "cosine":
        return masked_mean(1 - torch.cosine_similarity(a.flatten(2), b.flatten(2), dim=2).unsqueeze(2), lengths)
    return masked_mean((a - b).square() if kind == "mse" else (a - b).abs(), lengths)


def _load(path: str) -> RecogniserNet | ssl.SslEncoder:
    if not path:
        raise UserError("mimic loss needs --loss.perceptual DIR: steps/train.sh conf/perceptual.yaml trains one")
    if ssl.is_ssl(Path(path)):
        return ssl.load(Path(path))
    config = read_config(Path(path))
    if config.task != "asr":
        raise UserError(f"--loss.perceptual {path}: task {config.task}, not asr: conf/perceptual.yaml trains one")
    return Recogniser.load(path).net
