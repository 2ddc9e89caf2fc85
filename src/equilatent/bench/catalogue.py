"""Tasks and systems together: by name, each task with the systems that can be trained on it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from types import MappingProxyType

from equilatent.bench.harness.task import Task
from equilatent.bench.systems import SYSTEMS
from equilatent.bench.tasks import TASKS

__all__ = ["CATALOGUE"]


def _with_systems(task: Task) -> Task:
    built = type(task.architecture(task.config().resolved()))
    return dataclasses.replace(task, systems={system.name: system for system in SYSTEMS if built in system.builds})


CATALOGUE: Mapping[str, Task] = MappingProxyType({task.name: _with_systems(task) for task in TASKS})
