"""The element that carries one latent to another: exactly equivariant latents, stabilisers, noise, laws."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

import equilatent as eq
from equilatent.groups import Group
from equilatent.latent import match
from equilatent.testing import GROUPS

D4, S4 = eq.groups.dihedral(4), eq.groups.symmetric(4)
SMALL = sorted(name for name, make in GROUPS.items() if make().order <= 64)


def normal(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


def orbit_features(act: eq.actions.Action, x: Tensor, weight: Tensor) -> Tensor:
    """An equivariant encoder: z[k, h] = φ_k(h⁻¹x), so that E(g·x) = ρ(g)E(x) for copies of the regular representation."""
    group = act.group
    poses = act(x.repeat_interleave(group.order, 0), group.inverse(group.elements).repeat(len(x)))
    features = torch.tanh(poses.flatten(1) @ weight).view(len(x), group.order, -1)
    return features.transpose(1, 2).flatten(1)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
def test_an_equivariant_encoder_tells_the_pose(dtype: torch.dtype) -> None:
    act = eq.actions.image(D4)
    x, weight = normal(64, 1, 6, 6), normal(36, 10, seed=1) / 6
    g = D4.sample(64, generator=torch.Generator().manual_seed(2))
    rho = eq.reps.multiple(eq.reps.regular(D4), 10)
    z1, z2 = orbit_features(act, x, weight), orbit_features(act, act(x, g), weight)
    torch.testing.assert_close(z2, rho(z1, g))
    found = match(rho, z1.to(dtype), z2.to(dtype))
    assert torch.equal(found.element, g)
    assert found.score.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
    torch.testing.assert_close(found.score, torch.ones_like(found.score))
    torch.testing.assert_close(act(x, found.element), act(x, g))  # the inputs are aligned with it too
    assert found.ties.sum(1).eq(1).all()


def test_scores_and_margins_are_cosines_of_the_best_two() -> None:
    rho = eq.reps.padded_regular(S4, 50)
    z1, z2 = normal(9, 50), normal(9, 50, seed=1)
    found = match(rho, z1, z2)
    moved = torch.stack([rho(z1, torch.full((9,), g)) for g in range(24)], 1)
    cosines = torch.cosine_similarity(moved, z2[:, None].expand_as(moved), dim=2)
    best = cosines.sort(1, descending=True)
    torch.testing.assert_close(found.score, best.values[:, 0])
    torch.testing.assert_close(found.margin, best.values[:, 0] - best.values[:, 1])
    assert torch.equal(found.element, best.indices[:, 0])
    distances = (moved - z2[:, None]).norm(dim=2)
    assert torch.equal(found.element, distances.argmin(1))
    loose = match(rho, z1, z2, tolerance=0.2)
    assert torch.equal(loose.ties, cosines >= best.values[:, :1] - 0.2) and loose.ties.sum() > 9
    assert found.group is S4


def test_by_hand() -> None:
    C3 = eq.groups.cyclic(3)
    found = match(eq.reps.regular(C3), torch.tensor([[3.0, 4.0, 0.0]]), torch.tensor([[0.0, 0.0, 2.0]]))
    # r sends (3, 4, 0) to (0, 3, 4): cosines with (0, 0, 2) are 0, 4/5 and 3/5.
    assert found.element.tolist() == [C3["r"]]
    torch.testing.assert_close(found.score, torch.tensor([0.8]))
    torch.testing.assert_close(found.margin, torch.tensor([0.2]))


def test_zero_latents_score_zero_and_every_element_is_as_good() -> None:
    rho, z = eq.reps.regular(D4), normal(2, 8)
    for found in (match(rho, torch.zeros_like(z), z), match(rho, z, torch.zeros_like(z))):
        assert found.score.tolist() == found.margin.tolist() == found.element.tolist() == [0, 0]
        assert found.ties.all()


def test_the_trivial_group_has_no_second_element() -> None:
    found = match(eq.reps.regular(eq.groups.cyclic(1)), torch.ones(2, 1), torch.ones(2, 1))
    assert found.margin.tolist() == [math.inf, math.inf] and found.ties.shape == (2, 1)


@pytest.mark.parametrize("scale", [1e-30, 1e30])
def test_scores_do_not_depend_on_the_size_of_latents(scale: float) -> None:
    rho, z1, z2 = eq.reps.regular(D4), normal(5, 8, dtype=torch.float32), normal(5, 8, seed=1, dtype=torch.float32)
    plain, scaled = match(rho, z1, z2), match(rho, z1 * scale, z2)
    torch.testing.assert_close(plain.score, scaled.score)
    assert torch.equal(plain.element, scaled.element) and plain.score.abs().max() > 0.1


def test_an_action_on_spatial_latents() -> None:
    act = eq.actions.image(D4)
    z, g = normal(16, 3, 5, 5), D4.sample(16, generator=torch.Generator().manual_seed(0))
    found = match(act, z, act(z, g))
    assert torch.equal(found.element, g)
    # Features in copies of the regular representation at every pixel, which also moves.
    both = eq.actions.compose(act, eq.actions.channels(eq.reps.regular(D4)))
    z = normal(16, 16, 5, 5)
    assert torch.equal(match(both, z, both(z, g)).element, g)


def test_an_axis_of_features_that_is_not_the_first() -> None:
    rho, z = eq.reps.padded_regular(D4, 10), normal(6, 4, 10)
    g = torch.arange(6)
    for axis in (2, -1):
        assert torch.equal(match(rho, z, rho(z, g, dim=2), axis=axis).element, g)


def random_group(data: st.DataObject) -> Group:
    return GROUPS[data.draw(st.sampled_from(SMALL))]()


def random_latents(data: st.DataObject, group: Group) -> tuple[eq.reps.Representation, Tensor]:
    copies, rest = data.draw(st.integers(1, 3)), data.draw(st.integers(0, 2))
    parts = [eq.reps.multiple(eq.reps.regular(group), copies), eq.reps.multiple(eq.reps.trivial(group), rest)]
    if data.draw(st.booleans()):
        parts.append(eq.reps.tensor(eq.reps.regular(group), eq.reps.regular(group)))
    rho = eq.reps.direct_sum(*parts)
    return rho, normal(4, rho.dim, seed=data.draw(st.integers(0, 1000)))


@given(st.data())
@settings(max_examples=30, deadline=None)
def test_a_transformed_latent_is_matched_by_its_element(data: st.DataObject) -> None:
    group = random_group(data)
    rho, z = random_latents(data, group)
    h = group.sample(4, generator=torch.Generator().manual_seed(data.draw(st.integers(0, 1000))))
    found = match(rho, z, rho(z, h))
    assert torch.equal(found.element, h)
    assert found.ties.sum(1).eq(1).all()


@given(st.data())
@settings(max_examples=30, deadline=None)
def test_a_stabiliser_makes_ties_of_its_coset(data: st.DataObject) -> None:
    group = random_group(data)
    rho, z = random_latents(data, group)
    subgroup = eq.groups.subgroup(group, [data.draw(st.integers(0, group.order - 1))])
    members = subgroup.elements
    fixed = eq.latent.orbit(rho, z, elements=members).mean(1)  # by all of the subgroup
    h = group.sample(4, generator=torch.Generator().manual_seed(data.draw(st.integers(0, 1000))))
    found = match(rho, fixed, rho(fixed, h))
    expected = torch.zeros(4, group.order, dtype=torch.bool)
    expected.scatter_(1, group.product(h[:, None], members), True)
    assert torch.equal(found.ties, expected)
    assert found.ties.gather(1, found.element[:, None]).all()
    if len(members) > 1:
        torch.testing.assert_close(found.margin, torch.zeros_like(found.margin), rtol=0, atol=1e-12)


@given(st.data())
@settings(max_examples=30, deadline=None)
def test_transforming_the_pair_transforms_the_element(data: st.DataObject) -> None:
    group = random_group(data)
    rho, z1 = random_latents(data, group)
    z2 = normal(4, rho.dim, seed=data.draw(st.integers(1001, 2000)))
    a, b = group.sample((2, 4), generator=torch.Generator().manual_seed(data.draw(st.integers(0, 1000))))
    plain, transformed = match(rho, z1, z2), match(rho, rho(z1, a), rho(z2, b))
    expected = group.product(group.product(b, plain.element), group.inverse(a))
    assert torch.equal(transformed.element, expected)
    torch.testing.assert_close(transformed.score, plain.score)
    torch.testing.assert_close(transformed.margin, plain.margin)


def test_noise_below_half_the_distance_between_poses_changes_nothing_and_above_it_may() -> None:
    # For |z| = 1 and margin m the nearest two poses are sqrt(2m) apart, so that noise below sqrt(m/2) keeps the element.
    rho = eq.reps.multiple(eq.reps.regular(D4), 3)
    z = torch.nn.functional.normalize(normal(50, 24))
    h = D4.sample(50, generator=torch.Generator().manual_seed(0))
    clean = rho(z, h)
    bound = (match(rho, z, clean).margin / 2).sqrt()[:, None]
    for seed in range(5):
        noise = torch.nn.functional.normalize(normal(50, 24, seed=seed + 1)) * bound * 0.999
        assert torch.equal(match(rho, z, clean + noise).element, h)
    poses = eq.latent.orbit(rho, z)
    distances = (poses - clean[:, None]).norm(dim=2).scatter(1, h[:, None], torch.inf)
    rival = poses[torch.arange(50), distances.argmin(1)]
    towards = torch.nn.functional.normalize(rival - clean)
    assert torch.equal(match(rho, z, clean + 0.999 * bound * towards).element, h)
    assert torch.equal(match(rho, z, clean + 1.001 * bound * towards).element, distances.argmin(1))


def test_it_needs_no_gradients_and_leaves_none() -> None:
    rho, z = eq.reps.regular(D4), normal(3, 8).requires_grad_()
    found = match(rho, z, z)
    assert not found.score.requires_grad
    with torch.inference_mode():
        assert match(rho, normal(3, 8), normal(3, 8)).element.shape == (3,)
