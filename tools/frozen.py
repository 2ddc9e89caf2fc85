"""The tables of the page on frozen encoders: what their latents answer, a row for each encoder, a column for each way."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd

from equilatent.bench.harness.task import Task
from equilatent.bench.results.page import Block
from equilatent.bench.results.tables import compare, made_table, show, spread, unique

__all__ = ["blocks_of_frozen"]

#: The jitter in which all encoders are compared; that of queries too.
_MAIN = "mild"
_JITTERS = ("none", _MAIN, "strong")
_DATASETS = {"mnist": "MNIST", "cifar10": "CIFAR10"}
_QUESTIONS = {
    "search_1": "Search: the right item is the nearest, % of the queries",
    "search_10": "Search: the right item is among the ten nearest, % of the queries",
    "pose": "Relative pose, % of the queries",
    "head": "New task: class and pose, % of the images in all poses",
}
_WAYS = {"rho": "ρ(g)z", "maps": "maps", "passes": "8 passes"}
#: The encoders in the order of the rows, by what differs from the defaults: the system, and then the fields of `ours`.
_ENCODERS: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "latent term": ("ours", {}),
    "latent term, no decorrelation": ("ours", {"decorrelation": 0.0}),
    "λ = 0": ("ours", {"strength": 0.0}),
    "λ = 0, no decorrelation": ("ours", {"strength": 0.0, "decorrelation": 0.0}),
    "augmentation alone": ("cnn", {}),
    "consistent outputs": ("ours", {"strength": 0.0, "consistency": 0.3}),
    "invariant latent": ("ours", {"latent": "trivial"}),
    "wrong representation": ("ours", {"latent": "wrong"}),
    "group convolutions": ("exact", {}),
    "no encoder: thumbnail": ("thumbnail", {}),
}
_FIELDS = ("strength", "decorrelation", "consistency", "latent")
#: With what ρ(g)z of the latent term is compared: an encoder and a way.
_RIVALS = (
    ("latent term", "passes"),
    ("latent term, no decorrelation", "rho"),
    ("λ = 0", "rho"),
    ("λ = 0", "maps"),
    ("λ = 0, no decorrelation", "maps"),
    ("augmentation alone", "maps"),
    ("λ = 0", "passes"),
    ("group convolutions", "rho"),
    ("no encoder: thumbnail", "rho"),
)


def blocks_of_frozen(runs: pd.DataFrame, task: Task) -> Iterator[Block]:
    """The tables of the finished runs, mean ± deviation over the seeds.

    Args:
        runs: of the task, on one protocol.
        task: the task.
    """
    encoders = runs.apply(lambda run: _encoder(run, task), axis=1)
    runs = runs.assign(encoder=encoders)
    main = runs[runs["config.jitter"] == _MAIN]
    sizes = unique(map(str, main.groupby(["encoder", "config.dataset"]).size()))
    seeds = " or ".join(sizes)
    yield Block(
        "text", f"Mean ± deviation over the seeds, {seeds} of each unless a cell says (n) otherwise; jitter {_MAIN}."
    )
    for key, title in _QUESTIONS.items():
        yield Block("table", _answers(main, key, ["encoder"]), title)
    yield Block("table", _differences(main), "ρ(g)z of the latent term is above by, in points (p of a paired t-test)")
    yield Block(
        "table",
        _trained(main),
        "The encoders: accuracy on the classes they were trained on, and what their latents are",
    )
    told = [name for name in unique(runs["encoder"]) if set(runs[runs["encoder"] == name]["config.jitter"]) > {_MAIN}]
    if told:
        several = runs[runs["encoder"].isin(told)]
        for key, title in _QUESTIONS.items():
            if key != "search_10":
                yield Block("table", _answers(several, key, ["encoder", "config.jitter"]), f"{title}, by jitter")
    yield Block("table", made_table(runs.sort_values("budget", kind="stable"), task), "How the numbers were made")
    for what in ("data.source", "data.stand_in"):
        if what in runs:
            said = "; ".join(unique(runs[what].dropna()))
            yield Block("text", f"{'Data' if what == 'data.source' else 'Not on the whole of it'}: {said}.")
    machines = [name for name in runs if name.startswith(("machine.", "version."))]
    said = ", ".join(
        f"{name.partition('.')[2]} {'; '.join(unique(map(str, runs[name].dropna())))}" for name in machines
    )
    yield Block("text", f"Machine and versions: {said}.")


def _encoder(run: pd.Series, task: Task) -> str:
    """The name of the encoder of a run; that of its configuration if it is none of those that the page is about."""
    usual = task.config().identity
    changed = {name: run[f"config.{name}"] for name in _FIELDS if run[f"config.{name}"] != usual[name]}
    for name, (system, fields) in _ENCODERS.items():
        if run["system"] == system and (system != "ours" or fields == changed):
            return name
    return str(run["name"])


def _place(label: str) -> int:
    order = list(_ENCODERS)
    return order.index(label) if label in order else len(order)


def _answers(runs: pd.DataFrame, key: str, rows: list[str]) -> pd.DataFrame:
    """A row for each encoder, and each jitter if that is asked for; a column for each data set and way."""
    most = runs.groupby([*rows, "config.dataset"]).size().max()
    cells: dict[str, dict[str, str]] = {}
    labels = sorted(
        {tuple(row) for row in runs[rows].itertuples(index=False)},
        key=lambda row: (_place(row[0]), row[0], [_JITTERS.index(jitter) for jitter in row[1:]]),
    )
    for label in labels:
        line = cells.setdefault(", ".join((label[0], *(f"{jitter} jitter" for jitter in label[1:]))), {})
        for dataset, shown in _DATASETS.items():
            some = runs[runs["config.dataset"] == dataset]
            for column, value in zip(rows, label, strict=True):
                some = some[some[column] == value]
            for way, heading in _WAYS.items():
                line[f"{shown}, {heading}"] = _percent(some[f"{way}_{key}"], most)
    return pd.DataFrame.from_dict(cells, orient="index").rename_axis("encoder")


def _percent(shares: pd.Series, most: int) -> str:
    """In percent; and how many seeds there are, where there are fewer than elsewhere."""
    if not len(shares):
        return "–"
    return spread(100 * shares.astype(float), 1) + (f" ({len(shares)})" if len(shares) < most else "")


def _differences(runs: pd.DataFrame) -> pd.DataFrame:
    """A row for each rival, a column for each data set and question."""
    cells: dict[str, dict[str, str]] = {}
    for encoder, way in _RIVALS:
        line = cells.setdefault(f"{encoder}, {_WAYS[way]}", {})
        for dataset, shown in _DATASETS.items():
            there = runs[runs["config.dataset"] == dataset].set_index("seed")
            own, other = there[there["encoder"] == "latent term"], there[there["encoder"] == encoder]
            for key, heading in {"search_1": "search", "pose": "pose", "head": "new task"}.items():
                seeds = own.index.intersection(other.index)
                first, second = (100 * own[f"rho_{key}"][seeds], 100 * other[f"{way}_{key}"][seeds])
                mean, deviation, p, _ = compare(first, second)
                text = f"+{show(mean, 1)}" if mean > 0 else show(mean, 1)
                told = "" if pd.isna(p) else f" ± {show(deviation, 1)} ({show(p, 3)})"
                line[f"{shown}, {heading}"] = text + told
    return pd.DataFrame.from_dict(cells, orient="index").rename_axis("above")


def _trained(runs: pd.DataFrame) -> pd.DataFrame:
    """What the encoders are: a row each, and for each data set accuracy, error of equivariance and effective rank."""
    cells: dict[str, dict[str, str]] = {}
    for encoder in sorted(unique(runs["encoder"]), key=_place):
        line = cells.setdefault(encoder, {})
        for dataset, shown in _DATASETS.items():
            some = runs[(runs["encoder"] == encoder) & (runs["config.dataset"] == dataset)]
            line |= {
                f"{shown}: accuracy, %": spread(100 * some["test_accuracy"].astype(float), 1),
                f"{shown}: centred error": _error(some["latent_centred_error"]),
                f"{shown}: effective rank": spread(some["effective_rank"].astype(float), 1),
                f"{shown}: features": _same(some["latent_features"]),
                f"{shown}: parameters": _same(some["parameters"]),
            }
    return pd.DataFrame.from_dict(cells, orient="index").rename_axis("encoder")


def _error(values: pd.Series) -> str:
    return "0 but for rounding" if len(values) and (values < 1e-6).all() else spread(values.astype(float), 3)


def _same(values: pd.Series) -> str:
    return " / ".join(unique(map(show, values.dropna()))) or "–"
