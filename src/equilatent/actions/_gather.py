"""The one kernel under all actions that only rearrange points: a gather through a table of source indices."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["PointGather", "SourceIndex"]

#: ``source_index(g, shape)``: the flat index of the point from which each point of a grid of that shape is read when g
#: has moved it, LongTensor [len(g), prod(shape)].
SourceIndex = Callable[[Tensor, tuple[int, ...]], Tensor]

#: Tables are kept up to so many entries (32 MB); beyond, indices are made for the batch alone.
_TABLE_ENTRIES = 1 << 22
_KEPT_TABLES = 4
#: Indices that are looked up at once on a CPU (1.6 MB).
_BLOCK_ENTRIES = 200_704
#: Points of so many numbers and more are moved as rows; those of fewer, number by number.
_ROW_NUMBERS = 5


@dataclass(frozen=True)
class _Table:
    """Source indices of the points first … last−1 for every element; the others never move."""

    index: Tensor
    first: int
    last: int

    def move_blocks(self, x: Tensor, g: Tensor) -> Tensor:
        """All points of x, [B, k, points, m], moved, a block of samples at a time: without gradients."""
        width = self.last - self.first
        if width == x.shape[2]:
            result = torch.empty(x.shape, dtype=x.dtype, device=x.device)
        else:
            result = x.clone(memory_format=torch.contiguous_format)
        # On a CPU the indices of a block stay in the cache. Those of a whole batch take more memory than the batch, which
        # the system hands out anew in every call; that takes longer than the moving itself.
        rows = max(1, _BLOCK_ENTRIES // max(1, width)) if x.device.type == "cpu" else max(1, len(x))
        scratch = torch.empty(min(rows, len(x)), width, dtype=torch.long, device=x.device)
        for start in range(0, len(x), rows):
            block = slice(start, start + rows)
            elements = g[block]
            index = torch.index_select(self.index, 0, elements, out=scratch[: len(elements)])
            moved = result[block, :, self.first : self.last]
            if x.shape[3] < _ROW_NUMBERS:
                index = index[:, None, None].expand(-1, x.shape[1], x.shape[3], -1)
                torch.gather(x[block].transpose(2, 3), 3, index, out=moved.transpose(2, 3))
            elif moved.is_contiguous():
                torch.index_select(*_rows(x[block], index), out=moved.view(-1, x.shape[3]))
            else:
                moved.copy_(torch.index_select(*_rows(x[block], index)).view(moved.shape))
        return result


class PointGather:
    """Rearranges points by elements of a group, remembering the index tables of the last few grid sizes."""

    def __init__(self, order: int) -> None:
        self.order = order
        self._tables: dict[tuple[tuple[int, ...], torch.device], _Table] = {}

    def __getstate__(self) -> dict[str, object]:
        return {"order": self.order, "_tables": {}}

    def __call__(self, x: Tensor, g: Tensor, shape: tuple[int, ...], source_index: SourceIndex) -> Tensor:
        """Points of x, [B, k, prod(shape), m], each of them m numbers side by side, moved by g, [B]."""
        if torch.compiler.is_compiling() or self.order * math.prod(shape) > _TABLE_ENTRIES:
            return _gather(x, source_index(g, shape))
        table = self._table(shape, g.device, source_index)
        if not (torch.is_grad_enabled() and x.requires_grad):
            return table.move_blocks(x, g)
        moved = _gather(x, table.index.index_select(0, g))
        if moved.shape == x.shape:
            return moved
        return torch.cat([x[:, :, : table.first], moved, x[:, :, table.last :]], dim=2)

    def _table(self, shape: tuple[int, ...], device: torch.device, source_index: SourceIndex) -> _Table:
        table = self._tables.get((shape, device))
        if table is None:
            while len(self._tables) >= _KEPT_TABLES:
                self._tables.pop(next(iter(self._tables)))
            index = source_index(torch.arange(self.order, device=device), shape)
            moving = (index != torch.arange(index.shape[1], device=device)).any(0).nonzero()[:, 0]
            first, last = (int(moving[0]), int(moving[-1]) + 1) if len(moving) else (0, 0)
            table = _Table(index[:, first:last].contiguous(), first, last)
            self._tables[shape, device] = table
        return table


def _gather(x: Tensor, index: Tensor) -> Tensor:
    """The points of x, [B, k, points, m], that an index [B, n] names for each sample: [B, k, n, m]."""
    if x.shape[3] == 1:
        return torch.gather(x.squeeze(3), 2, index[:, None].expand(-1, x.shape[1], -1)).unsqueeze(3)
    # All numbers of a point move together, which is several times faster than one by one where they are many.
    return torch.index_select(*_rows(x, index)).view(*x.shape[:2], index.shape[1], x.shape[3])


def _rows(x: Tensor, index: Tensor) -> tuple[Tensor, int, Tensor]:
    """What to call `torch.index_select` with for the same: the points as rows, the axis of rows, and their numbers."""
    size, copies, points, inner = x.shape
    start = torch.arange(size * copies, device=x.device).view(size, copies, 1) * points
    return x.reshape(size * copies * points, inner), 0, (start + index[:, None]).reshape(-1)
