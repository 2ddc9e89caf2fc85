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


@dataclass(frozen=True)
class _Table:
    """Source indices of the points first … last−1 for every element; the others never move."""

    index: Tensor
    first: int
    last: int

    def move_blocks(self, x: Tensor, g: Tensor) -> Tensor:
        """All samples moved, a block of them at a time: without gradients."""
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
            index = index[:, None].expand(-1, x.shape[1], -1)
            torch.gather(x[block], 2, index, out=result[block, :, self.first : self.last])
        return result


class PointGather:
    """Rearranges points by elements of a group, remembering the index tables of the last few grid sizes."""

    def __init__(self, order: int) -> None:
        self.order = order
        self._tables: dict[tuple[tuple[int, ...], torch.device], _Table] = {}

    def __getstate__(self) -> dict[str, object]:
        return {"order": self.order, "_tables": {}}

    def __call__(self, x: Tensor, g: Tensor, shape: tuple[int, ...], source_index: SourceIndex) -> Tensor:
        """Points of x, [B, C, prod(shape)], moved by g, [B]."""
        if torch.compiler.is_compiling() or self.order * math.prod(shape) > _TABLE_ENTRIES:
            index = source_index(g, shape)
            return torch.gather(x, 2, index[:, None].expand(x.shape))
        table = self._table(shape, g.device, source_index)
        if torch.is_grad_enabled() and x.requires_grad:
            index = table.index.index_select(0, g)[:, None].expand(-1, x.shape[1], -1)
            moved = torch.gather(x, 2, index)
            if moved.shape == x.shape:
                return moved
            return torch.cat([x[:, :, : table.first], moved, x[:, :, table.last :]], dim=2)
        return table.move_blocks(x, g)

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
