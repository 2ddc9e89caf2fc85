"""Draws images/rotation.svg for the guide on rotations: ``python docs/rotation_picture.py``."""

from __future__ import annotations

from pathlib import Path

import torch

import equilatent as eq
from equilatent.bench.digits import load_digits


def main() -> None:
    import matplotlib as mpl

    mpl.use("svg")
    mpl.rcParams["svg.hashsalt"] = "equilatent"
    from matplotlib import pyplot as plt

    G = eq.groups.cyclic(8)
    act = eq.actions.rotation(G)
    digits = load_digits()
    digit = digits.images[(digits.labels == 4).nonzero()[3]]
    r = torch.tensor([G["r"]])
    twice, directly = act(act(digit, r), r), act(digit, torch.tensor([G["r2"]]))
    panels = {
        "x": (digit, "gray_r", (0, 1)),
        "r·x": (act(digit, r), "gray_r", (0, 1)),
        "r·(r·x)": (twice, "gray_r", (0, 1)),
        "r²·x": (directly, "gray_r", (0, 1)),
        "difference": (twice - directly, "RdBu", (-1, 1)),
        "mask": (act.mask((14, 14)).float(), "gray", (0, 1)),
    }
    figure, axes = plt.subplots(1, len(panels), figsize=(9, 1.9))
    for axis, (title, (image, colours, (low, high))) in zip(axes, panels.items(), strict=True):
        axis.imshow(image.reshape(14, 14), cmap=colours, vmin=low, vmax=high)
        axis.set_title(title, fontsize=10)
        axis.set_xticks([])
        axis.set_yticks([])
    figure.tight_layout()
    figure.savefig(Path(__file__).parent / "images" / "rotation.svg", metadata={"Date": None})


if __name__ == "__main__":
    main()
