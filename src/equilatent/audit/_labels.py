"""Which permutation of the classes fits each element best."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from equilatent._seeds import combined_seed
from equilatent.actions import LabelsAction, labels
from equilatent.audit._intervals import Interval, bootstrap
from equilatent.errors import ActionError, EquilatentError, MissingDependencyError
from equilatent.groups import Group

__all__ = ["LabelPermutations", "label_permutations"]


@dataclass(frozen=True)
class LabelPermutations:
    """How the classes seem to be permuted by each element, as far as predictions on transformed samples tell.

    Attributes:
        group: the group.
        images: the class g·c of each class c, LongTensor [order, classes]. The identity, unless another permutation fits
            surely better.
        best: the same, whether or not it fits surely better.
        agreement: the share of samples of class c whose prediction on g·x is g·c, float64 [order, classes]; NaN where
            there is none.
        gain: how many more samples the best permutation fits than the identity does, as a share, for each element; chosen
            on one half of the samples and counted on the other.
    """

    group: Group
    images: Tensor
    best: Tensor
    agreement: Tensor
    gain: tuple[Interval, ...] = field(repr=False)

    def action(self) -> LabelsAction:
        """The permutations as an action on labels, for ``output=`` of an audit or an objective.

        Raises:
            ActionError: if the permutations of the elements do not fit together to an action of the group.
        """
        table = self.group.table()
        composed = self.images[torch.arange(self.group.order)[:, None, None], self.images[None]]
        wrong = (composed != self.images[table]).any(-1).nonzero()
        if len(wrong):
            g, h = (self.group.name(int(element)) for element in wrong[0])
            raise ActionError(
                f"the permutations found are no action of {self.group.label}: those of {g!r} and {h!r} do not compose to "
                "that of their product. Probably the labels do not transform under the whole group; audit a subgroup, or "
                "say how they do: eq.actions.labels(G, {name: images})."
            )
        return labels(self.group, self.images)

    def points(self) -> dict[str, list[int]]:
        """The images of the classes under each generator, as ``eq.actions.labels(G, points)`` takes them."""
        return {name: self.images[g].tolist() for name, g in self.group.generators.items()}


def label_permutations(
    group: Group,
    predictions: Tensor,
    y: Tensor,
    *,
    classes: int | None = None,
    units: Tensor | None = None,
    seed: int = 0,
) -> LabelPermutations:
    """The permutation of classes that agrees best with what is predicted for g·x, for each element.

    It maximises the number of samples of class c that are predicted as g·c, by the Hungarian method. A permutation other
    than the identity is taken only where it agrees more surely than by chance.

    Args:
        group: the group.
        predictions: the class predicted for g·x, LongTensor [order, N]; by a model that was not fitted to x.
        y: the class of x, LongTensor [N].
        classes: how many classes there are; as many as occur by default.
        units: which samples belong together, LongTensor [N].
        seed: of the halving of the samples.

    Raises:
        EquilatentError: for predictions that do not fit the group and the targets.
        MissingDependencyError: if scipy is not installed.

    >>> import torch, equilatent as eq
    >>> G = eq.groups.cyclic(2)
    >>> y = torch.arange(300) % 3
    >>> found = eq.audit.label_permutations(G, torch.stack([y, torch.tensor([1, 0, 2])[y]]), y)
    >>> found.points()
    {'r': [1, 0, 2]}
    >>> found.action()(torch.tensor([0]), torch.tensor([G["r"]]))
    tensor([1])
    """
    if predictions.shape != (group.order, len(y)) or predictions.is_floating_point() or y.is_floating_point():
        raise EquilatentError(
            f"predictions are classes of every sample under every element, a LongTensor [{group.order}, {len(y)}]; got "
            f"{predictions.dtype} {list(predictions.shape)}."
        )
    predictions, y = predictions.cpu(), y.cpu()
    count = max(int(y.max()), int(predictions.max())) + 1
    count = count if classes is None else max(count, classes)
    units = torch.arange(len(y)) if units is None else units.cpu()
    generator = torch.Generator().manual_seed(combined_seed(seed, 5))
    half = (torch.argsort(torch.rand(int(units.max()) + 1, generator=generator)) % 2)[units]
    order = range(group.order)
    best = torch.stack([_fitting(predictions[g], y, count) for g in order])
    crossed = torch.empty_like(predictions)
    for part in (0, 1):
        chosen, counted = half != part, half == part
        for g in order:
            crossed[g, counted] = _fitting(predictions[g, chosen], y[chosen], count)[y[counted]]
    better = (predictions == crossed).double() - (predictions == y).double()
    gain = tuple(bootstrap(better[g][None], half[None], units, bounded=True, seed=seed) for g in order)
    sure = torch.tensor([interval.low > 0 for interval in gain])
    images = torch.where(sure[:, None], best, torch.arange(count))
    agree = (predictions == images[:, y]).double()
    number = y.bincount(minlength=count)
    agreement = torch.zeros(group.order, count, dtype=torch.float64).index_add_(1, y, agree) / number
    return LabelPermutations(group, images, best, agreement, gain)


def _fitting(predicted: Tensor, y: Tensor, classes: int) -> Tensor:
    """The permutation of classes that agrees with most predictions, the identity if it is among the best."""
    try:
        from scipy.optimize import linear_sum_assignment
    except ImportError as error:
        raise MissingDependencyError(
            "the permutation of labels is found with scipy, which is not installed. Install it, pip install scipy, or leave "
            "it out: labels=False."
        ) from error
    confusion = torch.zeros(classes, classes, dtype=torch.long)
    confusion.view(-1).index_add_(0, y * classes + predicted, torch.ones_like(y))
    # Of equally good ones, that which keeps the most classes where they are.
    favoured = confusion * (classes + 1) + torch.eye(classes, dtype=torch.long)
    _, columns = linear_sum_assignment(favoured.numpy(), maximize=True)
    return torch.from_numpy(columns).long()
