"""Features of training speech that sounds different in every epoch."""

from pathlib import Path

import numpy as np
import torch

from mimic.augment.augmenter import Augmenter
from mimic.augment.recordings import CachedAudio, Recordings
from mimic.errors import UserError
from mimic.frontend.feature_config import OPTIONS
from mimic.frontend.front_end import front_end
from mimic.io.tables import read_table
from mimic.models.config import Config


class AugmentedFeatures:
    """Augments the waveforms that the feature directory `data.train` was made from, and makes such features of them.

    The options of the features are those in the experiment directory. Raises UserError for noise that is
    never mixed in and where the waveforms are not there any more.
    """

    def __init__(self, config: Config, directory: Path):
        data = config.data
        if (data.noises or data.rirs) and not config.waveform_augment.noise_prob:
            raise UserError("--data.noises and --data.rirs need --waveform_augment.noise_prob above 0")
        self.front = front_end(directory / OPTIONS)
        speech = CachedAudio(data.train, self.front.rate)
        sources = [Recordings(name, self.front.rate) if name else None for name in (data.noises, data.rirs)]
        speaker_of = read_table(Path(data.train) / "utt2spk")
        settings = (config.waveform_augment, config.train.seed, sources[1], self.front.rate)
        self.augmenter = Augmenter(speech, speaker_of, sources[0], *settings)

    def __call__(self, utt: str, epoch: int) -> np.ndarray:
        """(frames, bins); what an utterance gets depends on the seed, the epoch and its id alone."""
        waveform = self.augmenter(utt, epoch).noisy
        with torch.inference_mode():
            features = self.front(torch.from_numpy(waveform)).numpy()
        if not len(features):
            raise UserError(f"{utt}: too short for one frame when it is sped up: leave it out of the training set")
        return features
