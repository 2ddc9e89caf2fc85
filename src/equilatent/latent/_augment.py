"""Latent augmentation: stored latents and their targets, transformed by drawn elements."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from equilatent._batches import check_batch_size
from equilatent.actions import SupportsAction
from equilatent.errors import EquilatentError, GroupError, LatentError
from equilatent.latent._acting import check_latents, check_same_group, transform_along

__all__ = ["AugmentedLatents", "augment"]


def augment(
    rho: SupportsAction,
    output: SupportsAction,
    z: Tensor,
    y: Tensor,
    *,
    generator: torch.Generator | None = None,
    g: Tensor | None = None,
    axis: int = 1,
) -> tuple[Tensor, Tensor]:
    """Latent augmentation: (ρ(g)z, g·y), each sample by its own element, drawn uniformly.

    For an equivariant encoder E these are the latents and targets of transformed inputs, E(g·x) and g·y, without the
    inputs and without a pass of the encoder. ρ need not be orthogonal.

    Args:
        rho: how the group acts on latents: a representation, or an action such as `actions.image` on latents
            [B, C, H, W].
        output: how it acts on targets, such as `actions.labels` or `actions.trivial`.
        z: latents [B, …], B > 0.
        y: targets [B, …].
        generator: the source of randomness.
        g: the elements, LongTensor [B], instead of drawn ones.
        axis: the axis of z along which a representation acts.

    Returns:
        The transformed latents and targets, tensors like z and y. Differentiable with respect to both.

    Raises:
        LatentError: for latents that are no floating tensor [B, …], for none at all, or for another number of targets.
        RepresentationError: if the representation does not fit the axis.
        ActionError: for actions of two groups, or targets that cannot be acted on.
        GroupError: if g is not one element for each latent.

    >>> import torch, equilatent as eq
    >>> C4 = eq.groups.cyclic(4)
    >>> rho, output = eq.reps.regular(C4), eq.actions.labels(C4)  # four directions, as features and as classes
    >>> z, y = torch.tensor([[1.0, 0, 0, 0], [0, 0, 1, 0]]), torch.tensor([0, 2])
    >>> eq.latent.augment(rho, output, z, y, g=torch.tensor([C4["r"], C4["r2"]]))
    (tensor([[0., 1., 0., 0.],
            [1., 0., 0., 0.]]), tensor([1, 0]))
    """
    check_same_group(rho, output)
    z = check_latents(z, "z", rho, axis)
    _check_targets(z, y)
    if g is None:
        g = rho.group.sample(len(z), generator=generator, device=z.device)
    elif generator is not None:
        raise EquilatentError("elements are given or drawn, not both: leave out g or generator.")
    elif not isinstance(g, Tensor) or g.shape != (len(z),):
        got = list(g.shape) if isinstance(g, Tensor) else repr(g)
        raise GroupError(f"g holds one element for each latent: expected a LongTensor [{len(z)}], got {got}.")
    return transform_along(rho, axis)(z, g), output(y, g)


class AugmentedLatents:
    """Stored latents and targets in batches, transformed by elements that are drawn afresh in every epoch.

    Iterate over it as over a `torch.utils.data.DataLoader`. Batches are taken out by index, so the latents may be memory
    mapped (``torch.load(…, mmap=True)``) and larger than the memory.

    Args:
        rho: how the group acts on latents, as in `augment`.
        output: how it acts on targets.
        z: latents [N, …], N > 0.
        y: targets [N, …].
        batch_size: the number of latents in a batch; the last one may be smaller.
        shuffle: whether each epoch has an order of its own.
        generator: the source of randomness of orders and elements.
        axis: the axis of z along which a representation acts.
        device: where batches go before they are transformed; they stay where z and y are by default.

    Raises:
        LatentError, RepresentationError, ActionError: as in `augment`.

    >>> import torch, equilatent as eq
    >>> G = eq.groups.dihedral(4)
    >>> z, y = torch.randn(100, 80), torch.randint(10, (100,))
    >>> rho, output = eq.reps.padded_regular(G, 80), eq.actions.trivial(G)
    >>> batches = eq.latent.AugmentedLatents(rho, output, z, y, batch_size=32, shuffle=True)
    >>> len(batches), [len(labels) for latents, labels in batches]
    (4, [32, 32, 32, 4])
    """

    def __init__(
        self,
        rho: SupportsAction,
        output: SupportsAction,
        z: Tensor,
        y: Tensor,
        *,
        batch_size: int = 512,
        shuffle: bool = False,
        generator: torch.Generator | None = None,
        axis: int = 1,
        device: torch.device | str | None = None,
    ) -> None:
        check_same_group(rho, output)
        _check_targets(check_latents(z, "z", rho, axis), y)
        transform_along(rho, axis)
        self.rho, self.output, self.z, self.y = rho, output, z, y
        self.batch_size, self.shuffle, self.generator = check_batch_size(batch_size), shuffle, generator
        self.axis, self.device = axis, device

    def __len__(self) -> int:
        return -(-len(self.z) // self.batch_size)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        order = None
        if self.shuffle:
            source = self.generator.device if self.generator is not None else "cpu"
            order = torch.randperm(len(self.z), generator=self.generator, device=source)
        for start in range(0, len(self.z), self.batch_size):
            batch = slice(start, start + self.batch_size)
            z, y = (self._take(tensor, batch, order) for tensor in (self.z, self.y))
            yield augment(self.rho, self.output, z, y, generator=self.generator, axis=self.axis)

    def _take(self, tensor: Tensor, batch: slice, order: Tensor | None) -> Tensor:
        taken = tensor[batch] if order is None else tensor[order[batch].to(tensor.device)]
        return taken if self.device is None else taken.to(self.device)


def _check_targets(z: Tensor, y: Tensor) -> None:
    if not isinstance(y, Tensor) or not y.ndim or len(y) != len(z):
        got = list(y.shape) if isinstance(y, Tensor) else type(y).__name__
        raise LatentError(f"y holds one target for each of {len(z)} latents, a tensor [{len(z)}, …]; got {got}.")
