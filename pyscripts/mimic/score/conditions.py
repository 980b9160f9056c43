"""The conditions of a set's utterances, as far as its data directories tell: SNR, noise kind, speaker, length."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from mimic.data.kaldi_dir import read_table

CONDITIONS = {"snr": "utt2snr", "noise": "utt2noise", "speaker": "utt2spk", "length": "utt2dur"}
LENGTHS = (2.0, 5.0, 10.0)  # s, limits between the classes of length
T = TypeVar("T")


def grouped(
    items: Sequence[T], utt: Callable[[T], str], data_dirs: Sequence[str | Path]
) -> Iterator[tuple[str, str, list[T]]]:
    """Yield (condition, value, items with that value); what no table knows about is left out."""
    for condition, table in CONDITIONS.items():
        paths = [Path(data_dir) / table for data_dir in data_dirs]
        known: Mapping[str, str] = next((read_table(path) for path in paths if path.exists()), {})
        groups: dict[str, list[T]] = defaultdict(list)
        for item in items:
            value = known.get(utt(item))
            if value is not None:
                groups[_length(float(value)) if condition == "length" else value].append(item)
        for value in sorted(groups, key=_order):
            yield condition, value, groups[value]


def _length(seconds: float) -> str:
    edges = (0.0, *LENGTHS)
    k = sum(seconds >= limit for limit in LENGTHS)
    return f"{edges[k]:g}-{LENGTHS[k]:g}s" if k < len(LENGTHS) else f"{edges[k]:g}s-"


def _order(value: str) -> tuple[float, str]:
    """Numbers by size, before names."""
    try:
        return float(value.split("-")[0].rstrip("s") or value), value
    except ValueError:
        return float("inf"), value
