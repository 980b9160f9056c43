"""A server of files on this machine, which can also do what real ones do at times."""

import hashlib
import http.server
import io
import re
import tarfile
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path


def write_tar(path: Path, members: Mapping[str, bytes]) -> None:
    """A .tar.gz or .tar.bz2 of files by name."""
    with tarfile.open(path, f"w:{path.suffix[1:]}") as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))


class Server(http.server.ThreadingHTTPServer):
    """Gives the files of a folder, in parts too; `faults[name]` are what goes wrong with the next requests."""

    def __init__(self, folder: Path) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.folder = folder
        self.faults: dict[str, list[str]] = defaultdict(list)
        self.requests: list[tuple[str, str]] = []
        self.url = f"http://127.0.0.1:{self.server_address[1]}"


class Handler(http.server.BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        name, wanted = self.path[1:], self.headers.get("Range", "")
        self.server.requests.append((name, wanted))
        fault = self.server.faults[name].pop(0) if self.server.faults[name] else ""
        file = self.server.folder / name
        if fault.isdigit() or not file.exists():
            self.send_error(int(fault or 404))
            return
        content = b"<!DOCTYPE html><html>Please log in</html>" if fault == "page" else file.read_bytes()
        first = int(re.fullmatch(r"bytes=(\d+)-", wanted)[1]) if wanted and fault != "whole" else 0
        if wanted and first >= len(content):
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{len(content)}")
            self.end_headers()
            return
        self.send_response(206 if first else 200)
        if first:
            self.send_header("Content-Range", f"bytes {first}-{len(content) - 1}/{len(content)}")
        body = bytearray(content[first:])
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if fault == "flip":
            body[len(body) // 2] ^= 0xFF
        self.wfile.write(body[: len(body) // 2] if fault == "cut" else body)

    def log_message(self, *_) -> None:
        pass


def write_listing(path: Path, folder: Path, names: Iterable[str], known: Iterable[str] = (), url: str = "") -> Path:
    """A list of files as local/*/files.tsv, with sizes and sums of the `known` ones only."""
    lines = ["# a list\n"]
    for name in names:
        raw = (folder / name).read_bytes()
        facts = [str(len(raw)), hashlib.md5(raw).hexdigest()] if name in known else ["-", "-"]
        lines.append("\t".join([name, *facts, f"{url}/{name}"]) + "\n")
    path.write_text("".join(lines))
    return path
