"""The element of the group that carries one latent to another: relative pose."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from equilatent.actions import SupportsAction
from equilatent.errors import LatentError
from equilatent.groups import Group
from equilatent.latent._acting import check_finite, check_latents, computing_dtype, orthogonal_acting
from equilatent.latent._correlation import cross_correlation

__all__ = ["Match", "match", "unit"]


@dataclass(frozen=True)
class Match:
    """The element g of each pair of latents for which ρ(g)z₁ is nearest to z₂.

    ``rho(z1, match.element)`` aligns z₁ with z₂.

    Attributes:
        group: the group.
        element: the best element, LongTensor [B]; of several with the same score the smallest.
        score: the cosine of ρ(g)z₁ and z₂ for it, in [−1, 1] up to rounding, [B]; 1 if it carries z₁ to a multiple of z₂,
            0 if one of them is zero.
        margin: the score less that of the second best element, ≥ 0, [B]; 0 if two are equally good. Infinite for the
            trivial group, which has no second element.
        ties: the elements whose score is within the tolerance of the best, bool [B, |G|]. For a z₁ that some elements
            leave as it is these are g·h for all such h: its pose is known up to its own symmetry.
    """

    group: Group
    element: Tensor
    score: Tensor
    margin: Tensor
    ties: Tensor


@torch.no_grad()
def match(rho: SupportsAction, z1: Tensor, z2: Tensor, *, tolerance: float = 1e-4, axis: int = 1) -> Match:
    """For each pair of latents, the element g that carries the first best to the second.

    It maximises ⟨ρ(g)z₁, z₂⟩ over the group, and so minimises ‖ρ(g)z₁ − z₂‖, since ρ is orthogonal. For an equivariant
    encoder it is the pose of the second input relative to the first: z₂ = E(g·x) gives g for z₁ = E(x). Pairs transformed
    by a and b have the element b g a⁻¹.

    Copies of the regular representation are matched by the cross-correlation over the group,
    g ↦ Σ_copies Σ_h z₁[h] z₂[gh]: one product of [|G|, copies] and [copies, |G|] for each pair and one gather. Other
    permutation representations likewise; everything else by the orbit of z₁, in blocks.

    Args:
        rho: how the group acts on latents: an orthogonal representation, an action that only rearranges entries, or a
            `reps.LearnedRepresentation` with orthogonal matrices.
        z1: latents [B, …], B > 0; of complex ones the real part of the inner product counts.
        z2: latents of the same shape. Half precision is computed in float32.
        tolerance: how much less than the best score an element may have to count as a tie. The default is above the
            rounding of float32; for approximately equivariant latents choose it by their error.
        axis: the axis along which a representation acts.

    Raises:
        LatentError: for latents that are no floating tensors [B, …], for none at all, or of two shapes.
        RepresentationError: if the representation does not fit the axis, or is not orthogonal.
        ActionError: if an action is not linear or changes lengths, which is tried on random latents.
        NonFiniteError: if a latent holds NaN or infinity.

    >>> import torch, equilatent as eq
    >>> G = eq.groups.dihedral(4)
    >>> rho = eq.reps.multiple(eq.reps.regular(G), 10)
    >>> z = torch.randn(100, 80, generator=torch.Generator().manual_seed(0))
    >>> g = G.sample(100)
    >>> found = eq.latent.match(rho, z, rho(z, g))
    >>> torch.equal(found.element, g), found.ties.sum(1).max().item()
    (True, 1)
    >>> torch.allclose(rho(z, found.element), rho(z, g))
    True
    """
    z1, z2 = check_latents(z1, "z1", rho, axis), check_latents(z2, "z2", rho, axis)
    if z1.shape != z2.shape:
        raise LatentError(
            f"z1 and z2 hold pairs of latents, of one shape; got {list(z1.shape)} and {list(z2.shape)}. To compare all "
            "with one, expand it: z2.expand_as(z1)."
        )
    if not tolerance >= 0:
        raise LatentError(f"tolerance is a difference of cosines ≥ 0; got {tolerance!r}.")
    check_finite(z1, "z1")
    check_finite(z2, "z2")
    dtype = computing_dtype(z1, z2)
    acting = orthogonal_acting(rho, axis, z1)
    scores = cross_correlation(acting, unit(z1.to(dtype)), unit(z2.to(z1.device, dtype)))
    element = scores.argmax(1)
    score = scores.gather(1, element[:, None])
    if scores.shape[1] > 1:
        margin = scores.topk(2, dim=1).values.diff(dim=1).neg()[:, 0]
    else:
        margin = torch.full_like(score[:, 0], torch.inf)
    return Match(rho.group, element, score[:, 0], margin, scores >= score - tolerance)


def unit(z: Tensor) -> Tensor:
    """Latents of length 1, in the same direction; zero stays zero."""
    flat = z.flatten(1)
    # The largest entry first: the squares of very large and of very small numbers overflow or vanish.
    flat = flat / _or_one(flat.abs().amax(1, keepdim=True))
    flat = flat / _or_one(torch.linalg.vector_norm(flat, dim=1, keepdim=True))
    return flat.view(z.shape)


def _or_one(length: Tensor) -> Tensor:
    return torch.where(length == 0, 1.0, length)
