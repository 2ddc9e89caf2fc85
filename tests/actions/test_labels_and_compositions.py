"""Labels, channels, compositions, one's own functions, and representations as actions."""

import pytest
import torch
from torch import Tensor

from equilatent import actions, groups, reps
from equilatent.actions import SupportsAction
from equilatent.testing import assert_action

C2, C4, D4, S3, S4 = groups.cyclic(2), groups.cyclic(4), groups.dihedral(4), groups.symmetric(3), groups.symmetric(4)


def numbers(*shape: int) -> Tensor:
    return torch.arange(float(torch.Size(shape).numel())).view(shape)


def negate(x: Tensor, g: Tensor) -> Tensor:
    return torch.where(g.view(-1, *[1] * (x.ndim - 1)) == 1, -x, x)


# Labels


def test_integer_targets_are_replaced() -> None:
    g = torch.tensor([S3["(0 1 2)"], S3["(0 1 2)"], S3["(0 1 2)"], S3["(0 2)"], S3["e"]])
    assert actions.labels(S3)(torch.tensor([0, 1, 2, 2, 1]), g).tolist() == [1, 2, 0, 0, 1]


def test_maps_of_targets_are_replaced_at_every_pixel() -> None:
    x = torch.tensor([[[0, 1], [2, 2]], [[0, 1], [2, 2]]])
    moved = actions.labels(S3)(x, torch.tensor([S3["(0 1)"], S3["(0 2 1)"]]))
    assert moved.tolist() == [[[1, 0], [2, 2]], [[2, 0], [1, 1]]]


def test_scores_move_to_the_replaced_class() -> None:
    x = torch.tensor([[10.0, 11.0, 12.0]]).repeat(2, 1)
    moved = actions.labels(S3)(x, torch.tensor([S3["(0 1 2)"], S3["(0 1)"]]))
    assert moved.tolist() == [[12.0, 10.0, 11.0], [11.0, 10.0, 12.0]]


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int32, torch.int64], ids=str)
def test_targets_keep_their_dtype(dtype: torch.dtype) -> None:
    moved = actions.labels(C2, {"r": [1, 0]})(torch.tensor([0, 1], dtype=dtype), torch.tensor([1, 1]))
    assert moved.dtype == dtype and moved.tolist() == [1, 0]


@pytest.mark.parametrize("shape", [(), (3,), (2, 3)], ids=str)
def test_targets_and_one_hot_scores_are_moved_alike(shape: tuple[int, ...]) -> None:
    act = actions.labels(S4)
    targets = torch.randint(0, 4, (24, *shape), generator=torch.Generator().manual_seed(0))

    def one_hot(classes: Tensor) -> Tensor:
        return torch.nn.functional.one_hot(classes, 4).movedim(-1, 1).double()

    assert torch.equal(act(one_hot(targets), S4.elements), one_hot(act(targets, S4.elements)))


def test_targets_obey_the_laws_of_an_action() -> None:
    targets = torch.randint(0, 4, (8, 5, 5), generator=torch.Generator().manual_seed(0))
    assert_action(actions.labels(S4), targets)
    assert_action(actions.labels(D4), targets)  # the corners of the square


def test_classes_may_be_given_by_generator_or_by_element() -> None:
    by_generator = actions.labels(C4, {"r": [1, 0, 2]})
    table = torch.tensor([[0, 1, 2], [1, 0, 2], [0, 1, 2], [1, 0, 2]])
    x = numbers(4, 3)
    assert torch.equal(by_generator(x, C4.elements), actions.labels(C4, table)(x, C4.elements))
    assert by_generator(torch.tensor([0, 0, 1, 2]), C4.elements).tolist() == [0, 1, 1, 2]
    assert by_generator.describe() == "permutation of 3 classes by C4"


def test_scores_have_gradients() -> None:
    x = numbers(6, 3).requires_grad_()
    act = actions.labels(S3)
    act(x, S3.elements).backward(numbers(6, 3))
    assert torch.equal(x.grad, act(numbers(6, 3), S3.inverse(S3.elements)))


# Channels


@pytest.mark.parametrize(("shape", "axis"), [((8,), 1), ((8, 3), 1), ((3, 8), -1), ((3, 8, 2), 2), ((3, 8, 2), -2)])
def test_channels_are_moved_in_runs_of_the_dimension(shape: tuple[int, ...], axis: int) -> None:
    x = numbers(4, *shape)
    moved = actions.channels(reps.regular(C4), axis=axis)(x, C4.elements)
    for k in range(4):
        runs = x[k].movedim(axis if axis < 0 else axis - 1, 0)
        expected = torch.cat([runs[:4].roll(k, 0), runs[4:].roll(k, 0)])
        assert torch.equal(moved[k].movedim(axis if axis < 0 else axis - 1, 0), expected)


# Compositions


def test_a_composition_applies_all_its_actions() -> None:
    image, channels = actions.image(C4), actions.channels(reps.regular(C4))
    act = actions.compose(image, channels)
    x, g = numbers(4, 4, 3, 3), C4.elements
    assert torch.equal(act(x, g), image(channels(x, g), g))
    assert act.describe() == "image grid moved by C4 and regular of C4 along axis 1"


def test_the_last_action_of_a_composition_comes_first() -> None:
    doubled = actions.function(C2, lambda x, g: 2 * x)
    raised = actions.function(C2, lambda x, g: x + 1)
    x, g = torch.zeros(2, 1), torch.tensor([0, 1])
    assert actions.compose(doubled, raised)(x, g).tolist() == [[2.0], [2.0]]
    assert actions.compose(raised, doubled)(x, g).tolist() == [[1.0], [1.0]]


def test_a_composition_with_a_representation_acts_along_axis_one() -> None:
    act = actions.compose(actions.image(C4), reps.regular(C4))
    assert_action(act, (4, 3, 3))
    expected = actions.compose(actions.image(C4), actions.channels(reps.regular(C4)))
    x = numbers(4, 4, 3, 3)
    assert torch.equal(act(x, C4.elements), expected(x, C4.elements))
    assert act.describe().endswith("and regular of C4")


# Functions


def test_a_function_becomes_an_action() -> None:
    act = actions.function(C2, negate)
    assert_action(act, (3, 2))
    assert act(torch.ones(2, 1), torch.tensor([0, 1])).tolist() == [[1.0], [-1.0]]
    assert repr(act) == "FunctionAction(negate of C2)"


def test_a_function_sees_elements_as_long_integers() -> None:
    seen = []
    act = actions.function(C4, lambda x, g: seen.append(g) or x)
    act(torch.zeros(2, 1), torch.tensor([3, 1], dtype=torch.int32))
    assert [(g.dtype, g.tolist()) for g in seen] == [(torch.long, [3, 1])]


def test_a_function_that_is_no_action_is_found_out() -> None:
    backwards = actions.function(S3, lambda x, g: actions.labels(S3)(x, S3.inverse(g)))
    with pytest.raises(AssertionError, match=r"g·\(h·x\) ≠ \(gh\)·x"):
        assert_action(backwards, (3,))


# Representations and the trivial action


@pytest.mark.parametrize("rho", [reps.regular(S3), reps.sign(S3), reps.padded_regular(S3, 8)], ids=str)
def test_representations_are_actions(rho: reps.Representation) -> None:
    assert isinstance(rho, SupportsAction)
    assert_action(rho, (rho.dim,))
    assert_action(rho, (rho.dim, 2))
    assert actions.describe_action(rho) == f"{rho.label} of S3"
    x = numbers(6, rho.dim, 2)
    assert torch.equal(rho(x, S3.elements), actions.channels(rho)(x, S3.elements))


@pytest.mark.parametrize("shape", [(4,), (4, 2), (4, 2, 3)], ids=str)
def test_the_trivial_action_returns_its_input(shape: tuple[int, ...]) -> None:
    x = numbers(*shape)
    assert actions.trivial(C4)(x, C4.elements) is x


def test_what_is_described_by_no_name_is_described_by_its_repr() -> None:
    class Own:
        group = C2

        def __call__(self, x: Tensor, g: Tensor) -> Tensor:
            return x

        def __repr__(self) -> str:
            return "my own"

    assert isinstance(Own(), SupportsAction)
    assert actions.describe_action(Own()) == "my own"
