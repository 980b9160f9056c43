"""Perceptual models of mimic loss: frozen models whose embeddings of enhanced and of clean speech are compared."""

from pathlib import Path

from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from mimic.errors import UserError
from mimic.frontend.front_end import FrontEnd
from mimic.frontend.stft import Stft
from mimic.losses.config import EnhanceLoss
from mimic.models.config import read_config
from mimic.models.recogniser import Recogniser
from mimic.nets import ssl
from mimic.nets.recogniser import RecogniserNet


class Perceptual(nn.Module):
    """A frozen model. Gradients pass through it, its parameters take none.

    Attributes:
        uses_waveforms: whether it is given waveforms, else the enhancer's log1p magnitudes.
    """

    uses_waveforms = True

    def forward(self, magnitudes: Tensor, lengths: Tensor, waveforms: list[Tensor]) -> tuple[list[Tensor], Tensor]:
        """The embeddings that are compared, each (batch, frames, ...), and their lengths (batch,).

        Of log1p magnitudes (batch, frames, bins) with lengths (batch,), or of waveforms (samples,): see above.
        """
        raise NotImplementedError

    def num_frames(self, lengths: Tensor, samples: Tensor | None) -> Tensor:
        """Lengths of the embeddings of signals of so many frames of the enhancer and so many samples, each (batch,)."""
        raise NotImplementedError


class OfSpectra(Perceptual):
    """A recogniser that was trained on the spectra that the enhancer works on."""

    uses_waveforms = False

    def __init__(self, net: RecogniserNet, layer: str):
        super().__init__()
        self.net, self.layer = net, layer

    def forward(self, magnitudes: Tensor, lengths: Tensor, waveforms: list[Tensor]) -> tuple[list[Tensor], Tensor]:
        response, lengths = self.net.embed(magnitudes, lengths, self.layer)
        return [response], lengths

    def num_frames(self, lengths: Tensor, samples: Tensor | None) -> Tensor:
        return self.net.embedded_lengths(lengths, self.layer)


class OfFeatures(Perceptual):
    """A recogniser of other features, as filterbank: they are made of the waveforms."""

    def __init__(self, net: RecogniserNet, layer: str, front: FrontEnd):
        super().__init__()
        self.net, self.layer, self.front = net, layer, front

    def forward(self, magnitudes: Tensor, lengths: Tensor, waveforms: list[Tensor]) -> tuple[list[Tensor], Tensor]:
        features = pad_sequence([self.front(waveform) for waveform in waveforms], batch_first=True)
        frames = lengths.new_tensor([self.front.num_frames(len(waveform)) for waveform in waveforms])
        response, lengths = self.net.embed(features, frames, self.layer)
        return [response], lengths

    def num_frames(self, lengths: Tensor, samples: Tensor | None) -> Tensor:
        assert samples is not None
        frames = lengths.new_tensor([self.front.num_frames(n) for n in samples.tolist()])
        return self.net.embedded_lengths(frames, self.layer)


class OfWaveforms(Perceptual):
    """A self-supervised encoder; layers: its hidden states that are compared."""

    def __init__(self, net: ssl.SslEncoder, layers: list[int]):
        super().__init__()
        self.net, self.layers = net, layers

    def forward(self, magnitudes: Tensor, lengths: Tensor, waveforms: list[Tensor]) -> tuple[list[Tensor], Tensor]:
        return self.net(waveforms, self.layers)

    def num_frames(self, lengths: Tensor, samples: Tensor | None) -> Tensor:
        assert samples is not None
        return self.net.num_frames(samples)


def load_perceptual(config: EnhanceLoss, stft: Stft) -> Perceptual:
    """The perceptual model that a configuration names, for an enhancer that works on `stft`.

    Raises UserError where it is none, or where it takes signals of another rate than the enhancer's.
    """
    path = config.perceptual
    if not path:
        raise UserError("mimic loss needs --loss.perceptual DIR: steps/train.sh conf/perceptual.yaml trains one")
    model: Perceptual
    if ssl.is_ssl(Path(path)):
        encoder = ssl.load(Path(path))
        layers = config.mimic_layers or list(range(1, encoder.num_layers + 1))
        if wrong := [layer for layer in layers if not 0 <= layer <= encoder.num_layers]:
            raise UserError(f"mimic_layers {wrong[0]}: {path} has 0 to {encoder.num_layers}")
        model, rate = OfWaveforms(encoder, layers), ssl.RATE
    else:
        if (task := read_config(Path(path)).task) != "asr":
            raise UserError(f"--loss.perceptual {path}: task {task}, not asr: conf/perceptual.yaml trains one")
        recogniser = Recogniser.load(path)
        front, net, rate = recogniser.front, recogniser.net, recogniser.rate
        if isinstance(front, Stft) and front.config == stft.config:
            model = OfSpectra(net, config.mimic_layer)
        else:
            model = OfFeatures(net, config.mimic_layer, front)
    if stft.rate != rate:
        raise UserError(f"--loss.perceptual {path} takes {rate} Hz: the enhancer's features are of {stft.rate} Hz")
    return model.requires_grad_(False).eval()
