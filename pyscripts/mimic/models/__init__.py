"""Trained models as things: the public Python API.

    from mimic import models

    enhancer = models.load()  # the default pretrained one; or models.load("exp/enhance_mimic")
    enhanced = enhancer.enhance(samples, rate)

A trained directory gives an `Enhancer` (`enhance`), `Recogniser` (`recognise`), `AcousticModel` (`score`), `Encoder`
(`encode`), `LanguageModel` (`score`) or `Classifier` (`classify`): a network with its front end. All of them have
`load` and `save`. Each is imported when it is used.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from mimic.errors import UserError
from mimic.models.config import read_raw, task_name
from mimic.registry import Registry

MODELS = Registry(
    {
        "asr": "mimic.models.recogniser:Recogniser",
        "classify": "mimic.models.classifier:Classifier",
        "denoise": "mimic.models.enhancer:Enhancer",
        "distill": "mimic.models.encoder:Encoder",
        "enhance": "mimic.models.enhancer:Enhancer",
        "hybrid": "mimic.models.acoustic:AcousticModel",
        "joint": "mimic.models.recogniser:Recogniser",
        "lfmmi": "mimic.models.acoustic:MmiModel",
        "lm": "mimic.models.language_model:LanguageModel",
        "metricgan": "mimic.models.enhancer:Enhancer",
        "pretrain_ssl": "mimic.models.encoder:Encoder",
        "probe_enhance": "mimic.models.enhancer:Enhancer",
        "segan": "mimic.models.enhancer:Enhancer",
    }
)
# Pretrained models: a directory each, beside a file `default` with the name of the one to use.
PACKAGED = Path(__file__).resolve().parents[1] / "pretrained"
FOLDER = PACKAGED if PACKAGED.is_dir() else Path(__file__).resolve().parents[3] / "pretrained"


def load(directory: str | Path | None = None, overrides: Iterable[str] = (), device: str = "cpu") -> Any:
    """The trained model of a directory, of the class that fits its task.

    directory: None is the default pretrained enhancer; others are "pretrained/NAME", from everywhere. overrides:
        words `--section.name value` that change settings, as ("--decode.beam", "20"). device: cpu, or cuda.
    Raises mimic.errors.UserError for the directory of something else, and for parts that do not belong together.
    """
    path = find(directory)
    config = path / "config.yaml"
    if not config.is_file():
        return MODELS["pretrain_ssl"].load(path, overrides, device)  # an encoder, or a line that says what is missing
    return MODELS[task_name(read_raw(config), str(config))].load(path, overrides, device)


def kind(directory: str | Path) -> str:
    """The class of a trained directory by its name, such as Recogniser, which is not imported; "" of anything else."""
    config = find(directory) / "config.yaml"
    task = task_name(read_raw(config), str(config)) if config.is_file() else ""
    place = None if task == "joint" else MODELS.place(task)
    return place.rpartition(":")[2] if place else ""


def find(model: str | Path | None = None) -> Path:
    """The directory of a model; of None or "true" the default; of pretrained/NAME the package's own, if it is not here.

    Raises UserError where there is no default.
    """
    if model not in (None, "true"):
        path = Path(str(model))
        known = FOLDER / path.name
        return known if path.parent == Path("pretrained") and not path.exists() and known.is_dir() else path
    try:
        return FOLDER / (FOLDER / "default").read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        raise UserError(
            "no model is named and none ships here: name a model directory, or run local/run_pretrained.sh --corpora "
            "DIR, which trains one"
        ) from None
