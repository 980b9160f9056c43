"""Every reader of text: the same file is read the same whoever wrote it, and a damaged one is refused with its line."""

import gzip
import unicodedata
from pathlib import Path

import pytest

from mimic.corpus.lexicon import read_lexicon
from mimic.decoding.ctc.kenlm import KenLm
from mimic.decoding.ctc.spelling import Spelling
from mimic.decoding.ngram.lm_text import LmText
from mimic.decoding.ngram.ngram import Ngram
from mimic.errors import UserError
from mimic.hmm.lang import read_symbols
from mimic.io.archives import read_scp
from mimic.io.tables import read_frames, read_seconds, read_segments, read_table, read_text, read_utt2spk
from mimic.io.tokens import SPECIAL, Tokens
from mimic.tasks.lm import _texts

ARPA = """\\data\\
ngram 1=4
ngram 2=1

\\1-grams:
-0.9 <s> -0.3
-0.8 </s>
-0.4 CAF\u00c9 -0.2
-0.5 NEW\u00a0YORK -0.1

\\2-grams:
-0.2 <s> CAF\u00c9

\\end\\
"""
TOKENS = Tokens("char", [*SPECIAL, "A", "\u00c9"])
SPOKEN = "HELLO HH L\nCAF\u00c9 K F\n"
READERS = {
    "table": (read_table, "u1 one two\nu2 three\n"),
    "text": (read_text, "u1 CAF\u00c9 NEW\u00a0YORK\nu2 X\n"),
    "utt2spk": (read_utt2spk, "u1 s1\nu2 s2\n"),
    "utt2num_frames": (lambda path: read_frames(path.parent), "u1 10\nu2 20\n"),
    "utt2dur": (read_seconds, "u1 1.5\nu2 2\n"),
    "segments": (read_segments, "u1 r1 0 1.5\nu2 r1 1.5 3\n"),
    "feats.scp": (read_scp, "u1 /a/b.ark:4\nu2 /a/b.ark:9\n"),
    "lexicon.txt": (read_lexicon, SPOKEN),
    "lexiconp.txt": (read_lexicon, "HELLO 1.0 HH L\nCAF\u00c9 0.5 K F\n"),
    "words.txt": (read_symbols, "<eps> 0\nNEW\u00a0YORK 1\n"),
    "tokens.txt": (
        lambda path: Tokens.load(path.parent, "char").symbols,
        "<blank> 0\n<bos> 1\n<eos> 2\n<unk> 3\nA 4\n",
    ),
    "spelt.txt": (lambda path: Spelling.read(path, TOKENS), "A\u00c9 A \u00c9\nA A\n"),
    "lm.arpa": (lambda path: [array.tolist() for array in Ngram(path).arcs()] + Ngram(path).words, ARPA),
    "words.arpa": (lambda path: list(KenLm(str(path))), ARPA),
    "sentences.txt": (lambda path: list(LmText(path, "word", None, str)), "CAF\u00c9 ONE\nTWO\n\n"),
    "lm.txt": (lambda path: _texts(path, "char"), "CAF\u00c9 ONE\nTWO\n"),
}
TAB, END = "\t ", "\n"
NOT_FIELDS = ("tokens.txt", "lm.txt")  # a space is a space in these
AS_THEY_ARE = ("table", "utt2spk", "words.txt", "tokens.txt")  # ids and paths are bytes to the system


@pytest.mark.parametrize("name", READERS)
def test_a_file_is_read_the_same_whoever_wrote_it(tmp_path, name):
    read, text = READERS[name]
    path = tmp_path / name

    def found(content: bytes, path: Path = path):
        path.write_bytes(content)
        return read(path)

    truth = found(text.encode())
    assert found(text.replace("\n", "\r\n").encode()) == truth
    assert found(f"\ufeff{text}".encode()) == truth
    assert found(gzip.compress(text.encode())) == truth
    assert found(text.removesuffix("\n").encode()) == truth
    if name not in NOT_FIELDS:
        times = 1 if name == "table" else -1  # what follows the id may be a path with blanks
        assert (
            found("".join(f"{line.replace(' ', TAB, times)} {TAB}{END}" for line in text.splitlines()).encode())
            == truth
        )
    if name not in AS_THEY_ARE:
        assert found(unicodedata.normalize("NFD", text).encode()) == truth
    if path.suffix == ".arpa" or name in ("lexicon.txt", "sentences.txt"):
        assert found(text.encode(), path.with_name(f"{name}.gz")) == truth  # named .gz, and none


@pytest.mark.parametrize("name", READERS)
def test_a_damaged_file_is_one_line_with_its_place(tmp_path, name):
    read, text = READERS[name]
    path = tmp_path / name
    first, second, rest = text.encode().split(b"\n", 2)
    packed = gzip.compress(text.encode())
    for content, what in (
        (b"\n".join([first, second + b"\xe9", rest]), "2: not UTF-8"),
        (b"\n".join([first, second[:-1] + b"\0", rest]), "2: NUL byte"),
        (b"\n".join([first, b"\r" + second, rest]), "2: carriage return"),
        (text.encode("utf-16"), "1: UTF-16, expected UTF-8"),
        (packed[: len(packed) // 2], ""),
    ):
        path.write_bytes(content)
        with pytest.raises(UserError) as error:
            read(path)
        assert str(error.value).startswith(f"{path}:{what}") and (
            what or "the gzip file is damaged" in str(error.value)
        )
        assert "\n" not in str(error.value)
    path.unlink()
    with pytest.raises(UserError, match=f"{path}: (no such|No such)"):
        read(path)
    path.mkdir()
    with pytest.raises(UserError, match=f"{path}"):
        read(path)


@pytest.mark.parametrize(
    ("name", "line", "what"),
    [
        ("utt2spk", "u3", "u3: expected one speaker, got none: correct the line (`utterance speaker`; where"),
        ("utt2spk", "u3 s1 s2", "u3: expected one speaker, got 's1 s2'"),
        *(("utt2num_frames", f"u3 {n}", "u3: expected a whole number of frames above 0") for n in
          ("many", "0", "-1", "1.0", "", "1e3", "\u0663", "9" * 5000)),
        *(("utt2dur", f"u3 {n}", "u3: expected a duration in seconds above") for n in ("inf", "nan", "-1", "0", "")),
        *(("segments", f"u3 {n}", "u3: expected `utterance recording start end`") for n in
          ("r1 0 inf", "r1 nan 1", "r1 2 1", "r1 -1 1", "r1 1 1", "r1 0", "r1 0 1 2", "r1 a b", "")),
        ("table", "u1 again", "u1 is there twice: remove one of its lines"),
        ("words.txt", "A B 2", "expected `symbol number`, got 'A B 2'"),
        ("tokens.txt", "A 4", "expected `token 5`, got 'A 4'"),
    ],
)  # fmt: skip
def test_values_out_of_their_ranges_are_refused_with_the_line(tmp_path, name, line, what):
    read, text = READERS[name]
    (tmp_path / name).write_text(f"{text}{line}\n")
    with pytest.raises(UserError) as error:
        read(tmp_path / name)
    assert str(error.value).startswith(f"{tmp_path / name}:{len(text.splitlines()) + 1}: {what}")


def test_damaged_tokens_are_refused(tmp_path):
    (tmp_path / "tokens.txt").write_text("")
    with pytest.raises(UserError, match="does not begin with <blank> <bos> <eos> <unk>"):
        Tokens.load(tmp_path, "char")
    (tmp_path / "tokens.txt").write_text("".join(f"{symbol} {i}\n" for i, symbol in enumerate(SPECIAL)))
    with pytest.raises(UserError, match="tokens.model: no such file"):
        Tokens.load(tmp_path, "bpe")
    (tmp_path / "tokens.model").write_bytes(b"x")
    with pytest.raises(UserError, match="tokens.model: not a model of sentencepiece"):
        Tokens.load(tmp_path, "bpe")


def test_a_table_with_lines_of_many_files(tmp_path):
    (tmp_path / "t").write_bytes(b"\xef\xbb\xbfa 1\n\xef\xbb\xbfb 2\n")  # of two files, each with its mark
    assert read_table(tmp_path / "t") == {"a": "1", "b": "2"}


def test_sentencepiece_leaves_no_long_sentence_out():
    texts = ["HELLO WORLD"] * 20 + ["ZEBRA QUARK " * 600]  # more than 4192 bytes
    assert set("ZBQUKR") <= set("".join(Tokens.build("unigram", texts, 20).symbols))
