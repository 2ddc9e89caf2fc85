"""Turns of images by any angle, by interpolation: an action only approximately."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from equilatent.actions._action import Action
from equilatent.errors import ActionError, NonFiniteError
from equilatent.groups import Group
from equilatent.reps import from_matrices
from equilatent.reps._representation import MatrixRepresentation

__all__ = ["LawError", "RotationAction"]

_MODES = ("bilinear", "bicubic")
_PADDINGS = ("zeros", "border", "reflection")
#: A position so close to a pixel's centre, in pixels, is that pixel.
_NEAR = 1e-6
#: The law is tried on all pairs of elements up to this many, and on as many drawn ones beyond.
_PAIRS = 256
#: Entries that are held at once where many elements are gone through.
_BLOCK_ENTRIES = 1 << 20


@dataclass(frozen=True)
class LawError:
    """How far act(act(x, h), g) is from act(x, gh), for each of some pairs (g, h).

    Attributes:
        group: the group.
        g: the element that moves last in each pair, LongTensor [n].
        h: the element that moves first, LongTensor [n].
        relative: mean square of the difference over the mean square of act(x, gh), float64 [n]; 0 means that the law
            holds exactly, 1 that the error is as large as the images.
        covered: the share of the pixels that was compared, in (0, 1].
    """

    group: Group
    g: Tensor
    h: Tensor
    relative: Tensor
    covered: float

    @property
    def mean(self) -> float:
        """Mean over the pairs of `relative`."""
        return float(self.relative.mean())

    @property
    def worst(self) -> float:
        """The largest entry of `relative`."""
        return float(self.relative.max())

    @property
    def worst_pair(self) -> tuple[int, int]:
        """The elements (g, h) of the largest entry of `relative`."""
        number = int(self.relative.argmax())
        return int(self.g[number]), int(self.h[number])

    def __str__(self) -> str:
        g, h = map(self.group.name, self.worst_pair)
        return (
            f"g·(h·x) against (gh)·x over {len(self.g)} pairs of {self.group.label}, on {self.covered:.0%} of the pixels: "
            f"mean {self.mean:.3g} (0: exactly an action, 1: an error as large as the images); worst pair "
            f"{g!r}, {h!r} ({self.worst:.3g})"
        )


class RotationAction(Action):
    """Turns and mirrors images [B, …, H, W] about their centre by interpolation, whatever the angle.

    The value at p moves to M p, in (row, column) about the centre of the image and in pixels, so that nothing is
    stretched in images that are not square. What lands between pixels is interpolated, hence g·(h·x) = (gh)·x holds
    only approximately (`error` tells how well), and what is turned out of the image is lost (`mask` tells where nothing
    is missing). Quarter turns and mirrors of square images carry pixels to pixels, and hold up to rounding.

    Args:
        group: the group G.
        matrices: an orthogonal matrix [2, 2] of (row, column) for each generator; by default those by which
            the group is known.
        mode: how values between pixels are found.
        padding: what lies outside the image.
    """

    def __init__(
        self,
        group: Group,
        matrices: Mapping[str, npt.ArrayLike] | None = None,
        *,
        mode: Literal["bilinear", "bicubic"] = "bilinear",
        padding: Literal["zeros", "border", "reflection"] = "zeros",
    ) -> None:
        super().__init__(group)
        for name, value, known in (("mode", mode, _MODES), ("padding", padding, _PADDINGS)):
            if value not in known:
                raise ActionError(f"{name} is one of {', '.join(map(repr, known))}; got {value!r}.")
        self.mode = mode
        self.padding = padding
        table = _turns(group, matrices)
        # cos(π/2) is not quite zero in floating arithmetic; quarter turns are to hit the pixels exactly.
        near = (table - table.round()).abs() < 1e-9
        self.rho = MatrixRepresentation(group, torch.where(near, table.round(), table), label="turns of the plane")

    def describe(self) -> str:
        """The action in words."""
        return f"image turned by {self.group.label} ({self.mode})"

    def move(self, x: Tensor, g: Tensor) -> Tensor:
        """Every pixel's value is interpolated where the pixel came from."""
        if x.ndim < 3:
            raise ActionError(f"{self.describe()} expects images [B, …, H, W]; got shape {list(x.shape)}.")
        if not x.is_floating_point():
            raise ActionError(
                f"{self.describe()} interpolates between pixels, for which it needs real floating numbers; got {x.dtype}. "
                "Convert the images; move classes as one-hot scores, complex images as real and imaginary part."
            )
        if not x.numel():
            return x.clone()
        shape = (x.shape[-2], x.shape[-1])
        # Half precision cannot tell neighbouring pixels of a large image apart, so positions are float32 at least.
        dtype = torch.promote_types(x.dtype, torch.float32)
        row, column = self._source(g, shape, dtype)
        # grid_sample counts (x, y) from −1 to 1 between the outer edges of the outer pixels.
        grid = torch.stack([column * (2 / shape[1]), row * (2 / shape[0])], dim=-1)
        images = x.reshape(len(x), math.prod(x.shape[1:-2]), *shape).to(dtype)
        moved = F.grid_sample(images, grid, mode=self.mode, padding_mode=self.padding, align_corners=False)
        return moved.to(x.dtype).reshape(x.shape)

    def mask(self, shape: tuple[int, int], g: int | Tensor | None = None) -> Tensor:
        """The pixels whose value is interpolated from inside the image alone, so that the padding plays no part.

        Args:
            shape: height and width of the images.
            g: one element, or elements LongTensor [n]; by default what holds for all elements at once, which for many
                angles is about the largest disc in the image.

        Returns:
            Bool [H, W], or [n, H, W] for a LongTensor.

        >>> import equilatent as eq
        >>> act = eq.actions.rotation(eq.groups.cyclic(8))
        >>> act.mask((5, 5)).int()
        tensor([[0, 0, 1, 0, 0],
                [0, 1, 1, 1, 0],
                [1, 1, 1, 1, 1],
                [0, 1, 1, 1, 0],
                [0, 0, 1, 0, 0]], dtype=torch.int32)
        """
        height, width = _check_shape(shape)
        everywhere = torch.ones(height, width, dtype=torch.bool)
        if g is None:
            return self._inside_for_all(everywhere)
        elements = self.group.check(g if isinstance(g, Tensor) else torch.tensor(g))
        inside = self._inside(everywhere.to(elements.device), elements.reshape(-1))
        return inside.reshape(*elements.shape, height, width)

    def error(self, x: Tensor, *, pairs: tuple[Tensor, Tensor] | None = None, seed: int = 0) -> LawError:
        """How far this is from an action on given images: act(act(x, h), g) against act(x, gh).

        Only pixels are compared for which nothing comes from outside the image in either of the two motions.

        Args:
            x: images [N, …, H, W], N > 0; smooth ones, and large ones, fare better.
            pairs: elements g and h, LongTensors [n]; by default all pairs if there are at most 256, else 256 drawn.
            seed: of the drawn pairs.

        Raises:
            ActionError: for no images, images that are zero where they are compared, or that are too small for any pixel
                to be compared.
            NonFiniteError: if the images hold NaN or infinity.

        >>> import torch, equilatent as eq
        >>> at = torch.linspace(-1, 1, 33)
        >>> blob = torch.exp(-4 * ((at[:, None] - 0.3) ** 2 + at**2))[None, None]
        >>> act = eq.actions.rotation(eq.groups.cyclic(8))
        >>> 0 < act.error(blob).mean < 1e-4
        True
        >>> eq.actions.rotation(eq.groups.cyclic(4)).error(blob).worst < 1e-12  # rounding
        True
        """
        if not isinstance(x, Tensor) or x.ndim < 3 or not x.numel():
            got = list(x.shape) if isinstance(x, Tensor) else type(x).__name__
            raise ActionError(f"the error is measured on images [N, …, H, W] with N > 0; got {got}.")
        if not torch.isfinite(x).all():
            raise NonFiniteError("the images hold NaN or infinity, so no error can be measured on them.")
        g, h = self._pairs(seed) if pairs is None else (self.group.check(part) for part in pairs)
        if g.ndim != 1 or g.shape != h.shape or not len(g):
            raise ActionError(f"pairs are two LongTensors [n] with n > 0; got {list(g.shape)} and {list(h.shape)}.")
        shape = (x.shape[-2], x.shape[-1])
        once = self._inside_for_all(torch.ones(shape, dtype=torch.bool))
        compared = self._inside_for_all(once).to(x.device)
        if not compared.any():
            raise ActionError(
                f"images of {shape[0]}×{shape[1]} are too small: no pixel stays inside when turned twice."
            )
        relative = []
        rows = max(1, _BLOCK_ENTRIES // x.numel())
        with torch.no_grad():
            for some_g, some_h in zip(g.split(rows), h.split(rows), strict=True):
                images = x.repeat(len(some_g), *[1] * (x.ndim - 1))
                last, first = (some.repeat_interleave(len(x)) for some in (some_g, some_h))
                twice = self(self(images, first), last)
                directly = self(images, self.group.product(last, first))
                squares = [
                    part[..., compared].double().square().reshape(len(some_g), -1).mean(1)
                    for part in (twice - directly, directly)
                ]
                if (squares[1] == 0).any():
                    raise ActionError("the images are zero wherever they are compared, so no relative error exists.")
                relative.append((squares[0] / squares[1]).cpu())
        return LawError(self.group, g.cpu(), h.cpu(), torch.cat(relative), float(compared.double().mean()))

    def _pairs(self, seed: int) -> tuple[Tensor, Tensor]:
        order = self.group.order
        if order**2 <= _PAIRS:
            return self.group.elements.repeat_interleave(order), self.group.elements.repeat(order)
        g, h = self.group.sample((2, _PAIRS), generator=torch.Generator().manual_seed(seed))
        return g, h

    def _source(self, g: Tensor, shape: tuple[int, int], dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        """Row and column, about the centre, of where each pixel comes from: two tensors [n, H, W]."""
        inverse = self.rho.matrix(g).mT.to(dtype)[..., None, None]
        row, column = (torch.arange(size, dtype=dtype, device=g.device) - (size - 1) / 2 for size in shape)
        source_row = inverse[:, 0, 0] * row[:, None] + inverse[:, 0, 1] * column
        return source_row, inverse[:, 1, 0] * row[:, None] + inverse[:, 1, 1] * column

    def _inside(self, valid: Tensor, g: Tensor) -> Tensor:
        """For each element, the pixels that are interpolated from valid pixels alone: bool [n, H, W]."""
        # How many invalid pixels precede each row and column, so that those in a rectangle are a sum of four numbers.
        before = F.pad((~valid).long().cumsum(0).cumsum(1), (1, 0, 1, 0))
        reach = 0 if self.mode == "bilinear" else 1
        bounds, inside = [], torch.ones(len(g), *valid.shape, dtype=torch.bool, device=g.device)
        for axis, position in enumerate(self._source(g, tuple(valid.shape), torch.float64)):  # type: ignore[arg-type]
            size = valid.shape[axis]
            at = position + (size - 1) / 2
            on_pixel = (at - at.round()).abs() < _NEAR
            first = torch.where(on_pixel, at.round(), at.floor() - reach).long()
            last = torch.where(on_pixel, at.round(), at.ceil() + reach).long()
            inside &= (first >= 0) & (last < size)
            bounds.append((first.clamp(0, size), (last + 1).clamp(0, size)))
        if valid.all():
            return inside
        (top, bottom), (left, right) = bounds
        invalid = before[bottom, right] - before[top, right] - before[bottom, left] + before[top, left]
        return inside & (invalid == 0)

    def _inside_for_all(self, valid: Tensor) -> Tensor:
        result = torch.ones_like(valid)
        for some in self.group.elements.split(max(1, _BLOCK_ENTRIES // valid.numel())):
            result &= self._inside(valid, some).all(0)
        return result


def _check_shape(shape: tuple[int, int]) -> tuple[int, int]:
    if len(shape) != 2 or min(shape) < 1:
        raise ActionError(f"shape is the height and the width of an image, both positive; got {tuple(shape)}.")
    return shape


def _turns(group: Group, matrices: Mapping[str, npt.ArrayLike] | None) -> Tensor:
    """The orthogonal matrix of each element, float64 [order, 2, 2]."""
    known = group.defining if matrices is None else matrices
    if known is None:
        raise ActionError(
            f"{group.label} is not known as a group of motions of an image. Say how its generators "
            f"({', '.join(group.generators)}) map (row, column), with matrices={{name: orthogonal 2×2 matrix}}."
        )
    if not group.generators and not known:
        return torch.eye(2, dtype=torch.float64)[None]
    table = from_matrices(group, known).matrix(group.elements)
    if table.is_complex() or table.shape[1:] != (2, 2):
        raise ActionError(
            f"an image is turned by real 2×2 matrices of (row, column); those of {group.label} are "
            f"{table.shape[1]}×{table.shape[2]} ({table.dtype}). Pass matrices={{name: orthogonal 2×2 matrix}}."
        )
    if not torch.allclose(table @ table.mT, torch.eye(2, dtype=table.dtype), atol=1e-6):
        raise ActionError(f"some matrices of {group.label} are not orthogonal: they stretch or shear the image.")
    return table
