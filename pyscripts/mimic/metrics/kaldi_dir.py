"""Reads scores where our JSON is missing: Kaldi's decode directories, and what the recipe left before summary.json.

The only reader of wer_*, wer_details, summary.tsv and per_utt.tsv; all other code uses mimic.metrics.scores.
"""

import json
import re
from pathlib import Path

from mimic.errors import UserError
from mimic.metrics.figures import Mean, Pairs, Row, Scores
from mimic.metrics.identity import Identity

WER_LINE = re.compile(r"%WER (\S+) \[ (\d+) / (\d+), (\d+) ins, (\d+) del, (\d+) sub \]")
SENTENCES = re.compile(r"Scored (\d+) sentences, (\d+) not present")
INTERVAL = re.compile(r"Interval \[ (\S+), (\S+) \]")
UNITS = ("wer", "cer")
NAN = float("nan")


def has_scores(folder: Path) -> bool:
    """Whether the directory has scores by utterance."""
    return any((folder / name).is_file() for name in ("per_utt.tsv", *(f"{unit}_details/per_utt" for unit in UNITS)))


def read_scores(folder: Path) -> Scores | None:
    """The figures of <unit>_1_0.0 and summary.tsv, None where there is neither; conditions are not read."""
    figures = {unit: _rate(folder, unit) for unit in UNITS if (folder / f"{unit}_1_0.0").exists()}
    if (folder / "summary.tsv").exists():
        figures |= _means(folder / "summary.tsv")
    if not figures:
        return None
    return Scores(
        max(mean.counts.get("sentences", mean.n + mean.na) for mean in figures.values()), figures, _data(folder)
    )


def best_line(folder: Path, unit: str) -> str:
    """The line with the lowest rate of <unit>_<lmwt>_<wip> and the name of its file, as best_wer.sh prints; or none."""
    found = []
    for path in sorted(folder.glob(f"{unit}_*_*")):
        lines = [line for line in _lines(path) if line.startswith("%WER")] if path.is_file() else []
        found += [(float(line.split()[1]), f"{line} {path}") for line in lines]
    return min(found, key=lambda pair: pair[0], default=(NAN, ""))[1]


def read_rows(folder: Path) -> dict[str, Row]:
    """{utterance: scores of per_utt.tsv, alignments of wer_details/per_utt}, empty where there is neither."""
    rows = {row.utt: row for row in read_tsv(folder / "per_utt.tsv")[0]} if (folder / "per_utt.tsv").exists() else {}
    found: dict[str, dict[str, Pairs]] = {}
    absent: set[str] = set()
    for unit in UNITS:
        details = folder / f"{unit}_details"
        if (details / "per_utt").exists():
            for utt, pairs in read_per_utt(details / "per_utt").items():
                found.setdefault(utt, {})[unit] = pairs
        if (details / "missing").exists():
            absent |= {line.split()[0] for line in _lines(details / "missing")}
    return rows | {utt: Row(utt, alignments=units, present=utt not in absent) for utt, units in found.items()}


def read_tsv(path: str | Path) -> tuple[list[Row], tuple[str, ...]]:
    """The rows and measures of per_utt.tsv."""
    header, *lines = (line.split("\t") for line in _lines(Path(path)))
    measures = tuple(header[1:-1])
    rows = []
    for utt, *values, reason in lines:
        scores = [None if value == "NA" else float(value) for value in values]
        rows.append(Row(utt, dict(zip(measures, scores, strict=True)), reason))
    return rows, measures


def read_per_utt(path: Path) -> dict[str, Pairs]:
    """Read wer_details/per_utt: {utterance: [(reference, hypothesis, C S I or D), ...]}, *** where a side is empty.

    Raises UserError where it has not four lines an utterance.
    """
    rows: dict[str, dict[str, list[str]]] = {}
    for line in _lines(path):
        utt, name, *cells = line.split()
        rows.setdefault(utt, {})[name] = cells
    for utt, row in rows.items():
        if row.keys() != {"ref", "hyp", "op", "#csid"} or not len(row["ref"]) == len(row["hyp"]) == len(row["op"]):
            raise UserError(f"{path}: {utt}: not the four lines ref, hyp, op, #csid: score again with --force true")
    return {utt: list(zip(row["ref"], row["hyp"], row["op"], strict=True)) for utt, row in rows.items()}


def _rate(folder: Path, unit: str) -> Mean:
    path = folder / f"{unit}_1_0.0"
    text = path.read_text(encoding="utf-8")
    line, sentences = WER_LINE.search(text), SENTENCES.search(text)
    if not line or not sentences:
        raise UserError(f"{path}: no %WER line: run steps/score_asr.sh with --force true")
    errors, words, ins, dele, sub = map(int, line.groups()[1:])
    bootci = folder / f"{unit}_details/{unit}_bootci"
    limits = INTERVAL.search(bootci.read_text(encoding="utf-8")) if bootci.exists() else None
    low, high = map(float, limits.groups()) if limits else (NAN, NAN)
    counts = {"errors": errors, "ins": ins, "del": dele, "sub": sub, "sentences": int(sentences[1])}
    return Mean(100 * errors / words if words else NAN, low, high, words, int(sentences[2]), counts)


def _means(path: Path) -> dict[str, Mean]:
    lines = [line.split("\t") for line in _lines(path) if not line.startswith(("#", "measure\t"))]
    return {
        name: Mean(_number(mean), _number(low), _number(high), int(n), int(na))
        for name, mean, low, high, n, na in lines
    }


def _number(cell: str) -> float:
    return NAN if cell == "NA" else float(cell)


def _data(folder: Path) -> Identity | None:
    path = folder / "data.json"
    if not path.exists():
        return None
    try:
        return Identity(**json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, TypeError) as error:
        raise UserError(f"{path}: not what scoring writes ({error}): score again with --force true") from None


def _lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").splitlines()
