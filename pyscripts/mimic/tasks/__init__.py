"""Systems by the name that a configuration gives them."""

from mimic.tasks.asr import AsrTask
from mimic.tasks.enhance import EnhanceTask
from mimic.tasks.joint import JointTask
from mimic.tasks.lm import LmTask
from mimic.tasks.segan import SeganTask

TASKS = {"asr": AsrTask, "enhance": EnhanceTask, "joint": JointTask, "lm": LmTask, "segan": SeganTask}
