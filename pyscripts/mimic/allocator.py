"""How the C library treats memory that a program frees and takes again, utterance by utterance or step by step."""

import ctypes
import os

M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4  # of malloc.h
LARGEST = 2**31 - 1


def keep_freed_memory() -> None:
    """Keep what is freed in this process, and lay tensors of 2 MB or more in huge pages, where torch is imported later.

    Else glibc gives it back to the system, and the next step gets the same pages again, one by one and filled with
    zeros: a third of a training step of conf/mask_fast_b.yaml, half of the time of STOI (glibc 2.36). In small pages
    the memory of a training grew by half in 130 steps, as sizes change with each batch (torch 2.11.0); so it does where
    oneDNN keeps the code of a thousand sizes, as by default, and not of a hundred. Values are the same to the bit.
    """
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")
    os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "128")
    libc = ctypes.CDLL(None)
    if hasattr(libc, "mallopt"):
        libc.mallopt(M_TRIM_THRESHOLD, LARGEST)
        libc.mallopt(M_MMAP_MAX, 0)
