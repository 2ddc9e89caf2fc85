"""Memory that is freed is kept by the process."""

import platform
import subprocess
import sys

import pytest

PROGRAM = """
import resource, sys
import torch
from equilatent.bench.harness.allocator import keep_freed_memory

if sys.argv[1] == "keep" and not keep_freed_memory():
    raise SystemExit(3)
torch.zeros(12_000_000)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10):
    torch.zeros(12_000_000)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(how: str) -> int:
    done = subprocess.run([sys.executable, "-c", PROGRAM, how], capture_output=True, text=True, check=True)
    return int(done.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library")
def test_pages_are_not_taken_anew() -> None:
    # Ten times 48 MB; smaller blocks glibc keeps by itself after a while. How large a page is depends on the system, and
    # whether the kept memory is all new when it is first used depends on what is beside it.
    assert 4 * faults("keep") < faults("give back")
