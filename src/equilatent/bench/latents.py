"""Representations on a latent by the names that they have on the command line."""

from __future__ import annotations

import torch
from torch import Tensor

import equilatent as eq
from equilatent.actions import Action, SupportsAction
from equilatent.groups import Group

__all__ = ["latent_action"]


def latent_action(group: Group, name: str, features: int) -> SupportsAction | None:
    """How the group acts on so many features.

    Args:
        group: the group; for ``"defining"`` a direct product of groups of motions.
        name: ``"regular"``, ``"trivial"``, ``"defining"`` (as many copies of the spaces that the factors act on as fit, the
            rest trivial) or ``"wrong"`` (a permutation drawn for each element, which is no representation).
        features: how many.

    Returns:
        The action, or None if there are too few features for one copy.
    """
    if name == "regular":
        return eq.reps.padded_regular(group, features) if features >= group.order else None
    if name == "trivial":
        return eq.actions.trivial(group)
    return _wrong(group, features) if name == "wrong" else _defining(group, features)


def _defining(group: Group, features: int) -> SupportsAction | None:
    factors = [eq.reps.defining(factor) for factor in group.factors]
    images = {
        x: torch.block_diag(*(rho.matrix(h) for rho, h in zip(factors, group.split(g), strict=True)))
        for x, g in group.generators.items()
    }
    planes = eq.reps.from_matrices(group, images, label="defining")
    copies, rest = divmod(features, planes.dim)
    return eq.reps.direct_sum(*[planes] * copies, *[eq.reps.trivial(group)] * rest) if copies else None


def _wrong(group: Group, features: int) -> Action:
    generator = torch.Generator().manual_seed(0)
    order = torch.rand(group.order, features, generator=generator).argsort(1)
    order[0] = torch.arange(features)

    def permutations_of_no_representation(latent: Tensor, g: Tensor) -> Tensor:
        return latent.gather(1, order.to(latent.device)[g])

    return eq.actions.function(group, permutations_of_no_representation)
