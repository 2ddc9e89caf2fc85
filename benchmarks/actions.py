"""Moving a batch by mixed elements against torch.rot90/flip for each element's share, and against a copy."""

from __future__ import annotations

import torch
from torch import Tensor

import equilatent as eq
from benchmarks.timing import paired_seconds, print_machine, print_table


def by_rot90(x: Tensor, g: Tensor) -> Tensor:
    """D4 by torch.rot90 and flip, one call for each element: r^i s^j first mirrors, then turns."""
    result = torch.empty_like(x)
    for element in range(8):
        rows = (g == element).nonzero()[:, 0]
        share = x[rows]
        if element >= 4:
            share = share.flip(-1)
        result[rows] = share.rot90(element % 4, (-2, -1))
    return result


def main() -> None:
    generator = torch.Generator().manual_seed(0)
    one = eq.groups.dihedral(4)
    two = eq.groups.direct_product(one, one)
    image = eq.actions.image(one)
    top, left, right = slice(14, 42), slice(0, 28), slice(28, 56)
    digits = eq.actions.parts(two, [image, image], windows=[(top, left), (top, right)])

    def parts_by_rot90(x: Tensor, g: Tensor) -> Tensor:
        result = x.clone()
        for window, component in zip((left, right), two.split(g), strict=True):
            result[..., top, window] = by_rot90(x[..., top, window], component)
        return result

    print_machine()
    for shape in ((256, 1, 56, 56), (256, 16, 56, 56)):
        x = torch.randn(shape, generator=generator)
        g, h = one.sample(shape[0], generator=generator), two.sample(shape[0], generator=generator)
        assert torch.equal(image(x, g), by_rot90(x, g))
        assert torch.equal(digits(x, h), parts_by_rot90(x, h))
        flat = x.view(shape[0], shape[1], -1)
        index = torch.randint(flat.shape[2], (shape[0], 1, flat.shape[2]), generator=generator).expand(flat.shape)
        ways = {
            "copy": x.clone,
            "torch.gather alone": lambda flat=flat, index=index: torch.gather(flat, 2, index),
            "image, 8 elements": lambda x=x, g=g: image(x, g),
            "rot90/flip, 8 elements": lambda x=x, g=g: by_rot90(x, g),
            "two digits, 64 elements": lambda x=x, h=h: digits(x, h),
            "rot90/flip, 64 elements": lambda x=x, h=h: parts_by_rot90(x, h),
        }
        print_table(f"{' × '.join(map(str, shape))}, float32", paired_seconds(ways), "copy")


if __name__ == "__main__":
    main()
