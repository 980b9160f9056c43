"""Kaldi's `ali.JOB.gz`: transition ids of every frame; forced alignment; what jobs share."""

import gzip
import logging
import struct
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path

import numpy as np
from kaldiio.matio import write_array

from mimic.errors import UserError
from mimic.hmm.kaldi import kaldifst, khg
from mimic.hmm.lang import Lang
from mimic.hmm.model import Model
from mimic.io.atomic import replace
from mimic.io.tables import read_utt2spk, spk2utt, split

log = logging.getLogger(__name__)
TRANSITION_SCALE, ACOUSTIC_SCALE, SELF_LOOP_SCALE = 1.0, 0.1, 0.1  # scale_opts of Kaldi's training scripts


def job_utts(data: Path, job: int, nj: int) -> list[str]:
    """The utterances of job `job` of `nj`: a speaker's stay together, as in Kaldi's split_data.sh."""
    speakers = spk2utt(read_utt2spk(data / "utt2spk"))
    return [utt for speaker in split(sorted(speakers), job, nj) for utt in speakers[speaker].split()]


def write_ali(path: Path, alignments: Mapping[str, np.ndarray]) -> None:
    """A gzipped archive of int32 vectors."""
    with replace(path, "wb") as raw, gzip.GzipFile("", "wb", 1, raw, mtime=0) as f:
        for utt in sorted(alignments):
            f.write(f"{utt} ".encode())
            write_array(f, np.asarray(alignments[utt], np.int32))


def read_ali(path: Path) -> Iterator[tuple[str, np.ndarray]]:
    """(utterance, transition ids (frames,)) of one archive, binary or text."""
    try:
        with gzip.open(path) as f:
            while key := _token(f):
                first = f.read(2)  # peek() may give one byte, where a buffer ends
                if first == b"\0B":
                    _, n = struct.unpack("<bi", f.read(5))
                    yield key, np.frombuffer(f.read(5 * n), [("bytes", "i1"), ("value", "<i4")])["value"].copy()
                else:  # as copy-int-vector writes with ark,t
                    yield key, np.array((first + f.readline() * (first[-1:] != b"\n")).split(), np.int32)
    except (OSError, EOFError, ValueError, struct.error) as error:
        raise UserError(f"{path}: damaged or missing alignments ({error}): run the step that makes them") from None


def _token(f: gzip.GzipFile) -> str:
    word = b""
    while (c := f.read(1)) not in (b"", b" "):
        word += c
    return word.decode()


def read_ali_dir(directory: Path) -> dict[str, np.ndarray]:
    """All alignments of a directory with num_jobs and ali.JOB.gz."""
    try:
        nj = int((directory / "num_jobs").read_text())
    except (OSError, ValueError):
        raise UserError(f"{directory}: no num_jobs: is it a directory of alignments?") from None
    return {utt: ali for job in range(1, nj + 1) for utt, ali in read_ali(directory / f"ali.{job}.gz")}


class Aligner:
    """Forced alignment of transcripts with a model (Kaldi's compile-train-graphs and gmm-align-compiled).

    Args:
        boost_silence: factor of the likelihoods of silence phones.
    """

    def __init__(self, lang: Lang, model: Model, boost_silence: float = 1.0) -> None:
        lexicon = kaldifst.StdVectorFst.read(str(lang.path / "L.fst"))
        options = khg.TrainingGraphCompilerOptions(TRANSITION_SCALE, SELF_LOOP_SCALE, True)
        self.compiler = khg.TrainingGraphCompiler(model.transitions, model.tree, lexicon, lang.disambig, options)
        self.lang, self.model = lang, model
        silent = np.isin(model.tid_phone[1:], lang.silence)
        self.boost = np.where(silent, np.log(boost_silence), 0).astype(np.float32) if boost_silence != 1 else None

    def graph(self, text: str) -> kaldifst.StdVectorFst:
        return self.compiler.compile_graph_from_text(self.lang.encode(text))

    def equal(self, text: str, frames: int) -> np.ndarray | None:
        """An alignment that shares the frames out evenly, to start with; None where there are too few of them."""
        found, path = kaldifst.equal_align(self.graph(text), frames, 0, 10)
        if not found:
            return None
        _, ali, _, _ = kaldifst.get_linear_symbol_sequence(path)
        return np.array(ali, np.int32)

    def align(
        self, utt: str, text: str, log_likes: Callable[[np.ndarray], np.ndarray], beam: float, retry_beam: float
    ) -> tuple[np.ndarray, float] | None:
        """The best alignment and its score per frame; `log_likes` gives log-likelihoods (frames, pdfs) of some pdfs.

        The beams are of scaled costs, the score is not scaled, as gmm-align-compiled prints it.
        None, with a warning, where no path survives `retry_beam`.
        """
        graph, tids = compact(self.graph(text))
        pdfs, column = np.unique(self.model.tid_pdf[tids], return_inverse=True)
        scores = log_likes(pdfs)[:, column]  # a sentence needs few of all pdfs
        if self.boost is not None:
            scores += self.boost[tids - 1]
        scores *= np.float32(ACOUSTIC_SCALE)
        config, decodable = khg.AlignConfig(beam, retry_beam, False), khg.DecodableCtc(np.ascontiguousarray(scores))
        done, _, _, like, frames, ali, _ = khg.align_utterance_wrapper(
            config, utt, ACOUSTIC_SCALE, graph, decodable, 0, 0, 0, 0.0, 0
        )
        if not done:
            log.warning("%s: no alignment within --retry-beam %g: left out", utt, retry_beam)
            return None
        return tids[np.array(ali) - 1], like / frames


def compact(graph: kaldifst.StdVectorFst) -> tuple[kaldifst.StdVectorFst, np.ndarray]:
    """The graph with input labels from 1 without gaps, and what these were: (labels,), int32."""
    arcs = [list(kaldifst.ArcIterator(graph, state)) for state in range(graph.num_states)]
    labels = sorted({arc.ilabel for leaving in arcs for arc in leaving} - {0})
    number = {0: 0} | {label: n for n, label in enumerate(labels, 1)}
    out = kaldifst.StdVectorFst()
    for _ in arcs:
        out.add_state()
    out.start = graph.start
    for state, leaving in enumerate(arcs):
        out.set_final(state, graph.final(state))
        for arc in leaving:
            out.add_arc(state, kaldifst.StdArc(number[arc.ilabel], arc.olabel, arc.weight, arc.nextstate))
    return out, np.array(labels, np.int32)


def align_all(
    utts: Iterable[str], features: Callable[[str], np.ndarray], texts: Mapping[str, str], aligner: Aligner,
    beam: float, retry_beam: float,
) -> tuple[dict[str, np.ndarray], float, int]:  # fmt: skip
    """Alignments of those utterances that can be aligned, the sum of their scores, and their frames."""
    found, total, frames = {}, 0.0, 0
    for utt in utts:
        x = features(utt)
        result = aligner.align(utt, texts[utt], partial(aligner.model.mixtures.log_likes, x), beam, retry_beam)
        if result:
            found[utt] = result[0]
            total, frames = total + result[1] * len(x), frames + len(x)
    return found, total, frames


def warn_unknown_words(lang: Lang, texts: Mapping[str, str]) -> None:
    """One line for the words that are not in the lexicon."""
    unknown = [word for text in texts.values() for word in text.split() if word not in lang.words]
    if unknown:
        log.warning(
            "%d words (%d different, first %s) are not in the lexicon: taken as %s",
            len(unknown), len(set(unknown)), unknown[0], lang.word_of[lang.oov],
        )  # fmt: skip
