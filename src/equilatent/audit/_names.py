"""Groups by name, and how they act on arrays by default: what the command line needs."""

from __future__ import annotations

import re
from typing import Literal, TypeAlias, get_args

from torch import Tensor

from equilatent.actions import Action, image, sequence, volume
from equilatent.errors import ActionError, EquilatentError, GroupError
from equilatent.groups import Group, cyclic, dihedral, klein_four, octahedral, tetrahedral

__all__ = ["Kind", "default_action", "named_group"]

#: What samples are: grids of one, two or three axes.
Kind: TypeAlias = Literal["sequence", "image", "volume"]

_AXES: dict[str, int] = {"sequence": 1, "image": 2, "volume": 3}
_SHAPES = {
    "sequence": "[N, L] or [N, C, L]",
    "image": "[N, H, W] or [N, C, H, W]",
    "volume": "[N, D, H, W] or [N, C, D, H, W]",
}
_FAMILIES = {"c": cyclic, "cyclic": cyclic, "d": dihedral, "dihedral": dihedral}


def named_group(name: str) -> Group:
    """The group of that name: C4, D4, klein_four, tetrahedral, octahedral, octahedral+inversion and the like.

    Raises:
        GroupError: for other names; the message lists the known ones.

    >>> import equilatent as eq
    >>> [eq.audit.named_group(name).order for name in ("C4", "dihedral(4)", "octahedral", "octahedral+inversion")]
    [4, 8, 24, 48]
    """
    asked = name.strip().lower().replace(" ", "")
    found = re.fullmatch(r"([a-z]+)[_(-]?(\d{1,3})\)?", asked)
    try:
        if found and found[1] in _FAMILIES:
            return _FAMILIES[found[1]](int(found[2]))
    except EquilatentError as error:
        raise GroupError(f"group {name!r} cannot be made: {error}") from error
    stem, plus, rest = asked.replace("-", "_").partition("+")
    if not plus or rest == "inversion":
        if stem in ("octahedral", "o", "cube"):
            return octahedral(inversion=bool(plus))
        if stem in ("tetrahedral", "t"):
            return tetrahedral(inversion=bool(plus))
        if stem in ("klein_four", "klein4", "v4") and not plus:
            return klein_four()
    raise GroupError(
        f"group {name!r} is none of C2, C4, … (cyclic), D1, D2, D4, … (dihedral), klein_four, tetrahedral, octahedral, and "
        "the last two with '+inversion'. Other groups are audited from Python: eq.audit.audit(x, y, action=…)."
    )


def default_action(group: Group, x: Tensor, kind: Kind | None = None) -> tuple[Action, Tensor]:
    """How a group of motions acts on an array, and the array with its channels along axis 1.

    The grid has as many axes as the matrices by which the group is known; C_n and D_n act on [N, L] by shifts and reversal.
    Grids [N, H, W] get one channel, and channels that come last, [N, H, W, C] with C ≤ 4, are put first.

    Args:
        group: the group.
        x: samples.
        kind: what they are, where their shape leaves it open.

    Raises:
        ActionError: if the array is no grid on which the group is known to act.

    >>> import torch, equilatent as eq
    >>> act, x = eq.audit.default_action(eq.groups.dihedral(4), torch.zeros(5, 8, 8, 3))
    >>> act, x.shape
    (GridAction(image grid moved by D4), torch.Size([5, 3, 8, 8]))
    """
    if kind is not None and kind not in get_args(Kind):
        raise ActionError(f"kind is one of {', '.join(map(repr, get_args(Kind)))}; got {kind!r}.")
    sizes = {len(matrix) for matrix in (group.defining or {}).values()}
    if kind is None:
        kind = next((name for name in get_args(Kind) if {_AXES[name]} == sizes), None)
        if x.ndim == 2 and set(group.generators) <= {"r", "s"}:
            kind = "sequence"
    axes = 0 if kind is None else _AXES[kind]
    if kind is None or x.ndim - 1 not in (axes, axes + 1):
        expected = f" as {kind}s, which are {_SHAPES[kind]}" if kind is not None else ""
        raise ActionError(
            f"it is not known how {group.label} acts on samples {list(x.shape)}{expected}. Say what they are, "
            "kind='image', 'volume' or 'sequence' (--kind), or give an action: action=eq.actions.…."
        )
    if x.ndim - 1 == axes:
        x = x.unsqueeze(1)
    elif x.shape[-1] <= 4 < min(x.shape[1:-1]):
        x = x.movedim(-1, 1).contiguous()
    if kind == "sequence":
        return sequence(group), x
    return image(group) if kind == "image" else volume(group), x
