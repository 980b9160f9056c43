"""Words to phones: normalisers, lexicons of all makes, letter-to-sound on words that the model has not seen."""

from pathlib import Path

import kaldialign
import pytest
from data_maker import LEXICON, ROOT, edit, make_dir

from mimic.corpus.g2p import LetterToSound
from mimic.corpus.lang import make_lang, spoken_phones
from mimic.corpus.lexicon import Lexicon, read_lexicon, read_pronunciations, to_phones, unknown_words
from mimic.errors import UserError
from mimic.io.tables import read_table
from mimic.io.text import NORMALISERS


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("none", "  Don\u2019t  stop\u00a0now ", "Don\u2019t stop now"),
        ("upper", "don't  stop, now", "DON'T STOP, NOW"),
        (
            "plain",
            "\u201cDon\u2019t\u201d stop \u2013 two-day 'tis/was, o'clock!",
            "DON'T STOP TWO DAY TIS WAS O'CLOCK",
        ),
        ("plain", "\ufb01ne caf\u00e9 _x_ --", "FINE CAF\u00c9 X"),
        ("voicebank", "Don't stop, it's a two-day short-term thing.", "DONT STOP ITS A TWODAY SHORTTERM THING"),
        ("voicebank", "- now -", "NOW"),
    ],
)
def test_normalisers(name, text, expected):
    assert NORMALISERS[name](text) == expected
    assert NORMALISERS[name](expected) == expected


def test_lexicons_of_all_makes_are_read(tmp_path):
    (tmp_path / "lex").write_text(
        ";;; a comment\nREAD  R EH1 D\nREAD(2)  R IY1 D\n\nread  Z\nhello HH AH0 L OW1 # a greeting\nDON'T D OW1 N T\n"
        "CANT K AE2 N T\nCAN'T Z\n!SIL SIL\n"
    )
    lexicon = read_lexicon(tmp_path / "lex")
    assert lexicon["READ"] == ["R", "EH", "D"] and lexicon["HELLO"] == ["HH", "AH", "L", "OW"]
    assert lexicon["DONT"] == lexicon["DON'T"] == ["D", "OW", "N", "T"]
    assert lexicon["CANT"] == ["K", "AE", "N", "T"] and lexicon["!SIL"] == ["SIL"]


PLAIN = "read as lexicon.txt"
AS_THEY_ARE = "phones are kept as they are"


@pytest.mark.parametrize(
    ("content", "phones", "taken_as"),
    [
        ("A 0.98 AH0 B\nB 1 B IY1\n", ["AH B", "B IY"], "read as lexiconp.txt: 2 words, 2 pronunciations"),
        ("A 1 AH\nB 1 B\n", ["AH", "B"], "read as lexiconp.txt"),
        (
            "A 0.9 0.2 1.1 1 AH\nB 1 1 1 1 B\n",
            ["AH", "B"],
            "lexiconp_silprob.txt; its probabilities of silence are not",
        ),
        ("A 0.9 1 2 3\nB 0.8 3\n", ["1 2 3", "3"], "read as lexiconp.txt"),  # phones that are numbers
        ("ONE 1 2 3\nTWO 1\n", ["1 2 3", "1"], PLAIN),
        ("ONE 1\nTWO 2\n", ["1", "2"], PLAIN),
        ("MA1 M A1\nMA2 M A2\nMA0 M A0\n", ["M A1", "M A2", "M A0"], "kept as they are, for A0 is not of ARPABET"),
        ("A AA1 B\nB AA3 B\n", ["AA1 B", "AA3 B"], AS_THEY_ARE),  # a third tone is not a stress
        ("A AH0_B B_E\nB AH1_S\n!SIL SIL_S\n<UNK> SPN\n", ["AH B", "AH", "SIL", "SPN"], "word positions (_B _I _E _S)"),
        ("A a1_B b_E\n", ["a1 b"], f"are taken off; {AS_THEY_ARE}"),
        ("A AH # 5\n[X] LAUGH\n", ["AH", "LAUGH"], "phones are ARPABET; what follows # is a comment"),
        ("A a # b\n", ["a # b"], AS_THEY_ARE),
        ("\ufeffA\tAH\r\nB \t B\r\n", ["AH", "B"], PLAIN),
        ("A\u00a0B AH\n", ["AH"], "1 words"),
    ],
)
def test_the_type_of_a_lexicon_comes_from_all_its_lines(tmp_path, content, phones, taken_as):
    (tmp_path / "lex").write_text(content, newline="")
    found = read_pronunciations(tmp_path / "lex")
    assert [" ".join(entry.phones) for entry in found.entries] == phones and taken_as in found.taken_as


@pytest.mark.parametrize(
    ("content", "kind", "message"),
    [
        ("READ\n", "auto", "no words with phones in it"),
        ("A AH\nREAD\n", "auto", "lex:2: READ has no phones"),
        ("", "auto", "no words with phones in it"),
        ("A AH\n\xe9 X", "auto", "lex:2: not UTF-8: convert the file"),
        ("A A\0H\n", "auto", "lex:1: NUL byte"),
        (
            "A 0.98 AH\nB B IY\n",
            "auto",
            "lex:1: A: 0.98 stands where line 2 has a phone.*--lexicon-type plain, prob or",
        ),
        ("A 0.9 0.21 1.03 0.97 AH\nB 1.0 B\n", "auto", "lex:1: A: 0.21 stands where line 2 has a phone"),
        ("A 0.9 AH\nB 1.2 B\n", "auto", "lex:2: B: expected a probability above 0 and up to 1 .* got `1.2`"),
        ("A 0.0 AH\n", "auto", "expected a probability above 0"),
        ("A 1 AH\nB B\n", "prob", "lex:2: B: expected a probability .* got `B`"),
        ("A 1 AH\n", "silprob", "then three numbers in front of the phones, got `1 AH`"),
        ("A AH\n", "lexiconp", "--lexicon-type lexiconp: expected auto, plain, prob or silprob"),
    ],
)
def test_lexicons_that_do_not_agree_with_themselves(tmp_path, content, kind, message):
    (tmp_path / "lex").write_text(content, encoding="latin1")
    with pytest.raises(UserError, match=message):
        read_lexicon(tmp_path / "lex", kind)


def test_the_kind_of_a_lexicon_may_be_given(tmp_path):
    (tmp_path / "lex").write_text("A 1 2.5 A\nB 1 B\n")
    assert read_lexicon(tmp_path / "lex", "plain")["A"] == ["1", "2.5", "A"]
    assert read_lexicon(tmp_path / "lex", "prob")["A"] == ["2.5", "A"]


def test_equal_neighbours_become_one_also_across_words():
    lexicon = {"THIS": ["DH", "IH", "S"], "STOP": ["S", "T", "AA", "P"], "PP": ["P", "P"]}
    assert to_phones(["THIS", "STOP", "PP", "THIS"], lexicon) == "DH IH S T AA P DH IH S".split()
    assert unknown_words({"u1": "THIS X", "u2": "A X"}, lexicon) == {"A": (1, "u2"), "X": (2, "u1")}


def phone_accuracy(lexicon: Lexicon, every: int) -> float:
    """Train without each `every`-th word, spell those words, give 1 - phone error rate."""
    words = [word for word in sorted(lexicon) if word.isalpha()]
    held_out = set(words[::every])
    model = LetterToSound({word: phones for word, phones in lexicon.items() if word not in held_out})
    errors = sum(kaldialign.edit_distance(lexicon[w], model(w))["total"] for w in sorted(held_out))
    return 1 - errors / sum(len(lexicon[w]) for w in held_out)


def test_letter_to_sound_learns_regular_spelling():
    # An invented language in which CH is one sound and a final E is silent: all of it can be learnt from 160 words.
    sounds = {"CH": ["CH"], "B": ["B"], "X": ["K", "S"], "T": ["T"], "A": ["AA"], "I": ["IY"], "U": ["UW"]}
    onsets, vowels = ["CH", "B", "X", "T"], ["A", "I", "U"]
    lexicon = {}
    for a in onsets:
        for b in vowels:
            for c in onsets:
                for d in vowels:
                    for end in ("", "TE"):
                        phones = [p for s in (a, b, c, d) for p in sounds[s]] + (["T"] if end else [])
                        lexicon[a + b + c + d + end] = phones
    assert phone_accuracy(lexicon, 10) > 0.99


def test_letter_to_sound_on_real_words(real_data):
    # 87 % of the phones of 260 words from the other 2,334 (measured 0.870)
    lexicon = read_lexicon(real_data / "speechocean762" / "lexicon.txt")
    assert phone_accuracy(lexicon, 10) > 0.85


def test_compounds_plurals_and_the_same_answer_twice():
    lexicon = {"WEB": ["W", "EH", "B"], "SITE": ["S", "AY", "T"], "BUS": ["B", "AH", "S"], "CAB": ["K", "AE", "B"]}
    models = LetterToSound(lexicon), LetterToSound(dict(reversed(lexicon.items())))
    for model in models:
        assert model("WEBSITE") == ["W", "EH", "B", "S", "AY", "T"]
        assert model("SITES") == ["S", "AY", "T", "S"] and model("CAB'S") == ["K", "AE", "B", "Z"]
        assert model("BUSS") == ["B", "AH", "S", "IH", "Z"]
        assert model("42") == []
    assert models[0]("BEBSUT") == models[1]("BEBSUT") != []


def test_what_cannot_be_spelled_is_not_dropped():
    lexicon = {"NAIVE": ["N", "AY", "IY", "V"], "BE": ["B", "IY"], "CAN'T": ["K", "AE", "N", "T"], "ACNT": list("AKNT")}
    model = LetterToSound(lexicon)
    assert (model("B2B"), model.unknown_letters("B2B")) == ([], "2")
    assert (model("VÆ"), model.unknown_letters("VÆ")) == ([], "Æ")
    assert model("NA\u00cfVE") == lexicon["NAIVE"] and model("B\u00c9\u00c9") == model("BEE") != []
    assert model("N'A-") == model("NA") != [] and model("'-") == model("42") == []


def test_words_that_cannot_be_spelled_are_listed(tmp_path):
    data = make_dir(tmp_path / "train")
    edit(data / "text", "ONE TWO", "O2E NE\u0301O")
    out = lang(tmp_path, "g2p")
    listed = (out / "lexicon_oov.txt").read_text().splitlines()
    assert listed[0] == f"N\u00c9O {read_table(out / 'lexicon.txt')[chr(78) + chr(201) + 'O']}"
    assert listed[1] == f"O2E # 1 times, first in p1-001 in {data}: 2 cannot be read"


def test_composed_and_decomposed_letters_are_the_same(tmp_path):
    data = make_dir(tmp_path / "train")
    edit(data / "text", "ONE TWO", "ONE CAFE\u0301")
    out = lang(tmp_path, "fail", LEXICON + "CAF\u00c9 F AY\n")
    assert read_table(out / "lexicon.txt")["CAF\u00c9"] == "F AY"
    edit(data / "text", "CAFE\u0301", "CAF\u00c9")
    lang(tmp_path, "fail", LEXICON + "CAFE\u0301 F AY\n")
    assert all(normalise("cafe\u0301") in ("caf\u00e9", "CAF\u00c9", "cafe") for normalise in NORMALISERS.values())


def lang(tmp_path: Path, policy: str, lexicon: str = LEXICON, normaliser: str = "upper") -> Path:
    data = make_dir(tmp_path / "train") if not (tmp_path / "train").exists() else tmp_path / "train"
    (tmp_path / "lex").write_text(lexicon)
    make_lang(tmp_path / "lang", [data], str(tmp_path / "lex"), policy, normaliser)
    return tmp_path / "lang"


def test_lang_holds_the_lexicon_and_the_phones_that_are_spoken(tmp_path):
    out = lang(tmp_path, "fail", LEXICON + "!SIL SIL\n")
    assert (out / "phones.txt").read_text().split() == sorted("W AH N T UW TH R IY F AO AY V".split())
    assert read_table(out / "lexicon.txt")["THREE"] == "TH R IY" and not (out / "lexicon_oov.txt").exists()


def test_unknown_words_fail_are_skipped_or_spelled(tmp_path):
    short = (
        LEXICON.replace("FOUR F AO R\n", "").replace("FIVE F AY V\n", "") + "FIV F AY V\nFO F AO\nFOR F AO R\nUR ER\n"
    )
    with pytest.raises(UserError) as error:
        lang(tmp_path, "fail", short)
    assert str(error.value).startswith("2 words are not in ") and "--oov-policy g2p" in str(error.value)
    assert f"first FIVE (p1-002 in {tmp_path}/train), all listed in {tmp_path}/lang/lexicon_oov.txt" in str(error.value)
    oov = (tmp_path / "lang" / "lexicon_oov.txt").read_text().splitlines()
    assert oov[0].startswith("FIVE # 2 times") and oov[1].startswith("FOUR # 1 times") and len(oov) == 2
    assert not (tmp_path / "lang" / "lexicon.txt").exists()
    assert "FOUR" not in read_table(lang(tmp_path, "skip", short) / "lexicon.txt")
    spelled = read_table(lang(tmp_path, "g2p", short) / "lexicon.txt")
    assert spelled["FOUR"].split()[0] == "F" and spelled["FIVE"].split()[0] == "F"
    assert (tmp_path / "lang" / "lexicon_oov.txt").read_text().splitlines()[1] == f"FOUR {spelled['FOUR']}"


def test_given_phones_come_first_and_no_lexicon_is_needed_then(tmp_path):
    data = make_dir(tmp_path / "train")
    texts = read_table(data / "text")
    given = "p1-001 W_B AH1_I N_E N_B T_B UW0_E\n"
    (data / "text.phn").write_text(given)
    spoken = spoken_phones(data, texts, read_lexicon_of(tmp_path))
    assert spoken["p1-001"] == ["W", "AH", "N", "T", "UW"] and spoken["p10-001"] == ["T", "UW", "T", "UW"]
    with pytest.raises(UserError, match="p1-002 in .*: no phones: give a pronunciation lexicon"):
        make_lang(tmp_path / "lang", [data], "", "g2p", "upper")
    (data / "text.phn").write_text(given + "".join(f"{utt} AA_S\n" for utt in texts if utt != "p1-001"))
    make_lang(tmp_path / "lang", [data], "", "fail", "upper")
    assert (tmp_path / "lang" / "phones.txt").read_text() == "AA\nAH\nN\nT\nUW\nW\n"


def read_lexicon_of(tmp_path: Path) -> Lexicon:
    (tmp_path / "lex").write_text(LEXICON)
    return read_lexicon(tmp_path / "lex")


def test_the_demo_lexicon_is_read():
    lexicon = read_lexicon(ROOT / "local" / "demo" / "lexicon.txt")
    assert len(lexicon) > 100 and all(phone.isalpha() for phones in lexicon.values() for phone in phones)
