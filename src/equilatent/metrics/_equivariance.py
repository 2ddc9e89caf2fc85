"""How far a model, or one of its layers, is from being equivariant."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, overload

import torch
from torch import Tensor

from equilatent._layers import evaluating
from equilatent.actions import SupportsAction, trivial
from equilatent.errors import ActionError, LatentError
from equilatent.groups import Group
from equilatent.metrics._batches import Samples, batches, check_batch, pass_bar
from equilatent.metrics._orbits import OUTPUT, Orbits, check_same_group

__all__ = ["EquivarianceError", "EquivarianceErrorAccumulator", "equivariance_error", "invariance_error"]


@dataclass(frozen=True)
class EquivarianceError:
    """Mean squares of ρ_Y(g) f(x) − f(ρ_X(g) x), for each element over all samples.

    Attributes:
        group: the group.
        elements: the elements that were measured, LongTensor [n].
        absolute: mean square of the difference, float64 [n], ≥ 0; 0 means exactly equivariant.
        relative: the same over the mean square of f(ρ_X(g) x), float64 [n]; 0 means exactly equivariant, 1 that the
            error is as large as the output itself, and about 2 is what two unrelated outputs of mean zero give.
        centred: the same over the variance of f(x) over the samples (the mean square of f(x) minus its mean), float64
            [n]; 0 means exactly equivariant, 1 as large as what the output tells samples apart by. A large constant in
            the output makes `relative` small, but not this one. NaN for a single sample.
    """

    group: Group
    elements: Tensor
    absolute: Tensor
    relative: Tensor
    centred: Tensor

    @property
    def mean_absolute(self) -> float:
        """Mean over the elements of `absolute`."""
        return float(self.absolute.mean())

    @property
    def mean_relative(self) -> float:
        """Mean over the elements of `relative`."""
        return float(self.relative.mean())

    @property
    def mean_centred(self) -> float:
        """Mean over the elements of `centred`."""
        return float(self.centred.mean())

    @property
    def worst(self) -> int:
        """The element of the largest relative error."""
        return int(self.elements[self.relative.argmax()])

    def __str__(self) -> str:
        return (
            f"equivariance error over {len(self.elements)} elements of {self.group.label}: relative "
            f"{self.mean_relative:.3g} (0: exactly equivariant, 1: as large as the output), centred "
            f"{self.mean_centred:.3g} (1: as large as the output's variance), absolute {self.mean_absolute:.3g}; worst "
            f"element {self.group.name(self.worst)!r} ({float(self.relative.max()):.3g})"
        )


class EquivarianceErrorAccumulator:
    """The equivariance error of samples that come in batches, in memory that does not grow with their number.

    It keeps three numbers for each element, and for the centred error the mean output (Chan, Golub and LeVeque,
    "Updating formulae and a pairwise algorithm for computing sample variances", 1979), in float64 on the CPU.
    `equivariance_error` is this class in a loop; use the class itself where the batches are already being handed out,
    as in a validation loop. A batch that is refused leaves it as it was.

    The arguments are those of `equivariance_error`.

    >>> import torch, equilatent as eq
    >>> G = eq.groups.cyclic(4)
    >>> act = eq.actions.image(G)
    >>> accumulator = eq.metrics.EquivarianceErrorAccumulator(act, act)
    >>> for batch in torch.randn(20, 1, 6, 6).split(8):
    ...     accumulator.update(torch.nn.AvgPool2d(3), batch)
    >>> accumulator.samples, accumulator.compute().mean_relative < 1e-6
    (20, True)
    """

    def __init__(
        self,
        input: SupportsAction,
        output: SupportsAction | Mapping[str, SupportsAction],
        *,
        layer: str | Sequence[str] | None = None,
        elements: Tensor | None = None,
        batch_size: int = 512,
    ) -> None:
        names = [OUTPUT] if layer is None else [layer] if isinstance(layer, str) else list(layer)
        if not names or len(set(names)) < len(names):
            raise LatentError(f"layer names one layer, or several different ones; got {layer!r}.")
        self._single = layer is None or isinstance(layer, str)
        self._actions = _actions(names, output, self._single)
        for action in self._actions.values():
            check_same_group(input, action)
        self._input = input
        self._orbits = Orbits(input, layers=() if layer is None else names, elements=elements, batch_size=batch_size)
        self._sums = {name: _Sums(len(self._orbits.elements)) for name in names}

    @property
    def samples(self) -> int:
        """How many samples it has seen."""
        return next(iter(self._sums.values())).samples

    def update(self, model: Callable[[Tensor], Any], x: Tensor) -> None:
        """Add a batch of samples [B, …], B > 0; it is moved to the device of the model's first parameter.

        Raises:
            ActionError: for an empty batch, or an output that is no tensor or not like those of the batches before.
            NonFiniteError: if an output holds NaN or infinity.
        """
        self._update(model, x, lambda passes: None)

    def compute(self) -> EquivarianceError | dict[str, EquivarianceError]:
        """The error over all samples so far: one, or one for each name if `layer` is a sequence.

        Raises:
            ActionError: if there were no samples.
        """
        if not self.samples:
            raise ActionError("there is no equivariance error of no samples; call update with at least one.")
        group, elements = self._input.group, self._orbits.elements.cpu()
        errors = {name: sums.error(group, elements) for name, sums in self._sums.items()}
        return next(iter(errors.values())) if self._single else errors

    def _update(self, model: Callable[[Tensor], Any], x: Tensor, passes: Callable[[int], object]) -> None:
        x = check_batch(model, x)
        with evaluating(model, self._input, *self._actions.values()):
            plain = self._orbits.plain(model, x)
            added = {name: self._sums[name].batch(_double(plain[name])) for name in self._sums}
            elements = self._orbits.elements.to(x.device)
            for which, sample, results in self._orbits.moved(model, x, passes):
                for name, sums in added.items():
                    expected = self._actions[name](plain[name][sample], elements[which])
                    sums.add_pairs(which, _double(expected), _double(results[name]))
        for name, sums in added.items():
            self._sums[name].merge(sums)


@overload
def equivariance_error(
    model: Callable[[Tensor], Any],
    input: SupportsAction,
    output: SupportsAction,
    x: Samples,
    *,
    layer: str | None = None,
    elements: Tensor | None = None,
    batch_size: int = 512,
    progress: bool = False,
) -> EquivarianceError: ...
@overload
def equivariance_error(
    model: Callable[[Tensor], Any],
    input: SupportsAction,
    output: SupportsAction | Mapping[str, SupportsAction],
    x: Samples,
    *,
    layer: list[str] | tuple[str, ...],
    elements: Tensor | None = None,
    batch_size: int = 512,
    progress: bool = False,
) -> dict[str, EquivarianceError]: ...
def equivariance_error(
    model: Callable[[Tensor], Any],
    input: SupportsAction,
    output: SupportsAction | Mapping[str, SupportsAction],
    x: Samples,
    *,
    layer: str | Sequence[str] | None = None,
    elements: Tensor | None = None,
    batch_size: int = 512,
    progress: bool = False,
) -> EquivarianceError | dict[str, EquivarianceError]:
    """The equivariance error of a model, or of one or several of its layers, between two actions.

    The model is run in evaluation mode without gradients, and left in the mode it was in: once on each batch, and once
    for each element on the moved batch, however many layers are read. Of an iterable only one batch is held at a time,
    and the result is that of the batches put together.

    Args:
        model: any callable on tensors; an nn.Module if `layer` is given.
        input: how the group acts on x.
        output: how it acts on what the model (or the layer) returns; for several layers one action for all, or a
            mapping with one for each.
        x: samples [N, …], N > 0; or an iterable of batches, such as a DataLoader, that is gone through once. A batch is
            a tensor [B, …], or a tuple or list whose first entry is one. Batches are moved to the device of the model's
            first parameter, if it has one.
        layer: dotted name of the layer to read instead of the model's output; or a list of names, for a dictionary
            with the error of each. The name ``""`` is the model itself.
        elements: LongTensor of elements to measure; all of them by default.
        batch_size: how many samples go through the model at once.
        progress: show a progress bar (needs tqdm). It counts passes: a batch moved by one element.

    Raises:
        ActionError: for an empty batch, no batches, an output that is no tensor, or actions of two groups.
        GroupTooLargeError: if the group is too large to be measured whole and no elements are given.
        LatentError: if a layer is not found, or does not run once for each pass.
        MissingDependencyError: if a bar is asked for and tqdm is not installed.
        NonFiniteError: if an output holds NaN or infinity.

    >>> import torch, equilatent as eq
    >>> G = eq.groups.dihedral(4)
    >>> act = eq.actions.image(G)
    >>> x = torch.randn(8, 1, 6, 6, generator=torch.Generator().manual_seed(0))
    >>> eq.metrics.equivariance_error(torch.nn.ReLU(), act, act, x).mean_relative
    0.0
    >>> first_row = lambda x: x[:, 0, 0]
    >>> error = eq.metrics.equivariance_error(first_row, act, eq.actions.trivial(G), x)
    >>> round(error.mean_relative, 1), error.relative[0].item()
    (1.6, 0.0)
    """
    accumulator = EquivarianceErrorAccumulator(input, output, layer=layer, elements=elements, batch_size=batch_size)
    with pass_bar(x, batch_size, len(accumulator._orbits.elements), progress) as passes:
        for batch in batches(x, batch_size):
            accumulator._update(model, batch, passes)
    return accumulator.compute()


@overload
def invariance_error(
    model: Callable[[Tensor], Any],
    input: SupportsAction,
    x: Samples,
    *,
    layer: str | None = None,
    elements: Tensor | None = None,
    batch_size: int = 512,
    progress: bool = False,
) -> EquivarianceError: ...
@overload
def invariance_error(
    model: Callable[[Tensor], Any],
    input: SupportsAction,
    x: Samples,
    *,
    layer: list[str] | tuple[str, ...],
    elements: Tensor | None = None,
    batch_size: int = 512,
    progress: bool = False,
) -> dict[str, EquivarianceError]: ...
def invariance_error(model: Callable[[Tensor], Any], input: SupportsAction, x: Samples, **settings: Any) -> Any:
    """How far a model is from being invariant: its equivariance error when the output is to stay as it is.

    Args:
        model: any callable on tensors; an nn.Module if `layer` is given.
        input: how the group acts on x.
        x: samples [N, …], N > 0, or an iterable of batches.
        **settings: `layer`, `elements`, `batch_size` and `progress`, as for `equivariance_error`.

    >>> import torch, equilatent as eq
    >>> x = torch.randn(8, 3, generator=torch.Generator().manual_seed(0))
    >>> swap = eq.reps.permutation(eq.groups.symmetric(3))
    >>> eq.metrics.invariance_error(lambda x: x.amax(1), swap, x).mean_absolute
    0.0
    """
    return equivariance_error(model, input, trivial(input.group), x, **settings)


class _Sums:
    """What the errors of one output are made of: sums over samples, mean and spread of the plain outputs."""

    def __init__(self, elements: int, device: torch.device | None = None) -> None:
        self.samples = 0
        self.mean: Tensor | None = None  # of the plain outputs, entry by entry
        self.spread = torch.zeros((), dtype=torch.float64)  # their total squared distance from it
        self.difference = torch.zeros(elements, dtype=torch.float64, device=device)
        self.power = torch.zeros(elements, dtype=torch.float64, device=device)

    def batch(self, plain: Tensor) -> _Sums:
        """The sums of another batch, so far without its pairs; refused if its outputs are not like those here."""
        if self.mean is not None and self.mean.shape != plain.shape[1:]:
            raise ActionError(
                f"outputs for one sample of shapes {list(self.mean.shape)} and {list(plain.shape[1:])} in two batches "
                "cannot be put together. Bring all samples to one size; and of one batch (x, y), give x alone."
            )
        batch = _Sums(len(self.difference), plain.device)
        batch.samples, batch.mean = len(plain), plain.mean(0)
        batch.spread = (plain - batch.mean).abs().square().sum()
        return batch

    def add_pairs(self, which: Tensor, expected: Tensor, target: Tensor) -> None:
        """Pairs of an expected and a measured output, each under the element at its position in `which`."""
        if expected.shape != target.shape:
            raise ActionError(f"outputs of shapes {list(expected.shape)} and {list(target.shape)} cannot be compared.")
        rows = (len(target), -1)
        self.difference.index_add_(0, which, (expected - target).abs().square().reshape(rows).sum(1))
        self.power.index_add_(0, which, target.abs().square().reshape(rows).sum(1))

    def merge(self, batch: _Sums) -> None:
        """Take in another batch, whatever device it is on."""
        assert batch.mean is not None
        mean, total = batch.mean.cpu(), self.samples + batch.samples
        if self.mean is None:
            self.mean = torch.zeros_like(mean)
        distance = mean - self.mean
        between = distance.abs().square().sum() * (self.samples * batch.samples / total)
        self.spread = self.spread + batch.spread.cpu() + between
        self.mean = self.mean + distance * (batch.samples / total)
        self.difference = self.difference + batch.difference.cpu()
        self.power = self.power + batch.power.cpu()
        self.samples = total

    def error(self, group: Group, elements: Tensor) -> EquivarianceError:
        assert self.mean is not None
        entries = self.samples * self.mean.numel()
        tiny = torch.finfo(torch.float64).tiny
        absolute = self.difference / entries
        variance = self.spread / entries if self.samples > 1 else torch.tensor(torch.nan)
        relative = self.difference / self.power.clamp_min(tiny)
        return EquivarianceError(group, elements, absolute, relative, absolute / variance.clamp_min(tiny))


def _actions(
    names: Iterable[str], output: SupportsAction | Mapping[str, SupportsAction], single: bool
) -> dict[str, SupportsAction]:
    """The action on what is read under each name."""
    if not isinstance(output, Mapping):
        return dict.fromkeys(names, output)
    if single:
        raise ActionError("output is one action, unless layer is a list of names.")
    if set(output) != set(names):
        raise ActionError(f"output is given for {sorted(output)}, but the layers are {sorted(names)}.")
    return dict(output)


def _double(x: Tensor) -> Tensor:
    return x.to(torch.complex128 if x.is_complex() else torch.float64)
