"""Timing several ways of doing a thing side by side."""

from __future__ import annotations

import platform
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from tqdm import tqdm

CPU = torch.device("cpu")


@dataclass(frozen=True)
class Options:
    """How the benchmarks are run.

    Attributes:
        quick: a few rounds of small sizes, only to see that everything runs.
        device: where tensors live; groups and imports are timed on the CPU all the same.
    """

    quick: bool = False
    device: torch.device = CPU

    def rounds(self, rounds: int) -> int:
        """How often to measure what a full run measures so often."""
        return 1 if self.quick else rounds


def paired_seconds(
    ways: Mapping[str, Callable[[], object]], rounds: int = 30, *, device: torch.device = CPU
) -> dict[str, list[float]]:
    """Seconds of each way in each round; every round runs all of them, so that what disturbs one disturbs all."""
    for way in ways.values():
        way()
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for number in tqdm(range(rounds), leave=False, disable=None, desc=" | ".join(ways)[:60]):
        # Alternating directions: what runs second finds warmer or colder caches.
        order = list(ways) if number % 2 == 0 else list(reversed(ways))
        for name in order:
            _finish(device)
            start = time.perf_counter()
            ways[name]()
            _finish(device)
            seconds[name].append(time.perf_counter() - start)
    return seconds


def _finish(device: torch.device) -> None:
    """Wait for what a GPU still has to do."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def median_ratio(seconds: Mapping[str, list[float]], name: str, base: str) -> float:
    """Median over the rounds of the ratio of two ways."""
    return statistics.median(a / b for a, b in zip(seconds[name], seconds[base], strict=True))


def print_table(title: str, seconds: Mapping[str, list[float]], base: str) -> None:
    """Medians in milliseconds and ratios to `base`."""
    print(f"\n{title}")
    width = max(map(len, seconds))
    for name, values in seconds.items():
        ratio = median_ratio(seconds, name, base)
        print(f"  {name.ljust(width)}  {statistics.median(values) * 1e3:10.3f} ms  {ratio:8.2f} × {base}")


def print_machine() -> None:
    """What the numbers were made on."""
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, {platform.machine()} {platform.system()}")
