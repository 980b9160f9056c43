#!/usr/bin/env -S sh -c 'p=${0%/*}/../.venv/bin/python3; [ -x "$p$MIMIC_FORKS" ] || p=python3; exec "$p" "$0" "$@"'
"""K-means targets of the frames of a feature directory. steps/apply_kmeans.sh calls it.

    apply_kmeans.py --clusters 100 exp/ssl/fbank/train_clean exp/ssl/units1/train_clean
    apply_kmeans.py --centroids exp/ssl/units1/train_clean exp/ssl/fbank/dev_clean exp/ssl/units1/dev_clean

Writes units.ark, units.scp (int32, the cluster of each frame) and centres.pt (the centroids), of bins scaled to unit
variance.
"""

import argparse
import json
from pathlib import Path

import numpy as np
import torch

from mimic import cli
from mimic.errors import UserError
from mimic.frontend.kmeans import assign, kmeans
from mimic.io import archives
from mimic.io.atomic import replace
from mimic.training import checkpoint


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("features", type=Path, help="feature directory")
    parser.add_argument("output", type=Path, help="directory to write")
    parser.add_argument("--clusters", type=int, default=100, help="(default: %(default)s)")
    parser.add_argument("--centroids", type=Path, help="directory of targets whose centroids are applied")
    parser.add_argument("--frames", type=int, default=200000, help="sampled for k-means (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="(default: %(default)s)")
    args = parser.parse_args()
    entries = archives.read_scp(args.features / "feats.scp")
    if args.centroids:
        found = checkpoint.load(args.centroids / "centres.pt")
    else:
        draw, total = np.random.default_rng(args.seed), 0
        sample = []
        for utt in draw.permutation(sorted(entries)):  # whole utterances, in random order
            sample.append(torch.from_numpy(archives.load(entries[utt]).astype(np.float32)))
            total += len(sample[-1])
            if total >= args.frames:
                break
        x = torch.cat(sample)
        if len(x) < args.clusters:
            raise UserError(f"{args.features}: {len(x)} frames for --clusters {args.clusters}: lower it")
        scale = 1 / x.std(0).clamp(min=1e-5)
        found = {"centres": kmeans(x * scale, args.clusters, seed=args.seed), "scale": scale}
    checkpoint.save(found, args.output / "centres.pt")
    used = torch.zeros(len(found["centres"]), dtype=torch.long)
    with archives.ArkWriter(args.output / "units.ark", args.output / "units.scp") as writer:
        for utt in cli.progress(sorted(entries), len(entries), "utterances"):
            x = torch.from_numpy(archives.load(entries[utt]).astype(np.float32))
            if x.shape[1] != len(found["scale"]):
                raise UserError(f"{utt}: {x.shape[1]} bins, and the clusters have {len(found['scale'])}")
            units, _ = assign(x * found["scale"], found["centres"])
            used += torch.bincount(units, minlength=len(used))
            writer.write(utt, units.int().numpy())
    share = used[used > 0] / used.sum()
    perplexity = float((-share * share.log()).sum().exp())
    with replace(args.output / "summary.json") as f:
        json.dump({"clusters": len(used), "used": len(share), "perplexity": round(perplexity, 1)}, f)


if __name__ == "__main__":
    cli.run(main)
