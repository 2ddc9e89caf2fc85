"""Band-limited filters on a square grid, and how a group that moves the grid acts on their span."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from equilatent.actions import image
from equilatent.errors import ActionError
from equilatent.groups import Group
from equilatent.reps import Representation, from_matrices, multiple, trivial

__all__ = ["band_limited_filters", "filter_representation"]

#: The highest frequency on the rings of radius 0, 1, 2 that are not the last one, and on the last one.
_INNER_FREQUENCIES = (0, 2, 3)
_OUTER_FREQUENCY = 2
#: How far the moved filters may be from their span before it counts as not invariant.
_TOLERANCE = 1e-10


def band_limited_filters(size: int) -> Tensor:
    """Gaussian rings times circular harmonics, sampled on a size×size grid: the filters of steerable convolutions.

    The rings have radii R = 0, 1, …, (size−1)/2 and the profile exp(−(r−R)²/2σ²), with σ = 0.6, but 0.4 on the last ring
    and 0.005 at radius 0. A ring carries the harmonics 1, cos mφ, sin mφ up to its highest frequency: 0 at radius 0, 2 on
    the last ring, else 2 (R = 1) or 3 (R = 2). (Weiler & Cesa 2019, with the settings of Veefkind & Cesa 2024.)

    Each filter has norm 1. The filters of one ring are orthogonal; those of different rings overlap.

    Args:
        size: 1, 3, 5 or 7 pixels, which gives 1, 6, 11 or 18 filters.

    Returns:
        float64 [filters, size, size], by ring, then by frequency.

    Raises:
        ActionError: for another size.

    >>> band_limited_filters(3).shape
    torch.Size([6, 3, 3])
    """
    if size not in (1, 3, 5, 7):
        raise ActionError(f"band-limited filters are known on grids of 1, 3, 5 or 7 pixels a side; got size={size!r}.")
    last = size // 2
    down, right = torch.meshgrid(*[torch.arange(-last, last + 1, dtype=torch.float64)] * 2, indexing="ij")
    radius, angle = torch.hypot(down, right), torch.atan2(-down, right)
    filters = []
    for ring in range(last + 1):
        width = 0.005 if ring == 0 else 0.4 if ring == last else 0.6
        highest = 0 if ring == 0 else _OUTER_FREQUENCY if ring == last else _INNER_FREQUENCIES[ring]
        profile = torch.exp(-0.5 * ((radius - ring) / width) ** 2)
        filters.append(profile)
        for frequency in range(1, highest + 1):
            # At the origin there is no angle: only the frequency 0 is there.
            away = profile * (radius > 0)
            filters += [away * torch.cos(frequency * angle), away * torch.sin(frequency * angle)]
    return nn.functional.normalize(torch.stack(filters).flatten(1)).view(-1, size, size)


def filter_representation(group: Group, size: int) -> Representation:
    """How `actions.image` of a group moves the coefficients of `band_limited_filters`: an orthogonal representation.

    Args:
        group: a group of quarter turns and mirrors, such as cyclic(4) or dihedral(4).
        size: the side of the filters' grid in pixels.

    Raises:
        ActionError: if the group does not act on images by itself.

    >>> import equilatent as eq
    >>> str(eq.reps.multiplicities(filter_representation(eq.groups.dihedral(1), 3)))
    '4 trivial ⊕ 2 sign'
    """
    filters = band_limited_filters(size)
    action = image(group)
    flat = filters.flatten(1).T
    inverse = torch.linalg.pinv(flat)
    images = {}
    for name, g in group.generators.items():
        moved = action(filters, torch.full((len(filters),), g)).flatten(1).T
        images[name] = inverse @ moved
        if (flat @ images[name] - moved).abs().max() > _TOLERANCE:
            raise ActionError(f"{group.label} does not map the band-limited filters of size {size} to their own span.")
    if not images:  # only a generator's matrix would tell the dimension
        return multiple(trivial(group), len(filters))
    return from_matrices(group, images, label=f"filters of size {size}")
