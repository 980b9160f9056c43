"""Encoder with a CTC output and, mostly, an attention decoder: the perceptual model and the recognisers alike."""

from typing import Any

import torch
from torch import Tensor, nn

from mimic.errors import UserError
from mimic.frontend.cmvn import Cmvn
from mimic.frontend.front_end import FrontEnd
from mimic.nets.attention_decoder import AttentionDecoder, DecoderConfig
from mimic.nets.graphs import Graph, count_frames
from mimic.nets.masking import valid_frames
from mimic.nets.products import Linear


class RecogniserNet(nn.Module):
    """Features -> tokens.

    Args:
        encoder: module with `output_size`, `output_lengths` and `forward(features, lengths)`.
        centred: subtract each utterance's own mean from its features before they are normalised: what a voice or a
            channel adds to all of its frames is gone.
        normaliser: of the features. It is made from the training set and stored with the weights: evaluation never
            changes it.
        tokens: size of the token table.
        decoder: sizes of the attention decoder; None: there is none, and `decoder` is None.
    """

    encoder: Any  # each has more: `stream`, or `cnn` and `layers`

    def __init__(self, encoder: Any, normaliser: Cmvn, centred: bool, tokens: int, decoder: DecoderConfig | None):
        super().__init__()
        self.normaliser, self.centred = normaliser, centred
        self.encoder = encoder
        self.ctc = Linear(encoder.output_size, tokens, bias=getattr(encoder, "output_bias", True))
        self.decoder = AttentionDecoder(encoder.output_size, tokens, decoder) if decoder else None

    def _normalise(self, features: Tensor, lengths: Tensor) -> Tensor:
        self.normaliser.check(features)
        if self.centred:
            mask = valid_frames(lengths, features.shape[1]).unsqueeze(2)
            own = (features * mask).sum(1, keepdim=True) / lengths.view(-1, 1, 1)  # (batch, 1, bins)
            features = features - own + self.normaliser.mean
        return self.normaliser(features)

    def encode(self, features: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(batch, frames, bins), lengths -> encoded (batch, frames', units), lengths', CTC log-probabilities."""
        encoded, lengths = self.encoder(self._normalise(features, lengths), lengths)
        return encoded, lengths, self.ctc(encoded).log_softmax(2)

    def stream(self, features: Tensor, state: Any = None, last: bool = False) -> tuple[Tensor, Any]:
        """The next frames (batch, frames, bins) of signals that come in pieces -> CTC log-probabilities, new state.

        All pieces together give those of `encode`; with `last` comes what is left. Raises UserError for a recogniser
        that needs the future.
        """
        if self.centred or not hasattr(self.encoder, "stream"):
            what = "the mean of the whole utterance" if self.centred else "the whole utterance"
            raise UserError(f"this recogniser needs {what}: train one as conf/deepspeech2_streaming_demo.yaml")
        encoded, state = self.encoder.stream(self.normaliser(features), state, last)
        return self.ctc(encoded).log_softmax(2), state

    def embed(self, features: Tensor, lengths: Tensor, layer: str) -> tuple[Tensor, Tensor]:
        """What mimic loss compares: output of `cnn`, `rnn` or `dnn`, or the CTC output before softmax (`logits`).

        Returns (batch, frames', ...) and lengths'. Raises UserError for a part that the encoder does not have.
        """
        features = self._normalise(features, lengths)
        if layer == "logits":
            encoded, lengths = self.encoder(features, lengths)
            return self.ctc(encoded), lengths
        if not hasattr(self.encoder, layer):
            known = [part for part in ("cnn", "rnn", "dnn") if hasattr(self.encoder, part)] + ["logits"]
            raise UserError(f"--loss.mimic_layer {layer}: this perceptual model has only {', '.join(known)}")
        if layer == "cnn":  # the published choice; the rest of the network is not computed
            return self.encoder.cnn(features, lengths), lengths
        return self.encoder.layers(features, lengths)[layer], self.embedded_lengths(lengths, layer)

    def embedded_lengths(self, lengths: Tensor, layer: str) -> Tensor:
        """Frames that `embed` gives for utterances of these lengths (batch,)."""
        return lengths if layer == "cnn" else self.encoder.output_lengths(lengths)

    def onnx(self, front: FrontEnd) -> Graph:
        """A waveform, by this front end -> log-probabilities of the CTC output, in operators that ONNX has."""
        features = front.onnx()

        def run(waveform: Tensor) -> Tensor:
            x = features(waveform)
            return self.encode(x, count_frames(x))[2]

        def reference(waveform: Tensor) -> Tensor:
            x = front(waveform)
            x = x if x.dim() == 3 else x.unsqueeze(0)
            return self.encode(x, torch.tensor([x.shape[1]]))[2]

        return Graph(run, reference, [self, features], front.rate, "log_probs")
