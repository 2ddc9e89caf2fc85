"""Settings for all tests."""

import signal
from collections.abc import Iterator

import pytest
import torch

# The networks of the tests are small: two threads on shared cores take longer than one.
torch.set_num_threads(1)


@pytest.fixture(scope="session", autouse=True)
def _interrupts_are_heard() -> Iterator[None]:
    """Ctrl-C works in the processes that tests start, also where the tests run in the background, which ignores it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)
