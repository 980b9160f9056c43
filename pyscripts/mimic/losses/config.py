"""The section `loss` of an enhancer's configuration. Nothing here loads torch."""

from dataclasses import dataclass, field
from typing import Literal

from mimic.inputs import Perceptual
from mimic.settings import CountOrZero, NotNegative

OF_WAVEFORMS = ("si_sdr", "stft", "stoi", "pesq")  # losses between waveforms, one value per utterance
OF_SPECTRA = ("magnitude", "complex", "consistency")  # losses between complex spectra
PARTS = ("spectral", *OF_WAVEFORMS, *OF_SPECTRA, "waveform", "mimic")


@dataclass
class EnhanceLoss:
    """loss = the sum of all losses, each times its weight; what has weight 0 is left out.

    Attributes:
        spectral_weight: weight of the distance of spectra; with 0 it is still logged.
        distance: mse or l1 between log1p magnitudes.
        si_sdr_weight: weight of minus the scale-invariant signal-to-distortion ratio, in dB: it ignores levels.
        stft_weight: weight of the multi-resolution STFT loss (spectral convergence and log magnitudes of waveforms).
        stoi_weight: weight of 1 - STOI.
        pesq_weight: weight of 4.5 minus the raw value of wide-band PESQ, by a model of it that has a gradient.
        magnitude_weight: weight of the squared distance of compressed magnitudes |X|^0.3; published for fast: 0.3.
        missing_weight: of magnitudes below the clean ones in it, in addition, as a share of magnitude_weight: less
            noise is removed, and less speech.
        complex_weight: the same of compressed complex spectra; published: 0.2.
        consistency_weight: the same between an enhanced spectrum and that of the waveform made of it; published: 0.3.
        waveform_weight: weight of the absolute distance of samples; published: 0.2.
        mimic_weight: weight of the mimic loss, distance(E(enhanced), E(clean)) of a perceptual model E.
        mimic_rise: over so many epochs the mimic weight rises to its value, linearly, which the last of them has; 0: it
            has its value from the beginning.
        mimic_distance: mse, l1 or cosine between the perceptual model's embeddings.
        mimic_layer: the layer whose output is compared: cnn as published for speech in noise, rnn, dnn, or logits as in
            the first papers on mimic loss.
        mimic_layers: the same for a self-supervised encoder: hidden layers, whose distances are averaged; 0 is the
            input of the first transformer layer. None: all transformer layers.
        mimic_phase: of the clean speech that is compared, where an enhancer of magnitudes mimics waveforms: noisy, as
            the enhanced speech has it, so that the loss can reach zero, or clean.
        perceptual: directory of the trained perceptual model, a recogniser of the enhancer's spectra or of any other
            features, which are then made of the waveforms; or a self-supervised encoder (wav2vec 2.0, HuBERT,
            WavLM): a file of weights as torchaudio downloads it, or a directory of transformers.
    """

    spectral_weight: NotNegative = 1.0
    distance: Literal["mse", "l1"] = "mse"
    si_sdr_weight: NotNegative = 0.0
    stft_weight: NotNegative = 0.0
    stoi_weight: NotNegative = 0.0
    pesq_weight: NotNegative = 0.0
    magnitude_weight: NotNegative = 0.0
    missing_weight: NotNegative = 0.0
    complex_weight: NotNegative = 0.0
    consistency_weight: NotNegative = 0.0
    waveform_weight: NotNegative = 0.0
    mimic_weight: NotNegative = 0.0
    mimic_rise: CountOrZero = 0
    mimic_distance: Literal["mse", "l1", "cosine"] = "mse"
    mimic_layer: Literal["cnn", "rnn", "dnn", "logits"] = "cnn"
    mimic_layers: list[CountOrZero] = field(default_factory=list)
    mimic_phase: Literal["noisy", "clean"] = "noisy"
    perceptual: Perceptual = ""

    def check(self) -> str:
        """What does not fit, see `mimic.settings.build`."""
        odd = self.missing_weight > 0 and self.magnitude_weight == 0
        return "missing_weight is a share of magnitude_weight, which is 0" if odd else ""

    @property
    def of_waveforms(self) -> bool:
        """Whether there are losses between waveforms."""
        return any(getattr(self, f"{name}_weight") for name in (*OF_WAVEFORMS, "waveform")) or self.of_spectra

    @property
    def of_spectra(self) -> bool:
        """Whether there are losses between complex spectra."""
        return any(getattr(self, f"{name}_weight") for name in OF_SPECTRA)

    @property
    def active(self) -> bool:
        """Whether there is a loss at all."""
        return any(getattr(self, f"{name}_weight") for name in PARTS)
