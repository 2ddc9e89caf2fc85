"""Whether an action maps data to data-like data: a two-sample test for each element."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias

import torch
from torch import Tensor

from equilatent._batches import progress_bar
from equilatent._seeds import combined_seed
from equilatent.actions import SupportsAction, trivial
from equilatent.audit._intervals import Interval
from equilatent.audit._samples import check_inputs, check_samples
from equilatent.errors import ActionError
from equilatent.groups import Group

__all__ = ["Likeness", "LikenessWord", "area_under_curve", "likeness"]

#: What is said of transformed samples.
LikenessWord: TypeAlias = Literal["data-like", "unlike the data", "too little data"]

#: An area of at most this much above ½ counts as data-like.
_NEAR = 0.1
#: At most so many samples are told apart at once; kernels are matrices of twice this size.
_SAMPLES = 400
_FOLDS = 5
_PARTINGS = 4
_LEAST = 20
#: The ridge of the classifier, as a part of the kernel's diagonal.
_RIDGE = 1e-2
#: Normal quantile of the 95% interval.
_QUANTILE = 1.959964


@dataclass(frozen=True)
class Likeness:
    """How well g·x can be told from x, for each element: the area under the curve of a classifier on held-out samples.

    Attributes:
        group: the group.
        inputs: the area for x against g·x, with a 95% interval, for each element; about ½ for data-like samples, 1 for
            samples that are never mistaken. The identity's tells the test's own error.
        pairs: the same for (x, y) against (g·x, g·y). Where inputs are data-like and pairs are not, the labels transform in
            another way. None without targets.
    """

    group: Group
    inputs: tuple[Interval, ...]
    pairs: tuple[Interval, ...] | None

    def word(self, element: int | str, what: Literal["inputs", "pairs"] = "inputs") -> LikenessWord:
        """An area in words: below .6 for sure, above .6 for sure, or neither."""
        areas = self.inputs if what == "inputs" else self.pairs
        if areas is None:
            raise ActionError("pairs were not compared: there are no targets y.")
        area = areas[self.group[element] if isinstance(element, str) else element]
        if area.high <= 0.5 + _NEAR:
            return "data-like"
        return "unlike the data" if area.low > 0.5 + _NEAR else "too little data"


def likeness(
    action: SupportsAction,
    x: Tensor,
    y: Tensor | None = None,
    *,
    output: SupportsAction | None = None,
    units: Tensor | None = None,
    seed: int = 0,
    progress: bool = False,
) -> Likeness:
    """Whether an action maps data to data-like data.

    The samples are parted into halves at random, one half is transformed, and a kernel classifier (ridge regression with a
    Gaussian kernel, whose width is the median distance) learns to tell it from the other. Its area under the curve is
    measured on samples that it was not fitted to, and is a mean over four partings. No unit is on both sides.

    Args:
        action: how the group acts on x.
        x: samples, [N, …]; 800 of them at most are used.
        y: their targets; None to look at x alone.
        output: how the group acts on y; not at all by default.
        units: which samples belong together, LongTensor [N].
        seed: of the parting.
        progress: show a progress bar (needs tqdm).

    Raises:
        ActionError: if x, y are no samples, or there are fewer than 20 units.
        NonFiniteError: if they hold NaN or infinity.

    >>> import torch, equilatent as eq
    >>> generator = torch.Generator().manual_seed(0)
    >>> x = torch.randn(400, 3, generator=generator) + torch.tensor([1.0, 0.0, 0.0])
    >>> swap = eq.actions.function(eq.groups.cyclic(2), lambda x, g: torch.where(g[:, None] > 0, x[:, [0, 2, 1]], x))
    >>> wrong = eq.actions.function(eq.groups.cyclic(2), lambda x, g: torch.where(g[:, None] > 0, -x, x))
    >>> [eq.audit.likeness(act, x).word("r") for act in (swap, wrong)]
    ['data-like', 'unlike the data']
    """
    group = action.group
    if y is None:
        x, unit = check_inputs(x), check_samples(check_inputs(x), torch.arange(len(x)), units).units
        targets = None
    else:
        samples = check_samples(x, y, units)
        x, unit, targets = samples.x, samples.units, samples.y
    output = trivial(group) if output is None else output
    count = int(unit.max()) + 1
    if count < _LEAST:
        raise ActionError(
            f"telling transformed samples from others needs at least {_LEAST} independent samples; there are {count}."
        )
    generator = torch.Generator().manual_seed(combined_seed(seed, 3))
    some = torch.randperm(len(x), generator=generator)[: 2 * _SAMPLES].sort().values
    unit = unit[some].unique(return_inverse=True)[1]
    partings = [_parting(unit, generator) for _ in range(_PARTINGS)]
    x = x[some.to(x.device)]
    squares = _Squares(_Features(x), x)
    target_squares = None
    if targets is not None:
        targets = targets[some.to(targets.device)]
        target_squares = _Squares(_Targets(targets), targets)
    inputs, pairs = [], []
    with progress_bar(group.order, "element", progress) as done:
        for g in range(group.order):
            elements = torch.full((len(x),), g, device=x.device)
            apart = squares.with_transformed(action(x, elements))
            of_pairs = None
            if target_squares is not None:
                of_pairs = target_squares.with_transformed(output(targets, elements))  # type: ignore[arg-type]
            areas, pair_areas = [], []
            for first, second, fold in partings:
                rows = torch.cat([first, len(x) + second])
                side = torch.cat([-torch.ones(len(first)), torch.ones(len(second))]).double()
                owner = unit[torch.cat([first, second])]
                kernel = _kernel(apart[rows][:, rows])
                areas.append(_area(_held_out(kernel, side, fold[owner]), side, owner))
                if of_pairs is not None:
                    both = kernel * (1 + _kernel(of_pairs[rows][:, rows]))
                    pair_areas.append(_area(_held_out(both, side, fold[owner]), side, owner))
            inputs.append(_averaged(areas))
            if of_pairs is not None:
                pairs.append(_averaged(pair_areas))
            done(1)
    return Likeness(group, tuple(inputs), tuple(pairs) if targets is not None else None)


def _parting(unit: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
    """Two sets of samples of about one size that share no unit, and the fold of each unit."""
    count = int(unit.max()) + 1
    order = torch.argsort(torch.rand(count, generator=generator))
    side = (order % 2)[unit]
    return (side == 0).nonzero()[:, 0], (side == 1).nonzero()[:, 0], order // 2 % _FOLDS


def _averaged(areas: list[Interval]) -> Interval:
    """The mean over partings, with an interval as wide as that of one: they are of the same samples."""
    return Interval(*(sum(ends) / len(areas) for ends in zip(*((a.mean, a.low, a.high) for a in areas), strict=True)))


class _Squares:
    """Squared distances between samples, and between them and transformed ones."""

    def __init__(self, features: Callable[[Tensor], Tensor], values: Tensor) -> None:
        self.features, self.rows = features, features(values)
        self.squares = torch.cdist(self.rows, self.rows).square()

    def with_transformed(self, transformed: Tensor) -> Tensor:
        """Those of the samples and, behind them, the transformed ones, [2N, 2N]."""
        rows = self.features(transformed)
        across = torch.cdist(self.rows, rows).square()
        among = torch.cdist(rows, rows).square()
        return torch.cat([torch.cat([self.squares, across], 1), torch.cat([across.mT, among], 1)])


class _Features:
    """Samples as rows, each entry less its mean and over its deviation, those that hardly vary over a larger one."""

    def __init__(self, x: Tensor) -> None:
        rows = x.reshape(len(x), -1)
        self.mean, deviation = rows.mean(0), rows.std(0)
        floor = 0.3 * deviation.square().mean().sqrt()
        self.scale = torch.maximum(deviation, floor).clamp_min(1e-12)

    def __call__(self, x: Tensor) -> Tensor:
        return ((x.reshape(len(x), -1) - self.mean) / self.scale).cpu()


class _Targets:
    """Targets as rows: classes one-hot, numbers as inputs are."""

    def __init__(self, y: Tensor) -> None:
        self.classes = None if y.is_floating_point() else int(y.max()) + 1
        self.features = _Features(y) if y.is_floating_point() else None

    def __call__(self, y: Tensor) -> Tensor:
        if self.features is not None:
            return self.features(y)
        assert self.classes is not None
        return torch.nn.functional.one_hot(y, max(self.classes, int(y.max()) + 1)).float().cpu()


def _kernel(squares: Tensor) -> Tensor:
    apart = squares[torch.triu(torch.ones_like(squares, dtype=torch.bool), 1)]
    width = apart.median()
    if not width > 0:  # more than half of the pairs are equal, as with few classes
        width = apart.mean().clamp_min(1e-12)
    return torch.exp(-squares.double() / width)


def _held_out(kernel: Tensor, side: Tensor, fold: Tensor) -> Tensor:
    """What the classifier says of each sample when it was fitted to the other folds."""
    said = torch.zeros_like(side)
    for number in range(_FOLDS):
        held, rest = fold == number, fold != number
        mean = side[rest].mean()
        inner = kernel[rest][:, rest]
        ridge = _RIDGE * inner.diagonal().mean() * torch.eye(len(inner), dtype=inner.dtype)
        said[held] = kernel[held][:, rest] @ torch.linalg.solve(inner + ridge, side[rest] - mean)
    return said


def _area(said: Tensor, side: Tensor, owner: Tensor) -> Interval:
    return area_under_curve(said[side < 0], said[side > 0], owner[side < 0], owner[side > 0])


def area_under_curve(
    negative: Tensor, positive: Tensor, negative_units: Tensor | None = None, positive_units: Tensor | None = None
) -> Interval:
    """P(positive > negative) + ½ P(equal), with DeLong's 95% interval; units, if given, are taken as wholes.

    >>> import torch
    >>> float(area_under_curve(torch.tensor([0.0, 1.0]), torch.tensor([1.0, 2.0])).mean)
    0.875
    """
    difference = positive[:, None] - negative[None, :]
    wins = (difference > 0).double() + 0.5 * (difference == 0).double()
    area = wins.mean()
    variance = torch.zeros(())
    for rows, unit in ((wins, positive_units), (wins.mT, negative_units)):
        apart = rows.mean(1) - area
        if unit is not None:
            at = unit.unique(return_inverse=True)[1]
            apart = torch.zeros(int(at.max()) + 1, dtype=apart.dtype).index_add_(0, at, apart)
        number = len(apart)
        variance = variance + apart.square().sum() / len(rows) ** 2 * number / max(1, number - 1)
    spread = _QUANTILE * float(variance.sqrt())
    return Interval(float(area), max(0.0, float(area) - spread), min(1.0, float(area) + spread))
