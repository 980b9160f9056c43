"""Recogniser with CTC, attention or both: the perceptual model (phones on clean STFT), robust ASR, Deep Speech 2."""

import logging
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import kaldialign
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mimic.augment.augmenter import Augmentation
from mimic.augment.specaugment import SpecAugmentConfig, spec_augment
from mimic.decoding.attention.beam_search import search
from mimic.decoding.config import DecodeConfig
from mimic.decoding.ctc.prefix import greedy
from mimic.errors import UserError
from mimic.frontend.cmvn import Cmvn
from mimic.io import archives, feature_dir
from mimic.io.batching import make_batches, pad, prefetch, to_device
from mimic.io.tables import read_frames, read_text, write_skipped
from mimic.io.tokens import BOS, EOS, UNK, Tokens
from mimic.losses import ctc
from mimic.models import trained
from mimic.models.config import Config
from mimic.models.recogniser import network
from mimic.nets.attention_decoder import DecoderConfig
from mimic.nets.masking import valid_frames
from mimic.nets.recogniser import RecogniserNet
from mimic.tasks.asr_config import AsrData, AsrLoss
from mimic.tasks.augmented import AugmentedFeatures
from mimic.tasks.common import check_texts, copy_feature_options, leave_out
from mimic.tasks.start import check_start, start_from
from mimic.training import parallel
from mimic.training.task import WHOLE, Task, weighted

log = logging.getLogger(__name__)


class Batch(NamedTuple):
    """Padded features (batch, frames, bins), token ids (batch, length), and the lengths of both."""

    features: Tensor
    lengths: Tensor
    tokens: Tensor
    token_lengths: Tensor


class AsrTask(Task):
    SECTIONS = {
        "decoder": DecoderConfig,
        "data": AsrData,
        "augment": SpecAugmentConfig,
        "waveform_augment": Augmentation,
        "loss": AsrLoss,
        "decode": DecodeConfig,
    }
    METRICS = {"loss": "min", "ter": "min", "wer": "min"}

    def __init__(self, config: Config, directory: Path):
        super().__init__()
        self.config, data = config, config.data
        self.epoch = 1
        self.text = "text.phn" if data.token_type == "phn" else "text"
        train = Path(data.train)
        self.open_data(directory)
        texts = read_text(train / self.text)
        if data.init:
            check_start(config, directory)
            self.tokens = Tokens.load(Path(data.init), data.token_type)
        else:
            letters = [data.alphabet] if data.token_type == "char" else []
            self.tokens = Tokens.build(data.token_type, [*texts.values(), *letters], data.vocabulary)
        self.tokens.save(directory)
        self.model = self.recogniser = self._initial()
        self.lengths, self.targets, skipped = self._usable(train, texts)
        leave_out(skipped, len(texts), data.max_skip, directory)
        self.dev_lengths = self.frames(Path(data.dev))
        self.dev_texts = read_text(Path(data.dev) / self.text)
        check_texts(Path(data.dev) / self.text, self.dev_texts, self.dev_lengths)
        self.targets |= self._dev_targets(directory)

    def open_data(self, directory: Path) -> None:
        """Find the training and the development set; keep their feature options in the experiment directory."""
        train, dev = Path(self.config.data.train), Path(self.config.data.dev)
        copy_feature_options(train, directory)
        self.features = feature_dir.read(train)[0] | feature_dir.read(dev)[0]
        self.augmented = None
        if self.config.waveform_augment.active or self.config.data.noises or self.config.data.rirs:
            self.augmented = AugmentedFeatures(self.config, directory)

    def frames(self, directory: Path) -> dict[str, int]:
        """Length of each utterance of a set, in frames."""
        return read_frames(directory)

    def _initial(self) -> RecogniserNet:
        """The recogniser before training: new, or with the weights of `data.init`."""
        if not self.config.data.init:
            return network(self.config, self._normaliser(), len(self.tokens))
        init = Path(self.config.data.init)
        state = trained.read_weights(init)
        bins = trained.size(state, "normaliser.mean", init, self.config)
        outputs = trained.size(state, "ctc.weight", init, self.config)
        trained.check_count(init, outputs, "tokens.txt", len(self.tokens), "tokens")
        net = network(self.config, Cmvn(bins), outputs)
        start_from(net, state, init)
        if self.config.data.init_features == "other":
            net.normaliser = self._normaliser()
        return net

    def _normaliser(self) -> Cmvn:
        """By the statistics of the training set, (2, bins + 1)."""
        stats = feature_dir.read_global(Path(self.config.data.train))
        return Cmvn(stats.shape[1] - 1) if self.config.data.normalise == "none" else Cmvn(stats, norm_vars=True)

    def begin_epoch(self, epoch: int) -> None:
        super().begin_epoch(epoch)
        self.epoch = epoch

    def frozen(self, epoch: int) -> list[nn.Module]:
        data = self.config.data
        return [self.recogniser.encoder] if data.init and epoch < data.unfreeze_epoch else []

    def _usable(
        self, train: Path, texts: dict[str, str]
    ) -> tuple[dict[str, int], dict[str, list[int]], dict[str, str]]:
        """Frames and tokens of the utterances that CTC can align, and the reasons why others are left out."""
        lengths, targets, skipped = self.frames(train), {}, {}
        for utt, text in texts.items():
            tokens = self.tokens.encode(text)
            if utt not in lengths:
                skipped[utt] = "no features"
            elif not tokens:
                skipped[utt] = "empty transcript"
            elif what := ctc.too_long(tokens, self.recogniser.encoder.output_lengths(lengths[utt])):
                skipped[utt] = what
            else:
                targets[utt] = tokens
        if skipped:
            log.warning("%d of %d training utterances left out, see skipped.tsv", len(skipped), len(texts))
        self._check_spelling(targets, texts)
        return {utt: lengths[utt] for utt in targets}, targets, skipped

    def _check_spelling(self, targets: dict[str, list[int]], texts: dict[str, str]) -> None:
        """UserError where another recogniser's tokens do not spell these transcripts."""
        data, total = self.config.data, sum(map(len, targets.values()))
        unknown = {utt: tokens.count(UNK) for utt, tokens in targets.items() if UNK in tokens}
        if data.init and sum(unknown.values()) > data.max_unknown * total:
            utt = min(unknown)
            raise UserError(
                f"{data.train}: {sum(unknown.values())} of {total} tokens are <unk>, more than --data.max_unknown "
                f"{data.max_unknown}: spell as {data.init} does (case, punctuation), unlike {utt}: {texts[utt]}"
            )

    def _dev_targets(self, directory: Path) -> dict[str, list[int]]:
        """Tokens of the development set. What CTC cannot align there is decoded and counted all the same."""
        targets = {utt: self.tokens.encode(text) for utt, text in self.dev_texts.items()}
        frames = {utt: self.recogniser.encoder.output_lengths(frames) for utt, frames in self.dev_lengths.items()}
        if short := {utt: why for utt in targets.keys() & frames if (why := ctc.too_long(targets[utt], frames[utt]))}:
            write_skipped(directory / "unaligned_dev.tsv", short)
            line = "%d of %d development utterances count 0 in the CTC loss, see unaligned_dev.tsv"
            log.warning(line, len(short), len(frames))
        return targets

    def stream(self, utterances: list[str]) -> None:
        archives.read_ahead(self.features[utt] for utt in utterances)

    def load(self, utterances: list[str]) -> Any:  # a Batch here; joint training has another
        features, lengths = pad([self._features(utt) for utt in utterances])
        tokens, token_lengths = pad([np.array(self.targets[utt], dtype=np.int64) for utt in utterances])
        return Batch(features, lengths, tokens, token_lengths)

    def _features(self, utt: str) -> np.ndarray:
        """Features (frames, bins) of an utterance, which sounds different in each epoch of training."""
        if self.augmented and self.model.training:
            return self.augmented(utt, self.epoch)
        return feature_dir.load(self.features[utt], utt, self.lengths.get(utt) or self.dev_lengths[utt])

    def recogniser_batch(self, batch: Any) -> Batch:
        """What the recogniser is given of a loaded batch."""
        return batch

    def sizes(self, batch: Any) -> dict[str, int]:
        return {"ctc": len(batch.tokens), "attention": int((batch.token_lengths + 1).sum())}

    def forward(self, batch: Any, epoch: int, share: Mapping[str, float] = WHOLE) -> dict[str, Tensor]:
        results = weighted(*self.recognition_losses(batch, epoch), share)
        if self.augmented and self.model.training:  # faster speech has fewer frames
            results["unaligned"] = self._short(batch) * share["ctc"]
        return results

    def _short(self, batch: Batch) -> Tensor:
        """Share of the utterances that have fewer frames than CTC needs: their loss counts 0."""
        frames = self.recogniser.encoder.output_lengths(batch.lengths)
        return (frames < ctc.frames_needed(batch.tokens, batch.token_lengths)).float().mean()

    def recognition_losses(self, batch: Batch, epoch: int) -> tuple[dict[str, Tensor], dict[str, float]]:
        """The parts of the loss, and their weights."""
        loss = self.config.loss
        features = batch.features
        if self.model.training:
            features = spec_augment(features, batch.lengths, self.recogniser.normaliser.mean, self.config.augment)
        encoded, lengths, log_probs = self.recogniser.encode(features, batch.lengths)
        losses = {}
        if loss.ctc_weight > 0 and (loss.ctc_epochs < 0 or epoch < loss.ctc_epochs):
            losses["ctc"] = ctc.loss(log_probs, lengths, batch.tokens, batch.token_lengths)
        if loss.attention_weight > 0:
            losses["attention"] = self._attention_loss(encoded, lengths, batch)
        return losses, {"ctc": loss.ctc_weight, "attention": loss.attention_weight}

    def _attention_loss(self, encoded: Tensor, lengths: Tensor, batch: Batch) -> Tensor:
        """Cross entropy per token with label smoothing, averaged over the real tokens and the sentence end."""
        rows = torch.arange(len(batch.tokens), device=encoded.device)
        previous = F.pad(batch.tokens, (1, 0), value=BOS)
        target = F.pad(batch.tokens, (0, 1))
        target[rows, batch.token_lengths] = EOS
        assert self.recogniser.decoder is not None  # there is one where its loss has a weight
        log_probs = self.recogniser.decoder(encoded, lengths, previous)  # (batch, length + 1, tokens)
        smoothing = self.config.loss.label_smoothing
        likelihood = log_probs.gather(2, target.unsqueeze(2)).squeeze(2)
        smoothed = (1 - smoothing) * likelihood + smoothing * log_probs.mean(2)
        return -smoothed[valid_frames(batch.token_lengths + 1, target.shape[1])].mean()

    @torch.inference_mode()
    def validate(self) -> dict[str, float]:
        """Loss per batch, token and word error rates (percent) with a narrow beam."""
        config = replace(self.config.decode, beam=self.config.decode.valid_beam, nbest=1)
        results: dict[int, tuple[float, dict[str, list[int]]]] = {}
        train = self.config.train
        batches = make_batches(self.dev_lengths, train.batch_size, train.max_frames, "ascending", 0, 0)
        numbers = parallel.shard(range(len(batches)))
        device = self.recogniser.ctc.weight.device
        for number, cpu_batch in zip(numbers, prefetch(lambda n: self.load(batches[n]), numbers), strict=True):
            batch = to_device(cpu_batch, device)
            # Not an epoch's number but one at which every loss that is still in use counts.
            loss = float(self(batch, train.epochs)["loss"])
            decoded = self.decode(self.recogniser, self.recogniser_batch(batch), config)
            results[number] = loss, dict(zip(batches[number], decoded, strict=True))
        losses, parts = zip(*parallel.all_gather(results), strict=True)
        weights = [len(part) for part in parts]
        hypotheses = {utt: ids for part in parts for utt, ids in part.items()}
        tokens = [kaldialign.edit_distance(self.targets[utt], ids) for utt, ids in hypotheses.items()]
        words = [
            kaldialign.edit_distance(self.dev_texts[utt].split(), self.tokens.decode(ids).split())
            for utt, ids in hypotheses.items()
        ]
        return {
            "loss": float(np.average(losses, weights=weights)),
            "ter": 100 * sum(t["total"] for t in tokens) / sum(len(self.targets[utt]) for utt in hypotheses),
            "wer": 100 * sum(w["total"] for w in words) / sum(len(self.dev_texts[utt].split()) for utt in hypotheses),
        }

    @staticmethod
    def decode(model: RecogniserNet, batch: Batch, config: DecodeConfig) -> list[list[int]]:
        """Token ids of the best hypothesis of each utterance."""
        encoded, lengths, log_probs = model.encode(batch.features, batch.lengths)
        if model.decoder is None or (config.ctc_weight == 1 and config.beam == 1):
            return greedy(log_probs, lengths)
        results = search(model.decoder, encoded, lengths, log_probs, config)
        return [best[0].tokens if best else [] for best in results]
