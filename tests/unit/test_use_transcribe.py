"""Transcripts of files: what is recognised, when each word was spoken, where recordings are cut, the formats."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from data_maker import ROOT, run
from model_maker import make_enhancer, make_recogniser, program

from mimic.decoding.ctc.times import Word, align
from mimic.deploy import captions, files
from mimic.deploy.transcriber import Transcriber
from mimic.frontend.voice_activity import Levels, segments
from mimic.io.tables import write_data_dir
from mimic.io.tokens import EOS, UNK, Tokens
from mimic.models.recogniser import Recogniser, Segment

WORDS = [Word("ONE", 0.5, 0.9, 0.98765), Word("<TWO>", 1.0, 1.25, 0.5)]
SEGMENTS = [Segment(0.4, 1.5, WORDS), Segment(3661.0, 3662.0, [Word("THREE", 3661.5, 3661.75, 1.0)])]


def bursts(spans: list[tuple[float, float]], seconds: float, noise: float, rate: int = 16000) -> np.ndarray:
    """Noise of a level, louder noise in the spans: (samples,) float32."""
    draw = np.random.default_rng(0)
    x = noise * draw.standard_normal(round(seconds * rate))
    for start, end in spans:
        n = slice(round(start * rate), round(end * rate))
        x[n] += 0.1 * draw.standard_normal(len(x[n]))
    return x.astype(np.float32)


def found(x: np.ndarray, longest: float = 15.0, rate: int = 16000) -> list[tuple[float, float]]:
    levels = Levels(rate)
    for i in range(0, len(x), 12345):
        levels.add(x[i : i + 12345])
    return segments(levels.finish(), longest)


@pytest.mark.parametrize("noise", [0.0, 0.001, 0.02])
def test_speech_is_found(noise):
    spans = [(1.0, 3.0), (3.2, 5.0), (9.0, 12.0), (40.0, 40.5)]
    given = found(bursts(spans, 60, noise))
    assert len(given) == 3  # a pause of 0.2 s is not a place to cut
    for (start, end), (a, b) in zip([(1.0, 5.0), (9.0, 12.0), (40.0, 40.5)], given, strict=True):
        assert start - 0.3 < a <= start - 0.1 and end + 0.1 <= b < end + 0.3


def test_long_speech_is_cut_where_it_is_quiet():
    spans = [(i, i + 0.9) for i in range(60)]
    given = found(bursts(spans, 60, 0.001), 7.0)
    assert all(0 < b - a <= 7 for a, b in given)
    assert all(a == b for (_, a), (b, _) in zip(given, given[1:], strict=False))
    assert all(0.88 < a % 1 < 1.0 for a, _ in given[1:])


def test_silence_and_steady_sound():
    assert found(np.zeros(16000 * 20, dtype=np.float32)) == []
    assert found(np.zeros(5, dtype=np.float32)) == []
    hum = bursts([], 40, 0.05)
    given = found(hum, 15.0)
    assert given[0][0] == 0 and given[-1][1] == pytest.approx(40, abs=0.02)  # nothing is lost where nothing stands out


def test_words_have_their_times():
    tokens = Tokens("char", ["<blank>", "<bos>", "<eos>", "<unk>", "A", "B", "▁"])
    a, b, gap = 4, 5, 6
    ids = [gap, a, b, gap, a]
    peaks = {2: gap, 5: a, 8: b, 20: gap, 22: a}
    probabilities = torch.full((30, 7), 1e-4)
    probabilities[:, 0] = 1.0
    for frame, token in peaks.items():
        probabilities[frame, [0, token]] = torch.tensor([1e-4, 0.5])
    words = align(ids, probabilities.log(), tokens, 0.04, 1.2)
    assert [word.word for word in words] == ["AB", "A"]
    assert words[0].start == pytest.approx(max(0, 2 * 0.04 - 0.1)) and words[0].end == pytest.approx(9 * 0.04 + 0.1)
    assert words[1].start == pytest.approx(20 * 0.04 - 0.1) and words[1].end == pytest.approx(23 * 0.04 + 0.1)
    assert all(word.confidence == pytest.approx(0.5) for word in words)
    (short, other) = align(ids, probabilities[:3].log(), tokens, 0.04, 0.5)
    assert (short.start, short.end, other.end) == (0, 0.25, 0.5) and short.confidence == 0
    assert align([], probabilities.log(), tokens, 0.04, 1.2) == []


def test_words_are_those_of_the_text():
    draw = np.random.default_rng(0)
    symbols = ["<blank>", "<bos>", "<eos>", "<unk>", "▁", "▁A", "B", "CD", "▁EF"]
    for kind in ("char", "phn"):
        tokens = Tokens(kind, symbols if kind == "char" else [s.replace("▁", "x") for s in symbols])
        for _ in range(200):
            ids = draw.integers(EOS, len(symbols), draw.integers(0, 8)).tolist()
            words = tokens.words(ids)
            assert [word for word, _ in words] == tokens.decode(ids).split()
            assert all(ids[place] != EOS for _, places in words for place in places)
    assert tokens.words([UNK]) == [("<unk>", [0])]


def test_formats():
    assert captions.as_text("a", SEGMENTS) == "ONE <TWO> THREE\n"
    record = json.loads(captions.as_json("a", SEGMENTS))
    assert record["segments"][0]["words"][0] == {"word": "ONE", "start": 0.5, "end": 0.9, "confidence": 0.9877}
    assert captions.as_srt("a", SEGMENTS) == (
        "1\n00:00:00,500 --> 00:00:01,250\nONE <TWO>\n\n2\n01:01:01,500 --> 01:01:01,750\nTHREE\n"
    )
    assert captions.as_vtt("a", SEGMENTS).startswith("WEBVTT\n\n00:00:00.500 --> 00:00:01.250\nONE &lt;TWO&gt;\n\n01:")
    assert captions.as_ctm("my talk.wav", SEGMENTS).splitlines()[1] == "my_talk.wav 1 1.00 0.25 <TWO> 0.50"
    for write in captions.FORMATS.values():
        assert "ONE" not in write("silence", [])


def test_captions_can_be_read():
    words = [Word("WORD" * (1 + i % 4), 0.3 * i, 0.3 * i + 0.25, 1.0) for i in range(100)]
    cues = captions.as_srt("a", [Segment(0, 30, words)]).split("\n\n")
    for cue in cues:
        lines = cue.strip().splitlines()[2:]
        assert 1 <= len(lines) <= 2 and max(map(len, lines)) <= 42
    assert " ".join(" ".join(cue.split("\n")[2:]) for cue in cues).split() == [word.word for word in words]


@pytest.fixture(scope="module")
def models(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("models")
    make_recogniser(root / "asr")
    make_recogniser(root / "ctc", "deepspeech2", features="logmel")
    make_enhancer(root / "enhancer", "causal")
    return root


def recording(path: Path, seconds: float = 0.8, rate: int = 16000, channels: int = 1) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    x = bursts([(0.1, seconds - 0.1)], seconds, 0.001, rate)
    soundfile.write(path, np.stack([x] * channels, axis=1), rate)
    return path


@pytest.mark.parametrize("name", ["asr", "ctc"])
def test_a_short_recording_is_recognised_as_steps_decode_does(models, tmp_path, name):
    """The same tokens as from feature files, whatever the batch."""
    recogniser = Recogniser.load(models / name)
    waveforms = [bursts([(0, s)], s, 0.001) for s in (0.5, 1.1, 0.01, 0.8)]
    together = recogniser.words(waveforms)
    assert together[2] == [] and any(together)
    for waveform, words in zip(waveforms, together, strict=True):
        (alone,) = recogniser.words([waveform])
        assert [w.word for w in alone] == [w.word for w in words]
        assert all(0 <= w.start < w.end <= len(waveform) / 16000 + 1e-9 and 0 <= w.confidence <= 1 for w in words)
    assert recogniser.words([np.zeros(16000, dtype=np.float32)]) == [[]]


def test_long_recordings_are_cut_and_times_count_from_the_beginning(models, tmp_path):
    x = bursts([(1, 2), (4, 5), (30, 31)], 40, 0.0005, 8000)
    soundfile.write(tmp_path / "long.flac", x, 8000)
    reader = files.find(str(tmp_path / "long.flac"))
    given = list(Transcriber(Recogniser.load(models / "asr"), longest=3)(reader, "long.flac"))
    assert [round(segment.start) for segment in given] == [1, 4, 30]
    for segment in given:
        assert all(segment.start <= word.start < word.end <= segment.end + 1e-6 for word in segment.words)


def test_program(models, tmp_path, capsys, caplog):
    caplog.set_level("INFO")
    recording(tmp_path / "in/a.wav")
    recording(tmp_path / "in/deep/b.flac", 1.2, 44100, 7)
    words = ("transcribe.py", models / "asr", tmp_path / "in")
    assert program(*words) == 0
    text = capsys.readouterr().out
    assert [line.split()[0] for line in text.splitlines()] == ["a.wav", "deep/b.flac"]
    assert "real-time factor" in caplog.text
    assert program(*words, "--format", "json") == 0
    records = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [f"{r['name']} {r['text']}".strip() for r in records] == [line.strip() for line in text.splitlines()]
    assert program(*words, tmp_path / "out", "--format", "srt", "--enhance", models / "enhancer") == 0
    assert (tmp_path / "out/a.srt").exists() and (tmp_path / "out/deep/b.srt").exists()
    assert program(*words, "--format", "vtt") == 1 and "name a folder" in caplog.text
    assert program(*words, "--format", "doc") == 1 and "expected one of text, json" in caplog.text
    (tmp_path / "in/bad.wav").write_text("x")
    assert program(*words, tmp_path / "out2") == 1 and "1 of 3 recordings" in caplog.text
    assert program("transcribe.py", models / "enhancer", tmp_path / "in") == 1 and "not a recogniser" in caplog.text


def test_data_directories_and_one_call_of_the_step(models, tmp_path):
    path = recording(tmp_path / "x.wav")
    write_data_dir(tmp_path / "data", {"wav.scp": {"s-1.2": str(path)}, "utt2spk": {"s-1.2": "s"}})
    step = ROOT / "steps/transcribe.sh"
    done = run(step, "--format", "ctm", models / "asr", tmp_path / "data", "-", "--decode.beam", "1")
    assert done.returncode == 0, done.stderr
    assert all(re.fullmatch(r"s-1\.2 1 \d+\.\d\d \d+\.\d\d \S+ \d\.\d\d", line) for line in done.stdout.splitlines())
    assert program("transcribe.py", models / "asr", tmp_path / "data", tmp_path / "texts") == 0
    assert [p.name for p in (tmp_path / "texts").iterdir()] == ["s-1.2.txt"]


BAD = {
    "text.wav": (lambda path: path.write_text("hello"), "is not readable audio"),
    "empty.wav": (lambda path: path.write_bytes(b""), "it is empty"),
    "nothing.wav": (lambda path: soundfile.write(path, np.zeros(0), 16000), "holds no samples"),
    "nan.wav": (lambda path: soundfile.write(path, np.full(900, np.nan), 16000, "FLOAT"), "holds NaN"),
    "absent.wav": (lambda path: None, "cannot be opened"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_one_line(models, tmp_path, caplog, name):
    make, line = BAD[name]
    make(tmp_path / name)
    assert program("transcribe.py", models / "asr", tmp_path / name, tmp_path / "out.txt") == 1
    (message,) = caplog.messages
    assert line in message and name in message and not (tmp_path / "out.txt").exists()


def test_strange_input_and_outputs_that_cannot_be(models, tmp_path, capsys, caplog):
    soundfile.write(tmp_path / "one.wav", np.ones(1) / 2, 16000)
    soundfile.write(tmp_path / "coarse.wav", bursts([(0, 1)], 1, 0.01)[:, None].repeat(7, 1), 8000, "PCM_U8")
    assert program("transcribe.py", models / "asr", tmp_path / "one.wav") == 0 and capsys.readouterr().out == "\n"
    assert program("transcribe.py", models / "asr", tmp_path / "coarse.wav") == 0
    for output, line in (("/proc/nowhere/out.txt", "/proc/nowhere"), (tmp_path / "one.wav/out.txt", "one.wav")):
        caplog.clear()
        assert program("transcribe.py", models / "asr", tmp_path / "coarse.wav", output) == 1
        (message,) = caplog.messages
        assert line in message
    (tmp_path / "list.scp").write_text(f"../x {tmp_path / 'one.wav'}\n")
    assert program("transcribe.py", models / "asr", tmp_path / "list.scp", tmp_path / "out") == 0
    assert (tmp_path / "out/..%2Fx.txt").exists()
