"""Multiplication laws: how a group of a given make multiplies the integers that stand for its elements.

Every law is vectorised over LongTensors on any device, and none but `TableLaw` needs a table. Element 0 is the identity.
"""

from __future__ import annotations

import functools
import hashlib
from abc import ABC, abstractmethod
from collections.abc import Hashable, Sequence

import numpy as np
import torch
from torch import Tensor

from equilatent.errors import GroupTooLargeError

__all__ = ["InducedLaw", "Law", "MetacyclicLaw", "PermutationLaw", "ProductLaw", "SemidirectLaw", "TableLaw"]

#: Up to this order a permutation group multiplies through its table (8 MB) instead of composing permutations.
_TABLE_ORDER = 1024
#: With at most so many possible images of the base, the element of an image is looked up instead of searched (8 MB).
_LOOKUP_KEYS = 1 << 20


class _DeviceTensor:
    """A constant tensor that is copied to each device once, on first use. Pickles as the CPU tensor alone."""

    def __init__(self, value: Tensor) -> None:
        self.value = value
        self._copies: dict[torch.device, Tensor] = {value.device: value}

    def on(self, device: torch.device) -> Tensor:
        copy = self._copies.get(device)
        if copy is None:
            copy = self._copies[device] = self.value.to(device)
        return copy

    def __getstate__(self) -> Tensor:
        return self.value

    def __setstate__(self, value: Tensor) -> None:
        self.__init__(value)  # type: ignore[misc]


class Law(ABC):
    """The multiplication of a finite group on the integers 0 … order−1."""

    order: int

    @property
    @abstractmethod
    def key(self) -> Hashable:
        """What two laws must share to be the same law."""

    @abstractmethod
    def product(self, a: Tensor, b: Tensor) -> Tensor:
        """The product ab for broadcastable LongTensors on one device."""

    @abstractmethod
    def inverse(self, a: Tensor) -> Tensor:
        """a⁻¹ for a LongTensor."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Law) and self.key == other.key

    def __hash__(self) -> int:
        return hash(self.key)


class MetacyclicLaw(Law):
    """⟨r, s | rⁿ, sᵐ = rᵗ, s r s⁻¹ = rᵘ⟩, where rⁱsʲ is the integer i + n·j.

    Cyclic groups are m = 1; dihedral ones m = 2, u = −1, t = 0; dicyclic ones m = 2, u = −1, t = n/2.
    Nothing is stored: products are arithmetic, so that orders in the millions cost no memory.
    """

    def __init__(self, n: int, m: int = 1, u: int = 1, t: int = 0) -> None:
        self.n, self.m, self.u, self.t = n, m, u % n, t % n
        self.order = n * m
        # Least residues in absolute value: products of indices with them stay within 64 bits for u = ±1 and any n.
        powers = [pow(self.u, j, n) for j in range(m)]
        self._powers = _DeviceTensor(torch.tensor([power - n if 2 * power > n else power for power in powers]))

    @property
    def key(self) -> Hashable:
        return ("metacyclic", self.n, self.m, self.u, self.t)

    def exponents(self, a: int) -> tuple[int, int]:
        """(i, j) with a = rⁱsʲ."""
        return a % self.n, a // self.n

    def product(self, a: Tensor, b: Tensor) -> Tensor:
        if self.m == 1:
            return (a + b) % self.n
        i, j = a % self.n, a // self.n
        k, h = b % self.n, b // self.n
        wrapped = (j + h) // self.m
        return (i + self._powers.on(a.device)[j] * k + self.t * wrapped) % self.n + self.n * ((j + h) % self.m)

    def inverse(self, a: Tensor) -> Tensor:
        if self.m == 1:
            return -a % self.n
        i, j = a % self.n, a // self.n
        back = (self.m - j) % self.m
        # (rⁱsʲ)⁻¹ = s⁻ʲ r⁻ⁱ, and s⁻ʲ = r⁻ᵗ sᵐ⁻ʲ when j > 0.
        return (-self.t * (j > 0) - self._powers.on(a.device)[back] * i) % self.n + self.n * back


class TableLaw(Law):
    """A group given by its whole table: table[a, b] = ab."""

    def __init__(self, table: Tensor) -> None:
        self.order = len(table)
        self._table = _DeviceTensor(table.long().reshape(-1))
        inverse = (table == 0).to(torch.uint8).argmax(1)
        self._inverse = _DeviceTensor(inverse)

    @functools.cached_property
    def key(self) -> Hashable:
        return ("table", self.order, hashlib.sha256(self._table.value.numpy().tobytes()).hexdigest())

    def product(self, a: Tensor, b: Tensor) -> Tensor:
        return self._table.on(a.device)[a * self.order + b]

    def inverse(self, a: Tensor) -> Tensor:
        return self._inverse.on(a.device)[a]


class PermutationLaw(Law):
    """A group of permutations, its elements in lexicographic order of their images (the identity is first).

    An element is found again by its images of a *base*, a few points that only the identity fixes all of; so a
    product costs one gather for each base point, and no table of |G|² entries is needed.
    """

    def __init__(self, permutations: np.ndarray) -> None:
        self.order, self.degree = permutations.shape
        base: list[int] = []
        stabiliser = permutations
        while len(stabiliser) > 1:
            moved = (stabiliser != np.arange(self.degree)).any(0)
            base.append(int(moved.argmax()))
            stabiliser = stabiliser[stabiliser[:, base[-1]] == base[-1]]
        self.base = tuple(base)
        if self.degree ** len(base) >= 1 << 62:
            raise GroupTooLargeError(
                f"a group of permutations of {self.degree} points with {len(base)} of them in its base is too large to "
                "index. If it is a product, build it from its factors with direct_product."
            )
        order = np.lexsort(permutations[:, base[::-1]].T) if base else np.arange(self.order)
        self.permutations = np.ascontiguousarray(permutations[order], dtype=np.int64)
        self._flat = _DeviceTensor(torch.from_numpy(self.permutations).reshape(-1))
        # Lexicographic order of the images of the base is lexicographic order of all images: between two
        # base points lie only points that the stabiliser of the earlier ones fixes.
        keys = self._keys(self.permutations[:, base])
        self._sorted_keys = _DeviceTensor(torch.from_numpy(keys))
        self._number: _DeviceTensor | None = None
        if self.degree ** len(base) <= _LOOKUP_KEYS:
            number = np.zeros(self.degree ** len(base), dtype=np.int64)
            number[keys] = np.arange(self.order)
            self._number = _DeviceTensor(torch.from_numpy(number))

    def _keys(self, images: np.ndarray) -> np.ndarray:
        keys = np.zeros(len(images), dtype=np.int64)
        for column in images.T:
            keys = keys * self.degree + column
        return keys

    @functools.cached_property
    def key(self) -> Hashable:
        return ("permutations", self.degree, hashlib.sha256(self.permutations.tobytes()).hexdigest())

    @functools.cached_property
    def _inverse(self) -> _DeviceTensor:
        keys = self._keys(np.argsort(self.permutations, axis=1)[:, list(self.base)])
        return _DeviceTensor(self._find(torch.from_numpy(keys)))

    @functools.cached_property
    def _table(self) -> TableLaw:
        elements = torch.arange(self.order)
        return TableLaw(self._compose(elements[:, None], elements[None, :]))

    def _compose(self, a: Tensor, b: Tensor) -> Tensor:
        flat = self._flat.on(a.device)
        a, b = torch.broadcast_tensors(a, b)
        row, key = a * self.degree, torch.zeros_like(a)
        for point in self.base:
            key = key * self.degree + flat[row + flat[b * self.degree + point]]
        return self._find(key)

    def _find(self, key: Tensor) -> Tensor:
        if self._number is not None:
            return self._number.on(key.device)[key]
        return torch.searchsorted(self._sorted_keys.on(key.device), key)

    def product(self, a: Tensor, b: Tensor) -> Tensor:
        return self._table.product(a, b) if self.order <= _TABLE_ORDER else self._compose(a, b)

    def inverse(self, a: Tensor) -> Tensor:
        return self._inverse.on(a.device)[a]


class ProductLaw(Law):
    """The direct product of laws: (a₁, a₂, …) is the integer whose digits they are, the last one fastest."""

    def __init__(self, factors: Sequence[Law]) -> None:
        self.factors = tuple(factors)
        self.order = 1
        strides = []
        for factor in reversed(self.factors):
            strides.append(self.order)
            self.order *= factor.order
        self.strides = tuple(reversed(strides))

    @property
    def key(self) -> Hashable:
        return ("product", *(factor.key for factor in self.factors))

    def split(self, a: Tensor) -> tuple[Tensor, ...]:
        """The component of each element in each factor."""
        return tuple(a // stride % factor.order for stride, factor in zip(self.strides, self.factors, strict=True))

    def join(self, components: Sequence[Tensor]) -> Tensor:
        """The element with the given components."""
        total = torch.zeros((), dtype=torch.long, device=components[0].device if components else None)
        for stride, component in zip(self.strides, components, strict=True):
            total = total + stride * component
        return total

    def product(self, a: Tensor, b: Tensor) -> Tensor:
        pairs = zip(self.factors, self.split(a), self.split(b), strict=True)
        return self.join([factor.product(x, y) for factor, x, y in pairs])

    def inverse(self, a: Tensor) -> Tensor:
        return self.join([factor.inverse(x) for factor, x in zip(self.factors, self.split(a), strict=True)])


class SemidirectLaw(Law):
    """N ⋊ H for an action of H on N by automorphisms: (n, h)(m, k) = (n·φ_h(m), hk); h is the faster digit.

    Args:
        normal: the law of N.
        acting: the law of H.
        automorphisms: φ_h(m) for each h and m, LongTensor [|H|, |N|].
    """

    def __init__(self, normal: Law, acting: Law, automorphisms: Tensor) -> None:
        self.normal, self.acting = normal, acting
        self.order = normal.order * acting.order
        self._automorphisms = _DeviceTensor(automorphisms.reshape(-1))

    @functools.cached_property
    def key(self) -> Hashable:
        digest = hashlib.sha256(self._automorphisms.value.numpy().tobytes()).hexdigest()
        return ("semidirect", self.normal.key, self.acting.key, digest)

    def _act(self, h: Tensor, m: Tensor) -> Tensor:
        return self._automorphisms.on(h.device)[h * self.normal.order + m]

    def product(self, a: Tensor, b: Tensor) -> Tensor:
        n, h = a // self.acting.order, a % self.acting.order
        m, k = b // self.acting.order, b % self.acting.order
        return self.normal.product(n, self._act(h, m)) * self.acting.order + self.acting.product(h, k)

    def inverse(self, a: Tensor) -> Tensor:
        n, h = a // self.acting.order, a % self.acting.order
        back = self.acting.inverse(h)
        return self._act(back, self.normal.inverse(n)) * self.acting.order + back


class InducedLaw(Law):
    """The multiplication that a group induces on some of its elements, read through a numbering of them.

    Args:
        parent: the law of the group.
        lift: the element that stands for each number, LongTensor [order], ascending.
        number: the number of every element of the group, for a quotient; None for a subgroup, whose elements are
            searched in `lift`.
    """

    def __init__(self, parent: Law, lift: Tensor, number: Tensor | None) -> None:
        self.parent, self.order = parent, len(lift)
        self._lift = _DeviceTensor(lift)
        self._number = None if number is None else _DeviceTensor(number)

    @functools.cached_property
    def key(self) -> Hashable:
        parts = [self._lift.value] if self._number is None else [self._lift.value, self._number.value]
        return ("induced", self.parent.key, *(hashlib.sha256(part.numpy().tobytes()).hexdigest() for part in parts))

    def _find(self, elements: Tensor) -> Tensor:
        if self._number is None:
            return torch.searchsorted(self._lift.on(elements.device), elements)
        return self._number.on(elements.device)[elements]

    def product(self, a: Tensor, b: Tensor) -> Tensor:
        lift = self._lift.on(a.device)
        return self._find(self.parent.product(lift[a], lift[b]))

    def inverse(self, a: Tensor) -> Tensor:
        return self._find(self.parent.inverse(self._lift.on(a.device)[a]))
