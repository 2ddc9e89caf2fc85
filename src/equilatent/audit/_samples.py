"""The samples of an audit, checked once, and their folds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from equilatent.errors import ActionError, NonFiniteError

__all__ = ["Samples", "check_samples", "folds_of"]


@dataclass(frozen=True)
class Samples:
    """What is audited.

    Attributes:
        x: inputs, floating [N, …].
        y: targets: classes, LongTensor [N], or floating numbers [N, …].
        units: which samples belong together (one patient, one scan), LongTensor [N] of 0 … units − 1.
        classes: how many classes there are; None where targets are numbers.
    """

    x: Tensor
    y: Tensor
    units: Tensor
    classes: int | None

    def __len__(self) -> int:
        return len(self.x)

    @property
    def unit_count(self) -> int:
        """How many independent units there are."""
        return int(self.units.max()) + 1


def check_samples(x: Any, y: Any, units: Any = None) -> Samples:
    """The samples, refused unless they are inputs with a target each.

    Raises:
        ActionError: for anything else than tensors [N, …] of one length, with at least two classes or values in y.
        NonFiniteError: if x or y holds NaN or infinity.
    """
    x = check_inputs(x)
    if not isinstance(y, Tensor) or not y.ndim or len(y) != len(x):
        got = f"shape {list(y.shape)}" if isinstance(y, Tensor) else type(y).__name__
        raise ActionError(f"y holds a target for each of the {len(x)} samples of x, a tensor [{len(x)}, …]; got {got}.")
    if y.is_complex():
        raise ActionError(
            "y holds classes (integers) or real numbers; got complex ones. Split real and imaginary parts."
        )
    classes = None
    if y.is_floating_point():
        check_finite("y", y)
        y = y.to(x.dtype)
    else:
        y = y.long()
        if y.ndim == 2 and y.shape[1] == 1:
            y = y[:, 0]
        if y.ndim != 1:
            raise ActionError(
                f"integer targets are one class a sample, [N]; got {list(y.shape)}. For several labels a sample, or for "
                "numbers, give floating targets: y.float()."
            )
        if int(y.min()) < 0:
            raise ActionError(f"classes are 0, 1, 2, …; y holds {int(y.min())}. Leave out samples without a label.")
        classes = int(y.max()) + 1
    if bool((y == y[:1]).all()):
        raise ActionError(
            "y is the same for all samples: there is nothing to learn. Give at least two classes or values."
        )
    return Samples(x, y, _units(units, len(x)), classes)


def check_inputs(x: Any) -> Tensor:
    """The inputs in floating numbers; refused unless it is a finite real tensor [N, …] of at least two samples."""
    if not isinstance(x, Tensor) or x.ndim < 2 or len(x) < 2:
        got = f"shape {list(x.shape)}" if isinstance(x, Tensor) else type(x).__name__
        raise ActionError(
            f"x holds samples as one tensor [N, …], N ≥ 2; got {got}. Files and loaders are read by eq.audit.read."
        )
    if x.is_complex():
        raise ActionError("x holds real numbers; got complex ones. Give torch.view_as_real(x), and an action on that.")
    found: Tensor = x if x.is_floating_point() else x.float()
    check_finite("x", found)
    return found


def check_finite(name: str, values: Tensor) -> None:
    """Refuse NaN and infinity."""
    if not torch.isfinite(values).all():
        raise NonFiniteError(f"{name} holds NaN or infinity. Leave out or mend these samples.")


def _units(units: Any, count: int) -> Tensor:
    if units is None:
        return torch.arange(count)
    if not isinstance(units, Tensor) or units.shape != (count,) or units.is_floating_point() or units.is_complex():
        got = f"{units.dtype} {list(units.shape)}" if isinstance(units, Tensor) else type(units).__name__
        raise ActionError(
            f"units says which samples belong together: one integer for each of the {count} samples; got {got}."
        )
    numbers: Tensor = units.cpu().unique(return_inverse=True)[1]
    return numbers


def folds_of(samples: Samples, folds: int, generator: torch.Generator) -> Tensor:
    """The fold of each sample, LongTensor [N]: units stay whole, folds have one size and much the same classes.

    Raises:
        ActionError: if there are fewer than two units for each fold.
    """
    count = samples.unit_count
    if count < 2 * folds:
        raise ActionError(
            f"{folds} folds need at least {2 * folds} independent samples; there are {count}. Give more, or fewer folds "
            "(at least 2)."
        )
    order = torch.randperm(count, generator=generator)
    sizes = samples.units.bincount(minlength=count)
    if samples.classes is not None:
        first = torch.full((count,), len(samples)).scatter_reduce_(0, samples.units, torch.arange(len(samples)), "amin")
        order = order[samples.y.cpu()[first[order]].argsort(stable=True)]
    if int(sizes.max()) == 1:
        fold = torch.empty(count, dtype=torch.long)
        fold[order] = torch.arange(count) % folds
        return fold[samples.units]
    filled, number = [0] * folds, [0] * count
    for unit in order.tolist():
        number[unit] = min(range(folds), key=filled.__getitem__)
        filled[number[unit]] += int(sizes[unit])
    return torch.tensor(number)[samples.units]
