"""Kaldi's lang directory: words, phones with their position in the word, lexicon transducers, HMM topology."""

import logging
import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from mimic.corpus.lexicon import read_pronunciations
from mimic.errors import UserError
from mimic.hmm.basic_types import topo_text
from mimic.hmm.kaldi import kaldifst
from mimic.io.atomic import replace
from mimic.io.lines import fields, read_lines

log = logging.getLogger(__name__)
FILTERED = ("!SIL", "<UNK>", "<unk>", "#0")  # words of lattices that are none in transcripts
POSITIONS = {"B": "begin", "E": "end", "I": "internal", "S": "singleton"}
SILENCE, SPOKEN_NOISE = "SIL", "SPN"
Entry = tuple[str, tuple[str, ...], float]  # a word, one of its pronunciations, and its probability
RESERVED = ("<s>", "</s>", "<eps>", "#0")


@dataclass(frozen=True)
class LangOptions:
    """Options of Kaldi's prepare_lang.sh.

    Attributes:
        oov: the word that stands for all that are not in the lexicon.
        sil_prob: probability of silence between two words.
        num_sil_states, num_nonsil_states: HMM states of a phone.
        lexicon_type: of lexicon.read_pronunciations.

    Raises UserError for values out of their ranges.
    """

    oov: str = "<UNK>"
    sil_prob: float = 0.5
    num_sil_states: int = 5
    num_nonsil_states: int = 3
    lexicon_type: str = "auto"

    def __post_init__(self) -> None:
        if not 0 < self.sil_prob < 1:
            raise UserError(f"--sil-prob {self.sil_prob:g}: expected a number above 0 and below 1")
        for name, states in (("sil", self.num_sil_states), ("nonsil", self.num_nonsil_states)):
            if states < 1:
                raise UserError(f"--num-{name}-states {states}: expected a whole number above 0")
        if len(fields(self.oov)) != 1 or self.oov in RESERVED:
            raise UserError(f"<oov-word> {self.oov!r}: expected a word without blanks, none of {' '.join(RESERVED)}")


def dictionary(path: str | Path, kind: str = "auto") -> list[Entry]:
    """All pronunciations of a lexicon, sorted; what it was taken for is logged.

    A word without phones is left out with a warning: it will count as one that is not in the lexicon. Of pronunciations
    that differ in stress only, one stays, with the highest probability.
    """
    found = read_pronunciations(path, kind)
    log.info("%s", found.taken_as)
    entries: dict[tuple[str, tuple[str, ...]], float] = {}
    for line, word, phones, probability in found.entries:
        if phones:
            entries[word, phones] = max(probability, entries.get((word, phones), 0.0))
        else:
            log.warning("%s:%d: %s has no pronunciation: taken as out of vocabulary", path, line, word)
    return sorted((word, phones, probability) for (word, phones), probability in entries.items())


def in_positions(phones: Sequence[str]) -> tuple[str, ...]:
    """A word's phones with Kaldi's suffixes: _B _I ... _E, or _S for a single one."""
    if len(phones) == 1:
        return (f"{phones[0]}_S",)
    return (f"{phones[0]}_B", *(f"{phone}_I" for phone in phones[1:-1]), f"{phones[-1]}_E")


def add_disambig(entries: Sequence[Entry]) -> tuple[list[Entry], int]:
    """Put #1, #2 ... after pronunciations that are not unique or begin another one; and how many symbols there are."""
    count = Counter(phones for _, phones, _ in entries)
    prefixes = {phones[:n] for phones in count for n in range(1, len(phones))}
    used: Counter[tuple[str, ...]] = Counter()
    out, most = [], 0
    for word, phones, probability in entries:
        symbol: tuple[str, ...] = ()
        if count[phones] > 1 or phones in prefixes:
            used[phones] += 1
            symbol, most = (f"#{used[phones]}",), max(most, used[phones])
        out.append((word, phones + symbol, probability))
    return out, most


def lexicon_fst(
    entries: Iterable[Entry], phones: dict[str, int], words: dict[str, int], sil_prob: float, disambig: str = ""
) -> kaldifst.StdVectorFst:
    """L: phones to words, optional silence between them; after that silence the symbol `disambig`, if any."""
    fst = kaldifst.StdVectorFst()
    start, loop, silent = (fst.add_state() for _ in range(3))
    fst.start = start
    fst.set_final(loop, 0.0)

    def arc(source: int, phone: str, word: str, cost: float, target: int) -> None:
        fst.add_arc(source, kaldifst.StdArc(phones[phone], words[word], cost, target))

    with_silence, without = -math.log(sil_prob), -math.log(1 - sil_prob)
    after = fst.add_state() if disambig else loop
    arc(start, "<eps>", "<eps>", without, loop)
    arc(start, SILENCE, "<eps>", with_silence, after)
    arc(silent, SILENCE, "<eps>", 0.0, after)
    if disambig:
        arc(after, disambig, "<eps>", 0.0, loop)
    for word, spoken, probability in entries:
        state, out, cost = loop, word, -math.log(probability)  # on the first phone, as in make_lexicon_fst.py
        for phone in spoken[:-1]:
            following = fst.add_state()
            arc(state, phone, out, cost, following)
            state, out, cost = following, "<eps>", 0.0
        arc(state, spoken[-1], out, cost + without, loop)
        arc(state, spoken[-1], out, cost + with_silence, silent)
    return fst


def make_lang(lexicon: str | Path, out: str | Path, options: LangOptions) -> None:
    """Write the lang directory `out` of the words of a lexicon file."""
    out = Path(out)
    entries = dictionary(lexicon, options.lexicon_type)
    known = {word for word, _, _ in entries}
    if known & set(RESERVED):
        raise UserError(f"{lexicon}: {', '.join(RESERVED)} are not words: remove them")
    if marks := [p for _, spoken, _ in entries for p in spoken if p.startswith("#") or p == "<eps>"]:
        raise UserError(f"{lexicon}: a phone cannot be called {marks[0]}: rename it")
    nonsilence = sorted({p for _, spoken, _ in entries for p in spoken} - {SILENCE, SPOKEN_NOISE})
    entries = [(word, in_positions(spoken), probability) for word, spoken, probability in entries]
    entries += [(w, (f"{p}_S",), 1.0) for w, p in (("!SIL", SILENCE), (options.oov, SPOKEN_NOISE)) if w not in known]
    entries.sort()

    sets = [[phone, *(f"{phone}_{p}" for p in POSITIONS)] for phone in (SILENCE, SPOKEN_NOISE)]
    silence = [phone for group in sets for phone in group]
    sets += [[f"{phone}_{p}" for p in POSITIONS] for phone in nonsilence]
    spoken = [phone for group in sets for phone in group]
    with_disambig, most = add_disambig(entries)
    disambig = [f"#{n}" for n in range(most + 2)]  # #0 of the grammar, and the last one after silence
    phones = {phone: n for n, phone in enumerate(["<eps>", *spoken, *disambig])}
    words = {word: n for n, word in enumerate(["<eps>", *sorted({w for w, _, _ in entries}), "#0", "<s>", "</s>"])}

    by_position = [[phone for phone in spoken if phone.endswith(f"_{p}") and phone not in silence] for p in POSITIONS]
    by_position += [[phone for phone in silence if phone.endswith(f"_{p}")] for p in POSITIONS]
    lists = {
        "silence": [[p] for p in silence],
        "nonsilence": [[p] for p in spoken if p not in silence],
        "optional_silence": [[SILENCE]],
        "context_indep": [[p] for p in silence],
        "disambig": [[p] for p in disambig],
        "sets": sets,
        "extra_questions": by_position,
    }
    folder = out / "phones"
    folder.mkdir(parents=True, exist_ok=True)
    for name, lines in lists.items():
        _write(folder / f"{name}.txt", lines)
        _write(folder / f"{name}.int", [[phones[p] for p in line] for line in lines])
        if (len(lines) > 1 and all(len(line) == 1 for line in lines)) or name == "optional_silence":
            _write(folder / f"{name}.csl", [[":".join(str(phones[p]) for (p,) in lines)]])
    root = ("shared", "split")  # states of silence, too, as where Kaldi's --share-silence-phones is false
    _write(folder / "roots.txt", [[*root, *group] for group in sets])
    _write(folder / "roots.int", [[*root, *(phones[p] for p in group)] for group in sets])
    where = [[p, POSITIONS[p[-1]] if p not in (SILENCE, SPOKEN_NOISE) else "nonword"] for p in spoken]
    _write(folder / "word_boundary.txt", where)
    _write(folder / "word_boundary.int", [[phones[p], position] for p, position in where])
    _write(folder / "wdisambig_phones.int", [[phones["#0"]]])
    _write(folder / "wdisambig_words.int", [[words["#0"]]])
    aligned = sorted({(word, word, *spoken) for word, spoken, _ in entries} | {("<eps>", "<eps>", SILENCE)})
    _write(folder / "align_lexicon.txt", aligned)
    _write(folder / "align_lexicon.int", [[words[a], words[b], *(phones[p] for p in c)] for a, b, *c in aligned])
    for name, table in (("phones", phones), ("words", words)):
        _write(out / f"{name}.txt", [[symbol, n] for symbol, n in table.items()])
    _write(out / "oov.txt", [[options.oov]])
    _write(out / "oov.int", [[words[options.oov]]])
    silent = [phones[p] for p in silence]
    with replace(out / "topo") as f:
        voiced = [phones[p] for p in spoken if p not in silence]
        f.write(topo_text(voiced, silent, options.num_nonsil_states, options.num_sil_states))

    plain = lexicon_fst(entries, phones, words, options.sil_prob)
    kaldifst.arcsort(plain, "olabel")
    plain.write(str(out / "L.fst"))
    unique = lexicon_fst(with_disambig, phones, words, options.sil_prob, disambig[-1])
    kaldifst.add_self_loops(unique, [phones["#0"]], [words["#0"]])
    kaldifst.arcsort(unique, "olabel")
    unique.write(str(out / "L_disambig.fst"))
    log.info("%d words, %d pronunciations, %d phones", len(words) - 4, len(entries), len(nonsilence))


def _write(path: Path, lines: Iterable[Sequence[object]]) -> None:
    with replace(path) as f:
        f.writelines(" ".join(map(str, line)) + "\n" for line in lines)


def read_symbols(path: str | Path) -> dict[str, int]:
    """{symbol: number} of words.txt or phones.txt."""
    symbols = {}
    for number, line in read_lines(path):
        symbol, *rest = fields(line) or [""]
        if len(rest) != 1 or not rest[0].isdigit():
            raise UserError(f"{path}:{number}: expected `symbol number`, got {line!r}")
        symbols[symbol] = int(rest[0])
    return symbols


class Lang:
    """A lang directory as training and decoding use it."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        if not (self.path / "L.fst").exists():
            raise UserError(f"{path}: no L.fst: is it a lang directory? steps/prepare_lang.sh makes one")
        self.words, self.phones = read_symbols(self.path / "words.txt"), read_symbols(self.path / "phones.txt")
        self.word_of = {number: word for word, number in self.words.items()}
        self.phone_of = {number: phone for phone, number in self.phones.items()}
        self.oov = int((self.path / "oov.int").read_text())
        self.silence = self.integers("silence")
        self.disambig = self.integers("disambig")

    def integers(self, name: str) -> list[int]:
        """The phones of phones/NAME.int."""
        return [int(number) for row in self.rows(f"{name}.int") for number in row]

    @property
    def topo(self) -> str:
        """The text of its HMM topology."""
        return (self.path / "topo").read_text()

    def sets(self) -> list[list[int]]:
        """The phones that are one but for their position in the word."""
        return [[self.phones[phone] for phone in row] for row in self.rows("sets.txt")]

    def rows(self, name: str) -> list[list[str]]:
        """The lines of phones/NAME as words."""
        return [fields(line) for _, line in read_lines(self.path / "phones" / name)]

    def encode(self, text: str) -> list[int]:
        """Words to numbers; a word that is not in the lexicon becomes the out-of-vocabulary word."""
        return [self.words.get(word, self.oov) for word in text.split()]
