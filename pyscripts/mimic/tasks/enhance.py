"""Mask-based enhancement with a spectral loss and mimic loss.

Bagchi et al., "Spectral Feature Mapping with Mimic Loss for Robust Speech Recognition", 2018: beside the distance
of enhanced and clean spectra, the distance of a frozen perceptual model's responses to the two.
"""

import os
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor

from mimic.data import archives
from mimic.data.audio import AudioReader
from mimic.data.batching import pad
from mimic.data.kaldi_dir import read_table
from mimic.errors import UserError
from mimic.features.stft import Stft, StftConfig
from mimic.models import MASKS
from mimic.models.mask_enhancer import MaskConfig, MaskEnhancer
from mimic.models.masking import masked_mean
from mimic.score.pesq import pesq
from mimic.score.reason import NotScored
from mimic.score.stoi import stoi_estoi
from mimic.tasks.asr import AsrTask
from mimic.tasks.task import OPTIONS, Task, copy_feature_options
from mimic.train import checkpoint
from mimic.train.config import Config, read


@dataclass
class EnhanceData:
    """What an enhancer is trained on: STFT feature directories, noisy and clean with the same utterances.

    Attributes:
        train_noisy: input of the training set.
        train_clean: target of the training set.
        dev_noisy: input for validation; its wav.scp gives the waves for PESQ and eSTOI.
        dev_clean: reference for validation.
        valid_utterances: how many utterances, evenly spread over the development set, validation scores; 0: all.
    """

    train_noisy: str = ""
    train_clean: str = ""
    dev_noisy: str = ""
    dev_clean: str = ""
    valid_utterances: int = 0


@dataclass
class EnhanceLoss:
    """loss = distance(enhanced, clean) + mimic_weight * distance(E(enhanced), E(clean)), E: perceptual model.

    Attributes:
        distance: mse or l1 between log1p magnitudes.
        mimic_weight: weight of the mimic loss; 0 leaves the perceptual model out.
        mimic_distance: mse, l1 or cosine between the perceptual model's responses.
        mimic_layer: the response that is compared: cnn as published for speech in noise, rnn, dnn, or logits as in
            the first papers on mimic loss.
        perceptual: directory of the trained perceptual model.
    """

    distance: Literal["mse", "l1"] = "mse"
    mimic_weight: float = 0.0
    mimic_distance: Literal["mse", "l1", "cosine"] = "mse"
    mimic_layer: Literal["cnn", "rnn", "dnn", "logits"] = "cnn"
    perceptual: str = ""


class Batch(NamedTuple):
    """log1p magnitudes (batch, frames, bins), padded, and lengths (batch,)."""

    noisy: Tensor
    clean: Tensor
    lengths: Tensor


class EnhanceTask(Task):
    NETS = MASKS
    SECTIONS = {"mask": MaskConfig, "data": EnhanceData, "loss": EnhanceLoss}
    METRICS = {"loss": "min", "pesq": "max", "estoi": "max"}

    def __init__(self, config: Config, directory: Path):
        super().__init__()
        self.config, data = config, config.data
        copy_feature_options(Path(data.train_noisy), directory)
        self.stft = Stft(StftConfig.read(directory / OPTIONS))
        self.model = _network(config, self.stft)
        self.perceptual = _perceptual(config)
        self.noisy = _pair_features(data.train_noisy, data.train_clean) | _pair_features(data.dev_noisy, data.dev_clean)
        self.lengths = _frames(data.train_noisy)
        self.dev = sorted(_frames(data.dev_noisy))
        if 0 < data.valid_utterances < len(self.dev):
            self.dev = self.dev[:: -(-len(self.dev) // data.valid_utterances)]
        self.waves = AudioReader(data.dev_noisy), AudioReader(data.dev_clean)
        # Scoring runs beside the network, in processes that start now: later there are threads, and forking a
        # process with threads is not safe.
        self.scorers = ProcessPoolExecutor(os.cpu_count(), get_context("fork"))
        self.scorers.submit(abs, 0).result()

    @staticmethod
    def build(config: Config, directory: Path) -> tuple[MaskEnhancer, Stft]:
        """The trained model of an experiment directory, in eval mode, and its STFT."""
        state = checkpoint.load(directory / "model.pt")
        stft = Stft(StftConfig.read(directory / OPTIONS))
        model = _network(config, stft)
        model.load_state_dict(state)
        return model.eval(), stft

    def load(self, utterances: list[str]) -> Batch:
        noisy, lengths = pad([archives.load(self.noisy[utt][0]) for utt in utterances])
        clean, clean_lengths = pad([archives.load(self.noisy[utt][1]) for utt in utterances])
        for utt, a, b in zip(utterances, lengths.tolist(), clean_lengths.tolist(), strict=True):
            if a != b:
                raise UserError(f"{utt}: {a} noisy but {b} clean frames: check the pair with steps/validate_data.sh")
        return Batch(noisy, clean, lengths)

    def forward(self, batch: Batch, epoch: int) -> dict[str, Tensor]:
        enhanced = self.model(batch.noisy, batch.lengths)
        losses = {"spectral": _distance(self.config.loss.distance, enhanced, batch.clean, batch.lengths)}
        total = losses["spectral"]
        if self.perceptual is not None:
            losses["mimic"] = self.mimic_loss(enhanced, batch.clean, batch.lengths)
            total = total + self.config.loss.mimic_weight * losses["mimic"]
        return {"loss": total, **{name: value.detach() for name, value in losses.items()}}

    def mimic_loss(self, enhanced: Tensor, clean: Tensor, lengths: Tensor) -> Tensor:
        """Distance of the perceptual model's responses. The gradient passes through it to `enhanced` only."""
        loss = self.config.loss
        with torch.no_grad():
            wanted, _ = self.perceptual.embed(clean, lengths, loss.mimic_layer)
        heard, lengths = self.perceptual.embed(enhanced, lengths, loss.mimic_layer)
        return _distance(loss.mimic_distance, heard, wanted, lengths)

    @torch.inference_mode()
    def validate(self) -> dict[str, float]:
        """Mean loss, wb-PESQ and eSTOI (percent); utterances without a score are left out of its mean."""
        losses, scores = [], []
        device = next(self.model.parameters()).device
        size = self.config.train.batch_utterances
        noisy, clean = self.waves
        for start in range(0, len(self.dev), size):
            utterances = self.dev[start : start + size]
            batch = Batch(*(part.to(device) for part in self.load(utterances)))
            losses += [float(self(batch, 0)["loss"])] * len(utterances)
            waves = self.model.enhance([torch.from_numpy(noisy[utt]).to(device) for utt in utterances], self.stft)
            for utt, wave in zip(utterances, waves, strict=True):
                scores.append(self.scorers.submit(_scores, clean[utt], wave.cpu().numpy()))
        means = np.nanmean([score.result() for score in scores], axis=0)  # (2,)
        return {"loss": float(np.mean(losses)), "pesq": float(means[0]), "estoi": 100 * float(means[1])}


def _scores(clean: np.ndarray, enhanced: np.ndarray) -> tuple[float, float]:
    """wb-PESQ and eSTOI, NaN where one cannot be computed."""
    values = []
    for measure in (lambda: pesq(clean, enhanced, "wb"), lambda: stoi_estoi(clean, enhanced)[1]):
        try:
            values.append(measure())
        except NotScored:
            values.append(np.nan)
    return values[0], values[1]


def _network(config: Config, stft: Stft) -> MaskEnhancer:
    network, _ = MASKS[config.net]
    return MaskEnhancer(network(stft.dim, config.model), config.mask)


def _perceptual(config: Config) -> torch.nn.Module | None:
    """The frozen perceptual model: its parameters take no gradient, and `Task.train` keeps it in eval mode."""
    loss = config.loss
    if loss.mimic_weight == 0:
        return None
    if not loss.perceptual:
        raise UserError("mimic loss needs a perceptual model: give --loss.perceptual DIR (stage 3 trains one)")
    directory = Path(loss.perceptual)
    model, _ = AsrTask.build(read(directory / "config.yaml"), directory)
    return model.requires_grad_(False)


def _distance(kind: str, a: Tensor, b: Tensor, lengths: Tensor) -> Tensor:
    """Mean over real frames and everything in them of (batch, frames, ...)."""
    if kind == "cosine":
        return masked_mean(1 - torch.cosine_similarity(a.flatten(2), b.flatten(2), dim=2).unsqueeze(2), lengths)
    return masked_mean((a - b).square() if kind == "mse" else (a - b).abs(), lengths)


def _pair_features(noisy: str, clean: str) -> dict[str, tuple[str, str]]:
    """Archive entries of both sides by utterance."""
    left, right = (archives.read_scp(Path(directory) / "feats.scp") for directory in (noisy, clean))
    if left.keys() != right.keys():
        utt = min(left.keys() ^ right.keys())
        raise UserError(f"{utt}: is in only one of {noisy} and {clean}: make both with the same utterances (stage 2)")
    return {utt: (left[utt], right[utt]) for utt in left}


def _frames(directory: str) -> dict[str, int]:
    return {utt: int(frames) for utt, frames in read_table(Path(directory) / "utt2num_frames").items()}
