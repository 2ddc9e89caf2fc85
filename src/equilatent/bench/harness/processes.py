"""Functions in processes of their own, which end when the process that started them does."""

from __future__ import annotations

import multiprocessing
import multiprocessing.connection
import os
import pickle
import sys
import threading
import traceback
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

from equilatent.errors import EquilatentError

__all__ = ["Worker", "wait_for"]


class Worker:
    """A call in a process of its own. The function and its arguments are pickled, so they come from modules.

    Args:
        function: what is called.
        arguments: with what.
        environment: variables that are set in the process.
        log: a file to which everything goes that the process, and those that it starts, print; by default where this
            process prints.
    """

    def __init__(
        self,
        function: Callable[..., object],
        *arguments: Any,
        environment: Mapping[str, str] | None = None,
        log: Path | None = None,
    ) -> None:
        context = multiprocessing.get_context("spawn")
        self.log = log
        self._receiver, sender = context.Pipe(duplex=False)
        self._process = context.Process(target=_work, args=(sender, dict(environment or {}), log, function, arguments))
        self._process.start()
        sender.close()  # so that the end of the process is the end of the pipe

    def error(self) -> BaseException | None:
        """Wait for the end; what went wrong, or None."""
        try:
            outcome: BaseException | None = self._receiver.recv()
        except EOFError:
            self._process.join()
            status = self._process.exitcode or 0
            how = f"was ended by signal {-status}" if status < 0 else f"ended with exit status {status}"
            return EquilatentError(f"its process {how}; if that was the system, memory may have run out")
        self._process.join()
        return outcome

    def done(self) -> bool:
        """Whether it has ended."""
        return self._receiver.poll()

    def stop(self) -> None:
        """End it at once, if it runs."""
        self._process.kill()
        self._process.join()


def wait_for(workers: Collection[Worker], timeout: float | None = None) -> list[Worker]:
    """The workers that have ended, after waiting for one of them at most so many seconds."""
    ready = multiprocessing.connection.wait([worker._receiver for worker in workers], timeout)
    return [worker for worker in workers if worker._receiver in ready]


def _work(
    sender: multiprocessing.connection.Connection,
    environment: dict[str, str],
    log: Path | None,
    function: Callable[..., object],
    arguments: tuple[Any, ...],
) -> None:
    threading.Thread(target=_end_with_parent, daemon=True).start()
    os.environ.update(environment)
    if log is not None:
        with log.open("a") as file:
            os.dup2(file.fileno(), 1)
            os.dup2(file.fileno(), 2)
    outcome: BaseException | None = None
    try:
        function(*arguments)
    except BaseException as error:
        if isinstance(error, EquilatentError):
            print(f"{type(error).__name__}: {error}", file=sys.stderr)
        elif not isinstance(error, KeyboardInterrupt):
            traceback.print_exc()
        outcome = _portable(error)
    sys.stdout.flush()
    sys.stderr.flush()
    sender.send(outcome)


def _portable(error: BaseException) -> BaseException:
    """The error itself if it can be sent to another process, else one with its words."""
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        return EquilatentError(f"{type(error).__name__}: {error}")
    return error


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
