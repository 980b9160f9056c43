"""PESQ as MOS-LQO: wide band (ITU-T P.862.2) and narrow band (P.862.1), by the package `pesq` where it is installed.

Corrigendum 2 changes the scores of P.862.2 (arXiv 2505.19760): the package `pesqc2` has it; `pesq`, by which most of
the literature reports, has not.

The program of the standard takes 50 segments of speech and writes beyond it without a check: a wrong score or
a crash. A segment lasts 0.2 s at least, and so does the gap before the next, so that 20 s are always safe; in longer
signals we count first, and let a child process take the risk that is left.
"""

import importlib
import math
import multiprocessing
import os
import warnings
from collections.abc import Callable
from importlib import metadata
from multiprocessing.connection import Connection
from typing import Any

import numpy as np

from mimic.errors import NotScored, UserError

# The wheels of pesqc2 are for older versions of numpy than that of .venv, and so is what it asks for to compile itself.
INSTALL = (
    ".venv/bin/python3 -m pip install setuptools wheel cython && .venv/bin/python3 -m pip install --use-pep517 "
    "--no-cache-dir --no-build-isolation --no-deps --no-binary pesqc2 pesqc2==0.0.4"
)
EDITIONS = {"default": ("pesq", "without"), "corrigendum2": ("pesqc2", "with")}  # package, "with Corrigendum 2"


def load(name: str) -> Any:
    """The package, None where it is not installed: it needs a C compiler, and every other measure works without it."""
    try:
        return importlib.import_module(name)
    except ImportError:
        return None


package, edition = load("pesq"), "default"
RATE = 16000  # Hz
SAFE_SECONDS, MOST_SEGMENTS = 20, 50
FRAME, JOINED = 64, 50  # samples at 16 kHz; frames (0.2 s): shorter gaps and shorter segments do not count
LIMIT_SECONDS = 600  # for the child process


def pesq(clean: np.ndarray, degraded: np.ndarray, mode: str, rate: int = RATE) -> float:
    """PESQ of `degraded` against `clean`, both (samples,) at 16 kHz, or at 8 kHz, where
    there is narrow band only; `mode` is "wb" or "nb". Identical wb gives 4.644.

    Raises NotScored: package missing, signals under 0.25 s, no speech found, or too many segments of speech.
    """
    if package is None:
        raise NotScored("the Python package pesq is not installed")
    if mode == "wb" and rate < RATE:
        raise NotScored(f"defined for {RATE} Hz, the audio has less")
    if len(clean) < rate // 4:
        raise NotScored("shorter than 0.25 s")  # the standard's own limit
    if len(clean) <= SAFE_SECONDS * rate:
        return _call(clean, degraded, mode, rate)
    if count_segments(clean, rate) > MOST_SEGMENTS:
        raise NotScored(f"more than {MOST_SEGMENTS} segments of speech, which PESQ cannot take: cut the recording")
    return in_child(_call, clean, degraded, mode, rate)


def use(name: str) -> None:
    """Compute all scores of this process by one of EDITIONS. UserError where its package is not installed."""
    global package, edition
    module = EDITIONS[name][0]
    package, edition = load(module), name
    if package is None and name != "default":
        problem = f"the Python package {module} is not installed, or built for another numpy"
        raise UserError(f"--pesq {name}: {problem}: {INSTALL} compiles it")


def version() -> str:
    """Version of the package, for the header of a score file."""
    return "not installed" if package is None else metadata.version(EDITIONS[edition][0])


def describe() -> str:
    """Which PESQ it is: `without Corrigendum 2, Python package pesq 0.0.4`."""
    name, has = EDITIONS[edition]
    return f"{has} Corrigendum 2, Python package {name} {version()}"


def count_segments(x: np.ndarray, rate: int = RATE) -> int:
    """Count segments of speech at thresholds from 20 to 60 dB below the loudest frame, and give the largest count."""
    frame = FRAME * rate // RATE
    energy = np.square(x[: len(x) // frame * frame] - x.mean(), dtype=np.float64).reshape(-1, frame).sum(axis=1)
    most = 0
    for decibel in range(20, 65, 5):
        loud = np.flatnonzero(energy > energy.max() * 10 ** (-decibel / 10))
        if len(loud):
            gaps = np.flatnonzero(np.diff(loud) > JOINED)
            first, last = np.append(loud[0], loud[gaps + 1]), np.append(loud[gaps], loud[-1])
            most = max(most, int(np.sum(last - first >= JOINED)))
    return most


def in_child(compute: Callable[..., float], *arguments: object) -> float:
    """Call `compute` in a forked process, so that its crash costs one score (NotScored) and not the job."""
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)
    child = context.Process(target=_send, args=(sender, compute, arguments))
    child.start()
    sender.close()
    try:
        if not receiver.poll(LIMIT_SECONDS):
            raise NotScored(f"PESQ took more than {LIMIT_SECONDS} s")
        answer = receiver.recv()
    except EOFError:
        raise NotScored("PESQ crashed") from None
    finally:
        child.kill()
        child.join()
        receiver.close()
    if isinstance(answer, str):
        raise NotScored(answer)
    return answer


def _send(sender: Connection, compute: Callable[..., float], arguments: tuple) -> None:
    try:
        sender.send(compute(*arguments))
    except NotScored as reason:
        sender.send(str(reason))
    os._exit(0)  # nothing of the parent's is flushed or closed twice


def _call(clean: np.ndarray, degraded: np.ndarray, mode: str, rate: int) -> float:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)
            score = float(package.pesq(rate, clean, degraded, mode))
    except package.NoUtterancesError:
        raise NotScored("no speech found in the clean audio") from None
    except (package.PesqError, ValueError) as error:  # ValueError: NaN inside, as where the degraded side is inaudible
        message = error.args[0] if error.args else type(error).__name__
        text = message.decode() if isinstance(message, bytes) else message
        raise NotScored(f"PESQ failed ({text})") from None
    if not math.isfinite(score):
        raise NotScored("PESQ is not finite")
    return score
