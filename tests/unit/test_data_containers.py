"""Headers that are not true: every container is read to its true end, or refused with a line."""

import shutil
import struct
import subprocess

import numpy as np
import pytest
import soundfile

from mimic.deploy.files import Files, find
from mimic.errors import AudioError
from mimic.io.audio import AudioReader
from mimic.io.recording import ffmpeg_installed

N = 4000
X = (np.random.default_rng(0).standard_normal(N) / 10).clip(-0.9, 0.9).astype(np.float32)
needs_ffmpeg = pytest.mark.skipif(not ffmpeg_installed(), reason="ffmpeg is not installed")
ZERO, ONES = b"\0" * 8, b"\xff" * 8


def sound(tmp_path, kind: str, subtype: str = "PCM_16", x: np.ndarray = X, rate: int = 16000) -> bytearray:
    soundfile.write(tmp_path / "made", x, rate, subtype, format=kind)
    return bytearray((tmp_path / "made").read_bytes())


def patched(raw: bytearray, *edits: tuple[int, bytes]) -> bytearray:
    for offset, new in edits:
        raw[offset : offset + len(new)] = new
    return raw


def read(tmp_path, raw: bytes, name: str = "a.audio") -> np.ndarray:
    (tmp_path / name).write_bytes(raw)
    reader = Files({name: str(tmp_path / name)})
    x = np.concatenate(list(reader.blocks(name, 1000)))
    assert reader.info(name).frames == len(x) and reader.info(name).rate == 16000
    return x[:, 0]


def unknown_lengths(tmp_path):
    """(what, file) of headers that do not know the length, as programs write them to a pipe."""
    for data, riff in ((ZERO, ZERO), (ONES, ONES), (ZERO, ONES), (ONES, ZERO)):
        raw = sound(tmp_path, "WAV")
        yield "WAV", patched(raw, (4, riff[:4]), (raw.index(b"data") + 4, data[:4]))
    yield "WAV, big RIFF", patched(sound(tmp_path, "WAV"), (4, struct.pack("<I", 1 << 29)))
    for size in (ZERO, ONES):
        raw = sound(tmp_path, "RF64")
        yield "RF64", patched(raw, (raw.index(b"ds64") + 8, 3 * size))
        raw = sound(tmp_path, "W64")
        yield "W64", patched(raw, (16, size), (raw.index(b"data") + 16, size))
        yield "AU", patched(sound(tmp_path, "AU"), (8, size[:4]))
        raw = sound(tmp_path, "CAF")
        yield "CAF", patched(raw, (raw.index(b"data") + 4, size))
    for size in (ZERO[:4], b"\x7f\xff\xff\xff"):
        raw = sound(tmp_path, "AIFF")
        yield "AIFF", patched(raw, (4, size), (raw.index(b"COMM") + 10, size), (raw.index(b"SSND") + 4, size))


def test_an_unknown_length_is_that_of_the_content(tmp_path):
    for what, raw in unknown_lengths(tmp_path):
        x = read(tmp_path, raw)
        assert len(x) == N and np.abs(x - X).max() < 1e-4, what


def test_chunks_and_tags_around_the_sound(tmp_path):
    raw = bytes(sound(tmp_path, "WAV"))
    odd = b"junk" + struct.pack("<I", 3) + b"abc\0"
    for whole in (raw[:12] + odd + raw[12:], raw + odd, raw + odd[:-1], raw + b"TAG" + b"x" * 125, raw + bytes(100)):
        assert len(read(tmp_path, whole)) == N


def test_a_header_that_promises_less_than_there_is(tmp_path):
    short = struct.pack("<I", N)
    wav, au = sound(tmp_path, "WAV"), sound(tmp_path, "AU")
    for raw, what in (
        (patched(wav[:], (wav.index(b"data") + 4, short)), f"{N} bytes follow the end that its header gives"),
        (patched(au[:], (8, short[::-1])), f"{N} bytes follow the end that its header gives"),
        (wav + wav, "another file is joined to its end"),
        (au + au, "bytes follow the end that its header gives"),
    ):
        with pytest.raises(AudioError, match=f"a.audio has a header that does not agree .*{what}") as error:
            read(tmp_path, raw)
        assert error.value.kind == "header"


@pytest.mark.parametrize("kind", ["WAV", "RF64", "W64", "AU", "CAF", "AIFF"])
def test_a_cut_file(tmp_path, kind):
    with pytest.raises(AudioError, match="a.audio is truncated .*1000 bytes missing"):
        read(tmp_path, sound(tmp_path, kind)[:-1000])


@pytest.mark.parametrize(
    ("kind", "subtype"), [("OGG", "VORBIS"), ("OGG", "OPUS"), ("MP3", "MPEG_LAYER_III"), ("FLAC", "PCM_16")]
)
def test_joined_recordings_are_read_one_after_the_other(tmp_path, kind, subtype):
    parts = [sound(tmp_path, kind, subtype, X[:n]) for n in (N, N // 2)]
    single = [read(tmp_path, part) for part in parts]
    assert np.abs(read(tmp_path, parts[0] + parts[1]) - np.concatenate(single)).max() < 1e-6
    with pytest.raises(AudioError, match="several recordings in one, of different rates"):
        read(tmp_path, parts[0] + sound(tmp_path, kind, subtype, rate=24000))
    with pytest.raises(AudioError):
        read(tmp_path, (parts[0] + parts[1])[:-200])


def test_segments_of_joined_recordings(tmp_path):
    part = sound(tmp_path, "OGG", "VORBIS")
    (tmp_path / "a.ogg").write_bytes(part + part)
    (tmp_path / "wav.scp").write_text(f"r {tmp_path}/a.ogg\n")
    (tmp_path / "segments").write_text("r-1 r 0 0.25\nr-2 r 0.25 0.5\n")
    reader = AudioReader(tmp_path)
    assert not reader.info("r-1").direct and len(reader["r-1"]) == N and np.array_equal(reader["r-1"], reader["r-2"])


def without_length(tmp_path, claimed: int = 0) -> tuple[bytes, bytes]:
    """A FLAC that was written to a pipe (or claims fewer samples), and an MP3 without the header with its length."""
    flac = sound(tmp_path, "FLAC")
    flac[21] &= 0xF0
    mp3 = sound(tmp_path, "MP3", "MPEG_LAYER_III")
    first = mp3.index(b"\xff", mp3.index(b"Info" if b"Info" in mp3 else b"Xing") + 120)
    while mp3[first + 1] & 0xE0 != 0xE0:
        first = mp3.index(b"\xff", first + 1)
    return bytes(patched(flac, (22, struct.pack(">I", claimed)))), bytes(mp3[first:])


def test_without_ffmpeg_it_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    for raw in (*without_length(tmp_path), b"\0\0\0\x20ftypM4A " + bytes(100)):
        with pytest.raises(AudioError, match=r"takes ffmpeg, and there is none: install ffmpeg \(apt-get install"):
            read(tmp_path, raw)


@needs_ffmpeg
def test_with_ffmpeg_it_is_read_to_its_end(tmp_path):
    flac, mp3 = without_length(tmp_path)
    assert np.abs(read(tmp_path, flac) - X).max() < 1e-4
    assert len(read(tmp_path, mp3)) >= N
    stale, _ = without_length(tmp_path, claimed=N // 2)
    assert len(read(tmp_path, stale)) == N
    with pytest.raises(AudioError, match="damaged or truncated|cannot be decoded"):
        read(tmp_path, flac[:-300])


@needs_ffmpeg
def test_formats_of_ffmpeg(tmp_path):
    soundfile.write(tmp_path / "a.wav", X.repeat(4), 16000)
    for name in ("a.m4a", "a.mkv"):
        done = subprocess.run(["ffmpeg", "-v", "error", "-i", tmp_path / "a.wav", tmp_path / name], check=False)
        if done.returncode == 0:
            whole = (tmp_path / name).read_bytes()
            assert 0 <= len(read(tmp_path, whole)) - 4 * N < 2048
            with pytest.raises(AudioError, match="damaged or truncated"):
                read(tmp_path, whole[: len(whole) // 2])
    with pytest.raises(AudioError, match="is not readable audio .Format not recognised"):
        read(tmp_path, b"just words\n")


def test_nothing_but_audio_is_opened_for_a_playlist(tmp_path):
    if not shutil.which("ffmpeg"):
        pytest.skip("ffmpeg is not installed")
    soundfile.write(tmp_path / "other.wav", X, 16000)
    for text in (f"ffconcat version 1.0\nfile {tmp_path}/other.wav\n", f"#EXTM3U\n#EXTINF:1,\n{tmp_path}/other.wav\n"):
        with pytest.raises(AudioError, match="is not readable audio"):
            read(tmp_path, text.encode(), "list.m3u8")


def test_a_folder_says_what_it_leaves_out(tmp_path, caplog):
    for name in ("a.wav", "b/film.MP4", "notes.txt", "b/list.csv"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert find(str(tmp_path)).utts == ["a.wav", "b/film.MP4"]
    assert "2 files are left out, their names are not those of audio: b/list.csv, notes.txt" in caplog.text


def test_samples_far_beyond_full_scale(tmp_path):
    for scale, shown in ((32768, r"\d{4,5}.*"), (1e30, r"\d.*e\+29")):
        with pytest.raises(AudioError, match=rf"a.audio has samples up to ({shown}), and full scale is 1: scale"):
            read(tmp_path, sound(tmp_path, "WAV", "FLOAT", (X * scale).astype(np.float32)))
    assert np.abs(read(tmp_path, sound(tmp_path, "WAV", "FLOAT", X * 8))).max() > 2
    for value in (np.nan, np.inf):
        x = X.copy()
        x[-1] = value
        with pytest.raises(AudioError, match="NaN or infinite"):
            read(tmp_path, sound(tmp_path, "WAV", "FLOAT", x))


def test_the_sides_of_a_call(tmp_path):
    soundfile.write(tmp_path / "call.wav", np.stack([X, -X / 2], 1), 8000, subtype="PCM_16")
    soundfile.write(tmp_path / "side.wav", X, 8000, subtype="PCM_16")
    (tmp_path / "wav.scp").write_text(
        "".join(f"c-{s} {tmp_path}/call.wav\n" for s in "AB") + f"d-B {tmp_path}/side.wav\n"
    )
    (tmp_path / "reco2file_and_channel").write_text("c-A call A\nc-B call B\nd-B side B\n")
    reader = AudioReader(tmp_path, 8000)
    for utt, x in (("c-A", X), ("c-B", -X / 2), ("d-B", X)):
        assert np.abs(reader[utt] - x).max() < 1e-4
    with pytest.raises(AudioError, match="c-B: .* reco2file_and_channel names B: leave --channel out"):
        AudioReader(tmp_path, 8000, channel=0)["c-B"]
    (tmp_path / "reco2file_and_channel").write_text("c-A call C\n")
    with pytest.raises(AudioError, match="c-A: .* has 2 channels, reco2file_and_channel names C"):
        AudioReader(tmp_path, 8000)["c-A"]
    (tmp_path / "reco2file_and_channel").write_text("c-A call 3\n")
    with pytest.raises(Exception, match="reco2file_and_channel: c-A: expected `recording file channel`"):
        AudioReader(tmp_path)
