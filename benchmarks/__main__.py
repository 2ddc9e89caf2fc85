"""``python -m benchmarks``: everything that is measured, and the page that shows it."""

from __future__ import annotations

import argparse
import datetime as dt
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch

from benchmarks import actions, data_path, ddmnist, groups, imports, latent, memory, page, representations, step
from benchmarks.timing import Options
from equilatent.bench.harness.record import commit, machine, versions

PARTS: dict[str, Callable[[Options], Iterator[page.Table]]] = {
    "groups": groups.tables,
    "actions": actions.tables,
    "representations": representations.tables,
    "latent": latent.tables,
    "step": step.tables,
    "data": data_path.tables,
    "ddmnist": ddmnist.tables,
    "memory": memory.tables,
    "imports": imports.tables,
}
#: sympy has but one thread.
ONE_THREAD = {"groups"}


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"{', '.join(PARTS)}; by default all")
    parser.add_argument("--quick", action="store_true", help="a few rounds of small sizes, to see that everything runs")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu", help="cuda is only printed")
    parser.add_argument(
        "--write",
        action=argparse.BooleanOptionalAction,
        help=f"write what is measured to {page.PAGE.name} and {page.RECORD.name}; by default if no parts are named",
    )
    options = parser.parse_args(arguments)
    unknown = [name for name in options.parts if name not in PARTS]
    if unknown:
        parser.error(f"there is no part {unknown[0]!r}; choose from {', '.join(PARTS)}.")
    real = not options.quick and options.device == "cpu"
    if options.write and not real:
        parser.error("--write is for full runs on the CPU; --quick and --device cuda are only printed.")
    if options.device == "cuda" and not torch.cuda.is_available():
        parser.error("--device cuda: PyTorch finds no such device.")
    if options.write is None:
        options.write = real and not options.parts
    options.parts = list(dict.fromkeys(options.parts)) or list(PARTS)
    return options


def measure(name: str, options: Options, source: str | None) -> dict[str, Any]:
    """The record of one part, its tables printed as they come."""
    threads = torch.get_num_threads()
    if name in ONE_THREAD:
        torch.set_num_threads(1)
    start, tables = time.perf_counter(), []
    try:
        for table in map(page.rounded, PARTS[name](options)):
            print(f"\n{table.text()}", flush=True)
            tables.append(page.as_record(table))
        return {
            "date": dt.datetime.now(dt.UTC).date().isoformat(),
            "commit": source,
            "versions": versions(["torch", "numpy", "sympy"]),
            "machine": machine(options.device),
            "seconds": round(time.perf_counter() - start, 1),
            "tables": tables,
        }
    finally:
        torch.set_num_threads(threads)


def main(arguments: Sequence[str] | None = None) -> None:
    chosen = parse(arguments)
    options = Options(chosen.quick, torch.device(chosen.device))
    source = commit()  # once, before the page is written: that changes the source tree
    start = time.perf_counter()
    for number, name in enumerate(chosen.parts, 1):
        summary = (sys.modules[PARTS[name].__module__].__doc__ or "").splitlines()[0]
        print(f"\n[{number}/{len(chosen.parts)}] {name}: {summary}", flush=True)
        part = measure(name, options, source)
        print(f"\n{part['seconds']} s", flush=True)
        if chosen.write:
            page.write({name: part})
    print(f"\n{time.perf_counter() - start:.0f} s." + (f" Written to {page.PAGE} and {page.RECORD}." * chosen.write))


if __name__ == "__main__":
    main()
