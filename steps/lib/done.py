#!/usr/bin/env -S python3 -S
"""Is a directory that a step writes finished, and still made from the same input and settings?

``done.py check DIR --step $0 --version 1 --input PATH... --option k=v...`` before the work, ``done.py mark DIR`` after.
The words give what DIR is made from (uptodate/fingerprint.py); the code is not part of it. --version is raised in the
step that calls this when what it wrote before cannot be used any more; --kind tells apart what one step writes.

--verify COMMAND  is run before DIR is replaced because its settings changed. Where it fails, nothing is touched.
--force true      makes DIR again although nothing changed.
--lock PID        keeps DIR for the process PID, a shell: from a check that gives 1 until its mark, or until it ends.
--dry-run FILE    says only what check would do; FILE collects the directories that are to be made.
``done.py lock DIR --lock PID`` keeps DIR and does nothing else, for a recipe.

Exit codes of check: 0 finished and unchanged; 1 to do, DIR is ready to be written: empty, or as work that was cut short
left it, or less what was damaged since it was finished; 2 error, nothing was touched. What was in DIR and made from
something else is in DIR.old (uptodate/aside.py). A damaged input is an error, as is a table that differs, for people
edit tables by hand. A kill at any moment is safe.
"""

from __future__ import annotations

import errno
import sys
from pathlib import Path

sys.path.insert(1, f"{Path(__file__).resolve().parents[2]}/pyscripts")  # of this tree, whatever PYTHONPATH says

from uptodate.check import run
from uptodate.state import StepError

WORDS = ("--step", "--kind", "--version", "--input", "--option", "--force", "--lock", "--verify", "--dry-run")


def main(verb: str, name: str, *rest: str) -> int:
    words: dict[str, list[str]] = {word: [] for word in WORDS}
    current: list[str] | None = None
    try:
        for word in rest:  # no argparse: the value of an option may look like an option
            if word in words and current is not words["--verify"]:  # a command comes last, with options of its own
                current = words[word]
            elif current is None:
                raise StepError(f"unknown word '{word}'")
            else:
                current.append(word)
        return run(verb, Path(name), words)
    except KeyboardInterrupt:
        return 130
    except StepError as error:
        problem = str(error)
    except OSError as error:
        problem = f"{error.filename}: {error.strerror}"
        if error.errno == errno.ENOSPC:
            problem = f"disk full: free space in {name} and run again"
        elif error.errno in (errno.EEXIST, errno.ENOTDIR):
            problem = "is a file, or lies below one: name a directory"
    except Exception as error:  # a bug here must not read as "to do"
        problem = f"{type(error).__name__}: {error}"
    print(f"done.py: {name}: {problem}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    if len(sys.argv) < 3:
        print("usage: done.py check DIR [--step NAME --input PATH... --option k=v... --force true] | mark DIR")
        sys.exit(2)
    sys.exit(main(*sys.argv[1:]))
