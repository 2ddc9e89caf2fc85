"""Every refusal of the actions, by the message that tells what is wrong."""

import itertools
import math
from collections.abc import Callable
from fractions import Fraction

import numpy as np
import pytest
import torch

from equilatent import actions, groups
from equilatent.actions import Action, GridAction
from equilatent.errors import ActionError, RepresentationError

C2, C3, C4, D1, D4 = (groups.cyclic(2), groups.cyclic(3), groups.cyclic(4), groups.dihedral(1), groups.dihedral(4))
V4, Q8, O, S3 = groups.klein_four(), groups.quaternion(), groups.octahedral(), groups.symmetric(3)  # noqa: E741
TWO = groups.direct_product(D4, D4)
IMAGES = [actions.image(D4)] * 2
TURN, MIRROR, EYE = [[0, -1], [1, 0]], [[1, 0], [0, -1]], [[1, 0], [0, 1]]


def none(count: int = 1) -> torch.Tensor:
    return torch.zeros(count, dtype=torch.long)


CONSTRUCTIONS: dict[str, tuple[Callable[[], object], str]] = {
    "third turns of an image": (
        lambda: actions.image(C3),
        r"the motion 'r' does not map the grid to itself: only signed permutation matrices do.*-0\.866",
    ),
    "no matrices for an image": (lambda: actions.image(Q8), r"Q8 is not known as a group of motions of an image.*i, j"),
    "no matrices for a volume": (lambda: actions.volume(S3), r"S3 is not known as a group of motions of a volume"),
    "rotations of the cube on an image": (
        lambda: actions.image(O),
        r"O is known by 3-dimensional motions, but an image has 2 axes",
    ),
    "rotations of the square on a volume": (
        lambda: actions.volume(D4),
        r"D4 is known by 2-dimensional motions, but a volume has 3 axes",
    ),
    "three axes for an image": (lambda: actions.image(D4, axes=(1, 2, 3)), r"2-dimensional motions, but.*3 axes"),
    "matrices for other axes": (
        lambda: actions.image(C4, matrices={"r": [[1]]}),
        r"the motions move 1 axes; got axes=\(-2, -1\)",
    ),
    "missing matrices": (
        lambda: actions.image(D4, matrices={"r": TURN}),
        r"the motions of D4 are given by its generators r, s; got r\.",
    ),
    "no matrices at all": (lambda: actions.image(D4, matrices={}), r"generators r, s; got none"),
    "matrices of two sizes": (
        lambda: actions.image(D4, matrices={"r": TURN, "s": [[1]]}),
        r"the motions have different numbers of axes: \[1, 2\]",
    ),
    "not square": (
        lambda: actions.image(C2, matrices={"r": [[1, 0]]}),
        r"the motion 'r' is no square matrix: its shape is \(1, 2\)",
    ),
    "a shear": (lambda: actions.image(C2, matrices={"r": [[1, 1], [0, 1]]}), r"does not map the grid.*\[1\.0, 1\.0\]"),
    "a scaling": (lambda: actions.image(C2, matrices={"r": [[2, 0], [0, 1]]}), r"'r' does not map the grid to itself"),
    "two axes to one": (lambda: actions.image(C2, matrices={"r": [[1, 0], [1, 0]]}), r"does not map the grid"),
    "nearly a mirror": (lambda: actions.image(C2, matrices={"r": [[1, 1e-3], [0, -1]]}), r"does not map the grid"),
    "NaN": (lambda: actions.image(C2, matrices={"r": [[math.nan, 0], [0, 1]]}), r"does not map the grid.*nan"),
    "a relator": (
        lambda: actions.image(C3, matrices={"r": TURN}),
        r"these motions are no action of C3: the relator r3 does not leave the grid in place",
    ),
    "a relator of two": (
        lambda: actions.image(D4, matrices={"r": TURN, "s": EYE}),
        r"no action of D4: the relator \(s r\)\^2",
    ),
    "a relator with an inverse": (
        lambda: actions.image(Q8, matrices={"i": TURN, "j": MIRROR}),
        r"no action of Q8: the relator j2 i\^-2",
    ),
    "a shift that is no action": (
        lambda: actions.sequence(C4, shifts={"r": Fraction(1, 3)}),
        r"no action of C4: the relator r4",
    ),
    "a shift of an unknown generator": (lambda: actions.sequence(C2, shifts={"q": 1}), r"q"),
    "no sequence": (lambda: actions.sequence(V4), r"V4 is not known as a group of motions of a sequence.*\(a, b\)"),
    "no sequence either": (lambda: actions.sequence(O), r"O is not known as a group of motions of a sequence"),
    "vectors in four dimensions": (
        lambda: actions.vector_field(D4, dims=4),
        r"images \(dims=2\) or volumes \(dims=3\); got dims=4",
    ),
    "half of the components": (
        lambda: actions.vector_field(D4, components=(0,)),
        r"D4 turns the component along axis 0 into one along axis 1, which components=\[0\] lack",
    ),
    "a component twice": (lambda: actions.vector_field(D4, components=(0, 0)), r"axes 0 … 1, each once; got \[0, 0\]"),
    "a component beyond": (lambda: actions.vector_field(D1, components=(2,)), r"axes 0 … 1, each once; got \[2\]"),
    "a negative component": (lambda: actions.vector_field(D1, components=(-1,)), r"axes 0 … 1, each once; got \[-1\]"),
    "composing two groups": (
        lambda: actions.compose(actions.image(C4), actions.image(D4)),
        r"compose joins actions of one group; got C4 and D4\. .*use parts",
    ),
    "composing nothing": (lambda: actions.compose(), r"compose needs at least one action"),
    "no group": (lambda: actions.trivial("D4"), r"an action needs a group.*got 'D4'"),
    "parts of no product": (
        lambda: actions.parts(D4, IMAGES),
        r"a factor for each of its 2 actions; D4 has 0 factors",
    ),
    "no parts": (lambda: actions.parts(D4, []), r"direct product"),
    "too few parts": (lambda: actions.parts(TWO, IMAGES[:1]), r"each of its 1 actions; D4×D4 has 2 factors"),
    "a part of another group": (
        lambda: actions.parts(TWO, [actions.image(D4), actions.image(C4)]),
        r"part 1 is moved by C4, but factor 1 of D4×D4 is D4",
    ),
    "too few windows": (
        lambda: actions.parts(TWO, IMAGES, windows=[(slice(0, 2), slice(0, 2))]),
        r"2 actions need 2 windows; got 1",
    ),
    "overlapping windows": (
        lambda: actions.parts(TWO, IMAGES, windows=[(slice(0, 3), slice(0, 3)), (slice(2, 5), slice(2, None))]),
        r"the windows .* overlap; parts are moved independently",
    ),
    "windows on different axes": (
        lambda: actions.parts(TWO, IMAGES, windows=[(slice(0, 2), slice(0, 2)), (slice(3, 5),)]),
        r"every window needs a slice for each of the same axes",
    ),
    "windows with steps": (
        lambda: actions.parts(TWO, IMAGES, windows=[(slice(0, 4, 2), slice(0, 2)), (slice(4, 6), slice(0, 2))]),
        r"windows are plain slices with bounds ≥ 0",
    ),
    "windows from behind": (
        lambda: actions.parts(TWO, IMAGES, windows=[(slice(0, 2), slice(0, 2)), (slice(-2, None), slice(0, 2))]),
        r"windows are plain slices with bounds ≥ 0",
    ),
    "direct motions of the wrong number of axes": (
        lambda: GridAction(C4, {"r": TURN}, axes=(1,)),
        r"the motions move 2 axes; got axes=\(1,\)",
    ),
}


@pytest.mark.parametrize("case", CONSTRUCTIONS)
def test_constructions_that_make_no_sense(case: str) -> None:
    make, message = CONSTRUCTIONS[case]
    with pytest.raises(ActionError, match=message):
        make()


@pytest.mark.parametrize("shift", [Fraction(1, 1 << 40), 1 / 3], ids=["tiny", "float"])
def test_shifts_that_need_a_fine_period_are_refused_at_once(shift: Fraction, monkeypatch: pytest.MonkeyPatch) -> None:
    products, multiply = itertools.count(), GridAction._multiply

    def counted(self: GridAction, left: np.ndarray, right: np.ndarray) -> np.ndarray:
        assert next(products) < 1000, "multiples of the shift are tried one by one"
        return multiply(self, left, right)

    monkeypatch.setattr(GridAction, "_multiply", counted)
    with pytest.raises(ActionError, match=r"relator r4|fraction"):
        actions.sequence(C4, shifts={"r": shift})


def test_classes_that_are_no_action() -> None:
    with pytest.raises(RepresentationError, match=r"no action of C3: the relator r3"):
        actions.labels(C3, {"r": [1, 0]})


def test_matrices_of_the_right_form_are_taken_from_any_array() -> None:
    assert isinstance(actions.image(C4, matrices={"r": np.array(TURN, dtype=np.int8)}), Action)
