"""Scores, costs and plots of the report; what is missing is left out."""

# ruff: noqa: F811 (fixtures)

import dataclasses
import json
import re
import shutil
import subprocess

import matplotlib
import numpy as np
import pytest
from PIL import Image
from report_maker import (  # noqa: F401 (a fixture)
    PESQ,
    TEXT,
    UTTS,
    Page,
    exp,
    tone,
    tree_at,
    write_json,
    write_log,
    write_run,
    write_scores,
    write_tree,
)

from mimic.metrics.identity import identify
from mimic.reporting import audio, plots, report_tables
from mimic.reporting.build import build
from mimic.reporting.costs import costs
from mimic.reporting.jobs import Job, read_job, read_kaldi_log
from mimic.reporting.picks import picks
from mimic.reporting.runs import differences
from mimic.reporting.score_table import MAIN_COLUMNS, parse_systems


def test_picks(exp):
    tree = tree_at(exp)
    noisy, mimic = (next(s for s in tree.scored if s.name == name) for name in ("noisy", "mimic"))
    found = picks(noisy, mimic, UTTS, "wb-pesq", 1)
    value = dict(zip(UTTS, PESQ["mimic"], strict=True))
    assert found["best"] == [max((u for u in UTTS if value[u]), key=value.get)]
    assert found["worst"] == [UTTS[3]] and found["most harmed"] == [UTTS[4]]
    assert value[found["median"][0]] == 1.4 and len(found["random"]) == 1
    assert len({utt for utts in found.values() for utt in utts}) == 5  # nobody twice
    by_words = picks(noisy, mimic, UTTS, None, 1)
    assert mimic.errors(by_words["worst"][0]) == (1, 4) and mimic.errors(by_words["best"][0]) == (0, 4)


def test_by_snr(exp):
    system = next(s for s in tree_at(exp).scored if s.name == "noisy")
    levels = plots.snr_levels(tree_at(exp).known("utt2snr"))
    assert {level: len(utts) for level, utts in levels.items()} == {"2.5": 4, "12.5": 4}
    rate = plots.word_errors(system, levels["2.5"])  # two of four with a word left out and one added
    assert (rate.mean, rate.n) == (25.0, 16) and 0 <= rate.low < 25 < rate.high <= 50
    pesq = plots.quality(system, levels["2.5"], "wb-pesq")
    assert (round(pesq.mean, 6), pesq.n, pesq.na) == (round((1.5 + 1.2 + 1.1) / 3, 6), 3, 1)
    many = {f"u{k}": f"{k - 3.3}" for k in range(15)}
    assert list(plots.snr_levels(many)) == ["-5 to 0", "0 to 5", "5 to 10", "10 to 15"]


def test_by_seed(exp):
    sides = {"X": "mse", "X + mimic": "mimic"}
    rows = [f"{name}@{seed}=,{exp}/asr_{side},{exp}/asr_{side}" for name, side in sides.items() for seed in (1, 2)]
    group = plots.by_seed(parse_systems(rows))
    assert [row[:2] for row in group.rows] == [[f"{s}test WER", "X + mimic against X"] for s in ("", "fixed ")]
    assert "(2 seeds, " in group.rows[0][4] and [key.title for key in group.keys] == list(sides)
    assert len(group.plots) == 2 and "X + mimic against X: " in group.plots[0]
    assert plots.by_seed(parse_systems(rows[::2])) is None  # one seed


def test_results_mark_the_best(exp):
    header, rows, notes = report_tables.main_scores(tree_at(exp))
    assert header == ["system", *MAIN_COLUMNS.split(",")] and notes == []
    best = {column: [row[0].text for row in rows if row[k].best] for k, column in enumerate(header)}
    assert best["PESQ"] == ["MSE"] and best["eSTOI"] == ["noisy", "MSE", "MSE + mimic"]
    assert best["test WER"] == ["MSE + mimic"]  # clean has none wrong, and is not a rival


def test_left_out_and_differences(exp):
    tree = tree_at(exp)
    rows = tree.left_out()
    assert ("exp/asr_mse", "p9-99", "skipped: the audio is <silent> & short") in rows
    assert ("exp/noisy/scoring/test", UTTS[2], "no score: wb-pesq: too short <0.25 s") in rows
    assert ("exp/asr_mse/scoring/test", UTTS[5], "no hypothesis: all its words count as deleted") in rows
    assert len(rows) == 1 + 3 + 2
    runs = [run for run in tree.runs if run.group == "enhance"]
    assert [run.name for run in runs] == ["enhance_mimic", "enhance_mse"]
    assert differences(runs) == [("loss.mimic_weight", ["0.15", "0.0"])]


def test_scores_of_another_test_set_are_not_shown_beside_this_one(exp, tmp_path):
    copy = shutil.copytree(exp, tmp_path / "exp", ignore=shutil.ignore_patterns("report"))
    other = dataclasses.replace(identify(copy / "fbank/test_clean", UTTS), text="another")
    write_json(copy / "enhance_mimic/scoring/test", other)
    systems = {scored.name: scored for scored in tree_at(copy).scored}
    assert systems["mse"].title == "MSE" and systems["mse"].words
    assert systems["mimic"].title == "MSE + mimic (other data)" and not systems["mimic"].scores
    assert systems["mimic"].words  # of this one


def test_a_tree_of_before_without_json_shows_the_same(exp, tmp_path):
    copy = shutil.copytree(exp, tmp_path / "exp", ignore=shutil.ignore_patterns("report"))
    for folder in copy.glob("*/scoring/*"):
        data = json.loads((folder / "summary.json").read_text())["data"]
        (folder / "data.json").write_text(json.dumps(data))
        for name in ("summary.json", "utterances.jsonl"):
            (folder / name).unlink(missing_ok=True)
    now, before = tree_at(copy), tree_at(exp)
    assert report_tables.main_scores(now) == report_tables.main_scores(before)
    assert report_tables.all_scores(now.scored) == report_tables.all_scores(before.scored)
    assert [(s.words, s.scores) for s in now.scored] == [(s.words, s.scores) for s in before.scored]
    assert now.left_out() == before.left_out() and not now.foreign


def test_what_was_kept_aside_is_not_shown(exp, tmp_path):
    copy = shutil.copytree(exp, tmp_path / "exp", ignore=shutil.ignore_patterns("report"))
    for name in ("asr_mse", "enhance_mse"):
        shutil.copytree(copy / name, copy / f"{name}.old")
    now, before = tree_at(copy), tree_at(exp)
    assert [s.name for s in now.systems] == [s.name for s in before.systems]
    assert [r.name for r in now.runs] == [r.name for r in before.runs]
    assert now.left_out() == before.left_out()


def test_costs(exp):
    stages = {stage.stage: (stage, steps) for stage, steps in costs(tree_at(exp))}
    features, (step,) = stages[2]
    assert (features.wall, features.work, features.jobs, features.memory) == (15, 20, 2, 120)  # 5 s side by side
    assert features.factor == pytest.approx(20 / (len(UTTS) * 0.6)) and step.name == "exp/fbank/test_noisy"
    training = stages[4][0]
    assert training.memory == 512 and training.factor == pytest.approx(48 / (3 * len(UTTS) * 0.6))  # three epochs


def test_costs_know_a_stage_by_its_programs(tmp_path):
    """Names of directories say nothing; features of enhanced speech count with it."""
    commands = {"a/wav": "enhance.py m in exp/a/wav", "a/b": "make_feats.py exp/a/wav", "stft": "decode.py"}
    for folder, command in (commands | {"x": "train.py"}).items():
        write_log(tmp_path / f"exp/{folder}/log/x.1.log", command, "01:00:00", 10, 100)
    write_run(tmp_path / "exp/x", {"task": "asr", "data": {"token_type": "phn"}}, "wer")
    found = {stage.stage: [step.name for step in steps] for stage, steps in costs(tree_at(tmp_path / "exp"))}
    assert found == {3: ["exp/x"], 5: ["exp/a/b", "exp/a/wav"], 6: ["exp/stft"]}


def test_log_of_a_launcher(tmp_path, repository):
    """What launch.py writes now is what the report reads."""
    log = tmp_path / "x.log"
    words = ["sh", "-c", "sleep 1", "a  b", "it's"]
    subprocess.run([repository / "steps/lib/launch.py", log, *words], check=True)
    job = read_job(log)
    assert job and job.command == words and job.seconds in (1, 2) and 1 <= job.memory < 100
    old = read_kaldi_log(log)  # its log alone says the same, to the second
    assert old and old == Job(words, old.begin, job.seconds, job.memory)
    subprocess.run([repository / "steps/lib/launch.py", log, "false"], check=False, capture_output=True)
    assert read_job(log) is None and read_kaldi_log(log) is None


def test_images_are_on_one_scale(tmp_path):
    waveforms = {"clean": tone(0.5), "noisy": tone(0.5), "x": tone(0.05)}  # x is 20 dB below
    files = audio.write_images(waveforms, tmp_path, "1")
    assert sorted(files) == ["clean", "noisy", "x", "x-gain"]
    loud, soft = (np.asarray(Image.open(tmp_path / files[name]).convert("L"), float) for name in ("noisy", "x"))
    assert loud.shape == soft.shape == (257, 1 + len(waveforms["clean"]) // audio.HOP)
    ridge = loud > 150
    assert ridge.sum() > 50 and (loud[ridge] - soft[ridge]).min() > 15
    gain = np.asarray(Image.open(tmp_path / files["x-gain"]).convert("RGB"), float)
    there = np.array(matplotlib.colormaps[audio.GAIN](1 - 20 / audio.DEEPEST_DB)[:3]) * 255
    assert np.abs(np.median(gain[ridge], axis=0) - there).max() < 12
    top = np.argmax(loud.sum(1))
    assert top > 257 / 2  # 300 Hz and up to 3.6 kHz lie in the lower half of the picture


GONE = {
    "everything": ([""], "There are no systems here"),
    "scores of enhanced speech": (["noisy", "enhance_*/scoring"], "no scores of enhanced and noisy speech"),
    "recognisers": (["asr_*"], "There is no decoded text of this utterance"),
    "training logs": (["*/train_log.jsonl"], "There are no training logs"),
    "configurations": (["*/config.yaml"], "There are no two runs of one task"),
    "job logs": (["*/log", "*/*/log"], "There are no records or logs of jobs"),
    "features": (["fbank"], None),
    "enhanced audio": (["enhance_*/wav"], None),
    "SNR": (["*/*/utt2snr", "*/*/*/utt2snr"], "There are no scores by SNR"),
    "run_info": (["*/run_info.json"], "It has no run_info.json"),
}


@pytest.mark.parametrize("what", GONE)
def test_missing_parts_are_left_out(what, exp, tmp_path):
    patterns, message = GONE[what]
    copy = tmp_path / "exp"
    shutil.copytree(exp, copy, ignore=shutil.ignore_patterns("report"))
    for pattern in patterns:
        for path in [copy] if pattern == "" else list(copy.glob(pattern)):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    copy.mkdir(exist_ok=True)
    build([tree_at(copy)], tmp_path / "report", 1, [])
    texts = " ".join(Page(path).text for path in tmp_path.glob("report/**/*.html"))
    assert message is None or message in texts
    if what == "features":
        assert "No audio: there is no such audio in the experiment directory" in texts


def test_audio_that_cannot_be_read_is_a_sentence(exp, tmp_path):
    copy = tmp_path / "exp"
    shutil.copytree(exp, copy, ignore=shutil.ignore_patterns("report"))
    scp = copy / "enhance_mse/wav/test/wav.scp"
    scp.write_text("".join(f"{utt} cat x.wav |\n" for utt in UTTS))
    assert build([tree_at(copy)], tmp_path / "report", 1, []) == 5
    pages = " ".join(Page(path).text for path in tmp_path.glob("report/utt/*.html"))
    assert "cat x.wav | is a shell pipe" in pages


def test_two_trees(exp, tmp_path):
    other = tmp_path / "other/exp"
    shutil.copytree(exp, other, ignore=shutil.ignore_patterns("report"))
    shutil.rmtree(other / "enhance_mimic/scoring/test")
    write_scores(other / "enhance_mimic/scoring/test", [None if v is None else v + 0.5 for v in PESQ["mimic"]])
    shutil.rmtree(other / "asr_clean")
    (other / "enhance_mimic/config.yaml").write_text("{task: enhance, loss: {mimic_weight: 0.5}}")
    colours: dict[str, int] = {}
    trees = [tree_at(exp, label="mine", colours=colours), tree_at(other, label="yours", second=True, colours=colours)]
    titles, rows = report_tables.side_by_side(*trees)
    assert titles == MAIN_COLUMNS.split(",")
    by_name = {row[0]: row[1:] for row in rows}
    assert by_name["MSE + mimic"][2] == "+0.50" and by_name["MSE"][2] == "+0.00"
    assert by_name["clean"][-2:] == ["-", "-"]  # the other tree has none
    build(trees, tmp_path / "report", 1, [])
    index = Page(tmp_path / "report/index.html")
    assert "MSE + mimic (yours)" in index.text and "enhance_mimic (yours)" in index.text
    players = Page(next(p for p in tmp_path.glob("report/utt/*.html") if "<audio" in p.read_text())).all("audio")
    assert [a["aria-label"] for a in players][2:] == [
        f"{name} ({label})" for label in ("mine", "yours") for name in ("MSE", "MSE + mimic")
    ]


def test_step(exp, tmp_path, repository):
    copy = tmp_path / "a b" / "exp"
    shutil.copytree(exp, copy, ignore=shutil.ignore_patterns("report"))

    def step(*words: str, code: int = 0) -> str:
        command = ["steps/report.sh", "--num-utts", "1", *words, str(copy)]
        result = subprocess.run(command, cwd=repository, capture_output=True, text=True)
        assert result.returncode == code, result.stdout + result.stderr
        return result.stdout + result.stderr

    assert "look at" in step() and (copy / "report/index.html").exists()
    assert "done and unchanged: skipping" in step()
    scores = copy / "enhance_mse/scoring/test"
    shutil.rmtree(scores)
    write_scores(scores, [2.0] * len(UTTS))
    assert re.search("to do again, input .*enhance_mse/scoring/test/.*(changed|not used any more)", step())
    assert "no such utterance" in step("--utts", "nobody", code=1)
    assert "invalid option --pick" in step("--pick", "3", code=1)
    assert "is missing" in step("--compare", str(tmp_path / "nowhere"), code=1)
