"""Tensor products, duals, restriction, induction, cosets and the well-known representations, against definitions."""

from __future__ import annotations

import copy
import itertools
import pickle
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

import equilatent as eq
from equilatent.groups import Group, Subgroup
from equilatent.reps import Representation
from equilatent.reps._irreps import Field

S3, S4, D4, Q8 = eq.groups.symmetric(3), eq.groups.symmetric(4), eq.groups.dihedral(4), eq.groups.quaternion()
C4, A4, ICOSAHEDRAL = eq.groups.cyclic(4), eq.groups.alternating(4), eq.groups.icosahedral()
F21 = eq.testing.GROUPS["C7⋊C3"]()

#: Subgroups by name: normal ones and others, of index 1 and of the whole order.
PAIRS: dict[str, Callable[[], Subgroup]] = {
    "C3 in S3": lambda: eq.groups.subgroup(S3, ["c"]),
    "a swap in S3": lambda: eq.groups.subgroup(S3, ["t"]),
    "a mirror in D4": lambda: eq.groups.subgroup(D4, ["s"]),
    "the centre of D4": lambda: eq.groups.centre(D4),
    "⟨i⟩ in Q8": lambda: eq.groups.subgroup(Q8, ["i"]),
    "S3 in S4": lambda: eq.groups.subgroup(S4, ["(0 1)", "(0 1 2)"]),
    "D4 in S4": lambda: eq.groups.subgroup(S4, ["(0 1 2 3)", "(0 2)"]),
    "C7 in C7⋊C3": lambda: eq.groups.subgroup(F21, [next(g for g in range(21) if F21.element_order(g) == 7)]),
    "one element in A4": lambda: eq.groups.subgroup(A4, []),
    "all of A4": lambda: eq.groups.subgroup(A4, list(A4.generators)),
}


@pytest.fixture(params=PAIRS)
def H(request: pytest.FixtureRequest) -> Subgroup:
    return PAIRS[request.param]()


def close(left: Tensor, right: Tensor, tolerance: float = 1e-9) -> bool:
    return left.shape == right.shape and bool((left - right).abs().amax() <= tolerance)


def inner(left: Representation, right: Representation) -> complex:
    return complex((left.character.conj() * right.character).mean())


# Application by matrices, for all kinds


def _coset_signs() -> Representation:
    H = PAIRS["D4 in S4"]()
    return eq.reps.induce(eq.reps.irreps(H.group)[1], H)


EVERY_KIND: dict[str, Callable[[], Representation]] = {
    "irrep, complex": lambda: eq.reps.irrep(F21, "3a"),
    "irrep, real": lambda: eq.reps.irrep(Q8, "4a", field="real"),
    "points ⊗ matrices": lambda: eq.reps.tensor(eq.reps.permutation(D4), eq.reps.defining(D4)),
    "matrices ⊗ points": lambda: eq.reps.tensor(eq.reps.defining(D4), eq.reps.permutation(D4)),
    "three factors": lambda: eq.reps.tensor(eq.reps.sign(S3), eq.reps.standard(S3), eq.reps.permutation(S3)),
    "real ⊗ complex": lambda: eq.reps.tensor(eq.reps.permutation(A4), eq.reps.irrep(A4, "1b")),
    "dual, complex": lambda: eq.reps.dual(eq.reps.irrep(F21, "3a")),
    "dual, not orthogonal": lambda: eq.reps.dual(_sheared(D4)),
    "restricted": lambda: eq.reps.restrict(eq.reps.regular(S4), PAIRS["D4 in S4"]()),
    "pulled back": lambda: _of_quotient(),
    "induced signs": _coset_signs,
    "induced, complex": lambda: eq.reps.induce(eq.reps.irreps((H := PAIRS["⟨i⟩ in Q8"]()).group)[1], H),
    "induced matrices": lambda: eq.reps.induce(eq.reps.irreps((H := PAIRS["S3 in S4"]()).group)[-1], H),
    "induced twice": lambda: _in_stages()[0],
    "induced sum": lambda: eq.reps.induce(eq.reps.padded_regular((H := PAIRS["S3 in S4"]()).group, 7), H),
    "cosets": lambda: eq.reps.quotient(PAIRS["S3 in S4"]()),
    "defining": lambda: eq.reps.defining(ICOSAHEDRAL),
    "sum of all these kinds": lambda: eq.reps.direct_sum(
        eq.reps.irrep(S4, "2a"), eq.reps.tensor(eq.reps.sign(S4), eq.reps.standard(S4)), _coset_signs(), _of_quotient()
    ),
}


def _sheared(G: Group) -> Representation:
    shear = torch.tensor([[1.0, 2.0], [0.0, 1.0]], dtype=torch.float64)
    images = {x: shear @ torch.as_tensor(m) @ shear.inverse() for x, m in (G.defining or {}).items()}
    return eq.reps.from_matrices(G, images)


def _of_quotient() -> Representation:
    Q = eq.groups.quotient(eq.groups.subgroup(S4, ["(0 1)(2 3)", "(0 2)(1 3)"]))
    return eq.reps.pullback(eq.reps.regular(Q.group), S4, Q.projection)


def _in_stages() -> tuple[Representation, Representation]:
    """A complex character of C4 induced to D4 and on to S4, and the same at once."""
    outer = PAIRS["D4 in S4"]()
    middle = eq.groups.subgroup(outer.group, [int(outer.numbers(torch.tensor(S4["(0 1 2 3)"])))])
    whole = eq.groups.subgroup(S4, ["(0 1 2 3)"])
    psi = eq.reps.irreps(middle.group)[1]
    # The element i of both groups is the i-th smallest of the same four elements of S4.
    assert torch.equal(outer.elements[middle.elements], whole.elements)
    same = eq.reps.pullback(psi, whole.group, torch.arange(4))
    return eq.reps.induce(eq.reps.induce(psi, middle), outer), eq.reps.induce(same, whole)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.complex64, torch.complex128], ids=str)
@pytest.mark.parametrize("kind", EVERY_KIND)
def test_vectors_move_by_the_matrices(kind: str, dtype: torch.dtype) -> None:
    rho = EVERY_KIND[kind]()
    complex_matrices = rho.matrix(0).is_complex()
    if complex_matrices and not dtype.is_complex:
        with pytest.raises(eq.errors.RepresentationError, match="complex matrices; got real vectors"):
            rho(torch.ones(1, rho.dim, dtype=dtype), torch.zeros(1, dtype=torch.long))
        return
    tolerance = 1e-5 if dtype in (torch.float32, torch.complex64) else 1e-12
    eq.testing.assert_representation(rho, dtype=dtype, tolerance=tolerance * max(1, rho.dim / 4))


@pytest.mark.parametrize("kind", ["cosets", "pulled back"])
def test_what_only_moves_entries_moves_integers(kind: str) -> None:
    rho = EVERY_KIND[kind]()
    g = rho.group.elements
    x = torch.arange(rho.dim).repeat(len(g), 1)
    assert torch.equal(rho(x, g).double(), torch.einsum("bij,bj->bi", rho.matrix(g), x.double()))
    permuted = eq.reps.tensor(rho, rho)
    y = torch.arange(permuted.dim).repeat(len(g), 1)
    assert torch.equal(permuted(y, g).sort(1).values, y)


@pytest.mark.parametrize("kind", EVERY_KIND)
def test_empty_batches_stay_empty(kind: str) -> None:
    rho = EVERY_KIND[kind]()
    x = torch.zeros(0, rho.dim, dtype=torch.complex64 if rho.matrix(0).is_complex() else torch.float32)
    assert rho(x, torch.zeros(0, dtype=torch.long)).shape == (0, rho.dim)
    assert rho.matrix(torch.zeros(0, 2, dtype=torch.long)).shape == (0, 2, rho.dim, rho.dim)
    assert rho.matrix(torch.zeros(2, 3, dtype=torch.long)).shape == (2, 3, rho.dim, rho.dim)


@pytest.mark.parametrize(
    "change",
    [
        lambda rho: rho.to(torch.float32),
        lambda rho: torch.nn.Sequential(rho).half()[0],
        copy.deepcopy,
        lambda rho: pickle.loads(pickle.dumps(rho)),
    ],
    ids=["float32", "half", "deepcopy", "pickle"],
)
@pytest.mark.parametrize("kind", EVERY_KIND)
def test_casting_and_copying_change_nothing(kind: str, change: Callable[[Representation], Representation]) -> None:
    fresh, rho = EVERY_KIND[kind](), change(EVERY_KIND[kind]())
    g = fresh.group.sample(6, generator=torch.Generator().manual_seed(0))
    assert torch.equal(rho.matrix(g), fresh.matrix(g)) and torch.equal(rho.character, fresh.character)
    x = torch.randn(6, rho.dim, dtype=torch.complex128, generator=torch.Generator().manual_seed(1))
    assert torch.equal(rho(x, g), fresh(x, g))
    assert not rho.state_dict() and not list(rho.parameters())


# Tensor products


@pytest.mark.parametrize(
    ("left", "right"),
    [
        (eq.reps.permutation(S4), eq.reps.standard(S4)),
        (eq.reps.standard(S4), eq.reps.sign(S4)),
        (eq.reps.irrep(F21, "3a"), eq.reps.irrep(F21, "3b")),
        (eq.reps.irrep(F21, "3a"), eq.reps.regular(F21)),
    ],
    ids=lambda rho: rho.label,
)
def test_a_tensor_product_is_the_kronecker_product(left: Representation, right: Representation) -> None:
    product = eq.reps.tensor(left, right)
    for g in range(left.group.order):
        dtype = torch.promote_types(left.matrix(g).dtype, right.matrix(g).dtype)
        assert torch.equal(product.matrix(g), torch.kron(left.matrix(g).to(dtype), right.matrix(g).to(dtype)))
    assert close(product.character, product.matrix(left.group.elements).diagonal(dim1=-2, dim2=-1).sum(-1))


def test_a_tensor_product_moves_matrices_from_both_sides() -> None:
    rho, sigma = eq.reps.standard(S4), eq.reps.permutation(S4)
    x = torch.randn(24, 3, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    both = rho.matrix(S4.elements) @ x @ sigma.matrix(S4.elements).mT
    assert close(eq.reps.tensor(rho, sigma)(x.flatten(1), S4.elements), both.flatten(1))


def test_one_factor_is_itself_and_labels_keep_brackets() -> None:
    rho, sum_of_two = eq.reps.standard(S3), eq.reps.padded_regular(S3, 7)
    assert eq.reps.tensor(rho) is rho
    assert eq.reps.tensor(rho, sum_of_two).label == "standard ⊗ (regular ⊕ trivial)"


def test_anything_times_regular_is_copies_of_regular(G: Group) -> None:
    rho = eq.reps.irreps(G)[-1]
    regular = eq.reps.regular(G)
    assert eq.reps.is_isomorphic(eq.reps.tensor(rho, regular), eq.reps.multiple(regular, rho.dim))


# Duals


@pytest.mark.parametrize("kind", [*EVERY_KIND, "trivial"])
def test_a_dual_keeps_the_pairing_with_linear_functions(kind: str) -> None:
    rho = EVERY_KIND[kind]() if kind in EVERY_KIND else eq.reps.trivial(C4)
    dual = eq.reps.dual(rho)
    g = rho.group.elements
    generator = torch.Generator().manual_seed(0)
    x, y = (torch.randn(len(g), rho.dim, dtype=torch.complex128, generator=generator) for _ in range(2))
    assert close((dual(y, g) * rho(x, g)).sum(1), (y * x).sum(1))
    assert close(dual.matrix(g), rho.matrix(rho.group.inverse(g)).mT)
    assert close(dual.character, rho.character.conj())
    assert close(eq.reps.dual(dual).matrix(g), rho.matrix(g))


def test_a_real_irrep_is_its_own_dual_and_a_complex_one_is_not(G: Group) -> None:
    for rho in eq.reps.irreps(G):
        assert eq.reps.is_isomorphic(eq.reps.dual(rho), rho) == (rho.kind != "complex")


def test_duals_of_permutations_take_no_memory() -> None:
    for rho in (eq.reps.regular(S4), eq.reps.trivial(S4), eq.reps.sign(S4)):
        assert eq.reps.dual(rho) is rho
    assert isinstance(eq.reps.dual(EVERY_KIND["induced matrices"]()), eq.reps.InducedRepresentation)


# Pullback and restriction


def test_a_restriction_has_the_matrices_of_the_elements(H: Subgroup) -> None:
    for rho in eq.reps.irreps(H.parent):
        restricted = eq.reps.restrict(rho, H)
        assert restricted.group == H.group
        assert torch.equal(restricted.matrix(H.group.elements), rho.matrix(H.elements))
        assert torch.equal(restricted.character, rho.character[H.elements])
        assert eq.reps.is_representation(H.group, restricted)


def test_a_restricted_vector_moves_as_before() -> None:
    H = PAIRS["D4 in S4"]()
    rho = eq.reps.regular(S4)
    x = torch.randn(8, 24, 2, generator=torch.Generator().manual_seed(0))
    assert torch.equal(eq.reps.restrict(rho, H)(x, H.group.elements), rho(x, H.elements))


def test_pullback_through_a_homomorphism() -> None:
    C8 = eq.groups.cyclic(8)
    images = eq.groups.homomorphism(C8, C4, {"r": "r3"})
    rho = eq.reps.pullback(eq.reps.regular(C4), C8, images)
    assert rho.label == "regular of C4" and rho.group == C8
    for g in range(8):
        assert torch.equal(rho.matrix(g), eq.reps.regular(C4).matrix((3 * g) % 4))


def test_irreps_of_a_quotient_are_those_that_are_trivial_on_the_subgroup() -> None:
    V4 = eq.groups.subgroup(S4, ["(0 1)(2 3)", "(0 2)(1 3)"])
    Q = eq.groups.quotient(V4)
    pulled = [eq.reps.pullback(rho, S4, Q.projection) for rho in eq.reps.irreps(Q.group)]
    trivial_on_it = [
        rho for rho in eq.reps.irreps(S4) if bool(((rho.character[V4.elements] - rho.dim).abs() < 1e-9).all())
    ]
    assert len(pulled) == len(trivial_on_it) == 3
    for rho in pulled:
        assert sum(eq.reps.is_isomorphic(rho, sigma) for sigma in trivial_on_it) == 1


def test_an_inner_automorphism_changes_nothing_and_an_outer_one_may() -> None:
    inner_one = S4.conjugate(S4.elements, by=S4["(0 1 2)"])
    for rho in eq.reps.irreps(S4):
        assert eq.reps.is_isomorphic(eq.reps.pullback(rho, S4, inner_one), rho)
    swap = eq.groups.homomorphism(C4, C4, {"r": "r^-1"})
    assert eq.reps.is_isomorphic(
        eq.reps.pullback(eq.reps.irrep(C4, "1b"), C4, swap), eq.reps.dual(eq.reps.irrep(C4, "1b"))
    )


# Induction


def test_frobenius_reciprocity(H: Subgroup) -> None:
    for psi, chi in itertools.product(eq.reps.irreps(H.group), eq.reps.irreps(H.parent)):
        up, down = inner(eq.reps.induce(psi, H), chi), inner(psi, eq.reps.restrict(chi, H))
        assert up == pytest.approx(down, abs=1e-9)
        assert up == pytest.approx(round(up.real), abs=1e-9)


def test_induced_matrices_by_brute_force(H: Subgroup) -> None:
    group = H.parent
    members = H.elements.tolist()
    representatives = H.cosets.representatives.tolist()
    for psi in eq.reps.irreps(H.group):
        induced = eq.reps.induce(psi, H)
        assert induced.dim == psi.dim * len(representatives)
        d = psi.dim
        for g in range(group.order):
            expected = np.zeros((induced.dim, induced.dim), dtype=complex)
            for (i, s), (j, t) in itertools.product(enumerate(representatives), repeat=2):
                h = group.product(group.inverse(s), group.product(g, t))  # g t = s h
                if h in members:
                    expected[i * d : (i + 1) * d, j * d : (j + 1) * d] = psi.matrix(members.index(h)).numpy()
            np.testing.assert_allclose(induced.matrix(g).numpy(), expected, atol=1e-12)
        assert eq.reps.is_representation(group, induced, tolerance=1e-9)
        assert close(induced.character, induced.matrix(group.elements).diagonal(dim1=-2, dim2=-1).sum(-1))


def test_the_induced_character_by_its_formula(H: Subgroup) -> None:
    # ind χ (g) = 1/|H| Σ_x χ(x⁻¹ g x), where χ is 0 outside of H.
    group = H.parent
    for psi in eq.reps.irreps(H.group):
        extended = torch.zeros(group.order, dtype=torch.complex128)
        extended[H.elements] = psi.character.to(torch.complex128)
        moved = torch.stack([group.conjugate(group.elements, by=x) for x in range(group.order)])
        expected = extended[moved].sum(0) / H.order
        assert close(eq.reps.induce(psi, H).character.to(torch.complex128), expected)


def test_induction_in_stages() -> None:
    steps, at_once = _in_stages()
    assert steps.dim == at_once.dim == 6
    assert eq.reps.is_isomorphic(steps, at_once)


def test_mackey_restriction_of_an_induced_representation() -> None:
    # res_K ind_H ψ is the sum over double cosets KsH of what is induced from K ∩ sHs⁻¹: here of ψ trivial.
    H, K = PAIRS["S3 in S4"](), PAIRS["D4 in S4"]()
    left = eq.reps.restrict(eq.reps.quotient(H), K)
    total = torch.zeros(K.order, dtype=torch.float64)
    seen: set[int] = set()
    for s in range(24):
        if s in seen:
            continue
        for k, h in itertools.product(K.elements.tolist(), H.elements.tolist()):
            seen.add(S4.product(S4.product(k, s), h))
        conjugate = set(H.conjugate(s).elements.tolist())
        common = [g for g in K.elements.tolist() if g in conjugate]
        inside = eq.groups.subgroup(K.group, K.numbers(torch.tensor(common)).tolist())
        total += eq.reps.quotient(inside).character
    assert torch.equal(left.character, total)


def test_inducing_a_restriction_is_a_product_with_the_cosets(H: Subgroup) -> None:
    cosets = eq.reps.quotient(H)
    for chi in eq.reps.irreps(H.parent):
        assert eq.reps.is_isomorphic(eq.reps.induce(eq.reps.restrict(chi, H), H), eq.reps.tensor(chi, cosets))


def test_inducing_regular_is_regular(H: Subgroup) -> None:
    induced = eq.reps.induce(eq.reps.regular(H.group), H)
    assert eq.reps.is_isomorphic(induced, eq.reps.regular(H.parent))


def test_cosets_are_the_trivial_representation_induced(H: Subgroup) -> None:
    g = H.parent.elements
    induced, cosets = eq.reps.induce(eq.reps.trivial(H.group), H), eq.reps.quotient(H)
    assert torch.equal(induced.matrix(g), cosets.matrix(g))
    x = torch.randn(len(g), cosets.dim, generator=torch.Generator().manual_seed(0))
    assert torch.equal(induced(x, g), cosets(x, g))
    assert inner(cosets, eq.reps.trivial(H.parent)) == pytest.approx(1)


def test_cosets_of_one_element_are_regular_and_of_all_trivial() -> None:
    g = S4.elements
    regular = eq.reps.quotient(eq.groups.subgroup(S4, []))
    assert torch.equal(regular.matrix(g), eq.reps.regular(S4).matrix(g))
    assert torch.equal(eq.reps.quotient(eq.groups.subgroup(S4, ["t", "c"])).matrix(g), eq.reps.trivial(S4).matrix(g))
    assert eq.reps.quotient(eq.groups.subgroup(D4, ["r2", "s"])).label == "cosets of ⟨r2, s⟩"


def test_points_are_the_cosets_of_what_fixes_one() -> None:
    fixed = [g for g in range(24) if eq.reps.permutation(S4).matrix(g)[0, 0] == 1]
    assert eq.reps.is_isomorphic(eq.reps.quotient(eq.groups.subgroup(S4, fixed)), eq.reps.permutation(S4))


# Well-known representations


@pytest.mark.parametrize("n", [3, 4, 5])
def test_standard_is_points_without_constants(n: int, field: Field) -> None:
    G = eq.groups.symmetric(n)
    rho = eq.reps.standard(G)
    assert (rho.dim, rho.label) == (n - 1, "standard")
    assert close(rho.character, eq.reps.permutation(G).character - 1)
    matrices = rho.matrix(G.elements)
    assert close(matrices @ matrices.mT, torch.eye(n - 1, dtype=torch.float64).expand_as(matrices))
    assert str(eq.reps.multiplicities(rho, field=field)) == "standard"


def test_standard_of_groups_that_move_pairs_to_all_pairs() -> None:
    for G, dim in ((A4, 3), (eq.groups.dihedral(3), 2), (eq.groups.cyclic(2), 1), (eq.groups.alternating(5), 4)):
        assert eq.reps.standard(G).dim == dim
        assert inner(eq.reps.standard(G), eq.reps.standard(G)) == pytest.approx(1)


def test_defining_representations_are_faithful() -> None:
    known = [("I", 3), ("Oh", 3), ("D4", 2), ("S4", 4), ("A5", 5), ("from floating matrices", 2)]
    for name, dim in known:
        G = eq.testing.GROUPS[name]()
        rho = eq.reps.defining(G)
        assert (rho.dim, rho.label, rho.group) == (dim, "defining", G)
        assert int(((rho.character - dim).abs() < 1e-9).sum()) == 1  # only the identity moves nothing
    # Vectors in space: an irreducible one of degree 3, whose character is the golden ratio at a fifth of a turn.
    rho = eq.reps.defining(ICOSAHEDRAL)
    fifth = ICOSAHEDRAL.element_order(ICOSAHEDRAL.elements) == 5
    assert sorted({round(value, 6) for value in rho.character[fifth].tolist()}) == [-0.618034, 1.618034]
