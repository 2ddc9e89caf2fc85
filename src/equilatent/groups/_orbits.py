"""Orbits of points under permutations."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

__all__ = ["smallest_of_orbits"]


def smallest_of_orbits(points: int, moves: Sequence[np.ndarray]) -> np.ndarray:
    """The smallest point in the orbit of each point under some permutations, [points]."""
    # Each point points at a smaller or equal one of its orbit; hooking and pointer jumping alternate until the pointers
    # agree along every move, in about log(points) rounds.
    label = np.arange(points)
    while True:
        before = label
        label = label.copy()
        for move in moves:
            low = np.minimum(label, label[move])
            np.minimum.at(label, before, low)
            np.minimum.at(label, label[move], low)
            label = np.minimum(label, low)
        label = label[label]
        if (label == before).all() and all((label == label[move]).all() for move in moves):
            return label
