"""The feature directory that several jobs make together. Without torch, so that collecting starts at once."""

import logging
from dataclasses import dataclass
from pathlib import Path

from mimic.corpus.copies import subset
from mimic.errors import UserError
from mimic.frontend.cmvn_stats import GLOBAL_KEY, CmvnStats, write_stats
from mimic.io.archives import load, read_scp
from mimic.io.atomic import replace
from mimic.io.tables import read_table, read_utt2spk, write_data_dir, write_skipped, write_table

MADE_HERE = ("feats.scp", "cmvn.scp", "utt2num_frames")
log = logging.getLogger(__name__)


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


def collect(data_dir: Path, feat_dir: Path, folder: Path, nj: int, max_skip: float) -> None:
    """Make the feature directory from the files of `nj` jobs in `folder`; feats.scp comes last.

    The tables of `data_dir` are copied, without the utterances that were skipped. Raises UserError when a job's
    files are missing or more than the share `max_skip` of the utterances was skipped.
    """
    utt2spk = read_utt2spk(data_dir / "utt2spk")
    feats: dict[str, str] = {}
    frames: dict[str, str] = {}
    skipped: dict[str, str] = {}
    stats = CmvnStats()
    for files in (JobFiles(folder, job) for job in range(1, nj + 1)):
        if not files.scp.exists():
            raise UserError(f"{files.scp} is missing: job {files.job} has not ended, see its log")
        feats |= read_scp(files.scp)
        frames |= read_table(files.num_frames)
        skipped |= dict(line.split("\t", 1) for line in files.skipped.read_text(encoding="utf-8").splitlines())
        for speaker, entry in read_scp(files.cmvn[1]).items():
            stats.add_stats(speaker, load(entry))
    write_skipped(feat_dir / "skipped.tsv", skipped)
    if skipped:
        log.warning("%d of %d utterances skipped, see %s/skipped.tsv", len(skipped), len(utt2spk), feat_dir)
    if len(skipped) > max_skip * len(utt2spk) or not feats:
        raise UserError(
            f"{len(skipped)} of {len(utt2spk)} utterances cannot be used, more than --max-skip {max_skip:g} allows: "
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
