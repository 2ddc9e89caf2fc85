"""Everything that `equilatent` raises on purpose, in one small tree.

Each message names the argument, what was expected, what came, and the remedy.
Every class also derives from the built-in exception that fits, so that ``except ValueError`` keeps working.
"""

from __future__ import annotations

__all__ = [
    "ActionError",
    "DataError",
    "EquilatentError",
    "GroupError",
    "GroupTooLargeError",
    "LatentError",
    "MissingDependencyError",
    "NonFiniteError",
    "RepresentationError",
]


class EquilatentError(Exception):
    """Base class: catch this to catch everything the library raises on purpose."""


class GroupError(EquilatentError, ValueError):
    """Not a group, not an element of it, or elements of two different groups."""


class GroupTooLargeError(GroupError):
    """The group is fine, but too large for what was asked of it."""


class RepresentationError(EquilatentError, ValueError):
    """Matrices that are no representation, or vectors that a representation cannot act on."""


class ActionError(EquilatentError, ValueError):
    """A tensor that an action cannot move, or a function that is not an action."""


class LatentError(EquilatentError, ValueError):
    """The latent of a model cannot be found, or cannot carry the representation asked for."""


class NonFiniteError(EquilatentError, ArithmeticError):
    """A loss or a metric is NaN or infinite; the message names the term."""


class DataError(EquilatentError, OSError):
    """A data set that is missing, damaged, not the published one, or cannot be downloaded."""


class MissingDependencyError(EquilatentError, ImportError):
    """An optional dependency is not installed; the message says which command installs it."""
