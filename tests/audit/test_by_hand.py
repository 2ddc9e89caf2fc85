"""Each number of an audit computed by hand, mostly of a model that reads the label off a pixel."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from audit_data import PixelReader
from torch import Tensor

import equilatent as eq
from equilatent.audit._intervals import bootstrap, verdict_of
from equilatent.audit._likeness import area_under_curve


def turned(image: Tensor, name: str) -> Tensor:
    """An image [1, 2, 2] under an element of D4 spelt by its name, by torch's own turns and mirrors."""
    for letter in reversed(name.split()):
        if letter.startswith("s"):
            image = image.flip(-1)
        elif letter.startswith("r"):
            image = image.rot90(int(letter[1:] or 1), (-2, -1))
    return image


def test_changes_of_a_model_that_reads_a_pixel(labelled_pixels: tuple[Tensor, Tensor]) -> None:
    x, y = labelled_pixels
    G = eq.groups.dihedral(4)
    model = PixelReader(3)
    half = eq.groups.subgroup(G, ["r2"])
    changes = eq.audit.model_changes(
        model, x, y, action=eq.actions.image(G), subgroups={"half": half}, units=torch.arange(200) // 2, batch_size=33
    )
    right, wrong = (-math.log(math.exp(2 * hit) / (math.exp(2) + 2)) for hit in (1, 0))
    read = [[int(turned(image, name)[0, 0, 0]) for image in x] for name in G.names]
    for g in range(8):
        losses = [right if said == int(label) else wrong for said, label in zip(read[g], y, strict=True)]
        assert float(changes.loss[g]) == pytest.approx(sum(losses) / 200, rel=1e-5)
        for label in range(3):
            of_class = [loss for loss, target in zip(losses, y.tolist(), strict=True) if target == label]
            assert changes.loss_by_class is not None
            assert float(changes.loss_by_class[g, label]) == pytest.approx(sum(of_class) / len(of_class), rel=1e-5)
        assert float(changes.changed[g]) == pytest.approx(
            np.mean([a != b for a, b in zip(read[g], read[0], strict=True)])
        )
        assert changes.predictions is not None
        assert changes.predictions[g].tolist() == read[g]
    assert changes.plain == pytest.approx(0.9)
    symmetrised = eq.metrics.Symmetrised(model, eq.actions.image(G), eq.actions.trivial(G), elements=half.elements)
    expected = float((symmetrised(x).argmax(1) == y).double().mean())
    assert changes.orbits[0].score == pytest.approx(expected)
    assert changes.orbits[0].gain.mean == pytest.approx(expected - 0.9)
    assert changes.orbits[0].gain.low < expected - 0.9 < changes.orbits[0].gain.high


def test_changes_where_labels_transform_and_of_a_latent() -> None:
    # Both scores are read off one image: the mirror exchanges them exactly.
    x = torch.randn(60, 1, 1, 2, generator=torch.Generator().manual_seed(0))
    y = x[:, 0, 0].argmax(1)
    G = eq.groups.dihedral(1)
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Identity())
    swap = eq.actions.labels(G, {"s": [1, 0]})
    changes = eq.audit.model_changes(
        model,
        x,
        y,
        action=eq.actions.image(G),
        output=swap,
        subgroups={"D1": eq.groups.subgroup(G, ["s"])},
        layer="0",
        latent=eq.reps.regular(G),
    )
    assert changes.changed.tolist() == [0.0, 0.0]
    assert float(changes.loss[1]) == pytest.approx(float(changes.loss[0]))
    assert changes.latent is not None
    assert float(changes.latent.centred[1]) < 1e-12
    assert changes.orbits[0].gain.mean == 0


def test_changes_of_numbers_are_over_the_variance_of_the_output() -> None:
    x = torch.randn(50, 2, generator=torch.Generator().manual_seed(0))
    G = eq.groups.cyclic(2)
    changes = eq.audit.model_changes(
        lambda x: x[:, 0], x, x[:, 0].clone(), action=eq.reps.regular(G), subgroups={}, score="loss"
    )
    difference = (x[:, 1] - x[:, 0]).double()
    variance = x[:, 0].double().var(unbiased=False)
    assert float(changes.loss[1]) == pytest.approx(float(difference.square().mean()), rel=1e-5)
    assert float(changes.changed[1]) == pytest.approx(float(difference.square().mean() / variance), rel=1e-5)


def test_a_probe_that_augmentation_cannot_change(labelled_pixels: tuple[Tensor, Tensor]) -> None:
    x, y = labelled_pixels
    found = eq.audit.refit(
        x, y, action=eq.actions.image(eq.groups.cyclic(4)), probe=lambda: PixelReader(3), steps=1, folds=4
    )
    assert found.plain == pytest.approx(0.9)
    tail = -math.log(0.025) / 200  # what 200 samples that agree on everything leave open
    for refit in found.subgroups:
        assert (refit.gain.mean, refit.gain.low, refit.gain.high) == pytest.approx((0, -tail, tail))
        assert refit.verdict == "harmless"
        assert refit.differences.abs().max() == 0
    # With fewer samples the same agreement leaves more open than the margin.
    few = eq.audit.refit(
        x[:100], y[:100], action=eq.actions.image(eq.groups.cyclic(2)), probe=lambda: PixelReader(3), steps=1, folds=4
    )
    assert few.subgroups[0].verdict == "too little data"
    assert few.subgroups[0].enough == round(100 * (2 * tail / 0.02) ** 2)
    assert found.predictions is not None
    half_turn = [int(turned(image, "r2")[0, 0, 0]) for image in x]
    assert found.predictions[2].tolist() == half_turn


def test_a_probe_that_learns_nothing_calls_nothing_harmless() -> None:
    x = torch.zeros(300, 1, 2, 2)  # always read as class 0, the most frequent one
    y = (torch.arange(300) % 3 == 0).long()
    settings: dict[str, Any] = {"probe": lambda: PixelReader(2), "steps": 1, "folds": 2}
    report = eq.audit.audit(x, y, action=eq.actions.image(eq.groups.cyclic(2)), **settings)
    found = report.refits
    assert found.plain == pytest.approx(2 / 3)
    assert found.learnt is not None
    assert found.learnt.mean == 0
    assert found.subgroups[0].gain.low > -found.margin  # without that rule it would be harmless
    assert (found.subgroups[0].verdict, found.subgroups[0].enough, found.largest) == ("too little data", None, None)
    assert "hardly learns" in str(report)


@pytest.mark.parametrize(("score", "learnt"), [("explained", 1.0), ("loss", 5.0)])
def test_the_best_constant_is_the_mean(score: str, learnt: float) -> None:
    from equilatent.audit._probe import constant_scores
    from equilatent.audit._samples import check_samples

    y = torch.tensor([0.0, 4.0, 2.0, 6.0])
    constant = constant_scores(score, check_samples(torch.randn(4, 2), y))
    assert constant is not None
    assert float(constant.mean()) == pytest.approx(0.0 if score == "explained" else -learnt)  # the variance is 5


def test_balanced_accuracy_is_the_mean_over_classes() -> None:
    x = torch.zeros(100, 1, 2, 2)
    x[:20, 0, 0, 0] = 1
    y = x[:, 0, 0, 0].long()
    y[:5] = 0  # of the 15 samples of class 1 all are read as 1, of the 85 of class 0 five are
    found = eq.audit.refit(
        x,
        y,
        action=eq.actions.image(eq.groups.cyclic(2)),
        probe=lambda: PixelReader(2),
        steps=1,
        score="balanced_accuracy",
    )
    assert found.plain == pytest.approx((80 / 85 + 1) / 2)


def test_the_bootstrap_has_the_normal_interval_of_independent_samples() -> None:
    differences = torch.randn(1, 4000, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    one_fit = torch.zeros(1, 4000, dtype=torch.long)
    interval = bootstrap(differences, one_fit, torch.arange(4000))
    error = 1.96 * float(differences.std()) / math.sqrt(4000)
    assert interval.mean == pytest.approx(float(differences.mean()))
    assert interval.high - interval.mean == pytest.approx(error, rel=0.08)
    assert interval.mean - interval.low == pytest.approx(error, rel=0.08)


def test_the_bootstrap_takes_units_as_wholes_and_fits_as_random() -> None:
    values = torch.randn(400, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    repeated = values.repeat_interleave(10)[None]
    one_fit = torch.zeros(1, 4000, dtype=torch.long)
    wholes = bootstrap(repeated, one_fit, torch.arange(400).repeat_interleave(10))
    assert wholes.high - wholes.low == pytest.approx(2 * 1.96 * float(values.std()) / 20, rel=0.08)
    # Fits that differ by nothing but themselves: ten of ±1.
    fits = torch.arange(10).repeat_interleave(400)[None]
    constant = (fits % 2).double() * 2 - 1
    apart = bootstrap(constant, fits, torch.arange(4000))
    assert apart.high - apart.low == pytest.approx(2 * 1.96 / math.sqrt(10), rel=0.15)


@pytest.mark.parametrize(
    ("interval", "word"),
    [
        ((0.03, 0.01, 0.05), "helps"),
        ((0.0, -0.01, 0.01), "harmless"),
        ((-0.01, -0.015, -0.005), "harmless"),  # it loses something for sure, but less than matters
        ((-0.03, -0.05, -0.01), "hurts"),
        ((0.0, -0.05, 0.05), "too little data"),
    ],
)
def test_verdicts(interval: tuple[float, float, float], word: str) -> None:
    assert verdict_of(eq.audit.Interval(*interval), 0.02) == word


def test_the_area_under_the_curve_counts_pairs() -> None:
    generator = torch.Generator().manual_seed(0)
    negative, positive = torch.randint(9, (30,), generator=generator), torch.randint(3, 12, (40,), generator=generator)
    wins = [(p > n) + 0.5 * (p == n) for p in positive.tolist() for n in negative.tolist()]
    area = area_under_curve(negative.double(), positive.double())
    assert area.mean == pytest.approx(sum(wins) / len(wins))
    assert area.low < area.mean < area.high


def test_likeness_of_a_mean_that_changes_its_sign_and_of_one_that_does_not() -> None:
    generator = torch.Generator().manual_seed(0)
    G = eq.groups.cyclic(2)
    x = torch.randn(600, 2, generator=generator) + torch.tensor([1.0, 0.0])
    first = eq.actions.function(G, lambda x, g: torch.where(g[:, None] > 0, x * torch.tensor([-1.0, 1.0]), x))
    second = eq.actions.function(G, lambda x, g: torch.where(g[:, None] > 0, x * torch.tensor([1.0, -1.0]), x))
    # Two normal distributions whose means are 2 apart: the best area is Φ(2/√2) = .921.
    area = eq.audit.likeness(first, x).inputs[1]
    assert area.mean == pytest.approx(0.921, abs=0.04)
    assert eq.audit.likeness(first, x).word("r") == "unlike the data"
    assert eq.audit.likeness(second, x).word("r") == "data-like"
    assert eq.audit.likeness(first, x).word("e") == "data-like"


def test_permutations_agree_with_a_search_over_all_of_them() -> None:
    import itertools

    generator = torch.Generator().manual_seed(0)
    G = eq.groups.cyclic(2)
    y = torch.randint(4, (300,), generator=generator)
    said = torch.where(torch.rand(300, generator=generator) < 0.7, torch.tensor([2, 1, 0, 3])[y], y)
    found = eq.audit.label_permutations(G, torch.stack([y, said]), y)
    best = max(itertools.permutations(range(4)), key=lambda p: int((torch.tensor(p)[y] == said).sum()))
    assert found.best[1].tolist() == found.images[1].tolist() == list(best) == [2, 1, 0, 3]
    for label in range(4):
        share = float((said[y == label] == best[label]).double().mean())
        assert float(found.agreement[1, label]) == pytest.approx(share)
    # Predictions of no relation to the labels leave them where they are.
    noise = torch.randint(4, (300,), generator=generator)
    assert eq.audit.label_permutations(G, torch.stack([y, noise]), y).images[1].tolist() == [0, 1, 2, 3]


def test_weights_multiply_those_of_all_terms_with_an_element(
    sides: tuple[Tensor, Tensor], quick: dict[str, Any]
) -> None:
    from functools import partial

    from torch.nn.functional import cross_entropy

    from equilatent.objective import Decorrelation, Equivariance, Task, TransformedTask

    x, y = sides
    G = eq.groups.klein_four()
    act = eq.actions.image(G)
    found = eq.audit.refit(x, y, action=act, **quick)
    weights = eq.audit.strengths(found)
    assert dict(zip(G.names, weights.tolist(), strict=True)) == {"e": 1, "a": 1, "b": 0, "a b": 0}
    terms = eq.audit.with_strengths(
        [Task(0.5), TransformedTask(0.5), Equivariance("1", (1.0, 2.0, 3.0, 4.0)), Decorrelation("1")], weights
    )
    assert [term.weight for term in terms] == [0.5, (0.5, 0.5, 0, 0), (1, 2, 0, 0), 1]
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(4, 4), torch.nn.Linear(4, 2))
    loss_of_each = partial(cross_entropy, reduction="none")
    objective = eq.Objective(G, input=act, output=eq.actions.trivial(G), task_loss=loss_of_each, terms=terms[:2])
    g = torch.arange(len(x)) % 4
    with torch.no_grad():
        loss, _ = objective(model, x, y, g=g)
        by_hand = 0.5 * loss_of_each(model(x), y) + 0.5 * (g < 2) * loss_of_each(model(act(x, g)), y)
    assert float(loss) == pytest.approx(float(by_hand.mean()), rel=1e-5)


def test_graded_weights_fall_with_what_was_lost(sides: tuple[Tensor, Tensor], quick: dict[str, Any]) -> None:
    import dataclasses

    x, y = sides
    found = eq.audit.refit(x, y, action=eq.actions.image(eq.groups.klein_four()), **quick)
    lost = [
        dataclasses.replace(refit, gain=eq.audit.Interval(-0.005, -0.015, 0.0)) if refit.name == "⟨a⟩" else refit
        for refit in found.subgroups
    ]
    refits = dataclasses.replace(found, subgroups=tuple(lost), largest=lost[0])
    assert eq.audit.strengths(refits, graded=True).tolist() == pytest.approx([1, 0.75, 0, 0])
