"""Tables of numbers, the record they are kept in, and the page that shows them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

from equilatent.bench.blocks import blocks, replace_blocks
from equilatent.bench.harness.record import write_json, write_text

__all__ = [
    "PAGE",
    "RECORD",
    "ROOT",
    "Cell",
    "Table",
    "Unit",
    "as_record",
    "blocks",
    "in_words",
    "load",
    "render_block",
    "replace_blocks",
    "rounded",
    "write",
]

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "benchmarks.md"
RECORD = ROOT / "results" / "benchmarks" / "speed.json"

Unit: TypeAlias = Literal["text", "seconds", "ratio", "bytes", "count"]
Cell: TypeAlias = "str | float | None"

_SCALES: dict[Unit, Sequence[tuple[float, str]]] = {
    "seconds": ((1, "s"), (1e-3, "ms"), (1e-6, "µs")),
    "bytes": ((1e9, "GB"), (1e6, "MB"), (1e3, "kB"), (1, "B")),
}


@dataclass(frozen=True)
class Table:
    """Rows of numbers, each column in its own unit; None where nothing was measured.

    Attributes:
        title: what was measured.
        columns: heading and unit of each column.
        rows: the cells of each row.
    """

    title: str
    columns: Sequence[tuple[str, Unit]]
    rows: Sequence[Sequence[Cell]]

    def __post_init__(self) -> None:
        for row in self.rows:
            if len(row) != len(self.columns):
                raise ValueError(f"{self.title}: {len(self.columns)} columns, but a row of {len(row)} cells: {row}.")

    def cells(self) -> list[list[str]]:
        """Headings and rows as they are read."""
        units = [unit for _, unit in self.columns]
        body = [[in_words(cell, unit) for cell, unit in zip(row, units, strict=True)] for row in self.rows]
        return [[heading for heading, _ in self.columns], *body]

    def text(self) -> str:
        """The table for a terminal."""
        cells = self.cells()
        widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
        lines = [
            "  ".join([row[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(row[1:], widths[1:], strict=True))])
            for row in cells
        ]
        return "\n".join([self.title, *(f"  {line}".rstrip() for line in lines)])

    def markdown(self) -> str:
        """The table for the page."""
        heading, *body = (f"| {' | '.join(row)} |" for row in self.cells())
        rule = "|".join("---" if unit == "text" else "--:" for _, unit in self.columns)
        return "\n".join([f"**{self.title}**", "", heading, f"|{rule}|", *body])


def in_words(cell: Cell, unit: Unit) -> str:
    """A cell as it is read: seconds and bytes with a unit that suits them."""
    if cell is None:
        return "–"
    if isinstance(cell, str):
        return cell
    if unit in _SCALES:
        scale = _SCALES[unit]
        # Zero, and what is smaller than the smallest unit, is said in that unit.
        factor, name = next((entry for entry in scale if cell >= entry[0]), scale[-1])
        return f"{cell:.0f} B" if name == "B" else f"{_digits(cell / factor)} {name}"
    return f"{cell:,.0f}" if unit == "count" else _digits(cell)


def _digits(number: float) -> str:
    """Two digits at least, without an exponent."""
    return f"{number:,.0f}" if number >= 100 else f"{number:.1f}" if number >= 10 else f"{number:.2f}"


def rounded(table: Table) -> Table:
    """The table with numbers of four digits: the others are noise."""
    rows = [[float(f"{cell:.4g}") if isinstance(cell, float) else cell for cell in row] for row in table.rows]
    return Table(table.title, table.columns, rows)


def render_block(part: Mapping[str, Any]) -> str:
    """One part's share of the page, from its record: what it was measured on, and its tables."""
    machine, versions = part["machine"], part["versions"]
    threads = "1 thread" if machine["threads"] == 1 else f"{machine['threads']} threads"
    names = ", ".join(f"{name} {version}" for name, version in versions.items())
    commit = f"commit {part['commit'][:8]}{'+' * part['commit'].endswith('+')}" if part["commit"] else "no commit"
    made = f"*{part['date']}, {machine['system']}, {machine['cores']} cores, {threads}, {names}, {commit}.*"
    tables = [Table(**table).markdown() for table in part["tables"]]
    return "\n\n".join([made, *tables])


def load(record: Path = RECORD) -> dict[str, Any]:
    """The parts on record, by name; empty if there are none."""
    return json.loads(record.read_text("utf-8"))["parts"] if record.exists() else {}


def write(parts: Mapping[str, Mapping[str, Any]], *, record: Path = RECORD, page: Path = PAGE) -> None:
    """Put parts on record and on the page; those that are not named stay as they are."""
    text = replace_blocks(page.read_text("utf-8"), {name: render_block(part) for name, part in parts.items()})
    write_json(record, {"experiment": "speed", "parts": load(record) | dict(parts)})
    write_text(page, text)


def as_record(table: Table) -> dict[str, Any]:
    """The table as JSON holds it."""
    return asdict(table)
