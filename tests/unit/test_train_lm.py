"""N-gram models against lmplz of KenLM, and what their text may be."""

import gzip
import json
import math
import re
import shutil
import subprocess
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from data_maker import ROOT
from model_maker import make_recogniser, program

from mimic.decoding.ngram import arpa, counts, kneser_ney
from mimic.decoding.ngram.counts import NgramCounts
from mimic.decoding.ngram.kneser_ney import estimate, log10_probs
from mimic.decoding.ngram.mixture import interpolate
from mimic.decoding.ngram.ngram import Ngram
from mimic.io.tables import write_table
from mimic.io.tokens import Tokens


def licence() -> list[list[str]]:
    """Real text that every copy of the repository has, in words of capital letters."""
    text = re.sub("[^A-Z'\n]", " ", (ROOT / "LICENSE").read_text().upper())
    return [line.split() for line in text.splitlines() if line.split()]


def model(sentences, order: int, prune=()) -> tuple[dict[str, tuple[float, float]], NgramCounts, list]:
    found = NgramCounts(order)
    for sentence in sentences:
        found.add(sentence)
    levels = estimate(*found.finish(), len(found.words), prune)
    grams = {}
    for level in levels:
        for row, kept, prob, backoff in zip(level.rows, level.kept, level.prob, level.backoff, strict=True):
            if kept:
                grams[" ".join(found.words[i] for i in row)] = (prob, backoff)
    return grams, found, levels


def test_equals_lmplz_on_real_text():
    """lmplz.tsv: lines of what lmplz (KenLM 4cb443e) made of LICENSE: order, --prune, n-gram, log10 p, backoff."""
    cases: dict[tuple[str, str], list] = {}
    for line in (Path(__file__).parent / "lmplz.tsv").read_text().splitlines():
        order, prune, *rest = line.split("\t")
        cases.setdefault((order, prune), []).append(rest)
    assert len(cases) == 3
    for (order, prune), lines in cases.items():
        grams, _, _ = model(licence(), int(order), [int(n) for n in prune.split()])
        for gram, prob, backoff in lines:
            assert grams[gram][0] == pytest.approx(float(prob), abs=1e-5), gram
            if backoff:
                assert grams[gram][1] == pytest.approx(float(backoff), abs=1e-5), gram


@pytest.mark.skipif(not shutil.which("lmplz"), reason="no lmplz (KenLM) in PATH")
def test_equals_the_lmplz_that_is_here(tmp_path):
    text = "\n".join(map(" ".join, licence()))
    made = subprocess.run(["lmplz", "-o", "3", "--discount_fallback"], input=text, capture_output=True, text=True)
    (tmp_path / "kenlm.arpa").write_text(made.stdout)
    _, found, levels = model(licence(), 3)
    arpa.write(tmp_path / "mimic.arpa", levels, found.words)
    mimic, kenlm = Ngram(tmp_path / "mimic.arpa"), Ngram(tmp_path / "kenlm.arpa")
    assert set(mimic.words) == set(kenlm.words)
    for name in ("mimic", "kenlm"):
        assert f"ngram 3={len(levels[2].rows)}" in (tmp_path / f"{name}.arpa").read_text()
    for word in mimic.words[3:]:
        assert mimic.log_prob(0, mimic.ids[word]) == pytest.approx(kenlm.log_prob(0, kenlm.ids[word]), abs=1e-5)


@pytest.mark.parametrize("prune", [(), (0, 0, 1)])
def test_what_it_gives_to_all_words_adds_up_to_one(tmp_path, prune):
    sentences = licence()[:60]
    _, found, levels = model(sentences, 3, prune)
    arpa.write(tmp_path / "lm.arpa.gz", levels, found.words)
    lm = Ngram(tmp_path / "lm.arpa.gz")
    for history in (["OF"], ["OF", "THE"], ["NO", "SUCH"], []):
        context = lm.start
        for word in history:
            context = int(lm.advance(context, lm.ids.get(word, lm.ids["<unk>"])))
        row = np.exp(lm.row(context)[0])
        row[lm.ids["<s>"]] = 0.0  # never comes
        assert row.sum() == pytest.approx(1, abs=1e-4)


def test_counts_do_not_depend_on_how_much_is_sorted_at_once(monkeypatch):
    whole = model(licence(), 4)[0]
    monkeypatch.setattr(counts, "CHUNK", 100)
    assert model(licence(), 4)[0] == whole
    # More words than two columns of an integer hold: rows are sorted by several keys.
    rows = np.random.default_rng(0).integers(0, 3, (500, 4)).astype(np.int32) * 2**29
    merged, times = counts.merge(rows, np.ones(500, np.int64))
    truth = Counter(map(tuple, rows.tolist()))
    assert list(map(tuple, merged.tolist())) == sorted(truth)
    assert times.tolist() == [truth[row] for row in sorted(truth)]


def test_perplexity_is_that_of_the_written_model(tmp_path):
    sentences = licence()
    _, found, levels = model(sentences[:120], 3, (0, 0, 1))
    held_out = NgramCounts(3, found.words[3:])
    for sentence in sentences[120:]:
        held_out.add(sentence)
    rows, times = held_out.finish()
    arpa.write(tmp_path / "lm.arpa", levels, found.words)
    lm, total = Ngram(tmp_path / "lm.arpa"), 0.0
    for sentence in sentences[120:]:
        context = lm.start
        for word in (*sentence, "</s>"):
            number = lm.ids.get(word, lm.ids["<unk>"])
            total += lm.log_prob(context, number) / math.log(10)
            context = int(lm.advance(context, number))
    assert (log10_probs(levels, rows) * times).sum() == pytest.approx(total, abs=1e-3)


def test_rare_words_can_be_unknown_ones():
    most = counts.most_frequent(licence(), 50)
    found = NgramCounts(2, most)
    for sentence in licence():
        found.add(sentence)
    levels = estimate(*found.finish(), len(found.words))
    assert len(levels[0].rows) == 53 and "THE" in most
    assert levels[0].prob[counts.UNK] > np.median(levels[0].prob[3:])
    assert kneser_ney._discounts(np.array([1, 1, 5]), 1, None).tolist() == [0, 0.5, 1, 1.5]


@pytest.fixture(scope="module")
def text(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("text") / "text.txt"
    path.write_text("\n".join(map(" ".join, licence())) + "\n")
    return path


def test_the_program_writes_model_and_perplexity(text, tmp_path):
    write_table(tmp_path / "text", {f"utt{i}": " ".join(words) for i, words in enumerate(licence()[:20])})
    options = ("--order", 2, "--prune", "0 1", "--gzip", "true", "--dev", tmp_path, text, tmp_path)
    assert program("train_lm.py", *options) == 0
    facts = json.loads((tmp_path / "lm.json").read_text())
    lines = gzip.open(tmp_path / "lm.arpa.gz", "rt").read().splitlines()
    assert lines[1:3] == [f"ngram {n}={count}" for n, count in enumerate(facts["ngrams"], 1)]
    assert facts["dev"]["unknown"] == 0 and 5 < facts["dev"]["perplexity"] < 200
    assert facts["dev"]["perplexity"] == facts["dev"]["without_unknown"]


@pytest.mark.parametrize("prune", [(), (0, 0, 1)])
def test_an_interpolated_model_is_the_sum_of_both(tmp_path, prune):
    """What either lists has the weighted sum of both; after every history the words add up to one."""
    halves, models = (licence()[:90], licence()[90:]), []
    words = sorted({word for sentence in licence() for word in sentence})
    for half in halves:
        found = NgramCounts(3, words)
        for sentence in half:
            found.add(sentence)
        models.append(estimate(*found.finish(), len(found.words), prune))
    mixed = interpolate(*models, 0.3)
    for level in mixed:
        one, other = (10 ** log10_probs(levels, level.rows) for levels in models)
        np.testing.assert_allclose(10**level.prob, 0.3 * one + 0.7 * other, rtol=1e-12)
    assert len(mixed[2].rows) > max(levels[2].kept.sum() for levels in models)
    everything = np.arange(len(found.words), dtype=np.int32)
    everything = everything[everything != counts.BOS]
    for history in (mixed[1].rows[5], mixed[1].rows[len(mixed[1].rows) // 2], models[1][1].rows[-1]):
        rows = np.column_stack([np.repeat(history[None], len(everything), 0), everything])
        assert (10 ** log10_probs(mixed, rows)).sum() == pytest.approx(1, abs=1e-9)
    arpa.write(tmp_path / "lm.arpa", mixed, found.words)
    assert f"ngram 3={len(mixed[2].rows)}" in (tmp_path / "lm.arpa").read_text() and Ngram(tmp_path / "lm.arpa").ids


def test_the_share_of_further_text_is_fitted(tmp_path):
    """Held-out text of the further kind gives that nearly everything, and the model is better than either alone."""
    for name, part in (("text", slice(0, None, 4)), ("mix", slice(1, None, 2)), ("dev", slice(2, None, 4))):
        (tmp_path / name).write_text("\n".join(map(" ".join, licence()[part])) + "\n")
    facts = []
    for words in ((), ("--mix", tmp_path / "mix"), ("--mix", tmp_path / "mix", "--mix-share", "0.02")):
        assert program("train_lm.py", *words, "--dev", tmp_path / "dev", tmp_path / "text", tmp_path) == 0
        facts.append(json.loads((tmp_path / "lm.json").read_text()))
    alone, fitted, given = facts
    assert 0.5 < fitted["mix"]["share"] < 1 and given["mix"]["share"] == 0.02 and "mix" not in alone
    assert fitted["dev"]["perplexity"] < given["dev"]["perplexity"]
    assert fitted["dev"]["unknown"] < alone["dev"]["unknown"]  # it has the words of the further text


def test_words_that_the_text_lacks(tmp_path):
    """They share what the text's words leave: no other probability changes but by the larger vocabulary."""
    write_table(tmp_path / "text", {f"utt{i}": " ".join(words) for i, words in enumerate(licence())})
    (tmp_path / "dev.txt").write_text("THE ZEBRA\n")
    (tmp_path / "words.txt").write_text("<eps> 0\n!SIL 1\n<UNK> 2\nTHE 3\nZEBRA 4\nYAK 5\n#0 6\n<s> 7\n</s> 8\n")
    (tmp_path / "lexicon.txt").write_text("!SIL SIL\n<UNK> SPN\nTHE DH AH\nTHE DH IY\nYAK Y AE K\nZEBRA Z IY B R AH\n")
    models = []
    for name in ("words.txt", "lexicon.txt"):
        options = ("--lexicon", tmp_path / name, "--dev", tmp_path / "dev.txt")
        assert program("train_lm.py", *options, tmp_path, tmp_path / name.split(".")[0]) == 0
        models.append(Ngram(tmp_path / name.split(".")[0] / "lm.arpa"))
        assert json.loads((tmp_path / name.split(".")[0] / "lm.json").read_text())["dev"]["unknown"] == 0
    lm, seen = models[0], {word for words in licence() for word in words}
    assert set(lm.words) == set(models[1].words) == seen | {"<unk>", "<s>", "</s>", "YAK", "ZEBRA"}
    unseen = [lm.log_prob(0, lm.ids[word]) for word in ("<unk>", "YAK", "ZEBRA")]
    assert unseen == [min(lm.log_prob(0, lm.ids[word]) for word in seen | {"YAK"})] * 3
    total = sum(math.exp(lm.log_prob(0, lm.ids[word])) for word in lm.words if word != "<s>")
    assert total == pytest.approx(1, abs=1e-6)


def test_tokens_of_a_recogniser(text, tmp_path):
    recogniser = make_recogniser(tmp_path / "model")
    letters = tmp_path / "letters.txt"
    letters.write_text("AB CA BAC\n" * 3)
    assert program("train_lm.py", "--unit", "char", "--tokens", recogniser, letters, tmp_path) == 0
    lm = Ngram(tmp_path / "lm.arpa")
    assert set(lm.words) == {"<unk>", "<s>", "</s>", "▁", "A", "B", "C"}
    assert lm.log_prob(int(lm.advance(lm.start, lm.ids["▁"])), lm.ids["A"]) > -0.7
    assert Tokens.load(recogniser, "char").symbols[4:] == ["A", "B", "C", "▁"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--unit", "subword"), "--unit subword: give --tokens"),
        (("--unit", "subword", "--tokens", "model"), "the recogniser's tokens are of type char, not unigram or bpe"),
        (("--unit", "char", "--tokens", "model"), r"\d+ of \d+ tokens are <unk>, more than 0.05: write the text as"),
        (("--tokens", "model"), r"\d+ of \d+ words cannot be spelt with the recogniser's tokens"),
        (("--unit", "words"), "--unit words: expected one of word, char"),
        (("--prune", "1 0"), "--prune '1 0': the first is 0"),
        (("--prune", "0 1 2 3"), "--prune '0 1 2 3': expected up to 3 counts"),
        (("--order", "11"), "--order 11: expected 1 to 10"),
        (("--normaliser", "lower"), "--normaliser lower: not known"),
        (("--dev", "nowhere"), "nowhere: no such text file"),
        (("--mix", "nowhere"), "--mix-share auto is fitted on --dev: give that too"),
        (("--mix", "nowhere", "--mix-share", "0.5"), "nowhere: no such text file"),
        (("--mix", "silence", "--mix-share", "1"), "--mix-share 1: expected auto, or a number between 0 and 1"),
        (("--mix-share", "0.5"), "--mix-share is the share of --mix"),
        (("--lexicon", "nowhere"), "nowhere: no such list of words"),
        (("--lexicon", "silence"), "silence: no words: expected a lexicon or the words.txt"),
        (("--lexicon", "silence", "--unit", "char", "--tokens", "model"), "--lexicon goes with --unit word, not char"),
    ],
)
def test_bad_input_is_one_line(text, tmp_path, monkeypatch, caplog, words, message):
    make_recogniser(tmp_path / "model")
    (tmp_path / "silence").write_text("!SIL SIL\n<UNK> SPN\n")
    monkeypatch.chdir(tmp_path)
    assert program("train_lm.py", *words, text, tmp_path) == 1
    assert re.search(message, caplog.text)


def test_text_that_is_none(tmp_path, caplog):
    (tmp_path / "empty").write_text("\n\n")
    (tmp_path / "latin").write_bytes("café\n".encode("latin-1"))
    (tmp_path / "marked").write_text("a <s> b\n")
    for name, message in (
        ("empty", "no text"),
        ("latin", "latin:1: not UTF-8"),
        ("marked", "have a meaning of their own"),
    ):
        assert program("train_lm.py", tmp_path / name, tmp_path) == 1
        assert message in caplog.text.splitlines()[-1]
