"""The part of OpenAI's HTTP interface that programs use for transcription, so that they work with mimic's server.

https://platform.openai.com/docs/api-reference/audio/createTranscription: a form with `file`, `response_format` and
`stream`. What the models here do not have (`prompt`, `temperature`) is accepted and changes nothing. `model` is any
name: a server has one recogniser.
"""

import json
import math
import shutil
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from email.message import Message
from email.parser import BytesHeaderParser
from mmap import ACCESS_READ, mmap
from typing import Any, BinaryIO

from mimic.deploy.captions import as_srt, as_text, as_vtt
from mimic.errors import UserError
from mimic.models.recogniser import Segment

TRANSCRIPTIONS, MODELS = "/v1/audio/transcriptions", "/v1/models"
MOST_PARTS = 100  # of a form; those for a recording have ten
FORMATS = ("json", "text", "verbose_json", "srt", "vtt")
STREAMED = ("json", "text")  # where `stream` is true; both give the same events
EVENTS = "text/event-stream"


@dataclass
class Request:
    """What a client asks for.

    Attributes:
        response_format: one of FORMATS.
        language: as the client gives it; models here know one.
        words: whether it asks for the times of words, too.
        stream: whether it wants the text segment by segment, as server-sent events.
    """

    response_format: str = "json"
    language: str = ""
    words: bool = False
    stream: bool = False


def read(body: BinaryIO, content_type: str, recording: BinaryIO) -> Request:
    """Take apart a form, a file on disk, and write its `file` to `recording`. Raises UserError for a wrong form."""
    divider = form_boundary(content_type)
    try:
        content = mmap(body.fileno(), 0, access=ACCESS_READ)
    except ValueError:
        raise UserError("the form is empty") from None
    with content:
        found = form_fields(content, divider)
        if "file" not in found:
            raise UserError("file: the form has no recording")
        first, last = found["file"][0]
        body.seek(first)
        shutil.copyfileobj(body, recording)
        recording.truncate(last - first)
        recording.flush()
        texts = {
            name: [_text(name, content[a:b]) for a, b in places] for name, places in found.items() if name != "file"
        }
    kind = texts.get("response_format", ["json"])[0]
    if kind not in FORMATS:
        raise UserError(f"response_format: {kind}: expected one of {', '.join(FORMATS)}")
    granularities = texts.get("timestamp_granularities[]", []) + texts.get("timestamp_granularities", [])
    stream = texts.get("stream", ["false"])[0].lower()
    if stream not in ("true", "false"):
        raise UserError(f"stream: {stream}: expected true or false")
    if stream == "true" and kind not in STREAMED:
        raise UserError(f"stream: true: response_format is {' or '.join(STREAMED)} then, not {kind}")
    return Request(kind, texts.get("language", [""])[0], "word" in granularities, stream == "true")


def form_boundary(content_type: str) -> bytes:
    """What divides the parts of a form, of a Content-Type (multipart/form-data, RFC 7578). UserError: another type."""
    header = Message()
    header["Content-Type"] = content_type
    found = header.get_boundary()
    if header.get_content_type() != "multipart/form-data" or not found or not found.isascii():
        raise UserError("expected multipart/form-data with a boundary")
    return found.encode()


def form_fields(body: mmap | bytes, divider: bytes) -> dict[str, list[tuple[int, int]]]:
    """Where the values of each field of a form begin and end in it, which is not copied. UserError if it is damaged."""
    found: dict[str, list[tuple[int, int]]] = {}
    start = body.find(b"--" + divider) + 2 + len(divider)
    for _ in range(MOST_PARTS):
        end = body.find(b"\r\n--" + divider, start)
        if start < 2 + len(divider) or body[start : start + 2] == b"--" or end < 0:
            break
        value = body.find(b"\r\n\r\n", start, end) + 4
        name = _field_name(body[start + 2 : value]) if value >= 4 else None
        if name is None:
            raise UserError("a part of the form has no name")
        found.setdefault(name, []).append((value, end))
        start = end + 4 + len(divider)
    if start < 2 + len(divider) or body[start : start + 2] != b"--":
        raise UserError(f"the form has no end, or more than {MOST_PARTS} parts")
    return found


def response(request: Request, seconds: float, segments: Sequence[Segment]) -> tuple[str, bytes]:
    """Content type and body for a transcript of a recording of so many seconds."""
    text = as_text("", segments).strip()
    if request.response_format in ("json", "verbose_json"):
        verbose = request.response_format == "verbose_json"
        values = _verbose(request, seconds, text, segments) if verbose else {"text": text}
        return "application/json", json.dumps(values, ensure_ascii=False).encode()
    write = {"text": as_text, "srt": as_srt, "vtt": as_vtt}[request.response_format]
    return "text/plain; charset=utf-8", write("", segments).encode()


def events(segments: Iterable[Segment]) -> Iterator[bytes]:
    """Server-sent events: what each segment adds to the text, as soon as it is recognised, and at the end all of it."""
    text = ""
    for segment in segments:
        if segment.text:
            delta = f" {segment.text}" if text else segment.text
            text += delta
            yield event({"type": "transcript.text.delta", "delta": delta})
    yield event({"type": "transcript.text.done", "text": text})


def event(values: dict[str, Any]) -> bytes:
    return f"data: {json.dumps(values, ensure_ascii=False)}\n\n".encode()


def models(name: str) -> dict[str, Any]:
    """The list of models, which has one."""
    return {"object": "list", "data": [{"id": name, "object": "model", "created": 0, "owned_by": "mimic"}]}


def error(code: int, line: str) -> dict[str, Any]:
    """A line as these clients expect it."""
    kind = "invalid_request_error" if code < 500 else "server_error"
    return {"error": {"message": line, "type": kind, "param": None, "code": None}}


def _verbose(request: Request, seconds: float, text: str, segments: Sequence[Segment]) -> dict[str, Any]:
    """What Whisper has and models here do not is empty or 0; avg_logprob is that of the words."""
    values: dict[str, Any] = {"task": "transcribe", "language": request.language or "unknown", "duration": seconds}
    values |= {"text": text, "segments": [_segment(i, segment) for i, segment in enumerate(segments)]}
    if request.words:
        words = [word for segment in segments for word in segment.words]
        values["words"] = [{"word": w.word, "start": round(w.start, 3), "end": round(w.end, 3)} for w in words]
    return values


def _segment(number: int, segment: Segment) -> dict[str, Any]:
    logprobs = [math.log(max(word.confidence, 1e-10)) for word in segment.words]
    data = segment.text.encode()
    return {
        "id": number,
        "seek": 0,
        "start": round(segment.start, 3),
        "end": round(segment.end, 3),
        "text": segment.text,
        "tokens": [],
        "temperature": 0.0,
        "avg_logprob": round(sum(logprobs) / max(1, len(logprobs)), 4),
        "compression_ratio": round(len(data) / len(zlib.compress(data)), 4),
        "no_speech_prob": 0.0,
    }


def _field_name(head: bytes) -> str | None:
    name = BytesHeaderParser().parsebytes(head).get_param("name", header="content-disposition")
    return name if isinstance(name, str) else None


def _text(name: str, value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        raise UserError(f"{name}: not UTF-8") from None
