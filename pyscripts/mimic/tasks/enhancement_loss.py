"""Losses of an enhancer: the distance of spectra, and mimic loss, the distance of what a frozen perceptual model makes
of them (Bagchi et al., "Spectral Feature Mapping with Mimic Loss for Robust Speech Recognition", 2018)."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn

from mimic.errors import UserError
from mimic.features.stft import Stft
from mimic.models import ssl
from mimic.models.masking import masked_mean
from mimic.tasks.asr import AsrTask
from mimic.train.config import read


@dataclass
class EnhanceLoss:
    """loss = spectral_weight * distance(enhanced, clean) + mimic_weight * distance(E(enhanced), E(clean)).

    Attributes:
        spectral_weight: weight of the distance of spectra.
        distance: mse or l1 between log1p magnitudes.
        mimic_weight: weight of the mimic loss; 0 leaves the perceptual model E out.
        mimic_distance: mse, l1 or cosine between the perceptual model's responses.
        mimic_layer: the response that is compared: cnn as published for speech in noise, rnn, dnn, or logits as in
            the first papers on mimic loss.
        mimic_layers: the same for a self-supervised encoder: hidden layers, whose distances are averaged; 0 is the
            input of the first transformer layer. None: all transformer layers.
        perceptual: directory of the trained perceptual model; or a self-supervised encoder (wav2vec 2.0, HuBERT,
            WavLM): a file of weights as torchaudio downloads it, or a directory of transformers.
    """

    spectral_weight: float = 1.0
    distance: Literal["mse", "l1"] = "mse"
    mimic_weight: float = 0.0
    mimic_distance: Literal["mse", "l1", "cosine"] = "mse"
    mimic_layer: Literal["cnn", "rnn", "dnn", "logits"] = "cnn"
    mimic_layers: list[int] = field(default_factory=list)
    perceptual: str = ""


class EnhancementLoss(nn.Module):
    """The losses, with the perceptual model if they need one: frozen, its parameters take no gradient."""

    def __init__(self, config: EnhanceLoss, stft: Stft):
        super().__init__()
        self.config, self.stft = config, stft
        self.weights = {"spectral": config.spectral_weight, "mimic": config.mimic_weight}
        self.perceptual: nn.Module | None = None
        if config.mimic_weight > 0:
            self.perceptual = _load(config.perceptual).requires_grad_(False).eval()
        self.hears_waves = isinstance(self.perceptual, ssl.SslEncoder)
        if self.hears_waves:
            if stft.rate != ssl.RATE:
                raise UserError(f"{config.perceptual} hears {ssl.RATE} Hz: the features are made from {stft.rate} Hz")
            self.layers = config.mimic_layers or list(range(1, self.perceptual.num_layers + 1))
            wrong = [layer for layer in self.layers if not 0 <= layer <= self.perceptual.num_layers]
            if wrong:
                raise UserError(f"mimic_layers {wrong[0]}: {config.perceptual} has 0 to {self.perceptual.num_layers}")

    def forward(
        self,
        enhanced: Tensor,
        clean: Tensor,
        lengths: Tensor,
        spectrum: Tensor | None = None,
        samples: Tensor | None = None,
    ) -> dict[str, Tensor]:
        """Parts of the loss of log1p magnitudes (batch, frames, bins); `weights` has their weights.

        A perceptual model that hears waves needs the noisy spectrum, complex (batch, frames, bins), whose phase they
        get, and their lengths in samples (batch,).
        """
        parts = {"spectral": distance(self.config.distance, enhanced, clean, lengths)}
        if self.perceptual is not None:
            parts["mimic"] = self.mimic(enhanced, clean, lengths, spectrum, samples)
        return parts

    def sizes(self, lengths: Tensor, samples: Tensor | None = None) -> dict[str, int]:
        """Over how many frames each part is a mean, from lengths in frames and in samples (batch,)."""
        sizes = {"spectral": int(lengths.sum())}
        if self.hears_waves:
            sizes["mimic"] = int(self.perceptual.num_frames(samples).sum())
        elif self.perceptual is not None:
            sizes["mimic"] = int(self.perceptual.embedded_lengths(lengths, self.config.mimic_layer).sum())
        return sizes

    def mimic(
        self,
        enhanced: Tensor,
        clean: Tensor,
        lengths: Tensor,
        spectrum: Tensor | None = None,
        samples: Tensor | None = None,
    ) -> Tensor:
        """Distance of the perceptual model's responses. The gradient passes through it to `enhanced` only."""
        with torch.no_grad():
            wanted, _ = self._respond(clean, lengths, spectrum, samples)
        heard, lengths = self._respond(enhanced, lengths, spectrum, samples)
        kind = self.config.mimic_distance
        return torch.stack([distance(kind, a, b, lengths) for a, b in zip(heard, wanted, strict=True)]).mean()

    def _respond(
        self, magnitude: Tensor, lengths: Tensor, spectrum: Tensor | None, samples: Tensor | None
    ) -> tuple[list[Tensor], Tensor]:
        """The responses that are compared, each (batch, frames, ...), and their lengths."""
        if not self.hears_waves:
            response, lengths = self.perceptual.embed(magnitude, lengths, self.config.mimic_layer)
            return [response], lengths
        # Clean speech gets the noisy phase too: an enhancer of magnitudes can reach it, and at zero it is there.
        rows = self.stft.resynthesise(magnitude, spectrum, samples)
        return self.perceptual([row[:n] for row, n in zip(rows, samples.tolist(), strict=True)], self.layers)


def distance(kind: str, a: Tensor, b: Tensor, lengths: Tensor) -> Tensor:
    """Mean over real frames and everything in them of (batch, frames, ...)."""
    if kind == "cosine":
        return masked_mean(1 - torch.cosine_similarity(a.flatten(2), b.flatten(2), dim=2).unsqueeze(2), lengths)
    return masked_mean((a - b).square() if kind == "mse" else (a - b).abs(), lengths)


def _load(path: str) -> nn.Module:
    if not path:
        raise UserError("mimic loss needs a perceptual model, as in --loss.perceptual DIR (stage 3 trains one)")
    if ssl.is_ssl(Path(path)):
        return ssl.load(Path(path))
    return AsrTask.build(read(Path(path) / "config.yaml"), Path(path))[0]
