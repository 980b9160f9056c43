"""Trained models as ONNX graphs: from waveforms to waveforms, to log-probabilities of CTC, or to hidden states.

The graphs hold everything but the search for words. A model says what its graph is (`onnx` of mimic.models); here it is
written, and compared with torch in onnxruntime.
"""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch
from torch import Tensor

from mimic.deploy import graph_file, onnx_ctc, onnx_sherpa, onnx_stream
from mimic.deploy.ctc_graph import streams
from mimic.errors import UserError
from mimic.io.atomic import replace
from mimic.models import load
from mimic.models.encoder import Encoder, is_encoder
from mimic.models.recogniser import Recogniser
from mimic.nets.enhancers import SpectrumEnhancer

EXAMPLE = Path(__file__).parent / "examples" / "example.py"
TOLERANCE = 1e-4
SHORT = (1, 160, 256, 320, 400, 512, 640, 800, 1024, 1600, 2048, 3200, 4096, 5000)
TRACED = 9000  # samples of the signal that the graph is made with; it takes any other length


def export(directory: Path, output: Path) -> float:
    """Write model.onnx, model.json and example.py (and tokens.txt of a recogniser) into the folder `output`.

    Of an enhancer from spectrum to spectrum: the graphs of a stream, see `mimic.deploy.onnx_stream` and
    `onnx_sherpa`. Of a recogniser also the graphs of a stream, and for sherpa-onnx, see `onnx_ctc`.

    Gives the largest difference between onnxruntime and torch over signals of several lengths. Raises UserError where
    it is above 1e-4, and for a model that cannot be exported.
    """
    model = Encoder.load(directory) if is_encoder(directory) else load(directory)
    if not isinstance(model, Encoder) and isinstance(getattr(model, "net", None), SpectrumEnhancer):
        worst = onnx_stream.export(model.net, model.front, output, model.curve)
        onnx_sherpa.export(model.net, model.front, output)
        shutil.copyfile(EXAMPLE.with_name("stream.py"), output / "example.py")
        return worst
    try:
        graph = model.onnx()
    except UserError as error:
        raise UserError(f"{directory}: {error}") from None
    facts: dict[str, Any] = {"rate": graph.rate, "input": "wave", "output": graph.output}
    if not isinstance(model, Encoder):
        facts["trained_as"] = f"{model.config.task}/{model.config.net}"
    output.mkdir(parents=True, exist_ok=True)
    axes = {facts["input"]: {1: "samples"}, graph.output: {1: "samples" if graph.output == "enhanced" else "frames"}}
    names = [facts["input"]], [graph.output]
    graph_file.write(graph.eval(), output / "model.onnx", (_signal(TRACED),), names, axes)
    worst, facts["shortest"] = _compare(output / "model.onnx", graph.reference)
    if isinstance(model, Recogniser):
        model.tokens.save(output)
        if streams(model.net, model.front):
            worst = max(worst, onnx_ctc.export(model.net, model.front, output))
            shutil.copyfile(EXAMPLE.with_name("stream_ctc.py"), output / "stream_ctc.py")
        elif onnx_ctc.for_sherpa(model.front):
            worst = max(worst, onnx_ctc.export_offline(model.net, model.front, output))
    with replace(output / "model.json") as f:
        json.dump(facts, f, indent=2)
    shutil.copyfile(EXAMPLE, output / "example.py")
    return worst


def _compare(path: Path, reference: Callable[[Tensor], Tensor]) -> tuple[float, int]:
    """The largest difference between the two, and the fewest samples (of SHORT) that the graph takes."""
    session = graph_file.session(path, torch.get_num_threads(), quiet=True)  # without a warning of each short signal
    worst = 0.0
    for samples in (TRACED, 2 * TRACED + 77, 5000):
        waveform = _signal(samples)
        (given,) = session.run(None, {"wave": waveform.numpy()})
        with torch.no_grad():
            wanted = reference(waveform).numpy()
        if given.shape != wanted.shape:
            raise UserError(
                f"{path}: gives {given.shape} where torch gives {wanted.shape}: this network cannot be exported"
            )
        if not (np.isfinite(given).all() and np.isfinite(wanted).all()):
            raise UserError(f"{path}: gives NaN or infinity: is the model trained?")
        worst = max(worst, float(np.abs(given - wanted).max()))
    if not worst <= TOLERANCE:
        raise UserError(f"{path}: differs from torch by {worst:.1e}: this network cannot be exported")
    return worst, next(samples for samples in SHORT if _takes(session, samples))


def _takes(session: onnxruntime.InferenceSession, samples: int) -> bool:
    try:
        session.run(None, {"wave": _signal(samples).numpy()})
    except Exception:  # a runtime's own errors, of a graph that is known to be right: the signal fills no frame
        return False
    return True


def _signal(samples: int) -> Tensor:
    """Something that sounds, always the same: (1, samples)."""
    draw = torch.Generator().manual_seed(samples)
    time = torch.arange(samples) / 16000
    return (0.2 * torch.sin(2 * torch.pi * 220 * time) + 0.05 * torch.randn(samples, generator=draw)).unsqueeze(0)
