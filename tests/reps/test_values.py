"""Values of representations worked out by hand, and against independent oracles."""

import itertools
from collections.abc import Callable

import numpy as np
import pytest
import scipy.linalg
import torch
from sympy.combinatorics import Permutation
from torch import Tensor

import equilatent as eq
from equilatent import groups, reps
from equilatent.groups import Group

D4_CORNERS = {"r": [1, 2, 3, 0], "s": [0, 3, 2, 1]}


def vectors(*shape: int, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(7), dtype=torch.float64).to(dtype)


def product_along_word(group: Group, element: int, images: dict[str, np.ndarray]) -> np.ndarray:
    """The matrix of an element, multiplied out along a word that spells it."""
    product = np.eye(len(next(iter(images.values()))))
    for x, exponent in group.word(element):
        product = product @ np.linalg.matrix_power(images[x], exponent)
    return product


def standard(group: Group) -> reps.Representation:
    return reps.from_matrices(group, group.defining or {}, label="standard")


# Regular


@pytest.mark.parametrize("make", [lambda: groups.dihedral(3), groups.quaternion, lambda: groups.alternating(4)])
def test_regular_sends_the_basis_vector_of_h_to_that_of_gh(make: Callable[[], Group]) -> None:
    G = make()
    rho = reps.regular(G)
    for g, h in itertools.product(range(G.order), repeat=2):
        moved = rho(torch.nn.functional.one_hot(torch.tensor([h]), G.order), torch.tensor([g]))
        assert moved[0].nonzero().flatten().tolist() == [G.product(g, h)]


def test_regular_of_a_cyclic_group_is_a_cyclic_shift() -> None:
    rho = reps.regular(groups.cyclic(5))
    x = vectors(5, 5)
    moved = rho(x, torch.arange(5))
    for k in range(5):
        assert torch.equal(moved[k], x[k].roll(k))


@pytest.mark.parametrize("make", [lambda: groups.cyclic(1), lambda: groups.dihedral(4), lambda: groups.symmetric(4)])
def test_the_regular_character_is_the_order_at_the_identity_and_zero_elsewhere(make: Callable[[], Group]) -> None:
    G = make()
    assert reps.regular(G).character.tolist() == [float(G.order)] + [0.0] * (G.order - 1)


def test_a_regular_representation_beyond_the_table_limit_follows_group_products() -> None:
    G = groups.symmetric(7)
    rho = reps.regular(G)
    assert not list(rho.buffers())  # no table of 5040² entries
    g = G.sample(4, generator=torch.Generator().manual_seed(3))
    x = vectors(4, G.order)
    for shaped in (x, x[:, :, None].repeat(1, 1, 2)):
        moved = rho(shaped, g)
        for b in range(4):
            assert torch.equal(moved[b, G.product(g[b], G.elements)], shaped[b])
    assert rho.character[0] == 5040 and not rho.character[1:].any()


def test_regular_representations_with_and_without_a_table_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    G = groups.direct_product(groups.symmetric(3), groups.quaternion())
    tabled = reps.regular(G)
    monkeypatch.setattr(eq.reps._representation, "_TABLE_ENTRIES", 0)
    bare = reps.regular(G)
    assert list(tabled.buffers()) and not list(bare.buffers())
    g, x = G.elements, vectors(G.order, G.order, 3)
    assert torch.equal(tabled(x, g), bare(x, g))
    assert torch.equal(tabled.matrix(g), bare.matrix(g))
    assert torch.equal(tabled.character, bare.character)


# Padded regular and sums


@pytest.mark.parametrize(
    ("dim", "label"),
    [
        (6, "regular"),
        (7, "regular ⊕ trivial"),
        (11, "regular ⊕ 5 trivial"),
        (12, "2 regular"),
        (20, "3 regular ⊕ 2 trivial"),
    ],
)
def test_padded_regular_is_copies_of_regular_then_ones(dim: int, label: str) -> None:
    G = groups.dihedral(3)
    rho, regular = reps.padded_regular(G, dim), reps.regular(G)
    assert (rho.label, rho.dim) == (label, dim)
    for g in range(G.order):
        blocks = [regular.matrix(g).numpy()] * (dim // 6) + [np.eye(1)] * (dim % 6)
        assert np.array_equal(rho.matrix(g).numpy(), scipy.linalg.block_diag(*blocks))


def test_a_direct_sum_keeps_the_order_of_its_summands() -> None:
    G = groups.symmetric(3)
    sign, points = reps.sign(G), reps.permutation(G)
    g = torch.tensor([G["(0 1 2)"], G["(0 1)"]])
    x = torch.tensor([[10.0, 1.0, 2.0, 3.0]]).repeat(2, 1)
    assert reps.direct_sum(sign, points)(x, g).tolist() == [[10.0, 3.0, 1.0, 2.0], [-10.0, 2.0, 1.0, 3.0]]
    assert reps.direct_sum(points, sign)(x, g).tolist() == [[2.0, 10.0, 1.0, 3.0], [1.0, 10.0, 2.0, -3.0]]
    expected = scipy.linalg.block_diag(points.matrix(3).numpy(), sign.matrix(3).numpy())
    assert np.array_equal(reps.direct_sum(points, sign).matrix(3).numpy(), expected)


def test_a_multiple_puts_whole_copies_one_behind_the_other() -> None:
    G = groups.symmetric(3)
    rho = reps.multiple(reps.direct_sum(reps.sign(G), reps.permutation(G)), 2)
    x = torch.tensor([[10, 1, 2, 3, 20, 4, 5, 6]])
    assert rho(x, torch.tensor([G["(0 1)"]])).tolist() == [[-10, 2, 1, 3, -20, 5, 4, 6]]
    assert rho.label == "2 (sign ⊕ permutation)"


def test_sums_of_sums_are_flattened() -> None:
    G = groups.cyclic(3)
    rho = reps.direct_sum(reps.padded_regular(G, 7), reps.direct_sum(reps.trivial(G), reps.regular(G)))
    assert rho.label == "2 regular ⊕ trivial ⊕ trivial ⊕ regular"
    assert [(part.label, count) for part, count in rho.blocks] == [
        ("regular", 2),
        ("trivial", 1),
        ("trivial", 1),
        ("regular", 1),
    ]


def test_a_multiple_of_zero_copies_acts_on_nothing() -> None:
    G = groups.cyclic(3)
    rho = reps.multiple(reps.regular(G), 0)
    assert rho.dim == 0 and rho(torch.ones(2, 0), torch.tensor([1, 2])).shape == (2, 0)
    assert reps.direct_sum(rho, reps.trivial(G)).character.tolist() == [1.0, 1.0, 1.0]


# Characters


def test_irreducible_characters_of_d3_are_orthonormal() -> None:
    G = groups.dihedral(3)
    irreducible = [reps.trivial(G), reps.sign(G), reps.from_matrices(G, G.defining or {})]
    characters = torch.stack([rho.character for rho in irreducible])
    torch.testing.assert_close(characters @ characters.T / G.order, torch.eye(3, dtype=torch.float64))
    # The regular representation holds each irreducible one as often as its dimension.
    multiplicities = characters @ reps.regular(G).character / G.order
    torch.testing.assert_close(multiplicities, torch.tensor([1.0, 1.0, 2.0], dtype=torch.float64))


def test_characters_of_a_cyclic_group_are_the_fourier_basis() -> None:
    G = groups.cyclic(5)
    root = np.exp(2j * np.pi / 5)
    rows = [reps.from_matrices(G, {"r": [[root**k]]}).character.numpy() for k in range(5)]
    np.testing.assert_allclose(np.stack(rows), root ** np.outer(range(5), range(5)), atol=1e-12)


# Sign


@pytest.mark.parametrize("n", [1, 2, 3, 4, 5])
def test_sign_of_a_permutation_is_its_signature(n: int) -> None:
    signatures = [Permutation(list(images)).signature() for images in itertools.permutations(range(n))]
    assert reps.sign(groups.symmetric(n)).character.tolist() == signatures


def test_sign_is_one_on_even_permutations() -> None:
    assert reps.sign(groups.alternating(4)).character.tolist() == [1.0] * 12


def test_sign_of_polygon_groups_is_the_parity_on_the_corners() -> None:
    # A quarter turn of a square is a 4-cycle; the mirror s exchanges two corners, and r s two pairs of them.
    assert reps.sign(groups.dihedral(4)).character.tolist() == [1, -1, 1, -1, -1, 1, -1, 1]
    assert reps.sign(groups.cyclic(3)).character.tolist() == [1, 1, 1]
    assert reps.sign(groups.dihedral(1)).character.tolist() == [1, -1]


def test_given_signs_multiply_along_words() -> None:
    G = groups.quaternion()
    rho = reps.sign(G, {"i": -1, "j": 1})
    for word, expected in {"i": -1, "j": 1, "i j": -1, "i2": 1, "i3 j": -1}.items():
        assert rho(torch.tensor([[5.0]]), torch.tensor([G[word]])).item() == 5.0 * expected


# Permutations


def test_permutation_of_the_corners_of_a_square() -> None:
    G = groups.dihedral(4)
    rho = reps.permutation(G, D4_CORNERS)
    x = torch.tensor([[10, 11, 12, 13]])
    moved = {word: rho(x, torch.tensor([G[word]]))[0].tolist() for word in ("r", "s", "r s", "s r")}
    assert moved["r"] == [13, 10, 11, 12]
    assert moved["s"] == [10, 13, 12, 11]
    assert moved["r s"] == [11, 10, 13, 12]  # first s, then r
    assert moved["s r"] == [13, 12, 11, 10]
    assert rho.matrix(G["r"]).tolist() == [[0, 0, 0, 1], [1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0]]
    assert torch.equal(rho.matrix(G.elements), reps.permutation(G).matrix(G.elements))  # the natural points


def test_natural_points_of_a_symmetric_group_are_the_permutations_themselves() -> None:
    rho = reps.permutation(groups.symmetric(4))
    for g, images in enumerate(itertools.permutations(range(4))):
        assert rho.matrix(g).argmax(0).tolist() == list(images)


def test_points_by_element_and_by_generator_are_the_same() -> None:
    G = groups.dihedral(4)
    by_generator = reps.permutation(G, D4_CORNERS)
    table = by_generator.matrix(G.elements).argmax(1)
    for dtype in (torch.long, torch.int32):
        assert torch.equal(reps.permutation(G, table.to(dtype)).matrix(G.elements), by_generator.matrix(G.elements))
    assert reps.permutation(G, table, label="corners").label == "corners"


# Matrices


@pytest.mark.parametrize("make", [lambda: groups.dihedral(6), groups.octahedral, groups.klein_four])
def test_given_matrices_multiply_along_words(make: Callable[[], Group]) -> None:
    G = make()
    images = dict(G.defining)
    rho = reps.from_matrices(G, images)
    for g in range(G.order):
        np.testing.assert_allclose(rho.matrix(g).numpy(), product_along_word(G, g, images), atol=1e-12)


def test_matrix_takes_integers_and_tensors_of_any_shape() -> None:
    G = groups.dihedral(3)
    for rho in (reps.regular(G), reps.sign(G), reps.trivial(G), reps.padded_regular(G, 8), standard(G)):
        g = torch.arange(6).view(2, 3)
        assert rho.matrix(g).shape == (2, 3, rho.dim, rho.dim)
        assert rho.matrix(g).dtype == torch.float64
        assert torch.equal(rho.matrix(g)[1, 2], rho.matrix(5))
