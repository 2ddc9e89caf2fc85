"""Finite groups: elements as integers, products, inverses, words, presentations, conjugacy classes, direct products."""

from equilatent.groups._constructors import (
    alternating,
    cyclic,
    dicyclic,
    dihedral,
    direct_product,
    from_matrices,
    from_permutations,
    from_presentation,
    from_table,
    icosahedral,
    klein_four,
    octahedral,
    quaternion,
    semidirect_product,
    symmetric,
    tetrahedral,
)
from equilatent.groups._group import ConjugacyClasses, Group
from equilatent.groups._homomorphism import homomorphism

__all__ = [
    "ConjugacyClasses",
    "Group",
    "alternating",
    "cyclic",
    "dicyclic",
    "dihedral",
    "direct_product",
    "from_matrices",
    "from_permutations",
    "from_presentation",
    "from_table",
    "homomorphism",
    "icosahedral",
    "klein_four",
    "octahedral",
    "quaternion",
    "semidirect_product",
    "symmetric",
    "tetrahedral",
]
