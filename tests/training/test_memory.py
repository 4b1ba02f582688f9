"""Memory that stays with the process while it trains, and no longer."""

import subprocess
import sys

import pytest

from har.training import memory

glibc = pytest.mark.skipif(memory._glibc() is None, reason="the allocator is not glibc's")
# In a process of its own, because the settings are those of a process.
PROGRAM = """
import resource
import torch
from har.training.memory import kept_memory

torch.set_num_threads(1)

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(10):
        blocks = [torch.ones(12 * 2**20) for _ in range(3)]  # 48 MiB each
        del blocks
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

def resident_mb():
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmRSS")) / 1024

faults()
print(faults())
with kept_memory():
    faults()
    print(faults())
    print(resident_mb())
print(resident_mb())
print(faults())
"""


@glibc
def test_a_step_meets_no_new_pages_and_afterwards_memory_is_given_back() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    before, inside, resident, left, after = (float(word) for word in done.stdout.split())
    assert inside < before / 20
    assert left < resident - 100  # of 144 MiB
    assert after > inside


def test_with_another_allocator_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory.sys, "platform", "darwin")
    with memory.kept_memory():
        pass
    assert memory._glibc() is None


@glibc
def test_an_error_inside_does_not_leave_the_settings_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[tuple[int, ...]] = []

    class Libc:
        def mallopt(self, *given: int) -> int:
            calls.append(given)
            return 1

        def malloc_trim(self, *given: int) -> int:
            calls.append(given)
            return 1

    monkeypatch.setattr(memory, "_glibc", Libc)
    with pytest.raises(KeyError), memory.kept_memory():
        raise KeyError
    assert calls[2:] == [(memory.MMAP_MAX, memory.USUAL_MMAPS), (memory.TRIM_THRESHOLD, memory.USUAL_TRIM), (0,)]
