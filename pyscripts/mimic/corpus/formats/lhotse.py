"""Lhotse's manifests: recordings with supervisions, and cuts, as JSON lines, a JSON list or YAML, plain or gzipped."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mimic.corpus.formats.json_files import first_object, objects
from mimic.corpus.formats.utterance import Reading, Utterance, number, rounded, shown, string
from mimic.errors import UserError

CUTS = ("MonoCut", "MultiCut")
MIXED = ("MixedCut", "PaddingCut")
PARTS = ("recordings", "supervisions", "cuts")
Manifest = dict[str, Any]


def kind_of(entry: Manifest) -> str:
    """recordings, supervisions or cuts, by the first entry of a manifest; "" for other files."""
    if entry.get("type") in CUTS + MIXED:
        return "cuts"
    if "recording_id" in entry:
        return "supervisions"
    return "recordings" if "sources" in entry and "sampling_rate" in entry else ""


def manifests(folder: Path) -> list[Path]:
    """The files of a folder that Lhotse's names are in."""
    names = [path for path in sorted(folder.iterdir()) if path.is_file() and any(part in path.name for part in PARTS)]
    return [path for path in names if path.name.removesuffix(".gz").endswith((".jsonl", ".json", ".yaml", ".yml"))]


def read_lhotse(source: Path, options: Reading) -> Iterator[Utterance]:
    """The supervisions of a manifest, or those of the one set in a folder; a cut without any is an utterance itself."""
    if source.is_dir():
        source = _chosen(source, options.split)
    kind = kind_of(first_object(source))
    if kind == "cuts":
        for where, cut in objects(source):
            yield from _of_cut(cut, where, options)
        return
    supervisions = source if kind == "supervisions" else _beside(source, "recordings", "supervisions")
    recordings = source if kind == "recordings" else _beside(source, "supervisions", "recordings")
    if recordings is None:
        raise UserError(f"{source}: no manifest of recordings beside it: name it as this one, with `recordings`")
    known: dict[str, Manifest] = {}
    for where, recording in objects(recordings):
        name = string(recording, "id", where)
        if name in known:
            raise UserError(f"{where}: recording {name} is there twice: remove one")
        known[name] = recording
        if supervisions is None:
            yield _utterance(recording, {"id": name}, 0.0, None, where, options)
    for where, supervision in objects(supervisions) if supervisions else ():
        name = string(supervision, "recording_id", where)
        if name not in known:
            raise UserError(f"{where}: recording {name} is not in {recordings}")
        yield _supervised(known[name], supervision, 0.0, where, options)


def _of_cut(cut: Manifest, where: str, options: Reading) -> Iterator[Utterance]:
    name = string(cut, "id", where)
    recording = cut.get("recording")
    if cut.get("type") in MIXED or not isinstance(recording, dict):
        why = "is mixed when it is read" if cut.get("type") in MIXED else "has features, but no recording"
        yield Utterance(
            where, "", id=name, problem=f"{where}: the cut {why}: write its audio first (Lhotse: save_audios)"
        )
        return
    start = number(cut, "start", where, 0.0)
    supervisions = cut.get("supervisions") or []
    if not isinstance(supervisions, list) or not all(isinstance(one, dict) for one in supervisions):
        raise UserError(f"{where}: `supervisions` is {shown(supervisions)}, expected a list of objects")
    if not supervisions:
        end = rounded(start + number(cut, "duration", where))
        yield _utterance(recording, cut, start, end, where, options)
    for supervision in supervisions:
        yield _supervised(recording, supervision, start, where, options)


def _supervised(recording: Manifest, supervision: Manifest, offset: float, where: str, options: Reading) -> Utterance:
    start = rounded(offset + number(supervision, "start", where))
    end = rounded(start + number(supervision, "duration", where))
    return _utterance(recording, supervision, start, end, where, options)


def _utterance(
    recording: Manifest, part: Manifest, start: float, end: float | None, where: str, options: Reading
) -> Utterance:
    name = string(recording, "id", where)
    audio, channel, alone, problem = _source(recording, part.get("channel"), where, options)
    within = channel if alone or channel is None else _place(recording, channel)
    return Utterance(
        where,
        audio,
        id=string(part, "id", where),
        text=string(part, "text", where, "") if "text" in part else None,
        speaker=string(part, "speaker", where, ""),
        gender=string(part, "gender", where, ""),
        recording=name if alone else f"{name}-{channel}",
        start=start,
        end=end,
        channel=within,
        problem=problem,
    )


def _source(recording: Manifest, wanted: Any, where: str, options: Reading) -> tuple[str, int | None, bool, str]:
    """(file or command, channel, whether it is the only file, problem) of a recording; `wanted`: channel or list."""
    sources = recording.get("sources") or []
    try:
        by_channel = {channel: source for source in sources for channel in source["channels"]}
        kinds = {source["type"] for source in sources}
        paths = {str(source["source"]) for source in sources}
    except (KeyError, TypeError):
        raise UserError(f"{where}: `sources` is {shown(sources)}, expected type, channels and source of each") from None
    changes = [one.get("name") if isinstance(one, dict) else str(one) for one in recording.get("transforms") or []]
    if changes := [str(name) for name in changes if name != "Resample"]:
        return (
            "",
            None,
            True,
            f"{where}: its recording is changed when it is read ({' '.join(changes)}): write it first",
        )
    if kinds - {"file", "command"} or not kinds:
        what = " ".join(sorted(kinds)) or "nothing"
        return "", None, True, f"{where}: its audio is a source of type {what}: Lhotse's save_audios makes it a file"
    channels = wanted if isinstance(wanted, list) else [wanted]
    if channels == [None] or set(channels) == by_channel.keys():
        channels = [options.channel] if options.channel is not None and len(by_channel) > 1 else sorted(by_channel)
    elif len(channels) > 1 and options.channel in channels:
        channels = [options.channel]
    if wrong := [channel for channel in channels if channel not in by_channel]:
        return "", None, True, f"{where}: channel {wrong[0]} is not in its recording ({sorted(by_channel)})"
    if len(channels) > 1 and (len(channels) < len(by_channel) or len(paths) > 1):
        return "", None, True, f"{where}: channels {channels} of {len(by_channel)}: --channel N takes one, from 0"
    source = by_channel[channels[0]]
    audio = f"{source['source']} |" if source["type"] == "command" else str(source["source"])
    channel = channels[0] if len(channels) == 1 and len(by_channel) > 1 else None
    return audio, channel, len(sources) == 1, ""


def _place(recording: Manifest, channel: int) -> int | None:
    """The channel, counted within its file, of a recording that lies in several; None where it is the only one."""
    channels = next(source["channels"] for source in recording["sources"] if channel in source["channels"])
    return channels.index(channel) if len(channels) > 1 else None


def _chosen(folder: Path, split: str) -> Path:
    """The one set of manifests of a folder: cuts, else supervisions, else recordings."""
    found = [path for path in manifests(folder) if split in path.name]
    for part in ("supervisions", "cuts", "recordings"):
        some = [path for path in found if part in path.name]
        if len(some) == 1:
            return some[0]
        if some:
            raise UserError(
                f"{folder}: several sets ({' '.join(p.name for p in some)}): name one, or give --split NAME"
            )
    raise UserError(f"{folder}: no manifest of Lhotse with {split!r} in its name")


def _beside(path: Path, part: str, other: str) -> Path | None:
    name = path.name.replace(part, other)
    return path.with_name(name) if name != path.name and path.with_name(name).exists() else None
