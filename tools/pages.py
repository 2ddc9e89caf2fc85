"""Keep small records of finished runs, and write the tables of the pages anew from all that are kept.

``python -m tools.pages [RUNS …]``, from the root of the repository.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from equilatent.bench import load
from equilatent.bench.catalogue import CATALOGUE
from equilatent.bench.harness.record import write_json, write_text
from equilatent.bench.harness.task import Drawing, Task
from equilatent.bench.results.figures import on_one_sheet
from equilatent.bench.results.page import Block, as_markdown, blocks_of
from equilatent.errors import EquilatentError
from tools.blocks import BlockError, blocks, replace_blocks
from tools.frozen import blocks_of_frozen

__all__ = ["PAGES", "RESULTS", "keep", "main", "rendered", "slim", "write_pages"]

#: The pages with the tables, and the folder of the records: `experiments` inside, but for tasks with a folder of their own,
#: and `superseded` those of a protocol that is not a task's own any more.
PAGES = (Path("docs/experiments.md"), Path("docs/ddmnist.md"), Path("docs/frozen.md"))
RESULTS = Path("results")
FOLDERS = {"frozen": "frozen"}
#: Tasks of which a page shows other tables than the usual ones.
TABLES: Mapping[str, Callable[[pd.DataFrame, Task], Iterable[Block]]] = {"frozen": blocks_of_frozen}


def slim(record: Mapping[str, Any], every: int = 5) -> dict[str, Any]:
    """The record with a shorter curve: every fifth epoch and the last, with four digits. The numbers stay as they are.

    >>> kept = slim({"seed": 0, "curve": [{"epoch": float(e), "val/loss": 1 / (e + 3)} for e in range(7)]})
    >>> [row["epoch"] for row in kept["curve"]], kept["curve"][0]["val/loss"]
    ([0.0, 5.0, 6.0], 0.3333)
    """
    curve = record.get("curve") or []
    rows = [row for number, row in enumerate(curve) if number % every == 0 or number == len(curve) - 1]
    return {**record, "curve": [{name: float(f"{value:.4g}") for name, value in row.items()} for row in rows]}


def keep(runs: pd.DataFrame, results: Path) -> None:
    """Write small records of runs into the folder of results."""
    for run in runs.to_dict("records"):
        path = Path(run["path"])
        name = path.parent.name if path.name == "record.json" else path.stem
        own = FOLDERS.get(run["task"], "experiments")
        where = own if run["protocol"] == CATALOGUE[run["task"]].protocol else "superseded"
        write_json(results / where / f"{name}.json", slim(json.loads(path.read_text("utf-8"))))


def rendered(pages: Sequence[Path], results: Path) -> tuple[dict[Path, str], dict[Path, Drawing]]:
    """The pages with their generated parts made anew, and the figures in the folder ``images`` beside each.

    A part has the name of a task, or that with ``_superseded`` behind it for its runs on an earlier protocol.

    Args:
        pages: Markdown files.
        results: the folder of the records.

    Raises:
        BlockError: if there are records of a task without a place on any page.
        EquilatentError: if a record cannot be read.
    """
    told: dict[str, list[Block]] = {}
    for kind, folders in {"": ("experiments", *FOLDERS.values()), "_superseded": ("superseded",)}.items():
        runs = load(*[results / folder for folder in folders if (results / folder).is_dir()])
        for path, reason in runs.attrs["left_out"].items():
            raise EquilatentError(f"{path}: {reason}. Mend it or remove it; every record that is kept has to be shown.")
        for name, members in runs.groupby("task", sort=False):
            tables = blocks_of if kind else TABLES.get(name, blocks_of)
            told[name + kind] = list(tables(members, CATALOGUE[name]))
    texts = {page: page.read_text("utf-8") for page in pages}
    places = {name for text in texts.values() for name in blocks(text)}
    for name in told:
        if name not in places:
            raise BlockError(
                f"there are records of {name!r} and no page has a place for them. Put the lines <!-- begin {name} --> and "
                f"<!-- end {name} --> on one of {', '.join(map(str, pages))}, or name another page."
            )
    drawings: dict[Path, Drawing] = {}
    for page, text in texts.items():
        parts = {name: told.get(name, []) for name in blocks(text) if name.removesuffix("_superseded") in CATALOGUE}
        new = {name: as_markdown(part, images="images") or "*No runs on record.*" for name, part in parts.items()}
        texts[page] = replace_blocks(text, new)
        shown = [block.content for part in parts.values() for block in part if block.kind == "drawing"]
        drawings |= {page.parent / "images" / f"{drawing.name}.svg": drawing for drawing in shown}
    return texts, drawings


def write_pages(pages: Sequence[Path], results: Path) -> None:
    """Write pages and figures as `rendered` makes them, and remove figures that no page shows any more."""
    texts, drawings = rendered(pages, results)
    for file, drawing in drawings.items():
        write_text(file, on_one_sheet(drawing))
    for page, text in texts.items():
        write_text(page, text)
        for file in (page.parent / "images").glob("*-*.svg"):
            if file not in drawings and file.name.split("-")[0] in CATALOGUE:
                file.unlink()


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tools.pages", description=__doc__)
    parser.add_argument("runs", nargs="*", type=Path, help="folders of runs whose finished records are kept")
    parser.add_argument("--results", type=Path, default=RESULTS, help="where records are kept")
    parser.add_argument("--pages", nargs="+", type=Path, default=PAGES, help="the pages with the tables")
    options = parser.parse_args(arguments)
    try:
        runs = load(*options.runs)
        keep(runs, options.results)
        write_pages(options.pages, options.results)
    except (EquilatentError, OSError) as error:
        print(f"equilatent: {error}", file=sys.stderr)
        return 2
    for path, reason in runs.attrs["left_out"].items():
        print(f"left out: {path}: {reason}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
