"""One line in the registry is enough: the laws of this folder then run on the new group, and notice what is wrong."""

from __future__ import annotations

import importlib.util
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import equilatent as eq
from equilatent.errors import GroupError
from equilatent.groups import Group
from equilatent.groups._laws import MetacyclicLaw, TableLaw

HERE = Path(__file__).parent
# A loop: 0 is the identity and each row and column a permutation, but (1·1)·2 = 2 and 1·(1·2) = 4.
LOOP = torch.tensor([[0, 1, 2, 3, 4], [1, 0, 3, 4, 2], [2, 4, 0, 1, 3], [3, 2, 4, 0, 1], [4, 3, 1, 2, 0]])


class _WrongInverse(TableLaw):
    def inverse(self, a: torch.Tensor) -> torch.Tensor:
        return a


def _table(n: int) -> torch.Tensor:
    return eq.groups.cyclic(n).table()


def _laws(file: str) -> dict[str, Callable[[Group], None]]:
    """The tests in a file that ask for a group and nothing else."""
    spec = importlib.util.spec_from_file_location(f"laws_of_{Path(file).stem}", HERE / file)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    tests = {name: value for name, value in vars(module).items() if name.startswith("test_")}
    return {name: test for name, test in tests.items() if list(inspect.signature(test).parameters) == ["G"]}


LAWS = {**_laws("test_laws.py"), **_laws("test_structure.py")}


class _Recorder:
    """Stands for pytest's Metafunc of a test of `G`."""

    fixturenames = ("make_group", "G")

    def parametrize(self, names: str, values: Any, *, ids: Any, **_: Any) -> None:
        self.names, self.groups = names, dict(zip(ids, values, strict=True))


def test_laws_run_on_all_that_is_registered(pytestconfig: pytest.Config, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(eq.testing.GROUPS, "a new one", lambda: eq.groups.cyclic(7))
    (conftest,) = [
        plugin
        for plugin in pytestconfig.pluginmanager.get_plugins()
        if getattr(plugin, "__file__", None) == str(HERE / "conftest.py")
    ]
    recorder = _Recorder()
    conftest.pytest_generate_tests(recorder)
    assert recorder.names == "make_group"
    assert recorder.groups.items() >= eq.testing.GROUPS.items()


@pytest.mark.parametrize("law", [law for law in LAWS if "accelerator" not in law])
def test_a_new_group_obeys(law: str) -> None:
    LAWS[law](eq.groups.semidirect_product(eq.groups.cyclic(5), eq.groups.cyclic(4), {"r": {"r": "r2"}}))


WRONG: dict[str, Callable[[], Group]] = {
    "test_product_is_associative": lambda: Group(TableLaw(LOOP), {"a": 1, "b": 2}, label="loop"),
    "test_inverses_cancel_on_both_sides": lambda: Group(_WrongInverse(_table(5)), {"a": 1}, label="C5"),
    "test_relators_are_the_identity": lambda: Group(TableLaw(_table(6)), {"r": 1}, label="C6", relators=[(("r", 4),)]),
    "test_presentation_defines_the_group": lambda: Group(
        TableLaw(_table(6)), {"r": 1}, label="C6", relators=[(("r", 12),)]
    ),
    "test_each_word_spells_its_element": lambda: Group(MetacyclicLaw(4), {"r": 3}, label="C4"),
    "test_each_name_reads_back_as_its_element": lambda: Group(TableLaw(_table(5)), {"a!": 1}, label="C5"),
    "test_generators_generate": lambda: Group(TableLaw(_table(6)), {"a": 2}, label="C6"),
    "test_defining_matrices_are_a_faithful_representation": lambda: Group(
        TableLaw(_table(4)), {"a": 1}, label="C4", defining={"a": -np.eye(2)}
    ),
}


@pytest.mark.parametrize(("law", "make"), WRONG.items(), ids=WRONG.keys())
def test_a_wrong_group_breaks(law: str, make: Callable[[], Group]) -> None:
    with pytest.raises((AssertionError, GroupError)):
        LAWS[law](make())
