"""Applying a function along some axes of a tensor without giving up the order in which its entries lie in memory."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from torch import Tensor

__all__ = ["along_axes"]


def along_axes(x: Tensor, axes: Sequence[int], function: Callable[[Tensor], Tensor]) -> Tensor:
    """A function of blocks [B, k, n, m] applied to x, where n runs over the given axes.

    The other axes go to k if they lie outside the given ones in memory, and to m if they lie inside. So the blocks are a
    view of x, and the result is laid out as x is: images in channels-last format stay so, without a copy to and fro.

    Args:
        x: [B, …].
        axes: positive and distinct, none of them the batch axis 0; n runs over them in this order.
        function: returns a tensor of the shape it gets.

    Returns:
        A tensor of the shape of x.
    """
    outside: list[int] = []
    inside: list[int] = []
    for axis in range(1, x.ndim):
        if axis not in axes:
            others = inside if all(_is_inside(x, axis, other) for other in axes) else outside
            others.insert(sum(_is_inside(x, axis, other) for other in others), axis)
    order = [0, *outside, *axes, *inside]
    ordered = x.permute(order)
    sizes = ordered.shape
    first = 1 + len(outside)
    last = first + len(axes)
    blocks = ordered.reshape(sizes[0], math.prod(sizes[1:first]), math.prod(sizes[first:last]), math.prod(sizes[last:]))
    back = [0] * x.ndim
    for place, axis in enumerate(order):
        back[axis] = place
    return function(blocks).reshape(sizes).permute(back)


def _is_inside(x: Tensor, axis: int, other: int) -> bool:
    """Whether an axis lies inside another in memory, that is, has the smaller stride."""
    stride, outer = x.stride(axis), x.stride(other)
    if stride and outer:  # an axis of stride 0 is expanded, and lies nowhere in memory
        if stride != outer:
            return stride < outer
        if x.shape[axis] != x.shape[other]:
            return x.shape[axis] < x.shape[other]  # of axes with one stride, all but the outermost have one entry
    return axis > other
