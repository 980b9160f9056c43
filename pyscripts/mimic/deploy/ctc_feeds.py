"""How streaming graphs of CTC are fed, see `mimic.deploy.onnx_ctc`: chunk by chunk, with the state. Needs no torch."""

from collections.abc import Iterator, Sequence

import numpy as np
import onnxruntime

from mimic.frontend.configs import FbankConfig

SHERPA = FbankConfig(snip_edges=False, high_freq=-400)  # the features that sherpa-onnx makes
STATE = ("state", "padded", "position")
Feed = dict[str, np.ndarray]


def mirror(x: np.ndarray, mirrored: Sequence[int], repeat: bool) -> np.ndarray:
    """A whole signal (1, samples) with the ends that its front end mirrors."""
    return np.pad(x, ((0, 0), tuple(mirrored)), mode="symmetric" if repeat else "reflect")


def chunks(
    session: onnxruntime.InferenceSession, x: np.ndarray, chunk: int, unit: int, delay: int
) -> Iterator[tuple[Feed, list[np.ndarray]]]:
    """A whole signal (1, samples) through stream_ctc.onnx: what it is given and gives, chunk by chunk.

    unit, delay: those of the graph; `chunk` is a multiple of `unit`.
    """
    values = [np.zeros(s.shape, np.int64 if "int64" in s.type else np.float32) for s in session.get_inputs()[2:]]
    for start in range(0, x.shape[1] + 1 + unit * delay, chunk):  # at least one that is not full: the end
        part = x[:, start : start + chunk]
        feed = {"samples": np.pad(part, ((0, 0), (0, chunk - part.shape[1]))), "length": np.array([part.shape[1]])}
        feed |= dict(zip(STATE, values, strict=True))
        out, count, *values = session.run(None, feed)
        yield feed, [out[0], count]


def sherpa_chunks(
    session: onnxruntime.InferenceSession, x: np.ndarray, chunk: int, unit: int
) -> Iterator[tuple[Feed, np.ndarray]]:
    """Features (1, frames, bins) through sherpa_ctc.onnx as sherpa-onnx does it: as far as full chunks reach."""
    past, states = chunk // unit * 4, session.get_inputs()[4].shape
    attention, state = np.zeros((1, 1, past, 2), np.float32), np.zeros(states, np.float32)
    mask = np.ones((1, 1, past + chunk // unit), bool)
    for start in range(0, x.shape[1] - chunk + 1, chunk):
        feed = {"features": x[:, start : start + chunk], "offset": np.array([past + start // unit])}
        feed |= {"before": np.array([past]), "attention": attention, "state": state, "mask": mask}
        out, attention, state = session.run(None, feed)
        yield feed, out[0]
