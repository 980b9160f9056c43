"""A small teacher and its student on the micro corpus: local/run_pretrain_ssl.sh and local/run_distill.sh."""

import re

import pytest

from mimic.nets import ssl

pytestmark = pytest.mark.xdist_group("begun")


def test_a_teacher_from_speech_alone_and_a_student_of_noisy_speech(begun):
    words = ["local/run_pretrain_ssl.sh", "--corpus", "corpus", "--ssl-config", "tests/e2e/hubert.yaml", "--nj", "1"]
    output = begun.call(*words)
    teacher = begun.root / "exp/ssl/hubert1/encoder"
    assert ssl.load(teacher).num_layers == 2 and "encoder: exp/ssl/hubert1/encoder" in output
    words = ["local/run_distill.sh", "--corpus", "corpus", "--noise-dir", begun.root.parent / "noises", "--nj", "1"]
    words += ["--simulated-rirs", "4", "--distill-config", "tests/e2e/distill.yaml", "--keep-targets", "true"]
    words += ["--students", "robust", "--conditions", "noise", "--stop-stage", "2"]
    output = begun.call(*words)
    assert ssl.load(begun.root / "exp/distill/robust/encoder").num_layers == 1, output
    words[-2:] = ["--probes", "enhance", "--probe-options", "--model.rnn_units 4 --model.units 4 --train.epochs 1"]
    output = begun.call(*words)
    table = (begun.root / "exp/distill/enhance/RESULTS.md").read_text()
    for encoder in ("unprocessed", "fbank", "teacher", "robust"):
        assert re.search(rf"^\| {encoder}, noise \| \d", table, re.M), table
    again = begun.call(*words)
    assert ": to do" not in again


DISTIL, TEACHER = "local/run_distill.sh", ("--teacher", "conf")


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ((DISTIL, "--teacher", "nowhere"), "no such encoder; local/run_pretrain_ssl.sh trains"),
        ((DISTIL, "--debug", "true"), "--teacher exp/ssl_debug/hubert1/encoder: no such encoder"),
        ((DISTIL, *TEACHER, "--students", "large"), "baseline, robust, enhance and pruned, got"),
        ((DISTIL, *TEACHER, "--probes", "magic"), "conf/probe_magic.yaml is not there"),
        ((DISTIL, *TEACHER, "--conditions", "hot"), "clean, noise, reverb and both, got 'hot'"),
        ((DISTIL, *TEACHER, "--corpus", "corpus"), "needs --noise-dir"),
        ((DISTIL, *TEACHER, "--keep-targets", "no"), "--keep-targets takes one of true, false"),
        (("local/run_pretrain_ssl.sh", "--iterations", "3"), "--iterations takes a whole number from 1 to 2, got '3'"),
        (("local/run_pretrain_ssl.sh", "--corpus", "nowhere"), "has no directory train_clean"),
    ],
)
def test_what_cannot_work_is_reported_before_anything_runs(begun, words, line):
    output = begun.call(*words, code=1)
    assert line in output and "stage 1" not in output and output.count("\n") == 1
