"""The tests of the bench notice every fault on the list."""

from dataclasses import replace
from pathlib import Path

import pytest

from .mutations import MUTATIONS, Mutation, MutationError, check, run


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.name)
def test_each_can_be_put_in(mutation: Mutation) -> None:
    check(mutation)


def test_names_tell_them_apart() -> None:
    names = [mutation.name for mutation in MUTATIONS]
    assert len(set(names)) == len(names) >= 18


def test_what_is_not_there_exactly_once_is_refused(tmp_path: Path) -> None:
    mutation = MUTATIONS[0]
    for wrong, words in (
        (replace(mutation, old="no such text"), "holds 0 times"),
        (replace(mutation, old="self"), "times, not once"),
        (replace(mutation, file="nowhere.py"), "holds 0 times"),
        (replace(mutation, new=mutation.old), "not once"),
        (replace(mutation, tests=("test_evaluation.py::test_nothing",)), "there is no test"),
    ):
        with pytest.raises(MutationError, match=words):
            check(wrong)


@pytest.mark.slow
def test_a_change_that_is_none_survives(tmp_path: Path) -> None:
    harmless = replace(MUTATIONS[0], new=MUTATIONS[0].old + "  # as it was")
    assert [mutation for mutation, _ in run([harmless], tmp_path)] == [harmless]


@pytest.mark.slow
def test_all_are_killed(tmp_path: Path) -> None:
    assert run(MUTATIONS, tmp_path) == []
