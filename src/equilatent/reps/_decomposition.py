"""Taking a representation apart: isotypic projectors, and bases in which it is a sum of irreducible blocks."""

from __future__ import annotations

import re
from dataclasses import dataclass

import torch
from torch import Tensor

from equilatent.errors import RepresentationError
from equilatent.groups import Group
from equilatent.reps._constructors import direct_sum, multiple, regular, trivial
from equilatent.reps._irreps import Field, Irrep, irreps
from equilatent.reps._multiplicities import multiplicities
from equilatent.reps._representation import DirectSumRepresentation, Representation, check_size

__all__ = ["Decomposition", "decompose", "isotypic_projector", "parse"]

#: Matrices are summed over so many elements at once that a block of them has about this many entries.
_ENTRIES = 1 << 22
_TERM = re.compile(r"(?:(\d+)\s*[·*×]?\s+|(\d+)\s*[·*×]\s*)?([A-Za-z]\w*|\d+[a-z]+)")


@dataclass(frozen=True)
class Decomposition:
    """A representation as a sum of irreps: ``basis⁻¹ ρ(g) basis`` is `representation`'s matrix of g.

    Attributes:
        basis: the new basis in columns, [dim, dim]; orthogonal or unitary if ρ is.
        blocks: each irrep that occurs, with its multiplicity, in the order of the columns.
    """

    basis: Tensor
    blocks: tuple[tuple[Irrep, int], ...]

    @property
    def representation(self) -> DirectSumRepresentation:
        """The sum of irreps."""
        return DirectSumRepresentation(list(self.blocks))

    def __str__(self) -> str:
        return self.representation.label


def isotypic_projector(rho: Representation, sigma: Irrep) -> Tensor:
    """The projection onto the sum of all subspaces of ρ that are isomorphic to an irrep σ.

    P = (dim σ / e|G|) Σ_g conj(χ_σ(g)) ρ(g), where e is the dimension of the algebra that commutes with σ (1 over the
    complex numbers). It commutes with ρ; its trace is dim σ times the multiplicity.

    Args:
        rho: a representation.
        sigma: an irrep of the same group. A real one needs a real ρ.

    Returns:
        [dim, dim], float64 or complex128.

    >>> import torch, equilatent as eq
    >>> G = eq.groups.symmetric(3)
    >>> eq.reps.isotypic_projector(eq.reps.permutation(G), eq.reps.irreps(G)[0]).round(decimals=3)
    tensor([[0.3330, 0.3330, 0.3330],
            [0.3330, 0.3330, 0.3330],
            [0.3330, 0.3330, 0.3330]], dtype=torch.float64)
    """
    if sigma.group != rho.group:
        raise RepresentationError(f"{sigma.name} is an irrep of {sigma.group.label}, not of {rho.group.label}.")
    if sigma.field == "real" and rho.is_complex:
        raise RepresentationError(
            f"{rho.label} has complex matrices, in which {sigma.name} over the reals has no part."
        )
    weights = sigma.character.conj() * (sigma.dim / sigma.endomorphisms / rho.group.order)
    total: Tensor | None = None
    for elements in _blocks_of_elements(rho.group, rho.dim**2):
        matrices = rho.matrix(elements).cpu()
        dtype = torch.promote_types(matrices.dtype, weights.dtype)
        part = torch.tensordot(weights[elements].to(dtype), matrices.to(dtype), dims=1)
        total = part if total is None else total + part
    assert total is not None
    return total


def decompose(rho: Representation, *, field: Field = "complex") -> Decomposition:
    """A basis in which ρ is a sum of irreducible blocks, equal blocks being equal matrices.

    Random linear maps, averaged over the group, commute with it; those from an irrep σ into ρ are made orthonormal for an
    inner product that ρ preserves.

    Args:
        rho: a representation; a real one for ``field="real"``.
        field: ``"complex"`` or ``"real"``.

    Raises:
        RepresentationError: for a complex representation over the real numbers, or if the multiplicities of ρ are not
            whole, which no representation has.
        GroupTooLargeError: if the basis, or the matrices of an irrep that occurs, would take more than a gigabyte.

    >>> import torch, equilatent as eq
    >>> G = eq.groups.quaternion()
    >>> rho = eq.reps.regular(G)
    >>> parts = eq.reps.decompose(rho, field="real")
    >>> print(parts)
    trivial ⊕ 1b ⊕ 1c ⊕ 1d ⊕ 4a
    >>> i = G["i"]
    >>> torch.allclose(parts.basis.inverse() @ rho.matrix(i) @ parts.basis, parts.representation.matrix(i))
    True
    """
    if not rho.dim:
        raise RepresentationError("a representation of dimension 0 has no parts.")
    check_size(rho.group, rho.dim, 1, remedy="multiplicities(ρ) says what it consists of, without a basis.")
    counts = multiplicities(rho, field=field)
    if field == "real" and rho.is_complex:
        raise RepresentationError(f"{rho.label} has complex matrices, which no real basis takes apart.")
    if not counts.is_whole:
        raise RepresentationError(f"{rho.label} has multiplicities that are not whole numbers: {counts}.")
    form = _invariant_form(rho)
    generator = torch.Generator().manual_seed(0)
    columns, blocks = [], []
    for sigma, value in counts.items():
        count = round(value)
        if not count:
            continue
        maps = _intertwiners(rho, sigma, count, generator)
        columns += _orthonormal(maps, form)
        blocks.append((sigma, count))
    dtype = torch.complex128 if any(column.is_complex() for column in columns) else torch.float64
    return Decomposition(torch.cat([column.to(dtype) for column in columns], dim=1), tuple(blocks))


def parse(group: Group, text: str, *, field: Field = "complex") -> Representation:
    """The sum of irreps that a text names: what `multiplicities` and `decompose` print, read back.

    Args:
        group: the group.
        text: such as ``"2 trivial ⊕ sign ⊕ 3 2a"``; ``+`` will do for ⊕, and ``regular`` is known too. A number, a space
            and a name are so many copies.
        field: over which numbers the irreps are meant.

    Raises:
        RepresentationError: if it does not parse or names no irrep of the group; the message lists the names.

    >>> import equilatent as eq
    >>> G = eq.groups.dihedral(4)
    >>> eq.reps.parse(G, "2 trivial + 3 2a").label
    '2 trivial ⊕ 3 2a'
    >>> eq.reps.parse(G, str(eq.reps.multiplicities(eq.reps.regular(G)))).dim
    8
    """
    if not isinstance(text, str):
        raise RepresentationError(f"a sum of irreps is a text such as '2 trivial ⊕ sign'; got {text!r}.")
    if text.strip() == "0":
        return multiple(trivial(group), 0)
    known: dict[str, Representation] = {rho.name: rho for rho in irreps(group, field=field)}
    terms = []
    for part in re.split(r"[⊕+]", text):
        match = _TERM.fullmatch(part.strip())
        name = match[3] if match else None
        if name == "regular":
            rho = regular(group)
        elif name in known:
            rho = known[name]
        else:
            raise RepresentationError(
                f"{part.strip()!r} in {text!r} is no multiple of an irrep of {group.label}. Write sums such as "
                f"'2 trivial ⊕ 3 {list(known)[-1]}'; the {field} irreps are {', '.join(known)}."
            )
        assert match is not None
        copies = match[1] or match[2]
        terms.append(multiple(rho, int(copies)) if copies else rho)
    return direct_sum(*terms)


def _blocks_of_elements(group: Group, entries: int) -> tuple[Tensor, ...]:
    blocks: tuple[Tensor, ...] = group.elements.split(max(1, _ENTRIES // entries))
    return blocks


def _invariant_form(rho: Representation) -> Tensor | None:
    """A positive matrix M with ρ(g)* M ρ(g) = M for all g; None where the identity is one."""
    images = [rho.matrix(g).cpu() for g in rho.group.generators.values()]
    identity = torch.eye(rho.dim, dtype=torch.float64)
    if all((image.mH @ image - identity).abs().max() < 1e-12 * rho.dim for image in images):
        return None
    form: Tensor | None = None
    for elements in _blocks_of_elements(rho.group, rho.dim**2):
        matrices = rho.matrix(elements).cpu()
        part = (matrices.mH @ matrices).sum(0) / rho.group.order
        form = part if form is None else form + part
    return form


def _intertwiners(rho: Representation, sigma: Irrep, count: int, generator: torch.Generator) -> list[Tensor]:
    """Random maps T [dim ρ, dim σ] with ρ(g) T = T σ(g), as many as σ occurs."""
    shape = (rho.dim, count * sigma.dim)
    start = torch.randn(shape, dtype=torch.float64, generator=generator)
    if sigma.is_complex or rho.is_complex:
        start = torch.complex(start, torch.randn(shape, dtype=torch.float64, generator=generator))
    total = torch.zeros(rho.dim, count, sigma.dim, dtype=start.dtype)
    for elements in _blocks_of_elements(rho.group, start.numel()):
        spread = start.expand(len(elements), 1, *shape)
        moved = rho.apply_blocks(spread, elements).reshape(len(elements), rho.dim, count, sigma.dim)
        inverses = sigma.matrix(rho.group.inverse(elements)).to(start.dtype)
        total += torch.einsum("gdms,gst->dmt", moved, inverses)
    return list(total.unbind(1))


def _orthonormal(maps: list[Tensor], form: Tensor | None) -> list[Tensor]:
    """The maps with orthonormal columns, in their span: Gram and Schmidt's method on blocks.

    Of two maps T, S from one irrep the product T*MS commutes with the irrep, so that every step stays among the
    maps that do; and T*MT is a multiple of the identity.
    """
    done: list[Tensor] = []
    for columns in maps:
        for _ in range(2):  # a second round removes what rounding left of the first
            for other in done:
                columns = columns - other @ _inner(other, columns, form)
        done.append(columns / _inner(columns, columns, form).diagonal().real.mean().sqrt())
    return done


def _inner(left: Tensor, right: Tensor, form: Tensor | None) -> Tensor:
    return left.mH @ (right if form is None else form.to(right.dtype) @ right)
