"""ONNX files: writing a torch module as one, and opening it in onnxruntime."""

import warnings
from collections.abc import Mapping
from pathlib import Path

import onnx
import onnxruntime
import torch
from torch import Tensor, nn

from mimic.errors import UserError
from mimic.io.atomic import replace

OPSET = 17


def write(
    graph: nn.Module,
    path: Path,
    inputs: tuple[Tensor, ...],
    names: tuple[list[str], list[str]],
    axes: dict[str, dict[int, str]] | None = None,
    facts: Mapping[str, object] | None = None,
) -> None:
    """Write a module in eval mode.

    inputs: of the shapes that the graph takes. names: of its inputs and of its outputs. axes: those whose size may
    differ, {input or output: {axis: its name}}. facts: the metadata of the file.

    Raises UserError for a module that cannot be exported.
    """
    with replace(path, "wb") as f, torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about branches on sizes, which are the same for every signal
        torch.onnx.register_custom_op_symbolic("aten::expm1", _expm1, OPSET)
        try:
            torch.onnx.export(
                graph,
                inputs,
                f,  # type: ignore[arg-type]  # the stub forgets open files, which this exporter takes
                dynamo=False,
                input_names=names[0],
                output_names=names[1],
                dynamic_axes=axes,
                opset_version=OPSET,
            )
        except (RuntimeError, torch.onnx.errors.OnnxExporterError) as error:
            reason = str(error).strip().splitlines()[0]
            raise UserError(f"{path}: this network cannot be exported: {reason}") from None
        entries = [onnx.StringStringEntryProto(key=key, value=str(value)) for key, value in (facts or {}).items()]
        f.write(onnx.ModelProto(metadata_props=entries).SerializeToString())  # messages that follow each other are one


def _expm1(g, x):
    return g.op("Sub", g.op("Exp", x), g.op("Constant", value_t=torch.tensor(1.0)))


def session(path: Path, threads: int = 1, quiet: bool = False) -> onnxruntime.InferenceSession:
    """A graph in onnxruntime on the CPU. quiet: what it raises is not logged, too."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = threads
    if quiet:
        options.log_severity_level = 4
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
