"""The inner products ⟨ρ(g)z₁, z₂⟩ of pairs of latents for all elements: the cross-correlation over the group."""

from __future__ import annotations

import torch
from torch import Tensor

from equilatent.groups import Group
from equilatent.latent._acting import Acting, Transform
from equilatent.latent._blocks import block_entries, orbit_blocks, rows_of
from equilatent.reps import (
    DirectSumRepresentation,
    PermutationRepresentation,
    Representation,
    TrivialRepresentation,
)

__all__ = ["as_real_rows", "cross_correlation"]


def cross_correlation(acting: Acting, z1: Tensor, z2: Tensor) -> Tensor:
    """Re ⟨ρ(g)z₁, z₂⟩ for each pair of latents and every element, [B, |G|].

    Args:
        acting: how ρ acts on latents like z₁.
        z1: latents [B, …] in the dtype in which they are computed with.
        z2: latents like z₁.
    """
    rho, group = acting.rho, acting.group
    if not isinstance(rho, Representation):
        return _by_orbits(acting.forward, group, z1, z2)
    axis = acting.axis % z1.ndim
    before, after = z1.shape[:axis].numel() // len(z1), z1.shape[axis + 1 :].numel()
    blocks = (z.reshape(len(z), before, rho.dim, after) for z in (z1, z2))
    return _of_blocks(rho, *blocks)


def _of_blocks(rho: Representation, z1: Tensor, z2: Tensor) -> Tensor:
    """The same for z₁ and z₂ [B, k, dim, m]: k·m vectors on which ρ acts alike, whose correlations add up."""
    group = rho.group
    if isinstance(rho, DirectSumRepresentation):
        total = z1.new_zeros(len(z1), group.order, dtype=z1.real.dtype)
        sizes = [part.dim * count for part, count in rho.blocks]
        for (part, count), *pieces in zip(rho.blocks, z1.split(sizes, 2), z2.split(sizes, 2), strict=True):
            if count:
                shape = (len(z1), z1.shape[1] * count, part.dim, z1.shape[3])
                total += _of_blocks(part, *(piece.reshape(shape) for piece in pieces))
        return total
    if isinstance(rho, TrivialRepresentation):
        return (as_real_rows(z1) * as_real_rows(z2)).sum(1, keepdim=True).expand(-1, group.order)
    few = rho.dim <= group.order and rho.dim * group.order <= block_entries(z1.device)
    if isinstance(rho, PermutationRepresentation) and few:
        return _by_products(rho, z1, z2)
    return _by_orbits(rho.apply_blocks, group, z1, z2)


def _by_products(rho: PermutationRepresentation, z1: Tensor, z2: Tensor) -> Tensor:
    """Where entry j of ρ(g)z is ± the entry g⁻¹·j of z: Σ_j ± M[g⁻¹·j, j] with M = Σ z₁ z₂ᵀ over the k·m vectors.

    For the regular representation it is Σ_h M[h, gh]. M takes k·m·dim² multiplications and the sums take dim·|G|
    additions, instead of k·m·dim·|G| multiplications of as many rearranged numbers.
    """
    order, dim = rho.group.order, rho.dim
    # ρ(g) applied to (1, 2, …, dim) tells from where each entry comes, and its sign.
    numbers = torch.arange(1.0, dim + 1, dtype=torch.float32, device=z1.device)
    moved = rho.apply_blocks(numbers.view(1, 1, dim, 1).expand(order, -1, -1, -1), rho.group.elements.to(z1.device))
    source, signs = moved.view(order, dim).abs().long() - 1, moved.view(order, dim).sign().to(z1.real.dtype)
    index = (source * dim + torch.arange(dim, device=z1.device)).view(1, -1)
    signed = bool((signs < 0).any())
    scores = []
    rows = rows_of(block_entries(z1.device), order * dim)
    for first, second in zip(z1.split(rows), z2.split(rows), strict=True):
        products = torch.einsum("bkim,bkjm->bij", first, second.conj()).real
        terms = products.flatten(1).gather(1, index.expand(len(first), -1)).view(-1, order, dim)
        scores.append((terms * signs if signed else terms).sum(2))
    return torch.cat(scores)


def _by_orbits(transform: Transform, group: Group, z1: Tensor, z2: Tensor) -> Tensor:
    """For any action: the orbit of z₁ in blocks, and inner products with z₂."""
    elements = group.elements.to(z1.device)
    scores = z1.new_empty(len(z1), len(elements), dtype=z1.real.dtype)
    rows = rows_of(block_entries(z1.device), z1[0].numel())
    for samples, some, moved in orbit_blocks(transform, z1, elements, rows):
        products = as_real_rows(moved.flatten(0, 1)).unflatten(0, moved.shape[:2])
        scores[samples, some] = (products @ as_real_rows(z2[samples])[..., None])[..., 0]
    return scores


def as_real_rows(z: Tensor) -> Tensor:
    """Latents [B, …] as real rows [B, d], whose inner product is the real part of that of the latents."""
    return (torch.view_as_real(z) if z.is_complex() else z).flatten(1)
