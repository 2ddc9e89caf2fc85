"""Every registered action obeys the laws of a left action, and is a well-behaved module."""

import copy
import pickle
from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from equilatent import actions
from equilatent.actions import SupportsAction
from equilatent.testing import ACTIONS, assert_action


def samples(shape: tuple[int, ...], count: int = 4) -> torch.Tensor:
    return torch.randn(count, *shape, generator=torch.Generator().manual_seed(11))


def elements(action: SupportsAction, count: int = 4) -> torch.Tensor:
    return action.group.sample(count, generator=torch.Generator().manual_seed(12))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("name", ACTIONS)
def test_every_registered_action_keeps_the_contract(name: str, dtype: torch.dtype) -> None:
    make, shape = ACTIONS[name]
    assert_action(make(), shape, dtype=dtype)


@pytest.mark.parametrize("dtype", [torch.int16, torch.int64], ids=str)
@pytest.mark.parametrize("name", [name for name in ACTIONS if name.split(",")[0] not in ("labels",)])
def test_integers_are_moved_too(name: str, dtype: torch.dtype) -> None:
    make, shape = ACTIONS[name]
    x = torch.randint(0, 100, (8, *shape), generator=torch.Generator().manual_seed(0)).to(dtype)
    moved = make()(x, elements(make(), 8))
    assert moved.dtype == dtype and moved.shape == x.shape
    assert_action(make(), x)


@settings(deadline=None, max_examples=60)
@given(data=st.data(), name=st.sampled_from(sorted(ACTIONS)), batch=st.integers(1, 5))
def test_moving_twice_is_moving_by_the_product(data: st.DataObject, name: str, batch: int) -> None:
    make, shape = ACTIONS[name]
    act = make()
    drawn = st.lists(st.integers(0, act.group.order - 1), min_size=batch, max_size=batch)
    g, h = (torch.tensor(data.draw(drawn)) for _ in range(2))
    x = samples(shape, batch)
    assert torch.equal(act(act(x, h), g), act(x, act.group.product(g, h)))


@pytest.mark.parametrize("name", ACTIONS)
def test_a_batch_of_mixed_elements_is_moved_as_each_sample_alone(name: str) -> None:
    make, shape = ACTIONS[name]
    act = make()
    x, g = samples(shape, 6), elements(act, 6)
    alone = torch.cat([act(x[i : i + 1], g[i : i + 1]) for i in range(6)])
    assert torch.equal(act(x, g), alone)


@pytest.mark.parametrize("name", ACTIONS)
def test_the_gradient_is_moved_back_by_the_inverse(name: str) -> None:
    make, shape = ACTIONS[name]
    act = make()
    x, weights, g = samples(shape).requires_grad_(), samples(shape).cos(), elements(act)
    (gradient,) = torch.autograd.grad((act(x, g) * weights).sum(), x)
    assert torch.equal(gradient, act(weights, act.group.inverse(g)))


@pytest.mark.parametrize("name", ACTIONS)
def test_input_need_not_be_contiguous(name: str) -> None:
    make, shape = ACTIONS[name]
    act = make()
    g = elements(act)
    contiguous = samples(shape)
    strided = torch.stack([contiguous, contiguous + 1], -1)[..., 0]
    last_first = contiguous.movedim(0, -1).contiguous().movedim(-1, 0)
    assert not strided.is_contiguous() and not last_first.is_contiguous()
    assert torch.equal(act(strided, g), act(contiguous, g))
    assert torch.equal(act(last_first, g), act(contiguous, g))
    one = contiguous[:1].expand(4, *shape)
    assert torch.equal(act(one, g), act(one.contiguous(), g))


@pytest.mark.parametrize("name", ACTIONS)
def test_the_input_is_left_as_it_was(name: str) -> None:
    make, shape = ACTIONS[name]
    act = make()
    x, before = samples(shape), samples(shape)
    act(x, elements(act))
    assert torch.equal(x, before)


@pytest.mark.parametrize("name", ACTIONS)
def test_an_empty_batch_stays_empty(name: str) -> None:
    make, shape = ACTIONS[name]
    assert make()(samples(shape, 0), torch.zeros(0, dtype=torch.long)).shape == (0, *shape)


@pytest.mark.parametrize("name", ACTIONS)
def test_actions_have_no_parameters_and_an_empty_state(name: str) -> None:
    act = ACTIONS[name][0]()
    assert isinstance(act, torch.nn.Module) and isinstance(act, SupportsAction)
    assert not list(act.parameters()) and not act.state_dict()


@pytest.mark.parametrize("name", ACTIONS)
@pytest.mark.parametrize("copied", [copy.deepcopy, lambda act: pickle.loads(pickle.dumps(act))], ids=["copy", "pickle"])
def test_copies_of_used_actions_act_alike(name: str, copied: Callable[[SupportsAction], SupportsAction]) -> None:
    make, shape = ACTIONS[name]
    act = make()
    x, g = samples(shape), elements(act)
    expected = act(x, g)
    twin = copied(act)
    assert twin is not act and twin.group == act.group
    assert actions.describe_action(twin) == actions.describe_action(act)
    assert torch.equal(twin(x, g), expected)


@pytest.mark.parametrize("name", ACTIONS)
def test_moving_the_module_to_a_dtype_changes_nothing(name: str) -> None:
    make, shape = ACTIONS[name]
    x, g = samples(shape), elements(make())
    assert torch.equal(make().to(torch.float16)(x, g), make()(x, g))
