"""What the demo can be told."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from equilatent.bench.harness.config import parse_seeds, pick_device
from equilatent.errors import EquilatentError

__all__ = ["DemoConfig"]


@dataclass(frozen=True)
class DemoConfig:
    """What the demo trains, and for how long.

    The settings were chosen on validation digits with seeds 10 and 11; the numbers that the demo shows are of test digits.
    """

    seed: str = "0"
    """Seeds of the runs: '0', '0,3' or '0..4' (both ends included). With several, mean ± deviation is shown."""
    steps: int = 450
    """Training steps of each encoder, on 100 digits in two views, and of each head; autoencoders take half as many again."""
    strength: float = 1.0
    """λ, the weight of the latent term of the encoders."""
    decorrelation: float = 3.0
    """Weight of the term that keeps features of the latent uncorrelated; a training as short as this needs much of it."""
    examples: int = 20
    """Images of each new digit, encoded once and upright, from which heads are trained."""
    limit: int | None = None
    """Take only so many digits, for training, validation and test together."""
    device: str = "auto"
    """cpu, cuda, mps, or auto for the fastest one present."""
    out: Path = Path("demo")
    """The folder for report.html, decoded.png and records.json."""

    @property
    def autoencoder_steps(self) -> int:
        """Training steps of each autoencoder."""
        return self.steps * 3 // 2

    def check(self) -> None:
        """Refuse what cannot be trained, all of it at once, before anything runs."""
        least = {"steps": 1, "strength": 0, "decorrelation": 0, "examples": 1, "limit": 100}
        given = {name: getattr(self, name) for name in least}
        wrong = [
            f"--{name} {value} should be at least {least[name]} and finite"
            for name, value in given.items()
            if value is not None and not least[name] <= value < float("inf")
        ]
        parse_seeds(self.seed)
        pick_device(self.device)
        if wrong:
            raise EquilatentError("; ".join(wrong) + ".")
