"""What audio containers say about their own size: cut files, and files inside archives."""

import io
import os
import struct
from typing import BinaryIO

# Sizes from here on mean "not known yet" in the header of a WAV that was written to a pipe.
UNKNOWN_SIZE = 0x7FFF0000


def missing_part(source: BinaryIO) -> str:
    """Compare what the header promises with what the file holds; give "" or what is missing, in words.

    libsndfile shortens a cut WAV, AIFF, SPHERE or Ogg file without a word, so these are checked here. FLAC and MP3
    carry a sample count that AudioReader compares with what it decodes.
    """
    size = source.seek(0, os.SEEK_END)
    source.seek(0)
    head = source.read(12)
    if head[:4] in (b"RIFF", b"RIFX", b"FORM"):
        order, data = (">" if head[:4] != b"RIFF" else "<"), (b"SSND" if head[:4] == b"FORM" else b"data")
        position = 12
        while position + 8 <= size:
            source.seek(position)
            name, length = struct.unpack(f"{order}4sI", source.read(8))
            if name == data:
                missing = position + 8 + length - size
                return f"{missing} bytes missing at the end" if missing > 0 and length < UNKNOWN_SIZE else ""
            position += 8 + length + length % 2
        return "no sound in it"
    if head[:4] == b"OggS":
        return _missing_ogg(source, size)
    if head[:7] == b"NIST_1A":
        return _missing_sphere(source, size)
    return ""


def _missing_ogg(source: BinaryIO, size: int) -> str:
    """The last page of an Ogg stream (RFC 3533, section 6) must be whole and carry the end-of-stream flag."""
    tail = min(size, 2 * 65307)  # a page is at most 65,307 bytes long
    source.seek(size - tail)
    raw = source.read(tail)
    start = raw.rfind(b"OggS")
    if start < 0 or start + 27 > tail:
        return "the last page is cut"
    n_segments = raw[start + 26]
    length = 27 + n_segments + sum(raw[start + 27 : start + 27 + n_segments])
    if start + length > tail:
        return "the last page is cut"
    return "" if raw[start + 5] & 4 else "the last page is missing"


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
    """A file inside an archive: the bytes from `offset` on, up to the end that its header gives, if it gives one."""

    def __init__(self, file: BinaryIO, offset: int) -> None:
        super().__init__()
        self._file, self._offset = file, offset
        end = file.seek(0, os.SEEK_END)
        file.seek(offset)
        head = file.read(16)
        if head[:4] == b"RIFF" and len(head) == 16:
            length = 8 + struct.unpack("<I", head[4:8])[0]
            end = min(end, offset + length) if length < UNKNOWN_SIZE else end
        elif head[:5] == b"AUDIO":  # kaldiio's own frame: one byte counts the bytes of the length, which follow
            self._offset += 6 + head[5]
            end = min(end, self._offset + int.from_bytes(head[6 : 6 + head[5]], "little"))
        self._size, self._position = max(0, end - self._offset), 0

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
        self._file.seek(self._offset + self._position)
        view = memoryview(buffer).cast("B")
        n = self._file.readinto(view[: max(0, min(len(view), self._size - self._position))])
        self._position += n
        return n

    def close(self) -> None:
        self._file.close()
        super().close()
