"""Former names of settings. They work for one release, with a line that gives the new name.

A renamed setting is one line in SETTINGS, a renamed value one in VALUES. Nothing here loads torch: the steps ask too.
The table does not stand beside the fields, because a recorded configuration has to be read without the classes of its
sections, which load torch, and because a configuration and the file that it begins from may differ in their age.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache

from mimic.errors import UserError

TYPE_CHECKING = False  # the up-to-date check starts in every step, and typing takes as long to load as all else here
if TYPE_CHECKING:
    from typing import Any

# Former name -> name, of "section.setting" or of a whole section. A setting of a renamed section stands here under the
# section's new name.
SETTINGS: dict[str, str] = {
    "augment.quiet_room_prob": "augment.clean_rir_prob",
    "augment.room_prob": "augment.rir_prob",
    "data.dev_units": "data.dev_targets",
    "data.rooms": "data.rirs",
    "data.units": "data.targets",
    "decode.lm_weight": "decode.lm_scale",
    "decode.ngram_weight": "decode.ngram_lm_scale",
    "decode.word_bonus": "decode.word_insertion_bonus",
    "loss.heard_weight": "loss.unmasked_weight",
    "loss.loudness_weight": "loss.pesq_weight",
    "model.first": "model.initial_encoder",
    "train.accumulate": "train.accum_grad",
    "train.average": "train.num_avg_ckpts",
    "train.average_of": "train.avg_policy",
    "train.batch_frames": "train.max_frames",
    "train.batch_utterances": "train.batch_size",
    "train.clip": "train.max_grad_norm",
    "train.nonfinite_limit": "train.max_nonfinite_batches",
    "train.save_minutes": "train.checkpoint_interval",
    "train.select": "train.best_metric",
    "waveform_augment.quiet_room_prob": "waveform_augment.clean_rir_prob",
    "waveform_augment.room_prob": "waveform_augment.rir_prob",
    "waves": "waveform_augment",
}

# Name of a setting -> {former value: value}.
VALUES: dict[str, dict[str, str]] = {"decode.search": {"free": "lexicon-free"}}

# Former name -> name, of what a step records beside settings in its fingerprint: `up_to_date ... --option name=value`.
STEP_OPTIONS: dict[str, str] = {
    "by_kind": "by_type",
    "dry_wet": "enhancement_ratio",
    "lm_weights": "lm_scales",
    "rooms": "rirs",
    "word_bonuses": "word_insertion_bonuses",
}

# Former name -> name, of a step, as it is recorded in the fingerprint of what it made.
STEPS: dict[str, str] = {
    "local/share_recordings.sh": "local/split_recordings.sh",
    "local/simulate_rooms.sh": "local/simulate_rirs.sh",
    "steps/cluster_feats.sh": "steps/apply_kmeans.sh",
}


def current(name: str) -> str:
    """The name that the setting "section.setting" or the section `name` has now."""
    section, dot, setting = name.partition(".")
    name = SETTINGS.get(section, section) + dot + setting
    return SETTINGS.get(name, name)


def current_value(name: str, value: Any) -> Any:
    """The value that `value` of the setting, by its present name, is written as now."""
    return VALUES.get(name, {}).get(value, value) if isinstance(value, str) else value


def rename(raw: dict, where: str) -> dict:
    """The sections of one file under their present names. `where` begins the notes; empty: none is logged.

    Raises UserError for a setting that is given under both names.
    """
    prefix = f"{where}: " if where else ""
    found: dict = {}
    for key, values in raw.items():
        section = _renamed(str(key), raw, prefix)
        if not isinstance(values, dict):
            found[section] = _renamed_value(section, values, prefix)
            continue
        found[section] = {}
        given = [f"{section}.{name}" for name in values]
        for old, value in zip(given, values.values(), strict=True):
            new = _renamed(old, given, prefix)
            found[section][new.partition(".")[2]] = _renamed_value(new, value, prefix)
    return found


def rename_pairs(pairs: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Settings of a command line, as (name, value), under their present names, with a note for each former one.

    Raises UserError for a setting that is given under both names.
    """
    names = [_renamed(name, [name for name, _ in pairs], "--") for name, _ in pairs]
    return [(name, _renamed_value(name, value, "--")) for name, (_, value) in zip(names, pairs, strict=True)]


def recorded_option(name: str, value: str) -> tuple[str, str]:
    """An option of a fingerprint as it is recorded now. Its value may hold settings, as `--section.name value`."""
    name = STEP_OPTIONS.get(name, current(name))
    return name, current_value(name, re.sub(r"--([\w.-]+)(?: (\S+))?", _recorded_setting, value))


def _recorded_setting(match: re.Match) -> str:
    name = match[1].replace("-", "_")
    new = STEP_OPTIONS[name].replace("_", "-") if name in STEP_OPTIONS else current(name)
    return f"--{match[1] if new == name else new}" + (f" {current_value(new, match[2])}" if match[2] else "")


def _renamed(old: str, given: Iterable[str], prefix: str) -> str:
    new = current(old)
    if new == old:
        return new
    if new in given:
        raise UserError(f"{prefix}{old} and {prefix if prefix == '--' else ''}{new} are the same setting: give it once")
    if prefix:
        note(f"{prefix}{old}", f"{prefix if prefix == '--' else ''}{new}")
    return new


def _renamed_value(name: str, value: Any, prefix: str) -> Any:
    new = current_value(name, value)
    if prefix and new != value:
        note(f"{prefix}{name} {value}", new)
    return new


@cache
def note(old: str, new: str) -> None:
    """Log, once in a program, that a former name was used."""
    import logging  # here, for the up-to-date check starts in every step and hardly ever has a note

    logging.getLogger(__name__).info("%s is now %s; the old name will be removed in the next release", old, new)
