"""Refusals of motions and windows that are only half given."""

from fractions import Fraction

import pytest

import equilatent as eq
from equilatent.actions import GridAction
from equilatent.errors import ActionError, RepresentationError

C2 = eq.groups.cyclic(2)


def test_a_shift_for_one_of_two_axes() -> None:
    with pytest.raises(ActionError, match="a fraction for each of 2 axes; 'r' has 1 of them"):
        GridAction(C2, {"r": [[1, 0], [0, 1]]}, shifts={"r": [Fraction(1, 2)]})


def test_a_window_without_slices() -> None:
    with pytest.raises(ActionError, match="got an empty one"):
        eq.actions.parts(eq.groups.direct_product(C2), [eq.actions.image(C2)], windows=[()])


def test_points_that_are_no_integers() -> None:
    with pytest.raises(RepresentationError, match="sequences of integers"):
        eq.actions.labels(C2, {"r": [1.5, 0.2]})  # type: ignore[list-item]
