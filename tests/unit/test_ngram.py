"""ARPA models against a plain recursion over the file, and what the search asks of them."""

import gzip
import itertools
import math
import re

import numpy as np
import pytest
import torch

from mimic.decoding.attention.fused_ngram import NgramState, TokenNgram, WordNgram
from mimic.decoding.ngram.ngram import Ngram
from mimic.errors import UserError
from mimic.io.tokens import BOS, EOS, SPECIAL, UNK


def arpa(order: int, words: list[str], seed: int = 0) -> tuple[str, dict[tuple[str, ...], tuple[float, float]]]:
    """A made-up model as text and as {n-gram: (log10 probability, log10 backoff)}."""
    draw = np.random.default_rng(seed)
    grams = {(w,): (-draw.uniform(0.1, 2), -draw.uniform(0, 0.5)) for w in words}
    for n in range(2, order + 1):
        for gram in [g for g in grams if len(g) == n - 1]:
            for word in draw.permutation(words)[: len(words) // 3]:
                if gram[-1] != "</s>" and word != "<s>":
                    grams[(*gram, str(word))] = (-draw.uniform(0.1, 2), -draw.uniform(0, 0.5) if n < order else 0.0)
    lines = ["made for a test", "", "\\data\\"]
    lines += [f"ngram {n}={sum(len(g) == n for g in grams)}" for n in range(1, order + 1)]
    for n in range(1, order + 1):
        lines += ["", f"\\{n}-grams:"]
        for gram, (log_prob, backoff) in grams.items():
            if len(gram) == n:
                lines.append(f"{log_prob!r}\t{' '.join(gram)}" + (f"\t{backoff!r}" if backoff else ""))
    return "\n".join([*lines, "", "\\end\\", ""]), grams


def log_prob(grams: dict, history: tuple[str, ...], word: str, order: int) -> float:
    """The definition of a backoff model."""
    history = history[len(history) - min(len(history), order - 1) :]
    if (*history, word) in grams:
        return grams[(*history, word)][0] * math.log(10)
    return grams.get(history, (0.0, 0.0))[1] * math.log(10) + log_prob(grams, history[1:], word, order)


WORDS = ["<unk>", "<s>", "</s>", "a", "b", "c", "d", "e"]


@pytest.mark.parametrize("order", [1, 2, 3, 4])
@pytest.mark.parametrize("packed", [False, True])
def test_every_probability_equals_the_definition(tmp_path, order, packed):
    text, grams = arpa(order, WORDS)
    path = tmp_path / ("lm.arpa.gz" if packed else "lm.arpa")
    path.write_bytes(gzip.compress(text.encode()) if packed else text.encode())
    model = Ngram(path)
    for length in range(4):
        for history in itertools.product("abcde", repeat=length):
            context = model.start
            for word in history:
                context = int(model.advance(context, model.ids[word]))
            row, following = model.row(context)
            for word in ("a", "e", "</s>", "<unk>"):
                truth = log_prob(grams, ("<s>", *history), word, order)
                assert model.log_prob(context, model.ids[word]) == pytest.approx(truth, rel=1e-12)
                assert row[model.ids[word]] == pytest.approx(truth, rel=1e-12)
                assert following[model.ids[word]] == model.advance(context, model.ids[word])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda text: text.replace("\\end\\", ""), "not a complete ARPA file"),
        (
            lambda text: text.replace("\tb\t", "\tb\tx"),
            r"lm.arpa:\d+: expected `log10-probability 1 words \[backoff\]`",
        ),
        (lambda text: text.replace("\tb\t", "\tz\t"), r"lm.arpa:\d+: 'b' is not among the .1-grams"),
        (lambda text: text.replace("\tb\t", "\ta\t"), r"lm.arpa:\d+: 'a' is listed twice"),
        (lambda text: "words words\n", "not a complete ARPA file"),
        (
            lambda text: text.replace("ngram 1=8", "ngram 1=7"),
            r"lm.arpa:\d+: .1-grams: has 8 n-grams, the header says 7",
        ),
        (
            lambda text: text.replace("ngram 1=8", "ngram 1=9"),
            r"lm.arpa:\d+: .1-grams: has 8 n-grams, the header says 9",
        ),
        (lambda text: text.replace("ngram 2=13", "ngram 2=17"), r".2-grams: has 13 n-grams, the header says 17"),
        (lambda text: text.replace("ngram 1=8\n", ""), "not a complete ARPA file"),
        (lambda text: text.replace("ngram 2=13", "ngram 2=13\nngram 3=1"), "not a complete ARPA file"),
        (lambda text: text.replace("\\1-grams:\n-", "\\1-grams:\n"), r"lm.arpa:8: log10-probability .*: expected 0 or"),
        (lambda text: text.replace("\\1-grams:\n-", "\\1-grams:\nnan"), r"lm.arpa:8: expected `log10-prob"),
        (lambda text: text.replace("<s>", "<x>"), ".1-grams: lacks <s>: make the model with both"),
        (lambda text: text.replace("</s>", "</x>"), ".1-grams: lacks </s>: make the model with both"),
        (
            lambda text: re.sub(r"(?s)(.2-grams:\n)([^\n]*\n)[^\n]*\n", r"\1\2\2", text),
            "2-gram '<unk> .' is listed twice",
        ),
    ],
)
def test_what_is_not_arpa_is_named_with_its_line(tmp_path, change, message):
    path = tmp_path / "lm.arpa"
    path.write_text(change(arpa(2, WORDS)[0]))
    with pytest.raises(UserError, match=message):
        Ngram(path)
    with pytest.raises(UserError, match="no such ARPA file"):
        Ngram(tmp_path / "none.arpa")


def test_contexts_that_are_not_listed_are_refused(tmp_path):
    text, grams = arpa(3, WORDS)
    gram = next(g for g in grams if len(g) == 2 and any(h[:2] == g for h in grams if len(h) == 3))
    count = sum(len(g) == 2 for g in grams)
    lines = [line for line in text.splitlines() if f"\t{' '.join(gram)}\t" not in line]
    (tmp_path / "lm.arpa").write_text("\n".join(lines).replace(f"ngram 2={count}", f"ngram 2={count - 1}"))
    with pytest.raises(UserError, match="its beginning is not listed"):
        Ngram(tmp_path / "lm.arpa")


def drive(model, ids: list[int]) -> list[torch.Tensor]:
    """Log-probabilities of the next token before each of the ids, and after them; beside it runs another row."""
    state, seen = model.start(2), []
    for token in [BOS, *ids]:
        log_probs, state = model.step(torch.tensor([token, token if token == BOS else UNK + 1]), state)
        seen.append(log_probs[0])
        assert isinstance(state, NgramState) and state.context.shape == (2,)
    return seen


def test_tokens_are_scored_in_context(tmp_path, monkeypatch):
    monkeypatch.setattr(
        "mimic.decoding.attention.fused_ngram.CACHED", 40
    )  # the table of rows starts again all the time
    text, grams = arpa(3, WORDS[:-1])
    (tmp_path / "lm.arpa").write_text(text)
    symbols = [*SPECIAL, "a", "b", "c", "d", "e"]
    model = TokenNgram(Ngram(tmp_path / "lm.arpa"), symbols)
    sentence = list("abcadbacaebbd")
    for i, row in enumerate(drive(model, [symbols.index(w) for w in sentence])):
        # "e" is a token that the model does not list: as a prediction and as history it is <unk>
        history = tuple("<unk>" if w == "e" else w for w in sentence[:i])
        for symbol, word in [("a", "a"), ("d", "d"), ("e", "<unk>"), ("<eos>", "</s>"), ("<unk>", "<unk>")]:
            truth = log_prob(grams, ("<s>", *history), word, 3)
            assert float(row[symbols.index(symbol)]) == pytest.approx(truth, abs=1e-5)


def test_more_contexts_in_one_step_than_the_table_of_rows_holds(tmp_path):
    words = [*SPECIAL[UNK:], "<s>", "</s>", *"abcdefghijklmnopqrst"]
    (tmp_path / "lm.arpa").write_text(arpa(3, words)[0])
    ngram = Ngram(tmp_path / "lm.arpa")
    model = TokenNgram(ngram, [*SPECIAL, *words[3:]])
    tokens = UNK + 1 + torch.arange(60) % 20
    log_probs, state = model.step(tokens, NgramState(torch.arange(60)))
    assert len({*range(60), *state.context.tolist()}) > 64
    for row, new in zip(log_probs, state.context.tolist(), strict=True):
        assert float(row[UNK + 2]) == pytest.approx(ngram.log_prob(new, ngram.ids["b"]), abs=1e-5)


def test_a_word_counts_when_it_is_complete(tmp_path):
    words = ["<unk>", "<s>", "</s>", "AB", "A", "BAB"]
    text, grams = arpa(3, words)
    (tmp_path / "lm.arpa").write_text(text)
    symbols = [*SPECIAL, "▁A", "▁", "A", "B", "▁BA"]
    model = WordNgram(Ngram(tmp_path / "lm.arpa"), symbols)

    def total(*tokens: str) -> float:
        ids = [symbols.index(token) for token in tokens] + [EOS]
        return sum(float(row[token]) for row, token in zip(drive(model, ids[:-1]), ids, strict=True))

    def truth(*sentence: str) -> float:
        history, score = ("<s>",), 0.0
        for word in (*sentence, "</s>"):
            score, history = score + log_prob(grams, history, word, 3), (*history, word)
        return score

    assert total("▁A", "B", "▁BA", "B", "▁A") == pytest.approx(truth("AB", "BAB", "A"), abs=1e-5)
    assert total("▁", "A", "B", "▁", "B", "A", "B") == pytest.approx(truth("AB", "BAB"), abs=1e-5)
    assert total("▁A", "B", "B", "▁A") == pytest.approx(truth("<unk>", "A"), abs=1e-5)
    assert total() == pytest.approx(truth(), abs=1e-5)


def test_models_of_other_tokens_say_what_to_do(tmp_path):
    (tmp_path / "lm.arpa").write_text(arpa(2, ["<s>", "</s>", "hello", "world"])[0])
    model = Ngram(tmp_path / "lm.arpa")
    with pytest.raises(UserError, match="'hello', which is not a token .* --decode.ngram_unit word"):
        TokenNgram(model, [*SPECIAL, "▁H", "E"])
    with pytest.raises(UserError, match="2 of 2 words .* upper case"):
        WordNgram(model, [*SPECIAL, "▁H", "E"])
    with pytest.raises(UserError, match="do not spell words"):
        WordNgram(model, [*SPECIAL, "HH", "AH"])
