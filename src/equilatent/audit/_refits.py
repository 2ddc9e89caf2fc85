"""Probes refitted with augmentation by one subgroup after the other, scored on held-out samples as they are."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from equilatent._batches import progress_bar
from equilatent._seeds import combined_seed
from equilatent.actions import SupportsAction, trivial
from equilatent.audit._intervals import Interval, Verdict, bootstrap, verdict_of
from equilatent.audit._probe import Budget, Score, constant_scores, default_probe, fit, predict, score_of
from equilatent.audit._samples import Samples, check_samples, folds_of
from equilatent.errors import ActionError, EquilatentError, GroupTooLargeError
from equilatent.groups import Group, Subgroup, subgroup, subgroups

__all__ = ["Refit", "Refits", "Subgroups", "cyclic_subgroups", "refit"]

#: Subgroups of one's own: by name or not, each a subgroup or the elements that generate it.
Subgroups: TypeAlias = "Mapping[str, Subgroup | Sequence[str | int]] | Sequence[Subgroup | Sequence[str | int]]"

#: Groups up to this order are searched for their subgroups.
_SEARCHED = 200


@dataclass(frozen=True)
class Refit:
    """What augmentation by one subgroup did.

    Attributes:
        name: what the subgroup is called.
        subgroup: the subgroup.
        score: the mean score of the held-out samples.
        gain: that score less the score without augmentation, with its interval; from paired differences.
        verdict: "helps", "harmless", "hurts" or "too little data".
        enough: for "too little data", about how many samples would do, from how the interval narrows; else None, and
            where the probe learns nothing.
        differences: the gain of each sample, [repeats, N].
    """

    name: str
    subgroup: Subgroup
    score: float
    gain: Interval
    verdict: Verdict
    enough: int | None
    differences: Tensor = field(repr=False)


@dataclass(frozen=True)
class Refits:
    """All refits of an audit.

    Attributes:
        group: the group.
        score_name: what is scored; the more the better.
        plain: the mean held-out score without augmentation.
        learnt: how much more that is than the best constant answer scores; None for a score of one's own. Where it is not
            surely more than nothing, no subgroup is called harmless: what learns nothing cannot be harmed.
        subgroups: what each subgroup did: the cyclic ones by their order, the whole group, those that were named, and those
            that were tried to find the largest.
        largest: the largest subgroup that does not hurt; None if none larger than {e} is known not to.
        margin: the loss in score that does not matter.
        predictions: the class that a probe fitted without augmentation, and not to the sample, gives each sample under each
            element: LongTensor [order, N]. None where targets are numbers.
    """

    group: Group
    score_name: str
    plain: float
    learnt: Interval | None
    subgroups: tuple[Refit, ...]
    largest: Refit | None
    margin: float
    predictions: Tensor | None = field(repr=False)

    def of(self, element: int | str) -> Refit:
        """The refit of the cyclic subgroup that an element generates; g is given as an integer or a word.

        Raises:
            EquilatentError: if that subgroup was not refitted.
        """
        found = subgroup(self.group, [element])
        for refit in self.subgroups:
            if refit.subgroup == found:
                return refit
        raise EquilatentError(
            f"{found.label} was not refitted"
            f"{', as augmentation by the identity changes nothing' if found.order == 1 else ''}; known are "
            f"{', '.join(refit.name for refit in self.subgroups)}."
        )


def cyclic_subgroups(group: Group) -> tuple[Subgroup, ...]:
    """All cyclic subgroups but the trivial one, by their order; conjugate ones are listed one by one.

    Raises:
        GroupTooLargeError: if the group is too large to be searched.

    >>> import equilatent as eq
    >>> [H.name for H in eq.audit.cyclic_subgroups(eq.groups.dihedral(4))]
    ['⟨r2⟩', '⟨s⟩', '⟨r s⟩', '⟨r2 s⟩', '⟨r3 s⟩', '⟨r⟩']
    """
    if group.order > _SEARCHED:
        raise GroupTooLargeError(
            f"{group.label} has {group.order} elements; cyclic subgroups are refitted up to {_SEARCHED}. Name the subgroups "
            "that matter, and leave out the rest: subgroups={'turns': ['r']}, cyclic=False."
        )
    found: dict[Subgroup, None] = {}
    for g in range(1, group.order):
        found.setdefault(subgroup(group, [g]))
    return tuple(sorted(found, key=lambda H: (H.order, H.elements.tolist())))


def refit(
    x: Tensor,
    y: Tensor,
    *,
    action: SupportsAction,
    output: SupportsAction | None = None,
    probe: Callable[[], nn.Module] | None = None,
    subgroups: Subgroups = (),
    cyclic: bool = True,
    score: Score | None = None,
    loss: Callable[[Tensor, Tensor], Tensor] | None = None,
    folds: int = 5,
    repeats: int = 1,
    steps: int = 300,
    batch_size: int = 64,
    rate: float = 3e-3,
    units: Tensor | None = None,
    margin: float = 0.02,
    confidence: float = 0.95,
    seed: int = 0,
    progress: bool = False,
) -> Refits:
    """What augmentation by each subgroup does to a probe: helps, harmless, hurts, or too little data to say.

    A probe is fitted to all folds but one, without augmentation and with augmentation by each subgroup, from the same first
    weights and on the same batches, and scored on the fold that was left out *as it is*. Gains are paired, sample by sample.
    The arguments are those of `audit`, which explains them.

    Raises:
        ActionError: if x and y are no samples with targets, or the action cannot act on them.
        EquilatentError: for settings that make no sense.
        GroupTooLargeError: if all cyclic subgroups are asked of a large group.
        NonFiniteError: if the data or a loss is NaN or infinite.

    >>> import torch, equilatent as eq
    >>> x = torch.rand(400, 1, 2, 2, generator=torch.Generator().manual_seed(0))
    >>> brighter = (x[..., 0].sum((1, 2)) > x[..., 1].sum((1, 2))).long()  # is it the left side?
    >>> tiny = {"probe": lambda: torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(4, 2)), "steps": 40, "rate": 0.1}
    >>> found = eq.audit.refit(x, brighter, action=eq.actions.image(eq.groups.klein_four()), folds=2, **tiny)
    >>> [(refit.name, refit.verdict) for refit in found.subgroups][:2]  # a mirrors up and down, b left and right
    [('⟨a⟩', 'harmless'), ('⟨b⟩', 'hurts')]
    """
    samples = check_samples(x, y, units)
    group = action.group
    output = trivial(group) if output is None else output
    if output.group != group:
        raise ActionError(
            f"the input is transformed by {group.label}, but the output by {output.group.label}. Use one group for both."
        )
    _check_settings(folds, repeats, margin, confidence)
    classes = samples.classes
    if classes is not None:
        rho = getattr(output, "rho", None)
        classes = max(classes, getattr(rho, "dim", 0))
    budget = Budget(steps, batch_size, rate)
    work = _Work(
        samples=samples,
        classes=classes,
        action=action,
        output=output,
        make=probe if probe is not None else lambda: default_probe(samples, classes),
        loss=loss if loss is not None else F.cross_entropy if classes is not None else F.mse_loss,
        score=score,
        folds=folds,
        repeats=repeats,
        budget=budget,
        margin=margin,
        confidence=confidence,
        seed=seed,
    )
    wanted = _wanted(group, subgroups, cyclic)
    with progress_bar((len(wanted) + 1) * folds * repeats, "fit", progress) as done:
        work.fit_plain(done)
        for name, some in wanted.items():
            work.fit_with(name, some, done)
    work.search(progress)
    return work.result()


def _check_settings(folds: int, repeats: int, margin: float, confidence: float) -> None:
    for name, value, least in (("folds", folds, 2), ("repeats", repeats, 1)):
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise EquilatentError(f"{name} is a whole number ≥ {least}; got {value!r}.")
    if isinstance(margin, bool) or not isinstance(margin, int | float) or not 0 < margin < 1e9:
        raise EquilatentError(f"margin is the loss in score that does not matter, a number > 0; got {margin!r}.")
    if isinstance(confidence, bool) or not isinstance(confidence, int | float) or not 0 < confidence < 1:
        raise EquilatentError(f"confidence is a number between 0 and 1; got {confidence!r}.")


def _wanted(group: Group, named: Subgroups, cyclic: bool) -> dict[str, Subgroup]:
    """The subgroups to fit, by name, each once: a name of one's own goes before the others."""
    if isinstance(named, str) or not isinstance(named, Mapping | Sequence):
        raise EquilatentError(
            f"subgroups is a dict or a list of subgroups or lists of generators, such as {{'turns': ['r']}}; got {named!r}."
        )
    own: dict[Subgroup, str] = {}
    items = named.items() if isinstance(named, Mapping) else ((None, some) for some in named)
    for name, some in items:
        found = some if isinstance(some, Subgroup) else subgroup(group, some)
        if found.parent != group:
            raise EquilatentError(f"subgroups are those of {group.label}; got {found.label}.")
        if found.order > 1:
            own.setdefault(found, name if name is not None else found.name)
    whole = subgroup(group, list(group.generators.values()))
    every = dict.fromkeys((*(cyclic_subgroups(group) if cyclic else ()), *((whole,) if group.order > 1 else ()), *own))
    wanted = {own.get(some, group.label if some == whole else some.name): some for some in every}
    if not wanted:
        raise EquilatentError(f"{group.label} has the identity alone; there is nothing to audit.")
    return wanted


class _Work:
    """The fits so far."""

    def __init__(self, **settings: Any) -> None:
        self.samples: Samples = settings["samples"]
        self.classes: int | None = settings["classes"]
        self.action: SupportsAction = settings["action"]
        self.output: SupportsAction = settings["output"]
        self.make: Callable[[], nn.Module] = settings["make"]
        self.loss: Callable[[Tensor, Tensor], Tensor] = settings["loss"]
        self.folds: int = settings["folds"]
        self.repeats: int = settings["repeats"]
        self.budget: Budget = settings["budget"]
        self.margin: float = settings["margin"]
        self.confidence: float = settings["confidence"]
        self.seed: int = settings["seed"]
        self.score_name, self.score, self.weights = score_of(settings["score"], self.samples)
        generators = [torch.Generator().manual_seed(combined_seed(self.seed, 0, r)) for r in range(self.repeats)]
        self.fold = torch.stack([folds_of(self.samples, self.folds, generator) for generator in generators])
        self.plain = torch.empty(0)
        self.learnt: Interval | None = None
        self.predictions: Tensor | None = None
        self.refits: dict[Subgroup, Refit] = {}

    def fit_plain(self, done: Callable[[int], object]) -> None:
        """Fit without augmentation, and keep what these probes say of all transformed held-out samples."""
        count, group = len(self.samples), self.action.group
        if self.classes is not None:
            self.predictions = torch.zeros(group.order, count, dtype=torch.long)
        self.plain = self._fits(None, done)
        constant = constant_scores(self.score_name, self.samples)
        self.learnt = None if constant is None else self._interval(self.plain - constant)

    def fit_with(self, name: str, some: Subgroup, done: Callable[[int], object]) -> Refit:
        """Fit with augmentation by a subgroup, unless that was done before."""
        if some in self.refits:
            return self.refits[some]
        scores = self._fits(some.elements, done)
        differences = scores - self.plain
        gain = self._interval(differences)
        verdict = verdict_of(gain, self.margin)
        enough = None
        if verdict == "too little data":
            # The interval narrows with the root of the number; it has to clear −margin, or 0 from below.
            clear = max(gain.mean + self.margin, -gain.mean)
            enough = round(len(self.samples) * (max(gain.mean - gain.low, gain.high - gain.mean) / clear) ** 2)
        if verdict in ("harmless", "too little data") and self.learnt is not None and self.learnt.low <= 0:
            verdict, enough = "too little data", None
        found = Refit(name, some, self._mean(scores), gain, verdict, enough, differences)
        self.refits[some] = found
        return found

    def search(self, progress: bool) -> None:
        """Fit further subgroups, the largest first, until one does not hurt: only those of elements that do not."""
        group = self.action.group
        if group.order > _SEARCHED:
            return
        fine = {0}
        for some, found in self.refits.items():
            if found.verdict in ("helps", "harmless"):
                # The elements that generate it, if it is cyclic.
                fine.update(g for g in some.elements.tolist() if group.element_order(g) == some.order)
        candidates = [some for some in subgroups(group) if some.order > 1 and fine.issuperset(some.elements.tolist())]
        for order in sorted({some.order for some in candidates}, reverse=True):
            level = [some for some in candidates if some.order == order]
            new = [some for some in level if some not in self.refits]
            with progress_bar(len(new) * self.folds * self.repeats, "fit", progress and bool(new)) as done:
                verdicts = [self.fit_with(some.name, some, done).verdict for some in level]
            if {"helps", "harmless"} & set(verdicts):
                return

    def result(self) -> Refits:
        """What was found."""
        known = [found for found in self.refits.values() if found.verdict in ("helps", "harmless")]
        largest = max(known, key=lambda found: (found.subgroup.order, found.gain.mean), default=None)
        return Refits(
            self.action.group,
            self.score_name,
            self._mean(self.plain),
            self.learnt,
            tuple(self.refits.values()),
            largest,
            self.margin,
            self.predictions,
        )

    def _interval(self, differences: Tensor) -> Interval:
        return bootstrap(
            differences,
            self.fold + self.folds * torch.arange(self.repeats)[:, None],
            self.samples.units,
            weights=self.weights,
            confidence=self.confidence,
            bounded=self.score_name in ("accuracy", "balanced_accuracy"),
            seed=self.seed,
        )

    def _mean(self, scores: Tensor) -> float:
        weights = torch.ones_like(scores) if self.weights is None else self.weights.expand_as(scores)
        return float((weights * scores).sum() / weights.sum())

    def _fits(self, elements: Tensor | None, done: Callable[[int], object]) -> Tensor:
        """The score of each sample in each repeat by the probe that was not fitted to it, [repeats, N]."""
        samples = self.samples
        scores = torch.zeros(self.repeats, len(samples), dtype=torch.float64)
        for repeat in range(self.repeats):
            for fold in range(self.folds):
                held = self.fold[repeat] == fold
                rest = (~held).nonzero()[:, 0].to(samples.x.device)
                model = fit(
                    self.make,
                    samples.x[rest],
                    samples.y[rest],
                    loss=self.loss,
                    budget=self.budget,
                    seed=combined_seed(self.seed, 1, repeat, fold),
                    elements=elements,
                    action=self.action,
                    output=self.output,
                )
                rows = held.nonzero()[:, 0].to(samples.x.device)
                scores[repeat, held] = self.score(predict(model, samples.x[rows]), samples.y[rows])
                if elements is None and repeat == 0 and self.predictions is not None:
                    for g in range(self.action.group.order):
                        moved = self.action(samples.x[rows], torch.full((len(rows),), g, device=rows.device))
                        self.predictions[g, held] = predict(model, moved).argmax(1).cpu()
                done(1)
        return scores
