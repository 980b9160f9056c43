"""Encoder with a CTC output and an attention decoder: the perceptual model and the robust recogniser alike."""

from torch import Tensor, nn

from mimic.features.cmvn import Cmvn
from mimic.models.attention_decoder import AttentionDecoder, DecoderConfig


class Recogniser(nn.Module):
    """Features -> tokens.

    Args:
        encoder: module with `output_size`, `output_lengths` and `forward(features, lengths)`.
        normaliser: of the features. It is made from the training set and stored with the weights: evaluation never
            changes it.
        tokens: size of the token table.
        decoder: sizes of the attention decoder.
    """

    def __init__(self, encoder: nn.Module, normaliser: Cmvn, tokens: int, decoder: DecoderConfig):
        super().__init__()
        self.normaliser = normaliser
        self.encoder = encoder
        self.ctc = nn.Linear(encoder.output_size, tokens)
        self.decoder = AttentionDecoder(encoder.output_size, tokens, decoder)

    def encode(self, features: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(batch, frames, bins), lengths -> encoded (batch, frames', units), lengths', CTC log-probabilities."""
        encoded, lengths = self.encoder(self.normaliser(features), lengths)
        return encoded, lengths, self.ctc(encoded).log_softmax(2)

    def embed(self, features: Tensor, lengths: Tensor, layer: str) -> tuple[Tensor, Tensor]:
        """What mimic loss compares: output of `cnn`, `rnn` or `dnn`, or the CTC output before softmax (`logits`).

        Returns (batch, frames', ...) and lengths'.
        """
        features = self.normaliser(features)
        if layer == "cnn":  # the published choice; the rest of the network is not computed
            return self.encoder.cnn(features, lengths), lengths
        layers = self.encoder.layers(features, lengths)
        output = self.ctc(layers["dnn"]) if layer == "logits" else layers[layer]
        return output, self.encoder.output_lengths(lengths)
