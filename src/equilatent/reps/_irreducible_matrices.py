"""Matrices of an irreducible representation from its character alone."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from equilatent.errors import RepresentationError
from equilatent.groups import Group
from equilatent.groups._homomorphism import extend_matrices
from equilatent.reps._character_table import CharacterTable

__all__ = ["irreducible_matrices"]

_ATTEMPTS = 20
#: How far the matrices' characters may be from the character table's.
_TOLERANCE = 1e-8


def irreducible_matrices(table: CharacterTable, row: int) -> Tensor:
    """A unitary representation with the given irreducible character; orthogonal, in float64, if it is of real type.

    The functions χ(x⁻¹·) projected to an eigenvalue λ of one element h span m copies of the representation, where m is
    the multiplicity of λ in ρ(h). Their inner products are values of one function φ, so that no matrix larger than
    [dm, dm] is ever made. If m > 1, a random element of the commuting algebra splits the copies (after Dixon,
    "Constructing representations of finite groups", 1993).

    Args:
        table: the group's character table.
        row: which character.

    Returns:
        float64 or complex128 [order, d, d].

    Raises:
        RepresentationError: if the result does not have that character to 1e-8; this would be a defect.
    """
    group, degree = table.group, int(table.degrees[row])
    if degree == 1:
        matrices = table.character(row)[:, None, None]
        return matrices.real.round() if table.kinds[row] == "real" else matrices
    generator = torch.Generator().manual_seed(0)
    for _ in range(_ATTEMPTS):
        images = _generator_matrices(table, row, generator)
        if images is None:
            continue
        matrices = _extend(group, images)
        if table.kinds[row] == "real":
            matrices = _extend(group, _real_form(matrices, group, generator))
        error = (matrices.diagonal(dim1=-2, dim2=-1).sum(-1) - table.character(row)).abs().max()
        if error < _TOLERANCE * degree:
            return matrices
    raise RepresentationError(
        f"an irreducible representation of dimension {degree} of {group.label} could not be found numerically. "
        "Please report this group."
    )


def _generator_matrices(table: CharacterTable, row: int, generator: torch.Generator) -> dict[str, Tensor] | None:
    """Unitary matrices of the generators; None if random choices fell badly."""
    group, degree = table.group, int(table.degrees[row])
    powers, eigenvalue, multiplicity = _rarest_eigenvalue(table, row)
    weights = eigenvalue.conj() / len(powers)
    phi = torch.zeros(group.order, dtype=torch.complex128)
    character = table.character(row)
    for h, weight in zip(powers, weights, strict=True):
        phi += weight * character[group.product(group.elements, h)]

    # Vectors v_x = x·v have inner products φ(x⁻¹y); enough of them span everything.
    size = degree * multiplicity
    count = min(group.order, 4 * size + 8)
    while True:
        chosen = torch.randperm(group.order, generator=generator)[:count]
        gaps = group.product(group.inverse(chosen)[:, None], chosen)
        lengths, vectors = torch.linalg.eigh(phi[gaps])
        if lengths[-size] > 1e-3 * lengths[-1] / size:
            break
        if count == group.order:
            return None
        count = min(group.order, 2 * count)
    frame = vectors[:, -size:] / lengths[-size:].sqrt()  # columns: an orthonormal basis in terms of the v_x

    images = {}
    inverses = group.inverse(chosen)[:, None]
    for x, g in group.generators.items():
        images[x] = frame.mH @ phi[group.product(inverses, group.product(g, chosen))] @ frame
    if multiplicity > 1:
        copy = _one_copy(group, phi, weights, powers, gaps, frame, degree, generator)
        if copy is None:
            return None
        images = {x: copy.mH @ image @ copy for x, image in images.items()}
    return {x: _nearest_unitary(image) for x, image in images.items()}


def _rarest_eigenvalue(table: CharacterTable, row: int) -> tuple[Tensor, Tensor, int]:
    """The powers of an element h, an eigenvalue λ of ρ(h) with its powers, and its multiplicity: the least over all h."""
    best: tuple[int, int, Tensor, Tensor] | None = None
    for powers in table.powers:
        order = len(powers)
        exponents = torch.arange(order)
        roots = torch.exp(2j * math.pi / order * (exponents[:, None] * exponents % order).double())
        values = table.values[row, table.classes.index[powers]]
        multiplicities = (roots.conj() @ values).real / order
        present = multiplicities.round().long()
        present[present < 1] = table.group.order + 1
        number = int(present.argmin())
        candidate = (int(present[number]), -order, powers, roots[number])
        if best is None or candidate[:2] < best[:2]:
            best = candidate
    assert best is not None
    return best[2], best[3], best[0]


def _one_copy(
    group: Group,
    phi: Tensor,
    weights: Tensor,
    powers: Tensor,
    gaps: Tensor,
    frame: Tensor,
    degree: int,
    generator: torch.Generator,
) -> Tensor | None:
    """An isometry [dm, d] onto one irreducible subspace.

    It is an eigenspace of right multiplication by P y P, where P projects on the eigenvalue and y is random.
    """
    total = torch.zeros_like(frame.mH @ frame)
    for y in group.sample(3, generator=generator).tolist():
        moved = torch.zeros_like(phi[gaps])
        for h, weight in zip(powers.tolist(), weights, strict=True):
            moved += weight * phi[group.product(gaps, group.product(h, y))]
        coefficient = torch.view_as_complex(torch.randn(2, generator=generator, dtype=torch.float64))
        total += coefficient * (frame.mH @ moved @ frame)
    eigenvalues, vectors = torch.linalg.eigh(total + total.mH)
    runs = eigenvalues.view(-1, degree)  # ascending, so that each eigenspace is one run
    spread = (runs[:, -1] - runs[:, 0]).max()
    below = torch.cat([runs.new_full((1,), torch.inf), runs[1:, 0] - runs[:-1, -1]])
    above = torch.cat([below[1:], runs.new_full((1,), torch.inf)])
    isolation = torch.minimum(below, above)
    best = int(isolation.argmax())
    if not isolation[best] > 1e4 * max(float(spread), 1e-14 * float(eigenvalues.abs().max())):
        return None
    copy: Tensor = vectors[:, best * degree : (best + 1) * degree]
    return copy


def _real_form(matrices: Tensor, group: Group, generator: torch.Generator) -> dict[str, Tensor]:
    """Orthogonal matrices of the generators in a basis in which a unitary representation of real type is real.

    ρ(g) J = J conj(ρ(g)) has a symmetric unitary solution J, an average over the group; with J = U Uᵀ (Takagi) the
    matrices U⁻¹ ρ(g) U are real.
    """
    degree = matrices.shape[-1]
    start = torch.view_as_complex(torch.randn(degree, degree, 2, generator=generator, dtype=torch.float64))
    start = start + start.mT
    form = torch.zeros_like(start)
    for block in matrices.split(max(1, (1 << 22) // degree**2)):
        form += torch.einsum("gij,gkj->ik", block @ start, block)
    form = form / torch.linalg.matrix_norm(form) * math.sqrt(degree)
    # Real and imaginary part of J are symmetric and commute: one real orthogonal basis diagonalises both.
    _, axes = torch.linalg.eigh(form.real + math.sqrt(2) * form.imag)
    axes = axes.to(form.dtype)
    phases = (axes.mT @ form @ axes).diagonal()
    basis = axes * phases.sqrt()
    return {x: _nearest_unitary((basis.mH @ matrices[g] @ basis).real) for x, g in group.generators.items()}


def _nearest_unitary(matrix: Tensor) -> Tensor:
    left, _, right = torch.linalg.svd(matrix)
    nearest: Tensor = left @ right
    return nearest


def _extend(group: Group, images: dict[str, Tensor]) -> Tensor:
    return torch.from_numpy(extend_matrices(group, {x: image.numpy() for x, image in images.items()}))
