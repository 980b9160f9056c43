"""What an experiment tree holds: systems with their scores and alignments, training runs, utterances.

Nothing here fails because a part is missing: the report leaves that part out.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from mimic.io import aside
from mimic.io.tables import read_table
from mimic.metrics.details import Pairs, read_per_utt
from mimic.metrics.enhancement import MEASURES, Row, read_rows
from mimic.metrics.identity import OTHER, identify, read_identity
from mimic.reporting.table import System

TITLES = {"mse": "MSE", "mimic": "MSE + mimic"}  # of directories <kind>_<name>; others go by <name>
FIRST = ("clean", "noisy", "mse", "mimic")
QUALITY = ("wb-pesq", "nb-pesq", "estoi", "stoi", "si-sdr")  # the first that has scores is what plots show
NAMES = dict(zip(MEASURES, "PESQ PESQ-nb STOI eSTOI CSIG CBAK COVL segSNR SI-SDR".split(), strict=True))
TASKS = {
    "perceptual": "Perceptual model",
    "enhance": "Enhancement",
    "adversarial": "Adversarial training",
    "asr": "Recognition",
}
TEST = "test"  # the set whose utterances are shown


@dataclass(frozen=True)
class Run:
    """A training run: its directory's name, its configuration with dotted keys, its log, what it was made with."""

    name: str
    tree: "Tree"
    config: Mapping[str, str]
    log: list[dict[str, float]]
    info: Mapping[str, Any]

    @property
    def task(self) -> str:
        """What it trains: two networks against each other, or by the first part of its directory's name."""
        if self.log and "train_discriminator_loss" in self.log[0]:
            return "adversarial"
        head = self.name.split("_")[0]
        return head if head in TASKS else "other"

    @property
    def title(self) -> str:
        return f"{self.name} ({self.tree.label})" if self.tree.label else self.name

    @property
    def system(self) -> str:
        """The part of its name that it shares with the other runs of its system, without the seed."""
        return re.sub(r"_seed\d+$", "", self.name).partition("_")[2]


@dataclass(frozen=True)
class Scored:
    """A system on one set, its first seed: scores by utterance of what it enhanced, alignments of what it heard."""

    key: str  # unique in a report
    title: str
    name: str  # as in its directories' names
    tree: str  # which tree it belongs to; empty where there is only one
    system: System
    scores: Mapping[str, Row]
    words: Mapping[str, Pairs]
    colour: int
    dashed: bool  # of the second tree

    @property
    def enhances(self) -> bool:
        """Whether it changes what it hears; `clean` and `noisy` do not."""
        return self.name not in ("clean", "noisy")

    def quality(self, utt: str, measure: str) -> float | None:
        return self.scores[utt].scores.get(measure) if utt in self.scores else None

    def errors(self, utt: str) -> tuple[int, int] | None:
        """Word errors and reference words."""
        if utt not in self.words:
            return None
        ops = [op for _, _, op in self.words[utt]]
        return sum(op != "C" for op in ops), sum(op != "I" for op in ops)


@dataclass
class Tree:
    """An experiment directory; `label` tells it from another one in the same report."""

    path: Path
    data: Path
    label: str = ""
    second: bool = False
    colours: dict[str, int] = field(default_factory=dict)  # by system; filled when none are given
    tables: dict[str, dict[str, str]] = field(default_factory=dict)

    @cached_property
    def systems(self) -> list[System]:
        """The rows of the results table: what has directories asr_<name> or enhance_<name>."""
        dirs = [d.name for d in aside.glob(self.path, "*") if d.is_dir() and "_seed" not in d.name]
        names = {d.partition("_")[2] for d in dirs if d.startswith(("asr_", "enhance_"))}
        if (self.path / "noisy").is_dir():
            names.add("noisy")
        order = {name: place for place, name in enumerate(FIRST)}
        found = []
        for name in sorted(names, key=lambda name: (order.get(name, len(order)), name)):
            enhance = self.path / ("noisy" if name == "noisy" else f"enhance_{name}")
            asr = self.path / f"asr_{name}"
            sides = [side if side.is_dir() else None for side in (enhance, asr)]
            found.append(System(name, *sides))
        return found

    @cached_property
    def scored(self) -> list[Scored]:
        found = []
        for system in self.systems:
            name, title = system.name, TITLES.get(system.name, system.name)
            colour = self.colours.setdefault(name, len(self.colours))
            heard, spoken = (side / "scoring" / TEST if side else None for side in (system.enhance, system.asr))
            title += f" ({OTHER})" if {heard, spoken} & self.foreign else ""
            heard, spoken = (None if side in self.foreign else side for side in (heard, spoken))
            words = spoken / "wer_details/per_utt" if spoken else None
            found.append(
                Scored(
                    key=f"{name}-2" if self.second else name,
                    title=f"{title} ({self.label})" if self.label else title,
                    name=name,
                    tree=self.label,
                    system=System(title, system.enhance, system.asr),
                    scores=_scores(heard / "per_utt.tsv") if heard else {},
                    words=read_per_utt(words) if words and words.exists() else {},
                    colour=colour,
                    dashed=self.second,
                )
            )
        return found

    @cached_property
    def foreign(self) -> set[Path | None]:
        """Directories of scores that were computed on another test set than the one that is shown here."""
        places = [self.data / f"{TEST}_clean", *(self.path / kind / f"{TEST}_clean" for kind in ("stft", "fbank"))]
        shown = [identify(place, read_table(place / "utt2spk")) for place in places if (place / "text").exists()]
        folders = [side / "scoring" / TEST for system in self.systems for side in (system.enhance, system.asr) if side]
        known = {folder: read_identity(folder) for folder in folders}
        return {folder for folder, one in known.items() if one and shown and not any(map(one.same, shown))}

    @cached_property
    def runs(self) -> list[Run]:
        """Every directory that a training wrote, recognisers last as in the recipe."""
        found = []
        for folder in aside.glob(self.path, "*/config.yaml"):
            where = folder.parent
            config = yaml.safe_load(folder.read_text(encoding="utf-8")) or {}
            run = Run(where.name, self, dict(flat(config)), read_log(where / "train_log.jsonl"), _json(where))
            found.append(run)
        order = [*TASKS, "other"]
        return sorted(found, key=lambda run: (order.index(run.task), run.name))

    def side(self, name: str) -> Path | None:
        """A data directory with the waves of the test set: clean, noisy, or enhanced by a system."""
        if name in ("clean", "noisy"):
            places = [self.path / kind / f"{TEST}_{name}" for kind in ("stft", "fbank")]
            places.append(self.data / f"{TEST}_{name}")
        else:
            places = [self.path / f"enhance_{name}" / kind / TEST for kind in ("wav", "enhanced")]
        return next((place for place in places if (place / "wav.scp").exists()), None)

    def known(self, table: str) -> dict[str, str]:
        """A table of the test set, such as utt2snr, from whichever directory has it."""
        if table not in self.tables:
            sides = [self.side(name) for name in ("noisy", "clean", *(s.name for s in self.systems))]
            paths = [side / table for side in sides if side and (side / table).exists()]
            self.tables[table] = read_table(paths[0]) if paths else {}
        return self.tables[table]

    @cached_property
    def utts(self) -> list[str]:
        """All utterances that have a score, a transcript or audio, in C order."""
        ids = {utt for s in self.scored for part in (s.scores, s.words) for utt in part}
        return sorted(ids | set(self.known("utt2spk")))


def quality_measure(systems: list[Scored]) -> str | None:
    """The measure that plots show: wide-band PESQ where it could be computed."""
    for measure in QUALITY:
        if any(row.scores.get(measure) is not None for s in systems for row in s.scores.values()):
            return measure
    return None


def read_log(path: Path) -> list[dict[str, float]]:
    """train_log.jsonl, a dictionary for each epoch; a last line that was cut short is left out."""
    entries = []
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else []:
        try:
            entries.append(json.loads(line))
        except json.JSONDecodeError:
            continue
    return entries


def flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Nested sections as dotted keys with values as text."""
    for key, value in values.items():
        if isinstance(value, dict):
            yield from flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def differences(runs: list[Run]) -> list[tuple[str, list[str]]]:
    """The keys of the configurations that are not the same in all runs, with each run's value."""
    keys = dict.fromkeys(key for run in runs for key in run.config)
    rows = [(key, [run.config.get(key, "-") for run in runs]) for key in keys]
    return [(key, values) for key, values in rows if len(set(values)) > 1]


def left_out(tree: Tree) -> list[tuple[str, str, str]]:
    """(where, utterance, reason): what was skipped, has no score, or was not decoded, on any set."""
    found = []
    places = [*aside.glob(tree.data, "*/skipped.tsv"), *aside.glob(tree.path, "**/skipped.tsv")]
    for path in places:
        for line in path.read_text(encoding="utf-8").splitlines():
            utt, _, reason = line.partition("\t")
            found.append((_short(path.parent, tree), utt, f"skipped: {reason}"))
    for path in aside.glob(tree.path, "*/scoring/*/per_utt.tsv"):
        na = [(utt, row.reason) for utt, row in _scores(path).items() if row.reason != "-"]
        found += [(_short(path.parent, tree), utt, f"no score: {reason}") for utt, reason in na]
    for path in aside.glob(tree.path, "*/scoring/*/wer_details/missing"):
        where = _short(path.parents[1], tree)
        found += [(where, utt, "no hypothesis: all its words count as deleted") for utt in _table(path)]
    return found


def _short(path: Path, tree: Tree) -> str:
    base = tree.path.parent if path.is_relative_to(tree.path) else tree.data.parent
    return str(path.relative_to(base))


def _scores(path: Path) -> dict[str, Row]:
    return {row.utt: row for row in read_rows(path)[0]} if path.exists() else {}


def _table(path: Path) -> dict[str, str]:
    return read_table(path) if path.exists() else {}


def _json(folder: Path) -> dict[str, Any]:
    path = folder / "run_info.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
