#!/usr/bin/env python3
"""How CPU time and memory of the programs grow with the data: at 1, 4 and 16 times as many utterances.

    benchmarks/growth.py --utterances 800                           # 1 is the demo corpus, half an hour of speech
    benchmarks/growth.py --figure docs/figures/growth.svg           # and a plot of it

Programs of pyscripts/ run on repeated speech, those that read tables only on up to 200,000 utterances of text.
Each run is a fork of this process, which has loaded torch: its CPU seconds are those of the work, its memory is the
most that it held beyond what it began with.

ratio growth_time          time at 16 / 4 times that at 4, the most of all programs; less is better, 1 is linear
ratio growth_memory        memory at 16 / at 4, the most of features, training and decoding; 1 is constant
ratio bytes_per_utterance  memory for a further utterance, the most of the programs on text
"""

import os

os.environ["OMP_NUM_THREADS"] = "1"  # before torch reads it

import argparse
import ctypes
import runpy
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "pyscripts"))

from mimic.allocator import keep_freed_memory  # noqa: E402

keep_freed_memory()  # as every program does before torch is loaded

import synthetic  # noqa: E402
import torch  # noqa: E402, F401 (for the forks)

from mimic.io.batching import make_batches  # noqa: E402
from mimic.io.tables import read_table, write_data_dir, write_table  # noqa: E402
from mimic.reporting.page_plots import by_level  # noqa: E402
from mimic.tasks import TASKS  # noqa: E402, F401
from mimic.training import loop  # noqa: E402, F401

TIMES = (1, 4, 16)
DISTINCT = 12  # recordings, which are repeated
SHORT, SHORT_ROUNDS = 3.0, 5  # seconds at the largest size up to which the least of more rounds counts
# Name -> programs with their words; DATA, OTHER: data directories, OUT: a directory of this size.
SPEECH = {
    "import": [
        "import_data.py plan DATA OUT/import",
        "import_data.py convert --job 1 --nj 1 DATA OUT/import",
        "import_data.py finish --nj 1 DATA OUT/import",
    ],
    "features": [
        f"make_feats.py --type fbank --config {ROOT}/conf/fbank.conf DATA OUT/fbank/archives",
        "collect_feats.py DATA OUT/fbank",
    ],
    "training": [
        f"train.py --device cpu {ROOT}/conf/asr_demo.yaml OUT/asr --data.train OUT/fbank --data.dev FEW "
        "--data.token_type phn --train.epochs 1"
    ],
    "decoding": ["decode.py OUT/asr OUT/fbank OUT/asr/decode --decode.search greedy"],
    "scores of speech": ["score_enhancement.py --measures stoi,estoi,si-sdr DATA OTHER OUT/speech"],
}
TEXT = {
    "validate": ["validate_data.py --no-wav DATA"],
    "subset": ["subset_data.py DATA HALF OUT/subset"],
    "WER": ["score_asr.py DATA OUT/decode OUT/words"],
    "batching": [],
}
# What a program finds done, in a further round.
AGAIN = {"import": "import", "features": "fbank/archives", "training": "asr", "scores of speech": "speech"}
CONSTANT = ("features", "training", "decoding")  # memory that should not grow


class Spent(NamedTuple):
    """CPU seconds, and bytes beyond those of the process that forked."""

    seconds: float
    memory: int


def measured(run: Callable[[], object]) -> Spent:
    """What a fork of this process takes for `run`; ends the program where that fails."""
    reader, writer = os.pipe()
    if hasattr(libc := ctypes.CDLL(None), "malloc_trim"):
        libc.malloc_trim(0)  # else the fork works in pages that this process has freed, and seems to need none
    child = os.fork()
    if child == 0:
        code = 1
        try:
            # Here, since a fork has no page of a file, such as those of libraries, before it reads it.
            os.write(writer, Path("/proc/self/statm").read_bytes().split()[1])
            sink = os.open(os.environ.get("GROWTH_LOG", os.devnull), os.O_WRONLY | os.O_CREAT | os.O_APPEND)
            os.dup2(sink, 1), os.dup2(sink, 2)
            run()
            code = 0
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else int(end.code is not None)
        finally:
            os._exit(code)
    os.close(writer)
    _, status, usage = os.wait4(child, 0)
    held = int(os.read(reader, 32) or 0) * os.sysconf("SC_PAGE_SIZE")
    os.close(reader)
    if status:
        sys.exit(f"{run} failed with code {os.waitstatus_to_exitcode(status)}: GROWTH_LOG=FILE keeps what it says")
    return Spent(usage.ru_utime + usage.ru_stime, max(0, usage.ru_maxrss * 1024 - held))


def program(line: str) -> Callable[[], object]:
    """A program of pyscripts/ with its words, in this process."""

    def run() -> None:
        name, *words = line.split()
        sys.argv = [str(ROOT / "pyscripts" / name), *words]
        runpy.run_path(sys.argv[0], run_name="__main__")

    return run


def repeated(tables: dict[str, dict[str, str]], utterances: int) -> dict[str, dict[str, str]]:
    """Tables of so many utterances from those of DISTINCT ones."""
    rows = {name: list(table.items()) for name, table in tables.items()}
    return {
        name: {f"{utt}-{i:06d}": value for i in range(utterances) for utt, value in [table[i % len(table)]]}
        for name, table in rows.items()
    }


def speech(folder: Path, sizes: list[int]) -> None:
    """Data directories clean_N and noisy_N of N utterances."""
    synthetic.speech(folder, DISTINCT, 2.4)
    for side in ("clean", "noisy"):
        source = folder / f"train_{side}"
        tables = {name: read_table(source / name) for name in ("wav.scp", "text", "text.phn", "utt2spk")}
        for size in sizes:
            write_data_dir(folder / f"{side}_{size}", repeated(tables, size))
    for size in sizes:  # as steps/make_feats.sh keeps the options
        (folder / f"out_{size}/fbank/conf").mkdir(parents=True)
        shutil.copy(ROOT / "conf/fbank.conf", folder / f"out_{size}/fbank/conf")


def text(folder: Path, sizes: list[int]) -> None:
    """Data directories text_N without audio, and decodings in which a word in ten is wrong."""
    words = [f"WORD{i}" for i in range(2000)]
    for size in sizes:
        utts = {f"spk{i % 1000:03d}-{i:06d}": [words[(7 * i + 13 * k) % 2000] for k in range(10)] for i in range(size)}
        transcripts = {utt: " ".join(line) for utt, line in utts.items()}
        write_data_dir(folder / f"text_{size}", {"text": transcripts, "utt2spk": {utt: utt[:6] for utt in utts}})
        decode = folder / f"out_{size}" / "decode"
        decode.mkdir(parents=True)
        (folder / f"out_{size}/words").mkdir()
        write_table(decode / "text", {utt: " ".join([*line[:-1], "WRONG"]) for utt, line in utts.items()})


def batching(size: int) -> Callable[[], object]:
    return lambda: make_batches({f"u{i:06d}": 100 + i % 900 for i in range(size)}, 8, 0, "random", 1, 1)


def run_all(folder: Path, sizes: list[int], texts: list[int], rounds: int) -> dict[str, list[Spent]]:
    """For each program the least of the rounds, at each size; the sizes take turns."""
    found: dict[str, list[list[Spent]]] = {}
    for name, lines in (TEXT | SPEECH).items():
        runs = found[name] = [[] for _ in TIMES]
        while len(runs[-1]) < (rounds if not runs[-1] or runs[-1][0].seconds > SHORT else max(rounds, SHORT_ROUNDS)):
            for place, size in enumerate(texts if name in TEXT else sizes):
                out = folder / f"out_{size}"
                kind = "text" if name in TEXT else "noisy"
                paths = {"OTHER": folder / f"clean_{size}", "DATA": folder / f"{kind}_{size}", "OUT": out}
                paths |= {"FEW": folder / f"out_{sizes[0]}/fbank", "HALF": size // 2}
                if name in AGAIN:
                    shutil.rmtree(out / AGAIN[name], ignore_errors=True)
                if name == "decoding":
                    (out / "asr/decode").mkdir(exist_ok=True)
                parts = []
                for line in lines:
                    for word, path in paths.items():
                        line = line.replace(word, str(path))
                    parts.append(measured(program(line)))
                parts = parts or [measured(batching(size))]
                spent = Spent(sum(part.seconds for part in parts), max(part.memory for part in parts))
                runs[place].append(spent)
        print(f"{name} measured", file=sys.stderr)
    return {
        name: [Spent(min(s.seconds for s in runs), min(s.memory for s in runs)) for runs in by_size]
        for name, by_size in found.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--utterances", type=int, default=24, help="of 2.4 s, at 1 (default: %(default)s)")
    parser.add_argument("--text", type=int, default=12500, help="utterances of text, at 1 (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=1, help="of which the least counts (default: %(default)s)")
    parser.add_argument("--figure", type=Path, help="file for a plot: time for an utterance against the number of them")
    parser.add_argument("--smallest", action="store_true", help="only whether it runs: one utterance at 1, no plot")
    args = parser.parse_args()
    if args.smallest:
        args.utterances, args.text, args.rounds, args.figure = 1, 10, 1, None
    sizes, texts = ([times * n for times in TIMES] for n in (args.utterances, args.text))
    folder = Path(tempfile.mkdtemp())  # not a TemporaryDirectory, which every fork would delete at its end
    try:
        # In forks too: memory that this process has used and freed costs the later ones copies of its pages.
        measured(lambda: speech(folder, sizes)), measured(lambda: text(folder, texts))
        found = run_all(folder, sizes, texts, args.rounds)
    finally:
        shutil.rmtree(folder)
    print("| program | utterances | CPU s at 1, 4, 16 | MiB at 1, 4, 16 | time, 16 / 4 x 4 | memory, 16 / 4 |")
    print("|---|---|---|---|---|---|")
    time_of, memory_of, bytes_of = {}, {}, {}
    for name, spent in found.items():
        size = texts if name in TEXT else sizes
        time_of[name] = spent[2].seconds / (4 * spent[1].seconds)
        memory_of[name] = spent[2].memory / max(1, spent[1].memory)
        bytes_of[name] = (spent[2].memory - spent[1].memory) / (size[2] - size[1])
        seconds = ", ".join(f"{s.seconds:.2f}" for s in spent)
        memory = ", ".join(f"{s.memory / 2**20:.0f}" for s in spent)
        print(f"| {name} | {size[2]:,} | {seconds} | {memory} | {time_of[name]:.2f} | {memory_of[name]:.2f} |")
    print(f"\nratio growth_time {max(time_of.values()):.2f}")
    print(f"ratio growth_memory {max(memory_of[name] for name in CONSTANT):.2f}")
    print(f"ratio bytes_per_utterance {max(bytes_of[name] for name in TEXT):.0f}")
    if args.figure:
        curves = {}
        for name, spent in found.items():
            shares = [s.seconds / times / spent[0].seconds for s, times in zip(spent, TIMES, strict=True)]
            curves[name] = [(share, share, share) for share in shares]
        what = ("CPU time for an utterance, relative to that at 1", "times the data")
        args.figure.write_text(by_level([str(times) for times in TIMES], curves, *what))


if __name__ == "__main__":
    main()
