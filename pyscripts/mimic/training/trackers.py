"""Where curves, sounds, pictures and histograms of a training go: TensorBoard, MLflow, Weights & Biases, or nowhere.

MLflow and Weights & Biases are not installed with the recipe. Both write into the experiment directory and need no
network, unless MLFLOW_TRACKING_URI or WANDB_MODE say otherwise. A training that resumes continues the run it had.
"""

import importlib.util
import io
import os
import socket
import tempfile
import time
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import yaml
from PIL import Image
from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.compat.proto.summary_pb2 import HistogramProto, Summary
from tensorboard.summary.writer.record_writer import RecordWriter

from mimic.errors import UserError
from mimic.io import atomic
from mimic.io.recording import wav_bytes
from mimic.yaml_file import flat

PACKAGES = {"mlflow": "mlflow-skinny", "wandb": "wandb"}  # module: what to install
PROJECT = "mimic"
BINS = 64  # of a histogram


class Tracker(Protocol):
    """A run on some tracker. Everything comes after so many steps, under a name such as "samples/p226-001/noisy"."""

    def add(self, values: Mapping[str, float], step: int) -> None:
        """Put a point on each of these curves."""

    def add_audio(self, name: str, waveform: np.ndarray, rate: int, step: int) -> None:
        """Sound to listen to: samples (samples,) in [-1, 1) at `rate` Hz."""

    def add_image(self, name: str, pixels: np.ndarray, step: int) -> None:
        """A picture: shades of grey (rows, columns), uint8."""

    def add_histogram(self, name: str, values: np.ndarray, step: int) -> None:
        """How these numbers, an array of any shape, are distributed; those that are not finite are left out."""

    def close(self) -> None:
        """The training has ended well."""


def check(name: str) -> None:
    """Raises UserError where the package of a tracker is not installed."""
    if name in PACKAGES and importlib.util.find_spec(name) is None:
        raise UserError(
            f"--train.tracker {name}: it is not installed: .venv/bin/python3 -m pip install {PACKAGES[name]}"
        )


def tracker(name: str, directory: Path, step: int) -> Tracker:
    """The tracker of this name for the training in `directory`, of which `step` steps are done."""
    if name == "none":
        return Nowhere()
    if name == "tensorboard":
        return Curves(directory / "tensorboard", step + 1)
    check(name)
    return Mlflow(directory) if name == "mlflow" else Wandb(directory)


class Nowhere:
    """train_log.jsonl has the figures of each epoch all the same."""

    def add(self, values: Mapping[str, float], step: int) -> None:
        pass

    def add_audio(self, name: str, waveform: np.ndarray, rate: int, step: int) -> None:
        pass

    def add_image(self, name: str, pixels: np.ndarray, step: int) -> None:
        pass

    def add_histogram(self, name: str, values: np.ndarray, step: int) -> None:
        pass

    def close(self) -> None:
        pass


class Mlflow:
    """A run of the experiment `mimic`, in files below <directory>/mlflow: mlflow ui --backend-store-uri DIR."""

    def __init__(self, directory: Path):
        os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")  # the only place that needs no database
        import mlflow  # not a part of the recipe

        folder = directory.resolve() / "mlflow"
        folder.mkdir(exist_ok=True)
        self.client = mlflow.MlflowClient(os.environ.get("MLFLOW_TRACKING_URI") or folder.as_uri())
        remembered = folder / "run_id"
        if remembered.exists():
            self.run = remembered.read_text().strip()
            self.client.update_run(self.run, status="RUNNING")
            return
        found = self.client.get_experiment_by_name(PROJECT)
        experiment = found.experiment_id if found else self.client.create_experiment(PROJECT)
        self.run = self.client.create_run(experiment, run_name=directory.name).info.run_id
        for key, value in _settings(directory).items():
            self.client.log_param(self.run, key, value)
        with atomic.replace(remembered) as f:
            f.write(f"{self.run}\n")

    def add(self, values: Mapping[str, float], step: int) -> None:
        for name, value in values.items():
            self.client.log_metric(self.run, name, value, step=step)

    def add_audio(self, name: str, waveform: np.ndarray, rate: int, step: int) -> None:
        self._add_file(name, step, ".wav", wav_bytes(waveform, rate))

    def add_image(self, name: str, pixels: np.ndarray, step: int) -> None:
        self._add_file(name, step, ".png", png_bytes(pixels))

    def add_histogram(self, name: str, values: np.ndarray, step: int) -> None:
        counts, edges = histogram(values)
        table = {"counts": counts.tolist(), "edges": edges.tolist()}
        self.client.log_dict(self.run, table, f"{name}/step-{step:09d}.json")

    def _add_file(self, name: str, step: int, suffix: str, contents: bytes) -> None:
        """MLflow takes files; it has one for each step, which a run that resumes writes again."""
        with tempfile.TemporaryDirectory(prefix="mimic-") as folder:
            path = Path(folder, f"step-{step:09d}{suffix}")
            path.write_bytes(contents)
            self.client.log_artifact(self.run, str(path), name)

    def close(self) -> None:
        self.client.set_terminated(self.run)


class Wandb:
    """A run of the project `mimic`, in <directory>/wandb, from where `wandb sync` sends it."""

    def __init__(self, directory: Path):
        import wandb  # not a part of the recipe

        self.media = wandb
        folder = directory.resolve() / "wandb"
        folder.mkdir(exist_ok=True)
        remembered = folder / "run_id"
        if not remembered.exists():
            with atomic.replace(remembered) as f:
                f.write(f"{uuid.uuid4().hex[:8]}\n")
        self.run = wandb.init(
            project=PROJECT,
            name=directory.name,
            id=remembered.read_text().strip(),
            resume="allow",
            dir=directory.resolve(),
            mode=os.environ.get("WANDB_MODE", "offline"),  # type: ignore[arg-type]  # it refuses a wrong one itself
            config=_settings(directory),
        )

    def add(self, values: Mapping[str, float], step: int) -> None:
        self.run.log(dict(values), step=step)

    def add_audio(self, name: str, waveform: np.ndarray, rate: int, step: int) -> None:
        self.run.log({name: self.media.Audio(waveform, sample_rate=rate)}, step=step)

    def add_image(self, name: str, pixels: np.ndarray, step: int) -> None:
        self.run.log({name: self.media.Image(pixels)}, step=step)

    def add_histogram(self, name: str, values: np.ndarray, step: int) -> None:
        self.run.log({name: self.media.Histogram(np_histogram=histogram(values))}, step=step)

    def close(self) -> None:
        self.run.finish()


def _settings(directory: Path) -> dict[str, Any]:
    """The configuration of the training, by dotted names."""
    path = directory / "config.yaml"
    return dict(flat(yaml.safe_load(path.read_text(encoding="utf-8")))) if path.exists() else {}


def png_bytes(pixels: np.ndarray) -> bytes:
    """Shades of grey (rows, columns), uint8, as a PNG file."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def histogram(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """How many of the finite numbers lie in each bin (bins,), and where these begin and end (bins + 1,)."""
    return np.histogram(values[np.isfinite(values)].astype(np.float64), BINS)


class Curves:
    """A new event file in `directory`, which takes the place of older ones from `step` on.

    Written by the thread that calls it: PyTorch's SummaryWriter has one of its own, and a full disk that this one meets
    leads to a traceback and to an error that names no file.
    """

    def __init__(self, directory: Path, step: int):
        directory.mkdir(parents=True, exist_ok=True)
        self._path = directory / f"events.out.tfevents.{time.time():.6f}.{socket.gethostname()}.{os.getpid()}"
        self._records = RecordWriter(open(self._path, "wb"))
        self._write(Event(file_version="brain.Event:2"))
        self._write(Event(session_log=SessionLog(status=SessionLog.START), step=step))

    def add(self, values: Mapping[str, float], step: int) -> None:
        """As in `Tracker`. Raises OSError, with the file's name."""
        self._add(step, *(Summary.Value(tag=name, simple_value=value) for name, value in values.items()))

    def add_audio(self, name: str, waveform: np.ndarray, rate: int, step: int) -> None:
        sound = Summary.Audio(sample_rate=rate, num_channels=1, length_frames=len(waveform), content_type="audio/wav")
        sound.encoded_audio_string = wav_bytes(waveform, rate)
        self._add(step, Summary.Value(tag=name, audio=sound))

    def add_image(self, name: str, pixels: np.ndarray, step: int) -> None:
        rows, columns = pixels.shape
        picture = Summary.Image(height=rows, width=columns, colorspace=1, encoded_image_string=png_bytes(pixels))
        self._add(step, Summary.Value(tag=name, image=picture))

    def add_histogram(self, name: str, values: np.ndarray, step: int) -> None:
        counts, edges = histogram(values)
        finite = values[np.isfinite(values)].astype(np.float64)
        found = HistogramProto(num=finite.size, sum=finite.sum(), sum_squares=np.square(finite).sum())
        found.min, found.max = edges[0], edges[-1]
        found.bucket_limit.extend(edges[1:].tolist())
        found.bucket.extend(counts.tolist())
        self._add(step, Summary.Value(tag=name, histo=found))

    def close(self) -> None:
        self._records.close()

    def _add(self, step: int, *values: Summary.Value) -> None:
        self._write(Event(summary=Summary(value=values), step=step))

    def _write(self, event: Event) -> None:
        event.wall_time = time.time()
        try:
            self._records.write(event.SerializeToString())
            self._records.flush()
        except OSError as error:
            raise atomic.named(error, self._path) from None
