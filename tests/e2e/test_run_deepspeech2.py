"""local/run_deepspeech2.sh on a very small corpus: from data directories to the table."""

import json
import os
import subprocess
from pathlib import Path

import pytest
from data_maker import LEXICON, ROOT, make_dir
from model_maker import make_enhancer

from mimic.io.tables import read_table, write_table
from mimic.training import checkpoint

pytestmark = pytest.mark.xdist_group("deepspeech2")
SETS = ("train", "dev", "test")
YAML = Path(__file__).with_name("deepspeech2.yaml")


def make_corpus(path: Path, *sides: str) -> Path:
    for name in SETS:
        for side in sides:
            folder = make_dir(path / f"{name}_{side}", noise=0.05 * (side == "noisy"))
            phones = dict(line.split(" ", 1) for line in LEXICON.splitlines())
            texts = {utt: " ".join(map(phones.get, text.split())) for utt, text in read_table(folder / "text").items()}
            write_table(folder / "text.phn", texts)
    return path


def recipe(*words: object) -> subprocess.CompletedProcess:
    command = ["local/run_deepspeech2.sh", "--nj", "1", *map(str, words)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=1800)


def test_from_data_directories_to_the_table(tmp_path):
    corpus, exp = make_corpus(tmp_path / "corpus", "clean"), tmp_path / "exp"
    words = ["--corpus", corpus, "--exp", exp, "--pretrain", corpus, "--asr-config", YAML, "--pretrain-config", YAML]
    words += ["--ngram-order", "2", "--decode-options", "--decode.beam 4"]
    done = recipe(*words)
    assert done.returncode == 0, done.stdout + done.stderr
    rows = [line for line in (exp / "RESULTS.md").read_text().splitlines() if line.startswith("| clean")]
    assert [row.split("|")[1].strip() for row in rows] == ["clean, greedy", "clean, ngram"]
    assert all("(n=" in row and "NA" not in row for row in rows)
    for way in ("greedy", "ngram"):
        assert sorted(read_table(exp / f"asr/clean_{way}/decode_test/text")) == sorted(
            read_table(corpus / "test_clean/text")
        )
    recognised_words = {
        w for text in read_table(exp / "asr/clean_ngram/decode_test/text").values() for w in text.split()
    }
    assert recognised_words <= set("ONE TWO THREE FOUR FIVE".split())  # of the lexicon that the text has made
    options = (exp / "asr/clean_ngram/tuned/options").read_text()
    assert "--decode.ngram_lm_scale" in options and "--decode.word_insertion_bonus" in options
    assert json.loads((exp / "asr/train_log.jsonl").read_text().splitlines()[0])["lr"] > 0
    states = [checkpoint.load(exp / name / "model.pt") for name in ("pretrain", "asr")]
    assert bool((states[0]["ctc.weight"] != states[1]["ctc.weight"]).any())
    again = recipe(*words)
    assert again.returncode == 0 and ": to do" not in again.stdout


def test_noisy_and_enhanced_sides_noise_in_training_and_phones(tmp_path):
    corpus, exp = make_corpus(tmp_path / "corpus", "clean", "noisy"), tmp_path / "exp"
    enhancer = make_enhancer(tmp_path / "enhancer", "cnn_transformer")
    (tmp_path / "phn.yaml").write_text(f"base: {os.path.relpath(YAML, tmp_path)}\ndata: {{token_type: phn}}\n")
    words = ["--corpus", corpus, "--exp", exp, "--asr-config", tmp_path / "phn.yaml", "--enhancer", enhancer]
    done = recipe(*words, "--stop-stage", "3", "--noise-dir", make_noises(tmp_path / "noises"))
    assert done.returncode == 0, done.stdout + done.stderr
    for name in ("dev", "test"):
        wavs = [read_table(exp / f"feats/{name}_{side}/wav.scp")["p1-001"] for side in ("clean", "noisy", "enhanced")]
        assert len(set(wavs)) == 3 and str(exp / f"enhanced/{name}") in wavs[2]
    assert not (exp / "feats/train_noisy").exists() and "noise_prob: 0.5" in (exp / "asr/config.yaml").read_text()
    symbols = [line.split()[0] for line in (exp / "asr/tokens.txt").read_text().splitlines()]
    assert symbols[4:] == sorted({phone for line in LEXICON.splitlines() for phone in line.split()[1:]})


def make_noises(folder: Path) -> Path:
    for name in ("train", "test"):
        make_dir(folder / "made", utts=["hum-1"])
        (folder / name).mkdir()
        (folder / name / "hum-1.wav").symlink_to(folder / "made_audio" / "hum-1.wav")
    return folder


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ("--corpus nowhere", "--corpus nowhere has no directory train_clean"),
        ("--corpus CORPUS --train-side noisy", "has no directory train_noisy"),
        ("--corpus CORPUS --pretrain nowhere", "--pretrain nowhere has no directory train_clean"),
        ("--corpus CORPUS --enhancer CORPUS", "no model.pt: is it trained?"),
        ("--corpus CORPUS --enhancer ENHANCER", "--enhancer needs noisy speech"),
        ("--corpus CORPUS --search beam", "--search takes one of lexicon, lexicon-free, free, got 'beam'"),
        ("--corpus CORPUS --asr-config none.yaml", "--asr-config none.yaml: no such file"),
        ("--train-side noisy", "LibriSpeech has no noisy speech"),
        ("--ljspeech-rate 8000", "--ljspeech-rate takes one of 16000, own, got '8000'"),
        ("--ljspeech-rate own", "--ljspeech-rate own needs --pretrain-feat-config"),
        ("--ngram-order many", "--ngram-order takes a whole number"),
        ("--stage 3 --stop-stage 2", "--stage 3 is after --stop-stage 2"),
    ],
)
def test_what_cannot_work_is_reported_before_anything_runs(tmp_path, words, line):
    for name in SETS:
        (tmp_path / "corpus" / f"{name}_clean").mkdir(parents=True)
    (tmp_path / "enhancer").mkdir()
    (tmp_path / "enhancer/model.pt").touch()
    words = words.replace("CORPUS", str(tmp_path / "corpus")).replace("ENHANCER", str(tmp_path / "enhancer"))
    done = recipe("--exp", tmp_path / "exp", *words.split())
    output = done.stdout + done.stderr
    assert done.returncode == 1 and line in output and output.count("\n") == 1 and not (tmp_path / "exp").exists()
