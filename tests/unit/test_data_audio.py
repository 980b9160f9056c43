"""Audio by utterance id: formats, archives, segments, rates, and every way in which a file can be bad."""

import kaldiio
import numpy as np
import pytest
import soundfile
from data_maker import tone

from mimic.corpus.scan import resampled_length, scan
from mimic.errors import AudioError, UserError
from mimic.io.audio import AudioReader
from mimic.io.recording import write_wav
from mimic.io.tables import write_table

FORMATS = [
    ("wav", "WAV", "PCM_16", 1e-4),
    ("float.wav", "WAV", "FLOAT", 1e-6),
    ("flac", "FLAC", "PCM_16", 1e-4),
    ("aiff", "AIFF", "PCM_16", 1e-4),
    ("sph", "NIST", "PCM_16", 1e-4),
    ("ogg", "OGG", "VORBIS", 0.1),
    ("opus", "OGG", "OPUS", 0.2),
    ("mp3", "MP3", "MPEG_LAYER_III", 0.2),
]


def reader_of(tmp_path, entry, segments=None, **options) -> AudioReader:
    write_table(tmp_path / "wav.scp", {"u": str(entry)})
    if segments:
        write_table(tmp_path / "segments", segments)
    return AudioReader(tmp_path, **options)


@pytest.mark.parametrize(("name", "kind", "subtype", "tolerance"), FORMATS)
def test_every_format_is_read_and_a_cut_file_is_noticed(tmp_path, name, kind, subtype, tolerance):
    x = tone(1.5)
    file = tmp_path / f"a.{name}"
    soundfile.write(file, x, 16000, format=kind, subtype=subtype)
    reader = reader_of(tmp_path, file)
    y = reader["u"]
    assert y.dtype == np.float32 and y.shape == x.shape and np.abs(y - x).max() < tolerance
    assert (reader.info("u").rate, reader.info("u").frames) == (16000, len(x))
    whole = file.read_bytes()
    for size in (len(whole) * 95 // 100, len(whole) // 2, 40, 0):
        file.write_bytes(whole[:size])
        with pytest.raises(AudioError) as error:
            reader["u"]
        assert error.value.kind in ("truncated", "unreadable")
        assert str(error.value).startswith(f"u: {file} ") and "the utterance" in str(error.value)


def test_length_after_resampling_is_the_same_for_clean_and_noisy_and_as_predicted(tmp_path):
    for rate in (8000, 11025, 22050, 44100, 48000):
        for n in (1000, 12345, 12346, 12347):
            soundfile.write(tmp_path / "a.wav", tone(1, rate)[:n].repeat(2)[:n] + 0.01, rate)
            assert len(reader_of(tmp_path, tmp_path / "a.wav")["u"]) == resampled_length(n, rate, 16000)


def test_resampling_keeps_a_tone_in_the_band_and_removes_one_above_it(tmp_path):
    t = np.arange(48000) / 48000
    for frequency, gain in ((1000, 1.0), (7000, 1.0), (12000, 0.0)):
        soundfile.write(tmp_path / "a.wav", 0.5 * np.sin(2 * np.pi * frequency * t), 48000, subtype="FLOAT")
        y = reader_of(tmp_path, tmp_path / "a.wav")["u"][1000:-1000]
        assert np.sqrt(2 * np.mean(y**2)) == pytest.approx(0.5 * gain, abs=2e-3)


def test_archives_with_wav_and_with_flac_inside(tmp_path):
    sounds = {f"u{i}": (16000, np.round(tone(1, seed=i) * 32767).astype(np.int16)) for i in range(3)}
    kaldiio.save_ark(str(tmp_path / "w.ark"), sounds, scp=str(tmp_path / "wav.scp"))
    for write_options in ({}, {"write_function": "soundfile", "write_kwargs": {"format": "FLAC"}}):
        kaldiio.save_ark(str(tmp_path / "w.ark"), sounds, scp=str(tmp_path / "wav.scp"), **write_options)
        reader = AudioReader(tmp_path)
        for utt, (_, samples) in sounds.items():
            assert np.array_equal(reader[utt] * 32768, samples)
    last = (tmp_path / "w.ark").read_bytes()
    (tmp_path / "w.ark").write_bytes(last[:-2000])
    with pytest.raises(AudioError, match="u2: .*w.ark:[0-9]+ "):
        reader["u2"]


def test_segments_are_cut_by_the_sample_and_end_in_time(tmp_path):
    x = np.round(tone(2) * 32768) / 32768
    write_wav(tmp_path / "a.wav", x)
    segments = {
        "s1": "u 0.5 1.25",
        "s2": "u 1.5 2.01",
        "s3": "u 1.5 2.51",
        "s4": "u 2.3 2.4",
        "s5": "gone 0 1",
        "s6": "u 1.5 2.5",
    }
    reader = reader_of(tmp_path, tmp_path / "a.wav", segments)
    assert list(reader) == ["s1", "s2", "s3", "s4", "s5", "s6"]
    assert np.array_equal(reader["s1"], x[8000:20000].astype(np.float32))
    assert len(reader["s2"]) == 8000 and not reader.trimmed  # 10 ms too long is rounding
    assert len(reader["s6"]) == 8000 and reader.trimmed == {"s6": 0.5}  # Kaldi's extract-segments trims up to 0.5 s
    for utt in ("s3", "s4"):
        with pytest.raises(AudioError, match=f"{utt}: .* lasts 2.000 s, .*correct segments"):
            reader[utt]
    with pytest.raises(AudioError, match="s5: recording gone is not in"):
        reader["s5"]


def test_malformed_segments_are_refused(tmp_path):
    for line in ("u 1", "u 2 1", "u x 1", "u -1 1"):
        with pytest.raises(UserError, match="segments:1: s1: "):
            reader_of(tmp_path, "a.wav", {"s1": line})


def test_a_channel_has_to_be_named(tmp_path):
    both = np.stack([tone(seed=1), tone(seed=2)], axis=1)
    soundfile.write(tmp_path / "a.wav", both, 16000, subtype="FLOAT")
    with pytest.raises(AudioError, match="has 2 channels: pick one with --channel"):
        reader_of(tmp_path, tmp_path / "a.wav")["u"]
    assert np.allclose(reader_of(tmp_path, tmp_path / "a.wav", channel=1)["u"], both[:, 1])
    with pytest.raises(AudioError, match="no channel 2"):
        reader_of(tmp_path, tmp_path / "a.wav", channel=2)["u"]


def test_nan_silence_and_nothing(tmp_path):
    for content, kind in ((np.r_[tone(), np.nan], "nan"), (np.zeros(16000), "silent"), (np.zeros(0), "empty")):
        soundfile.write(tmp_path / "a.wav", content, 16000, subtype="FLOAT")
        (result,) = scan(reader_of(tmp_path, tmp_path / "a.wav"))
        assert result.problem.kind == kind and result.samples == 0


def test_a_pipe_runs_only_when_allowed(tmp_path):
    write_wav(tmp_path / "a.wav", tone())
    entry = f"touch {tmp_path}/ran; cat {tmp_path}/a.wav |"
    with pytest.raises(AudioError, match="u: touch .* is a shell pipe.*--allow-pipes true"):
        reader_of(tmp_path, entry)["u"]
    assert not (tmp_path / "ran").exists()
    assert len(reader_of(tmp_path, entry, allow_pipes=True)["u"]) == 16000 and (tmp_path / "ran").exists()
    with pytest.raises(AudioError, match=r"u: false \| failed with code 1"):
        reader_of(tmp_path, "false |", allow_pipes=True)["u"]


def test_a_wav_from_a_pipe_with_unknown_length_is_whole(tmp_path):
    write_wav(tmp_path / "a.wav", tone())
    raw = bytearray((tmp_path / "a.wav").read_bytes())
    at = raw.index(b"data")
    raw[4:8] = raw[at + 4 : at + 8] = b"\xff\xff\xff\xff"
    (tmp_path / "a.wav").write_bytes(raw)
    assert len(reader_of(tmp_path, tmp_path / "a.wav")["u"]) == 16000


def test_processes_give_what_one_gives_in_order(tmp_path):
    write_wav(tmp_path / "a.wav", tone())
    entries = {f"u{i:03}": str(tmp_path / ("a.wav" if i % 7 else "gone.wav")) for i in range(100)}
    write_table(tmp_path / "wav.scp", entries)
    reader = AudioReader(tmp_path)
    one, two = list(scan(reader, 1)), list(scan(reader, 2))
    assert [r.utt for r in two] == sorted(entries) and [r.samples for r in one] == [r.samples for r in two]
    assert sum(r.problem is not None for r in two) == 15
    assert str(two[0].problem) == str(one[0].problem) and two[0].problem.kind == "missing"
