"""Features of one job's share of a data directory, streamed from audio to an archive."""

import logging
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from mimic import cli
from mimic.errors import AudioError, UserError
from mimic.frontend.cmvn_stats import CmvnStats
from mimic.frontend.collect import JobFiles
from mimic.frontend.fbank import Fbank, FbankConfig
from mimic.frontend.logmel import LogMel, LogMelConfig
from mimic.frontend.mfcc import Mfcc, MfccConfig
from mimic.frontend.ssl import SslConfig, SslFeatures
from mimic.frontend.stft import Stft, StftConfig
from mimic.io.archives import ArkWriter
from mimic.io.atomic import replace
from mimic.io.audio import AudioReader
from mimic.io.batching import prefetch
from mimic.io.lines import read_lines
from mimic.io.tables import read_utt2spk, split, write_skipped, write_table

log = logging.getLogger(__name__)

# An option that is missing, not bad audio: the first such utterance ends the job.
NEEDS_AN_OPTION = ("pipe", "channels")
LONG = 1 << 22  # samples (4 minutes at 16 kHz); nothing is read ahead while a longer recording is worked on


Extractor = Fbank | LogMel | Mfcc | SslFeatures | Stft
EXTRACTORS = {
    "fbank": (Fbank, FbankConfig),
    "logmel": (LogMel, LogMelConfig),
    "mfcc": (Mfcc, MfccConfig),
    "ssl": (SslFeatures, SslConfig),
    "stft": (Stft, StftConfig),
}


def extractor(kind: str, options: Path) -> Extractor:
    """The features `kind` of EXTRACTORS with the options of a file in Kaldi's format."""
    features, config = EXTRACTORS[kind]
    return features(config.read(options))


def front_end(options: Path) -> Extractor:
    """The features that a recogniser was trained on, from the options in its directory.

    A line `--type=KIND` says of which kind they are; without one they are fbank.
    """
    lines = (line.partition("#")[0].strip() for _, line in read_lines(options, "option file"))
    kinds = [line.removeprefix("--type=") for line in lines if line.startswith("--type=")]
    kind = kinds[-1] if kinds else "fbank"
    if kind not in EXTRACTORS:
        raise UserError(f"{options}: --type={kind}: features are of type {', '.join(EXTRACTORS)}")
    return extractor(kind, options)


def features(
    reader: AudioReader, extract: Extractor, utts: list[str], skipped: dict[str, str]
) -> Iterator[tuple[str, np.ndarray]]:
    """Yield (utterance, features (frames, dim) float32); a thread reads and decodes the next utterances meanwhile.

    Audio that cannot be used goes to `skipped` with the reason. Raises AudioError where an option is missing.
    """
    may_read = threading.Event()
    may_read.set()

    def read(utt: str) -> tuple[str, np.ndarray | AudioError]:
        may_read.wait()
        try:
            wave = reader[utt]
        except AudioError as error:
            if error.kind in NEEDS_AN_OPTION:
                raise
            return utt, error
        if len(wave) > LONG:
            may_read.clear()
        return utt, wave

    for utt, wave in prefetch(read, utts):
        if isinstance(wave, AudioError):
            skipped[utt] = str(wave)
            continue
        with torch.inference_mode():
            feats = extract(torch.from_numpy(wave)).numpy()
        samples = len(wave)
        del wave
        if not len(feats):
            skipped[utt] = f"{utt}: {reader.entry(utt)} is too short: {samples} samples do not fill one frame"
        elif not np.isfinite(feats).all():
            skipped[utt] = f"{utt}: {reader.entry(utt)} gives infinite features: its samples are far beyond +-1"
        else:
            yield utt, feats
        if samples > LONG:
            may_read.set()


def run_job(reader: AudioReader, extract: Extractor, files: JobFiles, nj: int, compress: str = "none") -> None:
    """Write the features of job `files.job` of `nj`, in constant memory, unless they are there already."""
    if files.scp.exists():
        log.info("job %d is done already", files.job)
        return
    files.folder.mkdir(parents=True, exist_ok=True)
    utts = split(reader.utts, files.job, nj)
    speakers = read_utt2spk(reader.data_dir / "utt2spk")
    if odd := speakers.keys() ^ set(reader.utts):
        raise UserError(f"{reader.data_dir}: {min(odd)} is in utt2spk or has audio, not both: run steps/fix_data.sh")
    stats, skipped, frames = CmvnStats(), {}, {}
    with ArkWriter(files.ark, files.scp, compress) as writer:
        for utt, feats in cli.progress(features(reader, extract, utts, skipped), len(utts), "utterances"):
            writer.write(utt, feats)
            frames[utt] = str(len(feats))
            stats.add(speakers[utt], feats)
        stats.write(*files.cmvn)
        write_table(files.num_frames, frames)
        with replace(files.frame_shift) as f:
            f.write(f"{extract.frame_shift_s:g}\n")
        write_skipped(files.skipped, skipped)
    reader.log_trimmed()
    log.info("%d utterances, %d frames, %d skipped", len(frames), sum(map(int, frames.values())), len(skipped))
