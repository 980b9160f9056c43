"""CSV and TSV: a header with names that are in use, or the columns id, wav, text, start, end, speaker in this order."""

import csv
from collections.abc import Iterator
from pathlib import Path

from mimic.corpus.formats.columns import NAMES, assign, log_names, utterance
from mimic.corpus.formats.utterance import Reading, Utterance
from mimic.errors import UserError
from mimic.io.lines import read_lines

ORDER = ("id", "wav", "text", "start", "end", "speaker")  # without a header
KNOWN = {name for names in NAMES.values() for name in names}
Row = tuple[str, list[str]]


def read_delimited(source: Path, options: Reading) -> Iterator[Utterance]:
    """The rows of a table. Cells of CSV may be quoted, also around line breaks; those of TSV are taken as they are."""
    rows = _rows(source)
    where, header = next(rows, ("", []))
    if not header:
        raise UserError(f"{source}: empty: there is nothing to import")
    named = len(KNOWN & {name.strip().lower() for name in header}) >= 2 or bool(options.columns)
    if not named and not 2 <= len(header) <= len(ORDER):
        raise UserError(f"{where}: a header with names (id, wav, text, ...) is missing: add it as the first line")
    names = [name.strip() for name in header] if named else list(ORDER[: len(header)])
    if len(set(names)) < len(names):
        raise UserError(f"{where}: two columns have the same name: rename one")
    columns = assign(names, options.columns, where)
    log_names(str(source), columns)
    if not named:
        yield utterance(where, dict(zip(names, header, strict=True)), columns)
    for where, row in rows:
        if len(row) != len(names):
            raise UserError(f"{where}: {len(row)} cells, expected {len(names)} ({' '.join(names)}): correct the line")
        yield utterance(where, dict(zip(names, row, strict=True)), columns)


def separator(line: str) -> str:
    """What parts the cells of a header or first line; "" where nothing does."""
    found = [mark for mark in "\t,;|" if mark in line]
    return max(found, key=lambda mark: (mark == "\t", line.count(mark)), default="")


def _rows(source: Path) -> Iterator[Row]:
    lines = ((number, f"{line}\n") for number, line in read_lines(source))
    first = next(lines, None)
    if first is None:
        return
    mark = separator(first[1])
    at = first[0]

    def feed() -> Iterator[str]:
        nonlocal at
        yield first[1]
        for number, line in lines:
            at = number
            yield line

    if mark == "\t":
        reader = csv.reader(feed(), delimiter=mark, quoting=csv.QUOTE_NONE)
    else:
        reader = csv.reader(feed(), delimiter=mark or ",", strict=True)
    begin = 1
    try:
        for row in reader:
            if row:
                yield f"{source}:{begin}", row
            begin = at + 1
    except csv.Error as error:
        raise UserError(f"{source}:{begin}: {error}: correct the quotes of this line") from None
