"""The share of answers that stay, against values counted by hand."""

import pytest
import torch

import equilatent as eq
from equilatent.errors import ActionError, GroupTooLargeError, NonFiniteError
from equilatent.metrics import prediction_consistency

C2, C3 = eq.groups.cyclic(2), eq.groups.cyclic(3)
SWAP = eq.reps.regular(C2)


def test_a_value_counted_by_hand() -> None:
    # The answer is the larger entry; swapping the entries changes it unless they tie (argmax then takes the first).
    x = torch.tensor([[1.0, 2.0], [3.0, 0.0], [5.0, 5.0], [0.0, 1.0]])
    result = prediction_consistency(lambda x: x, SWAP, x)
    assert result.by_element.tolist() == [1.0, 0.25]
    assert result.under_all == 0.25
    assert result.mean == 0.625
    assert str(result) == "answers that stay under 2 elements of C2: 62.5% on average, 25.0% under all of them"


def test_classes_may_move_along() -> None:
    x = torch.randn(20, 3, generator=torch.Generator().manual_seed(0))
    moved = prediction_consistency(lambda x: x, eq.reps.regular(C3), x, output=eq.actions.labels(C3))
    assert moved.under_all == 1.0
    still = prediction_consistency(lambda x: x, eq.reps.regular(C3), x)
    assert still.by_element.tolist() == [1.0, 0.0, 0.0]


def test_an_invariant_model_is_consistent_and_batches_do_not_matter() -> None:
    act = eq.actions.image(eq.groups.dihedral(4))
    x = torch.randn(7, 2, 4, 4, generator=torch.Generator().manual_seed(1))
    assert prediction_consistency(lambda x: x.amax((2, 3)), act, x).under_all == 1.0
    first = prediction_consistency(lambda x: x[:, :, 0, 0], act, x)
    second = prediction_consistency(lambda x: x[:, :, 0, 0], act, x, batch_size=3)
    assert torch.equal(first.by_element, second.by_element)
    assert first.under_all <= first.by_element.min()


def test_some_elements_of_a_large_group() -> None:
    many = eq.groups.direct_product(*[C2] * 13)
    act = eq.actions.function(many, lambda x, g: x)
    x = torch.randn(3, 2)
    with pytest.raises(GroupTooLargeError, match="measure some of them"):
        prediction_consistency(lambda x: x, act, x)
    assert prediction_consistency(lambda x: x, act, x, elements=many.sample(5)).by_element.shape == (5,)


def test_the_mode_of_the_model_is_restored() -> None:
    model = torch.nn.Sequential(torch.nn.BatchNorm1d(2), torch.nn.Dropout())
    model[1].eval()
    prediction_consistency(model, SWAP, torch.randn(4, 2))
    assert [part.training for part in model.modules()] == [True, True, False]
    assert int(model[0].num_batches_tracked) == 0


def test_refusals() -> None:
    with pytest.raises(ActionError, match="empty batch"):
        prediction_consistency(lambda x: x, SWAP, torch.zeros(0, 2))
    with pytest.raises(ActionError, match=r"scores \[B, classes, …\]; got shape \[4\]"):
        prediction_consistency(lambda x: x[:, 0], SWAP, torch.zeros(4, 2))
    with pytest.raises(ActionError, match="the classes by C3"):
        prediction_consistency(lambda x: x, SWAP, torch.zeros(4, 2), output=eq.actions.labels(C3))
    with pytest.raises(NonFiniteError, match="NaN"):
        prediction_consistency(lambda x: x * torch.nan, SWAP, torch.ones(4, 2))
