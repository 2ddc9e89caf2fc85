"""Moving a batch by mixed elements, next to a copy, to one call for each element, and to grid sampling."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

import equilatent as eq
from benchmarks import plain
from benchmarks.page import Cell, Table
from benchmarks.timing import Options, median_ratio, paired_seconds
from equilatent.actions import Action

Way = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Case:
    """An action on a batch, and the same motion by other means.

    Attributes:
        name: what is moved.
        act: the action.
        shape: the batch.
        by_element: one call for each element; None where that would be no different.
        sampling: grid sampling with one matrix for each sample; None where there is none.
        axes: how many of the last axes torch.gather runs over.
    """

    name: str
    act: Action
    shape: tuple[int, ...]
    by_element: Way | None
    sampling: Way | None
    axes: int = 2


TOP, LEFT, RIGHT = slice(14, 42), slice(0, 28), slice(28, 56)


def two_digits() -> eq.actions.PartsAction:
    """D4×D4 on two windows of 28×28 in an image of 56×56."""
    one = eq.groups.dihedral(4)
    group = eq.groups.direct_product(one, one)
    return eq.actions.parts(group, [eq.actions.image(one)] * 2, windows=[(TOP, LEFT), (TOP, RIGHT)])


def cases(options: Options) -> Iterator[Case]:
    B = 8 if options.quick else 256
    C4, D4, cube = eq.groups.cyclic(4), eq.groups.dihedral(4), eq.groups.octahedral()
    C8, D8, digits = eq.groups.cyclic(8), eq.groups.dihedral(8), two_digits()

    def sampler(group: eq.groups.Group) -> Way:
        theta = plain.sampling_table(group).to(options.device)
        return lambda x, g: plain.sample(x, theta[g])

    def element_by_element(moves: plain.Moves) -> Way:
        return lambda x, g: plain.by_element(moves, x, g)

    in_plane, digit_moves = sampler(D4), plain.image_moves(mirrors=True)

    def digit_by_digit(one_window: Way) -> Way:
        def move(x: Tensor, g: Tensor) -> Tensor:
            result = x.clone()
            for window, component in zip((LEFT, RIGHT), digits.group.split(g), strict=True):
                result[..., TOP, window] = one_window(x[..., TOP, window], component)
            return result

        return move

    turns = plain.plane_or_space(C4).float().to(options.device)

    def sampled_field(x: Tensor, g: Tensor) -> Tensor:
        moved = plain.sample(x, plain.sampling_table(C4).to(options.device)[g])
        vectors = moved.view(len(x), -1, 2, *x.shape[2:])
        return torch.einsum("bij,bnjhw->bnihw", turns[g], vectors).reshape(x.shape)

    for channels in (1, 16):
        shape = (B, channels, 56, 56)
        yield Case("image, D4", eq.actions.image(D4), shape, element_by_element(digit_moves), in_plane)
        yield Case(
            "two digits, D4×D4",
            digits,
            shape,
            digit_by_digit(element_by_element(digit_moves)),
            digit_by_digit(in_plane),
        )
    yield Case(
        "volume, octahedral",
        eq.actions.volume(cube),
        (4 if options.quick else 32, 1, 28, 28, 28),
        element_by_element(plain.volume_moves(cube)),
        sampler(cube),
        axes=3,
    )
    yield Case(
        "sequence, D8",
        eq.actions.sequence(D8),
        (B, 16, 1024),
        element_by_element(plain.sequence_moves(8)),
        None,
        axes=1,
    )
    yield Case(
        "vector field, C4",
        eq.actions.vector_field(C4),
        (4 if options.quick else 16, 20, 64, 64),
        element_by_element(plain.field_moves()),
        sampled_field,
    )
    yield Case("rotation, C8, bilinear", eq.actions.rotation(C8), (B, 1, 56, 56), None, sampler(C8))


def tables(options: Options) -> Iterator[Table]:
    rows: list[list[Cell]] = []
    generator = torch.Generator().manual_seed(0)
    for case in cases(options):
        x = torch.randn(case.shape, generator=generator).to(options.device)
        g = case.act.group.sample(case.shape[0], generator=generator).to(options.device)
        points = x.flatten(-case.axes)
        index = torch.randint(points.shape[-1], (len(x), 1, points.shape[-1]), generator=generator).to(options.device)
        index = index.expand(points.shape)
        ways: dict[str, Callable[[], Tensor]] = {
            "copy": x.clone,
            "ours": lambda case=case, x=x, g=g: case.act(x, g),
            "gather": lambda points=points, index=index: torch.gather(points, -1, index),
        }
        if case.by_element is not None:
            ways["by element"] = lambda case=case, x=x, g=g: case.by_element(x, g)
            if not torch.equal(ways["by element"](), ways["ours"]()):
                raise ValueError(f"{case.name}: the two ways do not agree.")
        if case.sampling is not None:
            ways["sampling"] = lambda case=case, x=x, g=g: case.sampling(x, g)
            torch.testing.assert_close(ways["sampling"](), ways["ours"](), atol=1e-3, rtol=0)
        seconds = paired_seconds(ways, options.rounds(20), device=options.device)
        ratios = [
            median_ratio(seconds, way, "copy") if way in ways else None
            for way in ("ours", "by element", "sampling", "gather")
        ]
        batch = "×".join(map(str, case.shape))
        rows.append([case.name, batch, statistics.median(seconds["copy"]), *ratios])
    columns = (
        ("action", "text"),
        ("batch", "text"),
        ("a copy", "seconds"),
        ("equilatent, copies", "ratio"),
        ("a call for each element, copies", "ratio"),
        ("grid sampling, copies", "ratio"),
        ("`torch.gather` alone, copies", "ratio"),
    )
    yield Table("A batch of mixed elements, float32", columns, rows)
