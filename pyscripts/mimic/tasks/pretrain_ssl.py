"""Self-supervised pretraining: an encoder predicts the units of masked frames."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from mimic.augment import mixing
from mimic.errors import UserError
from mimic.io import archives
from mimic.io.audio import AudioReader
from mimic.io.batching import pad, to_device
from mimic.models.config import Config
from mimic.nets.hubert import Hubert
from mimic.nets.ssl_files import write_directory
from mimic.tasks.denoise import seconds
from mimic.tasks.distill_config import PretrainData, PretrainLoss
from mimic.training import checkpoint, parallel
from mimic.training.task import WHOLE, Task, weighted

IGNORED = -100


class Batch(NamedTuple):
    """Waveforms (batch, samples), lengths (batch,), units and masked frames (batch, frames), -100 beyond an end."""

    waveforms: Tensor
    samples: Tensor
    units: Tensor
    masks: Tensor


class PretrainSslTask(Task):
    SECTIONS = {"data": PretrainData, "loss": PretrainLoss}
    METRICS = {"loss": "min", "accuracy": "max"}

    model: Hubert

    def __init__(self, config: Config, directory: Path):
        super().__init__()
        self.config, self.epoch, data = config, 1, config.data
        self.model = Hubert(config.model)
        self.weights = {name: getattr(config.loss, f"{name}_weight") for name in ("masked", "unmasked")}
        self.sides = [self._side(data.train, data.targets), self._side(data.dev, data.dev_targets)]
        samples = {utt: torch.tensor(round(s * mixing.RATE)) for utt, s in seconds(self.sides[0][0]).items()}
        self.lengths = {utt: int(self.model.encoder.num_frames(n)) for utt, n in samples.items()}

    @staticmethod
    def _side(data: str, units: str) -> tuple[AudioReader, dict[str, archives.Entry]]:
        reader, entries = AudioReader(data), archives.read_scp(Path(units) / "units.scp")
        if missing := set(reader.utts) - entries.keys():
            how = "run steps/apply_kmeans.sh on its features, or leave it out: steps/subset_data.sh --utt-list"
            raise UserError(f"{units} has no {min(missing)} of {data}: {how} {units}/units.scp")
        return reader, entries

    def begin_epoch(self, epoch: int) -> None:
        super().begin_epoch(epoch)
        self.epoch = epoch

    def load(self, utterances: list[str]) -> Batch:
        """The masked frames are others in each epoch, and do not depend on the batch."""
        return self._load(self.sides[0], utterances, f"{self.config.train.seed} epoch {self.epoch}")

    def _load(self, side: tuple[AudioReader, dict[str, archives.Entry]], utterances: list[str], name: str) -> Batch:
        waveforms, samples = pad([side[0][utt] for utt in utterances])
        frames = self.model.encoder.num_frames(samples).tolist()
        units, masks = [], []
        for utt, count in zip(utterances, frames, strict=True):
            row = archives.load(side[1][utt])[:count]
            if len(row) < count - 2:  # frames of filterbanks end a little earlier or later
                raise UserError(f"{utt}: {len(row)} units for {count} frames: targets have 20 ms a frame")
            if row.max() >= self.config.model.clusters:
                raise UserError(f"{utt}: unit {row.max()}: model.clusters is {self.config.model.clusters}")
            units.append(np.pad(row.astype(np.int64), (0, count - len(row)), constant_values=IGNORED) - IGNORED)
            draw = torch.Generator().manual_seed(int(mixing.utterance_rng(name, utt).integers(1 << 62)))
            masks.append(self.model.draw_masks(torch.tensor([count]), draw)[0].numpy())
        return Batch(waveforms, samples, pad(units)[0] + IGNORED, pad(masks)[0])

    def _counted(self, batch: Batch) -> dict[str, Tensor]:
        real = batch.units != IGNORED
        return {"masked": real & batch.masks, "unmasked": real & ~batch.masks}

    def sizes(self, batch: Batch) -> dict[str, int]:
        return {name: int(where.sum()) for name, where in self._counted(batch).items()}

    def forward(self, batch: Batch, epoch: int, share: Mapping[str, float] = WHOLE) -> dict[str, Tensor]:
        scores, results = self._scores(batch), {}
        for name, where in self._counted(batch).items():
            if self.weights[name] and bool(where.any()):
                results[name] = F.cross_entropy(scores[where], batch.units[where])
        return weighted(results, self.weights, share)

    def _scores(self, batch: Batch) -> Tensor:
        waveforms = [waveform[:n] for waveform, n in zip(batch.waveforms, batch.samples.tolist(), strict=True)]
        return self.model(waveforms, batch.masks)[0].float()

    @torch.inference_mode()
    def validate(self) -> dict[str, float]:
        """Cross entropy and accuracy (percent) of masked frames, which are the same in every epoch."""
        side, step = self.sides[1], self.config.train.batch_size
        device, results = next(self.model.parameters()).device, {}
        for start in parallel.shard(range(0, len(side[0].utts), step)):
            batch = to_device(self._load(side, side[0].utts[start : start + step], "dev"), device)
            where = self._counted(batch)["masked"]
            scores, units = self._scores(batch)[where], batch.units[where]
            right = float((scores.argmax(1) == units).sum())
            results[start] = [float(F.cross_entropy(scores, units, reduction="sum")), right, len(units)]
        loss, right, count = np.sum(parallel.all_gather(results), axis=0).tolist()
        return {"loss": loss / count, "accuracy": 100 * right / count}

    def finish(self, directory: Path) -> None:
        """The encoder alone, in the format of transformers."""
        self.model.load_state_dict(checkpoint.load(directory / "model.pt"))
        write_directory(self.model.encoder.net, False, directory / "encoder")
