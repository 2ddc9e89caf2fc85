"""The checks of groups and representations, on good ones and on ones that are broken on purpose."""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable
from typing import Any

import pytest
import torch
from torch import Tensor

import equilatent as eq
from equilatent.groups import Group
from equilatent.groups._laws import Law, MetacyclicLaw, TableLaw
from equilatent.reps import MatrixRepresentation, PermutationRepresentation
from equilatent.testing import (
    GROUPS,
    REPRESENTATIONS,
    assert_group,
    assert_homomorphism,
    assert_representation,
)

C3, C4, D4 = eq.groups.cyclic(3), eq.groups.cyclic(4), eq.groups.dihedral(4)


def fails(*parts: str) -> Any:
    """An expected AssertionError whose message holds all of these parts, in order."""
    return pytest.raises(AssertionError, match="(?s)" + ".*".join(re.escape(part) for part in parts))


class OwnLaw(Law):
    """A law by two functions, right or wrong."""

    def __init__(
        self,
        order: int,
        product: Callable[[Tensor, Tensor], Tensor],
        inverse: Callable[[Tensor], Tensor] = lambda a: a,
    ) -> None:
        self.order = order
        self._product, self._inverse = product, inverse

    @property
    def key(self) -> Hashable:
        return ("own", id(self))

    def product(self, a: Tensor, b: Tensor) -> Tensor:
        a, b = torch.broadcast_tensors(a, b)
        return self._product(a, b)

    def inverse(self, a: Tensor) -> Tensor:
        return self._inverse(a)


def own_group(law: Law, generator: int = 1, **more: Any) -> Group:
    return Group(law, {"a": generator}, label="broken", **more)


# Groups


@pytest.mark.parametrize("name", GROUPS)
def test_groups_of_the_registry_pass(name: str) -> None:
    assert_group(GROUPS[name]())


def test_a_group_too_large_for_all_pairs() -> None:
    assert_group(eq.groups.direct_product(D4, D4, C3))
    with fails("(ab)c ≠ a(bc)"):
        assert_group(own_group(OwnLaw(1001, lambda a, b: (a - b) % 1001)))


def test_an_own_law_that_is_right_passes() -> None:
    assert_group(own_group(OwnLaw(5, lambda a, b: (a + b) % 5, lambda a: -a % 5)))


def test_a_product_that_is_not_associative() -> None:
    # A loop: 0 is the identity and each row a permutation, but (1·1)·2 = 2 and 1·(1·2) = 1·3 = 4.
    table = torch.tensor([[0, 1, 2, 3, 4], [1, 0, 3, 4, 2], [2, 4, 0, 1, 3], [3, 2, 4, 0, 1], [4, 3, 1, 2, 0]])
    with fails("broken", "(ab)c ≠ a(bc)"):
        assert_group(own_group(TableLaw(table)))
    with fails("(ab)c ≠ a(bc)"):
        assert_group(own_group(OwnLaw(5, lambda a, b: (a - b) % 5)))


def test_a_product_that_is_no_element() -> None:
    with fails("broken", "a product is no element"):
        assert_group(own_group(OwnLaw(4, lambda a, b: a + b)))


def test_an_identity_that_is_not_the_element_0() -> None:
    # ab = a is associative, and a·0 = a, but 0·a = 0.
    with fails("0 is no identity"):
        assert_group(own_group(OwnLaw(3, lambda a, b: a)))
    # A group in which 1 is the identity.
    with fails("0 is no identity"):
        assert_group(own_group(OwnLaw(4, lambda a, b: (a + b - 1) % 4, lambda a: (2 - a) % 4)))


def test_elements_without_an_inverse() -> None:
    # The larger of two numbers: associative, with the identity 0.
    with fails("a a⁻¹ ≠ e"):
        assert_group(own_group(OwnLaw(3, torch.maximum)))
    with fails("a a⁻¹ ≠ e"):
        assert_group(own_group(OwnLaw(5, lambda a, b: (a + b) % 5, lambda a: a)))


def test_relators_that_do_not_hold() -> None:
    with fails("the relator", "('a', 3)", "is not the identity"):
        assert_group(own_group(MetacyclicLaw(4), relators=[(("a", 3),)], normal_form=("a", "b")))


def test_a_normal_form_that_spells_other_elements() -> None:
    with fails("name", "does not read back"):
        assert_group(Group(MetacyclicLaw(4), {"r": 3}, label="broken", relators=[(("r", 4),)]))


# Homomorphisms and representations


@pytest.mark.parametrize("name", ["regular Q8", "trivial", "sign S3", "permutation given", "direct sum", "matrices D4"])
def test_representations_of_the_registry_pass(name: str) -> None:
    assert_representation(REPRESENTATIONS[name]())


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.bfloat16, 0.2)])
def test_representations_in_other_dtypes_pass(dtype: torch.dtype, tolerance: float) -> None:
    assert_representation(eq.reps.padded_regular(C3, 5), dtype=dtype, tolerance=tolerance)


def test_a_complex_representation_passes() -> None:
    assert_representation(eq.reps.from_matrices(C4, {"r": [[1j]]}), dtype=torch.complex64)


def test_a_table_of_matrices_with_one_wrong() -> None:
    matrices = eq.reps.regular(C4).matrix(C4.elements).clone()
    assert_homomorphism(C4, lambda g: matrices[g])
    matrices[2, 0, 0] += 0.25
    with fails("ρ(gh) ≠ ρ(g)ρ(h) for g = '", "', h = '", "largest entry of the difference is"):
        assert_homomorphism(C4, lambda g: matrices[g])
    with fails("ρ(gh) ≠ ρ(g)ρ(h)"):
        assert_representation(MatrixRepresentation(C4, matrices, label="broken"))


def test_the_elements_named_are_ones_that_break_the_law() -> None:
    matrices = eq.reps.regular(C4).matrix(C4.elements).clone()
    matrices[3] = matrices[1]
    with pytest.raises(AssertionError) as caught:
        assert_homomorphism(C4, lambda g: matrices[g])
    found = re.search(r"for g = '(.+)', h = '(.+)': .* is ([\d.]+)\.$", str(caught.value))
    assert found is not None
    g, h = C4[found[1]], C4[found[2]]
    error = (matrices[C4.product(g, h)] - matrices[g] @ matrices[h]).abs().max().item()
    assert error == pytest.approx(float(found[3])) and error > 0


def test_an_identity_that_is_no_identity() -> None:
    with fails("ρ(e) ≠ 1"):
        assert_homomorphism(C4, lambda g: torch.zeros(len(g), 2, 2))


def test_an_antihomomorphism() -> None:
    rho = eq.reps.regular(D4)
    with fails("ρ(gh) ≠ ρ(g)ρ(h)"):
        assert_homomorphism(D4, lambda g: rho.matrix(D4.inverse(g)))
    assert_homomorphism(D4, lambda g: rho.matrix(D4.inverse(g)).mT)  # the contragredient is a homomorphism again


def test_errors_within_the_tolerance() -> None:
    nearly = eq.reps.regular(C3).matrix(C3.elements) * (1 + 1e-6)
    with fails("ρ(gh) ≠ ρ(g)ρ(h)"):
        assert_homomorphism(C3, lambda g: torch.where(g[:, None, None] == 0, torch.eye(3).double(), nearly[g]))
    assert_homomorphism(C3, lambda g: nearly[g], tolerance=1e-5)


class Changed(PermutationRepresentation):
    """The regular representation of C3 with one thing wrong."""

    def __init__(self, wrong: str) -> None:
        super().__init__(C3, None, label="broken")
        self.wrong = wrong

    def apply_blocks(self, x: Tensor, g: Tensor) -> Tensor:
        if self.wrong == "inverse":
            return super().apply_blocks(x, C3.inverse(g))
        if self.wrong == "copies" and x.shape[1] > 1:
            return x
        if self.wrong == "inner" and x.shape[3] > 1:
            return x
        if self.wrong == "gradient":
            return super().apply_blocks(x.detach() * 2 - x + (x - x.detach()) * 0, g)
        if self.wrong == "dtype":
            return super().apply_blocks(x.double(), g)
        return super().apply_blocks(x, g)

    @property
    def character(self) -> Tensor:
        character = super().character
        return character + 1 if self.wrong == "character" else character


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ("inverse", "disagrees with its matrices"),
        ("copies", "disagrees with its matrices"),
        ("inner", "disagrees with its matrices"),
        ("gradient", "the gradient is wrong"),
        ("dtype", "dtype or shape changed"),
        ("character", "the character is not the trace"),
    ],
)
def test_representations_that_do_not_do_what_their_matrices_say(wrong: str, message: str) -> None:
    assert_representation(Changed("nothing"))
    with fails("broken of C3", message):
        assert_representation(Changed(wrong))


def test_images_that_are_no_action() -> None:
    # Each element's images are a permutation, but r·r is not r2.
    images = torch.tensor([[0, 1, 2], [1, 0, 2], [2, 0, 1]])
    with fails("ρ(gh) ≠ ρ(g)ρ(h)", "is 1."):
        assert_representation(PermutationRepresentation(C3, images, label="broken"))
