"""What a directory is made from: .fingerprint has a line "kind key value" for each thing that decides.

step     which step writes it, and of several kinds of its which: no other step may write there
version  of the format that the step writes: an integer, raised by whoever makes what is there unusable
input    a path and the hash of its contents
option   a setting

The code is not in it: a newer version of it is no reason to do work again.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

from mimic.renamed import STEPS, recorded_option

from .files import ROOT, relative
from .identity import Known, identity
from .outputs import file_hash
from .state import StepError

Items = dict[tuple[str, str], str]
NOUNS = {  # what the directories of a step hold
    "train": "a trained model",
    "train_lm": "a language model",
    "decode": "a decoding",
    "decode_lattice": "lattices",
    "enhance": "enhanced speech",
    "make_feats": "features",
    "make_fmllr_feats": "features",
    "score_asr": "scores",
    "score_enhancement": "scores",
    "judge": "verdicts on enhancers",
    "export": "an exported model",
    "report": "a report",
}


def step_name(program: str) -> str:
    return relative(program) if os.path.abspath(program).startswith(f"{ROOT}/") else os.path.basename(program)


def holds(items: Items) -> str:
    """In words what the directory with this fingerprint holds."""
    step = next((key for kind, key in items if kind == "step"), "an earlier version of this recipe")
    return f"{NOUNS.get(Path(step).stem, 'the output')} of {step}"


def make(words: dict[str, list[str]], known: Known) -> Items:
    """The fingerprint that the words of a call ask for."""
    program, kind = (words["--step"] or ["a step"])[-1], ([""] + words["--kind"])[-1]
    items: Items = {("step", step_name(program)): json.dumps(kind)}
    version = (["1"] + words["--version"])[-1]
    if not version.isdigit():
        raise StepError(f"--version takes a whole number, got '{version}'")
    items["version", "format"] = version
    for option in words["--option"]:
        key, equals, value = option.lstrip("-").partition("=")
        if not equals or not key:
            raise StepError(f"--option takes name=value, got '{option}'")
        key, value = recorded_option(key, value.replace(f"{ROOT}/", ""))
        items["option", key] = json.dumps(value)
    for name in map(relative, words["--input"]):
        items["input", name] = identity(name, known)
    return items


def text(items: Items) -> str:
    order = ("step", "version", "option", "input", "changed")
    lines = sorted(items.items(), key=lambda item: (order.index(item[0][0]), item[0][1]))
    return "".join(f"{kind} {json.dumps(key)} {value}\n" for (kind, key), value in lines)


def parse(written: str) -> Items:
    """What a .fingerprint lists, steps and options under their present names."""
    decoder, items = json.JSONDecoder(), {}
    for line in written.splitlines():
        kind, _, rest = line.partition(" ")
        try:
            key, end = decoder.raw_decode(rest)
        except ValueError:
            raise StepError(".fingerprint is damaged: move the directory away, or name another one") from None
        value = rest[end + 1 :]
        if kind == "step":
            key = STEPS.get(key, key)
        elif kind == "option":
            key, value = _present_names(key, value)
        items[kind, key] = value
    return items


def _present_names(key: str, value: str) -> tuple[str, str]:
    """An option that was recorded before it, or what stands in its value, got another name."""
    try:
        key, plain = recorded_option(key, json.loads(value))
    except ValueError:  # of an earlier version: a hash
        return key, value
    return key, json.dumps(plain)


def same_kind(old: Items, new: Items) -> bool:
    return step_of(old) == step_of(new)


def step_of(items: Items) -> list[tuple[str, str]]:
    return [(key, value) for (kind, key), value in items.items() if kind == "step"]


def is_earlier(old: Items) -> bool:
    """Made by a version of this recipe that wrote the hashes of its code down, and neither step nor version."""
    return bool(old) and not any(kind == "version" for kind, _ in old)


def agrees(old: Items, new: Items, folder: Path) -> bool:
    """Whether what an earlier version made in this folder is what is asked for, as far as it is known.

    A trained model has all of its settings in config.yaml: the files that they came from may have changed since.
    """
    config = folder / "config.yaml"
    settings = _settings(config) if config.exists() else {}
    for (kind, key), value in new.items():
        if kind == "option" and key in settings and not _same_setting(settings[key], json.loads(value)):
            return False
    for (kind, key), value in old.items():
        if kind == "option" and new.get((kind, key), value) != value:
            return False
        path = Path(ROOT, key)
        if kind == "input" and path.is_file() and ":" not in value and file_hash(path) != value:
            if not (settings and path.suffix == ".yaml"):
                return False  # directories had hashes of another kind
    return True


def _settings(config: Path) -> dict[str, str]:
    """{"section.name": value as text} of a trained model, by their present names."""
    from mimic import yaml_file  # rarely needed, and this program starts in every step

    return yaml_file.flat(yaml_file.read(config)[0])


def _same_setting(a: str, b: str) -> bool:
    """Whether two texts are one value: 1e-4 and 0.0001, [2, 4] and ["2", "4"]."""
    try:
        return a == b or float(a) == float(b)
    except ValueError:
        unquoted = str.maketrans("", "", " \"'")
        return a.replace(f"{ROOT}/", "").translate(unquoted) == b.translate(unquoted)


def first_change(old: Items, new: Items) -> str:
    """Names the first difference: options before inputs, for those a user changed himself."""
    changed = [k for k in old | new if old.get(k) != new.get(k)]
    changed.sort(key=lambda k: (("changed", "option", "input", "version", "step").index(k[0]), k[1]))
    kind, key = changed[0]
    more = f" (and {len(changed) - 1} more)" if len(changed) > 1 else ""
    before, after = old.get((kind, key), "unset"), new.get((kind, key), "unset")
    if kind == "changed":
        return f"input {key} changed while it was made{more}"
    if kind == "option":
        return f"{key} was {before} and is {after}{more}"
    if kind == "version":
        return f"format version was {before} and is {after}{more}"
    verb = "is new" if before == "unset" else "is not used any more" if after == "unset" else "changed"
    return f"{kind} {key} {verb}{more}"
