"""Checks of the laws that groups, representations, actions and equivariant functions obey.

Each raises AssertionError with the law, the elements and the size of the error. They are plain functions, so that they
serve in anyone's test suite; `equilatent.testing.GROUPS`, `REPRESENTATIONS` and `ACTIONS` are the members that the
library itself is tested on.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from equilatent.actions import SupportsAction
from equilatent.groups import Group
from equilatent.reps import Representation, is_representation

__all__ = ["assert_action", "assert_equivariant", "assert_group", "assert_homomorphism", "assert_representation"]

#: Laws are checked on all pairs of elements up to this order, and on drawn pairs beyond.
_ALL_PAIRS_ORDER = 64
_DRAWN_PAIRS = 2048
#: Matrices are made for so many elements at once that a block of them has about this many entries.
_ENTRIES = 1 << 24


def _require(condition: bool, message: str) -> None:
    # An explicit raise: these checks must hold under python -O too.
    if not condition:
        raise AssertionError(message)


def _pairs(group: Group, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    if group.order <= _ALL_PAIRS_ORDER:
        elements = group.elements
        return elements.repeat_interleave(group.order), elements.repeat(group.order)
    return group.sample(_DRAWN_PAIRS, generator=generator), group.sample(_DRAWN_PAIRS, generator=generator)


def _seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def assert_group(group: Group, *, seed: int = 0) -> None:
    """Check associativity, the identity, inverses, names, relators, powers and element orders.

    Pairs and triples are all tried in small groups and drawn in large ones.

    >>> import equilatent as eq
    >>> assert_group(eq.groups.quaternion())
    """
    generator = _seeded(seed)
    a, b = _pairs(group, generator)
    c = group.sample(len(a), generator=generator)
    product = group.product(a, b)
    _require(bool(((product >= 0) & (product < group.order)).all()), f"{group}: a product is no element.")
    associated = group.product(product, c) == group.product(a, group.product(b, c))
    _require(bool(associated.all()), f"{group}: (ab)c ≠ a(bc) for some elements.")
    _require(bool((group.product(a, 0) == a).all() and (group.product(0, a) == a).all()), f"{group}: 0 is no identity.")
    inverse = group.inverse(a)
    _require(bool((group.product(a, inverse) == 0).all()), f"{group}: a a⁻¹ ≠ e for some element.")
    _require(bool((group.product(inverse, a) == 0).all()), f"{group}: a⁻¹ a ≠ e for some element.")
    _require(torch.equal(group.power(a, 3), group.product(a, group.product(a, a))), f"{group}: a³ ≠ a·a·a.")
    _require(torch.equal(group.power(a, -2), group.product(inverse, inverse)), f"{group}: a⁻² ≠ a⁻¹·a⁻¹.")
    orders = group.element_order(a)
    _require(bool((group.power(a, orders) == 0).all()), f"{group}: a to its order is not e.")
    _require(bool((group.order % orders == 0).all()), f"{group}: an element's order does not divide {group.order}.")
    for word in group.relators:
        _require(group.evaluate(word) == 0, f"{group}: the relator {word} is not the identity.")
    for g in {0, *group.generators.values(), *a[:: max(1, len(a) // 64)].tolist()}:
        _require(group[group.name(g)] == g, f"{group}: the name {group.name(g)!r} does not read back as {g}.")
        _require(group.evaluate(group.word(g)) == g, f"{group}: the word of {g} does not spell it.")


def assert_homomorphism(
    group: Group, matrix: Callable[[Tensor], Tensor], *, tolerance: float = 1e-9, seed: int = 0
) -> None:
    """Check ρ(gh) = ρ(g)ρ(h) and ρ(e) = 1 for matrices [n, d, d] of elements [n].

    >>> import equilatent as eq
    >>> G = eq.groups.dihedral(4)
    >>> assert_homomorphism(G, eq.reps.regular(G).matrix)
    """
    identity = matrix(torch.zeros(1, dtype=torch.long))[0]
    _require(
        bool(torch.allclose(identity, torch.eye(len(identity), dtype=identity.dtype), atol=tolerance)), "ρ(e) ≠ 1."
    )
    g, h = _pairs(group, _seeded(seed))
    rows = max(1, min(256, _ENTRIES // max(1, len(identity) ** 2)))
    for some_g, some_h in zip(g.split(rows), h.split(rows), strict=True):
        error = (matrix(group.product(some_g, some_h)) - matrix(some_g) @ matrix(some_h)).abs().amax((1, 2))
        worst = int(error.argmax())
        _require(
            bool(error[worst] <= tolerance),
            f"ρ(gh) ≠ ρ(g)ρ(h) for g = {group.name(int(some_g[worst]))!r}, h = {group.name(int(some_h[worst]))!r}: the "
            f"largest entry of the difference is {float(error[worst]):.3g}.",
        )


def assert_representation(
    rho: Representation, *, dtype: torch.dtype = torch.float32, tolerance: float = 1e-5, seed: int = 0
) -> None:
    """Check that a representation is a homomorphism, and that applying it agrees with its matrices and character.

    Along every axis, for vectors of the given dtype, and for its gradient.

    >>> import equilatent as eq
    >>> assert_representation(eq.reps.padded_regular(eq.groups.cyclic(3), 8))
    """
    group, generator = rho.group, _seeded(seed)
    assert_homomorphism(group, rho.matrix, seed=seed)
    _require(is_representation(group, rho), f"{rho}: is_representation denies it.")
    g = torch.cat([torch.zeros(1, dtype=torch.long), group.sample(6, generator=generator)])
    matrices = rho.matrix(g).to(dtype)
    traces = rho.matrix(group.elements[:64]).diagonal(dim1=-2, dim2=-1).sum(-1)
    error = (rho.character[:64] - traces).abs().max()  # of complex matrices too, where the character is real
    _require(bool(error <= 1e-9 * max(1, rho.dim)), f"{rho}: the character is not the trace.")
    for shape, axis in (((rho.dim,), 1), ((3, rho.dim), -1), ((rho.dim, 2), 1), ((2, rho.dim, 3), 2)):
        x = torch.randn(len(g), *shape, generator=generator, dtype=torch.float64).to(dtype).requires_grad_()
        moved = rho(x, g, dim=axis)
        last = x.movedim(axis, -1)
        expected = torch.einsum("bij,b...j->b...i", matrices, last).movedim(-1, axis)
        _require(moved.dtype == dtype and moved.shape == x.shape, f"{rho}: dtype or shape changed.")
        _require(bool(torch.allclose(moved, expected, atol=tolerance)), f"{rho}: disagrees with its matrices.")
        weights = torch.randn(moved.shape, generator=generator, dtype=torch.float64).to(dtype)
        (gradient,) = torch.autograd.grad(moved, x, weights)
        back = torch.einsum("bij,b...i->b...j", matrices.conj(), weights.movedim(axis, -1)).movedim(-1, axis)
        _require(bool(torch.allclose(gradient, back, atol=tolerance)), f"{rho}: the gradient is wrong.")


def assert_action(
    action: SupportsAction,
    x: Tensor | Sequence[int],
    *,
    dtype: torch.dtype = torch.float32,
    tolerance: float = 0.0,
    seed: int = 0,
) -> None:
    """Check that something is a left action: e·x = x and g·(h·x) = (gh)·x, and that each sample moves on its own.

    Args:
        action: the action, or a representation.
        x: samples [N, …] to move, or the shape of one sample, for random input.
        dtype: of the random input.
        tolerance: the largest difference allowed; 0 for actions that only rearrange numbers.
        seed: of the drawn elements and input.

    Raises:
        AssertionError: naming the law and the elements.

    >>> import equilatent as eq
    >>> G = eq.groups.dihedral(4)
    >>> assert_action(eq.actions.image(G), (3, 7, 7))
    >>> transpose = eq.actions.function(G, lambda x, g: x.mT)
    >>> assert_action(transpose, (3, 7, 7))
    Traceback (most recent call last):
    ...
    AssertionError: e·x ≠ x: ... largest difference ...
    """
    group, generator = action.group, _seeded(seed)
    if isinstance(x, Tensor):
        samples = x
    else:
        samples = torch.randn(8, *x, generator=generator, dtype=torch.float64).to(dtype)
    g, h = _pairs(group, generator)
    kept = torch.randperm(len(g), generator=generator)[:512]
    g, h = g[kept], h[kept]
    samples = samples[torch.arange(len(g)) % len(samples)]

    def compare(left: Tensor, right: Tensor, law: str) -> None:
        _require(left.shape == right.shape, f"{law}: shapes {list(left.shape)} and {list(right.shape)} differ.")
        wide = torch.promote_types(left.dtype, torch.float64)
        difference = (left.to(wide) - right.to(wide)).abs().reshape(len(left), -1).amax(1)
        worst = int(difference.argmax())
        _require(
            bool(difference[worst] <= tolerance),
            f"{law}: for g = {group.name(int(g[worst]))!r}, h = {group.name(int(h[worst]))!r} the largest difference is "
            f"{float(difference[worst]):.3g} (tolerance {tolerance:g}).",
        )

    compare(action(samples, torch.zeros_like(g)), samples, "e·x ≠ x")
    moved = action(samples, h)
    compare(action(moved, g), action(samples, group.product(g, h)), "g·(h·x) ≠ (gh)·x")
    alone = torch.cat([action(samples[i : i + 1], h[i : i + 1]) for i in range(min(8, len(h)))])
    compare(moved[: len(alone)], alone, "samples of one batch influence each other")


def assert_equivariant(
    function: Callable[[Tensor], Any],
    input: SupportsAction,
    output: SupportsAction,
    x: Tensor,
    *,
    tolerance: float = 1e-5,
    seed: int = 0,
) -> None:
    """Check that f(g·x) = g·f(x) for drawn elements, to a tolerance in the largest entry.

    >>> import torch, equilatent as eq
    >>> G = eq.groups.dihedral(4)
    >>> act = eq.actions.image(G)
    >>> assert_equivariant(torch.nn.AvgPool2d(2), act, act, torch.randn(4, 1, 8, 8))
    """
    group = input.group
    g = group.elements if group.order <= _ALL_PAIRS_ORDER else group.sample(256, generator=_seeded(seed))
    with torch.no_grad():
        plain = function(x)
        for element in g.tolist():
            elements = torch.full((len(x),), element, device=x.device)
            difference = float((function(input(x, elements)) - output(plain, elements)).abs().max())
            _require(
                difference <= tolerance,
                f"f(g·x) ≠ g·f(x) for g = {group.name(element)!r}: the largest difference is {difference:.3g} "
                f"(tolerance {tolerance:g}).",
            )
