"""A trained recogniser for recordings of any rate and length: words with times and confidences."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import soxr
import torch

from mimic.decoding.ctc.times import Word
from mimic.decoding.decoder import Searcher, load
from mimic.deploy.speech import Levels, mono, segments
from mimic.errors import UserError
from mimic.frontend.feature_config import OPTIONS
from mimic.frontend.front_end import front_end
from mimic.io.audio import AudioReader
from mimic.io.batching import pad

BLOCK_S = 10.0


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
        model, self.tokens, decode = load(directory, list(overrides))
        if self.tokens.kind == "phn" and decode.search != "lexicon":
            raise UserError(f"{directory}: recognises phones, not words: give a recogniser, as exp/asr_clean")
        if not longest >= 1:
            raise UserError(f"--max-seconds {longest:g}: at least 1")
        self.features = front_end(directory / OPTIONS).to(device)
        self.searcher = Searcher(model.to(device), self.tokens, decode, device)
        self.rate, self.longest, self.batch, self.device = self.features.rate, longest, batch, torch.device(device)

    def __call__(self, reader: AudioReader, name: str) -> Iterator[Segment]:
        """The recording `name` of a reader, stretch by stretch; of several channels their mean, or the loudest where
        they cancel each other."""
        info = reader.info(name)
        parts = [(0.0, info.seconds)]
        if info.seconds > self.longest:
            levels = Levels(info.rate)
            for block in reader.blocks(name, round(BLOCK_S * info.rate)):
                levels.add(mono(block))
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
        x = np.concatenate([mono(block) for block in blocks])
        return x if info.rate == self.rate else soxr.resample(x, info.rate, self.rate, quality="HQ")

    @torch.inference_mode()
    def recognise(self, waves: Sequence[np.ndarray]) -> list[list[Word]]:
        """Words of each wave (samples,) at the model's rate; what is too short or silent has none."""
        results: list[list[Word]] = [[] for _ in waves]
        heard = [i for i, x in enumerate(waves) if self._long_enough(len(x)) and np.abs(x).max() > 1e-5]
        if not heard:
            return results
        signals = [torch.from_numpy(waves[i]).to(self.device) for i in heard]
        features, lengths = pad([self.features(signal).cpu().numpy() for signal in signals])
        found = self.searcher(features, lengths, self.features.frame_shift_s)
        for i, hypotheses in zip(heard, found, strict=True):
            seconds = len(waves[i]) / self.rate  # features may have a frame at the very end
            words = hypotheses[0].words if hypotheses else []
            results[i] = [replace(word, end=min(word.end, seconds)) for word in words if word.start < seconds]
        return results

    def _long_enough(self, samples: int) -> bool:
        frames = self.features.num_frames(samples)
        return frames > 0 and self.searcher.model.encoder.output_lengths(frames) > 0
