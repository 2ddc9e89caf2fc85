"""A table of text, and how numbers are written in it."""

from __future__ import annotations

import math
import re
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeGuard

__all__ = ["Row", "Table", "escaped", "is_number", "show", "spread"]


@dataclass(frozen=True)
class Row:
    """A row of a table: of a run, of several runs together, or of the paper."""

    kind: Literal["run", "mean", "paper", "paper mean"]
    cells: Sequence[str]


@dataclass(frozen=True)
class Table:
    """Rows of text under headings."""

    title: str
    headings: Sequence[str]
    rows: Sequence[Row]

    def markdown(self) -> str:
        """The table in Markdown, with its title above it; means are bold."""
        lines = [[escaped(cell) for cell in self.headings]]
        for row in self.rows:
            bold = "**" if row.kind == "mean" else ""
            lines.append([f"{bold}{escaped(cell)}{bold}" if cell else "" for cell in row.cells])
        heading, *body = (f"| {' | '.join(line)} |" for line in lines)
        rule = "|".join(["---", *["--:"] * (len(self.headings) - 1)])
        return "\n".join([f"**{escaped(self.title)}**", "", heading, f"|{rule}|", *body])


def is_number(value: Any) -> TypeGuard[float]:
    """Whether this is a finite number."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def show(value: Any, form: str = "") -> str:
    """A number with as many digits as suit it; a dash for None."""
    if not is_number(value):
        return "–" if value is None else str(value)
    if isinstance(value, int):
        return f"{value:,}"
    return _tidy(f"{value:{form or _form(value)}}")


def spread(values: Sequence[Any]) -> str:
    """``mean ± deviation`` with as many decimals as suit the mean; a dash if a value is missing."""
    if not values or not all(is_number(value) for value in values):
        return "–"
    if len(values) == 1:
        return show(values[0])
    mean, deviation = statistics.fmean(values), statistics.stdev(values)
    form = _form(max(abs(mean), deviation))
    # Numbers that are all the same small or whole one: decimals of their deviation would tell nothing.
    if not deviation and (form == ".1e" or isinstance(values[0], int)):
        return f"{show(values[0])} ± 0"
    return f"{_tidy(f'{mean:{form}}')} ± {_tidy(f'{deviation:{form}}')}"


def _form(number: float) -> str:
    size = abs(number)
    if size >= 100:
        return ",.0f"
    if size >= 1:
        return ".2f"
    if size >= 1e-3:
        return f".{2 - math.floor(math.log10(size))}f"
    return ".1e" if size else ".0f"


def _tidy(text: str) -> str:
    """Exponents without zeros in front; a true minus sign."""
    return re.sub(r"e([+-])0?", lambda match: "e−" if match[1] == "-" else "e", text).replace("-", "−")


def escaped(text: str) -> str:
    """The text as a cell of a Markdown table."""
    return text.replace("|", "\\|").replace("<", "&lt;").replace("\n", " ")
