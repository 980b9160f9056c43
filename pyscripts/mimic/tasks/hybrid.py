"""Acoustic model of a hybrid recogniser: frame cross-entropy of tied HMM states that an alignment gives."""

import logging
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from mimic.augment.specaugment import SpecAugmentConfig, spec_augment
from mimic.errors import UserError
from mimic.frontend.front_end import copy_options
from mimic.hmm.feats import SpeakerFeatures
from mimic.inputs import split_paths
from mimic.io import archives, atomic
from mimic.io.batching import make_batches, pad, prefetch, to_device
from mimic.models.acoustic import COUNTS, network
from mimic.models.config import Config
from mimic.nets.acoustic import AcousticNet
from mimic.tasks.asr_config import HybridData, HybridLoss
from mimic.training import parallel
from mimic.training.task import WHOLE, Task, leave_out, weighted

log = logging.getLogger(__name__)
PADDING = -1  # label of a frame that is none


def usable(features: SpeakerFeatures, alignments: Mapping[str, np.ndarray]) -> tuple[dict[str, int], dict[str, str]]:
    """{utterance: frames} of those that are aligned, and {utterance: reason} of the others."""
    lengths, skipped = {}, {}
    for utt, frames in features.lengths.items():
        ali = alignments.get(features.base[utt])
        if ali is None:
            skipped[utt] = "no alignment"
        elif len(ali) != frames:
            skipped[utt] = f"{frames} frames, but an alignment of {len(ali)}"
        else:
            lengths[utt] = frames
    return lengths, skipped


class Batch(NamedTuple):
    """Padded features (batch, frames, dim), lengths (batch,), pdfs and phones (batch, frames), PADDING after them."""

    features: Tensor
    lengths: Tensor
    pdfs: Tensor
    phones: Tensor


class AlignedTask(Task):
    """A task on features of speakers with alignments. A subclass has `_losses`, and `MAIN`, the loss that is validated.

    features, dev_features: of both sets; dev_lengths: the development utterances with their frames.
    """

    MAIN: ClassVar[str]
    config: Config
    features: SpeakerFeatures
    dev_lengths: dict[str, int]

    def stream(self, utterances: list[str]) -> None:
        archives.read_ahead(self.features.entries[utt] for utt in utterances)

    def dev_batch(self, utterances: list[str]) -> Any:
        """The batch of some development utterances."""
        raise NotImplementedError

    def masked(self, batch: Any) -> Any:
        """A training batch with SpecAugment."""
        mean = batch.features.new_zeros(batch.features.shape[2])  # of a speaker's features, which are normalised
        return batch._replace(features=spec_augment(batch.features, batch.lengths, mean, self.config.augment))

    def _losses(self, batch: Any) -> tuple[dict[str, Tensor], Tensor]:
        raise NotImplementedError

    @torch.no_grad()
    def validate(self) -> dict[str, float]:
        """loss: `MAIN` per frame; err: percent of frames whose pdf is wrong."""
        device, train = next(self.model.parameters()).device, self.config.train
        batches = make_batches(self.dev_lengths, train.batch_size, train.max_frames, "ascending", 0, 0)
        numbers = parallel.shard(range(len(batches)))
        results: dict[int, tuple[float, int, int]] = {}
        read = prefetch(lambda n: self.dev_batch(batches[n]), numbers)
        for number, batch in zip(numbers, read, strict=True):
            losses, wrong = self._losses(to_device(batch, device))
            frames = self.sizes(batch)[self.MAIN]
            results[number] = float(losses[self.MAIN]) * frames, int(wrong), frames
        loss, wrong, frames = (sum(column) for column in zip(*parallel.all_gather(results), strict=True))
        return {"err": 100 * wrong / frames, "loss": loss / frames}


class HybridTask(AlignedTask):
    MAIN = "pdf"
    SECTIONS = {"data": HybridData, "augment": SpecAugmentConfig, "loss": HybridLoss}
    METRICS = {"err": "min", "loss": "min"}

    model: AcousticNet

    def __init__(self, config: Config, directory: Path):
        super().__init__()
        # Imported here: other tasks do without kaldi-hmm-gmm.
        from mimic.hmm.alignments import read_ali_dir
        from mimic.hmm.model import Model, write_tree

        self.config, data = config, config.data
        train = [Path(name) for name in split_paths(data.train, " ") if name]
        copy_options(train[0], directory)
        hmm = Model.read(Path(data.train_ali) / "final.mdl")
        hmm.with_gmm(None).write(directory / "final.mdl")
        write_tree(hmm.tree, directory / "tree")
        pdfs, phones = hmm.transitions.num_pdfs, int(hmm.tid_phone.max()) + 1
        self.features = SpeakerFeatures(train, data.norm_vars)
        self.dev_features = SpeakerFeatures([Path(data.dev)], data.norm_vars)
        self.tid_pdf, self.tid_phone = hmm.tid_pdf, hmm.tid_phone
        self.ali = read_ali_dir(Path(data.train_ali))
        dev_hmm = Model.read(Path(data.dev_ali) / "final.mdl")
        if dev_hmm.transitions.num_pdfs != pdfs:
            raise UserError(f"--data.dev_ali {data.dev_ali} is of another tree than --data.train_ali {data.train_ali}")
        self.dev_ali = read_ali_dir(Path(data.dev_ali))
        self.lengths, skipped = usable(self.features, self.ali)
        leave_out(skipped, len(self.features.lengths), data.max_skip, directory)
        self.dev_lengths, _ = usable(self.dev_features, self.dev_ali)
        if not self.lengths or not self.dev_lengths:
            raise UserError("no utterance has both features and an alignment: are these directories of the same data?")
        frames = np.concatenate([self.ali[self.features.base[utt]] for utt in self.lengths])
        counts = np.bincount(self.tid_pdf[frames], minlength=pdfs)
        with atomic.replace(directory / COUNTS) as f:
            f.write(f" [ {' '.join(map(str, counts))} ]\n")
        self.model = network(config, self.features.dim, pdfs, phones)
        body = sum(p.numel() for p in self.model.body.parameters())
        log.info("%d parameters below the output layers, %d pdfs, %d phones", body, pdfs, phones)

    def load(self, utterances: list[str]) -> Batch:
        return self._batch(utterances, self.features, self.ali)

    def dev_batch(self, utterances: list[str]) -> Batch:
        return self._batch(utterances, self.dev_features, self.dev_ali)

    def _batch(self, utterances: list[str], features: SpeakerFeatures, alignments: Mapping) -> Batch:
        x, lengths = pad([features(utt) for utt in utterances])
        ids = [alignments[features.base[utt]] for utt in utterances]
        tables = (self.tid_pdf, self.tid_phone)  # padding is 0, so labels are one higher in between
        pdfs, phones = (pad([(t[i] - PADDING).astype(np.int64) for i in ids])[0] + PADDING for t in tables)
        return Batch(x, lengths, pdfs, phones)

    def sizes(self, batch: Batch) -> dict[str, int]:
        frames = int(batch.lengths.sum())
        return {"pdf": frames, "mono": frames}

    def forward(self, batch: Batch, epoch: int, share: Mapping[str, float] = WHOLE) -> dict[str, Tensor]:
        losses, _ = self._losses(self.masked(cut(batch, self.sequence(epoch))))
        return weighted(losses, {"pdf": 1.0, "mono": self.config.loss.mono_weight}, share)

    def sequence(self, epoch: int) -> int:
        """Frames of the pieces into which utterances are cut in an epoch (from 1); 0: they stay whole."""
        data = self.config.data
        if not data.first_sequence:
            return 0
        grown = data.first_sequence * 2 ** min(epoch - 1, 20)
        if data.max_sequence:
            return min(grown, data.max_sequence)
        return grown if grown < max(self.lengths.values()) else 0

    def _losses(self, batch: Batch) -> tuple[dict[str, Tensor], Tensor]:
        """Mean losses over the frames that are no padding, and how many pdfs are wrong."""
        pdf, phone = self.model(batch.features, batch.lengths)
        losses = {
            "pdf": F.nll_loss(pdf.float().flatten(0, 1), batch.pdfs.flatten(), ignore_index=PADDING),
            "mono": F.nll_loss(phone.float().flatten(0, 1), batch.phones.flatten(), ignore_index=PADDING),
        }
        wrong = ((pdf.argmax(2) != batch.pdfs) & (batch.pdfs != PADDING)).sum()
        return losses, wrong


def cut(batch: Batch, frames: int) -> Batch:
    """Utterances in pieces of at most so many frames; all frames stay. 0: as it is."""
    rows, longest = batch.pdfs.shape
    if not frames or longest <= frames:
        return batch
    pieces = math.ceil(longest / frames)
    tail = pieces * frames - longest
    starts = torch.arange(pieces, device=batch.lengths.device) * frames
    lengths = (batch.lengths[:, None] - starts).clamp(0, frames).flatten()  # (rows * pieces,)
    keep = lengths > 0

    def split(x: Tensor, value: int) -> Tensor:
        padding = (0, 0) * (x.ndim - 2) + (0, tail)
        return F.pad(x, padding, value=value).reshape(rows * pieces, frames, *x.shape[2:])[keep]

    return Batch(split(batch.features, 0), lengths[keep], split(batch.pdfs, PADDING), split(batch.phones, PADDING))
