"""steps/status.sh: what runs, what stopped or failed, and what is done; and where curves of a training go."""

import json
import os
import time
from pathlib import Path

import pytest
from data_maker import ROOT
from model_maker import program
from peers import run_peer

from mimic.errors import UserError
from mimic.io.lock import Lock
from mimic.reporting.status import QUIET_S, duration, states
from mimic.training import trackers
from mimic.training.logs import TrainLog

STATUS = {
    "name": "x",
    "epoch": 2,
    "epochs": 5,
    "loss": 0.5,
    "lr": 0.1,
    "best": {"metric": "pesq", "value": 2.5, "epoch": 1},
}


def training(folder: Path, caplog, summary: dict | None = None) -> TrainLog:
    """A training at step 30 of 100, which has read 120 utterances."""
    folder.mkdir(parents=True)
    log = TrainLog(folder, 1, 0, "none")
    log._reported -= 3  # its last line is older than two seconds
    with caplog.at_level("INFO"):
        log.progress(30, 100, lambda: STATUS | {"name": folder.name, "utterances": 120, "memory_mb": 812})
    if summary:
        (folder / "summary.json").write_text(json.dumps(summary))
    (folder / "checkpoints").mkdir()
    return log


def job(folder: Path, name: str, *events: dict, age: float = 0) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text("")
    os.utime(folder / name, (time.time() - age,) * 2)
    (folder / f"{name}.jsonl").write_text("".join(json.dumps(event) + "\n" for event in events))


def test_a_line_for_each_training_and_each_step(tmp_path, caplog, capsys):
    summary = {"epochs": 5, "steps": 100, "seconds": 3723, "best_metric": "pesq", "best_epoch": 4}
    training(tmp_path / "done", caplog, summary | {"metrics": {"pesq": 2.5}})
    training(tmp_path / "deep/er/stopped", caplog)
    training(tmp_path / "enhance_x", caplog)
    start = {"event": "start", "time": 100.0, "command": ["x"]}
    half = {"event": "progress", "time": 160.0, "done": 250, "total": 1000, "unit": "utterances"}
    end = {"event": "end", "time": 200.0, "seconds": 100, "memory": 5, "code": 0}
    job(tmp_path / "decode/log", "d.1.log", start, half)
    job(tmp_path / "decode/log", "d.2.log", start, end)
    job(tmp_path / "killed/log", "d.1.log", start, age=2 * QUIET_S)
    job(tmp_path / "failed/log", "d.1.log", start, end | {"code": 1})
    job(tmp_path / "stft/log", "s.1.log", start, end)
    job(tmp_path / "stft.old/log", "s.1.log", start, end)
    with Lock(tmp_path / "enhance_x/checkpoints/.lock"):
        found = {state.name: (state.state, state.words) for state in states(tmp_path)}
        assert program("status.py", tmp_path, "--all", "false") == 0
    assert found.keys() == {"done", "deep/er/stopped", "enhance_x", "decode", "killed", "failed", "stft"}
    state, words = found["enhance_x"]
    assert state == "running" and "epoch 2/5, step 30/100, loss 0.5000, best pesq 2.5 (epoch 1), " in words
    assert "812 MB, " in words and words.endswith(" left")
    assert found["done"] == ("done", "5 epochs, 100 steps in 1 h 2 min; best pesq 2.5 (epoch 4)")
    assert found["deep/er/stopped"] == ("stopped", "at epoch 2/5, step 30/100: the same command resumes it")
    assert found["decode"] == ("running", "1 of 2 jobs done, 250/1000 utterances, 3 min left")
    assert found["killed"][0] == "stopped" and found["failed"][0] == "failed" and "d.1.log" in found["failed"][1]
    assert found["stft"] == ("done", "1 job took 1 min 40 s")
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1] == "2 running, 2 stopped, 1 failed, 2 done" and not [x for x in lines[:-1] if " done  " in x]
    assert program("status.py", tmp_path / "absent") == 1 and "no such directory" in caplog.text


def test_a_damaged_file_hides_nothing_else(tmp_path, caplog):
    for name in ("list", "number", "log", "good"):
        training(tmp_path / name, caplog)
    (tmp_path / "list/status.json").write_text("[1]")
    (tmp_path / "number/summary.json").write_text("3")
    (tmp_path / "log/status.json").unlink()
    (tmp_path / "log/progress.jsonl").write_text("x\n")
    job(tmp_path / "jobs/log", "d.1.log", {"no": "event"})
    found = {state.name: (state.state, state.words) for state in states(tmp_path)}
    assert found.pop("good")[0] == "stopped" and found.keys() == {"list", "number", "log"}
    assert all(state == "failed" and "has a damaged status.json" in words for state, words in found.values())


def test_a_line_of_a_training_says_which_model(tmp_path, caplog):
    training(tmp_path / "enhance_x", caplog)
    assert "progress: 30/100 steps, enhance_x, epoch 2/5, loss 0.5000, best pesq 2.5 (epoch 1), " in caplog.text
    status = json.loads((tmp_path / "enhance_x/status.json").read_text())
    assert 0 < status["utterances_per_second"] <= 40 and status["seconds_left"] >= 0 and status["step"] == 30
    assert not (tmp_path / "enhance_x/tensorboard").exists()


def test_a_tracker_that_is_not_installed():
    for name, package in trackers.PACKAGES.items():
        if not trackers.importlib.util.find_spec(name):
            with pytest.raises(UserError, match=f"--train.tracker {name}: it is not installed: .* install {package}"):
                trackers.check(name)


MLFLOW = """
import json, sys
sys.path.insert(0, sys.argv[1])
from pathlib import Path
import numpy as np
from mimic.training.trackers import tracker
folder = Path(sys.argv[2])
for step in (1, 2):  # the second one resumes
    run = tracker("mlflow", folder, step)
    run.add({"train/loss": 1 / step, "valid/pesq": 2.0}, step)
    run.add_audio("samples/u/noisy", np.zeros(800, np.float32), 8000, 1)
    run.add_image("samples/u/spectra", np.zeros((2, 3), np.uint8), 1)
    run.add_histogram("weights/w", np.arange(9.0), step)
    run.close()
found = run.client.search_runs([e.experiment_id for e in run.client.search_experiments() if e.name == "mimic"])
points = run.client.get_metric_history(found[0].info.run_id, "train/loss")
files = sorted(str(path.relative_to(folder)) for path in folder.rglob("step-*"))
print(json.dumps([len(found), found[0].data.params, found[0].info.status, [[p.step, p.value] for p in points], files]))
"""
WANDB = """
import json, sys
sys.path.insert(0, sys.argv[1])
from pathlib import Path
import numpy as np
from mimic.training.trackers import tracker
run = tracker("wandb", Path(sys.argv[2]), 0)
run.add({"train/loss": 0.5}, 1)
run.add_audio("samples/u/noisy", np.zeros(800, np.float32), 8000, 1)
run.add_image("samples/u/spectra", np.zeros((2, 3), np.uint8), 1)
run.add_histogram("weights/w", np.arange(9.0), 1)
run.close()
print(json.dumps([dict(run.run.config), run.run.settings.mode, run.run.name]))
"""


def test_curves_in_mlflow(tmp_path):
    (tmp_path / "config.yaml").write_text("task: asr\ntrain: {lr: 0.1}\n")
    params = {"task": "asr", "train.lr": "0.1"}
    *found, files = run_peer("mlflow", MLFLOW, ROOT / "pyscripts", tmp_path)
    assert found == [1, params, "FINISHED", [[1, 1.0], [2, 0.5]]]
    names = ["samples/u/noisy/step-000000001.wav", "samples/u/spectra/step-000000001.png"]
    names += [f"weights/w/step-00000000{step}.json" for step in (1, 2)]
    assert [name.partition("artifacts/")[2] for name in files] == names


def test_curves_in_wandb_without_a_network(tmp_path):
    (tmp_path / "config.yaml").write_text("task: asr\n")
    assert run_peer("wandb", WANDB, ROOT / "pyscripts", tmp_path) == [{"task": "asr"}, "offline", tmp_path.name]
    (sent,) = (tmp_path / "wandb").glob("offline-run-*/*.wandb")
    assert all(name in sent.read_bytes() for name in (b"train/loss", b"samples/u/noisy", b"weights/w"))
    assert {path.suffix for path in sent.parent.glob("files/media/**/*.*")} == {".wav", ".png"}


def test_durations():
    assert [duration(s) for s in (0, 59.6, 3600, 90061)] == ["0 s", "1 min", "1 h", "1 d 1 h"]
