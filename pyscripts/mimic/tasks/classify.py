"""Classes of whole utterances from frozen features: speakers, keywords. Its embeddings verify speakers."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from mimic.errors import UserError
from mimic.frontend.cmvn import Cmvn
from mimic.frontend.front_end import copy_options
from mimic.io import atomic, feature_dir
from mimic.io.batching import pad, to_device
from mimic.io.tables import read_table
from mimic.models.classifier import LABELS
from mimic.models.config import Config
from mimic.nets.probe import Classifier
from mimic.tasks.asr_config import ClassifyData, ClassifyLoss
from mimic.training import parallel
from mimic.training.task import WHOLE, Task, weighted


class Batch(NamedTuple):
    """Padded features (batch, frames, bins), lengths and numbers of classes (batch,)."""

    features: Tensor
    lengths: Tensor
    classes: Tensor


class ClassifyTask(Task):
    SECTIONS = {"data": ClassifyData, "loss": ClassifyLoss}
    METRICS = {"loss": "min", "accuracy": "max"}

    model: Classifier

    def __init__(self, config: Config, directory: Path):
        super().__init__()
        self.config, data = config, config.data
        train, dev = Path(data.train), Path(data.dev)
        copy_options(train, directory)
        (entries, frames), (dev_entries, dev_frames) = feature_dir.read(train), feature_dir.read(dev)
        self.features = entries | dev_entries
        self.labels = read_table(data.labels or train / "utt2spk")
        self.names = sorted(set(self.labels.values()))
        self.lengths = {utt: n for utt, n in frames.items() if utt in self.labels}
        dev_labels = read_table(data.dev_labels or dev / "utt2spk")
        self.dev = {utt: n for utt, n in dev_frames.items() if utt in dev_labels}
        for utt in self.dev:
            if dev_labels[utt] not in self.names:
                raise UserError(f"{utt}: class {dev_labels[utt]} is not in training: correct --data.dev_labels")
        if not self.lengths or not self.dev:
            raise UserError(f"no utterance of {data.train if self.dev else data.dev} has a class")
        self.labels = {**self.labels, **dev_labels}
        self.model = Classifier(config.model, Cmvn(feature_dir.read_global(train), norm_vars=True), len(self.names))
        with atomic.replace(directory / LABELS) as f:
            f.writelines(f"{name}\n" for name in self.names)

    def load(self, utterances: list[str]) -> Batch:
        features, lengths = pad([self._features(utt) for utt in utterances])
        return Batch(features, lengths, torch.tensor([self.names.index(self.labels[utt]) for utt in utterances]))

    def _features(self, utt: str) -> np.ndarray:
        return feature_dir.load(self.features[utt], utt, self.lengths.get(utt) or self.dev[utt])

    def sizes(self, batch: Batch) -> dict[str, int]:
        return {"cross_entropy": len(batch.classes)}

    def forward(self, batch: Batch, epoch: int, share: Mapping[str, float] = WHOLE) -> dict[str, Tensor]:
        _, scores = self.model(batch.features, batch.lengths)
        loss = F.cross_entropy(scores, batch.classes, label_smoothing=self.config.loss.label_smoothing)
        return weighted({"cross_entropy": loss}, {"cross_entropy": 1.0}, share)

    @torch.inference_mode()
    def validate(self) -> dict[str, float]:
        """Cross entropy and accuracy (percent)."""
        utts, step, results = sorted(self.dev), self.config.train.batch_size, {}
        for start in parallel.shard(range(0, len(utts), step)):
            batch = to_device(self.load(utts[start : start + step]), self.model.output.weight.device)
            _, scores = self.model(batch.features, batch.lengths)
            loss = float(F.cross_entropy(scores, batch.classes, reduction="sum"))
            results[start] = [loss, float((scores.argmax(1) == batch.classes).sum()), len(batch.classes)]
        loss, right, count = np.sum(parallel.all_gather(results), axis=0).tolist()
        return {"loss": loss / count, "accuracy": 100 * right / count}
