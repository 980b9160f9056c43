"""Synthetic speech of a text: a data directory with phones, the same samples in any number of jobs."""

import pytest
from data_maker import last_line, run, snapshot

from mimic.corpus.validate import Options, validate
from mimic.io.tables import read_table

pytest.importorskip("espeakng_loader")


@pytest.fixture
def files(tmp_path):
    (tmp_path / "text").write_text("red  door\nunknown words\nred door\nRED\nDOOR RED DOOR\n")
    (tmp_path / "lexicon").write_text("RED R EH1 D\nDOOR D AO1 R\n")
    return [tmp_path / "lexicon", tmp_path / "text"]


def test_sentences_of_the_lexicon_by_voices_in_turn(files, tmp_path):
    lexicon, text = files
    words = ["local/demo/synthesise.sh", "--lexicon", lexicon, "--repeats", "2"]
    for nj in ("1", "2"):
        done = run(*words, "--nj", nj, text, tmp_path / nj)
        assert done.returncode == 0, done.stderr
    out = tmp_path / "1"
    assert snapshot(out / "wav") == snapshot(tmp_path / "2/wav")
    assert sorted(read_table(out / "text").values()) == ["DOOR RED DOOR"] * 2 + ["RED DOOR"] * 2
    assert read_table(out / "text.phn")["d01-s000000"] == "R EH D AO R"  # one D, as in fluent speech
    assert len(set(read_table(out / "utt2spk").values())) == 4
    assert not [problem.line for problem in validate(out, Options()).problems if problem.error]
    assert "is done and unchanged: skipping" in run(*words, "--nj", "2", text, out).stdout


def test_a_text_without_usable_lines_is_named(files, tmp_path):
    lexicon, text = files
    text.write_text("unknown words\n")
    done = run("local/demo/synthesise.sh", "--nj", "1", "--lexicon", lexicon, text, tmp_path / "out")
    assert done.returncode and f"{text}: no line of 2 to 20 words, all of the lexicon" in done.stderr
    assert "no such file" in last_line(run("local/demo/synthesise.sh", tmp_path / "none", tmp_path / "out"))
