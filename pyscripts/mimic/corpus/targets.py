"""Targets of self-supervised training as files: the unit of each frame, a k-means cluster or a state of a phone."""

import json
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from mimic.io import archives
from mimic.io.atomic import replace


def write_targets(made: Iterable[tuple[str, np.ndarray]], clusters: int, out: Path) -> None:
    """Write units.ark, units.scp (int32, the unit of each frame), summary.json; of (utterance, units (frames,))."""
    used = np.zeros(clusters, np.int64)
    with archives.ArkWriter(out / "units.ark", out / "units.scp") as writer:
        for utt, units in made:
            used += np.bincount(units, minlength=clusters)
            writer.write(utt, units)
    share = used[used > 0] / used.sum()
    perplexity = round(float(np.exp(-(share * np.log(share)).sum())), 1)
    with replace(out / "summary.json") as f:
        json.dump({"clusters": clusters, "used": len(share), "perplexity": perplexity}, f)
