"""The figures of a comparison: a number against size or time, and errors element by element."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from equilatent.bench._page import new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from equilatent.bench.comparison import Point

__all__ = ["elements", "scatter"]

_COLOURS = ("#1f6fb4", "#c26a1b", "#3b8f5a", "#8a5fb0", "#b33f62", "#2a8c99", "#7a6a2f", "#5a6270")
_MARKERS = "osD^vP*X"
_SUPERSCRIPTS = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")


def scatter(
    points: Sequence[Point], groups: Sequence[str], methods: Sequence[str], heading: str, words: str
) -> Figure | None:
    """A panel for each group, a colour and a marker for each method; None if nothing was measured.

    Args:
        points: what is shown.
        groups: in the order of the panels.
        methods: in the order of colours, which those that are not shown keep for other figures.
        heading: what the height is.
        words: what the horizontal axis is; logarithmic.
    """
    if not any(not point.paper for point in points):
        return None
    points = [point for point in points if point.x > 0]
    shown = [group for group in groups if any(point.group == group for point in points)]
    numbers = {method: number for number, method in enumerate(dict.fromkeys(methods))}
    if not shown:
        return None
    figure, axes = new_figure(9.6 if len(shown) > 1 else 5.5, 4.2, 1, len(shown))
    lowest = min(point.y - point.y_deviation for point in points)
    highest = max(point.y + point.y_deviation for point in points)
    margin = 0.06 * (highest - lowest) or 0.05
    for axis, group in zip(axes[0], shown, strict=True):
        here = [point for point in points if point.group == group]
        axis.set_xscale("log")
        for point, x in zip(here, _beside(here), strict=True):
            number = numbers[point.method]
            colour = _COLOURS[number % len(_COLOURS)]
            axis.errorbar(
                x,
                point.y,
                xerr=[[min(point.x_deviation, 0.9 * x)], [point.x_deviation]] if point.x_deviation else None,
                yerr=point.y_deviation or None,
                fmt=_MARKERS[number % len(_MARKERS)],
                color=colour,
                markerfacecolor="none" if point.paper else colour,
                markersize=4 if point.changed else 7,
                elinewidth=1,
                alpha=0.7 if point.paper or point.changed else 1,
            )
        axis.set(title=group, xlabel=words, ylim=(lowest - margin, highest + margin))
        axis.title.set_fontsize(10)
        _label_decades(axis)
        axis.tick_params(labelsize=8, which="both")
        axis.grid(alpha=0.25, linewidth=0.6)
    axes[0, 0].set_ylabel(heading)
    for axis in axes[0, 1:]:
        axis.set_yticklabels([])
    figure.legend(handles=_handles(numbers, points), loc="outside lower center", ncols=8, frameon=False, fontsize=8)
    return figure


def _beside(points: Sequence[Point]) -> list[float]:
    """Where each point stands: those at the same place next to each other, all within an eighth of the axis."""
    # On a narrow axis a smaller factor is as wide.
    span = max(max(p.x for p in points) / min(p.x for p in points), 2.0)
    places = []
    for number, point in enumerate(points):
        same = [other for other in range(len(points)) if points[other].x == point.x]
        step = span ** min(0.03, 0.12 / len(same))
        places.append(point.x * step ** (same.index(number) - (len(same) - 1) / 2))
    return places


def _label_decades(axis: Any) -> None:
    """Numbers at 1, 2 and 5 of each decade: powers of ten alone may leave an axis without one."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    low, high = axis.get_xlim()
    if high < 4 * low:  # a few values side by side, hence room for them
        middle = (low * high) ** 0.5
        low, high = min(low, middle / 2), max(high, middle * 2)
        axis.set_xlim(low, high)
    axis.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if high < 100 * low else (1,)))
    axis.xaxis.set_major_formatter(FuncFormatter(lambda value, _: _short(value)))
    axis.xaxis.set_minor_formatter(NullFormatter())


def _short(value: float) -> str:
    return f"{value / 1e6:.3g} M" if value >= 1e6 else f"{value / 1e3:.3g} k" if value >= 1e4 else f"{value:.3g}"


def _handles(numbers: Mapping[str, int], points: Sequence[Point]) -> list[Any]:
    from matplotlib.lines import Line2D

    handles = []
    for method, number in numbers.items():
        if not any(point.method == method for point in points):
            continue
        colour = _COLOURS[number % len(_COLOURS)]
        measured = any(point.method == method and not point.paper for point in points)
        handles.append(
            Line2D(
                [],
                [],
                linestyle="",
                marker=_MARKERS[number % len(_MARKERS)],
                color=colour,
                markerfacecolor=colour if measured else "none",
                label=method,
            )
        )
    if any(point.paper for point in points):
        handles.append(Line2D([], [], linestyle="", marker="o", color="#5a6270", markerfacecolor="none", label="paper"))
    return handles


def elements(errors: Mapping[str, Mapping[str, float]]) -> Figure:
    """The error of each element of one group, for each system by its name.

    A direct product of two groups is a square for each system, the first factor down and the second across; other groups
    are a strip for each.
    """
    names = list(dict.fromkeys(element for values in errors.values() for element in values))
    largest = max(value for values in errors.values() for value in values.values())
    colours = {"cmap": "Blues", "vmin": 0.0, "vmax": min(max(largest, 1.0), 2.0), "aspect": "auto"}
    pairs = _as_pairs(names)
    if pairs is None:
        table = np.array([[values.get(name, np.nan) for name in names] for values in errors.values()])
        figure, axes = new_figure(min(9.6, 2.6 + 0.6 * len(names)), 0.34 * len(errors) + 0.9)
        image = _heat(
            axes[0, 0], table, list(errors), [_pretty(name) for name in names], colours, turned=len(names) > 16
        )
        figure.colorbar(image, ax=axes[0, 0], pad=0.02)
        return figure
    firsts, seconds = (list(dict.fromkeys(parts)) for parts in zip(*pairs, strict=True))
    across = min(4, len(errors))
    down = -(-len(errors) // across)
    side = 0.27 * len(firsts) if len(firsts) > 4 else 0.36 * len(firsts)
    figure, axes = new_figure(max(across * (side + 0.75) + 0.7, 3.2), down * (max(side, 0.7) + 0.75), down, across)
    image = None
    for axis, (system, values) in zip(axes.flat, errors.items(), strict=False):
        table = np.full((len(firsts), len(seconds)), np.nan)
        for name, (first, second) in zip(names, pairs, strict=True):
            table[firsts.index(first), seconds.index(second)] = values.get(name, np.nan)
        image = _heat(
            axis, table, [_pretty(n) for n in firsts], [_pretty(n) for n in seconds], colours, turned=len(seconds) > 4
        )
        axis.set_title("\n".join(_wrapped(system)), fontsize=8)
    for axis in list(axes.flat)[len(errors) :]:
        axis.set_visible(False)
    figure.colorbar(image, ax=axes.ravel().tolist(), pad=0.02, shrink=0.9)
    return figure


def _heat(
    axis: Any,
    table: npt.NDArray[Any],
    rows: Sequence[str],
    columns: Sequence[str],
    colours: Mapping[str, Any],
    *,
    turned: bool,
) -> Any:
    image = axis.imshow(table, **colours)
    axis.set_xticks(range(len(columns)), columns, rotation=90 if turned else 0, fontsize=8)
    axis.set_yticks(range(len(rows)), rows, fontsize=8)
    axis.tick_params(length=0)
    axis.spines[:].set_visible(False)
    if table.shape[1] <= 4 or (table.shape[0] <= 12 and table.shape[1] <= 16 and table.shape[0] != table.shape[1]):
        for (row, column), value in np.ndenumerate(table):
            if np.isfinite(value):
                dark = value > 0.6 * colours["vmax"]
                axis.text(
                    column,
                    row,
                    _brief(value),
                    ha="center",
                    va="center",
                    fontsize=6.5,
                    color="white" if dark else "#1d2229",
                )
    return image


def _brief(value: float) -> str:
    if 0 < abs(value) < 0.005:
        return "<.01"
    return f"{value:.2f}".removeprefix("0") if value < 1 else f"{value:.1f}"


def _as_pairs(names: Sequence[str]) -> list[tuple[str, str]] | None:
    """The elements of a direct product of two as pairs, from names such as ``r_1^2 s_2``; None for other groups."""
    pairs = []
    for name in names:
        factors: tuple[list[str], list[str]] = ([], [])
        for word in [] if name == "e" else name.split():
            match = re.fullmatch(r"([a-z]+)_([12])(\^\d+)?", word)
            if match is None:
                return None
            factors[int(match[2]) - 1].append(match[1] + (match[3] or ""))
        pairs.append((" ".join(factors[0]) or "e", " ".join(factors[1]) or "e"))
    firsts, seconds = ({pair[side] for pair in pairs} for side in (0, 1))
    whole = len(set(pairs)) == len(pairs) == len(firsts) * len(seconds)
    return pairs if whole and min(len(firsts), len(seconds)) > 1 else None


def _pretty(name: str) -> str:
    return re.sub(r"([a-z])\^?(\d+)", lambda m: m[1] + m[2].translate(_SUPERSCRIPTS), name)


def _wrapped(name: str, width: int = 22) -> list[str]:
    lines = [""]
    for part in name.split(", "):
        joined = f"{lines[-1]}, {part}" if lines[-1] else part
        if len(joined) > width and lines[-1]:
            lines[-1] += ","
            lines.append(part)
        else:
            lines[-1] = joined
    return lines
