"""Utterances of another toolkit's corpus as a Kaldi data directory.

Audio that lies within the source is written to <out>/audio while it is read; nothing else of it is kept in memory.
"""

import dataclasses
import logging
import os
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from mimic.corpus.formats.names import escaped, original, speaker_ids
from mimic.corpus.formats.utterance import Reading, Utterance, rounded
from mimic.errors import AudioError, UserError
from mimic.io.audio import FIXES, OVERSHOOT_S, SIDES, AudioInfo, AudioReader
from mimic.io.entries import stored
from mimic.io.tables import write_data_dir, write_skipped, write_table
from mimic.progress import progress

log = logging.getLogger(__name__)
ROUNDING_S = 0.005 + 1e-9  # durations in manifests have two decimals
MAGIC = {b"RIFF": "wav", b"fLaC": "flac", b"OggS": "ogg", b"ID3": "mp3", b"\xff\xfb": "mp3", b"\xff\xf3": "mp3"}
GENDERS = {"f": "f", "female": "f", "female_feminine": "f", "m": "m", "male": "m", "male_masculine": "m"}


@dataclass(frozen=True)
class Written:
    """What a directory holds: counts, and hours of speech."""

    utterances: int
    recordings: int
    speakers: int
    hours: float


def write_directory(
    utterances: Iterable[Utterance], out: Path, base: Path, options: Reading, allow_pipes: bool, max_skip: float
) -> Written:
    """Write the tables of `out`; relative paths count from options.audio_dir, else `base`, else the current directory.

    Utterances without usable audio, or with times outside of it, are listed in skipped.tsv. Raises UserError where
    these are more than the share `max_skip`, and for ids that are there twice.
    """
    found = _with_ids([_located(_on_disk(utt, n, out), base, options) for n, utt in enumerate(utterances)])
    infos = _headers({utt.recording: utt.audio for utt in found if not utt.problem}, out, allow_pipes)
    good, bad = [], {}
    for utt in found:
        try:
            good.append(_checked(utt, infos, options))
        except UserError as error:
            bad[escaped(utt.id)] = " ".join(str(error).split())
    _report(bad, len(found), out, max_skip)
    tables = _tables(good, {name: info for name, info in infos.items() if isinstance(info, AudioInfo)})
    for leftover in ("wav.scp", "segments"):
        (out / leftover).unlink(missing_ok=True)
    write_data_dir(out, tables)
    speech = sum((utt.end or 0) - utt.start for utt in good)
    return Written(len(good), len(tables["wav.scp"]), len(set(tables["utt2spk"].values())), speech / 3600)


def _on_disk(utt: Utterance, number: int, out: Path) -> Utterance:
    """Put embedded audio into a file; its number is a name that any id can have."""
    if utt.sound is None:
        return utt
    suffix = next((name for magic, name in MAGIC.items() if utt.sound.startswith(magic)), "audio")
    path = out / "audio" / f"{number:07d}.{suffix}"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(utt.sound)
    return dataclasses.replace(utt, audio=stored(path), sound=None, recording=utt.recording or utt.id)


def _located(utt: Utterance, base: Path, options: Reading) -> Utterance:
    """The path as a table can hold it: absolute, or within this repository."""
    audio = utt.audio
    if utt.problem or (audio.endswith("|") and "\n" not in audio):
        return utt
    if "\n" in audio or audio != audio.strip():
        problem = f"{utt.where}: the path {audio!r} has a line break or a blank at an end: rename the file"
        return dataclasses.replace(utt, problem=problem)
    if audio.startswith("file://"):
        audio = audio.removeprefix("file://")
    if not os.path.isabs(audio):
        folders = [options.audio_dir] if options.audio_dir else [base, Path()]
        audio = str(next((folder / audio for folder in folders if (folder / audio).exists()), folders[0] / audio))
    return dataclasses.replace(utt, audio=stored(audio))


def _with_ids(utts: list[Utterance]) -> list[Utterance]:
    """The same with ids of recordings and utterances: the file's name, and times where it holds several.

    Raises UserError where an utterance's id is there twice, or a recording's for two files.
    """
    _refuse_twice([utt for utt in utts if utt.id])
    stems: dict[str, set[str]] = defaultdict(set)
    for utt in utts:
        stems[Path(utt.audio).stem].add(utt.audio)

    def recording(utt: Utterance) -> str:
        stem = Path(utt.audio).stem
        return utt.recording or (stem if len(stems[stem]) == 1 else os.path.splitext(utt.audio)[0].lstrip("/"))

    found = [dataclasses.replace(utt, recording=recording(utt)) for utt in utts]
    files: dict[str, Utterance] = {}
    for utt in found:
        first = files.setdefault(utt.recording, utt)
        if not utt.problem and not first.problem and first.audio != utt.audio:
            what = f"recording {utt.recording} is {first.audio} and {utt.audio}"
            raise UserError(f"{utt.where}: {what}: rename one (first: {first.where})")
    counts = Counter(utt.recording for utt in found)

    def name(utt: Utterance) -> str:
        if utt.id or counts[utt.recording] == 1:
            return utt.id or utt.recording
        side = "" if utt.channel is None else f"-{utt.channel}"
        return f"{utt.recording}{side}-{round(utt.start * 1000):09d}-{round((utt.end or 0) * 1000):09d}"

    found = [dataclasses.replace(utt, id=name(utt)) for utt in found]
    _refuse_twice(found)
    return found


def _refuse_twice(utts: list[Utterance]) -> None:
    known: dict[str, Utterance] = {}
    for utt in utts:
        if (first := known.setdefault(utt.id, utt)) is not utt:
            raise UserError(f"{utt.where}: the id {utt.id!r} is there twice: rename one (first: {first.where})")


def _headers(files: dict[str, str], out: Path, allow_pipes: bool) -> dict[str, AudioInfo | AudioError]:
    """Read the header of each recording: {recording: what it says, or what is wrong}."""
    ids = {name: escaped(name) for name in files}
    out.mkdir(parents=True, exist_ok=True)
    write_table(out / "wav.scp", {ids[name]: audio for name, audio in files.items()})
    reader = AudioReader(out, allow_pipes=allow_pipes)
    infos: dict[str, AudioInfo | AudioError] = {}
    for name, key in progress(ids.items(), len(ids), "recordings"):
        try:
            infos[name] = reader.info(key)
        except AudioError as error:
            infos[name] = error
    return infos


def _checked(utt: Utterance, infos: dict[str, AudioInfo | AudioError], options: Reading) -> Utterance:
    """The utterance with its end and channel; UserError where its audio or its times cannot be used."""
    if utt.problem:
        raise UserError(utt.problem)
    info = infos[utt.recording]
    if isinstance(info, AudioError):
        what = info.text.removeprefix(f"{escaped(utt.recording)}: ").removesuffix(f": {FIXES[info.kind]}")
        fix = {"missing": "correct the path, or give --audio-dir"}.get(info.kind, FIXES[info.kind])
        raise UserError(f"{utt.where}: {utt.id}: {what}: {fix}")
    end = info.seconds if utt.end is None else utt.end
    if not 0 <= utt.start < end:
        raise UserError(f"{utt.where}: {utt.id}: from {utt.start:g} to {end:g} s: expected 0 <= start < end")
    if utt.start >= info.seconds or end > info.seconds + OVERSHOOT_S:
        what = f"from {utt.start:g} to {end:g} s, but {utt.audio} lasts {info.seconds:.3f} s"
        raise UserError(f"{utt.where}: {utt.id}: {what}: correct its times, or remove it")
    channel = utt.channel if utt.channel is not None else options.channel
    if info.channels == 1 and utt.channel in (None, 0):
        channel = None
    if channel is not None and channel >= min(info.channels, len(SIDES)):
        what = f"channel {channel}, counted from 0, but {utt.audio} has {info.channels}"
        raise UserError(f"{utt.where}: {utt.id}: {what}: correct its channel")
    return dataclasses.replace(utt, end=end, channel=channel)


def _report(bad: dict[str, str], total: int, out: Path, max_skip: float) -> None:
    (out / "skipped.tsv").unlink(missing_ok=True)
    if not bad:
        return
    write_skipped(out / "skipped.tsv", bad)
    text = f"{len(bad)} of {total} utterances cannot be used, listed in {out}/skipped.tsv: {bad[min(bad)]}"
    if len(bad) > max_skip * total:
        raise UserError(f"{text} (allowed: --max-skip {max_skip:g})")
    log.warning("skipped: %s", text)


def _tables(utts: list[Utterance], infos: dict[str, AudioInfo]) -> dict[str, dict[str, str]]:
    """The tables of a data directory; without segments where each utterance is a whole file."""
    ids, speakers = speaker_ids({utt.id: utt.speaker for utt in utts})
    sides: dict[str, set[int | None]] = defaultdict(set)
    for utt in utts:
        sides[utt.recording].add(utt.channel)
    counts = Counter(utt.recording for utt in utts)
    whole = all(counts[u.recording] == 1 and not u.start and _is_end(u, infos) for u in utts)
    several = any(utt.channel is not None for utt in utts)
    tables: dict[str, dict[str, str]] = defaultdict(dict)
    for utt in utts:
        new = ids[utt.id]
        reco = escaped(utt.recording)
        if len(sides[utt.recording]) > 1:
            reco += f"-{SIDES[utt.channel or 0]}"
        if not whole:
            tables["segments"][new] = f"{reco} {seconds(utt.start)} {seconds(utt.end or 0)}"
        reco = new if whole else reco
        tables["wav.scp"][reco] = utt.audio
        tables["reco2dur"][reco] = seconds(infos[utt.recording].seconds)
        tables["reco2id"][reco] = escaped(utt.recording)
        if several:
            if utt.channel is None and infos[utt.recording].channels > 1:
                raise UserError(f"{utt.where}: {utt.id}: names no channel, though others do: --channel N, from 0")
            tables["reco2file_and_channel"][reco] = f"{escaped(utt.recording)} {SIDES[utt.channel or 0]}"
        tables["utt2spk"][new] = speakers[new]
        tables["utt2id"][new] = escaped(utt.id)
        tables["spk2id"][speakers[new]] = escaped(utt.speaker or utt.id)
        tables["text"][new] = " ".join((utt.text or "").split())
    if all(utt.text is None for utt in utts):
        del tables["text"]
    elif empty := sum(not text for text in tables["text"].values()):
        log.warning("no words: %d utterances", empty)
    for name in ("utt2id", "spk2id", "reco2id"):
        if all(key == original(value) for key, value in tables[name].items()):
            del tables[name]
    if genders := _genders(utts, speakers, ids):
        tables["spk2gender"] = genders
    return dict(tables)


def _is_end(utt: Utterance, infos: dict[str, AudioInfo]) -> bool:
    """Whether the utterance ends with its recording, by a duration that may have been rounded."""
    return abs((utt.end or 0) - infos[utt.recording].seconds) <= ROUNDING_S


def _genders(utts: list[Utterance], speakers: dict[str, str], ids: dict[str, str]) -> dict[str, str]:
    """{speaker: f or m}, or {} where that of one is not known or contradicts itself."""
    found: dict[str, set[str]] = defaultdict(set)
    for utt in utts:
        found[speakers[ids[utt.id]]].add(GENDERS.get(utt.gender.lower(), ""))
    known = {speaker: genders.pop() for speaker, genders in found.items() if len(genders) == 1}
    return known if len(known) == len(found) and all(known.values()) else {}


def seconds(value: float) -> str:
    """A time in decimal digits, as many as it has: 0.25, 3."""
    return f"{rounded(value):.9f}".rstrip("0").rstrip(".")
