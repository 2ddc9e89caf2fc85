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
from equilatent.groups._isomorphism import is_isomorphic, isomorphism
from equilatent.groups._lattice import subgroups
from equilatent.groups._subgroups import (
    Cosets,
    Quotient,
    Subgroup,
    centre,
    commutator_subgroup,
    normal_closure,
    normaliser,
    quotient,
    subgroup,
)

__all__ = [
    "ConjugacyClasses",
    "Cosets",
    "Group",
    "Quotient",
    "Subgroup",
    "alternating",
    "centre",
    "commutator_subgroup",
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
    "is_isomorphic",
    "isomorphism",
    "klein_four",
    "normal_closure",
    "normaliser",
    "octahedral",
    "quaternion",
    "quotient",
    "semidirect_product",
    "subgroup",
    "subgroups",
    "symmetric",
    "tetrahedral",
]
