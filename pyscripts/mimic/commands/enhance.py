"""Enhance audio files: one, those of a folder, those of a wav.scp, or a stream of samples.

mimic enhance talk.flac talk_enhanced.flac
mimic enhance exp/enhance_mimic talk.flac talk_enhanced.flac
mimic enhance exp/enhance_mimic recordings enhanced --enhancement-ratio 0.8
arecord -t raw -f S16_LE -r 16000 | mimic enhance --stream true exp/enhance_causal - - | aplay -f S16_LE -r 16000
"""

import argparse
import logging
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from mimic import cli
from mimic.augment.recordings import Recordings
from mimic.deploy import files
from mimic.deploy.stream import Stream
from mimic.errors import UserError
from mimic.io.audio import AudioReader
from mimic.io.entries import stored
from mimic.io.tables import write_table
from mimic.models import find
from mimic.models.blocks import BlockEnhancer
from mimic.models.enhancer import Enhancer
from mimic.progress import INTERVAL_S, report

log = logging.getLogger(__name__)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.usage = "%(prog)s [options] [<model-dir>] <in> <out> [--section.key value]..."
    text = "directory of a trained enhancer (default: the pretrained one); audio file, folder, wav.scp, or - for "
    parser.add_argument("words", nargs="*", help=f"{text}standard input; file or folder, - for standard output")
    cli.add_ratio(parser)
    parser.add_argument("--chunk-seconds", type=float, default=60.0, help="0: all at once (default: %(default)s)")
    parser.add_argument("--stream", choices=("true", "false"), default="false", help="samples in and out")
    parser.add_argument("--allow-pipes", choices=("true", "false"), default="false", help="run commands of wav.scp")
    cli.add_device(parser)
    arguments, others = parser.parse_known_args()
    model, (source, target), overrides = cli.model_first(arguments.words, others, 2)

    torch.set_flush_denormal(True)  # decaying states of recurrent layers: half of their time on a CPU
    enhancer = Enhancer.load(find(model), overrides, arguments.device)
    if arguments.stream == "true":
        if (source, target) != ("-", "-"):
            raise UserError("--stream true reads standard input and writes standard output: give - -")
        ratio = enhancer.ratio(arguments.enhancement_ratio)
        torch.set_num_threads(1)  # a hop is too little work to share
        stream(Stream(enhancer.net, enhancer.front, ratio), enhancer.rate)
        return 0
    if arguments.enhancement_ratio is None and enhancer.curve:
        log.info("enhancement ratio auto, as fitted to recognisers; for listening: --enhancement-ratio 1")
    work = enhancer.blocks(arguments.enhancement_ratio, arguments.chunk_seconds)
    reader = files.find(source, arguments.allow_pipes == "true")
    if target == "-" and not files.is_single(source):
        raise UserError(f"{source}: several files do not fit into standard output: give a folder")
    with files.written_to(target) as output:
        return enhance(work, reader, files.targets(reader, source, output), Path(output))


def enhance(work: BlockEnhancer, reader: AudioReader, targets: dict[str, Path], output: Path) -> int:
    """Enhance file by file; one that cannot be is named and the others are enhanced. Gives the exit code."""
    started, failed, seconds = time.monotonic(), 0, 0.0
    for number, (name, path) in enumerate(targets.items(), 1):
        try:
            info = reader.info(name)
            with files.Writer(path, info) as writer:
                what = f"s of {name}" + (f" ({number} of {len(targets)})" if len(targets) > 1 else "")
                blocks = progress(reader.blocks(name, files.BLOCK), info.rate, info.seconds, what)
                for block in work(blocks, info.rate):
                    writer.write(block)
            if writer.clipped:
                log.warning("%s was louder than full scale and is clipped", path)
            seconds += info.seconds
        except UserError as error:
            if len(targets) == 1:
                raise
            log.error("error: %s", error)
            failed += 1
    if failed:
        log.error("error: %d of %d files could not be enhanced", failed, len(targets))
    elif isinstance(reader, Recordings):
        write_table(output / "wav.scp", {name: stored(path) for name, path in targets.items()})
    spent = time.monotonic() - started
    log.info("enhanced %.1f s of audio in %.1f s: real-time factor %.3f", seconds, spent, spent / max(seconds, 1e-9))
    return int(failed > 0)


def progress(blocks: Iterator[np.ndarray], rate: int, seconds: float, what: str) -> Iterator[np.ndarray]:
    last, done = time.monotonic(), 0
    for block in blocks:
        yield block
        done += len(block)
        if time.monotonic() - last >= INTERVAL_S:
            last = time.monotonic()
            report(round(done / rate), round(seconds), what)


def stream(enhance: Stream, rate: int) -> None:
    """Raw samples from standard input to standard output, as they come."""
    delay = f"{enhance.latency} samples, {1000 * enhance.latency / rate:.0f} ms"
    log.info("16-bit little-endian samples of one channel at %d Hz in and out; latency %s", rate, delay)
    data = b""
    while more := os.read(sys.stdin.fileno(), 1 << 16):
        data += more
        whole = len(data) // 2 * 2
        give(enhance(torch.from_numpy(np.frombuffer(data[:whole], "<i2") / np.float32(32768))))
        data = data[whole:]
    if data:
        log.warning("the half sample at the end is left out: are these 16-bit samples?")
    give(enhance(torch.zeros(0), last=True))


def give(x: torch.Tensor) -> None:
    sys.stdout.buffer.write((x.cpu() * 32768).round().clamp(-32768, 32767).numpy().astype("<i2").tobytes())
    sys.stdout.buffer.flush()
