"""Repairs what it can of a Kaldi data directory: order, repeated lines, line ends, ids that files disagree on."""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from mimic.corpus.scan import scan
from mimic.errors import UserError
from mimic.io.atomic import replace
from mimic.io.audio import AudioReader
from mimic.io.lines import BLANKS, MARK
from mimic.io.tables import keyed_by, segment, spk2utt

# Spaces of all kinds become a space, marks without width (soft hyphen, joiners, byte order marks) nothing.
SPACES: dict[int, str | None] = dict.fromkeys(
    [0xA0, 0x1680, *range(0x2000, 0x200B), 0x2028, 0x2029, 0x202F, 0x205F, 0x3000], " "
)
SPACES |= dict.fromkeys([0xAD, *range(0x200B, 0x2010), 0x2060, 0xFEFF])


@dataclass
class Repaired:
    """What was done: files written (their old form is in .backup/), utterances dropped with the reason."""

    path: Path
    files: list[str] = field(default_factory=list)
    dropped: dict[str, str] = field(default_factory=dict)

    def add(self, later: "Repaired") -> None:
        self.files = sorted({*self.files, *later.files})
        self.dropped |= later.dropped


def fix(path: str | Path, drop: Mapping[str, str] | None = None) -> Repaired:
    """Repair `path`, and drop the utterances {id: reason} of `drop` as well as those that cannot stay.

    A good directory keeps every byte. Raises UserError, before anything is written, for what needs a person: text
    that is not UTF-8, an id with two different lines, nothing left in common.
    """
    repaired = Repaired(Path(path))
    if not repaired.path.is_dir():
        raise UserError(f"{path}: no such data directory")
    segmented = (repaired.path / "segments").exists()
    names = sorted(f.name for f in repaired.path.iterdir() if f.is_file() and keyed_by(f.name, segmented))
    tables = {name: _read(repaired.path / name) for name in names}
    if "utt2spk" not in tables:
        if "spk2utt" not in tables:
            raise UserError(f"{path}: neither utt2spk nor spk2utt: make utt2spk (`utterance speaker` lines)")
        pairs = ((utt, spk) for spk, utts in tables["spk2utt"].items() for utt in _value(spk, utts).split())
        tables["utt2spk"] = {utt: f"{utt} {spk}" for utt, spk in pairs}
    repaired.dropped = {utt: why for utt, why in (drop or {}).items() if utt in tables["utt2spk"]}
    _drop_unusable(tables, segmented, repaired.dropped)
    utts = tables["utt2spk"].keys() - repaired.dropped.keys()
    if not utts:
        raise UserError(f"{path}: no utterance is in all of {', '.join(names)}: nothing was changed")
    keep = {"utt": utts, "spk": {_value(utt, tables["utt2spk"][utt]) for utt in utts}, "reco": set()}
    if segmented:
        keep["reco"] = {_value(utt, tables["segments"][utt]).split()[0] for utt in utts}
    for name, table in tables.items():
        kept = keep[keyed_by(name, segmented)]
        tables[name] = {key: table[key] for key in sorted(table) if key in kept}
    inverse = spk2utt({utt: _value(utt, line) for utt, line in tables["utt2spk"].items()})
    if {spk: _value(spk, line).split() for spk, line in tables.get("spk2utt", {}).items()} != {
        spk: line.split() for spk, line in inverse.items()
    }:
        tables["spk2utt"] = {spk: f"{spk} {line}" for spk, line in inverse.items()}
    _write(repaired, tables)
    return repaired


def keep_common(clean: str | Path, noisy: str | Path) -> tuple[Repaired, Repaired]:
    """Leave two repaired directories with the utterances that both have. Audio is never cut to make lengths equal."""
    utts = [set(_read(Path(side) / "utt2spk")) for side in (clean, noisy)]
    if not utts[0] & utts[1]:
        raise UserError(f"{clean} and {noisy} have no utterance in common: are they of one corpus?")
    return (
        fix(clean, dict.fromkeys(utts[0] - utts[1], f"not in {noisy}")),
        fix(noisy, dict.fromkeys(utts[1] - utts[0], f"not in {clean}")),
    )


def unreadable(path: str | Path, nj: int, allow_pipes: bool, channel: int | None) -> dict[str, str]:
    """Decode all audio of a repaired directory and give {utterance: what is wrong}, to hand to fix()."""
    reader = AudioReader(path, allow_pipes=allow_pipes, channel=channel)
    return {result.utt: str(result.problem) for result in scan(reader, nj) if result.problem}


def _read(file: Path) -> dict[str, str]:
    """Read {first field: whole line}; line ends, blanks around a line and repeated lines are repaired on the way."""
    try:
        text = file.read_bytes().decode()
    except UnicodeDecodeError as error:
        raise UserError(f"{file}: not UTF-8 at byte {error.start}: convert it: iconv -f latin1 -t utf-8") from None
    if "\0" in text:
        number = text.count("\n", 0, text.index("\0")) + 1
        raise UserError(f"{file}:{number}: NUL byte: the file is damaged: copy or write it again")
    table: dict[str, str] = {}
    for line in text.replace("\r\n", "\n").replace("\r", "\n").split("\n"):
        line = line.removeprefix(MARK)
        if file.name == "text":
            line = line.translate(SPACES)
        line = line.strip(BLANKS)
        key = line.replace("\t", " ").partition(" ")[0]
        if table.setdefault(key, line) != line:
            raise UserError(f"{file}: {key} has two different lines: remove the wrong one")
    table.pop("", None)
    return table


def _value(key: str, line: str) -> str:
    return line[len(key) :].strip(BLANKS)


def _drop_unusable(tables: dict[str, dict[str, str]], segmented: bool, dropped: dict[str, str]) -> None:
    """Add to `dropped` the utterances that some file lacks or holds nothing usable for."""
    per_utt = {name: table for name, table in tables.items() if keyed_by(name, segmented) == "utt"}
    known = tables["utt2spk"].keys() | {key for table in per_utt.values() for key in table}
    for utt in sorted(known - dropped.keys()):
        for name, table in sorted(per_utt.items()):
            fields = _value(utt, table.get(utt, "")).split()
            if utt not in table:
                dropped[utt] = f"not in {name}"
            elif not fields:
                dropped[utt] = f"nothing but the id in {name}"
            elif name == "utt2spk" and len(fields) != 1:
                dropped[utt] = "not one speaker in utt2spk"
            elif name == "segments" and (not segment(" ".join(fields)) or fields[0] not in tables.get("wav.scp", {})):
                dropped[utt] = "bad line in segments (times?), or its recording is not in wav.scp"
            if utt in dropped:
                break


def _write(repaired: Repaired, tables: dict[str, dict[str, str]]) -> None:
    """Write the files that change, after copies of all of them are in .backup/ (an older copy gets a number)."""
    contents = {name: "".join(f"{line}\n" for line in table.values()) for name, table in tables.items()}
    files = {name: repaired.path / name for name in contents}
    changed = {n: c for n, c in contents.items() if not files[n].exists() or files[n].read_bytes() != c.encode()}
    repaired.files = sorted(changed)
    if repaired.dropped:
        skipped = repaired.path / "skipped.tsv"
        before = skipped.read_text(encoding="utf-8") if skipped.exists() else ""
        with replace(skipped) as f:
            f.write(before + "".join(f"{utt}\t{why}\n" for utt, why in sorted(repaired.dropped.items())))
    for name in changed:
        if files[name].exists():
            copy = repaired.path / ".backup" / name
            copy.parent.mkdir(exist_ok=True)
            number = 0
            while copy.exists():
                number += 1
                copy = copy.with_name(f"{name}.{number}")
            shutil.copy2(files[name], copy)
    for name, content in changed.items():
        with replace(files[name]) as f:
            f.write(content)
