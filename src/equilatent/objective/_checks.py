"""Arguments of objectives, refused where they say nothing."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, TypeAlias

from torch import Tensor

from equilatent.errors import LatentError

__all__ = ["Weight", "checked_weight", "checked_weights", "choice", "layer_name"]

#: One number, or one for each element of the group.
Weight: TypeAlias = "float | Sequence[float] | Tensor"


def checked_weight(name: str, value: Any) -> float:
    """The weight itself, refused unless it is a finite number that is not negative."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < math.inf:
        raise LatentError(f"{name} is a finite number ≥ 0; got {value!r}.")
    return float(value)


def checked_weights(name: str, value: Weight) -> float | tuple[float, ...]:
    """One weight, or one for each element as a tuple, so that terms stay hashable; arrays and tensors are read as lists."""
    numbers: Any = value.tolist() if hasattr(value, "tolist") else value
    if isinstance(numbers, str) or not isinstance(numbers, Sequence):
        return checked_weight(name, numbers)
    return tuple(checked_weight(f"{name} for element {g}", number) for g, number in enumerate(numbers))


def layer_name(layer: str | None) -> str | None:
    """The name itself, refused unless it is one."""
    if layer is not None and not isinstance(layer, str):
        raise LatentError(
            f"layer is the dotted name of a layer, such as 'encoder.9'; got {type(layer).__name__}. The name of a module m: "
            "next(name for name, module in model.named_modules() if module is m)."
        )
    return layer


def choice(name: str, value: object, choices: Sequence[object]) -> None:
    """Refuse what is none of the choices."""
    if value not in choices:
        raise LatentError(f"{name} is one of {', '.join(map(repr, choices))}; got {value!r}.")
