"""The orbit of latents: all ρ(g)z, at once or in batches."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from equilatent._batches import check_batch_size
from equilatent.actions import SupportsAction
from equilatent.errors import GroupError
from equilatent.groups import Group
from equilatent.latent._acting import check_latents, transform_along
from equilatent.latent._blocks import orbit_blocks

__all__ = ["orbit", "orbit_batches"]


def orbit(rho: SupportsAction, z: Tensor, *, elements: Tensor | None = None, axis: int = 1) -> Tensor:
    """The orbit of each latent: ρ(g)z for every element g.

    For an equivariant encoder it holds the latents of the sample in all its poses, without another pass of the encoder.
    `orbit_batches` does the same where the result would be too large.

    Args:
        rho: how the group acts on latents: a representation, or an action such as `actions.image` on latents
            [B, C, H, W].
        z: latents [B, …], B > 0.
        elements: LongTensor [n] of elements; all of them by default, n = |G|.
        axis: the axis along which a representation acts.

    Returns:
        [B, n, …], where entry [b, i] is ρ(elements[i]) z[b]. Differentiable with respect to z.

    Raises:
        LatentError: for latents that are no floating tensor [B, …], or for none at all.
        RepresentationError: if the representation does not fit the axis.
        GroupError: for elements that are none, or no elements.
        GroupTooLargeError: if the group is too large to be listed and no elements are given.

    >>> import torch, equilatent as eq
    >>> rho = eq.reps.regular(eq.groups.cyclic(3))
    >>> eq.latent.orbit(rho, torch.tensor([[10.0, 11.0, 12.0]]))
    tensor([[[10., 11., 12.],
             [12., 10., 11.],
             [11., 12., 10.]]])
    """
    z = check_latents(z, "z", rho, axis)
    chosen = _elements(rho.group, elements, z.device)
    ((_, _, latents),) = orbit_blocks(transform_along(rho, axis), z, chosen, len(z) * len(chosen))
    return latents


def orbit_batches(
    rho: SupportsAction, z: Tensor, *, elements: Tensor | None = None, batch_size: int = 4096, axis: int = 1
) -> Iterator[tuple[slice, slice, Tensor]]:
    """The orbit of each latent in batches, in memory that does not grow with the group or with the number of latents.

    The arguments are those of `orbit`, and `batch_size`, the largest number of pairs (latent, element) in a batch.

    Yields:
        The slice of the latents, the slice of the elements, and ``orbit(…)[latents, elements]``. A batch holds all
        elements of some latents, or some elements of one latent.

    >>> import torch, equilatent as eq
    >>> rho = eq.reps.regular(eq.groups.cyclic(3))
    >>> for samples, elements, latents in eq.latent.orbit_batches(rho, torch.randn(5, 3), batch_size=6):
    ...     print(samples.start, samples.stop, tuple(latents.shape))
    0 2 (2, 3, 3)
    2 4 (2, 3, 3)
    4 5 (1, 3, 3)
    """
    z = check_latents(z, "z", rho, axis)
    chosen = _elements(rho.group, elements, z.device)
    return orbit_blocks(transform_along(rho, axis), z, chosen, check_batch_size(batch_size))


def _elements(group: Group, elements: Tensor | None, device: torch.device) -> Tensor:
    chosen = group.check(group.elements if elements is None else elements, device)
    if chosen.ndim != 1 or not len(chosen):
        raise GroupError(
            f"elements is a LongTensor [n] of elements of {group.label}, n > 0; got shape {list(chosen.shape)}."
        )
    return chosen
