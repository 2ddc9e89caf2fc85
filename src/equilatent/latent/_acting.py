"""What acts on latents: a representation along one axis, or an action; and the checks of both."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from equilatent.actions import SupportsAction, describe_action
from equilatent.errors import ActionError, LatentError, NonFiniteError, RepresentationError
from equilatent.groups import Group
from equilatent.reps import (
    DirectSumRepresentation,
    InducedRepresentation,
    LearnedRepresentation,
    MatrixRepresentation,
    PermutationRepresentation,
    PulledBackRepresentation,
    Representation,
    TensorRepresentation,
    TrivialRepresentation,
)
from equilatent.reps._representation import check_size

__all__ = [
    "Acting",
    "Transform",
    "check_finite",
    "check_latents",
    "check_same_group",
    "computing_dtype",
    "is_orthogonal",
    "orthogonal_acting",
    "transform_along",
]

#: ``transform(z, g)``: latents [B, …], each transformed by its own element of g, LongTensor [B].
Transform = Callable[[Tensor, Tensor], Tensor]

#: How far ρ(g)ᵀρ(g)x may be from x in an entry, for normal vectors x; and |ρ(g)x|² from |x|², relatively.
_TOLERANCE = 1e-4
_PROBES = 4


@dataclass(frozen=True)
class Acting:
    """An orthogonal action on latents.

    Attributes:
        group: the group.
        rho: the representation or action; a learned representation with its matrices at hand.
        axis: the axis of the latents along which a representation acts.
        forward: z ↦ ρ(g)z.
        adjoint: z ↦ ρ(g)ᵀz (the conjugate transpose, for complex latents).
    """

    group: Group
    rho: SupportsAction
    axis: int
    forward: Transform
    adjoint: Transform


def transform_along(rho: SupportsAction, axis: int) -> Transform:
    """The function z ↦ ρ(g)z of a representation along an axis, or for an action, which knows its own axes."""
    if isinstance(rho, Representation | LearnedRepresentation):
        return functools.partial(rho, dim=axis)
    if axis != 1:
        raise ActionError(
            f"axis={axis} says along which axis of the latents a representation acts; {describe_action(rho)} knows its "
            "own axes. Leave axis out."
        )
    return rho


def orthogonal_acting(rho: SupportsAction, axis: int, z: Tensor) -> Acting:
    """How ρ acts on latents like z, refused unless it is orthogonal there.

    Raises:
        RepresentationError: if a representation is not orthogonal.
        ActionError: if an action is not linear, or changes lengths.
    """
    group = rho.group
    if isinstance(rho, LearnedRepresentation):
        check_size(group, rho.dim)
        # ρ(g⁻¹) is ρ(g)ᵀ only so far as the matrices have become a representation, so both are at hand.
        table = rho.matrix(group.elements).detach().double()
        fixed = MatrixRepresentation(group, table, label="learned matrices")
        _check_representation(fixed, "Train it with LearnedRepresentation(…, orthogonal=True)")
        transposed = MatrixRepresentation(group, table.mT, label="learned matrices")
        return Acting(group, fixed, axis, transform_along(fixed, axis), transform_along(transposed, axis))
    forward = transform_along(rho, axis)
    if isinstance(rho, Representation):
        _check_representation(rho, "In the basis of eq.reps.decompose(rho) it is a sum of orthogonal irreps")
    else:
        _check_action(rho, z)
    return Acting(group, rho, axis, forward, lambda z, g: forward(z, group.inverse(g)))


def is_orthogonal(rho: Representation) -> bool:
    """Whether every ρ(g) is orthogonal (unitary, where it is complex).

    Permutations are, and so are sums, products, pull-backs and inductions of what is. Anything else is asked for the
    matrices of the generators, since products of orthogonal matrices are orthogonal, and ρ(g)ᵀρ(g)x is compared with x
    for a few normal vectors x (Freivalds, "Probabilistic machines can use less running time", 1977). That costs as much
    as applying ρ to so many latents, and misses almost no matrix that is not orthogonal.
    """
    if isinstance(rho, TrivialRepresentation | PermutationRepresentation):
        return True
    if isinstance(rho, DirectSumRepresentation):
        return all(is_orthogonal(part) for part, count in rho.blocks if count)
    if isinstance(rho, TensorRepresentation):
        return is_orthogonal(rho.left) and is_orthogonal(rho.right)
    if isinstance(rho, PulledBackRepresentation | InducedRepresentation):
        return is_orthogonal(rho.rho)
    x = _normal((rho.dim, _PROBES), torch.float64)
    for g in rho.group.generators.values():
        matrix = rho.matrix(g)
        probes = x.to(matrix.device, matrix.dtype)
        if not bool(((matrix.mH @ (matrix @ probes) - probes).abs() <= _TOLERANCE).all()):
            return False
    return True


def _check_representation(rho: Representation, remedy: str) -> None:
    if not is_orthogonal(rho):
        raise RepresentationError(
            f"latents are compared under an orthogonal ρ, for which the largest inner product is the smallest distance; "
            f"{rho.label} of {rho.group.label} is not orthogonal: ρ(g)ᵀρ(g) is not the identity. {remedy}."
        )


def _check_action(act: SupportsAction, z: Tensor) -> None:
    """Refuse an action that is not linear, or changes the lengths of random latents, under a generator.

    For a linear map A that is not orthogonal, |Ax|² = |x|² holds for almost no normal x. That the action obeys the law
    g·(h·x) = (gh)·x is not checked here; `equilatent.testing.assert_action` does.
    """
    generators = torch.tensor(list(act.group.generators.values()), device=z.device).repeat(_PROBES)
    if not len(generators):
        return
    dtype = computing_dtype(z)
    x, y = _normal((2, len(generators), *z.shape[1:]), dtype).to(z.device)
    moved = act(x, generators)
    # The other summand meets the same map in a batch of other samples.
    together = act(x + 2 * y, generators) - 2 * act(y, generators)
    if not torch.allclose(together, moved, rtol=0, atol=_TOLERANCE * float(x.abs().max())):
        raise ActionError(
            f"latents are compared under a linear action that keeps lengths; {describe_action(act)} is not linear."
        )
    before, after = (part.flatten(1).abs().square().sum(1) for part in (x, moved))
    worst = int(((after - before).abs() / before).argmax())
    if not bool((after[worst] - before[worst]).abs() <= _TOLERANCE * before[worst]):
        raise ActionError(
            f"latents are compared under an action that keeps lengths, for which the largest inner product is the smallest "
            f"distance; {describe_action(act)} changes them: {act.group.name(int(generators[worst]))!r} multiplies the "
            f"length of a random latent by {float((after[worst] / before[worst]).sqrt()):.3g}. Use an action that only "
            "rearranges entries, such as eq.actions.image, or an orthogonal representation."
        )


def computing_dtype(*latents: Tensor) -> torch.dtype:
    """The common dtype of latents, of float32 precision at least."""
    return functools.reduce(torch.promote_types, [z.dtype for z in latents], torch.float32)


def _normal(shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(0), dtype=dtype)


def check_latents(z: object, name: str, rho: SupportsAction, axis: int = 1) -> Tensor:
    """The latents [B, …], refused unless there are any, of floating numbers, and as wide as the representation.

    Raises:
        LatentError: if they are no floating tensor [B, …] with B > 0.
        RepresentationError: if a representation does not fit their axis.
    """
    if not isinstance(z, Tensor) or z.ndim < 2:
        got = list(z.shape) if isinstance(z, Tensor) else type(z).__name__
        raise LatentError(f"{name} is a tensor of latents [B, …], one row for each sample; got {got}.")
    if not z.is_floating_point() and not z.is_complex():
        raise LatentError(f"{name} holds latents, which are floating numbers; its dtype is {z.dtype}.")
    if not z.numel():
        raise LatentError(f"{name} holds no latents: its shape is {list(z.shape)}.")
    if isinstance(rho, Representation | LearnedRepresentation):
        inside = -z.ndim < axis < z.ndim and axis != 0
        if not inside or z.shape[axis] != rho.dim:
            raise RepresentationError(
                f"{name} has the shape {list(z.shape)}; {_label(rho)} of {rho.group.label} acts on {rho.dim} entries of "
                f"axis {axis}, which is not the batch axis 0. Choose the axis with axis=, or a representation of that size."
            )
    return z


def check_finite(z: Tensor, name: str, first: int = 0) -> None:
    """Refuse NaN and infinity, naming the first latent that holds one; they are counted from `first`."""
    extremes = torch.stack((torch.view_as_real(z) if z.is_complex() else z).aminmax())  # NaN goes through
    if not bool(torch.isfinite(extremes).all()):
        number = first + int((~torch.isfinite(z).flatten(1).all(1)).nonzero()[0])
        raise NonFiniteError(f"{name} holds NaN or infinity, first in latent {number}. Leave such latents out.")


def check_same_group(rho: SupportsAction, output: SupportsAction) -> None:
    """Refuse actions of two groups."""
    if rho.group != output.group:
        raise ActionError(
            f"rho acts on the latents by {rho.group.label}, but output on the targets by {output.group.label}. Use one "
            "group for both."
        )


def _label(rho: Representation | LearnedRepresentation) -> str:
    return rho.label if isinstance(rho, Representation) else "a learned representation"
