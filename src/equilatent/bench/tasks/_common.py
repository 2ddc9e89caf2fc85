"""What several tasks declare or measure alike."""

from __future__ import annotations

from typing import Any

from equilatent.bench.harness.config import RunConfig
from equilatent.metrics import EquivarianceError

__all__ = ["equivariance_numbers", "twice_the_epochs"]


def equivariance_numbers(name: str, error: EquivarianceError) -> dict[str, Any]:
    """What a record says of an error of equivariance: two means, and the centred error of each element by its name.

    Args:
        name: of what it is the error, such as ``"output"``; the numbers' names begin with it.
        error: the error.
    """
    elements = map(error.group.name, error.elements.tolist())
    return {
        f"{name}_relative_error": error.mean_relative,
        f"{name}_centred_error": error.mean_centred,
        f"{name}_centred_by_element": dict(zip(elements, error.centred.tolist(), strict=True)),
    }


def twice_the_epochs(config: RunConfig) -> int:
    """As many views as two views a step are, for a control."""
    return 2 * config.epochs
