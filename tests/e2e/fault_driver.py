"""One fault after the other: what is disturbed is made again, and compared with what an undisturbed run has made."""

import os
import random
import re
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from fault_files import compared, equal, outputs, own_files
from injections import damage, damage_table, end, processes, small_disk
from recipe import Recipe

# Signals: which one, to whom.
SIGNALS = {
    "kill -9": (signal.SIGKILL, ("all", "run.sh", "launcher")),
    "SIGTERM": (signal.SIGTERM, ("all", "run.sh", "job")),
    "killed task": (signal.SIGKILL, ("job",)),
    "killed rank": (signal.SIGKILL, ("job",)),
}
STAGES = [
    (r"exp/(stft|fbank)/.*", 2),
    (r"exp/enhance_\w+", 4),
    (r"exp/enhance_\w+/(wav|enhanced)/.*", 5),
    (r"exp/(asr_\w+|table/clean/\w+)(/decode_.*)?", 6),
    (r"exp/.*/scoring/.*", 7),
]
ADVICE = re.compile(r"(?:undo it: rm|remove) ([^\s,;]+)")
RANKS = ("--num-processes", "2")


class NotRecovered(Exception):
    pass


@dataclass(frozen=True)
class Target:
    """Directories that a stage makes; one that a later stage makes from their files; whether they hold only tables."""

    stage: int
    folders: tuple[str, ...]
    reader: str = ""
    training: bool = False
    tables_alone: bool = False


@dataclass(frozen=True)
class Fault:
    kind: str
    target: Target


Acts = dict[str, Callable[["Driver", Fault], Iterator[str]]]


class Driver:
    """Injects faults into a finished recipe, each into the undisturbed state.

    `mounts`: file systems can be mounted; `acts`: further kinds of fault.
    """

    def __init__(self, recipe: Recipe, draw: random.Random, mounts: bool, acts: Acts) -> None:
        self.recipe, self.root, self.draw, self.mounts, self.acts = recipe, recipe.root, draw, mounts, acts
        self.command: list[str] = []  # makes the target of the fault at hand
        self.wanted = recipe.saved  # what that gives when nothing disturbs it
        self.output = ""  # by the last command
        self.undo: list[Callable[[], object]] = []  # what a fault has done to more than results
        self.cleared: set[str] = set()  # directories that the fault at hand has removed itself

    def __call__(self, fault: Fault) -> tuple[str, bool, bool]:
        """Gives what was done, whether the rerun ended well, and whether its results equal the undisturbed ones."""
        while self.undo:
            self.undo.pop(0)()
        self.cleared.clear()
        self.recipe.restore()
        self.command, self.wanted = self.stage(fault.target.stage), self.recipe.saved
        acts = self.acts | {
            "full disk": Driver.full_disk if self.mounts else Driver.limited_files,
            "damaged archive": Driver.damaged,
            "damaged table": Driver.damaged,
            "damaged checkpoint": Driver.damaged_checkpoint,
        }
        story = []
        try:
            for word in acts.get(fault.kind, Driver.cut)(self, fault):
                story.append(word)
            story += self.heal()
        except NotRecovered as error:
            return "; ".join([*story, str(error)]), False, False
        odd = self.difference(fault.target)
        return "; ".join([*story, *([odd] if odd else [])]), True, not odd

    def stage(self, number: int) -> list[str]:
        return self.recipe.command("--stage", str(number), "--stop-stage", str(number))

    def cut(self, fault: Fault) -> Iterator[str]:
        if fault.kind == "killed rank":
            self.use_two_processes(fault.target)
        number, victims = SIGNALS[fault.kind]
        yield self.interrupt(fault.target, number, self.draw.choice(victims))

    def interrupt(self, target: Target, number: int, victim: str, begun: str = "log/*") -> str:
        """Start the work and send a signal at a random moment of it, or before it has begun."""
        first = self.wanted / target.folders[0]
        longest = 0.9 * ((first / ".done").stat().st_mtime - (first / ".fingerprint").stat().st_mtime)
        for _ in range(8):
            moment = self.draw.uniform(0, longest)
            self.clear(target.folders)
            process = self.recipe.begin(self.command)
            early = begun == "log/*" and self.draw.random() < 0.1
            while process.poll() is None and not (early or list((self.root / target.folders[0]).glob(begun))):
                time.sleep(0.01)
            at_work = time.monotonic()
            time.sleep(moment)
            hit = ""
            while process.poll() is None and not hit:
                hit = end(process, self.root, number, victim, self.draw)
                time.sleep(0 if hit else 0.05)
            took = time.monotonic() - at_work
            self.wait_for(process, 120)
            self.wait_for_survivors()
            done = all((self.root / folder / ".done").exists() for folder in target.folders)
            if hit and (victim == "run.sh" or not done):  # what run.sh had started may end its work without it
                return f"{hit} {took:.2f} s after its begin"
            longest = min(longest, took) / 2
        raise NotRecovered("every run had ended before the signal came")

    def wait_for(self, process: subprocess.Popen, seconds: float) -> int:
        """Its exit code; all that works in the recipe's directory ends where this takes too long."""
        try:
            return process.wait(seconds)
        except subprocess.TimeoutExpired:
            for pid in processes(self.root):
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            raise NotRecovered("it hung") from None

    def wait_for_survivors(self) -> None:
        """Steps that outlive run.sh end by themselves; until then they keep a rerun out."""
        until = time.monotonic() + 120
        while processes(self.root):
            if time.monotonic() > until:
                raise NotRecovered(f"still at work: {processes(self.root)}")
            time.sleep(0.2)

    def use_two_processes(self, target: Target) -> None:
        """A training in two processes, which gives what another one in two processes has given."""
        folder = target.folders[0]
        again = self.root / "tests/e2e/again.sh"  # as deep as a model: it finds the repository from where it lies
        shutil.copy(self.root / folder / "run.sh", again)
        self.command, self.wanted = ["tests/e2e/again.sh", *RANKS], self.recipe.saved.with_name("saved_of_two")
        if not (self.wanted / folder).exists():
            self.clear(target.folders)
            if self.run():
                raise NotRecovered(f"the undisturbed training in two processes failed: {self.output[-2000:]}")
            shutil.copytree(self.root / folder, self.wanted / folder)

    def full_disk(self, fault: Fault) -> Iterator[str]:
        target, name = fault.target, self.draw.choice(fault.target.folders)
        for folder in target.folders:
            shutil.rmtree(self.root / folder)
        size = sum(path.stat().st_size for path in own_files(self.recipe.saved / name).values()) >> 10
        space = int(self.draw.uniform(0, 0.8) * size) + 8
        with small_disk(self.root / name, space) as disk:
            while self.run() == 0 and space > 8:
                self.clear(target.folders)
                space //= 2
                disk.resize(space)
            yield f"{name} on a disk of {space} KiB"
            self.must_have_printed("disk full", "No space left")
            disk.resize(100_000)
            yield from self.heal()

    def limited_files(self, fault: Fault) -> Iterator[str]:
        """Where no file system can be mounted: files may not grow beyond a size, as with some quotas."""
        target = fault.target
        sizes = [p.stat().st_size for folder in target.folders for p in own_files(self.root / folder).values()]
        space = int(self.draw.uniform(0, 0.9) * max(sizes)) + 512
        self.clear(target.folders)
        while self.run(["prlimit", f"--fsize={space}", *self.command]) == 0 and space > 512:
            self.clear(target.folders)
            space //= 2
        yield f"no file of more than {space} bytes"
        self.must_have_printed("File too large", "File size limit exceeded")

    def damaged(self, fault: Fault) -> Iterator[str]:
        """A file of a finished directory is changed; the stage that reads it sees that first, or its own stage."""
        target, tables = fault.target, fault.kind == "damaged table"
        path = self.draw.choice([path for folder in target.folders for path in outputs(self.root / folder, tables)])
        yield f"{path.parent.relative_to(self.root)}: {self.spoil(path, tables)}"
        if target.reader and self.reads(target.reader, path) and self.draw.random() < 0.5:
            self.clear((target.reader,))
            stage = next(stage for pattern, stage in STAGES if re.fullmatch(pattern, target.reader))
            if self.run(self.stage(stage)) == 0:
                raise NotRecovered(f"{target.reader} was made from it")
            self.must_have_printed("after it was made: run ")
            yield f"refused by stage {stage}"

    def reads(self, reader: str, path: Path) -> bool:
        """Whether a directory is made from this file, or from all of a directory that the file is in."""
        inputs = re.findall(r'^input "(.+)" ', (self.recipe.saved / reader / ".fingerprint").read_text(), re.MULTILINE)
        return any(path.is_relative_to(self.root / name) for name in inputs)

    def damaged_checkpoint(self, fault: Fault) -> Iterator[str]:
        where = self.draw.choice(["checkpoints", "checkpoints", "weights"])
        yield self.interrupt(fault.target, signal.SIGKILL, "all", begun=f"{where}/*.pt")
        newest = max((self.root / fault.target.folders[0] / where).glob("*.pt"))
        yield f"{where}/{self.spoil(newest, False)}"

    def spoil(self, path: Path, table: bool) -> str:
        before, how = path.read_bytes(), ""
        while path.exists() and path.read_bytes() == before:
            how = (damage_table if table else damage)(path, self.draw)
        return how

    def clear(self, folders: tuple[str, ...]) -> None:
        """These directories as before their stage."""
        self.cleared.update(folders)
        for folder in folders:
            for path in own_files(self.root / folder).values():
                path.unlink()
            for top, _, _ in os.walk(self.root / folder, topdown=False):
                if not os.listdir(top) and not os.path.ismount(top):
                    os.rmdir(top)
            if (self.root / folder).exists():  # later stages have put something inside: as if it had just begun
                shutil.copy(self.recipe.saved / folder / ".fingerprint", self.root / folder)

    def heal(self) -> Iterator[str]:
        """Run it again, doing what it says where it refuses."""
        for _ in range(5):
            if self.run() == 0:
                return
            advice = ADVICE.search(self.output)
            if "wait for it, or end it" in self.output:
                time.sleep(2)
            elif advice:
                yield f"as asked, removed {advice[1]}"
                self.recipe.remove(advice[1])
            else:
                break
        raise NotRecovered(f"the rerun failed: {self.output[-2000:]}")

    def run(self, command: list[str] | None = None) -> int:
        """Exit code of a command, by default that of the fault."""
        with tempfile.TemporaryFile("w+") as log:
            code = self.wait_for(self.recipe.begin(command or self.command, log.fileno()), 600)
            self.wait_for_survivors()
            log.seek(0)
            self.output = log.read()
        return code

    def must_have_printed(self, *lines: str) -> None:
        if "Traceback" in self.output or not any(line in self.output for line in lines):
            raise NotRecovered(f"it did not say clearly what is wrong: {self.output[-2000:]}")

    def lost(self) -> list[str]:
        """The trained models of the undisturbed run that are nowhere any more, whatever has been trained since.

        Without those that the fault began by removing: they are compared where they are made again.
        """
        missing = []
        for model in sorted(self.recipe.saved.glob("exp/*/model.pt")):
            name = model.parent.name
            if f"exp/{name}" in self.cleared:
                continue
            kept = [*self.root.glob(f"exp/{name}/model.pt"), *self.root.glob(f"exp/{name}.*/model.pt")]
            if not any(equal(path.read_bytes(), model.read_bytes()) for path in kept):
                missing.append(name)
        return missing

    def difference(self, target: Target) -> str:
        """What differs from the undisturbed run, empty where nothing does."""
        for folder in target.folders:
            now, wanted = compared(self.root / folder), compared(self.wanted / folder)
            odd = [name for name in sorted(now.keys() | wanted.keys()) if not equal(now.get(name), wanted.get(name))]
            if odd:
                return f"{folder}/{odd[0]} differs ({len(odd)} files)"
        return ""
