"""Whether an action is one, the same seed, units, refusals."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

import equilatent as eq
from equilatent.audit._samples import check_samples, folds_of
from equilatent.errors import ActionError, EquilatentError, GroupTooLargeError, LatentError, NonFiniteError

C2, C4 = eq.groups.cyclic(2), eq.groups.cyclic(4)
IMAGES = eq.actions.image(C4)


def test_an_action_composes_to_the_last_bit() -> None:
    check = eq.audit.check_action(eq.actions.volume(eq.groups.octahedral()), torch.randn(3, 1, 4, 4, 4))
    assert check.holds
    assert (check.identity, float(check.composition.max()), check.alone) == (0, 0, 0)


def test_a_right_action_is_told_with_the_elements_that_show_it() -> None:
    D4 = eq.groups.dihedral(4)
    act = eq.actions.image(D4)
    backwards = eq.actions.function(D4, lambda x, g: act(x, D4.inverse(g)))
    check = eq.audit.check_action(backwards, torch.randn(8, 1, 3, 3, generator=torch.Generator().manual_seed(0)))
    assert not check.holds
    g, h = check.worst
    assert D4.product(g, h) != D4.product(h, g)
    assert "first h, then g" in check.problems[0]
    assert repr(D4.name(g)) in check.problems[0]
    assert check.identity == 0
    # Inverses of an element commute with its own: only pairs that do not commute tell the two apart.
    assert float(check.composition[D4["r2"]]) == 0


def test_samples_that_influence_each_other_are_told() -> None:
    centred = eq.actions.function(
        C2, lambda x, g: torch.where(g[:, None] > 0, -x, x) + 0 * x + (x.mean(0) if len(x) > 1 else 0)
    )
    check = eq.audit.check_action(centred, torch.randn(8, 3) + 1)
    assert any("influence each other" in problem for problem in check.problems)


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (lambda x, g: x[:, :1], "returned"),
        (lambda x, g: x.double(), "makes torch.float64"),
        (lambda x, g: x @ torch.ones(2, 2), "cannot transform these samples, [N, 3]"),
    ],
)
def test_functions_that_change_shape_or_kind(function: Any, words: str) -> None:
    act = eq.actions.function(C2, function)
    check = eq.audit.check_action(act, torch.randn(4, 3))
    assert not check.holds
    assert words in check.problems[0]
    with pytest.raises(ActionError, match=r"action .* cannot be audited"):
        eq.audit.audit(torch.randn(40, 3), torch.arange(40) % 2, action=act)


def test_the_same_seed_gives_the_same_audit_and_leaves_the_global_one_alone(
    sides: tuple[Tensor, Tensor], quick: dict[str, Any]
) -> None:
    x, y = sides
    act = eq.actions.image(eq.groups.dihedral(1))
    state = torch.random.get_rng_state()
    reports = [eq.audit.audit(x, y, action=act, seed=seed, **quick) for seed in (3, 3, 4)]
    assert torch.equal(torch.random.get_rng_state(), state)
    texts = [str(report) for report in reports]
    assert texts[0] == texts[1] != texts[2]
    assert torch.equal(reports[0].refits.subgroups[0].differences, reports[1].refits.subgroups[0].differences)


def test_units_are_never_parted_and_folds_are_even() -> None:
    generator = torch.Generator().manual_seed(0)
    units = torch.randint(20, (200,), generator=generator) * 7
    samples = check_samples(torch.randn(200, 2), torch.arange(200) % 2, units)
    fold = folds_of(samples, 4, generator)
    for unit in units.unique():
        assert len(fold[units == unit].unique()) == 1
    assert int(fold.bincount().max() - fold.bincount().min()) <= int(units.unique(return_counts=True)[1].max())


def test_folds_have_the_same_classes() -> None:
    y = torch.tensor([0] * 80 + [1] * 20)
    fold = folds_of(check_samples(torch.randn(100, 2), y), 5, torch.Generator().manual_seed(0))
    for number in range(5):
        assert y[fold == number].bincount().tolist() == [16, 4]


def test_subgroups_of_ones_own(sides: tuple[Tensor, Tensor], quick: dict[str, Any]) -> None:
    x, y = sides
    G = eq.groups.dihedral(4)
    found = eq.audit.refit(
        x,
        y,
        action=eq.actions.image(G),
        cyclic=False,
        subgroups={"turns": ["r"], "half": ["r2"], "again": ["r3"]},
        **quick,
    )
    assert [refit.name for refit in found.subgroups][:3] == ["D4", "turns", "half"]
    assert "again" not in {refit.name for refit in found.subgroups}


X, Y = torch.randn(40, 1, 3, 3), torch.arange(40) % 2


@pytest.mark.parametrize(
    ("changed", "error", "words"),
    [
        ({"y": None}, ActionError, "needs targets y"),
        ({"y": Y[:3]}, ActionError, "target for each of the 40 samples"),
        ({"y": torch.zeros(40, dtype=torch.long)}, ActionError, "nothing to learn"),
        ({"y": Y - 1}, ActionError, "classes are 0, 1, 2"),
        ({"x": X.clone().index_fill_(0, torch.tensor(3), torch.nan)}, NonFiniteError, "x holds NaN"),
        ({"action": None}, ActionError, "an audit is of an action or a group"),
        ({"group": C2}, ActionError, "action is one of C4, but group is C2"),
        ({"output": eq.actions.trivial(C2)}, ActionError, "Use one group"),
        ({"folds": 1}, EquilatentError, "folds is a whole number ≥ 2"),
        ({"folds": 30}, ActionError, "30 folds need at least 60 independent samples"),
        ({"margin": 0}, EquilatentError, "margin"),
        ({"confidence": 1}, EquilatentError, "confidence"),
        ({"steps": 0}, EquilatentError, "steps is a whole number ≥ 1"),
        ({"rate": -1.0}, EquilatentError, "rate is a finite number > 0"),
        ({"score": "auc"}, EquilatentError, "score is one of 'accuracy'"),
        ({"score": "explained"}, EquilatentError, "does not fit targets that are classes"),
        ({"score": lambda output, y: output}, ActionError, "one number for each sample"),
        ({"units": Y[:5]}, ActionError, "which samples belong together"),
        ({"layer": "0"}, ActionError, "give model= as well"),
        ({"subgroups": "r"}, EquilatentError, "subgroups is a dict or a list"),
        (
            {"subgroups": [eq.groups.subgroup(eq.groups.dihedral(4), ["r"])]},
            EquilatentError,
            "subgroups are those of C4",
        ),
        ({"probe": lambda: 3}, EquilatentError, "it returned int"),
        ({"probe": nn.Flatten}, EquilatentError, "no parameters"),
        ({"loss": lambda output, y: output.sum() * torch.nan}, NonFiniteError, "the probe's loss is nan in step 0"),
    ],
)
def test_refusals(changed: dict[str, Any], error: type[Exception], words: str) -> None:
    settings = {"x": X, "y": Y, "action": IMAGES, "steps": 1, "folds": 2} | changed
    with pytest.raises(error) as told:
        eq.audit.audit(settings.pop("x"), settings.pop("y"), **settings)
    assert words in str(told.value)


def test_a_layer_without_its_action_and_large_groups_are_refused() -> None:
    subgroups = {"C4": eq.groups.subgroup(C4, ["r"])}
    with pytest.raises(LatentError, match="give both, or neither"):
        eq.audit.model_changes(nn.Flatten(), X, Y, action=IMAGES, subgroups=subgroups, layer="0")
    S6 = eq.groups.symmetric(6)
    with pytest.raises(GroupTooLargeError, match="cyclic=False"):
        eq.audit.refit(torch.randn(40, 6), Y, action=eq.reps.permutation(S6))


def test_permutations_that_are_no_action_are_told() -> None:
    y = torch.arange(300) % 3
    turned = torch.tensor([1, 2, 0])[y]
    found = eq.audit.label_permutations(C2, torch.stack([y, turned]), y)
    assert found.images[1].tolist() == [1, 2, 0]
    with pytest.raises(ActionError, match="'r' and 'r' do not compose"):
        found.action()
    with pytest.raises(EquilatentError, match=r"LongTensor \[2, 300\]"):
        eq.audit.label_permutations(C2, y[None], y)


def test_weights_of_another_group_are_refused(sides: tuple[Tensor, Tensor], quick: dict[str, Any]) -> None:
    from equilatent.objective import TransformedTask

    x, y = sides
    found = eq.audit.refit(x, y, action=eq.actions.image(eq.groups.dihedral(1)), **quick)
    with pytest.raises(EquilatentError, match="the audit is of D1"):
        eq.audit.strengths(found, eq.groups.subgroup(C4, ["r"]))
    with pytest.raises(EquilatentError, match="TransformedTask has 3 weights, but weights holds 2"):
        eq.audit.with_strengths([TransformedTask((1.0, 1.0, 1.0))], eq.audit.strengths(found))
