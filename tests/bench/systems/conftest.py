"""The groups that the baselines are made for, and the fields of irreps on which they act."""

from __future__ import annotations

import pytest
import torch

import equilatent as eq
from equilatent.bench.systems.steerable import FieldType
from equilatent.groups import Group

GROUPS = {"C4": eq.groups.cyclic(4), "D1": eq.groups.dihedral(1), "D4": eq.groups.dihedral(4)}


@pytest.fixture(scope="session", params=GROUPS)
def G(request: pytest.FixtureRequest) -> Group:
    """Each of the three groups."""
    return GROUPS[request.param]


@pytest.fixture(scope="session")
def fields(G: Group) -> FieldType:
    """Two fields of all irreps of the group, the trivial one first."""
    return FieldType(eq.reps.irreps(G, field="real"), 2)


@pytest.fixture(autouse=True)
def _same_numbers() -> None:
    """Each test draws the same numbers every time."""
    torch.manual_seed(0)
