#!/usr/bin/env -S sh -c 'p=${0%/*}/../.venv/bin/python3; [ -x "$p$MIMIC_FORKS" ] || p=python3; exec "$p" "$0" "$@"'
"""K-means targets of the frames of a feature directory. steps/apply_kmeans.sh calls it.

    apply_kmeans.py --clusters 100 exp/ssl/fbank/train_clean exp/ssl/units1/train_clean
    apply_kmeans.py --centroids exp/ssl/units1/train_clean exp/ssl/fbank/dev_clean exp/ssl/units1/dev_clean

Writes units.ark, units.scp (int32, the cluster of each frame) and centres.pt (the centroids), of bins scaled to unit
variance.
"""

import argparse
from pathlib import Path

from mimic import cli
from mimic.corpus.kmeans import fit, sample, targets
from mimic.corpus.targets import write_targets
from mimic.errors import UserError
from mimic.io import archives, weights
from mimic.settings import Count, Seed


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("features", type=Path, help="feature directory")
    parser.add_argument("output", type=Path, help="directory to write")
    parser.add_argument("--centroids", type=Path, help="directory of targets whose centroids are applied")
    cli.add_number(parser, "--clusters", Count, 100, "clusters")
    cli.add_number(parser, "--frames", Count, 200000, "frames sampled for k-means")
    cli.add_number(parser, "--seed", Seed, 1, "of the sample and of the initial centroids")
    args = parser.parse_args()
    entries = archives.read_scp(args.features / "feats.scp")
    if args.centroids:
        fitted = weights.load(args.centroids / "centres.pt")
    else:
        x = sample(entries, args.frames, args.seed)
        if len(x) < args.clusters:
            raise UserError(f"{args.features}: {len(x)} frames for --clusters {args.clusters}: lower it")
        fitted = fit(x, args.clusters, args.seed)
    weights.save(fitted, args.output / "centres.pt")
    utts = cli.progress(sorted(entries), len(entries), "utterances")
    write_targets(targets(utts, entries, fitted), len(fitted["centres"]), args.output)


if __name__ == "__main__":
    cli.run(main)
