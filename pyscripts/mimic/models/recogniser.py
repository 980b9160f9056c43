"""Trained recognisers: the perceptual model and robust speech recognition alike."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import torch

from mimic.decoding.ctc.times import Word
from mimic.decoding.decoder import EndToEndDecoder, choose
from mimic.errors import UserError
from mimic.frontend.cmvn import Cmvn
from mimic.frontend.front_end import FEATURE_CONFIG, FrontEnd, front_end
from mimic.frontend.voice_activity import Levels, mono, segments
from mimic.io.batching import pad
from mimic.io.resampling import resample
from mimic.io.tokens import MODEL as PIECES
from mimic.io.tokens import TABLE, Tokens
from mimic.models import trained
from mimic.models.config import Config
from mimic.models.trained import Trained
from mimic.nets import ENCODERS
from mimic.nets.graphs import Graph
from mimic.nets.recogniser import RecogniserNet

LONGEST_S = 15.0  # of a segment that is recognised in one go
BATCH = 8  # segments at once
SCALES = {"lm_scale": "lm", "ngram_lm_scale": "ngram", "rescore_weight": "rescore"}  # in the section decode


@dataclass(frozen=True)
class Segment:
    """A segment of speech and the words in it; times in seconds."""

    start: float
    end: float
    words: list[Word]

    @property
    def text(self) -> str:
        return " ".join(word.word for word in self.words)


def network(config: Config, normaliser: Cmvn, tokens: int) -> RecogniserNet:
    """The network before training, for features that `normaliser` takes, and so many tokens."""
    encoder, _ = ENCODERS[config.net]
    centred = config.data.normalise == "utterance"
    decoder = config.decoder if config.loss.attention_weight > 0 else None
    return RecogniserNet(encoder(len(normaliser.mean), config.model), normaliser, centred, tokens, decoder)


class Recogniser(Trained):
    """Says which words a waveform or features hold, by the search that `decode.*` of its configuration names."""

    TASKS = ("asr",)
    WHAT = "a recogniser: give one, as exp/asr_clean"
    FILES = (FEATURE_CONFIG, TABLE, PIECES)

    net: RecogniserNet

    def __init__(self, config: Config, net: RecogniserNet, tokens: Tokens, directory: Path):
        super().__init__(config, net, directory)
        self.tokens, self._options = tokens, directory / FEATURE_CONFIG

    @classmethod
    def load(cls, directory: str | Path, overrides: Iterable[str] = (), device: str = "cpu") -> "Recogniser":
        """As `Trained.load`. UserError, too, for the scale of a language model that is not given."""
        overrides = list(overrides)
        recogniser = super().load(directory, overrides, device)
        check_scales(overrides, recogniser.config)
        return recogniser

    @classmethod
    def from_directory(cls, config: Config, directory: Path) -> "Recogniser":
        state = trained.read_weights(directory)
        tokens = Tokens.load(directory, config.data.token_type)
        bins = trained.size(state, "normaliser.mean", directory, config)
        outputs = trained.size(state, "ctc.weight", directory, config)
        trained.check_count(directory, outputs, TABLE, len(tokens), "tokens")
        net = trained.fill(network(config, Cmvn(bins), outputs), state, directory, config)
        return cls(config, net, tokens, directory)

    @cached_property
    def front(self) -> FrontEnd:
        """What makes the features of a waveform, by the options beside the model."""
        return front_end(self._options).to(self.device)

    @property
    def rate(self) -> int:
        """Sampling rate of the front end, Hz. Signals of other rates are resampled."""
        return self.front.rate

    @cached_property
    def decoder(self) -> EndToEndDecoder:
        """The search, with the language models that it names. UserError where these do not fit."""
        decode, device = self.config.decode, str(self.device)
        joint = choose(decode, self.net.decoder is not None) == "joint"
        if not decode.lm and not decode.rescore:
            return EndToEndDecoder(self.net, self.tokens, decode, device)
        from mimic.models.language_model import for_search  # of few decodings

        return EndToEndDecoder(self.net, self.tokens, decode, device, *for_search(decode, self.tokens, joint, device))

    def onnx(self) -> Graph:
        return self.net.onnx(self.front)

    def recognise(self, samples: np.ndarray, rate: int, longest: float = LONGEST_S) -> Segment:
        """Words of a signal (samples,) or (samples, channels) in [-1, 1) at `rate` Hz, with times and confidences.

        What is longer than `longest` seconds is cut in pauses. Of several channels it takes their mean, or the loudest
        where they cancel each other.
        """
        x = np.asarray(samples, np.float32)
        x = x if x.ndim == 1 else mono(x)
        parts = [(0.0, len(x) / rate)]
        if len(x) > longest * rate:
            levels = Levels(rate)
            levels.add(x)
            parts = segments(levels.finish(), longest)

        def read(start: float, end: float) -> np.ndarray:
            return resample(x[round(start * rate) : round(end * rate)], rate, self.rate)

        found = self.recognise_segments(parts, read)
        return Segment(0.0, len(x) / rate, [word for segment in found for word in segment.words])

    def recognise_segments(
        self, parts: Sequence[tuple[float, float]], read: Callable[[float, float], np.ndarray], batch: int = BATCH
    ) -> Iterator[Segment]:
        """Recognises segments (start, end), in seconds; read(start, end) gives samples (samples,) at the own rate."""
        for first in range(0, len(parts), batch):
            group = parts[first : first + batch]
            for (start, end), words in zip(group, self.words([read(*part) for part in group]), strict=True):
                yield Segment(start, end, [replace(w, start=start + w.start, end=start + w.end) for w in words])

    @torch.inference_mode()
    def words(self, waveforms: Sequence[np.ndarray]) -> list[list[Word]]:
        """Words of each waveform (samples,) at the own rate, as one batch; what is too short or silent has none."""
        results: list[list[Word]] = [[] for _ in waveforms]
        used = [i for i, x in enumerate(waveforms) if self._long_enough(len(x)) and np.abs(x).max() > 1e-5]
        if not used:
            return results
        signals = [torch.from_numpy(waveforms[i]).to(self.device) for i in used]
        features, lengths = pad([self.front(signal).cpu().numpy() for signal in signals])
        found = self.decoder(features, lengths, self.front.frame_shift_s)
        for i, hypotheses in zip(used, found, strict=True):
            seconds = len(waveforms[i]) / self.rate  # features may have a frame at the very end
            words = hypotheses[0].words if hypotheses else []
            results[i] = [replace(word, end=min(word.end, seconds)) for word in words if word.start < seconds]
        return results

    def _long_enough(self, samples: int) -> bool:
        frames = self.front.num_frames(samples)
        return bool(frames > 0 and self.net.encoder.output_lengths(frames) > 0)


def check_scales(overrides: Sequence[str], config: Config) -> None:
    """UserError for an override that would have no effect: the scale of a language model that is not given."""
    given = {word.removeprefix("--decode.").replace("-", "_") for word in overrides[::2]}
    for scale, model in SCALES.items():
        if scale in given and not getattr(config.decode, model):
            known = ", ".join(f"{name} of --decode.{of}" for name, of in SCALES.items())
            raise UserError(f"--decode.{scale}: there is no --decode.{model}; the weights are {known}")
