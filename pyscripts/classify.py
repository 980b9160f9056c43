#!/usr/bin/env -S sh -c 'p=${0%/*}/../.venv/bin/python3; [ -x "$p$MIMIC_FORKS" ] || p=python3; exec "$p" "$0" "$@"'
"""Classify the utterances of a feature directory, and say how often that is right. steps/classify.sh calls it.

    classify.py --labels data/test/utt2keyword exp/probe_keyword exp/feats/test exp/probe_keyword/test

Writes utt2class, embeddings.ark and .scp, and scoring/test/summary.json and .tsv: accuracy, over utterances whose class
is known from training; and the equal error rate of cosine similarities between all pairs of utterances, by their class.
"""

import argparse
from pathlib import Path

import numpy as np

from mimic import cli
from mimic.errors import UserError
from mimic.io import archives
from mimic.io.atomic import replace
from mimic.io.tables import read_table, write_table
from mimic.metrics.figures import Mean, Scores, mean, summary
from mimic.metrics.identity import identify
from mimic.metrics.scores import write_scores
from mimic.metrics.verification import equal_error_rate, trials
from mimic.models.classifier import Classifier
from mimic.reporting.score_table import tsv

BATCH = 16


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, help="directory of a trained classifier")
    parser.add_argument("features", type=Path, help="feature directory")
    parser.add_argument("output", type=Path, help="directory to write")
    parser.add_argument("--labels", type=Path, help="table of classes (default: utt2spk of the feature directory)")
    args = parser.parse_args()
    classifier = Classifier.load(args.model)
    truth = read_table(args.labels or args.features / "utt2spk")
    entries = {u: e for u, e in archives.read_scp(args.features / "feats.scp").items() if u in truth}
    if not entries:
        raise UserError(f"{args.features}: none of its utterances has a class in {args.labels}")
    utts, found, embeddings = sorted(entries), {}, {}
    files = args.output / "embeddings.ark", args.output / "embeddings.scp"
    with archives.ArkWriter(*files) as f:
        for start in cli.progress(range(0, len(utts), BATCH), -(-len(utts) // BATCH), "batches"):
            some = utts[start : start + BATCH]
            classes, vectors = classifier.classify([archives.load(entries[utt]) for utt in some])
            for utt, name, vector in zip(some, classes, vectors, strict=True):
                found[utt], embeddings[utt] = name, vector
                f.write(utt, vector)
    write_table(args.output / "utt2class", found)
    accuracy = mean(100.0 * (found[utt] == truth[utt]) for utt in utts if truth[utt] in classifier.classes)
    rate = equal_error_rate(*trials(embeddings, truth))
    error = Mean(*[100 * (np.nan if rate is None else rate)] * 3, 0 if rate is None else len(utts), 0)
    folder = args.output / "scoring" / "test"
    folder.mkdir(parents=True, exist_ok=True)
    figures = {"accuracy": accuracy.rounded(), "eer": error.rounded()}
    write_scores(folder, Scores(len(utts), figures, identify(args.features, utts)))
    with replace(folder / "summary.tsv") as f:
        f.write(tsv(summary(figures)))


if __name__ == "__main__":
    cli.run(main)
