"""Score transcripts or enhanced speech against their references.

mimic score data/test/text exp/asr_mimic/decode_test/text    `utterance words` tables: WER
mimic score clean_wavs enhanced_wavs                         data directories or folders of audio files: PESQ, STOI, ...
"""

import argparse
from pathlib import Path

from mimic.io.tables import read_text
from mimic.metrics.enhancement import MEASURES, describe, parse_measures, score
from mimic.metrics.figures import means, summary
from mimic.metrics.pairs import Pairs
from mimic.metrics.wer import align_set, bootci_line, totals, wer_lines
from mimic.reporting.score_table import aligned


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("reference", type=Path, help="table of transcripts, data directory or folder of audio")
    parser.add_argument("result", type=Path, help="the same of what is scored")
    parser.add_argument("--measures", default="all", help=f"of audio: comma-separated, of {','.join(MEASURES)}")
    arguments = parser.parse_args()
    if arguments.reference.is_file() and arguments.result.is_file():
        alignments = align_set(read_text(arguments.reference), read_text(arguments.result))
        print(wer_lines(totals(alignments)) + bootci_line(alignments).rstrip())
        return
    measures, pairs = parse_measures(arguments.measures), Pairs(arguments.reference, arguments.result)
    rows = list(score(pairs, pairs.utts, measures))
    print(f"{len(rows)} utterances; {describe()}\n{aligned(summary(means(rows, measures)))}", end="")
