"""Timing several ways of doing a thing side by side."""

from __future__ import annotations

import platform
import statistics
import time
from collections.abc import Callable, Mapping

import torch


def paired_seconds(ways: Mapping[str, Callable[[], object]], rounds: int = 30) -> dict[str, list[float]]:
    """Seconds of each way in each round; every round runs all of them, so that what disturbs one disturbs all."""
    for way in ways.values():
        way()
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(rounds):
        # Alternating directions: what runs second finds warmer or colder caches.
        order = list(ways) if number % 2 == 0 else list(reversed(ways))
        for name in order:
            start = time.perf_counter()
            ways[name]()
            seconds[name].append(time.perf_counter() - start)
    return seconds


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
