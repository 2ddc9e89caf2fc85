"""Records of runs: one JSON file with all that is needed to make the numbers again."""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

__all__ = ["commit", "machine", "make_record", "peak_memory", "replace_file", "versions", "write_json", "write_text"]


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
) -> dict[str, Any]:
    """The record of one run."""
    return {
        "experiment": experiment,
        "method": method,
        "group": group,
        "seed": seed,
        "config": dict(config),
        "commit": commit(),
        "versions": versions(["equilatent", "torch", "numpy"]),
        "machine": machine(device),
        "final": dict(final),
        "seconds": seconds,
    }


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
