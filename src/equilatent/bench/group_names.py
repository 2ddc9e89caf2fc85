"""Groups by the names that they have on the command line."""

from __future__ import annotations

import re

import equilatent as eq
from equilatent.errors import EquilatentError
from equilatent.groups import Group

__all__ = ["group_of"]


def group_of(name: str) -> Group | None:
    """The group of that name on the command line, such as D3, A4 or C4xC2; None for other names.

    >>> group_of("C4xC2").label, group_of("torus")
    ('C4×C2', None)
    """
    families = {"C": eq.groups.cyclic, "D": eq.groups.dihedral, "A": eq.groups.alternating, "S": eq.groups.symmetric}
    parts = [re.fullmatch(r"([CDAS])([1-9]\d?)", part) for part in name.split("x")]
    if not all(parts):
        return None
    try:
        factors = [families[part[1]](int(part[2])) for part in parts if part]
        return factors[0] if len(factors) == 1 else eq.groups.direct_product(*factors)
    except EquilatentError:
        return None
