#!/usr/bin/env -S sh -c 'p=${0%/*}/../.venv/bin/python3; [ -x "$p$MIMIC_FORKS" ] || p=python3; exec "$p" "$0" "$@"'
"""Make an exported graph 8 bit, if it recognises as well as before.

quantise.py exp/asr_clean/onnx data/dev_clean                        a recogniser: WER before and after
quantise.py exp/fast/onnx data/dev_noisy data/dev_clean              an enhancer: PESQ and eSTOI before and after

Writes waveform.int8.onnx or model.int8.onnx beside the graph. Utterances are taken evenly from all of the data; a fifth
of them give the ranges of --method static, the others are scored.
"""

import argparse
import logging
import os
import tempfile
from pathlib import Path
from typing import Annotated

from mimic import cli
from mimic.errors import UserError
from mimic.io.audio import AudioReader
from mimic.io.tables import read_table
from mimic.settings import Range

log = logging.getLogger(__name__)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="what steps/export.sh wrote")
    parser.add_argument("data", type=Path, help="data directory; for a recogniser with transcripts")
    parser.add_argument("clean", type=Path, nargs="?", help="for an enhancer: its clean speech")
    parser.add_argument("--method", choices=("dynamic", "static"), default="dynamic", help="(default: %(default)s)")
    cli.add_number(parser, "--max-wer-rise", Annotated[float, Range(0)], 2.0, "percent of the WER, as much is allowed")
    cli.add_number(parser, "--num-utts", Annotated[int, Range(5)], 100, "utterances of the data")
    arguments = parser.parse_args()
    try:
        from mimic.deploy.quantise import Exported, quantise, score
    except ImportError as error:
        raise UserError(f"{error.name} is not installed: run steps/setup.sh") from None

    exported = Exported(arguments.folder)
    if exported.recognises != (arguments.clean is None):
        need = "a data directory with transcripts" if exported.recognises else "the noisy and the clean data directory"
        raise UserError(f"{arguments.folder}: give {need}")
    reader = AudioReader(arguments.data, exported.rate)
    beside = read_table(arguments.data / "text") if exported.recognises else AudioReader(arguments.clean, exported.rate)
    utts = [utt for utt in reader if utt in beside]
    utts = utts[:: max(1, len(utts) // arguments.num_utts)][: arguments.num_utts]
    if len(utts) < 5:
        raise UserError(f"{arguments.data}: {len(utts)} utterances with a counterpart, of at least 5")
    ranges, scored = utts[::5], [utt for place, utt in enumerate(utts) if place % 5]
    target = exported.graph.with_suffix(".int8.onnx")
    with tempfile.TemporaryDirectory(dir=arguments.folder, prefix=".int8-") as folder:
        made = Path(folder) / target.name
        count, total = quantise(exported, arguments.method, made, [reader[utt] for utt in ranges])
        log.info(
            "%s: %d of %d products, %.2f MB -> %.2f MB",
            arguments.method,
            count,
            total,
            *map(size, (exported.graph, made)),
        )
        before, after = (score(exported, graph, reader, scored, beside) for graph in (exported.graph, made))
        if exported.recognises:
            compare_wer(before.wer, after.wer, len(scored), arguments.max_wer_rise)
        else:
            pesq = (
                "PESQ NA"
                if before.pesq is None or after.pesq is None
                else f"PESQ {before.pesq:.3f} -> {after.pesq:.3f}"
            )
            log.info("%s, eSTOI %.4f -> %.4f, %d utterances", pesq, before.estoi, after.estoi, len(scored))
        os.replace(made, target)
    log.info("wrote %s", target)


def size(path: Path) -> float:
    return path.stat().st_size / 1e6


def compare_wer(before: float, after: float, utts: int, most: float) -> None:
    rise = 100 * (after - before) / before if before else 100.0 * (after > 0)
    log.info("WER %.2f %% -> %.2f %% (%+.1f %% of it), %d utterances", 100 * before, 100 * after, rise, utts)
    if rise > most:
        raise UserError(f"WER rises by {rise:.1f} % of it, more than --max-wer-rise {most:g}: nothing is written")


if __name__ == "__main__":
    cli.run(main)
