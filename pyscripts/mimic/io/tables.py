"""Kaldi tables (`key value...` lines) and data directories, read strictly and written in C order."""

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from mimic.errors import UserError
from mimic.io.atomic import replace
from mimic.io.compact import in_order, table_of
from mimic.io.lines import fields, key_and_value, read_lines
from mimic.io.text import composed

CLEAN = "spk1.scp"  # clean speech beside noisy, as in ESPnet's and URGENT's directories
RUN = 100  # ids
PER_UTTERANCE = ("text", "text.phn", "segments", "feats.scp", "vad.scp", CLEAN, "noise1.scp", "dereverb1.scp")


def rows(path: str | Path) -> Iterator[tuple[str, str, str]]:
    """The lines of a table as (`path:line`, first field, rest of the line), in the order of the file.

    Raises UserError with file and line for an empty line, an id that is there twice, and what read_lines refuses.
    """
    # Ids so far: in runs of text while they are in C order, and so each is new; from then on in a set.
    runs, run, seen = list[str](), [""], set[str]()
    for number, line in read_lines(path):
        key, value = key_and_value(line)
        if not key:
            raise UserError(f"{path}:{number}: empty line: remove it")
        if not seen and key <= run[-1]:
            seen.update(run, *(ids.split("\n") for ids in runs))
        if key in seen:
            raise UserError(f"{path}:{number}: {key} is there twice: remove one of its lines")
        if seen:
            seen.add(key)
        else:
            run.append(key)
        if len(run) == RUN:
            runs.append("\n".join(run))
            del run[:-1]
        yield f"{path}:{number}", key, value


def read_table(path: str | Path) -> Mapping[str, str]:
    """Read `path` into {first field: rest of the line}, in the order of the file; the rest may be empty."""
    return table_of((key, value) for _, key, value in rows(path))


def read_text(path: str | Path, normalise: Callable[[str], str] = str) -> Mapping[str, str]:
    """{utterance: transcript}, in composed letters (Unicode's NFC) and with single spaces, whatever the file has.

    `normalise` is applied to each; it leaves no blank in front, and no newline.
    """
    return table_of((utt, normalise(" ".join(fields(composed(text))))) for _, utt, text in rows(path))


def read_utt2spk(path: str | Path) -> Mapping[str, str]:
    """{utterance: speaker}. Raises UserError for a line that has not exactly one speaker."""
    return table_of(_speakers(path))


def _speakers(path: str | Path) -> Iterator[tuple[str, str]]:
    for where, utt, speaker in rows(path):
        if len(fields(speaker)) != 1:
            got = f"{speaker!r}" if speaker else "none"
            raise UserError(
                f"{where}: {utt}: expected one speaker, got {got}: correct the line (`utterance speaker`; where "
                f"speakers are unknown, write the utterance once more)"
            )
        yield utt, speaker


def read_frames(feat_dir: str | Path) -> dict[str, int]:
    """Frames of each utterance of a feature directory, from its utt2num_frames: whole numbers above 0."""
    frames = {}
    for where, utt, value in rows(Path(feat_dir) / "utt2num_frames"):
        if not frame_count(value):
            raise UserError(f"{where}: {utt}: expected a whole number of frames above 0, got {value!r}: correct it")
        frames[utt] = int(value)
    return frames


def read_seconds(path: str | Path) -> dict[str, float]:
    """Durations of utt2dur or reco2dur in seconds, above 0."""
    seconds = {}
    for where, key, value in rows(path):
        if not positive(value):
            raise UserError(f"{where}: {key}: expected a duration in seconds above 0, got {value!r}: correct it")
        seconds[key] = float(value)
    return seconds


def read_frame_shift(directory: str | Path) -> float:
    """Seconds between two frames of a feature directory, from its file frame_shift."""
    path = Path(directory) / "frame_shift"
    value = "".join(line for _, line in read_lines(path)).strip()
    if not positive(value):
        raise UserError(f"{path}: expected seconds between two frames, such as 0.01, got {value!r}")
    return float(value)


def read_segments(path: str | Path) -> dict[str, tuple[str, float, float]]:
    """{utterance: (recording, start, end)} in seconds, 0 <= start < end."""
    found = {}
    for where, utt, value in rows(path):
        part = segment(value)
        if part is None:
            raise UserError(
                f"{where}: {utt}: expected `utterance recording start end` with 0 <= start < end in seconds, got "
                f"`{utt} {value}`: correct the line"
            )
        found[utt] = part
    return found


def segment(value: str) -> tuple[str, float, float] | None:
    """(recording, start, end) in seconds of a value of segments; None where it is none."""
    try:
        recording, start, end = fields(value)
        span = float(start), float(end)
    except ValueError:
        return None
    return (recording, *span) if 0 <= span[0] < span[1] < math.inf else None


def positive(value: str) -> bool:
    """Whether this is a finite number above 0."""
    try:
        return 0 < float(value) < math.inf
    except ValueError:
        return False


def frame_count(value: str) -> bool:
    """Whether this is a whole number above 0, in the digits 0 to 9."""
    return value.isascii() and value.isdigit() and len(value) < 10 and int(value) > 0


def audio_table(data_dir: str | Path, clean: bool = False) -> str:
    """The table that names the audio of a directory: wav.scp, else spk1.scp; of a `clean` side the other way round.

    "" where there is neither.
    """
    tables = (CLEAN, "wav.scp") if clean else ("wav.scp", CLEAN)
    return next((table for table in tables if (Path(data_dir) / table).exists()), "")


def write_table(path: str | Path, table: Mapping[str, str]) -> None:
    """Write `key value` lines sorted as `LC_ALL=C sort` does, atomically; an empty value leaves the key alone."""
    # Code points and UTF-8 bytes sort alike, so Python's order of str is the C order of the file.
    with replace(path) as f:
        f.writelines(f"{key} {value}\n" if value else f"{key}\n" for key, value in in_order(table).items())


def spk2utt(utt2spk: Mapping[str, str]) -> dict[str, str]:
    """Invert {utterance: speaker} to {speaker: "utt utt ..."}, utterances in C order."""
    speakers: dict[str, list[str]] = defaultdict(list)
    for utt, speaker in in_order(utt2spk).items():
        speakers[speaker].append(utt)
    return {speaker: " ".join(utts) for speaker, utts in speakers.items()}


def write_skipped(path: str | Path, skipped: Mapping[str, str]) -> None:
    """Write `utterance<tab>reason` lines, e.g. to skipped.tsv; an empty file says that nothing was left out."""
    with replace(path) as f:
        f.writelines(f"{utt}\t{reason}\n" for utt, reason in sorted(skipped.items()))


def read_skipped(path: str | Path) -> dict[str, str]:
    """{utterance: reason} of a file of `write_skipped`."""
    return dict(line.split("\t", 1) for line in Path(path).read_text(encoding="utf-8").splitlines())


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


def evenly(utts: Sequence[str], count: int) -> list[str]:
    """`count` of these utterances, spread evenly over them; all where there are no more."""
    count = min(count, len(utts))
    return [utts[len(utts) * i // count] for i in range(count)]


def split(utts: Iterable[str], job: int, nj: int) -> list[str]:
    """Give job `job` (1-based) of `nj` its share of `utts`: a run of neighbours, sizes differing by at most one."""
    utts = list(utts)
    return utts[len(utts) * (job - 1) // nj : len(utts) * job // nj]
