"""Seeds made of several numbers."""

from __future__ import annotations

import numpy as np

__all__ = ["combined_seed"]


def combined_seed(*numbers: int) -> int:
    """One seed from several numbers, in which neighbours have nothing in common."""
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0] >> 1)
