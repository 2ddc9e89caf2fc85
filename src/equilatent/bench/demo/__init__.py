"""The demo: what the latent term is for, on real digits, beside its controls."""

from equilatent.bench.demo._config import DemoConfig
from equilatent.bench.demo._run import Pictures, run_demo, total_steps

__all__ = ["DemoConfig", "Pictures", "run_demo", "total_steps"]
