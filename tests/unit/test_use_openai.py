"""The interface that clients of OpenAI's transcription use: what such a client gets, and what is refused."""

import http.client
import json
import shutil
import subprocess
import threading

import pytest
from peers import run_peer
from test_use_serve import ask, recording, server, service  # noqa: F401  # fixtures

from mimic.decoding.ctc.times import Word
from mimic.deploy.openai_api import form_boundary, form_fields
from mimic.errors import UserError
from mimic.models.recogniser import Segment

PATH = "/v1/audio/transcriptions"
CLIENT = """
import io, json, sys, openai
client = openai.OpenAI(base_url=sys.argv[1] + "v1", api_key="none", max_retries=0)
sound = open(sys.argv[2], "rb").read()
make = client.audio.transcriptions.create
found = {"models": [model.id for model in client.models.list()]}
found["json"] = make(model="whisper-1", file=("a.wav", sound)).text
for kind in ("text", "srt", "vtt"):
    found[kind] = make(model="whisper-1", file=("a.wav", io.BytesIO(sound)), response_format=kind)
options = {"response_format": "verbose_json", "timestamp_granularities": ["word"]}
verbose = make(model="x", file=open(sys.argv[2], "rb"), **options)
found["verbose"] = [verbose.text, verbose.duration, len(verbose.segments), [word.word for word in verbose.words]]
found["events"] = [event.to_dict() for event in make(model="x", file=("a.wav", sound), stream=True)]
try:
    list(make(model="whisper-1", file=("a.wav", b"no audio at all"), stream=True))
except openai.UnprocessableEntityError as error:
    found["error"] = error.body["message"]
print(json.dumps(found))
"""


def upload(body: bytes, **fields: str) -> dict:
    """Words of `ask` for a form."""
    parts = [f'--b\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{text}\r\n' for name, text in fields.items()]
    head = '--b\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\nContent-Type: audio/wav\r\n\r\n'
    form = "".join(parts).encode() + head.encode() + body + b"\r\n--b--\r\n"
    return {"body": form, "Content-Type": "multipart/form-data; boundary=b"}


def test_all_formats(server):  # noqa: F811
    transcript = json.loads(ask(server, "POST", "/listen", recording())[1])["transcript"]
    given = {}
    for kind in ("json", "text", "srt", "vtt"):
        code, body, headers = ask(server, "POST", PATH, **upload(recording(), response_format=kind, model="whisper-1"))
        assert code == 200 and headers["Content-Type"] == (
            "application/json" if kind == "json" else "text/plain; charset=utf-8"
        )
        given[kind] = body.decode()
    assert json.loads(given["json"]) == {"text": transcript["text"]} and given["text"].strip() == transcript["text"]
    assert given["vtt"].startswith("WEBVTT") and "-->" in given["vtt"] and given["srt"].startswith("1\n00:00:0")
    words = {"timestamp_granularities[]": "word"}
    body = ask(server, "POST", PATH, **upload(recording(), response_format="verbose_json", language="de", **words))[1]
    verbose = json.loads(body)
    assert verbose["duration"] == 0.5 and verbose["language"] == "de" and verbose["text"] == transcript["text"]
    assert [w["word"] for w in verbose["words"]] == [w["word"] for s in transcript["segments"] for w in s["words"]]
    assert all(segment["avg_logprob"] <= 0 for segment in verbose["segments"])
    assert json.loads(ask(server, "GET", "/v1/models")[1])["data"][0]["id"] == "asr"
    about = json.loads(ask(server, "GET", "/models")[1])
    assert (about["enhancer"], about["recogniser"], about["writes"]) == ("tiny", "asr", True)


def events_of(body: bytes) -> list[dict]:
    parts = body.decode().split("\n\n")
    assert parts.pop() == "" and all(part.startswith("data: {") and "\n" not in part for part in parts)
    return [json.loads(part.removeprefix("data: ")) for part in parts]


@pytest.mark.parametrize("kind", ["json", "text"])
def test_events(server, service, monkeypatch, kind):  # noqa: F811
    monkeypatch.setattr(service.transcriber, "longest", 1.0)  # so that there are several segments
    sound = recording(1.9)
    transcript = json.loads(ask(server, "POST", "/listen", sound)[1])["transcript"]
    code, body, headers = ask(server, "POST", PATH, **upload(sound, stream="true", response_format=kind))
    assert code == 200 and headers["Content-Type"] == "text/event-stream" and "Content-Length" not in headers
    *deltas, done = events_of(body)
    assert {event["type"] for event in deltas} == {"transcript.text.delta"} and len(deltas) > 1
    assert "".join(event["delta"] for event in deltas) == transcript["text"] == done["text"]
    assert done["type"] == "transcript.text.done"
    code, body, _ = ask(server, "POST", PATH, **upload(sound, stream="false"))
    assert json.loads(body) == {"text": transcript["text"]}


def test_an_event_comes_when_its_segment_is_recognised(server, service, monkeypatch, caplog):  # noqa: F811
    """And an error after it is the last one."""
    read = threading.Event()

    def recognise(*_):
        yield Segment(0.0, 0.1, [Word("AB", 0.0, 0.1, 0.9)])
        assert read.wait(60)
        raise RuntimeError("it broke")

    monkeypatch.setattr(service, "transcriber", recognise)
    connection, words = (
        http.client.HTTPConnection(*server.server_address[:2], timeout=60),
        upload(recording(0.1), stream="true"),
    )
    connection.request("POST", PATH, words.pop("body"), words)
    response = connection.getresponse()
    assert json.loads(response.readline().removeprefix(b"data: ")) == {"type": "transcript.text.delta", "delta": "AB"}
    read.set()
    (error,) = events_of(response.read().removeprefix(b"\n"))
    assert error["error"]["type"] == "server_error" and "the server's log has the reason" in error["error"]["message"]
    monkeypatch.undo()
    assert "it broke" in caplog.text and ask(server, "POST", PATH, **upload(recording(0.1)))[0] == 200


def test_a_client_that_leaves_a_stream_lets_the_next_one_in(server, service, monkeypatch, caplog):  # noqa: F811
    left, ended = threading.Event(), threading.Event()

    def recognise(*_):
        try:
            assert left.wait(60)
            for _ in range(100_000):
                yield Segment(0.0, 0.1, [Word("AB" * 100, 0.0, 0.1, 0.9)])
        finally:
            ended.set()

    monkeypatch.setattr(service, "transcriber", recognise)
    connection, words = (
        http.client.HTTPConnection(*server.server_address[:2], timeout=60),
        upload(recording(0.1), stream="true"),
    )
    connection.request("POST", PATH, words.pop("body"), words)
    connection.close()
    left.set()
    assert ended.wait(60)
    monkeypatch.undo()
    assert ask(server, "POST", PATH, **upload(recording(0.1)))[0] == 200 and "Traceback" not in caplog.text


def test_what_is_refused(server):  # noqa: F811
    for words, code, line in (
        (upload(recording(0.1), response_format="diarized_json"), 422, "expected one of json, text"),
        (upload(recording(0.1), stream="yes"), 422, "stream: yes: expected true or false"),
        (upload(recording(0.1), stream="true", response_format="srt"), 422, "response_format is json or text then"),
        (upload(b"no audio at all", stream="true"), 422, "the recording is not readable audio"),
        (upload(b"no audio at all"), 422, "the recording is not readable audio"),
        ({"body": b"x", "Content-Type": "application/json"}, 422, "expected multipart/form-data"),
        (upload(b"") | {"body": b"--b\r\n\r\n"}, 422, "the form has no end"),
        (upload(b"") | {"body": b"--b--\r\n"}, 422, "file: the form has no recording"),
        (upload(b"") | {"body": b""}, 422, "the form is empty"),
    ):
        given, body, _ = ask(server, "POST", PATH, **words)
        error = json.loads(body)["error"]
        assert given == code and line in error["message"] and "/tmp" not in error["message"]
        assert error["type"] == "invalid_request_error"
    assert json.loads(ask(server, "POST", "/v1/chat/completions", b"")[1])["error"]["message"]


def test_forms():
    head = b"--b\r\nContent-Disposition: form-data; name="
    body = head + b'"a"\r\n\r\nx--b\r\n-\r\r\n' + head + b"c\r\n\r\n\r\n--b--\r\n"
    ((a,), (c,)) = form_fields(body, b"b").values()
    assert body[slice(*a)] == b"x--b\r\n-\r" and body[slice(*c)] == b""
    assert form_boundary('multipart/form-data; boundary="x y"') == b"x y"
    for broken, line in ((body[:-9], "no end"), (b"", "no end"), (b"--b\r\nX: y\r\n\r\n\r\n--b--", "has no name")):
        with pytest.raises(UserError, match=line):
            form_fields(broken, b"b")


@pytest.mark.parametrize("name", ["a.m4a", "a.webm"])
def test_what_phones_and_browsers_record(server, tmp_path, name):  # noqa: F811
    if not shutil.which("ffmpeg"):
        pytest.skip("ffmpeg is not installed: apt-get install ffmpeg")
    (tmp_path / "a.wav").write_bytes(recording(0.5, 48000))
    subprocess.run(["ffmpeg", "-v", "error", "-i", tmp_path / "a.wav", tmp_path / name], check=True)
    sound = (tmp_path / name).read_bytes()
    answer = json.loads(ask(server, "POST", "/listen", sound)[1])
    assert answer["seconds"] == pytest.approx(0.5, abs=0.1) and answer["after"]
    code, body, _ = ask(server, "POST", PATH, **upload(sound))
    assert code == 200 and json.loads(body) == {"text": answer["transcript"]["text"]}


def test_the_client_of_openai(server, tmp_path):  # noqa: F811
    (tmp_path / "a.wav").write_bytes(recording())
    transcript = json.loads(ask(server, "POST", "/listen", recording())[1])["transcript"]
    found = run_peer("openai", CLIENT, server.url, tmp_path / "a.wav")
    words = [word["word"] for segment in transcript["segments"] for word in segment["words"]]
    assert found["models"] == ["asr"] and found["json"] == found["text"].strip() == transcript["text"]
    assert found["verbose"] == [transcript["text"], 0.5, len(transcript["segments"]), words]
    assert found["vtt"].startswith("WEBVTT") and "-->" in found["srt"] and "not readable audio" in found["error"]
    assert found["events"] == [
        {"type": "transcript.text.delta", "delta": transcript["text"]},
        {"type": "transcript.text.done", "text": transcript["text"]},
    ]
