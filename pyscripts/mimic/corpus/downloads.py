"""Bring the files of a list into a directory over HTTP, and check them.

What is there and right is not fetched again; a download resumes where it was cut off.
"""

import gzip
import hashlib
import http.client
import logging
import os
import ssl
import time
import urllib.error
import urllib.request
import zipfile
import zlib
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from mimic.corpus.lexicon import read_lexicon
from mimic.errors import UserError
from mimic.io.atomic import named, replace
from mimic.io.lines import read_lines
from mimic.progress import progress

log = logging.getLogger(__name__)
RECORD = "checksums.tsv"
BLOCK = 1 << 20
STALLED_S = 60  # without a byte for so long, the connection counts as lost
FAULTS = (urllib.error.URLError, http.client.HTTPException, ssl.SSLError, ConnectionError, TimeoutError)


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


def fetch_all(
    source: Source, folder: Path, unpacked: Callable[[str], bool], advice: str, only: Collection[str] = ()
) -> None:
    """Fetch every file of the list, or those named in `only`, less those whose content is there `unpacked`.

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
        reason = "" if not path.exists() else mismatch(path, item, record.get(item.name))
        if path.exists() and not reason:
            log.info("%s is there: skipping", path)
        else:
            log.info("fetching %s%s", path, f" again: {reason}" if reason else "")
            urls = [f"{source.base_url.rstrip('/')}/{item.name}"] if source.base_url else item.urls
            try:
                fetch(urls, path, item.size, partial(mismatch, item=item, before=None), source.tries, source.pause)
            except NotFetched as error:
                raise UserError(f"{item.name} cannot be fetched ({error}); no network here? Then {advice}") from None
        seen = inspect(path, record.get(item.name), item.md5)
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


def mismatch(path: Path, item: Item, before: Seen | None) -> str:
    """Say what is wrong with a whole file, or give "". Without a known md5, its content has to make sense.

    A file that is as it was `before` is not read again.
    """
    with open(path, "rb") as f:
        if f.read(64).lstrip().startswith(b"<"):
            return "it is a web page"
    if item.size not in (None, path.stat().st_size):
        return f"it has {path.stat().st_size} bytes, not {item.size}"
    md5 = inspect(path, before).md5 if item.md5 or before else ""
    if expected := item.md5 or (before and before.md5):
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


def inspect(path: Path, before: Seen | None, md5: str | None = None) -> Seen:
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


class NotFetched(Exception):
    """Why a file could not be had, in a few words."""


def fetch(
    urls: Sequence[str], target: Path, size: int | None, problem: Callable[[Path], str], tries: int, pause: float
) -> None:
    """Fetch `target` from the first of `urls` that gives it; `problem` says what is wrong with a whole file, or "".

    What has come stays in `target`.part, also after a kill, and the next call resumes there. Every URL is tried
    `tries` times in a row, with `pause` seconds before the second round, doubled before each further one; a transfer
    that brought something counts as a success. Content that is wrong in the same way twice will not get better.
    Raises NotFetched, and OSError where the file cannot be written.
    """
    part = target.with_name(f"{target.name}.part")
    if size is not None and part.exists() and part.stat().st_size > size:
        part.unlink()
    failed, bad = 0, ""
    while True:
        final = True  # until something happens that may be different next time
        for url in urls:
            before = _size(part)
            try:
                if size is None or before < size:
                    _transfer(url, part)
                reason = problem(part)
                if not reason:
                    os.replace(part, target)
                    return
                part.unlink()
                if reason == bad:
                    raise NotFetched(f"{url}: {reason}")
                bad, final = reason, False
            except urllib.error.HTTPError as error:
                reason = f"HTTP {error.code} {error.reason}"
                final = final and 400 <= error.code < 500 and error.code not in (408, 429)
            except FAULTS as error:
                reason = str(getattr(error, "reason", error) or type(error).__name__)
                final = False
                failed = 0 if _size(part) > before else failed  # a server that hangs up now and then is not dead
            reason = f"{url}: {reason}"
            log.warning("%s", reason)
        failed += 1
        if final or failed >= tries:
            raise NotFetched(reason)
        time.sleep(pause * 2 ** (failed - 1))


def _transfer(url: str, part: Path) -> None:
    """Append to `part` what it lacks; ConnectionError when the connection ends early."""
    have = _size(part)
    request = urllib.request.Request(url, headers={"User-Agent": "mimic", "Accept-Encoding": "identity"})
    if have:
        request.add_header("Range", f"bytes={have}-")
    try:
        response = urllib.request.urlopen(request, timeout=STALLED_S)
    except urllib.error.HTTPError as error:
        if error.code != 416:
            raise
        if error.headers.get("Content-Range") != f"bytes */{have}":  # else it was whole before the file was checked
            part.unlink(missing_ok=True)
            raise ConnectionError(f"the file ends before byte {have}: starting over") from None
        return
    with response:
        if have and response.headers.get("Content-Range", "").split("-")[0] != f"bytes {have}":
            log.info("%s: the server starts at the beginning", url)
            have = 0
        length = response.headers.get("Content-Length")
        blocks = iter(lambda: response.read(BLOCK), b"")
        total = -(-int(length or 0) // BLOCK)
        came = 0
        with open(part, "ab" if have else "wb") as f:
            for block in progress(blocks, total, f"MiB of {part.stem}") if length else blocks:
                came += len(block)
                try:
                    f.write(block)
                except OSError as error:
                    raise named(error, part) from None
    if length and came < int(length):
        raise ConnectionError(f"the connection ended after {have + came} of {have + int(length)} bytes")


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
