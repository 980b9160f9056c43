"""What audio containers say about their own size, and whether it is true: cut, joined and piped files.

libsndfile believes a header: it shortens a cut file without a word, gives none of a WAV whose header says 0 bytes, and
ends with the first of several joined files. So headers are compared with content before it reads them.
"""

import io
import os
import struct
from dataclasses import dataclass, field
from typing import Any, BinaryIO, cast

from mimic.io.streams import Flaw, flac_parts, mp3_parts, ogg_parts

# Sizes from here on mean "not known yet" in the header of a file that was written to a pipe.
UNKNOWN_SIZE = 0x7FFF0000
UNKNOWN_64 = 1 << 62
TAGS = (b"TAG", b"ID3", b"APETAGEX")  # that taggers put after any file
JOINED = (b"RIFF", b"RIFX", b"RF64", b"FORM")
# What only ffmpeg reads: bytes at an offset.
FOREIGN = (
    *((4, b"ftyp"), (0, b"\x1aE\xdf\xa3"), (0, b"0&\xb2u"), (0, b"FLV"), (0, b"#!AMR"), (0, b"wvpk"), (0, b"MAC ")),
    *((8, b"AVI "), (0, b"\0\0\1\xba"), (0, b"OMG"), (0, b"\xff\xf1"), (0, b"\xff\xf9"), (4, b"moov"), (4, b"mdat")),
)


@dataclass
class Layout:
    """How a file is to be read.

    Attributes:
        missing: what was cut off, in words, or "".
        flaw: why it cannot be read to its true end, or "".
        edits: {offset: bytes} of a header that says how long the content really is.
        parts: (first byte, one past the last) of recordings that were joined one after the other.
        foreign: why ffmpeg has to read it, or "".
    """

    missing: str = ""
    flaw: str = ""
    edits: dict[int, bytes] = field(default_factory=dict)
    parts: list[tuple[int, int]] = field(default_factory=list)
    foreign: str = ""


def examine(source: BinaryIO) -> Layout:
    """Compare what the header promises with what the file holds."""
    size = source.seek(0, os.SEEK_END)
    source.seek(0)
    head = source.read(64)
    try:
        if head[:4] in (b"RIFF", b"RIFX", b"RF64", b"FORM") and head[8:12] in (b"WAVE", b"AIFF", b"AIFC"):
            return _chunks(source, size, head)
        if head[:4] == b"riff" and head[24:28] == b"wave":
            return _w64(source, size)
        if head[:4] in (b".snd", b"dns."):
            return _au(size, head)
        if head[:4] == b"caff":
            return _caf(source, size)
        if head[:7] == b"NIST_1A":
            return Layout(missing=_missing_sphere(source, size))
        if any(head[offset:].startswith(magic) for offset, magic in FOREIGN):
            return Layout(foreign="a format that libsndfile does not know")
        if head[:4] == b"OggS":
            return Layout(parts=ogg_parts(source, size))
        if head[:4] == b"fLaC":
            return Layout(parts=flac_parts(source, size))
        if head[:3] == b"ID3" or (head[:1] == b"\xff" and len(head) > 4 and head[1] & 0xE0 == 0xE0):
            return Layout(parts=mp3_parts(source, size))
    except Flaw as flaw:
        problem: dict[str, Any] = {flaw.kind: str(flaw)}
        return Layout(**problem)
    except struct.error:
        return Layout(missing="the header is cut")
    return Layout()


def _chunks(source: BinaryIO, size: int, head: bytes) -> Layout:
    """RIFF, RF64 and AIFF: chunks of a name, a size and an even number of bytes."""
    order, data = ("<" if head[:4] in (b"RIFF", b"RF64") else ">"), (b"SSND" if head[:4] == b"FORM" else b"data")
    position, long = 12, 0  # the place of RF64's 64-bit sizes
    while position + 8 <= size:
        source.seek(position)
        name, length = struct.unpack(f"{order}4sI", source.read(8))
        if name == b"ds64":
            long = position + 8
        begin = position + 8
        if name == data:
            edits = {}
            unknown = length >= UNKNOWN_SIZE
            if long and length == 0xFFFFFFFF:
                source.seek(long + 8)
                (length,) = struct.unpack("<Q", source.read(8))
                unknown = length >= UNKNOWN_64 or (length == 0 and size > begin)
                edits = {long: struct.pack("<QQQ", size - 8, size - begin, 0)} if unknown else {}
            elif length == 0 and size > begin and _rest(source, begin, size, order):
                unknown, edits = True, {position + 4: b"\xff" * 4}
            if unknown:
                return Layout(edits=edits)
            if begin + length > size:
                return Layout(missing=f"{begin + length - size} bytes missing at the end")
            return Layout(flaw=_rest(source, begin + length + length % 2, size, order))
        position = begin + length + length % 2
    return Layout(missing="no sound in it")


def _rest(source: BinaryIO, position: int, size: int, order: str) -> str:
    """What is wrong with the bytes after the sound: other chunks and tags may be there, nothing else."""
    begin = position
    while position + 8 <= size:
        source.seek(position)
        name, length = struct.unpack(f"{order}4sI", source.read(8))
        if name in JOINED:
            return "another file is joined to its end"
        if not all(32 <= byte < 127 for byte in name) or position + 8 + length > size:
            break
        position += 8 + length + length % 2
    source.seek(position)
    left = source.read(4096)
    if len(left) <= 8 or left.startswith(TAGS) or not left.strip(b"\0"):
        return ""
    return f"{size - begin} bytes follow the end that its header gives"


def _w64(source: BinaryIO, size: int) -> Layout:
    """Sony Wave64: names of 16 bytes, 64-bit sizes that count them, too, and multiples of 8 bytes."""
    position = 40
    while position + 24 <= size:
        source.seek(position)
        name, length = struct.unpack("<4s12xQ", source.read(24))
        if name == b"data":
            known = 24 < length < UNKNOWN_64  # libsndfile reads to the end where it is not
            missing = position + length - size if known else 0
            return Layout(missing=f"{missing} bytes missing at the end" if missing > 0 else "")
        position += max(24, length + -length % 8)
    return Layout(missing="no sound in it")


def _au(size: int, head: bytes) -> Layout:
    begin, length = struct.unpack(">II" if head[:4] == b".snd" else "<II", head[4:12])
    if length == 0 and size > begin:
        return Layout(edits={8: b"\xff" * 4})
    if length >= UNKNOWN_SIZE or begin + length == size:
        return Layout()
    if begin + length > size:
        return Layout(missing=f"{begin + length - size} bytes missing at the end")
    return Layout(flaw=f"{size - begin - length} bytes follow the end that its header gives")


def _caf(source: BinaryIO, size: int) -> Layout:
    position = 8
    while position + 12 <= size:
        source.seek(position)
        name, length = struct.unpack(">4sq", source.read(12))
        if name == b"data":
            begin = position + 12
            if length < 0 or (length == 0 and size > begin):
                return Layout(edits={position + 4: struct.pack(">q", size - begin)})
            missing = begin + length - size
            return Layout(missing=f"{missing} bytes missing at the end" if missing > 0 else "")
        if length < 0:
            break
        position += 12 + length
    return Layout(missing="no sound in it")


def _missing_sphere(source: BinaryIO, size: int) -> str:
    """NIST SPHERE: a text header (1024 bytes) with counts; only plain samples have a known length."""
    source.seek(0)
    fields = {line.split()[0]: line.split()[-1] for line in source.read(1024).splitlines() if line.strip()}
    if fields.get(b"sample_coding", b"pcm") not in (b"pcm", b"ulaw", b"alaw"):
        return ""
    counts = [int(fields.get(name, b"1")) for name in (b"sample_count", b"channel_count", b"sample_n_bytes")]
    missing = 1024 + counts[0] * counts[1] * counts[2] - size
    return f"{missing} bytes missing at the end" if missing > 0 else ""


class Window(io.RawIOBase):
    """Bytes `begin` to `end` - 1 of a file, some of them edited ({offset in the window: bytes}).

    close_file: whether closing the window closes the file, too.
    """

    def __init__(
        self, file: BinaryIO, begin: int, end: int, edits: dict[int, bytes] | None = None, close_file: bool = False
    ) -> None:
        super().__init__()
        self._close_file = close_file
        self._file: Any = file  # every file has readinto, which BinaryIO does not know
        self._begin, self._size, self._position = begin, max(0, end - begin), 0
        self._edits = edits or {}

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self._position = offset + {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._size}[whence]
        return self._position

    def tell(self) -> int:
        return self._position

    def readinto(self, buffer) -> int:
        self._file.seek(self._begin + self._position)
        view = memoryview(buffer).cast("B")
        n = self._file.readinto(view[: max(0, min(len(view), self._size - self._position))])
        for offset, new in self._edits.items():
            first, last = max(offset, self._position), min(offset + len(new), self._position + n)
            if first < last:
                view[first - self._position : last - self._position] = new[first - offset : last - offset]
        self._position += n
        return n

    def close(self) -> None:
        if self._close_file:
            self._file.close()
        super().close()


def in_archive(file: BinaryIO, offset: int) -> BinaryIO:
    """A file inside an archive: the bytes from `offset` on, up to the end that its header gives, if it gives one."""
    end = file.seek(0, os.SEEK_END)
    file.seek(offset)
    head = file.read(16)
    if head[:4] == b"RIFF" and len(head) == 16:
        length = 8 + struct.unpack("<I", head[4:8])[0]
        end = min(end, offset + length) if length < UNKNOWN_SIZE else end
    elif head[:5] == b"AUDIO":  # kaldiio's own frame: one byte counts the bytes of the length, which follow
        offset += 6 + head[5]
        end = min(end, offset + int.from_bytes(head[6 : 6 + head[5]], "little"))
    return cast("BinaryIO", Window(file, offset, end, close_file=True))  # all of it that is read from
