"""A page for trying models by ear: a browser sends a recording and gets it back enhanced and written down. Programs do
the same, or use the part of OpenAI's interface that `mimic.deploy.openai_api` has.

The client names no paths: it can ask for the files of the page and send one recording at a time, of limited size,
which is kept in a temporary file until it is answered.
"""

import http.server
import ipaddress
import json
import logging
import math
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Generator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from mimic.deploy import openai_api
from mimic.deploy.service import Service
from mimic.errors import UserError

log = logging.getLogger(__name__)
PAGE = Path(__file__).parent / "page"
FILES = {
    "/": ("index.html", "text/html; charset=utf-8"),
    "/page.css": ("page.css", "text/css; charset=utf-8"),
    "/page.js": ("page.js", "text/javascript; charset=utf-8"),
    "/sound.js": ("sound.js", "text/javascript; charset=utf-8"),
    "/recorder.js": ("recorder.js", "text/javascript; charset=utf-8"),
}
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; media-src blob:; worker-src 'self'"
)
CLIENTS = 64  # connections at once
PATIENCE = 60.0  # seconds
SLOWEST = 1 << 17  # bytes in a second that an upload has to reach


class Server(http.server.ThreadingHTTPServer):
    """Serves the page on `host`, an address of this machine, and `port` (0: a free one).

    patience: seconds in which a client has to have sent a request, and more for a recording, by its size.
    """

    daemon_threads = True

    def __init__(self, host: str, port: int, service: Service, patience: float = PATIENCE):
        try:
            super().__init__((host, port), Handler)
        except (OSError, OverflowError) as error:
            reason = getattr(error, "strerror", error)
            raise UserError(f"{host}:{port}: {reason}: give another --host or --port") from None
        self.service, self.patience = service, patience
        self.open: dict[Handler, float] = {}  # when a client has to have sent what it has announced
        address = str(self.server_address[0])
        self.local = ipaddress.ip_address(address).is_loopback
        self.url = f"http://{address}:{self.server_address[1]}/"

    def verify_request(self, request: Any, client_address: Any) -> bool:
        if len(self.open) < CLIENTS:
            return True
        log.warning("%s: turned away: %d others are connected", client_address[0], CLIENTS)
        return False

    def service_actions(self) -> None:
        """Called twice a second: hang up on those who have not sent what they have announced."""
        for handler, deadline in list(self.open.items()):
            if time.monotonic() > deadline:
                with suppress(OSError):  # it may just have gone
                    handler.connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        if isinstance(sys.exc_info()[1], ConnectionError | TimeoutError):
            log.info("%s has left before the answer", client_address[0])
        else:
            log.exception("%s: a request could not be answered", client_address[0])


class Handler(http.server.BaseHTTPRequestHandler):
    """One request. It gives the files of the page, or JSON: a result, or {"error": one line}."""

    server: Server
    server_version, sys_version = "mimic", ""
    protocol_version = "HTTP/1.1"
    timeout = 60  # seconds for a client to send more, or to take the response
    streams = False  # whether events have been sent

    def setup(self) -> None:
        super().setup()
        self.expect(0)

    def handle_one_request(self) -> None:
        self.expect(0)
        super().handle_one_request()

    def finish(self) -> None:
        self.server.open.pop(self, None)
        super().finish()

    def expect(self, size: int) -> None:
        """From now on the client has a time for a request and so many bytes."""
        self.server.open[self] = time.monotonic() + self.server.patience + size / SLOWEST

    def do_GET(self) -> None:
        if not self._is_own_page():
            return
        if self.path == "/models":
            self._json(200, self.server.service.about())
            return
        if self.path == openai_api.MODELS and self.server.service.transcriber is not None:
            self._json(200, openai_api.models(self.server.service.names[1]))
            return
        if self.path not in FILES:
            self._error(404, "there is nothing here")
            return
        name, kind = FILES[self.path]
        self._send(200, kind, (PAGE / name).read_bytes())

    def do_POST(self) -> None:
        self.close_connection = True  # what is left of a body that was refused is not the next request
        service = self.server.service
        if not self._is_own_page():
            return
        length = self.headers.get("Content-Length", "")
        transcribes = self.path == openai_api.TRANSCRIPTIONS and service.transcriber is not None
        if self.path != "/listen" and not transcribes:
            self._error(404, "there is nothing here")
        elif not length.isascii() or not length.isdigit():
            self._error(411, "the length of the recording is missing")
        elif int(length) > service.max_bytes:
            limit = service.max_bytes / 2**20
            self._error(413, f"{int(length) / 2**20:.1f} MB are more than the {limit:g} MB that are allowed here")
        else:
            self._receive(int(length), self._transcription if transcribes else self._both)

    def _both(self, recording: Path) -> Generator[tuple[str, bytes]]:
        yield "application/json", json.dumps(self.server.service.results(recording)).encode()

    def _transcription(self, upload: Path) -> Generator[tuple[str, bytes]]:
        with open(upload, "rb") as body, tempfile.NamedTemporaryFile(suffix=".audio") as recording:
            request = openai_api.read(body, self.headers.get("Content-Type", ""), recording)  # type: ignore[arg-type]
            service, path = self.server.service, Path(recording.name)
            try:
                if request.stream:
                    yield from ((openai_api.EVENTS, event) for event in openai_api.events(service.segments(path)))
                else:
                    yield openai_api.response(request, *service.transcript(path))
            except UserError as error:
                raise UserError(str(error).replace(recording.name, "the recording")) from None

    def _receive(self, length: int, process: Callable[[Path], Generator[tuple[str, bytes]]]) -> None:
        """Take an upload of `length` bytes; the response is what `process` makes of it: its type and its body, or
        events, which are sent as they come.
        """
        service = self.server.service
        with tempfile.NamedTemporaryFile(suffix=".audio") as spool:
            self.expect(length)
            while length:
                part = self.rfile.read1(min(length, 1 << 16))
                if not part:
                    self._error(400, "the recording has ended early")
                    return
                spool.write(part)
                length -= len(part)
            spool.flush()
            self.server.open[self] = math.inf
            if not service.waiting.acquire(blocking=False):  # not before: who uploads slowly keeps nobody else waiting
                self._error(503, "too many recordings are waiting: try again later")
                return
            whole = None
            try:
                with closing(process(Path(spool.name))) as parts:
                    for kind, body in parts:
                        if kind == openai_api.EVENTS:
                            self._event(body)
                        else:
                            whole = kind, body
            except (ConnectionError, TimeoutError):  # the client's
                raise
            except UserError as error:
                self._error(422, str(error).replace(spool.name, "the recording"))
                return
            except Exception:
                log.exception("a recording could not be processed")
                self._error(500, "this recording could not be processed: the server's log has the reason")
                return
            finally:
                service.waiting.release()
        if whole:
            self._send(200, *whole)

    def _is_own_page(self) -> bool:
        """Whether the request is meant for this server and comes from its own page, not from another site's."""
        host = self.headers.get("Host", "")
        origin = self.headers.get("Origin")
        try:
            name = (urlsplit(f"//{host}").hostname or "") if "/" not in host else ""
            page = host if origin is None else urlsplit(origin).netloc
        except ValueError:  # no address, such as [bad
            self._error(400, "this request names no address")
            return False
        # A name that resolves to this machine lets another site's page in; a number or localhost does not.
        known = name == "localhost" or _is_loopback(name) or not self.server.local
        if not known or page != host:
            self._error(403, "this request is not from this page")
            return False
        return True

    def _error(self, code: int, line: str) -> None:
        values = openai_api.error(code, line) if self.path.startswith("/v1/") else {"error": line}
        if self.streams:  # its status is sent
            self._event(openai_api.event(values))
        else:
            self._json(code, values)

    def _event(self, event: bytes) -> None:
        if not self.streams:
            self._head(200, openai_api.EVENTS)
        self.streams = True
        self.wfile.write(event)

    def _json(self, code: int, values: dict[str, Any]) -> None:
        self._send(code, "application/json", json.dumps(values).encode())

    def _send(self, code: int, kind: str, body: bytes) -> None:
        self._head(code, kind, len(body))
        self.wfile.write(body)

    def _head(self, code: int, kind: str, length: int | None = None) -> None:
        """length: of the body; None: it ends with the connection."""
        self.send_response(code)
        self.send_header("Content-Type", kind)
        if length is not None:
            self.send_header("Content-Length", str(length))
        self.send_header("Content-Security-Policy", POLICY)
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("Referrer-Policy", "no-referrer")
        self.send_header("Cache-Control", "no-store")
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()

    def log_message(self, text: str, *values: Any) -> None:
        log.info("%s %s", self.client_address[0], (text % values).encode("ascii", "backslashreplace").decode())


def _is_loopback(name: str) -> bool:
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False
