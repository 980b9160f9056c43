"""Ogg, FLAC and MP3: streams of pages or frames, which may be cut, joined, or of a length that nobody has written down.

Each function gives the byte ranges of the recordings in a file, or raises Flaw.
"""

import mmap
import struct
from typing import BinaryIO

Parts = list[tuple[int, int]]
LARGEST_FRAME = 1 << 16  # bytes that are searched for the last frame of a FLAC
FLAC_START = b"fLaC\0\0\0\x22"  # the marker and the head of STREAMINFO, which is 34 bytes long
BITRATES = {  # kbit/s by (MPEG 1, layer); ISO 11172-3 and 13818-3
    (True, 1): (0, 32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (True, 2): (0, 32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (True, 3): (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (False, 1): (0, 32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (False, 2): (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
BITRATES[False, 3] = BITRATES[False, 2]
RATES = (44100, 48000, 32000)


class Flaw(Exception):
    """Something that keeps libsndfile from the true end; `kind` is the field of containers.Layout for it."""

    def __init__(self, kind: str, text: str) -> None:
        super().__init__(text)
        self.kind = kind


def ogg_parts(source: BinaryIO, size: int) -> Parts:
    """Pages of an Ogg stream (RFC 3533): the last must be whole and carry the end-of-stream flag."""
    starts, position, flags, before = [], 0, 0, 4
    while position < size:
        source.seek(position)
        head = source.read(27)
        if head[:4] != b"OggS" and position:
            if head.startswith((b"TAG", b"ID3")):
                break
            raise Flaw("missing", f"no page at byte {position}")
        lengths = source.read(head[26]) if len(head) == 27 else b""
        end = position + 27 + len(lengths) + sum(lengths)
        if len(head) < 27 or len(lengths) < head[26] or end > size:
            raise Flaw("missing", "the last page is cut")
        flags = head[5]
        if flags & 2 and before & 2:
            raise Flaw("foreign", "several streams side by side")
        if flags & 2:
            starts.append(position)
        before, position = flags, end
    if not flags & 4:
        raise Flaw("missing", "the last page is missing")
    return list(zip(starts, [*starts[1:], position], strict=True))


def flac_parts(source: BinaryIO, size: int) -> Parts:
    """FLAC: a stream may be of unknown length (RFC 9639, section 8.2), another may follow."""
    with mmap.mmap(source.fileno(), 0, access=mmap.ACCESS_READ) if _is_file(source) else _Bytes(source) as raw:
        starts = [0]
        while (found := raw.find(FLAC_START, starts[-1] + 8)) > 0:
            starts.append(found)
        for start, end in zip(starts, [*starts[1:], size], strict=True):
            samples = struct.unpack(">Q", raw[start + 18 : start + 26])[0] & ((1 << 36) - 1)
            if not samples:
                raise Flaw("foreign", "FLAC of unknown length")
            if _flac_length(raw, start, end, samples) > samples:
                raise Flaw("foreign", "FLAC whose header tells of less than there is")
    return list(zip(starts, [*starts[1:], size], strict=True))


def _flac_length(raw: bytes | mmap.mmap, start: int, end: int, promised: int) -> int:
    """Samples up to the end of the last frame that is whole; `promised` where no frame says otherwise."""
    block_size = struct.unpack(">H", raw[start + 8 : start + 10])[0]
    tail = raw[max(start + 42, end - LARGEST_FRAME) : end]
    position = len(tail)
    while (position := tail.rfind(b"\xff", 0, position)) >= 0:
        frame = tail[position:]
        if len(frame) < 11 or frame[1] & 0xFE != 0xF8 or frame[2] >> 4 == 0 or frame[3] & 1:
            continue
        size_bits, rate_bits = frame[2] >> 4, frame[2] & 15
        more = max(0, 8 - (frame[4] ^ 0xFF).bit_length() - 1)  # bytes of the number after its first, as in UTF-8
        number = frame[4] & (0x7F >> (more + 1) if more else 0x7F)
        for byte in frame[5 : 5 + more]:
            number = number << 6 | byte & 0x3F
        at = 5 + more
        if size_bits in (6, 7):
            samples = int.from_bytes(frame[at : at + size_bits - 5], "big") + 1
            at += size_bits - 5
        else:
            samples = 192 if size_bits == 1 else 576 << size_bits - 2 if size_bits < 6 else 256 << size_bits - 8
        at += {12: 1, 13: 2, 14: 2}.get(rate_bits, 0)
        last = number + samples if frame[1] & 1 else number * block_size + samples
        if last == promised:
            return promised
        if last > promised and _crc(frame[: at + 1], 8, 0x07) == 0 and _crc(frame, 16, 0x8005) == 0:
            return last
    return promised


def _crc(data: bytes, bits: int, polynomial: int) -> int:
    """The remainder of data that ends with its own checksum: 0 where nothing is damaged."""
    value, top = 0, 1 << bits - 1
    for byte in data:
        value ^= byte << bits - 8
        for _ in range(8):
            value = (value << 1 ^ polynomial if value & top else value << 1) & (2 * top - 1)
    return value


def mp3_parts(source: BinaryIO, size: int) -> Parts:
    """MPEG audio: libsndfile knows the length only by the Xing (Info) header, whose number of frames must be true."""
    with mmap.mmap(source.fileno(), 0, access=mmap.ACCESS_READ) if _is_file(source) else _Bytes(source) as raw:
        starts: list[int] = []
        promised, counted, position = [], [], _after_tags(raw, 0)
        while length := _frame_length(raw[position : position + 4]):
            frame = raw[position : min(position + length, position + 64)]
            if position + length > size:
                break
            at = max(frame.find(b"Xing"), frame.find(b"Info"))
            if at > 0 or not starts:
                starts.append(position)
                known = at > 0 and len(frame) >= at + 12 and frame[at + 7] & 1
                promised.append(struct.unpack(">I", frame[at + 8 : at + 12])[0] if known else 0)
                counted.append(int(at <= 0))
            else:
                counted[-1] += 1
            position = _after_tags(raw, position + length)
        if not starts:
            if length:
                raise Flaw("missing", "its first frame is incomplete")
            raise Flaw("foreign", "MPEG audio that begins with something else")
        for wanted, there in zip(promised, counted, strict=True):
            if there < wanted:
                raise Flaw("missing", f"{wanted - there} of {wanted} frames missing")
        if promised != counted:
            raise Flaw("foreign", "MP3 whose header does not tell its length")
        if raw[position : position + 4096].strip(b"\0"):
            raise Flaw("foreign", "MP3 with something else in it")
    starts[0] = 0
    return list(zip(starts, [*starts[1:], size], strict=True))


def _frame_length(head: bytes) -> int:
    """Bytes of an MPEG audio frame with this header (4 bytes); 0 where it is none, or has a free bit rate."""
    if len(head) < 4 or head[0] != 0xFF or head[1] & 0xE0 != 0xE0:
        return 0
    version, layer = head[1] >> 3 & 3, 4 - (head[1] >> 1 & 3)
    bits, rate, padding = head[2] >> 4, head[2] >> 2 & 3, head[2] >> 1 & 1
    if version == 1 or layer == 4 or bits in (0, 15) or rate == 3:
        return 0
    first = version == 3
    hz = RATES[rate] >> {3: 0, 2: 1, 0: 2}[version]
    bps = 1000 * BITRATES[first, layer][bits]
    if layer == 1:
        return (12 * bps // hz + padding) * 4
    return (72 if layer == 3 and not first else 144) * bps // hz + padding


def _after_tags(raw: bytes | mmap.mmap, position: int) -> int:
    """Skip tags: ID3v2 before a recording, ID3v1 and APE after it."""
    while True:
        head = raw[position : position + 32]
        if head[:3] == b"ID3" and len(head) >= 10:
            position += 10 + sum((byte & 127) << shift for byte, shift in zip(head[6:10], (21, 14, 7, 0), strict=True))
        elif head[:3] == b"TAG":
            position += 128
        elif head[:8] == b"APETAGEX" and len(head) == 32:
            length, flags = struct.unpack("<I4xI", head[12:24])
            position += length + (32 if flags & (1 << 29) else 0)
        else:
            return position


def _is_file(source: BinaryIO) -> bool:
    try:
        return source.fileno() >= 0
    except OSError:
        return False


class _Bytes(bytes):
    """The content of a source that is not a file of its own, as `with` takes it."""

    def __new__(cls, source: BinaryIO) -> "_Bytes":
        source.seek(0)
        return super().__new__(cls, source.read())

    def __enter__(self) -> "_Bytes":
        return self

    def __exit__(self, *_) -> None:
        pass
