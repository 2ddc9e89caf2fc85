"""How far matrices are from a representation, against zeros, values by hand and products one at a time."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import equilatent as eq
from equilatent.errors import NonFiniteError, RepresentationError
from equilatent.metrics import representation_error
from equilatent.testing import REPRESENTATIONS

C1, C2, C3, D3, Q8 = (
    eq.groups.cyclic(1),
    eq.groups.cyclic(2),
    eq.groups.cyclic(3),
    eq.groups.dihedral(3),
    eq.groups.quaternion(),
)


@pytest.mark.parametrize("name", REPRESENTATIONS)
def test_representations_have_no_defect(name: str) -> None:
    rho = REPRESENTATIONS[name]()
    defect = representation_error(rho.group, rho)
    assert defect.worst < 1e-12
    assert set(defect.largest) == set(defect.mean_square)
    assert len(defect.largest) == len(set(rho.group.relators))
    table = representation_error(rho.group, rho.matrix(rho.group.elements))
    assert table == defect
    on_generators = representation_error(rho.group, {x: rho.matrix(g) for x, g in rho.group.generators.items()})
    assert on_generators.largest == defect.largest
    assert on_generators.homomorphism_largest is None and on_generators.homomorphism_mean_square is None


def test_values_by_hand() -> None:
    # r² = ((½, 0), (0, ½)), so that both entries of the diagonal are ½ off: mean square (¼ + ¼) / 4, largest ½.
    swap = torch.tensor([[0.0, 1.0], [0.5, 0.0]])
    defect = representation_error(C2, {"r": swap})
    assert defect.mean_square == {"r2": pytest.approx(1 / 8)}
    assert defect.largest == {"r2": pytest.approx(1 / 2)}
    assert (defect.worst, defect.worst_relator) == (pytest.approx(0.5), "r2")
    # As a table: ρ(e r) − ρ(e) ρ(r) = 0 and ρ(r r) − ρ(r) ρ(r) = 1 − r², over two matrices.
    table = representation_error(C2, torch.stack([torch.eye(2), swap]))
    assert table.homomorphism_mean_square == pytest.approx(1 / 16)
    assert table.homomorphism_largest == pytest.approx(1 / 2)
    assert table.largest == defect.largest
    assert "C2 is missed: 0.5; worst relator r2 (0.5); products of elements (0.5)" in str(table)


def test_it_agrees_with_products_one_at_a_time() -> None:
    rng = np.random.default_rng(0)
    table = torch.from_numpy(rng.normal(size=(6, 4, 4)) + 1j * rng.normal(size=(6, 4, 4)))
    defect = representation_error(D3, table)
    differences = [
        (table[D3.product(g, x)] - table[g] @ table[x]).abs() for g in range(6) for x in D3.generators.values()
    ]
    assert defect.homomorphism_mean_square == pytest.approx(float(torch.stack(differences).square().mean()))
    r, s = table[D3["r"]], table[D3["s"]]
    products = {"r3": r @ r @ r, "s2": s @ s, "(s r)^2": s @ r @ s @ r}
    assert set(defect.largest) == set(products)
    for word, product in products.items():
        difference = (product - torch.eye(4)).abs()
        assert defect.largest[word] == pytest.approx(float(difference.max()))
        assert defect.mean_square[word] == pytest.approx(float(difference.square().mean()))
    assert defect.worst_relator == max(products, key=lambda word: defect.largest[word])


def test_an_element_that_only_the_table_gets_wrong() -> None:
    rho = eq.reps.regular(C3)
    table = rho.matrix(C3.elements)
    table[C3["r2"]] *= 2
    defect = representation_error(C3, table)
    assert max(defect.largest.values()) == 0.0  # the generator's matrix is right
    assert defect.homomorphism_largest == defect.worst == 1.0


def test_an_identity_that_is_none() -> None:
    # Zero matrices satisfy ρ(gh) = ρ(g)ρ(h) for all g and h.
    assert representation_error(C1, torch.zeros(1, 2, 2)).worst == 1.0
    assert representation_error(C1, {}).worst == 0.0
    assert representation_error(C1, {}).worst_relator is None


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.bfloat16])
def test_other_precisions_and_gradients(dtype: torch.dtype) -> None:
    matrix = torch.tensor([[0, 1], [1, 0]], dtype=dtype, requires_grad=True)
    assert representation_error(C2, {"r": matrix}).worst == 0.0
    assert representation_error(C2, torch.stack([torch.eye(2, dtype=dtype), matrix])).worst == 0.0


def test_a_singular_matrix_that_a_relator_inverts() -> None:
    defect = representation_error(Q8, {"i": np.zeros((2, 2)), "j": np.eye(2)})
    assert defect.worst == float("inf")
    assert defect.mean_square["i4"] == pytest.approx(1 / 2)


def test_refusals() -> None:
    for value in (float("nan"), float("inf")):
        with pytest.raises(NonFiniteError, match="matrix of 'r' holds NaN"):
            representation_error(C2, {"r": [[value]]})
        with pytest.raises(NonFiniteError, match="table of matrices holds NaN"):
            representation_error(C2, torch.tensor([[[1.0]], [[value]]]))
    with pytest.raises(RepresentationError, match="given by its generators r, s"):
        representation_error(D3, {"r": [[1]]})
    with pytest.raises(RepresentationError, match="square and of one size"):
        representation_error(D3, {"r": [[1]], "s": [[1, 0], [0, 1]]})
    with pytest.raises(RepresentationError, match=r"each of the 2 elements of C2; got \[3, 1, 1\]"):
        representation_error(C2, torch.ones(3, 1, 1))
    with pytest.raises(RepresentationError, match="one of C3; it cannot be measured against C2"):
        representation_error(C2, eq.reps.regular(C3))
    with pytest.raises(RepresentationError, match="0×0"):
        representation_error(C2, torch.ones(2, 0, 0))
    wrong: Any = [[[1.0]], [[1.0]]]
    with pytest.raises(RepresentationError, match="got list"):
        representation_error(C2, wrong)
