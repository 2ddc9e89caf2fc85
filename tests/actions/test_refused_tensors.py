"""Tensors and elements that an action refuses to move, by message."""

from collections.abc import Callable

import pytest
import torch

from equilatent import actions, groups, reps
from equilatent.actions import Action
from equilatent.errors import ActionError, EquilatentError, GroupError

C2, C4, D4, V4, O = (  # noqa: E741
    groups.cyclic(2),
    groups.cyclic(4),
    groups.dihedral(4),
    groups.klein_four(),
    groups.octahedral(),
)
TWO = groups.direct_product(D4, D4)
IMAGES = [actions.image(D4)] * 2
WINDOWS = [(slice(0, 3), slice(0, 3)), (slice(3, 6), slice(0, 3))]
EVERY: dict[str, Action] = {
    "grid": actions.image(D4),
    "trivial": actions.trivial(D4),
    "labels": actions.labels(D4),
    "channels": actions.channels(reps.regular(D4)),
    "composition": actions.compose(actions.image(D4)),
    "function": actions.function(D4, lambda x, g: x),
}

SHAPES: dict[str, tuple[Callable[[], Action], tuple[int, ...], str]] = {
    "not square": (
        lambda: actions.image(D4),
        (1, 4, 5),
        r"D4 swaps axes of different length: element 'r' does not map a grid of 4×5 to itself.*klein_four",
    ),
    "not a cube": (lambda: actions.volume(O), (1, 4, 4, 5), r"O swaps axes of different length.*4×4×5"),
    "no image": (lambda: actions.image(D4), (4, 4), r"image grid moved by D4 expects a batch of at least 3 axes"),
    "no sequence": (lambda: actions.sequence(C4), (4,), r"sequence grid moved by C4.*at least 2 axes; got shape \[4\]"),
    "an axis beyond": (lambda: actions.image(V4, axes=(2, 3)), (1, 4, 4), r"expects a batch.*\[1, 4, 4\]"),
    "the batch axis": (lambda: actions.image(V4, axes=(0, 1)), (1, 4, 4), r"expects a batch"),
    "the batch axis from behind": (lambda: actions.image(V4, axes=(-3, -1)), (1, 4, 4), r"expects a batch"),
    "one axis twice": (lambda: actions.image(V4, axes=(1, -2)), (1, 4, 4), r"axes|axis"),
    "shifts that do not divide": (
        lambda: actions.sequence(C4),
        (1, 6),
        r"C4 shifts axis -1 by 1/4 of its length, which 6 entries cannot do. Use a length that 4 divides",
    ),
    "scores of other classes": (
        lambda: actions.labels(C4),
        (2, 3),
        r"scores of 4 classes are expected along axis 1, \[B, 4, …\]; got \[2, 3\]",
    ),
    "scores without classes": (lambda: actions.labels(C4), (4,), r"scores of 4 classes"),
    "channels that do not divide": (
        lambda: actions.channels(reps.regular(C4)),
        (1, 6),
        r"axis 1 of a tensor of shape \[1, 6\] should hold a multiple of 4 channels, on which regular of C4",
    ),
    "channels on the batch axis": (lambda: actions.channels(reps.regular(C4), axis=0), (4, 4), r"axis 0 of a tensor"),
    "channels on no axis": (lambda: actions.channels(reps.regular(C4), axis=2), (4, 4), r"axis 2 of a tensor"),
    "channels far behind": (lambda: actions.channels(reps.regular(C4), axis=-3), (4, 4), r"axis -3 of a tensor"),
    "components of a vector": (lambda: actions.vector_field(D4), (1, 3, 4, 4), r"multiple of 2 channels"),
    "parts that do not divide": (
        lambda: actions.parts(TWO, IMAGES),
        (1, 3, 7),
        r"axis -1 of a tensor of shape \[1, 3, 7\] cannot be cut into 2 equal parts. Pass windows",
    ),
    "parts along the batch": (lambda: actions.parts(TWO, IMAGES, axis=0), (2, 4, 4), r"axis 0.*cannot be cut"),
    "parts that are not square": (lambda: actions.parts(TWO, IMAGES), (1, 4, 6), r"D4 swaps axes of different length"),
    "windows out of range": (
        lambda: actions.parts(TWO, IMAGES, windows=WINDOWS),
        (1, 5, 5),
        r"the windows .* reach beyond a tensor of shape \[1, 5, 5\]",
    ),
    "windows on the batch axis": (
        lambda: actions.parts(TWO, IMAGES, windows=WINDOWS),
        (6, 6),
        r"reach beyond a tensor",
    ),
    "windows that are not square": (
        lambda: actions.parts(TWO, IMAGES, windows=[(slice(0, 3), slice(0, 4)), (slice(3, 6), slice(0, 4))]),
        (1, 6, 6),
        r"D4 swaps axes of different length: element 'r' does not map a grid of 3×4",
    ),
    "a function of another shape": (
        lambda: actions.function(C2, lambda x, g: x[:, :1]),
        (1, 2),
        r"of C2 returned \[1, 1\] for an input of shape \[1, 2\]",
    ),
    "a function of no tensor": (lambda: actions.function(C2, lambda x, g: (x, g)), (1, 2), r"of C2 returned tuple"),
}


@pytest.mark.parametrize("case", SHAPES)
def test_shapes_that_do_not_fit(case: str) -> None:
    make, shape, message = SHAPES[case]
    with pytest.raises(ActionError, match=message):
        make()(torch.zeros(shape), torch.zeros(shape[0], dtype=torch.long))


@pytest.mark.parametrize(("wrong", "low", "high"), [([0, 4], 0, 4), ([-1, 2], -1, 2)])
def test_classes_out_of_range(wrong: list[int], low: int, high: int) -> None:
    with pytest.raises(ActionError, match=rf"classes are 0 … 3; got values from {low} to {high}"):
        actions.labels(C4)(torch.tensor(wrong), torch.tensor([0, 1]))


def test_classes_that_are_complex() -> None:
    with pytest.raises(EquilatentError):
        actions.labels(C4)(torch.zeros(2, 4, dtype=torch.complex64), torch.tensor([0, 1]))


@pytest.mark.parametrize("kind", EVERY)
@pytest.mark.parametrize(
    ("g", "error", "message"),
    [
        (
            torch.zeros(1, dtype=torch.long),
            ActionError,
            r"one element for each sample: expected shape \[2\], got \[1\]",
        ),
        (torch.zeros(2, 1, dtype=torch.long), ActionError, r"expected shape \[2\], got \[2, 1\]"),
        (torch.tensor(0), ActionError, r"expected shape \[2\], got \[\]"),
        (torch.tensor([0.0, 1.0]), GroupError, r"in a LongTensor; got torch\.float32"),
        (torch.tensor([True, False]), GroupError, r"in a LongTensor; got torch\.bool"),
        (torch.tensor([0, 8]), GroupError, r"elements of D4 are the integers 0 … 7; got values from 0 to 8"),
        (torch.tensor([-1, 0]), GroupError, r"got values from -1 to 0"),
    ],
)
def test_elements_that_do_not_fit(kind: str, g: torch.Tensor, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        EVERY[kind](torch.zeros(2, 8, 4, 4), g)


@pytest.mark.parametrize("g", [[0, 1], 0], ids=["list", "int"])
def test_elements_that_are_no_tensor(g: object) -> None:
    with pytest.raises(EquilatentError, match=r"LongTensor"):
        actions.image(D4)(torch.zeros(2, 4, 4), g)


@pytest.mark.parametrize(("x", "got"), [([[1.0]], "list"), (torch.tensor(1.0), "Tensor"), (None, "NoneType")])
def test_what_is_no_batch_of_tensors(x: object, got: str) -> None:
    with pytest.raises(ActionError, match=rf"an action moves a batch of tensors \[B, …\]; got {got}"):
        actions.trivial(C4)(x, torch.tensor([0]))
