"""Corpora of other toolkits: what is imported, and that an export of it is the same."""

import json
from pathlib import Path

import pytest
import soundfile
from data_maker import ROOT, run, snapshot
from formats_maker import NAMES, content, exported, imported, json_lines, lhotse_recording, random_corpus, recording

from mimic.corpus.formats.detect import detect
from mimic.corpus.formats.directory import write_directory
from mimic.corpus.formats.names import escaped, original, speaker_ids
from mimic.corpus.formats.utterance import Reading
from mimic.corpus.validate import Options, validate
from mimic.errors import UserError
from mimic.io.audio import AudioReader
from mimic.io.tables import read_table


def errors(data: Path) -> list[str]:
    found = validate(data, Options(text=(data / "text").exists()))
    return [problem.line for problem in found.problems if problem.error and "transcript" not in problem.line]


@pytest.mark.parametrize("whole", [True, False])
@pytest.mark.parametrize("seed", range(4))
def test_import_then_export_gives_the_same(tmp_path, seed, whole):
    """Property: ids, files, times, channels, words (but for the kind of blanks), speakers, genders come back."""
    utterances = random_corpus(tmp_path / "audio", seed, whole)
    data = tmp_path / "data"
    write_directory(utterances, data, tmp_path, Reading(), False, 0)
    assert not errors(data) and (data / "segments").exists() != whole
    seconds = {utt.audio: soundfile.info(utt.audio).duration for utt in utterances}
    expected = {
        utt.id: (utt.audio, utt.start, utt.end or seconds[utt.audio], utt.channel, " ".join(utt.text.split()))
        + (utt.speaker, utt.gender)
        for utt in utterances
    }
    assert {name: found[:2] + (pytest.approx(found[2], abs=1e-9),) + found[3:] for name, found in expected.items()} == (
        content(data)
    )
    for kind in ("lhotse", "nemo", "csv"):
        manifest = exported(data, kind, tmp_path / kind)
        back = tmp_path / f"from_{kind}"
        imported(manifest if kind == "lhotse" else next(manifest.iterdir()), back)
        assert content(back) == content(data), kind
        for name in ("wav.scp", "text", "utt2spk", "spk2utt", "utt2id", "spk2id", "spk2gender"):
            if whole or name != "wav.scp":
                assert (back / name).exists() == (data / name).exists()
                assert not (data / name).exists() or (back / name).read_bytes() == (data / name).read_bytes(), name
        again = exported(back, kind, tmp_path / f"{kind}_again")
        assert {p.name: p.read_bytes() for p in again.iterdir()} == {p.name: p.read_bytes() for p in manifest.iterdir()}


def test_ids_of_any_text_come_back_and_sort_as_their_speakers():
    assert len({escaped(name) for name in NAMES}) == len(NAMES)
    for name in NAMES:
        assert original(escaped(name)) == name and not set(escaped(name)) & set(" \t\n\u3000")
    for chosen in (["a", "a b", "a'c"], ["a", "a-b", ""], ["o", "o-", "o'n", "o#"]):
        utts, speakers = speaker_ids({f"{i}{speaker}": speaker for i, speaker in enumerate([*chosen, *chosen])})
        assert len(speakers) == len(utts) == 2 * len(chosen)
        assert sorted(speakers, key=lambda utt: (speakers[utt], utt)) == sorted(speakers)
        assert all(utt.startswith(speaker) for utt, speaker in speakers.items())


def test_nemo_and_other_json_lines(tmp_path):
    for name in ("a", "b/x", "c/x"):
        recording(tmp_path / f"{name}.wav", 2)
    entries = [
        {"audio_filepath": "a.wav", "offset": 0.5, "duration": 1.0, "text": "one\n two"},
        {"audio_filepath": "a.wav", "offset": 1.5, "duration": 0.25, "text": "drei"},
        {"audio_filepath": "b/x.wav", "duration": 2.004, "text": ""},
        {"audio_filepath": str(tmp_path / "c/x.wav"), "duration": 2.0, "text": "x", "speaker": "Jo Ann"},
    ]
    done = imported(json_lines(tmp_path / "m.json", *entries), tmp_path / "d")
    assert (done.utterances, done.recordings, done.speakers) == (4, 3, 4) and not errors(tmp_path / "d")
    found = content(tmp_path / "d")
    assert found["a-000000500-000001500"][1:5] == (0.5, 1.5, None, "one two")
    assert sum(name.endswith("/x") for name in found) == 2  # two files of this name: their paths
    assert all(found[name][2] == 2 for name in found if name.endswith("/x"))
    assert {entry[5] for entry in found.values()} >= {"Jo Ann"}


@pytest.mark.parametrize("mark", [",", "\t", ";"])
def test_csv_and_tsv(tmp_path, mark):
    recording(tmp_path / "clips" / "a b.wav", 2)
    quote = '"' if mark != "\t" else ""
    rows = [
        ["path", "sentence", "client_id", "gender"],
        ["a b.wav", f"{quote}so{mark if quote else ' '}and\u00a0so{quote}", "s1", "male_masculine"],
    ]
    table = tmp_path / "x.tsv"
    table.write_text("\ufeff" + "".join(f"{mark.join(row)}\r\n" for row in rows))
    imported(table, tmp_path / "d", audio_dir=tmp_path / "clips")
    words = f"so{mark} and so".replace(f"{mark} and", f"{mark}and") if quote else "so and so"
    assert content(tmp_path / "d")["a b"][4:] == (words, "s1", "m")
    plain = tmp_path / "plain.csv"
    plain.write_text("u1,clips/a b.wav,HELLO,0:00:00.5,1.5,S\nu2,clips/a b.wav,YOU,1.5,,S\n")
    imported(plain, tmp_path / "p")
    assert read_table(tmp_path / "p" / "segments") == {"S-u1": "a=20b 0.5 1.5", "S-u2": "a=20b 1.5 2"}
    other = tmp_path / "other.csv"
    other.write_text("n,what,where\n1,hi,clips/a b.wav\n")
    imported(other, tmp_path / "t", columns={"id": "n", "text": "what", "audio": "where"})
    assert (tmp_path / "t" / "text").read_text() == "1 hi\n"


@pytest.mark.parametrize("suffix", ["jsonl.gz", "jsonl", "json", "yaml"])
def test_lhotse_of_all_forms(tmp_path, suffix):
    """Several supervisions of a cut count from its start; a cut without one is an utterance."""
    mono, stereo = recording(tmp_path / "m.wav", 2), recording(tmp_path / "s.wav", 2, 2)
    one = {"id": "s1", "recording_id": "m", "start": 0.25, "duration": 0.5, "channel": 0, "text": "hi", "speaker": "x"}
    cuts = [
        {
            "type": "MonoCut",
            **dict(id="c1", start=1.0, duration=1.0, channel=0),
            "supervisions": [one, one | {"id": "s2", "start": -0.25, "custom": {"a": 1}}],
            "recording": lhotse_recording(mono, [0], "m"),
        },
        {
            "type": "MultiCut",
            **dict(id="c2", start=0.5, duration=0.5, channel=[0, 1]),
            "recording": lhotse_recording(stereo, [0, 1], "s"),
        },
    ]
    path = tmp_path / f"cuts.{suffix}"
    if suffix in ("json", "yaml"):
        import yaml

        path.write_text(json.dumps(cuts, indent=1) if suffix == "json" else yaml.safe_dump(cuts, sort_keys=False))
    else:
        json_lines(path, *cuts)
    imported(path, tmp_path / "d")
    found = {name: entry[1:5] for name, entry in content(tmp_path / "d").items()}
    assert found == {"s1": (1.25, 1.75, None, "hi"), "s2": (0.75, 1.25, None, "hi"), "c2": (0.5, 1.0, None, "")}
    imported(path, tmp_path / "e", channel=1)
    assert content(tmp_path / "e")["c2"][3] == 1


def test_lhotse_recordings_and_supervisions_in_several_files(tmp_path):
    left, right = recording(tmp_path / "l.wav", 2, seed=1), recording(tmp_path / "r.wav", 2, seed=2)
    both = lhotse_recording(left, [0])
    both["sources"].append({"type": "file", "channels": [1], "source": "r.wav"})
    json_lines(tmp_path / "x_recordings_dev.jsonl.gz", both)
    part = {"recording_id": "r", "start": 0, "duration": 1}
    entries = [part | {"id": "a", "channel": 0}, part | {"id": "b", "channel": 1}]
    json_lines(tmp_path / "x_supervisions_dev.jsonl.gz", *entries)
    assert detect(tmp_path)[0] == "lhotse"
    imported(tmp_path, tmp_path / "d")
    assert {name: entry[0] for name, entry in content(tmp_path / "d").items()} == {"a": str(left), "b": str(right)}
    assert not (tmp_path / "d" / "text").exists() and not (tmp_path / "d" / "reco2file_and_channel").exists()


def test_a_command_runs_only_where_it_may(tmp_path):
    wav = recording(tmp_path / "a.wav", 1)
    entry = lhotse_recording(wav, [0])
    entry["sources"][0] |= {"type": "command", "source": f"cat {wav}"}
    source = json_lines(tmp_path / "recordings.jsonl", entry)
    with pytest.raises(UserError, match="a shell pipe, which runs code: pass --allow-pipes true"):
        imported(source, tmp_path / "d")
    imported(source, tmp_path / "d", allow_pipes=True)
    assert read_table(tmp_path / "d" / "wav.scp") == {"r": f"cat {wav} |"}
    back = exported(tmp_path / "d", "lhotse", tmp_path / "e", allow_pipes=True)
    imported(back / "recordings.jsonl.gz", tmp_path / "f", allow_pipes=True)
    assert snapshot(tmp_path / "d")["wav.scp"] == snapshot(tmp_path / "f")["wav.scp"]
    with pytest.raises(UserError, match="is a command, which only Lhotse runs"):
        exported(tmp_path / "d", "csv", tmp_path / "g", allow_pipes=True)


def test_librispeech_ljspeech_and_vctk(tmp_path):
    libri = tmp_path / "LibriSpeech"
    recording(libri / "dev-clean/84/121/84-121-0000.flac")
    (libri / "dev-clean/84/121/84-121.trans.txt").write_text("84-121-0000 GO ON\n")
    (libri / "SPEAKERS.TXT").write_text("; comment\n84 | F | dev-clean | 8.0 | Name\n")
    assert imported(libri / "dev-clean", tmp_path / "a").utterances == 1
    assert content(tmp_path / "a")["84-121-0000"][4:] == ("GO ON", "84", "f")
    lj = tmp_path / "LJSpeech-1.1"
    recording(lj / "wavs/LJ001-0001.wav")
    (lj / "metadata.csv").write_text('LJ001-0001|He called "2|He called "two\n')
    imported(lj, tmp_path / "b")
    assert content(tmp_path / "b")["LJ001-0001"][4:] == ('He called "two', "LJ", "f")
    vctk = tmp_path / "VCTK"
    for mic in (1, 2):
        recording(vctk / f"wav48_silence_trimmed/p225/p225_001_mic{mic}.flac", seed=mic)
    (vctk / "txt/p225").mkdir(parents=True)
    (vctk / "txt/p225/p225_001.txt").write_text("Please call.\n")
    (vctk / "speaker-info.txt").write_text("ID  AGE  GENDER  ACCENTS\np225  23  F    English\n")
    for mic in ("", "mic2"):
        imported(vctk, tmp_path / f"c{mic}", mic=mic)
        found = content(tmp_path / f"c{mic}")["p225_001"]
        assert found[4:] == ("Please call.", "p225", "f") and f"_{mic or 'mic1'}.flac" in found[0]
    with pytest.raises(UserError, match="no audio of microphone mic3: there is mic1 mic2"):
        imported(vctk, tmp_path / "d", mic="mic3")


def test_chime(tmp_path):
    recording(tmp_path / "audio/dev/S02_P05.wav", 4, 2)
    recording(tmp_path / "audio/dev/S02_U01.CH1.wav", 4)
    (tmp_path / "transcriptions/dev").mkdir(parents=True)
    times = {"original": "0:00:01.00", "P05": "0:00:01.25", "U01": "0:00:01.50"}
    entries = [
        {"start_time": times, "end_time": "0:00:02.50", "words": "so [laughs]", "speaker": "P05", "session_id": "S02"},
        {"start_time": "2.5", "end_time": "3.5", "words": "yes", "speaker": "P05", "session_id": "S02"},
    ]
    (tmp_path / "transcriptions/dev/S02.json").write_text(json.dumps(entries))
    assert detect(tmp_path)[0] == "chime"
    imported(tmp_path, tmp_path / "own", split="dev", channel=0)
    found = content(tmp_path / "own")
    assert found["P05-S02_P05-0000125-0000250"][1:6] == (1.25, 2.5, 0, "so [laughs]", "P05") and len(found) == 2
    imported(tmp_path / "transcriptions/dev/S02.json", tmp_path / "far", mic="U01.CH1")
    assert content(tmp_path / "far")["P05-S02_U01.CH1-0000150-0000250"][1] == 1.5
    for folder in ("dt05_bus_real", "dt05_bus_simu"):
        recording(tmp_path / f"four/{folder}/F01_22GC010A_BUS.CH5.wav")
    sentence = {"wsj_name": "22GC010A", "environment": "BUS", "speaker": "F01", "dot": "hello", "start": 9.5, "end": 11}
    (tmp_path / "dt05_real.json").write_text(json.dumps([sentence]))
    imported(tmp_path / "dt05_real.json", tmp_path / "e", audio_dir=tmp_path / "four")
    found = content(tmp_path / "e")["F01_22GC010A_BUS_REAL"]
    assert "dt05_bus_real" in found[0] and found[1:3] == (0, 1) and found[4:] == ("hello", "F01", "f")


def test_the_steps(tmp_path):
    """Both steps, from one manifest to another, with channels beyond the second; a rerun skips, an error is a line."""
    recording(tmp_path / "a.wav", 1, 3)
    source = json_lines(tmp_path / "m.json", {"audio_filepath": "a.wav", "duration": 1.0, "text": "x", "channel": 2})
    done = run("steps/import_data.sh", source, tmp_path / "d")
    assert done.returncode == 0 and "m.json: read as nemo (its entries have audio_filepath)" in done.stdout, done.stderr
    assert "1 utterances, 1 recordings, 1 speakers" in done.stdout
    assert "columns: " in done.stdout and "text is `text`, duration is `duration`, channel is `channel`" in done.stdout
    reader = AudioReader(tmp_path / "d", rate=8000)
    assert (reader["a"] == soundfile.read(tmp_path / "a.wav", dtype="float32")[0][:, 2]).all()
    assert run("steps/export_data.sh", "--to", "csv", tmp_path / "d", tmp_path / "e").returncode == 0
    assert (tmp_path / "e/utterances.csv").read_text().splitlines()[1] == f"a,{tmp_path}/a.wav,x,0.0,1.0,a,,2"
    failed = run("steps/import_data.sh", "--columns", "text", source, tmp_path / "f")
    assert failed.returncode == 1 and "--columns: expected PART=NAME, such as text=sentence" in failed.stderr
    assert not (tmp_path / "f/wav.scp").exists() and (ROOT / "steps/import_data.sh").exists()
