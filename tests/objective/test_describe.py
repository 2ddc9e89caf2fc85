"""What an objective says about itself: copies and padding, invariant numbers, and the warning."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

import equilatent as eq

C2, C4, D4 = eq.groups.cyclic(2), eq.groups.cyclic(4), eq.groups.dihedral(4)
D4_D4 = eq.groups.direct_product(D4, D4)


def objective(group: eq.groups.Group, input: Any, **changes: Any) -> eq.Objective:
    arguments: dict[str, Any] = {
        "input": input,
        "output": eq.actions.trivial(group),
        "task_loss": nn.functional.cross_entropy,
        "layer": "1",
    }
    return eq.Objective(group, **{**arguments, **changes})


def words(text: str) -> str:
    """The text without its line breaks."""
    return " ".join(text.split())


def dense(inputs: int, latent: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.Flatten(), nn.Linear(inputs, latent), nn.Linear(latent, outputs))


def convolution(channels: int, size: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Identity(), nn.Conv2d(1, channels, 1), nn.Flatten(), nn.Linear(channels * size * size, outputs)
    )


def two_digits(outputs: int, latent: int = 66, **changes: Any) -> str:
    wanted = objective(D4_D4, eq.actions.parts(D4_D4, [eq.actions.image(D4)] * 2), **changes)
    return words(wanted.describe(dense(18, latent, outputs), torch.zeros(2, 1, 3, 6)))


def test_two_digits_in_66_features() -> None:
    text = two_digits(100)
    assert "D4×D4 (64 elements) acts on the input by D4×D4 on 2 parts, on the output by trivial action of D4×D4" in text
    assert "Layer '1', latent [B, 66], strength 1 (mse)" in text
    assert (
        "regular ⊕ 2 trivial along axis 1, which is 1 copy of the regular representation and 2 trivial features" in text
    )
    assert "an affine head can read 3 invariant numbers" in text
    assert "Warning: the model has 100 invariant outputs, more than the 3 numbers" in text


@pytest.mark.parametrize(("outputs", "warned"), [(2, False), (3, False), (4, True)])
def test_the_warning_begins_where_outputs_outnumber_the_invariants(outputs: int, warned: bool) -> None:
    assert ("Warning" in two_digits(outputs)) == warned


def test_a_wide_latent_has_no_warning() -> None:
    text = two_digits(100, latent=64 * 100)
    assert "100 copies of the regular representation and 0 trivial features" in text
    assert "100 invariant numbers" in text
    assert "Warning" not in text


def test_an_output_that_moves_has_no_warning() -> None:
    wanted = objective(C4, eq.reps.regular(C4), output=eq.actions.labels(C4))
    text = words(wanted.describe(dense(4, 4, 100), torch.zeros(1, 4)))
    assert "on the output by permutation of 4 classes by C4" in text
    assert "1 invariant numbers" in text
    assert "Warning" not in text


def test_a_trivial_representation_of_the_output_is_invariant_too() -> None:
    wanted = objective(C4, eq.reps.regular(C4), output=eq.reps.trivial(C4))
    assert "Warning: the model has 2 invariant outputs" in words(wanted.describe(dense(4, 4, 2), torch.zeros(1, 4)))


@pytest.mark.parametrize(
    ("group", "size", "orbits"),
    # Pixels that a quarter turn, or a mirror too, carries to each other: on 3×3 the centre, the sides and the corners.
    [(C4, 4, 4), (C4, 3, 3), (D4, 3, 3), (D4, 4, 3), (D4, 5, 6), (C2, 3, 5)],
)
@pytest.mark.parametrize("channels", [1, 7])
def test_a_grid_has_one_number_for_each_channel_and_pixel_orbit(
    group: eq.groups.Group, size: int, orbits: int, channels: int
) -> None:
    act = eq.actions.image(group)
    wanted = objective(group, act, latent=act)
    text = words(wanted.describe(convolution(channels, size, 1), torch.zeros(2, 1, size, size)))
    assert f"latent [B, {channels}, {size}, {size}]" in text
    assert f"image grid moved by {group.label}" in text
    assert f"an affine head can read {channels * orbits} invariant numbers" in text
    assert "Warning" not in text


def test_the_warning_counts_the_numbers_of_a_grid() -> None:
    act = eq.actions.image(C4)
    wanted = objective(C4, act, latent=act)
    text = words(wanted.describe(convolution(2, 4, 9), torch.zeros(2, 1, 4, 4)))
    assert "Warning: the model has 9 invariant outputs, more than the 8 numbers" in text


def test_a_representation_along_the_channels_of_a_grid() -> None:
    text = words(objective(C2, eq.actions.image(C2)).describe(convolution(5, 3, 1), torch.zeros(2, 1, 3, 3)))
    assert "2 copies of the regular representation and 1 trivial features" in text
    assert "acts along the features and leaves the other axes in place" in text
    assert "27 invariant numbers" in text  # 2 + 1 in each of 9 pixels


def test_a_grid_together_with_its_channels() -> None:
    # 3 channels on 3×3: e fixes all 27 entries, the half turn the centre of the trivial channel: (27 + 1) / 2 orbits.
    act = eq.actions.compose(eq.actions.image(C2), eq.reps.padded_regular(C2, 3))
    text = words(
        objective(C2, eq.actions.image(C2), latent=act).describe(convolution(3, 3, 1), torch.zeros(2, 1, 3, 3))
    )
    assert "image grid moved by C2 and regular ⊕ trivial of C2" in text
    assert "14 invariant numbers" in text


def test_a_grid_with_signs_counts_entries_that_change_sign_against_the_others() -> None:
    # A vector field on one pixel: −1 turns both components round, and nothing is invariant.
    act = eq.actions.vector_field(C2)
    text = words(
        objective(C2, eq.actions.image(C2), latent=act).describe(convolution(2, 1, 1), torch.zeros(2, 1, 1, 1))
    )
    assert "0 invariant numbers" in text
    assert "Warning: the model has 1 invariant outputs" in text


def test_ones_own_representation() -> None:
    rho = eq.reps.direct_sum(eq.reps.trivial(D4), eq.reps.from_matrices(D4, D4.defining or {}, label="standard"))
    text = words(objective(D4, eq.actions.image(D4), latent=rho).describe(dense(9, 3, 1), torch.zeros(2, 1, 3, 3)))
    assert "latent [B, 3], strength 1 (mse): trivial ⊕ standard along axis 1." in text
    assert "copy of the regular" not in text
    assert "1 invariant numbers" in text


def test_the_multiplicity_of_the_trivial_representation_is_counted_by_characters() -> None:
    # A permutation of 4 corners has one orbit, the sign none: 3 · 1 + 2 · 0.
    rho = eq.reps.direct_sum(eq.reps.multiple(eq.reps.permutation(D4), 3), eq.reps.multiple(eq.reps.sign(D4), 2))
    text = words(objective(D4, eq.actions.image(D4), latent=rho).describe(dense(9, 14, 1), torch.zeros(2, 1, 3, 3)))
    assert "3 invariant numbers" in text


def test_an_action_whose_invariants_cannot_be_counted() -> None:
    def turned(z: Tensor, g: Tensor) -> Tensor:
        return torch.where(g[:, None] == 1, z.flip(1) * 0.5, z)

    text = words(
        objective(C2, eq.reps.regular(C2), latent=eq.actions.function(C2, turned)).describe(
            dense(2, 2, 9), torch.zeros(1, 2)
        )
    )
    assert "turned of C2" in text
    assert "was not counted" in text
    assert "Warning" not in text


def test_every_layer_is_described_with_its_own_strength() -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(4, 8), nn.Linear(8, 5), nn.Linear(5, 2))
    wanted = objective(C4, eq.reps.regular(C4), layer={"1": 0.25, "2": 3.0}, distance="relative")
    text = words(wanted.describe(model, torch.zeros(1, 4)))
    assert "Layer '1', latent [B, 8], strength 0.25 (relative): 2 regular along axis 1, which is 2 copies" in text
    assert "Layer '2', latent [B, 5], strength 3 (relative): regular ⊕ trivial along axis 1, which is 1 copy" in text


@pytest.mark.parametrize("style", ["pair", "returns both"])
def test_a_latent_without_a_name(style: str) -> None:
    class Both(nn.Module):
        def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
            return x[:, :1], x

    model: Any = Both() if style == "returns both" else (nn.Identity(), nn.Linear(4, 1))
    text = words(objective(C4, eq.reps.regular(C4), layer=None).describe(model, torch.zeros(1, 4)))
    assert "Latent [B, 4], strength 1 (mse)" in text
    assert "Layer" not in text


def test_lines_fit_a_terminal_and_repr_has_one_for_each_term() -> None:
    wanted = objective(D4_D4, eq.actions.parts(D4_D4, [eq.actions.image(D4)] * 2))
    text = wanted.describe(dense(18, 66, 100), torch.zeros(2, 1, 3, 6))
    assert max(map(len, text.splitlines())) <= 110
    assert wanted.extra_repr().splitlines() == [
        "group=D4×D4, draw='uniform'",
        "Task(0.5)",
        "TransformedTask(0.5)",
        "Equivariance('1', 1)",
    ]
