"""The systems of an experiment side by side over its groups: a table, differences in words, and what the figures show."""

from __future__ import annotations

import json
import math
import re
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from equilatent.bench._table import Row, Table, is_number, show, spread

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from equilatent.bench.tables import RunGroup

__all__ = [
    "Comparison",
    "Picture",
    "Point",
    "budget_of",
    "by_budget",
    "comparison_of",
    "cross_table",
    "differences",
    "element_errors",
    "layer_tables",
    "margins",
    "pictures",
    "points",
    "system_of",
    "welch",
]


@dataclass(frozen=True)
class Comparison:
    """What is compared between the systems of an experiment.

    Attributes:
        number: the number of `Recipe.final`, better if larger.
        method: the method whose difference from the baseline is told.
        baseline: the method that it is compared with.
        by_element: numbers of `Recipe.final` that map the name of each group element to an error, with their titles.
        by_layer: numbers of `Recipe.final` that map the name of each layer to a number, of systems that have it, with their
            titles.
        budget: fields of the configuration in which less than the default, or than no bound, is a smaller budget; only
            systems on the same one are compared. More than the default is a change of the system.
    """

    number: str
    method: str
    baseline: str
    by_element: Mapping[str, str] = field(default_factory=dict)
    by_layer: Mapping[str, str] = field(default_factory=dict)
    budget: Sequence[str] = ("limit",)


@dataclass(frozen=True)
class Picture:
    """A figure with its title and caption, and a name for its file."""

    name: str
    title: str
    caption: str
    figure: Figure


@dataclass(frozen=True)
class Point:
    """A system on one group in a plot, measured or as the paper has it.

    Attributes:
        method: the method.
        group: the group.
        x: mean over the seeds.
        x_deviation: standard deviation over the seeds; 0 for one.
        y: mean of the number that is compared.
        y_deviation: its standard deviation.
        changed: whether more than the budget differs from the default configuration.
        paper: whether it is the paper's.
    """

    method: str
    group: str
    x: float
    x_deviation: float
    y: float
    y_deviation: float
    changed: bool = False
    paper: bool = False


@dataclass(frozen=True)
class _System:
    """A row of the cross table: the runs of one configuration on each group. Without runs it has only published numbers.

    It is plain if nothing but the budget was changed.
    """

    method: str
    name: str
    plain: bool
    runs: Mapping[str, RunGroup]


def comparison_of(groups: Sequence[RunGroup]) -> Comparison | None:
    """What is compared between these runs, all of one experiment; None if nothing is to be."""
    return groups[0].experiment.comparison if groups else None


def by_budget(groups: Sequence[RunGroup], comparison: Comparison) -> list[list[RunGroup]]:
    """The runs of one experiment, apart by their budgets, the default one first. The functions here take one such part."""
    parts: dict[str, list[RunGroup]] = {}
    for runs in groups:
        parts.setdefault(budget_of([runs], comparison), []).append(runs)
    return [parts[budget] for budget in sorted(parts)]


def budget_of(groups: Sequence[RunGroup], comparison: Comparison) -> str:
    """The budget of runs that agree in it, such as ``limit = 2500``; empty for the default one."""
    return ", ".join(f"{name} = {value}" for name, value in _budget_fields(groups[0], comparison).items())


def system_of(runs: RunGroup, comparison: Comparison) -> str:
    """What tells runs from others of the same group and budget: the method, and what else was changed."""
    return runs.system(without=_budget_fields(runs, comparison))


def cross_table(groups: Sequence[RunGroup], comparison: Comparison) -> Table:
    """A row for each system, and for each group what was measured beside what the paper has.

    Published numbers stand in the row of the default configuration alone; where that was not run, beside a dash. For
    another budget than the default one there are none.

    Args:
        groups: runs of one experiment, on one budget.
        comparison: what is compared.
    """
    experiment = groups[0].experiment
    names, budget = _group_names(groups, comparison), budget_of(groups, comparison)
    rows = []
    for system in _systems(groups, comparison):
        cells = [system.name]
        for name in names:
            cells.append(_measured(system.runs.get(name), comparison.number))
            if not budget:
                cells.append(_published(groups, system, name, comparison.number))
        cells.append(
            _listed([show(system.runs[n].numbers("parameters")[0] if n in system.runs else None) for n in names])
        )
        if not budget:
            cells.append(_listed([_published(groups, system, name, "parameters") for name in names]))
        rows.append(Row("run" if system.runs else "paper", cells))
    columns = [*names, "parameters"]
    number = experiment.columns.get(comparison.number, comparison.number)
    title = ", ".join(filter(None, [experiment.title, budget])) + f": {number}, mean ± deviation (number of seeds)"
    if budget:
        return Table(title, ["", *columns], rows)
    headings = [heading for name in columns for heading in (name, f"{name}, paper")]
    return Table(f"{title}, beside the paper's mean (deviation)", ["", *headings], rows)


def differences(groups: Sequence[RunGroup], comparison: Comparison) -> list[str]:
    """For each group, in words, how far the method is from the baseline.

    Each configuration of the method is compared with the baseline changed in the same way, and the plain one with every
    configuration of the baseline. The combined deviation is √(s₁² + s₂²), that of the difference of two single runs.
    """
    systems = [system for system in _systems(groups, comparison) if system.runs]
    of_method = [system for system in systems if system.method == comparison.method]
    of_baseline = [system for system in systems if system.method == comparison.baseline]
    said = []
    budget = budget_of(groups, comparison)
    for name in _group_names(groups, comparison):
        for ours in of_method:
            for theirs in of_baseline:
                alike = ours.name.removeprefix(ours.method) == theirs.name.removeprefix(theirs.method)
                if name in ours.runs and name in theirs.runs and (alike or ours.plain):
                    pair = [(s.name, s.runs[name].numbers(comparison.number)) for s in (ours, theirs)]
                    said.append(f"{', '.join(filter(None, [name, budget]))}: {_difference(*pair)}")
    return said


def margins(groups: Sequence[RunGroup], comparison: Comparison) -> list[str] | None:
    """By how much the plain configuration of the method is above each of these runs, also in combined deviations s.

    Args:
        groups: runs of one experiment on one group, on one budget.
        comparison: what is compared.

    Returns:
        A text for each; None if the plain configuration of the method is not among them.
    """
    plain = next((runs for runs in groups if runs.method == comparison.method and _is_plain(runs, comparison)), None)
    return None if plain is None else [_margin(plain, other, comparison.number) for other in groups]


def _margin(runs: RunGroup, other: RunGroup, number: str) -> str:
    first, second = runs.numbers(number), other.numbers(number)
    if runs is other or not all(map(is_number, [*first, *second])):
        return "–"
    difference, deviation = _apart(first, second)
    return show(difference, "+.3f") + (f" ({show(difference / deviation, '+.1f')} s)" if deviation else "")


def _apart(first: Sequence[float], second: Sequence[float]) -> tuple[float, float | None]:
    """The difference of the means, and the combined deviation, which is None if a side has but one number."""
    difference = statistics.fmean(first) - statistics.fmean(second)
    if min(len(first), len(second)) < 2:
        return difference, None
    return difference, math.hypot(statistics.stdev(first), statistics.stdev(second))


def welch(first: Sequence[float], second: Sequence[float]) -> tuple[float, float]:
    """Welch's t statistic of the difference of two means, and its degrees of freedom (Welch–Satterthwaite).

    Args:
        first: at least two numbers.
        second: at least two numbers.

    Raises:
        ValueError: if there are fewer, or if all numbers of both are the same, so that there is no such statistic.

    >>> t, freedom = welch([0.9, 0.92, 0.94], [0.88, 0.89, 0.9])
    >>> round(t, 3), round(freedom, 3)
    (2.324, 2.941)
    """
    if min(len(first), len(second)) < 2:
        raise ValueError(f"Welch's t needs two numbers of each; got {len(first)} and {len(second)}.")
    a, b = (statistics.variance(values) / len(values) for values in (first, second))
    if a + b == 0:
        raise ValueError("Welch's t is not defined where neither side deviates.")
    t = (statistics.fmean(first) - statistics.fmean(second)) / math.sqrt(a + b)
    return t, (a + b) ** 2 / (a**2 / (len(first) - 1) + b**2 / (len(second) - 1))


def points(groups: Sequence[RunGroup], comparison: Comparison, x: str) -> list[Point]:
    """What is compared against another number, of each system and group that have both; the paper's last, on its budget."""
    found = []
    for system in _systems(groups, comparison):
        for name, runs in system.runs.items():
            values = [[v for v in runs.numbers(number) if is_number(v)] for number in (x, comparison.number)]
            if all(len(v) == len(runs.runs) for v in values):
                (at, wide), (high, tall) = (
                    (statistics.fmean(v), statistics.stdev(v) if len(v) > 1 else 0.0) for v in values
                )
                found.append(Point(system.method, name, at, wide, high, tall, changed=not system.plain))
    for (method, group), printed in _by_the_paper(groups, comparison).items():
        place, height = _printed(printed.get(x)), _printed(printed.get(comparison.number))
        if place and height:
            found.append(Point(method, group, *place, *height, paper=True))
    return found


def element_errors(
    groups: Sequence[RunGroup], comparison: Comparison, number: str
) -> dict[str, dict[str, dict[str, float]]]:
    """For each group and system the error of each element, by its name, averaged over the seeds."""
    found: dict[str, dict[str, dict[str, float]]] = {}
    for system in _systems(groups, comparison):
        for group, runs in system.runs.items():
            mappings = runs.numbers(number)
            if not all(isinstance(m, Mapping) and m and m.keys() == mappings[0].keys() for m in mappings):
                continue
            if all(is_number(value) for mapping in mappings for value in mapping.values()):
                means = {element: statistics.fmean(m[element] for m in mappings) for element in mappings[0]}
                found.setdefault(group, {})[system.name] = means
    return {group: found[group] for group in _group_names(groups, comparison) if group in found}


def layer_tables(groups: Sequence[RunGroup], comparison: Comparison) -> list[Table]:
    """For each number by layer a row for each system and group that have it, means ± deviations; empty without any.

    Args:
        groups: runs of one experiment, on one budget.
        comparison: what is compared.
    """
    made = []
    for number, title in comparison.by_layer.items():
        found = {}
        for runs in groups:
            mappings = [mapping for mapping in runs.numbers(number) if isinstance(mapping, Mapping)]
            if mappings and len(mappings) == len(runs.runs):
                found[f"{system_of(runs, comparison)}, {runs.group}"] = mappings
        layers = list(dict.fromkeys(layer for mappings in found.values() for mapping in mappings for layer in mapping))
        rows = [
            Row("run", [name, *(spread([mapping.get(layer) for mapping in mappings]) for layer in layers)])
            for name, mappings in found.items()
        ]
        if rows:
            full = ", ".join(filter(None, [title, budget_of(groups, comparison)]))
            made.append(Table(full, ["", *layers], rows))
    return made


def pictures(groups: Sequence[RunGroup], comparison: Comparison) -> list[Picture]:
    """The figures: the number against parameters and against training time, and the errors of the elements."""
    from equilatent.bench import _comparison_figures as drawn

    experiment = groups[0].experiment
    heading = experiment.columns.get(comparison.number, comparison.number)
    budget = budget_of(groups, comparison)
    file = re.sub(r"[^A-Za-z0-9.]+", "-", "-".join(filter(None, [experiment.name, budget])))
    suffix = f", {budget}" if budget else ""
    order = [*experiment.methods, *(system.method for system in _systems(groups, comparison))]
    made = []
    beside = "Systems with the same number stand side by side. Bars are the standard deviation over the seeds"
    machines = list(dict.fromkeys(_device(run.record) for runs in groups for run in runs.runs))
    made_on = "Times on different machines do not compare: " if len(machines) > 1 else "Made on "
    small = "small: a changed configuration"
    paper = "" if budget else "; hollow: the paper's"
    # Minutes, so that the axis has whole numbers.
    for x, unit, words, caption in (
        ("parameters", 1, "parameters", f"{beside}{paper}; {small}."),
        ("seconds", 60, "training time, minutes", f"{beside}; {small}. {made_on}{'; '.join(machines)}."),
    ):
        found = [replace(p, x=p.x / unit, x_deviation=p.x_deviation / unit) for p in points(groups, comparison, x)]
        figure = drawn.scatter(found, _group_names(groups, comparison), order, heading, words)
        if figure is not None:
            title = f"{heading.capitalize()} against {words.partition(',')[0]}{suffix}"
            made.append(Picture(f"{file}-{x}", title, caption, figure))
    for number, title in comparison.by_element.items():
        for group, errors in element_errors(groups, comparison, number).items():
            made.append(
                Picture(
                    f"{file}-{number}-{group}".replace("_", "-"),
                    f"{title}, {group}{suffix}",
                    "For each element, mean over the seeds. Centred: 0 is exactly equivariant, 1 as large as what tells "
                    "samples apart, about 2 what unrelated values have.",
                    drawn.elements(errors),
                )
            )
    return made


def _systems(groups: Sequence[RunGroup], comparison: Comparison) -> list[_System]:
    """The systems in the order of the methods, plain configurations first, also those that only the paper has."""
    experiment = groups[0].experiment
    together: dict[str, list[RunGroup]] = {}
    for runs in groups:
        together.setdefault(json.dumps([runs.method, runs.changed, _stand_in(runs)], sort_keys=True), []).append(runs)
    systems = []
    for members in together.values():
        first = members[0]
        name = system_of(first, comparison) + (", stand-in data" if _stand_in(first) else "")
        # The same configuration on other data is another row, and never the same one.
        rows: list[dict[str, RunGroup]] = []
        for runs in members:
            row = next((row for row in rows if runs.group not in row), None)
            if row is None:
                rows.append(row := {})
            row[runs.group] = runs
        plain = _is_plain(first, comparison)
        for number, row in enumerate(rows):
            other = f", other data {number}" if number else ""
            systems.append(_System(first.method, name + other, plain and not number, row))
    published = _by_the_paper(groups, comparison).items()
    printed = [method for (method, _), numbers in published if comparison.number in numbers]
    methods = list(dict.fromkeys([*experiment.methods, *printed, *(system.method for system in systems)]))
    shown = {system.method for system in systems if system.plain}
    systems += [_System(method, method, True, {}) for method in dict.fromkeys(printed) if method not in shown]
    # Sorted stably: configurations of a method stay in the order of the runs.
    return sorted(systems, key=lambda system: (methods.index(system.method), not system.plain))


def _by_the_paper(groups: Sequence[RunGroup], comparison: Comparison) -> Mapping[tuple[str, str], Mapping[str, Any]]:
    """The published numbers, which are those of the default budget."""
    return {} if budget_of(groups, comparison) else groups[0].experiment.published


def _budget_fields(runs: RunGroup, comparison: Comparison) -> dict[str, Any]:
    """The fields in which the budget of these runs is smaller than the default one."""
    changed, defaults = runs.changed, runs.defaults
    return {
        name: changed[name]
        for name in comparison.budget
        if is_number(changed.get(name)) and (defaults.get(name) is None or changed[name] < defaults[name])
    }


def _is_plain(runs: RunGroup, comparison: Comparison) -> bool:
    """Whether nothing but the budget was changed, and the data are the real ones."""
    return runs.changed == _budget_fields(runs, comparison) and not _stand_in(runs)


def _stand_in(runs: RunGroup) -> str:
    return str((runs.record.get("data") or {}).get("stand_in") or "")


def _group_names(groups: Sequence[RunGroup], comparison: Comparison) -> list[str]:
    """The groups that were run or, on its budget, that the paper has, in the order of the experiment."""
    experiment = groups[0].experiment
    present = [runs.group for runs in groups]
    published = _by_the_paper(groups, comparison).items()
    present += [group for (_, group), numbers in published if comparison.number in numbers]
    return list(dict.fromkeys([*(name for name in experiment.groups if name in present), *present]))


def _measured(runs: RunGroup | None, number: str) -> str:
    text = spread(runs.numbers(number)) if runs else "–"
    return f"{text} ({len(runs.runs)})" if runs and text != "–" else text


def _published(groups: Sequence[RunGroup], system: _System, group: str, number: str) -> str:
    if not system.plain:
        return ""
    printed = groups[0].experiment.published.get((system.method, group), {}).get(number, "–")
    return printed if isinstance(printed, str) else spread([float(value) for value in printed])


def _listed(texts: Sequence[str]) -> str:
    """The text, if those that are there agree; else all, in the order of the groups."""
    said = set(texts) - {"–", ""}
    return " / ".join(texts) if len(said) > 1 else said.pop() if said else texts[0]


def _printed(text: str | tuple[str, ...] | None) -> tuple[float, float] | None:
    """Value and deviation of a published number, such as ``0.907 (0.004)``, ``33,742`` or ``0.03 M``."""
    if isinstance(text, tuple):
        values = [float(value) for value in text]
        return (statistics.fmean(values), statistics.stdev(values) if len(values) > 1 else 0.0) if values else None
    match = re.fullmatch(r"([\d.,]*\d)\s*(?:\(([\d.]*\d)\)|±\s*([\d.]*\d))?\s*([kM]?)", text or "")
    if match is None:
        return None
    scale = {"": 1.0, "k": 1e3, "M": 1e6}[match[4]]
    return scale * float(match[1].replace(",", "")), scale * float(match[2] or match[3] or 0)


def _difference(ours: tuple[str, Sequence[Any]], theirs: tuple[str, Sequence[Any]]) -> str:
    (name, first), (other, second) = ours, theirs
    if not all(map(is_number, [*first, *second])):
        return f"{name} and {other} cannot be compared: a run lacks the number."
    difference, deviation = _apart(first, second)
    where = f"{show(abs(difference))} {'above' if difference > 0 else 'below'}" if difference else "level with"
    said = f"{name}, {_counted(first)}, is {where} {other}, {_counted(second)}"
    if deviation is None:
        return f"{said}. With fewer than two seeds of each there is no deviation to measure it by."
    if not deviation:
        return f"{said}. Neither deviates over its seeds, so there is nothing to measure it by."
    t, freedom = welch(first, second)
    return (
        f"{said}: {show(difference / deviation, '+.2f')} combined deviations, "
        f"√(s₁²\u00a0+\u00a0s₂²) = {show(deviation)}; Welch's t = {show(t, '.2f')} with {freedom:.1f} degrees of freedom."
    )


def _counted(values: Sequence[Any]) -> str:
    return f"{spread(values)} ({len(values)} seed{'s' * (len(values) > 1)})"


def _device(record: Mapping[str, Any]) -> str:
    machine = record.get("machine")
    if not isinstance(machine, Mapping):
        return "a machine that is not on record"
    device = str(machine.get("device", "cpu"))
    return f"{machine.get('processor', 'a CPU')}, {machine.get('threads', '?')} threads" if device == "cpu" else device
