"""Recogniser with CTC, attention or both: the perceptual model (phones on clean STFT), robust ASR, Deep Speech 2.

The way of a batch: `load`, `recognition_losses`, and on the development set `decode`. Transcripts, tokens and
noise in every epoch are in `asr_data`, starting from another recogniser in `start`; joint training (`joint`) puts an
enhancer before all of it.
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mimic.augment.augmenter import Augmentation
from mimic.augment.specaugment import SpecAugmentConfig, spec_augment
from mimic.decoding.attention.beam_search import search
from mimic.decoding.config import DecodeConfig
from mimic.decoding.ctc.prefix import greedy
from mimic.frontend.front_end import copy_options
from mimic.io import archives, feature_dir
from mimic.io.batching import make_batches, pad, prefetch, to_device
from mimic.io.tables import read_frames, read_text
from mimic.io.tokens import BOS, EOS
from mimic.losses import ctc
from mimic.models.config import Config
from mimic.nets.attention_decoder import DecoderConfig
from mimic.nets.masking import valid_frames
from mimic.nets.recogniser import RecogniserNet
from mimic.tasks.asr_config import AsrData, AsrLoss
from mimic.tasks.asr_data import Aligned, AugmentedFeatures, check_texts, error_rates, make_tokens, table_of
from mimic.tasks.start import check_start, initial_recogniser
from mimic.training import parallel
from mimic.training.task import WHOLE, Task, weighted


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
        self.open_data(directory)
        if data.init:
            check_start(config, directory)
        texts = read_text(table_of(config, data.train))
        self.tokens = make_tokens(config, texts, directory)
        self.model = self.recogniser = initial_recogniser(config, self.tokens)

        frames, self.dev_lengths = self.frames(Path(data.train)), self.frames(Path(data.dev))
        aligned = Aligned(config, self.tokens, self.recogniser.encoder.output_lengths, directory)
        self.targets = aligned.training(texts, frames)
        self.lengths = {utt: frames[utt] for utt in self.targets}
        self.dev_texts = read_text(table_of(config, data.dev))
        check_texts(table_of(config, data.dev), self.dev_texts, self.dev_lengths)
        self.targets |= aligned.development(self.dev_texts, self.dev_lengths)

    def open_data(self, directory: Path) -> None:
        """Find the training and the development set; keep their feature options in the experiment directory."""
        train, dev = Path(self.config.data.train), Path(self.config.data.dev)
        copy_options(train, directory)
        self.features = feature_dir.read(train)[0] | feature_dir.read(dev)[0]
        self.augmented = None
        if self.config.waveform_augment.active or self.config.data.noises or self.config.data.rirs:
            self.augmented = AugmentedFeatures(self.config, directory)

    def frames(self, directory: Path) -> dict[str, int]:
        """Length of each utterance of a set, in frames."""
        return read_frames(directory)

    def load(self, utterances: list[str]) -> Any:  # a Batch here; joint training has another
        found = [self._features(utt) for utt in utterances]
        if self.augmented and self.model.training and self.config.waveform_augment.concat_original:
            found += [self._stored(utt) for utt in utterances]
            utterances = 2 * utterances
        features, lengths = pad(found)
        tokens, token_lengths = pad([np.array(self.targets[utt], dtype=np.int64) for utt in utterances])
        return Batch(features, lengths, tokens, token_lengths)

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

    def sizes(self, batch: Any) -> dict[str, int]:
        return {"ctc": len(batch.tokens), "attention": int((batch.token_lengths + 1).sum())}

    def forward(self, batch: Any, epoch: int, share: Mapping[str, float] = WHOLE) -> dict[str, Tensor]:
        results = weighted(*self.recognition_losses(batch, epoch), share)
        if self.augmented and self.model.training:  # faster speech has fewer frames
            results["unaligned"] = self._short(batch) * share["ctc"]
        return results

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
        loss = float(np.average(losses, weights=weights))
        return {"loss": loss} | error_rates(hypotheses, self.targets, self.dev_texts, self.tokens)

    @staticmethod
    def decode(model: RecogniserNet, batch: Batch, config: DecodeConfig) -> list[list[int]]:
        """Token ids of the best hypothesis of each utterance."""
        encoded, lengths, log_probs = model.encode(batch.features, batch.lengths)
        if model.decoder is None or (config.ctc_weight == 1 and config.beam == 1):
            return greedy(log_probs, lengths)
        results = search(model.decoder, encoded, lengths, log_probs, config)
        return [best[0].tokens if best else [] for best in results]

    # What goes beyond the plain way.

    def recogniser_batch(self, batch: Any) -> Batch:
        """What the recogniser is given of a loaded batch."""
        return batch

    def _features(self, utt: str) -> np.ndarray:
        """Features (frames, bins) of an utterance, which sounds different in each epoch of training."""
        if self.augmented and self.model.training:
            return self.augmented(utt, self.epoch)
        return self._stored(utt)

    def _stored(self, utt: str) -> np.ndarray:
        return feature_dir.load(self.features[utt], utt, self.lengths.get(utt) or self.dev_lengths[utt])

    def _short(self, batch: Batch) -> Tensor:
        """Share of the utterances that have fewer frames than CTC needs: their loss counts 0."""
        frames = self.recogniser.encoder.output_lengths(batch.lengths)
        return (frames < ctc.frames_needed(batch.tokens, batch.token_lengths)).float().mean()

    def stream(self, utterances: list[str]) -> None:
        archives.read_ahead(self.features[utt] for utt in utterances)

    def begin_epoch(self, epoch: int) -> None:
        super().begin_epoch(epoch)
        self.epoch = epoch

    def frozen(self, epoch: int) -> list[nn.Module]:
        data = self.config.data
        return [self.recogniser.encoder] if data.init and epoch < data.unfreeze_epoch else []
