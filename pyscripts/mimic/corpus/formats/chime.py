"""CHiME's JSON: sessions with devices (CHiME-5 to -8), and sentences in noise (CHiME-3 and -4)."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mimic.corpus.formats.json_files import objects
from mimic.corpus.formats.utterance import Reading, Utterance, number, rounded, string
from mimic.errors import UserError
from mimic.io.audio import SUFFIXES

Entry = dict[str, Any]
MIC = "CH5"  # of CHiME-4, as its own baselines for one channel take


def is_chime(entry: Entry) -> bool:
    """Whether this is an utterance of a CHiME corpus."""
    return "wsj_name" in entry or {"session_id", "start_time", "end_time", "speaker"} <= entry.keys()


def json_files(folder: Path) -> list[Path]:
    """The annotations of a corpus, or of a part of it."""
    places = (folder, folder / "transcriptions", folder / "annotations", folder / "data" / "annotations")
    return [path for place in places for path in sorted([*place.glob("*.json"), *place.glob("*/*.json")])]


def read_chime(source: Path, options: Reading) -> Iterator[Utterance]:
    """The utterances of one file, or of a folder's files (--split: those with this name, or in a folder of it)."""
    files = json_files(source) if source.is_dir() else [source]
    if options.split:
        files = [path for path in files if options.split in (path.stem, path.parent.name)]
    if not files:
        raise UserError(f"{source}: no annotations{f' of {options.split}' if options.split else ''}")
    where = options.audio_dir or _audio_folder(source)
    audio: dict[str, list[Path]] = {}
    for path in sorted(where.rglob("*")):
        if path.suffix.lower() in SUFFIXES:
            audio.setdefault(path.stem, []).append(path)
    for file in files:
        for place, entry in objects(file):
            if not is_chime(entry):
                raise UserError(f"{place}: not an utterance of CHiME: `session_id` or `wsj_name` is missing")
            yield (_sentence if "wsj_name" in entry else _of_session)(entry, place, file, audio, where, options)


def _of_session(
    entry: Entry, place: str, file: Path, audio: dict[str, list[Path]], folder: Path, options: Reading
) -> Utterance:
    """CHiME-5 to -8: a segment of a session, at the speaker's own microphone or a device (U01.CH1)."""
    session, speaker = string(entry, "session_id", place), string(entry, "speaker", place)
    device = options.mic or speaker
    start, end = (_time(entry, name, device, place) for name in ("start_time", "end_time"))
    stem = f"{session}_{device}"
    path, problem = _file(audio, stem, file.parent.name, folder, place)
    return Utterance(
        place,
        path,
        f"{speaker}-{stem}-{round(start * 100):07d}-{round(end * 100):07d}",
        string(entry, "words", place, ""),
        speaker,
        recording=stem,
        start=start,
        end=end,
        problem=problem,
    )


def _sentence(
    entry: Entry, place: str, file: Path, audio: dict[str, list[Path]], folder: Path, options: Reading
) -> Utterance:
    """CHiME-3 and -4: a sentence, cut out, at one of six microphones (or enhanced, without a number)."""
    parts = [string(entry, name, place) for name in ("speaker", "wsj_name", "environment")]
    speaker, name = parts[0], "_".join(parts)
    mic = options.mic or MIC
    stem = f"{name}.{mic}" if f"{name}.{mic}" in audio or name not in audio else name
    kind = file.stem.rpartition("_")[2]  # dt05_real.json: the audio is in dt05_bus_real
    path, problem = _file(audio, stem, f"{file.stem.partition('_')[0]}_{parts[2].lower()}_{kind}", folder, place)
    text = string(entry, "prompt", place, "") or string(entry, "dot", place, "")
    return Utterance(place, path, f"{name}_{kind.upper()}", text, speaker, speaker[:1].lower(), problem=problem)


def _file(audio: dict[str, list[Path]], stem: str, near: str, folder: Path, place: str) -> tuple[str, str]:
    """(the file of this name, in a folder called `near` where there are several; why there is none)."""
    found = audio.get(stem, [])
    found = [path for path in found if path.parent.name == near] or found
    if len(found) == 1:
        return str(found[0].absolute()), ""
    what = "no audio" if not found else f"{len(found)} files"
    return "", f"{place}: {what} {stem}.* below {folder}: give --audio-dir, or --mic"


def _time(entry: Entry, name: str, device: str, place: str) -> float:
    """Seconds; CHiME-5 has a time for each device, as its clocks differ."""
    value = entry[name]
    if isinstance(value, dict):
        own = next((key for key in (device, device.partition(".")[0], "original") if key in value), "original")
        return rounded(number(value, own, f"{place}: {name}"))
    return rounded(number(entry, name, place))


def _audio_folder(source: Path) -> Path:
    """The folder `audio` of the corpus that the source is in, else the source's own."""
    start = source if source.is_dir() else source.parent
    folders = (folder / "audio" for folder in (start, *start.absolute().parents[:3]))
    return next((folder for folder in folders if folder.is_dir()), start)
