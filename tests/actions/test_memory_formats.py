"""Results lie in memory as the input does: channels last stays channels last, with the same values and gradients."""

from __future__ import annotations

import pickle
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

import equilatent as eq
from equilatent import actions, groups
from equilatent.actions import SupportsAction
from equilatent.testing import ACTIONS, REPRESENTATIONS

D4, O = groups.dihedral(4), groups.octahedral()  # noqa: E741
LAST = {4: torch.channels_last, 5: torch.channels_last_3d}
#: Registered actions of samples [C, H, W] or [C, D, H, W], that is, not along the channels.
ON_CHANNELS = [
    name
    for name, (make, shape) in ACTIONS.items()
    if len(shape) in (3, 4) and name not in ("image, channels last", "volume O, odd", "periodic volume, T")
]
WINDOWS = [(slice(2, 6), slice(0, 4)), (slice(2, 6), slice(4, 8))]
KINDS: dict[str, tuple[SupportsAction, tuple[int, ...]]] = {
    "image": (actions.image(D4), (6, 5, 5)),
    "image of few channels": (actions.image(D4), (3, 6, 6)),
    "image of slices": (actions.image(D4), (7, 3, 4, 4)),
    "volume": (actions.volume(O), (5, 4, 4, 4)),
    "periodic": (actions.periodic(actions.image(D4), 2), (5, 4, 4)),
    "vector field": (actions.vector_field(D4), (6, 5, 5)),
    "halves": (actions.parts(groups.direct_product(D4, D4), [actions.image(D4)] * 2), (5, 4, 8)),
    "windows": (actions.parts(groups.direct_product(D4, D4), [actions.image(D4)] * 2, windows=WINDOWS), (6, 8, 8)),
    "scores": (actions.labels(D4), (4, 3, 3)),
}


def samples(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(1), dtype=dtype)


def in_channels_last(x: Tensor) -> Tensor:
    last = x.contiguous(memory_format=LAST[x.ndim])
    assert not last.is_contiguous()
    return last


def elements(act: SupportsAction, count: int = 4) -> Tensor:
    return act.group.sample(count, generator=torch.Generator().manual_seed(2))


# Formats


@pytest.mark.parametrize("name", ON_CHANNELS)
def test_every_registered_action_keeps_channels_last(name: str) -> None:
    make, shape = ACTIONS[name]
    shape = (8, *shape[1:]) if shape[0] == 1 else shape  # with one channel both formats are the same
    act, x = make(), samples(4, *shape)
    moved = act(in_channels_last(x), elements(act))
    assert torch.equal(moved, act(x, elements(act)))
    assert moved.is_contiguous(memory_format=LAST[x.ndim]) and not moved.is_contiguous()


@pytest.mark.parametrize("name", ACTIONS)
def test_every_registered_action_keeps_contiguous_tensors_contiguous(name: str) -> None:
    make, shape = ACTIONS[name]
    act, x = make(), samples(4, *shape)
    assert act(x, elements(act)).stride() == x.stride()


@pytest.mark.parametrize("name", ["regular Q8", "matrices O", "direct sum", "cosets", "tensor product", "trivial"])
def test_representations_keep_channels_last(name: str) -> None:
    rho = REPRESENTATIONS[name]()
    x, g = samples(4, rho.dim, 3, 5), elements(rho)
    last = x.permute(0, 2, 3, 1).contiguous().permute(0, 3, 1, 2)  # with strides of this order for one channel too
    moved = rho(last, g)
    torch.testing.assert_close(moved, rho(x, g), rtol=1e-6, atol=1e-6)
    assert moved.stride() == last.stride() and rho(x, g).stride() == x.stride()


def test_images_turn_by_rot90_in_either_format() -> None:
    x = samples(8, 6, 5, 5)
    expected = torch.stack([(x[g].flip(-1) if g >= 4 else x[g]).rot90(g % 4, (-2, -1)) for g in range(8)])
    for given in (x, in_channels_last(x)):
        assert torch.equal(actions.image(D4)(given, D4.elements), expected)


@pytest.mark.parametrize("channels", [1, 2, 5, 9])
def test_channels_on_the_last_axis_stay_contiguous(channels: int) -> None:
    x = samples(8, 5, 5, channels)
    moved = actions.image(D4, axes=(1, 2))(x, D4.elements)
    assert moved.is_contiguous()
    assert torch.equal(moved, actions.image(D4)(x.movedim(3, 1).contiguous(), D4.elements).movedim(1, 3))


@pytest.mark.parametrize("shape", [(1, 4, 4), (1, 1, 6), (3, 1, 1), (1, 1, 1), (3, 6, 1)], ids=str)
def test_where_both_formats_are_one_the_strides_stay(shape: tuple[int, ...]) -> None:
    # PyTorch reads from the strides in which format a convolution goes on.
    act = actions.image(groups.klein_four())
    x = samples(4, *shape)
    for given in (x, torch.empty(x.shape, memory_format=torch.channels_last).copy_(x)):
        moved = act(given, elements(act))
        assert moved.stride() == given.stride()
        assert torch.equal(moved, act(x.double(), elements(act)).float())


@pytest.mark.parametrize("kind", KINDS)
def test_tensors_with_gaps_and_repetitions(kind: str) -> None:
    act, (channels, *grid) = KINDS[kind]
    g = elements(act)
    wide = in_channels_last(samples(4, channels + 2, *grid))[:, :channels]
    assert torch.equal(act(wide, g), act(wide.contiguous(), g))
    repeated = samples(4, 1, *grid).expand(4, channels, *grid)
    assert torch.equal(act(repeated, g), act(repeated.contiguous(), g))
    assert act(repeated, g).is_contiguous()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("limit", ["_TABLE_ENTRIES", "_BLOCK_ENTRIES", "_ROW_NUMBERS"])
def test_the_ways_of_gathering_agree(kind: str, limit: str, monkeypatch: pytest.MonkeyPatch) -> None:
    act, shape = KINDS[kind]
    x, g = samples(7, *shape), elements(act, 7)
    expected = act(x, g)
    monkeypatch.setattr(eq.actions._gather, limit, 0)
    act = pickle.loads(pickle.dumps(act))  # without the tables of the first one
    for given in (x, in_channels_last(x)):
        assert torch.equal(act(given, g), expected) and act(given, g).stride() == given.stride()


class Operations(TorchDispatchMode):
    """The names of all operations that run inside."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.names.append(str(func.overloadpacket))
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("kind", ["image", "image of few channels", "volume", "halves", "scores"])
@pytest.mark.parametrize("differentiable", [False, True])
def test_nothing_is_copied_on_the_way(kind: str, differentiable: bool) -> None:
    act, shape = KINDS[kind]
    x, g = in_channels_last(samples(4, *shape)), elements(act)
    act(x, g)  # makes the tables
    x.requires_grad_(differentiable)
    with Operations() as operations:
        act(x, g)
    assert any(name in ("aten.gather", "aten.index_select") for name in operations.names)
    assert not {"aten.clone", "aten.copy_", "aten._to_copy", "aten.cat"} & set(operations.names)


# Gradients, autocast, compilation


@pytest.mark.parametrize("kind", KINDS)
def test_first_and_second_gradients(kind: str) -> None:
    act, shape = KINDS[kind]
    g = elements(act, 3)
    x = in_channels_last(samples(3, *shape, dtype=torch.float64)).requires_grad_()
    weights = samples(3, *shape, dtype=torch.float64).cos()
    (gradient,) = torch.autograd.grad((act(x, g) ** 3 * weights).sum(), x, create_graph=True)
    # Σ w·(g·x)³ has the gradient g⁻¹·(3w·(g·x)²), whose own gradient, summed, is g⁻¹·(6w·(g·x)).
    back = act.group.inverse(g)
    moved = act(x.detach(), g)
    torch.testing.assert_close(gradient, act(3 * weights * moved**2, back))
    assert gradient.stride() == x.stride()
    direction = samples(*x.shape, dtype=torch.float64).sin()
    (second,) = torch.autograd.grad(gradient, x, direction)
    torch.testing.assert_close(second, act(6 * weights * moved * act(direction, g), back))


@pytest.mark.parametrize("kind", KINDS)
def test_autocast_changes_nothing(kind: str) -> None:
    act, shape = KINDS[kind]
    x, g = in_channels_last(samples(4, *shape)), elements(act)
    with torch.autocast("cpu", torch.bfloat16):
        moved = act(x, g)
    assert moved.dtype == x.dtype and torch.equal(moved, act(x, g)) and moved.stride() == x.stride()


@pytest.mark.parametrize("kind", ["image", "windows"])
@pytest.mark.parametrize("dynamic", [False, True])
def test_compiled_in_one_graph(kind: str, dynamic: bool) -> None:
    act, shape = KINDS[kind]
    torch.compiler.reset()
    compiled = torch.compile(lambda x, g: act(x, g), backend="eager", fullgraph=True, dynamic=dynamic)
    for count in (3, 4):
        x, g = in_channels_last(samples(count, *shape)), elements(act, count)
        moved = compiled(x, g)
        assert torch.equal(moved, act(x, g)) and moved.stride() == x.stride()
    torch.compiler.reset()
