"""Faults of a tree that people work in: it is copied, a commit is pulled, files are edited, a directory is mistaken."""

from __future__ import annotations

import re
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

from fault_driver import Driver, Fault, NotRecovered
from fault_files import own_files

CODE = ("pyscripts", "steps", "local")
CONFIGS = {"perceptual": "perceptual", "enhance": "enhance", "asr_clean": "asr", "asr": "asr_finetune"}
# Steps, and what they read; the directory that is mistaken for their output is OUT.
STEPS = {
    "steps/decode.sh": "exp/asr_clean exp/fbank/dev_clean OUT",
    "steps/make_feats.sh": "data/dev_clean OUT",
    "steps/enhance.sh": "exp/enhance_mse data/dev_noisy OUT",
    "steps/subset_data.sh": "data/dev_clean 2 OUT",
    "steps/combine_data.sh": "OUT data/dev_clean data/test_clean",
    "steps/export.sh": "exp/enhance_mse OUT",
    "steps/train.sh": "tests/e2e/perceptual.yaml OUT --data.train exp/stft/train_clean --data.dev exp/stft/dev_clean",
    "steps/score_enhancement.sh": "data/test_clean data/test_noisy OUT",
    "steps/train_lm.sh": "data/train_clean OUT",
}


def copied(driver: Driver, fault: Fault) -> Iterator[str]:
    """Cut off, copied with times of its own, continued elsewhere; the original is gone."""
    yield driver.interrupt(fault.target, signal.SIGKILL, "all")
    home, there = driver.root, driver.root.with_name("elsewhere")
    away = home.with_name("away")
    shutil.copytree(home, there, symlinks=True, copy_function=copy_without_times)
    home.rename(away)
    driver.root = driver.recipe.root = there

    def undo() -> None:
        driver.root = driver.recipe.root = home
        shutil.rmtree(there)
        away.rename(home)

    driver.undo.append(undo)
    yield "continued in a copy"


def copy_without_times(source: str, target: str) -> None:
    shutil.copyfile(source, target)
    shutil.copymode(source, target)


def pulled(driver: Driver, fault: Fault) -> Iterator[str]:
    """Cut off, then every file of the code changes."""
    yield driver.interrupt(fault.target, signal.SIGTERM, "all")
    yield edit_code(driver)


def edited_code(driver: Driver, fault: Fault) -> Iterator[str]:
    """Every Python file changes between two runs, of which the second has nothing to do."""
    yield edit_code(driver)
    if driver.run() or ": to do" in driver.output:
        raise NotRecovered(f"something was made again: {driver.output[-2000:]}")


def edit_code(driver: Driver) -> str:
    files = [path for folder in CODE for path in (driver.root / folder).rglob("*.py")]
    before = {path.relative_to(driver.root): path.read_bytes() for path in files}
    for path in files:
        path.write_bytes(path.read_bytes() + b"# x\n")
    driver.undo.insert(0, lambda: [(driver.root / name).write_bytes(text) for name, text in before.items()])
    return f"{len(files)} files of code changed"


def edited_config(driver: Driver, fault: Fault) -> Iterator[str]:
    """Comments in all configurations, then other epochs in the target's, then all as it was."""
    folder = driver.root / "tests/e2e"
    for path in folder.glob("*.yaml"):
        path.write_text(f"# x\n{path.read_text()}")
    if driver.run() or ": to do" in driver.output:
        raise NotRecovered(f"a comment made something again: {driver.output[-2000:]}")
    name = Path(fault.target.folders[0]).name
    config = folder / f"{next(CONFIGS[key] for key in (name, name.split('_')[0]) if key in CONFIGS)}.yaml"
    before = config.read_text()
    config.write_text(re.sub(r"epochs: (\d+)", lambda found: f"epochs: {int(found[1]) + 1}", before))
    if driver.run() or f"what was here is in {fault.target.folders[0]}.old" not in driver.output:
        raise NotRecovered(f"other epochs: {driver.output[-2000:]}")
    config.write_text(before)
    yield f"{config.name} edited, and back"


def mistaken(driver: Driver, fault: Fault) -> Iterator[str]:
    """Another step is given the target's directory."""
    folder = driver.draw.choice(fault.target.folders)
    made_by = (driver.root / folder / ".fingerprint").read_text().split('"')[1]
    step = driver.draw.choice([name for name in STEPS if name != made_by])
    before = state(driver.root / folder)
    if driver.run([step, *STEPS[step].replace("OUT", folder).split()]) == 0:
        raise NotRecovered(f"{step} wrote into {folder}")
    driver.must_have_printed("name another directory")
    if state(driver.root / folder) != before:
        raise NotRecovered(f"{step} touched {folder}")
    yield f"{step} was refused {folder}"


def state(folder: Path) -> dict[str, tuple[int, int]]:
    return {name: (path.stat().st_size, path.stat().st_mtime_ns) for name, path in own_files(folder).items()}


ACTS = {
    "copied tree": copied,
    "pulled commit": pulled,
    "edited code": edited_code,
    "edited config": edited_config,
    "mistaken directory": mistaken,
}
