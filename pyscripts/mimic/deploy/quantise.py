"""Exported graphs with weights of 8 bit: what they lose is measured on speech before they are written.

Products with weights become 8 bit, of the network only: front ends and inverse transforms stay as they are. dynamic:
weights beforehand, activations by their range at each call; convolutions stay. static: activations by ranges seen on
recordings, convolutions too. Recurrences, which onnxruntime leaves out, keep their arithmetic; their weights are stored
in 8 bit, by rows. Needs neither torch nor the trained model.
"""

import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

import numpy as np
import onnx
import onnxruntime
from onnxruntime import quantization

from mimic.deploy.ctc_feeds import Feed
from mimic.deploy.exported import Exported
from mimic.errors import NotScored, UserError
from mimic.io.audio import AudioReader
from mimic.metrics import wer
from mimic.metrics.pesq import in_child, pesq
from mimic.metrics.stoi import stoi_estoi

PRODUCTS = {"dynamic": ["MatMul", "Gemm"], "static": ["MatMul", "Gemm", "Conv"]}
RECURRENCES = ("GRU", "LSTM")
OUTSIDE = re.compile(
    r"/(parts\.\d+/|front/)?[A-Z]\w*$"
)  # names of nodes that are not in a network: transforms, filters


@dataclass(frozen=True)
class Scores:
    """Of one graph on recordings: of a recogniser WER, of an enhancer means of PESQ (None: not installed) and eSTOI."""

    wer: float | None = None
    pesq: float | None = None
    estoi: float | None = None


def quantise(exported: Exported, kind: str, target: Path, signals: Sequence[np.ndarray]) -> tuple[int, int]:
    """Write the graph with weights of 8 bit: how many of its products and recurrences have them, of how many.

    kind: dynamic or static. signals: recordings (samples,) for the ranges of static. Raises UserError where there is
    nothing to do, where the file would be no smaller, and where onnxruntime cannot open it.
    """
    before = onnx.load(exported.graph)
    nodes = [n for n in before.graph.node if n.op_type in (*PRODUCTS["static"], *RECURRENCES)]
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
    model = onnx.load(target)
    count = sum(w.data_type == onnx.TensorProto.INT8 and len(w.dims) > 1 for w in model.graph.initializer)
    count += _store_recurrences(model)
    onnx.save(model, target)
    if not count:
        raise UserError(f"{exported.graph}: no weights that --method {kind} makes 8 bit")
    sizes = [path.stat().st_size for path in (exported.graph, target)]
    if sizes[1] >= sizes[0]:
        raise UserError(
            f"{exported.graph}: no smaller with --method {kind}, {sizes[0] / 1e6:.2f} MB -> {sizes[1] / 1e6:.2f} MB: "
            "nothing is written"
        )
    try:  # 1.31 ends the whole process when it opens some static graphs, those of conformers among them
        in_child(_opens, target)
    except NotScored:
        version = onnxruntime.__version__
        raise UserError(
            f"{exported.graph}: onnxruntime {version} crashes on it with --method {kind}: try the other"
        ) from None
    return count, len(nodes) - len(outside)


def _store_recurrences(model: onnx.ModelProto) -> int:
    """Store weights of recurrences in 8 bit, with a scale for each row, and a node that multiplies them out.

    Gives the number of recurrences.
    """
    graph = model.graph
    weights = {weight.name: weight for weight in graph.initializer if weight.data_type == onnx.TensorProto.FLOAT}
    nodes = [node for node in graph.node if node.op_type in RECURRENCES]
    for name in sorted({name for node in nodes for name in node.input[1:3]} & weights.keys()):
        value = onnx.numpy_helper.to_array(weights[name])  # (directions, gates * units, inputs)
        scale = np.maximum(np.abs(value).max(axis=(0, 2)), 1e-12) / 127
        rounded = np.rint(value / scale[:, None]).astype(np.int8)
        graph.initializer.remove(weights[name])
        parts = {f"{name}_int8": rounded, f"{name}_scale": np.float32(scale)}
        graph.initializer.extend(onnx.numpy_helper.from_array(part, key) for key, part in parts.items())
        graph.node.insert(
            0, onnx.helper.make_node("DequantizeLinear", list(parts), [name], f"{name}_dequantise", axis=1)
        )
    return len(nodes)


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
