"""What a program frees stays in its process."""

import subprocess
import sys

import pytest
from data_maker import ROOT

FAULTS = """
import ctypes, resource, sys
sys.path.insert(0, "pyscripts")
from mimic.allocator import keep_freed_memory
if sys.argv[1] == "keep":
    keep_freed_memory()
import numpy as np
def faults():
    begun = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for size in (8, 40, 24):
        np.ones(size << 17)  # MiB
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - begun
print(hasattr(ctypes.CDLL(None), "mallopt"), [faults() for _ in range(4)][-1])
"""


def test_freed_memory_is_not_faulted_in_again():
    found = {}
    for word in ("keep", "leave"):
        done = subprocess.run(
            [sys.executable, "-c", FAULTS, word], cwd=ROOT, capture_output=True, text=True, check=True
        )
        here, faults = done.stdout.split()
        if here == "False":
            pytest.skip("no mallopt: not glibc")
        found[word] = int(faults)
    assert 4 * found["keep"] < found["leave"], found  # of 72 MiB, 18,432 small pages
