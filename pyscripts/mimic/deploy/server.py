"""A page for trying models by ear: a browser sends a recording and gets it back enhanced and written down.

The client names no paths: it can ask for the files of the page and send one recording at a time, of limited size,
which is kept in a temporary file until it is answered.
"""

import base64
import http.server
import io
import ipaddress
import json
import logging
import math
import socket
import sys
import tempfile
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import soundfile

from mimic.deploy import files
from mimic.deploy.captions import as_record
from mimic.deploy.transcriber import Transcriber
from mimic.errors import UserError
from mimic.frontend.voice_activity import mono
from mimic.models.blocks import BlockEnhancer

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
UPLOAD = "uploaded recording"
WAITING = 4  # recordings that wait for their turn
CLIENTS = 64  # connections at once
PATIENCE = 60.0  # seconds
SLOWEST = 1 << 17  # bytes in a second that an upload has to reach


class Service:
    """What is done with a recording. At least one of the two models is there."""

    def __init__(
        self, enhancer: BlockEnhancer | None, transcriber: Transcriber | None, max_bytes: int, max_seconds: float
    ):
        if enhancer is None and transcriber is None:
            raise UserError("give an enhancer (--enhance), a recogniser (--recognise) or both")
        self.enhancer, self.transcriber = enhancer, transcriber
        self.max_bytes, self.max_seconds = max_bytes, max_seconds
        self.turn, self.waiting = threading.Lock(), threading.Semaphore(WAITING)

    def answer(self, path: Path) -> dict[str, Any]:
        """Plain values for JSON: waveforms (mono WAV, base64) before and after, transcript of what comes after.

        Raises UserError for what is not audio, and for a recording that is too long.
        """
        reader = files.Files({UPLOAD: str(path)})
        info = reader.info(UPLOAD)
        if info.seconds > self.max_seconds:
            raise UserError(f"{info.seconds:.0f} s are more than the {self.max_seconds:.0f} s that are allowed here")
        before = np.concatenate([mono(block)[:, None] for block in reader.blocks(UPLOAD, files.BLOCK)])
        result: dict[str, Any] = {"seconds": info.seconds, "before": _wav(before, info.rate)}
        with tempfile.TemporaryDirectory() as folder, self.turn:
            if self.enhancer is not None:
                after = np.concatenate(list(self.enhancer([before], info.rate)))
                result["after"] = _wav(after, info.rate)
                reader = files.Files({UPLOAD: f"{folder}/after.wav"})
                soundfile.write(f"{folder}/after.wav", after, info.rate, "FLOAT")
            if self.transcriber is not None:
                result["transcript"] = as_record("", list(self.transcriber(reader, UPLOAD)))
        return result


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
    """One request. Answers are the files of the page, or JSON: a result, or {"error": one line}."""

    server: Server
    server_version, sys_version = "mimic", ""
    protocol_version = "HTTP/1.1"
    timeout = 60  # seconds for a client to send more, or to take the response

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
        if not self._welcome():
            return
        if self.path == "/models":
            service = self.server.service
            self._json(200, {"enhances": service.enhancer is not None, "writes": service.transcriber is not None})
            return
        if self.path not in FILES:
            self._json(404, {"error": "there is nothing here"})
            return
        name, kind = FILES[self.path]
        self._send(200, kind, (PAGE / name).read_bytes())

    def do_POST(self) -> None:
        self.close_connection = True  # what is left of a body that was refused is not the next request
        service = self.server.service
        if not self._welcome():
            return
        length = self.headers.get("Content-Length", "")
        if self.path != "/listen":
            self._json(404, {"error": "there is nothing here"})
        elif not length.isascii() or not length.isdigit():
            self._json(411, {"error": "the length of the recording is missing"})
        elif int(length) > service.max_bytes:
            limit = service.max_bytes / 2**20
            self._json(
                413, {"error": f"{int(length) / 2**20:.1f} MB are more than the {limit:g} MB that are allowed here"}
            )
        else:
            self._listen(int(length))

    def _listen(self, length: int) -> None:
        service = self.server.service
        with tempfile.NamedTemporaryFile(suffix=".audio") as spool:
            self.expect(length)
            while length:
                part = self.rfile.read1(min(length, 1 << 16))
                if not part:
                    self._json(400, {"error": "the recording has ended early"})
                    return
                spool.write(part)
                length -= len(part)
            spool.flush()
            self.server.open[self] = math.inf
            if not service.waiting.acquire(blocking=False):  # not before: who uploads slowly keeps nobody else waiting
                self._json(503, {"error": "too many recordings are waiting: try again later"})
                return
            try:
                result = service.answer(Path(spool.name))
            except UserError as error:
                self._json(422, {"error": str(error).replace(spool.name, "the recording")})
                return
            except Exception:
                log.exception("a recording could not be processed")
                self._json(500, {"error": "this recording could not be processed: the server's log has the reason"})
                return
            finally:
                service.waiting.release()
        self._json(200, result)

    def _welcome(self) -> bool:
        """Whether the request is meant for this server and comes from its own page, not from another site's."""
        host = self.headers.get("Host", "")
        origin = self.headers.get("Origin")
        try:
            name = (urlsplit(f"//{host}").hostname or "") if "/" not in host else ""
            page = host if origin is None else urlsplit(origin).netloc
        except ValueError:  # no address, such as [bad
            self._json(400, {"error": "this request names no address"})
            return False
        # A name that resolves to this machine lets another site's page in; a number or localhost does not.
        known = name == "localhost" or _is_loopback(name) or not self.server.local
        if not known or page != host:
            self._json(403, {"error": "this request is not from this page"})
            return False
        return True

    def _json(self, code: int, values: dict[str, Any]) -> None:
        self._send(code, "application/json", json.dumps(values).encode())

    def _send(self, code: int, kind: str, body: bytes) -> None:
        self.send_response(code)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Content-Security-Policy", POLICY)
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("Referrer-Policy", "no-referrer")
        self.send_header("Cache-Control", "no-store")
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, text: str, *values: Any) -> None:
        log.info("%s %s", self.client_address[0], (text % values).encode("ascii", "backslashreplace").decode())


def _is_loopback(name: str) -> bool:
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def _wav(x: np.ndarray, rate: int) -> str:
    wav = io.BytesIO()
    soundfile.write(wav, x.clip(-1, 1), rate, "PCM_16", format="WAV")
    return base64.b64encode(wav.getbuffer()).decode()
