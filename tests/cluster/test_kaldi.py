"""Kaldi's slurm.pl and queue.pl in place of our launcher: the same words, the same conf/ files, the same results."""

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from data_maker import make_dir
from scheduler import Cluster

from mimic.io import archives

KALDI = Path(os.environ.get("KALDI_ROOT", "/nonexistent")) / "egs/wsj/s5/utils/parallel"


def test_a_step_with_kaldis_launcher(cluster: Cluster, monkeypatch):
    if not KALDI.is_dir():
        pytest.skip("KALDI_ROOT names no Kaldi checkout with egs/wsj/s5/utils/parallel")
    copy = cluster.checkout("copy")
    make_dir(copy / "data/x")
    launcher = KALDI / ("slurm.pl" if cluster.kind == "slurm" else "queue.pl")
    step = 'steps/make_feats.sh --nj 2 --cmd "$1 --mem 1G --time 0:10:0 --max-jobs-run 2" data/x feats/$2'
    commands = {"kaldi": launcher, "mimic": f"launch.py --backend {cluster.kind}"}
    with ThreadPoolExecutor() as pool:
        list(pool.map(lambda name: cluster.call("bash", "-c", step, "x", commands[name], name, cwd=copy), commands))
    monkeypatch.chdir(copy)  # paths in tables are relative to the repository
    found = [archives.read_scp(copy / "feats" / name / "feats.scp") for name in commands]
    assert list(found[0]) == list(found[1]) and len(found[0]) == 4
    for utt in found[0]:
        assert (archives.load(found[0][utt]) == archives.load(found[1][utt])).all()
    log = (copy / "feats/kaldi/log/make_feats.2.log").read_text()
    assert "with status 0" in log  # it was not launch.py
