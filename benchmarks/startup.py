#!/usr/bin/env python3
"""What small steps cost before they do anything: CPU time of the whole process tree, against another checkout of mimic.

    benchmarks/startup.py --against ../mimic-0.1     # a checkout with a .venv of its own

Both checkouts run the same steps on the same ten utterances, in turn, on one thread. The steps are those that a recipe
calls most: what they do with ten utterances takes less than a tenth of a second.
"""

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import soundfile

ROOT = Path(__file__).resolve().parents[1]
RATE = 16000
UTTERANCES = 10
WORDS = "the ship sails north when the wind is strong".split()
# Name -> words: DATA is a data directory, TEXT its sentences, OUT a new directory.
STEPS = {
    "make_feats": ["steps/make_feats.sh", "DATA", "OUT/fbank"],
    "make_feats_again": ["steps/make_feats.sh", "DATA", "OUT/fbank"],  # it finds that nothing has changed
    "validate_data": ["steps/validate_data.sh", "DATA"],
    "subset_data": ["steps/subset_data.sh", "DATA", "5", "OUT/subset"],
    "train_lm": ["steps/train_lm.sh", "--order", "2", "TEXT", "OUT/lm"],
    "score_asr": ["steps/score_asr.sh", "DATA", "OUT/decode_test", "OUT/scoring"],
}


def data_dir(folder: Path) -> Path:
    """A data directory of UTTERANCES seconds of noise, with words."""
    draw = np.random.default_rng(0)
    tables: dict[str, list[str]] = {name: [] for name in ("wav.scp", "text", "utt2spk", "spk2utt")}
    for i in range(UTTERANCES):
        utt = f"spk{i}-{i}"
        soundfile.write(folder / f"{utt}.wav", draw.normal(0, 0.1, RATE).clip(-1, 1), RATE, "PCM_16")
        values = (str(folder / f"{utt}.wav"), " ".join(draw.choice(WORDS, 5)), f"spk{i}")
        for name, value in zip(tables, (*values, ""), strict=True):
            tables[name].append(f"{utt} {value}\n" if value else f"spk{i} {utt}\n")
    (folder / "data").mkdir()
    for name, lines in tables.items():
        (folder / "data" / name).write_text("".join(lines))
    (folder / "sentences.txt").write_text("".join(line.partition(" ")[2] for line in tables["text"]))
    return folder / "data"


def cpu_seconds(root: Path, words: list[str]) -> float:
    """CPU time of a step of the checkout `root` and of all that it starts; its failure ends the program."""
    environment = {"PATH": "/usr/local/bin:/usr/bin:/bin", "OMP_NUM_THREADS": "1", "HOME": os.environ.get("HOME", "/")}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(words, cwd=root, env=environment, capture_output=True, text=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        sys.exit(f"{root}: {' '.join(words)} failed:\n{done.stdout}{done.stderr}")
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


def one_round(root: Path, folder: Path, number: int) -> dict[str, float]:
    """Seconds of each step, in new directories."""
    out = folder / f"out_{number}"
    (out / "decode_test").mkdir(parents=True)
    (out / "decode_test/text").write_bytes((folder / "data/text").read_bytes())
    names = {"DATA": folder / "data", "TEXT": folder / "sentences.txt"}
    return {
        step: cpu_seconds(root, [str(names.get(word, word.replace("OUT", str(out)))) for word in words])
        for step, words in STEPS.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--against", type=Path, required=True, metavar="DIR", help="another checkout, with its .venv")
    parser.add_argument("--repeats", type=int, default=5, help="rounds (default: %(default)s)")
    args = parser.parse_args()
    roots = {"mimic": ROOT, "the other": args.against.resolve()}
    for root in roots.values():
        if not (root / ".venv/bin/python3").exists():
            parser.error(f"{root} has no .venv: run steps/setup.sh there")
    times: dict[str, list[dict[str, float]]] = {name: [] for name in roots}
    with tempfile.TemporaryDirectory() as folder:
        data_dir(Path(folder))
        for number in range(args.repeats + 1):
            for i, (name, root) in enumerate(roots.items()):  # in turn: a busy moment of the machine hits both
                times[name].append(one_round(root, Path(folder), 2 * number + i))
    rounds = {name: found[1:] for name, found in times.items()}  # the first fills caches
    print(f"median of {args.repeats} rounds, {UTTERANCES} utterances, CPU seconds of all processes\n")
    print(f"{'':20}{'mimic':>9}{'the other':>11}{'ratio':>8}")
    ratios = {}
    for step in STEPS:
        mimic, other = ([found[step] for found in rounds[name]] for name in roots)
        ratios[step] = statistics.median(b / a for a, b in zip(mimic, other, strict=True))
        print(f"{step:20}{statistics.median(mimic):9.2f}{statistics.median(other):11.2f}{ratios[step]:8.2f}")
    print()
    for step, ratio in ratios.items():
        print(f"ratio startup_{step} {ratio:.2f}")
    print(f"ratio startup {statistics.geometric_mean(ratios.values()):.2f}")


if __name__ == "__main__":
    main()
