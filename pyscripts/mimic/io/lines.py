"""The lines of text files and their fields: nothing else knows of encodings, line ends, byte order marks and gzip."""

import gzip
import re
import zlib
from collections.abc import Iterator
from pathlib import Path

from mimic.errors import UserError

BLANKS = " \t"
GZIP = b"\x1f\x8b"
MARK = "\ufeff"  # a byte order mark: of the file, or of one of those that it was put together from
UTF16 = (b"\xff\xfe", b"\xfe\xff")
_BLANKS = re.compile("[ \t]+")


def gzipped(path: str | Path) -> bool:
    """Whether a file is gzipped, by its first bytes, whatever its name says."""
    with open(path, "rb") as f:
        return f.read(len(GZIP)) == GZIP


def read_lines(path: str | Path, what: str = "file") -> Iterator[tuple[int, str]]:
    """The lines of UTF-8 text, plain or gzipped, with their numbers from 1.

    "\\n" or "\\r\\n" ends a line and nothing else does: U+0085, U+2028 and others are characters. Byte order marks at
    the beginning of a line are left out. Raises UserError, with the line, for what is not UTF-8, NUL bytes, a carriage
    return within a line, and a gzip file that is damaged or cut short; and where there is no such `what`.
    """
    number = 0
    try:
        with open(path, "rb") as f:  # opened once, for it may be a pipe
            for number, raw in enumerate(gzip.GzipFile(fileobj=f) if f.peek(2).startswith(GZIP) else f, 1):
                yield number, decoded(raw, f"{path}:{number}")
    except FileNotFoundError:
        raise UserError(f"{path}: no such {what}") from None
    except IsADirectoryError:
        raise UserError(f"{path}: is a directory, expected a {what}") from None
    except (EOFError, gzip.BadGzipFile, zlib.error):
        raise UserError(f"{path}:{number + 1}: the gzip file is damaged or cut short: copy it again") from None


def decoded(raw: bytes, where: str) -> str:
    """A line of UTF-8 text as read_lines gives it; `where` is its `path:line`."""
    if b"\0" in raw or raw.startswith(UTF16):
        if where.endswith(":1") and raw.startswith(UTF16):
            raise UserError(f"{where}: UTF-16, expected UTF-8: convert the file, e.g. iconv -f utf-16 -t utf-8")
        raise UserError(f"{where}: NUL byte: this is not text, or it is damaged: copy or write the file again")
    try:
        line = raw.decode()
    except UnicodeDecodeError:
        raise UserError(f"{where}: not UTF-8: convert the file, e.g. iconv -f latin1 -t utf-8") from None
    line = line.removesuffix("\n").removesuffix("\r")
    if "\r" in line:
        raise UserError(f"{where}: carriage return within the line: end lines with a newline")
    return line.removeprefix(MARK)


def fields(line: str) -> list[str]:
    """What runs of spaces and tabs part, and no other character does (U+00A0 may be part of a word)."""
    return [field for field in line.replace("\t", " ").split(" ") if field]


def key_and_value(line: str) -> tuple[str, str]:
    """The first field of a line and what follows, without the blanks around; "" where there is nothing."""
    key, _, value = line.strip(BLANKS).partition(" ")
    if "\t" in key:
        key, value = _BLANKS.split(line.strip(BLANKS), maxsplit=1)
    return key, value.lstrip(BLANKS)
