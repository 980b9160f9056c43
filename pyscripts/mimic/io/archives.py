"""Kaldi archives (ark/scp) of matrices and vectors. The only module that knows kaldiio."""

import os
import struct
from collections.abc import Callable, Iterable
from contextlib import suppress
from itertools import groupby
from pathlib import Path
from typing import BinaryIO

import numpy as np
from kaldiio.matio import read_ascii_mat, read_int32vector, read_matrix_or_vector, write_array

from mimic.errors import UserError
from mimic.io.atomic import named
from mimic.io.entries import place, stored
from mimic.io.tables import read_table

# Kaldi's CompressionMethod: two bytes with one range per matrix; one byte with percentiles per column ("speech").
METHODS = {"none": None, "int16": 3, "uint8": 2}
NOT_FINITE = "NaN or infinite values"
TOLERANCE = 3  # rows that a range may end after the last one: Kaldi's, for times that are rounded
FLOAT_HEADER = struct.Struct("<6sixi")  # of a matrix of 32-bit floats: "\0BFM \4", rows, "\4", columns


class ArkWriter:
    """Stream arrays to an archive and its index: `with ArkWriter(ark, scp) as w: w.write(utt, array)`.

    compress: "none" (float32), "int16" (half the size) or "uint8" (a quarter); vectors are never compressed.
    Both files appear under their names only when the block ends without an error, the archive first; the index names
    the archive as `mimic.io.entries.stored` does.
    """

    def __init__(self, ark: str | Path, scp: str | Path, compress: str = "none") -> None:
        self.ark, self.scp, self.method = os.path.abspath(ark), os.path.abspath(scp), METHODS[compress]
        self._name = stored(ark)
        self._lines: list[str] = []
        self._ark = open(f"{self.ark}.tmp", "wb")

    def write(self, utt: str, array: np.ndarray) -> None:
        """Append a matrix (frames, bins) or a vector (n,): floats, or int32 for a vector."""
        if array.dtype != np.int32 and not np.isfinite(array).all():
            raise UserError(f"{utt}: NaN or infinite values: not written to {self.ark}")
        kind = np.float64 if array.dtype == np.float64 else np.int32 if array.dtype == np.int32 else np.float32
        array = np.ascontiguousarray(array, dtype=kind)
        try:
            self._ark.write(f"{utt} ".encode())
            self._lines.append(f"{utt} {self._name}:{self._ark.tell()}\n")
            write_array(self._ark, array, compression_method=self.method if array.ndim == 2 else None)
        except OSError as error:
            raise named(error, self.ark) from None

    def __enter__(self) -> "ArkWriter":
        return self

    def __exit__(self, kind: type | None, *_) -> None:
        try:
            if kind is None:
                self._ark.flush()
                os.fsync(self._ark.fileno())
                with open(f"{self.scp}.tmp", "w", encoding="utf-8", newline="\n") as f:
                    f.writelines(self._lines)
                    f.flush()
                    os.fsync(f.fileno())
            self._ark.close()
            if kind is None:
                os.replace(f"{self.ark}.tmp", self.ark)
                os.replace(f"{self.scp}.tmp", self.scp)
        except OSError as error:
            kind = OSError
            raise named(error, self.ark) from None
        finally:
            if kind is not None:
                for path in (f"{self.ark}.tmp", f"{self.scp}.tmp"):
                    Path(path).unlink(missing_ok=True)


class Entry(str):
    """`file.ark:offset` of an index, with its key, so that an error can name the utterance."""

    key = ""


def read_scp(path: str | Path) -> dict[str, Entry]:
    """Read an index into {key: `file.ark:offset`}. Raises UserError for pipes, which are never run."""
    table = {key: Entry(entry) for key, entry in read_table(path).items()}
    for key, entry in table.items():
        if not entry or entry[-1] == "|":
            raise UserError(f"{path}: {key}: expected `file.ark:offset`, got {str(entry) or 'nothing'!r}")
        entry.key = key
    return table


def load(entry: str) -> np.ndarray:
    """Read one matrix (frames, bins) or vector from `file.ark:offset` (or `file`), compressed or not, binary or text.

    A range after it, `[first:last]` or `[first:last,first:last]`, gives these rows (and columns), as in Kaldi.
    Raises UserError naming the entry, and the utterance where it is one of `read_scp`, when the file is missing,
    shorter than its index says, something else, or holds NaN or infinite values.
    """
    path, offset, wanted = place(entry)
    try:
        with open(path, "rb") as f:
            array = _array(f, offset)
    except OSError as error:
        raise _unusable(entry, str(error.strerror)) from None
    except Exception as error:  # kaldiio raises whatever the damaged bytes lead to
        raise _unusable(entry, f"damaged archive ({error})") from None
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise _unusable(entry, NOT_FINITE)
    return array[_slices(entry, wanted, array.shape)] if wanted else array


def rows(entry: str) -> Callable[[int, int], np.ndarray]:
    """A function that gives rows begin to end - 1 of a matrix. Of an uncompressed one it reads no others."""
    path, offset, wanted = place(entry)
    start = offset or 0
    try:
        with open(path, "rb") as f:
            f.seek(start)
            header = f.read(FLOAT_HEADER.size)
    except OSError as error:
        raise _unusable(entry, str(error.strerror)) from None
    if wanted or not header.startswith(b"\0BFM \4") or len(header) < FLOAT_HEADER.size:
        whole = load(entry)
        return lambda begin, end: whole[begin:end]
    _, total, columns = FLOAT_HEADER.unpack(header)

    def read(begin: int, end: int) -> np.ndarray:
        count = (min(end, total) - begin) * columns
        found = np.fromfile(path, "<f4", count, offset=start + FLOAT_HEADER.size + 4 * begin * columns)
        if len(found) != count:
            raise _unusable(entry, "damaged archive (it ends early)")
        if not np.isfinite(found).all():
            raise _unusable(entry, NOT_FINITE)
        return found.reshape(-1, columns)

    return read


def read_ahead(entries: Iterable[str]) -> None:
    """Read these entries, each archive from its beginning to its end, and leave them in the system's file cache.

    Scattered over a file, reads of a network disk cost a round trip each; in their order the disk streams. What is
    wrong with an entry is reported when it is loaded.
    """
    places = sorted((path, offset or 0) for path, offset, _ in map(place, entries))
    for path, group in groupby(places, key=lambda one: one[0]):
        with suppress(Exception), open(path, "rb") as f:
            for _, offset in group:
                _array(f, offset)


def _array(f: BinaryIO, offset: int | None) -> np.ndarray:
    f.seek(offset or 0)
    magic = f.read(3)
    f.seek(offset or 0)
    # kaldiio's own dispatcher would also unpickle, that is: run code that an archive holds.
    if magic[:2] != b"\0B":
        return read_ascii_mat(f)
    return read_int32vector(f) if magic[2:] == b"\4" else read_matrix_or_vector(f)


def _slices(entry: str, wanted: str, shape: tuple[int, ...]) -> tuple[slice, ...]:
    """Kaldi's range specifier: `first:last`, both counted, or `:`; rows may end up to two after the last."""
    parts = wanted[1:-1].split(",")
    found = []
    for part, size, beyond in zip(parts, shape, (TOLERANCE, 1), strict=False):
        first, colon, last = ("0", ":", str(size - 1)) if part == ":" else part.partition(":")
        if not (colon and first.isdecimal() and last.isdecimal() and int(first) <= int(last) < size - 1 + beyond):
            break
        found.append(slice(int(first), int(last) + 1))
    if len(found) < len(parts):
        what = "x".join(map(str, shape))
        raise UserError(f"{_named(entry)}: {wanted} is not a range of {what} values: expected [first:last], from 0")
    return tuple(found)


def _named(entry: str) -> str:
    key = getattr(entry, "key", "")
    return f"{key}: {entry}" if key else entry


def _unusable(entry: str, what: str) -> UserError:
    return UserError(f"{_named(entry)}: {what}: run the step that makes the archive again, with --force true")
