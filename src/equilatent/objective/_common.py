"""What the objectives share: checks of arguments and batches, distances of latents, errors of losses that are not finite."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal, TypeAlias

import torch
from torch import Tensor

from equilatent.actions import Action, SupportsAction
from equilatent.errors import ActionError, LatentError, NonFiniteError
from equilatent.groups import Group
from equilatent.reps import Representation

__all__ = ["Distance", "check_batch", "latent_errors", "moved_pair", "not_finite", "of_group", "scalar_loss", "weight"]

Distance: TypeAlias = Literal["mse", "relative", "centred"]


def check_batch(x: Tensor, y: Tensor) -> None:
    """Refuse what is no batch of pairs."""
    if not isinstance(x, Tensor) or not isinstance(y, Tensor):
        raise ActionError(f"x and y are tensors [B, …]; got {type(x).__name__} and {type(y).__name__}.")
    if not x.ndim or not y.ndim:
        raise ActionError("x and y are batches [B, …]; got a single number. Give it a batch axis.")
    if not len(x) or len(x) != len(y):
        raise ActionError(
            f"a batch has at least one sample and a target for each; got {len(x)} samples and {len(y)} targets. "
            "Drop empty batches in the loader."
        )


def of_group(group: Group, name: str, action: Any) -> Any:
    """The action itself, refused unless it is one of this group."""
    if not isinstance(action, Action | Representation) and not (hasattr(action, "group") and callable(action)):
        raise ActionError(
            f"{name} should be an action or a representation, such as eq.actions.image(G); got {action!r}. "
            "Wrap a function with eq.actions.function(G, f)."
        )
    if action.group != group:
        raise ActionError(
            f"{name} is moved by {action.group.label}, but the objective imposes {group.label}. "
            "Make all of them with the same group."
        )
    return action


def moved_pair(input: SupportsAction, output: SupportsAction, x: Tensor, y: Tensor, g: Tensor) -> tuple[Tensor, Tensor]:
    """(ρ_X(g) x, ρ_Y(g) y); of an autoencoder, whose target is its input, moved once."""
    moved = input(x, g)
    return moved, moved if y is x and output is input else output(y, g)


def scalar_loss(task_loss: Callable[[Any, Tensor], Tensor], output: Any, target: Tensor) -> Tensor:
    """The task loss, refused unless it is a scalar."""
    value = task_loss(output, target)
    if not isinstance(value, Tensor) or value.ndim:
        got = f"shape {list(value.shape)}" if isinstance(value, Tensor) else type(value).__name__
        raise ActionError(f"task_loss should return a scalar tensor, the mean over the batch; got {got}.")
    return value


def latent_errors(expected: Tensor, target: Tensor) -> dict[Distance, Tensor]:
    """Every distance between the latent that equivariance predicts and the one that is there, at least in float32."""
    dtype = torch.promote_types(target.dtype, torch.float32)
    expected, target = expected.to(dtype), target.to(dtype)
    error = (expected - target).abs().square().mean()
    power = target.abs().square().mean()
    centred = (target - target.mean(0)).abs().square().mean() if len(target) > 1 else power * torch.nan
    tiny = torch.finfo(power.dtype).tiny
    return {"mse": error, "relative": error / power.clamp_min(tiny), "centred": error / centred.clamp_min(tiny)}


def weight(name: str, value: float) -> float:
    """The weight itself, refused unless it is finite and not negative."""
    if not 0 <= value < float("inf"):
        raise LatentError(f"{name} is a finite number ≥ 0; got {value!r}.")
    return float(value)


def not_finite(terms: Mapping[str, float]) -> NonFiniteError:
    """The error that names the terms of a loss that are NaN or infinite."""
    values = dict(terms)
    total = values.pop("loss")
    recorded = ("relative_error", "centred_error")
    summands = [(name, value) for name, value in values.items() if name.split("/")[0] not in recorded]
    wrong = [f"{name} is {value}" for name, value in summands if not abs(value) < float("inf")]
    return NonFiniteError(
        f"the loss is {total}: {', '.join(wrong) or 'a weighted sum overflows'}. Look for NaN in the inputs of that term, "
        "a learning rate that is too high, or a half-precision overflow."
    )
