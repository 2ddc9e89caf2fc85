"""The training objective: a short list of terms that impose a representation on a latent, or learn one (sections 4, 5)."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, TypeAlias, get_args

import torch
from torch import Tensor, nn

from equilatent._layers import evaluating
from equilatent._structure import batch_size
from equilatent.actions import Action, FunctionAction, SupportsAction
from equilatent.errors import ActionError, LatentError, RepresentationError
from equilatent.groups import Group
from equilatent.objective._algebra import algebra_loss
from equilatent.objective._checks import checked_weight, choice, layer_name
from equilatent.objective._describe import describe_objective
from equilatent.objective._distances import Distance
from equilatent.objective._passes import Model, Reads, Runner
from equilatent.objective._record import Terms, not_finite
from equilatent.objective._step import Step
from equilatent.objective._terms import (
    OUTPUT,
    Algebra,
    DecodedTask,
    Decorrelation,
    Equivariance,
    Latent,
    Task,
    Term,
    TransformedTask,
    latent_label,
    summary,
)
from equilatent.reps import LearnedRepresentation, Representation, padded_regular

__all__ = ["Draw", "Objective", "Passes"]

Draw: TypeAlias = Literal["uniform", "non_identity", "orbit"]
Passes: TypeAlias = Literal["joint", "separate"]

#: Terms that compare an output with a target.
_WITH_TARGET = (Task, TransformedTask, DecodedTask)


class Objective(nn.Module):
    """A loss made of terms: the task, the transformed task, and the equivariance of latents or outputs.

    With the keywords `layer`, `latent`, `strength`, … it is the objective of section 5,

        loss = w · L(D E x, y) + w' · L(D E ρ_X(g)x, ρ_Y(g)y) + Σ_layers λ · distance(ρ_Z(g) E x, E ρ_X(g)x),

    the mean over a batch (x, y) and elements g drawn uniformly. `Objective.learned` is the one of section 4. Both are
    short for a list of `terms`, of which there are more:

    - `Task`: w · L(D E x, y)
    - `TransformedTask`: w' · L(D E ρ_X(g)x, ρ_Y(g)y), augmentation
    - `DecodedTask`: w'' · L(D ρ_Z(g) E x, ρ_Y(g)y), augmentation of the latent
    - `Equivariance`: λ · distance(ρ_Z(g) E x, E ρ_X(g)x), of any layer, the output included
    - `Decorrelation`: μ · mean squared correlation of different features
    - `Algebra`: λ_A · A(ρ_Z), for a learned representation

    Terms that need the second view share it, and nothing runs that no term asks for. The model is unchanged: no
    parameters, no hooks that stay, nothing extra at inference.

    Args:
        group: the finite group G.
        input: how G acts on x.
        output: how G acts on targets y; `actions.trivial` for an invariant task.
        task_loss: ``task_loss(model_output, target)``: a scalar *mean* over the batch, or one loss for each sample, [B].
            Not needed without targets.
        terms: the terms, instead of all keywords from `layer` to `decorrelation`.
        layer: the layer whose output is the latent, by its dotted name (``"encoder.9"``); several as a sequence, or as
            a mapping to their own strengths. None if the model is an (encoder, decoder) pair or returns
            (output, latent).
        latent: ρ_Z. ``"regular"`` is `reps.padded_regular` over the feature axis (equation 5); or any representation
            (acting along the feature axis) or action, such as ``actions.image(G)`` on a spatial latent (section 6.3) or
            ``actions.compose(actions.image(G), reps.padded_regular(G, 96))`` for both together. A mapping gives each
            layer its own. A `LearnedRepresentation` brings its `Algebra` term.
        latent_axis: the feature axis of the latent.
        strength: λ, for layers that have no strength of their own.
        task_weight: the weight w.
        transformed_task_weight: the weight w'.
        distance: ``"mse"``, the mean square of the paper, which a latent can meet by shrinking; ``"relative"``, the
            mean square over that of E(ρ_X(g)x), which it can still meet by adding a large constant (a following batch
            norm hides both); or ``"centred"``, the mean square over the variance of E(ρ_X(g)x) over the batch, which
            a few invariant features of large variance can still meet where a batch norm rescales every feature. Where
            a norm follows, name the norm's output as the latent: behind it all three measure the same. ``"centred"``
            needs two pairs in every batch. ``"kl"``, for scores, is KL(softmax(ρ_Z(g) E x) ‖ softmax(E ρ_X(g)x)).
        decorrelation: μ, the weight of a `Decorrelation` term on each layer; λ : μ of 5 : 1 to 10 : 1 for a latent that
            is to be acted on.
        draw: ``"uniform"`` draws one element a sample, ``"non_identity"`` never the identity, ``"orbit"`` uses every
            element for every sample (|G| times the cost).
        passes: ``"separate"`` sends x and ρ_X(g)x through the model one after the other, so that batch norm normalises
            each by its own statistics and updates its running ones twice; ``"joint"`` sends them as one batch of twice
            the size, normalised by common statistics.
        pair_fraction: the part of each batch that gets a second view, in (0, 1]. Which samples is drawn afresh each
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
    ['centred_error', 'equivariance', 'loss', 'relative_error', 'task', 'transformed_task']

    The same latent with little correlation, and consistent outputs, on a batch without labels:

    >>> from equilatent.objective import Decorrelation, Equivariance
    >>> objective = eq.Objective(
    ...     G, input=eq.actions.image(G), output=eq.actions.trivial(G),
    ...     terms=[Equivariance("1", 1.0), Decorrelation("1", 0.1), Equivariance("", 0.1, distance="kl")])
    >>> loss, terms = objective(model, torch.randn(32, 1, 6, 6))
    >>> sorted(terms.equivariance), sorted(terms.effective_rank)
    (['1', 'output'], ['1'])
    """

    group: Group
    terms: tuple[Term, ...]
    input: SupportsAction
    output: SupportsAction

    def __init__(
        self,
        group: Group,
        *,
        input: SupportsAction,
        output: SupportsAction,
        task_loss: Callable[[Any, Any], Tensor] | None = None,
        terms: Sequence[Term] | None = None,
        layer: str | Sequence[str] | Mapping[str, float] | None = None,
        latent: Latent | Mapping[str, Latent] = "regular",
        latent_axis: int = 1,
        strength: float = 1.0,
        task_weight: float = 0.5,
        transformed_task_weight: float = 0.5,
        distance: Distance = "mse",
        decorrelation: float = 0.0,
        draw: Draw = "uniform",
        passes: Passes = "separate",
        pair_fraction: float = 1.0,
        generator: torch.Generator | None = None,
        check_finite: bool = True,
    ) -> None:
        super().__init__()
        short = (layer, latent, latent_axis, strength, task_weight, transformed_task_weight, distance, decorrelation)
        if terms is None:
            terms = _terms_of_section_5(*short)
        elif short != (None, "regular", 1, 1.0, 0.5, 0.5, "mse", 0.0):
            raise LatentError(
                "terms says all that layer, latent, latent_axis, strength, task_weight, transformed_task_weight, distance "
                "and decorrelation say; give either."
            )
        self.group = group
        self.task_loss = task_loss
        self.terms = _checked_terms(terms)
        self.input = _of_group(group, "input", input)
        self.output = _of_group(group, "output", output)
        choice("draw", draw, get_args(Draw))
        choice("passes", passes, get_args(Passes))
        if isinstance(pair_fraction, bool) or not isinstance(pair_fraction, int | float) or not 0 < pair_fraction <= 1:
            raise LatentError(
                f"pair_fraction is the part of a batch that gets a second view, in (0, 1]; got {pair_fraction!r}."
            )
        self.draw = draw
        self.passes = passes
        self.pair_fraction = pair_fraction
        self.generator = generator
        self.check_finite = check_finite
        if task_loss is None and any(isinstance(term, _WITH_TARGET) for term in self.terms):
            raise LatentError("task_loss is needed by the terms that compare outputs with targets.")
        given = [
            _of_group(group, f"the action of {summary(term)}", term.action)
            for term in self.terms
            if isinstance(term, Equivariance | DecodedTask) and _has_own_action(term)
        ]
        # Kept as modules, each once, so that .to() and .parameters() reach them.
        self._actions = nn.ModuleList(
            {id(action): action for action in given if isinstance(action, nn.Module)}.values()
        )
        self.terms += tuple(Algebra(rho) for rho in self._learned_without_algebra())
        self._regular = nn.ModuleDict()
        for number, term in enumerate(self.terms):
            if isinstance(term.weight, tuple):
                if len(term.weight) != group.order:
                    raise LatentError(
                        f"the weight of {type(term).__name__} is one number, or one for each of the {group.order} elements "
                        f"of {group.label}; got {len(term.weight)}."
                    )
                self.register_buffer(f"_weight_{number}", torch.tensor(term.weight), persistent=False)
        layers = {_layer(term) for term in self.terms}
        parts = {term.layer: term.part for term in self.layers.values() if term.layer is not None}
        self.runner = Runner(None in layers, parts)

    @classmethod
    def learned(
        cls,
        rho: LearnedRepresentation,
        *,
        input: SupportsAction,
        output: SupportsAction,
        task_loss: Callable[[Any, Any], Tensor],
        output_weight: float = 0.25,
        latent_weight: float = 0.25,
        algebra_weight: float = 1.0,
        algebra: Callable[[LearnedRepresentation], Tensor] = algebra_loss,
        layer: str | None = None,
        latent_axis: int = 1,
        generator: torch.Generator | None = None,
        check_finite: bool = True,
    ) -> Objective:
        """The objective of section 4, which learns a representation on the latent together with the network:

            L(D(E x), y) + λ_Y · L(D(ρ_Z(g) E x), ρ_Y(g)y) + λ_Z · MSE(ρ_Z(g) E x, E(ρ_X(g)x)) + λ_A · A(ρ_Z).

        The objective holds ρ_Z, so its parameters belong into the optimiser:
        ``[*model.parameters(), *objective.parameters()]``.

        Args:
            rho: the representation to learn, ρ_Z.
            input: how the group acts on x.
            output: how the group acts on targets y; for an autoencoder y is x, and the action the same.
            task_loss: ``task_loss(model_output, target)``, as in `Objective`.
            output_weight: λ_Y.
            latent_weight: λ_Z.
            algebra_weight: λ_A.
            algebra: A, such as `algebra_loss` with other weights: ``partial(algebra_loss, inverse_weight=1.0)``.
            layer: the layer whose output is the latent, by its dotted name; None if the model is an (encoder, decoder)
                pair. A named layer costs one more pass: the network is run again, with the transformed latent in place
                of the layer's output, and the layer must be a bottleneck.
            latent_axis: the axis of the latent on which ρ_Z acts.
            generator: the source of randomness.
            check_finite: raise `NonFiniteError` naming the term when the loss is NaN or infinite.

        Raises:
            RepresentationError: if rho is no `LearnedRepresentation`.
            ActionError: if an action is of another group than rho.
            LatentError: for negative weights.

        >>> import torch, equilatent as eq
        >>> from torch import nn
        >>> G = eq.groups.cyclic(4)
        >>> act = eq.actions.image(G)
        >>> encoder = nn.Sequential(nn.Flatten(), nn.Linear(36, 8))
        >>> decoder = nn.Sequential(nn.Linear(8, 36), nn.Unflatten(1, (1, 6, 6)))
        >>> objective = eq.Objective.learned(
        ...     eq.reps.LearnedRepresentation(G, 8), input=act, output=act, task_loss=nn.functional.mse_loss)
        >>> x = torch.randn(16, 1, 6, 6)
        >>> loss, terms = objective((encoder, decoder), x, x)
        >>> list(terms.as_floats())
        ['loss', 'task', 'decoded_task', 'equivariance', 'relative_error', 'centred_error', 'algebra']
        """
        terms: list[Term] = [
            Task(1.0),
            DecodedTask(layer, checked_weight("output_weight", output_weight), action=rho, axis=latent_axis),
            Equivariance(layer, checked_weight("latent_weight", latent_weight), action=rho, axis=latent_axis),
            Algebra(rho, checked_weight("algebra_weight", algebra_weight), algebra),
        ]
        return cls(
            rho.group,
            input=input,
            output=output,
            task_loss=task_loss,
            terms=terms,
            generator=generator,
            check_finite=check_finite,
        )

    def forward(
        self, model: Model, x: Any, y: Any = None, *, g: Tensor | None = None, labelled: Tensor | None = None
    ) -> tuple[Tensor, Terms]:
        """The loss of a batch and the terms it consists of.

        Args:
            model: an nn.Module (for named layers), a callable that returns (output, latent), or an (encoder, decoder)
                pair; see `layer`.
            x: inputs [B, …], B > 0: a tensor, or a nested dict or tuple of them. A dict reaches the model as keyword
                arguments, a tuple as positional ones.
            y: targets [B, …], likewise; None for the terms that need no target.
            g: the elements to use, LongTensor [B], instead of drawing them (not with ``draw="orbit"``).
            labelled: which samples have a target, bool [B]; what y holds for the others is ignored. All by default.

        Returns:
            The scalar loss to call ``backward`` on, and its `Terms`.

        Raises:
            LatentError: if the latent cannot be found or cannot carry the representation; if no term has anything to work
                on.
            ActionError, GroupError: if an input or an element cannot be acted on, or the batch is empty.
            NonFiniteError: if a term is NaN or infinite.
        """
        step = Step(self, model, x, y, labelled, g)
        found = (step.value(term, self._weight(number)) for number, term in enumerate(self.terms))
        values = [value for value in found if value is not None]
        if not values:
            raise LatentError(
                f"there is nothing to compute: {'y is missing' if y is None else 'no sample of the batch is labelled'}, and "
                "every term compares outputs with targets. Give labels, or a term that needs none, such as Equivariance."
            )
        loss = functools.reduce(torch.add, values)
        terms = Terms(loss.detach(), **step.record, output=step.plain.output)
        if self.check_finite and not torch.compiler.is_compiling() and not torch.isfinite(terms.loss):
            raise not_finite(terms)
        return loss, terms

    @property
    def layers(self) -> dict[str | None, Equivariance]:
        """The equivariance terms by layer, that of the model's output left out."""
        return {term.layer: term for term in self.terms if isinstance(term, Equivariance) and term.layer != OUTPUT}

    def describe(self, model: Model, x: Any) -> str:
        """What is imposed where, in words, for inputs like x [B, …].

        For each layer: the latent's shape, the axis that is taken for its features, the representation in copies and
        padding, and how many invariant numbers an affine head can still read from an exactly equivariant latent, with a
        warning when they are fewer than the outputs. The model runs once, in evaluation mode without gradients.

        >>> import torch, equilatent as eq
        >>> G = eq.groups.cyclic(4)
        >>> model = torch.nn.Sequential(torch.nn.Linear(4, 6), torch.nn.Linear(6, 10))
        >>> objective = eq.Objective(G, input=eq.reps.regular(G), output=eq.actions.trivial(G), layer="0",
        ...                          task_loss=torch.nn.functional.cross_entropy)
        >>> print(objective.describe(model, torch.randn(2, 4)))
        C4 (4 elements) acts on the input by regular of C4, on the output by trivial action of C4.
        Layer '0', latent [B, 6], strength 1 (mse): regular ⊕ 2 trivial along axis 1, which is 1 copy of the regular
        representation and 2 trivial features. From an exactly equivariant latent an affine head can read 3 invariant
        numbers.
        Warning: the model has 10 invariant outputs, more than the 3 numbers ...
        Other terms: Task(0.5), TransformedTask(0.5).
        """
        count = batch_size(x, "x")
        if not count:
            raise ActionError("describe needs at least one sample, to see the shape of the latent.")
        with evaluating(*(model if isinstance(model, tuple) else (model,))):
            view = self.runner.run(model, x, Reads(True, tuple(self.layers)))
            described = []
            for layer, term in self.layers.items():
                latent = view.latents[layer]
                self.act(term, latent, torch.zeros(count, dtype=torch.long, device=latent.device))
                described.append((term, latent, self._resolve(term, latent)))
        outputs = view.output[0].numel() if isinstance(view.output, Tensor) else None
        rest = [summary(term) for term in self.terms if term not in self.layers.values()]
        return describe_objective(self, described, outputs, rest)

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
        layers = self.layers
        if layer is None and len(layers) == 1:
            layer = next(iter(layers))
        if layer not in layers:
            raise LatentError(
                f"layer is one of {', '.join(repr(latent_label(name)) for name in layers) or '(none)'}; got {layer!r}."
            )
        return FunctionAction(self.group, functools.partial(self.act, layers[layer]))

    def extra_repr(self) -> str:
        """What ``print`` shows: the terms, one a line."""
        lines = [f"group={self.group.label}, draw={self.draw!r}", *(summary(term) for term in self.terms)]
        return "\n".join(lines)

    def act(self, term: Equivariance | DecodedTask, latent: Any, g: Tensor) -> Any:
        """The latent or output, transformed as the term says.

        Raises:
            LatentError: if it cannot carry the representation.
        """
        rho = self._resolve(term, latent)
        try:
            if isinstance(rho, Representation | LearnedRepresentation):
                return rho(latent, g, dim=term.axis)
            return rho(latent, g)
        except (RepresentationError, ActionError) as error:
            where = f"the latent {latent_label(term.layer)!r}" if term.layer != OUTPUT else "the model's output"
            shape = f" of shape {list(latent.shape)}" if isinstance(latent, Tensor) else ""
            raise LatentError(f"{where}{shape} cannot carry the action of {self.group.label}: {error}") from error

    def _weight(self, number: int) -> float | Tensor:
        """The weight of a term: one number, or one for each element of the group, [order]."""
        weight = self.terms[number].weight
        return weight if isinstance(weight, float) else self.get_buffer(f"_weight_{number}")

    def _learned_without_algebra(self) -> list[LearnedRepresentation]:
        known = {id(term.rho) for term in self.terms if isinstance(term, Algebra)}
        return [rho for rho in self._actions if isinstance(rho, LearnedRepresentation) and id(rho) not in known]

    def _resolve(self, term: Equivariance | DecodedTask, latent: Any) -> SupportsAction:
        """How the group acts there; the padded regular representation is made when its size is first seen."""
        if _has_own_action(term):
            given: SupportsAction = term.action  # type: ignore[assignment]
            return given
        if term.action is None:
            return self.output
        label = latent_label(term.layer)
        if not isinstance(latent, Tensor) or not -latent.ndim < term.axis < latent.ndim or not term.axis:
            shape = list(latent.shape) if isinstance(latent, Tensor) else type(latent).__name__
            raise LatentError(f"axis {term.axis} is no feature axis of the latent {label!r}, whose shape is {shape}.")
        key = str(latent.shape[term.axis])
        self._make_regular(label, key, latent.device, list(latent.shape), term.axis)
        return self._regular[key]  # type: ignore[return-value]

    def _make_regular(self, label: str, key: str, device: torch.device, shape: list[int], axis: int) -> None:
        if key in self._regular:
            return
        try:
            self._regular[key] = padded_regular(self.group, int(key)).to(device)
        except RepresentationError as error:
            hint = ""
            if len(shape) > 2 and axis == 1 and shape[-1] >= self.group.order:
                hint = f" Its last axis has {shape[-1]}: if the features are there (channels last), use latent_axis=-1."
            raise LatentError(f"the latent {label!r} of shape {shape} is too narrow: {error}{hint}") from error


# What torch.compiler.assume_constant_result does: a compiled graph uses the module that is made, instead of tracing how it
# is made. Calling that function here would import the compiler with the library, which takes a second.
Objective._make_regular._dynamo_marked_constant = True  # type: ignore[attr-defined]


def _terms_of_section_5(
    layer: str | Sequence[str] | Mapping[str, float] | None,
    latent: Latent | Mapping[str, Latent],
    axis: int,
    strength: float,
    task_weight: float,
    transformed_task_weight: float,
    distance: Distance,
    decorrelation: float,
) -> list[Term]:
    """The terms that the keywords are short for."""
    strengths = _strengths(layer, strength)
    latents = latent if isinstance(latent, Mapping) else dict.fromkeys(strengths, latent)
    if set(latents) != set(strengths):
        names = [sorted(latent_label(name) for name in given) for given in (latents, strengths)]
        raise LatentError(f"latent is given for {names[0]}, but the layers are {names[1]}.")
    if None in latents.values():
        raise LatentError("latent is 'regular', or an action or a representation; got None.")
    terms: list[Term] = []
    if checked_weight("task_weight", task_weight):
        terms.append(Task(task_weight))
    if checked_weight("transformed_task_weight", transformed_task_weight):
        terms.append(TransformedTask(transformed_task_weight))
    for name, value in strengths.items():
        own = None if name == OUTPUT and latents[name] == "regular" else latents[name]  # type: ignore[index]
        terms.append(Equivariance(name, value, own, distance, axis=axis))
    if checked_weight("decorrelation", decorrelation):
        terms += [Decorrelation(name, decorrelation, axis) for name in strengths]
    return terms


def _strengths(layer: str | Sequence[str] | Mapping[str, float] | None, strength: float) -> dict[str | None, float]:
    if isinstance(layer, Mapping):
        strengths: dict[str | None, float] = {layer_name(name): value for name, value in layer.items()}
    elif isinstance(layer, Sequence) and not isinstance(layer, str):
        strengths = {layer_name(name): strength for name in layer}
    else:
        strengths = {layer_name(layer): strength}
    if not strengths:
        raise LatentError("layer names no layer.")
    return {
        name: checked_weight("strength" if name is None else f"the strength of {name!r}", value)
        for name, value in strengths.items()
    }


def _checked_terms(terms: Sequence[Term]) -> tuple[Term, ...]:
    """The terms, refused if one is none or two say the same."""
    known = (Task, TransformedTask, DecodedTask, Equivariance, Decorrelation, Algebra)
    seen = set()
    for term in terms:
        if not isinstance(term, known):
            raise LatentError(
                f"terms holds {', '.join(kind.__name__ for kind in known)} of equilatent.objective; got {term!r}."
            )
        part = term.part if isinstance(term, Equivariance) and term.layer == OUTPUT else None
        key = (type(term), _layer(term), id(term.rho) if isinstance(term, Algebra) else part)
        if key in seen:
            raise LatentError(
                f"terms holds {type(term).__name__} twice for {latent_label(_layer(term))!r}; give it once, with one weight."
            )
        seen.add(key)
    if not terms:
        raise LatentError("terms is empty; give at least one, such as Task().")
    return tuple(terms)


def _has_own_action(term: Equivariance | DecodedTask) -> bool:
    return not (term.action is None or (isinstance(term.action, str) and term.action == "regular"))


def _layer(term: Term) -> str | None:
    return getattr(term, "layer", OUTPUT)


def _of_group(group: Group, name: str, action: Any) -> Any:
    """The action itself, refused unless it is one of this group."""
    if not (isinstance(getattr(action, "group", None), Group) and callable(action)):
        raise ActionError(
            f"{name} should be an action or a representation, such as eq.actions.image(G); got {action!r}. "
            "Wrap a function with eq.actions.function(G, f)."
        )
    if action.group != group:
        raise ActionError(
            f"{name} is one of {action.group.label}, but the objective imposes {group.label}. "
            "Make all of them with the same group."
        )
    return action
