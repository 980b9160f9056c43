"""Writing a trained enhancer as a pretrained model: small, without pickled objects, and ready for a stream."""

import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

from mimic.deploy import onnx_stream
from mimic.deploy.onnx import EXAMPLE
from mimic.errors import UserError
from mimic.io import weights
from mimic.io.atomic import replace
from mimic.models.enhancer import Enhancer
from mimic.models.trained import MODEL, SHIPPED
from mimic.nets.macs import macs_per_frame

LARGEST = 2_000_000  # bytes of weights


def publish(enhancer: Enhancer, output: Path) -> dict[str, Any]:
    """Write config.yaml, the front end's options, model.safetensors, stream.onnx, stream.json and example.py.

    Gives the facts of its network. Raises UserError for a model that has no streaming form, whose
    hop is not half of its window, or whose weights are above 2 MB.
    """
    state = enhancer.net.state_dict()
    size = sum(value.numel() * value.element_size() for value in state.values())
    if size > LARGEST:
        raise UserError(
            f"{enhancer.directory}: {size / 1e6:.1f} MB of weights: pretrained models have at most {LARGEST / 1e6:g} MB"
        )
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder)
        worst = onnx_stream.export(enhancer.net, enhancer.front, made, enhancer.curve)
        if not (made / "waveform.onnx").exists():
            raise UserError(
                f"{enhancer.directory}: the hop is not half of the window, so there is no stream of samples"
            )
        output.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(made / "waveform.onnx", output / "stream.onnx")
        stream = json.loads((made / "stream.json").read_text())
    del stream["spectrum"]
    with replace(output / "stream.json") as f:
        json.dump(stream, f, indent=2)
    shutil.copyfile(EXAMPLE.with_name("stream.py"), output / "example.py")
    (output / "example.py").chmod(0o755)
    enhancer.save(output)
    (output / MODEL).unlink()
    weights.save_safetensors(state, output / SHIPPED)
    config = enhancer.front.config
    frames = enhancer.rate / config.hop_length
    return {
        "network": enhancer.config.net,
        "parameters": sum(p.numel() for p in enhancer.net.parameters()),
        "macs_per_second": round(macs_per_frame(enhancer.net.net, enhancer.front.dim) * frames),
        "latency_ms": round(1000 * config.n_fft / enhancer.rate),
        "sampling_rate": enhancer.rate,
        "weight_bytes": (output / SHIPPED).stat().st_size,
        "stream_difference": float(f"{worst:.1e}"),
    }
