"""Linear representations of finite groups: regular, trivial, sign, permutation, sums, and those given by matrices."""

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
from equilatent.reps._representation import (
    DirectSumRepresentation,
    MatrixRepresentation,
    PermutationRepresentation,
    Representation,
    TrivialRepresentation,
)

__all__ = [
    "CharacterTable",
    "DirectSumRepresentation",
    "MatrixRepresentation",
    "PermutationRepresentation",
    "Representation",
    "TrivialRepresentation",
    "character_table",
    "direct_sum",
    "from_matrices",
    "is_representation",
    "multiple",
    "padded_regular",
    "permutation",
    "regular",
    "sign",
    "trivial",
]
