"""Writes the report: index.html, a page for every utterance, and audio and images of the picked ones."""

import logging
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import jinja2

from mimic.io.atomic import new_dir, replace
from mimic.metrics.enhancement import MEASURES
from mimic.reporting import audio, plots, report_tables, svg
from mimic.reporting.costs import costs
from mimic.reporting.picks import picks
from mimic.reporting.runs import GROUPS, differences
from mimic.reporting.tree import Scored, Tree, quality_measure

log = logging.getLogger(__name__)
TEMPLATES = Path(__file__).parent / "templates"


@dataclass(frozen=True)
class Version:
    """How an utterance sounds in one place: a player and images, or the reason why there are none."""

    key: str
    title: str
    wav: str = ""
    spectrogram: str = ""
    gain: str = ""
    reason: str = ""


@dataclass(frozen=True)
class Utterance:
    """A row of the table of utterances, and a page."""

    utt: str
    page: str
    facts: dict[str, str]  # speaker, noise, SNR, seconds
    why: list[str]
    text: str  # the reference


def build(trees: Sequence[Tree], out: Path, count: int, wanted: Sequence[str]) -> int:
    """Write the report of one tree, or of two side by side, into `out`; returns the number of utterances with audio.

    `count` utterances of each kind (best, worst, ...) and those in `wanted` get audio and spectrograms.
    """
    report = Report(trees, count, wanted)
    report.write(out)
    return sum(bool(u.why) for u in report.utterances)


class Report:
    """What the pages show, gathered once."""

    def __init__(self, trees: Sequence[Tree], count: int, wanted: Sequence[str], judged: str = "") -> None:
        """judged: name of the system whose best and worst utterances are picked, the last one where it is empty."""
        self.trees, self.first = trees, trees[0]
        self.systems = [s for tree in trees for s in tree.scored]
        self.measure = quality_measure(self.systems)
        self.noisy = {s.tree: s for s in self.systems if s.name == "noisy"}
        self.enhancers = [s for s in self.systems if s.enhances]
        ids = sorted({utt for tree in trees for utt in tree.utts})
        main = [s for s in self.first.scored if s.enhances and (s.scores or s.words)] or self.first.scored
        main = [s for s in main if s.name == judged] or main
        self.judged = main[-1] if main else None
        noisy = self.noisy.get(self.first.label)
        self.picks = picks(noisy, self.judged, ids, self.measure, count)
        self.picks |= {"asked for": [utt for utt in wanted if utt in ids]} if wanted else {}
        reasons: dict[str, list[str]] = {}
        for why, utts in self.picks.items():
            for utt in utts:
                reasons.setdefault(utt, []).append(why)
        self.utterances = [
            Utterance(
                utt, f"{place:0{len(str(len(ids)))}d}", self._facts(utt), reasons.get(utt, []), self._reference(utt)
            )
            for place, utt in enumerate(ids, 1)
        ]
        loader = jinja2.FileSystemLoader(TEMPLATES)
        self.env = jinja2.Environment(loader=loader, autoescape=True, trim_blocks=True, lstrip_blocks=True)
        self.env.undefined = jinja2.StrictUndefined
        self.env.globals |= {"NAMES": MEASURES, "measure": self.measure, "trees": trees, "systems": self.systems}

    def write(self, out: Path) -> None:
        """Pages and media first, index.html last."""
        with new_dir(out / "media") as media, new_dir(out / "utt") as pages:
            for u, before, after in zip(
                self.utterances, [None, *self.utterances], [*self.utterances[1:], None], strict=False
            ):
                versions = self._versions(u, media) if u.why else []
                text = self.env.get_template("utterance.html.j2").render(
                    u=u,
                    before=before,
                    after=after,
                    versions=versions,
                    recognised=[s for s in self.systems if u.utt in s.words],
                    scored=[s for s in self.systems if u.utt in s.scores],
                    scale=audio.gradient(audio.SPECTRUM),
                    gain_scale=audio.gradient(audio.GAIN),
                    range_db=audio.RANGE_DB,
                    deepest_db=audio.DEEPEST_DB,
                )
                (pages / f"{u.page}.html").write_text(text, encoding="utf-8")
        for name in ("report.css", "report.js"):
            shutil.copyfile(TEMPLATES / name, out / name)
        with replace(out / "index.html") as f:
            f.write(self.env.get_template("index.html.j2").render(self._index()))

    def _index(self) -> Mapping[str, object]:
        hrefs = {u.utt: f"utt/{u.page}.html" for u in self.utterances}
        levels = plots.snr_levels(self.first.known("utt2snr"))
        colours = {run: tree.colour_of(run) for tree in self.trees for run in tree.runs}
        by_name = sorted(colours, key=lambda run: run.name)  # those of two trees beside each other
        groups = {title: [run for run in by_name if run.group == group] for group, title in GROUPS.items()}
        return {
            "scores": [report_tables.main_scores(tree) for tree in self.trees],
            "versus": report_tables.side_by_side(*self.trees) if len(self.trees) == 2 else None,
            "all_scores": report_tables.all_scores(self.systems),
            "snr": plots.by_snr(self.systems, levels, self.measure),
            "seeds": [(tree, group) for tree in self.trees if (group := plots.by_seed(tree.main_rows))],
            "scatters": plots.scatters(self.systems, self.noisy, hrefs, self.measure),
            "curves": plots.curves(colours),
            "utterances": self.utterances,
            "facts": list(dict.fromkeys(name for u in self.utterances for name in u.facts)),
            "noises": sorted({u.facts["noise"] for u in self.utterances if "noise" in u.facts}),
            "picks": self.picks,
            "judged": self.judged,
            "hrefs": hrefs,
            "left_out": [(tree, tree.left_out()) for tree in self.trees],
            "differences": [(title, runs, differences(runs)) for title, runs in groups.items() if len(runs) > 1],
            "costs": [(tree, costs(tree)) for tree in self.trees],
            "runs": list(colours),
        }

    def _facts(self, utt: str) -> dict[str, str]:
        tables = {"speaker": "utt2spk", "noise": "utt2noise", "SNR": "utt2snr", "seconds": "utt2dur"}
        found = {}
        for name, table in tables.items():
            value = next((known[utt] for tree in self.trees if utt in (known := tree.known(table))), None)
            if value is not None:
                found[name] = f"{float(value):.1f}" if name == "seconds" else value
        return found

    def _reference(self, utt: str) -> str:
        pairs = next((s.words[utt] for s in self.systems if utt in s.words), [])
        return " ".join(ref for ref, _, op in pairs if op != "I")

    def _versions(self, u: Utterance, media: Path) -> list[Version]:
        """Read and write an utterance's audio; clean and noisy speech come from the first tree that has them."""
        places = {name: ("clean" if name == "clean" else "noisy", self._side(name)) for name in ("clean", "noisy")}
        places |= {s.key: (s.title, self._tree(s).side(s.name)) for s in self.enhancers if s.system.enhance}
        found = {key: (title, audio.read(folder, u.utt)) for key, (title, folder) in places.items()}
        waveforms = {key: waveform for key, (_, waveform) in found.items() if not isinstance(waveform, str)}
        if not waveforms:
            return [Version(key, title, reason=str(reason)) for key, (title, reason) in found.items()]
        wavs = audio.write_waveforms(waveforms, media, u.page)
        images = audio.write_images(waveforms, media, u.page)
        versions = []
        for key, (title, waveform) in found.items():
            if isinstance(waveform, str):
                versions.append(Version(key, title, reason=waveform))
                continue
            drawn = []
            for name, what in ((key, "spectrogram"), (f"{key}-gain", "gain, enhanced over noisy speech")):
                label = f"{what} of {u.utt}, {title}"
                image = f"../media/{quote(images[name])}" if name in images else ""
                drawn.append(svg.spectrogram(image, len(waveform) / audio.RATE, audio.RATE, label) if image else "")
            versions.append(Version(key, title, f"../media/{quote(wavs[key])}", *drawn))
        return versions

    def _side(self, name: str) -> Path | None:
        return next((side for tree in self.trees if (side := tree.side(name))), None)

    def _tree(self, system: Scored) -> Tree:
        return next(tree for tree in self.trees if tree.label == system.tree)
