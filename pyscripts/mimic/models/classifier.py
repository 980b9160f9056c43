"""Trained classifiers of whole utterances, from features."""

from functools import cached_property
from pathlib import Path

import numpy as np
import torch

from mimic.errors import UserError
from mimic.frontend.cmvn import Cmvn
from mimic.frontend.front_end import FEATURE_CONFIG, FrontEnd, front_end
from mimic.io.batching import pad
from mimic.io.lines import read_lines
from mimic.io.resampling import resample
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
        self.classes, self._options = classes, directory / FEATURE_CONFIG

    @classmethod
    def from_directory(cls, config: Config, directory: Path) -> "Classifier":
        state = trained.read_weights(directory)
        names = [line for _, line in read_lines(directory / LABELS, "list of classes")]
        bins = trained.size(state, "normaliser.mean", directory, config)
        outputs = trained.size(state, "output.weight", directory, config)
        trained.check_count(directory, outputs, LABELS, len(names), "classes")
        net = trained.fill(ClassifierNet(config.model, Cmvn(bins), outputs), state, directory, config)
        return cls(config, net, names, directory)

    @cached_property
    def front(self) -> FrontEnd:
        """What makes the features of a waveform, by the options beside the model."""
        return front_end(self._options).to(self.device)

    @torch.inference_mode()
    def embed(self, samples: np.ndarray, rate: int) -> np.ndarray:
        """The embedding (units,) of a waveform (samples,) in [-1, 1) at `rate` Hz.

        Raises UserError where that is shorter than a frame of its features.
        """
        x = resample(samples, rate, self.front.rate)
        if self.front.num_frames(len(x)) < 1:
            raise UserError(f"{len(samples) / rate:.3f} s of audio: too short for the features of the model")
        features = self.front(torch.from_numpy(x).to(self.device)).cpu().numpy()
        return self.classify([features])[1][0]

    @torch.inference_mode()
    def classify(self, features: list[np.ndarray]) -> tuple[list[str], np.ndarray]:
        """The class of each utterance's features (frames, dim), and embeddings (utterances, units)."""
        batch, lengths = pad(features)
        vectors, scores = self.net(batch.to(self.device), lengths.to(self.device))
        return [self.classes[best] for best in scores.argmax(1).tolist()], vectors.cpu().numpy()
