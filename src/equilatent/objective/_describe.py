"""An objective in words."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

import torch
from torch import Tensor

from equilatent.actions import SupportsAction, TrivialAction, describe_action
from equilatent.groups import Group
from equilatent.reps import DirectSumRepresentation, Representation, TrivialRepresentation

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
    group: Group,
    input: SupportsAction,
    output: SupportsAction,
    layers: Sequence[tuple[str, Tensor, SupportsAction, float]],
    *,
    named: bool,
    distance: str,
    outputs: int | None,
) -> str:
    """The text of `Objective.describe`: layers are (name, latent, ρ_Z, strength)."""
    lines = [
        f"{group.label} ({group.order} elements) acts on the input by {describe_action(input)}, on the output by "
        f"{describe_action(output)}."
    ]
    for name, latent, rho, strength in layers:
        where = f"Layer {name!r}, latent" if named else "Latent"
        shape = list(latent.shape[1:])
        text = f"{where} [B, {', '.join(map(str, shape))}], strength {strength:g} ({distance}): "
        text += _representation(rho)
        if isinstance(rho, Representation) and len(shape) > 1:
            text += (
                " It acts along the features and leaves the other axes in place; if the input's action moves them, "
                "compose it with an action on the latent's grid."
            )
        numbers = invariant_numbers(rho, shape)
        if numbers is None:
            text += " How many invariant numbers it has was not counted."
        else:
            text += f" From an exactly equivariant latent an affine head can read {numbers} invariant numbers."
        lines.append(text)
        invariant = isinstance(output, TrivialAction | TrivialRepresentation)
        if numbers is not None and outputs is not None and invariant and numbers < outputs:
            lines.append(
                f"Warning: the model has {outputs} invariant outputs, more than the {numbers} numbers that an affine head "
                "can read (a pointwise nonlinearity before it changes nothing). Equivariance then costs accuracy: use a "
                "wider latent, a nonlinear head, a smaller group, or a lower strength."
            )
    return "\n".join(textwrap.fill(line, _WIDTH) for line in lines)


def _representation(rho: SupportsAction) -> str:
    if not isinstance(rho, DirectSumRepresentation):
        return f"{describe_action(rho)}."
    counts = {block.label: count for block, count in rho.blocks}
    if not set(counts) <= {"regular", "trivial"}:
        return f"{rho.label}."
    copies, padding = counts.get("regular", 0), counts.get("trivial", 0)
    return (
        f"{rho.label}, which is {copies} {'copy' if copies == 1 else 'copies'} of the regular representation and "
        f"{padding} trivial features."
    )
