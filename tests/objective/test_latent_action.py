"""The action on the latent that an objective hands out."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import equilatent as eq

C4 = eq.groups.cyclic(4)


def objective(layer: list[str] | str | None, latent_axis: int = 1) -> eq.Objective:
    return eq.Objective(
        C4,
        input=eq.actions.image(C4),
        output=eq.actions.trivial(C4),
        task_loss=nn.functional.cross_entropy,
        layer=layer,
        latent_axis=latent_axis,
    )


@pytest.mark.parametrize("layer", [None, "encoder"])
@pytest.mark.parametrize("axis", [1, -1])
def test_it_is_what_the_term_uses(layer: str | None, axis: int) -> None:
    latent, g = torch.randn(5, 10, 11), torch.tensor([0, 1, 2, 3, 1])
    act = objective(layer, axis).latent_action()
    assert act.group == C4
    assert torch.equal(act(latent, g), eq.reps.padded_regular(C4, latent.shape[axis])(latent, g, dim=axis))


def test_one_of_several_layers_is_named() -> None:
    wanted = objective(["a", "b"])
    eq.testing.assert_action(wanted.latent_action("b"), torch.randn(6, 9))
    for layer in (None, "c"):
        with pytest.raises(eq.errors.LatentError, match=f"layer is one of 'a', 'b'; got {layer!r}"):
            wanted.latent_action(layer)


def test_terms_as_tensors_are_those_as_floats() -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(16, 8), nn.Linear(8, 8), nn.Linear(8, 3))
    _, terms = objective(["1", "2"])(model, torch.randn(5, 1, 4, 4), torch.tensor([0, 1, 2, 0, 1]))
    tensors = terms.as_tensors()
    assert {"loss", "equivariance/1", "centred_error/2"} <= set(tensors)
    assert {name: value.item() for name, value in tensors.items()} == terms.as_floats()
