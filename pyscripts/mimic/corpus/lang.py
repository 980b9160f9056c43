"""The words and phones of a corpus: transcripts, their phones, and data/lang (lexicon.txt, phones.txt)."""

import logging
from collections.abc import Iterable, Mapping
from pathlib import Path

from mimic.corpus.g2p import LetterToSound
from mimic.corpus.lexicon import (
    Lexicon,
    first_pronunciations,
    phone_names,
    read_pronunciations,
    to_phones,
    unknown_words,
    without_repeats,
)
from mimic.errors import UserError
from mimic.io.atomic import replace
from mimic.io.lines import fields
from mimic.io.tables import read_table, read_text, write_table
from mimic.io.text import NORMALISERS

log = logging.getLogger(__name__)


def transcripts(source: str | Path, normaliser: str) -> dict[str, str]:
    """Read {utterance: text} of a data directory, normalised."""
    return {utt: NORMALISERS[normaliser](text) for utt, text in read_text(Path(source) / "text").items()}


def lang_lexicon(lang: str | Path) -> Lexicon:
    """The lexicon that make_lang has written to a directory; empty where it has needed none."""
    path = Path(lang) / "lexicon.txt"
    return {word: fields(phones) for word, phones in read_table(path).items()} if path.exists() else {}


def spoken_phones(source: str | Path, texts: Mapping[str, str], lexicon: Lexicon) -> dict[str, list[str]]:
    """Phones of each utterance of `texts`: from text.phn where it has them, else by the lexicon ([]: word unknown)."""
    given = _given_phones(source)
    out = {}
    for utt, text in texts.items():
        words = text.split()
        known = utt not in given and all(word in lexicon for word in words)
        out[utt] = given.get(utt, to_phones(words, lexicon) if known else [])
    return out


def make_lang(
    out: str | Path,
    sources: Iterable[str | Path],
    lexicon: str | None,
    policy: str,
    normaliser: str,
    kind: str = "auto",
) -> None:
    """Write lexicon.txt and phones.txt (those that the transcripts of `sources` use) to `out`.

    `kind` is that of the file `lexicon` (lexicon.read_pronunciations); what it was taken for is logged. Words without
    pronunciation are listed in lexicon_oov.txt. What then happens is the `policy`: "fail" raises UserError, "skip"
    leaves their utterances to be skipped, "g2p" makes pronunciations from their spelling where that can be read.
    """
    out = Path(out)
    out.mkdir(parents=True, exist_ok=True)
    words: Lexicon = {}
    if lexicon:
        found = read_pronunciations(lexicon, kind)
        log.info("%s", found.taken_as)
        words = first_pronunciations(lexicon, found)
    texts: dict[Path, dict[str, str]] = {Path(source): transcripts(source, normaliser) for source in sources}
    look_up: dict[str, str] = {}
    for source, table in texts.items():
        given = _given_phones(source)
        look_up |= {f"{utt} in {source}": text for utt, text in table.items() if utt not in given}
    unknown = unknown_words(look_up, words)
    if unknown:
        if not lexicon:
            utt = next(iter(look_up))
            raise UserError(f"{utt}: no phones: give a pronunciation lexicon (--lexicon FILE), or write text.phn")
        model = LetterToSound(words) if policy == "g2p" else None
        made = {word: phones for word in unknown if model and (phones := model(word))}
        with replace(out / "lexicon_oov.txt") as f:
            for word, (count, utt) in unknown.items():
                why = f": {model.unknown_letters(word) or word} cannot be read" if model else ""
                left = f"# {count} times, first in {utt}{why}"
                f.write(f"{word} {' '.join(made[word]) if word in made else left}\n")
        word, (_, utt) = next(iter(unknown.items()))
        text = f"{len(unknown)} words are not in {lexicon}, first {word} ({utt}), all listed in {out}/lexicon_oov.txt"
        if policy == "fail":
            raise UserError(f"{text}: add them, or pass --oov-policy g2p (spell them) or skip (their utterances)")
        log.warning("%s: %d spelled by rule, %d left out", text, len(made), len(unknown) - len(made))
        words |= made
    if words:
        write_table(out / "lexicon.txt", {word: " ".join(phones) for word, phones in words.items()})
    used = {
        p for source, table in texts.items() for phones in spoken_phones(source, table, words).values() for p in phones
    }
    with replace(out / "phones.txt") as f:
        f.writelines(f"{phone}\n" for phone in sorted(used))


def _given_phones(source: str | Path) -> dict[str, list[str]]:
    file = Path(source) / "text.phn"
    table = {utt: fields(phones) for utt, phones in read_table(file).items() if phones} if file.exists() else {}
    names, _ = phone_names(table.values())
    return {utt: without_repeats(names[p] for p in phones) for utt, phones in table.items()}
