"""A small experiment tree as the recipe leaves it, with ids and texts that pages must escape."""

import json
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import soundfile
from score_maker import RATE, noisy, speechlike

from mimic.io.tables import write_data_dir
from mimic.metrics import scores
from mimic.metrics.enhancement import Row, write_rows
from mimic.metrics.figures import means, summary
from mimic.metrics.identity import Identity, identify
from mimic.metrics.kaldi_files import score_files, write_files
from mimic.metrics.wer import align_set
from mimic.reporting.score_table import tsv
from mimic.reporting.tree import Tree

UTTS = [f"p{k % 2}-{k:02d}" for k in range(7)] + ["p1-<b>&'q\""]  # in C order once sorted
UTTS.sort()
TEXT = "GO <UNK> & STOP"
MEASURES = ("wb-pesq", "estoi")
# wb-PESQ by utterance, in the order of UTTS; the third has no score.
PESQ = {
    "noisy": [1.5, 1.2, None, 1.1, 2.0, 1.4, 1.3, 1.9],
    "mse": [1.6, 1.5, None, 1.2, 1.7, 1.5, 1.3, 2.5],
    "mimic": [1.7, 1.4, None, 1.1, 1.2, 1.6, 1.4, 2.6],
}
WORDS = {"clean": TEXT, "noisy": "GO & STOP NOW", "mse": "GO <UNK> STOP", "mimic": "NO <UNK> & STOP"}


def write_tree(parent: Path, seconds: float = 0.6) -> Path:
    """parent/data and parent/exp; returns the latter."""
    exp = parent / "exp"
    tables: dict[str, dict[str, str]] = {
        "text": dict.fromkeys(UTTS, TEXT),
        "utt2spk": {utt: utt[:2] for utt in UTTS},
        "utt2snr": {utt: "2.5" if k < 4 else "12.5" for k, utt in enumerate(UTTS)},
        "utt2noise": {utt: ("rain", "rock & roll")[k % 2] for k, utt in enumerate(UTTS)},
        "utt2dur": dict.fromkeys(UTTS, f"{seconds:g}"),
    }
    places = {
        "clean": exp / "fbank/test_clean",
        "noisy": exp / "fbank/test_noisy",
        "mse": exp / "enhance_mse/wav/test",
        "mimic": exp / "enhance_mimic/wav/test",
    }
    (parent / "data").mkdir(parents=True)
    for side, place in places.items():
        wavs = {utt: str(parent / "data" / f"{side} {k}.wav") for k, utt in enumerate(UTTS)}
        for k, wav in enumerate(wavs.values()):
            x = speechlike(seconds, k)
            level = {"clean": 0.0, "noisy": 0.1, "mse": 0.03, "mimic": 0.01}[side]
            soundfile.write(wav, noisy(x, level) if level else x, RATE, "PCM_16")
        write_data_dir(place, tables | {"wav.scp": wavs})
    for side, values in PESQ.items():
        write_scores(exp / ("noisy" if side == "noisy" else f"enhance_{side}") / "scoring/test", values)
    for side, text in WORDS.items():
        hyps = {utt: text if k % 2 else TEXT for k, utt in enumerate(UTTS) if side != "mse" or k != 5}
        for part in ("dev", "test"):
            write_wer(exp / f"asr_{side}", part, tables, hyps)
        write_run(exp / f"asr_{side}", {"task": "asr", "train": {"seed": 1, "epochs": 3}}, "wer")
    for side in ("mse", "mimic"):
        weight = 0.0 if side == "mse" else 0.15
        write_run(exp / f"enhance_{side}", {"task": "enhance", "loss": {"mimic_weight": weight}}, "pesq")
    for folder in exp.glob("*/scoring/*"):
        write_json(folder, identify(exp / "fbank/test_clean", UTTS))
    (exp / "asr_mse/skipped.tsv").write_text("p9-99\tthe audio is <silent> & short\n")
    write_log(exp / "fbank/test_noisy/log/make_feats.1.log", "make_feats.py --job 1", "01:00:00", 10, 100)
    write_log(exp / "fbank/test_noisy/log/make_feats.2.log", "make_feats.py --job 2", "01:00:05", 10, 120)
    write_log(
        exp / "enhance_mse/log/train.log", "train.py --data.train_noisy exp/fbank/test_noisy", "02:00:00", 48, 512
    )
    return exp


def write_json(folder: Path, data: Identity) -> None:
    """The JSON of scores beside what is there of them, as of this data."""
    scores.write_scores(folder, replace(scores.read_scores(folder), data=data), scores.read_rows(folder).values())


def write_scores(folder: Path, values: list[float | None]) -> None:
    rows = [
        Row(utt, {"wb-pesq": v, "estoi": 0.8}, "-" if v else "wb-pesq: too short <0.25 s")
        for utt, v in zip(UTTS, values, strict=True)
    ]
    folder.mkdir(parents=True)
    write_rows(folder / "per_utt.tsv", rows, MEASURES)
    (folder / "summary.tsv").write_text("# at 16000 Hz\n" + tsv(summary(means(rows, MEASURES))))


def write_wer(asr: Path, part: str, tables: dict[str, dict[str, str]], hyps: dict[str, str]) -> None:
    alignments = align_set(tables["text"], hyps)
    decode = asr / f"decode_{part}"
    files = score_files(alignments, tables["utt2spk"], "wer", str(decode), {"normaliser": "none"})
    decode.mkdir(parents=True)
    write_files(files, decode, asr / "scoring" / part)


def write_run(folder: Path, config: dict, score: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.yaml").write_text(json.dumps(config))  # JSON is YAML
    info = {"started": "2026-01-02T03:04:05+00:00", "command": ["train.py", "<x>"], "revision": "abc", "seed": 1}
    (folder / "run_info.json").write_text(json.dumps(info | {"packages": {"torch": "2.11.0"}}))
    epochs = [{"epoch": k, "train_loss": 1 / k, "valid_loss": 2 / k, f"valid_{score}": 1.0 + k} for k in (1, 2, 3)]
    (folder / "train_log.jsonl").write_text("".join(json.dumps(epoch) + "\n" for epoch in epochs))


def write_log(path: Path, command: str, clock: str, seconds: int, memory: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        f"# {command}\n# Started at Fri Jan  2 {clock} UTC 2026\n#\nhello\n"
        f"# Accounting: time={seconds} threads=1 memory={memory}M\n"
        f"# Ended (code 0) at Fri Jan  2 {clock} UTC 2026, elapsed time {seconds} seconds\n"
    )


def tone(level: float, seconds: float = 0.5) -> np.ndarray:
    """A sweep of the given level (samples,) float32."""
    t = np.arange(round(seconds * RATE)) / RATE
    return (level * np.sin(2 * np.pi * (300 + 3000 * t) * t)).astype(np.float32)


def tree_at(exp: Path, **more: object) -> Tree:
    return Tree(exp, exp.parent / "data", **more)


@pytest.fixture(scope="module")
def exp(tmp_path_factory) -> Path:
    return write_tree(tmp_path_factory.mktemp("a tree"))


class Page(HTMLParser):
    """Tags with their attributes, and all text."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.text += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]
