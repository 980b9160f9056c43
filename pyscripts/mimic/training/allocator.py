"""How the C library treats memory that a training frees and takes again in each step."""

import ctypes
import os

M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4  # of malloc.h
LARGEST = 2**31 - 1


def keep_freed_memory() -> None:
    """Keep what is freed in this process, and lay tensors of 2 MB or more in huge pages. Before torch is imported.

    Else glibc gives the activations of a step back to the system, and the next step gets the same pages again, one by
    one and filled with zeros: a third of a step of conf/mask_fast_b.yaml (glibc 2.36). In small pages the memory of a
    training grew by half in 130 steps, as sizes change with each batch (torch 2.11.0). Values are the same to the bit.
    """
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")
    libc = ctypes.CDLL(None)
    if hasattr(libc, "mallopt"):
        libc.mallopt(M_TRIM_THRESHOLD, LARGEST)
        libc.mallopt(M_MMAP_MAX, 0)
