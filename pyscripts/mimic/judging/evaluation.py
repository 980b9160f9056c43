"""Runs recognisers and scores on speech without and with enhancers, and keeps all they found."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from mimic.errors import UserError
from mimic.judging.findings import Findings, Found, Recogniser, Signals, digest
from mimic.judging.material import Enhanced, Material, Model, System
from mimic.metrics.enhancement import WITHOUT, parse_measures, score_pair
from mimic.metrics.mos import packages
from mimic.progress import progress
from mimic.registry import JUDGES

log = logging.getLogger(__name__)
WHOLE = ("dnsmos-sig,dnsmos-bak,dnsmos-ovrl,dnsmos-p808", "distill-mos")  # those of a package each


class Scores:
    """Scores without a reference as a judge."""

    name = "scores"

    def __init__(self, measures: Sequence[str]) -> None:
        self.measures, self.identity = measures, f"scores {','.join(measures)}{packages(measures)}"

    def words(self, signals: Signals) -> Iterator[tuple[str, Found]]:
        """{measure: value} of each signal; None where it cannot be computed."""
        for utt, x in signals:
            found, _ = score_pair(x, x, self.measures)
            yield utt, {m: round(float(found[m]), 6) if m in found else None for m in self.measures}


def known_measures(names: str, transcripts: bool) -> tuple[str, ...]:
    """Measures of a comma-separated list; "auto": without transcripts those that are installed, else none; "": none."""
    if names != "auto":
        return parse_measures(names, reference=False) if names else ()
    found: tuple[str, ...] = ()
    for group in () if transcripts else WHOLE:
        try:
            found += parse_measures(group, reference=False)
        except UserError as error:
            log.warning("no %s: %s", group, str(error).removesuffix(f": {JUDGES}") + f" ({JUDGES})")
    return tuple(m for m in WITHOUT if m in found)


@dataclass
class Evaluation:
    """What is judged, by whom, and what is known already. `skipped`: {utterance: reason} of what cannot be read."""

    material: Material
    enhancers: Mapping[str, Model | Enhanced]
    judges: Sequence[Recogniser | Scores]
    findings: Findings
    skipped: dict[str, str]

    def usable(self, utts: Sequence[str]) -> list[str]:
        """Utterances whose noisy and enhanced speech can be read; the others go to `skipped`."""
        kept = []
        for utt in utts:
            try:
                noisy = self.material.noisy(utt)
                for enhancer in self.enhancers.values():
                    if isinstance(enhancer, Enhanced):
                        enhancer.enhance(utt, noisy)
                kept.append(utt)
            except UserError as error:
                self.skipped[utt] = str(error).removeprefix(f"{utt}: ")
        return kept

    def run(self, system: System, utts: Sequence[str]) -> dict[str, dict[str, Found]]:
        """{judge: {utterance: found}} of a system; only what was not found before is computed."""
        keys = {}
        for utt in utts:
            keys[utt] = digest(self.signal(system, utt).tobytes())
        return {judge.name: self._judge(judge, system, keys) for judge in self.judges}

    def signal(self, system: System, utt: str) -> np.ndarray:
        return self.material.signal(utt, system, self.enhancers)

    def _judge(self, judge: Recogniser | Scores, system: System, keys: Mapping[str, str]) -> dict[str, Found]:
        pending = [utt for utt, key in keys.items() if self.findings.get(judge.identity, key) is None]
        signals = ((utt, self.signal(system, utt)) for utt in pending)
        found = progress(judge.words(signals), len(pending), f"{judge.name} on {system.name}") if pending else []
        for utt, one in found:
            self.findings.add(judge.identity, keys[utt], one)
        return {utt: self.findings.get(judge.identity, key) or {} for utt, key in keys.items()}
