"""Parameters and multiply-accumulates of an ONNX graph, from the shapes that its values have in a run."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime

from enhancement.cost import Size

FRAMES = 100  # of graphs that take any number
FEW = 16  # constants of fewer values are shapes and scales, not trained


def size(path: Path, frames_per_s: float, frames: int = FRAMES) -> Size:
    """Of the graph in `path`, where a second has `frames_per_s` frames and a call takes `frames` of them.

    Counted are convolutions, recurrences and products of matrices, as in mimic.nets.macs. A dimension that is named in
    place of a number is one of frames, or the batch.
    """
    model = onnx.load(str(path))
    values = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type == "Constant" and node.attribute[0].type == onnx.AttributeProto.TENSOR:
            values[node.output[0]] = onnx.numpy_helper.to_array(node.attribute[0].t)
    trained = sum(v.size for v in values.values() if v.dtype == np.float32 and v.size >= FEW)
    shapes = {name: value.shape for name, value in values.items()} | _shapes(model, frames)
    macs = sum(_macs(node, shapes) for node in model.graph.node)
    return Size(trained, macs / frames * frames_per_s)


def _shapes(model: Any, frames: int) -> dict[str, tuple[int, ...]]:
    """Of inputs and of all that is computed, in one run on zeros."""
    feed = {}
    for value in model.graph.input:
        dims = [d.dim_value or (1 if "batch" in d.dim_param else frames) for d in value.type.tensor_type.shape.dim]
        feed[value.name] = np.zeros(dims, np.float32)
    wanted = [name for node in model.graph.node for name in node.output if name]
    del model.graph.output[:]
    model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in wanted)
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    found = {name: np.shape(value) for name, value in zip(wanted, session.run(None, feed), strict=True)}
    return found | {name: value.shape for name, value in feed.items()}


def _macs(node: Any, shapes: dict[str, tuple[int, ...]]) -> int:
    given = [shapes[name] for name in node.input if name]
    attributes = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
    if node.op_type == "Conv":
        return math.prod(shapes[node.output[0]]) * math.prod(given[1][1:])
    if node.op_type == "ConvTranspose":
        return math.prod(given[0]) * math.prod(given[1][1:])
    if node.op_type in ("MatMul", "Gemm"):
        return math.prod(shapes[node.output[0]]) * given[0][0 if attributes.get("transA") else -1]
    if node.op_type == "Einsum":
        terms = attributes["equation"].decode().replace(" ", "").partition("->")[0].split(",")
        sizes = {axis: n for term, shape in zip(terms, given, strict=True) for axis, n in zip(term, shape, strict=True)}
        return math.prod(sizes.values())
    if node.op_type in ("GRU", "LSTM"):
        steps, batch = given[0][:2]
        return steps * batch * (math.prod(given[1]) + math.prod(given[2]))
    return 0
