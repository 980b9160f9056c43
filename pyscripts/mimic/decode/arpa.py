"""Reading and writing of ARPA files."""

import gzip
import math
from array import array
from collections.abc import Sequence
from pathlib import Path
from typing import IO, NamedTuple

import numpy as np

from mimic.atomic import replace
from mimic.data.gz import open_text
from mimic.decode.kneser_ney import Grams
from mimic.errors import UserError

LOG10 = math.log(10)
LINES = 1 << 18  # n-grams that are made into text at once


class Order(NamedTuple):
    """The n-grams of one order as they are read; natural logarithms."""

    words: array  # n ids for each
    log_probs: array
    backoff: array


def read(path: Path, ids: dict[str, int]) -> list[Order]:
    """The n-grams of every order; the words of the first one are numbered in `ids`."""
    try:
        with open_text(path) as f:
            return _parse(f, path, ids)
    except FileNotFoundError:
        raise UserError(f"{path}: no such ARPA file") from None
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not UTF-8 at byte {error.start}: is it an ARPA file?") from None


def _parse(lines: IO[str], path: Path, ids: dict[str, int]) -> list[Order]:
    orders: list[Order] = []
    number, header, ended = 0, False, False
    for number, line in enumerate(lines, 1):
        fields = line.split()
        if not fields:
            continue
        if fields[0] == "\\data\\":
            header = True
        elif fields[0] == "\\end\\":
            ended = True
            break
        elif header and line.startswith(f"\\{len(orders) + 1}-grams:"):
            orders.append(Order(array("i"), array("d"), array("d")))
        elif orders:
            n = len(orders)
            if n == 1 and len(fields) > 1:
                if fields[1] in ids:
                    raise UserError(f"{path}:{number}: {fields[1]!r} is listed twice")
                ids[fields[1]] = len(ids)
            try:
                log_prob, *backoff = float(fields[0]), *map(float, fields[n + 1 :])
                words = [ids[word] for word in fields[1 : n + 1]]
                if len(words) < n or len(backoff) > 1:
                    raise ValueError
            except ValueError:
                raise UserError(f"{path}:{number}: expected `log10-probability {n} words [backoff]`") from None
            except KeyError as error:
                raise UserError(f"{path}:{number}: {error.args[0]!r} is not among the \\1-grams:") from None
            orders[-1].words.extend(words)
            orders[-1].log_probs.append(log_prob * LOG10)
            orders[-1].backoff.append(backoff[0] * LOG10 if backoff else 0.0)
    if not ids or not ended:
        raise UserError(f"{path}:{number}: not a complete ARPA file: \\data\\, \\1-grams: or \\end\\ is missing")
    return orders


def write(path: Path, levels: Sequence[Grams], words: Sequence[str]) -> None:
    """Write a model, gzipped where the name ends in .gz, the same bytes for the same model."""
    with replace(path, "wb") as f:
        if path.suffix == ".gz":
            with gzip.GzipFile("", "wb", 6, f, mtime=0) as packed:
                _print(packed, levels, words)
        else:
            _print(f, levels, words)


def _print(f: IO[bytes], levels: Sequence[Grams], words: Sequence[str]) -> None:
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
