"""Verdicts on data whose symmetry is known to hold or to be broken."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from audit_data import digits, linear
from torch import Tensor

import equilatent as eq


def test_a_mirror_that_swaps_the_labels_hurts_and_with_swapped_labels_helps(
    sides: tuple[Tensor, Tensor], quick: dict[str, Any]
) -> None:
    x, y = sides
    D1 = eq.groups.dihedral(1)
    report = eq.audit.audit(x, y, group=D1, **quick)
    assert report.refits.of("s").verdict == "hurts"
    assert report.refits.of("s").gain.high < -0.2
    assert report.largest is None
    # The inputs look the same in a mirror; it is the pairs that do not.
    assert report.likeness.word("s") == "data-like"
    assert report.likeness.word("s", "pairs") == "unlike the data"
    assert report.labels is not None
    assert report.labels.points() == {"s": [1, 0]}
    assert float(report.labels.agreement.min()) > 0.9
    swapped = eq.audit.audit(x, y, group=D1, output=report.labels.action(), **quick)
    assert swapped.refits.of("s").verdict in ("helps", "harmless")
    assert swapped.likeness.word("s", "pairs") == "data-like"
    assert swapped.largest is not None
    assert swapped.largest.subgroup.order == 2


def test_the_largest_subgroup_that_does_not_hurt_is_fitted_and_named(
    sides: tuple[Tensor, Tensor], quick: dict[str, Any]
) -> None:
    x, y = sides
    G = eq.groups.dihedral(4)
    found = eq.audit.refit(x, y, action=eq.actions.image(G), **quick)
    # r2 s mirrors up and down, and keeps left and right; every other element exchanges or turns them.
    fine = {refit.name for refit in found.subgroups if refit.verdict in ("helps", "harmless")}
    assert fine == {"⟨r2 s⟩"}
    assert found.largest is not None
    assert found.largest.subgroup.elements.tolist() == [0, G["r2 s"]]
    assert [refit.name for refit in found.subgroups].count("⟨r2 s⟩") == 1


def test_subgroups_that_are_neither_cyclic_nor_whole_are_found(quick: dict[str, Any]) -> None:
    # The label is whether the diagonal is the brighter: both diagonal mirrors and the half turn keep it, a quarter turn
    # and the other mirrors swap it.
    x = torch.rand(1000, 1, 2, 2, generator=torch.Generator().manual_seed(3))
    y = (x[:, 0, 0, 0] + x[:, 0, 1, 1] > x[:, 0, 0, 1] + x[:, 0, 1, 0]).long()
    G = eq.groups.dihedral(4)
    found = eq.audit.refit(x, y, action=eq.actions.image(G), **quick)
    assert found.largest is not None
    assert found.largest.subgroup == eq.groups.subgroup(G, ["r s", "r3 s"])
    assert found.largest.subgroup.order == 4
    weights = eq.audit.strengths(found)
    assert weights.nonzero()[:, 0].tolist() == sorted([0, G["r2"], G["r s"], G["r3 s"]])


def test_six_and_nine_under_a_half_turn() -> None:
    x, y = digits(6, 9)
    G = eq.groups.cyclic(2)
    report = eq.audit.audit(x, y, group=G, probe=linear(64), steps=60, rate=0.02, folds=3)
    assert report.refits.plain > 0.97
    assert report.refits.of("r").verdict == "hurts"
    assert report.likeness.word("r", "pairs") == "unlike the data"
    assert report.labels is not None
    assert report.labels.points() == {"r": [1, 0]}


def test_orientations_as_labels_transform_with_the_group() -> None:
    G = eq.groups.cyclic(4)
    act = eq.actions.image(G)
    generator = torch.Generator().manual_seed(0)
    y = torch.randint(4, (400,), generator=generator)
    pattern = torch.tensor([[1.0, 0.0, 0.0], [1.0, 1.0, 0.0], [0.0, 0.0, 0.0]])
    x = act(pattern.expand(400, 1, 3, 3).contiguous(), y) + 0.2 * torch.randn(400, 1, 3, 3, generator=generator)
    settings: dict[str, Any] = {"probe": linear(9, 4), "steps": 60, "rate": 0.1, "folds": 2}
    invariant = eq.audit.audit(x, y, action=act, **settings)
    assert {refit.verdict for refit in invariant.refits.subgroups} == {"hurts"}
    assert invariant.labels is not None
    assert invariant.labels.points() == {"r": [1, 2, 3, 0]}
    equivariant = eq.audit.audit(x, y, action=act, output=invariant.labels.action(), **settings)
    assert equivariant.largest is not None
    assert equivariant.largest.subgroup.order == 4
    assert equivariant.likeness.word("r", "pairs") == "data-like"


def test_a_chiral_volume_keeps_its_label_in_rotations_and_changes_it_in_mirrors() -> None:
    # The sign of the triple product of three corners of a cube: rotations of the corners keep it, the inversion does not.
    G = eq.groups.from_matrices({"c": [[0, 1, 0], [0, 0, 1], [1, 0, 0]], "i": [[-1, 0, 0], [0, -1, 0], [0, 0, -1]]})
    assert G.defining is not None
    act = eq.actions.channels(eq.reps.from_matrices(G, dict(G.defining)))
    points = torch.randn(600, 3, generator=torch.Generator().manual_seed(0))
    y = (points.sum(1) > 0).long()
    found = eq.audit.refit(points, y, action=act, probe=linear(3), steps=40, rate=0.1, folds=2)
    assert found.of("c").verdict in ("helps", "harmless")
    assert found.of("i").verdict == "hurts"
    assert found.largest is not None
    assert found.largest.subgroup == eq.groups.subgroup(G, ["c"])


@pytest.mark.slow
def test_a_symmetry_that_holds_helps_where_samples_are_few() -> None:
    x, y = digits(0, 1, 4, 7)
    G = eq.groups.cyclic(4)
    act = eq.actions.image(G)
    x = act(x, G.sample(len(x), generator=torch.Generator().manual_seed(0)))[:150]
    found = eq.audit.refit(x, y[:150], action=act, steps=60, rate=0.01, folds=3, repeats=2)
    assert found.of("r").gain.mean > 0
    assert found.of("r").verdict != "hurts"


def test_too_little_data(sides: tuple[Tensor, Tensor], quick: dict[str, Any]) -> None:
    x, y = sides
    up_and_down = eq.groups.subgroup(eq.groups.klein_four(), ["a"]).group
    found = eq.audit.refit(x[:60], y[:60], action=eq.actions.image(up_and_down), **quick)
    refit = found.of("a")
    assert found.learnt is not None
    assert found.learnt.low > 0
    assert refit.verdict == "too little data"
    assert refit.enough is not None
    assert refit.enough > 60
    assert found.largest is None
    assert eq.audit.strengths(found).tolist() == [1.0, 0.0]


def test_numbers_as_targets(quick: dict[str, Any]) -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(300, 1, 2, 2, generator=generator)
    y = x[..., 0].sum((1, 2)) - x[..., 1].sum((1, 2))  # left less right: the mirror changes its sign
    G = eq.groups.dihedral(1)
    act = eq.actions.image(G)
    settings = {
        **quick,
        "probe": lambda: torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(4, 1), torch.nn.Flatten(0)),
    }
    broken = eq.audit.audit(x, y, action=act, **settings)
    assert broken.refits.score_name == "explained"
    assert broken.refits.of("s").verdict == "hurts"
    assert broken.labels is None
    sign = eq.actions.function(G, lambda y, g: torch.where(g > 0, -y, y))
    kept = eq.audit.audit(x, y, action=act, output=sign, **settings)
    assert kept.refits.of("s").verdict in ("helps", "harmless")
    assert kept.likeness.word("s", "pairs") == "data-like"


@pytest.mark.slow
def test_digits_under_a_half_turn_with_the_probe_of_the_library() -> None:
    x, y = digits(*range(10))
    found = eq.audit.refit(x, y, action=eq.actions.image(eq.groups.cyclic(2)), seed=1)
    assert found.plain > 0.93
    assert found.of("r").verdict == "hurts"
