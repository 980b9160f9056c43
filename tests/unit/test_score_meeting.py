"""cpWER and tcpWER of transcripts with speakers; meeteval is an optional package."""

import json
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import score_meeting

from mimic.errors import UserError
from mimic.metrics.comparison import compare, read_system
from mimic.metrics.meeting import INSTALL
from mimic.metrics.scores import read_rows, read_scores
from mimic.metrics.speaker_transcripts import read_transcripts

needs_meeteval = pytest.mark.skipif(find_spec("meeteval") is None, reason=f"no meeteval: {INSTALL}")
REFERENCE = "a 1 A 0 2 hello there you\na 1 B 2 3 yes\n;; a remark\nb 1 A 0 1.5 one two\nb 1 C 1.5 2 four\n"


def program(monkeypatch, *words: object) -> None:
    monkeypatch.setattr(sys, "argv", ["score_meeting.py", *map(str, words)])
    score_meeting.main()


def random_stm(seed: int, speakers: int) -> str:
    """Two sessions of a minute, segments with random words."""
    draw = np.random.default_rng(seed)
    lines = []
    for session in "ab":
        for k in range(30):
            words = " ".join(draw.choice(list("stuvwxyz"), draw.integers(1, 6)))
            lines.append(f"{session} 1 spk{draw.integers(speakers)} {2 * k} {2 * k + 1.5} {words}\n")
    return "".join(lines)


def read(path: Path, text: str):
    path.write_text(text)
    return read_transcripts([path], str)


def test_formats_give_the_same(tmp_path):
    stm = read(tmp_path / "x.stm", "a 1 A 0 1 one two\na 1 B 1 2.5\n")
    segments = [
        {"session_id": "a", "speaker": "A", "start_time": 0, "end_time": 1, "words": "one two"},
        {"session_id": "a", "speaker": "B", "start_time": "1", "end_time": 2.5, "words": ""},
    ]
    assert read(tmp_path / "x.json", json.dumps(segments)) == stm and stm.problems == {}
    ctm = read(tmp_path / "x.ctm", "a A 0 0.5 one 0.9\na A 0.5 0.5 two\n")
    assert [(s["speaker"], s["start_time"], s["words"]) for s in ctm.sessions["a"]] == [
        ("A", 0, "one"),
        ("A", 0.5, "two"),
    ]
    (tmp_path / "y.ctm").write_text("a A 0 0.5 three\n")
    both = read_transcripts([tmp_path / "x.ctm", tmp_path / "y.ctm"], str.upper)
    assert [(s["speaker"], s["words"]) for s in both.sessions["a"]] == [("x", "ONE"), ("x", "TWO"), ("y", "THREE")]


@pytest.mark.parametrize(
    ("name", "text", "problem"),
    [
        ("x.stm", "a 1 A 0\n", "x.stm:1: expected `session channel speaker"),
        ("x.stm", "a 1 A 2 1 word\n", "0 <= start <= end"),
        ("x.stm", "a 1 A nan 1 word\n", "0 <= start <= end"),
        ("x.ctm", "a 1 0 word\n", "x.ctm:1: expected `session channel start"),
        ("x.ctm", "a 1 -1 2 word\n", "times from 0 in seconds"),
        ("x.json", '[{"session_id": "a", "words": "x"}]', "segment 1: expected speaker and words"),
        ("x.json", '[{"session_id": "a", "speaker": "A", "words": "x", "start_time": 1}]', "start_time <= end_time"),
    ],
)
def test_a_bad_line_is_a_problem_of_its_session(tmp_path, name, text, problem):
    assert problem in read(tmp_path / name, text).problems["a"]


@pytest.mark.parametrize(
    ("name", "text", "problem"),
    [
        ("x.json", "[", "x.json: not JSON"),
        ("x.json", "{}", "expected a list of segments"),
        ("x.json", '[{"speaker": "A"}]', "segment 1: expected an object with session_id"),
        ("x.rttm", "", "expected a file .stm, .json"),
    ],
)
def test_files_without_sessions(tmp_path, name, text, problem):
    with pytest.raises(UserError, match=problem):
        read(tmp_path / name, text)


def test_without_meeteval(tmp_path, monkeypatch):
    monkeypatch.setattr("mimic.registry.find_spec", lambda name: None)
    with pytest.raises(UserError, match="meeteval is not installed: .* -m pip install --no-deps meeteval==0.4.3"):
        program(monkeypatch, tmp_path / "ref.stm", tmp_path / "hyp.stm", tmp_path / "scoring")


@needs_meeteval
def test_rates_are_those_of_meeteval(tmp_path, monkeypatch):
    import meeteval

    for name, seed, speakers in (("ref", 1, 3), ("hyp", 2, 4)):
        (tmp_path / f"{name}.stm").write_text(random_stm(seed, speakers))
    paths = [str(tmp_path / f"{name}.stm") for name in ("ref", "hyp")]
    program(monkeypatch, *paths, tmp_path / "scoring")
    figures = read_scores(tmp_path / "scoring").figures
    for rate, expected in (("cpwer", meeteval.wer.cpwer(*paths)), ("tcpwer", meeteval.wer.tcpwer(*paths, collar=5))):
        total = sum(expected.values())
        assert (figures[rate].counts["errors"], figures[rate].n) == (total.errors, total.length)
        assert figures[rate].mean == pytest.approx(100 * total.error_rate, abs=1e-4)
        for session, row in read_rows(tmp_path / "scoring").items():
            assert sum(op != "C" for _, _, op in row.alignments[rate]) == expected[session].errors
    system = read_system(str(tmp_path / "scoring"), "test")
    found = compare([(system, system)], ("a", "b"), replications=10)
    assert [(one.measure, one.a) for one in found] == [(r, pytest.approx(figures[r].mean, abs=1e-3)) for r in figures]


@needs_meeteval
def test_bad_and_missing_sessions(tmp_path, monkeypatch, capsys):
    ref, hyp, scoring = tmp_path / "ref.stm", tmp_path / "hyp.json", tmp_path / "scoring"
    ref.write_text(REFERENCE + "c 1 A 0 one\n")
    hyp.write_text(json.dumps([{"session_id": "a", "speaker": "1", "words": "hello there"}]))
    with pytest.raises(UserError, match=r"2 of 3 sessions are errors .*first a: a segment has no times"):
        program(monkeypatch, ref, hyp, scoring)
    lines = [line.split("\t") for line in (scoring / "per_session.tsv").read_text().splitlines()[3:]]
    assert lines[0] == ["a", "cpwer", "2", "4", "0", "2", "0", "A=1 B=-", "-"]
    assert lines[1][:3] == ["a", "tcpwer", "NA"] and lines[2][:4] == ["b", "cpwer", "3", "3"]
    assert lines[4][2] == "NA" and "ref.stm:6: expected `session channel" in lines[4][-1]
    assert "cpwer: %WER 71.43 [ 5 / 7, 0 ins, 5 del, 0 sub ]" in capsys.readouterr().out
    figures = read_scores(scoring).figures
    assert figures["cpwer"].na == 1 and figures["tcpwer"].na == 2 and figures["tcpwer"].mean == 100
    program(monkeypatch, "--max-skip", "0.7", ref, hyp, scoring)
    hyp.write_text('[{"session_id": "z", "speaker": "1", "words": "x"}]')
    with pytest.raises(UserError, match="z: session without a reference"):
        program(monkeypatch, ref, hyp, scoring)
    ref.write_text("a 1 A 0 1\n")
    with pytest.raises(UserError, match="no session has a word"):
        program(monkeypatch, ref, ref, scoring)
