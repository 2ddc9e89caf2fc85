"""Latent augmentation: latents and targets by one element, drawn uniformly; and the loader over stored latents."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

import equilatent as eq
from equilatent.latent import AugmentedLatents, augment

D4 = eq.groups.dihedral(4)
RHO, CORNERS = eq.reps.multiple(eq.reps.regular(D4), 2), eq.actions.labels(D4)  # a class for each corner of the square


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def stored(count: int) -> tuple[Tensor, Tensor]:
    return torch.randn(count, 16, generator=seeded(1)), torch.randint(4, (count,), generator=seeded(2))


def drawn_elements(z: Tensor, moved: Tensor) -> Tensor:
    """The element of each sample, read off from its latent."""
    same = (eq.latent.orbit(RHO, z) == moved[:, None]).all(2)
    assert (same.sum(1) == 1).all()
    return same.long().argmax(1)


def test_latents_and_targets_are_transformed_by_the_elements_drawn() -> None:
    z, y = stored(500)
    moved, targets = augment(RHO, CORNERS, z, y, generator=seeded())
    g = D4.sample(500, generator=seeded())
    assert torch.equal(moved, RHO(z, g)) and torch.equal(targets, CORNERS(y, g))
    elements = drawn_elements(z, moved)
    assert torch.equal(elements, g) and torch.equal(elements.bincount(minlength=8), g.bincount(minlength=8))
    assert g.bincount(minlength=8).min() > 40  # the identity is drawn like any other


def test_given_elements() -> None:
    z, y = stored(8)
    g = torch.arange(8).flip(0)
    moved, targets = augment(RHO, CORNERS, z, y, g=g)
    assert torch.equal(drawn_elements(z, moved), g)
    # r takes corner 0 to 1, 1 to 2, …; s leaves 0 and 2 where they are, and exchanges 1 and 3.
    corners = {g: [(i + g) % 4 if g < 4 else (g - 4 - i) % 4 for i in range(4)] for g in range(8)}
    assert targets.tolist() == [corners[int(a)][int(c)] for a, c in zip(g, y, strict=True)]


def test_an_equivariant_head_gives_the_same_loss_and_an_equivariant_encoder_the_same_latents() -> None:
    act = eq.actions.image(D4)
    x, y, g = torch.randn(20, 1, 4, 4), torch.randn(20, 1, 4, 4), D4.sample(20, generator=seeded())
    blur = torch.nn.AvgPool2d(3, 1, 1)  # equivariant: x ↦ latent images
    moved, targets = augment(act, act, blur(x), y, g=g)
    torch.testing.assert_close(moved, blur(act(x, g)))
    assert torch.equal(targets, act(y, g))


def test_gradients_go_through_to_the_latents() -> None:
    z, y = stored(5)
    z.requires_grad_()
    moved, _ = augment(RHO, eq.actions.trivial(D4), z, y)
    (gradient,) = torch.autograd.grad(moved.square().sum(), z)
    torch.testing.assert_close(gradient, 2 * z.detach())


def test_the_loader_goes_through_all_latents_once_an_epoch_with_new_elements() -> None:
    z, y = stored(50)
    batches = AugmentedLatents(RHO, CORNERS, z, y, batch_size=16, generator=seeded())
    assert len(batches) == 4
    epochs = [list(batches), list(batches)]
    elements = []
    for epoch in epochs:
        assert [len(latents) for latents, _ in epoch] == [len(targets) for _, targets in epoch] == [16, 16, 16, 2]
        g = drawn_elements(z, torch.cat([latents for latents, _ in epoch]))
        assert torch.equal(torch.cat([targets for _, targets in epoch]), CORNERS(y, g))
        elements.append(g)
    assert not torch.equal(*elements)
    again = list(AugmentedLatents(RHO, CORNERS, z, y, batch_size=16, generator=seeded()))
    assert all(
        torch.equal(a, b)
        for first, second in zip(again, epochs[0], strict=True)
        for a, b in zip(first, second, strict=True)
    )


def test_a_shuffled_loader_keeps_latents_and_targets_together() -> None:
    z, _ = stored(50)
    number = torch.arange(50)  # as a target that does not move, the number of the latent
    batches = AugmentedLatents(RHO, eq.actions.trivial(D4), z, number, batch_size=16, shuffle=True, generator=seeded())
    orders = []
    for _ in range(2):
        latents, numbers = map(torch.cat, zip(*batches, strict=True))
        assert torch.equal(numbers.sort().values, number) and not torch.equal(numbers, number)
        drawn_elements(z[numbers], latents)
        orders.append(numbers)
    assert not torch.equal(*orders)


def test_a_memory_mapped_store_and_a_device(tmp_path: Path) -> None:
    z, y = stored(30)
    torch.save(z, tmp_path / "z.pt")
    on_disk = torch.load(tmp_path / "z.pt", mmap=True)
    for shuffle in (False, True):
        batches, expected = (
            AugmentedLatents(RHO, CORNERS, latents, y, batch_size=8, shuffle=shuffle, generator=seeded(), device=device)
            for latents, device in ((on_disk, "cpu"), (z, None))
        )
        for (a, b), (c, d) in zip(batches, expected, strict=True):
            assert torch.equal(a, c) and torch.equal(b, d)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64, torch.complex64])
def test_dtypes_stay(dtype: torch.dtype) -> None:
    z, y = stored(6)
    moved, targets = augment(RHO, CORNERS, z.to(dtype), y)
    assert moved.dtype == dtype and targets.dtype == torch.long
