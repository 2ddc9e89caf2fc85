"""Every registered group in turn, with its irreducible representations over both fields."""

from __future__ import annotations

from typing import get_args

import pytest

import equilatent as eq
from equilatent.groups import Group
from equilatent.reps import Irrep
from equilatent.reps._irreps import Field


@pytest.fixture(scope="session", params=eq.testing.GROUPS)
def G(request: pytest.FixtureRequest) -> Group:
    """Each registered group."""
    return eq.testing.GROUPS[request.param]()


@pytest.fixture(scope="session", params=get_args(Field))
def field(request: pytest.FixtureRequest) -> Field:
    """Both fields."""
    return request.param


@pytest.fixture(scope="session")
def known(G: Group, field: Field) -> tuple[Irrep, ...]:
    """The irreps of the group over the field; their matrices are made once for all tests."""
    return eq.reps.irreps(G, field=field)
