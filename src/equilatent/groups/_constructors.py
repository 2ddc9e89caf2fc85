"""Named families of groups, products, and groups from permutations, matrices, presentations and tables."""

from __future__ import annotations

import functools
import itertools
import math
import operator
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from equilatent.errors import GroupError, GroupTooLargeError
from equilatent.groups._arrays import as_array
from equilatent.groups._closure import close_matrices
from equilatent.groups._cosets import enumerate_cosets
from equilatent.groups._group import Group
from equilatent.groups._homomorphism import broken_relator, extend_permutations, homomorphism
from equilatent.groups._laws import Law, MetacyclicLaw, PermutationLaw, ProductLaw, SemidirectLaw, TableLaw
from equilatent.groups._words import check_names, format_word, generator_names, invert_word, parse_relators

__all__ = [
    "alternating",
    "cyclic",
    "dicyclic",
    "dihedral",
    "direct_product",
    "from_matrices",
    "from_permutations",
    "from_presentation",
    "from_table",
    "icosahedral",
    "klein_four",
    "named_generators",
    "octahedral",
    "quaternion",
    "semidirect_product",
    "symmetric",
    "tetrahedral",
]

#: Coset enumeration gives up beyond so many cosets for each element that the group may have.
_COSETS_PER_ELEMENT = 10


def _size(n: int, name: str, least: int = 1) -> int:
    try:
        size = operator.index(n)
    except TypeError:
        size = least - 1
    if isinstance(n, bool) or size < least:
        raise GroupError(f"{name} needs an integer n ≥ {least}; got {n!r}.")
    return size


def _rotation(n: int) -> np.ndarray:
    angle = 2 * math.pi / n
    return np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])


def _polygon(n: int, generators: str) -> dict[str, list[int]]:
    images = {"r": [(i + 1) % n for i in range(n)], "s": [-i % n for i in range(n)]}
    return {x: images[x] for x in generators}


def _mirrored_pair() -> dict[str, list[int]]:
    return {"s": [1, 0]}


def cyclic(n: int) -> Group:
    """The cyclic group C_n = ⟨r | rⁿ⟩; the element k is rᵏ. Any n: nothing is stored.

    >>> import equilatent as eq
    >>> eq.groups.cyclic(4).names
    ('e', 'r', 'r2', 'r3')
    """
    n = _size(n, "cyclic(n)")
    generators = {"r": 1} if n > 1 else {}
    return Group(
        MetacyclicLaw(n),
        generators,
        label=f"C{n}",
        relators=parse_relators(f"r^{n}" if n > 1 else ""),
        defining={"r": _rotation(n)} if n > 1 else {},
        natural=functools.partial(_polygon, n, "r" if n > 1 else ""),
    )


def dihedral(n: int) -> Group:
    """The dihedral group D_n = ⟨r, s | rⁿ, s², (sr)²⟩ of order 2n; the element i + n·j is rⁱsʲ.

    D_1 is a single mirror, with the one generator s.

    >>> import equilatent as eq
    >>> G = eq.groups.dihedral(4)
    >>> G.order, G.name(5)
    (8, 'r s')
    """
    n = _size(n, "dihedral(n)")
    mirror = np.diag([1.0, -1.0])
    if n == 1:
        return Group(
            MetacyclicLaw(1, 2),
            {"s": 1},
            label="D1",
            relators=parse_relators("s2"),
            defining={"s": mirror},
            natural=_mirrored_pair,
        )
    return Group(
        MetacyclicLaw(n, 2, -1),
        {"r": 1, "s": n},
        label=f"D{n}",
        relators=parse_relators(f"r^{n}, s2, (s r)^2"),
        defining={"r": _rotation(n), "s": mirror},
        natural=functools.partial(_polygon, n, "rs")
        if n > 2
        else None,  # the corners of a 2-gon do not tell the mirrors of D_2 apart
    )


def quaternion() -> Group:
    """The quaternion group Q8 = ⟨i, j | i⁴, j² = i², j i j⁻¹ = i⁻¹⟩; −1 is i², k is i j.

    >>> import equilatent as eq
    >>> Q = eq.groups.quaternion()
    >>> Q["i j"] == Q["j i^-1"], Q.element_order(Q["i j"])
    (True, 4)
    """
    return Group(
        MetacyclicLaw(4, 2, -1, 2),
        {"i": 1, "j": 4},
        label="Q8",
        relators=parse_relators("i^4, j2 i^-2, j i j^-1 i"),
        normal_form=("i", "j"),
    )


def klein_four() -> Group:
    """The Klein four-group V4 = ⟨a, b | a², b², (a b)²⟩.

    As a group of motions of an image, a mirrors the rows (up and down) and b the columns (left and right).

    >>> import equilatent as eq
    >>> eq.groups.klein_four().names
    ('e', 'a', 'b', 'a b')
    """
    return Group(
        MetacyclicLaw(2, 2),
        {"a": 1, "b": 2},
        label="V4",
        relators=parse_relators("a2, b2, (a b)^2"),
        defining={"a": np.diag([-1.0, 1.0]), "b": np.diag([1.0, -1.0])},
        normal_form=("a", "b"),
    )


def _all_permutations(n: int) -> np.ndarray:
    """All permutations of n points in lexicographic order, [n!, n]."""
    if math.factorial(n) > Group.ENUMERATION_LIMIT:
        raise GroupTooLargeError(
            f"S{n} has {math.factorial(n)} elements; groups of permutations are listed up to {Group.ENUMERATION_LIMIT}. "
            "The largest is symmetric(9)."
        )
    permutations = np.zeros((1, 0), dtype=np.int64)
    for size in range(1, n + 1):
        # Put each value first, and shift the values of the rest past it.
        blocks = []
        for first in range(size):
            rest = permutations + (permutations >= first)
            blocks.append(np.column_stack([np.full(len(rest), first), rest]))
        permutations = np.concatenate(blocks)
    return permutations


def _parity(permutations: np.ndarray) -> np.ndarray:
    odd = np.zeros(len(permutations), dtype=bool)
    for i, j in itertools.combinations(range(permutations.shape[1]), 2):
        odd ^= permutations[:, i] > permutations[:, j]
    return odd


def _index_of(law: PermutationLaw, image: Sequence[int]) -> int:
    return int((law.permutations == np.asarray(image)).all(1).argmax())


def symmetric(n: int) -> Group:
    """The symmetric group S_n of all permutations of 0 … n−1, in lexicographic order, for n ≤ 9.

    Generators: t exchanges 0 and 1, c is the cycle (0 1 … n−1); S_2 has t alone.

    >>> import equilatent as eq
    >>> S3 = eq.groups.symmetric(3)
    >>> S3.names
    ('e', '(1 2)', '(0 1)', '(0 1 2)', '(0 2 1)', '(0 2)')
    """
    n = _size(n, "symmetric(n)")
    law = PermutationLaw(_all_permutations(n))
    generators = {}
    if n >= 2:
        generators["t"] = _index_of(law, [1, 0, *range(2, n)])
    if n >= 3:
        generators["c"] = _index_of(law, [*range(1, n), 0])
    return Group(law, generators, label=f"S{n}")


def alternating(n: int) -> Group:
    """The alternating group A_n of even permutations of 0 … n−1, in lexicographic order, for n ≤ 9.

    Generators: a is the cycle (0 1 2); b the cycle (0 1 … n−1) for odd n, (1 2 … n−1) for even n; A_3 has a alone.

    >>> import equilatent as eq
    >>> eq.groups.alternating(4).order
    12
    """
    n = _size(n, "alternating(n)")
    permutations = _all_permutations(n)
    law = PermutationLaw(permutations[~_parity(permutations)])
    generators = {}
    if n >= 3:
        generators["a"] = _index_of(law, [1, 2, 0, *range(3, n)])
    if n >= 4:
        generators["b"] = _index_of(law, [*range(1, n), 0] if n % 2 else [0, *range(2, n), 1])
    return Group(law, generators, label=f"A{n}")


#: Carries each of three axes to the next: the rotation by 120° about a diagonal of the cube.
_AXES = [[0.0, 0.0, 1.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]


def _polyhedral(label: str, rotations: Mapping[str, npt.ArrayLike], inversion: bool) -> Group:
    if inversion:
        return from_matrices({**rotations, "i": -np.eye(3)}, label=f"{label}h")
    return from_matrices(rotations, label=label)


def tetrahedral(*, inversion: bool = False) -> Group:
    """The 12 rotations of the tetrahedron: d, the half turn about the last axis, and c, which carries each axis to the next.

    Args:
        inversion: whether to add i, the inversion through the centre, for the pyritohedral group T_h of order 24.

    >>> import equilatent as eq
    >>> eq.groups.tetrahedral().order, eq.groups.tetrahedral(inversion=True).order
    (12, 24)
    """
    return _polyhedral("T", {"d": np.diag([-1, -1, 1]), "c": _AXES}, inversion)


def octahedral(*, inversion: bool = False) -> Group:
    """The 24 rotations of the cube: generators r, a quarter turn in the plane of the last two axes, and c, which
    carries each axis to the next.

    Args:
        inversion: whether to add i, the inversion through the centre, for all 48 symmetries of the cube.

    >>> import equilatent as eq
    >>> eq.groups.octahedral().presentation
    'r4, c3, (r c)^2'
    """
    return _polyhedral("O", {"r": [[1, 0, 0], [0, 0, -1], [0, 1, 0]], "c": _AXES}, inversion)


def icosahedral(*, inversion: bool = False) -> Group:
    """The 60 rotations of the icosahedron with corners (0, ±1, ±φ) and their cyclic images: r, a fifth of a turn about
    (0, 1, φ), and c, which carries each axis to the next.

    Args:
        inversion: whether to add i, the inversion through the centre, for all 120 symmetries.

    >>> import equilatent as eq
    >>> eq.groups.icosahedral().conjugacy_classes.sizes.tolist()
    [1, 12, 20, 12, 15]
    """
    golden = (1 + math.sqrt(5)) / 2
    x, y, z = np.array([0, 1, golden]) / math.hypot(1, golden)
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    angle = 2 * math.pi / 5
    fifth = np.eye(3) + math.sin(angle) * cross + (1 - math.cos(angle)) * cross @ cross
    return _polyhedral("I", {"r": fifth, "c": _AXES}, inversion)


def dicyclic(n: int) -> Group:
    """The dicyclic group Dic_n = ⟨r, s | r²ⁿ, s² = rⁿ, s r s⁻¹ = r⁻¹⟩ of order 4n; Dic_2 is the quaternion group.

    >>> import equilatent as eq
    >>> eq.groups.dicyclic(3).order, eq.groups.dicyclic(3)["s2"] == eq.groups.dicyclic(3)["r3"]
    (12, True)
    """
    n = _size(n, "dicyclic(n)")
    return Group(
        MetacyclicLaw(2 * n, 2, -1, n),
        {"r": 1, "s": 2 * n},
        label=f"Dic{n}",
        relators=parse_relators(f"r^{2 * n}, s2 r^-{n}, s r s^-1 r"),
    )


def direct_product(*factors: Group) -> Group:
    """The direct product of groups, in which they commute with each other.

    The generator x of the first factor becomes x_1, that of the second x_2, and so on. No table is made: the product of
    a dozen dihedral groups costs no more memory than one of them. `Group.split` and `Group.join` go between an element
    and its components; the last component runs fastest.

    >>> import equilatent as eq
    >>> D4 = eq.groups.dihedral(4)
    >>> G = eq.groups.direct_product(D4, D4)
    >>> G.order, G.name(G.join(D4["r2"], D4["r s"]))
    (64, 'r_1^2 r_2 s_2')
    """
    if not factors:
        raise GroupError("direct_product needs at least one group.")
    for factor in factors:
        if not isinstance(factor, Group):
            raise GroupError(f"direct_product multiplies groups; got {type(factor).__name__}.")
    law = ProductLaw([factor._law for factor in factors])
    if law.order >= 1 << 62:
        raise GroupTooLargeError(f"this product has {law.order} elements, which do not fit a 64-bit index.")
    generators: dict[str, int] = {}
    for number, (factor, stride) in enumerate(zip(factors, law.strides, strict=True), start=1):
        generators.update({f"{x}_{number}": g * stride for x, g in factor.generators.items()})
    label = "×".join(f"({factor.label})" if factor.factors else factor.label for factor in factors)
    return Group(law, generators, label=label, factors=factors)


def semidirect_product(normal: Group, acting: Group, action: Mapping[str, Mapping[str, int | str]]) -> Group:
    """N ⋊ H: pairs (n, h) with (n, h)(m, k) = (n·φ_h(m), hk), for an action φ of H on N by automorphisms.

    The generators of N are called x_1, those of H x_2; then h_2 n_1 h_2⁻¹ = φ_h(n)_1. The element (n, h) is the
    integer n·order(H) + h.

    Args:
        normal: N.
        acting: H.
        action: for each generator of H, the images of N's generators under its automorphism, as elements or words.

    Raises:
        GroupError: if the image of a generator is no automorphism of N, or the automorphisms break a relator of H.

    >>> import equilatent as eq
    >>> C7, C3 = eq.groups.cyclic(7), eq.groups.cyclic(3)
    >>> G = eq.groups.semidirect_product(C7, C3, {"r": {"r": "r2"}})
    >>> G.order, G.is_abelian, G["r_2 r_1 r_2^-1"] == G["r_1^2"]
    (21, False, True)
    """
    if set(action) != set(acting.generators):
        raise GroupError(
            f"the action of {acting.label} is given by its generators {', '.join(acting.generators) or '(none)'}; got "
            f"{', '.join(map(str, action)) or 'none'}."
        )
    images: dict[str, np.ndarray] = {}
    for h, moved in action.items():
        images[h] = homomorphism(normal, normal, moved).numpy()
        if len(np.unique(images[h])) < normal.order:
            raise GroupError(f"the image of {h!r} is no automorphism of {normal.label}: it is not one-to-one.")
    broken = broken_relator(acting, images)
    if broken is not None:
        raise GroupError(
            f"these automorphisms of {normal.label} are no action of {acting.label}: the relator "
            f"{format_word(broken)} does not act as the identity."
        )
    automorphisms = extend_permutations(acting, images, normal.order)
    law = SemidirectLaw(normal._law, acting._law, torch.from_numpy(automorphisms))
    generators = {f"{x}_1": n * acting.order for x, n in normal.generators.items()}
    generators |= {f"{x}_2": h for x, h in acting.generators.items()}
    relators = [tuple((f"{x}_1", k) for x, k in word) for word in normal.relators]
    relators += [tuple((f"{x}_2", k) for x, k in word) for word in acting.relators]
    for h in acting.generators:
        for x, n in normal.generators.items():
            moved_word = tuple((f"{y}_1", k) for y, k in normal.word(int(images[h][n])))
            relators.append(((f"{h}_2", 1), (f"{x}_1", 1), (f"{h}_2", -1), *invert_word(moved_word)))
    return Group(law, generators, label=f"{normal.label}⋊{acting.label}", relators=relators)


def named_generators(generators: Mapping[str, object] | Sequence[object], what: str) -> dict[str, object]:
    if isinstance(generators, Mapping):
        named = dict(generators)
    else:
        letters = "abcdfghijklmnopqrstuvwxyz"  # no e, which is the identity
        if len(generators) > len(letters):
            raise GroupError(f"{len(generators)} unnamed {what}: name them, with a mapping from names to {what}.")
        named = dict(zip(letters, generators, strict=False))
    check_names(named)
    return named


def from_permutations(
    generators: Mapping[str, Sequence[int]] | Sequence[Sequence[int]], *, label: str | None = None
) -> Group:
    """The group that permutations generate.

    Args:
        generators: each a sequence of images (the point i goes to ``images[i]``), by name; without names they are
            called a, b, c, d, f, ….
        label: how the group is called in messages.

    Raises:
        GroupError: if one of them is not a permutation, or they are of different lengths.
        GroupTooLargeError: if they generate more elements than are ever listed (told before listing them).

    >>> import equilatent as eq
    >>> eq.groups.from_permutations({"r": [1, 2, 3, 0], "s": [1, 0, 3, 2]}).order
    8
    """
    named = named_generators(generators, "permutations")
    images: dict[str, list[int]] = {}
    for name, value in named.items():
        try:
            image = [operator.index(point) for point in value]  # type: ignore[attr-defined]
        except TypeError as error:
            raise GroupError(f"generator {name!r} should be a sequence of integers; got {value!r}.") from error
        if sorted(image) != list(range(len(image))):
            raise GroupError(f"generator {name!r} is not a permutation of 0 … {len(image) - 1}: {image}.")
        images[name] = image
    degrees = {len(image) for image in images.values()}
    if len(degrees) > 1:
        raise GroupError(
            f"the generators permute different numbers of points: {sorted(degrees)}. Pad them with fixed points."
        )
    degree = degrees.pop() if degrees else 0
    law = PermutationLaw(_generated_permutations(list(images.values()), degree))
    found = {name: _index_of(law, image) for name, image in images.items()}
    return Group(law, found, label=label or f"⟨{', '.join(images)}⟩")


def _generated_permutations(generators: list[list[int]], degree: int) -> np.ndarray:
    """All elements, from the transversals of a stabiliser chain (Schreier–Sims, by sympy), [order, degree]."""
    elements = np.arange(degree)[None]
    moving = [image for image in generators if image != list(range(degree))]
    if not moving:
        return elements
    from sympy.combinatorics import Permutation, PermutationGroup

    chain = PermutationGroup([Permutation(image) for image in moving])
    order = int(chain.order())
    if order > Group.ENUMERATION_LIMIT:
        raise GroupTooLargeError(
            f"these permutations generate a group of {order} elements; groups of permutations are listed up to "
            f"{Group.ENUMERATION_LIMIT}. If it is a product, build it from its factors with direct_product."
        )
    # g = u∘h for a coset representative u of the image of the base point and an h that fixes that point.
    for transversal in reversed(chain.basic_transversals):
        representatives = np.array([u.array_form for u in transversal.values()])
        elements = representatives[:, elements].reshape(-1, degree)
    return elements


def _bounded(max_order: int) -> int:
    if not isinstance(max_order, (int, np.integer)) or max_order < 1:
        raise GroupError(f"max_order is a positive integer; got {max_order!r}.")
    if max_order > Group.TABLE_LIMIT:
        raise GroupTooLargeError(
            f"max_order={max_order} is beyond {Group.TABLE_LIMIT}: groups from matrices or relators are multiplied through "
            "a table, up to that order. Lower max_order, and give a larger group as permutations or as a product."
        )
    return int(max_order)


def _as_matrix(name: str, value: npt.ArrayLike | Tensor) -> np.ndarray:
    try:
        return as_array(value)
    except (TypeError, ValueError) as error:
        raise GroupError(f"generator {name!r} is not a matrix of numbers: {error}. It is {value!r}.") from error


def from_matrices(
    generators: Mapping[str, npt.ArrayLike | Tensor] | Sequence[npt.ArrayLike | Tensor],
    *,
    tolerance: float = 1e-6,
    max_order: int = 5040,
    label: str | None = None,
) -> Group:
    """The group that real or complex matrices generate, closed numerically.

    Args:
        generators: square matrices of one size, by name; without names they are called a, b, c, d, f, ….
        tolerance: two matrices no entry of which differs by more than this, in its real or imaginary part, are the same
            element.
        max_order: give up beyond so many elements; at most 8192, because the group multiplies through a table.
        label: how the group is called in messages.

    Raises:
        GroupError: for a matrix that is not square, holds NaN or is singular, for sizes that differ, and when products
            come closer than can be told apart.
        GroupTooLargeError: if there are more than `max_order` elements (a rotation by an irrational angle, say).

    >>> import equilatent as eq
    >>> eq.groups.from_matrices({"r": [[0, -1], [1, 0]], "s": [[1, 0], [0, -1]]}).order
    8
    >>> Q = eq.groups.from_matrices({"i": [[1j, 0], [0, -1j]], "j": [[0, 1], [-1, 0]]})
    >>> eq.groups.is_isomorphic(Q, eq.groups.quaternion())
    True
    """
    max_order = _bounded(max_order)
    named = {name: _as_matrix(name, value) for name, value in named_generators(generators, "matrices").items()}  # type: ignore[arg-type]
    if not named:
        raise GroupError("from_matrices needs at least one matrix.")
    steps = close_matrices(named, tolerance=tolerance, max_order=max_order)
    law, found = _law_of_steps(steps)
    return Group(law, found, label=label or f"⟨{', '.join(named)}⟩", defining=named)


def from_presentation(
    text: str, *, generators: Iterable[str] | None = None, max_order: int = 5040, label: str | None = None
) -> Group:
    """The group with the given relators, by coset enumeration.

    Args:
        text: relators separated by commas, such as ``"r^4, s^2, (s r)^2"``; equations and commutators ``[r, s]`` too.
            ``1`` is the identity, and ``e`` unless it is listed.
        generators: the names of the generators. Without them they are the names in the text, in the order in which they
            appear; then a number right behind a name is its power (``r4`` is r⁴), and what may be a name itself is
            refused: ``x1``, ``x2`` beside ``x3`` where x never occurs without a number, and an ``e`` that is more than a
            side of an equation.
        max_order: the largest order that the group may have, at most 8192, because it multiplies through a table. The
            enumeration gives up when it has defined ten times so many cosets.
        label: how the group is called in messages.

    Raises:
        GroupError: if the text does not parse, names no generator, or does not tell what its generators are.
        GroupTooLargeError: if the enumeration does not end within the bound (the group may be infinite).

    >>> import equilatent as eq
    >>> eq.groups.from_presentation("a^3, b^5, (a b)^2").order
    60
    >>> eq.groups.from_presentation("x1^2, e^3, (x1 e)^2", generators=["x1", "e"]).order
    6
    """
    limit = _COSETS_PER_ELEMENT * _bounded(max_order)
    if isinstance(generators, str) or not isinstance(generators, Iterable | None):
        raise GroupError(f"generators are listed by name, such as ['r', 's']; got {generators!r}.")
    names = generator_names(text) if generators is None else check_names(generators)
    if not names:
        raise GroupError(f"the presentation {text!r} names no generator. Write relators such as 'r^4, s^2, (s r)^2'.")
    relators = tuple(word for word in parse_relators(text, names) if word)
    for name in names:
        if all(name != x for word in relators for x, _ in word):
            raise GroupError(f"nothing in {text!r} binds the generator {name!r}, which therefore has infinite order.")
    for word in relators:
        letters = sum(abs(exponent) for _, exponent in word)
        if letters > limit:
            raise GroupTooLargeError(
                f"the relator {format_word(word)} has {letters} letters; with max_order={max_order} they are followed up to "
                f"{limit}. Raise max_order, or write a shorter one."
            )
    steps = enumerate_cosets(names, relators, limit)
    presentation = f"⟨{', '.join(names)} | {text}⟩"
    if steps is None:
        raise GroupTooLargeError(
            f"coset enumeration of {presentation} did not end within {limit} cosets: the group is infinite, larger than "
            "max_order, or hard for this method. Raise max_order, or give permutations or matrices."
        )
    order = len(steps[names[0]])
    if order > max_order:
        remedy = "Raise it" if order <= Group.TABLE_LIMIT else "Give permutations, or a product"
        raise GroupTooLargeError(
            f"{presentation} has {order} elements, more than max_order={max_order}, which may be up to "
            f"{Group.TABLE_LIMIT}. {remedy}."
        )
    law, found = _law_of_steps(steps)
    return Group(law, found, label=label or presentation, relators=relators)


def _law_of_steps(steps: Mapping[str, np.ndarray]) -> tuple[Law, dict[str, int]]:
    """The law of a group from its Cayley graph: ``steps[x][v]`` is v·x. The elements are renumbered breadth first."""
    order = len(next(iter(steps.values())))
    number = np.full(order, -1)
    number[0] = 0
    queue = [0]
    path: list[tuple[int, str]] = []
    for vertex in queue:
        for name, step in steps.items():
            if number[step[vertex]] < 0:
                number[step[vertex]] = len(queue)
                queue.append(int(step[vertex]))
                path.append((int(number[vertex]), name))
    sorted_steps = {name: number[step[np.array(queue)]] for name, step in steps.items()}
    table = np.empty((order, order), dtype=np.int32)
    table[0] = np.arange(order)  # transposed while it grows: table[b] is right multiplication by b
    for element, (parent, name) in enumerate(path, start=1):
        table[element] = sorted_steps[name][table[parent]]
    law = TableLaw(torch.from_numpy(np.ascontiguousarray(table.T)))
    return law, {name: int(step[0]) for name, step in sorted_steps.items()}


def from_table(
    table: npt.ArrayLike | Tensor, *, generators: Mapping[str, int] | None = None, label: str | None = None
) -> Group:
    """The group with a given product table, checked to be one.

    Args:
        table: integers [order, order] with ``table[a][b]`` = ab; element 0 must be the identity.
        generators: elements that generate the group, by name; found and called a, b, c, d, f, … if not given.
        label: how the group is called in messages.

    Raises:
        GroupError: if a row or column is not a permutation, 0 is not the identity, the product is not associative, or
            the generators do not generate.

    >>> import equilatent as eq
    >>> eq.groups.from_table([[0, 1, 2], [1, 2, 0], [2, 0, 1]]).presentation
    'a3'
    """
    array = np.asarray(table)
    if array.ndim != 2 or array.shape[0] != array.shape[1] or not array.size:
        raise GroupError(f"a product table is a square of integers; got shape {array.shape}.")
    if not np.issubdtype(array.dtype, np.integer):
        raise GroupError(f"a product table holds integers; got {array.dtype}.")
    order = len(array)
    if order > Group.TABLE_LIMIT:
        raise GroupTooLargeError(f"product tables are taken up to order {Group.TABLE_LIMIT}; got {order}.")
    everything = np.arange(order)
    if (array[0] != everything).any() or (array[:, 0] != everything).any():
        raise GroupError(
            "element 0 of a product table must be the identity. Renumber the elements so that it comes first."
        )
    for axis, name in ((1, "row"), (0, "column")):
        wrong = (np.sort(array, axis=axis) != (everything if axis == 1 else everything[:, None])).any(axis)
        if wrong.any():
            raise GroupError(f"{name} {int(wrong.argmax())} of the product table does not hold each element once.")
    if generators is None:
        generators = {str(k): int(v) for k, v in named_generators(_greedy_generators(array), "elements").items()}  # type: ignore[call-overload]
    else:
        named_generators(generators, "elements")
        for name, g in generators.items():
            if not 0 <= g < order:
                raise GroupError(f"generator {name!r} is {g}; the elements are 0 … {order - 1}.")
    # Light's test: it is enough that (ax)b = a(xb) for every x of a generating set.
    for name, x in generators.items():
        different = array[array[:, x]] != array[:, array[x]]
        if different.any():
            a, b = (int(part) for part in np.argwhere(different)[0])
            raise GroupError(
                f"the product table is not associative: ({a}·{x})·{b} ≠ {a}·({x}·{b}), with {x} = {name!r}."
            )
    group = Group(
        TableLaw(torch.from_numpy(array.astype(np.int64))), generators, label=label or f"table of order {order}"
    )
    _ = group.spanning_tree  # refuses generators that do not generate
    return group


def _greedy_generators(table: np.ndarray) -> list[int]:
    generators: list[int] = []
    known = np.zeros(len(table), dtype=bool)
    known[0] = True
    while not known.all():
        generators.append(int((~known).argmax()))
        frontier = known.nonzero()[0]
        while len(frontier):
            reached = np.unique(table[frontier][:, generators])
            frontier = reached[~known[reached]]
            known[frontier] = True
    return generators
