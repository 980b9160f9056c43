"""Networks by the name that a configuration gives them, imported when used. Each has its sizes' dataclass beside it."""

from mimic.registry import Registry

ENCODERS = Registry(
    {
        "crdnn": "mimic.models.crdnn:Crdnn,CrdnnConfig",
        "conformer": "mimic.models.conformer:Conformer,ConformerConfig",
        "deepspeech2": "mimic.models.deepspeech2:DeepSpeech2,DeepSpeech2Config",
        "probe": "mimic.models.probe:Probe,ProbeConfig",
        "quartznet": "mimic.models.quartznet:Quartznet,QuartznetConfig",
    }
)
MASKS = Registry(
    {
        "causal": "mimic.models.causal_mask:CausalMask,CausalMaskConfig",
        "cnn_transformer": "mimic.models.cnn_transformer:CnnTransformer,CnnTransformerConfig",
        "crdnn": "mimic.models.crdnn_mask:CrdnnMask,CrdnnConfig",
        "wide_resnet": "mimic.models.wide_resnet:WideResnet,WideResnetConfig",
        "bilstm": "mimic.models.bilstm_mask:BilstmMask,BilstmMaskConfig",
        "fcn": "mimic.models.fcn_mask:FcnMask,FcnMaskConfig",
        "metricgan": "mimic.models.metricgan:MetricganMask,MetricganMaskConfig",
    }
)
WAVES = Registry({"demucs": "mimic.models.demucs:Demucs,DemucsConfig"})
LMS = Registry(
    {
        "rnn": "mimic.models.lm:RnnLm,RnnLmConfig",
        "transformer": "mimic.models.transformer_lm:TransformerLm,TransformerLmConfig",
    }
)
