"""Kernels between two representations, the equivariant ones among them, and weights over the group."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from equilatent.bench.systems.steerable._filters import band_limited_filters, filter_representation
from equilatent.bench.systems.steerable._tables import ExactTable
from equilatent.errors import GroupError, RepresentationError
from equilatent.groups import Group
from equilatent.reps import Representation, dual, irreps, isotypic_projector, regular, tensor

__all__ = [
    "GroupLikelihood",
    "alignment",
    "divergence",
    "invariant_vectors",
    "kernel_basis",
    "kernel_representation",
    "sample_kernels",
]

#: What is left of a unit vector counts as nothing below this.
_NOTHING = 1e-6


def kernel_representation(outputs: Representation, inputs: Representation, filters: Representation) -> Representation:
    """ρ_out ⊗ ρ_in* ⊗ ρ_filters, of which the kernels from ρ_in to ρ_out are the vectors.

    The vector C [dim out · dim in · filters] is the kernel K(x) = Σ_f C_f B_f(x) with the filters B of
    `band_limited_filters`; g takes K to ρ_out(g) K(g⁻¹x) ρ_in(g)⁻¹.

    Args:
        outputs: ρ_out, real.
        inputs: ρ_in, real, of the same group.
        filters: ρ_filters, from `filter_representation`.
    """
    return tensor(outputs, dual(inputs), filters)


def kernel_basis(outputs: Representation, inputs: Representation, size: int) -> Tensor:
    """A basis of the band-limited equivariant kernels: K(gx) = ρ_out(g) K(x) ρ_in(g)⁻¹ for all g.

    The elements are orthonormal in the coefficients of the filters and so have norm 1 on the grid; those of one ring are
    orthogonal there too. The same group gives the same basis on every machine, as long as its representations do.

    Args:
        outputs: ρ_out, real and orthogonal.
        inputs: ρ_in, real and orthogonal, of the same group.
        size: the side of the grid in pixels: 1, 3, 5 or 7.

    Returns:
        float64 [elements, dim out, dim in, size, size].

    Raises:
        ActionError: if the group does not act on images, or for another size.
        RepresentationError: for representations of two groups.

    >>> import equilatent as eq
    >>> rho = eq.reps.regular(eq.groups.cyclic(4))
    >>> kernel_basis(rho, rho, 3).shape
    torch.Size([24, 4, 4, 3, 3])
    """
    filters = filter_representation(outputs.group, size)
    vectors = invariant_vectors(kernel_representation(outputs, inputs, filters))
    return sample_kernels(vectors, size).view(-1, outputs.dim, inputs.dim, size, size)


def sample_kernels(vectors: Tensor, size: int) -> Tensor:
    """The entries of kernels whose coefficients are vectors of a `kernel_representation`.

    Args:
        vectors: [..., dim out · dim in · filters].
        size: the side of the grid in pixels.

    Returns:
        [..., dim out · dim in · size · size].
    """
    filters = band_limited_filters(size).flatten(1)
    kernels: Tensor = vectors.unflatten(-1, (-1, len(filters))) @ filters
    return kernels.flatten(-2)


def invariant_vectors(rho: Representation) -> Tensor:
    """An orthonormal basis of the vectors that a real orthogonal representation leaves alone, float64 [vectors, dim].

    >>> import equilatent as eq
    >>> invariant_vectors(eq.reps.regular(eq.groups.cyclic(4)))
    tensor([[0.5000, 0.5000, 0.5000, 0.5000]], dtype=torch.float64)
    """
    projector = rho.matrix(rho.group.elements).mean(0)
    if projector.is_complex() or (projector - projector.T).abs().max() > 1e-9:
        raise RepresentationError(f"{rho.label} of {rho.group.label} is not real and orthogonal; take real irreps.")
    return _orthonormal_rows(projector)


def _orthonormal_rows(projector: Tensor) -> Tensor:
    """An orthonormal basis of a symmetric projector's image, [rank, dim]: Gram and Schmidt's method on its rows in order.

    Unlike eigenvectors, which are arbitrary where the eigenvalue is multiple, these do not depend on the machine (weights
    on them can be stored), and rows that have no entry in common stay apart: a kernel is on one ring of filters.
    """
    done = torch.zeros(0, projector.shape[1], dtype=projector.dtype)
    for row in projector:
        for _ in range(2):  # a second round removes what rounding left of the first
            row = row - (done @ row) @ done
        if row.norm() > _NOTHING:
            done = torch.cat([done, (row / row.norm())[None]])
    assert len(done) == round(float(projector.trace()))
    return done


class GroupLikelihood(nn.Module):
    """A learned positive function λ on a finite group, of mean 1: how much each element counts as a symmetry.

    λ = exp ℓ / mean exp ℓ. The parameters are the real Fourier coefficients of ℓ, one for each element of the group in
    total, over functions of mean square 1 (Veefkind & Cesa 2024). At the start only the coefficient of the constant is
    1, so that λ is uniform.

    Args:
        group: the finite group.

    >>> import equilatent as eq
    >>> GroupLikelihood(eq.groups.cyclic(4)).log_values().exp()
    tensor([1., 1., 1., 1.], grad_fn=<ExpBackward0>)
    """

    def __init__(self, group: Group) -> None:
        super().__init__()
        if group.order < 2:
            raise GroupError(f"a likelihood is learned over a group of at least two elements; got {group.label}.")
        self.group = group
        rho = regular(group)
        others = [_orthonormal_rows(isotypic_projector(rho, sigma)) for sigma in irreps(group, field="real")[1:]]
        # The constant is exact, so that no element is ahead of the identity by a rounding error at the start.
        constant = torch.ones(group.order, 1, dtype=torch.float64)
        self.functions = ExactTable(torch.cat([constant, torch.cat(others).T * math.sqrt(group.order)], dim=1))
        self.coefficients = nn.Parameter(torch.zeros(group.order))
        self.reset_parameters()

    @property
    def measure(self) -> None:
        """None, since each element has the same weight in a mean over the group."""
        return

    def reset_parameters(self) -> None:
        """Make λ uniform."""
        with torch.no_grad():
            self.coefficients.zero_()
            self.coefficients[0] = 1

    def log_values(self) -> Tensor:
        """The logarithm of λ(g) for each element, [order]."""
        values = self.functions.value @ self.coefficients
        return values - values.logsumexp(0) + math.log(self.group.order)

    def degree(self) -> Tensor:
        """The entropy of the distribution λ/|G|, divided by log |G|: between 0 and 1.

        1 for a uniform λ: the layer is equivariant to all of G. 0 if λ is concentrated on one element: no constraint.
        log|H| / log|G| if λ is uniform on a subgroup H and 0 elsewhere: equivariant to H.
        """
        values = self.log_values()
        return (1 - divergence(values, torch.zeros_like(values)) / math.log(self.group.order)).clamp(0, 1)


def divergence(log_p: Tensor, log_q: Tensor, measure: Tensor | None = None) -> Tensor:
    """The Kullback–Leibler divergence mean(p (log p − log q)) of two positive functions of mean 1 on a group.

    Args:
        log_p: log p(g), [order].
        log_q: log q(g), [order].
        measure: the weight of each element in a mean, [order]; all alike by default.
    """
    terms = log_p.exp() * (log_p - log_q)
    return terms.mean() if measure is None else measure @ terms


def alignment(log_values: Tensor) -> Tensor:
    """How far log λ at the identity, element 0, is below its maximum: max_g log λ(g) − log λ(e).

    The gradient is 0 where the identity is a maximum, also if it is not the only one.
    """
    return (log_values[1:].max() - log_values[0]).relu()
