"""Approximate equivariance with a finite group for any PyTorch network, with no extra parameters."""

import importlib
from types import ModuleType

from equilatent import actions, errors, groups, latent, metrics, objective, reps
from equilatent.objective import Objective

__all__ = [
    "Objective",
    "actions",
    "audit",
    "errors",
    "groups",
    "integrations",
    "latent",
    "metrics",
    "objective",
    "reps",
    "testing",
]
__version__ = "0.2.0"


def __getattr__(name: str) -> ModuleType:
    # Parts that not every user needs are imported when they are first used.
    if name in ("audit", "integrations", "testing"):
        return importlib.import_module(f"equilatent.{name}")
    raise AttributeError(f"module 'equilatent' has no attribute {name!r}")
