"""What is told of the runs of a task, put together once; and written as Markdown or as a page that asks for nothing."""

from __future__ import annotations

import base64
import dataclasses
import importlib.resources
import re
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import pandas as pd

from equilatent.bench.harness.task import Drawing, Task
from equilatent.bench.results import figures, tables

__all__ = ["Block", "as_markdown", "as_page", "blocks_of", "portraits_of"]


class Block(NamedTuple):
    """A piece of a page.

    Attributes:
        kind: what it is.
        content: text, a frame of text, or a drawing.
        title: of a table.
    """

    kind: Literal["heading", "verdict", "text", "table", "drawing"]
    content: Any
    title: str = ""


def blocks_of(runs: pd.DataFrame, task: Task) -> Iterator[Block]:
    """What is told of the runs of a task: for each protocol and budget a verdict, tables and figures."""
    parts = list(runs.groupby(["protocol", "budget"], sort=False))
    for (protocol, budget), part in parts:
        superseded = protocol < task.protocol
        words = [budget or "the whole budget"]
        words += [f"protocol {protocol}, superseded by {task.protocol}"] if superseded else []
        if len(parts) > 1 or budget or superseded:
            yield Block("heading", words[0][0].upper() + ", ".join(words)[1:])
        same = runs[runs["protocol"] == protocol]
        beside, controls = tables.with_controls(part, same, task)
        yield Block("verdict", tables.verdict(part, controls, same, task))
        if stand_ins := _said(part, "data.stand_in"):
            yield Block("text", f"Not on the whole of the paper's data: {stand_ins}.")
        shown = [] if superseded else [("Controls that are still to be run", tables.control_table(controls))]
        yield from _tables(_comparison(beside, task, budget) + shown)
        drawings = [*(figures.scatters(beside, task) if task.baseline else ()), *figures.by_element(beside, task)]
        for drawing in drawings:
            where = [task.name, f"protocol-{protocol}" if superseded else "", budget, drawing.name]
            name = re.sub(r"[^A-Za-z0-9.]+", "-", "-".join(filter(None, where)))
            yield Block("drawing", dataclasses.replace(drawing, name=name))
        yield from _tables(_details(part, beside, task))
        made = {"Data": _data(part), "Machine": _all(part, "machine."), "Versions": _all(part, "version.")}
        yield from (Block("text", f"{what}: {words}.") for what, words in made.items() if words)


def _tables(titled: Iterable[tuple[str, pd.DataFrame | None]]) -> Iterator[Block]:
    yield from (Block("table", table.fillna("–"), title) for title, table in titled if table is not None)


def _comparison(beside: pd.DataFrame, task: Task, budget: str) -> list[tuple[str, pd.DataFrame | None]]:
    if not task.baseline:
        return []
    published = tables.in_the_paper(beside, task, budget)
    compared = []
    for number, quantity in enumerate(task.quantities):
        in_paper = any(quantity.name in numbers for numbers in published.values())
        if number and (quantity.given or not in_paper):
            continue  # what systems are compared by, and what the paper has of the rest
        heading = quantity.heading[0].upper() + quantity.heading[1:]
        paper = ", beside the paper's mean (deviation)" if in_paper else ""
        title = f"{heading}, mean ± deviation (number of seeds){paper}"
        compared.append((title, tables.cross_table(beside, task, budget, quantity)))
    return compared


def _details(part: pd.DataFrame, beside: pd.DataFrame, task: Task) -> Iterator[tuple[str, pd.DataFrame | None]]:
    for group in part["group"].unique():
        yield (
            f"{group}: all configurations, mean ± deviation",
            tables.detail_table(beside[beside["group"] == group], task),
        )
    for number, title in task.by_layer.items():
        yield title, tables.layer_table(beside, number)
    yield "What follows from the configuration", tables.given_table(beside, task)
    for _, runs in () if task.baseline else part.groupby(["group", "digest", "data.digest"], sort=False):
        title = f"{runs['name'].iloc[0]}, {runs['group'].iloc[0]}"
        yield title, tables.seed_table(runs, task, task.quantities, paper=True)
        yield f"{title}: more about these runs", tables.seed_table(runs, task, task.details)
    yield "How the numbers were made", tables.made_table(beside, task)


def _said(part: pd.DataFrame, column: str) -> str:
    return "; ".join(tables.unique(map(str, part[column].dropna()))) if column in part else ""


def _data(part: pd.DataFrame) -> str:
    several = part["data.digest"].nunique() > 1
    sources = part["data.source"] if "data.source" in part else part["data.digest"]
    said = [
        f"{source} (data {digest})" if several else source
        for source, digest in zip(sources, part["data.digest"], strict=True)
    ]
    return "; ".join(tables.unique(map(str, said)))


def _all(part: pd.DataFrame, prefix: str) -> str:
    names = [name for name in part if name.startswith(prefix) and part[name].notna().any()]
    return ", ".join(f"{name.removeprefix(prefix)} {_said(part, name)}" for name in names)


def portraits_of(runs: pd.DataFrame, task: Task, left_out: dict[str, str]) -> Iterator[Block]:
    """The figures of each configuration: learning, and what its task draws of the arrays that the runs kept.

    Args:
        runs: of one task.
        task: the task.
        left_out: gets the files that cannot be read, with the reason.
    """
    for _, members in runs.groupby(["protocol", "group", "digest", "data.digest"], sort=False):
        arrays = {run["seed"]: _arrays(Path(run["path"]), left_out) for _, run in members.iterrows()}
        kept = {seed: found for seed, found in arrays.items() if found}
        drawings = [figures.curves(members, task), *(task.figures(kept, members) if task.figures and kept else ())]
        if any(drawings):
            budget = "".join(f", {words}" for words in [members["budget"].iloc[0]] if words)
            yield Block("heading", f"{members['name'].iloc[0]}, {members['group'].iloc[0]}{budget}")
        yield from (Block("drawing", drawing) for drawing in drawings if drawing)


def _arrays(record: Path, left_out: dict[str, str]) -> dict[str, np.ndarray]:
    file = record.with_name("figures.npz")
    if record.name != "record.json" or not file.is_file():
        return {}
    try:
        # Given a name, numpy would leave the file open if it is damaged.
        with file.open("rb") as opened, np.load(opened, allow_pickle=False) as arrays:
            return {name: arrays[name] for name in arrays.files if np.isfinite(arrays[name]).all()}
    except (OSError, ValueError, TypeError, KeyError, EOFError, zipfile.BadZipFile) as error:
        left_out[str(file)] = f"damaged: cannot be read ({error}); the numbers are shown without it"
        return {}


def as_markdown(blocks: Iterable[Block], *, level: int = 3, images: str = "") -> str:
    """Pieces of a page as Markdown.

    Args:
        blocks: the pieces.
        level: of their headings.
        images: the folder in which the drawings are, as SVG files; without one there are no drawings.
    """
    parts = []
    for kind, content, title in blocks:
        if kind == "heading":
            parts.append(f"{'#' * level} {content}")
        elif kind == "table":
            parts.append(f"**{_escaped(title)}**\n\n{_markdown_table(content)}")
        elif kind == "drawing" and images:
            parts.append(
                f"![{content.title}]({images}/{content.name}.svg)\n\n*{content.title}. {_escaped(content.caption)}*"
            )
        elif kind in ("verdict", "text"):
            parts.append(f"**{_escaped(content)}**" if kind == "verdict" else _escaped(content))
    return "\n\n".join(parts)


def _markdown_table(table: pd.DataFrame) -> str:
    table = table.rename(index=_escaped, columns=_escaped).map(_escaped)
    align = ("left", *["right"] * len(table.columns))
    lines = table.to_markdown(tablefmt="pipe", disable_numparse=True, colalign=align).splitlines()
    return "\n".join(re.sub(r"-{3,}", "---", re.sub(r" {2,}", " ", line)) for line in lines)


def _escaped(text: str) -> str:
    """Text that is neither a table's border nor a tag in Markdown."""
    return text.replace("|", "\\|").replace("<", "&lt;").replace("\n", " ")


def as_page(frame: pd.DataFrame, tasks: Mapping[str, Task]) -> str:
    """The page with everything that is told of some runs.

    Args:
        frame: the runs.
        tasks: by name.
    """
    import jinja2

    left_out = dict(frame.attrs.get("left_out", {}))
    chapters = []
    for name in frame["task"].unique():
        runs, task = frame[frame["task"] == name], tasks[name]
        chapters.append((task, list(blocks_of(runs, task)), list(portraits_of(runs, task, left_out))))
    folder = importlib.resources.files("equilatent.bench").joinpath("templates")
    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(lambda asked: folder.joinpath(asked).read_text("utf-8")),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"html": _html, "table": _html_table, "svgs": figures.as_svgs, "gifs": _gifs}
    template = environment.get_template("report.html.jinja")
    return template.render(chapters=chapters, left_out=left_out, count=len(frame), chance=tables.CHANCE)


def _html_table(table: pd.DataFrame) -> Any:
    with pd.option_context("display.max_colwidth", None):
        text = table.reset_index().to_html(index=False, escape=True, border=0, justify="right")
    return _with_code(text)


def _gifs(drawing: Drawing) -> list[str]:
    return ["data:image/gif;base64," + base64.b64encode(content).decode() for content in figures.as_gif(drawing)]


def _html(text: str) -> Any:
    import markupsafe

    return _with_code(str(markupsafe.escape(text)))


def _with_code(escaped: str) -> Any:
    import markupsafe

    return markupsafe.Markup(re.sub(r"`([^`]*)`", r"<code>\1</code>", escaped))
