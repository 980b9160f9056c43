"""Sections of a recogniser's configuration: its data and its loss."""

from dataclasses import dataclass
from typing import Literal


@dataclass
class AsrData:
    """What a recogniser is trained on.

    Attributes:
        train: feature directory with transcripts (feats.scp, utt2num_frames, text).
        dev: the same, for validation.
        token_type: phn reads text.phn; char, unigram and bpe (of sentencepiece) read text.
        vocabulary: wished number of sentencepiece tokens.
        alphabet: with char, characters that are tokens besides those of the training set.
        normalise: global normalises features with mean and deviation of the training set, utterance with each
            utterance's own mean and the deviation of the training set; none takes them as they are.
        init: directory of a trained recogniser to start from: its weights, tokens and normalisation.
        init_features: with init, whether the features have the options of those that it was trained on: same; other
            lets them differ (in the sampling rate, say), and then the normalisation is that of the training set.
        unfreeze_epoch: with init, the first epoch in which its encoder learns; before it, the decoder and the CTC
            output learn alone.
        max_skip: largest share of utterances that may be left out (transcript longer than CTC can align).
        max_unknown: with init, largest share of <unk> among the tokens of the transcripts: more means another spelling.
        noises: with waves.noise_prob, folder of recordings, or a data directory with their wav.scp; the kind of a noise
            is its name up to the first "-". Empty: babble only.
        rooms: with waves.room_prob, impulse responses, likewise. Empty: none.
    """

    train: str = ""
    dev: str = ""
    token_type: Literal["phn", "char", "unigram", "bpe"] = "unigram"
    vocabulary: int = 1000
    alphabet: str = ""
    normalise: Literal["global", "utterance", "none"] = "global"
    init: str = ""
    init_features: Literal["same", "other"] = "same"
    unfreeze_epoch: int = 1
    max_skip: float = 0.01
    max_unknown: float = 0.05
    noises: str = ""
    rooms: str = ""


@dataclass
class AsrLoss:
    """loss = ctc_weight * CTC + attention_weight * cross entropy of the next token.

    Attributes:
        ctc_weight: of CTC, active in epochs before ctc_epochs.
        ctc_epochs: first epoch without CTC (strict: 5 means epochs 1 to 4); 0: never; -1: always.
        attention_weight: of the decoder's loss; 0: the recogniser has no decoder, its CTC output alone is searched.
        label_smoothing: share of the target spread over all tokens.
    """

    ctc_weight: float = 0.3
    ctc_epochs: int = -1
    attention_weight: float = 0.7
    label_smoothing: float = 0.1
