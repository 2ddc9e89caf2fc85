"""Filters and kernels against characters, brute force and the literature's dimensions."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

import equilatent as eq
from equilatent.bench.systems.steerable import (
    band_limited_filters,
    filter_representation,
    invariant_vectors,
    kernel_basis,
    kernel_representation,
)
from equilatent.errors import ActionError, RepresentationError
from equilatent.groups import Group
from equilatent.reps import Representation

SIZES = (1, 3, 5, 7)
#: How many rings carry each frequency 0, 1, 2, 3.
FREQUENCIES = {1: (1, 0, 0, 0), 3: (2, 1, 1, 0), 5: (3, 2, 2, 0), 7: (4, 3, 3, 1)}


def filter_character(G: Group, size: int) -> torch.Tensor:
    """By hand: a turn by θ has the trace 2 cos mθ on the frequency m, a mirror 0, and both have 1 on the frequency 0."""
    constant, *pairs = FREQUENCIES[size]
    values = []
    for name in G.names:
        turns = 0 if name == "e" else int(name[1:2].strip() or 1) if name.startswith("r") else 0
        mirrored = name.endswith("s")
        cosines = [2 * n * math.cos(m * turns * math.pi / 2) for m, n in enumerate(pairs, start=1)]
        values.append(constant + (0 if mirrored else sum(cosines)))
    return torch.tensor(values, dtype=torch.float64)


@pytest.mark.parametrize(("size", "count"), [(1, 1), (3, 6), (5, 11), (7, 18)])
def test_filters_are_as_many_as_published_independent_and_of_norm_one(size: int, count: int) -> None:
    filters = band_limited_filters(size)
    assert filters.shape == (count, size, size)
    torch.testing.assert_close(filters.flatten(1).norm(dim=1), torch.ones(count, dtype=torch.float64))
    assert torch.linalg.matrix_rank(filters.flatten(1)) == count


def test_the_filters_of_three_pixels_by_hand() -> None:
    k = math.exp(-((math.sqrt(2) - 1) ** 2) / (2 * 0.4**2))
    m, c = math.exp(-1 / (2 * 0.4**2)), k / math.sqrt(2)
    expected = torch.tensor(
        [
            [[0, 0, 0], [0, 1, 0], [0, 0, 0]],
            [[k, 1, k], [1, m, 1], [k, 1, k]],
            [[-c, 0, c], [-1, 0, 1], [-c, 0, c]],
            [[c, 1, c], [0, 0, 0], [-c, -1, -c]],
            [[0, -1, 0], [1, 0, 1], [0, -1, 0]],
            [[-k, 0, k], [0, 0, 0], [k, 0, -k]],
        ],
        dtype=torch.float64,
    )
    expected /= expected.flatten(1).norm(dim=1)[:, None, None]
    torch.testing.assert_close(band_limited_filters(3), expected)


@pytest.mark.parametrize("size", SIZES)
def test_the_group_moves_filters_as_their_frequencies_say(G: Group, size: int) -> None:
    rho = filter_representation(G, size)
    eq.testing.assert_representation(rho)
    torch.testing.assert_close(rho.character, filter_character(G, size))


@pytest.mark.parametrize("size", SIZES)
def test_bases_have_as_many_elements_as_characters_say(G: Group, size: int) -> None:
    known = [*eq.reps.irreps(G, field="real"), eq.reps.regular(G)]
    for sigma in known:
        for rho in known:
            count = (sigma.character * rho.character * filter_character(G, size)).mean()
            basis = kernel_basis(sigma, rho, size)
            assert basis.shape == (round(float(count)), sigma.dim, rho.dim, size, size)
            assert len(basis) == 0 or torch.linalg.matrix_rank(basis.flatten(1)) == len(basis)


def test_regular_to_regular_of_three_pixels_has_the_published_dimensions() -> None:
    rho = eq.reps.regular(eq.groups.cyclic(4))
    assert len(kernel_basis(rho, rho, 3)) == 24
    assert kernel_representation(rho, rho, filter_representation(rho.group, 3)).dim == 96


@pytest.mark.parametrize("size", SIZES)
def test_kernels_satisfy_the_constraint_pixel_by_pixel(G: Group, size: int) -> None:
    """K(gx) = ρ_out(g) K(x) ρ_in(g)⁻¹, with gx computed from the matrix of g, not by the library's action."""
    sigma, rho = eq.reps.direct_sum(*eq.reps.irreps(G, field="real")), eq.reps.regular(G)
    basis, middle = kernel_basis(sigma, rho, size), size // 2
    assert G.defining is not None
    for x, motion in G.defining.items():
        g = G.generators[x]
        for row in range(size):
            for column in range(size):
                to_row, to_column = np.rint(motion @ [row - middle, column - middle]).astype(int) + middle
                moved = sigma.matrix(g) @ basis[..., row, column] @ rho.matrix(g).inverse()
                torch.testing.assert_close(basis[..., to_row, to_column], moved)


def test_elements_have_norm_one_and_live_on_one_ring(G: Group) -> None:
    rho = eq.reps.regular(G)
    basis = kernel_basis(rho, rho, 5)
    torch.testing.assert_close(basis.flatten(1).norm(dim=1), torch.ones(len(basis), dtype=torch.float64))
    filters = band_limited_filters(5)
    used = (basis.flatten(3) @ torch.linalg.pinv(filters.flatten(1))).abs().amax((1, 2)) > 1e-9
    rings = torch.stack([used[:, :1].any(1), used[:, 1:6].any(1), used[:, 6:].any(1)])
    assert (rings.sum(0) == 1).all()


def test_invariant_vectors_of_the_regular_representation_are_constants(G: Group) -> None:
    vectors = invariant_vectors(eq.reps.regular(G))
    torch.testing.assert_close(vectors, torch.full((1, G.order), G.order**-0.5, dtype=torch.float64))
    assert len(invariant_vectors(eq.reps.irreps(G, field="real")[-1])) == 0


@pytest.mark.parametrize("size", [0, 2, 9, 3.5, "3"])
def test_other_sizes_are_refused(size: object) -> None:
    with pytest.raises(ActionError, match="1, 3, 5 or 7 pixels"):
        band_limited_filters(size)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("rho", "error", "message"),
    [
        (eq.reps.regular(eq.groups.cyclic(3)), ActionError, "maps? the grid|map the pixel|signed permutation"),
        (eq.reps.regular(eq.groups.octahedral()), ActionError, "3-dimensional motions"),
        (eq.reps.irreps(eq.groups.cyclic(4))[1], RepresentationError, "take real irreps"),
    ],
    ids=["C3", "O", "complex"],
)
def test_unsuitable_representations_are_refused(rho: Representation, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        kernel_basis(rho, eq.reps.trivial(rho.group), 3)


def test_representations_of_two_groups_are_refused() -> None:
    with pytest.raises(RepresentationError, match="over one group"):
        kernel_basis(eq.reps.trivial(eq.groups.cyclic(4)), eq.reps.trivial(eq.groups.dihedral(4)), 3)


def test_a_representation_that_is_not_orthogonal_is_refused() -> None:
    skew = eq.reps.from_matrices(eq.groups.cyclic(2), {"r": [[1, 1], [0, -1]]})
    with pytest.raises(RepresentationError, match="not real and orthogonal"):
        invariant_vectors(skew)
