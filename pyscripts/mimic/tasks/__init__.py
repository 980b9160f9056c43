"""Systems by the name that a configuration gives them. Each is imported when it is used."""

from mimic.registry import Registry

TASKS = Registry(
    {
        "asr": "mimic.tasks.asr:AsrTask",
        "classify": "mimic.tasks.classify:ClassifyTask",
        "denoise": "mimic.tasks.denoise:DenoiseTask",
        "distill": "mimic.tasks.distill:DistillTask",
        "enhance": "mimic.tasks.enhance:EnhanceTask",
        "hybrid": "mimic.tasks.hybrid:HybridTask",
        "joint": "mimic.tasks.joint:JointTask",
        "lfmmi": "mimic.tasks.lfmmi:LfmmiTask",
        "lm": "mimic.tasks.lm:LmTask",
        "metricgan": "mimic.tasks.metricgan:MetricganTask",
        "pretrain_ssl": "mimic.tasks.pretrain_ssl:PretrainSslTask",
        "probe_enhance": "mimic.tasks.probe_enhance:ProbeEnhanceTask",
        "segan": "mimic.tasks.segan:SeganTask",
    }
)
