"""Fixed tables that do not lose their precision."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

__all__ = ["ExactTable"]


class ExactTable(nn.Module):
    """A fixed table, kept in float64 and rounded from it whenever the module changes its dtype.

    Without this a network made in float32 and converted to float64 would be equivariant to seven digits only.

    Attributes:
        value: the table in the module's dtype, on its device.
    """

    value: Tensor

    def __init__(self, table: Tensor) -> None:
        super().__init__()
        self._table = table.double()
        self.register_buffer("value", table.to(torch.get_default_dtype()), persistent=False)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> ExactTable:
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        self.value = self._table.to(self.value)
        return self
