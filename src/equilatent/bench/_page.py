"""What the pages share: their style, their figures as SVG, and how a template becomes a page."""

from __future__ import annotations

import importlib.resources
import io
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["as_svg", "new_figure", "render_template"]


def new_figure(width: float, height: float, rows: int = 1, columns: int = 1) -> tuple[Figure, Any]:
    """A figure of that size in inches with an array [rows, columns] of axes."""
    # No pyplot: its figures are global state.
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False)
    for axis in axes.flat:
        axis.spines[["top", "right"]].set_visible(False)
    return figure, axes


def as_svg(figure: Figure, *, transparent: bool = True) -> str:
    """The figure as an SVG element to stand in a page; the same text whenever it is made."""
    import matplotlib as mpl

    buffer = io.StringIO()
    with mpl.rc_context({"svg.hashsalt": "equilatent"}):
        figure.savefig(buffer, format="svg", transparent=transparent, metadata={"Date": None})
    text = buffer.getvalue()
    return text[text.index("<svg") :]


def render_template(name: str, **values: Any) -> str:
    """The page that a template makes of values; text in them is escaped, and a value that is missing is an error."""
    import jinja2

    folder = importlib.resources.files("equilatent.bench").joinpath("templates")
    loader = jinja2.FunctionLoader(lambda asked: folder.joinpath(asked).read_text("utf-8"))
    environment = jinja2.Environment(
        loader=loader, autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.get_template(name).render(**values)
