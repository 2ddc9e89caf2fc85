"""The training objective of section 5: a fixed representation on the latent, imposed by one extra loss term."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, get_args

import torch
from torch import Tensor, nn

from equilatent._layers import check_latent, evaluating, run_with_layers
from equilatent.actions import Action, FunctionAction, SupportsAction
from equilatent.errors import ActionError, LatentError, RepresentationError
from equilatent.groups import Group
from equilatent.objective._common import (
    Distance,
    check_batch,
    latent_errors,
    moved_pair,
    not_finite,
    of_group,
    scalar_loss,
    weight,
)
from equilatent.objective._describe import describe_objective
from equilatent.reps import Representation, padded_regular

__all__ = ["Distance", "Draw", "Model", "Objective", "Passes", "Terms"]

Draw: TypeAlias = Literal["uniform", "non_identity", "orbit"]
Passes: TypeAlias = Literal["joint", "separate"]
#: A module whose latent is a named layer, a module that returns (output, latent), or an (encoder, decoder) pair.
Model: TypeAlias = "nn.Module | tuple[Callable[[Tensor], Tensor], Callable[[Tensor], Any]]"

#: What the latent is called in messages and records when it is not a named layer.
_UNNAMED = "latent"


@dataclass(frozen=True)
class Terms:
    """What one evaluation of the objective consisted of: detached scalars, on the device of the loss.

    Attributes:
        loss: the weighted total.
        task: the task loss on (x, y), unweighted.
        shifted_task: the task loss on (ρ_X(g) x, ρ_Y(g) y), unweighted; None if its weight is 0.
        equivariance: the distance between ρ_Z(g) E(x) and E(ρ_X(g) x) in each layer, unweighted.
        relative_error: their mean square difference over the mean square of E(ρ_X(g) x) in each layer, whatever the
            distance: 0 is exactly equivariant, 1 as large as the latent itself.
        centred_error: the same over the variance of E(ρ_X(g) x) over the batch (its mean square about the batch mean),
            which neither shrinking the latent nor adding a constant to it makes small; NaN for a single pair.
    """

    loss: Tensor
    task: Tensor
    shifted_task: Tensor | None
    equivariance: Mapping[str, Tensor]
    relative_error: Mapping[str, Tensor]
    centred_error: Mapping[str, Tensor]

    def as_tensors(self) -> dict[str, Tensor]:
        """All terms in one mapping; several layers are told apart as ``"name/layer"``. Does not wait for the device."""
        tensors = {"loss": self.loss, "task": self.task}
        if self.shifted_task is not None:
            tensors["shifted_task"] = self.shifted_task
        for name in ("equivariance", "relative_error", "centred_error"):
            values: Mapping[str, Tensor] = getattr(self, name)
            for layer, value in values.items():
                tensors[name if len(values) == 1 else f"{name}/{layer}"] = value
        return tensors

    def as_floats(self) -> dict[str, float]:
        """`as_tensors` as plain floats, ready for a logger.

        Waits for the device, as any ``.item()`` does.
        """
        return {name: float(value) for name, value in self.as_tensors().items()}


class Objective(nn.Module):
    """Task loss, task loss on the moved pair, and the equivariance of the latent (paper, section 5).

    For a batch (x, y) and elements g drawn uniformly,

        loss = w · L(D(E x), y) + w' · L(D(E ρ_X(g) x), ρ_Y(g) y) + Σ_layers λ · distance(ρ_Z(g) E x, E ρ_X(g) x).

    The model is unchanged: no parameters, no hooks that stay, nothing extra at inference.

    Args:
        group: the finite group G.
        input: how G acts on x.
        output: how G acts on targets y; `actions.trivial` for an invariant task.
        task_loss: ``task_loss(model_output, target)``, a scalar *mean* over the batch.
        layer: the layer whose output is the latent, by its dotted name (``"encoder.9"``); several as a sequence, or as
            a mapping to their own strengths. None if the model is an (encoder, decoder) pair or returns
            (output, latent).
        latent: ρ_Z. ``"regular"`` is `reps.padded_regular` over the feature axis (equation 5); or any representation
            (acting along the feature axis) or action, such as ``actions.image(G)`` on a spatial latent (section 6.3) or
            ``actions.compose(actions.image(G), reps.padded_regular(G, 96))`` for both together. A mapping gives each
            layer its own.
        latent_axis: the feature axis of the latent.
        strength: λ, for layers that have no strength of their own.
        task_weight: the weight w.
        shifted_task_weight: the weight w'.
        distance: ``"mse"``, the mean square of the paper, which a latent can meet by shrinking; ``"relative"``, the
            mean square over that of E(ρ_X(g) x), which it can still meet by adding a large constant (a following batch
            norm hides both); or ``"centred"``, the mean square over the variance of E(ρ_X(g) x) over the batch, which
            a few invariant features of large variance can still meet where a batch norm rescales every feature. Where
            a norm follows, name the norm's output as the latent: behind it all three measure the same. ``"centred"``
            needs two pairs in every batch.
        draw: ``"uniform"`` draws one element a sample, ``"non_identity"`` never the identity, ``"orbit"`` uses every
            element for every sample (|G| times the cost).
        passes: ``"separate"`` sends x and ρ_X(g) x through the model one after the other, so that batch norm normalises
            each by its own statistics and updates its running ones twice; ``"joint"`` sends them as one batch of twice
            the size, normalised by common statistics.
        pair_fraction: the part of each batch that gets a second pass, in (0, 1]. Which samples is drawn afresh each
            time, so that every term stays an unbiased estimate.
        generator: the source of randomness.
        check_finite: raise `NonFiniteError` naming the term when the loss is NaN or infinite. On an accelerator this
            waits for the device once a step.

    >>> import torch, equilatent as eq
    >>> from torch import nn
    >>> G = eq.groups.dihedral(4)
    >>> model = nn.Sequential(nn.Flatten(), nn.Linear(36, 16), nn.ReLU(), nn.Linear(16, 3))
    >>> objective = eq.Objective(
    ...     G, input=eq.actions.image(G), output=eq.actions.trivial(G),
    ...     task_loss=nn.functional.cross_entropy, layer="1", strength=1.0)
    >>> loss, terms = objective(model, torch.randn(32, 1, 6, 6), torch.randint(3, (32,)))
    >>> sorted(terms.as_floats())
    ['centred_error', 'equivariance', 'loss', 'relative_error', 'shifted_task', 'task']
    """

    def __init__(
        self,
        group: Group,
        *,
        input: SupportsAction,
        output: SupportsAction,
        task_loss: Callable[[Any, Tensor], Tensor],
        layer: str | Sequence[str] | Mapping[str, float] | None = None,
        latent: Literal["regular"] | SupportsAction | Mapping[str, Literal["regular"] | SupportsAction] = "regular",
        latent_axis: int = 1,
        strength: float = 1.0,
        task_weight: float = 0.5,
        shifted_task_weight: float = 0.5,
        distance: Distance = "mse",
        draw: Draw = "uniform",
        passes: Passes = "separate",
        pair_fraction: float = 1.0,
        generator: torch.Generator | None = None,
        check_finite: bool = True,
    ) -> None:
        super().__init__()
        self.group = group
        self.task_loss = task_loss
        self.strengths = _strengths(layer, strength)
        self.named = layer is not None
        self.latent_axis = latent_axis
        self.task_weight = weight("task_weight", task_weight)
        self.shifted_task_weight = weight("shifted_task_weight", shifted_task_weight)
        self.distance = _choice("distance", distance, Distance)
        self.draw = _choice("draw", draw, Draw)
        self.passes = _choice("passes", passes, Passes)
        if not 0 < pair_fraction <= 1:
            raise LatentError(
                f"pair_fraction is the part of a batch that gets a second pass, in (0, 1]; got {pair_fraction!r}."
            )
        self.pair_fraction = pair_fraction
        self.generator = generator
        self.check_finite = check_finite
        self.input = of_group(group, "input", input)
        self.output = of_group(group, "output", output)
        chosen = latent if isinstance(latent, Mapping) else dict.fromkeys(self.strengths, latent)
        if set(chosen) != set(self.strengths):
            raise LatentError(f"latent is given for {sorted(chosen)}, but the layers are {sorted(self.strengths)}.")
        self._latents: dict[str, Any] = {
            name: None if value == "regular" else of_group(group, "latent", value) for name, value in chosen.items()
        }
        self._modules_of_latents = nn.ModuleList(  # so that .to() reaches them
            part for part in self._latents.values() if isinstance(part, nn.Module)
        )
        self._regular = nn.ModuleDict()

    def forward(self, model: Model, x: Tensor, y: Tensor, *, g: Tensor | None = None) -> tuple[Tensor, Terms]:
        """The loss of a batch and the terms it consists of.

        Args:
            model: see `layer`.
            x: inputs [B, …], B > 0.
            y: targets [B, …].
            g: the elements to use, LongTensor [B], instead of drawing them (not with ``draw="orbit"``).

        Returns:
            The scalar loss to call ``backward`` on, and its `Terms`.

        Raises:
            LatentError: if the latent cannot be found or cannot carry the representation.
            ActionError, GroupError: if an input or an element cannot be acted on, or the batch is empty.
            NonFiniteError: if a term is NaN or infinite.
        """
        check_batch(x, y)
        rows, g = self._pairs(len(x), x.device, g)
        source_x = x if rows is None else x[rows]
        source_y = source_x if y is x else y if rows is None else y[rows]
        moved_x, moved_y = moved_pair(self.input, self.output, source_x, source_y, g)
        if self.passes == "joint":
            both, latents = self._run(model, torch.cat([x, moved_x]))
            plain_output, moved_output = _split(both, len(x))
            plain = {name: latent[: len(x)] for name, latent in latents.items()}
            moved = {name: latent[len(x) :] for name, latent in latents.items()}
        else:
            plain_output, plain = self._run(model, x)
            moved_output, moved = self._run(model, moved_x)

        task = scalar_loss(self.task_loss, plain_output, y)
        shifted = scalar_loss(self.task_loss, moved_output, moved_y) if self.shifted_task_weight else None
        loss = self.task_weight * task
        if shifted is not None:
            loss = loss + self.shifted_task_weight * shifted
        records: dict[str, dict[str, Tensor]] = {"equivariance": {}, "relative_error": {}, "centred_error": {}}
        for name, strength in self.strengths.items():
            source = plain[name] if rows is None else plain[name][rows]
            errors = latent_errors(self._act(name, source, g), moved[name])
            distance = errors[self.distance]
            if self.distance == "centred" and len(g) < 2:
                raise LatentError("distance='centred' compares the pairs of a batch; it needs at least two of them.")
            loss = loss + strength * distance
            records["equivariance"][name] = distance.detach()
            records["relative_error"][name] = errors["relative"].detach()
            records["centred_error"][name] = errors["centred"].detach()
        terms = Terms(loss.detach(), task.detach(), None if shifted is None else shifted.detach(), **records)
        if self.check_finite and not torch.compiler.is_compiling() and not torch.isfinite(terms.loss):
            raise not_finite(terms.as_floats())
        return loss, terms

    def describe(self, model: Model, x: Tensor) -> str:
        """What is imposed where, in words, for inputs like x [B, …].

        For each layer: the latent's shape, the representation in copies and padding, and how many invariant numbers an
        affine head can still read from an exactly equivariant latent, with a warning when they are fewer than the
        outputs. The model runs once, in evaluation mode without gradients.

        >>> import torch, equilatent as eq
        >>> G = eq.groups.cyclic(4)
        >>> model = torch.nn.Sequential(torch.nn.Linear(4, 6), torch.nn.Linear(6, 10))
        >>> objective = eq.Objective(G, input=eq.reps.regular(G), output=eq.actions.trivial(G), layer="0",
        ...                          task_loss=torch.nn.functional.cross_entropy)
        >>> print(objective.describe(model, torch.randn(2, 4)))
        C4 (4 elements) acts on the input by regular of C4, on the output by trivial action of C4.
        Layer '0', latent [B, 6], strength 1 (mse): regular ⊕ 2 trivial, which is 1 copy of the regular representation
        and 2 trivial features. From an exactly equivariant latent an affine head can read 3 invariant numbers.
        Warning: the model has 10 invariant outputs, more than the 3 numbers ...
        """
        if not len(x):
            raise ActionError("describe needs at least one sample, to see the shape of the latent.")
        parts = model if isinstance(model, tuple) else (model,)
        with evaluating(*parts):
            output, latents = self._run(model, x)
            for name, latent in latents.items():
                self._act(name, latent, torch.zeros(len(latent), dtype=torch.long, device=latent.device))
        outputs = output[0].numel() if isinstance(output, Tensor) else None
        return describe_objective(
            self.group,
            self.input,
            self.output,
            [(name, latents[name], self._resolve(name, latents[name]), self.strengths[name]) for name in latents],
            named=self.named,
            distance=self.distance,
            outputs=outputs,
        )

    def latent_action(self, layer: str | None = None) -> Action:
        """How the group acts on the latent, as an action, for `metrics.equivariance_error` and the like.

        Args:
            layer: which latent; None if there is only one.

        Raises:
            LatentError: if there is no such layer, or several and none is named.

        >>> import torch, equilatent as eq
        >>> G = eq.groups.cyclic(4)
        >>> model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(36, 10))
        >>> objective = eq.Objective(G, input=eq.actions.image(G), output=eq.actions.trivial(G), layer="1",
        ...                          task_loss=torch.nn.functional.cross_entropy)
        >>> x = torch.randn(20, 1, 6, 6)
        >>> error = eq.metrics.equivariance_error(model, objective.input, objective.latent_action(), x, layer="1")
        >>> error.mean_centred > 0.5
        True
        """
        if layer is None and len(self.strengths) == 1:
            layer = next(iter(self.strengths))
        if layer not in self.strengths:
            raise LatentError(f"layer is one of {', '.join(map(repr, self.strengths))}; got {layer!r}.")
        return FunctionAction(self.group, functools.partial(self._act, layer))

    def extra_repr(self) -> str:
        """One line for ``print``."""
        return f"group={self.group.label}, strengths={self.strengths}, distance={self.distance!r}, draw={self.draw!r}"

    def _pairs(self, batch: int, device: torch.device, g: Tensor | None) -> tuple[Tensor | None, Tensor]:
        """Which samples get a second pass (None for all, in order), and the element that moves each of them."""
        count = max(1, round(self.pair_fraction * batch))
        rows: Tensor | None = None
        if count < batch:
            source = self.generator.device if self.generator is not None else device
            rows = torch.randperm(batch, generator=self.generator, device=source)[:count].to(device)
        if self.draw == "orbit":
            if g is not None:
                raise ActionError("draw='orbit' uses every element; it cannot be given elements as well.")
            whole = torch.arange(batch, device=device) if rows is None else rows
            elements = self.group.elements.to(device)
            return whole.repeat(len(elements)), elements.repeat_interleave(len(whole))
        if g is not None:
            g = self.group.check(g)
            if g.shape != (batch,):
                raise ActionError(f"g holds one element for each sample: expected [{batch}], got {list(g.shape)}.")
            return rows, g if rows is None else g.to(device)[rows]
        identity = self.draw == "uniform"
        return rows, self.group.sample(count, generator=self.generator, identity=identity, device=device)

    def _run(self, model: Model, x: Tensor) -> tuple[Any, dict[str, Tensor]]:
        """The output of the model and its latents by name."""
        if self.named:
            if isinstance(model, tuple):
                raise LatentError("layer names a layer of one module; for an (encoder, decoder) pair leave it out.")
            return run_with_layers(model, x, list(self.strengths))
        if isinstance(model, tuple):
            if len(model) != 2:
                raise LatentError(f"a model given in parts is an (encoder, decoder) pair; got {len(model)} parts.")
            encoder, decoder = model
            latent = check_latent(encoder(x), _UNNAMED, len(x))
            return decoder(latent), {_UNNAMED: latent}
        returned = model(x)
        if not isinstance(returned, tuple | list) or len(returned) != 2:
            raise LatentError(
                f"without layer=, the model returns (output, latent) or is an (encoder, decoder) pair; "
                f"{type(model).__name__} returned {type(returned).__name__}. Name the layer that is the latent."
            )
        return returned[0], {_UNNAMED: check_latent(returned[1], _UNNAMED, len(x))}

    def _resolve(self, name: str, latent: Tensor) -> SupportsAction:
        """The representation on a latent; the padded regular one is made when its size is first seen."""
        chosen: SupportsAction | None = self._latents[name]
        if chosen is not None:
            return chosen
        if not -latent.ndim < self.latent_axis < latent.ndim or not self.latent_axis:
            raise LatentError(
                f"latent_axis={self.latent_axis} is no feature axis of the latent {name!r}, whose shape is "
                f"{list(latent.shape)}."
            )
        key = str(latent.shape[self.latent_axis])
        self._make_regular(name, key, latent.device)
        return self._regular[key]  # type: ignore[return-value]

    def _make_regular(self, name: str, key: str, device: torch.device) -> None:
        if key in self._regular:
            return
        try:
            self._regular[key] = padded_regular(self.group, int(key)).to(device)
        except RepresentationError as error:
            raise LatentError(f"the latent {name!r} is too narrow: {error}") from error

    def _act(self, name: str, latent: Tensor, g: Tensor) -> Tensor:
        rho = self._resolve(name, latent)
        try:
            return rho(latent, g, dim=self.latent_axis) if isinstance(rho, Representation) else rho(latent, g)
        except (RepresentationError, ActionError) as error:
            raise LatentError(f"the latent {name!r} of shape {list(latent.shape)} cannot carry ρ_Z: {error}") from error


# What torch.compiler.assume_constant_result does: a compiled graph uses the module that is made, instead of tracing how it
# is made. Calling that function here would import the compiler with the library, which takes a second.
Objective._make_regular._dynamo_marked_constant = True  # type: ignore[attr-defined]


def _strengths(layer: str | Sequence[str] | Mapping[str, float] | None, strength: float) -> dict[str, float]:
    if layer is None:
        strengths: dict[str, float] = {_UNNAMED: strength}
    elif isinstance(layer, str):
        strengths = {layer: strength}
    elif isinstance(layer, Mapping):
        strengths = dict(layer)
    else:
        strengths = dict.fromkeys(layer, strength)
    if not strengths:
        raise LatentError("layer names no layer.")
    return {name: weight(f"the strength of {name!r}", value) for name, value in strengths.items()}


def _choice(name: str, value: str, choices: Any) -> Any:
    if value not in get_args(choices):
        raise LatentError(f"{name} is one of {', '.join(map(repr, get_args(choices)))}; got {value!r}.")
    return value


def _split(output: Any, count: int) -> tuple[Any, Any]:
    """The model's output on the first samples and on the rest."""
    if not isinstance(output, Tensor):
        raise LatentError(
            f"passes='joint' splits the model's output, which should be a tensor [B, …]; got {type(output).__name__}. "
            "Use passes='separate'."
        )
    return output[:count], output[count:]
