"""The audit: everything there is to ask before, or after, training with a group."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from equilatent.actions import SupportsAction, describe_action, trivial
from equilatent.audit._changes import Changes, model_changes
from equilatent.audit._labels import LabelPermutations, label_permutations
from equilatent.audit._law import ActionCheck, check_action
from equilatent.audit._likeness import Likeness, likeness
from equilatent.audit._names import default_action
from equilatent.audit._probe import Score
from equilatent.audit._read import Source, read
from equilatent.audit._refits import Refit, Refits, Subgroups, refit
from equilatent.audit._samples import check_samples
from equilatent.audit._table import as_text
from equilatent.errors import ActionError
from equilatent.groups import Group

__all__ = ["Audit", "audit"]


@dataclass(frozen=True)
class Audit:
    """What an audit found. ``print(report)`` shows it as tables, ``report.save("audit.html")`` writes a page.

    Attributes:
        group: the group.
        count: how many samples there were.
        acting: the action in words.
        check: whether it is an action.
        output_check: whether that on the targets is one.
        likeness: whether it maps data to data-like data.
        refits: what augmentation by each subgroup does.
        labels: how the classes seem to be permuted; None where targets are numbers, or if it was not asked for.
        changes: how a trained model answers; None without one.
        orbit: one of the samples under each element, [order, …].
    """

    group: Group
    count: int
    acting: str
    check: ActionCheck
    output_check: ActionCheck
    likeness: Likeness
    refits: Refits
    labels: LabelPermutations | None
    changes: Changes | None
    orbit: Tensor = field(repr=False)

    @property
    def largest(self) -> Refit | None:
        """The largest subgroup that does not hurt; None if there is none but {e}."""
        return self.refits.largest

    def __str__(self) -> str:
        return as_text(self)

    def save(self, path: str | Path) -> Path:
        """Write the audit as a page that stands alone, with the elements as pictures; returns where it is.

        Raises:
            MissingDependencyError: if jinja2 is not installed.
        """
        from equilatent.audit._page import as_page

        page = Path(path)
        page.parent.mkdir(parents=True, exist_ok=True)
        page.write_text(as_page(self), encoding="utf-8")
        return page.resolve()


def audit(
    x: Tensor | Source,
    y: Tensor | None = None,
    *,
    action: SupportsAction | None = None,
    group: Group | None = None,
    output: SupportsAction | None = None,
    probe: Callable[[], nn.Module] | None = None,
    model: Callable[[Tensor], Any] | None = None,
    layer: str | None = None,
    latent: SupportsAction | None = None,
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
    tolerance: float = 1e-4,
    labels: bool = True,
    seed: int = 0,
    progress: bool = False,
) -> Audit:
    """Does this group act on this task?

    Four questions are asked of the data: whether the action is one (`check_action`), whether it maps data to data-like
    data (`likeness`), what augmentation by each cyclic subgroup, by the whole group and by named subgroups does to a small
    network (`refit`), and how the labels seem to transform (`label_permutations`). With a trained model there is a fifth:
    what it makes of transformed samples (`model_changes`).

    A verdict is one about a probe with its budget, on data like these. It is taken on held-out samples *as they are*: each
    is scored by the probe that was not fitted to it. Intervals are those of single comparisons; among many subgroups that
    change nothing, about one in forty looks as if it hurt.

    Args:
        x: samples [N, …]; or where samples and targets are, as for `read`.
        y: targets: classes, LongTensor [N], or floating numbers [N, …].
        action: how the group acts on x; by default how it is known to act on images, volumes or sequences.
        group: the group, if there is no action.
        output: how the group acts on y, and on the model's output; not at all by default.
        probe: a function without arguments that makes a small network; by default a perceptron for x [N, d], and three
            convolutions for grids. It is made anew for each fit.
        model: a trained model, for samples that it was not trained on.
        layer: a layer of it to look at.
        latent: how the group acts on that layer's output.
        subgroups: further subgroups to fit, as lists of generators, such as ``{"turns": ["r"]}``.
        cyclic: whether all cyclic subgroups are fitted.
        score: how a sample is scored, the more the better. ``"accuracy"``, the default for classes;
            ``"balanced_accuracy"``, in which all classes weigh the same; ``"explained"``, the default for numbers,
            1 − square error / variance of y; ``"loss"``, minus the cross-entropy or the square error; or a function of
            (output, y) with one number a sample.
        loss: what probes are fitted with; cross-entropy or the mean square by default.
        folds: into how many parts the samples are parted; each is held out once.
        repeats: how often all of that is done, with other folds and weights. More make intervals narrower where fits
            differ much.
        steps: how long a probe is fitted, in steps of Adam.
        batch_size: samples in a step.
        rate: of the first step; it falls linearly to 0.
        units: which samples belong together (a patient, a scan and its mirror image), LongTensor [N]: they are never parted.
        margin: the loss in score that does not matter.
        confidence: of the intervals.
        tolerance: the largest difference that `check_action` takes for rounding.
        labels: whether to look for permutations of the classes (needs scipy).
        seed: of everything: the same seed gives the same audit on the same machine.
        progress: show progress bars (needs tqdm).

    Returns:
        What was found, as tables and numbers.

    Raises:
        ActionError: if samples, targets and actions do not go together, or the action cannot act on the samples.
        DataError: if a file or a loader does not hold what it should.
        EquilatentError: for settings that make no sense.
        GroupTooLargeError: if all cyclic subgroups of a large group are asked for.
        NonFiniteError: if data or a loss is NaN or infinite.

    >>> import torch, equilatent as eq
    >>> x = torch.rand(400, 1, 2, 2, generator=torch.Generator().manual_seed(0))
    >>> brighter = (x[..., 0].sum((1, 2)) > x[..., 1].sum((1, 2))).long()  # is it the left side?
    >>> tiny = {"probe": lambda: torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(4, 2)), "steps": 40, "rate": 0.1}
    >>> mirror = eq.groups.dihedral(1)  # which exchanges left and right
    >>> report = eq.audit.audit(x, brighter, group=mirror, folds=2, **tiny)
    >>> report.refits.of("s").verdict, report.labels.points(), report.largest is None
    ('hurts', {'s': [1, 0]}, True)
    >>> swapped = eq.audit.audit(x, brighter, group=mirror, output=report.labels.action(), folds=2, **tiny)
    >>> swapped.refits.of("s").verdict
    'helps'
    """
    if not isinstance(x, Tensor):
        if y is not None:
            raise ActionError("y is given for a tensor x; a file or a loader holds both.")
        x, y = read(x, seed=seed)
    if y is None:
        raise ActionError(
            "an audit needs targets y. Without them ask check_action(action, x) and likeness(action, x) alone."
        )
    if action is None:
        if group is None:
            raise ActionError(
                "an audit is of an action or a group: action=eq.actions.image(G), or group=G for its default."
            )
        action, x = default_action(group, x)
    elif group is not None and action.group != group:
        raise ActionError(f"action is one of {action.group.label}, but group is {group.label}. Leave group out.")
    group = action.group
    samples = check_samples(x, y, units)
    output = trivial(group) if output is None else output
    checks = []
    for what, act, values in (("action", action, samples.x), ("output", output, samples.y)):
        check = check_action(act, values, tolerance=tolerance, seed=seed)
        if not check.composition.isfinite().all():
            raise ActionError(f"{what} ({describe_action(act)}) cannot be audited: {check.problems[0]}")
        checks.append(check)
    found = refit(
        x,
        y,
        action=action,
        output=output,
        probe=probe,
        subgroups=subgroups,
        cyclic=cyclic,
        score=score,
        loss=loss,
        folds=folds,
        repeats=repeats,
        steps=steps,
        batch_size=batch_size,
        rate=rate,
        units=units,
        margin=margin,
        confidence=confidence,
        seed=seed,
        progress=progress,
    )
    alike = likeness(action, x, y, output=output, units=units, seed=seed, progress=progress)
    changes = None
    if model is not None:
        changes = model_changes(
            model,
            x,
            y,
            action=action,
            output=output,
            subgroups={refit.name: refit.subgroup for refit in found.subgroups},
            layer=layer,
            latent=latent,
            score=score,
            units=units,
            confidence=confidence,
            seed=seed,
            progress=progress,
        )
    elif layer is not None or latent is not None:
        raise ActionError("layer and latent are those of a trained model; give model= as well.")
    predictions = found.predictions if changes is None else changes.predictions
    permutations = None
    if labels and predictions is not None:
        permutations = label_permutations(group, predictions, samples.y, units=units, seed=seed)
    shown = samples.x.reshape(len(samples), -1).std(1).argmax()
    orbit = action(samples.x[shown][None].repeat(group.order, *[1] * (x.ndim - 1)), group.elements.to(x.device)).cpu()
    words = describe_action(action)
    return Audit(group, len(samples), words, checks[0], checks[1], alike, found, permutations, changes, orbit)
