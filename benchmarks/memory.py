"""Peak memory of a training step, and the bytes that groups, representations and actions hold.

On a CPU the peak of a step is what the resident memory of the process rises by while it runs, each way in a process of
its own that has run a small step before; it counts what PyTorch's kernels allocate for themselves, which its profiler
does not see. Linux resets and tells this peak; ``getrusage`` tells only the highest since the process started, import
included, so elsewhere nothing is measured. On a GPU it is what PyTorch's allocator has handed out at most.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

import equilatent as eq
from benchmarks import step
from benchmarks.actions import two_digits
from benchmarks.groups import mathieu
from benchmarks.page import Cell, Table
from benchmarks.timing import Options

STATUS, RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")
WAYS = ("plain", "separate", "joint", "obvious")


def peak_bytes(name: str, way: str, quick: bool, device: torch.device, threads: int) -> float:
    """What one step adds to the memory at its height."""
    torch.set_num_threads(threads)
    step.make(name, True, device).ways()[way]()  # what is set up at a first step is no part of it
    return rise(step.make(name, quick, device).ways()[way], device)


def rise(run: Callable[[], object], device: torch.device) -> float:
    """What a call adds at its height to the memory held before, in bytes."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        run()
        return float(torch.cuda.max_memory_allocated(device) - before)
    RESET.write_text("5")
    before = _status_bytes("VmRSS")
    run()
    # The system counts pages roughly: a step that needs no new ones may come out below zero.
    return float(max(_status_bytes("VmHWM") - before, 0))


def _status_bytes(field: str) -> int:
    return next(int(line.split()[1]) * 1024 for line in STATUS.read_text().splitlines() if line.startswith(field))


def peaks(options: Options) -> Table:
    rows: list[list[Cell]] = []
    # A fresh process for every number; in quick runs one for all, since starting one takes seconds.
    tasks = None if options.quick else 1
    names = list(step.CASES)[: 1 if options.quick else None]
    with multiprocessing.get_context("spawn").Pool(1, maxtasksperchild=tasks) as pool:
        for name in names:
            fixed = (options.quick, options.device, torch.get_num_threads())
            plain, *others = (pool.apply(peak_bytes, (name, way, *fixed)) for way in WAYS)
            case = step.make(name, options.quick, torch.device("cpu"))
            rows.append([case.name, plain, *(other / plain if plain else None for other in others)])
    columns = (
        ("network and batch", "text"),
        ("two plain steps, one after the other", "bytes"),
        ("the objective, separate passes", "ratio"),
        ("the objective, a joint pass", "ratio"),
        ("the obvious way", "ratio"),
    )
    return Table("Peak memory of a step above what was there before, relative to two plain steps", columns, rows)


def held_bytes(thing: object) -> int:
    """The bytes of all tensors and arrays that an object reaches, each counted once."""
    seen: set[int] = set()
    waiting, total = [thing], 0
    storages: dict[int, int] = {}
    while waiting:
        item = waiting.pop()
        if id(item) in seen or isinstance(item, type):
            continue
        seen.add(id(item))
        if isinstance(item, Tensor):
            storages[item.untyped_storage().data_ptr()] = item.untyped_storage().nbytes()
        elif isinstance(item, np.ndarray):
            if isinstance(item.base, np.ndarray):
                waiting.append(item.base)
            elif item.base is None:
                total += item.nbytes
            else:  # memory of someone else, such as a tensor's
                storages[item.__array_interface__["data"][0]] = item.nbytes
        elif isinstance(item, Mapping):
            waiting += [*item.keys(), *item.values()]
        elif isinstance(item, list | tuple | set | frozenset):
            waiting += item
        elif type(item).__module__.startswith(("equilatent", "torch.nn")):
            waiting += vars(item).values()
    return total + sum(storages.values())


def held(options: Options) -> Table:
    D4 = eq.groups.dihedral(4)
    pair, S6 = eq.groups.direct_product(D4, D4), eq.groups.symmetric(6)
    digits, volume = two_digits(), eq.actions.volume(eq.groups.octahedral())
    digits(torch.zeros(1, 1, 56, 56), torch.zeros(1, dtype=torch.long))  # the tables come with the first batch
    volume(torch.zeros(1, 1, 29, 29, 29), torch.zeros(1, dtype=torch.long))
    many = eq.groups.direct_product(*(eq.groups.dihedral(n) for n in range(3, 11)))
    things: list[tuple[str, object, int | None]] = [
        ("group D4 × D4", pair, None),
        ("group S6", S6, None),
        ("group M11", mathieu(), None),
        (f"group D3 × … × D10, order {many.order:.1e}", many, None),
        ("`padded_regular(D4 × D4, 66)`", eq.reps.padded_regular(pair, 66), 64 * 66 * 66),
        ("`padded_regular(S6, 4096)`", eq.reps.padded_regular(S6, 4096), 720 * 4096 * 4096),
        ("two digits of 28², D4 × D4", digits, 64 * (56 * 56) ** 2),
        ("volumes of 29³, octahedral", volume, 24 * (29**3) ** 2),
    ]
    rows: list[list[Cell]] = [
        [name, float(held_bytes(thing)), None if numbers is None else 4.0 * numbers] for name, thing, numbers in things
    ]
    columns = (("", "text"), ("held", "bytes"), ("matrices of all elements, float32", "bytes"))
    return Table("Held by groups, representations and actions, the group included", columns, rows)


def tables(options: Options) -> Iterator[Table]:
    if options.device.type == "cuda" or RESET.exists():
        yield peaks(options)
    yield held(options)
