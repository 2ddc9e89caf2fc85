"""The group object that drives everything else."""

from __future__ import annotations

import functools
import itertools
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import overload

import numpy as np
import torch
from torch import Tensor

from equilatent.errors import GroupError, GroupTooLargeError
from equilatent.groups._laws import Law, MetacyclicLaw, PermutationLaw, ProductLaw
from equilatent.groups._orbits import smallest_of_orbits
from equilatent.groups._words import Word, format_relators, format_word, identity_name, parse_word, reduce_word

__all__ = ["ConjugacyClasses", "Group", "factorise"]

_CYCLES = re.compile(r"\s*(\(\s*\d+(?:[\s,]+\d+)*\s*\)\s*)+")


@dataclass(frozen=True)
class ConjugacyClasses:
    """The conjugacy classes of a group, the class of the identity first.

    Attributes:
        representatives: the smallest element of each class, ascending; LongTensor [classes].
        sizes: the number of elements in each class; LongTensor [classes].
        index: the class of each element; LongTensor [order].
    """

    representatives: Tensor
    sizes: Tensor
    index: Tensor

    def __len__(self) -> int:
        return len(self.representatives)

    def members(self, number: int) -> Tensor:
        """The elements of one class, ascending; LongTensor [size]."""
        return (self.index == number).nonzero()[:, 0]


@dataclass(frozen=True)
class SpanningTree:
    """A breadth-first tree of the Cayley graph v → v·x from the identity, in which a path spells a shortest word.

    The letters x are generators, with exponent 1, or their inverses, with exponent −1.
    """

    generators: tuple[str, ...]
    exponents: tuple[int, ...]
    parent: np.ndarray
    generator: np.ndarray
    depth: np.ndarray
    order: np.ndarray

    def levels(self) -> Iterator[np.ndarray]:
        """The elements one step further from the identity each time, the identity itself left out."""
        bounds = np.searchsorted(self.depth[self.order], np.arange(1, self.depth.max(initial=0) + 2))
        for start, end in itertools.pairwise(bounds):
            yield self.order[start:end]

    def word(self, element: int) -> Word:
        letters = []
        while element:
            number = self.generator[element]
            letters.append((self.generators[number], self.exponents[number]))
            element = int(self.parent[element])
        return reduce_word(reversed(letters))


class Group:
    """A finite group whose elements are the integers 0 … order−1, with 0 the identity.

    Make one with `cyclic`, `dihedral`, `symmetric`, …, `direct_product`, `from_permutations`, `from_matrices`,
    `from_presentation` or `from_table`. Groups are immutable; two groups are equal when they are made in the same way:
    the same kind of multiplication on the same numbers, with the same generators.

    The product gh means first h, then g. Wherever an element is expected, an int or a LongTensor of any shape and on
    any device is accepted, and the answer has the same form. Ints are checked; tensors are checked on a CPU (on an
    accelerator a check would wait for the device).

    >>> import equilatent as eq
    >>> G = eq.groups.dihedral(4)
    >>> G.order, G.product(G["r"], G["s"]) == G["r s"]
    (8, True)
    >>> G.name(G.product(G["s"], G["r"]))
    'r3 s'
    >>> G.presentation
    'r4, s2, (s r)^2'

    Attributes:
        label: how the group is called in messages and reports, such as ``"D4"``.
        order: the number of elements.
        generators: element of each named generator, in the order of the defining words.
        factors: the factors of a direct product; empty for any other group.
    """

    #: Largest order for which all elements are ever listed (classes, orders, spanning trees, names).
    ENUMERATION_LIMIT = 1 << 20
    #: Largest order for which a full product table is ever made.
    TABLE_LIMIT = 1 << 13

    def __init__(
        self,
        law: Law,
        generators: Mapping[str, int],
        *,
        label: str,
        relators: Sequence[Word] | None = None,
        defining: Mapping[str, np.ndarray] | None = None,
        natural: Callable[[], Mapping[str, Sequence[int]]] | None = None,
        factors: Sequence[Group] = (),
        normal_form: tuple[str, str] = ("r", "s"),
    ) -> None:
        if law.order >= 1 << 62:
            raise GroupTooLargeError(
                f"{label} has {law.order} elements, which do not fit a 64-bit index. Use fewer factors."
            )
        self._law = law
        self.label = label
        self.order: int = law.order
        self.generators: Mapping[str, int] = MappingProxyType(dict(generators))
        self.factors: tuple[Group, ...] = tuple(factors)
        self._normal_form = normal_form
        self._relators = None if relators is None else tuple(relators)
        self._natural = natural
        self._defining = None if defining is None else _real_matrices(defining)

    def __getstate__(self) -> dict[str, object]:
        return {**self.__dict__, "generators": dict(self.generators)}

    def __setstate__(self, state: dict[str, object]) -> None:
        self.__dict__.update(state)
        self.generators = MappingProxyType(dict(self.generators))

    def __repr__(self) -> str:
        return f"Group({self.label}, order={self.order}, generators={', '.join(self.generators) or 'none'})"

    def __len__(self) -> int:
        return self.order

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Group):
            return NotImplemented
        return self is other or (dict(self.generators) == dict(other.generators) and self._law == other._law)

    def __hash__(self) -> int:
        return hash((self.order, frozenset(self.generators.items())))

    # Elements

    def __getitem__(self, word: str) -> int:
        """The element that a word in the generators spells.

        Args:
            word: such as ``"r2 s"``, ``"r^-1"``, ``"(r s)^2"`` or ``"[r, s]"``; ``"1"`` is the identity, and so is ``"e"``
                where it is no generator. For a group of permutations also cycles, such as ``"(0 1)(2 3)"``.

        Raises:
            GroupError: if the word does not parse, or names something that is no generator.

        >>> import equilatent as eq
        >>> eq.groups.symmetric(3)["(0 1)"] == eq.groups.symmetric(3)["t"]
        True
        """
        if not isinstance(word, str):
            raise GroupError(f"elements of {self.label} are looked up by words such as 'r2 s', not by {word!r}.")
        if isinstance(self._law, PermutationLaw) and _CYCLES.fullmatch(word):
            return self._element_of_cycles(word, self._law)
        return self.evaluate(parse_word(word, self.generators))

    def evaluate(self, word: Word) -> int:
        """The element that a parsed word spells."""
        element = 0
        for name, exponent in word:
            element = self.product(element, self.power(self.generators[name], exponent))
        return element

    @property
    def elements(self) -> Tensor:
        """All elements: LongTensor [order].

        Raises:
            GroupTooLargeError: beyond `ENUMERATION_LIMIT` elements.
        """
        return torch.arange(self._enumerable("listing the elements"))

    def name(self, element: int) -> str:
        """A readable name, which ``G[name]`` reads back: cycles for permutations, else a word in the generators."""
        element = self._check_int(element)
        if not element:
            return identity_name(self.generators)
        if isinstance(self._law, PermutationLaw):
            return _format_cycles(self._law.permutations[element])
        return format_word(self.word(element))

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all elements, in order."""
        return tuple(self.name(g) for g in range(self._enumerable("naming every element")))

    def word(self, element: int) -> Word:
        """A word in the generators that spells the element (a shortest one, unless the group has a normal form)."""
        element = self._check_int(element)
        if isinstance(self._law, MetacyclicLaw):
            return reduce_word(zip(self._normal_form, self._law.exponents(element), strict=True))
        if self.factors:
            components = zip(self.factors, self._factor_names, self.split(element), strict=True)
            return tuple((names[x], k) for factor, names, part in components for x, k in factor.word(part))
        return self.spanning_tree.word(element)

    def check(self, elements: Tensor, device: torch.device | None = None) -> Tensor:
        """The elements as a LongTensor (on `device`, if given), refused if they are not elements of this group.

        The range is checked on a CPU only: on an accelerator it would stall the device, and in a compiled graph it
        would break it.

        Raises:
            GroupError: for another dtype than an integer one, or for an index out of range.
        """
        if not isinstance(elements, Tensor):
            raise GroupError(
                f"elements of {self.label} come as a LongTensor of indices; got {type(elements).__name__}."
            )
        if elements.dtype != torch.long:
            if elements.is_floating_point() or elements.is_complex() or elements.dtype == torch.bool:
                raise GroupError(
                    f"elements of {self.label} are integers 0 … {self.order - 1} in a LongTensor; got {elements.dtype}."
                )
            elements = elements.long()
        if not torch.compiler.is_compiling() and elements.device.type == "cpu" and elements.numel():
            low, high = elements.aminmax()
            if low < 0 or high >= self.order:
                raise GroupError(
                    f"elements of {self.label} are the integers 0 … {self.order - 1}; got values from {int(low)} to "
                    f"{int(high)}. Draw them with G.sample, or look them up by name with G['r2 s']."
                )
        return elements if device is None or elements.device == device else elements.to(device)

    def sample(
        self,
        size: int | Sequence[int],
        *,
        generator: torch.Generator | None = None,
        identity: bool = True,
        device: torch.device | str | None = None,
    ) -> Tensor:
        """Elements drawn uniformly and independently.

        Args:
            size: how many, or a shape.
            generator: the source of randomness; its device is used unless `device` is given.
            identity: whether the identity may be drawn.
            device: where the answer lives.

        Returns:
            LongTensor of the given shape.

        >>> import torch, equilatent as eq
        >>> G = eq.groups.cyclic(4)
        >>> bool((G.sample(100, generator=torch.Generator().manual_seed(0), identity=False) > 0).all())
        True
        """
        first = 0 if identity else 1
        if first >= self.order:
            raise GroupError(f"{self.label} has no element but the identity. Draw with identity=True.")
        shape = (size,) if isinstance(size, int) else tuple(size)
        if generator is None:
            # Without the argument, be it None, so that a compiled graph can draw for batches of several sizes.
            return torch.randint(first, self.order, shape, device=device)
        drawn = torch.randint(first, self.order, shape, generator=generator, device=generator.device)
        return drawn if device is None else drawn.to(device)

    # Multiplication

    @overload
    def product(self, a: int, b: int) -> int: ...
    @overload
    def product(self, a: Tensor, b: Tensor | int) -> Tensor: ...
    @overload
    def product(self, a: int, b: Tensor) -> Tensor: ...
    def product(self, a: int | Tensor, b: int | Tensor) -> int | Tensor:
        """ab: first b, then a. Tensors broadcast."""
        if not isinstance(a, Tensor) and not isinstance(b, Tensor):
            a, b = torch.tensor(self._check_int(a)), torch.tensor(self._check_int(b))
            return int(self._law.product(a, b))
        device = a.device if isinstance(a, Tensor) else b.device  # type: ignore[union-attr]
        return self._law.product(self._as_tensor(a, device), self._as_tensor(b, device))

    @overload
    def inverse(self, a: int) -> int: ...
    @overload
    def inverse(self, a: Tensor) -> Tensor: ...
    def inverse(self, a: int | Tensor) -> int | Tensor:
        """The inverse of each element."""
        if isinstance(a, Tensor):
            return self._law.inverse(self.check(a))
        return int(self._law.inverse(torch.tensor(self._check_int(a))))

    @overload
    def power(self, a: int, exponent: int) -> int: ...
    @overload
    def power(self, a: Tensor, exponent: int | Tensor) -> Tensor: ...
    def power(self, a: int | Tensor, exponent: int | Tensor) -> int | Tensor:
        """Integer powers of a (negative ones too), by repeated squaring; tensors broadcast."""
        if not isinstance(a, Tensor):
            return int(self.power(torch.tensor(self._check_int(a)), exponent))
        base = self.check(a)
        powers = torch.as_tensor(exponent, device=base.device)
        if powers.is_floating_point() or powers.is_complex():
            raise GroupError(f"elements of {self.label} have integer powers; got the exponent {exponent!r}.")
        powers = powers.long()
        base, powers = torch.broadcast_tensors(base, powers)
        base = torch.where(powers < 0, self._law.inverse(base), base)
        powers = powers.abs()
        result = torch.zeros_like(base)
        while bool((powers > 0).any()):
            result = torch.where(powers % 2 == 1, self._law.product(result, base), result)
            base = self._law.product(base, base)
            powers = powers // 2
        return result

    @overload
    def conjugate(self, a: int, by: int) -> int: ...
    @overload
    def conjugate(self, a: Tensor, by: Tensor | int) -> Tensor: ...
    def conjugate(self, a: int | Tensor, by: int | Tensor) -> int | Tensor:
        """Conjugates by · a · by⁻¹."""
        return self.product(self.product(by, a), self.inverse(by))

    @overload
    def element_order(self, a: int) -> int: ...
    @overload
    def element_order(self, a: Tensor) -> Tensor: ...
    def element_order(self, a: int | Tensor) -> int | Tensor:
        """The order of each element: the least k > 0 with aᵏ = e.

        >>> import equilatent as eq
        >>> G = eq.groups.cyclic(12)
        >>> G.element_order(G["r8"])
        3
        """
        if not isinstance(a, Tensor):
            return int(self.element_order(torch.tensor(self._check_int(a))))
        a = self.check(a)
        if self.factors:
            parts = zip(self.factors, self.split(a), strict=True)
            return functools.reduce(torch.lcm, [factor.element_order(part) for factor, part in parts])
        orders = torch.full_like(a, self.order)
        for prime, multiplicity in factorise(self.order):
            for _ in range(multiplicity):
                smaller = torch.where(orders % prime == 0, orders // prime, orders)
                orders = torch.where(self.power(a, smaller) == 0, smaller, orders)
        return orders

    def table(self) -> Tensor:
        """The product table, LongTensor [order, order] with table[a, b] = ab.

        Raises:
            GroupTooLargeError: beyond `TABLE_LIMIT` elements; `product` needs no table.
        """
        if self.order > self.TABLE_LIMIT:
            raise GroupTooLargeError(
                f"the product table of {self.label} would have {self.order}² entries; tables are made up to order "
                f"{self.TABLE_LIMIT}. Use G.product, which needs none."
            )
        elements = torch.arange(self.order)
        return self._law.product(elements[:, None], elements[None, :])

    # Structure

    @functools.cached_property
    def spanning_tree(self) -> SpanningTree:
        """A breadth-first spanning tree of the Cayley graph: shortest words for all elements at once."""
        return self._grow_tree([(x, 1) for x in self.generators])

    @functools.cached_property
    def spanning_tree_with_inverses(self) -> SpanningTree:
        """The same with inverses of the generators as letters too, which makes words shorter: r⁻¹ instead of r³."""
        letters = [(x, 1) for x in self.generators]
        return self._grow_tree([*letters, *((x, -1) for x, g in self.generators.items() if self.product(g, g))])

    def _grow_tree(self, letters: Sequence[tuple[str, int]]) -> SpanningTree:
        order = self._enumerable("searching the Cayley graph")
        elements = torch.arange(order)
        targets = [self.power(self.generators[x], exponent) for x, exponent in letters]
        steps = [self._law.product(elements, torch.tensor(g)).numpy() for g in targets]
        parent, generator = np.zeros(order, dtype=np.int64), np.zeros(order, dtype=np.int64)
        depth = np.full(order, -1, dtype=np.int64)
        depth[0] = 0
        level, found = np.zeros(1, dtype=np.int64), [np.zeros(1, dtype=np.int64)]
        while len(level):
            grown = []
            for number, step in enumerate(steps):
                target = step[level]
                new = depth[target] < 0
                depth[target[new]] = depth[level[0]] + 1
                parent[target[new]], generator[target[new]] = level[new], number
                grown.append(target[new])
            level = np.concatenate(grown) if grown else level[:0]
            found.append(level)
        if (depth < 0).any():
            raise GroupError(f"the generators {', '.join(self.generators)} do not generate all of {self.label}.")
        names, exponents = tuple(x for x, _ in letters), tuple(exponent for _, exponent in letters)
        return SpanningTree(names, exponents, parent, generator, depth, np.concatenate(found))

    @functools.cached_property
    def relators(self) -> tuple[Word, ...]:
        """Words that are the identity and define the group: its presentation is ⟨generators | relators⟩.

        Known ones where the group was made from a presentation or belongs to a family; otherwise found from the Cayley
        graph (Cannon, "Construction of defining relators for finite groups", 1973).
        """
        if self._relators is not None:
            return self._relators
        if self.factors:
            return self._product_relators()
        from equilatent.groups._presentation import defining_relators

        return defining_relators(self)

    @property
    def presentation(self) -> str:
        """The relators in words, as `from_presentation` reads them.

        Where a generator is called e, or ends in a number such as x1, it needs the names too:
        ``from_presentation(G.presentation, generators=G.generators)``.
        """
        return format_relators(self.relators)

    @functools.cached_property
    def conjugacy_classes(self) -> ConjugacyClasses:
        """The conjugacy classes.

        >>> import equilatent as eq
        >>> eq.groups.symmetric(4).conjugacy_classes.sizes.tolist()
        [1, 6, 8, 3, 6]
        """
        order = self._enumerable("finding conjugacy classes")
        elements = torch.arange(order)
        moves = [self.conjugate(elements, g).numpy() for g in self.generators.values()]
        representatives, index, sizes = np.unique(
            smallest_of_orbits(order, moves), return_inverse=True, return_counts=True
        )
        return ConjugacyClasses(torch.from_numpy(representatives), torch.from_numpy(sizes), torch.from_numpy(index))

    @functools.cached_property
    def is_abelian(self) -> bool:
        """Whether all elements commute."""
        chosen = list(self.generators.values())
        return all(self.product(a, b) == self.product(b, a) for a in chosen for b in chosen)

    @property
    def defining(self) -> Mapping[str, np.ndarray] | None:
        """Real matrices [d, d] of the generators by which the group is known as a group of motions, or None.

        For cyclic and dihedral groups r is the rotation by 2π/n in the plane of (row, column) and s the mirror of the
        second axis; groups made by `from_matrices` have the matrices they were made from, if these are real. For complex
        ones it is None, because they do not move points of space; `equilatent.reps.from_matrices` takes them.
        """
        return self._defining

    @property
    def natural(self) -> Mapping[str, Sequence[int]] | None:
        """The images of 0 … m−1 under each generator, where the group is known as a group of permutations, or None.

        C_n and D_n permute the corners of the n-gon: r takes i to i + 1, s takes i to −i (D_1 exchanges two points).
        """
        if isinstance(self._law, PermutationLaw):
            return {x: self._law.permutations[g].tolist() for x, g in self.generators.items()}
        return None if self._natural is None else self._natural()

    # Direct products

    @overload
    def split(self, a: int) -> tuple[int, ...]: ...
    @overload
    def split(self, a: Tensor) -> tuple[Tensor, ...]: ...
    def split(self, a: int | Tensor) -> tuple[int, ...] | tuple[Tensor, ...]:
        """The component of an element of a direct product in each factor.

        >>> import equilatent as eq
        >>> G = eq.groups.direct_product(eq.groups.cyclic(2), eq.groups.cyclic(3))
        >>> G.split(G["r_1 r_2^2"])
        (1, 2)
        """
        law = self._product_law()
        if isinstance(a, Tensor):
            return law.split(self.check(a))
        return tuple(int(part) for part in law.split(torch.tensor(self._check_int(a))))

    @overload
    def join(self, *components: int) -> int: ...
    @overload
    def join(self, *components: Tensor) -> Tensor: ...
    def join(self, *components: int | Tensor) -> int | Tensor:
        """The element of a direct product with the given components, one for each factor: the inverse of `split`."""
        law = self._product_law()
        if len(components) != len(self.factors):
            raise GroupError(f"{self.label} has {len(self.factors)} factors; got {len(components)} components.")
        if any(isinstance(part, Tensor) for part in components):
            parts = [factor.check(torch.as_tensor(part)) for factor, part in zip(self.factors, components, strict=True)]
            return law.join(parts)
        pairs = zip(self.factors, components, strict=True)
        return int(law.join([torch.tensor(factor._check_int(int(part))) for factor, part in pairs]))

    # Internals

    @functools.cached_property
    def _factor_names(self) -> tuple[dict[str, str], ...]:
        """For each factor, its generators' names in this product."""
        names = iter(self.generators)
        return tuple({own: next(names) for own in factor.generators} for factor in self.factors)

    def _product_relators(self) -> tuple[Word, ...]:
        relators: list[Word] = []
        for factor, names in zip(self.factors, self._factor_names, strict=True):
            relators += [tuple((names[x], k) for x, k in word) for word in factor.relators]
        for first, second in itertools.combinations(self._factor_names, 2):
            relators += [((x, -1), (y, -1), (x, 1), (y, 1)) for x in first.values() for y in second.values()]
        return tuple(relators)

    def _product_law(self) -> ProductLaw:
        if not isinstance(self._law, ProductLaw):
            raise GroupError(f"{self.label} is not a direct product. Make one with eq.groups.direct_product(G, H).")
        return self._law

    def _as_tensor(self, a: int | Tensor, device: torch.device) -> Tensor:
        if isinstance(a, Tensor):
            return self.check(a)
        return torch.tensor(self._check_int(a), device=device)

    def _check_int(self, element: int) -> int:
        try:
            number = int(element)
        except (TypeError, ValueError):
            number = -1
        if number != element or not 0 <= number < self.order:
            raise GroupError(
                f"elements of {self.label} are the integers 0 … {self.order - 1}; got {element!r}. "
                "Look elements up by name with G['r2 s']."
            )
        return number

    def _enumerable(self, purpose: str) -> int:
        if self.order > self.ENUMERATION_LIMIT:
            raise GroupTooLargeError(
                f"{purpose} of {self.label} means visiting {self.order} elements; the limit is "
                f"{self.ENUMERATION_LIMIT}. Work with drawn elements (G.sample), or with the factors of a product."
            )
        return self.order

    def _element_of_cycles(self, text: str, law: PermutationLaw) -> int:
        image = np.arange(law.degree)
        for cycle in reversed(re.findall(r"\(([^)]*)\)", text)):
            points = [int(point) for point in re.split(r"[\s,]+", cycle.strip())]
            if max(points) >= law.degree or len(set(points)) != len(points):
                raise GroupError(f"({cycle}) is not a cycle of the points 0 … {law.degree - 1} of {self.label}.")
            step = np.arange(law.degree)
            step[points] = points[1:] + points[:1]
            image = step[image]
        found = (law.permutations == image).all(1).nonzero()[0]
        if not len(found):
            raise GroupError(f"{text} is a permutation of {law.degree} points, but not an element of {self.label}.")
        return int(found[0])


def _real_matrices(matrices: Mapping[str, np.ndarray]) -> dict[str, np.ndarray] | None:
    """The matrices as float64 arrays, or None if one has an imaginary part."""
    arrays = {x: np.asarray(matrix) for x, matrix in matrices.items()}
    if any(np.imag(array).any() for array in arrays.values()):
        return None
    return {x: np.real(array).astype(np.float64) for x, array in arrays.items()}


def _format_cycles(images: np.ndarray) -> str:
    seen: set[int] = set()
    cycles = []
    for start in range(len(images)):
        cycle, point = [], start
        while point not in seen:
            seen.add(point)
            cycle.append(point)
            point = int(images[point])
        if len(cycle) > 1:
            cycles.append(f"({' '.join(map(str, cycle))})")
    return "".join(cycles)


def factorise(number: int) -> list[tuple[int, int]]:
    factors, divisor = [], 2
    while divisor <= math.isqrt(number):
        count = 0
        while number % divisor == 0:
            number //= divisor
            count += 1
        if count:
            factors.append((divisor, count))
        divisor += 1
    if number > 1:
        factors.append((number, 1))
    return factors
