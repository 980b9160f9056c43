"""A trained recogniser for recordings of any rate and length: words with times and confidences."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import soxr
import torch
from torch import Tensor
from torchaudio.functional import forced_align, merge_tokens

from mimic.data.audio import AudioReader
from mimic.data.batching import pad
from mimic.data.tokens import BLANK, Tokens
from mimic.decode import fusion
from mimic.decode.beam_search import search
from mimic.errors import UserError
from mimic.features.fbank import Fbank, FbankConfig
from mimic.tasks.asr import AsrTask
from mimic.tasks.task import OPTIONS
from mimic.train import config as configuration
from mimic.use.speech import Levels, segments

BLOCK_S = 10.0
GAP_S = 0.1  # CTC marks a token by a short peak: a word lasts this much longer on either side, where there is room


@dataclass(frozen=True)
class Word:
    """Seconds from the beginning of the recording; confidence from 0 to 1."""

    word: str
    start: float
    end: float
    confidence: float


@dataclass(frozen=True)
class Segment:
    """A stretch of speech and the words in it."""

    start: float
    end: float
    words: list[Word]

    @property
    def text(self) -> str:
        return " ".join(word.word for word in self.words)


class Transcriber:
    """Recognises stretches of speech.

    Args:
        directory: of a trained recogniser.
        overrides: `--decode.key value` words.
        longest: seconds of the longest stretch; longer recordings are cut by voice activity.
        batch: stretches recognised at once.

    Raises UserError for the directory of something else, or one without the CTC output that gives the times.
    """

    def __init__(
        self, directory: Path, overrides: Sequence[str] = (), device: str = "cpu", longest: float = 15.0, batch: int = 8
    ):
        config = configuration.read(directory / "config.yaml", list(overrides))
        if config.task == "joint":
            raise UserError(f"{directory}: enhancer and recogniser in one: give {directory / 'recogniser'}")
        if config.task != "asr":
            raise UserError(f"{directory}: a model of task {config.task}, not a recogniser: give one, as exp/asr_clean")
        if config.data.token_type == "phn":
            raise UserError(f"{directory}: recognises phones, not words: give a recogniser, as exp/asr_clean")
        if not longest >= 1:
            raise UserError(f"--max-seconds {longest:g}: at least 1")
        self.fbank = Fbank(FbankConfig.read(directory / OPTIONS)).to(device)
        self.model, self.tokens = AsrTask.build(config, directory)
        self.model.to(device)
        self.decode = replace(config.decode, nbest=1)
        self.models = fusion.load(self.decode, self.tokens, device)
        self.rate, self.longest, self.batch, self.device = self.fbank.rate, longest, batch, torch.device(device)

    def __call__(self, reader: AudioReader, name: str) -> Iterator[Segment]:
        """The recording `name` of a reader, stretch by stretch; of several channels it hears the mean."""
        info = reader.info(name)
        parts = [(0.0, info.seconds)]
        if info.seconds > self.longest:
            levels = Levels(info.rate)
            for block in reader.blocks(name, round(BLOCK_S * info.rate)):
                levels.add(block.mean(1))
            parts = segments(levels.finish(), self.longest)
        for first in range(0, len(parts), self.batch):
            group = parts[first : first + self.batch]
            waves = [self._read(reader, name, *part) for part in group]
            for (start, end), words in zip(group, self.recognise(waves), strict=True):
                yield Segment(start, end, [replace(w, start=start + w.start, end=start + w.end) for w in words])

    def _read(self, reader: AudioReader, name: str, start: float, end: float) -> np.ndarray:
        """Samples (samples,) at the model's rate."""
        info = reader.info(name)
        span = round(start * info.rate), min(round(end * info.rate), info.frames)
        blocks = reader.blocks(name, max(1, span[1] - span[0]), *span)
        x = np.concatenate([block.mean(1) for block in blocks])
        return x if info.rate == self.rate else soxr.resample(x, info.rate, self.rate, quality="HQ")

    @torch.inference_mode()
    def recognise(self, waves: Sequence[np.ndarray]) -> list[list[Word]]:
        """Words of each wave (samples,) at the model's rate; what is too short or silent has none."""
        results: list[list[Word]] = [[] for _ in waves]
        heard = [i for i, x in enumerate(waves) if self._long_enough(len(x)) and np.abs(x).max() > 1e-5]
        if not heard:
            return results
        features, lengths = pad([self.fbank(torch.from_numpy(waves[i]).to(self.device)).cpu().numpy() for i in heard])
        encoded, frames, ctc = self.model.encode(features.to(self.device), lengths.to(self.device))
        best = search(self.model.decoder, encoded, frames, ctc, self.decode, self.models)
        for row, i in enumerate(heard):
            if best[row]:
                shift = self.fbank.frame_shift_s * float(lengths[row]) / float(frames[row])
                seconds = len(waves[i]) / self.rate
                results[i] = align(best[row][0].tokens, ctc[row, : frames[row]].cpu(), self.tokens, shift, seconds)
        return results

    def _long_enough(self, samples: int) -> bool:
        frames = self.fbank.num_frames(samples)
        return frames > 0 and self.model.encoder.output_lengths(frames) > 0


def align(ids: Sequence[int], log_probs: Tensor, tokens: Tokens, shift: float, seconds: float) -> list[Word]:
    """Words of recognised tokens, with the times at which the CTC output (frames, tokens) has them.

    shift: seconds from frame to frame; seconds: how long all lasts. The confidence of a word is the geometric mean of
    its tokens' probabilities at their frames. Where there are more tokens than frames, words share the time evenly,
    with confidence 0.
    """
    words = tokens.words(ids)
    if not words:
        return []
    needed = len(ids) + sum(a == b for a, b in zip(ids, ids[1:], strict=False))
    if needed > len(log_probs):
        step = seconds / len(words)
        return [Word(word, i * step, (i + 1) * step, 0.0) for i, (word, _) in enumerate(words)]
    path, scores = forced_align(log_probs[None].float(), torch.tensor([list(ids)], dtype=torch.int32), blank=BLANK)
    spans = merge_tokens(path[0], scores[0], BLANK)
    limits = [(spans[of[0]].start * shift, spans[of[-1]].end * shift) for _, of in words]
    found = []
    for i, (word, of) in enumerate(words):
        start, end = limits[i]
        before = (limits[i - 1][1] + start) / 2 if i else 0.0
        after = (limits[i + 1][0] + end) / 2 if i + 1 < len(words) else seconds
        confidence = float(np.exp(np.mean([spans[k].score for k in of])))
        found.append(Word(word, max(before, start - GAP_S), min(after, end + GAP_S, seconds), confidence))
    return found
