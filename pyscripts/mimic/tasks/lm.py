"""Language model over the tokens of a recogniser, trained on text."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from mimic.errors import UserError
from mimic.io.batching import make_batches, pad, prefetch, to_device
from mimic.io.lines import read_lines
from mimic.io.tables import read_text
from mimic.io.text import composed
from mimic.io.tokens import BLANK, BOS, EOS, UNK, Tokens
from mimic.models.config import Config
from mimic.models.language_model import LanguageModel, network
from mimic.tasks.asr_config import LmData
from mimic.tasks.start import differs, start_from
from mimic.training import parallel
from mimic.training.task import WHOLE, Task

log = logging.getLogger(__name__)


class Batch(NamedTuple):
    """Token ids (batch, length), padded with <blank>, and lengths (batch,)."""

    tokens: Tensor
    lengths: Tensor


class LmTask(Task):
    SECTIONS = {"data": LmData}
    METRICS = {"loss": "min", "ppl": "min"}

    model: Any  # a network of mimic.nets.LMS

    def __init__(self, config: Config, directory: Path):
        super().__init__()
        self.config, data = config, config.data
        train, dev = (_texts(Path(path), data.token_type) for path in (data.train, data.dev))
        initial = _initial(config) if data.init else None
        if initial:
            self.tokens = initial.tokens
        elif data.tokens:
            self.tokens = Tokens.load(Path(data.tokens), data.token_type)
        else:
            self.tokens = Tokens.build(data.token_type, train.values(), data.vocabulary)
        self.tokens.save(directory)
        self.model = network(config, len(self.tokens))
        if initial:
            start_from(self.model, initial.net.state_dict(), Path(data.init))
        self.sentences, self.lengths = self._encoded(train, data.train, "train")
        dev_sentences, self.dev_lengths = self._encoded(dev, data.dev, "dev")
        self.sentences |= dev_sentences

    def _encoded(self, texts: dict[str, str], path: str, name: str) -> tuple[dict[str, np.ndarray], dict[str, int]]:
        """Tokens of the sentences of `path`, and how many predictions they ask for, the end included."""
        sentences = {f"{name} {key}": np.array(self.tokens.encode(text), np.int32) for key, text in texts.items()}
        total = sum(map(len, sentences.values()))
        unknown = sum(int((ids == UNK).sum()) for ids in sentences.values())
        log.info("%s: %d sentences, %d tokens, %d <unk>", path, len(sentences), total, unknown)
        if not total:
            raise UserError(f"{path}: no text: give --data.{name} sentences")
        if unknown > self.config.data.max_unknown * total:
            tokens = self.config.data.init or self.config.data.tokens
            spelling = f"the model in {tokens}" if tokens else self.config.data.train
            raise UserError(
                f"{path}: {unknown} of {total} tokens are <unk>, more than --data.max_unknown "
                f"{self.config.data.max_unknown}: write the text as {spelling} does (case, punctuation), and check "
                "--data.token_type"
            )
        return sentences, {key: len(ids) + 1 for key, ids in sentences.items()}

    def load(self, utterances: list[str]) -> Batch:
        tokens, lengths = pad([self.sentences[key] for key in utterances])
        return Batch(tokens.long(), lengths)

    def sizes(self, batch: Batch) -> dict[str, int]:
        return {"loss": int((batch.lengths + 1).sum())}

    def forward(self, batch: Batch, epoch: int, share: Mapping[str, float] = WHOLE) -> dict[str, Tensor]:
        return {"loss": share["loss"] * self._negative_log_prob(batch) / (batch.lengths + 1).sum()}

    def _negative_log_prob(self, batch: Batch) -> Tensor:
        """Sum of the negative log-probabilities of all tokens and sentence ends."""
        previous = F.pad(batch.tokens, (1, 0), value=BOS)
        target = F.pad(batch.tokens, (0, 1), value=BLANK)
        target[torch.arange(len(target), device=target.device), batch.lengths] = EOS
        log_probs = self.model(previous)  # (batch, length + 1, tokens)
        return F.nll_loss(log_probs.flatten(0, 1), target.flatten(), ignore_index=BLANK, reduction="sum")

    @torch.inference_mode()
    def validate(self) -> dict[str, float]:
        """Mean negative log-probability of a token, sentence ends included, and its exponential, the perplexity."""
        device = self.model.output.weight.device
        train = self.config.train
        batches = make_batches(self.dev_lengths, train.batch_size, train.max_frames, "ascending", 0, 0)
        numbers = parallel.shard(range(len(batches)))
        sums: dict[int, float] = {}
        for number, batch in zip(numbers, prefetch(lambda n: self.load(batches[n]), numbers), strict=True):
            sums[number] = float(self._negative_log_prob(to_device(batch, device)))
        loss = sum(parallel.all_gather(sums)) / sum(self.dev_lengths.values())
        return {"loss": loss, "ppl": float(np.exp(loss))}


def _initial(config: Config) -> LanguageModel:
    """The language model that `data.init` names. Raises UserError where it is none, or where its tokens are others."""
    data, init = config.data, Path(config.data.init)
    if data.tokens:
        raise UserError(f"--data.tokens {data.tokens} and --data.init {init}: both name tokens; give one")
    initial = LanguageModel.load(init)
    if (there := initial.config.data.token_type) != data.token_type:
        raise differs(init, "data.token_type", there, data.token_type, f"give --data.token_type {there}")
    return initial


def _texts(path: Path, token_type: str) -> dict[str, str]:
    """Sentences that are not empty, by line number or utterance."""
    if path.is_dir():
        texts = read_text(path / ("text.phn" if token_type == "phn" else "text"))
    else:
        lines = read_lines(path, "text file or data directory")
        texts = {f"line {number:09d}": composed(line).strip() for number, line in lines}
    return {key: text for key, text in texts.items() if text}
