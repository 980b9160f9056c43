#!/usr/bin/env -S sh -c 'p=${0%/*}/../.venv/bin/python3; [ -x "$p$MIMIC_FORKS" ] || p=python3; exec "$p" "$0" "$@"'
"""Make an exported graph 8 bit, if it recognises as well as before.

quantise.py exp/asr_clean/onnx data/dev_clean                        a recogniser: WER before and after
quantise.py exp/fast/onnx data/dev_noisy data/dev_clean              an enhancer: PESQ and eSTOI before and after

Writes waveform.int8.onnx, or model.int8.onnx, stream_ctc.int8.onnx and sherpa_ctc.int8.onnx, beside those of these
graphs that are there. Utterances are taken evenly from all of the data; a fifth of them give the ranges of --method
static, the others are scored.
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
        from mimic.deploy.exported import Exported, exported
        from mimic.deploy.quantise import quantise, score
    except ImportError as error:
        raise UserError(f"{error.name} is not installed: run steps/setup.sh") from None

    graphs = exported(arguments.folder)
    recognises, rate = graphs[0].recognises, graphs[0].rate
    if recognises != (arguments.clean is None):
        need = "a data directory with transcripts" if recognises else "the noisy and the clean data directory"
        raise UserError(f"{arguments.folder}: give {need}")
    reader = AudioReader(arguments.data, rate)
    beside = dict(read_table(arguments.data / "text")) if recognises else AudioReader(arguments.clean, rate)
    utts = [utt for utt in reader if utt in beside]
    utts = utts[:: max(1, len(utts) // arguments.num_utts)][: arguments.num_utts]
    if len(utts) < 5:
        raise UserError(f"{arguments.data}: {len(utts)} utterances with a counterpart, of at least 5")
    ranges, scored = utts[::5], [utt for place, utt in enumerate(utts) if place % 5]

    def write(graph: Exported) -> None:
        target = graph.graph.with_suffix(".int8.onnx")
        with tempfile.TemporaryDirectory(dir=arguments.folder, prefix=".int8-") as folder:
            made = Path(folder) / target.name
            count, total = quantise(graph, arguments.method, made, [reader[utt] for utt in ranges])
            sizes = size(graph.graph), size(made)
            log.info(
                "%s, %s: %d of %d products and recurrences, %.2f MB -> %.2f MB",
                graph.graph.name,
                arguments.method,
                count,
                total,
                *sizes,
            )
            before, after = (score(graph, path, reader, scored, beside) for path in (graph.graph, made))
            if recognises:
                compare_wer(graph.graph, before.wer, after.wer, len(scored), arguments.max_wer_rise)
            else:
                pesq = "PESQ NA" if None in (before.pesq, after.pesq) else f"PESQ {before.pesq:.3f} -> {after.pesq:.3f}"
                log.info("%s, eSTOI %.4f -> %.4f, %d utterances", pesq, before.estoi, after.estoi, len(scored))
            os.replace(made, target)
        log.info("wrote %s", target)

    refused = []
    for graph in graphs:  # one that is refused does not keep the others from being written
        try:
            write(graph)
        except UserError as error:
            refused.append(str(error))
    if refused:
        raise UserError("; ".join(refused))


def size(path: Path) -> float:
    return path.stat().st_size / 1e6


def compare_wer(graph: Path, before: float, after: float, utts: int, most: float) -> None:
    rise = 100 * (after - before) / before if before else 100.0 * (after > 0)
    log.info("WER %.2f %% -> %.2f %% (%+.1f %% of it), %d utterances", 100 * before, 100 * after, rise, utts)
    if rise > most:
        raise UserError(
            f"{graph}: WER rises by {rise:.1f} % of it, more than --max-wer-rise {most:g}: nothing is written"
        )


if __name__ == "__main__":
    cli.run(main)
