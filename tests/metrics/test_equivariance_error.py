"""The equivariance error against exact zeros, values worked out by hand, and an obvious loop."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

import equilatent as eq
from equilatent.metrics import EquivarianceError, equivariance_error

C2, C3, D4 = eq.groups.cyclic(2), eq.groups.cyclic(3), eq.groups.dihedral(4)
IMAGE = eq.actions.image(D4)


def samples(count: int, *shape: int) -> Tensor:
    return torch.randn(count, *shape, generator=torch.Generator().manual_seed(0))


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.encoder = nn.Sequential(nn.Flatten(), nn.Linear(16, 8), nn.BatchNorm1d(8))
        self.head = nn.Sequential(nn.Dropout(0.5), nn.Linear(8, 3))

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.encoder(x))


def test_pointwise_and_pooling_layers_are_exactly_equivariant() -> None:
    model = nn.Sequential(nn.ReLU(), nn.MaxPool2d(2), nn.Tanh())
    error = equivariance_error(model, IMAGE, IMAGE, samples(5, 3, 8, 8))
    assert error.absolute.tolist() == error.relative.tolist() == error.centred.tolist() == [0.0] * 8
    assert error.mean_absolute == error.mean_relative == error.mean_centred == 0.0


def test_a_sum_over_the_grid_is_exactly_invariant() -> None:
    whole_numbers = samples(5, 1, 8, 8).mul(100).round()  # so that the order of summation does not matter
    error = equivariance_error(lambda x: x.sum((1, 2, 3)), IMAGE, eq.actions.trivial(D4), whole_numbers)
    assert error.relative.tolist() == [0.0] * 8


def test_values_by_hand_for_each_element() -> None:
    # C3 carries entry i to i + 1, and f(x) = (x0, 2 x1, 3 x2). For x = (1, 2, 3), f(x) = (1, 4, 9):
    #   r:  r f(x) = (9, 1, 4),   f(r x) = f(3, 1, 2) = (3, 2, 6),   difference (6, −1, −2), 41/3; power 49/3
    #   r2: r2 f(x) = (4, 9, 1),  f(r2 x) = f(2, 3, 1) = (2, 6, 3),  difference (2, 3, −2), 17/3; power 49/3
    # and for x = (0, 0, 1), f(x) = (0, 0, 3):
    #   r:  r f(x) = (3, 0, 0),   f(1, 0, 0) = (1, 0, 0),            difference (2, 0, 0), 4/3; power 1/3
    #   r2: r2 f(x) = (0, 3, 0),  f(0, 1, 0) = (0, 2, 0),            difference (0, 1, 0), 1/3; power 4/3
    # Over both samples: absolute (0, 45/6, 18/6), relative (0, 45/50, 18/53). The mean of f(x) is (1/2, 2, 6), from
    # which both are (1/2, 2, 3) away: the variance is 2 (1/4 + 4 + 9) / 6 = 53/12, centred (0, 90/53, 36/53).
    rho = eq.reps.regular(C3)
    error = equivariance_error(
        lambda x: x * torch.tensor([1.0, 2.0, 3.0]), rho, rho, torch.tensor([[1.0, 2.0, 3.0], [0.0, 0.0, 1.0]])
    )
    assert error.group == C3
    assert error.elements.tolist() == [0, 1, 2]
    assert error.absolute.tolist() == pytest.approx([0, 45 / 6, 18 / 6])
    assert error.relative.tolist() == pytest.approx([0, 45 / 50, 18 / 53])
    assert error.centred.tolist() == pytest.approx([0, 90 / 53, 36 / 53])
    assert error.mean_absolute == pytest.approx((45 / 6 + 18 / 6) / 3)
    assert error.mean_relative == pytest.approx((45 / 50 + 18 / 53) / 3)
    assert error.mean_centred == pytest.approx((90 / 53 + 36 / 53) / 3)
    assert error.worst == C3["r"]
    assert error.absolute.dtype == error.relative.dtype == error.centred.dtype == torch.float64


def test_it_agrees_with_an_obvious_loop() -> None:
    model, x = Net().eval(), samples(7, 1, 4, 4)
    error = equivariance_error(model, IMAGE, eq.actions.trivial(D4), x)
    for g in range(8):
        moved = torch.stack([(sample.flip(-1) if g >= 4 else sample).rot90(g % 4, (-2, -1)) for sample in x])
        target = model(moved).detach()
        difference = (model(x).detach() - target).square().mean()
        assert error.absolute[g].item() == pytest.approx(difference.item(), rel=1e-5)
        assert error.relative[g].item() == pytest.approx((difference / target.square().mean()).item(), rel=1e-5)


def test_chosen_elements_in_their_order() -> None:
    model, x = Net(), samples(4, 1, 4, 4)
    whole = equivariance_error(model, IMAGE, eq.actions.trivial(D4), x)
    chosen = torch.tensor([D4["r s"], 0, D4["r"], D4["r s"]])
    some = equivariance_error(model, IMAGE, eq.actions.trivial(D4), x, elements=chosen)
    assert some.elements.tolist() == chosen.tolist()
    assert some.absolute.tolist() == pytest.approx(whole.absolute[chosen].tolist())
    assert some.relative.tolist() == pytest.approx(whole.relative[chosen].tolist())


@pytest.mark.parametrize("batch_size", [1, 3, 8, 1000])
def test_the_batch_size_does_not_change_the_value(batch_size: int) -> None:
    model, x = Net().double(), samples(7, 1, 4, 4).double()
    whole = equivariance_error(model, IMAGE, eq.actions.trivial(D4), x)
    sizes: list[int] = []
    model.register_forward_pre_hook(lambda _, inputs: sizes.append(len(inputs[0])))
    error = equivariance_error(model, IMAGE, eq.actions.trivial(D4), x, batch_size=batch_size)
    assert max(sizes) == min(batch_size, 7 * 8)
    for name in ("absolute", "relative", "centred"):
        torch.testing.assert_close(getattr(error, name), getattr(whole, name), rtol=1e-10, atol=1e-12)


def test_a_layer_instead_of_the_output() -> None:
    model, x = Net(), samples(4, 1, 4, 4)
    rho = eq.reps.regular(D4)
    of_layer = equivariance_error(model, IMAGE, rho, x, layer="encoder.1")
    alone = equivariance_error(model.encoder[:2], IMAGE, rho, x)
    assert of_layer.relative.tolist() == alone.relative.tolist()
    assert of_layer.mean_relative > 0.1
    assert not any(part._forward_hooks for part in model.modules())


@pytest.mark.parametrize("layer", [None, "head.1"])
def test_mode_and_statistics_are_restored(layer: str | None) -> None:
    model = Net().train()
    model.encoder.eval()
    modes = [part.training for part in model.modules()]
    before = copy.deepcopy(model.state_dict())
    first = equivariance_error(model, IMAGE, eq.actions.trivial(D4), samples(4, 1, 4, 4), layer=layer)
    assert [part.training for part in model.modules()] == modes
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    # Dropout was off: a second measurement is the same.
    second = equivariance_error(model, IMAGE, eq.actions.trivial(D4), samples(4, 1, 4, 4), layer=layer)
    assert first.relative.tolist() == second.relative.tolist()


def test_modes_are_restored_after_an_error() -> None:
    class Fails(Net):
        def forward(self, x: Tensor) -> Tensor:
            raise RuntimeError("inside the model")

    model = Fails().train()
    with pytest.raises(RuntimeError, match="inside the model"):
        equivariance_error(model, IMAGE, IMAGE, samples(1, 1, 4, 4))
    assert all(part.training for part in model.modules())
    assert torch.is_grad_enabled()


def test_gradients_are_not_tracked() -> None:
    seen: list[bool] = []
    model = nn.Linear(2, 2)

    def function(x: Tensor) -> Tensor:
        seen.append(model(x).requires_grad)
        return model(x)

    error = equivariance_error(function, eq.reps.regular(C2), eq.reps.regular(C2), samples(3, 2).requires_grad_())
    assert seen and not any(seen)
    assert not error.absolute.requires_grad and not error.relative.requires_grad


@settings(deadline=None, max_examples=30)
@given(scale=st.floats(1e-3, 1e3), shift=st.floats(-10, 10), seed=st.integers(0, 1000))
def test_ratios_are_scale_free_and_centred_is_shift_free(scale: float, shift: float, seed: int) -> None:
    weight = torch.randn(3, 3, generator=torch.Generator().manual_seed(seed)).double()
    rho, x = eq.reps.regular(C3), samples(6, 3).double()

    def measure(factor: float, offset: float) -> EquivarianceError:
        return equivariance_error(lambda x: factor * (x @ weight) + offset, rho, rho, x)

    plain, scaled, shifted = measure(1.0, 0.0), measure(scale, 0.0), measure(1.0, shift)
    torch.testing.assert_close(scaled.absolute, scale**2 * plain.absolute)
    torch.testing.assert_close(scaled.relative, plain.relative)
    torch.testing.assert_close(scaled.centred, plain.centred)
    torch.testing.assert_close(shifted.absolute, plain.absolute)
    torch.testing.assert_close(shifted.centred, plain.centred)


def test_integer_and_half_precision_outputs() -> None:
    act = eq.actions.labels(C3, {"r": [1, 2, 0]})
    error = equivariance_error(lambda x: x.argmax(1), eq.reps.regular(C3), act, samples(20, 3))
    assert error.absolute.tolist() == [0.0, 0.0, 0.0]
    half = equivariance_error(
        lambda x: 300 * x[:, :1].half(), eq.reps.regular(C3), eq.actions.trivial(C3), samples(20, 3)
    )
    assert torch.isfinite(half.absolute).all() and half.absolute[1] > 65504


def test_a_complex_output_is_measured_with_its_imaginary_part() -> None:
    rho, trivial, x = eq.reps.regular(C2), eq.actions.trivial(C2), samples(6, 2)
    expected = equivariance_error(lambda x: x, rho, trivial, x)
    error = equivariance_error(lambda x: x * 1j, rho, trivial, x)
    assert error.mean_relative == pytest.approx(expected.mean_relative)
    assert error.mean_absolute == pytest.approx(expected.mean_absolute)


def test_it_reads_well() -> None:
    error = equivariance_error(lambda x: x[:, 0, 0], IMAGE, eq.actions.trivial(D4), samples(8, 1, 4, 4))
    text = str(error)
    assert "over 8 elements of D4" in text
    assert f"relative {error.mean_relative:.3g} (0: exactly equivariant" in text
    assert f"absolute {error.mean_absolute:.3g}" in text
    assert f"worst element {D4.name(error.worst)!r} ({float(error.relative.max()):.3g})" in text
    assert "tensor" not in text


def test_an_output_of_zeros_has_no_error() -> None:
    error: Any = equivariance_error(lambda x: x * 0, eq.reps.regular(C2), eq.reps.regular(C2), samples(3, 2))
    assert error.absolute.tolist() == error.relative.tolist() == error.centred.tolist() == [0.0, 0.0]
