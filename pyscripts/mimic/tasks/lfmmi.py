"""Acoustic model of a hybrid recogniser: lattice-free MMI of whole utterances, with alignments of a GMM-HMM."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
from torch import Tensor

from mimic.augment.specaugment import SpecAugmentConfig
from mimic.errors import UserError
from mimic.frontend.front_end import copy_options
from mimic.hmm.alignments import read_ali_dir
from mimic.hmm.chain import FACTOR, TOO_SHORT, Pdfs, PhoneStarts, phone_graph, phone_starts
from mimic.hmm.feats import SpeakerFeatures
from mimic.hmm.model import Model, write_tree
from mimic.inputs import split_paths
from mimic.io import atomic
from mimic.io.batching import pad
from mimic.losses.lfmmi import Denominator, Spans, lfmmi
from mimic.models.acoustic import mmi_network
from mimic.models.config import Config
from mimic.nets.acoustic import MmiNet
from mimic.nets.masking import valid_frames
from mimic.nets.tdnnf import Tdnnf
from mimic.tasks.asr_config import LfmmiData, LfmmiLoss
from mimic.tasks.hybrid import AlignedTask, usable
from mimic.training.task import WHOLE, leave_out, weighted

log = logging.getLogger(__name__)


class Batch(NamedTuple):
    """Padded features (batch, frames, dim) and lengths (batch,); the rest as in mimic.losses.lfmmi.Spans."""

    features: Tensor
    lengths: Tensor
    pdfs: Tensor
    first: Tensor
    last: Tensor
    counts: Tensor


class LfmmiTask(AlignedTask):
    MAIN = "lfmmi"
    SECTIONS = {"data": LfmmiData, "augment": SpecAugmentConfig, "loss": LfmmiLoss}
    METRICS = {"loss": "min", "err": "min"}

    model: MmiNet

    def __init__(self, config: Config, directory: Path):
        super().__init__()
        self.config, data = config, config.data
        train = [Path(name) for name in split_paths(data.train, " ") if name]
        copy_options(train[0], directory)
        hmm = Model.read(Path(data.tree) / "final.mdl")
        factor = int((Path(data.tree) / FACTOR).read_text())
        self.pdfs = Pdfs(hmm)
        hmm.write(directory / "final.mdl")
        write_tree(hmm.tree, directory / "tree")
        with atomic.replace(directory / FACTOR) as f:
            f.write(f"{factor}\n")
        self.features = SpeakerFeatures(train, data.norm_vars)
        self.dev_features = SpeakerFeatures([Path(data.dev)], data.norm_vars)
        self.lengths, self.phones, skipped = _phone_starts(self.features, Path(data.train_ali), factor)
        leave_out(skipped, len(self.features.lengths), data.max_skip, directory)
        self.dev_lengths, self.dev_phones, _ = _phone_starts(self.dev_features, Path(data.dev_ali), factor)
        if not self.lengths or not self.dev_lengths:
            raise UserError("no utterance has both features and an alignment: are these directories of the same data?")
        sequences = [self.phones[utt].phones for utt in sorted({self.features.base[utt] for utt in self.lengths})]
        graph = phone_graph(sequences, data.phone_order, self.pdfs)
        self.denominator = Denominator(graph, hmm.transitions.num_pdfs)
        self.model = mmi_network(config, self.features.dim, hmm.transitions.num_pdfs)
        if self.model.subsampling != factor:
            raise UserError(
                f"--data.tree {data.tree}: of {factor} frames at once, but {config.net} gives an output for "
                f"{self.model.subsampling}: give steps/build_tree.sh --frame-subsampling-factor that number"
            )
        size = sum(p.numel() for p in self.model.parameters())
        log.info("%d parameters, %d pdfs", size, hmm.transitions.num_pdfs)
        log.info("denominator: %d states, %d arcs", len(graph.end), len(graph.prob))

    def load(self, utterances: list[str]) -> Batch:
        return self._batch(utterances, self.features, self.phones)

    def dev_batch(self, utterances: list[str]) -> Batch:
        return self._batch(utterances, self.dev_features, self.dev_phones)

    def _batch(self, utterances: list[str], features: SpeakerFeatures, starts: Mapping[str, PhoneStarts]) -> Batch:
        x, lengths = pad([features(utt) for utt in utterances])
        rows, more = [starts[features.base[utt]] for utt in utterances], self.config.data.tolerance
        ends = [np.append(row.starts[1:], row.frames) for row in rows]
        pdfs, counts = pad([self.pdfs.of(row.phones) for row in rows])
        first, _ = pad([row.starts - more for row in rows])
        last, _ = pad([end + more for end in ends])
        return Batch(x, lengths, pdfs, first, last, counts)

    def sizes(self, batch: Batch) -> dict[str, int]:
        frames = int(self.model.frames(batch.lengths).sum())
        return {"lfmmi": frames, "xent": frames, "l2": frames}

    def forward(self, batch: Batch, epoch: int, share: Mapping[str, float] = WHOLE) -> dict[str, Tensor]:
        if isinstance(self.model.body, Tdnnf):
            self.model.body.constrain()
        losses, _ = self._losses(self.masked(batch))
        loss = self.config.loss
        return weighted(losses, {"lfmmi": 1.0, "xent": loss.xent_weight, "l2": loss.l2_weight}, share)

    def _losses(self, batch: Batch) -> tuple[dict[str, Tensor], Tensor]:
        """Mean losses over the output frames, and how many frames' pdfs are not what the transcript says."""
        outputs, log_posteriors, lengths = self.model(batch.features, batch.lengths)
        spans = Spans(batch.pdfs, batch.first, batch.last, batch.counts)
        worse, posteriors = lfmmi(outputs, lengths, spans, self.denominator)
        frames = lengths.sum()
        losses = {
            "lfmmi": worse / frames,
            "xent": -(posteriors * log_posteriors).sum() / frames,
            "l2": outputs.square().sum() / frames,
        }
        wrong = (log_posteriors.argmax(2) != posteriors.argmax(2)) & valid_frames(lengths, outputs.shape[1])
        return losses, wrong.sum()


def _phone_starts(
    features: SpeakerFeatures, ali_dir: Path, factor: int
) -> tuple[dict[str, int], dict[str, PhoneStarts], dict[str, str]]:
    """{utterance: frames} of those that can be used, phones of their ids in the alignments, and what is left out."""
    model, alignments = Model.read(ali_dir / "final.mdl"), read_ali_dir(ali_dir)
    lengths, skipped = usable(features, alignments)
    found = {
        utt: phone_starts(model, alignments[utt], factor) for utt in sorted({features.base[utt] for utt in lengths})
    }
    skipped |= {utt: TOO_SHORT for utt in lengths if found[features.base[utt]] is None}
    kept = {utt: frames for utt, frames in lengths.items() if utt not in skipped}
    return kept, {utt: phones for utt, phones in found.items() if phones is not None}, skipped
