"""The graphs of a folder that steps/export.sh wrote, and how a signal goes through each. Needs no torch."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime

from mimic.deploy.ctc_feeds import SHERPA, Feed, chunks, mirror, sherpa_chunks
from mimic.errors import UserError
from mimic.frontend.extraction import FbankExtractor

CHUNK_S = 0.3  # of streaming recognisers, about
SHERPA_CHUNK = 16  # outputs, sherpa-onnx's default


class Exported:
    """A graph: `output` of it is enhanced, or log_probs; `rate` in Hz."""

    output = "log_probs"

    def __init__(self, folder: Path, graph: str, facts: dict[str, Any]):
        self.graph, self.facts, self.rate = folder / graph, facts, int(facts["rate"])
        if self.recognises:
            lines = (folder / "tokens.txt").read_text(encoding="utf-8").splitlines()
            self.tokens = [line.rsplit(" ", 1)[0] for line in lines]

    @property
    def recognises(self) -> bool:
        return self.output == "log_probs"

    def feeds(self, session: onnxruntime.InferenceSession, x: np.ndarray) -> Iterator[tuple[Feed, np.ndarray]]:
        """What the graph is given for samples (samples,), call by call, and gives: samples or (frames, tokens)."""
        raise NotImplementedError

    def enhance(self, session: onnxruntime.InferenceSession, x: np.ndarray) -> np.ndarray:
        """Samples (samples,) -> as many enhanced ones."""
        delay = self.facts.get("delay", 0)
        return np.concatenate([out for _, out in self.feeds(session, x)])[delay : delay + len(x)]

    def words(self, session: onnxruntime.InferenceSession, x: np.ndarray) -> list[str]:
        """What the likeliest token of each frame spells; of phones these."""
        best = np.concatenate([out for _, out in self.feeds(session, x)]).argmax(axis=1)
        kept = [t for i, t in enumerate(best) if t > 2 and (i == 0 or t != best[i - 1])]  # 0: blank, 1 and 2: ends
        spelling = [self.tokens[t] for t in kept]
        spaced = any("\u2581" in token for token in self.tokens)
        return "".join(spelling).replace("\u2581", " ").split() if spaced else spelling


class Whole(Exported):
    """model.onnx: a whole signal."""

    def __init__(self, folder: Path, facts: dict[str, Any]):
        self.output = facts["output"]
        super().__init__(folder, "model.onnx", facts)

    def feeds(self, session: onnxruntime.InferenceSession, x: np.ndarray) -> Iterator[tuple[Feed, np.ndarray]]:
        x = np.pad(x, (0, max(0, self.facts["shortest"] - len(x))))
        feed = {self.facts["input"]: x[None]}
        yield feed, session.run(None, feed)[0][0]


class Hops(Exported):
    """waveform.onnx: an enhancer of streams."""

    output = "enhanced"

    def feeds(self, session: onnxruntime.InferenceSession, x: np.ndarray) -> Iterator[tuple[Feed, np.ndarray]]:
        states = {name: np.zeros(shape, np.float32) for name, shape in self.facts["waveform"].items()}
        for hop in np.pad(x, (0, self.facts["delay"] + -len(x) % self.facts["hop"])).reshape(-1, self.facts["hop"]):
            feed = {"samples": hop, **states}
            out, *values = session.run(None, feed)
            states = dict(zip(states, values, strict=True))
            yield feed, out


class Chunks(Exported):
    """stream_ctc.onnx: a recogniser of streams."""

    def feeds(self, session: onnxruntime.InferenceSession, x: np.ndarray) -> Iterator[tuple[Feed, np.ndarray]]:
        unit, delay = self.facts["unit"], self.facts["delay"]
        x = mirror(x[None], self.facts["mirrored"], self.facts["mirror"] == "symmetric")
        for feed, (out, _) in chunks(session, x, unit * max(1, round(CHUNK_S * self.rate / unit)), unit, delay):
            yield feed, out


class Sherpa(Exported):
    """sherpa_ctc.onnx, fed as sherpa-onnx does it: features of a whole signal, or chunks of them, then silence."""

    def __init__(self, folder: Path):
        model = onnx.load(folder / "sherpa_ctc.onnx")
        facts = {entry.key: entry.value for entry in model.metadata_props}
        super().__init__(folder, "sherpa_ctc.onnx", facts | {"rate": facts["sample_rate"]})
        self.streams, self.unit = len(model.graph.input) > 2, int(facts["subsampling_factor"])
        config = replace(SHERPA, sample_frequency=float(self.rate), num_mel_bins=int(facts["feature_dim"]))
        self.features = FbankExtractor(config)

    def feeds(self, session: onnxruntime.InferenceSession, x: np.ndarray) -> Iterator[tuple[Feed, np.ndarray]]:
        if self.streams:
            features = self.features.extract(np.pad(x, (0, self.rate)))[None]
            yield from sherpa_chunks(session, features, SHERPA_CHUNK * self.unit, self.unit)
            return
        features = self.features.extract(x)[None]
        feed = {"features": features, "length": np.array([features.shape[1]])}
        yield feed, session.run(None, feed)[0][0]


def exported(folder: Path) -> list[Exported]:
    """The graphs of a folder whose output has a score. UserError where there is none."""
    streams = (folder / "stream.json").exists()
    name, about = ("waveform.onnx", "stream.json") if streams else ("model.onnx", "model.json")
    if not (folder / about).exists() or not (folder / name).exists():
        raise UserError(f"{folder}: no {name} with {about}: steps/export.sh makes them")
    facts = json.loads((folder / about).read_text(encoding="utf-8"))
    if streams:
        return [Hops(folder, name, facts)]
    if facts["output"] == "states":
        raise UserError(f"{folder}: an encoder, whose output has no score")
    found: list[Exported] = [Whole(folder, facts)]
    if (folder / "stream_ctc.onnx").exists():
        facts = json.loads((folder / "stream_ctc.json").read_text(encoding="utf-8"))
        found.append(Chunks(folder, "stream_ctc.onnx", facts))
    if (folder / "sherpa_ctc.onnx").exists():
        found.append(Sherpa(folder))
    return found
