"""What a judgement leaves: a tree of scores that steps/compare.sh and the report read, and a page with audio."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from mimic.io.atomic import replace
from mimic.io.entries import stored, wav_file
from mimic.io.recording import write_wav
from mimic.io.tables import read_table, write_data_dir, write_table
from mimic.judging.findings import Found
from mimic.judging.material import NOISY, System
from mimic.judging.verdicts import Alignments
from mimic.metrics.conditions import CONDITIONS
from mimic.metrics.figures import Row, Scores, means
from mimic.metrics.identity import identify
from mimic.metrics.kaldi_files import aligned_pairs
from mimic.metrics.kaldi_files import by_condition as rates_by_condition
from mimic.metrics.kaldi_files import rate as error_rate
from mimic.metrics.scores import write_scores
from mimic.metrics.wer import compute_wer, wer_lines
from mimic.reporting.build import Report
from mimic.reporting.tree import TEST, Tree

NUM_UTTS = 5  # of each kind (best, worst, ...) with audio


def write_tree(
    tree: Path, system: System, data: Path, alignments: Alignments, scores: Mapping[str, Found], utts: Sequence[str]
) -> None:
    """Scores of a recogniser on a system, where those of a recogniser of this recipe would be."""
    name = system.enhancer
    if alignments:
        folder = tree / f"asr_{name}" / "scoring" / TEST
        folder.mkdir(parents=True, exist_ok=True)
        both = zip(*alignments.values(), strict=True)
        rows = [
            Row(a.utt, alignments={"wer": aligned_pairs(a), "cer": aligned_pairs(b)}, present=a.present)
            for a, b in both
        ]
        figures = {unit: error_rate(found) for unit, found in alignments.items()}
        conditions = rates_by_condition(alignments, [data])
        write_scores(folder, Scores(len(rows), figures, identify(data, utts), conditions), rows)
        for unit, found in alignments.items():
            with replace(folder / f"{unit}_1_0.0") as f:
                f.write(wer_lines(compute_wer((a.ref, a.hyp, a.present) for a in found)))
    measures = list(next(iter(scores.values()), {}))
    folder = tree / (NOISY if name == NOISY else f"enhance_{name}")
    folder.mkdir(parents=True, exist_ok=True)
    if measures:
        rows = [Row(utt, {m: scores[utt].get(m) for m in measures}) for utt in utts]
        (folder / "scoring" / TEST).mkdir(parents=True, exist_ok=True)
        write_scores(folder / "scoring" / TEST, Scores(len(rows), means(rows, measures)), rows)


def write_data(data: Path, source: Path, utts: Sequence[str], texts: Mapping[str, str]) -> None:
    """A data directory of the judged utterances, without audio as yet: what is known of them."""
    tables = {"wav.scp": {}, "utt2spk": dict(zip(utts, utts, strict=True))}
    for name in CONDITIONS.values():
        if (source / name).exists():
            known = read_table(source / name)
            tables[name] = {utt: known[utt] for utt in utts if utt in known} or tables.get(name, {})
    write_data_dir(data, tables | ({"text": dict(texts)} if texts else {}))


def write_page(
    tree: Path,
    data: Path,
    page: Path,
    systems: Sequence[System],
    best: System,
    signal: Callable[[System, str], np.ndarray],
) -> None:
    """The report of a recogniser's tree: words with errors in colours, audio of the best and worst utterances of the
    system `best`. signal(system, utterance) gives the samples (samples,) at 16 kHz that the recogniser was given.
    """
    report = Report([Tree(tree, data.parent)], NUM_UTTS, (), judged=best.enhancer)
    picked = sorted({utt for utts in report.picks.values() for utt in utts})
    for system in systems:
        folder = data if system.enhancer == NOISY else tree / f"enhance_{system.enhancer}" / "wav" / TEST
        (folder / "wav").mkdir(parents=True, exist_ok=True)
        for utt in picked:
            write_wav(wav_file(folder, utt), signal(system, utt))
        write_table(folder / "wav.scp", {utt: stored(wav_file(folder, utt)) for utt in picked})
    page.mkdir(parents=True, exist_ok=True)
    report.write(page)
