"""YAML without guesses: plain values are text, a key may stand once, a file may begin from another one (`base:`)."""

import json
from pathlib import Path
from typing import Any

import yaml

from mimic import renamed
from mimic.errors import UserError


class _Twice(Exception):
    """A key stands twice in one mapping."""


class _Loader(yaml.SafeLoader):
    """Of the plain words of YAML 1.1 only null and no value at all mean something: no octal numbers, no dates."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict:
        lines: dict[Any, int] = {}
        for key, _ in node.value:
            line = key.start_mark.line + 1
            name = key.value if isinstance(key, yaml.ScalarNode) else id(key)
            if first := lines.get(name):
                raise _Twice(f"line {line}: {name} is given twice, first in line {first}: remove one of the two")
            lines[name] = line
        return super().construct_mapping(node, deep)


_Loader.yaml_implicit_resolvers = {
    first: kept
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    if (kept := [pair for pair in resolvers if pair[0] in ("tag:yaml.org,2002:null", "tag:yaml.org,2002:merge")])
}


def parse(text: str, where: str) -> Any:
    """A YAML document: text, None for no value, lists and dictionaries of these.

    Raises UserError, which begins with `where`.
    """
    try:
        return yaml.load(text, _Loader)  # a SafeLoader
    except _Twice as error:
        raise UserError(f"{where}: {error}") from None
    except yaml.YAMLError as error:
        raise UserError(f"{where}: not YAML: {' '.join(str(error).split())}") from None
    except (RecursionError, ValueError) as error:  # nested thousands of times; a tag that its value denies
        raise UserError(f"{where}: not YAML: {error}") from None


def read(path: Path) -> tuple[dict, list[Path]]:
    """The values of a file over those of the file that its `base` names (beside it), and so on; and these files.

    Former names of settings are replaced, with a note. A config.yaml was written by a training, maybe of an earlier
    release: there is no note of what its user did not write.

    Raises UserError for what is not a file of `key: value` lines in UTF-8, a key given twice and a circle of bases.
    """
    values: dict = {}
    files: list[Path] = []
    while True:
        if path.resolve() in [file.resolve() for file in files]:
            circle = " -> ".join(map(str, [*files, path]))
            raise UserError(f"{files[-1]}: base: goes round in a circle ({circle}): remove the line `base:` of one")
        raw = renamed.rename(_one(path), "" if path.name == "config.yaml" else str(path))
        files.append(path)
        base = raw.pop("base", "")
        values = _merge(raw, values)
        if base == "":
            return values, files
        if not isinstance(base, str):
            raise UserError(f"{path}: base: expected the name of one file beside this one, got {base!r}")
        path = path.parent / base


def _one(path: Path) -> dict:
    try:
        raw = parse(path.read_bytes().decode("utf-8-sig"), str(path))
    except FileNotFoundError:
        raise UserError(f"{path}: no such configuration") from None
    except IsADirectoryError:
        raise UserError(f"{path}: is a directory: give a YAML file, as those in conf/") from None
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise UserError(f"{path}: line {line} is not UTF-8: convert the file with iconv") from None
    if raw is None:
        raise UserError(f"{path}: empty: expected `key: value` lines, as in the files of conf/")
    if not isinstance(raw, dict):
        raise UserError(f"{path}: expected `key: value` lines")
    return raw


def _merge(base: dict, over: dict) -> dict:
    both = {k: _merge(base[k], v) for k, v in over.items() if isinstance(v, dict) and isinstance(base.get(k), dict)}
    return base | over | both


def flat(raw: dict, prefix: str = "") -> dict[str, str]:
    """{"section.name": text} of nested sections."""
    found: dict[str, str] = {}
    for key, value in raw.items():
        found |= flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": _text(value)}
    return found


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
