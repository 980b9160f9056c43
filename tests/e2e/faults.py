"""Disturbs the recipe, runs it again, and compares what it made with an undisturbed run. tests/faults.sh calls it."""

import argparse
import random
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from changes import ACTS
from fault_driver import RANKS, SIGNALS, Driver, Fault, Target
from injections import can_mount
from recipe import Recipe, finished_recipe

from mimic.reporting.score_table import aligned

ROOT = Path(__file__).resolve().parents[2]
TARGETS = [
    Target(1, ("data/train_clean", "data/train_noisy"), "exp/fbank/train_noisy"),
    Target(1, ("data/test_clean", "data/test_noisy"), "exp/noisy/scoring/test", tables_alone=True),
    Target(2, ("exp/stft/train_noisy",), "exp/enhance_mse"),
    Target(2, ("exp/fbank/train_clean",), "exp/asr_clean"),
    Target(3, ("exp/perceptual",), "exp/enhance_mimic", training=True),
    Target(4, ("exp/enhance_mse",), "exp/enhance_mse/wav/test", training=True),
    Target(4, ("exp/enhance_mimic",), "exp/enhance_mimic/wav/dev", training=True),
    Target(5, ("exp/enhance_mse/wav/train", "exp/enhance_mse/enhanced/train"), "exp/asr_mse"),
    Target(5, ("exp/enhance_mimic/enhanced/test",), "exp/asr_mimic/decode_test"),
    Target(6, ("exp/asr_clean",), training=True),
    Target(6, ("exp/asr_mse",), training=True),
    Target(6, ("exp/asr_noisy/decode_test",), "exp/asr_noisy/scoring/test"),
    Target(7, ("exp/enhance_mse/scoring/test",)),
    Target(7, ("exp/asr_mimic/scoring/dev",)),
]


def possible(target: Target) -> Iterator[str]:
    """The kinds of fault that can happen to a target."""
    yield from (kind for kind in SIGNALS if kind != "killed rank")
    yield from ("full disk", "copied tree", "pulled commit", "edited code", "mistaken directory")
    if not target.tables_alone:
        yield "damaged archive"
    if target.stage in (1, 2, 5) or "decode" in target.folders[0]:
        yield "damaged table"
    if target.training:
        yield "damaged checkpoint"
        yield "edited config"
        if RANKS[0] in (ROOT / "steps/train.sh").read_text():
            yield "killed rank"


def draw_faults(number: int, draw: random.Random) -> list[Fault]:
    """Each kind as often as the others, and each stage, as far as none comes twice before all have come once.

    Kinds that can happen to few targets come first: the others then make up for the stages that those have left out.
    """
    cells = [Fault(kind, target) for target in TARGETS for kind in possible(target)]
    targets = Counter(fault.kind for fault in cells)
    kinds: Counter[str] = Counter()
    stages: Counter[int] = Counter()
    pool: list[Fault] = []
    found = []
    for _ in range(number):
        pool = pool or draw.sample(cells, len(cells))
        fault = min(pool, key=lambda f: (kinds[f.kind], targets[f.kind], stages[f.target.stage]))
        pool.remove(fault)
        kinds[fault.kind] += 1
        stages[fault.target.stage] += 1
        found.append(fault)
    return found


def inject(recipe: Recipe, number: int, seed: int) -> int:
    """Inject so many faults, print how they ended; 0 when the rerun of each gave the undisturbed results."""
    draw = random.Random(seed)
    mounts = can_mount(recipe.root / "small")
    if not mounts:
        print("no file system can be mounted here: in place of a full disk, files may not grow beyond a size")
    driver = Driver(recipe, draw, mounts, ACTS)
    ended: dict[str, list[tuple[bool, bool]]] = {}
    lost: list[str] = []
    for count, fault in enumerate(draw_faults(number, draw), 1):
        begin = time.monotonic()
        story, recovered, equal = driver(fault)
        ended.setdefault(fault.kind, []).append((recovered, equal))
        gone = [] if fault.kind == "killed rank" else driver.lost()  # which trains another model
        lost += gone
        verdict = "equal" if equal else "RECOVERED, NOT EQUAL" if recovered else "NOT RECOVERED"
        where = f"stage {fault.target.stage}, {fault.target.folders[0]}"
        say(f"{count}/{number} {fault.kind}, {where}: {story}: {verdict} ({time.monotonic() - begin:.1f} s)")
        if gone:
            say(f"trained models lost: {' '.join(gone)}")
    rows = [["fault", "injected", "recovered", "equal"]]
    rows += [[kind, *map(str, (len(those), *map(sum, zip(*those, strict=True))))] for kind, those in ended.items()]
    print(aligned(rows), end="")
    recovered, equal = (sum(column) for column in zip(*(one for those in ended.values() for one in those), strict=True))
    print(f"trained models lost: {len(lost)}")
    print(f"faults: {number} injected, {recovered} recovered, {equal} equal")
    return int(equal < number or bool(lost))


def say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--faults", type=int, required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--keep", type=Path, required=True, help="directory to work in")
    args = parser.parse_args()
    args.keep.mkdir(parents=True, exist_ok=True)
    say("making the undisturbed run")
    recipe = finished_recipe(ROOT, args.keep.resolve(), "--nj", "2")
    return inject(recipe, args.faults, args.seed)


if __name__ == "__main__":
    sys.exit(main())
