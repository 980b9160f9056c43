"""Exported graphs with weights of 8 bit: what they lose is measured on speech before they are written.

Products with weights become 8 bit, of the network only: front ends, inverse transforms and recurrences stay as they
are. dynamic: weights beforehand, activations by their range at each call; convolutions stay. static: activations by
ranges seen on recordings, convolutions too. Needs neither torch nor the trained model.
"""

import json
import logging
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

import numpy as np
import onnx
import onnxruntime
from onnxruntime import quantization

from mimic.errors import NotScored, UserError
from mimic.io.audio import AudioReader
from mimic.metrics import wer
from mimic.metrics.pesq import in_child, pesq
from mimic.metrics.stoi import stoi_estoi

Feed = dict[str, np.ndarray]
PRODUCTS = {"dynamic": ["MatMul", "Gemm"], "static": ["MatMul", "Gemm", "Conv"]}
OUTSIDE = re.compile(r"/(parts\.\d+/)?[A-Z]\w*$")  # names of nodes that are not in a network: transforms, filters


class Exported:
    """A folder that steps/export.sh wrote: its graph, and how a signal goes through it.

    Raises UserError for a folder without one, and for an encoder, whose output has no score.
    """

    def __init__(self, folder: Path):
        streams = (folder / "stream.json").exists()
        facts = folder / ("stream.json" if streams else "model.json")
        self.folder, self.graph = folder, folder / ("waveform.onnx" if streams else "model.onnx")
        if not facts.exists() or not self.graph.exists():
            raise UserError(f"{folder}: no {self.graph.name} with {facts.name}: steps/export.sh makes them")
        self.facts, self.streams = json.loads(facts.read_text(encoding="utf-8")), streams
        self.output = "enhanced" if streams else self.facts["output"]
        if self.output == "states":
            raise UserError(f"{folder}: an encoder, whose output has no score")
        self.recognises, self.rate = self.output == "log_probs", int(self.facts["rate"])
        if self.recognises:
            lines = (folder / "tokens.txt").read_text(encoding="utf-8").splitlines()
            self.tokens = [line.rsplit(" ", 1)[0] for line in lines]

    def feeds(self, session: onnxruntime.InferenceSession, x: np.ndarray) -> Iterator[tuple[Feed, np.ndarray]]:
        """What the graph is given for samples (samples,), call by call, with its output."""
        if not self.streams:
            x = np.pad(x, (0, max(0, self.facts["shortest"] - len(x))))
            feed = {self.facts["input"]: x[None]}
            yield feed, session.run(None, feed)[0][0]
            return
        states = {name: np.zeros(shape, np.float32) for name, shape in self.facts["waveform"].items()}
        for hop in np.pad(x, (0, self.facts["delay"] + -len(x) % self.facts["hop"])).reshape(-1, self.facts["hop"]):
            feed = {"samples": hop, **states}
            out, *values = session.run(None, feed)
            states = dict(zip(states, values, strict=True))
            yield feed, out

    def enhance(self, session: onnxruntime.InferenceSession, x: np.ndarray) -> np.ndarray:
        """Samples (samples,) -> as many enhanced ones."""
        parts = np.concatenate([out for _, out in self.feeds(session, x)])
        delay = self.facts["delay"] if self.streams else 0
        return parts[delay : delay + len(x)]

    def words(self, session: onnxruntime.InferenceSession, x: np.ndarray) -> list[str]:
        """What the likeliest token of each frame spells; of phones these."""
        ((_, log_probs),) = self.feeds(session, x)
        best = log_probs.argmax(axis=1)
        kept = [t for i, t in enumerate(best) if t > 2 and (i == 0 or t != best[i - 1])]  # 0: blank, 1 and 2: ends
        spelling = [self.tokens[t] for t in kept]
        spaced = any("\u2581" in token for token in self.tokens)
        return "".join(spelling).replace("\u2581", " ").split() if spaced else spelling


@dataclass(frozen=True)
class Scores:
    """Of one graph on recordings: of a recogniser WER, of an enhancer means of PESQ (None: not installed) and eSTOI."""

    wer: float | None = None
    pesq: float | None = None
    estoi: float | None = None


def quantise(exported: Exported, kind: str, target: Path, signals: Sequence[np.ndarray]) -> tuple[int, int]:
    """Write the graph with weights of 8 bit: how many of its products have them now, and how many there are.

    kind: dynamic or static. signals: recordings (samples,) for the ranges of static. Raises UserError where there is
    nothing to do, and where onnxruntime cannot open the result.
    """
    nodes = [n for n in onnx.load(exported.graph).graph.node if n.op_type in PRODUCTS["static"]]
    outside = [node.name for node in nodes if OUTSIDE.fullmatch(node.name)]
    options = {"op_types_to_quantize": PRODUCTS[kind], "nodes_to_exclude": outside, "per_channel": True}
    options |= {"weight_type": quantization.QuantType.QInt8}
    logging.disable(logging.WARNING)  # that graphs could be prepared more, which changes nothing here
    try:
        if kind == "dynamic":
            quantization.quantize_dynamic(exported.graph, target, **options)
        else:
            quantization.quantize_static(exported.graph, target, _Reader(exported, signals), **options)
    finally:
        logging.disable(logging.NOTSET)
    small = [w for w in onnx.load(target).graph.initializer if w.data_type == onnx.TensorProto.INT8 and len(w.dims) > 1]
    if not small:
        raise UserError(f"{exported.graph}: no product that --method {kind} makes 8 bit")
    try:  # 1.31 ends the whole process when it opens some static graphs, those of conformers among them
        in_child(_opens, target)
    except NotScored:
        version = onnxruntime.__version__
        raise UserError(
            f"{exported.graph}: onnxruntime {version} crashes on it with --method {kind}: try the other"
        ) from None
    return len(small), len(nodes) - len(outside)


class _Reader(quantization.CalibrationDataReader):
    def __init__(self, exported: Exported, signals: Sequence[np.ndarray]):
        session = _session(exported.graph)
        self.feeds = (feed for x in signals for feed, _ in exported.feeds(session, x))

    def get_next(self) -> Feed | None:
        return next(self.feeds, None)


def score(
    exported: Exported, graph: Path, reader: AudioReader, utts: Sequence[str], beside: AudioReader | dict[str, str]
) -> Scores:
    """Run a graph on these recordings. beside: the transcripts for a recogniser, clean speech for an enhancer."""
    session = _session(graph)
    if exported.recognises:
        assert isinstance(beside, dict)
        texts = [(wer.words(beside[utt]), exported.words(session, reader[utt]), True) for utt in utts]
        found = wer.compute_wer(texts)
        return Scores(wer=found.errors / max(1, found.words))
    assert not isinstance(beside, dict)
    pesqs, estois = [], []
    for utt in utts:
        clean, noisy = beside[utt], reader[utt]
        if len(clean) != len(noisy):
            raise UserError(f"{utt}: {len(clean)} clean samples, {len(noisy)} noisy ones: the same are needed")
        enhanced = exported.enhance(session, noisy)
        try:
            estois.append(stoi_estoi(clean, enhanced)[1])
            pesqs.append(pesq(clean, enhanced, "wb"))
        except NotScored:
            continue
    return Scores(pesq=fmean(pesqs) if pesqs else None, estoi=fmean(estois) if estois else None)


def _opens(path: Path) -> float:
    _session(path)
    return 1.0


def _session(path: Path) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
