"""local/run_ligru.sh on words of few phones: from data directories to the tables."""

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import soundfile
import yaml
from data_maker import ROOT
from hmm_maker import make_sets

from mimic.io.tables import read_table, write_table

pytestmark = pytest.mark.xdist_group("hmm")


def make_corpus(root: Path) -> Path:
    """Clean and noisy sets, the lexicon and the language model."""
    draw = np.random.default_rng(0)
    root.mkdir()
    make_sets(root, {"train_clean": 9, "dev_clean": 1, "test_clean": 1})
    for name in ("train", "dev", "test"):
        clean, noisy = root / f"{name}_clean", root / f"{name}_noisy"
        shutil.copytree(clean, noisy)
        wavs = dict(read_table(clean / "wav.scp"))
        for utt, path in wavs.items():
            x, rate = soundfile.read(path)
            wavs[utt] = str(noisy / f"{utt}.wav")
            soundfile.write(wavs[utt], x + 0.003 * draw.standard_normal(len(x)), rate)
        write_table(noisy / "wav.scp", wavs)
    return root


def make_noises(folder: Path) -> Path:
    draw = np.random.default_rng(1)
    folder.mkdir()
    for name in ("hum-1", "hiss-1", "hiss-2"):
        soundfile.write(folder / f"{name}.wav", 0.05 * draw.standard_normal(32000), 16000)
    return folder


def recipe(*words: object, code: int = 0) -> str:
    command = ["local/run_ligru.sh", "--nj", "1", *map(str, words)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=1800)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_from_data_directories_to_the_tables(tmp_path):
    corpus, exp = make_corpus(tmp_path / "corpus"), tmp_path / "exp"
    words = ["--corpus", corpus, "--exp", exp, "--lexicon", corpus / "lexicon.txt", "--lm", corpus / "lm.arpa"]
    words += ["--leaves", 40, "--gauss", 90, "--gmm-passes", 2, "--nets", "mlp", "--size", "_demo"]
    words += ["--speeds", "1.1", "--seeds", 2]
    words += ["--train-options", "--train.epochs 12 --train.lr 0.01 --model.layers 1 --model.units 64"]
    assert f"{exp}/mlp_multi/decode_test_noisy/best_path: to do" in recipe(*words, "--dry-run", "true")
    some = recipe(*words, "--train-speech", "clean", "--dry-run", "true")
    assert "mlp_clean: to do" in some and "multi" not in some
    assert "mfcc/train_clean: to do" in some and "train_noisy" not in some and "train_speed_noisy" not in some
    assert "no enhanced speech" in recipe(*words, "--train-speech", "enhanced", code=1)
    assert "--train-speech: any of clean, multi, enhanced and copies, got 'noisy'" in recipe(
        *words, "--train-speech", "noisy", code=1
    )
    enhanced = tmp_path / "enhanced"  # none to train on
    for part in ("dev", "test"):
        shutil.copytree(corpus / f"{part}_noisy", enhanced / "wav" / part)
    listed = recipe(*words, "--enhancer", enhanced, "--dry-run", "true")
    assert "mlp_clean/decode_test_enhanced: to do" in listed and "train_enhanced" not in listed
    assert f"no model (config.yaml), and no enhanced speech in {corpus}/wav/{{train,dev,test}}" in recipe(
        *words, "--enhancer", corpus, code=1
    )
    copies = ["--train-speech", "copies"]
    assert "--train-speech copies: name recorded noises, --noise-dir" in recipe(*words, *copies, code=1)
    copies += ["--noise-dir", make_noises(tmp_path / "noises"), "--noise-copies", 1]
    assert f"no model in {enhanced} to enhance them" in recipe(*words, *copies, "--enhancer", enhanced, code=1)
    recipe(*words)
    table, by_age = (exp / "RESULTS.md").read_text(), (exp / "BREAKDOWN.md").read_text()
    rows = {cells[1].strip(): cells[2:4] for line in table.splitlines() if len(cells := line.split("|")) == 5}
    systems = [f"{name}, {side}" for name in ("GMM SAT", "mlp of clean speech", "mlp of multi speech")
               for side in ("clean", "noisy")]  # fmt: skip
    assert [name for name in rows if name in systems] == systems, table
    assert all("(n=16)" in cell for name in systems for cell in rows[name])
    for name in ("GMM SAT", "mlp of clean speech", "mlp of multi speech"):
        assert float(rows[f"{name}, clean"][0].split()[0]) < 40
    assert all(f"| {name} " in by_age for name in systems) and "children" in by_age
    assert "seed: 2" in (exp / "mlp_clean_seed2/config.yaml").read_text()
    sizes = {cells[1].strip(): cells[2:7] for line in (exp / "SYSTEMS.md").read_text().splitlines()
             if len(cells := line.split("|")) == 8}  # fmt: skip
    assert list(sizes)[2:] == ["GMM SAT", "mlp of clean speech", "mlp of multi speech"]
    assert all(float(cells[1]) >= 0 and float(cells[2]) >= 0 for name, cells in sizes.items() if "of" in name), sizes
    assert "+-" in sizes["mlp of clean speech"][3] and "+-" not in sizes["GMM SAT"][3]
    assert sum(1 for _ in open(exp / "fmllr/train_speed_noisy/feats.scp")) == 2 * len(
        read_table(corpus / "train_noisy/text")
    )
    assert "epochs: 12" in (exp / "mlp_multi/config.yaml").read_text()
    again = recipe(*words)
    assert ": to do" not in again, again
    for file in ("best_path/.done", "lmwt", "wip"):  # a decoding without its scores, whose weights the test set takes
        (exp / "tri3/decode_dev_clean" / file).unlink()
    assert f"{exp}/tri3/decode_test_clean/best_path: to do" in recipe(*words, "--dry-run", "true")

    # By LF-MMI, at a third of the frame rate, and with more speech.
    words[words.index("mlp")] = "tdnnf"
    words[-1] = "--train.epochs 12 --train.batch_size 4 --train.lr 0.01 --train.warmup 10"
    words[-1] += " --model.units 64 --model.bottleneck 24 --loss.hidden 64 --loss.bottleneck 32"
    words[words.index("--seeds") + 1] = 1
    words += ["--lfmmi-leaves", 30, "--also", corpus / "dev_noisy", "--net-feats", "conf/fbank_40.conf"]
    recipe(*words, "--fuse", "true")
    more = read_table(exp / "fbank/train_also_clean/utt2spk")
    assert len(more) == 2 * len(read_table(corpus / "train_clean/text")) + len(read_table(corpus / "dev_noisy/text"))
    assert (exp / "lfmmi_tree/frame_subsampling_factor").read_text() == "3\n"
    table = (exp / "RESULTS.md").read_text()
    rows = {cells[1].strip(): cells[2] for line in table.splitlines() if len(cells := line.split("|")) == 5}
    for name in ("tdnnf of clean speech, clean", "2 fused, lfmmi, clean"):
        assert float(rows[name].split()[0]) < 40, table
    ends = {}
    for line in (exp / "tdnnf_clean/decode_test_clean/ctm").read_text().splitlines():
        utt, _, start, length, _ = line.split()
        ends[utt] = float(start) + float(length)
    frames = {utt: int(n) for utt, n in read_table(exp / "fbank/test_clean/utt2num_frames").items()}
    assert ends and all(ends[utt] <= 0.01 * frames[utt] + 0.03 for utt in ends)
    assert max(ends[utt] / frames[utt] for utt in ends) > 0.005

    # On copies with other noise, enhanced by a model that has enhanced nothing yet.
    copies += ["--enhancer", "pretrained/fast_t"]
    copies += ["--rir-dir", make_noises(tmp_path / "rirs")]
    recipe(*words, *copies)
    sets = yaml.safe_load((exp / "tdnnf_copies/config.yaml").read_text())["data"]
    assert sets["train"].split() == [f"{exp}/fbank/train_also_{side}" for side in ("clean", "enhanced", "copy1")]
    assert sets["dev"] == f"{exp}/fbank/dev_enhanced"
    spoken = {*read_table(corpus / "train_clean/text")}
    assert {*read_table(exp / "data/train_speed_copy1_noisy/utt2snr")} == {*spoken, *(f"sp1.1-{u}" for u in spoken)}
    assert f"{exp}/data/train_speed_copy1/" in (exp / "fbank/train_also_copy1/wav.scp").read_text()
    assert "| tdnnf of copies speech, enhanced |" in (exp / "RESULTS.md").read_text()
    assert ": to do" not in recipe(*words, *copies)


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ("--gmm-passes 0", "--gmm-passes takes a whole number of at least 1"),
        ("--nets lstn", "--nets: no network 'lstn': conf/hybrid_lstn.yaml is not there"),
        ("--net-feats fbank", "--net-feats fbank: no such file, and not fmllr"),
        ("--lm nowhere", "--lm nowhere: no such file"),
    ],
)
def test_what_cannot_work_is_reported_before_anything_runs(tmp_path, words, line):
    assert line in recipe("--exp", tmp_path / "exp", *words.split(), code=1)
