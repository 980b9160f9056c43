"""Scores that a model of yours predicts: NISQA, UTMOS, SCOREQ and others, by a file with weights or by a program.

What is published: SCOREQ (A. Ragano et al., NeurIPS 2024) as ONNX graphs, `adapt_nr_*.onnx`; UTMOS (T. Saeki et al.,
Interspeech 2022) and NISQA (G. Mittag et al., Interspeech 2021) as checkpoints that need the code they were trained
with: as TorchScript or ONNX once somebody has written them so, or by a program in an environment that has this code.
"""

import math
import re
import shlex
import subprocess
import tempfile
import zipfile
from collections.abc import Sequence
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import soxr

from mimic.errors import NotScored, UserError
from mimic.metrics.enhancement import MEASURES

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.+-]*")
RATE = 16000  # Hz, of what is scored
RATES = {"nisqa": 48000}  # of what a model is given, where it is not 16 kHz
MULTIPLE = 320  # samples: the stride of the encoders in UTMOS and SCOREQ; silence fills up the last
PROGRAM = "cmd:"


class MosModel:
    """The measure NAME by `NAME=FILE`, an ONNX graph (.onnx) or TorchScript, or by `NAME=cmd:PROGRAM`.

    A file is given a waveform (1, samples) in [-1, 1] at 16 kHz, `nisqa` at 48 kHz; its second input, where it has one,
    is the rate; the first number of its output is the score. A program gets on its standard input the path of a WAV
    file per line, and answers each by a line with a number. UserError for anything else.
    """

    def __init__(self, text: str) -> None:
        self.measure, _, self.source = text.partition("=")
        if not NAME.fullmatch(self.measure) or not self.source or self.measure in MEASURES:
            raise UserError(f"--mos-models {text}: write NAME=FILE or NAME=cmd:PROGRAM, NAME not of another measure")
        self.rate = RATES.get(self.measure, RATE)
        self.program = self.source.startswith(PROGRAM)
        if self.program:
            return
        if not Path(self.source).is_file():
            raise UserError(f"--mos-models {text}: there is no file {self.source}")
        if not self.source.endswith(".onnx") and not _is_script(self.source):
            raise UserError(
                f"{self.source}: neither ONNX (.onnx) nor TorchScript: a checkpoint needs its own code: give "
                "NAME=cmd:PROGRAM, a program of an environment that has it, see docs/scoring.md"
            )

    @cached_property
    def description(self) -> str:
        """Which model gives it, for the header of a score file."""
        of = "" if self.program else f" ({sha256(Path(self.source).read_bytes()).hexdigest()[:12]})"
        return f"; {self.measure}: {self.source}{of}"

    @cached_property
    def model(self) -> Any:
        """What takes a waveform (1, samples) and gives numbers. UserError for a file or a program that does not run."""
        if self.program:
            return Program(self.measure, self.source.removeprefix(PROGRAM), self.rate)
        return _graph(self.source, self.rate) if self.source.endswith(".onnx") else _script(self.source, self.rate)

    def __call__(self, clean: np.ndarray, enhanced: np.ndarray) -> list[float]:
        """The score of `enhanced` (samples,) at 16 kHz. NotScored where there is none."""
        x = enhanced.astype(np.float32)
        if self.rate != RATE:
            x = soxr.resample(x, RATE, self.rate, quality="HQ")
        try:
            score = float(np.asarray(self.model(np.pad(x, (0, -len(x) % MULTIPLE))[None])).flat[0])
        except (RuntimeError, ValueError, IndexError) as error:  # of a signal that the model does not take
            raise NotScored(f"{self.measure} failed ({str(error).strip().splitlines()[-1]})") from None
        if not math.isfinite(score):
            raise NotScored(f"{self.measure} is not finite")
        return [score]


class Program:
    """A program that is started once and asked for each recording."""

    def __init__(self, name: str, command: str, rate: int) -> None:
        self.name, self.command, self.rate = name, command, rate
        try:
            self.process = subprocess.Popen(
                shlex.split(command), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
            )
        except (OSError, ValueError, IndexError) as error:
            raise UserError(f"--mos-models {name}=cmd:{command}: {error}") from None

    def __call__(self, x: np.ndarray) -> float:
        assert self.process.stdin and self.process.stdout
        with tempfile.NamedTemporaryFile(suffix=".wav") as f:
            soundfile.write(f.name, x[0], self.rate, "FLOAT")
            try:
                print(f.name, file=self.process.stdin, flush=True)
            except BrokenPipeError:
                pass  # its output has ended, too
            answer = self.process.stdout.readline()
        if not answer:
            raise RuntimeError(f"{self.command} ended with {self.process.wait()}")
        return float(answer)


def _graph(path: str, rate: int) -> Any:
    import onnxruntime  # slow to load, as torch below; most scorings do without

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    try:
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # a runtime's own errors
        raise UserError(f"{path}: onnxruntime cannot open it: {str(error).strip().splitlines()[0]}") from None
    first, *more = session.get_inputs()
    if len(more) > 1:
        raise UserError(f"{path}: takes {len(more) + 1} inputs, expected a waveform and perhaps its rate")
    missing = max(0, len(first.shape) - 2)  # (1, 1, samples) of some
    rates = {one.name: np.array(rate, np.int64 if "int64" in one.type else np.float32) for one in more}
    return lambda x: session.run(None, {first.name: x.reshape(*[1] * missing, *x.shape)} | rates)[0]


def _is_script(path: str) -> bool:
    """Whether a file is TorchScript: a zip that holds constants, which one of weights lacks."""
    try:
        with zipfile.ZipFile(path) as archive:
            return any(name.endswith("constants.pkl") for name in archive.namelist())
    except zipfile.BadZipFile:
        return False


def _script(path: str, rate: int) -> Any:
    import torch  # takes seconds to load

    try:
        model = torch.jit.load(path, map_location="cpu").eval()
    except RuntimeError as error:
        raise UserError(f"{path}: torch cannot open it: {str(error).strip().splitlines()[0]}") from None
    rates = [rate] * (len(model.forward.schema.arguments) - 2)  # besides the module and the waveform

    def run(x: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            return model(torch.from_numpy(x), *rates).numpy()

    return run


def mos_models(texts: str | Sequence[str]) -> list[MosModel]:
    """The measures of `NAME=FILE` or `NAME=cmd:PROGRAM`, each in quotes of its own where it has spaces."""
    try:
        found = [MosModel(text) for text in (shlex.split(texts) if isinstance(texts, str) else texts)]
    except ValueError as error:
        raise UserError(f"--mos-models {texts}: {error}") from None
    names = [model.measure for model in found]
    if doubled := [name for name in names if names.count(name) > 1]:
        raise UserError(f"--mos-models {texts}: {doubled[0]} is given twice")
    return found
