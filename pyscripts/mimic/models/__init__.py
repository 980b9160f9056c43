"""Networks by the name that a configuration gives them. Each has its sizes' dataclass beside it."""

from mimic.models.bilstm_mask import BilstmMask, BilstmMaskConfig
from mimic.models.causal_mask import CausalMask, CausalMaskConfig
from mimic.models.cnn_transformer import CnnTransformer, CnnTransformerConfig
from mimic.models.conformer import Conformer, ConformerConfig
from mimic.models.crdnn import Crdnn, CrdnnConfig
from mimic.models.crdnn_mask import CrdnnMask
from mimic.models.deepspeech2 import DeepSpeech2, DeepSpeech2Config
from mimic.models.demucs import Demucs, DemucsConfig
from mimic.models.fcn_mask import FcnMask, FcnMaskConfig
from mimic.models.lm import RnnLm, RnnLmConfig
from mimic.models.metricgan import MetricganMask, MetricganMaskConfig
from mimic.models.probe import Probe, ProbeConfig
from mimic.models.quartznet import Quartznet, QuartznetConfig
from mimic.models.transformer_lm import TransformerLm, TransformerLmConfig
from mimic.models.wide_resnet import WideResnet, WideResnetConfig

ENCODERS = {
    "crdnn": (Crdnn, CrdnnConfig),
    "conformer": (Conformer, ConformerConfig),
    "deepspeech2": (DeepSpeech2, DeepSpeech2Config),
    "probe": (Probe, ProbeConfig),
    "quartznet": (Quartznet, QuartznetConfig),
}
MASKS = {
    "causal": (CausalMask, CausalMaskConfig),
    "cnn_transformer": (CnnTransformer, CnnTransformerConfig),
    "crdnn": (CrdnnMask, CrdnnConfig),
    "wide_resnet": (WideResnet, WideResnetConfig),
    "bilstm": (BilstmMask, BilstmMaskConfig),
    "fcn": (FcnMask, FcnMaskConfig),
    "metricgan": (MetricganMask, MetricganMaskConfig),
}
WAVES = {"demucs": (Demucs, DemucsConfig)}
LMS = {"rnn": (RnnLm, RnnLmConfig), "transformer": (TransformerLm, TransformerLmConfig)}
