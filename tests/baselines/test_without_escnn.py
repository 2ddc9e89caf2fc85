"""Without escnn the reference networks say what they need, and nothing else does."""

import subprocess
import sys
from pathlib import Path

import pytest
from escnn_networks import escnn_restriction, escnn_scnn

from equilatent.errors import GroupError, MissingDependencyError


@pytest.mark.parametrize("make", [escnn_scnn, escnn_restriction])
def test_the_error_names_the_command(make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "escnn", None)
    with pytest.raises(MissingDependencyError, match="make baselines"):
        make("C4")


@pytest.mark.parametrize("make", [escnn_scnn, escnn_restriction])
def test_other_groups_are_refused(make) -> None:
    with pytest.raises(GroupError, match=r"C4, D1 and D4; got 'C8'"):
        make("C8")


def test_the_module_is_imported_without_escnn() -> None:
    code = "import sys, escnn_networks; sys.exit('escnn' in sys.modules)"
    where = Path(sys.modules[escnn_scnn.__module__].__file__ or "").parent
    assert subprocess.run([sys.executable, "-c", code], check=False, cwd=where).returncode == 0
