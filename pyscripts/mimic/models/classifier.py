"""Trained classifiers of whole utterances, from features."""

from pathlib import Path

import numpy as np
import torch

from mimic.frontend.cmvn import Cmvn
from mimic.io.batching import pad
from mimic.io.lines import read_lines
from mimic.models import trained
from mimic.models.config import Config
from mimic.models.trained import Trained
from mimic.nets.probe import Classifier as ClassifierNet

LABELS = "labels.txt"


class Classifier(Trained):
    """Says of which class an utterance is: its speaker, its keyword. Its embeddings verify speakers.

    classes: their names, by number.
    """

    TASKS = ("classify",)
    WHAT = "a classifier"
    FILES = (*Trained.FILES, LABELS)

    def __init__(self, config: Config, net: ClassifierNet, classes: list[str], directory: Path):
        super().__init__(config, net, directory)
        self.classes = classes

    @classmethod
    def from_directory(cls, config: Config, directory: Path) -> "Classifier":
        state = trained.read_weights(directory)
        names = [line for _, line in read_lines(directory / LABELS, "list of classes")]
        bins = trained.size(state, "normaliser.mean", directory, config)
        outputs = trained.size(state, "output.weight", directory, config)
        trained.check_count(directory, outputs, LABELS, len(names), "classes")
        net = trained.fill(ClassifierNet(config.model, Cmvn(bins), outputs), state, directory, config)
        return cls(config, net, names, directory)

    @torch.inference_mode()
    def classify(self, features: list[np.ndarray]) -> tuple[list[str], np.ndarray]:
        """The class of each utterance's features (frames, dim), and embeddings (utterances, units)."""
        batch, lengths = pad(features)
        vectors, scores = self.net(batch.to(self.device), lengths.to(self.device))
        return [self.classes[best] for best in scores.argmax(1).tolist()], vectors.cpu().numpy()
