"""How long groups take to make, to multiply and to take apart, next to sympy.

The work is the same on both sides: groups are made from nothing each time, a table holds every product, classes are
found for the whole group, and a batch of products is multiplied once the group is made. Where sympy would take minutes,
as for the table of S6, it multiplies a part of the pairs, and its time is scaled to all of them.
"""

from __future__ import annotations

import itertools
import random
import statistics
from collections.abc import Callable, Iterator

import sympy.combinatorics.named_groups as named
from sympy.combinatorics import Permutation, PermutationGroup
from sympy.combinatorics.group_constructs import DirectProduct

import equilatent as eq
from benchmarks.page import Cell, Table
from benchmarks.timing import Options, median_ratio, paired_seconds
from equilatent.groups import Group

ROUNDS = 5
SLICE = 5_000  # the pairs that sympy multiplies where all of them would take minutes
M11 = ([*range(1, 11), 0], [0, 1, 6, 9, 5, 3, 10, 2, 8, 4, 7])


def multiply_slice(pool: list[Permutation], count: int) -> Callable[[], object]:
    pairs = random.Random(0).choices(list(itertools.product(pool, repeat=2)), k=count)
    return lambda: [a * b for a, b in pairs]


def next_to_sympy(options: Options) -> Table:
    batch, part = (1_000, 100) if options.quick else (100_000, SLICE)
    n, m = (4, 4) if options.quick else (6, 7)  # S_n has its table made, S_m its elements
    factors = range(3, 8 if options.quick else 11)
    rows: list[list[Cell]] = []

    def row(name: str, ours: Callable[[], object], theirs: Callable[[], object], scale: float = 1.0) -> None:
        seconds = paired_seconds({"equilatent": ours, "sympy": theirs}, options.rounds(ROUNDS))
        mine, other = (statistics.median(values) for values in seconds.values())
        ratio = median_ratio(seconds, "sympy", "equilatent") * scale
        rows.append([name, mine, other * scale, "all" if scale == 1 else f"1 in {scale:,.0f}", ratio])

    elements = list(named.SymmetricGroup(n).elements)
    row(
        f"S{n}: every element and the full product table",
        lambda: eq.groups.symmetric(n).table(),
        multiply_slice(elements, part),
        len(elements) ** 2 / part,
    )
    row(f"S{m}: every element", lambda: eq.groups.symmetric(m), lambda: list(named.SymmetricGroup(m).elements))
    G, pool = eq.groups.symmetric(m), [named.SymmetricGroup(m).random() for _ in range(200)]
    a, b = G.sample((2, batch))
    row(f"S{m}: {batch:,} products", lambda: G.product(a, b), multiply_slice(pool, part), batch / part)
    row(
        f"S{m}: conjugacy classes",
        lambda: eq.groups.symmetric(m).conjugacy_classes,
        lambda: named.SymmetricGroup(m).conjugacy_classes(),
    )

    def product() -> Group:
        return eq.groups.direct_product(*(eq.groups.dihedral(k) for k in factors))

    def their_product() -> PermutationGroup:
        return DirectProduct(*(named.DihedralGroup(k) for k in factors))

    name = f"D{factors[0]} × … × D{factors[-1]}"
    H, pool = product(), [their_product().random() for _ in range(200)]
    _same(H.order, their_product().order())
    row(f"{name}: the group, of order {H.order:.1e}", lambda: product().order, lambda: their_product().order())
    c, d = H.sample((2, batch))
    row(f"{name}: {batch:,} products", lambda: H.product(c, d), multiply_slice(pool, part), batch / part)
    if not options.quick:
        _same(mathieu().order, their_mathieu().order())
        row("M11: every element", mathieu, lambda: list(their_mathieu().elements))
        row(
            "M11: conjugacy classes",
            lambda: mathieu().conjugacy_classes,
            lambda: their_mathieu().conjugacy_classes(),
        )
    columns = (
        ("", "text"),
        ("equilatent", "seconds"),
        ("sympy", "seconds"),
        ("measured in sympy", "text"),
        ("sympy ÷ equilatent", "ratio"),
    )
    return Table("Groups, next to sympy", columns, rows)


def mathieu() -> Group:
    return eq.groups.from_permutations(M11)


def their_mathieu() -> PermutationGroup:
    return PermutationGroup([Permutation(images) for images in M11])


def _same(ours: int, theirs: int) -> None:
    if ours != theirs:
        raise ValueError(f"the two sides do different work: a group of order {ours}, and one of order {theirs}.")


def structure(options: Options) -> Table:
    def pair() -> Group:
        return eq.groups.direct_product(eq.groups.dihedral(4), eq.groups.dihedral(4))

    def their_pair() -> PermutationGroup:
        return DirectProduct(named.DihedralGroup(4), named.DihedralGroup(4))

    groups: dict[str, tuple[Callable[[], Group], Callable[[], PermutationGroup]]] = {
        "S5": (lambda: eq.groups.symmetric(5), lambda: named.SymmetricGroup(5)),
        "D4 × D4": (pair, their_pair),
        "S6": (lambda: eq.groups.symmetric(6), lambda: named.SymmetricGroup(6)),
        "M11": (mathieu, their_mathieu),
    }
    if options.quick:
        groups = {"D4 × D4": groups["D4 × D4"]}
    rows: list[list[Cell]] = []
    for name, (ours, theirs) in groups.items():

        def characters(ours: Callable[[], Group] = ours) -> object:
            eq.reps._character_table._computed_table.cache_clear()
            return eq.reps.character_table(ours())

        def irreps(ours: Callable[[], Group] = ours) -> object:
            eq.reps._character_table._computed_table.cache_clear()
            G = ours()
            return [rho.matrix(G.elements) for rho in eq.reps.irreps(G)]

        ways = {"characters": characters, "classes": lambda theirs=theirs: theirs().conjugacy_classes()}
        if ours().order <= 720:  # the matrices of M11 would take half a gigabyte
            ways["irreps"] = irreps
        seconds = paired_seconds(ways, options.rounds(ROUNDS))
        medians = {way: statistics.median(values) for way, values in seconds.items()}
        rows.append(
            [
                name,
                ours().order,
                len(ours().conjugacy_classes),
                medians["characters"],
                medians.get("irreps"),
                medians["classes"],
                median_ratio(seconds, "classes", "characters"),
            ]
        )
    columns = (
        ("group", "text"),
        ("order", "count"),
        ("irreps", "count"),
        ("character table", "seconds"),
        ("matrices of all irreps at all elements", "seconds"),
        ("sympy: conjugacy classes alone", "seconds"),
        ("sympy ÷ character table", "ratio"),
    )
    return Table("Characters and irreducible representations", columns, rows)


def subgroups(options: Options) -> Table:
    rows: list[list[Cell]] = []
    for n in (4,) if options.quick else (4, 5):
        ways = {"subgroups": lambda n=n: eq.groups.subgroups(eq.groups.symmetric(n))}
        seconds = statistics.median(paired_seconds(ways, options.rounds(ROUNDS))["subgroups"])
        rows.append([f"S{n}", len(ways["subgroups"]()), seconds])
    return Table(
        "All subgroups (sympy has no such function)",
        (("group", "text"), ("subgroups", "count"), ("equilatent", "seconds")),
        rows,
    )


def tables(options: Options) -> Iterator[Table]:
    yield next_to_sympy(options)
    yield structure(options)
    yield subgroups(options)
