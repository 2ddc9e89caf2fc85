"""What `import equilatent` takes after `import torch`, each time in a fresh process."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from collections.abc import Iterator

from benchmarks.page import Table
from benchmarks.timing import Options

PROGRAM = """
import time
start = time.perf_counter(); import torch
middle = time.perf_counter(); import equilatent
end = time.perf_counter()
print(f"[{middle - start}, {end - middle}]")
"""


def seconds() -> tuple[float, float]:
    """The time of `import torch`, and then of `import equilatent`."""
    printed = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True).stdout
    torch_seconds, our_seconds = json.loads(printed)
    return torch_seconds, our_seconds


def tables(options: Options) -> Iterator[Table]:
    if not options.quick:
        seconds()  # the files are read from the disk once, and compiled
    rounds = [seconds() for _ in range(1 if options.quick else 9)]
    theirs, ours = (statistics.median(values) for values in zip(*rounds, strict=True))
    ratio = statistics.median(our / their for their, our in rounds)
    rows = [["`import torch`", theirs, 1.0], ["then `import equilatent`", ours, ratio]]
    columns = (("", "text"), ("median", "seconds"), ("relative to `import torch`", "ratio"))
    yield Table("Import, in fresh processes", columns, rows)
