"""Whether something is an action on the samples at hand: identity, composition, shapes, samples on their own."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from equilatent.actions import SupportsAction
from equilatent.audit._samples import check_inputs
from equilatent.errors import EquilatentError
from equilatent.groups import Group

__all__ = ["ActionCheck", "check_action"]

#: All pairs of elements are tried up to this order, and so many drawn pairs beyond.
_ALL_PAIRS = 64
_DRAWN = 4096
#: Transformed at once.
_ENTRIES = 1 << 22


@dataclass(frozen=True)
class ActionCheck:
    """How far something is from an action, as the largest difference over the largest entry of the samples.

    Attributes:
        group: the group.
        identity: of e·x and x.
        composition: of g·(h·x) and (gh)·x, the largest over h, for each g; float64 [order].
        alone: of a sample transformed in a batch and by itself.
        worst: the pair (g, h) whose composition is the worst.
        problems: in words, all that contradicts its being an action; empty if nothing does.
    """

    group: Group
    identity: float
    composition: Tensor
    alone: float
    worst: tuple[int, int]
    problems: tuple[str, ...]

    @property
    def holds(self) -> bool:
        """Whether it is an action, up to the tolerance."""
        return not self.problems


def check_action(action: SupportsAction, x: Tensor, *, tolerance: float = 1e-4, seed: int = 0) -> ActionCheck:
    """Whether e·x = x and g·(h·x) = (gh)·x, with the shape and the kind of number kept, each sample on its own.

    Args:
        action: what should be an action.
        x: samples, [N, …]; a few of them are transformed.
        tolerance: the largest difference that still counts as rounding, as a part of the largest entry of x. Raise it for
            rotations by interpolation.
        seed: of the drawn pairs, where the group has more than 64 elements.

    Raises:
        ActionError: if x holds no samples.

    >>> import torch, equilatent as eq
    >>> G = eq.groups.cyclic(4)
    >>> x = torch.randn(8, 1, 6, 6, generator=torch.Generator().manual_seed(0))
    >>> eq.audit.check_action(eq.actions.image(G), x).holds
    True
    >>> transpose = eq.actions.function(G, lambda x, g: x.mT)
    >>> print(eq.audit.check_action(transpose, x).problems[0])
    e·x ≠ x: the identity changes samples by up to ... of their largest entry.
    """
    x = check_inputs(x) if x.ndim > 1 else x
    group, generator = action.group, torch.Generator().manual_seed(seed)
    if group.order <= _ALL_PAIRS:
        g, h = group.elements.repeat_interleave(group.order), group.elements.repeat(group.order)
    else:
        g, h = group.sample(_DRAWN, generator=generator), group.sample(_DRAWN, generator=generator)
    few = x[:16]
    scale = max(float(few.abs().max()), torch.finfo(torch.float32).tiny)
    rows = max(1, _ENTRIES // max(1, few[0].numel()))
    # One sample for each pair, so that every sample meets many.
    which = torch.arange(len(g)) % len(few)
    composition = torch.zeros(group.order, dtype=torch.float64)
    worst, largest, identity, alone = (0, 0), -1.0, 0.0, 0.0
    try:
        still = action(few, torch.zeros(len(few), dtype=torch.long, device=x.device))
        if problem := _other_kind(still, few):
            return _broken(group, problem)
        identity = float(_difference(still, few).max()) / scale
        for some_g, some_h, some in zip(g.split(rows), h.split(rows), which.split(rows), strict=True):
            samples, some_g, some_h = few[some], some_g.to(x.device), some_h.to(x.device)
            moved = action(samples, some_h)
            if problem := _other_kind(moved, samples):
                return _broken(group, problem)
            twice, once = action(moved, some_g), action(samples, group.product(some_g, some_h))
            found = _difference(twice, once).cpu() / scale
            composition.scatter_reduce_(0, some_g.cpu(), found, "amax")
            place = int(found.argmax())
            if float(found[place]) > largest:
                largest, worst = float(found[place]), (int(some_g[place]), int(some_h[place]))
            for row in range(min(4, len(samples))):
                by_itself = action(samples[row : row + 1], some_h[row : row + 1])
                alone = max(alone, float(_difference(by_itself, moved[row : row + 1]).max()) / scale)
    except (EquilatentError, RuntimeError, IndexError, TypeError, ValueError) as error:
        return _broken(group, f"it cannot transform these samples, [N, {', '.join(map(str, x.shape[1:]))}]: {error}")
    problems = []
    if not identity <= tolerance:
        problems.append(f"e·x ≠ x: the identity changes samples by up to {identity:.3g} of their largest entry.")
    if not largest <= tolerance:
        names = (group.name(element) for element in worst)
        problems.append(
            "g·(h·x) ≠ (gh)·x: for g = {!r}, h = {!r} by {:.3g} of the largest entry. gh means first h, then g.".format(
                *names, largest
            )
        )
    if not alone <= tolerance:
        problems.append(f"samples of one batch influence each other, by {alone:.3g} of the largest entry.")
    return ActionCheck(group, identity, composition, alone, worst, tuple(problems))


def _broken(group: Group, problem: str) -> ActionCheck:
    nothing = torch.full((group.order,), torch.nan, dtype=torch.float64)
    return ActionCheck(group, torch.nan, nothing, torch.nan, (0, 0), (problem,))


def _other_kind(moved: object, samples: Tensor) -> str:
    if not isinstance(moved, Tensor):
        return f"it returns {type(moved).__name__}, not a tensor."
    if moved.shape != samples.shape or moved.dtype != samples.dtype:
        return f"it makes {moved.dtype} {list(moved.shape)} of {samples.dtype} {list(samples.shape)}."
    return ""


def _difference(a: Tensor, b: Tensor) -> Tensor:
    """The largest difference for each sample, float64 [B]; infinite where one holds NaN."""
    return (a.double() - b.double()).abs().reshape(len(a), -1).amax(1).nan_to_num(nan=torch.inf)
