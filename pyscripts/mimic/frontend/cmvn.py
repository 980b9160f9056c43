"""Mean and variance normalisation (CMVN). Its statistics are those of a feature directory: mimic.io.feature_dir."""

import numpy as np
import torch
from torch import Tensor, nn

from mimic.errors import UserError

# Above the rounding errors of a bin that never changes, below the variance of any that does.
VARIANCE_FLOOR = 1e-8


class Cmvn(nn.Module):
    """Subtract the mean of the statistics (2, dim + 1), and with `norm_vars` divide by the standard deviation.

    stats may be the dimension alone: then mean 0 and scale 1 change nothing, until stored weights are loaded.
    Works on (..., frames, dim). Mean and scale are buffers, so they are stored with the weights of a model. Raises
    UserError for statistics of nothing.
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, stats: np.ndarray | int, norm_vars: bool = False) -> None:
        super().__init__()
        if isinstance(stats, int):
            self.register_buffer("mean", torch.zeros(stats))
            self.register_buffer("scale", torch.ones(stats))
            return
        count = stats[0, -1]
        if count < 1:
            raise UserError("CMVN statistics hold no frames: run steps/make_feats.sh again")
        mean = stats[0, :-1] / count
        scale = np.ones_like(mean)
        if norm_vars:
            scale = 1 / np.sqrt(np.maximum(stats[1, :-1] / count - mean**2, VARIANCE_FLOOR))
        self.register_buffer("mean", torch.tensor(mean, dtype=torch.float32))
        self.register_buffer("scale", torch.tensor(scale, dtype=torch.float32))

    def check(self, feats: Tensor) -> None:
        """UserError for features (..., frames, dim) of another size than the statistics."""
        if feats.shape[-1] != len(self.mean):
            sizes = f"features of {feats.shape[-1]} bins for a model of {len(self.mean)}"
            raise UserError(f"{sizes}: make them with the options in features.conf of the model")

    def forward(self, feats: Tensor) -> Tensor:
        self.check(feats)
        return (feats - self.mean) * self.scale
