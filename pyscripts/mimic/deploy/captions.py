"""What a transcript looks like: text, JSON, SubRip (SRT), WebVTT, and CTM, the time-marked words of NIST's scoring."""

import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from mimic.decoding.ctc.times import Word
from mimic.models.recogniser import Segment

LINE = 42  # characters
LINES = 2  # in a caption
LONGEST_S = 6.0
PAUSE_S = 1.0  # between words of one caption


def as_text(name: str, segments: Sequence[Segment]) -> str:
    return " ".join(filter(None, (segment.text for segment in segments))) + "\n"


def as_record(name: str, segments: Sequence[Segment]) -> dict[str, Any]:
    """Plain values for JSON; times in seconds."""
    return {
        "name": name,
        "text": as_text(name, segments).strip(),
        "segments": [
            {
                "start": round(segment.start, 3),
                "end": round(segment.end, 3),
                "text": segment.text,
                "words": [
                    {
                        "word": word.word,
                        "start": round(word.start, 3),
                        "end": round(word.end, 3),
                        "confidence": round(word.confidence, 4),
                    }
                    for word in segment.words
                ],
            }
            for segment in segments
        ],
    }


def as_json(name: str, segments: Sequence[Segment]) -> str:
    return json.dumps(as_record(name, segments), ensure_ascii=False, indent=2) + "\n"


def as_srt(name: str, segments: Sequence[Segment]) -> str:
    cues = [
        f"{number}\n{_time(cue[0].start, ',')} --> {_time(cue[-1].end, ',')}\n{_lines(cue)}\n"
        for number, cue in enumerate(_cues(segments), 1)
    ]
    return "\n".join(cues)


def as_vtt(name: str, segments: Sequence[Segment]) -> str:
    escape = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})
    cues = [
        f"{_time(cue[0].start, '.')} --> {_time(cue[-1].end, '.')}\n{_lines(cue).translate(escape)}\n"
        for cue in _cues(segments)
    ]
    return "\n".join(["WEBVTT\n", *cues])


def as_ctm(name: str, segments: Sequence[Segment]) -> str:
    """`recording channel start duration word confidence` lines; blanks in the name become _."""
    recording = "_".join(name.split())
    return "".join(
        f"{recording} 1 {word.start:.2f} {word.end - word.start:.2f} {word.word} {word.confidence:.2f}\n"
        for segment in segments
        for word in segment.words
    )


FORMATS: dict[str, Callable[[str, Sequence[Segment]], str]] = {
    "text": as_text,
    "json": as_json,
    "srt": as_srt,
    "vtt": as_vtt,
    "ctm": as_ctm,
}
SUFFIX = {name: ".txt" if name == "text" else f".{name}" for name in FORMATS}


def _cues(segments: Sequence[Segment]) -> Iterator[list[Word]]:
    """Words that are shown together: of one segment, few enough to be read."""
    for segment in segments:
        cue: list[Word] = []
        for word in segment.words:
            if cue and (
                len(_lines([*cue, word]).splitlines()) > LINES
                or word.end - cue[0].start > LONGEST_S
                or word.start - cue[-1].end > PAUSE_S
            ):
                yield cue
                cue = []
            cue.append(word)
        if cue:
            yield cue


def _lines(words: Sequence[Word]) -> str:
    lines = [""]
    for word in words:
        if lines[-1] and len(lines[-1]) + 1 + len(word.word) > LINE:
            lines.append("")
        lines[-1] += f" {word.word}" if lines[-1] else word.word
    return "\n".join(lines)


def _time(seconds: float, point: str) -> str:
    whole = round(1000 * seconds)
    return f"{whole // 3600000:02d}:{whole // 60000 % 60:02d}:{whole // 1000 % 60:02d}{point}{whole % 1000:03d}"
