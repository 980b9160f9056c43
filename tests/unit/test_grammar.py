"""G and HCLG of ARPA files: the weights are the model's, whoever wrote the file, and no state only backs off."""

import gzip
import itertools
import math

import numpy as np
import pytest
from lang_maker import lang_of, monophones
from test_ngram import arpa, log_prob

from mimic.decoding.wfst.graph import grammar, make_graph
from mimic.errors import UserError
from mimic.hmm.kaldi import kaldifst
from mimic.hmm.lang import Lang, LangOptions, make_lang

WORDS = ["<unk>", "<s>", "</s>", "A", "B", "C", "D", "E"]
LEXICON = "A AA\nB B IY\nC S IY\nD D IY\n"  # E has no pronunciation


@pytest.fixture(scope="module")
def lang(tmp_path_factory) -> Lang:
    return lang_of(LEXICON, tmp_path_factory.mktemp("lang"))


def cost(fst: kaldifst.StdVectorFst, lang: Lang, sentence: tuple[str, ...]) -> float:
    """The cost of the cheapest path of `fst` with these words and any number of back-offs."""
    sentences = kaldifst.StdVectorFst()
    state = sentences.start = sentences.add_state()
    for word in (*sentence, "#0"):
        sentences.add_arc(state, kaldifst.StdArc(lang.words["#0"], lang.words["#0"], 0.0, state))
        if word != "#0":
            following = sentences.add_state()
            sentences.add_arc(state, kaldifst.StdArc(lang.words[word], lang.words[word], 0.0, following))
            state = following
    sentences.set_final(state, 0.0)
    kaldifst.arcsort(sentences, "olabel")
    path = kaldifst.shortest_path(kaldifst.compose(sentences, fst))
    return kaldifst.get_linear_symbol_sequence(path)[3].value


def cheapest(grams: dict, order: int, history: tuple[str, ...], words: tuple[str, ...]) -> float:
    """The same by the definition of a model of back-offs, each of which may be taken where none is needed."""
    if not words:
        return 0.0
    gram, found = (*history, words[0]), math.inf
    if gram in grams:
        following = gram[max(0, len(gram) - order + 1) :]
        while following and following not in grams:
            following = following[1:]
        found = cheapest(grams, order, following, words[1:]) - grams[gram][0] * math.log(10)
    if history:
        backoff = grams[history][1] * math.log(10)
        found = min(found, cheapest(grams, order, history[1:], words) - backoff)
    return found


@pytest.mark.parametrize("order", [1, 2, 3])
def test_weights_of_sentences_are_those_of_the_model(tmp_path, lang, order):
    text, grams = arpa(order, WORDS, order)
    (tmp_path / "lm.arpa").write_text(text)
    g = grammar(tmp_path / "lm.arpa", lang)
    start = ("<s>",) if order > 1 else ()
    for length in range(4):
        for sentence in itertools.product("ABCD", repeat=length):
            truth = cheapest(grams, order, start, (*sentence, "</s>"))
            assert cost(g, lang, sentence) == pytest.approx(truth, rel=1e-5)  # sums of some 32-bit floats
            if order == 1:
                assert truth == pytest.approx(-sum(log_prob(grams, (), w, 1) for w in (*sentence, "</s>")))


def test_no_state_only_backs_off(tmp_path, lang, caplog):
    text, grams = arpa(3, WORDS, 5)
    (tmp_path / "lm.arpa").write_text(text)
    with caplog.at_level("INFO"):
        g = grammar(tmp_path / "lm.arpa", lang)
    assert "1 words have no pronunciation, first E: left out" in caplog.text
    histories = {gram for gram in grams if len(gram) < 3 and not {"E", "<unk>", "</s>"} & set(gram)}
    continued = {gram[:-1] for gram in grams if gram[:-1] in histories and gram[-1] not in ("E", "<unk>")}
    assert len(continued) < len(histories) and g.num_states <= 1 + len(continued | {("<s>",)})
    for state in range(g.num_states):
        leaving = [arc.ilabel for arc in kaldifst.ArcIterator(g, state)]
        assert leaving != [lang.words["#0"]] or state == g.start or math.isfinite(g.final(state).value)


def test_who_wrote_the_file_changes_nothing(tmp_path, lang):
    text = arpa(3, WORDS)[0]
    made = {}
    for name, content in {
        "lf.arpa": text.encode(),
        "crlf.arpa": text.replace("\n", "\r\n").encode(),
        "mark.arpa": f"\ufeff{text}".encode(),
        "blanks.arpa": text.replace("\t", "  ").encode(),
        "packed.arpa.gz": gzip.compress(text.encode()),
        "packed.arpa": gzip.compress(text.encode()),
        "plain.arpa.gz": text.encode(),
    }.items():
        (tmp_path / name).write_bytes(content)
        grammar(tmp_path / name, lang).write(str(tmp_path / "G.fst"))
        made[name] = (tmp_path / "G.fst").read_bytes()
    assert len(set(made.values())) == 1
    model = monophones(lang)
    for name in ("lf", "crlf"):
        make_graph(lang, tmp_path / f"{name}.arpa", model, tmp_path / name)
    graphs = [(tmp_path / name / "HCLG.fst").read_bytes() for name in ("lf", "crlf")]
    assert graphs[0] == graphs[1] and len(graphs[0]) > 10_000


def test_models_that_no_sentence_can_be_spoken_with(tmp_path, lang):
    (tmp_path / "lm.arpa").write_text(arpa(2, ["<s>", "</s>", "x", "y"])[0])
    with pytest.raises(UserError, match="none of its 4 words is in"):
        grammar(tmp_path / "lm.arpa", lang)
    (tmp_path / "lm.arpa").write_text(arpa(2, [*WORDS, "#0"])[0])
    with pytest.raises(UserError, match="lm.arpa: #0 is not a word: remove it"):
        grammar(tmp_path / "lm.arpa", lang)


def test_probabilities_of_a_lexicon_are_costs_of_its_paths(tmp_path):
    costs_of = {}
    for name, lines in {
        "plain": "A AA\nA AH\nB B IY\n",
        "prob": "A 1.0 AA\nA 0.25 AH\nB 0.5 B IY\n",
        "silprob": "A 1.0 0.2 1.1 0.9 AA\nA 0.25 0.2 1.1 0.9 AH\nB 0.5 0.2 1.1 0.9 B IY\n",
    }.items():
        (tmp_path / f"{name}.txt").write_text(lines)
        make_lang(tmp_path / f"{name}.txt", tmp_path / name, LangOptions())
        lexicon = kaldifst.StdVectorFst.read(str(tmp_path / name / "L.fst"))
        phones = Lang(tmp_path / name).phones
        for spoken in ("AA_S", "AH_S", "B_B IY_E"):
            path = kaldifst.make_linear_acceptor([phones[phone] for phone in spoken.split()])
            best = kaldifst.shortest_path(kaldifst.compose(path, lexicon))
            costs_of[name, spoken] = kaldifst.get_linear_symbol_sequence(best)[3].value
    for spoken, probability in (("AA_S", 1.0), ("AH_S", 0.25), ("B_B IY_E", 0.5)):
        for name in ("prob", "silprob"):
            expected = costs_of["plain", spoken] - np.log(probability)
            assert costs_of[name, spoken] == pytest.approx(expected, abs=1e-5)
    for name in ("prob", "silprob"):
        assert (tmp_path / name / "words.txt").read_bytes() == (tmp_path / "plain/words.txt").read_bytes()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"sil_prob": 7}, "--sil-prob 7: expected a number above 0 and below 1"),
        ({"sil_prob": math.nan}, "--sil-prob nan"),
        ({"num_sil_states": 0}, "--num-sil-states 0: expected a whole number above 0"),
        ({"num_nonsil_states": -1}, "--num-nonsil-states -1"),
        ({"oov": "<s>"}, "<oov-word> '<s>': expected a word without blanks"),
        ({"oov": "a b"}, "<oov-word> 'a b'"),
        ({"oov": ""}, "<oov-word> ''"),
    ],
)
def test_options_out_of_their_ranges(values, message):
    with pytest.raises(UserError, match=message):
        LangOptions(**values)


def test_an_oov_word_with_a_quote_is_a_word(tmp_path):
    (tmp_path / "lexicon.txt").write_text("A AA\n")
    make_lang(tmp_path / "lexicon.txt", tmp_path / "lang", LangOptions(oov="it's"))
    assert (tmp_path / "lang/oov.txt").read_text() == "it's\n"
    (tmp_path / "lexicon.txt").write_text("A #1\n")
    with pytest.raises(UserError, match="a phone cannot be called #1: rename it"):
        make_lang(tmp_path / "lexicon.txt", tmp_path / "lang", LangOptions())
