"""The systems: the network of each, built from a task's table, and the loss that trains it."""

from __future__ import annotations

from equilatent.bench.harness.system import System
from equilatent.bench.systems.augmented import Augmented, Perceptron, Plain
from equilatent.bench.systems.group_convolutions import GroupConvolutions
from equilatent.bench.systems.latent_term import LatentTerm
from equilatent.bench.systems.learned import Control, Learned
from equilatent.bench.systems.steerable_networks import (
    Lift,
    PartialSteerable,
    RelaxedGroup,
    RelaxedSteerable,
    ResidualPathways,
    Restricted,
    Steerable,
    SteerablePrediction,
)
from equilatent.bench.systems.thumbnail import ThumbnailSystem
from equilatent.bench.systems.untrained import Persistence, Zero

__all__ = ["SYSTEMS"]

#: All systems, in the order of the paper's tables, then those beside it.
SYSTEMS: tuple[type[System], ...] = (
    Learned,
    Control,
    Zero,
    Persistence,
    Perceptron,
    Plain,
    Augmented,
    Steerable,
    SteerablePrediction,
    Restricted,
    ResidualPathways,
    Lift,
    RelaxedGroup,
    RelaxedSteerable,
    PartialSteerable,
    LatentTerm,
    GroupConvolutions,
    ThumbnailSystem,
)
