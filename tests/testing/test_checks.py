"""The checks of actions and equivariant functions: they pass what is right, and say what is wrong with what is not."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import equilatent as eq
from equilatent.actions import SupportsAction
from equilatent.testing import ACTIONS, assert_action, assert_equivariant

C2, C4, D4, S3 = eq.groups.cyclic(2), eq.groups.cyclic(4), eq.groups.dihedral(4), eq.groups.symmetric(3)
IMAGE = eq.actions.image(D4)


def fails(*parts: str) -> Any:
    """An expected AssertionError whose message holds all of these parts, in order."""
    return pytest.raises(AssertionError, match="(?s)" + ".*".join(re.escape(part) for part in parts))


def own(group: eq.groups.Group, moves: Callable[[Tensor, Tensor], Tensor]) -> SupportsAction:
    return eq.actions.function(group, moves)


def samples(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


# Actions


@pytest.mark.parametrize("name", ["image D4", "parts, halves", "labels, scores", "a representation"])
def test_members_of_the_registry_pass(name: str) -> None:
    make, shape = ACTIONS[name]
    assert_action(make(), shape)


def test_given_samples_may_be_integers() -> None:
    assert_action(eq.actions.labels(S3), torch.tensor([[0, 1], [2, 2], [1, 0]]))
    shifted = own(S3, lambda x, g: (x + g[:, None]) % 3)
    with fails("g·(h·x) ≠ (gh)·x"):
        assert_action(shifted, torch.tensor([[0, 1], [2, 2], [1, 0]]))


def test_transposition_that_ignores_the_element() -> None:
    with fails("e·x ≠ x", "g = ", "h = ", "largest difference is", "tolerance 0"):
        assert_action(own(D4, lambda x, g: x.mT), (1, 5, 5))


def test_a_right_action() -> None:
    backwards = own(D4, lambda x, g: IMAGE(x, D4.inverse(g)))
    with fails("g·(h·x) ≠ (gh)·x", "g = ", "h = ", "largest difference is"):
        assert_action(backwards, (1, 4, 4))
    # In a commutative group a right action is a left one.
    turn = eq.actions.image(C4)
    assert_action(own(C4, lambda x, g: turn(x, C4.inverse(g))), (1, 4, 4))


def test_the_message_names_elements_for_which_the_law_breaks() -> None:
    # Right but for one pair: g = r moves nothing.
    stuck = own(C4, lambda x, g: torch.where(g[:, None, None] == 1, x, eq.actions.image(C4)(x, g)))
    with pytest.raises(AssertionError) as caught:
        assert_action(stuck, (4, 4))
    found = re.search(r"for g = '(.+)', h = '(.+)' the largest difference is ([\d.]+)", str(caught.value))
    assert found is not None
    g, h = C4[found[1]], C4[found[2]]
    assert 1 in (g, h, C4.product(g, h))
    assert float(found[3]) > 0


def test_a_table_that_belongs_to_another_group() -> None:
    # D4's elements numbered otherwise: an action of a group with the same elements, but not of this one.
    renumbered = torch.tensor([0, 4, 2, 3, 1, 5, 6, 7])
    with fails("g·(h·x) ≠ (gh)·x"):
        assert_action(own(D4, lambda x, g: IMAGE(x, renumbered[g])), (1, 4, 4))


def test_samples_that_influence_each_other() -> None:
    swap = eq.actions.image(C2)
    # Everyone is moved by the first sample's element: the laws hold, one batch at a time.
    with fails("samples of one batch influence each other"):
        assert_action(own(C2, lambda x, g: swap(x, g[:1].expand(len(x)))), (3, 3))
    # Moving fewer samples than came is refused as well.
    with fails("shapes"):
        assert_action(_Halving(), (3, 3))


class _Halving:
    group = C2

    def __call__(self, x: Tensor, g: Tensor) -> Tensor:
        return x[: len(x) // 2]


def test_an_action_that_is_right_up_to_rounding_needs_a_tolerance() -> None:
    rho = eq.reps.from_matrices(eq.groups.dihedral(5), eq.groups.dihedral(5).defining or {})
    assert_action(rho, (2,), tolerance=1e-5)
    with fails("(tolerance 0)"):
        assert_action(rho, (2,))
    assert_action(rho, (2,), dtype=torch.float64, tolerance=1e-12)


def test_an_action_that_makes_nan() -> None:
    broken = own(C2, lambda x, g: torch.where(g[:, None] == 1, torch.nan, x))
    with fails("g·(h·x) ≠ (gh)·x", "nan"):
        assert_action(broken, (2,), tolerance=1.0)


def test_an_action_of_complex_numbers() -> None:
    turned = eq.reps.from_matrices(C4, {"r": [[1j]]})
    assert_action(turned, (1,), dtype=torch.complex64, tolerance=1e-6)
    # Right in the real part alone.
    conjugated = own(C2, lambda x, g: torch.complex(x.real, x.imag + g[:, None]))
    with fails("(tolerance 1e-06)"):
        assert_action(conjugated, (1,), dtype=torch.complex64, tolerance=1e-6)


def test_a_large_group_is_checked_on_drawn_pairs() -> None:
    large = eq.groups.direct_product(*[D4] * 4)
    act = eq.actions.parts(large, [IMAGE] * 4)
    assert_action(act, (2, 8))
    with fails("g·(h·x) ≠ (gh)·x"):
        assert_action(own(large, lambda x, g: act(x, large.inverse(g))), (2, 8))


# Equivariant functions


def test_equivariant_functions_pass() -> None:
    assert_equivariant(nn.Sequential(nn.ReLU(), nn.AvgPool2d(2)), IMAGE, IMAGE, samples(3, 1, 8, 8))
    assert_equivariant(lambda x: x.mean((1, 2, 3)), IMAGE, eq.actions.trivial(D4), samples(3, 1, 5, 5))


def test_a_function_that_is_not_equivariant() -> None:
    torch.manual_seed(0)
    with fails("f(g·x) ≠ g·f(x) for g = 'r'", "largest difference is", "(tolerance 1e-05)"):
        assert_equivariant(nn.Conv2d(1, 2, 3, padding=1), IMAGE, IMAGE, samples(3, 1, 6, 6))


def test_the_first_element_for_which_it_fails_is_named() -> None:
    # The four pixels that quarter turns carry to pixel (0, 1); a mirror carries them to others.
    def off_diagonal(x: Tensor) -> Tensor:
        return torch.stack([x.rot90(k, (-2, -1))[:, 0, 0, 1] for k in range(4)]).sum(0)

    turns = eq.actions.image(C4)
    assert_equivariant(off_diagonal, turns, eq.actions.trivial(C4), samples(3, 1, 4, 4))
    with fails("for g = 's'"):
        assert_equivariant(off_diagonal, IMAGE, eq.actions.trivial(D4), samples(3, 1, 4, 4))


def test_the_size_of_the_difference_is_said_and_compared_with_the_tolerance() -> None:
    # f(x) = x1 and C2 exchanges (x1, x2): |x1 − x2| is 3 at most.
    x = torch.tensor([[1.0, 2.0], [4.0, 1.0]])
    swap, trivial = eq.reps.regular(C2), eq.actions.trivial(C2)
    with fails("g = 'r'", "largest difference is 3 ", "(tolerance 2.9)"):
        assert_equivariant(lambda x: x[:, 0], swap, trivial, x, tolerance=2.9)
    assert_equivariant(lambda x: x[:, 0], swap, trivial, x, tolerance=3.0)


def test_a_function_that_returns_nan() -> None:
    swap = eq.reps.regular(C2)
    with fails("largest difference is nan"):
        assert_equivariant(lambda x: x * torch.nan, swap, swap, samples(2, 2), tolerance=1e9)


def test_a_large_group_is_checked_on_drawn_elements() -> None:
    large = eq.groups.direct_product(*[D4] * 3)
    act = eq.actions.parts(large, [IMAGE] * 3)
    x = samples(2, 1, 2, 6)
    assert_equivariant(nn.Tanh(), act, act, x)
    with fails("f(g·x) ≠ g·f(x)"):
        assert_equivariant(lambda x: x[..., 0], act, eq.actions.trivial(large), x)
