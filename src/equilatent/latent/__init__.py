"""Acting on latents after training: augmentation, orbits, relative pose and search in any pose, without the encoder."""

from equilatent.latent._augment import AugmentedLatents, augment
from equilatent.latent._match import Match, match
from equilatent.latent._orbit import orbit, orbit_batches
from equilatent.latent._search import Metric, Neighbours, search

__all__ = [
    "AugmentedLatents",
    "Match",
    "Metric",
    "Neighbours",
    "augment",
    "match",
    "orbit",
    "orbit_batches",
    "search",
]
