"""The members on which the library's own contract tests run: one line each."""

from __future__ import annotations

import math
from collections.abc import Callable

from equilatent import actions, groups, reps
from equilatent.actions import SupportsAction
from equilatent.groups import Group
from equilatent.reps import Representation

__all__ = ["ACTIONS", "GROUPS", "REPRESENTATIONS"]

_FIFTH = [
    [math.cos(2 * math.pi / 5), -math.sin(2 * math.pi / 5)],
    [math.sin(2 * math.pi / 5), math.cos(2 * math.pi / 5)],
]

#: Groups by name. Tests run `assert_group` and every law of the group suites on each.
GROUPS: dict[str, Callable[[], Group]] = {
    "C1": lambda: groups.cyclic(1),
    "C2": lambda: groups.cyclic(2),
    "C3": lambda: groups.cyclic(3),
    "C4": lambda: groups.cyclic(4),
    "C12": lambda: groups.cyclic(12),
    "D1": lambda: groups.dihedral(1),
    "D2": lambda: groups.dihedral(2),
    "D3": lambda: groups.dihedral(3),
    "D4": lambda: groups.dihedral(4),
    "D5": lambda: groups.dihedral(5),
    "D6": lambda: groups.dihedral(6),
    "V4": groups.klein_four,
    "Q8": groups.quaternion,
    "S1": lambda: groups.symmetric(1),
    "S2": lambda: groups.symmetric(2),
    "S3": lambda: groups.symmetric(3),
    "S4": lambda: groups.symmetric(4),
    "S5": lambda: groups.symmetric(5),
    "A3": lambda: groups.alternating(3),
    "A4": lambda: groups.alternating(4),
    "A5": lambda: groups.alternating(5),
    "Dic3": lambda: groups.dicyclic(3),
    "T": groups.tetrahedral,
    "Th": lambda: groups.tetrahedral(inversion=True),
    "O": groups.octahedral,
    "Oh": lambda: groups.octahedral(inversion=True),
    "I": groups.icosahedral,
    "C7⋊C3": lambda: groups.semidirect_product(groups.cyclic(7), groups.cyclic(3), {"r": {"r": "r2"}}),
    "C4xC4": lambda: groups.direct_product(groups.cyclic(4), groups.cyclic(4)),
    "D4xD4": lambda: groups.direct_product(groups.dihedral(4), groups.dihedral(4)),
    "S3xQ8": lambda: groups.direct_product(groups.symmetric(3), groups.quaternion()),
    "nested product": lambda: groups.direct_product(
        groups.direct_product(groups.cyclic(2), groups.dihedral(3)), groups.cyclic(3)
    ),
    "from permutations": lambda: groups.from_permutations({"a": [1, 2, 3, 4, 0], "b": [0, 2, 4, 1, 3]}),
    "from integer matrices": lambda: groups.from_matrices([[[0, -1], [1, 1]], [[0, 1], [1, 0]]]),
    "from floating matrices": lambda: groups.from_matrices({"r": _FIFTH, "s": [[1, 0], [0, -1]]}),
    "from complex matrices": lambda: groups.from_matrices({"i": [[1j, 0], [0, -1j]], "j": [[0, 1], [-1, 0]]}),
    "from presentation": lambda: groups.from_presentation("x^3, y^3, (x y)^2"),
    "from presentation, with e": lambda: groups.from_presentation(
        "x1^2, x2^2, (x1 x2)^3, e^2, [x1, e], [x2, e]", generators=["x1", "x2", "e"]
    ),
    "from table": lambda: groups.from_table(groups.quaternion().table()),
}

_D4, _C4, _S3, _O = groups.dihedral(4), groups.cyclic(4), groups.symmetric(3), groups.octahedral()
_TWO = groups.direct_product(_D4, _D4)
_MIRROR, _TURNS = groups.subgroup(_S3, ["t"]), groups.subgroup(_D4, ["r"])
_MODULO = groups.quotient(groups.centre(_D4))


def _regular(make: Callable[[], Group]) -> Callable[[], Representation]:
    return lambda: reps.regular(make())


#: Representations by name, for `assert_representation`.
REPRESENTATIONS: dict[str, Callable[[], Representation]] = {
    **{f"regular {name}": _regular(make) for name, make in GROUPS.items()},
    "trivial": lambda: reps.trivial(_D4),
    "sign S3": lambda: reps.sign(_S3),
    "sign D4": lambda: reps.sign(_D4),
    "sign given": lambda: reps.sign(_D4, {"r": 1, "s": -1}),
    "permutation S3": lambda: reps.permutation(_S3),
    "permutation corners": lambda: reps.permutation(_D4),
    "permutation given": lambda: reps.permutation(_C4, {"r": [1, 0]}),
    "matrices D4": lambda: reps.from_matrices(_D4, _D4.defining or {}),
    "matrices O": lambda: reps.from_matrices(_O, _O.defining or {}),
    "direct sum": lambda: reps.direct_sum(reps.sign(_S3), reps.regular(_S3), reps.permutation(_S3)),
    "multiple": lambda: reps.multiple(reps.direct_sum(reps.sign(_S3), reps.trivial(_S3)), 3),
    "padded regular": lambda: reps.padded_regular(_D4, 21),
    "padded regular, product": lambda: reps.padded_regular(_TWO, 66),
    "irrep S4": lambda: reps.irrep(groups.symmetric(4), "3b"),
    "irrep of complex type": lambda: reps.irrep(_C4, "2a", field="real"),
    "irrep of quaternionic type": lambda: reps.irrep(groups.quaternion(), "4a", field="real"),
    "sum of irreps": lambda: reps.parse(_C4, "2 2a ⊕ sign ⊕ regular", field="real"),
    "standard S4": lambda: reps.standard(groups.symmetric(4)),
    "defining I": lambda: reps.defining(groups.icosahedral()),
    "tensor product": lambda: reps.tensor(reps.standard(_S3), reps.sign(_S3), reps.standard(_S3)),
    "tensor product, permutation and matrices": lambda: reps.tensor(reps.permutation(_D4), reps.defining(_D4)),
    "dual": lambda: reps.dual(reps.irrep(_C4, "2a", field="real")),
    "pullback": lambda: reps.pullback(reps.regular(_MODULO.group), _D4, _MODULO.projection),
    "restriction": lambda: reps.restrict(reps.defining(_O), groups.subgroup(_O, [1])),
    "cosets": lambda: reps.quotient(groups.subgroup(_S3, ["t"])),
    "induced sign": lambda: reps.induce(reps.irrep(_MIRROR.group, "sign"), _MIRROR),
    "induced matrices": lambda: reps.induce(reps.irrep(_TURNS.group, "2a", field="real"), _TURNS),
}

#: Actions by name, each with the shape of one sample, for `assert_action`.
ACTIONS: dict[str, tuple[Callable[[], SupportsAction], tuple[int, ...]]] = {
    "image D4": (lambda: actions.image(_D4), (3, 6, 6)),
    "image D4, odd": (lambda: actions.image(_D4), (1, 5, 5)),
    "image C4": (lambda: actions.image(_C4), (4, 4)),
    "image C2, not square": (lambda: actions.image(groups.cyclic(2)), (1, 4, 7)),
    "image V4, not square": (lambda: actions.image(groups.klein_four()), (1, 4, 7)),
    "image D1": (lambda: actions.image(groups.dihedral(1)), (2, 3, 4)),
    "image, channels last": (lambda: actions.image(_D4, axes=(1, 2)), (5, 5, 3)),
    "image, given matrices": (
        lambda: actions.image(_C4, matrices={"r": [[0, 1], [-1, 0]]}),
        (1, 4, 4),
    ),
    "volume O": (lambda: actions.volume(_O), (2, 4, 4, 4)),
    "volume Oh": (lambda: actions.volume(groups.octahedral(inversion=True)), (2, 4, 4, 4)),
    "volume O, odd": (lambda: actions.volume(_O), (3, 3, 3)),
    "image of slices": (lambda: actions.image(_D4), (2, 5, 4, 4)),
    "sequence C4": (lambda: actions.sequence(_C4), (2, 8)),
    "sequence D3": (lambda: actions.sequence(groups.dihedral(3)), (9,)),
    "sequence D1": (lambda: actions.sequence(groups.dihedral(1)), (2, 7)),
    "vector field D4": (lambda: actions.vector_field(_D4), (6, 5, 5)),
    "vector field C4, x first": (lambda: actions.vector_field(_C4, components=(1, 0)), (2, 4, 4)),
    "vector field with scalar": (lambda: actions.vector_field(_D4, components=(0, 1, None)), (6, 4, 4)),
    "vector field O": (lambda: actions.vector_field(_O, dims=3), (3, 3, 3, 3)),
    "pseudo-vector field Oh": (
        lambda: actions.vector_field(groups.octahedral(inversion=True), dims=3, pseudo=True),
        (3, 3, 3, 3),
    ),
    "pseudo-scalar field": (lambda: actions.vector_field(_D4, components=(None,), pseudo=True), (2, 4, 4)),
    "periodic image, D4": (lambda: actions.periodic(actions.image(_D4), 3), (2, 6, 6)),
    "periodic image, odd": (lambda: actions.periodic(actions.image(_C4), 3), (9, 9)),
    "periodic image, not square": (lambda: actions.periodic(actions.image(groups.klein_four()), 2), (1, 4, 6)),
    "periodic volume, T": (lambda: actions.periodic(actions.volume(groups.tetrahedral()), 2), (4, 4, 4)),
    "parts, halves": (lambda: actions.parts(_TWO, [actions.image(_D4)] * 2), (1, 5, 10)),
    "parts, windows": (
        lambda: actions.parts(
            _TWO,
            [actions.image(_D4)] * 2,
            windows=[(slice(2, 6), slice(0, 4)), (slice(2, 6), slice(4, 8))],
        ),
        (2, 8, 8),
    ),
    "parts, not grids": (
        lambda: actions.parts(
            groups.direct_product(_C4, _S3), [actions.channels(reps.regular(_C4)), actions.trivial(_S3)], axis=-1
        ),
        (4, 6),
    ),
    "trivial": (lambda: actions.trivial(_D4), (3,)),
    "labels, scores": (lambda: actions.labels(_S3), (3,)),
    "nodes": (lambda: actions.nodes(_S3), (3, 2)),
    "nodes, corners": (lambda: actions.nodes(_D4, axes=(-1,)), (2, 4)),
    "nodes, edges": (lambda: actions.nodes(_S3, axes=(1, 2)), (3, 3, 2)),
    "channels": (lambda: actions.channels(reps.regular(_S3)), (12, 4)),
    "compose": (
        lambda: actions.compose(actions.image(_C4), actions.channels(reps.regular(_C4))),
        (8, 3, 3),
    ),
    "a representation": (lambda: reps.padded_regular(_D4, 19), (19,)),
}
