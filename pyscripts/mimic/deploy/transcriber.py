"""A trained recogniser for recordings of any rate and length, read from files piece by piece."""

from collections.abc import Iterator
from functools import partial

import numpy as np

from mimic.errors import UserError
from mimic.frontend.voice_activity import Levels, mono, segments
from mimic.io.audio import AudioReader
from mimic.io.resampling import resample
from mimic.models.recogniser import BATCH, LONGEST_S, Recogniser, Segment

BLOCK_S = 10.0


class Transcriber:
    """Recognises the speech of recordings.

    Args:
        recogniser: one of words, or of phones with a lexicon.
        longest: seconds of the longest segment; longer recordings are cut by voice activity.
        batch: segments recognised at once.

    Raises UserError for a recogniser of phones.
    """

    def __init__(self, recogniser: Recogniser, longest: float = LONGEST_S, batch: int = BATCH):
        if recogniser.tokens.token_type == "phn" and recogniser.config.decode.search != "lexicon":
            raise UserError("this model recognises phones, not words: give a recogniser of words, as exp/asr_clean")
        if not longest >= 1:
            raise UserError(f"--max-seconds {longest:g}: at least 1")
        self.recogniser, self.longest, self.batch = recogniser, longest, batch
        self.decoder, self.front = recogniser.decoder, recogniser.front  # an error now if they do not fit

    def __call__(self, reader: AudioReader, name: str) -> Iterator[Segment]:
        """The recording `name` of a reader, segment by segment; of several channels their mean, or the loudest where
        they cancel each other."""
        info = reader.info(name)
        parts = [(0.0, info.seconds)]
        if info.seconds > self.longest:
            levels = Levels(info.rate)
            for block in reader.blocks(name, round(BLOCK_S * info.rate)):
                levels.add(mono(block))
            parts = segments(levels.finish(), self.longest)
        return self.recogniser.recognise_segments(parts, partial(self._read, reader, name), self.batch)

    def _read(self, reader: AudioReader, name: str, start: float, end: float) -> np.ndarray:
        """Samples (samples,) at the model's rate."""
        info = reader.info(name)
        span = round(start * info.rate), min(round(end * info.rate), info.frames)
        blocks = reader.blocks(name, max(1, span[1] - span[0]), *span)
        return resample(np.concatenate([mono(block) for block in blocks]), info.rate, self.recogniser.rate)
