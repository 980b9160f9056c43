"""Enhancement from frozen features: how well an encoder tells speech from noise and rooms."""

from pathlib import Path

import numpy as np
from torch import nn

from mimic.errors import UserError
from mimic.frontend import feature_config
from mimic.frontend.front_end import front_end
from mimic.frontend.stft import Stft, StftConfig
from mimic.io.feature_dir import read_global
from mimic.models import trained
from mimic.models.probe_enhancer import FeatureMask, ProbeEnhancer
from mimic.nets.probe import ProbeConfig
from mimic.tasks.denoise import DenoiseTask
from mimic.tasks.enhance_config import ProbeEnhanceData
from mimic.tasks.task import copy_feature_options
from mimic.training.config import Config

HEARD = "heard.conf"  # options of the features, beside the model


class ProbeEnhanceTask(DenoiseTask):
    NETS = {"probe": (FeatureMask, ProbeConfig)}
    SECTIONS = DenoiseTask.SECTIONS | {"data": ProbeEnhanceData}

    def new_model(self, directory: Path) -> nn.Module:
        features = Path(self.config.data.features)
        copy_feature_options(features, directory, HEARD)
        return enhancer(self.config, directory, self.stft, read_global(features))

    @staticmethod
    def build(config: Config, directory: Path) -> tuple[nn.Module, Stft]:
        """The trained probe of an experiment directory, in eval mode, and its STFT."""
        stft = Stft(StftConfig.read(directory / feature_config.OPTIONS))
        state = trained.read_weights(directory)
        bins = trained.size(state, "net.normaliser.mean", directory, config)
        model = enhancer(config, directory, stft, np.ones((2, bins + 1)) * 2)
        return trained.fill(model, state, directory, config), stft


def enhancer(config: Config, directory: Path, stft: Stft, stats: np.ndarray) -> ProbeEnhancer:
    """The enhancer before training, for features by the options in its directory, with these CMVN statistics."""
    front = front_end(directory / HEARD)
    if front.rate != stft.rate:
        raise UserError(f"{directory / HEARD}: features of {front.rate} Hz, and the spectrum has {stft.rate}")
    return ProbeEnhancer(front, FeatureMask(config.model, stats, stft.dim), config.mask)
