"""Checks for one's own groups, representations, actions and models, and the registry that the library is tested on."""

from equilatent.testing._checks import (
    assert_action,
    assert_equivariant,
    assert_group,
    assert_homomorphism,
    assert_representation,
)
from equilatent.testing._registry import ACTIONS, GROUPS, REPRESENTATIONS

__all__ = [
    "ACTIONS",
    "GROUPS",
    "REPRESENTATIONS",
    "assert_action",
    "assert_equivariant",
    "assert_group",
    "assert_homomorphism",
    "assert_representation",
]
