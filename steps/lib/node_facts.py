#!/usr/bin/env python3
"""What a job finds on its node, for steps/check_cluster.sh.

node_facts.py record FILE [gpu]     writes it as JSON: host, environment, GPUs
node_facts.py check GPUS FILE...    prints a line for each problem
node_facts.py hosts FILE...         prints the hosts
"""

import json
import os
import socket
import sys
from pathlib import Path


def record(file: str, *gpu: str) -> None:
    facts = {"host": socket.gethostname(), "venv": sys.prefix}
    if gpu:
        facts |= {"devices": os.environ.get("CUDA_VISIBLE_DEVICES", "not set"), "gpus": 0}
        try:
            import torch  # takes seconds, and only this needs it

            facts["gpus"] = torch.cuda.device_count()
        except ImportError:
            pass
    Path(file).write_text(json.dumps(facts) + "\n")


def problems(facts: dict, gpus: int) -> list[str]:
    if not Path(".venv").exists():
        return ["there is no .venv yet: steps/setup.sh makes it"]
    here, host = Path.cwd(), facts["host"]
    if Path(facts["venv"]).resolve() != Path(".venv").resolve():
        fix = "put this directory on a disk that all nodes share"
        return [f"{host} does not see {here}/.venv, its Python is {facts['venv']}: {fix}"]
    if facts.get("gpus", gpus) < gpus:
        return [
            f"{host} shows {facts['gpus']} GPUs to a job that asked for {gpus} (CUDA_VISIBLE_DEVICES: "
            f"{facts['devices']}): change 'option gpu=*' in conf/, or see nvidia-smi on that host"
        ]
    return []


def main(verb: str, *words: str) -> None:
    if verb == "record":
        record(*words)
    elif verb == "check":
        for file in words[1:]:
            for line in problems(json.loads(Path(file).read_text()), int(words[0])):
                print(line)
    else:
        print(*sorted({json.loads(Path(file).read_text())["host"] for file in words}))


if __name__ == "__main__":
    main(*sys.argv[1:])
