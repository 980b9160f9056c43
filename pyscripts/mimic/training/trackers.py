"""Where the curves of a training go, beside its own files: TensorBoard, MLflow, Weights & Biases, or nowhere.

MLflow and Weights & Biases are not installed with the recipe. Both write into the experiment directory and need no
network, unless MLFLOW_TRACKING_URI or WANDB_MODE say otherwise. A training that resumes continues the run it had.
"""

import importlib.util
import os
import socket
import time
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import yaml
from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.record_writer import RecordWriter

from mimic.errors import UserError
from mimic.io import atomic
from mimic.yaml_file import flat

PACKAGES = {"mlflow": "mlflow-skinny", "wandb": "wandb"}  # module: what to install
PROJECT = "mimic"


class Tracker(Protocol):
    """A run on some tracker."""

    def add(self, values: Mapping[str, float], step: int) -> None:
        """Put a point on each of these curves, after so many steps."""

    def close(self) -> None:
        """The training has ended well."""


def check(name: str) -> None:
    """Raises UserError where the package of a tracker is not installed."""
    if name in PACKAGES and importlib.util.find_spec(name) is None:
        raise UserError(
            f"--train.tracker {name}: it is not installed: .venv/bin/python3 -m pip install {PACKAGES[name]}"
        )


def tracker(name: str, directory: Path, step: int) -> Tracker:
    """The tracker of this name for the training in `directory`, from `step` on."""
    if name == "none":
        return Nowhere()
    if name == "tensorboard":
        return Curves(directory / "tensorboard", step)
    check(name)
    return Mlflow(directory) if name == "mlflow" else Wandb(directory)


class Nowhere:
    """train_log.jsonl has the figures of each epoch all the same."""

    def add(self, values: Mapping[str, float], step: int) -> None:
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

    def close(self) -> None:
        self.client.set_terminated(self.run)


class Wandb:
    """A run of the project `mimic`, in <directory>/wandb, from where `wandb sync` sends it."""

    def __init__(self, directory: Path):
        import wandb  # not a part of the recipe

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

    def close(self) -> None:
        self.run.finish()


def _settings(directory: Path) -> dict[str, Any]:
    """The configuration of the training, by dotted names."""
    path = directory / "config.yaml"
    return dict(flat(yaml.safe_load(path.read_text(encoding="utf-8")))) if path.exists() else {}


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
        points = [Summary.Value(tag=name, simple_value=value) for name, value in values.items()]
        self._write(Event(summary=Summary(value=points), step=step))

    def close(self) -> None:
        self._records.close()

    def _write(self, event: Event) -> None:
        event.wall_time = time.time()
        try:
            self._records.write(event.SerializeToString())
            self._records.flush()
        except OSError as error:
            raise atomic.named(error, self._path) from None
