"""Draws images/tmnist.png for the page on data: ``python docs/tmnist_picture.py``."""

from __future__ import annotations

from pathlib import Path

import torch

from equilatent.bench.data import mnist, random_views, tmnist

ZOOM = 2


def main() -> None:
    from PIL import Image

    glyphs = tmnist().glyphs
    digits = mnist()
    first = [int((digits.train_y == digit).nonzero()[0]) for digit in range(10)]
    views = random_views(glyphs, 10, torch.Generator().manual_seed(1))
    moved = [(255 * part[:, 0]).round().to(torch.uint8) for part in (views.x, views.swapped)]
    rows = torch.stack([glyphs[0], glyphs[1], digits.train_x[first, 0], *moved])
    # A grey line between the images shows where each of them ends.
    framed = torch.full((5, 10, 30, 30), 90, dtype=torch.uint8)
    framed[:, :, 1:-1, 1:-1] = rows
    sheet = Image.fromarray(framed.permute(0, 2, 1, 3).reshape(150, 300).numpy())
    sheet = sheet.resize((sheet.width * ZOOM, sheet.height * ZOOM), Image.Resampling.NEAREST)
    sheet.save(Path(__file__).parent / "images" / "tmnist.png", optimize=True)


if __name__ == "__main__":
    main()
