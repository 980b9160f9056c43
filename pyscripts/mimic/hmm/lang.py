"""Kaldi's lang directory: words, phones with their position in the word, lexicon transducers, HMM topology."""

import logging
import math
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from mimic.atomic import replace
from mimic.data.lexicon import bare_phone
from mimic.errors import UserError
from mimic.hmm.kaldi import kaldifst
from mimic.hmm.topology import topo_text

log = logging.getLogger(__name__)
POSITIONS = {"B": "begin", "E": "end", "I": "internal", "S": "singleton"}
SILENCE, SPOKEN_NOISE = "SIL", "SPN"
Entry = tuple[str, tuple[str, ...]]  # a word and one of its pronunciations


@dataclass(frozen=True)
class LangOptions:
    """Options of Kaldi's prepare_lang.sh.

    Attributes:
        oov: the word that stands for all that are not in the lexicon.
        sil_prob: probability of silence between two words.
        num_sil_states, num_nonsil_states: HMM states of a phone.
    """

    oov: str = "<UNK>"
    sil_prob: float = 0.5
    num_sil_states: int = 5
    num_nonsil_states: int = 3


def read_pronunciations(path: str | Path) -> list[Entry]:
    """All pronunciations of a lexicon, `WORD PH PH` lines, sorted; stress and word positions are taken off.

    Understands alternatives as repeated lines or `WORD(2)`, and a probability in the second column. A word without
    phones is left out with a warning: it will count as one that is not in the lexicon.
    """
    try:
        lines = Path(path).read_text(encoding="utf-8").split("\n")
    except FileNotFoundError:
        raise UserError(f"{path}: no such lexicon") from None
    entries = set()
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.startswith(";;;"):
            continue
        word, *phones = line.split()
        if phones and re.match(r"^\d*\.?\d+(?:[eE]-?\d+)?$", phones[0]):
            phones.pop(0)
        if not phones:
            log.warning("%s:%d: %s has no pronunciation: taken as out of vocabulary", path, number, word)
            continue
        entries.add((re.sub(r"\(\d+\)$", "", word), tuple(bare_phone(phone) for phone in phones)))
    if not entries:
        raise UserError(f"{path}: no words in it: expected lines `WORD PH PH`")
    return sorted(entries)


def in_positions(phones: Sequence[str]) -> tuple[str, ...]:
    """A word's phones with Kaldi's suffixes: _B _I ... _E, or _S for a single one."""
    if len(phones) == 1:
        return (f"{phones[0]}_S",)
    return (f"{phones[0]}_B", *(f"{phone}_I" for phone in phones[1:-1]), f"{phones[-1]}_E")


def add_disambig(entries: Sequence[Entry]) -> tuple[list[Entry], int]:
    """Put #1, #2 ... behind pronunciations that are not unique or begin another one; and how many symbols there are."""
    count = Counter(phones for _, phones in entries)
    prefixes = {phones[:n] for phones in count for n in range(1, len(phones))}
    used: Counter[tuple[str, ...]] = Counter()
    out, most = [], 0
    for word, phones in entries:
        symbol: tuple[str, ...] = ()
        if count[phones] > 1 or phones in prefixes:
            used[phones] += 1
            symbol, most = (f"#{used[phones]}",), max(most, used[phones])
        out.append((word, phones + symbol))
    return out, most


def lexicon_fst(
    entries: Iterable[Entry], phones: dict[str, int], words: dict[str, int], sil_prob: float, disambig: str = ""
) -> kaldifst.StdVectorFst:
    """L: phones to words, optional silence between them; behind that silence the symbol `disambig`, if any."""
    fst = kaldifst.StdVectorFst()
    start, loop, silent = (fst.add_state() for _ in range(3))
    fst.start = start
    fst.set_final(loop, 0.0)

    def arc(source: int, phone: str, word: str, cost: float, target: int) -> None:
        fst.add_arc(source, kaldifst.StdArc(phones[phone], words[word], cost, target))

    with_silence, without = -math.log(sil_prob), -math.log(1 - sil_prob)
    behind = fst.add_state() if disambig else loop
    arc(start, "<eps>", "<eps>", without, loop)
    arc(start, SILENCE, "<eps>", with_silence, behind)
    arc(silent, SILENCE, "<eps>", 0.0, behind)
    if disambig:
        arc(behind, disambig, "<eps>", 0.0, loop)
    for word, spoken in entries:
        state = loop
        for number, phone in enumerate(spoken[:-1]):
            following = fst.add_state()
            arc(state, phone, "<eps>" if number else word, 0.0, following)
            state = following
        out = word if len(spoken) == 1 else "<eps>"
        arc(state, spoken[-1], out, without, loop)
        arc(state, spoken[-1], out, with_silence, silent)
    return fst


def make_lang(lexicon: str | Path, out: str | Path, options: LangOptions) -> None:
    """Write the lang directory `out` of the words of a lexicon file."""
    out = Path(out)
    entries = read_pronunciations(lexicon)
    if any(word in ("<s>", "</s>", "<eps>", "#0") for word, _ in entries):
        raise UserError(f"{lexicon}: <s>, </s>, <eps> and #0 are no words: remove them")
    nonsilence = sorted({p for _, spoken in entries for p in spoken} - {SILENCE, SPOKEN_NOISE})
    known = {word for word, _ in entries}
    entries = [(word, in_positions(spoken)) for word, spoken in entries]
    entries += [(w, (f"{p}_S",)) for w, p in (("!SIL", SILENCE), (options.oov, SPOKEN_NOISE)) if w not in known]
    entries.sort()

    sets = [[phone, *(f"{phone}_{p}" for p in POSITIONS)] for phone in (SILENCE, SPOKEN_NOISE)]
    silence = [phone for group in sets for phone in group]
    sets += [[f"{phone}_{p}" for p in POSITIONS] for phone in nonsilence]
    spoken = [phone for group in sets for phone in group]
    with_disambig, most = add_disambig(entries)
    disambig = [f"#{n}" for n in range(most + 2)]  # #0 of the grammar, and the last one behind silence
    phones = {phone: n for n, phone in enumerate(["<eps>", *spoken, *disambig])}
    words = {word: n for n, word in enumerate(["<eps>", *sorted({w for w, _ in entries}), "#0", "<s>", "</s>"])}

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
        if len(lines) > 1 and all(len(line) == 1 for line in lines) or name == "optional_silence":
            _write(folder / f"{name}.csl", [[":".join(str(phones[p]) for (p,) in lines)]])
    roots = [("not-shared", "not-split") if group[0] in silence else ("shared", "split") for group in sets]
    _write(folder / "roots.txt", [[*how, *group] for how, group in zip(roots, sets, strict=True)])
    _write(folder / "roots.int", [[*how, *(phones[p] for p in g)] for how, g in zip(roots, sets, strict=True)])
    where = [[p, POSITIONS[p[-1]] if p not in (SILENCE, SPOKEN_NOISE) else "nonword"] for p in spoken]
    _write(folder / "word_boundary.txt", where)
    _write(folder / "word_boundary.int", [[phones[p], position] for p, position in where])
    _write(folder / "wdisambig_phones.int", [[phones["#0"]]])
    _write(folder / "wdisambig_words.int", [[words["#0"]]])
    _write(folder / "align_lexicon.txt", [[word, word, *spoken] for word, spoken in entries])
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
    lines = Path(path).read_text(encoding="utf-8").splitlines()
    return {symbol: int(number) for symbol, number in map(str.split, lines)}


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
        return [int(word) for word in (self.path / "phones" / f"{name}.int").read_text().split()]

    def rows(self, name: str) -> list[list[str]]:
        """The lines of phones/NAME as words."""
        return [line.split() for line in (self.path / "phones" / name).read_text().splitlines()]

    def encode(self, text: str) -> list[int]:
        """Words to numbers; a word that is not in the lexicon becomes the out-of-vocabulary word."""
        return [self.words.get(word, self.oov) for word in text.split()]
