#!/usr/bin/env -S sh -c 'p=${0%/*}/../.venv/bin/python3; [ -x "$p$MIMIC_FORKS" ] || p=python3; exec "$p" "$0" "$@"'
"""Print the best error rates of each decoding below exp/, then the means of the other measures. ./RESULTS calls it.

    print_scores.py exp test     # only of directories whose names a regular expression finds

A line ends in "(other data)" where other directories of that name were scored on other utterances, words or lengths.
Lines are those of Kaldi: "%WER 9.03 [ 148 / 1639, 20 ins, 30 del, 98 sub ] exp/asr_mse/decode_test/wer_1_0.0".
"""

import argparse
import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

from mimic import cli
from mimic.errors import UserError
from mimic.io import atomic
from mimic.metrics.identity import OTHER
from mimic.metrics.kaldi_dir import UNITS, best_line
from mimic.metrics.kaldi_files import INNER
from mimic.metrics.scores import marks, read_scores
from mimic.metrics.wer import rate_line


def error_rate(decode: Path, unit: str) -> str:
    """The line of a decode directory, from its JSON or, of Kaldi's own directories, from Kaldi's files; or none."""
    scores = read_scores(decode / INNER)
    if scores and scores.weights and unit in scores.figures:
        rate = scores.figures[unit]
        line = rate_line(rate.n, rate.na, *(rate.counts[name] for name in ("ins", "del", "sub")))
        return f"{line} {decode}/{unit}_{scores.weights}"
    return best_line(decode, unit)


def measures(folder: Path) -> Iterator[str]:
    """Mean, 95 % interval, utterances scored and NA of every measure but the error rates of words and characters."""
    scores = read_scores(folder)
    for name, mean in scores.figures.items() if scores else ():
        if name not in UNITS:
            value, low, high, n, na = mean.cells()
            yield f"{name:<7} {value:>8} [ {low}, {high} ] n={n} NA={na} {folder}"


def of_other_data(decodes: Sequence[Path], folders: Sequence[Path]) -> set[Path]:
    """The directories whose scores do not belong beside those of most others of the same set."""
    of_set: dict[str, dict[Path, Path]] = defaultdict(dict)
    for path in decodes:
        of_set[path.name.removeprefix("decode_")][path / INNER] = path
    for path in folders:
        of_set[path.name][path] = path
    return {group[at] for group in of_set.values() for at, found in marks([*group]).items() if found == OTHER}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("exp", type=Path, help="experiment tree")
    parser.add_argument("pattern", nargs="?", default="", help="regular expression for names of directories")
    args = parser.parse_args()
    try:
        pattern = re.compile(args.pattern)
    except re.error as error:
        raise UserError(f"'{args.pattern}': not a regular expression ({error})") from None
    decodes, folders = (
        [path for path in atomic.glob(args.exp, name) if path.is_dir() and pattern.search(str(path))]
        for name in ("*/decode*", "*/scoring/*")
    )
    other = of_other_data(decodes, folders)
    found = [(decode, line) for unit in UNITS for decode in decodes if (line := error_rate(decode, unit))]
    found += [(folder, line) for folder in folders for line in measures(folder)]
    lines = [f"{line} ({OTHER})" if path in other else line for path, line in found]
    if not lines:
        which = f" in directories that '{args.pattern}' finds" if args.pattern else ""
        raise UserError(f"{args.exp}: no scores{which}: ./run.sh makes some, steps/status.sh shows what is done")
    print(*lines, sep="\n")


if __name__ == "__main__":
    cli.run(main)
