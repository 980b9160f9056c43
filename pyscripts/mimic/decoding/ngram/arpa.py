"""Reading and writing of ARPA files."""

import gzip
import math
import re
import unicodedata
from array import array
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, NamedTuple

import numpy as np

from mimic.decoding.ngram.kneser_ney import Grams
from mimic.errors import UserError
from mimic.io.atomic import replace
from mimic.io.lines import MARK, fields, gzipped, read_lines
from mimic.io.text import composed

LOG10 = math.log(10)
LINES = 1 << 18  # n-grams that are made into text at once
_COUNT = re.compile(r"ngram\s+(\d+)\s*=\s*(\d+)", re.ASCII)


class Order(NamedTuple):
    """The n-grams of one order as they are read; natural logarithms."""

    words: array  # n ids for each
    log_probs: array
    backoff: array


def ngrams(path: Path) -> Iterator[tuple[int, list[str], float, float]]:
    """The n-grams of an ARPA file, plain or gzipped: line, words in composed letters, log10 probability and backoff.

    Raises UserError with the line where sections are missing or do not hold what the header counts, where <s> or </s>
    is missing, and for a line without an n-gram; a probability above 1 is none.
    """
    counts: dict[int, int] = {}
    number, n, found, marks = 0, -1, 0, {"<s>", "</s>"}  # n: order of the section; -1 before the header, 0 in it
    for number, line in read_lines(path, "ARPA file"):
        if line.startswith("\\"):
            if n < 0:
                n = 0 if line.strip() == "\\data\\" else -1
                continue
            if n:
                _check_section(f"{path}:{number}: \\{n}-grams:", found, counts[n], marks)
            n, found = n + 1, 0
            if line.strip() != _heading(n, counts):
                break
            if n > len(counts):
                return
        elif n > 0:
            parts = fields(line if line.isascii() else composed(line))
            if parts:
                prob, backoff = _numbers(f"{path}:{number}", parts, n)
                found += 1
                if n == 1:
                    marks.discard(parts[1])
                yield number, parts[1 : n + 1], prob, backoff
        elif n == 0 and (match := _COUNT.fullmatch(line.strip())):
            counts[int(match[1])] = int(match[2])
    raise UserError(
        f"{path}:{number}: not a complete ARPA file: \\data\\, ngram counts, \\1-grams: or \\end\\ is missing"
    )


def _heading(n: int, counts: dict[int, int]) -> str:
    """What has to follow sections 1 to n - 1."""
    if not counts or sorted(counts) != list(range(1, len(counts) + 1)):
        return ""
    return "\\end\\" if n > len(counts) else f"\\{n}-grams:"


def _check_section(where: str, found: int, counted: int, missing: set[str]) -> None:
    if found != counted:
        raise UserError(f"{where} has {found} n-grams, the header says {counted}: copy or make the file again")
    if missing:
        raise UserError(f"{where} lacks {' and '.join(sorted(missing))}: make the model with both sentence ends")


def _numbers(where: str, parts: list[str], n: int) -> tuple[float, float]:
    """log10 probability and backoff of a line of n words."""
    try:
        prob, backoff = float(parts[0]), float(parts[n + 1]) if len(parts) > n + 1 else 0.0
    except ValueError:
        prob = backoff = math.nan
    if not n + 1 <= len(parts) <= n + 2 or math.isnan(prob) or math.isnan(backoff) or backoff == math.inf:
        raise UserError(f"{where}: expected `log10-probability {n} words [backoff]`")
    if prob > 0:
        raise UserError(f"{where}: log10-probability {parts[0]}: expected 0 or less, the logarithm of a probability")
    return prob, backoff


def read_alike(path: Path) -> bool:
    """Whether other programs read a file as we do: not gzipped, no marks, Windows line ends or decomposed letters."""
    if gzipped(path):
        return False
    with open(path, "rb") as f:
        for raw in f:
            if raw.endswith(b"\r\n") or not raw.isascii():
                line = raw.decode(errors="replace")
                if line.endswith("\r\n") or MARK in line or not unicodedata.is_normalized("NFC", line):
                    return False
    return True


def read(path: Path, ids: dict[str, int]) -> list[Order]:
    """The n-grams of every order; the words of the first one are numbered in `ids`."""
    orders: list[Order] = []
    for number, words, prob, backoff in ngrams(path):
        if len(words) > len(orders):
            orders.append(Order(array("i"), array("d"), array("d")))
        if len(orders) == 1:
            if words[0] in ids:
                raise UserError(f"{path}:{number}: {words[0]!r} is listed twice")
            ids[words[0]] = len(ids)
        try:
            orders[-1].words.extend([ids[word] for word in words])
        except KeyError as error:
            raise UserError(f"{path}:{number}: {error.args[0]!r} is not among the \\1-grams:") from None
        orders[-1].log_probs.append(prob * LOG10)
        orders[-1].backoff.append(backoff * LOG10)
    return orders


def write(path: Path, levels: Sequence[Grams], words: Sequence[str]) -> None:
    """Write a model, gzipped where the name ends in .gz, the same bytes for the same model."""
    with replace(path, "wb") as f:
        if path.suffix == ".gz":
            with gzip.GzipFile("", "wb", 6, f, mtime=0) as packed:
                _print(packed, levels, words)
        else:
            _print(f, levels, words)


def _print(f: IO[bytes] | gzip.GzipFile, levels: Sequence[Grams], words: Sequence[str]) -> None:
    names = np.array(words, dtype=object)
    counts = "".join(f"ngram {n}={level.kept.sum()}\n" for n, level in enumerate(levels, 1))
    f.write(f"\\data\\\n{counts}".encode())
    for n, level in enumerate(levels, 1):
        f.write(f"\n\\{n}-grams:\n".encode())
        kept = np.flatnonzero(level.kept)
        for first in range(0, len(kept), LINES):
            part = kept[first : first + LINES]
            grams = map(" ".join, names[level.rows[part]].tolist())
            probs, backoff = level.prob[part].tolist(), level.backoff[part].tolist()
            if n < len(levels):
                lines = [f"{p:.7f}\t{g}\t{b:.7f}\n" for p, g, b in zip(probs, grams, backoff, strict=True)]
            else:
                lines = [f"{p:.7f}\t{g}\n" for p, g in zip(probs, grams, strict=True)]
            f.write("".join(lines).encode())
    f.write(b"\n\\end\\\n")
