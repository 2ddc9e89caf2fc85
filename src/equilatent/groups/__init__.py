"""Finite groups: elements as integers, products, inverses, words, presentations, conjugacy classes, direct products."""

from equilatent.groups._constructors import (
    alternating,
    cyclic,
    dihedral,
    direct_product,
    from_matrices,
    from_permutations,
    from_presentation,
    from_table,
    klein_four,
    octahedral,
    quaternion,
    symmetric,
)
from equilatent.groups._group import ConjugacyClasses, Group

__all__ = [
    "ConjugacyClasses",
    "Group",
    "alternating",
    "cyclic",
    "dihedral",
    "direct_product",
    "from_matrices",
    "from_permutations",
    "from_presentation",
    "from_table",
    "klein_four",
    "octahedral",
    "quaternion",
    "symmetric",
]
