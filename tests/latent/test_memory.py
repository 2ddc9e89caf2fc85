"""What is held at once does not grow with the group, the index or the queries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

import equilatent as eq
from equilatent.latent import _blocks, match, orbit_batches, search
from equilatent.reps import Representation

S4 = eq.groups.symmetric(4)
ENTRIES = 1500


class Largest(TorchFunctionMode):
    """The largest number of entries of a tensor that any function of PyTorch returns."""

    entries = 0

    def __torch_function__(
        self, func: Any, types: Sequence[Any], args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        for part in result if isinstance(result, tuple | list) else [result]:
            if isinstance(part, Tensor):
                self.entries = max(self.entries, part.numel())
        return result


class Counting(Representation):
    """Another representation, by orbits alone, that remembers how much it has acted on at once."""

    def __init__(self, rho: Representation) -> None:
        super().__init__(rho.group, rho.dim, rho.label)
        self.rho, self.largest, self.total = rho, 0, 0

    def apply_blocks(self, x: Tensor, g: Tensor) -> Tensor:
        self.largest = max(self.largest, x.numel())
        self.total += len(x)
        return self.rho.apply_blocks(x, g)

    def make_matrices(self, g: Tensor) -> Tensor:
        return self.rho.make_matrices(g)

    @property
    def is_complex(self) -> bool:
        return self.rho.is_complex

    @property
    def character(self) -> Tensor:
        return self.rho.character


@pytest.fixture(autouse=True)
def _small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_blocks, "_CPU_ENTRIES", ENTRIES)


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
@pytest.mark.parametrize(("items", "queries"), [(150, 10), (500, 2), (40, 30)])
def test_searching(items: int, queries: int, metric: eq.latent.Metric) -> None:
    rho = Counting(eq.reps.regular(S4))
    index, query = torch.randn(items, 24), torch.randn(queries, 24)
    with Largest() as largest:
        search(rho, index, query, 3, metric=metric)
    assert rho.largest <= ENTRIES
    assert largest.entries <= ENTRIES < items * queries * 24
    # Each block of items meets all poses of all queries; then k items of each query are given their element.
    rows = min(38, ENTRIES // 24)  # 38² ≤ 1500
    assert rho.total == -(-items // rows) * queries * 24 + 3 * queries * (24 + (metric == "euclidean"))


@pytest.mark.parametrize("rho", [eq.reps.multiple(eq.reps.regular(S4), 2), Counting(eq.reps.permutation(S4))])
def test_matching(rho: Representation) -> None:
    z1, z2 = torch.randn(100, rho.dim), torch.randn(100, rho.dim)
    with Largest() as largest:
        match(rho, z1, z2)
    # Beside latents and scores, [100, dim] and [100, 24], there is no more than a block.
    assert largest.entries <= max(ENTRIES, 100 * rho.dim, 100 * 24) < 100 * 24 * rho.dim


def test_a_group_whose_orbit_of_one_latent_is_more_than_a_block() -> None:
    group = eq.groups.symmetric(5)
    plain = eq.reps.multiple(eq.reps.regular(group), 2)
    z, g = torch.randn(2, 240), torch.tensor([77, 119])
    # Through a homomorphism, and as a class that the library does not know, it is no permutation to be correlated.
    through, counting = eq.reps.pullback(plain, group, group.elements), Counting(plain)
    for rho in (through, counting):
        with Largest() as largest:
            found = search(rho, z, plain(z, g))
        assert torch.equal(found.elements[:, 0], g) and found.indices[:, 0].tolist() == [0, 1]
        if rho is through:  # the other is asked for the matrices of its generators
            assert largest.entries <= 120**2 < 120 * 240  # its own table of indices
    assert counting.largest <= ENTRIES


def test_batches_of_an_orbit() -> None:
    rho = Counting(eq.reps.regular(S4))
    with Largest() as largest:
        for _ in orbit_batches(rho, torch.randn(100, 24), batch_size=10):
            pass
    assert rho.largest == 10 * 24 and rho.total == 100 * 24
    assert largest.entries == 100 * 24  # the latents themselves
