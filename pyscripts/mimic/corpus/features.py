"""Feature directories: features of the audio of a data directory, made by several jobs.

Each job streams its utterances from audio to an archive (`run_job`); `collect` makes the feature directory of what the
jobs wrote. Nothing here needs torch: an extractor is anything that takes samples and gives features.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np

from mimic.corpus.copies import subset
from mimic.errors import AudioError, UserError
from mimic.io.archives import ArkWriter, load, read_scp
from mimic.io.atomic import replace
from mimic.io.batching import prefetch
from mimic.io.feature_dir import GLOBAL_KEY, CmvnStats, write_stats
from mimic.io.tables import read_skipped, read_table, read_utt2spk, split, write_data_dir, write_skipped, write_table
from mimic.progress import progress

if TYPE_CHECKING:
    from mimic.io.audio import AudioReader  # what a job is given; `collect` reads no audio

log = logging.getLogger(__name__)
# An option that is missing, not bad audio: the first such utterance ends the job.
NEEDS_AN_OPTION = ("pipe", "channels")
LONG = 1 << 22  # samples (4 minutes at 16 kHz); nothing is read ahead while a longer recording is worked on
MADE_HERE = ("feats.scp", "cmvn.scp", "utt2num_frames")


class Extractor(Protocol):
    """What run_job needs of one (mimic.frontend.extraction)."""

    frame_shift_s: float

    def extract(self, waveform: np.ndarray) -> np.ndarray:
        """Float32 samples (samples,) -> float32 features (frames, dim)."""


@dataclass(frozen=True)
class JobFiles:
    """The files of one job. The index `scp` comes last: where it is, the job is finished and the others are whole."""

    folder: Path
    job: int

    @property
    def ark(self) -> Path:
        return self.folder / f"feats.{self.job}.ark"

    @property
    def scp(self) -> Path:
        return self.folder / f"feats.{self.job}.scp"

    @property
    def cmvn(self) -> tuple[Path, Path]:
        return self.folder / f"cmvn.{self.job}.ark", self.folder / f"cmvn.{self.job}.scp"

    @property
    def num_frames(self) -> Path:
        return self.folder / f"utt2num_frames.{self.job}"

    @property
    def frame_shift(self) -> Path:
        return self.folder / f"frame_shift.{self.job}"

    @property
    def skipped(self) -> Path:
        return self.folder / f"skipped.{self.job}.tsv"

    def write(
        self, features: Iterable[tuple[str, np.ndarray]], speakers: Mapping[str, str], frame_shift: str,
        skipped: dict[str, str], compress: str = "none",
    ) -> None:  # fmt: skip
        """Write (utterance, features (frames, dim)) pairs as they come, in constant memory.

        frame_shift: seconds, as written. skipped: {utterance: reason}, which `features` may fill meanwhile.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        stats, frames = CmvnStats(), {}
        with ArkWriter(self.ark, self.scp, compress) as writer:
            for utt, feats in features:
                writer.write(utt, feats)
                frames[utt] = str(len(feats))
                stats.add(speakers[utt], feats)
            stats.write(*self.cmvn)
            write_table(self.num_frames, frames)
            with replace(self.frame_shift) as f:
                f.write(f"{frame_shift}\n")
            write_skipped(self.skipped, skipped)
        log.info("%d utterances, %d frames, %d skipped", len(frames), sum(map(int, frames.values())), len(skipped))


def run_job(reader: AudioReader, extractor: Extractor, files: JobFiles, nj: int, compress: str = "none") -> None:
    """Write the features of job `files.job` of `nj`, unless they are there already, of all of its utterances.

    Audio that could not be used may have been put right since then.
    """
    if files.scp.exists() and not read_skipped(files.skipped):
        log.info("job %d is done already", files.job)
        return
    utts = split(reader.utts, files.job, nj)
    speakers = read_utt2spk(reader.data_dir / "utt2spk")
    if odd := speakers.keys() ^ set(reader.utts):
        raise UserError(f"{reader.data_dir}: {min(odd)} is in utt2spk or has audio, not both: run steps/fix_data.sh")
    skipped: dict[str, str] = {}
    made = progress(features(reader, extractor, utts, skipped), len(utts), "utterances")
    files.write(made, speakers, f"{extractor.frame_shift_s:g}", skipped, compress)
    reader.log_trimmed()


def features(
    reader: AudioReader, extractor: Extractor, utts: list[str], skipped: dict[str, str]
) -> Iterator[tuple[str, np.ndarray]]:
    """Yield (utterance, features (frames, dim) float32); a thread reads and decodes the next utterances meanwhile.

    Audio that cannot be used goes to `skipped` with the reason. Raises AudioError where an option is missing.
    """
    may_read = threading.Event()
    may_read.set()

    def read(utt: str) -> tuple[str, np.ndarray | AudioError]:
        may_read.wait()
        try:
            waveform = reader[utt]
        except AudioError as error:
            if error.kind in NEEDS_AN_OPTION:
                raise
            return utt, error
        if len(waveform) > LONG:
            may_read.clear()
        return utt, waveform

    for utt, waveform in prefetch(read, utts):
        if isinstance(waveform, AudioError):
            skipped[utt] = str(waveform)
            continue
        feats = extractor.extract(waveform)
        samples = len(waveform)
        del waveform
        if not len(feats):
            skipped[utt] = f"{utt}: {reader.entry(utt)} is too short: {samples} samples do not fill one frame"
        elif not np.isfinite(feats).all():
            skipped[utt] = f"{utt}: {reader.entry(utt)} gives infinite features: its samples are far beyond +-1"
        else:
            yield utt, feats
        if samples > LONG:
            may_read.set()


def collect(data_dir: Path, feat_dir: Path, folder: Path, nj: int, max_skip: float) -> None:
    """Make the feature directory from the files of `nj` jobs in `folder`; feats.scp comes last.

    The tables of `data_dir` are copied, without the utterances that were skipped. Raises UserError when a job's
    files are missing or more than the share `max_skip` of the utterances was skipped.
    """
    feats: dict[str, str] = {}
    frames: dict[str, str] = {}
    skipped: dict[str, str] = {}
    stats = CmvnStats()
    for files in (JobFiles(folder, job) for job in range(1, nj + 1)):
        if not files.scp.exists():
            raise UserError(f"{files.scp} is missing: job {files.job} has not ended, see its log")
        feats |= read_scp(files.scp)
        frames |= read_table(files.num_frames)
        skipped |= read_skipped(files.skipped)
        for speaker, entry in read_scp(files.cmvn[1]).items():
            stats.add_stats(speaker, load(entry))
    total = len(read_utt2spk(data_dir / "utt2spk"))
    write_skipped(feat_dir / "skipped.tsv", skipped)
    if skipped:
        log.warning("%d of %d utterances skipped, see %s/skipped.tsv", len(skipped), total, feat_dir)
    if len(skipped) > max_skip * total or not feats:
        raise UserError(
            f"{len(skipped)} of {total} utterances cannot be used, more than --max-skip {max_skip:g} allows: "
            f"see {feat_dir}/skipped.tsv; the first: {skipped[min(skipped)]}"
        )
    tables = subset(data_dir, feats.keys())
    write_data_dir(feat_dir, {name: table for name, table in tables.items() if name not in MADE_HERE})
    stats.write(feat_dir / "cmvn.ark", feat_dir / "cmvn.scp")
    write_stats(feat_dir / "global_cmvn.ark", feat_dir / "global_cmvn.scp", [(GLOBAL_KEY, stats.total())])
    write_table(feat_dir / "utt2num_frames", frames)
    with replace(feat_dir / "frame_shift") as f:
        f.write(files.frame_shift.read_text())
    write_table(feat_dir / "feats.scp", feats)
