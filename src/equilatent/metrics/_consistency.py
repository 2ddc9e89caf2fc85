"""How often a model's answer stays when its input is moved."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from equilatent._layers import evaluating
from equilatent.actions import SupportsAction
from equilatent.errors import ActionError
from equilatent.groups import Group
from equilatent.metrics._batches import Samples, batches, check_batch, pass_bar
from equilatent.metrics._orbits import OUTPUT, Orbits, check_same_group

__all__ = ["PredictionConsistency", "prediction_consistency"]


@dataclass(frozen=True)
class PredictionConsistency:
    """The shares of answers that stay, between 0 and 1.

    Attributes:
        group: the group.
        elements: the elements that were measured, LongTensor [n].
        by_element: the share of samples whose answer stays under each element, float64 [n]; 1 for the identity.
        under_all: the share of samples whose answer stays under every element.
    """

    group: Group
    elements: Tensor
    by_element: Tensor
    under_all: float

    @property
    def mean(self) -> float:
        """Mean over the elements of `by_element`."""
        return float(self.by_element.mean())

    def __str__(self) -> str:
        return (
            f"answers that stay under {len(self.elements)} elements of {self.group.label}: {self.mean:.1%} on average, "
            f"{self.under_all:.1%} under all of them"
        )


def prediction_consistency(
    model: Callable[[Tensor], Any],
    input: SupportsAction,
    x: Samples,
    *,
    output: SupportsAction | None = None,
    elements: Tensor | None = None,
    batch_size: int = 512,
    progress: bool = False,
) -> PredictionConsistency:
    """The share of samples whose answer, the class of the largest score, stays when they are moved.

    The model is run in evaluation mode without gradients, and left in the mode it was in.

    Args:
        model: returns scores [B, classes, …].
        input: how the group acts on x.
        x: samples [N, …], N > 0, or an iterable of batches, as in `equivariance_error`.
        output: how the group permutes classes (`actions.labels`); it leaves them where they are by default.
        elements: LongTensor of elements to measure; all of them by default.
        batch_size: how many samples go through the model at once.
        progress: show a progress bar (needs tqdm).

    Raises:
        ActionError: for an empty batch, or an output that is no tensor of scores.
        GroupTooLargeError: if the group is too large to be measured whole and no elements are given.
        MissingDependencyError: if a bar is asked for and tqdm is not installed.
        NonFiniteError: if a score is NaN or infinite.

    >>> import torch, equilatent as eq
    >>> G = eq.groups.cyclic(4)
    >>> x = torch.randn(16, 1, 6, 6, generator=torch.Generator().manual_seed(0))
    >>> brightest_row = lambda x: x.mean((1, 3))
    >>> print(eq.metrics.prediction_consistency(brightest_row, eq.actions.image(G), x))
    answers that stay under 4 elements of C4: ...% on average, ...% under all of them
    """
    if output is not None:
        check_same_group(input, output, "the classes")
    orbits = Orbits(input, layers=(), elements=elements, batch_size=batch_size)
    by_element, under_all, samples = torch.zeros(len(orbits.elements), dtype=torch.long), 0, 0
    with pass_bar(x, batch_size, len(orbits.elements), progress) as passes:
        for batch in batches(x, batch_size):
            with evaluating(model, input, output):
                same = _same_answers(model, orbits, check_batch(model, batch), output, passes)
            by_element += same.sum(1).cpu()
            under_all += int(same.all(0).sum())
            samples += same.shape[1]
    return PredictionConsistency(input.group, orbits.elements.cpu(), by_element.double() / samples, under_all / samples)


def _same_answers(
    model: Callable[[Tensor], Any],
    orbits: Orbits,
    x: Tensor,
    output: SupportsAction | None,
    passes: Callable[[int], object],
) -> Tensor:
    """Whether the answer stays for each element and each sample of a batch, bool [n, B]."""
    plain = orbits.plain(model, x)[OUTPUT]
    if plain.ndim < 2:
        raise ActionError(f"the model should return scores [B, classes, …]; got shape {list(plain.shape)}.")
    answers, elements = plain.argmax(1), orbits.elements.to(x.device)
    same = torch.empty(len(elements), len(x), dtype=torch.bool, device=x.device)
    for which, sample, results in orbits.moved(model, x, passes):
        expected = answers[sample] if output is None else output(answers[sample], elements[which])
        same[which, sample] = (results[OUTPUT].argmax(1) == expected).reshape(len(which), -1).all(1)
    return same
