"""The example in the README runs as it stands."""

import re
from pathlib import Path

import pytest
import torch

README = Path(__file__).parents[1] / "README.md"


@pytest.fixture
def example() -> str:
    match = re.search(r"^```python\n(.*?)^```$", README.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    assert match is not None, "README.md has no ```python block"
    return match[1]


def test_the_example_runs_and_trains_the_layer_it_names(example: str) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        names: dict[str, object] = {}
        exec(compile(example, str(README), "exec"), names)
    terms = names["terms"].as_floats()  # type: ignore[attr-defined]
    assert 0 < terms["centred_error"] < 3
    total = 0.5 * terms["task"] + 0.5 * terms["transformed_task"] + terms["equivariance"] + 0.1 * terms["decorrelation"]
    assert terms["loss"] == pytest.approx(total, rel=1e-5)
    assert names["pose"].shape == names["g"].shape  # type: ignore[attr-defined]


def test_the_example_is_short(example: str) -> None:
    lines = [line for line in example.splitlines() if line.strip()]
    assert len(lines) <= 20
    assert max(map(len, lines)) <= 120
