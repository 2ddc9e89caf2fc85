"""Records of runs: one JSON file with all that is needed to make the numbers again."""

from __future__ import annotations

import importlib.metadata
import json
import math
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

import torch

from equilatent.errors import EquilatentError

__all__ = [
    "SCHEMA",
    "commit",
    "machine",
    "make_record",
    "peak_memory",
    "read_record",
    "replace_file",
    "versions",
    "write_json",
    "write_text",
]

#: Counts changes of what a record holds. 1: no schema, protocol and selected; 2: with them.
SCHEMA = 2
#: Numbers of the first schema that are called otherwise now, among the final ones and in the curve.
_RENAMED = {
    "test_moved_task": "test_decoded_task",
    "val/moved_task": "val/decoded_task",
    "train/moved_task": "train/decoded_task",
    "train/shifted_task": "train/transformed_task",
}
#: What a record has to hold, and of what kind.
_KINDS: Mapping[str, type] = {
    "experiment": str,
    "method": str,
    "group": str,
    "seed": int,
    "config": dict,
    "final": dict,
}
#: And what it may hold besides.
_OTHER_KINDS: Mapping[str, type] = {
    "schema": int,
    "protocol": int,
    "selected": dict,
    "data": dict,
    "machine": dict,
    "versions": dict,
}


def make_record(
    *,
    experiment: str,
    method: str,
    group: str,
    seed: int,
    config: Mapping[str, Any],
    final: Mapping[str, Any],
    seconds: float,
    device: torch.device,
    protocol: int = 1,
    selected: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """The record of one run.

    Args:
        experiment: the task.
        method: the system.
        group: the group.
        seed: the seed.
        config: the fields that determine the numbers.
        final: the numbers.
        seconds: of training.
        device: where it ran.
        protocol: that of the task.
        selected: the epoch whose weights were kept, and the number of the validation samples that selected it.
    """
    return {
        "schema": SCHEMA,
        "experiment": experiment,
        "method": method,
        "group": group,
        "seed": seed,
        "protocol": protocol,
        "config": dict(config),
        "commit": commit(),
        "versions": versions(["equilatent", "torch", "numpy"]),
        "machine": machine(device),
        "selected": dict(selected or {}),
        "final": dict(final),
        "seconds": seconds,
    }


def read_record(path: Path) -> dict[str, Any]:
    """A record from a file, of this schema whatever it was written with.

    Raises:
        EquilatentError: if it cannot be read, or is no record; the message says why.
    """
    try:
        record = json.loads(path.read_text("utf-8"), parse_constant=_refuse)
    except (OSError, ValueError, RecursionError) as error:
        raise EquilatentError(f"{path} cannot be read ({error}). Remove it to carry out the run again.") from error
    wrong = _faults(record)
    if wrong:
        raise EquilatentError(f"{path} is no record of a run: {wrong}. Remove it to carry out the run again.")
    if record.get("schema", 1) > SCHEMA:
        raise EquilatentError(
            f"{path} was written by a later version (schema {record['schema']}; this one knows {SCHEMA}). Update equilatent."
        )
    return {
        "schema": 1,
        "protocol": 1,
        "selected": {},
        "data": {},
        "machine": {},
        "versions": {},
        **record,
        "final": _renamed(record["final"]),
        "curve": [_renamed(row) for row in record.get("curve", [])],
    }


def _renamed(numbers: Mapping[str, Any]) -> dict[str, Any]:
    return {_RENAMED.get(name, name): value for name, value in numbers.items()}


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no number")


def _faults(record: Any) -> str:
    """What keeps this from being a record, in words; empty if nothing does."""
    if not isinstance(record, dict):
        return f"it holds a {type(record).__name__}, not a mapping"
    if "cells" in record:
        return "it is the summary of a sweep, whose runs are read from their folders"
    wrong = [name for name, kind in _KINDS.items() if not _is_a(kind, record.get(name))]
    wrong += [] if _is_number(record.get("seconds")) else ["seconds"]
    wrong += [name for name, kind in _OTHER_KINDS.items() if name in record and not _is_a(kind, record[name])]
    if wrong:
        return f"{', '.join(wrong)} missing or of the wrong kind"
    if not all(map(_is_number, record.get("selected", {}).values())):
        return "selected is not made of numbers"
    if not _is_a(int, record["final"].get("best_epoch", 0)):
        return f"best_epoch is {record['final']['best_epoch']!r}"
    curve = record.get("curve", [])
    if not isinstance(curve, list) or not all(
        isinstance(row, dict) and all(map(_is_number, row.values())) for row in curve
    ):
        return "curve is not a list of rows of numbers"
    return ""


def _is_a(kind: type, value: Any) -> bool:
    return isinstance(value, kind) and not isinstance(value, bool)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def commit() -> str | None:
    """The commit of the source tree that runs, with ``+`` if it has been changed since; None outside a checkout."""
    folder = Path(__file__).parent
    try:
        head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=folder, capture_output=True, text=True, check=True)
        changed = subprocess.run(
            ["git", "status", "--porcelain", "--untracked-files=no"],
            cwd=folder,
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return head.stdout.strip() + ("+" if changed.stdout.strip() else "")


def versions(packages: Sequence[str]) -> dict[str, str]:
    """The installed version of Python and of each package."""
    return {"python": platform.python_version(), **{name: importlib.metadata.version(name) for name in packages}}


def machine(device: torch.device) -> dict[str, Any]:
    """What the run was made on."""
    return {
        "system": f"{platform.system()} {platform.machine()}",
        "processor": _processor(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
    }


def peak_memory(device: torch.device) -> int | None:
    """The most bytes that this process has held so far: on the device, or of memory on a CPU; None where it is not told."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    if sys.platform == "win32":
        return None
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def write_json(path: Path, value: Any) -> None:
    """Write JSON so that the file is either the old one or the new one, whole."""
    write_text(path, json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n")


def write_text(path: Path, text: str) -> None:
    """Write text so that the file is either the old one or the new one, whole."""
    replace_file(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))


def replace_file(path: Path, write: Callable[[Path], object]) -> None:
    """Have a file written under a temporary name beside it, and rename it; a failure leaves the old file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    os.close(handle)
    temporary = Path(name)
    try:
        write(temporary)
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.chmod(0o644)
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
