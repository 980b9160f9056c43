"""Sections of an enhancer's configuration: its data and its losses."""

from dataclasses import dataclass
from typing import Annotated

from mimic.inputs import DataDir, Features, InitialEnhancer, Noises, Options, ProbedFeatures, Rirs
from mimic.settings import Count, CountOrZero, NotNegative, Range


@dataclass
class EnhanceData:
    """What an enhancer is trained on: STFT feature directories, noisy and clean with the same utterances.

    Attributes:
        train_noisy: input of the training set; its wav.scp gives the waveforms for the losses of waveforms.
        train_clean: target of the training set, with a wav.scp for the same losses.
        dev_noisy: input for validation; its wav.scp gives the waveforms for PESQ, STOI and eSTOI.
        dev_clean: reference for validation.
        train_utterances: how many utterances, evenly spread over the training set, are trained on; 0: all.
        valid_utterances: how many utterances, evenly spread over the development set, validation scores; 0: all.
        init: directory of a trained enhancer to start from: its weights, of the same network and spectrum.
    """

    train_noisy: Features = ""
    train_clean: Features = ""
    dev_noisy: Features = ""
    dev_clean: Features = ""
    train_utterances: CountOrZero = 0
    valid_utterances: CountOrZero = 0
    init: InitialEnhancer = ""


@dataclass
class DenoiseData:
    """What an enhancer is trained on: clean speech, and what is mixed into it.

    Attributes:
        train: data directory of clean speech.
        noises: folder of recordings, or a data directory with their wav.scp; the type of a noise is its name up to
            the first "-". Empty: babble only.
        rirs: room impulse responses, in the same form. Empty: none.
        dev_noisy: data directory of noisy speech, for validation.
        dev_clean: the same utterances, clean.
        valid_utterances: how many utterances, evenly spread over the development set, validation scores; 0: all.
        stft: option file of the STFT that masks work on; empty: its defaults.
        init: directory of a trained enhancer to start from: its weights, of the same network and spectrum.
    """

    train: DataDir = ""
    noises: Noises = ""
    rirs: Rirs = ""
    dev_noisy: DataDir = ""
    dev_clean: DataDir = ""
    valid_utterances: CountOrZero = 0
    stft: Options = ""
    init: InitialEnhancer = ""


@dataclass
class ProbeEnhanceData(DenoiseData):
    """What an enhancer is trained on, and the features of its input.

    Attributes:
        features: feature directory of clean training speech: features of mixtures are made by its options and
            normalised by its statistics.
    """

    features: ProbedFeatures = ""


@dataclass
class SeganData:
    """What a SEGAN is trained on: data directories, noisy and clean with the same utterances.

    Attributes:
        train_noisy: input of the training set.
        train_clean: target of the training set.
        dev_noisy: input for validation.
        dev_clean: reference for validation.
        valid_utterances: how many utterances, evenly spread over the development set, validation scores; 0: all.
    """

    train_noisy: DataDir = ""
    train_clean: DataDir = ""
    dev_noisy: DataDir = ""
    dev_clean: DataDir = ""
    valid_utterances: CountOrZero = 0


@dataclass
class SeganLoss:
    """Least-squares GAN (Mao et al., 2017): the discriminator's scores should be 1 for clean, 0 for enhanced windows.

    generator: (score - 1)^2 + l1_weight * |enhanced - clean|.

    Attributes:
        l1_weight: of the L1 distance of pre-emphasised samples; published: 100.
        adversarial_weight: of the generator's score; 0 leaves the discriminator out.
        input_noise: standard deviation of Gaussian noise on the discriminator's input; 0: none.
        input_noise_every: epochs after which, again and again, it is multiplied by input_noise_decay.
        input_noise_decay: factor.
        input_noise_least: below this standard deviation there is no noise.
    """

    l1_weight: NotNegative = 100.0
    adversarial_weight: NotNegative = 1.0
    input_noise: NotNegative = 0.0
    input_noise_every: Count = 5
    input_noise_decay: Annotated[float, Range(above=0, most=1)] = 0.7
    input_noise_least: NotNegative = 0.01

    def noise(self, epoch: int) -> float:
        """Standard deviation of the noise in an epoch (from 1)."""
        now = self.input_noise * self.input_noise_decay ** ((epoch - 1) // self.input_noise_every)
        return now if now >= self.input_noise_least else 0.0
