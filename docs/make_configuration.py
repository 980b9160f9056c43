#!/usr/bin/env -S sh -c 'p=${0%/*}/../.venv/bin/python3; [ -x "$p" ] || p=python3; exec "$p" "$0" "$@"'
"""Writes the tables of docs/configuration.md from the dataclasses of the settings: type, range, default, meaning.

docs/make_configuration.py            after a setting was added, renamed or changed
"""

import inspect
import re
import sys
from collections.abc import Mapping
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin

PAGE = Path(__file__).resolve().parent / "configuration.md"
MARK = "<!-- Below this line: made by docs/make_configuration.py. -->\n"
sys.path.insert(0, str(PAGE.parents[1] / "pyscripts"))

from mimic.frontend.configs import FbankConfig, LogMelConfig, MfccConfig, StftConfig  # noqa: E402
from mimic.inputs import Input  # noqa: E402
from mimic.nets import NETS  # noqa: E402
from mimic.settings import LARGEST, Range, hints  # noqa: E402
from mimic.tasks import TASKS  # noqa: E402
from mimic.training.config import TrainConfig  # noqa: E402

TYPES = {int: "whole number", float: "number", bool: "true or false", str: "text"}
FEATURES = (("stft", StftConfig), ("fbank", FbankConfig), ("logmel", LogMelConfig), ("mfcc", MfccConfig))


def attributes(section: type) -> dict[str, str]:
    """What the docstrings of a dataclass and of those that it inherits from say of each field, in one line."""
    found: dict[str, str] = {}
    for part in reversed(section.__mro__):
        # Python 3.13 and newer take the indentation off docstrings themselves.
        _, has, listed = inspect.cleandoc(part.__doc__ or "").partition("Attributes:\n")
        names: list[str] = []  # several may share a text: `low, high: of what`
        for line in listed.splitlines() if has else ():
            if begins := re.match(r" {4}(\w+(?:, \w+)*): (.*)", line):
                names = begins[1].split(", ")
                found |= dict.fromkeys(names, begins[2])
            elif line.startswith(" " * 8) and names:
                found |= {name: f"{found[name]} {line.strip()}" for name in names}
            else:
                break
    return found


def kind(annotation: Any) -> str:
    """A type and its range in words."""
    if get_origin(annotation) is Annotated:
        base, *beside = get_args(annotation)
        for item in beside:
            if isinstance(item, Range):
                shown = Range(item.least, above=item.above) if item.most == LARGEST else item
                return f"{kind(base)}, {shown}"
            if isinstance(item, Input):
                made = f" of {item.maker}" if item.maker.startswith(("steps/", "local/")) else ""
                return ("paths" if item.several else "path") + made + (", required" if item.needed else "")
        return kind(base)
    if get_origin(annotation) is list:
        return f"list of: {kind(get_args(annotation)[0])}"
    if get_origin(annotation) is Literal:
        return ", ".join(f"`{value}`" for value in get_args(annotation))
    return TYPES[annotation]


def default(field: Any) -> str:
    value = field.default if field.default is not MISSING else field.default_factory()
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    return f"`{value}`" if value != "" else ""


def table(section: type, *, kaldi: bool = False) -> list[str]:
    """The Markdown table of a dataclass. `kaldi`: names as option files spell them.

    Raises KeyError for a field that its docstring does not describe.
    """
    meanings, types = attributes(section), hints(section)
    lines = ["| key | type, range | default | meaning |", "|---|---|---|---|"]
    for field in fields(section):
        name = f"--{field.name.replace('_', '-')}" if kaldi else field.name
        cells = (f"`{name}`", kind(types[field.name]), default(field), meanings[field.name])
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return [*lines, ""]


def summary(thing: Any) -> str:
    """The first paragraph of a docstring in one line."""
    return " ".join((thing.__doc__ or "").partition("\n\n")[0].split())


def headings(groups: Mapping[str, Mapping[str, type]]) -> dict[type, str]:
    """A heading for each dataclass: `data of asr`, or `data` where all tasks have the same of this name."""
    users: dict[type, list[str]] = {}
    names: dict[str, set[type]] = {}
    for task, sections in groups.items():
        for name, section in sections.items():
            users.setdefault(section, []).append(f"{name} of {task}")
            names.setdefault(name, set()).add(section)
    return {
        section: where[0].partition(" of ")[0]
        if len({w.partition(" of ")[0] for w in where}) == 1 and len(names[where[0].partition(" of ")[0]]) == 1
        else ", ".join(where)
        for section, where in users.items()
    }


def anchor(heading: str) -> str:
    return re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-")


def page() -> str:
    """All tables."""
    tasks = {name: TASKS[name] for name in TASKS}
    sections = headings({name: task.SECTIONS for name, task in tasks.items()})
    nets: dict[type, list[str]] = {}
    for of in NETS.values():
        for net, (_, sizes) in of.items():
            nets.setdefault(sizes, [])
            if net not in nets[sizes]:
                nets[sizes].append(net)
    lines = ["## Tasks", "", "| task | what it trains | nets | sections | metrics |", "|---|---|---|---|---|"]
    for name, task in tasks.items():
        links = [f"[{key}](#{anchor(sections[section])})" for key, section in task.SECTIONS.items()]
        found = [
            f"[{net}](#{anchor('model of net ' + ', '.join(nets[sizes]))})" for net, (_, sizes) in NETS[name].items()
        ]
        cells = (
            f"`{name}`",
            summary(sys.modules[task.__module__]),
            ", ".join(found),
            ", ".join(links),
            ", ".join(task.METRICS),
        )
        lines.append("| " + " | ".join(cells) + " |")
    lines += ["", "Every task has the section `train`, and `model`: the sizes of its net.", ""]
    lines += ["## train", "", summary(TrainConfig), "", *table(TrainConfig)]
    for section, heading in sections.items():
        lines += [f"## {heading}", "", summary(section), "", *table(section)]
    for sizes, names in nets.items():
        lines += [f"## model of net {', '.join(names)}", "", summary(sizes), "", *table(sizes)]
    for name, options in FEATURES:
        lines += [f"## option file of {name}", "", summary(options), "", *table(options, kaldi=True)]
    return "\n".join(lines)


def main() -> None:
    head, mark, _ = PAGE.read_text().partition(MARK)
    PAGE.write_text(f"{head}{mark}\n{page()}")


if __name__ == "__main__":
    main()
