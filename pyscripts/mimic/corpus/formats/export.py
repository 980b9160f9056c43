"""A Kaldi data directory as manifests of Lhotse, a manifest of NeMo, or CSV. Audio stays where it is."""

import csv
import gzip
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mimic.corpus.formats.names import original
from mimic.corpus.formats.utterance import rounded
from mimic.errors import UserError
from mimic.io.atomic import replace
from mimic.io.audio import AudioReader
from mimic.io.entries import place
from mimic.io.tables import read_table, read_utt2spk
from mimic.progress import progress

Line = dict[str, Any]
PARTS = ("recordings", "supervisions", "cuts")


@dataclass(frozen=True)
class Recording:
    """A file, or a command that ends with `|`: Hz, number of channels, samples."""

    id: str
    audio: str
    rate: int
    channels: int
    samples: int

    @property
    def duration(self) -> float:
        return self.samples / self.rate


@dataclass(frozen=True)
class Exported:
    """An utterance: seconds of its recording, the channel (None: all), and what is known of it ("", None: nothing)."""

    id: str
    recording: Recording
    start: float
    end: float
    channel: int | None
    text: str | None
    speaker: str
    gender: str


def read_utterances(data: Path, allow_pipes: bool = False, channel: int | None = None) -> Iterator[Exported]:
    """The utterances of a data directory in C order, under the ids that they had where they were imported from.

    The header of each recording is read. Raises UserError as AudioReader, for audio within an archive, and for none.
    """
    reader = AudioReader(data, allow_pipes=allow_pipes, channel=channel)
    speakers = read_utt2spk(data / "utt2spk")
    tables = {name: _optional(data / name) for name in ("text", "spk2gender", "utt2id", "spk2id", "reco2id")}
    names = _originals(reader.utts, tables["utt2id"])
    if not names:
        raise UserError(f"{data}: no utterances: there is nothing to export")
    last: tuple[str, Recording] | None = None
    for utt in progress(reader, len(reader), f"utterances of {data}"):
        if utt not in speakers:
            raise UserError(f"{data}/utt2spk: no line for {utt}: steps/fix_data.sh {data} repairs it")
        reco, start, end = reader.segments[utt] if reader.segments else (utt, 0.0, None)
        if last is None or last[0] != reco:
            last = (reco, _recording(reader, utt, reco, tables["reco2id"].get(reco, "")))
        recording, speaker = last[1], speakers[utt]
        yield Exported(
            names[utt],
            recording,
            start,
            rounded(min(end or recording.duration, recording.duration)),
            reader.sides.get(reco, channel) if recording.channels > 1 else None,
            tables["text"].get(utt, "") if tables["text"] else None,
            original(tables["spk2id"][speaker]) if speaker in tables["spk2id"] else speaker,
            tables["spk2gender"].get(speaker, ""),
        )


def _optional(path: Path) -> Mapping[str, str]:
    return read_table(path) if path.exists() else {}


def _originals(utts: list[str], table: Mapping[str, str]) -> dict[str, str]:
    """The ids of the source; the directory's own where two copies of an utterance would have the same."""
    names = {utt: original(table[utt]) if utt in table else utt for utt in utts}
    return names if len(set(names.values())) == len(names) else {utt: utt for utt in utts}


def _recording(reader: AudioReader, utt: str, reco: str, name: str) -> Recording:
    entry = reader.entry(utt)
    with reader.open(utt) as (f, _):
        if entry.endswith("|"):
            return Recording(original(name) or reco, entry, f.samplerate, f.channels, f.frames)
        where = place(entry)
        if where.offset is not None:
            what = f"{entry} is within an archive, which others do not read"
            raise UserError(f"{reader.data_dir}/wav.scp: {reco}: {what}: local/import_corpus.sh makes it a file")
        return Recording(original(name) or reco, str(Path(where.path).absolute()), f.samplerate, f.channels, f.frames)


def write_lhotse(utterances: Iterable[Exported], out: Path) -> None:
    """recordings, supervisions and cuts (one for each utterance) as *.jsonl.gz."""
    written: dict[str, Recording] = {}
    with ExitStack() as stack:
        recordings, supervisions, cuts = (stack.enter_context(_lines(out / f"{part}.jsonl.gz")) for part in PARTS)
        for utt in utterances:
            recording, supervision = _lhotse_recording(utt.recording), _supervision(utt)
            known = written.get(utt.recording.id)
            if known and known != utt.recording:
                raise UserError(f"{utt.id}: recording {known.id}: {known.audio} and {utt.recording.audio}: rename one")
            if not known:
                written[utt.recording.id] = utt.recording
                recordings(recording)
            supervisions(supervision)
            cut = {
                "id": utt.id,
                **{key: supervision[key] for key in ("start", "duration", "channel")},
                "supervisions": [{**supervision, "start": 0.0}],
                "recording": recording,
                "type": "MultiCut" if isinstance(supervision["channel"], list) else "MonoCut",
            }
            cuts(cut)


def _lhotse_recording(recording: Recording) -> Line:
    kind = "command" if recording.audio.endswith("|") else "file"
    channels = list(range(recording.channels))
    return {
        "id": recording.id,
        "sources": [{"type": kind, "channels": channels, "source": recording.audio.removesuffix("|").rstrip()}],
        "sampling_rate": recording.rate,
        "num_samples": recording.samples,
        "duration": recording.duration,
        "channel_ids": channels,
    }


def _supervision(utt: Exported) -> Line:
    every = list(range(utt.recording.channels))
    known = {"text": utt.text, "speaker": utt.speaker, "gender": utt.gender or None}
    return {
        "id": utt.id,
        "recording_id": utt.recording.id,
        "start": utt.start,
        "duration": rounded(utt.end - utt.start),
        "channel": utt.channel if utt.channel is not None else every if len(every) > 1 else 0,
        **{name: value for name, value in known.items() if value is not None},
    }


def write_nemo(utterances: Iterable[Exported], out: Path) -> None:
    """manifest.json: JSON lines with audio_filepath, offset, duration and text, and what else is known."""
    with _lines(out / "manifest.json") as write:
        for utt in utterances:
            line = {"audio_filepath": _file(utt), "offset": utt.start, "duration": rounded(utt.end - utt.start)}
            line |= {"text": utt.text, "id": utt.id, "speaker": utt.speaker, "gender": utt.gender or None}
            write({name: value for name, value in (line | {"channel": utt.channel}).items() if value is not None})


def write_csv(utterances: Iterable[Exported], out: Path) -> None:
    """utterances.csv with a header: id, wav, text, start, end, speaker, gender, channel; "" where it is not known."""
    with replace(out / "utterances.csv") as f:
        writer = csv.writer(f, lineterminator="\n")
        writer.writerow(["id", "wav", "text", "start", "end", "speaker", "gender", "channel"])
        for utt in utterances:
            row = [utt.id, _file(utt), utt.text, utt.start, utt.end, utt.speaker, utt.gender, utt.channel]
            writer.writerow(row)


def _file(utt: Exported) -> str:
    if utt.recording.audio.endswith("|"):
        what = f"{utt.recording.audio} is a command, which only Lhotse runs"
        raise UserError(f"{utt.id}: {what}: local/import_corpus.sh --allow-pipes true makes it a file")
    return utt.recording.audio


@contextmanager
def _lines(path: Path) -> Iterator[Callable[[Line], None]]:
    """A file of JSON lines, gzipped where its name says so; the same lines make the same bytes."""
    with replace(path, "wb") as raw, ExitStack() as stack:
        packed = path.suffix == ".gz"
        file = stack.enter_context(gzip.GzipFile("", "wb", fileobj=raw, mtime=0)) if packed else raw

        def write(line: Line) -> None:
            file.write(f"{json.dumps(line, ensure_ascii=False)}\n".encode())

        yield write


WRITERS: dict[str, Callable[[Iterable[Exported], Path], None]] = {
    "lhotse": write_lhotse,
    "nemo": write_nemo,
    "csv": write_csv,
}
