"""What is refused, and that the message names the argument, what came, and the remedy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

import equilatent as eq
from equilatent.errors import (
    ActionError,
    EquilatentError,
    GroupError,
    GroupTooLargeError,
    LatentError,
    NonFiniteError,
    RepresentationError,
)
from equilatent.latent import AugmentedLatents, augment, match, orbit, orbit_batches, search

D4, C4 = eq.groups.dihedral(4), eq.groups.cyclic(4)
RHO, STILL, IMAGE = eq.reps.regular(D4), eq.actions.trivial(D4), eq.actions.image(D4)
Z, Y = torch.randn(5, 8), torch.zeros(5, dtype=torch.long)

#: Each function on one argument of latents, by the name of that argument.
ON_LATENTS: list[tuple[str, Callable[[Any], Any]]] = [
    ("z", lambda z: augment(RHO, STILL, z, Y)),
    ("z", lambda z: AugmentedLatents(RHO, STILL, z, Y)),
    ("z", lambda z: orbit(RHO, z)),
    ("z", lambda z: orbit_batches(RHO, z)),
    ("z1", lambda z: match(RHO, z, Z)),
    ("z2", lambda z: match(RHO, Z, z)),
    ("index", lambda z: search(RHO, z, Z)),
    ("query", lambda z: search(RHO, Z, z)),
]


@pytest.mark.parametrize(("name", "call"), ON_LATENTS)
def test_latents(name: str, call: Callable[[Any], Any]) -> None:
    for wrong, message in (
        ([1.0, 2.0], rf"{name} is a tensor of latents \[B, …\].*got list"),
        (torch.zeros(8), rf"{name} is a tensor of latents \[B, …\].*got \[8\]"),
        (torch.zeros(5, 8, dtype=torch.long), rf"{name} holds latents, which are floating.*torch\.int64"),
        (torch.zeros(0, 8), rf"{name} holds no latents: its shape is \[0, 8\]"),
    ):
        with pytest.raises(LatentError, match=message):
            call(wrong)
    with pytest.raises(
        RepresentationError, match=rf"{name} has the shape \[5, 12\]; regular of D4 acts on 8 entries of axis 1.*axis="
    ):
        call(torch.zeros(5, 12))


@pytest.mark.parametrize("axis", [0, 2, -2, 3])
def test_an_axis_that_is_none_or_the_batch(axis: int) -> None:
    with pytest.raises(RepresentationError, match=f"axis {axis}, which is not the batch axis 0"):
        match(RHO, torch.zeros(8, 8), torch.zeros(8, 8), axis=axis)


def test_an_action_knows_its_axes() -> None:
    z = torch.zeros(2, 3, 4, 4)
    for call in (
        lambda: orbit(IMAGE, z, axis=2),
        lambda: match(IMAGE, z, z, axis=-1),
        lambda: AugmentedLatents(IMAGE, STILL, z, Y[:2], axis=2),
    ):
        with pytest.raises(ActionError, match=r"image grid moved by D4 knows its own axes\. Leave axis out"):
            call()
    with pytest.raises(ActionError, match=r"swaps axes of different length"):
        match(IMAGE, z[..., :3], z[..., :3])


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.complex64])
def test_nan_and_infinity(value: float, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = torch.randn(5, 8).to(dtype)
    wrong[3, 2] = value
    for name, call in ON_LATENTS[4:]:
        with pytest.raises(NonFiniteError, match=f"{name} holds NaN or infinity, first in latent 3"):
            call(wrong)
    monkeypatch.setattr(eq.latent._blocks, "_CPU_ENTRIES", 4)
    with pytest.raises(NonFiniteError, match="index holds NaN or infinity, first in latent 3"):
        search(RHO, wrong, Z)


def test_distances_that_overflow() -> None:
    with pytest.raises(NonFiniteError, match=r"scores overflow.*metric='cosine'"):
        search(RHO, torch.full((2, 8), 1e30), torch.full((2, 8), 1e30), metric="euclidean")


def test_pairs_of_two_shapes() -> None:
    with pytest.raises(LatentError, match=r"one shape; got \[5, 8\] and \[1, 8\].*expand_as"):
        match(RHO, Z, Z[:1])
    with pytest.raises(LatentError, match=r"one shape; got \[8, 2\] and \[8\]"):
        search(RHO, Z[..., None].expand(-1, -1, 2), Z)


@pytest.mark.parametrize("tolerance", [-0.1, float("nan")])
def test_a_tolerance_that_is_none(tolerance: float) -> None:
    with pytest.raises(LatentError, match="tolerance is a difference of cosines ≥ 0; got"):
        match(RHO, Z, Z, tolerance=tolerance)


@pytest.mark.parametrize("k", [0, -1, 6, 2.0, None])
def test_a_number_of_items_that_the_index_does_not_have(k: Any) -> None:
    with pytest.raises(LatentError, match=f"k is how many of the 5 items.*from 1 to 5; got {k!r}"):
        search(RHO, Z, Z, k)


def test_another_metric() -> None:
    with pytest.raises(LatentError, match="metric is 'cosine' or 'euclidean'; got 'dot'"):
        search(RHO, Z, Z, metric="dot")  # type: ignore[arg-type]


@pytest.mark.parametrize("make", [augment, AugmentedLatents])
def test_targets(make: Callable[..., Any]) -> None:
    with pytest.raises(ActionError, match=r"rho acts on the latents by D4, but output on the targets by C4"):
        make(RHO, eq.actions.trivial(C4), Z, Y)
    with pytest.raises(LatentError, match=r"y holds one target for each of 5 latents.*got \[4\]"):
        make(RHO, STILL, Z, Y[:4])
    with pytest.raises(LatentError, match=r"y holds one target for each of 5 latents.*got list"):
        make(RHO, STILL, Z, [0] * 5)


def test_given_elements_of_latents() -> None:
    for wrong, got in ((torch.zeros(4, dtype=torch.long), r"\[4\]"), (torch.tensor(0), r"\[\]"), (3, "3")):
        with pytest.raises(
            GroupError, match=rf"g holds one element for each latent: expected a LongTensor \[5\], got {got}"
        ):
            augment(RHO, STILL, Z, Y, g=wrong)  # type: ignore[arg-type]
    with pytest.raises(GroupError, match=r"the integers 0 … 7; got values from 0 to 8"):
        augment(RHO, STILL, Z, Y, g=torch.tensor([0, 1, 2, 3, 8]))
    with pytest.raises(EquilatentError, match="leave out g or generator"):
        augment(RHO, STILL, Z, Y, g=Y, generator=torch.Generator())


def test_elements_of_an_orbit() -> None:
    for function in (orbit, orbit_batches):
        with pytest.raises(GroupError, match=r"elements is a LongTensor \[n\].*got shape \[0\]"):
            function(RHO, Z, elements=Y[:0])
        with pytest.raises(GroupError, match=r"elements is a LongTensor \[n\].*got shape \[5, 1\]"):
            function(RHO, Z, elements=Y[:, None])
        with pytest.raises(GroupError, match=r"0 … 7; got values from 9 to 9"):
            function(RHO, Z, elements=torch.tensor([9]))


@pytest.mark.parametrize("batch_size", [0, 1.5])
def test_batch_sizes(batch_size: Any) -> None:
    with pytest.raises(EquilatentError, match=rf"batch_size is a whole number ≥ 1; got {batch_size}"):
        orbit_batches(RHO, Z, batch_size=batch_size)
    with pytest.raises(EquilatentError, match=rf"batch_size is a whole number ≥ 1; got {batch_size}"):
        AugmentedLatents(RHO, STILL, Z, Y, batch_size=batch_size)


def test_a_group_too_large_to_list() -> None:
    big = eq.groups.direct_product(*[eq.groups.dihedral(8)] * 6)
    act = eq.actions.trivial(big)
    for call in (lambda: orbit(act, Z), lambda: match(act, Z, Z), lambda: search(act, Z, Z)):
        with pytest.raises(GroupTooLargeError, match="listing the elements"):
            call()
    assert orbit(act, Z, elements=big.sample(3)).shape == (5, 3, 8)
