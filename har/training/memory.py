"""What a training step's memory costs: freed memory is kept for the next step, and is not filled before it is written."""

import ctypes
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.utils.deterministic

# malloc.h of glibc
TRIM_THRESHOLD, MMAP_MAX = -1, -4
NEVER = 2**31 - 1  # bytes of free memory at the end of the heap above which it is given back; no training here has as much
# Where glibc ends by itself in a process that allocated and freed blocks of 32 MiB and more.
USUAL_TRIM, USUAL_MMAPS = 64 * 2**20, 65_536


@contextmanager
def kept_memory() -> Iterator[None]:
    """While it lasts, memory that is freed stays with the process; then it is given back.

    Every training step allocates the same large tensors. By default glibc maps such blocks anew and unmaps them when they are freed, and
    the kernel has to zero each page again, which took a third of a training step of an LSTM. With another allocator than glibc's nothing
    happens.
    """
    libc = _glibc()
    if libc is None:
        yield
        return
    libc.mallopt(TRIM_THRESHOLD, NEVER)
    libc.mallopt(MMAP_MAX, 0)
    try:
        yield
    finally:
        libc.mallopt(MMAP_MAX, USUAL_MMAPS)
        libc.mallopt(TRIM_THRESHOLD, USUAL_TRIM)
        libc.malloc_trim(0)


@contextmanager
def unfilled_memory() -> Iterator[None]:
    """While it lasts, torch leaves new tensors as they are until they are written.

    With deterministic algorithms it fills each with NaN first, so that code that reads what nobody wrote is found. No layer here does, the
    weights are the same bit for bit, and filling took a tenth of a training step of an LSTM, two hundredths of a convolutional network's.
    """
    torch_settings: Any = torch.utils.deterministic  # whose attribute its type does not know
    before = torch_settings.fill_uninitialized_memory
    torch_settings.fill_uninitialized_memory = False
    try:
        yield
    finally:
        torch_settings.fill_uninitialized_memory = before


def _glibc() -> ctypes.CDLL | None:
    if not sys.platform.startswith("linux"):
        return None
    libc = ctypes.CDLL(None)
    return libc if hasattr(libc, "mallopt") and hasattr(libc, "malloc_trim") else None
