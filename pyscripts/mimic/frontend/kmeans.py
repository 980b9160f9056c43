"""k-means: the units that a self-supervised encoder learns to predict."""

import torch
from torch import Tensor


def kmeans(x: Tensor, clusters: int, iterations: int = 30, seed: int = 1) -> Tensor:
    """Centres (clusters, dim) of points (points, dim): Lloyd's iterations from k-means++ (Arthur, Vassilvitskii, 2007).

    A centre that loses all its points moves to the point that is farthest from its own centre.
    """
    draw = torch.Generator().manual_seed(seed)
    first = int(torch.randint(len(x), (1,), generator=draw))
    centres = x[first : first + 1]
    nearest = (x - centres).square().sum(1)
    for _ in range(clusters - 1):
        total = nearest.double().cumsum(0)
        place = int(torch.searchsorted(total, float(torch.rand(1, generator=draw)) * total[-1]).clamp(max=len(x) - 1))
        centres = torch.cat([centres, x[place : place + 1]])
        nearest = torch.minimum(nearest, (x - x[place]).square().sum(1))
    for _ in range(iterations):
        unit, distance = assign(x, centres)
        counts = torch.bincount(unit, minlength=clusters)
        sums = torch.zeros_like(centres).index_add_(0, unit, x)
        moved = sums / counts.clamp(min=1).unsqueeze(1)
        empty = torch.nonzero(counts == 0).flatten()
        moved[empty] = x[distance.topk(len(empty)).indices]
        if torch.equal(moved, centres):
            break
        centres = moved
    return centres


def assign(x: Tensor, centres: Tensor) -> tuple[Tensor, Tensor]:
    """The nearest centre of each point (points,), and the square of its distance."""
    units, distances = [], []
    for block in x.split(1 << 14):
        squares = block.square().sum(1, keepdim=True) + centres.square().sum(1) - 2 * block @ centres.T
        distance, unit = squares.min(1)
        units.append(unit)
        distances.append(distance)
    return torch.cat(units), torch.cat(distances)
