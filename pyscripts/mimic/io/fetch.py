"""One file over HTTP: goes on where it was cut off, tries again, and is taken only when its content is right."""

import http.client
import logging
import os
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from pathlib import Path

from mimic.io.atomic import named
from mimic.progress import progress

log = logging.getLogger(__name__)
BLOCK = 1 << 20
STALLED_S = 60  # without a byte for so long, the connection counts as lost
FAULTS = (urllib.error.URLError, http.client.HTTPException, ssl.SSLError, ConnectionError, TimeoutError)


class NotFetched(Exception):
    """Why a file could not be had, in a few words."""


def fetch(
    urls: Sequence[str], target: Path, size: int | None, problem: Callable[[Path], str], tries: int, pause: float
) -> None:
    """Fetch `target` from the first of `urls` that gives it; `problem` says what is wrong with a whole file, or "".

    What has come stays in `target`.part, also after a kill, and the next call goes on from there. Every URL is tried
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
