"""Corpora of other toolkits that are not in order: each mistake is one line, with file and line number."""

import sys
from pathlib import Path

import pytest
from formats_maker import content, imported, json_lines, lhotse_recording, recording

from mimic.corpus.formats import huggingface
from mimic.corpus.formats.export import read_utterances
from mimic.corpus.formats.utterance import Reading
from mimic.errors import UserError

NEMO = {"audio_filepath": "a.wav", "duration": 0.5, "text": "x"}
BAD = {
    "missing audio": (
        [NEMO | {"audio_filepath": "gone.wav"}],
        r":1: gone: .*gone.wav cannot be opened .*: correct the path, or give --audio-dir",
    ),
    "no audio file": ([NEMO | {"audio_filepath": "m.json"}], r":1: .* is not readable audio"),
    "same id": ([NEMO | {"id": "u"}, NEMO | {"id": "u"}], r":2: the id 'u' is there twice: .*first: .*:1"),
    "same times": ([NEMO, NEMO], r":2: the id 'a-0.*' is there twice"),
    "beyond": ([NEMO | {"duration": 1.6}], r":1: a: from 0 to 1.6 s, but .*a.wav lasts 1.000 s: correct its times"),
    "begins beyond": ([NEMO | {"offset": 1.2, "duration": 0.1}], r"from 1.2 to 1.3 s, but .*lasts 1.000"),
    "backwards": ([NEMO | {"offset": 0.5, "duration": -0.1}], r"from 0.5 to 0.4 s: expected 0 <= start < end"),
    "negative": ([NEMO | {"offset": -1}], r"expected 0 <= start < end"),
    "not a number": ([NEMO | {"duration": "long"}], r":1: `duration` is 'long', expected a number"),
    "not finite": ([NEMO | {"duration": float("nan")}], r":1: `duration` is nan, expected a number"),
    "text": ([NEMO | {"text": ["x"]}], r":1: `text` is \['x'\], expected text"),
    "channel": ([NEMO | {"channel": 1}], r"channel 1, counted from 0, but .*a.wav has 1"),
    "half a channel": ([NEMO | {"channel": 0.5}], r":1: channel 0.5: expected a whole number"),
    "line break in a path": ([NEMO | {"audio_filepath": "a\n.wav"}], r":1: the path .* has a line break"),
    "no field": ([{"text": "x"}], r"none of Lhotse, .*its entries have text.*--from"),
    "not JSON": ("{oops\n", r"m.json:1: not JSON \(.*\): correct or export it again"),
    "not an object": ("{}\n3\n", r"its entries have|expected an object"),
    "empty": ("", r"m.json: empty: there is nothing to import"),
    "cells": ("id,wav\nu,a.wav,x\n", r"m.json:2: 3 cells, expected 2 \(id wav\)"),
    "quotes": ('id,wav\n"u,a.wav\n', r"m.json:2: unexpected end of data: correct the quotes"),
    "no header": ("a,b,c,d,e,f,g\n", r"m.json:1: a header with names \(id, wav, text, ...\) is missing"),
    "not UTF-8": (b"id,wav\n\xff,a.wav\n", r"m.json:2: not UTF-8"),
    "header alone": ("id,wav\n", r"m.json: no utterances: there is nothing to import"),
    "two columns": ("id,wav,id\n", r"m.json:1: two columns have the same name"),
    "lhotse recording": (
        [{"id": "s", "recording_id": "r", "start": 0, "duration": 1}],
        r"no manifest of recordings beside it",
    ),
    "mixed cut": ([{"id": "c", "type": "MixedCut", "tracks": []}], r":1: the cut is mixed when it is read"),
    "features": ([{"id": "c", "type": "MonoCut", "start": 0, "duration": 1}], r"has features, but no recording"),
    "no id": ([{"type": "MonoCut", "start": 0}], r":1: no `id`: add it"),
    "url": ([lhotse_recording(Path("a.wav"), [0]) | {"sources": [{"type": "url", "channels": [0], "source": "x"}]}],)
    + (r":1: its audio is a source of type url",),
    "sources": ([lhotse_recording(Path("a.wav"), [0]) | {"sources": [3]}], r"`sources` is \[3\], expected type"),
    "speed": (
        [lhotse_recording(Path("a.wav"), [0], transforms=[{"name": "Speed", "kwargs": {"factor": 0.9}}])],
        r":1: its recording is changed when it is read \(Speed\)",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_one_line(tmp_path, name):
    given, line = BAD[name]
    recording(tmp_path / "a.wav")
    source = tmp_path / "m.json"
    if isinstance(given, list):
        json_lines(source, *given)
    else:
        source.write_bytes(given if isinstance(given, bytes) else given.encode())
    with pytest.raises(UserError, match=line) as error:
        imported(source, tmp_path / "d")
    assert "\n" not in str(error.value)


def test_bad_folders_columns_and_recordings(tmp_path):
    recording(tmp_path / "a.wav")
    (tmp_path / "sets").mkdir()
    for name in ("cuts_dev.jsonl", "cuts_test.jsonl"):
        json_lines(tmp_path / "sets" / name, {"type": "MonoCut"})
    with pytest.raises(UserError, match="several sets .*cuts_dev.jsonl cuts_test.jsonl.*--split NAME"):
        imported(tmp_path / "sets", tmp_path / "d")
    (tmp_path / "kaldi").mkdir()
    (tmp_path / "kaldi/wav.scp").touch()
    with pytest.raises(UserError, match="is a Kaldi data directory already: local/import_corpus.sh takes it"):
        imported(tmp_path / "kaldi", tmp_path / "d")
    (tmp_path / "kaldi/utt2spk").touch()
    with pytest.raises(UserError, match="no utterances: there is nothing to export"):
        list(read_utterances(tmp_path / "kaldi"))
    (tmp_path / "none").mkdir()
    with pytest.raises(UserError, match="none of Lhotse, Hugging Face"):
        imported(tmp_path / "none", tmp_path / "d")
    source = json_lines(tmp_path / "m.json", NEMO)
    with pytest.raises(UserError, match="no `txt`, which --columns names; there is text"):
        imported(source, tmp_path / "d", columns={"text": "txt"})
    with pytest.raises(UserError, match="--columns: `words` is not one of id audio text"):
        imported(source, tmp_path / "d", columns={"words": "text"})
    for name, formats in (("split", "lhotse, huggingface"), ("mic", "vctk, chime")):
        with pytest.raises(UserError, match=f"--{name} is for {formats}.*, this is nemo: leave it out"):
            imported(source, tmp_path / "d", **{name: "x"})
    twice = [lhotse_recording(tmp_path / "a.wav", [0])] * 2
    with pytest.raises(UserError, match=":2: recording r is there twice"):
        imported(json_lines(tmp_path / "recordings.jsonl", *twice), tmp_path / "d")


def test_what_cannot_be_used_is_listed(tmp_path):
    recording(tmp_path / "a.wav")
    source = json_lines(tmp_path / "m.json", NEMO, NEMO | {"audio_filepath": "gone.wav", "id": "no such"})
    with pytest.raises(UserError, match=r"1 of 2 utterances cannot be used, .*skipped.tsv.*--max-skip 0.4\)"):
        imported(source, tmp_path / "d", max_skip=0.4)
    assert imported(source, tmp_path / "d", max_skip=0.5).utterances == 1
    assert (tmp_path / "d/skipped.tsv").read_text().startswith("no=20such\t")
    assert list(content(tmp_path / "d")) == ["a"]


def test_without_pyarrow_one_line_gives_the_command(tmp_path, monkeypatch):
    path = tmp_path / "x.parquet"
    path.write_bytes(b"PAR1")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(UserError, match="Arrow and Parquet take pyarrow: pip install pyarrow"):
        list(huggingface.read_huggingface(path, Reading()))
