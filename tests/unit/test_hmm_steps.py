"""The steps of GMM-HMM training and decoding, as a user calls them, on words that espeak-ng speaks."""

import re
import shutil
import subprocess
from pathlib import Path
from types import SimpleNamespace

import kaldiio
import numpy as np
import pytest
from data_maker import ROOT
from hmm_maker import LEXICON, make_sets
from model_maker import program

from mimic.corpus.features import JobFiles, collect, run_job
from mimic.frontend.extraction import make_extractor
from mimic.hmm.alignments import read_ali, read_ali_dir, write_ali
from mimic.hmm.feats import read_trans
from mimic.hmm.lang import Lang
from mimic.hmm.model import Model
from mimic.io.audio import AudioReader
from mimic.io.tables import read_table
from mimic.models.acoustic_scores import gmm_scores
from mimic.models.language_model import LanguageModel

pytestmark = pytest.mark.xdist_group("hmm")
PHONES = {line.split()[0]: line.split()[1:] for line in LEXICON.splitlines()}


def step(*words: object, code: int = 0) -> str:
    done = subprocess.run(
        [f"steps/{words[0]}.sh", *map(str, words[1:])], cwd=ROOT, capture_output=True, text=True, timeout=600
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


def logs(directory: Path, pattern: str) -> str:
    return "".join(path.read_text() for path in sorted((directory / "log").glob(pattern)))


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Everything up to decoding with SAT; one training word is in no lexicon, dev has a speaker of one utterance."""
    root = tmp_path_factory.mktemp("hmm")
    begins = make_sets(root, {"train": 12, "dev": 2})
    lines = (root / "train/text").read_text().splitlines()
    (root / "train/text").write_text("\n".join([*lines[:-1], lines[-1].rsplit(" ", 1)[0] + " XYZ", ""]))
    only = {"text", "wav.scp", "utt2spk"}
    for name in only:  # of the last speaker one utterance stays
        kept = (root / "dev" / name).read_text().splitlines()[:-1]
        (root / "dev" / name).write_text("\n".join([*kept, ""]))
    (root / "dev/spk2utt").write_text((root / "dev/spk2utt").read_text().rsplit(" ", 1)[0] + "\n")
    for name in ("train", "dev"):
        out = root / "mfcc" / name
        reader = AudioReader(root / name, 16000, False, None)
        run_job(reader, make_extractor("mfcc", ROOT / "conf/mfcc.conf"), JobFiles(out / "archives", 1), 1)
        collect(root / name, out, out / "archives", 1, 0.0)
        (out / "conf").mkdir()
        shutil.copy(ROOT / "conf/mfcc.conf", out / "conf")
    lang, train, dev = root / "lang", root / "mfcc/train", root / "mfcc/dev"
    few, nj = ["--num-iters", 4, "--max-iter-inc", 2, "--thresh", 50], ["--nj", 2]
    step("prepare_lang", root / "lexicon.txt", "<UNK>", lang)
    step("train_mono", "--nj", 1, "--num-iters", 8, "--max-iter-inc", 5, "--totgauss", 110, train, lang, root / "mono")
    step("align_si", "--nj", 1, train, lang, root / "mono", root / "mono_ali")
    step("train_deltas", *few, 40, 90, train, lang, root / "mono_ali", root / "tri1")
    step("train_lda_mllt", *few, "--mllt-iters", 2, 40, 90, train, lang, root / "mono_ali", root / "tri2")
    step("align_si", *nj, train, lang, root / "tri2", root / "tri2_ali")
    step("train_sat", *few, "--fmllr-iters", 2, 40, 90, train, lang, root / "tri2_ali", root / "tri3")
    step("align_fmllr", *nj, train, lang, root / "tri3", root / "tri3_ali")
    step("mkgraph", lang, root / "lm.arpa", root / "tri3", root / "tri3/graph")
    fmllr = ["--fmllr-min-count", 150, "--fmllr-passes", 1]
    step("decode_lattice", *nj, *fmllr, root / "tri3/graph", dev, root / "tri3/decode_dev")
    step(
        "score_lattices",
        "--nbest",
        3,
        "--word-ins-penalty",
        "-0.5,0.0,0.5",
        dev,
        root / "tri3/graph",
        root / "tri3/decode_dev",
    )
    return SimpleNamespace(root=root, begins=begins, train=train, dev=dev, lang=Lang(lang))


def test_likelihood_rises(trained):
    """Where Gaussians have just been split, their means are a little beside the best ones until the next pass."""
    for name, passes in (("mono", 8), ("tri1", 3), ("tri2", 3), ("tri3", 3)):
        rows = [line.split() for line in (trained.root / name / "likes").read_text().splitlines()]
        likes = np.array([float(like) for _, like, _ in rows])
        assert len(rows) == passes and (np.diff(likes) > -1e-3).all() and likes[-1] > likes[0], (name, likes)
    tied = {name: Model.read(trained.root / name / "final.mdl") for name in ("mono", "tri1", "tri3")}
    assert tied["tri1"].transitions.num_pdfs <= 40 and tied["tri3"].gmm.dim == 40 and tied["mono"].gmm.dim == 39


def test_boundaries_are_where_espeak_puts_them(trained):
    model, texts = Model.read(trained.root / "tri3_ali/final.mdl"), read_table(trained.train / "text")
    errors = []
    for utt, ali in read_ali_dir(trained.root / "tri3_ali").items():
        if "XYZ" in texts[utt]:
            continue
        starts = model.phone_starts(ali)
        spoken = starts[~np.isin(model.tid_phone[ali[starts]], trained.lang.silence)]
        times = (spoken * 0.01 + 0.0075).tolist()  # between the middles of two frames of 25 ms
        for word, true in zip(texts[utt].split(), trained.begins.get(utt, []), strict=False):
            mine, times = times[: len(PHONES[word])], times[len(PHONES[word]) :]
            if len(true) == len(mine):
                errors += np.abs(np.array(mine) - true).tolist()
    assert len(errors) > 300 and np.median(errors) < 0.035, np.median(errors)


def test_words_and_their_times_come_from_lattices(trained):
    decode, texts = trained.root / "tri3/decode_dev", read_table(trained.dev / "text")
    assert (decode / "scoring_kaldi/best_wer").read_text().startswith("%WER")
    lmwt, wip = (decode / "lmwt").read_text().strip(), (decode / "wip").read_text().strip()
    rates = {path.name: float(path.read_text().split()[1]) for path in decode.glob("wer_*_*")}
    assert len(rates) == 33 and "wer_7_-0.5" in rates
    assert rates[f"wer_{lmwt}_{wip}"] == min(rates.values()) < 30
    assert (trained.root / "tri3/scoring/dev/wer_1_0.0").read_text() == (decode / f"wer_{lmwt}_{wip}").read_text()
    ages = (trained.root / "tri3/scoring/dev/breakdown_wer.tsv").read_text()
    assert "age\tadults" in ages and "age\tchildren" in ages
    table = trained.root / "table.md"
    assert (
        program(
            "breakdown_table.py",
            f"SAT={trained.root}/tri3",
            "--conditions",
            "age, snr",
            "--set",
            "dev",
            "--output",
            table,
        )
        == 0
    )
    assert re.search(r"\| SAT \| \d+\.\d+ \[\S+, \S+\] \|", table.read_text()) and "children" in table.read_text()
    assert program("breakdown_table.py", f"SAT={trained.root}/tri2", "--output", table) == 1
    hypotheses = read_table(decode / "text")
    assert hypotheses.keys() == texts.keys()
    ctm = [line.split() for line in (decode / "ctm").read_text().splitlines()]
    for utt, text in hypotheses.items():
        rows = [row for row in ctm if row[0] == utt]
        assert [word for *_, word in rows] == text.split()
        if text == texts[utt] and len(trained.begins[utt]) == len(rows):
            off = [abs(float(row[2]) - true[0]) for row, true in zip(rows, trained.begins[utt], strict=True) if true]
            assert max(off) < 0.15
    best = [line.split(" ", 2)[2] for line in (decode / "nbest").read_text().splitlines() if "-1 " in line]
    assert sorted(best) == sorted(hypotheses.values())
    test = trained.root / "tri3/decode_again"
    shutil.copytree(decode, test, ignore=shutil.ignore_patterns("best_path", "scoring*", "wer_*", "lmwt", "wip", ".*"))
    (decode / "lmwt").write_text("9\n")
    (decode / "wip").write_text("0.5\n")
    step("score_lattices", "--from", decode, trained.dev, trained.root / "tri3/graph", test)
    assert [path.name for path in test.glob("wer_*_*")] == ["wer_9_0.5"]
    step("score_lattices", "--decode-mbr", "true", trained.dev, trained.root / "tri3/graph", test)
    rows = [line.split() for line in (test / "ctm").read_text().splitlines()]
    assert [row[4] for row in rows] == " ".join(read_table(test / "text").values()).split()
    assert all(0 < float(confidence) <= 1 for *_, confidence in rows)
    assert min(float(path.read_text().split()[1]) for path in test.glob("wer_*_*")) < min(rates.values()) + 1
    missing = step("score_lattices", "--from", test / "no", trained.dev, trained.root / "tri3/graph", test, code=1)
    assert "has no lmwt: score the development set first" in missing


def test_a_network_rescores_the_lattices(trained, tmp_path):
    """With all of the weight on a model that knows one word only, it takes the place of others in the lattices."""
    tri3 = trained.root / "tri3"
    (tmp_path / "text").write_text("EIGHT\nEIGHT EIGHT\n" * 20)
    words = ["--model.units", 32, "--model.embedding", 16, "--model.layers", 1, "--model.dnn_units", 16]
    words += ["--train.epochs", 20, "--train.batch_size", 4, "--train.lr", 0.01, "--train.lr_factor", 1.0]
    words += ["--data.token_type", "char", "--data.train", tmp_path / "text", "--data.dev", tmp_path / "text"]
    step("train", "conf/lm.yaml", tmp_path / "lm", *words)
    network, graph, score = LanguageModel.load(tmp_path / "lm"), tri3 / "graph", {}
    lm = [tmp_path / "lm", trained.root / "lm.arpa", graph]
    for name, weight in (("same", 0), ("lm", 1)):
        out = tri3 / f"decode_dev_{name}"
        step("lmrescore_nbest", "--weight", weight, *lm, tri3 / "decode_dev", out)
        step("score_lattices", "--min-lmwt", 9, "--max-lmwt", 9, "--word-ins-penalty", "0.0", trained.dev, graph, out)
        score[name] = sum(network.score(list(read_table(out / "text").values())))
    again = tri3 / "decode_dev_9"
    fresh = shutil.ignore_patterns("best_path", "scoring*", "wer_*", "lmwt", "wip", ".*")
    shutil.copytree(tri3 / "decode_dev", again, ignore=fresh)
    step("score_lattices", "--min-lmwt", 9, "--max-lmwt", 9, "--word-ins-penalty", "0.0", trained.dev, graph, again)
    assert (tri3 / "decode_dev_same/text").read_text() == (again / "text").read_text()
    assert (tri3 / "decode_dev_same/ctm").read_text() == (again / "ctm").read_text()
    assert score["lm"] > score["same"] + 1, score
    elsewhere = step("lmrescore_nbest", *lm, tri3 / "decode_dev", tmp_path / "out", code=1)
    assert "has to lie beside" in elsewhere
    assert "give another directory" in step("lmrescore_nbest", *lm, tri3 / "decode_dev", f"{tri3}/decode_dev/", code=1)
    assert (tri3 / "decode_dev/lat.1.gz").exists()


def test_words_of_a_table_of_wavs(trained, tmp_path):
    tri3, text = trained.root / "tri3", tmp_path / "text"
    words = ["local/recognise_hmm.sh", tri3 / "graph", tri3 / "decode_dev", trained.dev / "wav.scp", text]
    done = subprocess.run(list(map(str, words)), cwd=ROOT, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    refs, hyps = read_table(trained.dev / "text"), read_table(text)
    assert hyps.keys() == refs.keys() and sum(hyps[utt] == ref for utt, ref in refs.items()) > len(refs) / 2
    assert not list(tri3.glob("recognise_*"))


def test_log_likelihoods_of_features_without_adaptation(trained, tmp_path):
    """After SAT final.mdl is of adapted features: without transforms final.alimdl counts, as in Kaldi's first pass."""
    tri3 = trained.root / "tri3"
    step("make_loglikes", "--nj", 1, tri3, trained.dev, tmp_path / "loglikes")
    _, scores = gmm_scores(tri3, trained.dev, alimdl=True)
    for utt, written in kaldiio.load_scp(str(tmp_path / "loglikes/loglikes.scp")).items():
        np.testing.assert_array_equal(written, scores(utt).astype(np.float32))
    output = step("make_loglikes", "--priors", "false", tri3, trained.dev, tmp_path / "x", code=1)
    assert "--priors false is of networks" in output


def test_adaptation_comes_from_the_first_pass(trained, tmp_path):
    decode = trained.root / "tri3/decode_dev"
    text = logs(decode, "fmllr.1.*")
    gains = [(float(a), float(b)) for a, b in re.findall(r"objective per frame from (\S+) to (\S+),", text)]
    assert len(gains) == 3 and all(after > before for before, after in gains)
    # One utterance is too little for a transform: a line says so, and the features stay as they are.
    assert re.search(r"s3: not updating transform because beta=\d+ < --fmllr-min-count 150: identity", text)
    assert set(read_trans(decode)) == {"s0", "s1", "s2", "s3"}
    # The transcripts have no influence.
    other = tmp_path / "dev"
    shutil.copytree(trained.dev, other)
    (other / "text").write_text("".join(f"{utt} SEEM\n" for utt in read_table(trained.dev / "utt2spk")))
    first_pass, found = tmp_path / "first_pass", []
    first_pass.mkdir()
    jobs = range(1, 1 + int((decode / "num_jobs").read_text()))
    write_ali(
        first_pass / "best.1.gz", {utt: path for job in jobs for utt, path in read_ali(decode / f"best.{job}.gz")}
    )
    for data in (trained.dev, other):
        out = tmp_path / f"trans_{len(found)}"
        out.mkdir()
        tri = trained.root / "tri3"
        assert program("estimate_fmllr.py", "--fmllr-min-count", 150, tri, tri / "graph", data, first_pass, out) == 0
        found.append(read_trans(out))
    assert all((found[0][speaker] == found[1][speaker]).all() for speaker in found[0])
    assert not np.allclose(found[0]["s0"], np.eye(40, 41))


def test_a_word_that_is_in_no_lexicon(trained):
    assert "1 words (1 different, first XYZ) are not in the lexicon: taken as <UNK>" in logs(trained.root / "mono", "*")


def test_what_is_done_is_skipped_and_what_is_missing_is_named(trained):
    root = trained.root
    args = ["--num-iters", 8, "--max-iter-inc", 5, "--totgauss", 110, trained.train, root / "lang", root / "mono"]
    assert "done and unchanged: skipping" in step("train_mono", "--nj", 2, *args)
    absent = step("train_sat", 40, 90, trained.train, root / "lang", root / "mono_ali", root / "new", code=1)
    assert "mono_ali/final.mat is missing: run steps/train_lda_mllt.sh first" in absent
    absent = step("decode_lattice", root / "nograph", trained.dev, root / "tri3/decode_x", code=1)
    assert "nograph/HCLG.fst is missing: run steps/mkgraph.sh first" in absent
    other = root / "other_graph"
    shutil.copytree(root / "tri3/graph", other, ignore=shutil.ignore_patterns(".*"))
    (other / "num_pdfs").write_text("7\n")
    refused = step("decode_lattice", "--fmllr-passes", 0, other, trained.dev, root / "tri3/decode_x", code=1)
    assert "other_graph was made for a model of 7 pdfs" in refused
    for words in ((0, 90), (40, "many")):
        refused = step("train_deltas", *words, trained.train, root / "lang", root / "mono_ali", root / "new", code=1)
        assert "is a whole number of at least 1, got" in refused and not (root / "new").exists()


def test_an_alignment_without_utterances_is_not_done(trained, tmp_path):
    other = tmp_path / "dev"
    shutil.copytree(trained.dev, other)
    (other / "text").write_text("".join(f"{utt} {'SEEM ' * 300}\n" for utt in read_table(trained.dev / "utt2spk")))
    words = ["--nj", 1, other, trained.root / "lang", trained.root / "tri2", tmp_path / "ali"]
    failed = step("align_si", *words, code=1)
    assert re.search(r"ali: 7 of 7 utterances failed: see skipped.tsv .* no alignment within --retry-beam 40", failed)
    assert not (tmp_path / "ali/.done").exists()
    assert len((tmp_path / "ali/skipped.tsv").read_text().splitlines()) == 7
