"""How far learned matrices are from a representation, as a loss."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import functional as F

from equilatent.errors import RepresentationError
from equilatent.groups._words import Word, format_word, parse_word
from equilatent.objective._checks import checked_weight
from equilatent.reps import LearnedRepresentation, describe_multiplicities, multiplicities

__all__ = ["algebra_loss", "describe_learned_representation", "relator_losses"]


def relator_losses(rho: LearnedRepresentation) -> dict[str, Tensor]:
    """The mean square distance of each relator of the group from the identity, by the relator as a word.

    >>> import torch, equilatent as eq
    >>> G = eq.groups.dihedral(3)
    >>> exact = eq.reps.LearnedRepresentation(G, 6, start=eq.reps.regular(G))
    >>> {word: loss.item() for word, loss in eq.objective.relator_losses(exact).items()}
    {'r3': 0.0, 's2': 0.0, '(s r)^2': 0.0}
    """
    matrices = rho.generator_matrices()
    with rho.own_precision():
        return {format_word(word): _distance(_product(rho, word, matrices)) for word in rho.group.relators}


def describe_learned_representation(rho: LearnedRepresentation) -> str:
    """What a learned representation is, in one line: copies of the regular one, multiplicities, sum of relator losses.

    >>> import equilatent as eq
    >>> G = eq.groups.dihedral(3)
    >>> rho = eq.reps.LearnedRepresentation(G, 13, start=eq.reps.padded_regular(G, 13))
    >>> print(eq.objective.describe_learned_representation(rho))
    2.17 × regular: trivial 3.00, sign 2.00, standard 4.00; algebra loss 0.0e+00
    """
    with torch.no_grad():
        # Matrices of all elements, because a group of one element has no generators to tell the dimension.
        counts = multiplicities(rho.matrix(rho.group.elements), rho.group)
        loss = sum(float(value) for value in relator_losses(rho).values())
    return describe_multiplicities(rho.group, counts.as_floats(), algebra_loss=loss)


def algebra_loss(
    rho: LearnedRepresentation,
    *,
    weights: Mapping[str, float] | float = 1.0,
    mixed_damping: float = 1.0,
    inverse_weight: float = 0.0,
) -> Tensor:
    """The algebra loss of the paper (section 4): how far matrices are from satisfying the relators, and regularisers.

        A = Σ_r w_r · MSE(ρ(r), 1)  +  w · Σ_x MSE(ρ(x)ⁿ⁻¹, ρ(x)⁻¹)

    The first sum is over the relators r of the group's presentation; those in which several generators occur are damped.
    The second is over the generators with a relator xⁿ: it is 0 wherever that relator holds, but steers the inverse,
    which is found by a linear solve. MSE is the mean over entries. The settings of Appendix B are ``inverse_weight=1`` for
    C2 and C4, and ``weights=0.5, mixed_damping=0.1`` for D3.

    Args:
        rho: the learned matrices.
        weights: w_r: one number for all relators, or one for each, by the relator as a word such as ``"(s r)^2"``.
        mixed_damping: a factor for relators with several generators.
        inverse_weight: the weight w of the second sum.

    Returns:
        A scalar, to call ``backward`` on; 0 exactly for a representation.

    Raises:
        RepresentationError: if weights are given for other words than the group's relators.
        LatentError: for weights that are negative or not finite.
        NonFiniteError: if an inverse is needed of a singular matrix.

    >>> import torch, equilatent as eq
    >>> rho = eq.reps.LearnedRepresentation(eq.groups.cyclic(2), 2, start="normal")
    >>> with torch.no_grad():
    ...     _ = rho.matrices[0].weight.copy_(torch.tensor([[0.0, 2.0], [1.0, 0.0]]))
    >>> eq.objective.algebra_loss(rho).item()  # the square is twice the identity: (1 + 1) / 4
    0.5
    """
    group, matrices = rho.group, rho.generator_matrices()
    given = _weights(rho, weights)
    damping, of_inverses = (
        checked_weight("mixed_damping", mixed_damping),
        checked_weight("inverse_weight", inverse_weight),
    )
    total = torch.zeros((), dtype=rho.dtype, device=rho.device)
    with rho.own_precision():
        for word in group.relators:
            factor = given[word] * (damping if len({x for x, _ in word}) > 1 else 1.0)
            if factor:
                total = total + factor * _distance(_product(rho, word, matrices))
        if of_inverses:
            for word in group.relators:
                if len(word) == 1:
                    ((x, exponent),) = word
                    total = total + of_inverses * F.mse_loss(
                        _power(matrices[x], abs(exponent) - 1), rho.inverse_matrix(x)
                    )
    return total


def _weights(rho: LearnedRepresentation, weights: Mapping[str, float] | float) -> dict[Word, float]:
    relators = rho.group.relators
    if not isinstance(weights, Mapping):
        return dict.fromkeys(relators, checked_weight("weights", weights))
    given = {
        parse_word(text, rho.group.generators): checked_weight(f"weights[{text!r}]", value)
        for text, value in weights.items()
    }
    if set(given) != set(relators):
        raise RepresentationError(
            f"weights are given for {', '.join(weights) or 'nothing'}; the relators of {rho.group.label} are "
            f"{rho.group.presentation}."
        )
    return given


def _product(rho: LearnedRepresentation, word: Word, matrices: Mapping[str, Tensor]) -> Tensor:
    product: Tensor | None = None
    for x, exponent in word:
        step = _power(matrices[x] if exponent > 0 else rho.inverse_matrix(x), abs(exponent))
        product = step if product is None else product @ step
    return torch.eye(rho.dim, dtype=rho.dtype, device=rho.device) if product is None else product


def _power(matrix: Tensor, exponent: int) -> Tensor:
    power: Tensor = torch.linalg.matrix_power(matrix, exponent)
    return power


def _distance(product: Tensor) -> Tensor:
    return F.mse_loss(product, torch.eye(len(product), dtype=product.dtype, device=product.device))
