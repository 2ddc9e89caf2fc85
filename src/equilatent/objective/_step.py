"""One evaluation of an objective: the passes that its terms ask for, and what each term makes of them."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from equilatent._statistics import effective_rank, feature_rows, mean_square_correlation
from equilatent._structure import batch_size, concatenate, map_tensors, part_of, select, split, tensors
from equilatent.errors import ActionError, LatentError
from equilatent.objective._distances import errors
from equilatent.objective._passes import Model, Reads, View
from equilatent.objective._terms import (
    OUTPUT,
    Algebra,
    DecodedTask,
    Decorrelation,
    Equivariance,
    Task,
    Term,
    TransformedTask,
    term_label,
)

if TYPE_CHECKING:
    from equilatent.objective._objective import Objective

__all__ = ["Step"]

_NOTHING = View(None, {})


class Step:
    """The views of one batch, shared by all terms.

    Args:
        objective: the objective.
        model, x, y, labelled, g: as for `Objective.forward`.

    Attributes:
        plain: what the pass over x gave.
        transformed: what the pass over ρ_X(g)x gave.
        record: what the terms have noted of themselves so far, by the fields of `Terms`.
    """

    def __init__(
        self, objective: Objective, model: Model, x: Any, y: Any, labelled: Tensor | None, g: Tensor | None
    ) -> None:
        count = _check_batch(x, y, labelled)
        self._objective, self._model, self._x, self._y, self._labelled = objective, model, x, y, labelled
        self.record: dict[str, Any] = {}
        self.plain = self.transformed = _NOTHING
        self._rows: Tensor | None = None
        self._g: Tensor
        terms = [term for term in objective.terms if not self._lacks_target(term)]
        plain, transformed = _reads(terms)
        paired = bool(transformed) or any(isinstance(term, DecodedTask) for term in terms)
        if paired:
            self._rows, self._g = _pairs(objective, count, tensors(x)[0][1].device, g)
        self._run(plain, transformed, targets=paired and y is not None)

    def value(self, term: Term, weight: float | Tensor) -> Tensor | None:
        """What a term of that weight, or that weight for each element, adds to the loss; None for nothing."""
        if self._lacks_target(term):
            return None
        if isinstance(term, Task):
            return self._task("task", self.plain.output, self._y, weight, paired=False)
        if isinstance(term, TransformedTask):
            return self._task("transformed_task", self.transformed.output, self._transformed_y, weight, paired=True)
        if isinstance(term, DecodedTask):
            latent = self._objective.act(term, self._source(self.plain.latents[term.layer]), self._g)
            output = self._objective.runner.decode(self._model, self._source(self._x), term.layer, latent)
            return self._task("decoded_task", output, self._transformed_y, weight, paired=True)
        if isinstance(weight, float) and not weight:
            # It is measured, but its value, which may be infinite, is kept out of the loss.
            with torch.no_grad():
                self._measure(term)
            return None
        return _weighted(self._measure(term), weight, self._g if isinstance(term, Equivariance) else None)

    def _measure(self, term: Equivariance | Decorrelation | Algebra) -> Tensor:
        if isinstance(term, Equivariance):
            return self._equivariance(term)
        return self._decorrelation(term) if isinstance(term, Decorrelation) else self._algebra(term)

    def _lacks_target(self, term: Term) -> bool:
        return self._y is None and isinstance(term, Task | TransformedTask | DecodedTask)

    def _source(self, batch: Any) -> Any:
        """The samples of a batch that have a second view."""
        return batch if self._rows is None else select(batch, self._rows)

    def _run(self, plain: Reads, transformed: Reads, *, targets: bool) -> None:
        """The passes that are needed, and the transformed targets."""
        objective, x, y = self._objective, self._x, self._y
        transformed_x = objective.input(self._source(x), self._g) if transformed else None
        if targets:
            same = y is x and objective.output is objective.input and transformed
            self._transformed_y = transformed_x if same else objective.output(self._source(y), self._g)
        if objective.passes == "joint" and plain and transformed:
            both = objective.runner.run(self._model, concatenate(x, transformed_x), plain | transformed)
            count = batch_size(x, "x")
            outputs = split(both.output, count, count + len(self._g)) if both.output is not None else (None, None)
            self.plain = View(outputs[0], {name: latent[:count] for name, latent in both.latents.items()})
            self.transformed = View(outputs[1], {name: latent[count:] for name, latent in both.latents.items()})
            return
        if plain:
            self.plain = objective.runner.run(self._model, x, plain)
        if transformed:
            self.transformed = objective.runner.run(self._model, transformed_x, transformed)

    def _task(self, name: str, output: Any, target: Any, weight: float | Tensor, *, paired: bool) -> Tensor | None:
        """The task loss of one view, over the samples that have a target."""
        g = self._g if paired else None
        if self._labelled is not None:
            mask = self._source(self._labelled) if paired else self._labelled
            if not mask.any():
                return None
            output, target, g = select(output, mask), select(target, mask), None if g is None else g[mask]
        assert self._objective.task_loss is not None
        value = self._objective.task_loss(output, target)
        size = batch_size(target, "y")
        if not isinstance(value, Tensor) or value.shape not in ((), (size,)):
            got = f"shape {list(value.shape)}" if isinstance(value, Tensor) else type(value).__name__
            raise ActionError(
                "task_loss should return a scalar tensor, the mean over the batch, or one loss for each sample, "
                f"[{size}]; got {got}."
            )
        self.record[name] = value.detach().mean()
        return _weighted(value, weight, g)

    def _equivariance(self, term: Equivariance) -> Tensor:
        """The chosen distance for each pair, [P]."""
        label = term_label(term)
        expected = self._objective.act(term, self._source(_read(self.plain, term)), self._g)
        target = _read(self.transformed, term)
        if term.detach == "source":
            expected = map_tensors(Tensor.detach, expected)
        elif term.detach == "transformed":
            target = map_tensors(Tensor.detach, target)
        if term.distance == "centred" and len(self._g) < 2:
            raise LatentError("distance='centred' compares the pairs of a batch; it needs at least two of them.")
        found = errors(expected, target, term.distance, term.axis, label)
        for name, key in (("equivariance", "distance"), ("relative_error", "relative"), ("centred_error", "centred")):
            self.record.setdefault(name, {})[label] = found[key].detach().mean()
        return found["distance"]

    def _decorrelation(self, term: Decorrelation) -> Tensor:
        """The mean squared correlation of the latent's features, over both views where there are two."""
        found = [read for read in (_read(self.plain, term), _read(self.transformed, term)) if read is not None]
        rows = torch.cat([feature_rows(latent, term.axis) for latent in found])
        value = mean_square_correlation(rows)
        with torch.no_grad():
            rank = effective_rank(rows)
        self.record.setdefault("decorrelation", {})[term_label(term)] = value.detach()
        self.record.setdefault("effective_rank", {})[term_label(term)] = rank
        return value

    def _algebra(self, term: Algebra) -> Tensor:
        value = term.loss(term.rho)
        self.record["algebra"] = self.record.get("algebra", 0) + value.detach()
        return value


def _weighted(value: Tensor, weight: float | Tensor, g: Tensor | None) -> Tensor:
    """The mean over samples of weight times value."""
    if isinstance(weight, float):
        return weight * value.mean()
    if not value.ndim or g is None:
        raise ActionError(
            "a weight for each element needs a task_loss that returns one loss for each sample: for cross-entropy, "
            "functools.partial(torch.nn.functional.cross_entropy, reduction='none')."
        )
    return (weight.to(value.dtype)[g] * value).mean()


def _reads(terms: Sequence[Term]) -> tuple[Reads, Reads]:
    """What the terms need of the pass over x, and of that over ρ_X(g)x."""
    plain = transformed = Reads(False, ())
    for term in terms:
        if isinstance(term, Task):
            plain |= Reads(True, ())
        elif isinstance(term, TransformedTask):
            transformed |= Reads(True, ())
        elif not isinstance(term, Algebra):
            needed = Reads(True, ()) if term.layer == OUTPUT else Reads(False, (term.layer,))
            plain |= needed
            if isinstance(term, Equivariance):
                transformed |= needed
    return plain, transformed


def _read(view: View, term: Equivariance | Decorrelation) -> Any:
    """What a view holds of the term's layer; None if nothing was read there."""
    if term.layer != OUTPUT:
        return view.latents.get(term.layer)
    part = term.part if isinstance(term, Equivariance) else None
    return None if view.output is None else part_of(view.output, part, "the model's output")


def _pairs(objective: Objective, batch: int, device: torch.device, g: Tensor | None) -> tuple[Tensor | None, Tensor]:
    """Which samples get a second view (None for all, in order), and the element that transforms each of them."""
    group, generator = objective.group, objective.generator
    count = batch if objective.pair_fraction == 1 else _part(batch, objective.pair_fraction)
    rows: Tensor | None = None
    if count < batch:
        # Given a generator, be it None, drawing cannot be compiled for batches of several sizes.
        if generator is None:
            rows = torch.randperm(batch, device=device)[:count]
        else:
            rows = torch.randperm(batch, generator=generator, device=generator.device)[:count].to(device)
    if objective.draw == "orbit":
        if g is not None:
            raise ActionError("draw='orbit' uses every element; it cannot be given elements as well.")
        whole = torch.arange(batch, device=device) if rows is None else rows
        elements = group.elements.to(device)
        return whole.repeat(len(elements)), elements.repeat_interleave(len(whole))
    if g is not None:
        g = group.check(g, device)
        if g.shape != (batch,):
            raise ActionError(f"g holds one element for each sample: expected [{batch}], got {list(g.shape)}.")
        return rows, g if rows is None else g[rows]
    return rows, group.sample(count, generator=generator, identity=objective.draw == "uniform", device=device)


def _part(batch: int, fraction: float) -> int:
    """The part of a batch, rounded, at least one sample: in whole numbers, which compiled graphs can follow."""
    ratio = Fraction(fraction).limit_denominator(1 << 20)
    count = (2 * batch * ratio.numerator + ratio.denominator) // (2 * ratio.denominator)
    return count if count > 1 else 1


def _check_batch(x: Any, y: Any, labelled: Tensor | None) -> int:
    """The number of samples, refused unless there is one, and a target for each."""
    count = batch_size(x, "x")
    targets = count if y is None else batch_size(y, "y")
    if not count or count != targets:
        raise ActionError(
            f"a batch has at least one sample and a target for each; got {count} samples and {targets} targets. "
            "Drop empty batches in the loader."
        )
    if labelled is not None and (
        not isinstance(labelled, Tensor) or labelled.dtype != torch.bool or labelled.shape != (count,) or y is None
    ):
        got = f"{labelled.dtype} {list(labelled.shape)}" if isinstance(labelled, Tensor) else type(labelled).__name__
        raise ActionError(
            f"labelled says of each sample whether y holds its target: a tensor of torch.bool [{count}], beside y; got "
            f"{got}{' without y' if y is None else ''}."
        )
    return count
