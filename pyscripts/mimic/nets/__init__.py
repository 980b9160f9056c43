"""Networks by the name that a configuration gives them, imported when used. Each has its sizes' dataclass beside it.

A file of this folder needs no line here: `net: my_mask:MyMask,MyMaskConfig` is my_mask.py, its network and its sizes.
"""

from collections.abc import Mapping

from mimic.registry import Registry

ENCODERS = Registry(
    {
        "crdnn": "mimic.nets.crdnn:Crdnn,CrdnnConfig",
        "conformer": "mimic.nets.conformer:Conformer,ConformerConfig",
        "deepspeech2": "mimic.nets.deepspeech2:DeepSpeech2,DeepSpeech2Config",
        "probe": "mimic.nets.probe:Probe,ProbeConfig",
        "quartznet": "mimic.nets.quartznet:Quartznet,QuartznetConfig",
    },
    package=__name__,
)
MASKS = Registry(
    {
        "causal": "mimic.nets.causal_mask:CausalMask,CausalMaskConfig",
        "cnn_transformer": "mimic.nets.cnn_transformer:CnnTransformer,CnnTransformerConfig",
        "crdnn": "mimic.nets.crdnn:CrdnnMask,CrdnnConfig",
        "wide_resnet": "mimic.nets.wide_resnet:WideResnet,WideResnetConfig",
        "bilstm": "mimic.nets.bilstm_mask:BilstmMask,BilstmMaskConfig",
        "fcn": "mimic.nets.fcn_mask:FcnMask,FcnMaskConfig",
        "metricgan": "mimic.nets.metricgan:MetricganMask,MetricganMaskConfig",
    },
    package=__name__,
)
SPECTRA = Registry(
    {
        "fast": "mimic.nets.fast:FastMask,FastConfig",
        "gtcrn": "mimic.nets.gtcrn:Gtcrn,GtcrnConfig",
    }
)
WAVES = Registry({"demucs": "mimic.nets.demucs:Demucs,DemucsConfig"})
LMS = Registry(
    {
        "rnn": "mimic.nets.lm:RnnLm,RnnLmConfig",
        "transformer": "mimic.nets.transformer_lm:TransformerLm,TransformerLmConfig",
    },
    package=__name__,
)
BODIES = Registry(
    {
        "ligru": "mimic.nets.acoustic:LiGruBody,RecurrentConfig",
        "lstm": "mimic.nets.acoustic:LstmBody,RecurrentConfig",
        "gru": "mimic.nets.acoustic:GruBody,RecurrentConfig",
        "mlp": "mimic.nets.acoustic:MlpBody,MlpConfig",
        "tdnnf": "mimic.nets.tdnnf:Tdnnf,TdnnfConfig",
    }
)
STUDENTS = Registry(
    {
        "student": "mimic.nets.student:Student,StudentConfig",
        "pruned": "mimic.nets.pruned:PrunedStudent,PrunedConfig",
    }
)

# Of each task: the networks that it trains.
NETS: Mapping[str, Registry] = {
    "asr": ENCODERS,
    "classify": Registry({"probe": "mimic.nets.probe:Classifier,ProbeConfig"}),
    "denoise": MASKS | SPECTRA | WAVES,
    "distill": STUDENTS,
    "enhance": MASKS | SPECTRA,
    "hybrid": BODIES,
    "joint": ENCODERS,
    "lfmmi": BODIES,
    "lm": LMS,
    "metricgan": MASKS,
    "pretrain_ssl": Registry({"hubert": "mimic.nets.hubert:Hubert,HubertConfig"}),
    "probe_enhance": Registry({"probe": "mimic.nets.probe_enhancer:FeatureMask,ProbeConfig"}),
    "segan": Registry({"segan": "mimic.nets.segan:Segan,SeganConfig"}),
}
