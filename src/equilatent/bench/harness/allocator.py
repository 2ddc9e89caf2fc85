"""How the C library handles the memory of a process that trains on a CPU."""

from __future__ import annotations

import ctypes

__all__ = ["keep_freed_memory"]

# Of glibc's malloc.h.
_TRIM_THRESHOLD, _MMAP_MAX = -1, -4
_LARGEST = 2**31 - 1


def keep_freed_memory() -> bool:
    """Have this process keep the memory that it frees, for its next use.

    By default glibc gives large blocks back to the system at once. Training takes blocks of the same sizes in every step,
    and the system would zero each page of them anew; on a CPU that is a quarter of the time of a DDMNIST step. The process
    then holds its peak of memory until it ends.

    Returns:
        Whether it was done; other C libraries are left as they are.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError, TypeError):
        return False
    return bool(mallopt(_MMAP_MAX, 0) and mallopt(_TRIM_THRESHOLD, _LARGEST))
