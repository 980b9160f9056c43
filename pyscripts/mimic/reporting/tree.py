"""An experiment tree as the report sees it: its systems with their scores and alignments, its utterances, its audio.

Systems are directories enhance_<name> and asr_<name>, and `noisy`, whose scores are the baseline. Nothing here fails
because a part is missing: the report leaves that part out.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

from mimic.io import atomic
from mimic.io.tables import read_table
from mimic.metrics.figures import Pairs, Row
from mimic.metrics.identity import OTHER, identify
from mimic.metrics.scores import read_identity, read_rows
from mimic.reporting.runs import Run, read_runs
from mimic.reporting.score_table import System, read_systems

TITLES = {"mse": "MSE", "mimic": "MSE + mimic"}  # other systems go by their name
FIRST = ("clean", "noisy", "mse", "mimic")
QUALITY = ("wb-pesq", "nb-pesq", "estoi", "stoi", "si-sdr")  # the first that has scores is what plots show
TEST = "test"  # the set whose utterances are shown


@dataclass(frozen=True)
class Scored:
    """A system on the test set, its first seed: scores of its enhanced speech, alignments of its recognised words."""

    key: str  # unique in a report
    title: str
    name: str  # as in its directories' names
    tree: str  # label of its tree, empty where there is only one
    system: System
    scores: Mapping[str, Row]
    words: Mapping[str, Pairs]
    colour: int
    dashed: bool  # of the second tree

    @property
    def enhances(self) -> bool:
        """Whether it changes its input; `clean` and `noisy` do not."""
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
    tables: dict[str, Mapping[str, str]] = field(default_factory=dict)

    @cached_property
    def systems(self) -> list[System]:
        """The rows of the table of scores."""
        known = self.recorded
        further = {side for system in known for other in system.others for side in (other.enhance, other.asr)}
        dirs = [d.name for d in atomic.glob(self.path, "*") if d.is_dir() and d not in further]
        names = {d.partition("_")[2] for d in dirs if d.startswith(("asr_", "enhance_"))}
        if (self.path / "noisy").is_dir():
            names.add("noisy")
        order = {name: place for place, name in enumerate(FIRST)}
        found = []
        for name in sorted(names, key=lambda name: (order.get(name, len(order)), name)):
            enhance = _there(self.path / ("noisy" if name == "noisy" else f"enhance_{name}"))
            asr = _there(self.path / f"asr_{name}")
            same = (one for one in known if any(side in (one.enhance, one.asr) for side in (enhance, asr) if side))
            of = max(same, key=lambda one: (len(one.others), bool(one.fixed)), default=System(name, None, None))
            found.append(System(name, enhance, asr, of.seed, of.others, of.fixed))
        return found

    @cached_property
    def recorded(self) -> list[System]:
        """The systems with all their seeds, as the records beside the tables of scores list them."""
        return [system for path in atomic.glob(self.path, "*.json") for system in read_systems(path)]

    @property
    def main_rows(self) -> list[System]:
        """The rows of the table that run.sh writes, with all their seeds; none where there is no such record."""
        path = self.path / "RESULTS.json"
        return read_systems(path) if path.exists() else []

    @cached_property
    def scored(self) -> list[Scored]:
        return [self._scored(system) for system in self.systems]

    def _scored(self, system: System) -> Scored:
        name = system.name
        folders = [side / "scoring" / TEST if side else None for side in (system.enhance, system.asr)]
        title = TITLES.get(name, name) + (f" ({OTHER})" if set(folders) & self.foreign else "")
        speech, words = ({} if f is None or f in self.foreign else read_rows(f) for f in folders)
        return Scored(
            key=f"{name}-2" if self.second else name,
            title=f"{title} ({self.label})" if self.label else title,
            name=name,
            tree=self.label,
            system=replace(system, name=title),
            scores={utt: row for utt, row in speech.items() if row.scores},
            words={utt: row.alignments["wer"] for utt, row in words.items() if "wer" in row.alignments},
            colour=self.colours.setdefault(name, len(self.colours)),
            dashed=self.second,
        )

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
        return read_runs(self.path, self.label, self.second)

    def colour_of(self, run: Run) -> int | None:
        """The colour of the system that a run is part of, whichever its seed; None for a run of no system."""
        return next((self.colours.get(s.name) for s in self.systems if self._has(s, run.name)), None)

    def _has(self, system: System, run: str) -> bool:
        return self.path / run in (*system.dirs("enhance").values(), *system.dirs("asr").values())

    def side(self, name: str) -> Path | None:
        """A data directory with the audio of the test set: clean, noisy, or enhanced by a system."""
        if name in ("clean", "noisy"):
            places = [self.path / kind / f"{TEST}_{name}" for kind in ("stft", "fbank")]
            places.append(self.data / f"{TEST}_{name}")
        else:
            places = [self.path / f"enhance_{name}" / kind / TEST for kind in ("wav", "enhanced")]
        return next((place for place in places if (place / "wav.scp").exists()), None)

    def known(self, table: str) -> Mapping[str, str]:
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

    def left_out(self) -> list[tuple[str, str, str]]:
        """(where, utterance, reason): what was skipped, has no score, or was not decoded, on any set."""
        found = []
        for path in [*atomic.glob(self.data, "*/skipped.tsv"), *atomic.glob(self.path, "**/skipped.tsv")]:
            for line in path.read_text(encoding="utf-8").splitlines():
                utt, _, reason = line.partition("\t")
                found.append((self.short(path.parent), utt, f"skipped: {reason}"))
        for folder in atomic.glob(self.path, "*/scoring/*"):
            rows, where = read_rows(folder).values(), self.short(folder)
            found += [(where, row.utt, f"no score: {row.reason}") for row in rows if row.reason != "-"]
            absent = "no hypothesis: all its words count as deleted"
            found += [(where, row.utt, absent) for row in rows if not row.present]
        return found

    def short(self, path: Path) -> str:
        """A path from the directory above the tree's."""
        base = self.path.parent if path.is_relative_to(self.path) else self.data.parent
        return str(path.relative_to(base))


def quality_measure(systems: list[Scored]) -> str | None:
    """The measure that plots show: wide-band PESQ where it could be computed."""
    for measure in QUALITY:
        if any(row.scores.get(measure) is not None for s in systems for row in s.scores.values()):
            return measure
    return None


def _there(folder: Path) -> Path | None:
    return folder if folder.is_dir() else None
