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


@dataclass(frozen=True)
class _Table:
    """Source indices of the points first … last−1 for every element; the others never move."""

    index: Tensor
    first: int
    last: int


class PointGather:
    """Rearranges points by elements of a group, remembering the index tables of the last few grid sizes."""

    def __init__(self, order: int) -> None:
        self.order = order
        self._tables: dict[tuple[tuple[int, ...], torch.device], _Table] = {}

    def __getstate__(self) -> dict[str, object]:
        return {"order": self.order, "_tables": {}}

    def __call__(self, x: Tensor, g: Tensor, shape: tuple[int, ...], source_index: SourceIndex) -> Tensor:
        """Points of x, [B, C, prod(shape)], moved by g, [B]."""
        points = math.prod(shape)
        if torch.compiler.is_compiling() or self.order * points > _TABLE_ENTRIES:
            index = source_index(g, shape)
            return torch.gather(x, 2, index[:, None].expand(x.shape))
        table = self._table(shape, g.device, source_index)
        index = table.index.index_select(0, g)
        index = index[:, None].expand(len(x), x.shape[1], index.shape[1])
        if table.first == 0 and table.last == points:
            return torch.gather(x, 2, index)
        if torch.is_grad_enabled() and x.requires_grad:
            return torch.cat([x[:, :, : table.first], torch.gather(x, 2, index), x[:, :, table.last :]], dim=2)
        # Into a copy, in place: a third large temporary would be given back to the system and fetched again each call.
        result = x.clone()
        torch.gather(x, 2, index, out=result[:, :, table.first : table.last])
        return result

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
