"""Large batches and large groups in blocks, so that memory does not grow with them."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from equilatent.latent._acting import Transform

__all__ = ["block_entries", "orbit_blocks", "rows_of"]

#: Numbers in a block: on a CPU about what its caches hold (8 MB of float32), elsewhere what keeps the device busy (256 MB).
_CPU_ENTRIES = 1 << 21
_DEVICE_ENTRIES = 1 << 26


def block_entries(device: torch.device) -> int:
    """How many numbers a block holds on a device."""
    return _CPU_ENTRIES if device.type == "cpu" else _DEVICE_ENTRIES


def rows_of(entries: int, row: int) -> int:
    """How many rows of so many numbers a block holds; at least one."""
    return max(1, entries // max(1, row))


def orbit_blocks(transform: Transform, z: Tensor, elements: Tensor, rows: int) -> Iterator[tuple[slice, slice, Tensor]]:
    """All pairs of a sample and an element in blocks of at most `rows` pairs: the samples, the elements, ρ(g)z.

    A block has all elements of some samples, or some elements of one sample: [samples, elements, …].
    """
    samples, share = max(1, rows // len(elements)), min(rows, len(elements))
    for start in range(0, len(z), samples):
        some = z[start : start + samples]
        for first in range(0, len(elements), share):
            part = elements[first : first + share]
            repeated = some[:, None].expand(-1, len(part), *some.shape[1:]).flatten(0, 1)
            moved = transform(repeated, part.repeat(len(some)))
            where = slice(start, start + len(some)), slice(first, first + len(part))
            yield *where, moved.unflatten(0, (len(some), len(part)))
