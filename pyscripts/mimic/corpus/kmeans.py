"""Targets of self-supervised training: k-means clusters of the frames of a feature directory.

Bins are scaled to unit variance. The centroids and the scale are what a second directory, such as a development set,
needs to get targets from the same clusters.
"""

from collections.abc import Iterable, Iterator, Mapping

import numpy as np
import torch
from torch import Tensor

from mimic.errors import UserError
from mimic.io import archives


def sample(entries: Mapping[str, str], frames: int, seed: int) -> Tensor:
    """Whole utterances of an index in random order, until there are so many frames: (frames or more, dim)."""
    found, total = [], 0
    for utt in np.random.default_rng(seed).permutation(sorted(entries)):
        found.append(_features(entries[utt]))
        total += len(found[-1])
        if total >= frames:
            break
    return torch.cat(found)


def fit(x: Tensor, clusters: int, seed: int) -> dict[str, Tensor]:
    """Centroids (clusters, dim) of scaled frames, under `centres`, and the scale (dim,)."""
    scale = 1 / x.std(0).clamp(min=1e-5)
    return {"centres": kmeans(x * scale, clusters, seed=seed), "scale": scale}


def targets(
    utts: Iterable[str], entries: Mapping[str, str], fitted: dict[str, Tensor]
) -> Iterator[tuple[str, np.ndarray]]:
    """(utterance, the cluster of each frame (frames,)), as `write_targets` takes them."""
    for utt in utts:
        x = _features(entries[utt])
        if x.shape[1] != len(fitted["scale"]):
            raise UserError(f"{utt}: {x.shape[1]} bins, and the clusters have {len(fitted['scale'])}")
        yield utt, assign(x * fitted["scale"], fitted["centres"])[0].int().numpy()


def kmeans(x: Tensor, clusters: int, iterations: int = 30, seed: int = 1) -> Tensor:
    """Centroids (clusters, dim) of points (points, dim): Lloyd, from k-means++ (Arthur, Vassilvitskii, 2007).

    A centroid that loses all its points moves to the point that is farthest from its own centroid.
    """
    draw = torch.Generator().manual_seed(seed)
    first = int(torch.randint(len(x), (1,), generator=draw))
    centroids = x[first : first + 1]
    nearest = (x - centroids).square().sum(1)
    for _ in range(clusters - 1):
        total = nearest.double().cumsum(0)
        place = int(torch.searchsorted(total, float(torch.rand(1, generator=draw)) * total[-1]).clamp(max=len(x) - 1))
        centroids = torch.cat([centroids, x[place : place + 1]])
        nearest = torch.minimum(nearest, (x - x[place]).square().sum(1))
    for _ in range(iterations):
        cluster, distance = assign(x, centroids)
        counts = torch.bincount(cluster, minlength=clusters)
        sums = torch.zeros_like(centroids).index_add_(0, cluster, x)
        moved = sums / counts.clamp(min=1).unsqueeze(1)
        empty = torch.nonzero(counts == 0).flatten()
        moved[empty] = x[distance.topk(len(empty)).indices]
        if torch.equal(moved, centroids):
            break
        centroids = moved
    return centroids


def assign(x: Tensor, centroids: Tensor) -> tuple[Tensor, Tensor]:
    """The nearest centroid of each point (points,), and the square of its distance."""
    clusters, distances = [], []
    for block in x.split(1 << 14):
        squares = block.square().sum(1, keepdim=True) + centroids.square().sum(1) - 2 * block @ centroids.T
        distance, cluster = squares.min(1)
        clusters.append(cluster)
        distances.append(distance)
    return torch.cat(clusters), torch.cat(distances)


def _features(entry: str) -> Tensor:
    return torch.from_numpy(archives.load(entry).astype(np.float32))
