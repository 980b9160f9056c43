"""The card of a pretrained model: what its training, its data and its scores say of it, as values and as Markdown.

Values come from what steps have left: config.yaml, run_info.json, summary.json, the data directories that
config.yaml names, and the directories of scores below the experiment's and below that of noisy speech.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from mimic.augment.recordings import list_recordings
from mimic.errors import UserError
from mimic.frontend.stft import Stft
from mimic.io.tables import read_table
from mimic.metrics.comparison import RATES, bootstrap, check, read_values
from mimic.metrics.enhancement import MEASURES
from mimic.metrics.scores import has_scores, read_scores
from mimic.tasks import config as configuration

TEMPLATES = Path(__file__).parent / "templates"
TITLES = MEASURES | {"wer": "WER", "cer": "CER"}
SHOWN = ("wer", "wb-pesq", "estoi", "si-sdr")  # of conditions in which a model is worse than no model


def training(experiment: Path, front: Stft) -> dict[str, Any]:
    """How the model was trained; `front`: its front end. Raises UserError for a training that has not finished."""
    try:
        info, summary = (json.loads((experiment / f"{name}.json").read_text()) for name in ("run_info", "summary"))
    except (OSError, ValueError):
        raise UserError(f"{experiment}: no training that has finished: run its steps/train.sh command again") from None
    config = configuration.read(experiment / "config.yaml")
    frame_s = front.config.hop_length / front.rate
    loss = {name: weight for name, weight in vars(config.loss).items() if name.endswith("_weight") and weight}
    of_mimic = (
        ("perceptual", "mimic_rise", "mimic_layer", "mimic_layers", "mimic_distance") if "mimic_weight" in loss else ()
    )
    return {
        "steps": summary["steps"],
        "epochs": summary["epochs"],
        "batch_size": config.train.batch_size,
        "audio_hours": round(summary["epochs"] * summary["frames"] * frame_s / 3600, 1),
        "wall_hours": round(summary["seconds"] / 3600, 2),
        "device": summary["device"],
        "machine": f"{info['machine']}, {info['cpus']} CPUs" if "cpus" in info else info["machine"],
        "seed": info["seed"],
        "commit": info["revision"],
        "last_started": info["started"],
        "command": " ".join(info["command"]),
        "loss": loss | {name: getattr(config.loss, name) for name in of_mimic},
    }


def before(experiment: Path, front: Stft) -> list[dict[str, Any]]:
    """The trainings whose weights this one began with (`data.init`), oldest first, each as `training` gives it.

    Of a directory that is gone, its name alone.
    """
    init = configuration.read(experiment / "config.yaml").data.init
    if not init:
        return []
    start = Path(init)
    if (start / "card.json").is_file():
        card = json.loads((start / "card.json").read_text())
        return [*card.get("before", []), card["training"]]
    if not (start / "summary.json").is_file():
        return [{"directory": init}]
    return [*before(start, front), training(start, front)]


def data(experiment: Path) -> dict[str, Any]:
    """What it was trained on, as far as the directories are there that its configuration names."""
    found: dict[str, Any] = {}
    named = vars(configuration.read(experiment / "config.yaml").data)
    train = Path(named.get("train") or named.get("train_clean") or "")
    if (train / "utt2spk").is_file():
        speakers = set(read_table(train / "utt2spk").values())
        found["speech"] = {"directory": str(train), "speakers": len(speakers)}
        if (train / "utt2dur").is_file():
            durations = [float(seconds) for seconds in read_table(train / "utt2dur").values()]
            found["speech"] |= {"utterances": len(durations), "hours": round(sum(durations) / 3600, 2)}
    for kind in ("noises", "rirs"):
        if named.get(kind) and Path(named[kind]).exists():
            files = list_recordings(named[kind])
            found[kind] = {"directory": named[kind], "recordings": len(files)}
            if kind == "noises":
                found[kind]["types"] = sorted({name.rpartition("/")[2].partition("-")[0] for name in files})
    return found


def scores(experiment: Path, noisy: Path) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Scores of the enhanced speech beside those of noisy speech, for each set that both have; and where it is worse.

    The first: by set and measure, with the 95 % interval of the difference (paired bootstrap). The second: sets, and
    their conditions (SNR, noise type, length), whose mean is worse than that of noisy speech.
    """
    rows, worse = [], []
    for place in sorted((experiment / "scoring").glob("*")):
        before = noisy / "scoring" / place.name
        if not (has_scores(place) and has_scores(before)):
            continue
        a, b = read_values(before), read_values(place)
        for measure in (m for m in (*RATES, *MEASURES) if m in a and m in b):
            check(measure, a[measure], b[measure], (str(before), str(place)))
            found = bootstrap(measure, [(a[measure], b[measure])])
            figures = {"noisy": found.a, "enhanced": found.b, "difference": found.b - found.a}
            figures |= {"low": found.low, "high": found.high}
            rows.append({"set": place.name, "measure": measure, "utterances": found.n} | _rounded(figures))
        worse += [{"set": place.name} | row for row in _worse(before, place)]
    return rows, worse


def _worse(before: Path, after: Path) -> list[dict[str, Any]]:
    groups = []
    for scores in map(read_scores, (before, after)):
        assert scores is not None  # has_scores
        whole = {("all", ""): scores.figures}
        groups.append(
            whole | {(c.condition, c.value): c.figures for c in scores.conditions if c.condition != "speaker"}
        )
    rows = []
    for (condition, value), figures in groups[1].items():
        noisy = groups[0].get((condition, value), {})
        for measure in (name for name in SHOWN if name in noisy and name in figures):
            a, b = noisy[measure].mean, figures[measure].mean
            if a < b if measure in RATES else a > b:
                row = {"condition": condition, "value": value, "measure": measure, "n": figures[measure].n}
                rows.append(row | _rounded({"noisy": a, "enhanced": b}))
    return rows


def _rounded(figures: Mapping[str, float]) -> dict[str, float]:
    return {name: round(float(value), 4) for name, value in figures.items()}


def text(card: Mapping[str, Any], corpora: Sequence[Mapping[str, str]]) -> str:
    """The card as Markdown. corpora: rows with corpus, content, licence and source."""
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES), undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["facts"] = _facts
    return environment.get_template("card.md.j2").render(card=card, corpora=corpora, titles=TITLES)


def _facts(values: Mapping[str, Any]) -> str:
    """A list of names and values."""
    lines = []
    for name, value in values.items():
        if isinstance(value, dict):
            parts = {key: len(part) if key == "types" else part for key, part in value.items()}
            value = ", ".join(f"{key} {part}" for key, part in parts.items())
        lines.append(f"- {name.replace('_', ' ')}: {f'{value:,}' if isinstance(value, int) else value}\n")
    return "".join(lines)
