"""DistributedDataParallel with two processes: gradients are those of one process, and each process draws for itself."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import distributed_worker as worker
import pytest
import torch
from torch import Tensor

import equilatent as eq

SECONDS = 120


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """What both processes found, or their output if one fails or hangs."""
    folder = tmp_path_factory.mktemp("distributed")
    command = [sys.executable, worker.__file__]
    logs = [folder / f"{rank}.log" for rank in range(2)]
    processes = []
    for rank, log in enumerate(logs):
        with log.open("w") as file:
            processes.append(subprocess.Popen([*command, str(rank), str(folder)], stdout=file, stderr=file))
    try:
        codes = [process.wait(timeout=SECONDS) for process in processes]
    except subprocess.TimeoutExpired:
        codes = [None, None]
    finally:
        for process in processes:
            process.kill()
            process.wait()
    if codes != [0, 0]:
        pytest.fail(f"exit codes {codes} within {SECONDS} seconds:\n" + "\n".join(log.read_text() for log in logs))
    return [torch.load(folder / f"{rank}.pt") for rank in range(2)]


def gradients(case: str, rows: slice = slice(None)) -> list[Tensor]:
    """The gradients on some rows of the joint batch in this process."""
    _, of_objective, of_model = worker.CASES[case]
    model = worker.make_model(**of_model)
    x, y, g = (part[rows] for part in worker.make_batch())
    loss, _ = worker.make_objective(**of_objective)(model, x, y, g=g)
    loss.backward()
    return worker.gradients(model)


@pytest.mark.parametrize("case", [case for case in worker.CASES if case not in worker.OVER_ALL])
def test_gradients_are_the_mean_of_those_of_the_processes(results: list[dict[str, Any]], case: str) -> None:
    half = worker.SIZE // 2
    own = zip(gradients(case, slice(half)), gradients(case, slice(half, None)), strict=True)
    expected = [(first + second) / 2 for first, second in own]
    for rank in range(2):
        assert not isinstance(results[rank][case], str), results[rank][case]
        torch.testing.assert_close(results[rank][case], expected)


@pytest.mark.parametrize(
    "case",
    ["separate", "joint", "separate, unused", "separate, static", "joint, static", "latent alone", *worker.OVER_ALL],
)
def test_gradients_are_those_of_one_process_on_the_joint_batch(results: list[dict[str, Any]], case: str) -> None:
    torch.testing.assert_close(results[0][case], gradients(case))


@pytest.mark.parametrize("case", ["relative", "centred"])
def test_ratios_over_the_local_batch_are_not(results: list[dict[str, Any]], case: str) -> None:
    with pytest.raises(AssertionError, match="not close"):
        torch.testing.assert_close(results[0][case], gradients(case))


def test_processes_draw_different_elements_reproducibly(results: list[dict[str, Any]]) -> None:
    first, second = (result["elements"] for result in results)
    assert not torch.equal(first, second)
    for rank, drawn in enumerate((first, second)):
        expected = eq.groups.cyclic(4).sample(100, generator=torch.Generator().manual_seed(7000 + rank))
        assert torch.equal(drawn, expected)
