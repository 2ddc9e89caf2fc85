"""What a trained model makes of transformed samples, by element and class, and what averaging over orbits gains."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from equilatent._batches import check_batch_size, progress_bar
from equilatent._layers import evaluating
from equilatent.actions import SupportsAction, trivial
from equilatent.audit._intervals import Interval, bootstrap
from equilatent.audit._probe import Score, check_scores, score_of
from equilatent.audit._samples import Samples, check_samples
from equilatent.errors import ActionError, EquilatentError, LatentError
from equilatent.groups import Group, Subgroup
from equilatent.metrics import EquivarianceError, equivariance_error

__all__ = ["Changes", "OrbitGain", "model_changes"]


@dataclass(frozen=True)
class OrbitGain:
    """What averaging the model over a subgroup, in place of running it once, gains in score on samples as they are.

    That is what *this model* gains; it does not say whether the symmetry holds: see `refit`.
    """

    name: str
    subgroup: Subgroup
    score: float
    gain: Interval


@dataclass(frozen=True)
class Changes:
    """How a trained model answers to transformed samples.

    Attributes:
        group: the group.
        loss: the mean loss of (g·x, g·y), float64 [order]; the identity's, ``loss[0]``, is that of the samples as they are.
        loss_by_class: the same for each class, float64 [order, classes], NaN for a class without samples. None where targets
            are numbers.
        changed: for classes, the share of samples whose prediction on g·x is not g·(prediction on x); for numbers, the mean
            square of f(g·x) − g·f(x) over the variance of f(x); float64 [order].
        changed_by_class: the same for each class, [order, classes]; None where targets are numbers.
        latent: the equivariance error of the latent; None without a layer.
        score_name: the score that orbit averages are compared in.
        plain: the mean score on the samples as they are.
        orbits: what averaging over each subgroup gains.
        predictions: the class predicted for each transformed sample, LongTensor [order, N]; None where targets are numbers.
    """

    group: Group
    loss: Tensor
    loss_by_class: Tensor | None
    changed: Tensor
    changed_by_class: Tensor | None
    latent: EquivarianceError | None
    score_name: str
    plain: float
    orbits: tuple[OrbitGain, ...]
    predictions: Tensor | None = field(repr=False)


def model_changes(
    model: Callable[[Tensor], Any],
    x: Tensor,
    y: Tensor,
    *,
    action: SupportsAction,
    output: SupportsAction | None = None,
    subgroups: Mapping[str, Subgroup],
    layer: str | None = None,
    latent: SupportsAction | None = None,
    score: Score | None = None,
    units: Tensor | None = None,
    confidence: float = 0.95,
    batch_size: int = 512,
    seed: int = 0,
    progress: bool = False,
) -> Changes:
    """How the loss, the predictions and a latent of a trained model change with each element, and what orbit averages gain.

    The model is run in evaluation mode without gradients, once for each element and sample, and left in the mode it was in.
    Give samples that it was not trained on.

    Args:
        model: returns scores [N, classes], or what is shaped like y.
        x: samples, [N, …].
        y: their targets: classes, LongTensor [N], or floating numbers.
        action: how the group acts on x.
        output: how it acts on y and on the model's output; not at all by default.
        subgroups: the subgroups to average over, by name.
        layer: a layer whose output is looked at as well, by its dotted name.
        latent: how the group acts on that layer's output: a representation or an action.
        score: as for `refit`.
        units: which samples belong together, LongTensor [N].
        confidence: of the intervals.
        batch_size: how many samples go through the model at once.
        seed: of the bootstrap.
        progress: show a progress bar (needs tqdm).

    Raises:
        ActionError: for samples, targets or outputs that do not go together.
        LatentError: if one of layer and latent is given without the other, or the layer is not found.

    >>> import torch, equilatent as eq
    >>> G = eq.groups.cyclic(2)
    >>> x = torch.randn(100, 2, generator=torch.Generator().manual_seed(0))
    >>> swap = eq.reps.regular(G)
    >>> first_is_larger = lambda x: torch.stack([x[:, 1], x[:, 0]], 1)
    >>> changes = eq.audit.model_changes(
    ...     first_is_larger, x, (x[:, 0] > x[:, 1]).long(), action=swap, subgroups={"C2": eq.groups.subgroup(G, ["r"])})
    >>> changes.changed.tolist()
    [0.0, 1.0]
    """
    samples = check_samples(x, y, units)
    group, size = action.group, check_batch_size(batch_size)
    output = trivial(group) if output is None else output
    if output.group != group:
        raise ActionError(
            f"the input is transformed by {group.label}, but the output by {output.group.label}. Use one group for both."
        )
    if (layer is None) != (latent is None):
        raise LatentError(
            "layer says which latent is looked at, and latent how the group acts on it; give both, or neither: "
            "layer='encoder', latent=eq.reps.padded_regular(G, 64)."
        )
    for name, some in subgroups.items():
        if some.parent != group:
            raise EquilatentError(f"subgroups are those of {group.label}; {name!r} is {some.label}.")
    name, measure, weights = score_of(score, samples)
    _, minus_loss, _ = score_of("loss", samples)
    order, count = group.order, len(samples)
    loss, changed = torch.zeros(order, count, dtype=torch.float64), torch.zeros(order, count, dtype=torch.float64)
    predictions = None if samples.classes is None else torch.zeros(order, count, dtype=torch.long)
    scores = torch.zeros(1 + len(subgroups), count, dtype=torch.float64)
    outputs: list[Tensor] = []
    with progress_bar(order * count, "sample", progress) as done, evaluating(model, action, output):
        for start in range(0, count, size):
            rows = slice(start, min(start + size, count))
            some_x, some_y = samples.x[rows], samples.y[rows]
            plain = _run(model, some_x)
            outputs.append(plain)
            scores[0, rows] = measure(plain, some_y)
            backs = []
            for g in range(order):
                elements = torch.full((len(some_x),), g, device=some_x.device)
                moved = plain if g == 0 else _run(model, action(some_x, elements))
                target = output(some_y, elements)
                loss[g, rows] = -minus_loss(moved, target)
                if predictions is not None:
                    answers = check_scores(moved, target).argmax(1)
                    predictions[g, rows] = answers.cpu()
                    changed[g, rows] = (answers != output(plain.argmax(1), elements)).double().cpu()
                else:
                    apart = (moved - output(plain, elements)).double().square()
                    changed[g, rows] = apart.reshape(len(apart), -1).mean(1).cpu()
                backs.append(output(moved, group.inverse(elements)))
                done(len(some_x))
            orbit = torch.stack(backs)
            for number, some in enumerate(subgroups.values()):
                mean = orbit[some.elements.to(orbit.device)].mean(0)
                scores[1 + number, rows] = measure(mean, some_y)
    if predictions is None:
        every = torch.cat(outputs).double()
        changed = changed / float((every - every.mean(0)).square().mean().clamp_min(torch.finfo(torch.float64).tiny))
    weight = torch.ones(count, dtype=torch.float64) if weights is None else weights
    means = (scores * weight).sum(1) / weight.sum()
    bounded = name in ("accuracy", "balanced_accuracy")
    orbits = []
    for number, (called, some) in enumerate(subgroups.items()):
        gain = bootstrap(
            (scores[1 + number] - scores[0])[None],
            torch.zeros(1, count, dtype=torch.long),
            samples.units,
            weights=weights,
            confidence=confidence,
            bounded=bounded,
            seed=seed,
        )
        orbits.append(OrbitGain(called, some, float(means[1 + number]), gain))
    found = None
    if layer is not None and latent is not None:
        found = equivariance_error(model, action, latent, samples.x, layer=layer, batch_size=size)
    return Changes(
        group,
        loss.mean(1),
        _by_class(loss, samples),
        changed.mean(1),
        _by_class(changed, samples),
        found,
        name,
        float(means[0]),
        tuple(orbits),
        predictions,
    )


def _run(model: Callable[[Tensor], Any], x: Tensor) -> Tensor:
    found = model(x)
    if not isinstance(found, Tensor) or not found.ndim or len(found) != len(x):
        got = f"shape {list(found.shape)}" if isinstance(found, Tensor) else type(found).__name__
        raise ActionError(f"the model should return a tensor [{len(x)}, …], one row a sample; got {got}.")
    return found


def _by_class(values: Tensor, samples: Samples) -> Tensor | None:
    """The mean of each element for each class, [order, classes]."""
    if samples.classes is None:
        return None
    y = samples.y.cpu()
    sums = torch.zeros(len(values), samples.classes, dtype=torch.float64).index_add_(1, y, values)
    return sums / y.bincount(minlength=samples.classes)
