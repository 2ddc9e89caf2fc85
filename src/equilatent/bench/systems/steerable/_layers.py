"""Equivariant layers: gate and norm on any grid; convolutions, pool and mask on images."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from equilatent.bench.systems.steerable._expansion import Expansion
from equilatent.bench.systems.steerable._fields import Fields, FieldType
from equilatent.bench.systems.steerable._filters import filter_representation
from equilatent.bench.systems.steerable._kernels import (
    GroupLikelihood,
    invariant_vectors,
    kernel_representation,
    sample_kernels,
)
from equilatent.bench.systems.steerable._tables import ExactTable
from equilatent.errors import ActionError, RepresentationError
from equilatent.reps import Representation

__all__ = [
    "AntialiasedPool",
    "ExpandedConvolution",
    "FieldNorm",
    "GatedNonlinearity",
    "PartialConv2d",
    "ResidualPathwayConv2d",
    "SoftDisc",
    "SteerableConv2d",
    "StrictConvolution",
    "check_grid",
    "gaussian",
    "invariant_bias",
]


class ExpandedConvolution(nn.Module, ABC):
    """A convolution of images or volumes whose kernel is expanded from weights on a basis."""

    expansion: Expansion
    bias: InvariantBias | None

    def __init__(
        self, inputs: Fields, outputs: Fields, size: int, stride: int, padding: int, elements: list[list[int]]
    ) -> None:
        super().__init__()
        self.expansion = Expansion(inputs, outputs, size, elements)
        self.stride, self.padding = stride, padding

    @abstractmethod
    def kernel(self) -> Tensor:
        """The kernel of the ordinary convolution that this layer is, [outputs.dim, inputs.dim, size, …]."""

    def extra_repr(self) -> str:
        """The fields and the geometry."""
        expansion = self.expansion
        fields = f"{expansion.inputs.label} → {expansion.outputs.label}"
        return f"{fields}, size={expansion.size}, stride={self.stride}, padding={self.padding}"

    def forward(self, x: Tensor) -> Tensor:
        """Convolve x [B, inputs.dim, H, W] or [B, inputs.dim, D, H, W]."""
        inputs = self.expansion.inputs
        check_grid(x, inputs.dim, self.expansion.size, self.stride, self.padding, inputs.axes)
        convolve = F.conv2d if inputs.axes == 2 else F.conv3d
        return convolve(x, self.kernel(), self.bias() if self.bias else None, self.stride, self.padding)


class StrictConvolution(ExpandedConvolution):
    """One whose kernel is a sum of equivariant ones, each with a weight, and whose bias is invariant.

    Args:
        inputs: the fields that come in.
        outputs: the fields that go out.
        size: the side of the kernel.
        stride: from one position of the kernel to the next.
        padding: zeros around the image or volume.
        bases: the equivariant kernels for each pair of parts, a row for each of the outputs; n kernels with
            all their entries, [n, …].
        bias: whether there is one, 0 at the start.
    """

    def __init__(
        self,
        inputs: Fields,
        outputs: Fields,
        size: int,
        stride: int,
        padding: int,
        bases: list[list[Tensor]],
        bias: bool,
    ) -> None:
        super().__init__(inputs, outputs, size, stride, padding, [[len(basis) for basis in row] for row in bases])
        self.bases = ExactTable(torch.cat([basis.flatten() for row in bases for basis in row]))
        self.weight = nn.Parameter(torch.empty(sum(self.expansion.weights())))
        self.bias = invariant_bias(outputs) if bias else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the weights anew."""
        with torch.no_grad():
            self.weight.normal_().mul_(self.expansion.deviations().to(self.weight))

    def kernel(self) -> Tensor:
        """The kernel of the ordinary convolution that this layer is, [outputs.dim, inputs.dim, size, …]."""
        with torch.autocast(self.weight.device.type, enabled=False):
            return self.expansion.kernel(self.weight, self.bases.value)


class SteerableConv2d(StrictConvolution):
    """A convolution that is exactly equivariant: its kernels are sums of `kernel_basis` elements, its bias is invariant.

    There is one weight for each element of the basis and each pair of parts. An element has norm √dim of the part it
    goes to, and the weights start normal, scaled such that independent inputs of variance 1 give outputs of variance 1 in
    the middle of the image (`Expansion.deviations`). Where no kernel leads to a part of the outputs, as from scalars to
    what changes its sign under every mirror of D4 and under no turn, that part is 0.

    Args:
        inputs: the fields that come in.
        outputs: the fields that go out, of the same group.
        size: the side of the kernel in pixels: 1, 3, 5 or 7.
        stride: pixels from one position of the kernel to the next. The last position must touch the border of the padded
            image, as the first one does; otherwise the layer would not be equivariant, and refuses the image.
        padding: zeros around the image.
        bias: whether there is one, 0 at the start, for each invariant direction of the outputs, as far as they have any.

    Raises:
        ActionError: if the group does not act on images, or for another size.
        RepresentationError: for fields of two groups.

    >>> import torch, equilatent as eq
    >>> G = eq.groups.cyclic(4)
    >>> scalar, arrows = FieldType((eq.reps.trivial(G),), 1), FieldType((eq.reps.defining(G),), 3)
    >>> SteerableConv2d(scalar, arrows, 3, padding=1)(torch.randn(2, 1, 9, 9)).shape
    torch.Size([2, 6, 9, 9])
    """

    def __init__(
        self, inputs: FieldType, outputs: FieldType, size: int, *, stride: int = 1, padding: int = 0, bias: bool = True
    ) -> None:
        bases = [
            [sample_kernels(invariant_vectors(space) * math.sqrt(sigma.dim), size) for space in spaces]
            for (sigma, _), spaces in zip(outputs.blocks, _kernel_spaces(inputs, outputs, size), strict=True)
        ]
        super().__init__(inputs, outputs, size, stride, padding, bases, bias)


class PartialConv2d(ExpandedConvolution):
    """A convolution that learns how equivariant it is (Veefkind & Cesa 2024).

    There is one weight for each dimension of the space of all band-limited kernels, and a likelihood λ on the group. The
    kernel is the mean over the group of λ(g) · g·w, where w is the kernel with those weights. That is the projection of w
    onto the equivariant kernels where λ is uniform, as it is at the start; w itself where only the identity counts;
    equivariant to a subgroup H where λ(hg) = λ(g) for all h in H. The bias is invariant.

    With a finite group and all its irreps, this is the construction of the source without its duplicates, which come of
    listing an element once for each irrep in ρ_out ⊗ ρ_in. The weights are drawn such that, λ being uniform, the kernel
    starts with the distribution of a `SteerableConv2d`; weights between blocks that no equivariant kernel joins start as
    if they were in a convolution without symmetry.

    Args:
        inputs: the fields that come in.
        outputs: the fields that go out, of the same group.
        size: the side of the kernel in pixels: 1, 3, 5 or 7.
        stride: as of `SteerableConv2d`.
        padding: zeros around the image.
        bias: whether there is one, 0 at the start, for each invariant direction of the outputs, as far as they have any.
        likelihood: λ, to share it between layers; by default one of its own.

    Raises:
        GroupError: for a group of one element.
        ActionError: if the group does not act on images, or for another size.
        RepresentationError: for fields or a likelihood of two groups.
    """

    def __init__(
        self,
        inputs: FieldType,
        outputs: FieldType,
        size: int,
        *,
        stride: int = 1,
        padding: int = 0,
        bias: bool = True,
        likelihood: GroupLikelihood | None = None,
    ) -> None:
        if likelihood is not None and likelihood.group != inputs.group:
            raise RepresentationError(
                f"the likelihood is one on {likelihood.group.label}, but the fields are of {inputs.group.label}."
            )
        spaces = _kernel_spaces(inputs, outputs, size)
        super().__init__(inputs, outputs, size, stride, padding, [[space.dim for space in row] for row in spaces])
        self.likelihood = GroupLikelihood(inputs.group) if likelihood is None else likelihood
        self._equivariant = [[_invariants(space) for space in row] for row in spaces]
        # The image of each unit vector under each element, on the grid: one row for each element.
        moved = [
            sample_kernels(space.matrix(inputs.group.elements).mT * math.sqrt(sigma.dim), size).flatten(1)
            for (sigma, _), row in zip(outputs.blocks, spaces, strict=True)
            for space in row
        ]
        self.moved = ExactTable(torch.cat(moved, dim=1))
        self.weight = nn.Parameter(torch.empty(sum(self.expansion.weights())))
        self.bias = invariant_bias(outputs) if bias else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the weights anew; λ, which other layers may share, stays as it is."""
        with torch.no_grad():
            self.weight.normal_().mul_(self.expansion.deviations(self._equivariant).to(self.weight))

    def kernel(self) -> Tensor:
        """The kernel of the ordinary convolution that this layer is, [outputs.dim, inputs.dim, size, size]."""
        with torch.autocast(self.weight.device.type, enabled=False):
            shares = self.likelihood.log_values().exp() / self.likelihood.group.order
            return self.expansion.kernel(self.weight, shares @ self.moved.value)


class ResidualPathwayConv2d(nn.Module):
    """The sum of a steerable and an ordinary convolution of equal shape (residual pathway prior, Finzi et al. 2021).

    Both kernels are added before they are applied, so that the sum costs one convolution.

    Args:
        inputs: the fields that come in.
        outputs: the fields that go out, of the same group.
        size: the side of the kernel in pixels: 1, 3, 5 or 7.
        stride: as of `SteerableConv2d`.
        padding: zeros around the image.
        bias: whether both have one; the strict one only as far as the outputs have invariant directions.

    Attributes:
        strict: the `SteerableConv2d`.
        free: the ``nn.Conv2d``, with PyTorch's own start.
    """

    def __init__(
        self, inputs: FieldType, outputs: FieldType, size: int, *, stride: int = 1, padding: int = 0, bias: bool = True
    ) -> None:
        super().__init__()
        self.strict = SteerableConv2d(inputs, outputs, size, stride=stride, padding=padding, bias=bias)
        self.free = nn.Conv2d(inputs.dim, outputs.dim, size, stride=stride, padding=padding, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        """Convolve x [B, inputs.dim, H, W]."""
        strict, free = self.strict, self.free
        check_grid(x, strict.expansion.inputs.dim, strict.expansion.size, strict.stride, strict.padding)
        bias = free.bias if strict.bias is None or free.bias is None else strict.bias() + free.bias
        return F.conv2d(x, strict.kernel() + free.weight, bias, strict.stride, strict.padding)


class InvariantBias(nn.Module):
    """A bias that the group leaves alone: one number for each invariant direction of each part, 0 at the start."""

    def __init__(self, fields: Fields) -> None:
        super().__init__()
        self.directions = ExactTable(fields.along_blocks())
        self.weight = nn.Parameter(torch.zeros(len(self.directions.value)))

    def forward(self) -> Tensor:
        """The bias of every channel, [dim]."""
        with torch.autocast(self.weight.device.type, enabled=False):
            bias: Tensor = self.weight @ self.directions.value
        return bias


class GatedNonlinearity(nn.Module):
    """Multiplies each part of each field by the sigmoid of a gate of its own, minus a learned threshold.

    Takes `fields.gated()` and returns `fields`: the gates are dropped. Trivial parts are gated too.

    Args:
        fields: the fields that go out.
    """

    def __init__(self, fields: Fields) -> None:
        super().__init__()
        self.fields = fields
        self.gates = len(fields.parts) * fields.copies
        self.threshold = nn.Parameter(torch.randn(self.gates))

    def forward(self, x: Tensor) -> Tensor:
        """Gate x [B, fields.gated().dim, H, W], or [B, fields.gated().dim, D, H, W] of fields on a volume."""
        n, parts, axes = self.fields.copies, self.fields.parts, self.fields.axes
        check_channels(x, self.gates + self.fields.dim, axes)
        gates, *features = x.split([self.gates, *(n * part.dim for part in parts)], dim=1)
        opened = torch.sigmoid(gates - self.threshold.to(x.dtype).view(-1, *[1] * axes)).split(n, dim=1)
        gated = [
            (feature.unflatten(1, (n, -1)) * gate.unsqueeze(2)).flatten(1, 2)
            for feature, gate in zip(features, opened, strict=True)
        ]
        return torch.cat(gated, dim=1)


class FieldNorm(nn.Module):
    """Batch norm for fields: one variance and scale for each field, a mean and shift along its invariant vectors only.

    Invariant are the trivial channels, and of the regular representation what all its channels have in common: the norm of
    one regular field is batch norm with common statistics for its channels. The variance of a field is the mean over its
    channels of their mean squares, after the invariant part of the mean is taken away. In training it is that of the batch,
    and running averages are kept for evaluation.

    Args:
        fields: the fields that come in and go out.
        eps: added to the variance.
        momentum: the weight of the new batch in the running averages.
    """

    running_mean: Tensor
    running_var: Tensor
    field: Tensor

    def __init__(self, fields: Fields, *, eps: float = 1e-5, momentum: float = 0.1) -> None:
        super().__init__()
        self.fields, self.eps, self.momentum = fields, eps, momentum
        field = fields.field_of_channel()
        self.register_buffer("field", field, persistent=False)
        averages = F.one_hot(field, fields.copies).T.double()
        self.averages = ExactTable(averages / averages.sum(1, keepdim=True))
        directions = fields.along_blocks(scaled=True)
        self.directions = ExactTable(directions)
        self.coordinates = ExactTable(directions / directions.square().sum(1, keepdim=True))
        self.weight = nn.Parameter(torch.ones(fields.copies))
        self.bias = nn.Parameter(torch.zeros(len(directions)))
        self.register_buffer("running_mean", torch.zeros(len(directions)))
        self.register_buffer("running_var", torch.ones(fields.copies))

    def forward(self, x: Tensor) -> Tensor:
        """Normalise x [B, fields.dim, H, W], or [B, fields.dim, D, H, W] of fields on a volume."""
        check_channels(x, self.fields.dim, self.fields.axes)
        with torch.autocast(x.device.type, enabled=False):
            mean, variance = self._batch_statistics(x) if self.training else (self.running_mean, self.running_var)
            scale = (self.weight * torch.rsqrt(variance + self.eps))[self.field]
            directions = self.directions.value
            shift = self.bias @ directions - (mean @ directions) * scale
            # Batch norm that is told mean 0 and variance 1: the affine map alone, forward and backward in one pass each.
            zero, one = torch.zeros_like(scale), torch.ones_like(scale)
            return F.batch_norm(x, zero.detach(), one.detach(), scale, shift, training=False, eps=0.0)

    def _batch_statistics(self, x: Tensor) -> tuple[Tensor, Tensor]:
        if x.numel() < 2 * x.shape[1]:
            raise ActionError(f"batch statistics need more than one value a channel; got shape {list(x.shape)}.")
        variance, mean = torch.var_mean(x.to(self.weight.dtype), dim=(0, *range(2, x.ndim)), correction=0)
        invariant = self.coordinates.value @ mean
        # The rest of the mean stays: it would not be invariant.
        rest = mean - invariant @ self.directions.value
        of_field = self.averages.value @ (variance + rest.square())
        with torch.no_grad():
            self.running_mean.lerp_(invariant, self.momentum)
            self.running_var.lerp_(of_field, self.momentum)
        return invariant, of_field


class AntialiasedPool(nn.Module):
    """Smooths every channel by a fixed Gaussian window and keeps some of the pixels.

    Args:
        size: the side of the window in pixels.
        stride: pixels from one position of the window to the next; as of `SteerableConv2d`.
        padding: zeros around the image.
        width: the standard deviation of the Gaussian in pixels.
    """

    def __init__(self, size: int, *, stride: int, padding: int, width: float = 0.66) -> None:
        super().__init__()
        self.size, self.stride, self.padding = size, stride, padding
        profile = gaussian(size, width)
        self.window = ExactTable(torch.outer(profile, profile))

    def forward(self, x: Tensor) -> Tensor:
        """Pool x [B, C, H, W]."""
        check_grid(x, x.shape[1], self.size, self.stride, self.padding)
        channels = x.shape[1]
        window = self.window.value.expand(channels, 1, -1, -1)
        return F.conv2d(x, window, None, self.stride, self.padding, groups=channels)


def gaussian(size: int, width: float) -> Tensor:
    """A Gaussian window of so many points, with the sum 1, float64 [size].

    Args:
        size: how many.
        width: the standard deviation in points.
    """
    distance = torch.arange(size, dtype=torch.float64) - (size - 1) / 2
    profile = torch.exp(-0.5 * (distance / width) ** 2)
    return profile / profile.sum()


class SoftDisc(nn.Module):
    """Fades the corners of an image out: 1 inside a disc, exp((R² − r²)/σ²) outside of it.

    Args:
        size: the side of the image in pixels.
        margin: how much smaller R is than (size − 1)/2, as a fraction of it.
        width: σ in pixels.
    """

    def __init__(self, size: int, *, margin: float = 0.01, width: float = 2.0) -> None:
        super().__init__()
        centre = (size - 1) / 2
        square = (torch.arange(size, dtype=torch.float64) - centre) ** 2
        outside = (square[:, None] + square - (centre * (1 - margin)) ** 2).clamp(min=0)
        self.mask = ExactTable(torch.exp(-outside / width**2))

    def forward(self, x: Tensor) -> Tensor:
        """Fade x [B, C, size, size]."""
        faded: Tensor = x * self.mask.value.to(x.dtype)
        return faded


def _kernel_spaces(inputs: FieldType, outputs: FieldType, size: int) -> list[list[Representation]]:
    """The kernels from each incoming to each outgoing block."""
    if inputs.group != outputs.group:
        raise RepresentationError(
            f"a convolution joins fields of one group; got {inputs.group.label} and {outputs.group.label}."
        )
    filters = filter_representation(inputs.group, size)
    return [[kernel_representation(sigma, rho, filters) for rho, _ in inputs.blocks] for sigma, _ in outputs.blocks]


def invariant_bias(fields: Fields) -> InvariantBias | None:
    """The bias of fields, None if they have no invariant directions."""
    return InvariantBias(fields) if any(len(fields.invariants(part)) for part, _ in fields.blocks) else None


def _invariants(rho: Representation) -> int:
    """The dimension of the space of invariant vectors."""
    return round(float(rho.character.mean()))


def check_channels(x: Tensor, channels: int, axes: int = 2) -> None:
    """Refuse what has not so many channels on a grid of so many axes."""
    if x.ndim != 2 + axes or x.shape[1] != channels:
        grid = "H, W" if axes == 2 else "D, H, W"
        raise ActionError(f"expected fields [B, {channels}, {grid}]; got shape {list(x.shape)}.")


def check_grid(x: Tensor, channels: int, size: int, stride: int, padding: int, axes: int = 2) -> None:
    """Refuse a grid at whose border no position of a window ends."""
    check_channels(x, channels, axes)
    what, points = ("image", "pixels") if axes == 2 else ("volume", "voxels")
    for length in x.shape[2:]:
        if (length + 2 * padding - size) % stride or length + 2 * padding < size:
            raise ActionError(
                f"a window of {size} {points} in steps of {stride} does not end at the border of {length} {points} padded "
                f"by {padding}, so that the result would not be equivariant. Crop or pad the {what}."
            )
