"""The sub-commands of the check: what a step calls before its work (check), after it (mark), and a recipe (lock)."""

from __future__ import annotations

import errno
import os
import sys
from contextlib import suppress
from pathlib import Path

from mimic.io.atomic import SUFFIXES

from . import aside, fingerprint, identity
from .files import contents, is_table, read_made, relative, replace, write_made
from .fingerprint import Items
from .outputs import changed_outputs, describe
from .state import Action, State, StepError, transition

Words = dict[str, list[str]]
WAIT = 5.0  # seconds for another run to end


class Check:
    """One look at a directory, for what the words of a call ask for."""

    def __init__(self, folder: Path, words: Words) -> None:
        self.folder, self.words = folder, words
        self.made = read_made(folder)
        self.known: identity.Known = {k: list(v) for k, v in self.made["inputs"].items()}
        self.refuse_inputs_inside()
        self.new = fingerprint.make(words, self.known)
        written = folder / ".fingerprint"
        self.written = written.read_text(encoding="utf-8") if written.exists() else None
        self.old: Items = fingerprint.parse(self.written) if self.written else {}
        self.bad: dict[str, str] = {}
        self.adopted = False  # from an earlier version of this recipe
        self.forced = words["--force"][-1:] == ["true"]
        self.state = self.find_state()

    def refuse_inputs_inside(self) -> None:
        """An output that is an input, or that an input lies in, would be replaced while it is read."""
        real = os.path.realpath(self.folder)
        for name in self.words["--input"]:
            if f"{os.path.realpath(name)}/".startswith(f"{real}/"):
                what = "is" if os.path.realpath(name) == real else "holds"
                raise StepError(f"{what} the input {name}: name another directory for what is made from it")

    def find_state(self) -> State:
        if self.written is None:
            return State.FOREIGN if contents(self.folder) else State.ABSENT
        if fingerprint.is_earlier(self.old) and (self.folder / ".done").exists():
            if not fingerprint.agrees(self.old, self.new, self.folder):
                return State.OTHERS
            self.old, self.adopted = self.new, True  # as good as what this version would make
        elif not contents(self.folder) and not (self.folder / ".done").exists() and self.old != self.new:
            return State.CHANGED  # only begun: nothing to lose
        elif not fingerprint.same_kind(self.old, self.new):
            return State.OTHERS
        if self.old != self.new:
            return State.CHANGED
        self.adopted |= self.written != fingerprint.text(self.new)  # with former names of settings
        if not (self.folder / ".done").exists():
            return State.WORKING
        self.bad = changed_outputs(self.folder)
        return State.DAMAGED if self.bad else State.DONE

    def __call__(self) -> int:
        kept = self.kept()
        action = transition(self.state, forced=self.forced, kept=kept is not None)
        if action is Action.REFUSE:
            self.refuse()
        if self.adopted:
            with suppress(OSError):
                replace(self.folder / ".fingerprint", fingerprint.text(self.new))
        if action is Action.SKIP:
            print(f"{self.folder} is done and unchanged: skipping{self.note()}")
            return 0
        line = self.act(action, kept)
        if action is Action.RESTORE:
            back = Check(self.folder, self.words)
            if back.state is not State.WORKING:
                print(f"{self.folder}: {line}")
                return 0 if back.state is State.DONE else back()
        self.record()
        print(f"{self.folder}: {line}")
        return 1

    def kept(self) -> Path | None:
        """The directory beside this one that is what is asked for, where one would be put back."""
        suffixes = {State.ABSENT: (".new",), State.CHANGED: SUFFIXES}.get(self.state, ())
        return None if self.forced else aside.kept_with(self.folder, fingerprint.text(self.new), suffixes)

    def refuse(self) -> None:
        if self.state is State.FOREIGN:
            raise StepError("holds files that no step of this recipe made: move them away or name another directory")
        if fingerprint.is_earlier(self.old):
            change = fingerprint.first_change(self.old, self.new | self.unknown())
            raise StepError(
                f"was made by an earlier version of this recipe with other settings ({change}): "
                "move it away or name another directory"
            )
        raise StepError(f"holds {fingerprint.holds(self.old)}: name another directory, or move this one away")

    def unknown(self) -> Items:
        """Of an earlier version's fingerprint, what cannot be compared."""
        return {key: value for key, value in self.old.items() if key[0] in ("code", "input")}

    def reason(self) -> str:
        if self.state is State.CHANGED:
            return fingerprint.first_change(self.old, self.new)
        if self.bad and not self.forced:
            return ", ".join(f"{name} {how}" for name, how in self.bad.items())
        return "--force true" if self.forced else ""

    def act(self, action: Action, kept: Path | None) -> str:
        """Makes the directory ready to be written, and says in a line why and what became of what was there."""
        new = fingerprint.text(self.new)
        if action is Action.START:
            self.folder.mkdir(parents=True, exist_ok=True)
            replace(self.folder / ".fingerprint", new)
            return "to do"
        if action is Action.RESUME:
            return "not finished, resuming"
        if action is Action.REPAIR:
            self.repair()
            return f"to do, {self.reason()}"
        if action is Action.RESTORE and kept:
            line = f"{self.folder}{kept.suffix} is what is asked for: put back"
        elif contents(self.folder) and self.words["--verify"] and fails(self.words["--verify"]):
            raise StepError(f"not touched, although {self.reason()}")
        else:
            line = f"to do again, {self.reason()}"
        goes = aside.put_in_place(self.folder, new, kept)
        return f"{line}; what was here is in {goes}" if goes else line

    def repair(self) -> None:
        """Keeps what was changed in a finished directory aside, so that the step makes it again."""
        changed = [name for name, how in self.bad.items() if how == "was changed"]
        for name in filter(is_table, changed):
            keep, undo = f"{sys.argv[0]} mark {self.folder}", f"rm {self.folder / name}"
            raise StepError(f"{name} was changed after it was made: to keep the change: {keep}; to undo it: {undo}")
        aside.keep_changed(self.folder, changed)
        (self.folder / ".done").unlink()  # after that, for a check that is cut short would take the rest for good

    def record(self) -> None:
        from mimic.io.environment import revision

        before = self.made if self.state in (State.WORKING, State.DAMAGED) and not self.forced else {}
        write_made(self.folder, before | {"revision": revision(), "noted": "", "inputs": self.inputs()})

    def inputs(self) -> identity.Known:
        """What is known of the inputs that count now."""
        return {name: self.known[name] for kind, name in self.new if kind == "input" and name in self.known}

    def note(self) -> str:
        """Says once that the code is not the one that made this directory."""
        from mimic.io.environment import revision

        now, made, line = revision(), self.made | {"inputs": self.inputs()}, ""
        if made["revision"] == "unknown":  # of an earlier version
            made["revision"] = now
        if now not in (made["revision"], made["noted"], "unknown"):
            line = f" (made by revision {made['revision']}, this is {now})"
            made["noted"] = now
        if made != self.made:
            with suppress(OSError):
                write_made(self.folder, made)
        return line


def fails(command: list[str]) -> bool:
    import subprocess  # rarely needed, and this program starts in every step

    return subprocess.call(command) != 0


def announce(folder: Path, words: Words) -> int:
    """Says what check would do, and does nothing. --dry-run names a file that lists what is to be made before this.

    MIMIC_CHANGES in the environment names one that gets a line for each directory that is to be made again.
    """
    pending = Path(words["--dry-run"][-1])
    listed = pending.read_text(encoding="utf-8").splitlines() if pending.exists() else []
    waits = [name for name in words["--input"] if any(f"{relative(name)}/".startswith(f"{one}/") for one in listed)]
    found = Check(folder, words | {"--input": [name for name in words["--input"] if name not in waits]})
    waiting = {("input", relative(name)) for name in waits}
    found.old = {item: value for item, value in found.old.items() if item not in waiting}
    action = transition(found.state, forced=found.forced, kept=not waits and found.kept() is not None)
    if action is Action.REFUSE:
        found.refuse()
    if action is Action.SKIP:
        return 0
    with open(pending, "a", encoding="utf-8") as file:
        file.write(relative(str(folder)) + "\n")
    reason = f"input {waits[0]} is made before" if waits and found.old == found.new else found.reason()
    lines = {
        Action.START: "to do",
        Action.RESUME: "not finished, to be resumed",
        Action.RESTORE: "to be put back, it was kept aside",
        Action.REDO: f"to do again, {reason}",
        Action.REPAIR: f"to do again, {reason}",
    }
    print(f"{folder}: {lines[action]}")
    if action in (Action.REDO, Action.REPAIR) and "MIMIC_CHANGES" in os.environ:
        with open(os.environ["MIMIC_CHANGES"], "a", encoding="utf-8") as file:
            file.write(f"{folder}: {lines[action]}\n")
    return 1


def mark(folder: Path) -> int:
    """Notes that the work is done; not where an input is not any more what the work began with."""
    written = folder / ".fingerprint"
    if not written.exists():
        raise StepError("has no .fingerprint: 'done.py check' comes first")
    items, made = fingerprint.parse(written.read_text(encoding="utf-8")), read_made(folder)
    known: identity.Known = dict(made["inputs"])
    changed = [name for (kind, name), value in items.items() if kind == "input" and now(name, known) != value]
    if changed and not (folder / ".done").exists():
        replace(written, fingerprint.text(items | {("changed", name): "" for name in changed}))
        raise StepError(f"input {changed[0]} was changed while this was made: run it again")
    replace(folder / ".done", describe(contents(folder)))
    return 0


def now(name: str, known: identity.Known) -> str:
    try:
        return identity.identity(name, known)
    except StepError:
        return ""


def run(verb: str, folder: Path, words: Words) -> int:
    """What the verb does, and who has the lock then."""
    if verb not in ("check", "mark", "lock"):
        raise StepError(f"unknown verb '{verb}': check, mark and lock are known")
    if words["--dry-run"]:
        return announce(folder, words)
    work = {"check": lambda: Check(folder, words)(), "mark": lambda: mark(folder), "lock": lambda: 1}[verb]
    if not words["--lock"]:
        return work()
    from mimic.errors import UserError
    from mimic.io.lock import Lock

    lock = Lock(folder / ".lock", int(words["--lock"][-1]))
    absent = not folder.exists()
    if verb != "mark":
        try:
            folder.mkdir(parents=True, exist_ok=True)
            lock.acquire(WAIT)
        except UserError as error:
            print(f"done.py: {error}", file=sys.stderr)
            return 2
        except OSError as error:
            if verb == "lock" or not read_only(error, folder):
                raise
            return work()  # what is finished can be read
    try:
        code = work()
    except BaseException:
        lock.release()
        if absent:
            with suppress(OSError):
                folder.rmdir()
        raise
    lock.keep_aside() if code else lock.release()
    return 0 if verb == "lock" else code


def read_only(error: OSError, folder: Path) -> bool:
    return error.errno in (errno.EACCES, errno.EROFS, errno.EPERM) and (folder / ".done").exists()
