"""What all programs do alike."""

import subprocess
import sys

import pytest

PROGRAM = """
import atexit, sys, threading, time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from mimic import cli
from mimic.errors import UserError

kept = []

def main():
    pool = ProcessPoolExecutor(2, get_context("fork"))
    kept.append((pool, pool.submit(abs, 0).result()))
    threading.Thread(target=lambda: (time.sleep(0.3), print("thread"))).start()
    atexit.register(print, "exit function")
    if len(sys.argv) > 1:
        raise UserError(sys.argv[1])

cli.run(main)
"""


@pytest.mark.parametrize(("words", "code"), [([], 0), (["wrong"], 1)])
def test_a_program_ends_with_all_that_it_has_started(words, code):
    both = {"capture_output": True, "text": True, "timeout": 60}
    done = subprocess.run([sys.executable, "-c", PROGRAM, *words], **both)
    assert done.returncode == code and done.stdout == "thread\nexit function\n", done.stderr
    assert ("error: wrong" in done.stderr) == bool(words)
