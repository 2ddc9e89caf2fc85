"""Dicyclic, polyhedral and semidirect groups, and homomorphisms, against independent oracles."""

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

import equilatent as eq
from equilatent.errors import GroupError


@pytest.mark.parametrize(
    ("make", "name"), [(eq.groups.tetrahedral, "T"), (eq.groups.octahedral, "O"), (eq.groups.icosahedral, "I")]
)
def test_polyhedral_rotations_are_scipys(make: object, name: str) -> None:
    group = make()  # type: ignore[operator]
    defining = group.defining
    assert all(np.linalg.det(matrix) == pytest.approx(1) for matrix in defining.values())
    matrices = eq.reps.from_matrices(group, defining).matrix(group.elements).numpy()
    expected = Rotation.create_group(name).as_matrix()
    assert len(matrices) == len(expected)
    # The same angles as often; the axes depend on how the polyhedron lies.
    traces = np.sort(np.trace(matrices, axis1=1, axis2=2))
    np.testing.assert_allclose(traces, np.sort(np.trace(expected, axis1=1, axis2=2)), atol=1e-9)


@pytest.mark.parametrize(
    ("make", "order"), [(eq.groups.tetrahedral, 24), (eq.groups.octahedral, 48), (eq.groups.icosahedral, 120)]
)
def test_inversion_doubles_the_group_and_commutes(make: object, order: int) -> None:
    group = make(inversion=True)  # type: ignore[operator]
    i = group["i"]
    assert group.order == order
    assert torch.equal(group.conjugate(torch.full((order,), i), group.elements), torch.full((order,), i))


def test_dicyclic_two_is_the_quaternion_group() -> None:
    images = eq.groups.homomorphism(eq.groups.dicyclic(2), eq.groups.quaternion(), {"r": "i", "s": "j"})
    assert sorted(images.tolist()) == list(range(8))


def test_the_semidirect_product_by_inversion_is_dihedral() -> None:
    product = eq.groups.semidirect_product(eq.groups.cyclic(5), eq.groups.cyclic(2), {"r": {"r": "r^-1"}})
    images = eq.groups.homomorphism(product, eq.groups.dihedral(5), {"r_1": "r", "r_2": "s"})
    assert sorted(images.tolist()) == list(range(10))
    assert torch.equal(images[product.table()], eq.groups.dihedral(5).table()[images[:, None], images[None]])


def test_the_trivial_action_gives_the_direct_product() -> None:
    c3, c4 = eq.groups.cyclic(3), eq.groups.cyclic(4)
    semidirect = eq.groups.semidirect_product(c3, c4, {"r": {"r": "r"}})
    assert torch.equal(semidirect.table(), eq.groups.direct_product(c3, c4).table())


def test_homomorphisms_are_multiplicative() -> None:
    source, target = eq.groups.symmetric(4), eq.groups.symmetric(3)
    images = eq.groups.homomorphism(source, target, {"t": "(0 1)", "c": "(0 2)"})
    a, b = torch.cartesian_prod(source.elements, source.elements).T
    assert torch.equal(images[source.product(a, b)], target.product(images[a], images[b]))
    assert sorted(images.unique().tolist()) == list(range(6))


def test_refusals() -> None:
    c7, c3 = eq.groups.cyclic(7), eq.groups.cyclic(3)
    with pytest.raises(GroupError, match="the relator r3 does not act as the identity"):
        eq.groups.semidirect_product(c7, c3, {"r": {"r": "r3"}})
    with pytest.raises(GroupError, match="no automorphism of C7: it is not one-to-one"):
        eq.groups.semidirect_product(c7, c3, {"r": {"r": "e"}})
    with pytest.raises(GroupError, match="given by its generators r; got none"):
        eq.groups.semidirect_product(c7, c3, {})
    with pytest.raises(GroupError, match="the relator r7 is mapped to 'r' instead of the identity"):
        eq.groups.homomorphism(c7, c3, {"r": "r"})
    with pytest.raises(GroupError, match="given by the images of its generators r; got q"):
        eq.groups.homomorphism(c7, c3, {"q": 0})
    with pytest.raises(GroupError, match="dicyclic"):
        eq.groups.dicyclic(0)
