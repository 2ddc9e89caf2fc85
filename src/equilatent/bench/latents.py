"""Representations on a latent by the names that they have on the command line."""

from __future__ import annotations

import torch
from torch import Tensor, nn

import equilatent as eq
from equilatent.actions import Action, SupportsAction
from equilatent.groups import Group

__all__ = ["feature_map_action", "latent_action"]


def latent_action(group: Group, name: str, features: int) -> SupportsAction | None:
    """How the group acts on so many features.

    Args:
        group: the group; for ``"defining"`` a direct product of groups of motions.
        name: ``"regular"``, ``"trivial"``, ``"defining"`` (as many copies of the spaces that the factors act on as fit, the
            rest trivial), ``"wrong"`` (a permutation drawn for each element, which is no representation) or ``"reversed"``
            (g acts by the regular representation of g⁻¹, which composes in the wrong order).
        features: how many.

    Returns:
        The action, or None if there are too few features for one copy.
    """
    if name in ("regular", "reversed"):
        if features < group.order:
            return None
        rho = eq.reps.padded_regular(group, features)
        return rho if name == "regular" else eq.actions.function(group, _Reversed(rho))
    if name == "trivial":
        return eq.actions.trivial(group)
    return _wrong(group, features) if name == "wrong" else _defining(group, features)


def feature_map_action(group: Group, name: str, channels: int, side: int) -> SupportsAction:
    """How the group acts on feature maps [B, channels, side, side].

    Args:
        group: a group that acts on images.
        name: ``"grid"`` (the grid turns, as an image does), ``"regular"`` (over channels), ``"both"``, ``"flat"`` (regular
            over all numbers in a row, the rest trivial), ``"trivial"`` or ``"wrong"`` (a permutation of the points drawn for
            each element, which is no representation).
        channels: how many; a multiple of the order for ``"regular"`` and ``"both"``.
        side: points of the grid along each axis.

    On an even grid every orbit of points under quarter turns has four, so that ``"grid"`` is copies of the regular
    representation; on an odd grid the point in the middle is an orbit of its own:

    >>> G = eq.groups.cyclic(4)
    >>> def points_that_stay(side):
    ...     act, delta = feature_map_action(G, "grid", 1, side), torch.eye(side * side).view(-1, 1, side, side)
    ...     return [int((act(delta, torch.full((side * side,), g)) * delta).sum()) for g in range(4)]
    >>> points_that_stay(4), points_that_stay(5)   # the character; regular has |G| times copies at the identity, else 0
    ([16, 0, 0, 0], [25, 1, 1, 1])
    """
    over_channels = eq.actions.channels(eq.reps.regular(group))
    if name == "trivial":
        return eq.actions.trivial(group)
    if name == "regular":
        return over_channels
    if name == "both":
        return eq.actions.compose(eq.actions.image(group), over_channels)
    if name == "grid":
        return eq.actions.image(group)
    rho = eq.reps.padded_regular(group, channels * side**2) if name == "flat" else _wrong(group, side**2)

    def act(latent: Tensor, g: Tensor) -> Tensor:
        if name == "flat":
            acted: Tensor = rho(latent.flatten(1), g)
        else:
            acted = rho(latent.flatten(2).flatten(0, 1), g.repeat_interleave(channels))
        return acted.view(latent.shape)

    return eq.actions.function(group, act)


class _Reversed(nn.Module):
    """g acts by ρ(g⁻¹)."""

    def __init__(self, rho: eq.reps.Representation) -> None:
        super().__init__()
        self.rho = rho

    def forward(self, latent: Tensor, g: Tensor) -> Tensor:
        acted: Tensor = self.rho(latent, self.rho.group.inverse(g))
        return acted


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
