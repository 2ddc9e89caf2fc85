"""A model averaged over the group (`metrics.Symmetrised`) against the model itself: seconds and peak memory of inference.

Seconds are measured side by side in one process. The peak is what the resident memory rises by during one call, each way
in a process of its own; it is read from /proc, so only on Linux.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

import equilatent as eq
from benchmarks.timing import paired_seconds, print_machine, print_table
from equilatent.bench.networks import ddmnist_cnn

BATCH = 64
STATUS = Path("/proc/self/status")

Way = tuple[str | None, int]  # a group by name, or None for the model itself; moved images at once

WAYS: dict[str, Way] = {
    "the model itself": (None, 0),
    "C4: 4 elements, 64 images at once": ("C4", BATCH),
    "D4: 8 elements, 64 images at once": ("D4", BATCH),
    "D4×C3: 24 elements, 64 images at once": ("D4×C3", BATCH),
    "D4×D4: 64 elements, 64 images at once": ("D4×D4", BATCH),
    "D4×D4: 64 elements, 512 images at once": ("D4×D4", 8 * BATCH),
    "D4×D4: 64 elements, all at once": ("D4×D4", 64 * BATCH),
}


def action(name: str) -> eq.actions.Action:
    """Turns and mirrors of images; for D4×D4 of the two digits on them, for D4×C3 with a factor that does nothing."""
    D4, C3 = eq.groups.dihedral(4), eq.groups.cyclic(3)
    image = eq.actions.image(D4)
    if name == "C4":
        return eq.actions.image(eq.groups.cyclic(4))
    if name == "D4":
        return image
    if name == "D4×C3":  # the digits need no group of this order; the cost is that of 24 passes all the same
        both = eq.groups.direct_product(D4, C3)
        return eq.actions.function(both, lambda x, g: image(x, both.split(g)[0]))
    top, left, right = slice(14, 42), slice(0, 28), slice(28, 56)
    return eq.actions.parts(eq.groups.direct_product(D4, D4), [image, image], windows=[(top, left), (top, right)])


def channels_last(x: Tensor) -> Tensor:
    """A copy in that memory format, also of images with one channel.

    PyTorch takes these for either format, by their strides, and convolutions are slower in one of them; without this, it
    could be compared what strides the actions leave behind.
    """
    return torch.empty_like(x, memory_format=torch.channels_last).copy_(x)


def make(way: Way) -> Callable[[], Tensor]:
    name, at_once = way
    torch.manual_seed(0)
    model = ddmnist_cnn().eval().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    model.register_forward_pre_hook(lambda _, inputs: (channels_last(inputs[0]),))
    x = torch.randn(BATCH, 1, 56, 56)
    if name is not None:
        act = action(name)
        model = eq.metrics.Symmetrised(model, act, eq.actions.trivial(act.group), batch_size=at_once)

    def run() -> Tensor:
        with torch.no_grad():
            return model(x)

    return run


def peak_megabytes(way: Way) -> float:
    """What one call adds to the resident memory at its height."""
    run = make(way)
    make((None, 0))()  # what PyTorch sets up at a first call is no part of it
    Path("/proc/self/clear_refs").write_text("5")  # the height counts from here
    before = _kilobytes("VmRSS")
    run()
    return (_kilobytes("VmHWM") - before) / 1024


def _kilobytes(field: str) -> int:
    return next(int(line.split()[1]) for line in STATUS.read_text().splitlines() if line.startswith(field))


def main() -> None:
    print_machine()
    seconds = paired_seconds({name: make(way) for name, way in WAYS.items()}, 3)
    print_table(f"DDMNIST network, {BATCH} images, no gradients", seconds, "the model itself")
    if not STATUS.exists():
        return
    print("\nPeak of resident memory above what was there before")
    context = multiprocessing.get_context("spawn")
    for name, way in WAYS.items():
        with context.Pool(1) as pool:
            print(f"  {name.ljust(max(map(len, WAYS)))}  {pool.apply(peak_megabytes, (way,)):8.0f} MB")


if __name__ == "__main__":
    main()
