"""Probes: small networks that are fitted to the data at hand, and how they are scored."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from equilatent._layers import evaluating
from equilatent._seeds import combined_seed
from equilatent.actions import SupportsAction
from equilatent.audit._samples import Samples
from equilatent.errors import ActionError, EquilatentError, NonFiniteError

__all__ = ["Budget", "Score", "constant_scores", "default_probe", "fit", "predict", "score_of"]

#: How a probe is scored: a name, or a function of (output, y) that gives one number a sample, the more the better.
Score: TypeAlias = "Literal['accuracy', 'balanced_accuracy', 'explained', 'loss'] | Callable[[Tensor, Tensor], Tensor]"
_NAMES = ("accuracy", "balanced_accuracy", "explained", "loss")

#: Grids are averaged down to at most so many points along an axis: 2 axes, 3 axes.
_LONGEST = {1: 64, 2: 16, 3: 14}
_WIDTH = 64


@dataclass(frozen=True)
class Budget:
    """What every fit is given: so many steps of Adam on batches of that size, at a rate that falls linearly to 0."""

    steps: int = 300
    batch_size: int = 64
    rate: float = 3e-3

    def __post_init__(self) -> None:
        for name, value in (("steps", self.steps), ("batch_size", self.batch_size)):
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise EquilatentError(f"{name} is a whole number ≥ 1; got {value!r}.")
        if isinstance(self.rate, bool) or not isinstance(self.rate, int | float) or not 0 < self.rate < math.inf:
            raise EquilatentError(f"rate is a finite number > 0; got {self.rate!r}.")


class _Standardised(nn.Module):
    """Takes off the mean of each channel and divides by its deviation."""

    def __init__(self, x: Tensor) -> None:
        super().__init__()
        axes = [axis for axis in range(x.ndim) if axis != 1]
        mean, deviation = x.mean(axes, keepdim=True), x.std(axes, keepdim=True)
        self.register_buffer("mean", mean)
        self.register_buffer("deviation", deviation.clamp_min(1e-3 * deviation.max().clamp_min(1e-12)))

    def forward(self, x: Tensor) -> Tensor:
        return (x - self.mean) / self.deviation  # type: ignore[operator]


def default_probe(samples: Samples, classes: int | None = None) -> nn.Module:
    """A network of three layers for inputs and targets like these.

    Inputs [N, d] get a perceptron; grids [N, C, L], [N, C, H, W] and [N, C, D, H, W] are averaged down to a few points
    along each axis and get convolutions, whose last maps a linear layer reads with their positions. Targets on the same
    grid as the inputs get convolutions alone.
    """
    x, y = samples.x, samples.y
    shape = () if classes is not None else y.shape[1:]
    out = classes if classes is not None else math.prod(shape)
    back: list[nn.Module] = [nn.Unflatten(1, shape)] if len(shape) > 1 else [] if shape or classes else [nn.Flatten(0)]
    grid, channels = x.shape[2:], x.shape[1]
    if not grid or len(grid) > 3:
        width = math.prod(x.shape[1:])
        layers = [nn.Linear(width, _WIDTH), nn.ReLU(), nn.Linear(_WIDTH, _WIDTH), nn.ReLU(), nn.Linear(_WIDTH, out)]
        return nn.Sequential(_Standardised(x), nn.Flatten(), *layers, *back)
    convolution: Any = (nn.Conv1d, nn.Conv2d, nn.Conv3d)[len(grid) - 1]
    if y.ndim == x.ndim and y.shape[2:] == grid:
        wide = [convolution(channels, 16, 3, padding=1), nn.ReLU(), convolution(16, 16, 3, padding=1), nn.ReLU()]
        return nn.Sequential(_Standardised(x), *wide, convolution(16, y.shape[1], 3, padding=1))
    pool: Any = (nn.AvgPool1d, nn.AvgPool2d, nn.AvgPool3d)[len(grid) - 1]
    factor = [math.ceil(length / _LONGEST[len(grid)]) for length in grid]
    size = [length // by for length, by in zip(grid, factor, strict=True)]
    # Convolutions of volumes are dear: the first one takes every other point as well.
    first = 2 if len(grid) == 3 else 1
    for stride in (first, 2, 2):
        size = [-(-length // stride) for length in size]
    layers = [
        *([pool(tuple(factor))] if max(factor) > 1 else []),
        convolution(channels, 8, 3, stride=first, padding=1),
        nn.ReLU(),
        convolution(8, 16, 3, stride=2, padding=1),
        nn.ReLU(),
        convolution(16, 32, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(32 * math.prod(size), out),
    ]
    return nn.Sequential(_Standardised(x), *layers, *back)


def fit(
    make: Callable[[], nn.Module],
    x: Tensor,
    y: Tensor,
    *,
    loss: Callable[[Tensor, Tensor], Tensor],
    budget: Budget,
    seed: int,
    elements: Tensor | None = None,
    action: SupportsAction,
    output: SupportsAction,
) -> nn.Module:
    """A probe fitted to samples, each transformed by an element drawn anew in every step; as they are without elements.

    The same seed gives the same first weights and the same batches, whatever the elements are.
    """
    batches = torch.Generator().manual_seed(combined_seed(seed, 1))
    drawn = torch.Generator().manual_seed(combined_seed(seed, 2))
    with torch.random.fork_rng(devices=[x.device] if x.is_cuda else []), torch.enable_grad():
        torch.manual_seed(combined_seed(seed, 0))
        model = make()
        if not isinstance(model, nn.Module):
            raise EquilatentError(
                f"probe is a function without arguments that makes a new nn.Module; it returned {type(model).__name__}."
            )
        model = model.to(x.device).train()
        parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
        if not parameters:
            raise EquilatentError(
                "the probe has no parameters to fit. Give a function that makes a network to be trained."
            )
        optimizer = torch.optim.Adam(parameters, lr=budget.rate)
        size = min(budget.batch_size, len(x))
        left = torch.empty(0, dtype=torch.long)
        for step in range(budget.steps):
            if len(left) < size:
                left = torch.randperm(len(x), generator=batches)
            rows, left = left[:size].to(x.device), left[size:]
            some_x, some_y = x[rows], y[rows]
            if elements is not None:
                which = torch.randint(len(elements), (size,), generator=drawn)
                g = elements[which].to(x.device)
                some_x, some_y = action(some_x, g), output(some_y, g)
            for group in optimizer.param_groups:
                group["lr"] = budget.rate * (1 - step / budget.steps)
            optimizer.zero_grad()
            value = loss(model(some_x), some_y).mean()
            if not torch.isfinite(value):
                raise NonFiniteError(
                    f"the probe's loss is {float(value.detach())} in step {step}. Lower rate={budget.rate:g}."
                )
            value.backward()
            optimizer.step()
    return model.eval()


def predict(model: Callable[[Tensor], Any], x: Tensor, batch_size: int = 512) -> Tensor:
    """What the model returns for all samples, without gradients and in evaluation mode."""
    with evaluating(model):
        pieces = [model(some) for some in x.split(batch_size)]
    for piece in pieces:
        if not isinstance(piece, Tensor) or not piece.ndim:
            raise ActionError(f"a probe or model returns a tensor [B, …]; got {type(piece).__name__}.")
    found = torch.cat(pieces)
    if len(found) != len(x):
        raise ActionError(f"a probe or model returns one row a sample, [{len(x)}, …]; got {list(found.shape)}.")
    return found


def score_of(score: Score | None, samples: Samples) -> tuple[str, Callable[[Tensor, Tensor], Tensor], Tensor | None]:
    """The name of the score, the function that gives one number a sample, and the weight of each sample, if they differ.

    Raises:
        EquilatentError: for a score that is none, or one of classes where targets are numbers.
    """
    name = score if score is not None else "accuracy" if samples.classes is not None else "explained"
    if callable(name):
        return getattr(name, "__name__", "score"), _checked(name), None
    if name not in _NAMES:
        raise EquilatentError(
            f"score is one of {', '.join(map(repr, _NAMES))}, or a function of (output, y) that gives one number a sample; "
            f"got {score!r}."
        )
    for_classes = samples.classes is not None
    if name != "loss" and for_classes == (name == "explained"):
        kind = "classes" if for_classes else "numbers"
        remedy = "'accuracy' or 'balanced_accuracy'" if for_classes else "'explained'"
        raise EquilatentError(f"score={name!r} does not fit targets that are {kind}. Use {remedy}, or 'loss'.")
    if name == "loss":
        return name, _checked(_minus_cross_entropy if for_classes else _minus_square), None
    if name == "explained":
        y = samples.y
        scale = float((y - y.mean(0)).square().mean())

        def explained(output: Tensor, target: Tensor) -> Tensor:
            return 1 + _minus_square(output, target) / scale

        return name, _checked(explained), None
    weights = None
    if name == "balanced_accuracy":
        counts = samples.y.bincount()
        weights = len(samples) / (int((counts > 0).sum()) * counts[samples.y].double())
    return name, _checked(_right), weights


def constant_scores(name: str, samples: Samples) -> Tensor | None:
    """The score of each sample by the best constant: the most frequent class, or the mean. None for scores of one's own."""
    y = samples.y.cpu()
    if name in ("accuracy", "balanced_accuracy"):
        return (y == y.bincount().argmax()).double()
    if name not in ("explained", "loss"):
        return None
    if samples.classes is not None:
        return (y.bincount().double() / len(y)).log()[y]
    square = (y - y.mean(0)).double().square().reshape(len(y), -1).mean(1)
    return 1 - square / square.mean() if name == "explained" else -square


def _checked(score: Callable[[Tensor, Tensor], Tensor]) -> Callable[[Tensor, Tensor], Tensor]:
    def checked(output: Tensor, y: Tensor) -> Tensor:
        found = score(output, y)
        if not isinstance(found, Tensor) or found.shape != (len(y),):
            got = list(found.shape) if isinstance(found, Tensor) else type(found).__name__
            raise ActionError(f"score gives one number for each sample, [{len(y)}]; got {got}.")
        if not torch.isfinite(found).all():
            raise NonFiniteError("a score of the held-out samples is NaN or infinite.")
        return found.detach().double().cpu()

    return checked


def _right(output: Tensor, y: Tensor) -> Tensor:
    return check_scores(output, y).argmax(1) == y


def _minus_cross_entropy(output: Tensor, y: Tensor) -> Tensor:
    return -F.cross_entropy(check_scores(output, y), y, reduction="none")


def check_scores(output: Tensor, y: Tensor) -> Tensor:
    """The scores of classes themselves, refused unless they are [B, classes]."""
    if output.ndim != 2 or output.shape[1] <= int(y.max()):
        raise ActionError(
            f"targets are classes up to {int(y.max())}, so that the output is their scores [B, classes], classes > "
            f"{int(y.max())}; got {list(output.shape)}."
        )
    return output


def _minus_square(output: Tensor, y: Tensor) -> Tensor:
    if output.shape != y.shape:
        raise ActionError(f"the output should be shaped like y, {list(y.shape)}; got {list(output.shape)}.")
    return -(output - y).square().reshape(len(y), -1).mean(1)
