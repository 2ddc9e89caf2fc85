"""Linear representations of finite groups: named ones, irreps, sums and products, characters, multiplicities, blocks."""

from equilatent.reps._character_table import CharacterTable, character_table
from equilatent.reps._constructors import (
    direct_sum,
    from_matrices,
    is_representation,
    multiple,
    padded_regular,
    permutation,
    regular,
    sign,
    trivial,
)
from equilatent.reps._decomposition import Decomposition, decompose, isotypic_projector, parse
from equilatent.reps._irreps import Irrep, irrep, irreps
from equilatent.reps._learned import LearnedRepresentation, Start
from equilatent.reps._multiplicities import Multiplicities, is_isomorphic, multiplicities
from equilatent.reps._nearest import (
    NearestRepresentation,
    NearestRoots,
    copies_of_regular,
    describe_multiplicities,
    is_near_regular,
    nearest_representation,
    nearest_roots,
)
from equilatent.reps._operations import defining, dual, induce, pullback, quotient, restrict, standard, tensor
from equilatent.reps._representation import (
    DirectSumRepresentation,
    InducedRepresentation,
    MatrixRepresentation,
    PermutationRepresentation,
    PulledBackRepresentation,
    Representation,
    TensorRepresentation,
    TrivialRepresentation,
)

__all__ = [
    "CharacterTable",
    "Decomposition",
    "DirectSumRepresentation",
    "InducedRepresentation",
    "Irrep",
    "LearnedRepresentation",
    "MatrixRepresentation",
    "Multiplicities",
    "NearestRepresentation",
    "NearestRoots",
    "PermutationRepresentation",
    "PulledBackRepresentation",
    "Representation",
    "Start",
    "TensorRepresentation",
    "TrivialRepresentation",
    "character_table",
    "copies_of_regular",
    "decompose",
    "defining",
    "describe_multiplicities",
    "direct_sum",
    "dual",
    "from_matrices",
    "induce",
    "irrep",
    "irreps",
    "is_isomorphic",
    "is_near_regular",
    "is_representation",
    "isotypic_projector",
    "multiple",
    "multiplicities",
    "nearest_representation",
    "nearest_roots",
    "padded_regular",
    "parse",
    "permutation",
    "pullback",
    "quotient",
    "regular",
    "restrict",
    "sign",
    "standard",
    "tensor",
    "trivial",
]
