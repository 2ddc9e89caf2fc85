"""An objective in words."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from equilatent.actions import SupportsAction, TrivialAction, describe_action
from equilatent.objective._terms import Equivariance
from equilatent.reps import DirectSumRepresentation, Representation, TrivialRepresentation

if TYPE_CHECKING:
    from equilatent.objective._objective import Objective

__all__ = ["describe_objective", "invariant_numbers"]

_WIDTH = 110
#: Invariant numbers of an action are counted over all elements up to so many moved entries.
_PROBED_ENTRIES = 1 << 26


def invariant_numbers(rho: SupportsAction, shape: Sequence[int], latent_axis: int | None = None) -> int | None:
    """The dimension of the fixed vectors among latents [B, *shape]: the mean of the character over the group.

    None where it cannot be counted: an action that neither is a representation nor permutes entries up to sign.
    """
    entries = torch.Size(shape).numel()
    if isinstance(rho, Representation):
        return round(float(rho.character.real.mean())) * (entries // rho.dim)
    group = rho.group
    if group.order * entries > _PROBED_ENTRIES:
        return None
    # Entries that are all different show which of them an element leaves in place, and with which sign.
    probe = torch.randperm(entries, generator=torch.Generator().manual_seed(0)).double() + 1
    fixed = 0
    for elements in group.elements.split(max(1, (1 << 22) // entries)):
        moved = rho(probe.view(1, *shape).expand(len(elements), *shape), elements).reshape(len(elements), -1)
        if not torch.equal(moved.abs().sort(1).values, probe.sort().values.expand_as(moved)):
            return None
        fixed += int((moved == probe).sum() - (moved == -probe).sum())
    return round(fixed / group.order)


def describe_objective(
    objective: Objective,
    layers: Sequence[tuple[Equivariance, Tensor, SupportsAction]],
    outputs: int | None,
    rest: Sequence[str],
) -> str:
    """The text of `Objective.describe`: layers are (term, latent, ρ_Z), rest the other terms in words."""
    group = objective.group
    lines = [
        f"{group.label} ({group.order} elements) acts on the input by {describe_action(objective.input)}, on the output by "
        f"{describe_action(objective.output)}."
    ]
    invariant = isinstance(objective.output, TrivialAction | TrivialRepresentation)
    for term, latent, rho in layers:
        shape = list(latent.shape[1:])
        lines.append(_layer(term, shape, rho))
        numbers = invariant_numbers(rho, shape)
        if numbers is None:
            lines[-1] += " How many invariant numbers it has was not counted."
        else:
            lines[-1] += f" From an exactly equivariant latent an affine head can read {numbers} invariant numbers."
        if numbers is not None and outputs is not None and invariant and numbers < outputs:
            lines.append(
                f"Warning: the model has {outputs} invariant outputs, more than the {numbers} numbers that an affine head "
                "can read (a pointwise nonlinearity before it changes nothing). Equivariance then costs accuracy: use a "
                "wider latent, a nonlinear head, a smaller group, or a lower strength."
            )
    if rest:
        lines.append(f"Other terms: {', '.join(rest)}.")
    return "\n".join(textwrap.fill(line, _WIDTH) for line in lines)


def _layer(term: Equivariance, shape: Sequence[int], rho: SupportsAction) -> str:
    """What is imposed on one layer."""
    where = "Latent" if term.layer is None else f"Layer {term.layer!r}, latent"
    text = f"{where} [B, {', '.join(map(str, shape))}], {_strength(term)}: "
    if not isinstance(rho, Representation):
        return f"{text}{describe_action(rho)}."
    axis = term.axis if term.axis >= 0 else len(shape) + 1 + term.axis
    text += _representation(rho, axis)
    if len(shape) > 1:
        text += (
            " It acts along the features and leaves the other axes in place; if the input's action transforms them, "
            "compose it with an action on the latent's grid."
        )
    if axis == 1 and len(shape) == 3 and shape[0] == shape[1] != shape[2]:
        text += (
            f" The shape looks like channels last, with {shape[2]} features on the last axis: then use latent_axis=-1."
        )
    return text


def _strength(term: Equivariance) -> str:
    if isinstance(term.weight, tuple):
        return f"strength from {min(term.weight):g} to {max(term.weight):g} by element ({term.distance})"
    return f"strength {term.weight:g} ({term.distance})"


def _representation(rho: Representation, axis: int) -> str:
    where = f"{rho.label} along axis {axis}"
    counts = {block.label: count for block, count in rho.blocks} if isinstance(rho, DirectSumRepresentation) else {}
    if not counts or not set(counts) <= {"regular", "trivial"}:
        return f"{where}."
    copies, padding = counts.get("regular", 0), counts.get("trivial", 0)
    return (
        f"{where}, which is {copies} {'copy' if copies == 1 else 'copies'} of the regular representation and "
        f"{padding} trivial features."
    )
