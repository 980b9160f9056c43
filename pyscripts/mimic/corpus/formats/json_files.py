"""Objects of JSON lines, a JSON list or a YAML list, plain or gzipped, with the places where they stand."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from mimic.errors import UserError
from mimic.io.lines import read_lines

Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # ten times as fast, where it was built


def objects(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """(`file:line`, object) of JSON lines, one at a time; (`file: entry n`, object) of a list, read as a whole.

    Raises UserError for what is neither, and for an entry that is not an object.
    """
    if first_character(path) == "{":
        for number, line in read_lines(path):
            if line.strip():
                yield f"{path}:{number}", _object(_parsed(line, f"{path}:{number}"), f"{path}:{number}")
        return
    text = "\n".join(line for _, line in read_lines(path))
    if first_character(path) == "[":
        entries = _parsed(text, str(path))
    else:
        try:
            entries = yaml.load(text, Loader)
        except yaml.YAMLError as error:
            raise UserError(f"{path}: not YAML ({' '.join(str(error).split())}): correct or export it again") from None
    if not isinstance(entries, list):
        raise UserError(f"{path}: expected a list of objects")
    for number, entry in enumerate(entries, 1):
        yield f"{path}: entry {number}", _object(entry, f"{path}: entry {number}")


def first_object(path: Path) -> dict[str, Any]:
    """The first of them; UserError where there is none."""
    for _, entry in objects(path):
        return entry
    raise UserError(f"{path}: no entries: there is nothing to import")


def first_character(path: Path) -> str:
    """The first character that is not blank; "" of an empty file."""
    return next((line.strip()[0] for _, line in read_lines(path) if line.strip()), "")


def _parsed(text: str, where: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise UserError(f"{where}: not JSON ({error}): correct or export it again") from None


def _object(entry: Any, where: str) -> dict[str, Any]:
    if not isinstance(entry, dict):
        raise UserError(f"{where}: expected an object, {{...}}, got {type(entry).__name__}")
    return entry
