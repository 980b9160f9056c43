"""Enhancement from frozen features: how well an encoder tells speech from noise and reverberation."""

from pathlib import Path

from torch import nn

from mimic.frontend.cmvn import Cmvn
from mimic.frontend.front_end import copy_options
from mimic.io.feature_dir import read_global
from mimic.models.enhancer import PROBED, probe_network
from mimic.tasks.denoise import DenoiseTask
from mimic.tasks.enhance_config import ProbeEnhanceData


class ProbeEnhanceTask(DenoiseTask):
    SECTIONS = DenoiseTask.SECTIONS | {"data": ProbeEnhanceData}

    def new_network(self, directory: Path) -> nn.Module:
        features = Path(self.config.data.features)
        copy_options(features, directory, PROBED)
        normaliser = Cmvn(read_global(features), norm_vars=True)
        return probe_network(self.config, directory, self.stft, normaliser)
