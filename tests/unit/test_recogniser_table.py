"""The table of recognisers: sizes, hours, real-time factors and rates of what is there."""

import json

import pytest
from model_maker import program

from mimic.errors import UserError
from mimic.metrics.figures import Mean, Scores
from mimic.metrics.scores import summary_text
from mimic.reporting.recognisers import Recogniser, row, training_hours


def job(log, command, begin, seconds):
    log.parent.mkdir(parents=True, exist_ok=True)
    log.write_text("")
    events = [{"event": "start", "time": begin, "command": command}]
    events.append({"event": "end", "time": begin + seconds, "code": 0, "seconds": seconds, "memory": 9})
    log.with_name(f"{log.name}.jsonl").write_text("".join(json.dumps(event) + "\n" for event in events))


def scored(folder, wer):
    folder.mkdir(parents=True)
    (folder / "summary.json").write_text(summary_text(Scores(4, {"wer": Mean(wer, wer - 1, wer + 1, 4, 0)})))


@pytest.fixture
def exp(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data/utt2num_frames").write_text("a 3000\nb 1000\n")
    (tmp_path / "data/frame_shift").write_text("0.01\n")
    for seed, wer in (("", 20.0), ("_seed2", 24.0)):
        net = tmp_path / f"net{seed}"
        scored(net / "clean/scoring/test", wer)
        (net / "summary.json").write_text(json.dumps({"parameters": 12345, "seconds": 5400}))
        for n in (1, 2):
            job(net / f"decode_test_clean/log/decode.{n}.log", ["x.py", str(tmp_path / "data")], 10, 5)
        job(net / "decode_test_clean/log/score_lattices.log", ["x.py"], 10, 900)
    ctc = tmp_path / "ctc"
    scored(ctc / "noisy_ngram/scoring/test", 50.0)
    job(ctc / "noisy_ngram/decode_test/log/decode.1.log", ["x.py", str(tmp_path / "data")], 10, 4)
    return tmp_path


def test_rows(exp):
    found = row(Recogniser.parse(f"net={exp}/net<seed>"), ["clean", "noisy"], [1, 2], "test")
    assert found == ["net", "12,345", "1.50", "0.25", "22.00 +- 2.83", "-"]
    found = row(Recogniser.parse(f"ctc={exp}/ctc,<input>_ngram"), ["clean", "noisy"], [1, 2], "test")
    assert found == ["ctc", "-", "-", "0.10", "-", "50.00"]
    with pytest.raises(UserError, match="no such directory: train gone first"):
        row(Recogniser.parse(f"gone={exp}/gone"), ["clean"], [1], "test")
    with pytest.raises(UserError, match="expected name=directory"):
        Recogniser.parse("gone")


def test_hours_of_jobs_that_run_side_by_side(exp):
    for n, (begin, seconds) in enumerate([(100, 3600), (400, 1800), (5000, 1800)]):
        job(exp / f"gmm/log/acc.{n}.log", ["x.py"], begin, seconds)
    assert training_hours(exp / "gmm") == 1.5


def test_the_page_and_its_record(exp, capsys):
    words = [f"net={exp}/net<seed>", "--seeds", "2", "--output", exp / "SYSTEMS.md", "--command", "local/run_ligru.sh"]
    assert program("recogniser_table.py", *words) == 0
    assert "22.00 +- 2.83" in capsys.readouterr().out
    assert "| net | 12,345 | 1.50 | 0.25 | 22.00 +- 2.83 | - |" in (exp / "SYSTEMS.md").read_text()
    record = json.loads((exp / "SYSTEMS.json").read_text())
    assert record["facts"]["command"] == "`local/run_ligru.sh`" and record["facts"]["seeds"] == "1, 2"
