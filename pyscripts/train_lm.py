#!/usr/bin/env -S sh -c 'p=${0%/*}/../.venv/bin/python3; [ -x "$p$MIMIC_FORKS" ] || p=python3; exec "$p" "$0" "$@"'
"""Estimate an n-gram model from text: interpolated modified Kneser-Ney, as KenLM's lmplz does it.

    train_lm.py --order 3 --dev dev.txt sentences.txt exp/3gram
    train_lm.py --mix books.txt --lexicon lexicon.txt --dev dev.txt sentences.txt exp/3gram
    train_lm.py --order 6 --unit char --tokens exp/ds2 data/train_clean exp/6gram_char

Writes lm.arpa (or lm.arpa.gz) and lm.json: sizes, and the perplexity of the held-out text.
"""

import argparse
import json
import logging
from pathlib import Path
from typing import Any

import numpy as np

from mimic import cli
from mimic.decoding.ngram import arpa
from mimic.decoding.ngram.counts import UNK, NgramCounts, most_frequent
from mimic.decoding.ngram.kneser_ney import Grams, estimate, log10_probs
from mimic.decoding.ngram.lm_text import UNITS, LmText, listed_words
from mimic.decoding.ngram.mixture import fit_weight, interpolate
from mimic.errors import UserError
from mimic.io.atomic import replace
from mimic.io.text import NORMALISERS, normaliser
from mimic.io.tokens import Tokens

log = logging.getLogger(__name__)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("text", type=Path, help="sentences, one per line, plain or .gz; or a data directory")
    parser.add_argument("output", type=Path, help="directory")
    parser.add_argument("--order", type=int, default=3, help="longest n-grams (default: %(default)s)")
    parser.add_argument("--unit", default="word", help=f"{', '.join(UNITS)} (default: %(default)s)")
    parser.add_argument("--tokens", default="", help="directory of the recogniser that the model will help")
    parser.add_argument("--prune", default="0", help="'0 0 1' leaves out rare n-grams (default: %(default)s)")
    parser.add_argument("--vocabulary", type=int, default=0, help="most frequent words that are kept; 0: all")
    parser.add_argument(
        "--lexicon", type=Path, help="lexicon or words.txt: known to the model though the text lacks them"
    )
    parser.add_argument("--mix", type=Path, help="further text, as the text: a model of it is interpolated")
    parser.add_argument("--mix-share", default="auto", help="its share; auto: fitted on --dev (default: %(default)s)")
    parser.add_argument("--max-unknown", type=float, default=0.05, help="share of what tokens cannot spell")
    parser.add_argument("--normaliser", default="none", help=f"{', '.join(NORMALISERS)} (default: %(default)s)")
    parser.add_argument("--dev", default="", help="held-out text, as the text")
    parser.add_argument("--gzip", choices=("true", "false"), default="false", help="write lm.arpa.gz")
    args = parser.parse_args()

    prune = thresholds(args.prune, args.order)
    if args.lexicon and args.unit != "word":
        raise UserError(f"--lexicon goes with --unit word, not {args.unit}: the recogniser's tokens are all known")
    tokens = None
    if args.tokens:
        from mimic.models.config import read_config  # here: it loads YAML, which words do not need

        kind = read_config(Path(args.tokens)).data.token_type
        tokens = Tokens.load(Path(args.tokens), kind)
    normalise = normaliser(args.normaliser)
    text = LmText(args.text, args.unit, tokens, normalise)
    mix = LmText(args.mix, args.unit, tokens, normalise) if args.mix else None
    share = mix_share(args.mix_share, bool(mix), bool(args.dev))
    counts = count(text, args.order, most_frequent(text, args.vocabulary) if args.vocabulary else None)
    if args.lexicon:
        more = counts.know(listed_words(args.lexicon))
        log.info("%s: %d words that the text lacks share the probability of unseen ones", args.lexicon, more)
    if mix and not args.lexicon and not args.vocabulary:
        for sentence in mix:
            counts.know(sentence)
    text.check(counts.words[UNK + 3 :], args.max_unknown)
    log.info("%s: %d sentences, %d %ss, %d different", text.path, counts.sentences, counts.total, args.unit,
             len(counts.words) - 3)  # fmt: skip
    args.output.mkdir(parents=True, exist_ok=True)
    levels = estimate(*counts.finish(), len(counts.words), prune)
    facts: dict[str, Any] = {
        "order": args.order,
        "unit": args.unit,
        "sentences": counts.sentences,
        "total": counts.total,
    }
    dev = LmText(Path(args.dev), args.unit, tokens, normalise) if args.dev else None
    if mix:
        further = count(mix, args.order, counts.words[3:])
        other = estimate(*further.finish(), len(counts.words), prune)
        if share is None:
            assert dev is not None  # mix_share asks for it
            share = 1 - fit_weight(levels, other, *count(dev, args.order, counts.words[3:]).finish())
        levels = interpolate(levels, other, 1 - share)
        facts["mix"] = {"share": round(share, 4), "sentences": further.sentences, "total": further.total}
        log.info("%s: %d sentences, a share of %.3f", mix.path, further.sentences, share)
    arpa.write(args.output / ("lm.arpa.gz" if args.gzip == "true" else "lm.arpa"), levels, counts.words)
    facts["ngrams"] = [int(level.kept.sum()) for level in levels]
    log.info("n-grams of orders 1 to %d: %s", args.order, " ".join(map(str, facts["ngrams"])))
    if dev:
        facts["dev"] = held_out(dev, levels, counts.words)
    with replace(args.output / "lm.json") as f:
        f.write(json.dumps(facts, indent=1) + "\n")


def thresholds(text: str, order: int) -> list[int]:
    values = text.split()
    if not 1 <= order <= 10:
        raise UserError(f"--order {order}: expected 1 to 10")
    if not values or not all(value.isdigit() for value in values) or len(values) > order:
        raise UserError(f"--prune '{text}': expected up to {order} counts, for orders from 1 on, such as '0 0 1'")
    found = [int(value) for value in values]
    if found[0] or found != sorted(found):
        raise UserError(f"--prune '{text}': the first is 0, and none is smaller than the one before it")
    return found


def mix_share(text: str, mix: bool, dev: bool) -> float | None:
    """--mix-share; None: to be fitted."""
    if text == "auto":
        if mix and not dev:
            raise UserError("--mix-share auto is fitted on --dev: give that too, or a share such as 0.5")
        return None
    try:
        share = float(text)
    except ValueError:
        share = 0.0
    if not 0 < share < 1:
        raise UserError(f"--mix-share {text}: expected auto, or a number between 0 and 1")
    if not mix:
        raise UserError("--mix-share is the share of --mix: give that too")
    return share


def count(text: LmText, order: int, vocabulary: list[str] | None) -> NgramCounts:
    """The n-grams of a text over these words, others are <unk>; None: over all of its words."""
    counts = NgramCounts(order, vocabulary)
    for sentence in text:
        counts.add(sentence)
    if not counts.total:
        raise UserError(f"{text.path}: no text")
    return counts


def held_out(text: LmText, levels: list[Grams], words: list[str]) -> dict[str, float]:
    """Perplexity with and without what the model does not know, sentence ends included."""
    counts = count(text, len(levels), words[3:])
    rows, times = counts.finish()
    found, known = log10_probs(levels, rows) * times, rows[:, -1] != UNK
    unknown = int(times[~known].sum())
    both = 10 ** (-found.sum() / times.sum())
    without = 10 ** (-found[known].sum() / times[known].sum())
    log.info("%s: perplexity %.2f (%.2f without the %d of %d words that the model does not have)", text.path, both,
             without, unknown, counts.total)  # fmt: skip
    return {
        "perplexity": round(float(both), 4), "without_unknown": round(float(without), 4), "unknown": unknown,
        "sentences": counts.sentences, "total": int(np.int64(counts.total)),
    }  # fmt: skip


if __name__ == "__main__":
    cli.run(main)
