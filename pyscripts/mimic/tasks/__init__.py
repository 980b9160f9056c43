"""Systems by the name that a configuration gives them."""

from mimic.tasks.asr import AsrTask
from mimic.tasks.classify import ClassifyTask
from mimic.tasks.denoise import DenoiseTask
from mimic.tasks.distill import DistillTask
from mimic.tasks.enhance import EnhanceTask
from mimic.tasks.hybrid import HybridTask
from mimic.tasks.joint import JointTask
from mimic.tasks.lm import LmTask
from mimic.tasks.metricgan import MetricganTask
from mimic.tasks.pretrain_ssl import PretrainSslTask
from mimic.tasks.probe_enhance import ProbeEnhanceTask
from mimic.tasks.segan import SeganTask

TASKS = {
    "asr": AsrTask,
    "classify": ClassifyTask,
    "denoise": DenoiseTask,
    "distill": DistillTask,
    "enhance": EnhanceTask,
    "hybrid": HybridTask,
    "joint": JointTask,
    "lm": LmTask,
    "metricgan": MetricganTask,
    "pretrain_ssl": PretrainSslTask,
    "probe_enhance": ProbeEnhanceTask,
    "segan": SeganTask,
}
