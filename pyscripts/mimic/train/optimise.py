"""Optimisers: the rate at which the parts of a task learn, and a step of one of them."""

import math

import torch
from torch import Tensor, nn

from mimic.train import parallel
from mimic.train.config import TrainConfig


def learning_rate(config: TrainConfig, epoch: int, step: int, steps: int, plateaus: int = 0) -> float:
    """Rate of optimiser step `step` (from 0) of `steps`, in epoch `epoch` (from 1), after so many plateaus."""
    factor = min(1.0, (step + 1) / config.warmup) if config.warmup else 1.0
    if config.schedule == "step":
        factor *= config.lr_factor ** ((epoch - 1) // config.lr_every)
    elif config.schedule == "plateau":
        factor *= config.lr_factor**plateaus
    elif config.schedule == "cosine":
        factor *= 0.5 * (1 + math.cos(math.pi * min(1.0, step / steps)))
    elif config.schedule == "linear" and step >= config.warmup:
        factor = max(0.0, (steps - step) / max(1, steps - config.warmup))
    return config.lr * factor


class Learner:
    """A module with its optimiser. One step: `start`, `backward` for each piece of the batch, `finish`.

    Args:
        alone: nothing else learns, so that a loss has no gradient but that of this module.
    """

    def __init__(self, module: nn.Module, config: TrainConfig, device: torch.device, alone: bool):
        self.module, self.alone = module, alone
        self.limit = config.clip if config.clip > 0 else math.inf
        self.optimiser = _optimiser(module, config)
        # float16 cannot hold small gradients: the loss is multiplied by what they bear, found by trial.
        self.scaler = torch.amp.GradScaler(device.type, enabled=config.precision == "16-mixed")

    def start(self, rate: float) -> None:
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        self.optimiser.zero_grad()

    def backward(self, loss: Tensor) -> None:
        inputs = None if self.alone else [p for p in self.module.parameters() if p.requires_grad]
        self.scaler.scale(loss).backward(inputs=inputs)

    def finish(self, finite: bool) -> float:
        """Step, unless the loss (not `finite`) or the gradient is not finite. Gives the norm of the gradient.

        All processes see the gradient of the whole batch, so that all step or none.
        """
        parallel.sum_gradients(self.module)
        self.scaler.unscale_(self.optimiser)
        norm = float(nn.utils.clip_grad_norm_(self.module.parameters(), self.limit))
        if finite and math.isfinite(norm):
            self.scaler.step(self.optimiser)
        self.scaler.update()
        return norm

    @property
    def searching(self) -> bool:
        """Whether a gradient that was not finite may come from the scale of the loss, which has been lowered."""
        return self.scaler.is_enabled() and self.scaler.get_scale() >= 1

    def state_dict(self) -> dict:
        return {name: getattr(self, name).state_dict() for name in ("module", "optimiser", "scaler")}

    def load_state_dict(self, state: dict) -> None:
        for name, part in state.items():
            getattr(self, name).load_state_dict(part)


def _optimiser(module: nn.Module, config: TrainConfig) -> torch.optim.Optimizer:
    trained = [p for p in module.parameters() if p.requires_grad]
    betas = {"betas": (0.9, config.beta2), "eps": config.epsilon}
    if config.optimiser == "rmsprop":
        return torch.optim.RMSprop(trained, lr=config.lr, alpha=config.rms_decay)
    if config.optimiser == "adam":
        return torch.optim.Adam(trained, lr=config.lr, **betas, fused=True)
    # Decay pulls matrices towards zero; for biases and normalisation gains that would change what they mean.
    groups: list[dict[str, list[Tensor] | float]] = [
        {"params": [p for p in trained if p.ndim > 1], "weight_decay": config.weight_decay},
        {"params": [p for p in trained if p.ndim <= 1], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=config.lr, **betas, fused=True)
