"""Tables of the frame of results: what they hold is text, and every number is formatted here."""

from __future__ import annotations

import math
import re
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from numbers import Integral
from typing import Any, NamedTuple

import pandas as pd
from scipy import stats

from equilatent.bench.harness.config import digest_of
from equilatent.bench.harness.task import Control, Quantity, Task
from equilatent.bench.results.frame import command, config_of, words_of

__all__ = [
    "CHANCE",
    "Difference",
    "compare",
    "control_table",
    "cross_table",
    "detail_table",
    "given_table",
    "in_the_paper",
    "layer_table",
    "made_table",
    "own_runs",
    "seed_table",
    "show",
    "spread",
    "unique",
    "verdict",
    "with_controls",
]

#: What the harness notes of every run.
_OF_RUNS = (
    Quantity("epochs", "epochs"),
    Quantity("best_epoch", "best epoch"),
    Quantity("seconds", "seconds"),
    Quantity("peak_memory", "peak memory, MB"),
)
#: Systems are told apart if a difference as large would come by chance less often than this.
CHANCE = 0.05


class Difference(NamedTuple):
    """How far the numbers of one configuration are above those of another.

    Attributes:
        mean: of the differences.
        deviation: of the differences seed by seed if they are paired, else √(s₁² + s₂²); NaN with too few seeds.
        p: how probable one at least as large is if there is none; NaN with too few seeds, or if nothing deviates.
        paired: whether both have the same seeds.
    """

    mean: float
    deviation: float
    p: float
    paired: bool


def compare(first: pd.Series, second: pd.Series) -> Difference:
    """Compare numbers that are indexed by their seeds: paired where both have the same seeds, by Welch's test otherwise.

    With fewer than two seeds on a side the means of the seeds that both have are compared, if there are such.

    >>> ours, theirs = pd.Series([0.90, 0.92, 0.94]), pd.Series([0.88, 0.89, 0.90])
    >>> mean, deviation, p, paired = compare(ours, theirs)  # 0.02, 0.03 and 0.04
    >>> round(float(mean), 3), round(float(deviation), 3), round(p, 3), paired
    (0.03, 0.01, 0.035, True)
    """
    first, second = first.dropna().astype(float), second.dropna().astype(float)
    shared = first.index.intersection(second.index)
    paired = len(shared) == len(first) == len(second)
    if min(len(first), len(second)) < 2:
        if len(shared):
            first, second = first[shared], second[shared]
        return Difference(first.mean() - second.mean(), math.nan, math.nan, paired)
    differences = first - second
    mean = differences.mean() if paired else first.mean() - second.mean()
    deviation = differences.std() if paired else math.hypot(first.std(), second.std())
    if deviation <= 1e-12 * max(first.abs().max(), second.abs().max()):
        return Difference(mean, 0.0, math.nan, paired)
    with warnings.catch_warnings():  # numbers that hardly deviate
        warnings.simplefilter("ignore", RuntimeWarning)
        test = (
            stats.ttest_rel(first, second[first.index]) if paired else stats.ttest_ind(first, second, equal_var=False)
        )
    return Difference(mean, deviation, float(test.pvalue), paired)


def show(value: Any, digits: int | None = None) -> str:
    """A number with as many digits as suit it, or so many decimal places; a dash for none.

    >>> show(33742), show(0.4567), show(12.5), show(1.2e-5), show(0.4567, 2), show(None)
    ('33,742', '0.457', '12.50', '1.2e−5', '0.46', '–')
    """
    if value is None or pd.isna(value):
        return "–"
    if isinstance(value, Integral):
        return _tidy(f"{value:,}")
    return _tidy(f"{value:{_form(value, digits)}}")


def spread(values: pd.Series, digits: int | None = None) -> str:
    """``mean ± deviation``, of one the number; a dash if any is missing.

    >>> spread(pd.Series([0.01, 0.03, 0.05])), spread(pd.Series([42, 42])), spread(pd.Series([1.0, None]))
    ('0.0300 ± 0.0200', '42 ± 0', '–')
    """
    if values.empty or values.isna().any():
        return "–"
    if len(values) == 1:
        return show(values.iloc[0], digits)
    mean, deviation = float(values.mean()), float(values.std())
    form = _form(max(abs(mean), deviation), digits)
    # Numbers that are all the same small or whole one: decimals of their deviation would tell nothing.
    whole = pd.api.types.is_integer_dtype(values)
    if deviation <= 1e-12 * abs(mean) and (whole or form == ".1e"):
        return f"{show(values.iloc[0], digits)} ± 0"
    return _tidy(f"{mean:{form}} ± {deviation:{form}}")


def _form(number: float, digits: int | None) -> str:
    size = abs(number)
    if digits is not None:
        return f",.{digits}f"
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


def own_runs(part: pd.DataFrame, task: Task, group: str) -> pd.DataFrame:
    """The runs of the task's own system on a group, those with the fewest changes of their configuration."""
    own = part[(part["system"] == task.config().method) & (part["group"] == group)]
    return own[(own["digest"] == own["digest"].iloc[0]) & (own["data.digest"] == own["data.digest"].iloc[0])]


def with_controls(part: pd.DataFrame, runs: pd.DataFrame, task: Task) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The controls that have to stand beside the runs of the task's own system.

    Args:
        part: runs on one protocol and budget.
        runs: all runs of the task; a control of another budget stands beside them too.
        task: the task.

    Returns:
        The part with the controls among its rows, named by what they decide; and a row for each control that is wanted:
        ``group``, ``beside`` (the digest of the run), ``title``, ``digest``, ``data.digest``, ``seeds`` that are missing,
        and the ``command`` that carries these out.
    """
    wanted, titles = [], dict.fromkeys(part["path"], "")
    for _, own in part[part["system"] == task.config().method].groupby(["group", "digest", "data.digest"], sort=False):
        run, protocol = own.iloc[0], int(own["protocol"].iloc[0])
        for title, config in _controls_of(config_of(run), task, protocol).items():
            digest = digest_of(task.config, config, protocol)
            there = runs[(runs["digest"] == digest) & (runs["data.digest"] == run["data.digest"])]
            if title != task.baseline:
                titles |= dict.fromkeys(there["path"], f" ({title})")
            seeds = sorted(set(own["seed"]) - set(there["seed"]))
            at = {"group": run["group"], "beside": run["digest"], "title": title, "digest": digest, "seeds": seeds}
            wanted.append(at | {"data.digest": run["data.digest"], "command": command(config, task, seeds, protocol)})
    beside = runs[runs["path"].isin(titles)]
    columns = ["group", "beside", "title", "digest", "data.digest", "seeds", "command"]
    return beside.assign(name=beside["name"] + beside["path"].map(titles)), pd.DataFrame(wanted, columns=columns)


def _controls_of(config: Mapping[str, Any], task: Task, protocol: int) -> dict[str, dict[str, Any]]:
    """The configurations that have to stand beside one, by what they decide; that of the baseline by its name."""
    found = {}
    for control in ([Control(task.baseline, task.baseline)] if task.baseline else []) + list(task.controls):
        kept = {name: config[name] for name in (*task.settings, *task.budget, *control.keeps) if name in config}
        told = {**task.usual.get(protocol, {}), **kept, "method": control.method, "group": config["group"]}
        base = replace(task.config(), **told)
        made = {name: value(base) if callable(value) else value for name, value in control.fields.items()}
        found[control.title] = replace(base, **made).resolved().identity
    return found


def control_table(controls: pd.DataFrame) -> pd.DataFrame | None:
    """The controls that lack seeds, with the commands that carry them out; None if none does."""
    missing = controls[controls["seeds"].str.len() > 0].drop_duplicates(["group", "digest", "data.digest"])
    if missing.empty:
        return None
    cells = {"group": missing["group"], "command": "`" + missing["command"] + "`"}
    return pd.DataFrame(cells).set_axis(missing["title"].rename("control"))


def verdict(part: pd.DataFrame, controls: pd.DataFrame, runs: pd.DataFrame, task: Task) -> str:
    """In one sentence, how the task's own system stands to the baseline and the other controls; or why that is not known.

    Args:
        part: runs on one protocol and budget.
        controls: of `with_controls`.
        runs: all runs of the task.
        task: the task.
    """
    method, quantity = task.config().method, task.quantities[0]
    told: dict[str, dict[str, list[str]]] = {}
    few: dict[str, list[str]] = {}
    absent: dict[str, list[str]] = {}
    for group in part["group"].unique():
        if not (part["system"].eq(method) & part["group"].eq(group)).any():
            absent.setdefault(f"`{method}`", []).append(group)
            continue
        own = own_runs(part, task, group)
        name, columns = own["name"].iloc[0], _columns(own, quantity)
        outcomes: dict[str, list[str]] = {}
        for wanted in controls[controls["beside"].isin(own["digest"])].itertuples():
            label = f"`{wanted.title}`" if wanted.title == task.baseline else wanted.title
            other = runs[(runs["digest"] == wanted.digest) & runs["data.digest"].isin(own["data.digest"])]
            if other.empty:
                absent.setdefault(label, []).append(group)
                continue
            outcome, text = _outcome(own, other, next(iter(columns), quantity.name), quantity)
            (outcomes if outcome else few).setdefault(f"{outcome} {label}".strip(), []).append(f"{group} ({text})")
        subject = f"`{name}`"
        if not (task.baseline and outcomes):  # without anything to compare with, what was measured
            subject += f" on {group} has {_in_words(own, columns, task)}" + (": it" if outcomes else "")
        for words, where in outcomes.items():
            told.setdefault(subject, {}).setdefault(words, []).extend(where)
        told.setdefault(subject, {})
    clauses = []
    for subject, outcomes in told.items():
        said = _listed([f"{words} on {_listed(where)}" for words, where in outcomes.items()])
        clauses.append(f"{subject} is {said}" if said else subject)
    clauses += [f"too few seeds to tell it from {label} on {_listed(where)}" for label, where in few.items()]
    if absent:
        clauses.append(f"not run: {_listed([f'{label} on {_listed(where)}' for label, where in absent.items()])}")
    return "; ".join(clauses) + "."


def _in_words(own: pd.DataFrame, columns: Mapping[str, str], task: Task) -> str:
    numbers = [f"{heading} {spread(own[column])}" for column, heading in columns.items()] or ["no such number"]
    papers = [_mean_of(_printed(task, own.iloc[0], column)) for column in columns]
    paper = f"; the paper {', '.join(papers)}" if papers and all(papers) else ""
    return f"{', '.join(numbers)} ({_seeds(own)}{paper})"


def _outcome(own: pd.DataFrame, other: pd.DataFrame, column: str, quantity: Quantity) -> tuple[str, str]:
    """Where the own system stands to another, empty if that cannot be told; and the numbers, in words."""
    first, second = (each.set_index("seed")[column] for each in (own, other))
    seeds = f"{_seeds(own)} each" if len(first) == len(second) else f"{len(first)} and {len(second)} seeds"
    mean, deviation, p, _ = compare(first, second)
    if min(first.count(), second.count()) < 2:
        return "", f"{spread(first, quantity.digits)} beside {spread(second, quantity.digits)}, {seeds}"
    side = "above" if mean > 0 else "below"
    if not deviation:  # seed by seed the same difference
        return (side if mean else "level with"), f"by {show(abs(mean), quantity.digits)}, {seeds}"
    form = _form(max(abs(mean), deviation), quantity.digits)
    amount = _tidy(f"{mean:+{form}} ± {deviation:{form}}")
    words = f"{amount}, {abs(mean) / deviation:.1f} deviations, p = {p:.2g}, {seeds}"
    return (side if p < CHANCE else "not told apart from"), words


def cross_table(part: pd.DataFrame, task: Task, budget: str, quantity: Quantity | None = None) -> pd.DataFrame:
    """A row for each system, a column for each group with a quantity, beside what the paper has of it.

    The paper's numbers are those of the default budget, and of configurations in which nothing was changed.

    Args:
        part: runs on one protocol and budget, with their controls.
        task: the task.
        budget: which one it is; empty for the default one.
        quantity: which one; the first by default.
    """
    quantity = quantity or task.quantities[0]
    column = next(iter(_columns(part, quantity)), quantity.name)
    paper = {at: numbers[column] for at, numbers in in_the_paper(part, task, budget).items() if column in numbers}
    groups = [each for each in task.groups if each in {*part["group"], *(group for _, group in paper)}]
    groups += [each for each in part["group"].unique() if each not in groups]
    systems = dict(zip(part["name"], part["system"], strict=True)) | {system: system for system, _ in paper}
    order = [*task.systems, *systems.values()]
    measured = part.groupby(["name", "group"])[column].agg(
        lambda values: f"{spread(values, quantity.digits)} ({len(values)})".replace("– (", "– (of ")
    )
    cells = {}
    for group in groups:
        cells[group] = {name: measured.get((name, group), "–") for name in systems}
        if paper:
            cells[f"{group}, paper"] = {
                name: _mean_of(paper.get((name, group), "–" if name == system else ""))
                for name, system in systems.items()
            }
    rows = sorted(systems, key=lambda name: (order.index(systems[name]), name != systems[name]))
    return pd.DataFrame(cells, index=pd.Index(rows, name="system"))


def in_the_paper(
    part: pd.DataFrame, task: Task, budget: str
) -> dict[tuple[str, str], Mapping[str, str | tuple[str, ...]]]:
    """What the paper has of the settings of these runs, for each (method, group); nothing on another budget.

    Args:
        part: runs on one protocol and budget.
        task: the task.
        budget: which one it is; empty for the default one, or the settings alone.
    """
    settings = _settings(part.iloc[0], task)
    if budget not in ("", words_of(dict(zip(task.settings, settings, strict=True)))):
        return {}
    return {(at[0], at[1]): numbers for at, numbers in task.published.items() if at[2:] == settings}


def _settings(run: pd.Series, task: Task) -> tuple[Any, ...]:
    return tuple(run[f"config.{name}"] for name in task.settings)


def detail_table(part: pd.DataFrame, task: Task) -> pd.DataFrame:
    """A row for each configuration on one group, with all quantities that were measured, mean ± deviation.

    Args:
        part: runs on one protocol, budget and group, with their controls.
        task: the task.
    """
    own = own_runs(part, task, part["group"].iloc[0]) if part["system"].eq(task.config().method).any() else None
    quantities = {q: _columns(part, q) for q in task.quantities if not q.given}
    first = next(iter(quantities[task.quantities[0]]), None)
    rows = {}
    for (name, digest, _), runs in part.groupby(["name", "digest", "data.digest"], sort=False):
        row = {"seeds": str(len(runs))}
        if own is not None and task.baseline and first:
            row[f"{own['name'].iloc[0]} is above by"] = _margin(own, runs, first, task.quantities[0])
        for quantity, columns in quantities.items():
            row |= {heading: spread(runs[column], quantity.digits) for column, heading in columns.items()}
        rows[f"{name} (`{digest}`)"] = row
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("configuration")


def _margin(own: pd.DataFrame, runs: pd.DataFrame, column: str, quantity: Quantity) -> str:
    if own["digest"].iloc[0] == runs["digest"].iloc[0]:
        return "–"
    mean, deviation, p, paired = compare(*(each.set_index("seed")[column] for each in (own, runs)))
    form = _form(mean, quantity.digits)
    if not deviation > 0:
        return _tidy(f"{mean:+{form}}") if not math.isnan(mean) else "–"
    return _tidy(f"{mean:+{form}} ± {deviation:{form}}") + f" (p = {p:.2g}{'' if paired else ', not paired'})"


def given_table(part: pd.DataFrame, task: Task) -> pd.DataFrame | None:
    """What follows from the configurations and was not measured, beside what the paper has of it; None for nothing."""
    quantities = [quantity for quantity in (*task.quantities, *task.details) if quantity.given]
    rows = {}
    for (name, group), runs in part.groupby(["name", "group"], sort=False):
        row = {}
        for quantity in quantities:
            for column, heading in _columns(part, quantity).items():
                row[heading] = (
                    " / ".join(unique(show(value, quantity.digits) for value in runs[column].dropna())) or "–"
                )
                if any(column in numbers for numbers in task.published.values()):
                    printed = _printed(task, runs.iloc[0], column)
                    row[f"{heading}, paper"] = _mean_of(printed) if name == runs["system"].iloc[0] else ""
        rows[f"{name}, {group}"] = row
    table = pd.DataFrame.from_dict(rows, orient="index").rename_axis("configuration")
    return table if len(table.columns) else None


def seed_table(
    runs: pd.DataFrame, task: Task, quantities: Iterable[Quantity], *, paper: bool = False
) -> pd.DataFrame | None:
    """A row for each seed, then mean ± deviation, then the paper's runs and their mean; None without such numbers.

    Args:
        runs: of one configuration.
        task: the task.
        quantities: what is shown, but for what follows from the configuration.
        paper: also show the paper's.
    """
    columns = {column: (heading, q) for q in quantities if not q.given for column, heading in _columns(runs, q).items()}
    if not columns:
        return None
    shown = {column: [show(value, q.digits) for value in _shown(runs, column)] for column, (_, q) in columns.items()}
    rows = {f"seed {seed}": list(cells) for seed, *cells in zip(runs["seed"], *shown.values(), strict=True)}
    if len(runs) > 1:
        rows[f"mean of {len(runs)}"] = [
            spread(_shown(runs, c), quantity.digits) for c, (_, quantity) in columns.items()
        ]
    printed = {column: _printed(task, runs.iloc[0], column) if paper else "" for column in columns}
    count = max((len(texts) for texts in printed.values() if isinstance(texts, tuple)), default=0)
    for number in range(count):
        rows[f"paper, run {number + 1}"] = [
            texts[number] if isinstance(texts, tuple) and number < len(texts) else "–" for texts in printed.values()
        ]
    if any(printed.values()):
        rows[f"paper, mean of {count}" if count else "paper"] = [_mean_of(texts) or "–" for texts in printed.values()]
    headings = [heading for heading, _ in columns.values()]
    return pd.DataFrame.from_dict(rows, orient="index", columns=headings).rename_axis("run")


def layer_table(part: pd.DataFrame, number: str) -> pd.DataFrame | None:
    """A number of every layer of the systems that have it, mean ± deviation; None if none has."""
    columns = _columns(part, Quantity(number, number))
    part = part[part[list(columns)].notna().any(axis=1)]
    if part.empty:
        return None
    means = part.groupby(["name", "group"], sort=False)[list(columns)].agg(spread).rename(columns=columns)
    return means.set_axis([", ".join(at) for at in means.index]).rename_axis("configuration")


def made_table(part: pd.DataFrame, task: Task) -> pd.DataFrame:
    """How the numbers were made: those of each seed, time, memory, commit, and the command that makes them again."""
    quantity = task.quantities[0]
    column, heading = next(iter(_columns(part, quantity).items()), (quantity.name, quantity.heading))
    rows = {}
    for _, runs in part.groupby(["group", "digest", "data.digest"], sort=False):
        run, config = runs.iloc[0], config_of(runs.iloc[0])
        made = command(config, task, runs["seed"], run["protocol"])
        rows[f"`{run['digest']}`"] = {
            "seed: " + heading: ", ".join(
                f"{seed}: {show(value, 4)}" for seed, value in zip(runs["seed"], runs[column], strict=True)
            ),
            **{q.heading: spread(_shown(runs, q.name)) for q in _OF_RUNS if q.name in runs},
            "commit": ", ".join(unique(_commit(commit) for commit in runs["commit"])),
            "command": f"`{made}`" if _makes_again(config, task, run["digest"]) else f"at that commit: `{made}`",
        }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("digest")


def _makes_again(config: Mapping[str, Any], task: Task, digest: str) -> bool:
    """Whether this version, told what differs from its defaults, carries out the same configuration."""
    known = {name: value for name, value in config.items() if name in task.config().identity}
    return digest_of(task.config, task.config(**known).resolved().identity, task.protocol) == digest


def unique(texts: Iterable[str]) -> list[str]:
    """Each text once, in the order in which they come."""
    return list(dict.fromkeys(texts))


def _commit(commit: Any) -> str:
    text = "" if commit is None or pd.isna(commit) else str(commit)
    return f"`{text[:8]}`" + (" with changes" if text.endswith("+") else "") if text else "not a checkout"


def _columns(runs: pd.DataFrame, quantity: Quantity) -> dict[str, str]:
    """The columns of a quantity that these runs have, with their headings: one, or one for each entry of a mapping."""
    name = quantity.name
    if name in runs and runs[name].notna().any():
        return {name: quantity.heading}
    entries = [column for column in runs if column.startswith(f"{name}.") and runs[column].notna().any()]
    return {column: column.removeprefix(f"{name}.") for column in entries}


def _shown(runs: pd.DataFrame, column: str) -> pd.Series:
    """The numbers of a column in the unit in which they are shown: epochs counted from 1, megabytes."""
    values = runs[column]
    return values + 1 if column == "best_epoch" else values.astype(float) / 1e6 if column == "peak_memory" else values


def _printed(task: Task, run: pd.Series, column: str) -> str | tuple[str, ...]:
    return task.published.get((run["system"], run["group"], *_settings(run, task)), {}).get(column, "")


def _mean_of(printed: str | tuple[str, ...]) -> str:
    return printed if isinstance(printed, str) else spread(pd.Series([float(text) for text in printed]))


def _seeds(runs: pd.DataFrame) -> str:
    return f"{len(runs)} seed{'s' * (len(runs) != 1)}"


def _listed(texts: Sequence[str]) -> str:
    return " and ".join(filter(None, [", ".join(texts[:-1]), *texts[-1:]]))
