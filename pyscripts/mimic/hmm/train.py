"""Training of GMM-HMMs: what one job adds up; update.py makes models of the sums of all jobs.

The files are those of Kaldi's training directories: tree, X.mdl, ali.JOB.gz, final.mat, trans.JOB; sums of a job are
X.JOB.acc.npz.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from mimic.hmm import chain
from mimic.hmm.adapt import FmllrStats, LdaStats, MlltStats
from mimic.hmm.alignments import Aligner, align_all, job_utts, read_ali, warn_unknown_words, write_ali
from mimic.hmm.feats import Features, read_trans, transformed, write_trans
from mimic.hmm.gmm import GmmStats
from mimic.hmm.jobs import Sums, save_sums, sums_path, write_summary
from mimic.hmm.lang import Lang
from mimic.hmm.model import Model
from mimic.hmm.tree import TreeStats, utterance_stats
from mimic.io.tables import read_text

log = logging.getLogger(__name__)


@dataclass
class Job:
    """One job of a training in `directory`, on the features `data` with their transcripts.

    Features are as the directory's final.mat and trans.JOB make them, as far as it has them.
    """

    data: Path
    lang_dir: Path
    directory: Path
    job: int = 1
    nj: int = 1
    lang: Lang = field(init=False)
    skipped: dict[str, str] = field(init=False)

    def __post_init__(self) -> None:
        self.lang = Lang(self.lang_dir)
        self.utts = job_utts(self.data, self.job, self.nj)
        self.texts = read_text(self.data / "text")
        self.features = Features(self.data, self.directory, read_trans(self.directory))
        self.skipped = {utt: "no transcript" for utt in self.utts if not self.texts.get(utt)}
        self.skipped |= {utt: "no features" for utt in self.utts if utt not in self.features}
        if self.skipped:
            first, n = min(self.skipped), len(self.skipped)
            log.warning("%d utterances without features or transcript, first %s: left out", n, first)
        self.utts = [utt for utt in self.utts if utt not in self.skipped]

    @property
    def ali_path(self) -> Path:
        return self.directory / f"ali.{self.job}.gz"

    def alignments(self) -> dict[str, np.ndarray]:
        return dict(read_ali(self.ali_path))

    def save(self, name: str, statistics: Sums, **more: np.ndarray) -> None:
        """NAME.JOB.acc.npz."""
        save_sums(sums_path(self.directory, name, self.job), statistics, **more)

    def pooled(self, utts: list[str], alignments: dict, pdfs: np.ndarray, features=None) -> tuple:
        """Features (frames, dim) and pdfs (frames,) of some utterances, one after the other."""
        features = features or self.features
        x = np.concatenate([features(utt) for utt in utts])
        return x, np.concatenate([pdfs[alignments[utt]] for utt in utts])

    def align_equal(self) -> None:
        """First alignments, from the transcripts alone."""
        aligner = Aligner(self.lang, Model.read(self.directory / "0.mdl"))
        warn_unknown_words(self.lang, self.texts)
        found = {}
        for utt in self.utts:
            frames = len(self.features(utt))
            ali = aligner.equal(self.texts[utt], frames)
            if ali is None:
                self.skipped[utt] = f"{frames} frames are too few for its transcript"
                log.warning("%s: %s: left out", utt, self.skipped[utt])
            else:
                found[utt] = ali
        self.write_alignments(found)

    def write_alignments(self, found: dict[str, np.ndarray], **totals: float) -> None:
        """ali.JOB.gz, and what became of the other utterances."""
        self.write_summary(**totals)
        write_ali(self.ali_path, found)

    def write_summary(self, **totals: float) -> None:
        total = len(set(self.utts) | set(self.skipped))
        write_summary(self.directory, self.job, total, self.skipped, **totals)

    def align(self, model: Model, beam: float, retry_beam: float, boost_silence: float) -> None:
        aligner = Aligner(self.lang, model, boost_silence)
        found, total, frames = align_all(self.utts, self.features, self.texts, aligner, beam, retry_beam)
        log.info(
            "Overall log-likelihood per frame is %.4f over %d frames; done %d, errors %d",
            total / max(frames, 1), frames, len(found), len(self.utts) - len(found),
        )  # fmt: skip
        failed = f"no alignment within --retry-beam {retry_beam:g}"
        self.skipped |= {utt: failed for utt in self.utts if utt not in found}
        self.write_alignments(found, log_like=total, frames=frames)

    def acc(self, name: str, model: Model, two_feats: bool = False) -> None:
        """Sums for an update of the mixtures; with `two_feats`, of SI features by posteriors of adapted ones."""
        alignments, stats = self.alignments(), GmmStats.zeros(model.mixtures.num_gauss, model.mixtures.dim)
        counts = np.zeros(len(model.tid_pdf))
        plain = Features(self.data, self.directory)
        for utts in self.features.blocks(self.utts, alignments):
            x, pdfs = self.pooled(utts, alignments, model.tid_pdf)
            other = self.pooled(utts, alignments, model.tid_pdf, plain)[0] if two_feats else None
            model.mixtures.accumulate(stats, x, pdfs, other)
            stats.log_like += sum(len(alignments[utt]) * self.features.log_det(utt) for utt in utts)
            counts += np.bincount(np.concatenate([alignments[utt] for utt in utts]), minlength=len(counts))
        self.save(name, stats, transitions=counts)

    def tree_stats(self, model: Model, factor: int = 0) -> None:
        """Statistics for a tree; with `factor` for that of LF-MMI, whose frames are so many times longer."""
        alignments, silence = self.alignments(), self.lang.integers("context_indep")
        self.skipped |= {utt: "no alignment to begin with" for utt in self.utts if utt not in alignments}
        total: TreeStats | None = None
        for utts in self.features.blocks(self.utts, alignments):
            parts = []
            for utt in utts:
                if not factor:
                    parts.append(utterance_stats(model, alignments[utt], self.features(utt), silence))
                elif (short := chain.phone_starts(model, alignments[utt], factor)) is None:
                    self.skipped[utt] = chain.TOO_SHORT
                else:
                    parts.append(chain.tree_stats(short, self.features(utt), factor, silence))
            total = TreeStats.merged([*parts, total] if total else parts) if parts else total
        self.write_summary()
        if total is None:
            total = TreeStats(np.zeros((0, 4), np.int64), np.zeros((0, 1 + 2 * self.dim())))
        self.save("tree", total)

    def dim(self) -> int:
        return self.features(next(iter(self.features.entries))).shape[1]

    def lda_stats(self, model: Model) -> None:
        spliced = Features(self.data, kind="splice")
        alignments, stats = self.alignments(), None
        for utts in self.features.blocks(self.utts, alignments):
            x, pdfs = self.pooled(utts, alignments, model.tid_pdf, spliced)
            keep = ~np.isin(np.concatenate([model.tid_phone[alignments[utt]] for utt in utts]), self.lang.silence)
            stats = stats or LdaStats.zeros(model.transitions.num_pdfs, x.shape[1])
            stats.accumulate(x[keep], pdfs[keep])
        if stats is None:
            stats = LdaStats.zeros(model.transitions.num_pdfs, spliced(next(iter(spliced.entries))).shape[1])
        self.save("lda", stats)

    def mllt_stats(self, name: str, model: Model) -> None:
        alignments, stats = self.alignments(), MlltStats.zeros(model.mixtures.dim)
        for utts in self.features.blocks(self.utts, alignments):
            x, pdfs = self.pooled(utts, alignments, model.tid_pdf)
            keep = ~np.isin(np.concatenate([model.tid_phone[alignments[utt]] for utt in utts]), self.lang.silence)
            stats.accumulate(model.mixtures, x[keep], pdfs[keep])
        self.save(name, stats)

    def fmllr(self, model: Model, min_count: float) -> None:
        """trans.JOB of this job's speakers from their alignments."""
        speakers = self.features.speakers
        write_trans(
            self.directory,
            self.job,
            estimate_fmllr(model, self.features, self.alignments(), speakers, self.utts, self.lang.silence, min_count),
        )


def estimate_fmllr(
    model: Model, features: Features, alignments: dict[str, np.ndarray], speakers: Mapping[str, str], utts: list[str],
    silence: list[int], min_count: float,
) -> dict[str, np.ndarray]:  # fmt: skip
    """{speaker: (dim, dim + 1)} from alignments; silence frames do not count.

    Where the features are adapted already, they give the posteriors, and the new transforms take the place of the old.
    """
    before, features.trans = features.trans, {}
    stats: dict[str, FmllrStats] = {}
    for utt in utts:
        mine = stats.setdefault(speakers[utt], FmllrStats.zeros(model.mixtures.dim))
        if utt not in alignments:
            continue
        ali = alignments[utt]
        keep = ~np.isin(model.tid_phone[ali], silence)
        if not keep.any():
            continue
        x = features(utt)
        adapted = None
        if speakers[utt] in before:
            adapted = transformed(x, before[speakers[utt]])[keep]
        mine.accumulate(model.mixtures, x[keep], model.tid_pdf[ali][keep], adapted)
    features.trans = before
    return {speaker: mine.estimate(speaker, min_count) for speaker, mine in stats.items()}
