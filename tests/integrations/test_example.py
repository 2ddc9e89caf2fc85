"""The example of the guide runs as it is printed."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).parents[2] / "docs" / "examples" / "lightning_training.py"


@pytest.mark.filterwarnings("ignore:.*:UserWarning", "ignore::FutureWarning", "ignore::DeprecationWarning")
def test_the_example_of_the_guide(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("pytorch_lightning")
    monkeypatch.chdir(tmp_path)
    logged = runpy.run_path(str(EXAMPLE))["main"]()
    assert logged["val/accuracy"] > 0.5
    assert logged["val/centred_error"] < 1.0
