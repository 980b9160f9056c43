"""Bring the files of a list into a directory and check them: those that are there and right are not fetched again."""

import gzip
import hashlib
import logging
import zipfile
import zlib
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path

from mimic.corpus.lexicon import read_lexicon
from mimic.errors import UserError
from mimic.io.atomic import replace
from mimic.io.fetch import NotFetched, fetch
from mimic.io.lines import read_lines

log = logging.getLogger(__name__)
RECORD = "checksums.tsv"


@dataclass(frozen=True)
class Item:
    """A file of the list; size in bytes and md5 are None where they are not known."""

    name: str
    size: int | None
    md5: str | None
    urls: list[str]


@dataclass(frozen=True)
class Seen:
    """What a file was when it was checked last: bytes, modification time in ns, md5."""

    size: int
    mtime: int
    md5: str


@dataclass(frozen=True)
class Source:
    """A list, and how to fetch: from `base_url`/NAME where it is given, with so many tries and pauses in seconds."""

    files: Path
    base_url: str = ""
    tries: int = 5
    pause: float = 2.0


def bring(
    source: Source, folder: Path, unpacked: Callable[[str], bool], advice: str, only: Collection[str] = ()
) -> None:
    """Bring every file of the list, or those named in `only`, less those whose content is there `unpacked`.

    <folder>/checksums.tsv keeps what came, and the next run compares. Raises UserError for a file that cannot be had,
    with `advice` on what to do without a network.
    """
    items = read_items(source.files)
    if unknown := sorted(set(only) - {item.name for item in items}):
        raise UserError(f"{source.files} has no {unknown[0]}: it has {' '.join(item.name for item in items)}")
    record = read_record(folder / RECORD)
    for item in items:
        path = folder / item.name
        if only and item.name not in only:
            continue
        if unpacked(item.name):
            log.info("%s is there, unpacked: skipping", path)
            continue
        reason = "" if not path.exists() else wrong(path, item, record.get(item.name))
        if path.exists() and not reason:
            log.info("%s is there: skipping", path)
        else:
            log.info("fetching %s%s", path, f" again: {reason}" if reason else "")
            urls = [f"{source.base_url.rstrip('/')}/{item.name}"] if source.base_url else item.urls
            try:
                fetch(urls, path, item.size, lambda p, item=item: wrong(p, item, None), source.tries, source.pause)
            except NotFetched as error:
                raise UserError(f"{item.name} cannot be fetched ({error}); no network here? Then {advice}") from None
        seen = see(path, record.get(item.name), item.md5)
        if seen != record.get(item.name):
            record[item.name] = seen
            write_record(folder / RECORD, record)


def read_items(path: Path) -> list[Item]:
    """Read the list: tab-separated name, bytes, md5 and URLs, "-" for what is not known."""
    items = []
    for number, line in read_lines(path):
        name, *fields = line.split("\t")
        if line.startswith("#"):
            continue
        if len(fields) < 3 or not (fields[0] == "-" or fields[0].isdigit()):
            raise UserError(f"{path}:{number}: expected name, bytes, md5 and URLs with tabs between")
        size, md5, *urls = fields
        items.append(Item(name, None if size == "-" else int(size), None if md5 == "-" else md5, urls))
    return items


def wrong(path: Path, item: Item, before: Seen | None) -> str:
    """Say what is wrong with a whole file, or give "". Without a known md5, its content has to make sense.

    A file that is as it was `before` is not read again.
    """
    with open(path, "rb") as f:
        if f.read(64).lstrip().startswith(b"<"):
            return "it is a web page"
    if item.size not in (None, path.stat().st_size):
        return f"it has {path.stat().st_size} bytes, not {item.size}"
    md5 = see(path, before).md5 if item.md5 or before else ""
    if expected := item.md5 or before and before.md5:
        return "" if md5 == expected else f"its md5 is {md5}, not {expected}"
    try:
        if item.name.endswith(".zip"):
            with zipfile.ZipFile(path) as archive:
                bad = archive.testzip()
            return f"{bad} in it is damaged" if bad else ""
        if item.name.endswith(".gz"):
            with gzip.open(path) as f:
                while f.read(1 << 20):
                    pass
        else:
            read_lexicon(path)
    except (UserError, zipfile.BadZipFile, zlib.error, gzip.BadGzipFile, EOFError, NotImplementedError) as error:
        return f"it is damaged ({error})"
    return ""


def see(path: Path, before: Seen | None, md5: str | None = None) -> Seen:
    """What the file is now; it is read only where size or time differ from `before` and its md5 is not known."""
    stat = path.stat()
    if md5:
        return Seen(stat.st_size, stat.st_mtime_ns, md5)
    if before and (before.size, before.mtime) == (stat.st_size, stat.st_mtime_ns):
        return before
    digest = hashlib.md5(usedforsecurity=False)
    with open(path, "rb") as f:
        while block := f.read(1 << 20):
            digest.update(block)
    return Seen(stat.st_size, stat.st_mtime_ns, digest.hexdigest())


def read_record(path: Path) -> dict[str, Seen]:
    lines = path.read_text(encoding="utf-8").splitlines()[1:] if path.exists() else []
    return {name: Seen(int(size), int(mtime), md5) for name, size, mtime, md5 in (line.split("\t") for line in lines)}


def write_record(path: Path, record: dict[str, Seen]) -> None:
    try:
        with replace(path) as f:
            f.write("# name, bytes, modification time in ns and md5 of what is here: the next run compares\n")
            f.writelines(f"{name}\t{s.size}\t{s.mtime}\t{s.md5}\n" for name, s in sorted(record.items()))
    except OSError as error:  # somebody else's copy of the corpus, which cannot be written to
        log.warning("%s cannot be written (%s): the next run reads all files again", path, error.strerror)
