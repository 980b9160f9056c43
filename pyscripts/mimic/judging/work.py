"""The parts of steps/judge.sh: all ratios on dev, those that were chosen on the rest, results of both."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from mimic.errors import UserError
from mimic.io.atomic import replace
from mimic.io.environment import environment
from mimic.io.tables import split
from mimic.io.text import normaliser
from mimic.judging import recognisers
from mimic.judging.evaluation import Evaluation, Scores, known_measures
from mimic.judging.findings import Findings
from mimic.judging.material import Material, System, dev_part, parse_enhancer
from mimic.judging.verdicts import align, choose, judge, rate, strongest, systems
from mimic.models.ratio import AUTO

log = logging.getLogger(__name__)
TAKEN = {"data", "scores"}  # names that results have for other things


@dataclass(frozen=True)
class Options:
    """What is asked for; see steps/judge.sh. Enhancers and recognisers are words of its options, a list each."""

    data: Path
    out: Path
    enhancers: Sequence[str]
    recognisers: Sequence[str]
    ratios: Sequence[float | str]
    dev_share: float = 0.3
    text: Path | None = None
    language: str = "en"
    normaliser: str = ""
    measures: str = "auto"
    max_skip: float = 0.01
    allow_pipes: bool = False
    channel: int | None = None

    @property
    def normalise(self) -> str:
        """The name of the normaliser."""
        return self.normaliser or ("english" if self.language == "en" else "plain")


class Work:
    """One judgement. part: its name in the files of what was found; job: of so many that share the utterances.

    UserError, at once, for words that name nothing, and for combinations that do not fit.
    """

    def __init__(self, options: Options, part: str = "all", job: int = 1, nj: int = 1) -> None:
        self.options, self.part, self.job, self.nj = options, part, job, nj
        self.kept = options.out / "kept"
        pipes = options.allow_pipes
        self.material = Material(options.data, options.text, pipes, options.channel)
        found = [parse_enhancer(word, self.kept / "enhanced", pipes) for word in options.enhancers]
        self.enhancers = {enhancer.name: enhancer for enhancer in found}
        self.names = [recognisers.parse(spec)[0] for spec in options.recognisers]
        for option, known in (("--enhancers", [e.name for e in found]), ("--recognisers", self.names)):
            if not known:
                raise UserError(f"{option}: name one at least")
            if taken := TAKEN & set(known):
                raise UserError(f"{option}: {min(taken)} cannot be a name here: write another one before it: mine=...")
            if twice := [name for name in known if known.count(name) > 1]:
                raise UserError(f"{option}: {twice[0]} is there twice: give one another name, as in {twice[0]}2=DIR")
        self.ratios = list(dict.fromkeys(options.ratios))
        if not self.ratios:
            raise UserError("--ratios: give one at least")
        fixed = [enhancer.name for enhancer in found if enhancer.curve is None] if AUTO in self.ratios else []
        if fixed and self.ratios == [AUTO]:
            raise UserError(f"--ratios {AUTO}: {fixed[0]} has none: steps/fit_ratio.sh, or leave it out")
        if fixed and part == "inputs":
            log.warning("--ratios %s: not of %s, which have none: steps/fit_ratio.sh", AUTO, ", ".join(fixed))
        self.transcripts = bool(self.material.texts)
        every = systems(list(self.enhancers), self.ratios)
        self.candidates = [one for one in every if one.ratio != AUTO or one.enhancer not in fixed]
        self.normalise = normaliser(options.normalise)
        utts = sorted(self.material.texts) or self.material.utts
        self.dev: list[str] = []
        if self.transcripts and len(self.candidates) > 1:
            if len(utts) < 2:
                raise UserError(f"{options.data}: one utterance: give a single enhancer and a single of --ratios")
            self.dev = dev_part(utts, options.dev_share)
        self.test = sorted(set(utts) - set(self.dev))
        self.skipped = dict(self.material.gaps)
        self.total = len(utts) + len(self.skipped)

    @cached_property
    def evaluation(self) -> Evaluation:
        """Loads the recognisers, and what was found before."""
        import torch  # takes seconds to load

        torch.set_flush_denormal(True)  # as in enhancement
        torch.set_num_threads(1)  # more gain nothing with one utterance at a time, and jobs wait for each other
        folder, options = self.kept / "findings", self.options
        found = Findings(folder / f"{self.part}-{self.job}-of-{self.nj}.jsonl", sorted(folder.glob("*.jsonl")))
        judges: list[Any] = [recognisers.make(spec, options.language) for spec in options.recognisers]
        if measures := known_measures(options.measures, self.transcripts):
            judges.append(Scores(measures))
        return Evaluation(self.material, self.enhancers, judges, found, self.skipped)

    def inputs(self) -> list[Path]:
        """Files and directories that the results are made from. UserError where anything is known to be missing."""
        self.check_skipped(self.test)
        known_measures(self.options.measures, transcripts=True)
        for spec in self.options.recognisers:
            recognisers.require(spec, self.options.language)
        places = [recognisers.parse(spec) for spec in self.options.recognisers]
        found = [self.options.data, *([self.options.text] if self.options.text else [])]
        found += [enhancer.directory for enhancer in self.enhancers.values()]
        return found + [Path(argument) for _, what, argument in places if argument and what != "cmd"]

    def run(self, dev: bool) -> None:
        """The work of one job: on dev all ratios, on the rest those that were chosen."""
        if dev and not self.dev:
            return
        utts = self.evaluation.usable(split(self.dev if dev else self.test, self.job, self.nj))
        chosen = self.candidates if dev else self.chosen()
        for system in [System(), *chosen]:
            self.evaluation.run(system, utts)

    def chosen(self) -> list[System]:
        """The systems that a recogniser has chosen on dev; without a dev part all."""
        if not self.dev:
            return self.candidates
        best = [system for of_enhancers in self.choices().values() for system in of_enhancers.values()]
        return [system for system in self.candidates if system in best]

    def choices(self) -> dict[str, dict[str, System]]:
        """{recogniser: {enhancer: system}}."""
        return {
            name: {e: choose({s: r for s, r in rates.items() if s.enhancer == e}) for e in self.enhancers}
            for name, (_, rates) in self.rates.items()
        }

    @cached_property
    def rates(self) -> dict[str, tuple[float, dict[System, float]]]:
        """{recogniser: (WER of noisy speech, WER of each system)} on dev."""
        if not self.dev:
            return {}
        utts = self.evaluation.usable(self.dev)
        found = {system: self.evaluation.run(system, utts) for system in [System(), *self.candidates]}
        refs = {utt: self.normalise(self.material.texts[utt]) for utt in utts}

        def wer(name: str, system: System) -> float:
            return rate(align(refs, found[system][name], self.normalise))

        return {name: (wer(name, System()), {s: wer(name, s) for s in self.candidates}) for name in self.names}

    def results(self) -> None:
        """Write OUT/results. UserError where more utterances than allowed cannot be used."""
        from mimic.judging.output import Output  # matplotlib and jinja2, which the other parts do not need

        choices, utts = self.choices(), self.evaluation.usable(self.test)
        folder = self.options.out / "results"
        folder.mkdir(parents=True, exist_ok=True)
        with replace(folder / "skipped.tsv") as f:
            f.write("".join(f"{utt}\t{reason}\n" for utt, reason in sorted(self.skipped.items())))
        self.check_skipped(utts)
        chosen = self.chosen()
        found = {system: self.evaluation.run(system, utts) for system in [System(), *chosen]}
        output = Output(folder, self.options.data, self.transcripts, utts)
        for name in self.names:
            words_of = {system: one[name] for system, one in found.items()}
            scores = {system: one.get("scores", {}) for system, one in found.items()}
            texts = self.material.texts if self.transcripts else {u: words_of[System()][u].get("hyp", "") for u in utts}
            refs = {utt: self.normalise(texts[utt]) for utt in utts}
            sides = {s: (align(refs, words_of[s], self.normalise), words_of[s], scores[s]) for s in words_of}
            mine = list(choices[name].values()) if choices else chosen
            judgements = [judge(s, sides[System()], sides[s], [self.options.data]) for s in mine]
            dev = self.rates.get(name)
            shown = strongest(mine)
            final = [choose(dev[1])] if dev else shown
            output.add(name, judgements, shown, final, sides, refs, dev, self.evaluation.signal)
        facts = {"data": str(self.options.data), "dev": len(self.dev), "test": len(utts), "skipped": len(self.skipped)}
        output.write(facts | {"options": self.record(), "environment": environment()})
        log.info("wrote %s: results.json, results.txt, and report/<recogniser>/index.html", folder)

    def check_skipped(self, utts: Sequence[str]) -> None:
        """UserError where more utterances than allowed are known to be of no use, or where none is left in `utts`."""
        if not utts or len(self.skipped) > self.options.max_skip * self.total:
            utt, reason = min(self.skipped.items(), default=("none", "there are none"))
            raise UserError(
                f"{len(self.skipped)} of {self.total} utterances cannot be used (allowed: --max-skip "
                f"{self.options.max_skip:g}), first {utt}: {reason}"
            )

    def record(self) -> dict[str, Any]:
        judges = {judge.name: judge.identity for judge in self.evaluation.judges}
        enhancers = {e.name: {"directory": str(e.directory), "identity": e.identity} for e in self.enhancers.values()}
        return {"ratios": self.ratios, "normaliser": self.options.normalise, "judges": judges, "enhancers": enhancers}
