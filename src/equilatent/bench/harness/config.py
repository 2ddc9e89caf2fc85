"""What every run can be told: the common fields, their check, and the digest that tells configurations apart."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self

import torch

from equilatent.errors import EquilatentError

__all__ = ["CIRCUMSTANCES", "RunConfig", "added", "digest_of", "parse_seeds", "pick_device"]

#: Fields that say where and how a run is carried out; they do not change what it is.
CIRCUMSTANCES = frozenset({"seed", "device", "devices", "nodes", "data", "out", "again"})
#: More seeds than anybody runs.
_MOST_SEEDS = 10_000


def added(default: Any, *, was: Any = dataclasses.MISSING) -> Any:
    """A field that configurations did not have from the start.

    Records of earlier runs lack it; for them it is read as `was`, what held then (the default, if it is left out). With that
    value it is no part of the digest, so that those runs are still found.
    """
    return dataclasses.field(default=default, metadata={"was": default if was is dataclasses.MISSING else was})


@dataclass(frozen=True)
class RunConfig:
    """The fields that all tasks share. Each task sets its own defaults and adds fields of its own."""

    method: str = ""
    """What is trained; `equilatent list` shows the methods of each task."""
    group: str = ""
    """The group; `equilatent list` shows those that the task knows."""
    seed: str = "0"
    """Seeds of the runs: '0', '0,3' or '0..4' (both ends included); one run after the other."""
    epochs: int = 90
    """Passes over the training samples, at most."""
    limit: int | None = None
    """Take only the first so many training samples."""
    batch: int = 64
    """Samples in a batch."""
    rate: float = 0.003
    """Learning rate of Adam."""
    patience: int = 10
    """Stop when the validation loss has not improved for so many epochs."""
    min_change: float = 0.001
    """The least decrease of the validation loss that counts as an improvement."""
    precision: Literal["32-true", "bf16-mixed", "16-mixed"] = "32-true"
    """Arithmetic of the network; bf16-mixed is faster where the processor has instructions for it, and slower elsewhere."""
    channels_last: bool = False
    """Keep images and volumes with the channels last in memory, which is faster for convolutions on most processors."""
    schedule: Literal["constant", "cosine", "exponential"] = added("constant")
    """The learning rate over the run: constant, falling to 0 along half a cosine, or times 0.95 after every epoch."""
    weight_decay: float = added(0.0)
    """Weight decay of Adam, of all parameters."""
    compile: bool = added(False)
    """Compile the training step with torch.compile."""
    device: str = "auto"
    """cpu, cuda, mps, or auto for the fastest one present."""
    devices: int = 1
    """How many devices of that kind share a run (distributed data parallel)."""
    nodes: int = 1
    """How many machines share a run."""
    data: Path | None = None
    """The folder with the data sets; by default the variable EQUILATENT_DATA, else a cache folder of yours."""
    out: Path = Path("runs")
    """The folder in which each run gets a folder of its own."""
    again: bool = False
    """Run again what has been finished before."""

    @property
    def seeds(self) -> list[int]:
        """The seeds as numbers."""
        return parse_seeds(self.seed)

    @property
    def identity(self) -> dict[str, Any]:
        """The fields that determine the numbers of a run, apart from its seed; ready for JSON."""
        fields = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        plain = {name: value for name, value in fields.items() if name not in CIRCUMSTANCES}
        return typing.cast(dict[str, Any], json.loads(json.dumps(plain, default=str)))

    @classmethod
    def filled(cls, recorded: Mapping[str, Any]) -> dict[str, Any]:
        """The fields of a record, with those that it lacks as they were when it was made."""
        missing = {
            field.name: field.metadata["was"]
            for field in dataclasses.fields(cls)
            if "was" in field.metadata and field.name not in recorded and field.name not in CIRCUMSTANCES
        }
        return {**recorded, **missing}

    def resolved(self) -> Self:
        """The configuration with every default that depends on other fields filled in."""
        return self

    def problems(self) -> list[str]:
        """What is wrong with the fields, in words; empty if nothing is. Experiments add to it."""
        wrong = [
            f"--{name.replace('_', '-')} {getattr(self, name)} should be at least {least}"
            for name, least in (
                ("epochs", 1),
                ("patience", 1),
                ("devices", 1),
                ("nodes", 1),
                ("limit", 20),
            )
            if getattr(self, name) is not None and getattr(self, name) < least
        ]
        # Batches differ by one sample at most, so that the smallest is of more than half of this.
        processes = max(1, self.devices) * max(1, self.nodes)
        if self.batch < 4 * processes - 1:
            each = "" if processes == 1 else f", so that each of {processes} processes has two samples of every batch"
            wrong.append(f"--batch {self.batch} should be at least {4 * processes - 1}{each}")
        numbers = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        wrong += [
            f"--{name.replace('_', '-')} {value} should be finite and not negative"
            for name, value in numbers.items()
            if isinstance(value, float) and not 0 <= value < math.inf
        ]
        if self.rate == 0:
            wrong.append("--rate 0.0 should be positive")
        if not str(self.out).strip() or str(self.out) == ".":
            wrong.append("--out should name a folder for the runs")
        try:
            parse_seeds(self.seed)
        except EquilatentError as error:
            wrong.append(str(error))
        try:
            device = pick_device(self.device)
        except EquilatentError as error:
            return [*wrong, str(error)]
        present = {"cuda": 1 if device.index is not None else torch.cuda.device_count(), "mps": 1}
        if self.devices > present.get(device.type, self.devices):
            wrong.append(f"--devices {self.devices} with --device {self.device}: there is {present[device.type]}")
        if self.precision == "16-mixed" and device.type == "cpu":
            wrong.append("--precision 16-mixed cannot be had on a CPU; use bf16-mixed")
        return wrong


def digest_of(config: type[RunConfig], identity: Mapping[str, Any], protocol: int) -> str:
    """Eight characters that tell configurations apart.

    Fields that were added later are left out where they have the value that held before, and so is the first protocol.
    """
    was = {field.name: field.metadata["was"] for field in dataclasses.fields(config) if "was" in field.metadata}
    kept = {name: value for name, value in identity.items() if name not in was or value != was[name]}
    if protocol > 1:
        kept["protocol"] = protocol
    text = json.dumps(kept, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def parse_seeds(text: str) -> list[int]:
    """Seeds from '0', '0,3' or '0..2'.

    >>> parse_seeds("0..2"), parse_seeds("0,3")
    ([0, 1, 2], [0, 3])
    """
    ranges: list[range] = []
    try:
        for part in text.split(","):
            first, _, last = part.partition("..")
            ranges.append(range(int(first), int(last or first) + 1))
    except ValueError:
        ranges = []
    if not all(ranges) or not ranges or min(part.start for part in ranges) < 0:
        raise EquilatentError(f"--seed {text!r} names no seeds. Write '0', '0,3' or '0..2' (both ends included).")
    count = sum(part.stop - part.start for part in ranges)
    if count > _MOST_SEEDS:
        raise EquilatentError(f"--seed {text!r} names {count:,} seeds; at most {_MOST_SEEDS:,} are run.")
    seeds = [seed for part in ranges for seed in part]
    if len(set(seeds)) < count:
        twice = next(seed for number, seed in enumerate(seeds) if seed in seeds[:number])
        raise EquilatentError(f"--seed {text!r} names seed {twice} more than once. Name each seed once.")
    return seeds


def pick_device(name: str) -> torch.device:
    """The device of that name; 'auto' is the fastest one present."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    try:
        device = torch.device(name)
        if device.type not in ("cpu", "cuda", "mps"):
            raise RuntimeError("it is not cpu, cuda or mps")
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise EquilatentError(f"--device {name!r} cannot be used here: {error}. Try --device cpu.") from error
    return device
