"""The training objective of section 4: a representation on the latent that is learned with the network."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn

from equilatent._layers import check_latent, run_replacing, run_with_layers
from equilatent.actions import SupportsAction
from equilatent.errors import LatentError, RepresentationError
from equilatent.objective._algebra import algebra_loss
from equilatent.objective._common import (
    check_batch,
    latent_errors,
    moved_pair,
    not_finite,
    of_group,
    scalar_loss,
    weight,
)
from equilatent.reps import LearnedRepresentation

__all__ = ["LearnedObjective", "LearnedTerms"]


@dataclass(frozen=True)
class LearnedTerms:
    """What one evaluation of the learned objective consisted of: detached scalars, unweighted but for `loss`.

    Attributes:
        loss: the weighted total.
        task: L(D(E x), y).
        moved_task: L(D(ρ_Z(g) E x), ρ_Y(g) y): the latent is moved and decoded.
        equivariance: MSE(ρ_Z(g) E x, E(ρ_X(g) x)).
        algebra: A(ρ_Z).
        relative_error: `equivariance` over the mean square of E(ρ_X(g) x).
        centred_error: `equivariance` over the variance of E(ρ_X(g) x) over the batch; NaN for a single pair.
    """

    loss: Tensor
    task: Tensor
    moved_task: Tensor
    equivariance: Tensor
    algebra: Tensor
    relative_error: Tensor
    centred_error: Tensor

    def as_floats(self) -> dict[str, float]:
        """All terms as plain floats. Waits for the device."""
        return {name: float(value) for name, value in asdict(self).items()}


class LearnedObjective(nn.Module):
    """Learn a representation on the latent together with the network (paper, section 4).

    For a batch (x, y) and elements g drawn uniformly,

        loss = L(D(E x), y) + λ_Y · L(D(ρ_Z(g) E x), ρ_Y(g) y) + λ_Z · MSE(ρ_Z(g) E x, E(ρ_X(g) x)) + λ_A · A(ρ_Z).

    The objective holds ρ_Z, so its parameters belong into the optimiser: ``[*model.parameters(), *objective.parameters()]``.

    Args:
        rho: the representation to learn, ρ_Z.
        input: how the group acts on x.
        output: how the group acts on targets y; for an autoencoder y is x, and the action the same.
        task_loss: ``task_loss(model_output, target)``, a scalar *mean* over the batch.
        output_weight: λ_Y.
        latent_weight: λ_Z.
        algebra_weight: λ_A.
        algebra: A, such as `algebra_loss` with other weights: ``partial(algebra_loss, inverse_weight=1.0)``.
        layer: the layer whose output is the latent, by its dotted name; None if the model is an (encoder, decoder) pair. A
            named layer costs one more pass: the network is run again, with the moved latent in place of the layer's output.
        latent_axis: the axis of the latent on which ρ_Z acts.
        generator: the source of randomness.
        check_finite: raise `NonFiniteError` naming the term when the loss is NaN or infinite.

    Raises:
        RepresentationError: if rho is no `LearnedRepresentation`.
        ActionError: if an action is of another group than rho.
        LatentError: for negative weights, or (when called) a latent of the wrong size.

    >>> import torch, equilatent as eq
    >>> from torch import nn
    >>> G = eq.groups.cyclic(4)
    >>> act = eq.actions.image(G)
    >>> encoder = nn.Sequential(nn.Flatten(), nn.Linear(36, 8))
    >>> decoder = nn.Sequential(nn.Linear(8, 36), nn.Unflatten(1, (1, 6, 6)))
    >>> objective = eq.objective.LearnedObjective(
    ...     eq.reps.LearnedRepresentation(G, 8), input=act, output=act, task_loss=nn.functional.mse_loss)
    >>> x = torch.randn(16, 1, 6, 6)
    >>> loss, terms = objective((encoder, decoder), x, x)
    >>> list(terms.as_floats())
    ['loss', 'task', 'moved_task', 'equivariance', 'algebra', 'relative_error', 'centred_error']
    """

    def __init__(
        self,
        rho: LearnedRepresentation,
        *,
        input: SupportsAction,
        output: SupportsAction,
        task_loss: Callable[[Any, Tensor], Tensor],
        output_weight: float = 0.25,
        latent_weight: float = 0.25,
        algebra_weight: float = 1.0,
        algebra: Callable[[LearnedRepresentation], Tensor] = algebra_loss,
        layer: str | None = None,
        latent_axis: int = 1,
        generator: torch.Generator | None = None,
        check_finite: bool = True,
    ) -> None:
        super().__init__()
        if not isinstance(rho, LearnedRepresentation):
            raise RepresentationError(
                f"rho is the LearnedRepresentation to train; got {type(rho).__name__}. A fixed representation is imposed by "
                "eq.Objective."
            )
        self.group = rho.group
        self.rho = rho
        self.input = of_group(self.group, "input", input)
        self.output = of_group(self.group, "output", output)
        self.task_loss = task_loss
        self.output_weight = weight("output_weight", output_weight)
        self.latent_weight = weight("latent_weight", latent_weight)
        self.algebra_weight = weight("algebra_weight", algebra_weight)
        self.algebra = algebra
        self.layer = layer
        self.latent_axis = latent_axis
        self.generator = generator
        self.check_finite = check_finite

    def forward(
        self,
        model: nn.Module | tuple[Callable[[Tensor], Tensor], Callable[[Tensor], Any]],
        x: Tensor,
        y: Tensor,
        *,
        g: Tensor | None = None,
    ) -> tuple[Tensor, LearnedTerms]:
        """The loss of a batch and the terms it consists of.

        Args:
            model: an (encoder, decoder) pair, or a module with the named layer.
            x: inputs [B, …], B > 0.
            y: targets [B, …].
            g: the elements to use, LongTensor [B], instead of drawing them.

        Returns:
            The scalar loss to call ``backward`` on, and its `LearnedTerms`.

        Raises:
            LatentError: if the latent cannot be found or has another size than ρ_Z.
            ActionError, GroupError: if an input or an element cannot be acted on, or the batch is empty.
            NonFiniteError: if a term is NaN or infinite, or the matrix of a generator has become singular.
        """
        check_batch(x, y)
        if g is None:
            g = self.group.sample(len(x), generator=self.generator, device=x.device)
        name = self.layer or "latent"
        moved_x, moved_y = moved_pair(self.input, self.output, x, y, g)
        if isinstance(model, tuple):
            if self.layer is not None:
                raise LatentError("layer names a layer of one module; for an (encoder, decoder) pair leave it out.")
            encoder, decoder = model
            latent, moved_latent = (check_latent(encoder(part), name, len(x)) for part in (x, moved_x))
            plain_output = decoder(latent)
            expected = self._act(latent, g)
            moved_output = decoder(expected)
        elif self.layer is None:
            raise LatentError("the model is an (encoder, decoder) pair, or layer= names its latent.")
        else:
            plain_output, latents = run_with_layers(model, x, [self.layer])
            moved_latent = run_with_layers(model, moved_x, [self.layer])[1][self.layer]
            expected = self._act(latents[self.layer], g)
            moved_output = run_replacing(model, x, self.layer, expected)
        task = scalar_loss(self.task_loss, plain_output, y)
        moved_task = scalar_loss(self.task_loss, moved_output, moved_y)
        errors = latent_errors(expected, moved_latent)
        algebra = self.algebra(self.rho)
        loss = (
            task + self.output_weight * moved_task + self.latent_weight * errors["mse"] + self.algebra_weight * algebra
        )
        values = (loss, task, moved_task, errors["mse"], algebra, errors["relative"], errors["centred"])
        terms = LearnedTerms(*(value.detach() for value in values))
        if self.check_finite and not torch.compiler.is_compiling() and not torch.isfinite(terms.loss):
            raise not_finite(terms.as_floats())
        return loss, terms

    def extra_repr(self) -> str:
        """One line for ``print``."""
        return (
            f"group={self.group.label}, output_weight={self.output_weight}, latent_weight={self.latent_weight}, "
            f"algebra_weight={self.algebra_weight}"
        )

    def _act(self, latent: Tensor, g: Tensor) -> Tensor:
        try:
            return self.rho(latent, g, dim=self.latent_axis)  # type: ignore[no-any-return]
        except RepresentationError as error:
            raise LatentError(f"the latent of shape {list(latent.shape)} cannot carry ρ_Z: {error}") from error
