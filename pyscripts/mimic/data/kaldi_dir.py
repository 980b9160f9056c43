"""Kaldi tables (`key value...` lines) and data directories, read strictly and written in C order."""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path

from mimic.atomic import replace
from mimic.errors import UserError

BLANKS = " \t"
PER_UTTERANCE = ("text", "text.phn", "segments", "feats.scp", "vad.scp", "spk1.scp", "noise1.scp", "dereverb1.scp")


def read_table(path: str | Path) -> dict[str, str]:
    """Read `path` into {first field: rest of the line}, in the order of the file; the rest may be empty.

    Raises UserError with file and line number for a duplicate key, an empty line, a carriage return, text that is
    not UTF-8, and for a file that is not there.
    """
    try:
        raw = Path(path).read_bytes()
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except IsADirectoryError:
        raise UserError(f"{path}: is a directory, expected a table") from None
    if b"\r" in raw:
        line = raw.count(b"\n", 0, raw.index(b"\r")) + 1
        raise UserError(f"{path}:{line}: carriage return (Windows line ends): run steps/fix_data.sh {_dir(path)}")
    try:
        text = raw.decode()
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise UserError(f"{path}:{line}: not UTF-8: convert the file, e.g. iconv -f latin1 -t utf-8") from None
    lines = text.split("\n")
    if lines[-1] == "":
        lines.pop()
    table: dict[str, str] = {}
    for number, line in enumerate(lines, 1):
        key, _, rest = line.strip(BLANKS).partition(" ")
        if "\t" in key:
            key, rest = re.split(r"[ \t]+", line.strip(BLANKS), maxsplit=1)
        if not key:
            raise UserError(f"{path}:{number}: empty line: remove it")
        if key in table:
            raise UserError(f"{path}:{number}: {key} is there twice: run steps/fix_data.sh {_dir(path)}")
        table[key] = rest.lstrip(BLANKS)
    return table


def write_table(path: str | Path, table: Mapping[str, str]) -> None:
    """Write `key value` lines sorted as `LC_ALL=C sort` does, atomically; an empty value leaves the key alone."""
    # Code points and UTF-8 bytes sort alike, so Python's order of str is the C order of the file.
    with replace(path) as f:
        f.writelines(f"{key} {value}\n" if value else f"{key}\n" for key, value in sorted(table.items()))


def read_frames(feat_dir: str | Path) -> dict[str, int]:
    """Frames of each utterance of a feature directory, from its utt2num_frames."""
    return {utt: int(frames) for utt, frames in read_table(Path(feat_dir) / "utt2num_frames").items()}


def spk2utt(utt2spk: Mapping[str, str]) -> dict[str, str]:
    """Invert {utterance: speaker} to {speaker: "utt utt ..."}, utterances in C order."""
    speakers: dict[str, list[str]] = defaultdict(list)
    for utt, speaker in sorted(utt2spk.items()):
        speakers[speaker].append(utt)
    return {speaker: " ".join(utts) for speaker, utts in speakers.items()}


def write_skipped(path: str | Path, skipped: Mapping[str, str]) -> None:
    """Write `utterance<tab>reason` lines, e.g. to skipped.tsv; an empty file says that nothing was left out."""
    with replace(path) as f:
        f.writelines(f"{utt}\t{reason}\n" for utt, reason in sorted(skipped.items()))


def write_data_dir(path: str | Path, tables: Mapping[str, Mapping[str, str]]) -> None:
    """Write {file name: table} as files of the data directory `path`, and spk2utt made from utt2spk."""
    Path(path).mkdir(parents=True, exist_ok=True)
    for name, table in tables.items():
        write_table(Path(path) / name, table)
    write_table(Path(path) / "spk2utt", spk2utt(tables["utt2spk"]))


def keyed_by(name: str, segmented: bool) -> str:
    """Tell what the first field of the file `name` of a data directory is: "utt", "spk", "reco" or "" (no table)."""
    if name == "wav.scp" or name.startswith("reco2"):
        return "reco" if segmented else "utt"
    if name == "cmvn.scp" or name.startswith("spk2"):
        return "spk"
    if name in PER_UTTERANCE or name.startswith("utt2"):
        return "utt"
    return ""


def split(utts: Iterable[str], job: int, nj: int) -> list[str]:
    """Give job `job` (1-based) of `nj` its share of `utts`: a run of neighbours, sizes differing by at most one."""
    utts = list(utts)
    return utts[len(utts) * (job - 1) // nj : len(utts) * job // nj]


def _dir(path: str | Path) -> Path:
    return Path(path).parent
