"""Transcribe audio files: one, those of a folder, those of a wav.scp.

mimic transcribe exp/asr_clean talk.flac
mimic transcribe --format srt --enhance exp/enhance_mimic exp/asr_mimic films subtitles
"""

import argparse
import json
import logging
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from mimic import cli
from mimic.deploy import files
from mimic.deploy.captions import FORMATS, SUFFIX, as_record
from mimic.deploy.transcriber import Transcriber
from mimic.errors import UserError
from mimic.io import atomic
from mimic.io.audio import AudioReader
from mimic.io.entries import file_name
from mimic.models import find
from mimic.models.blocks import BlockEnhancer
from mimic.models.enhancer import Enhancer
from mimic.models.recogniser import Recogniser, Segment
from mimic.progress import INTERVAL_S, report

log = logging.getLogger(__name__)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, help="directory of a trained recogniser")
    parser.add_argument("input", help="audio file, folder, wav.scp, data directory, or - for standard input")
    parser.add_argument("output", nargs="?", default="-", help="file, or folder for several; - for standard output")
    parser.add_argument("--format", default="text", help=f"{', '.join(FORMATS)} (default: %(default)s)")
    text = "directory of an enhancer that is applied before; true: the default pretrained one"
    parser.add_argument("--enhance", default="", help=text)
    cli.add_ratio(parser)
    parser.add_argument("--max-seconds", type=float, default=15.0, help="longest segment (default: %(default)s)")
    parser.add_argument("--allow-pipes", choices=("true", "false"), default="false", help="run commands of wav.scp")
    cli.add_device(parser)
    arguments, overrides = parser.parse_known_args()

    torch.set_flush_denormal(True)  # decaying states of recurrent layers: half of their time on a CPU
    if arguments.format not in FORMATS:
        raise UserError(f"--format {arguments.format}: expected one of {', '.join(FORMATS)}")
    to_stdout, single = arguments.output == "-", files.is_single(arguments.input)
    if to_stdout and not single and arguments.format in ("srt", "vtt"):
        raise UserError(f"--format {arguments.format} of several recordings: name a folder for the files")
    recogniser = Recogniser.load(arguments.model, overrides, arguments.device)
    transcriber = Transcriber(recogniser, arguments.max_seconds)
    work = None
    if arguments.enhance not in ("", "false"):
        enhancer = Enhancer.load(find(arguments.enhance), (), arguments.device)
        work = enhancer.blocks(arguments.enhancement_ratio)
    reader = files.find(arguments.input, arguments.allow_pipes == "true")
    targets = {} if to_stdout else find_targets(reader, arguments.output, SUFFIX[arguments.format], single)
    started, failed, seconds = time.monotonic(), 0, 0.0
    for name in reader.utts:
        try:
            total = reader.info(name).seconds
            with enhanced(work, reader, name) as source:
                found = list(progress(transcriber(source, name), total, name))
            seconds += total
            text = FORMATS[arguments.format](name, found)
            if not to_stdout:
                write(targets[name], text)
                continue
            if not single and arguments.format == "text":
                text = f"{name} {text}"
            elif not single and arguments.format == "json":  # a line for each
                text = json.dumps(as_record(name, found), ensure_ascii=False) + "\n"
            sys.stdout.write(text)
            sys.stdout.flush()
        except UserError as error:
            if single:
                raise
            log.error("error: %s", error)
            failed += 1
    if failed:
        log.error("error: %d of %d recordings could not be transcribed", failed, len(reader.utts))
    spent = time.monotonic() - started
    log.info("transcribed %.1f s of audio in %.1f s: real-time factor %.3f", seconds, spent, spent / max(seconds, 1e-9))
    return int(failed > 0)


@contextmanager
def enhanced(work: BlockEnhancer | None, reader: AudioReader, name: str) -> Iterator[AudioReader]:
    """The recording as the enhancer gives it, in a temporary file."""
    if work is None:
        yield reader
        return
    with tempfile.TemporaryDirectory() as folder:
        info, path = reader.info(name), Path(folder) / "enhanced.wav"
        with files.Writer(path, info) as writer:
            for block in work(reader.blocks(name, files.BLOCK), info.rate):
                writer.write(block)
        yield files.Files({name: str(path)})


def find_targets(reader: AudioReader, output: str, suffix: str, single: bool) -> dict[str, Path]:
    out = Path(output)
    if single and not out.is_dir():
        return dict.fromkeys(reader.utts, out)
    if out.exists() and not out.is_dir():
        raise UserError(f"{output} is a file: name a folder for the transcripts")
    if isinstance(reader, files.Files):  # names of files, not ids of utterances
        return files.different({name: out / Path(name).with_suffix(suffix) for name in reader.utts})
    return {name: out / f"{file_name(name)}{suffix}" for name in reader.utts}


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic.replace(path) as f:
        f.write(text)


def progress(segments: Iterator[Segment], seconds: float, name: str) -> Iterator[Segment]:
    last = time.monotonic()
    for segment in segments:
        yield segment
        if time.monotonic() - last >= INTERVAL_S:
            last = time.monotonic()
            report(round(segment.end), round(seconds), f"s of {name}")
