"""The conditions of a set's utterances, as its data directories tell: SNR, noise, test set, age, speaker, length."""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from mimic.io.tables import read_table, read_utt2spk

CONDITIONS = {"snr": "utt2snr", "noise": "utt2noise", "set": "utt2set", "age": "utt2age", "speaker": "utt2spk"}
CONDITIONS |= {"length": "utt2dur"}
ADULT = 16  # years
LENGTHS = (2.0, 5.0, 10.0)  # s, limits between the classes of length
T = TypeVar("T")


def grouped(
    items: Collection[T],
    utt: Callable[[T], str],
    data_dirs: Sequence[str | Path],
    kept: Callable[[T], Any] = lambda item: item,
) -> Iterator[tuple[str, str, list[Any]]]:
    """Yield (condition, value, what is `kept` of the items with that value); what no table knows about is left out.

    Where there are test sets (utt2set), SNRs are also grouped within each: conditions snr_A, snr_B.
    """
    tables = {
        condition: next(filter(None, (_table(Path(data_dir), table) for data_dir in data_dirs)), {})
        for condition, table in CONDITIONS.items()
    }
    for name in sorted(set(tables["set"].values())):
        tables[f"snr_{name}"] = {u: snr for u, snr in tables["snr"].items() if tables["set"].get(u) == name}
    for condition, known in tables.items():
        groups: dict[str, list[Any]] = defaultdict(list)
        for item in items if known else ():
            value = known.get(utt(item))
            if value is not None:
                groups[CLASSES.get(condition, str)(value)].append(kept(item))
        for value in sorted(groups, key=_order):
            yield condition, value, groups[value]


def _table(directory: Path, name: str) -> Mapping[str, str]:
    """A table by utterance; where it is not there, its counterpart by speaker, e.g. spk2age for utt2age."""
    by_speaker = directory / name.replace("utt2", "spk2")
    if (directory / name).exists():
        return read_table(directory / name)
    if name == "utt2spk" or not by_speaker.exists():
        return {}
    values = read_table(by_speaker)
    return {utt: values[spk] for utt, spk in read_utt2spk(directory / "utt2spk").items() if spk in values}


def _age(years: str) -> str:
    """Ages in years become groups; names of groups stay."""
    try:
        return "children" if float(years) < ADULT else "adults"
    except ValueError:
        return years


def _length(text: str) -> str:
    seconds = float(text)
    edges = (0.0, *LENGTHS)
    k = sum(seconds >= limit for limit in LENGTHS)
    return f"{edges[k]:g}-{LENGTHS[k]:g}s" if k < len(LENGTHS) else f"{edges[k]:g}s-"


CLASSES = {"age": _age, "length": _length}


def _order(value: str) -> tuple[float, str]:
    """Numbers by size, before names."""
    try:
        return float(value.split("-")[0].rstrip("s") or value), value
    except ValueError:
        return float("inf"), value
