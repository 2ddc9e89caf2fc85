"""The orbit of latents, whole and in batches, against one element at a time."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

import equilatent as eq
from equilatent.actions import SupportsAction
from equilatent.latent import orbit, orbit_batches
from equilatent.testing import ACTIONS

D4, S4 = eq.groups.dihedral(4), eq.groups.symmetric(4)


def one_by_one(rho: SupportsAction, z: Tensor, elements: Tensor) -> Tensor:
    return torch.stack([torch.cat([rho(latent[None], g[None]) for g in elements]) for latent in z])


@pytest.mark.parametrize("name", ACTIONS)
def test_every_registered_action(name: str) -> None:
    make, shape = ACTIONS[name]
    rho, z = make(), torch.randn(3, *shape)
    elements = rho.group.elements
    whole = orbit(rho, z)
    assert whole.shape == (3, rho.group.order, *shape)
    assert torch.equal(whole, one_by_one(rho, z, elements))
    some = elements[[-1, 0, -1]]
    assert torch.equal(orbit(rho, z, elements=some), one_by_one(rho, z, some))


@pytest.mark.parametrize("batch_size", [1, 7, 24, 50, 10_000])
def test_batches_put_together_are_the_orbit(batch_size: int) -> None:
    rho, z = eq.reps.padded_regular(S4, 30), torch.randn(5, 30)
    whole, seen = orbit(rho, z), torch.zeros(5, 24, dtype=torch.long)
    for samples, elements, latents in orbit_batches(rho, z, batch_size=batch_size):
        assert latents.shape[:2].numel() <= batch_size
        assert torch.equal(latents, whole[samples, elements])
        seen[samples, elements] += 1
    assert (seen == 1).all()


def test_other_axes_and_chosen_elements() -> None:
    rho, z = eq.reps.regular(D4), torch.randn(2, 3, 8, 5)
    chosen = torch.tensor([5, 1])
    expected = torch.stack([rho(z, torch.full((2,), g), dim=2) for g in (5, 1)], 1)
    assert torch.equal(orbit(rho, z, elements=chosen, axis=2), expected)
    ((samples, elements, latents),) = orbit_batches(rho, z, elements=chosen, axis=-2)
    assert (samples, elements) == (slice(0, 2), slice(0, 2)) and torch.equal(latents, expected)


def test_gradients_go_through() -> None:
    rho, z = eq.reps.regular(D4), torch.randn(3, 8, dtype=torch.float64, requires_grad=True)
    weights = torch.randn(3, 8, 8, dtype=torch.float64)
    (gradient,) = torch.autograd.grad((orbit(rho, z) * weights).sum(), z)
    back = torch.stack([rho.matrix(g).mT @ weights[:, g, :, None] for g in range(8)]).sum(0)[..., 0]
    torch.testing.assert_close(gradient, back)


def test_rho_need_not_be_exact() -> None:
    rho = eq.reps.LearnedRepresentation(D4, 6, start="normal")
    z = torch.randn(2, 6)
    expected = torch.einsum("gij,bj->bgi", rho.matrix(D4.elements), z)
    torch.testing.assert_close(orbit(rho, z), expected)
