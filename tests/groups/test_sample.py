"""Drawing elements: uniform, reproducible, of the shape and on the device asked for."""

from __future__ import annotations

import pytest
import scipy.stats
import torch

import equilatent as eq
from equilatent.groups import Group


def _seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def _p_value(counts: torch.Tensor) -> float:
    return float(scipy.stats.chisquare(counts.numpy()).pvalue)


def test_every_element_is_equally_likely(G: Group) -> None:
    counts = torch.bincount(G.sample(100 * G.order, generator=_seeded()), minlength=G.order)
    assert len(counts) == G.order
    assert G.order == 1 or 1e-3 < _p_value(counts) < 0.999


def test_all_but_the_identity_are_equally_likely(G: Group) -> None:
    if G.order <= 2:
        return
    counts = torch.bincount(G.sample(100 * G.order, generator=_seeded(), identity=False), minlength=G.order)
    assert counts[0] == 0
    assert 1e-3 < _p_value(counts[1:]) < 0.999


def test_components_of_a_huge_product_are_drawn_uniformly_and_independently() -> None:
    G = eq.groups.direct_product(*[eq.groups.cyclic(3)] * 20)
    first, *_, last = G.split(G.sample(9000, generator=_seeded()))
    assert 1e-3 < _p_value(torch.bincount(3 * first + last, minlength=9)) < 0.999


@pytest.mark.parametrize("shape", [(), (0,), (5,), (2, 3), torch.Size([4, 1, 2]), [3, 2]])
def test_sample_has_the_shape_asked_for(shape: tuple[int, ...]) -> None:
    drawn = eq.groups.dihedral(4).sample(shape)
    assert drawn.shape == tuple(shape)
    assert drawn.dtype == torch.long


def test_an_int_asks_for_so_many() -> None:
    assert eq.groups.dihedral(4).sample(7).shape == (7,)


def test_a_generator_makes_draws_reproducible() -> None:
    G = eq.groups.symmetric(5)
    first, again = G.sample(50, generator=_seeded(3)), G.sample(50, generator=_seeded(3))
    assert torch.equal(first, again)
    assert not torch.equal(first, G.sample(50, generator=_seeded(4)))


def test_a_generator_leaves_the_global_randomness_alone() -> None:
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    eq.groups.dihedral(4).sample(5, generator=_seeded())
    assert torch.equal(torch.rand(3), expected)


def test_without_a_generator_the_global_randomness_decides() -> None:
    G = eq.groups.symmetric(5)
    torch.manual_seed(0)
    first = G.sample(50)
    torch.manual_seed(0)
    assert torch.equal(G.sample(50), first)


@pytest.mark.parametrize("generator", [None, _seeded()], ids=["no_generator", "generator"])
@pytest.mark.parametrize("device", ["cpu", "meta", torch.device("meta")], ids=str)
def test_sample_lives_on_the_device_asked_for(generator: torch.Generator | None, device: torch.device | str) -> None:
    drawn = eq.groups.dihedral(4).sample((2, 3), generator=generator, device=device)
    assert drawn.device == torch.device(device)
    assert drawn.shape == (2, 3)


def test_the_device_of_the_generator_is_the_default() -> None:
    with torch.device("meta"):
        assert eq.groups.dihedral(4).sample(3, generator=_seeded()).device.type == "cpu"
