"""Sections of a recogniser's configuration: its data and its loss."""

from dataclasses import dataclass
from typing import Annotated, Literal

from mimic.inputs import (
    Alignments,
    CleanDir,
    DataDir,
    Enhancer,
    Features,
    Labels,
    LanguageModel,
    Noises,
    Recogniser,
    Rirs,
    SpeakerFeatures,
    Text,
    Tokens,
    Tree,
)
from mimic.models.config import AcousticData, AcousticLoss, MmiOutputs, RecogniserData, RecogniserLoss, TokenData
from mimic.settings import LARGEST, BelowOne, Count, CountOrZero, NotNegative, Range, Share


@dataclass
class AsrData(RecogniserData):
    """What a recogniser is trained on.

    Attributes:
        train: feature directory with transcripts (feats.scp, utt2num_frames, text).
        dev: the same, for validation.
        vocabulary: target number of sentencepiece tokens.
        alphabet: with char, characters that are tokens besides those of the training set.
        init: directory of a trained recogniser to start from: its weights, tokens and normalisation.
        init_features: with init, whether the features have the options of those that it was trained on: same; other
            lets them differ (in the sampling rate, say), and then the normalisation is that of the training set.
        unfreeze_epoch: with init, the first epoch in which its encoder learns; before it, the decoder and the CTC
            output learn alone.
        max_skip: largest share of utterances that may be left out (transcript longer than CTC can align).
        max_unknown: with init, largest share of <unk> among the tokens of the transcripts: more means another spelling.
        noises: with waveform_augment.noise_prob, folder of recordings, or a data directory with their wav.scp; the type
            of a noise is its name up to the first "-". Empty: babble only.
        rirs: with waveform_augment.rir_prob, room impulse responses, in the same form. Empty: none.
    """

    train: Features = ""
    dev: Features = ""
    vocabulary: Count = 1000
    alphabet: str = ""
    init: Recogniser = ""
    init_features: Literal["same", "other"] = "same"
    unfreeze_epoch: Count = 1
    max_skip: Share = 0.01
    max_unknown: Share = 0.05
    noises: Noises = ""
    rirs: Rirs = ""


@dataclass
class AsrLoss(RecogniserLoss):
    """loss = ctc_weight * CTC + attention_weight * cross entropy of the next token.

    Attributes:
        ctc_weight: of CTC, active in epochs before ctc_epochs.
        ctc_epochs: first epoch without CTC (strict: 5 means epochs 1 to 4); 0: never; -1: always.
        label_smoothing: share of the target spread over all tokens.
    """

    ctc_weight: NotNegative = 0.3
    ctc_epochs: Annotated[int, Range(-1, LARGEST)] = -1
    label_smoothing: BelowOne = 0.1

    def check(self) -> str:
        """What does not fit, see `mimic.settings.build`."""
        always = self.ctc_weight > 0 and self.ctc_epochs < 0
        ok = self.attention_weight > 0 or always
        return "" if ok else "attention_weight 0 needs CTC in every epoch: ctc_weight above 0, ctc_epochs -1"


@dataclass
class JointData(AsrData):
    """As for a recogniser, but train and dev are data directories: the waveforms of noisy speech are read.

    Attributes:
        train_clean: the same utterances, clean, for the enhancement loss; without one it is not needed.
        dev_clean: the same for the development set, for loss and scores.
        valid_utterances: how many utterances, evenly spread over the development set, PESQ and STOI are taken of;
            0: all.
    """

    train: DataDir = ""
    dev: DataDir = ""
    train_clean: CleanDir = ""
    dev_clean: DataDir = ""
    valid_utterances: CountOrZero = 0


@dataclass
class JointConfig:
    """The enhancer in front of the recogniser.

    Attributes:
        enhancer: directory of a trained enhancer to start from.
        mask_weight: share of the masked signal, in place of the enhancer's own mask.weight; 0 keeps that. Published:
            0.7 for masks in the log1p domain.
        unfreeze_epoch: first epoch in which the enhancer learns; 1: from the beginning.
    """

    enhancer: Enhancer = ""
    mask_weight: Share = 0.0
    unfreeze_epoch: Count = 1


@dataclass
class LmData(TokenData):
    """What a language model is trained on.

    Attributes:
        train: text file, one sentence per line; or a data directory, whose transcripts are taken.
        dev: the same, for validation.
        tokens: directory of the recogniser whose tokens are predicted; empty, as for steps/lmrescore_nbest.sh: new ones
            from train.
        init: directory of a trained language model to start from: its weights and tokens; tokens stays empty then.
        vocabulary: without tokens or init, target number of sentencepiece tokens.
        max_unknown: largest share of <unk> among a text's tokens: more means another spelling or token type.
    """

    train: Text = ""
    dev: Text = ""
    tokens: Tokens = ""
    init: LanguageModel = ""
    vocabulary: Count = 1000
    max_unknown: Share = 0.05


@dataclass
class HybridData(AcousticData):
    """What an acoustic model is trained on.

    Attributes:
        train: feature directory, or several with blanks between them whose utterances have the same alignments: clean
            speech and the same with noise.
        train_ali: directory of alignments (ali.JOB.gz, final.mdl, tree) of these utterances.
        dev, dev_ali: the same, for validation.
        first_sequence: frames of the pieces into which utterances are cut in the first epoch; they double with each
            epoch. 0: never cut.
        max_sequence: longest pieces; 0: in the end utterances stay whole.
        max_skip: largest share of utterances that may be left out (without alignment, or of another length).
    """

    train: SpeakerFeatures = ""
    train_ali: Alignments = ""
    dev: SpeakerFeatures = ""
    dev_ali: Alignments = ""
    first_sequence: CountOrZero = 100
    max_sequence: CountOrZero = 500
    max_skip: Share = 0.05


@dataclass
class HybridLoss(AcousticLoss):
    """loss = cross-entropy of pdfs + mono_weight * cross-entropy of phones.

    Attributes:
        mono_weight: of the phones, as regularisation.
    """

    mono_weight: NotNegative = 1.0


@dataclass
class LfmmiData(AcousticData):
    """What LF-MMI trains a network on.

    Attributes:
        train, train_ali, dev, dev_ali: as of task hybrid; the alignments are those of the GMM-HMM, at the frame rate of
            the features.
        tree: directory of steps/build_tree.sh.
        phone_order: of the n-gram model of phones, whose paths are the denominator.
        tolerance: frames of the network by which a phone may begin earlier and end later than in its alignment.
        max_skip: as of task hybrid.
    """

    train: SpeakerFeatures = ""
    train_ali: Alignments = ""
    dev: SpeakerFeatures = ""
    dev_ali: Alignments = ""
    tree: Tree = ""
    phone_order: Annotated[int, Range(3, 5)] = 3
    tolerance: CountOrZero = 2
    max_skip: Share = 0.05


@dataclass
class LfmmiLoss(MmiOutputs):
    """loss = -LF-MMI per frame + xent_weight * cross-entropy + l2_weight * mean square of the output per frame.

    Attributes:
        xent_weight: of the cross-entropy of the second output layer with the posteriors of the reference phones.
        l2_weight: of the sum of the squared outputs of a frame.
    """

    xent_weight: NotNegative = 0.1
    l2_weight: NotNegative = 5e-5


@dataclass
class ClassifyData:
    """Features and classes of utterances.

    Attributes:
        train: feature directory.
        labels: table `utterance class`; utterances that are not in it are left out. Empty: utt2spk of the directory.
        dev: feature directory for validation.
        dev_labels: such a table for validation, of the same classes.
    """

    train: Features = ""
    labels: Labels = ""
    dev: Features = ""
    dev_labels: Labels = ""


@dataclass
class ClassifyLoss:
    """Cross entropy.

    Attributes:
        label_smoothing: share of the target that is spread over all classes.
    """

    label_smoothing: BelowOne = 0.0
