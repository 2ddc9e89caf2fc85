"""Applying copies of the regular representation to latents, next to a copy and to d×d matrices."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator

import torch
from torch import Tensor

import equilatent as eq
from benchmarks.page import Cell, Table
from benchmarks.timing import Options, median_ratio, paired_seconds
from equilatent.groups import Group
from equilatent.reps import Representation

LIMIT = 1 << 30  # matrices are made up to so many bytes


def groups(options: Options) -> list[Group]:
    D4 = eq.groups.dihedral(4)
    small = [eq.groups.cyclic(2), D4]
    if options.quick:
        return small
    product = eq.groups.direct_product(D4, D4)
    return [*small, eq.groups.octahedral(), product, eq.groups.symmetric(5), eq.groups.symmetric(6)]


def by_gathered_matrices(rho: Representation, g: Tensor) -> Callable[[Tensor], Tensor]:
    """One batched product with a matrix for every sample, [B, d, d]."""
    table = rho.matrix(rho.group.elements).float().to(g.device)
    return lambda x: torch.bmm(table[g], x[..., None])[..., 0]


def by_element_matrices(rho: Representation, g: Tensor) -> Callable[[Tensor], Tensor]:
    """For each element that occurs, one matrix times the samples that it moves."""
    occurring = g.unique().tolist()
    table = {element: rho.matrix(element).float().to(g.device) for element in occurring}

    def move(x: Tensor) -> Tensor:
        result = torch.empty_like(x)
        for element, matrix in table.items():
            rows = (g == element).nonzero()[:, 0]
            result[rows] = x[rows] @ matrix.T
        return result

    return move


def tables(options: Options) -> Iterator[Table]:
    generator = torch.Generator().manual_seed(0)
    B = 16 if options.quick else 256
    dims = (64, 256) if options.quick else (64, 256, 1024, 4096, 16384, 65536)
    titles = {
        "multiple": "`multiple(regular(G), d // |G|)`, copies",
        "padded": "`padded_regular(G, d)` where |G| does not divide d, copies",
        "gather": "`torch.gather` alone, with an index that somebody else has made, copies",
        "element": "One d×d matrix for each element, times its samples, copies",
        "gathered": "One d×d matrix for each sample, `torch.bmm`, copies",
    }
    rows: dict[str, list[list[Cell]]] = {title: [] for title in titles}
    for group in groups(options):
        cells: dict[str, list[Cell]] = {title: [] for title in titles}
        for dim in dims:
            ratios = _ratios(group, dim, B, generator, options) if dim >= group.order else {}
            for title in titles:
                cells[title].append(ratios.get(title))
        for title in titles:
            if any(cell is not None for cell in cells[title]):
                rows[title].append([group.label, group.order, *cells[title]])
    columns = (("group", "text"), ("order", "count"), *((f"d = {dim:,}", "ratio") for dim in dims))
    for title, body in rows.items():
        yield Table(titles[title], columns, body)


def _ratios(group: Group, dim: int, B: int, generator: torch.Generator, options: Options) -> dict[str, float]:
    """Each way against a copy of the tensor that it moves."""
    copies, rest = divmod(dim, group.order)
    g = group.sample(B, generator=generator).to(options.device)
    x = torch.randn(B, dim, generator=generator).to(options.device)
    exact = x[:, : dim - rest].contiguous()
    rho = eq.reps.multiple(eq.reps.regular(group), copies).to(options.device)
    padded = eq.reps.padded_regular(group, dim).to(options.device)
    blocks = exact.view(B, copies, group.order)
    # Entry h of ρ(g)x is the entry g⁻¹h of x.
    source = group.product(group.inverse(g)[:, None], torch.arange(group.order, device=g.device))
    index = source[:, None].expand(blocks.shape)
    ways: dict[str, Callable[[], Tensor]] = {
        "copy": exact.clone,
        "multiple": lambda: rho(exact, g),
        "gather": lambda: torch.gather(blocks, 2, index).view(B, -1),
    }
    torch.testing.assert_close(ways["gather"](), ways["multiple"](), rtol=0, atol=0)
    if rest:
        ways |= {"whole copy": x.clone, "padded": lambda: padded(x, g)}
    seconds = paired_seconds(ways, options.rounds(20 if dim <= 4096 else 8), device=options.device)
    ratios = {name: median_ratio(seconds, name, "copy") for name in ("multiple", "gather")}
    if rest:
        ratios["padded"] = median_ratio(seconds, "padded", "whole copy")
    # Matrices take so much memory that a copy beside them would find cold caches and fresh pages: they are timed on their
    # own, against the copies from above.
    copy = statistics.median(seconds["whole copy" if rest else "copy"])
    dense = {"gathered": (by_gathered_matrices, max(B, group.order)), "element": (by_element_matrices, group.order)}
    for name, (make, count) in dense.items():
        if 4 * count * dim * dim > LIMIT:
            continue
        move = make(padded, g)
        torch.testing.assert_close(move(x), padded(x, g))
        rounds = options.rounds(9 if dim <= 256 else 4)
        seconds = paired_seconds({name: lambda move=move: move(x)}, rounds, device=options.device)
        ratios[name] = statistics.median(seconds[name]) / copy
    return ratios
