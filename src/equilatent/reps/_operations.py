"""New representations from given ones: tensor product, dual, restriction, induction, cosets; and the well-known ones."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from equilatent.errors import GroupTooLargeError, RepresentationError
from equilatent.groups import Group, Subgroup
from equilatent.reps._constructors import from_matrices, permutation
from equilatent.reps._representation import (
    DirectSumRepresentation,
    InducedRepresentation,
    MatrixRepresentation,
    PermutationRepresentation,
    PulledBackRepresentation,
    Representation,
    TensorRepresentation,
    TrivialRepresentation,
    check_size,
)

#: The cosets' images under all elements are kept up to this many (1 GB).
_COSET_ENTRIES = 1 << 27
__all__ = ["defining", "dual", "induce", "pullback", "quotient", "restrict", "standard", "tensor"]


def defining(group: Group) -> Representation:
    """The representation by which a group is known: as motions of space, or as permutations.

    Raises:
        RepresentationError: if the group is known in neither way.

    >>> import equilatent as eq
    >>> eq.reps.defining(eq.groups.icosahedral()).dim, eq.reps.defining(eq.groups.symmetric(4)).dim
    (3, 4)
    """
    if group.defining:
        return from_matrices(group, group.defining, label="defining")
    if group.natural:
        return permutation(group, label="defining")
    raise RepresentationError(
        f"{group.label} is known neither as motions nor as permutations, so it has no defining representation. Give its "
        "generators matrices (from_matrices) or permutations (permutation)."
    )


def standard(group: Group) -> Representation:
    """The permutation representation without its constant vectors, where what is left is irreducible.

    That is so if the group is naturally a group of permutations that takes any two points to any two points, such as
    S_n, A_n for n ≥ 4, and D_3 (paper, section 3).

    Returns:
        An orthogonal representation on the vectors of sum zero, of one dimension less than there are points.

    Raises:
        RepresentationError: if the group has no such permutation representation.

    >>> import equilatent as eq
    >>> eq.reps.standard(eq.groups.dihedral(3)).character.round().long().tolist()
    [2, -1, -1, 0, 0, 0]
    """
    if not group.natural:
        raise RepresentationError(
            f"{group.label} is not naturally a group of permutations, so it has no standard representation. Its "
            "irreducible representations are eq.reps.irreps(G)."
        )
    points = permutation(group)
    if points.dim < 2 or round(float(points.character.square().mean())) != 2:
        raise RepresentationError(
            f"{group.label} does not move every two of its {points.dim} points to every other two, so that its "
            "permutation representation without constants is not irreducible. See eq.reps.irreps(G)."
        )
    size = points.dim
    # Helmert's basis of the vectors of sum zero: an orthonormal one, the same on every machine.
    basis = np.triu(np.ones((size, size)), 1)[:, 1:] - np.diag(np.arange(1.0, size), -1)[:, :-1]
    basis /= np.linalg.norm(basis, axis=0)
    images = {x: basis.T @ points.matrix(g).numpy() @ basis for x, g in group.generators.items()}
    return from_matrices(group, images, label="standard")


def tensor(*representations: Representation) -> Representation:
    """ρ₁ ⊗ ρ₂ ⊗ …: the entry (i, j) of x is number i·dim ρ₂ + j, as in ``torch.kron``.

    >>> import equilatent as eq
    >>> rho = eq.reps.standard(eq.groups.symmetric(4))
    >>> str(eq.reps.multiplicities(eq.reps.tensor(rho, rho)))
    'trivial ⊕ 2a ⊕ standard ⊕ 3b'
    """
    if not representations:
        raise RepresentationError("a tensor product needs at least one representation.")
    product = representations[0]
    for factor in representations[1:]:
        product = TensorRepresentation(product, factor)
    return product


def dual(rho: Representation) -> Representation:
    """The representation on linear functions: ρ*(g) = ρ(g⁻¹)ᵀ, which is ρ itself where ρ is orthogonal.

    >>> import torch, equilatent as eq
    >>> G = eq.groups.cyclic(3)
    >>> rho = eq.reps.irrep(G, "1b")
    >>> torch.allclose(eq.reps.dual(rho).character, rho.character.conj())
    True
    """
    label = f"dual of {rho.label}"
    if isinstance(rho, TrivialRepresentation | PermutationRepresentation):
        return rho
    if isinstance(rho, DirectSumRepresentation):
        return DirectSumRepresentation([(dual(part), count) for part, count in rho.blocks])
    if isinstance(rho, TensorRepresentation):
        return TensorRepresentation(dual(rho.left), dual(rho.right))
    if isinstance(rho, PulledBackRepresentation):
        return PulledBackRepresentation(dual(rho.rho), rho.group, rho.images, label=label)
    if isinstance(rho, InducedRepresentation):
        return InducedRepresentation(dual(rho.rho), rho.subgroup)
    check_size(rho.group, rho.dim)
    return MatrixRepresentation(
        rho.group, rho.matrix(rho.group.inverse(rho.group.elements)).mT.contiguous(), label=label
    )


def pullback(rho: Representation, group: Group, images: Tensor) -> Representation:
    """A representation of another group through a homomorphism φ: g acts by ρ(φ(g)).

    Args:
        rho: a representation of the homomorphism's target.
        group: the homomorphism's source.
        images: φ(g) for each g, LongTensor [order], as from `groups.homomorphism`, or the projection onto a quotient.

    Raises:
        RepresentationError: if φ is not a homomorphism; the message names a generator.

    >>> import equilatent as eq
    >>> G = eq.groups.symmetric(4)
    >>> Q = eq.groups.quotient(eq.groups.subgroup(G, ["(0 1)(2 3)", "(0 2)(1 3)"]))   # S4 / V4, which is S3
    >>> eq.reps.pullback(eq.reps.regular(Q.group), G, Q.projection).dim
    6
    """
    images = rho.group.check(images)
    if images.shape != (group.order,):
        raise RepresentationError(
            f"a homomorphism from {group.label} has an image for each of its {group.order} elements; got shape "
            f"{list(images.shape)}."
        )
    if images[0]:  # the law on the generators implies this, unless there are none
        raise RepresentationError(
            f"these images are no homomorphism from {group.label} to {rho.group.label}: the identity goes to "
            f"{int(images[0])}, not to the identity 0."
        )
    for x, g in group.generators.items():
        if not torch.equal(images[group.product(group.elements, g)], rho.group.product(images, images[g])):
            raise RepresentationError(
                f"these images are no homomorphism from {group.label} to {rho.group.label}: φ(g {x}) is not φ(g) φ({x}). "
                "Make one with eq.groups.homomorphism, or take the projection of a quotient."
            )
    return PulledBackRepresentation(rho, group, images, label=f"{rho.label} of {rho.group.label}")


def restrict(rho: Representation, subgroup: Subgroup) -> Representation:
    """ρ on the elements of a subgroup alone: a representation of ``subgroup.group``.

    >>> import equilatent as eq
    >>> H = eq.groups.subgroup(eq.groups.dihedral(4), ["r"])
    >>> str(eq.reps.multiplicities(eq.reps.restrict(eq.reps.regular(H.parent), H)))
    '2 trivial ⊕ 2 1b ⊕ 2 1c ⊕ 2 sign'
    """
    if subgroup.parent != rho.group:
        raise RepresentationError(
            f"a representation of {rho.group.label} is restricted to its own subgroups; got {subgroup.label}."
        )
    label = f"{rho.label} restricted to {subgroup.label}"
    return PulledBackRepresentation(rho, subgroup.group, subgroup.elements, label=label)


def induce(rho: Representation, subgroup: Subgroup) -> Representation:
    """The representation of G that a representation of a subgroup H induces, of dimension [G : H]·dim ρ.

    Blocks are the left cosets tH in the order of ``subgroup.cosets``; g takes the block of tH to that of gtH, and there by
    ρ(h) with g t = t′ h. Inducing the trivial representation gives `quotient`.

    Args:
        rho: a representation of ``subgroup.group``.
        subgroup: H in G.

    >>> import equilatent as eq
    >>> H = eq.groups.subgroup(eq.groups.symmetric(3), ["c"])
    >>> [str(eq.reps.multiplicities(eq.reps.induce(rho, H))) for rho in eq.reps.irreps(H.group)]
    ['trivial ⊕ sign', 'standard', 'standard']
    """
    if rho.group != subgroup.group:
        raise RepresentationError(
            f"a representation of {rho.group.label} cannot be induced from {subgroup.label}; make it for the subgroup's "
            "own group, subgroup.group."
        )
    return InducedRepresentation(rho, subgroup)


def quotient(subgroup: Subgroup) -> Representation:
    """The permutation representation of G on the left cosets of a subgroup.

    >>> import equilatent as eq
    >>> eq.reps.quotient(eq.groups.subgroup(eq.groups.dihedral(4), ["s"])).character.tolist()
    [4.0, 0.0, 0.0, 0.0, 2.0, 0.0, 2.0, 0.0]
    """
    group = subgroup.parent
    if group.order * subgroup.index > _COSET_ENTRIES:
        raise GroupTooLargeError(
            f"the {subgroup.index} cosets of {subgroup.label} moved by {group.order} elements make too large a table. Use a "
            "larger subgroup."
        )
    return PermutationRepresentation(group, subgroup.cosets.move(group.elements), label=f"cosets of {subgroup.name}")
