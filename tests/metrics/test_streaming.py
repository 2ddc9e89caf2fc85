"""Metrics over batches are those of the samples put together, in memory that does not grow."""

from __future__ import annotations

import builtins
import re
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.utils.data import DataLoader, IterableDataset, TensorDataset

import equilatent as eq
from equilatent.errors import ActionError, EquilatentError, LatentError, MissingDependencyError, NonFiniteError
from equilatent.metrics import (
    EquivarianceError,
    EquivarianceErrorAccumulator,
    equivariance_error,
    invariance_error,
    prediction_consistency,
)

C3, D4 = eq.groups.cyclic(3), eq.groups.dihedral(4)
RHO, IMAGE = eq.reps.regular(C3), eq.actions.image(D4)
NUMBERS = ("absolute", "relative", "centred")


def samples(count: int, *shape: int, seed: int = 0) -> Tensor:
    return torch.randn(count, *shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(16, 8), nn.ReLU(), nn.Linear(8, 3)).double()


def assert_same(first: EquivarianceError, second: EquivarianceError) -> None:
    for name in NUMBERS:
        torch.testing.assert_close(getattr(first, name), getattr(second, name), rtol=1e-9, atol=1e-14, equal_nan=True)


def brute_force(model: nn.Module, x: Tensor, g: int) -> tuple[float, float, float]:
    """The three invariance errors of one element of D4, one sample at a time, by torch.rot90."""
    moved = [(sample.flip(-1) if g >= 4 else sample).rot90(g % 4, (-2, -1)) for sample in x]
    plain = torch.cat([model(sample[None]) for sample in x]).detach()
    target = torch.cat([model(sample[None]) for sample in moved]).detach()
    absolute = (plain - target).square().mean()
    variance = plain.var(0, unbiased=False).mean()
    return float(absolute), float(absolute / target.square().mean()), float(absolute / variance)


@settings(deadline=None, max_examples=30)
@given(
    sizes=st.lists(st.integers(1, 5), min_size=1, max_size=6), batch_size=st.integers(1, 40), shift=st.floats(0, 1e6)
)
def test_any_split_gives_the_error_of_the_whole(sizes: list[int], batch_size: int, shift: float) -> None:
    x, weight = samples(sum(sizes), 3), samples(3, 3, seed=1)

    def model(x: Tensor) -> Tensor:
        return x @ weight + shift

    whole = equivariance_error(model, RHO, RHO, x)
    split = equivariance_error(model, RHO, RHO, iter(x.split(sizes)), batch_size=batch_size)
    # Around a mean of 10⁶ a variance of 1 leaves about 10 digits of float64's 16.
    tolerance = 1e-8 if shift > 1 else 1e-10
    for name in NUMBERS:
        first, second = getattr(split, name), getattr(whole, name)
        torch.testing.assert_close(first, second, rtol=tolerance, atol=1e-14, equal_nan=True)
    assert bool(whole.centred.isnan().all()) == (sum(sizes) == 1)
    shares = prediction_consistency(model, RHO, x)
    split_shares = prediction_consistency(model, RHO, iter(x.split(sizes)), batch_size=batch_size)
    assert torch.equal(shares.by_element, split_shares.by_element)
    assert shares.under_all == split_shares.under_all


def test_a_stream_agrees_with_a_loop_over_samples() -> None:
    model, x = network(), samples(11, 1, 4, 4) + 3
    error = invariance_error(model, IMAGE, DataLoader(TensorDataset(x, torch.arange(11)), batch_size=4))
    for g in range(8):
        values = error.absolute[g].item(), error.relative[g].item(), error.centred[g].item()
        assert values == pytest.approx(brute_force(model, x, g), rel=1e-9, abs=1e-15)


def test_the_centred_error_survives_a_mean_far_from_zero() -> None:
    # The textbook difference of sums of squares loses all digits here: (10⁹)² + 1 is (10⁹)² in float64.
    x = samples(300, 3)
    here = equivariance_error(lambda x: x * torch.arange(3), RHO, RHO, x.split(7))
    far = equivariance_error(lambda x: x * torch.arange(3) + 1e9, RHO, RHO, x.split(7))
    torch.testing.assert_close(far.centred, here.centred, rtol=1e-5, atol=0)


@pytest.mark.parametrize("form", ["tensor", "tuple", "list", "list with labels"])
def test_forms_of_batches(form: str) -> None:
    x = samples(7, 1, 4, 4)
    y = torch.arange(7)
    loaders: dict[str, Any] = {
        "tensor": DataLoader(x, batch_size=3),  # type: ignore[arg-type]
        "tuple": [(part,) for part in x.split(3)],
        "list": DataLoader(TensorDataset(x), batch_size=3),
        "list with labels": DataLoader(TensorDataset(x, y), batch_size=3),
    }
    model = network()
    assert_same(invariance_error(model, IMAGE, loaders[form]), invariance_error(model, IMAGE, x))


def test_an_iterable_dataset_behind_a_loader_of_unknown_length() -> None:
    x = samples(7, 3)

    class Stream(IterableDataset[Tensor]):
        def __iter__(self) -> Iterator[Tensor]:
            return iter(x)

    loader = DataLoader(Stream(), batch_size=3)
    expected = equivariance_error(torch.tanh, RHO, eq.actions.trivial(C3), x)
    assert_same(equivariance_error(torch.tanh, RHO, eq.actions.trivial(C3), loader, progress=True), expected)


def test_a_generator_is_consumed_once_and_one_batch_at_a_time() -> None:
    x, running = samples(6, 3), []

    def model(x: Tensor) -> Tensor:
        running.append(len(taken))
        return x

    taken: list[int] = []

    def loader() -> Iterator[Tensor]:
        for number, part in enumerate(x.split(2)):
            taken.append(number)
            yield part

    stream = loader()
    equivariance_error(model, RHO, RHO, stream)
    assert taken == [0, 1, 2]
    assert running == [1, 1, 2, 2, 3, 3]  # one plain pass and one over all moved samples, before the next is taken
    with pytest.raises(ActionError, match="x holds no batches"):
        equivariance_error(model, RHO, RHO, stream)


def test_the_model_runs_once_plain_and_once_for_each_element() -> None:
    model, sizes = network(), []
    model.register_forward_pre_hook(lambda _, inputs: sizes.append(len(inputs[0])))
    equivariance_error(
        model, IMAGE, eq.actions.trivial(D4), samples(10, 1, 4, 4).split(4), batch_size=4, layer=["1", "3"]
    )
    assert sizes == [4] * 9 + [4] * 9 + [2] + [4] * 4


def state_size(value: Any) -> int:
    """Bytes of all tensors that an object holds, however deep."""
    if isinstance(value, Tensor):
        return value.untyped_storage().nbytes()
    if isinstance(value, dict):
        return sum(map(state_size, value.values()))
    if isinstance(value, list | tuple):
        return sum(map(state_size, value))
    if type(value).__module__.startswith("equilatent.metrics"):
        return state_size(vars(value))
    return 0


def test_the_state_does_not_grow() -> None:
    model = network()
    accumulator = EquivarianceErrorAccumulator(IMAGE, eq.actions.trivial(D4), layer=["1", ""])
    sizes = []
    for number in range(20):
        accumulator.update(model, samples(5, 1, 4, 4, seed=number))
        sizes.append(state_size(accumulator))
    # Elements [8], and for each layer difference [8], power [8], spread and the mean output [8] or [3], 8 bytes each.
    assert set(sizes) == {8 * (8 + (8 + 8 + 1 + 8) + (8 + 8 + 1 + 3))}
    assert accumulator.samples == 100


def test_an_accumulator_can_be_read_on_the_way_and_keeps_its_state_when_it_refuses() -> None:
    x, identity = samples(9, 3), torch.tanh
    trivial = eq.actions.trivial(C3)
    accumulator = EquivarianceErrorAccumulator(RHO, trivial)
    with pytest.raises(ActionError, match="no equivariance error of no samples"):
        accumulator.compute()
    accumulator.update(identity, x[:5])
    assert_same(accumulator.compute(), equivariance_error(identity, RHO, trivial, x[:5]))  # type: ignore[arg-type]
    with pytest.raises(NonFiniteError, match="moved samples"):
        # The plain outputs are finite: only a moved sample begins with this number.
        accumulator.update(lambda v: torch.where(v[:, :1] == x[5, 1], torch.nan, v), x[5:])
    accumulator.update(identity, x[5:])
    assert_same(accumulator.compute(), equivariance_error(identity, RHO, trivial, x))  # type: ignore[arg-type]


def test_several_layers_at_once_are_each_layer_alone() -> None:
    model, x = network(), samples(9, 1, 4, 4)
    outputs = {"1": eq.reps.regular(D4), "2": eq.reps.padded_regular(D4, 8), "": eq.actions.trivial(D4)}
    errors = equivariance_error(model, IMAGE, outputs, x.split(4), layer=["1", "2", ""])
    assert list(errors) == ["1", "2", ""]
    for name in ("1", "2"):
        assert_same(errors[name], equivariance_error(model, IMAGE, outputs[name], x, layer=name))
    assert_same(errors[""], invariance_error(model, IMAGE, x))
    one_action = invariance_error(model, IMAGE, x, layer=("1", "3"))
    assert_same(one_action["1"], invariance_error(model, IMAGE, x, layer="1"))
    assert list(invariance_error(model, IMAGE, x, layer=["3"])) == ["3"]


def test_layers_that_cannot_be_read() -> None:
    model, x, trivial = network(), samples(4, 1, 4, 4), eq.actions.trivial(D4)
    with pytest.raises(LatentError, match="no layer '9'"):
        equivariance_error(model, IMAGE, trivial, [x], layer=["1", "9"])
    for layer in ([], ["1", "1"]):
        with pytest.raises(LatentError, match="one layer, or several different ones"):
            equivariance_error(model, IMAGE, trivial, x, layer=layer)
    with pytest.raises(ActionError, match=r"output is given for \['1'\], but the layers are \['1', '3'\]"):
        equivariance_error(model, IMAGE, {"1": trivial}, x, layer=["1", "3"])
    with pytest.raises(ActionError, match="one action, unless layer is a list"):
        equivariance_error(model, IMAGE, {"1": trivial}, x, layer="1")  # type: ignore[call-overload]
    with pytest.raises(ActionError, match=r"input is moved by D4, but the output by C3"):
        equivariance_error(model, IMAGE, {"1": trivial, "3": RHO}, x, layer=["1", "3"])
    bad = nn.Sequential(nn.Flatten(), nn.ReLU())
    bad[1].register_forward_hook(lambda _m, _i, output: output * torch.nan)
    with pytest.raises(NonFiniteError, match="output of layer '1' on x"):
        invariance_error(bad, IMAGE, x, layer=["0", "1"])


def test_invariance_is_equivariance_to_the_trivial_action() -> None:
    model, x = network(), samples(5, 1, 4, 4)
    some = torch.tensor([1, 6])
    first = invariance_error(model, IMAGE, x, layer="1", elements=some, batch_size=3)
    assert_same(first, equivariance_error(model, IMAGE, eq.actions.trivial(D4), x, layer="1", elements=some))
    assert first.elements.tolist() == [1, 6]
    with pytest.raises(TypeError, match="output"):
        invariance_error(model, IMAGE, x, output=IMAGE)  # type: ignore[call-overload]


METRICS = {
    "invariance_error": invariance_error,
    "prediction_consistency": prediction_consistency,
}


@pytest.mark.parametrize("name", METRICS)
@pytest.mark.parametrize(
    ("x", "message"),
    [
        ([], "x holds no batches"),
        (iter(()), "x holds no batches"),
        ([torch.zeros(0, 3)], "empty batch"),
        ([torch.ones(2, 3), torch.zeros(0, 3)], "Drop empty batches"),
        ([torch.tensor(1.0)], "as a tensor [B, …]"),
        ([{"image": torch.ones(2, 3)}], "got dict. Pick the samples out"),
        ([([1.0, 2.0], 3)], "whose first entry is one; got list"),
        ([()], "got tuple"),
        ({"x": torch.ones(2, 3)}, "an iterable of batches"),
        (None, "got NoneType"),
        (3, "got int"),
        (TensorDataset(torch.ones(2, 3)), "hands out single samples"),
        ([torch.ones(2, 3), torch.full((2, 3), torch.nan)], "output on x holds NaN"),
    ],
    ids=lambda value: None if isinstance(value, str) else type(value).__name__,
)
def test_samples_that_are_refused(name: str, x: Any, message: str) -> None:
    x = iter([]) if isinstance(x, type(iter(()))) else x
    with pytest.raises(EquilatentError, match=re.escape(message)):
        METRICS[name](torch.tanh, RHO, x)


def test_batches_of_samples_of_two_sizes() -> None:
    act = eq.actions.image(eq.groups.cyclic(4))
    with pytest.raises(ActionError, match=r"\[1, 4, 4\] and \[1, 6, 6\] in two batches"):
        equivariance_error(torch.tanh, act, act, [samples(2, 1, 4, 4), samples(3, 1, 6, 6)])
    # A model whose output has one size can be measured on both.
    pooled = invariance_error(lambda x: x.amax((2, 3)), act, [samples(2, 1, 4, 4), samples(3, 1, 6, 6)])
    assert pooled.mean_absolute == 0.0


def test_a_batch_with_its_labels_is_not_a_stream_of_two_batches() -> None:
    batch = samples(2, 3), torch.tensor([0, 1])
    with pytest.raises(ActionError, match="in two batches cannot be put together"):
        invariance_error(torch.tanh, RHO, batch)
    with pytest.raises(ActionError, match=r"scores \[B, classes, …\]"):
        prediction_consistency(torch.tanh, RHO, batch)


def test_outputs_without_entries() -> None:
    with pytest.raises(ActionError, match=r"no entries to be measured: its shape is \[2, 0\]"):
        invariance_error(lambda x: x[:, :0], RHO, samples(2, 3))


@pytest.mark.parametrize("batch_size", [0, -1, 2.5, None])
def test_batch_sizes_that_are_none(batch_size: Any) -> None:
    for metric in METRICS.values():
        with pytest.raises(EquilatentError, match="batch_size is a whole number ≥ 1"):
            metric(torch.tanh, RHO, samples(2, 3), batch_size=batch_size)  # type: ignore[operator]


def test_a_group_of_one_element() -> None:
    trivial = eq.groups.cyclic(1)
    act = eq.actions.trivial(trivial)
    error = equivariance_error(torch.tanh, act, act, samples(4, 3).split(1))
    assert error.relative.tolist() == error.centred.tolist() == [0.0]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.complex64])
def test_sums_are_in_double_precision_whatever_the_outputs_are(dtype: torch.dtype) -> None:
    x = samples(50, 3)
    whole = equivariance_error(lambda x: (300 * x).to(dtype), RHO, eq.actions.trivial(C3), x)
    split = equivariance_error(lambda x: (300 * x).to(dtype), RHO, eq.actions.trivial(C3), x.split(3))
    assert whole.centred.dtype == torch.float64
    assert_same(whole, split)


def test_batches_move_to_the_device_of_the_model() -> None:
    seen: list[torch.device] = []

    class Meta(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.empty(3, device="meta"))

        def forward(self, x: Tensor) -> Tensor:
            seen.append(x.device)
            raise RuntimeError("far enough")

    for metric in METRICS.values():
        with pytest.raises(RuntimeError, match="far enough"):
            metric(Meta(), RHO, [samples(2, 3)])  # type: ignore[operator]
    assert seen == [torch.device("meta")] * 2


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_loader_on_the_cpu_and_a_model_on_a_gpu() -> None:
    x, model = samples(10, 1, 4, 4), network()
    expected, shares = invariance_error(model, IMAGE, x), prediction_consistency(model, IMAGE, x)
    assert_same(invariance_error(model.cuda(), IMAGE, x.split(4)), expected)
    assert torch.equal(prediction_consistency(model, IMAGE, x.split(4)).by_element, shares.by_element)


@pytest.mark.parametrize("batch_size", [2, 3, 5, 1000])
def test_the_bar_counts_elements_times_batches(batch_size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    import tqdm

    bars: list[Any] = []

    class Bar(tqdm.tqdm):  # type: ignore[type-arg]
        def __init__(self, *args: Any, **settings: Any) -> None:
            super().__init__(*args, **settings)
            bars.append(self)

    monkeypatch.setattr(tqdm, "tqdm", Bar)
    x = samples(10, 3)
    for metric in METRICS.values():
        metric(torch.tanh, RHO, DataLoader(x, batch_size=4), batch_size=batch_size, progress=True)  # type: ignore
        metric(torch.tanh, RHO, x, batch_size=batch_size, progress=True)  # type: ignore[operator]
        metric(torch.tanh, RHO, x.split(4), batch_size=batch_size)  # type: ignore[operator]
    pieces = -(-10 // batch_size)
    assert [(bar.total, bar.n) for bar in bars] == [(9, 9), (3 * pieces, 3 * pieces)] * 2


def test_without_tqdm_a_bar_is_refused_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without_tqdm(name: str, *args: Any, **kwargs: Any) -> Any:
        if name.split(".")[0] == "tqdm":
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without_tqdm)
    assert invariance_error(lambda x: x.sum(1) * 0, RHO, samples(2, 3)).mean_absolute == 0.0
    with pytest.raises(MissingDependencyError, match="pip install tqdm"):
        invariance_error(torch.tanh, RHO, samples(2, 3), progress=True)
