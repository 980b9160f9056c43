"""Copies of utterances: tables of a data directory under other ids, and several directories put together."""

import logging
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from mimic.errors import UserError
from mimic.io.compact import table_of
from mimic.io.tables import keyed_by, read_seconds, read_segments, read_table, read_utt2spk, rows

log = logging.getLogger(__name__)
Tables = dict[str, Mapping[str, str]]
# What speaks of one version of the audio, and is made again for another one.
OF_AUDIO = {
    "wav.scp",
    "segments",
    "feats.scp",
    "vad.scp",
    "cmvn.scp",
    "utt2num_frames",
    "utt2dur",
    "utt2fs",
    "spk1.scp",
}


def read_tables(data: Path, less: Collection[str] = ()) -> Tables:
    """Read the tables by utterance and by speaker of a data directory, less some and spk2utt.

    Raises UserError where it has segments.
    """
    check_whole(data)
    names = {path.name for path in data.iterdir() if path.is_file()} - {"spk2utt", *less}
    return {name: read_table(data / name) for name in sorted(names) if keyed_by(name, False)}


def check_whole(data: Path) -> None:
    """UserError where utterances are segments of recordings: a copy is of a file."""
    if (data / "segments").exists():
        raise UserError(f"{data} has segments: cut them out first, as local/import_corpus.sh does")


def prefixed(tables: Mapping[str, Mapping[str, str]], prefix: str) -> Tables:
    """The same with `prefix` before the ids of utterances and speakers, and utt2uniq, which names the originals."""
    renamed: Tables = {name: {prefix + key: value for key, value in table.items()} for name, table in tables.items()}
    renamed["utt2spk"] = {utt: prefix + speaker for utt, speaker in renamed["utt2spk"].items()}
    uniq = tables.get("utt2uniq", {})
    renamed["utt2uniq"] = {prefix + utt: uniq.get(utt, utt) for utt in tables["utt2spk"]}
    return renamed


def combined(parts: Sequence[tuple[str, Tables]]) -> Tables:
    """Put (name, tables) together; a table that one of them lacks is left out, but utt2uniq is completed.

    Raises UserError for an utterance that is in two of them, and for a speaker of whom they tell different things.
    """
    parts = [(name, dict(tables)) for name, tables in parts]
    if any("utt2uniq" in tables for _, tables in parts):
        for _, tables in parts:
            tables.setdefault("utt2uniq", {utt: utt for utt in tables["utt2spk"]})
    names = set.intersection(*(set(tables) for _, tables in parts))
    if partial := sorted(set().union(*(tables for _, tables in parts)) - names):
        log.warning("%s: not in all of %s: left out", " ".join(partial), " ".join(name for name, _ in parts))
    found: dict[str, dict[str, str]] = {name: {} for name in sorted(names)}
    for number, (part, tables) in enumerate(parts):
        for name, table in found.items():
            for key in sorted(table.keys() & tables[name].keys()):
                if keyed_by(name, False) == "utt":
                    first = next(other for other, before in parts[:number] if key in before[name])
                    raise UserError(f"{part}: {key} is in {first} too: give the copies ids of their own, with a prefix")
                if table[key] != tables[name][key]:
                    raise UserError(f"{part}/{name}: {key} is '{tables[name][key]}' here and '{table[key]}' elsewhere")
            table |= tables[name]
    return dict(found)


def of_speakers(data: Path, speaker_of: Mapping[str, str], taken: Sequence[str], less: Sequence[str]) -> list[str]:
    """Utterances, sorted, of the speakers `taken` (none: of all), but not of those in `less`.

    Raises UserError for a speaker that the data directory does not have, and where no utterance is left.
    """
    known = sorted(set(speaker_of.values()))
    if absent := sorted({*taken, *less} - set(known)):
        most = " ".join(known[:20]) + (" ..." if len(known) > 20 else "")
        raise UserError(f"{data}: no speaker {absent[0]} in utt2spk, which has {most}")
    wanted = set(taken or known) - set(less)
    if not wanted:
        raise UserError(f"{data}: no utterance is left without the speakers {' '.join(less)}")
    return sorted(utt for utt, speaker in speaker_of.items() if speaker in wanted)


def durations(data: Path, utts: Collection[str]) -> dict[str, float]:
    """Seconds of each utterance: of utt2dur, or where that does not have all of them, of the audio files' headers."""
    known = read_seconds(data / "utt2dur") if (data / "utt2dur").exists() else {}
    if known.keys() >= set(utts):
        return known
    from mimic.io.audio import AudioReader  # here: it loads numpy, which takes longer than most copies of tables

    reader = AudioReader(data)
    return {utt: reader.info(utt).seconds for utt in utts}


def duration_problem(seconds: float, shortest: float, longest: float) -> str:
    """Why an utterance is left out by --min-dur or --max-dur (0: none), or nothing."""
    if seconds < shortest:
        return f"{seconds:.3f} s, shorter than --min-dur {shortest:g}"
    return f"{seconds:.3f} s, longer than --max-dur {longest:g}" if longest and seconds > longest else ""


def subset(data: Path, utts: Collection[str]) -> Tables:
    """The tables of a data directory, with or without segments, of some of its utterances, less spk2utt.

    They keep the speakers and, of `segments`, the recordings of these utterances.
    """
    segmented = (data / "segments").exists()
    segments = read_segments(data / "segments") if segmented else {}
    utts = set(utts)
    kept = {
        "utt": utts,
        "spk": {speaker for utt, speaker in read_utt2spk(data / "utt2spk").items() if utt in utts},
        "reco": {recording for utt, (recording, _, _) in segments.items() if utt in utts},
    }
    tables: Tables = {}
    for path in sorted(data.iterdir()):
        kind = keyed_by(path.name, segmented) if path.is_file() and path.name != "spk2utt" else ""
        if kind:
            tables[path.name] = table_of((key, value) for _, key, value in rows(path) if key in kept[kind])
    return tables
