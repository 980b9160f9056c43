"""The page's server: what it answers, and what it refuses."""

import base64
import http.client
import io
import json
import socket
import threading
from pathlib import Path

import numpy as np
import pytest
import soundfile
from model_maker import make_enhancer, make_recogniser, program

from mimic.deploy.server import Server
from mimic.deploy.service import Service
from mimic.deploy.transcriber import Transcriber
from mimic.errors import UserError
from mimic.models.enhancer import Enhancer
from mimic.models.recogniser import Recogniser


def recording(seconds: float = 0.5, rate: int = 16000, channels: int = 1, kind: str = "WAV") -> bytes:
    file = io.BytesIO()
    x = 0.1 * np.random.default_rng(0).standard_normal((round(seconds * rate), channels))
    soundfile.write(file, x, rate, format=kind)
    return file.getvalue()


@pytest.fixture(scope="module")
def service(tmp_path_factory) -> Service:
    root = tmp_path_factory.mktemp("models")
    enhance = Enhancer.load(make_enhancer(root / "enhancer", "causal")).blocks()
    return Service(enhance, Transcriber(Recogniser.load(make_recogniser(root / "asr"))), 200_000, 2.0, ("tiny", "asr"))


@pytest.fixture
def server(service):
    with Server("127.0.0.1", 0, service) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield server
        server.shutdown()


def ask(server: Server, method: str, path: str, body: bytes | None = None, **headers: str) -> tuple[int, bytes, dict]:
    connection = http.client.HTTPConnection(*server.server_address[:2], timeout=60)
    connection.request(method, path, body, headers)
    response = connection.getresponse()
    return response.status, response.read(), dict(response.getheaders())


@pytest.mark.parametrize("kind", ["WAV", "FLAC", "MP3"])
def test_a_recording_comes_back(server, kind):
    code, body, _ = ask(server, "POST", "/listen", recording(0.7, 22050, 2, kind))
    answer = json.loads(body)
    assert code == 200, answer
    for side in ("before", "after"):
        x, rate = soundfile.read(io.BytesIO(base64.b64decode(answer[side])))
        assert rate == 22050 and x.ndim == 1 and abs(len(x) - 15435) <= (3000 if kind == "MP3" else 0)
    assert answer["seconds"] == pytest.approx(0.7, abs=0.1)
    assert all(0 <= word["start"] < word["end"] for s in answer["transcript"]["segments"] for word in s["words"])


def test_what_is_refused(server):
    for body, code, line in (
        (b"no audio at all", 422, "the recording is not readable audio"),
        (recording(0), 422, "holds no samples"),
        (recording(3), 422, "3 s are more than the 2 s"),
        (recording(1, 48000, 3), 413, "0.3 MB are more than the 0.190735 MB"),
        (b"", 422, "it is empty"),
    ):
        given, answer, _ = ask(server, "POST", "/listen", body)
        assert given == code and line in json.loads(answer)["error"] and "/tmp" not in json.loads(answer)["error"]
    assert ask(server, "POST", "/other", recording(0.1))[0] == 404
    with socket.create_connection(server.server_address[:2]) as raw:
        raw.sendall(b"POST /listen HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")
        assert b" 411 " in raw.recv(1000)


@pytest.mark.parametrize(
    "path", ["/page.html", "/../server.py", "/%2e%2e/server.py", "//etc/passwd", "/index.html/..", "/?x", "/page.css/"]
)
def test_no_paths_of_the_client(server, path):
    assert ask(server, "GET", path)[0] == 404


def test_pages_of_other_sites_are_kept_out(server):
    own = f"127.0.0.1:{server.server_address[1]}"
    for headers, code in (
        ({"Host": "evil.example"}, 403),
        ({"Host": f"evil.example:{server.server_address[1]}"}, 403),
        ({"Host": own, "Origin": "http://evil.example"}, 403),
        ({"Host": own, "Origin": "null"}, 403),
        ({"Host": own, "Origin": f"http://{own}"}, 200),
        ({"Host": "localhost"}, 200),
    ):
        assert ask(server, "POST", "/listen", recording(0.1), **headers)[0] == code, headers
        assert ask(server, "GET", "/", Host=headers["Host"])[0] == (403 if "evil" in headers["Host"] else 200)


def test_the_page_may_load_nothing_from_elsewhere(server):
    code, body, headers = ask(server, "GET", "/")
    assert code == 200 and b"<main>" in body
    assert headers["Content-Security-Policy"].startswith("default-src 'none'")
    assert headers["X-Content-Type-Options"] == "nosniff"
    for name in ("page.css", "page.js", "sound.js", "recorder.js"):
        code, body, _ = ask(server, "GET", f"/{name}")
        assert code == 200 and b"http://" not in body and b"https://" not in body


def test_too_many_at_once_are_sent_away(server, service):
    held = [service.waiting.acquire(blocking=False) for _ in range(4)]
    try:
        assert all(held) and ask(server, "POST", "/listen", recording(0.1))[0] == 503
    finally:
        for _ in held:
            service.waiting.release()
    assert ask(server, "POST", "/listen", recording(0.1))[0] == 200


def connect(server: Server, content: bytes) -> socket.socket:
    connection = socket.create_connection(server.server_address[:2], timeout=60)
    connection.sendall(content)
    return connection


@pytest.mark.parametrize("host", ["[bad", "[::1", "a]b", "127.0.0.1]:8000"])
def test_a_host_that_is_none(server, host, caplog):
    with connect(server, f"GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode()) as connection:
        assert connection.makefile("rb").readline().split()[1] in (b"400", b"403")
    assert ask(server, "GET", "/", Origin="http://[bad")[0] == 400 and "Traceback" not in caplog.text


def test_stalled_uploads_hold_nobody_up_and_are_ended(service):
    body = recording(0.1)
    head = f"POST /listen HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    with Server("127.0.0.1", 0, service, patience=3.0) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        stalled = [connect(server, part) for part in [head + body[:50]] * 6 + [b"GET / HT", b""]]
        assert ask(server, "POST", "/listen", body)[0] == 200
        for connection in stalled:  # each comes to its end
            with connection:
                assert b"200" not in connection.makefile("rb").read()
        assert ask(server, "POST", "/listen", body)[0] == 200
        server.shutdown()


def test_a_client_that_leaves_is_a_line(server, service, caplog, monkeypatch):
    gone, answered = threading.Event(), threading.Event()
    results, handle = service.results, server.handle_error

    def late(path: Path) -> dict:
        gone.wait(60)
        return results(path) | {"more": "x" * 10_000_000}  # than the system takes for a client that reads nothing

    def seen(*words: object) -> None:
        handle(*words)
        answered.set()

    monkeypatch.setattr(service, "results", late)
    monkeypatch.setattr(server, "handle_error", seen)
    body = recording(0.1)
    head = f"POST /listen HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    connect(server, head + body).close()
    gone.set()
    with caplog.at_level("INFO"):
        assert answered.wait(60)
    assert "has left before the answer" in caplog.text and "Traceback" not in caplog.text
    monkeypatch.undo()
    assert ask(server, "POST", "/listen", body)[0] == 200


def test_bad_options(tmp_path: Path, caplog, server):
    with pytest.raises(UserError, match="--enhance"):
        Service(None, None, 1, 1)
    with pytest.raises(UserError, match="Address already in use: give another --host or --port"):
        Server(*server.server_address[:2], server.service)
    assert program("serve.py") == 1 and "give an enhancer" in caplog.text
    assert program("serve.py", "--enhance", tmp_path / "absent") == 1 and "no such model directory" in caplog.text
    for words, line in (
        (("--port", "99999"), "--port: 99999 is out of its range: a whole number, from 0 to 65535"),
        (("--max-mb", "-1"), "--max-mb: -1 is out of its range"),
        (("--max-minutes", ".nan"), "--max-minutes: .nan is out of its range"),
        (("--device", "tpu"), "--device tpu: expected cpu, cuda or mps"),
        (("--device", "cuda:99"), "--device cuda:99: "),
    ):
        assert program("serve.py", *words) == 1 and line in caplog.text and "Traceback" not in caplog.text
