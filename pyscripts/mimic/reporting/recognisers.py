"""A table of recognisers: size, hours of training, real-time factor of decoding, and word error rates by input."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from mimic.errors import UserError
from mimic.io.tables import read_frame_shift, read_frames
from mimic.metrics.comparison import of_seed
from mimic.metrics.scores import read_scores
from mimic.reporting.costs import union
from mimic.reporting.jobs import Job, read_job

HEAD = ["system", "parameters", "training, h", "RTF"]


@dataclass(frozen=True)
class Recogniser:
    """A row: a trained directory, and below it a directory for each input.

    Attributes:
        directory: path of the training; `<seed>` stands for "" of the first seed and `_seed<k>` of the others.
        output: name of the directory of an input below it, in which `<input>` stands for clean, noisy, ...; it holds
            scoring/SET, and decode_SET where that is not DIRECTORY/decode_SET_<input>.
    """

    name: str
    directory: str
    output: str = "<input>"

    @classmethod
    def parse(cls, text: str) -> "Recogniser":
        """Read `name=directory` or `name=directory,output`. UserError for anything else."""
        name, equals, rest = text.partition("=")
        directory, _, output = rest.partition(",")
        if not equals or not name or not directory:
            raise UserError(f"'{text}': expected name=directory, e.g. GMM=exp/ligru/tri3")
        return cls(name, directory, output or "<input>")

    def directories(self, seeds: Sequence[int]) -> list[Path]:
        """Of each seed, as far as they are there; UserError where none is."""
        several = seeds if "<seed>" in self.directory else seeds[:1]
        found = [path for seed in several if (path := Path(of_seed(self.directory, seed, seeds[0]))).is_dir()]
        if not found:
            raise UserError(f"{self.directory}: no such directory: train {self.name} first")
        return found


def row(recogniser: Recogniser, inputs: Sequence[str], seeds: Sequence[int], of_set: str) -> list[str]:
    """The cells of a recogniser, a word error rate for each input; `-`: not there. Of several seeds mean and spread."""
    paths = recogniser.directories(seeds)
    first = paths[0]
    hours = [hours for path in paths if (hours := training_hours(path)) is not None]
    cells = [recogniser.name, _parameters(first), f"{mean(hours):.2f}" if hours else "-"]
    every = [_factor(recogniser, path, name, of_set) for path in paths for name in inputs]
    factors = [factor for factor in every if factor is not None]  # 0: jobs of less than a second
    cells.append(f"{mean(factors):.2f}" if factors else "-")
    for name in inputs:
        folders = [path / recogniser.output.replace("<input>", name) / "scoring" / of_set for path in paths]
        found = [scores.figures["wer"].mean for folder in folders if (scores := read_scores(folder))]
        spread = f" +- {stdev(found):.2f}" if len(found) > 1 else ""
        cells.append(f"{mean(found):.2f}{spread}" if found else "-")
    return cells


def training_hours(directory: Path) -> float | None:
    """Wall hours of a training; of Gaussian mixtures those of its own jobs. None: unknown."""
    if (summary := _summary(directory)) is not None:
        return summary["seconds"] / 3600
    jobs = [job for log in sorted(directory.glob("log/*.log")) if (job := read_job(log))]
    return union(jobs) / 3600 if jobs else None


def _parameters(directory: Path) -> str:
    if (summary := _summary(directory)) is not None:
        return f"{summary['parameters']:,}"
    if not (directory / "final.mdl").exists():
        return "-"
    from mimic.hmm.model import Model  # imported here: networks do without kaldi-hmm-gmm

    gmm = Model.read(directory / "final.mdl").gmm
    return f"{gmm.num_gauss * (2 * gmm.dim + 1):,}" if gmm else "-"


def _summary(directory: Path) -> dict[str, Any] | None:
    """What a training of steps/train.sh has left."""
    path = directory / "summary.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None


def _factor(recogniser: Recogniser, directory: Path, name: str, of_set: str) -> float | None:
    """Seconds of one process for a second of speech, from the jobs of a decoding; None: unknown."""
    own = directory / recogniser.output.replace("<input>", name) / f"decode_{of_set}"
    for decoding in (own, directory / f"decode_{of_set}_{name}"):
        logs = [log for log in sorted(decoding.glob("log/*.log")) if not log.name.startswith("score")]
        if jobs := [job for log in logs if (job := read_job(log))]:
            speech = _speech(jobs)
            return sum(job.seconds for job in jobs) / speech if speech else None
    return None


def _speech(jobs: Sequence[Job]) -> float | None:
    """Seconds of speech in the feature directory that the jobs were given."""
    for word in jobs[0].command:
        if (Path(word) / "utt2num_frames").is_file():
            return sum(read_frames(word).values()) * read_frame_shift(word)
    return None
