"""Systems by the name that a configuration gives them."""

from mimic.tasks.asr import AsrTask
from mimic.tasks.enhance import EnhanceTask

TASKS = {"asr": AsrTask, "enhance": EnhanceTask}
