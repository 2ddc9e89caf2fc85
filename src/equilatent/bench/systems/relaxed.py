"""Relaxed convolutions: equivariant where some of their weights are equal, which nothing forces them to be."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from equilatent.bench.systems.steerable import FieldType, kernel_basis
from equilatent.bench.systems.steerable._tables import ExactTable
from equilatent.errors import RepresentationError
from equilatent.reps import Representation, regular

__all__ = ["RelaxedGroupConv2d", "RelaxedSteerableConv2d"]


class RelaxedGroupConv2d(nn.Module):
    """A group convolution in which each element has a filter of its own, mixed of a few (Wang, Walters & Yu 2022).

    A function f on the group is made of the fields that come in: f(g) is their correlation with K_g = g·Σ_b w(b, g) W_b, in
    which g transforms the grid of the filter and its channels. It goes out as it is, in regular fields, or as the vector
    (1/|G|) Σ_g σ(g) f(g) of another representation σ, for which W_b has as many outputs as σ has dimensions. With w(b, g)
    the same for all g, as at the start, the layer is exactly equivariant. There is no bias.

    The filters are drawn uniformly, such that independent inputs of mean square 1 give outputs of mean square 2 in the
    middle of the image, which ReLU halves (He et al. 2015); between vectors it is a little more. The start of the source,
    ±1/√(size² · incoming fields), is 3 to 14 times smaller: as there is no norm, five layers with ReLU then begin with
    outputs at 5·10⁻⁵ of the inputs, and learn much later.

    The code of the source treats the components of vectors as scalars, which is not equivariant to turns of a vector field;
    here they transform as vectors do, with as many parameters.

    Args:
        inputs: the fields that come in.
        outputs: the fields that go out, of the same group.
        size: the side of the filters in pixels.
        stride: pixels from one position of the filter to the next.
        padding: zeros around the image.
        banks: how many filters are mixed.

    Attributes:
        weight: the filters W, by bank, [banks·outputs, inputs.dim, size, size]; an output is a copy, or one of its σ.dim
            components.
        mixture: w, [banks, order].

    Raises:
        RepresentationError: for fields of two groups, or of several representations.

    >>> import torch, equilatent as eq
    >>> G = eq.groups.cyclic(4)
    >>> scalar, field = FieldType((eq.reps.trivial(G),), 2), FieldType((eq.reps.regular(G),), 3)
    >>> RelaxedGroupConv2d(scalar, field, 3, padding=1)(torch.randn(2, 2, 9, 9)).shape
    torch.Size([2, 12, 9, 9])
    """

    def __init__(
        self, inputs: FieldType, outputs: FieldType, size: int, *, stride: int = 1, padding: int = 0, banks: int = 2
    ) -> None:
        super().__init__()
        (rho, _), (sigma, going) = _parts(inputs, outputs)
        group = inputs.group
        self.stride, self.padding, self.banks, self.size = stride, padding, banks, size
        self.act = inputs.action()
        self.register_buffer("elements", group.elements, persistent=False)
        self.start = 1 / (banks * group.order) if _is_regular(rho) else 1 / banks
        # A function on the group is regular fields as it is.
        self.mean = None if _is_regular(sigma) else ExactTable(sigma.matrix(group.elements) / group.order)
        self.outputs = going if self.mean is None else going * sigma.dim
        self.weight = nn.Parameter(torch.empty(banks * self.outputs, inputs.dim, size, size))
        self.mixture = nn.Parameter(torch.empty(banks, group.order))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the filters anew, and make their mixtures equal."""
        nn.init.constant_(self.mixture, self.start)
        # The mean over the group keeps this share of the square, where regular fields come in.
        kept = 1 if self.mean is None else 1 / len(self.get_buffer("elements"))
        variance = 2 / (self.weight[0].numel() * kept * self.banks * self.start**2)
        nn.init.uniform_(self.weight, -math.sqrt(3 * variance), math.sqrt(3 * variance))

    def kernel(self) -> Tensor:
        """The kernel of the ordinary convolution that this layer is, [outputs.dim, inputs.dim, size, size]."""
        elements = self.get_buffer("elements")
        with torch.autocast(self.weight.device.type, enabled=False):
            mixed = torch.einsum("bg,bo...->go...", self.mixture, self.weight.unflatten(0, (self.banks, -1)))
            filters: Tensor = self.act(mixed.flatten(0, 1), elements.repeat_interleave(self.outputs))
            filters = filters.unflatten(0, (len(elements), self.outputs))
            if self.mean is None:
                kernel = filters.transpose(0, 1)
            else:
                vectors = filters.unflatten(1, (-1, self.mean.value.shape[-1]))
                kernel = torch.einsum("gds,gns...->nd...", self.mean.value, vectors)
            return kernel.flatten(0, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Convolve x [B, inputs.dim, H, W]."""
        return F.conv2d(x, self.kernel(), None, self.stride, self.padding)


class RelaxedSteerableConv2d(nn.Module):
    """A steerable convolution with weights of their own for each position in the kernel (Wang, Walters & Yu 2022).

    The kernel from field i to field o is K(x) = Σ_b w(o, i, b, x) B_b(x), with the basis B of the equivariant kernels
    (`kernel_basis`; elements of norm √dim of the outgoing representation, as in `SteerableConv2d`). Where w is the same for
    all x, the kernel is equivariant; `variation` says how far it is from that. The bias is one for each channel, which is
    equivariant only where it is invariant. Both are drawn uniformly from ±1/√(size² · incoming fields), so that a layer does
    not start equivariant.

    Args:
        inputs: the fields that come in.
        outputs: the fields that go out, of the same group.
        size: the side of the kernel in pixels: 1, 3, 5 or 7.
        stride: pixels from one position of the kernel to the next.
        padding: zeros around the image.

    Attributes:
        weight: w, [outgoing fields, incoming fields, elements, size²], positions row by row. There are more of them than
            the kernels they make have dimensions, as for 3×3 pixels between regular fields of C4: 24·9, but 132.
        bias: [outputs.dim].

    Raises:
        RepresentationError: for fields of two groups, or of several representations.
        ActionError: if the group does not act on images, or for another size.

    >>> import torch, equilatent as eq
    >>> field = FieldType((eq.reps.regular(eq.groups.cyclic(4)),), 3)
    >>> layer = RelaxedSteerableConv2d(field, field, 3, padding=1)
    >>> layer(torch.randn(2, 12, 9, 9)).shape, layer.weight.shape
    (torch.Size([2, 12, 9, 9]), torch.Size([3, 3, 24, 9]))
    """

    def __init__(self, inputs: FieldType, outputs: FieldType, size: int, *, stride: int = 1, padding: int = 0) -> None:
        super().__init__()
        (rho, coming), (sigma, going) = _parts(inputs, outputs)
        self.stride, self.padding, self.size = stride, padding, size
        self.basis = ExactTable(kernel_basis(sigma, rho, size).flatten(3) * math.sqrt(sigma.dim))
        self.weight = nn.Parameter(torch.empty(going, coming, len(self.basis.value), size**2))
        self.bias = nn.Parameter(torch.empty(outputs.dim))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the weights and the bias anew."""
        bound = (self.size**2 * self.weight.shape[1]) ** -0.5
        nn.init.uniform_(self.weight, -bound, bound)
        nn.init.uniform_(self.bias, -bound, bound)

    def variation(self) -> Tensor:
        """The mean of |w(x) − w(x′)| over all weights and all positions x′ that follow a position x row by row."""
        return self.weight.diff(dim=3).abs().mean()

    def kernel(self) -> Tensor:
        """The kernel of the ordinary convolution that this layer is, [outputs.dim, inputs.dim, size, size]."""
        with torch.autocast(self.weight.device.type, enabled=False):
            blocks: Tensor = torch.einsum("oibx,bsrx->osirx", self.weight, self.basis.value)
            outputs, copies, channels = len(self.bias), *blocks.shape[2:4]
            return blocks.reshape(outputs, copies * channels, self.size, self.size)

    def forward(self, x: Tensor) -> Tensor:
        """Convolve x [B, inputs.dim, H, W]."""
        return F.conv2d(x, self.kernel(), self.bias, self.stride, self.padding)


def _parts(inputs: FieldType, outputs: FieldType) -> tuple[tuple[Representation, int], tuple[Representation, int]]:
    """ρ and σ with their copies, refused if there are others."""
    if inputs.group != outputs.group:
        raise RepresentationError(
            f"a convolution joins fields of one group; got {inputs.group.label} and {outputs.group.label}."
        )
    for name, fields in (("inputs", inputs), ("outputs", outputs)):
        if len(fields.blocks) > 1:
            raise RepresentationError(
                f"a relaxed convolution joins copies of one representation with copies of another; {name} are "
                f"{fields.representation.label}. Take eq.reps.direct_sum of them as one part."
            )
    return inputs.blocks[0], outputs.blocks[0]


def _is_regular(rho: Representation) -> bool:
    """Whether it is the regular representation in its usual basis."""
    elements = rho.group.elements
    return rho.dim == rho.group.order and torch.equal(rho.matrix(elements), regular(rho.group).matrix(elements))
