"""Search in any pose and relative pose from stored latents, next to plain PyTorch."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

import equilatent as eq
from benchmarks.page import Cell, Table
from benchmarks.timing import Options, median_ratio, paired_seconds
from equilatent.groups import Group

K = 10
#: Scores that plain PyTorch holds at once (64 MB): with fewer it is slower, with more hardly faster.
SCORES = 1 << 24


@dataclass(frozen=True)
class Case:
    """Copies of the regular representation, and how many latents are searched and matched."""

    group: Group
    copies: int
    items: int
    queries: int
    pairs: int


def cases(options: Options) -> list[Case]:
    D4 = eq.groups.dihedral(4)
    if options.quick:
        return [Case(D4, 2, 50, 12, 20)]
    product = eq.groups.direct_product(D4, D4)
    return [
        Case(eq.groups.cyclic(4), 20, 20_000, 256, 8192),
        Case(D4, 10, 20_000, 256, 8192),
        Case(D4, 64, 20_000, 256, 2048),
        Case(eq.groups.octahedral(), 10, 10_000, 128, 2048),
        Case(product, 4, 5_000, 64, 512),
        Case(eq.groups.symmetric(5), 4, 2_000, 32, 256),
    ]


def in_all_poses(poses: Tensor, query: Tensor, order: int) -> Tensor:
    """Places of the best items in an index that holds all items in one pose after the other, [|G|·N, d]."""
    found = []
    for some in query.split(max(1, SCORES // len(poses))):
        scores = some @ poses.T
        found.append(scores.view(len(some), order, -1).amax(1).topk(K).indices)
    return torch.cat(found)


def element_by_element(rho: eq.reps.Representation, index: Tensor, query: Tensor) -> Tensor:
    """The same from the index itself, which each element transforms in turn."""
    best = query.new_full((len(query), len(index)), -torch.inf)
    for g in range(rho.group.order):
        moved = rho(index, torch.full((len(index),), g, device=index.device))
        torch.maximum(best, query @ moved.T, out=best)
    return best.topk(K).indices


def plainly(index: Tensor, query: Tensor) -> Tensor:
    """Without a group: what a search costs if the latent is invariant, or poses do not matter."""
    blocks = query.split(max(1, SCORES // len(index)))
    return torch.cat([(some @ index.T).topk(K).indices for some in blocks])


def tables(options: Options) -> Iterator[Table]:
    generator = torch.Generator().manual_seed(0)
    searched: list[list[Cell]] = []
    matched: list[list[Cell]] = []
    for case in cases(options):
        searched.append(_search(case, generator, options))
        matched.append(_match(case, generator, options))
    columns = (("group", "text"), ("order", "count"), ("d", "count"))
    yield Table(
        f"`latent.search`, the {K} nearest items by cosine; ratios to it",
        (
            *columns,
            ("items", "count"),
            ("queries", "count"),
            ("`latent.search`", "seconds"),
            ("index in all poses", "ratio"),
            ("a loop over elements", "ratio"),
            ("no group", "ratio"),
        ),
        searched,
    )
    yield Table(
        "`latent.match`; ratio to it",
        (*columns, ("pairs", "count"), ("`latent.match`", "seconds"), ("the orbit, written out", "ratio")),
        matched,
    )


def _latents(count: int, dim: int, generator: torch.Generator, options: Options) -> Tensor:
    return torch.nn.functional.normalize(torch.randn(count, dim, generator=generator)).to(options.device)


def _search(case: Case, generator: torch.Generator, options: Options) -> list[Cell]:
    G = case.group
    rho = eq.reps.multiple(eq.reps.regular(G), case.copies).to(options.device)
    index, query = (_latents(count, rho.dim, generator, options) for count in (case.items, case.queries))
    poses = eq.latent.orbit(rho, index).transpose(0, 1).flatten(0, 1)
    ways = {
        "search": lambda: eq.latent.search(rho, index, query, K),
        "poses": lambda: in_all_poses(poses, query, G.order),
        "loop": lambda: element_by_element(rho, index, query),
        "plain": lambda: plainly(index, query),
    }
    expected = ways["search"]().indices.sort(1).values
    for name in ("poses", "loop"):
        # Scores that differ by rounding alone may change places at the end of the list.
        assert (ways[name]().sort(1).values == expected).float().mean() > 0.99
    seconds = paired_seconds(ways, options.rounds(9), device=options.device)
    ratios = [median_ratio(seconds, name, "search") for name in ("poses", "loop", "plain")]
    size = [case.items, case.queries]
    return [G.label, G.order, rho.dim, *size, statistics.median(seconds["search"]), *ratios]


def _match(case: Case, generator: torch.Generator, options: Options) -> list[Cell]:
    G = case.group
    rho = eq.reps.multiple(eq.reps.regular(G), case.copies).to(options.device)
    z1, z2 = (_latents(case.pairs, rho.dim, generator, options) for _ in range(2))
    elements = G.elements.to(options.device)

    def by_orbit() -> Tensor:
        orbit = rho(z1.repeat_interleave(G.order, 0), elements.repeat(len(z1))).view(len(z1), G.order, -1)
        return (orbit @ z2[:, :, None])[:, :, 0].argmax(1)

    ways = {"match": lambda: eq.latent.match(rho, z1, z2).element, "orbit": by_orbit}
    assert (ways["match"]() == by_orbit()).float().mean() > 0.99
    seconds = paired_seconds(ways, options.rounds(15), device=options.device)
    ratio = median_ratio(seconds, "orbit", "match")
    return [G.label, G.order, rho.dim, case.pairs, statistics.median(seconds["match"]), ratio]
