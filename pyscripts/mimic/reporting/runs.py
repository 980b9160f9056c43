"""The training runs of an experiment tree: what they train, their configuration, their epochs, what they left out."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from mimic.io import atomic

GROUPS = {
    "perceptual": "Perceptual model",
    "enhance": "Enhancement",
    "adversarial": "Adversarial training",
    "asr": "Recognition",
    "other": "Other models",
}
# Of tasks; others: other.
GROUP_OF = {"enhance": "enhance", "denoise": "enhance", "asr": "asr", "hybrid": "asr", "lfmmi": "asr"}


@dataclass(frozen=True, eq=False)
class Run:
    """A training run: its directory's name, its configuration with dotted keys, its epochs, what it was made with."""

    name: str
    label: str  # of its tree, empty where there is only one
    dashed: bool  # of the second tree
    config: Mapping[str, str]
    epochs: list[dict[str, float]]
    info: Mapping[str, Any]

    @property
    def group(self) -> str:
        """One of GROUPS: two networks against each other, a recogniser of phones, or by its task."""
        if self.epochs and "train_discriminator_loss" in self.epochs[0]:
            return "adversarial"
        task = self.config.get("task", "")
        if task == "asr" and self.config.get("data.token_type") == "phn":
            return "perceptual"
        return GROUP_OF.get(task, "other")

    @property
    def title(self) -> str:
        return f"{self.name} ({self.label})" if self.label else self.name


def read_runs(tree: Path, label: str = "", dashed: bool = False) -> list[Run]:
    """Every directory that a training wrote, in the order of GROUPS."""
    found = []
    for config in atomic.glob(tree, "*/config.yaml"):
        folder = config.parent
        values = yaml.safe_load(config.read_text(encoding="utf-8")) or {}
        info = folder / "run_info.json"
        facts = json.loads(info.read_text(encoding="utf-8")) if info.exists() else {}
        epochs = read_epochs(folder / "train_log.jsonl")
        found.append(Run(folder.name, label, dashed, dict(flat(values)), epochs, facts))
    return sorted(found, key=lambda run: (list(GROUPS).index(run.group), run.name))


def read_epochs(path: Path) -> list[dict[str, float]]:
    """train_log.jsonl, a dictionary for each epoch; a last line that was cut short is left out."""
    epochs = []
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else []:
        try:
            epochs.append(json.loads(line))
        except json.JSONDecodeError:
            continue
    return epochs


def flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Nested sections as dotted keys with values as text."""
    for key, value in values.items():
        if isinstance(value, dict):
            yield from flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def differences(runs: list[Run]) -> list[tuple[str, list[str]]]:
    """The keys of the configurations that are not the same in all runs, with each run's value."""
    keys = dict.fromkeys(key for run in runs for key in run.config)
    rows = [(key, [run.config.get(key, "-") for run in runs]) for key in keys]
    return [(key, values) for key, values in rows if len(set(values)) > 1]
