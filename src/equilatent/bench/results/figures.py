"""Figures of the frame of results, and figures as SVG."""

from __future__ import annotations

import functools
import io
import re
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from equilatent.bench.harness.record import read_record
from equilatent.bench.harness.task import Drawing, Task

__all__ = ["as_gif", "as_svgs", "by_element", "curves", "on_one_sheet", "scatters"]

_COLOURS = ("#1f6fb4", "#c26a1b", "#3b8f5a", "#8a5fb0", "#b33f62", "#2a8c99", "#7a6a2f", "#8a8f98")
_MARKERS = "osD^vP*X"
_SUPERSCRIPTS = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")
#: Around the axes of a panel, in inches: left, right, below and above; with a frame or without.
_MARGINS = {True: (0.55, 0.12, 0.42, 0.3), False: (0.05, 0.05, 0.05, 0.28)}
#: What is drawn in this colour takes that of the text around it.
_INK = "#1d2229"
_STYLE: Any = {
    "svg.hashsalt": "equilatent",
    "svg.fonttype": "none",
    "font.size": 8,
    "axes.titlesize": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
    "legend.fontsize": 7,
    **{f"{part}color": _INK for part in ("text.", "axes.label", "axes.edge", "xtick.", "ytick.")},
}


def as_svgs(drawing: Drawing) -> list[str]:
    """Each panel as an SVG element to stand in a page, in the colour of its text; the same whenever it is made."""
    return [_as_svg(drawing, [panel], 1).replace(_INK, "currentColor") for panel in drawing.panels]


def on_one_sheet(drawing: Drawing, width: float = 9.6) -> str:
    """All panels side by side and below each other, so many inches wide at most, as one SVG on white."""
    return _as_svg(drawing, drawing.panels, _across(drawing, width), transparent=False)


def as_gif(drawing: Drawing, width: float = 9.6) -> tuple[bytes, bytes]:
    """An animation as a GIF that starts over at its end, and its last frame, for readers who want nothing to move.

    All panels are on one sheet, so many inches wide at most, on white.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from PIL import Image

    pictures = []
    with _style():
        for frame in range(drawing.frames):
            panels = [functools.partial(draw, frame=frame) for draw in drawing.panels]
            canvas: Any = FigureCanvasAgg(_figure(drawing, panels, _across(drawing, width)))
            canvas.draw()
            pixels = np.asarray(canvas.buffer_rgba())
            pictures.append(Image.fromarray(pixels[..., :3]))
    # One palette for all frames: with one for each, colours flicker.
    palette = pictures[-1].quantize(128)
    first, *others = [picture.quantize(palette=palette, dither=Image.Dither.NONE) for picture in pictures]
    # At the end it waits.
    durations = [200] * len(others) + [1500]
    moving, still = io.BytesIO(), io.BytesIO()
    first.save(moving, "GIF", save_all=True, append_images=others, duration=durations, loop=0)
    [first, *others][-1].save(still, "GIF")
    return moving.getvalue(), still.getvalue()


def _across(drawing: Drawing, width: float) -> int:
    across = max(1, int(width / (drawing.size[0] + sum(_MARGINS[drawing.framed][:2]))))
    return min(across, len(drawing.panels))


def _as_svg(drawing: Drawing, panels: Sequence[Any], across: int, *, transparent: bool = True) -> str:
    buffer = io.StringIO()
    with _style():
        figure = _figure(drawing, panels, across)
        figure.savefig(buffer, format="svg", transparent=transparent, metadata={"Date": None})
    text = buffer.getvalue()
    return text[text.index("<svg") :]


def _style() -> Any:
    import matplotlib as mpl

    return mpl.rc_context(_STYLE)


def _figure(drawing: Drawing, panels: Sequence[Any], across: int) -> Any:
    # No pyplot: its figures are global state.
    from matplotlib.figure import Figure

    (left, right, below, above), (wide, high) = _MARGINS[drawing.framed], drawing.size
    column, row, down = left + wide + right, below + high + above, -(-len(panels) // across)
    figure = Figure(figsize=(across * column, down * row))
    for number, draw in enumerate(panels):
        # Each at its place, since laying out takes longer than drawing.
        x, y = number % across * column + left, (down - 1 - number // across) * row + below
        draw(figure.add_axes((x / across / column, y / down / row, wide / across / column, high / down / row)))
    return figure


def scatters(part: pd.DataFrame, task: Task) -> list[Drawing]:
    """The first quantity of every configuration against its parameters and its training time, a panel for each group."""
    quantity = task.quantities[0]
    if quantity.name not in part or part[quantity.name].isna().all():
        return []
    systems = {system: number for number, system in enumerate([*task.systems, *part["system"].unique()])}
    drawings = []
    for column, words, unit in (("parameters", "parameters", 1), ("seconds", "training time, minutes", 60)):
        if column not in part:
            continue
        points = part.assign(x=part[column].astype(float) / unit, y=part[quantity.name].astype(float))
        points = (
            points[points["x"] > 0].groupby(["group", "system", "name"], sort=False)[["x", "y"]].agg(["mean", "std"])
        )
        if points.empty:
            continue
        draw = functools.partial(_scatter, systems=systems, words=(words, quantity.heading))
        panels = [
            functools.partial(draw, points=points.loc[[group]], title=group) for group in points.index.unique("group")
        ]
        caption = "Bars are the deviation over the seeds; small: a configuration that was changed."
        if column == "seconds":
            caption += (
                f" Made on {'; '.join(part['machine.processor'].dropna().unique())}."
                if "machine.processor" in part
                else ""
            )
        title = f"{quantity.heading.capitalize()} against {words.partition(',')[0]}"
        drawings.append(Drawing(column, title, caption, panels, (2.5, 2.3)))
    return drawings


def _scatter(
    axis: Any, *, points: pd.DataFrame, systems: Mapping[str, int], words: tuple[str, str], title: str
) -> None:
    middle = float(points["x", "mean"].min() * points["x", "mean"].max()) ** 0.5
    for (_, system, name), point in points.iterrows():
        number = systems[system] % len(_COLOURS)
        (x, wide), (y, high) = (point[each].fillna(0) for each in ("x", "y"))
        axis.errorbar(
            x,
            y,
            xerr=[[min(wide, 0.9 * x)], [wide]],
            yerr=high,
            fmt=_MARKERS[number],
            color=_COLOURS[number],
            markersize=7 if name == system else 4,
            elinewidth=1,
        )
        if name == system:
            right = x > middle
            at = {"xytext": (-6 if right else 6, 4), "ha": "right" if right else "left", "textcoords": "offset points"}
            axis.annotate(system, (x, y), fontsize=7, **at)
    axis.set(title=f"{words[1]}, {title}", xlabel=words[0])
    _logarithmic(axis, "x")
    axis.margins(0.12)
    axis.grid(alpha=0.25, linewidth=0.6)


def _logarithmic(axis: Any, which: str) -> None:
    """A logarithmic scale with numbers in plain text; powers of ten alone may leave an axis without any."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    axis.set(**{f"{which}scale": "log"})
    low, high = getattr(axis, f"get_{which}lim")()
    one = getattr(axis, f"{which}axis")
    one.set_major_locator(LogLocator(subs=(1, 2, 5) if high < 30 * low else (1,)))
    one.set_major_formatter(FuncFormatter(lambda value, _: _short(value)))
    one.set_minor_formatter(NullFormatter())


def _short(value: float) -> str:
    return f"{value / 1e6:.3g} M" if value >= 1e6 else f"{value / 1e3:.3g} k" if value >= 1e4 else f"{value:,g}"


def by_element(part: pd.DataFrame, task: Task) -> list[Drawing]:
    """The error of each element, mean over the seeds: a drawing for each such number and group, a panel for each system.

    A direct product of two groups is a square, the first factor down and the second across; other groups are a strip.
    """
    drawings = []
    for number, title in task.by_element.items():
        for group, runs in part.groupby("group", sort=False):
            columns = [c for c in runs if c.startswith(f"{number}.") and runs[c].notna().any()]
            means = runs.groupby("name", sort=False)[columns].mean().dropna().astype(float)
            if means.empty or not columns:
                continue
            elements = [column.removeprefix(f"{number}.") for column in columns]
            highest = float(np.clip(means.to_numpy().max(), 1.0, 2.0))
            tables = {name: _as_table(elements, row.to_numpy()) for name, row in means.iterrows()}
            rows, across = next(iter(tables.values())).shape
            size = (0.25 * max(across, 6), 0.25 * rows)
            draw = functools.partial(_heat, highest=highest)
            panels = [functools.partial(draw, table=table, title=name) for name, table in tables.items()]
            caption = (
                "For each element, mean over the seeds. 0 is exactly equivariant, 1 as large as what tells samples apart, "
                f"about 2 what unrelated values have. White is 0, the darkest blue {highest:.2g} or more."
            )
            drawings.append(Drawing(f"{number}-{group}".replace("_", "-"), f"{title}, {group}", caption, panels, size))
    return drawings


def _as_table(elements: Sequence[str], values: np.ndarray) -> pd.DataFrame:
    """Errors by the factors of the elements, from names such as ``r_1^2 s_2``; a strip where they are not of a product."""
    pairs = [tuple(_factor(name, side) for side in "12") for name in elements]
    first, second = (list(dict.fromkeys(pair[side] for pair in pairs)) for side in (0, 1))
    if len(set(pairs)) == len(pairs) == len(first) * len(second) and min(len(first), len(second)) > 1:
        index = pd.MultiIndex.from_tuples(pairs)
        return pd.Series(values, index=index).unstack().loc[first, second]
    return pd.DataFrame([values], index=[""], columns=[_pretty(name) for name in elements])


def _factor(name: str, side: str) -> str:
    words = [base + power for base, of, power in re.findall(r"([a-z]+)_([12])(\^\d+|)", name) if of == side]
    return _pretty(" ".join(words) or "e")


def _pretty(name: str) -> str:
    return re.sub(r"([a-z])\^?(\d+)", lambda m: m[1] + m[2].translate(_SUPERSCRIPTS), name)


def _heat(axis: Any, *, table: pd.DataFrame, highest: float, title: str) -> None:
    axis.imshow(table.to_numpy(), cmap="Blues", vmin=0, vmax=highest, aspect="auto")
    axis.set_xticks(range(table.shape[1]), table.columns, rotation=90 if table.shape[1] > 4 else 0)
    axis.set_yticks(range(table.shape[0]), table.index)
    axis.tick_params(length=0)
    axis.spines[:].set_visible(False)
    axis.set_title("\n".join(textwrap.wrap(re.sub(r" \(.*", "", title), 28)), fontsize=8)


def curves(runs: pd.DataFrame, task: Task) -> Drawing | None:
    """Numbers of the validation samples over the epochs, a line for each seed; None with one epoch."""
    from matplotlib.ticker import MaxNLocator

    found = {run["seed"]: pd.DataFrame(read_record(Path(run["path"]))["curve"]) for _, run in runs.iterrows()}
    found = {seed: curve for seed, curve in found.items() if len(curve) > 1 and "epoch" in curve}
    best = dict(zip(runs["seed"], runs["best_epoch"], strict=True))
    names = list(dict.fromkeys(name for curve in found.values() for name in curve if name.startswith("val/")))
    names.sort(key=lambda name: name != f"val/{task.criterion}")

    def draw(axis: Any, *, name: str) -> None:
        for number, (seed, curve) in enumerate(found.items()):
            if name not in curve:
                continue
            colour = _COLOURS[number % len(_COLOURS)]
            line = curve.dropna(subset=[name])
            axis.plot(line["epoch"] + 1, line[name], color=colour, linewidth=1, label=f"seed {seed}")
            kept = line[line["epoch"] == best[seed]]
            axis.plot(kept["epoch"] + 1, kept[name], ".", color=colour)
        if min(curve[name].min() for curve in found.values() if name in curve) > 0:
            _logarithmic(axis, "y")
        axis.set(title=name.removeprefix("val/").replace("_", " "), xlabel="epoch")
        axis.xaxis.set_major_locator(MaxNLocator(integer=True))
        if name == names[0]:
            axis.legend()

    caption = "On the validation samples; a dot marks the epoch whose weights were kept."
    panels = [functools.partial(draw, name=name) for name in names]
    return Drawing("learning", "Learning", caption, panels, (2.4, 1.6)) if panels else None
