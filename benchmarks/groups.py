"""How long groups take to make and to multiply, next to sympy: ``python benchmarks/groups.py``.

Each line is the median of five runs after one that is thrown away. The work is the same on both sides: groups are made
from nothing each time, a table holds every product, classes are found for the whole group, and a batch of products is
multiplied once the group is made. Where sympy would take minutes, as for the table of S6, it multiplies a part of the
pairs, and its time is scaled to all of them; such lines are marked with a star.
"""

from __future__ import annotations

import itertools
import platform
import random
import statistics
import time
from collections.abc import Callable

import sympy
import sympy.combinatorics.named_groups as named
import torch
from sympy.combinatorics import Permutation, PermutationGroup
from sympy.combinatorics.group_constructs import DirectProduct

import equilatent as eq

RUNS = 5
BATCH = 100_000
SLICE = 5_000  # the pairs that sympy multiplies where all of them would take minutes
M11 = ([*range(1, 11), 0], [0, 1, 6, 9, 5, 3, 10, 2, 8, 4, 7])
FACTORS = range(3, 11)  # the dihedral groups D3 … D10


def median_seconds(work: Callable[[], object]) -> float:
    work()
    seconds = []
    for _ in range(RUNS):
        start = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds)


def in_words(seconds: float) -> str:
    return f"{seconds:.3g} s" if seconds >= 1 else f"{seconds * 1e3:.3g} ms"


def line(name: str, ours: Callable[[], object], theirs: Callable[[], object], scale: float = 1.0) -> None:
    mine, other = median_seconds(ours), median_seconds(theirs) * scale
    star = "*" if scale != 1 else " "
    print(f"{name:<46} {in_words(mine):>10} {in_words(other):>10}{star} {other / mine:>9.3g}", flush=True)


def multiply_slice(pool: list[Permutation]) -> Callable[[], object]:
    pairs = random.Random(0).choices(list(itertools.product(pool, repeat=2)), k=SLICE)
    return lambda: [a * b for a, b in pairs]


def symmetric_groups() -> None:
    elements = sorted(named.SymmetricGroup(6).elements, key=lambda p: p.array_form)
    products = multiply_slice(elements)
    line(
        "S6: every element and the full product table", lambda: eq.groups.symmetric(6).table(), products, 720**2 / SLICE
    )
    line("S7: every element", lambda: eq.groups.symmetric(7), lambda: list(named.SymmetricGroup(7).elements))
    S7, pool = eq.groups.symmetric(7), [named.SymmetricGroup(7).random() for _ in range(200)]
    a, b = S7.sample((2, BATCH))
    line(f"S7: {BATCH} products", lambda: S7.product(a, b), multiply_slice(pool), BATCH / SLICE)
    line(
        "S7: conjugacy classes",
        lambda: eq.groups.symmetric(7).conjugacy_classes,
        lambda: named.SymmetricGroup(7).conjugacy_classes(),
    )


def dihedral_products() -> None:
    def ours() -> eq.groups.Group:
        return eq.groups.direct_product(*(eq.groups.dihedral(n) for n in FACTORS))

    def theirs() -> PermutationGroup:
        return DirectProduct(*(named.DihedralGroup(n) for n in FACTORS))

    name = f"D{FACTORS[0]} × … × D{FACTORS[-1]}"
    G, H = ours(), theirs()
    assert G.order == H.order() > 10**6
    line(f"{name}: order {G.order:.2e}", lambda: ours().order, lambda: theirs().order())
    pool = [H.random() for _ in range(200)]
    a, b = G.sample((2, BATCH))
    line(f"{name}: {BATCH} products", lambda: G.product(a, b), multiply_slice(pool), BATCH / SLICE)


def mathieu_group() -> None:
    def theirs() -> PermutationGroup:
        return PermutationGroup([Permutation(images) for images in M11])

    assert eq.groups.from_permutations(M11).order == theirs().order() == 7920
    line("M11: every element", lambda: eq.groups.from_permutations(M11), lambda: list(theirs().elements))
    line(
        "M11: conjugacy classes", lambda: eq.groups.from_permutations(M11).conjugacy_classes, theirs().conjugacy_classes
    )


def main() -> None:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # sympy has but one
    print(f"torch {torch.__version__}, sympy {sympy.__version__}, one thread, {platform.machine()}")
    print(f"{'':<46} {'equilatent':>10} {'sympy':>10}  {'ratio':>9}")
    symmetric_groups()
    dihedral_products()
    mathieu_group()
    torch.set_num_threads(threads)


if __name__ == "__main__":
    main()
