"""conf/slurm.conf and conf/queue.conf: how options become words for sbatch or qsub, in Kaldi's format.

    command sbatch --export=PATH     what to call
    default gpu=0                    the value of an option that is not given
    option mem=* --mem $0            words for any value, $0 is the value
    option gpu=0                     words for this one value, here none

A "#" begins a comment. Kaldi's scripts want "default x=..." in front of "option x=..."; here any order does.
"""

from __future__ import annotations

import re
import shlex
from pathlib import Path

from .request import Request, usage

NOT_FOR_THE_SCHEDULER = ("backend", "config", "retries")


def read(path: Path) -> tuple[list[str], dict[str, str], dict[tuple[str, str], str]]:
    """(command, default values, (option, value or "*") -> words)"""
    if not path.is_file():
        usage(f"no {path}: --config names the file that describes the cluster")
    command: list[str] = []
    defaults: dict[str, str] = {}
    words: dict[tuple[str, str], str] = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        line = re.sub(r"\s*#.*", "", line).rstrip()
        if not line:
            continue
        if match := re.fullmatch(r"command (.+)", line):
            command = shlex.split(match[1])
        elif match := re.fullmatch(r"default (\w+)=(\S+)", line):
            defaults[match[1]] = match[2]
        elif match := re.fullmatch(r"option (\w+)=(\S+)\s*(.*)", line):
            if match[2] == "*" and "$0" not in match[3]:
                usage(f"{path}:{number}: 'option {match[1]}=*' needs a $0, where the value goes: {line}")
            words[match[1], match[2]] = match[3]
        else:
            usage(f"{path}:{number}: neither command, default nor option: {line}")
    if not command:
        usage(f"{path} has no line 'command ...'")
    return command, defaults, words


def submission(request: Request, path: Path, own: tuple[str, ...] = ()) -> list[str]:
    """The command that submits a request, up to what the back end adds; it handles the options `own` itself."""
    command, values, words = read(path)
    if ("name", "*") in words:
        values["name"] = request.name
    values |= {name: value for name, value in request.options.items() if name not in NOT_FOR_THE_SCHEDULER}
    for name, value in values.items():
        if name == "name":  # SGE has no names with "/" or with a digit in front
            value = re.sub(r"[^\w.-]|^(?=\d)", "_", value)
        if name in own:
            continue
        if (name, value) in words:
            command += shlex.split(words[name, value])
        elif (name, "*") in words:
            command += [word.replace("$0", value) for word in shlex.split(words[name, "*"])]
        else:
            option = f"--{name.replace('_', '-')} {value}"
            usage(f"{option} is not described in {path}: add a line 'option {name}=* ...' with the words for it")
    return command
