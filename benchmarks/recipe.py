#!/usr/bin/env python3
"""The whole recipe, ./run.sh on the demo corpus: CPU time against another checkout of mimic and against SpeechBrain.

    benchmarks/recipe.py --against ../mimic-0.1     # a checkout with a .venv of its own
    benchmarks/recipe.py --hours 0.1 --items 4      # less data; less of SpeechBrain
    benchmarks/recipe.py --smallest                 # whether all of it runs: ./run.sh --debug true, one batch of each

./run.sh runs whole in copies of both checkouts, stage by stage in turn, one thread in each process; that of today takes
mimic loss through the recogniser of clean speech. Beside SpeechBrain, and for the memory of trainings, it runs once
more, with a perceptual model of phones of its own, as the others have it. Of SpeechBrain's stages
(speechbrain_stages.py) some batches are measured after mimic's stage and multiplied by their number: whole, they take
hours. Its sum lacks the starts of its programs. The synthesis of the corpus is left out of that comparison.
"""

import argparse
import os
import shutil
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path
from statistics import geometric_mean

os.environ["OMP_NUM_THREADS"] = "1"  # before torch reads it
ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "pyscripts"))

from startup import cpu_seconds  # noqa: E402

from mimic.reporting.jobs import read_job  # noqa: E402

TITLES = ("data", "features", "perceptual model", "enhancers", "enhanced speech", "recognisers", "scores")
# A perceptual model of its own, as earlier versions and SpeechBrain's recipe train it.
PHONES = ["--perceptual", "phones"]
LEFT_OUT = {".git", ".venv", "data", "exp", "data_debug", "exp_debug", ".pytest_cache", ".mypy_cache"}


class Recipe:
    """A copy of a checkout, whose stages run one by one."""

    def __init__(self, root: Path, copy: Path, options: list[str]):
        # At the top only: a package of an earlier version is called data.
        ignore = {str(root): LEFT_OUT}
        shutil.copytree(root, copy, ignore=lambda folder, _: ignore.get(folder, {"__pycache__"}), symlinks=True)
        (copy / ".venv").symlink_to((root / ".venv").resolve())
        self.copy, self.options = copy, options

    def stage(self, number: int) -> float:
        """CPU seconds of one stage."""
        words = ["./run.sh", "--stage", str(number), "--stop-stage", str(number), "--num-threads", "1", *self.options]
        return cpu_seconds(self.copy, words)

    def training_memory(self) -> dict[str, int]:
        """MiB that each training held at most."""
        jobs = {log.parents[1].name: read_job(log) for log in sorted(self.copy.glob("exp*/*/log/train.log"))}
        return {name: job.memory for name, job in jobs.items() if job and job.memory}

    def scores(self) -> str:
        """The table of scores."""
        (table,) = self.copy.glob("exp*/RESULTS.md")
        return "".join(f"{line}\n" for line in table.read_text().splitlines() if line.startswith("|"))


def show(title: str, spent: dict[str, float]) -> None:
    cells = "".join(f"{seconds:13.1f}" for seconds in spent.values())
    print(f"{title:18}{cells}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--against", type=Path, metavar="DIR", help="another checkout, with its .venv")
    parser.add_argument("--hours", type=float, default=0.5, help="of training speech (default: %(default)s)")
    parser.add_argument("--items", type=int, default=8, help="batches of SpeechBrain's parts (default: %(default)s)")
    parser.add_argument("--smallest", action="store_true", help="only whether it runs; no ratios")
    args = parser.parse_args()
    roots = {"mimic": ROOT} | ({"the other": args.against.resolve()} if args.against and not args.smallest else {})
    for root in roots.values():
        if not (root / ".venv/bin/python3").exists():
            parser.error(f"{root} has no .venv: run steps/setup.sh there")
    with tempfile.TemporaryDirectory() as folder:
        compare(args, roots, Path(folder))


def compare(args: argparse.Namespace, roots: dict[str, Path], folder: Path) -> None:
    options = ["--debug", "true"] if args.smallest else ["--demo-hours", f"{args.hours:g}"]
    recipes = {name: Recipe(root, folder / name.replace(" ", "_"), options) for name, root in roots.items()}
    phones = recipes["phones"] = Recipe(ROOT, folder / "phones", [*options, *PHONES])
    stages = None
    if find_spec("speechbrain"):
        from speechbrain_stages import Stages  # the package is a peer, which may be missing

        os.chdir(phones.copy)  # paths in its directories are relative to it
        data, exp = ("data_debug", "exp_debug") if args.smallest else ("data", "exp")
        (folder / "scratch").mkdir()
        stages = Stages(Path(data), Path(exp), 1 if args.smallest else args.items, folder / "scratch")
    else:
        print("speechbrain is not installed: steps/setup.sh --benchmarks true, then benchmarks/.venv/bin/python3")
    names = [*recipes, *(["speechbrain"] if stages else [])]
    what = "./run.sh --debug true" if args.smallest else f"the demo corpus with {args.hours:g} h of training speech"
    print(f"{what}; CPU seconds of all processes, {os.cpu_count()} cores")
    print(f"{'':18}" + "".join(f"{name:>13}" for name in names))
    spent: dict[str, list[float]] = {name: [] for name in names}
    parts = []
    for number, title in enumerate(TITLES, 1):
        for name, recipe in recipes.items():
            spent[name].append(recipe.stage(number))
        if stages:
            parts += (pieces := stages.pieces(number))
            spent["speechbrain"].append(sum(piece.whole for piece in pieces))
        show(f"{number} {title}", {name: seconds[-1] for name, seconds in spent.items()})
    show("all", {name: sum(seconds) for name, seconds in spent.items()})
    if parts:
        print("\nspeechbrain, extrapolated: measured x all / of these = seconds")
        for piece in parts:
            print(f"{piece.what:42}{piece.seconds:9.2f} x {piece.total:5} / {piece.measured:3} = {piece.whole:8.1f}")
    for name, recipe in recipes.items():
        print(f"\nscores of {name}\n{recipe.scores()}", end="")
    if args.smallest:
        return
    print()
    if "the other" in spent:
        print(f"ratio recipe_vs_75b122b {sum(spent['the other']) / sum(spent['mimic']):.2f}")
        mimic, other = (recipe.training_memory() for recipe in (phones, recipes["the other"]))
        shares = {name: mimic[name] / other[name] for name in mimic if name in other}
        for name, part in shares.items():
            print(f"memory of training {name}: {mimic[name]} MiB, the other {other[name]} MiB, {part:.2f}")
        if shares:
            print(f"ratio training_memory {geometric_mean(shares.values()):.2f}")
    if stages:
        print(f"ratio recipe_vs_speechbrain {sum(spent['speechbrain'][1:]) / sum(spent['phones'][1:]):.2f}")


if __name__ == "__main__":
    main()
