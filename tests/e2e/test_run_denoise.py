"""Enhancers from clean speech on the micro corpus: local/run_denoise.sh --debug true from data to table."""

import json

import pytest
from model_maker import make_recogniser

pytestmark = pytest.mark.xdist_group("begun")


def test_run_denoise_from_clean_speech_to_the_table(begun):
    noises = begun.root.parent / "noises"
    make_recogniser(begun.root / "exp/asr")
    words = ["local/run_denoise.sh", "--corpus", "corpus", "--noise-dir", noises, "--debug", "true", "--nj", "1"]
    words += ["--size", "_demo", "--recogniser", "exp/asr", "--fbank-config", "exp/asr/features.conf"]
    words += ["--train-options", "--train.lr 3e-4 --train.max_grad_norm 4"]
    output = begun.call(*words)
    exp = begun.root / "exp/denoise_debug"
    table = (exp / "RESULTS.md").read_text()
    rows = [line.split("|")[1].strip() for line in table.splitlines() if line.startswith("| ")]
    assert rows == ["system", "noisy", "bilstm"], output
    assert all(title in table for title in ("PESQ", "STOI", "SI-SDR", "test WER"))
    assert (exp / "bilstm/asr/decode_test/wer_1_0.0").exists()
    config = (exp / "bilstm/config.yaml").read_text()
    assert "lr: 0.0003" in config and "max_grad_norm: 4.0" in config
    record = json.loads((exp / "bilstm/train_log.jsonl").read_text().splitlines()[-1])
    assert record["epoch"] == 1 and {"valid_pesq", "valid_stoi"} <= set(record)
    again = begun.call(*words)
    assert ": to do" not in again

    # A corpus with clean speech only: dev and test mixtures are made once and stored.
    for name in ("dev_noisy", "test_noisy"):
        begun.remove(f"corpus/{name}")
    begun.call(*words, "--stop-stage", "1")
    mixed = begun.root / "data_debug/denoise_debug/test_noisy"
    assert {line.split()[1] for line in (mixed / "utt2noise").read_text().splitlines()} == {"brown"}
    few = begun.root / "data_debug/denoise_debug/few/test_noisy/wav.scp"
    assert few.read_text().count(" data_debug/denoise_debug/test_noisy/") == 5


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (("--models", "bilstm magic"), "no model 'magic'"),
        (("--corpus", "corpus"), "needs --noise-dir"),
        (("--corpus", "nowhere"), "has no directory train_clean"),
        (("--corpus", "mini_librispeech", "--noise-dir", "corpus"), "brings its noises and RIRs"),
        (("--recogniser", "exp/noisy"), "no model.pt: is it trained?"),
        (("--size", "huge"), "--size takes one of _demo, full"),
        (("--stage", "3", "--stop-stage", "2"), "--stage 3 is after --stop-stage 2"),
        (("--simulated-rirs", "some"), "--simulated-rirs takes a whole number"),
    ],
)
def test_what_cannot_work_is_reported_before_anything_runs(begun, words, line):
    output = begun.call("local/run_denoise.sh", *words, code=1)
    assert line in output and "stage 1" not in output and output.count("\n") == 1
