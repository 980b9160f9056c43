"""What scoring leaves for later steps: summary.json, all figures of the set; utterances.jsonl, a line per utterance.

Tables, the report and comparisons read these. A directory without them is Kaldi's, or of an earlier version of the
recipe: mimic.metrics.kaldi_dir reads it.
"""

import json
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from mimic.errors import UserError
from mimic.io import atomic
from mimic.metrics import kaldi_dir
from mimic.metrics.figures import Condition, Mean, Pairs, Row, Scores
from mimic.metrics.identity import Identity, mark
from mimic.metrics.wer import op_of

SUMMARY, UTTERANCES = "summary.json", "utterances.jsonl"


def summary_text(scores: Scores) -> str:
    """summary.json: NaN is null."""
    figures = {name: _plain(mean) for name, mean in scores.figures.items()}
    conditions = [
        {
            "condition": c.condition,
            "value": c.value,
            "figures": {name: _plain(mean) for name, mean in c.figures.items()},
        }
        for c in scores.conditions
    ]
    data = asdict(scores.data) if scores.data else None
    record: dict[str, Any] = {
        "utterances": scores.utterances,
        "data": data,
        "figures": figures,
        "conditions": conditions,
    }
    if scores.weights:
        record["weights"] = scores.weights
    return json.dumps(record, indent=1, ensure_ascii=False) + "\n"


def utterance_lines(rows: Iterable[Row]) -> Iterator[str]:
    """The lines of utterances.jsonl; of an alignment the tokens of both sides, *** where one is empty."""
    for row in rows:
        record: dict[str, Any] = {"utt": row.utt}
        if row.scores:
            record |= {"scores": row.scores, "reason": row.reason}
        for unit, pairs in row.alignments.items():
            record[unit] = {"ref": [ref for ref, _, _ in pairs], "hyp": [hyp for _, hyp, _ in pairs]}
        if row.alignments:
            record["present"] = row.present
        yield json.dumps(record, ensure_ascii=False) + "\n"


def write_scores(folder: Path, scores: Scores, rows: Sequence[Row] = ()) -> None:
    """Write both files, each atomically; without rows only the summary."""
    with atomic.replace(folder / SUMMARY) as f:
        f.write(summary_text(scores))
    if rows:
        with atomic.replace(folder / UTTERANCES) as f:
            f.writelines(utterance_lines(rows))


def read_scores(folder: Path) -> Scores | None:
    """The figures of a directory of scores, None where it has none. UserError for a damaged file."""
    path = folder / SUMMARY
    if not path.exists():
        return kaldi_dir.read_scores(folder)
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        figures = _figures(record["figures"])
        conditions = [Condition(c["condition"], c["value"], _figures(c["figures"])) for c in record["conditions"]]
        data = Identity(**record["data"]) if record["data"] else None
        return Scores(record["utterances"], figures, data, conditions, record.get("weights", ""))
    except (ValueError, TypeError, KeyError) as error:
        raise _damaged(path, error) from None


def read_rows(folder: Path) -> dict[str, Row]:
    """{utterance: scores and alignments} of a directory of scores, empty where it has none."""
    path = folder / UTTERANCES
    if not path.exists():
        return kaldi_dir.read_rows(folder)
    return {row.utt: row for row in read_lines(path)}


def read_lines(path: Path) -> list[Row]:
    """What `utterance_lines` has made. UserError for a damaged file."""
    try:
        return [_row(line) for line in path.read_text(encoding="utf-8").splitlines()]
    except (ValueError, TypeError, KeyError) as error:
        raise _damaged(path, error) from None


def has_scores(folder: Path) -> bool:
    """Whether a directory has scores by utterance."""
    return (folder / UTTERANCES).is_file() or kaldi_dir.has_scores(folder)


def read_identity(folder: Path) -> Identity | None:
    """What was scored, None where that is not recorded."""
    scores = read_scores(folder)
    return scores.data if scores else None


def marks(folders: Sequence[Path]) -> dict[Path, str]:
    """`mark` of each directory of scores against the data that most of those with an identity have."""
    known = {folder: read_identity(folder) for folder in folders}
    there = [identity for identity in known.values() if identity]
    common = max(there, key=lambda x: sum(x.same(y) for y in there), default=None)
    return {folder: mark(identity, common) for folder, identity in known.items()}


def _row(line: str) -> Row:
    record = json.loads(line)
    alignments = {unit: _pairs(record[unit]) for unit in ("wer", "cer", "cpwer", "tcpwer") if unit in record}
    row = Row(record["utt"], record.get("scores", {}), record.get("reason", "-"), alignments)
    return replace(row, present=record.get("present", True))


def _pairs(sides: dict[str, list[str]]) -> Pairs:
    return [(ref, hyp, op_of(ref, hyp)) for ref, hyp in zip(sides["ref"], sides["hyp"], strict=True)]


def _plain(mean: Mean) -> dict[str, Any]:
    values = {name: None if math.isnan(v) else v for name, v in zip(("mean", "low", "high"), _three(mean), strict=True)}
    return values | {"n": mean.n, "na": mean.na} | dict(mean.counts)


def _three(mean: Mean) -> tuple[float, float, float]:
    return mean.mean, mean.low, mean.high


def _figures(record: dict[str, dict[str, Any]]) -> dict[str, Mean]:
    found = {}
    for name, values in record.items():
        values = dict(values)
        three = (float("nan") if (v := values.pop(key)) is None else v for key in ("mean", "low", "high"))
        mean, low, high = three
        found[name] = Mean(mean, low, high, values.pop("n"), values.pop("na"), values)
    return found


def _damaged(path: Path, error: Exception) -> UserError:
    return UserError(f"{path}: not what scoring writes ({error}): score again with --force true")
