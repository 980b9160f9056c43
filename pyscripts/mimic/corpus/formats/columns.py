"""Which column, or field of an object, is the id, the audio, the text: by the names that are in use, or as given."""

import logging
from collections.abc import Collection, Iterable, Iterator, Mapping
from difflib import get_close_matches
from typing import Any

from mimic.corpus.formats.utterance import Utterance, number, rounded, string
from mimic.errors import UserError

log = logging.getLogger(__name__)
# The first name that is there counts. They are compared in small letters.
NAMES: dict[str, tuple[str, ...]] = {
    "id": ("id", "utt_id", "utterance_id", "utt", "uttid", "segment_id", "key"),
    "audio": ("audio", "wav", "audio_filepath", "audio_path", "wav_path", "file_name", "filename", "path", "file"),
    "text": ("text", "sentence", "transcription", "transcript", "wrd", "normalized_text", "words"),
    "start": ("start", "offset", "begin", "start_time", "begin_time"),
    "end": ("end", "stop", "end_time"),
    "duration": ("duration",),
    "speaker": ("speaker", "speaker_id", "spk_id", "spk", "client_id"),
    "gender": ("gender", "sex"),
    "channel": ("channel",),
}


def assign(names: Collection[str], given: Mapping[str, str], where: str) -> dict[str, str]:
    """{id, audio, ...: the name in this source} of those that are there.

    Raises UserError for a name in `given` that is not there, and where nothing is the audio.
    """
    if wrong := given.keys() - NAMES.keys():
        raise UserError(f"--columns: `{min(wrong)}` is not one of {' '.join(NAMES)}")
    found = {}
    lower = {name.lower(): name for name in reversed(list(names))}
    for part, usual in NAMES.items():
        if part in given:
            if given[part] not in names:
                near = get_close_matches(given[part], list(names), 1) or sorted(names)
                raise UserError(f"{where}: no `{given[part]}`, which --columns names; there is {' '.join(near)}")
            found[part] = given[part]
        elif name := next((name for name in usual if name in lower), ""):
            found[part] = lower[name]
    if "audio" not in found:
        raise UserError(f"{where}: nothing here is the audio ({' '.join(sorted(names))}): --columns audio=NAME")
    return found


def utterance(where: str, record: Mapping[str, Any], names: Mapping[str, str]) -> Utterance:
    """The utterance of a record by the names of `assign`; a duration counts from the start. Raises UserError."""
    start = number(record, names.get("start", ""), where, 0.0)
    end: float | None = None
    if record.get(names.get("end", "")) not in (None, ""):
        end = number(record, names["end"], where)
    elif record.get(names.get("duration", "")) not in (None, ""):
        end = rounded(start + number(record, names["duration"], where))
    channel = number(record, names.get("channel", ""), where, -1.0)
    if channel != int(channel) or channel < -1:
        raise UserError(f"{where}: channel {channel:g}: expected a whole number from 0")
    text = string(record, names["text"], where, "") if "text" in names else None
    return Utterance(
        where,
        string(record, names["audio"], where),
        id=string(record, names.get("id", ""), where, ""),
        text=text,
        speaker=string(record, names.get("speaker", ""), where, ""),
        gender=string(record, names.get("gender", ""), where, ""),
        start=start,
        end=end,
        channel=None if channel < 0 else int(channel),
    )


def utterances(records: Iterable[tuple[str, dict[str, Any]]], given: Mapping[str, str]) -> Iterator[Utterance]:
    """The utterances of records, such as NeMo's JSON lines; each may have fields of its own."""
    seen: dict[tuple[str, ...], dict[str, str]] = {}
    for where, record in records:
        keys = tuple(record)
        if keys not in seen:
            seen[keys] = assign(keys, given, where)
            if len(seen) == 1:
                log_names(where, seen[keys])
        yield utterance(where, record, seen[keys])


def log_names(where: str, names: Mapping[str, str]) -> None:
    log.info("columns: %s: %s", where, ", ".join(f"{part} is `{name}`" for part, name in names.items()))
