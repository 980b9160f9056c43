"""Optimisers: the learning rate of a step, and the step of one module."""

import math
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.optim.adamw import adamw
from torch.optim.rmsprop import rmsprop

from mimic.training import parallel
from mimic.training.config import TrainConfig


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


class ModuleOptimiser:
    """A module with its optimiser. One step: `zero_grad`, `backward` for each piece of the batch, `step`.

    Args:
        only: no other module is trained, so that a loss has no gradient but that of this module.
    """

    def __init__(self, module: nn.Module, config: TrainConfig, device: torch.device, only: bool):
        self.module, self.only = module, only
        self.limit = config.max_grad_norm if config.max_grad_norm > 0 else math.inf
        self.optimiser = Optimiser(module, config)
        # As far as the scaler uses it: `param_groups` and `step`.
        self._scaled = cast("torch.optim.Optimizer", self.optimiser)
        # float16 cannot hold small gradients: the loss is scaled up, by as much as its gradients bear.
        self.scaler = torch.amp.GradScaler(device.type, enabled=config.precision == "16-mixed")

    def zero_grad(self) -> None:
        self.optimiser.zero_grad()

    def backward(self, loss: Tensor) -> None:
        """Add the gradient of the loss by this module's parameters to their gradients."""
        inputs = None if self.only else [p for p in self.module.parameters() if p.requires_grad]
        self.scaler.scale(loss).backward(inputs=inputs)

    def step(self, rate: float, finite: bool = True) -> float:
        """Step with this learning rate, unless the loss (not `finite`) or the gradient is not finite: its norm.

        All processes see the gradient of the whole batch, so that all step or none.
        """
        parallel.all_reduce_gradients(self.module)
        self.scaler.unscale_(self._scaled)
        norm = float(nn.utils.clip_grad_norm_(self.module.parameters(), self.limit))
        if finite and math.isfinite(norm):
            self.optimiser.set_rate(rate)
            self.scaler.step(self._scaled)
        self.scaler.update()
        return norm

    @property
    def overflowed(self) -> bool:
        """Whether a gradient that is not finite may come from the scale of the loss, which `step` has lowered then."""
        return self.scaler.is_enabled() and self.scaler.get_scale() >= 1

    def state_dict(self) -> dict:
        return {name: getattr(self, name).state_dict() for name in ("module", "optimiser", "scaler")}

    def load_state_dict(self, state: dict) -> None:
        for name, part in state.items():
            getattr(self, name).load_state_dict(part)


class Optimiser:
    """Adam (Kingma & Ba, arXiv:1412.6980), AdamW (Loshchilov & Hutter, arXiv:1711.05101) or RMSprop.

    The functions of torch.optim with the state of its classes: the same steps bit by bit. The classes themselves
    load torch's compiler at their first step, seconds and 115 MB for each process that trains.
    """

    def __init__(self, module: nn.Module, config: TrainConfig):
        trained = [p for p in module.parameters() if p.requires_grad]
        groups = [(trained, 0.0)]
        if config.optimiser == "adamw":
            # Decay pulls matrices towards zero; for biases and normalisation gains that would change what they mean.
            groups = [
                ([p for p in trained if p.ndim > 1], config.weight_decay),
                ([p for p in trained if p.ndim <= 1], 0.0),
            ]
        self.config = config
        self.param_groups: list[dict[str, Any]] = [
            {"params": params, "lr": config.lr, "weight_decay": decay} for params, decay in groups
        ]
        self.averages = ("square_avg",) if config.optimiser == "rmsprop" else ("exp_avg", "exp_avg_sq")
        self.state: dict[Tensor, dict[str, Tensor]] = {}

    def set_rate(self, rate: float) -> None:
        for group in self.param_groups:
            group["lr"] = rate

    def zero_grad(self) -> None:
        for p in self._parameters():
            p.grad = None

    @torch.no_grad()
    def step(self) -> None:
        for group in self.param_groups:
            moved = [p for p in group["params"] if p.grad is not None]
            states = [self._state(p) for p in moved]
            averages = [[state[name] for state in states] for name in self.averages]
            grads = [p.grad for p in moved]
            rates: dict[str, Any] = {"lr": group["lr"], "weight_decay": group["weight_decay"]}
            steps = [state["step"] for state in states]
            if self.config.optimiser == "rmsprop":
                alpha, eps = self.config.rms_decay, 1e-8
                rest: dict[str, Any] = {"alpha": alpha, "eps": eps, "momentum": 0.0, "centered": False}
                rmsprop(moved, grads, averages[0], [], [], steps, **rates, **rest)
            else:
                betas: dict[str, Any] = {"beta1": 0.9, "beta2": self.config.beta2, "eps": self.config.epsilon}
                flags: dict[str, Any] = {"fused": True, "amsgrad": False, "maximize": False}
                mean, square = averages
                adamw(moved, grads, mean, square, [], steps, **flags, **rates, **betas)  # Adam: without decay

    def state_dict(self) -> dict:
        return {"state": {i: self.state[p] for i, p in enumerate(self._parameters()) if p in self.state}}

    @torch.no_grad()
    def load_state_dict(self, state: dict) -> None:
        parameters = self._parameters()
        for i, values in state["state"].items():
            for name, own in self._state(parameters[i]).items():
                own.copy_(values[name])

    def _parameters(self) -> list[Tensor]:
        return [p for group in self.param_groups for p in group["params"]]

    def _state(self, p: Tensor) -> dict[str, Tensor]:
        if p not in self.state:
            # The fused functions count steps where the weights are.
            step = torch.zeros((), device=p.device if self.config.optimiser != "rmsprop" else "cpu")
            self.state[p] = {"step": step} | {name: torch.zeros_like(p) for name in self.averages}
        return self.state[p]
