"""A plan as text."""

import re
from collections.abc import Sequence

from mimic.errors import UserError
from mimic.reporting.estimate import Corpus, Costs, Setting, Stage, estimate, total
from mimic.reporting.score_table import aligned

UNITS = {"m": 60.0, "h": 3600.0, "d": 86400.0}
TRAINED = ("3 perceptual", "4 enhancement", "6 recognition")


def parse_duration(text: str) -> float:
    """Seconds of 90m, 24h or 3d. UserError for anything else."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([mhd])", text)
    if not match or not float(match[1]):
        raise UserError(f"--within takes a time such as 90m, 24h or 3d, got {text!r}")
    return float(match[1]) * UNITS[match[2]]


def number(value: float) -> str:
    """Three digits, and no exponent."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}" if value >= 0.01 else f"{value:.2f}"


def tables(plans: Sequence[tuple[Corpus, list[Stage]]]) -> str:
    """Hours, memory of a job and disk of each stage and in all, a column for each amount of training speech."""
    full = [[*stages, total(stages)] for _, stages in plans]
    head = [f"{number(corpus.train)} h" for corpus, _ in plans]
    text = []
    for title, value in (
        ("hours", lambda stage: stage.seconds / 3600),
        ("GiB of memory per job", lambda stage: stage.memory / 2**30),
        ("GB of disk", lambda stage: stage.disk / 1e9),
    ):
        rows = [[title, *head]]
        for row in zip(*full, strict=True):
            rows.append([row[0].name, *(number(value(stage)) for stage in row)])
        text.append(aligned(rows))
    return "\n".join(text)


def advice(
    corpora: Sequence[Corpus],
    found: Sequence[tuple[Setting, float] | None],
    setting: Setting,
    costs: Costs,
    wish: str,
) -> str:
    """One line for each amount of speech: which nj and ngpu reach the target time."""
    lines = ["\n"]
    for corpus, reached in zip(corpora, found, strict=True):
        if reached:
            needs = f"--nj {reached[0].nj} --ngpu {reached[0].ngpu}"
            line = f"{needs}: {number(reached[1] / 3600)} h, on a cluster or machine with {2 * reached[0].nj} cores"
        else:
            stages = estimate(costs, setting, corpus)
            trained = sum(stage.seconds for stage in stages if stage.name in TRAINED) / 3600
            line = (
                f"not with 1024 jobs{' and 64 GPUs' if setting.ngpu else ''}: training alone takes {number(trained)} h"
            )
            if not setting.ngpu:
                line += "; --ngpu 1 on a machine with a GPU says how many are needed"
        lines.append(f"{number(corpus.train)} h of speech within {wish}: {line}\n")
    return "".join(lines)
