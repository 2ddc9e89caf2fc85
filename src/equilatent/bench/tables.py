"""The records of runs as tables, measured beside published, and as the generated parts of a page.

``python -m equilatent.bench.tables`` keeps small records of finished runs and writes the tables of the pages anew.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import shlex
import sys
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NoReturn, cast

import equilatent as eq
from equilatent.bench._page import as_svg
from equilatent.bench._table import Row, Table, escaped, is_number, show, spread
from equilatent.bench.blocks import BlockError, blocks, replace_blocks
from equilatent.bench.comparison import (
    Comparison,
    Picture,
    budget_of,
    by_budget,
    comparison_of,
    cross_table,
    differences,
    layer_tables,
    margins,
    pictures,
    system_of,
)
from equilatent.bench.config import digest_of
from equilatent.bench.experiments import EXPERIMENTS
from equilatent.bench.group_names import group_of
from equilatent.bench.recipe import Experiment
from equilatent.bench.record import write_json, write_text
from equilatent.errors import EquilatentError

__all__ = [
    "PAGES",
    "LeftOut",
    "Row",
    "Run",
    "RunGroup",
    "Table",
    "detail_table",
    "experiment_block",
    "group_runs",
    "is_number",
    "making_table",
    "multiplicity_table",
    "provenance",
    "read_runs",
    "result_table",
    "sentence",
    "slim",
    "summary_tables",
    "write_pages",
]

#: Numbers beside those of an experiment's own table, with their headings.
_DETAILS = {
    "test_equivariance": "equivariance loss",
    "test_relative_error": "equivariance, relative",
    "test_centred_error": "equivariance, centred",
    "relator_loss": "algebra loss",
    "residual": "distance from a representation",
    "test_task": "task loss",
    "test_moved_task": "task loss, moved",
    "test_accuracy": "test accuracy",
    "test_accuracy_turned": "test accuracy, turned",
    "test_accuracy_plain": "test accuracy, not moved",
    "latent_relative_error": "latent, relative error",
    "latent_centred_error": "latent, centred error",
    "norm_relative_error": "behind the norm, relative error",
    "norm_centred_error": "behind the norm, centred error",
    "output_relative_error": "output, relative error",
    "output_centred_error": "output, centred error",
    "consistency": "same answers",
    "parameters": "parameters",
    "epochs": "epochs",
    "best_epoch": "best epoch",
    "seconds": "seconds",
    "peak_memory": "peak memory, MB",
}
#: The pages with the tables, from the root of the repository.
PAGES = (Path("docs/experiments.md"), Path("docs/ddmnist.md"))
_REGULAR = {"copies_of_regular": "copies of regular", "distance_from_regular": "distance from regular"}


@dataclass(frozen=True)
class Run:
    """A finished run.

    Attributes:
        path: its folder, or the file with its record.
        record: what ``record.json`` holds.
    """

    path: Path
    record: Mapping[str, Any]

    @property
    def seed(self) -> int:
        """The seed."""
        seed: int = self.record["seed"]
        return seed

    @property
    def numbers(self) -> dict[str, Any]:
        """The final numbers, the time and the peak of memory in megabytes, with epochs counted from 1."""
        final = dict(self.record["final"])
        if "best_epoch" in final:
            final["best_epoch"] += 1
        peak = self.record.get("peak_memory")
        megabytes = {"peak_memory": peak / 1e6} if is_number(peak) else {}
        return {**final, "seconds": float(self.record["seconds"]), **megabytes}


@dataclass(frozen=True)
class LeftOut:
    """Something among the runs that is in no table, and why."""

    path: Path
    reason: str


@dataclass(frozen=True)
class RunGroup:
    """Runs that differ in their seed alone; only these are averaged.

    Attributes:
        experiment: the experiment.
        runs: ordered by seed, each seed once.
    """

    experiment: Experiment
    runs: Sequence[Run]

    @property
    def record(self) -> Mapping[str, Any]:
        """The record of the first run."""
        return self.runs[0].record

    @property
    def method(self) -> str:
        """The method."""
        return str(self.record["method"])

    @property
    def group(self) -> str:
        """The group, as it is named on the command line."""
        return str(self.record["group"])

    @property
    def seeds(self) -> str:
        """The seeds as on the command line."""
        return _ranges([run.seed for run in self.runs])

    @property
    def digest(self) -> str:
        """The digest of the configuration, as in the names of the folders."""
        # Of what is on record: the fields of this version may be others.
        return digest_of(self.record["config"])

    @cached_property
    def defaults(self) -> dict[str, Any]:
        """The configuration of the method and the group with nothing changed, as JSON, which the record has been through."""
        config = self.experiment.config()
        chosen = {name: self.record["config"].get(name, getattr(config, name)) for name in ("method", "group")}
        identity = dataclasses.replace(config, **chosen).resolved().identity
        return cast(dict[str, Any], json.loads(json.dumps(identity, default=str)))

    @property
    def changed(self) -> dict[str, Any]:
        """The fields of the configuration, other than method and group, that differ from the defaults."""
        defaults = self.defaults
        return {name: value for name, value in self.record["config"].items() if defaults.get(name, _ABSENT) != value}

    @property
    def command(self) -> str:
        """The command that makes these numbers again."""
        words = ["equilatent run", self.experiment.name, "--method", self.method, "--group", self.group]
        words += ["--seed", self.seeds]
        for name, value in self.changed.items():
            option = name.replace("_", "-")
            words += (
                [f"--{option if value else f'no-{option}'}"]
                if isinstance(value, bool)
                else [f"--{option} {shlex.quote(str(value))}"]
            )
        return " ".join(words)

    @property
    def name(self) -> str:
        """What tells this group of runs from others."""
        changes = self.system().removeprefix(self.method)
        return f"{self.method}, {self.group}{changes}"

    def system(self, without: Collection[str] = ()) -> str:
        """What tells this group of runs from others of the same group: the method and what was changed.

        Args:
            without: fields of the configuration that are told elsewhere.
        """
        changes = [f"{name} = {value}" for name, value in self.changed.items() if name not in without]
        return ", ".join([self.method, *changes])

    @property
    def description(self) -> str:
        """The method and the group in words; empty for ones that this version does not know."""
        known = ((self.method, self.experiment.methods), (self.group, self.experiment.groups))
        return ". ".join(f"{name}: {words[name]}" for name, words in known if name in words)

    def numbers(self, name: str) -> list[Any]:
        """The number of that dotted name, of each run; None where there is none."""
        return [_value_at(run.numbers, name) for run in self.runs]

    def columns(self) -> dict[str, str]:
        """The names of the numbers of the experiment's table with their headings, mappings spread out."""
        spread: dict[str, str] = {}
        for name, heading in self.experiment.columns.items():
            entries = _value_at(self.runs[0].numbers, name)
            if isinstance(entries, Mapping):
                spread |= {f"{name}.{key}": str(key) for key in entries}
            else:
                spread[name] = heading
        return spread


_ABSENT = object()


def read_runs(paths: Iterable[Path]) -> tuple[list[Run], list[LeftOut]]:
    """Find runs, and say of all else why it is left out.

    Args:
        paths: folders of runs, folders of folders of runs, folders of a run, files with a record, or folders of these.

    Returns:
        The finished runs, and what is unfinished, damaged, foreign or there a second time.

    Raises:
        EquilatentError: for a path that is not there.
    """
    runs: list[Run] = []
    left_out: list[LeftOut] = []
    for path in paths:
        if not path.exists():
            raise EquilatentError(f"{path} is not there. Name a folder of runs, such as the --out of equilatent run.")
        for found in _look(path, 2):
            (runs if isinstance(found, Run) else left_out).append(found)  # type: ignore[arg-type]
    once: dict[str, Run] = {}
    for run in runs:
        known = once.setdefault(json.dumps([_key(run), run.seed]), run)
        if known is not run and known.path.resolve() != run.path.resolve():
            left_out.append(LeftOut(run.path, f"the same configuration and seed as {known.path}, which is shown"))
    return list(once.values()), left_out


def _look(path: Path, depth: int) -> Iterator[Run | LeftOut]:
    if path.is_file():
        yield _read(path, path)
    elif (path / "record.json").is_file():
        yield _read(path, path / "record.json")
    elif (path / "config.json").is_file():
        yield LeftOut(path, f"not finished: {_epochs_so_far(path)}")
    else:
        inner = sorted(p for p in path.iterdir() if not p.name.startswith(".") and (p.is_dir() or p.suffix == ".json"))
        if not inner or not depth:
            yield LeftOut(path, "holds no run" if depth else "not looked into: too deep")
        for each in inner if depth else ():
            yield from _look(each, depth - 1)


def _epochs_so_far(folder: Path) -> str:
    try:
        rows = len((folder / "metrics.csv").read_text("utf-8").splitlines()) - 1
    except (OSError, UnicodeDecodeError):
        rows = 0
    return f"{rows} epoch{'s' * (rows != 1)} so far"


def _read(path: Path, file: Path) -> Run | LeftOut:
    try:
        record = json.loads(file.read_text("utf-8"), parse_constant=_refuse)
    except (OSError, ValueError, RecursionError) as error:
        return LeftOut(path, f"damaged: {file.name} cannot be read ({error})")
    wrong = _faults(record)
    return LeftOut(path, f"no record of a run: {wrong}") if wrong else Run(path, record)


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no number")


def _faults(record: Any) -> str:
    """What keeps this from being a record, in words; empty if nothing does."""
    if not isinstance(record, dict):
        return f"a {type(record).__name__}, not a mapping"
    kinds: dict[str, type | tuple[type, ...]] = {
        "experiment": str,
        "method": str,
        "group": str,
        "seed": int,
        "config": dict,
        "final": dict,
        "seconds": (int, float),
    }
    if "cells" in record:
        return "the summary of a sweep, whose runs are read from their folders"
    wrong = [name for name, kind in kinds.items() if not isinstance(record.get(name), kind)]
    if wrong:
        return f"{', '.join(wrong)} missing or of the wrong kind"
    if record["experiment"] not in EXPERIMENTS:
        return f"experiment {record['experiment']!r} is none of {', '.join(EXPERIMENTS)}"
    best, data, curve = record["final"].get("best_epoch", 0), record.get("data", {}), record.get("curve", [])
    if not isinstance(best, int):
        return f"best_epoch is {best!r}"
    if not isinstance(data, dict):
        return "data is not a mapping"
    rows = curve if isinstance(curve, list) else [curve]
    if not all(isinstance(row, dict) and all(map(is_number, row.values())) for row in rows):
        return "curve is not a list of rows of numbers"
    return ""


def _key(run: Run) -> str:
    """What has to agree for runs to be averaged: the configuration and the data. Stand-ins are other data."""
    of = ("experiment", "method", "group", "config", "data")
    return json.dumps([run.record.get(name) for name in of], sort_keys=True)


def group_runs(runs: Iterable[Run]) -> list[RunGroup]:
    """Runs that differ in their seed alone, together: in the order of the experiments, default configurations first."""
    together: dict[str, list[Run]] = {}
    for run in runs:
        together.setdefault(_key(run), []).append(run)
    groups = [
        RunGroup(EXPERIMENTS[members[0].record["experiment"]], sorted(members, key=lambda run: run.seed))
        for members in together.values()
    ]
    order = list(EXPERIMENTS)

    def place(g: RunGroup) -> tuple[Any, ...]:
        group, method = (
            names.index(name) if name in names else len(names)
            for names, name in ((list(g.experiment.groups), g.group), (list(g.experiment.methods), g.method))
        )
        return order.index(g.experiment.name), group, method, len(g.changed), g.name

    return sorted(groups, key=place)


def result_table(runs: RunGroup) -> Table:
    """The experiment's own table: a row for each run, mean ± standard deviation, and the paper's below."""
    columns = runs.columns()
    rows = _measured(runs, columns)
    published = runs.experiment.published.get((runs.method, runs.group), {})
    shown = {name: published.get(name, ()) for name in columns}
    count = max((len(values) for values in shown.values() if isinstance(values, tuple)), default=0)
    for number in range(count):
        cells = [
            values[number] if isinstance(values, tuple) and number < len(values) else "–" for values in shown.values()
        ]
        rows.append(Row("paper", [f"paper, run {number + 1}", *cells]))
    if any(shown.values()):
        cells = [
            (values if isinstance(values, str) else spread([float(value) for value in values]))
            for values in shown.values()
        ]
        rows.append(Row("paper mean", [f"paper, mean of {count}" if count else "paper", *cells]))
    return Table(f"{runs.experiment.title}: {runs.name}", ["", *columns.values()], rows)


def detail_table(runs: RunGroup) -> Table:
    """What was measured beside the experiment's table: errors absolute, relative and centred, task, size and time."""
    shown = set(runs.columns())
    columns = {
        name: heading
        for name, heading in _DETAILS.items()
        if name not in shown and any(value is not None for value in runs.numbers(name))
    }
    return Table("More about these runs", ["", *columns.values()], _measured(runs, columns))


def multiplicity_table(runs: RunGroup) -> Table | None:
    """Multiplicities by characters, of complex irreps and, where they differ, of real ones with their type."""
    final = runs.runs[0].numbers
    counts = {field: final.get(f"multiplicities_{field}") for field in ("complex", "real")}
    if not all(isinstance(count, Mapping) for count in counts.values()):
        return None
    shown = set(runs.columns())
    columns = {
        name: f"{irrep}"
        for irrep in counts["complex"] or ()
        if (name := f"multiplicities_complex.{irrep}") not in shown
    }
    real = set(counts["real"] or ()) - set(counts["complex"] or ())
    kinds = _real_kinds(runs)
    columns |= {
        f"multiplicities_real.{irrep}": f"real {irrep}" + (f" ({kinds[irrep]} type)" if irrep in kinds else "")
        for irrep in counts["real"] or ()
        if irrep in real
    }
    columns |= {name: heading for name, heading in _REGULAR.items() if name not in shown and name in final}
    if not columns:
        return None
    return Table("Multiplicities by characters", ["", *columns.values()], _measured(runs, columns))


def summary_tables(groups: Sequence[RunGroup]) -> list[Table]:
    """A table for each experiment, group and budget, with a row of means for each configuration.

    Of an experiment that compares nothing only those with several configurations.
    """
    together: dict[tuple[str, str, str], list[RunGroup]] = {}
    for runs in groups:
        comparison = runs.experiment.comparison
        budget = budget_of([runs], comparison) if comparison else ""
        together.setdefault((runs.experiment.name, budget, runs.group), []).append(runs)
    return [
        _summary_table(members, budget)
        for (_, budget, _), members in together.items()
        if len(members) > 1 or members[0].experiment.comparison
    ]


def _summary_table(groups: Sequence[RunGroup], budget: str) -> Table:
    experiment = groups[0].experiment
    comparison = experiment.comparison
    columns: dict[str, str] = {}
    for runs in groups:
        columns |= runs.columns()
    cells = [
        [
            f"{system_of(runs, comparison) if comparison else runs.name} (`{runs.digest}`)",
            str(len(runs.runs)),
            *(spread(runs.numbers(n)) for n in columns),
        ]
        for runs in groups
    ]
    headings = ["", "seeds", *columns.values()]
    if comparison and (above := margins(groups, comparison)) is not None:
        headings.insert(2, f"{comparison.method} is above by")
        cells = [[*row[:2], margin, *row[2:]] for row, margin in zip(cells, above, strict=True)]
    where = ", ".join(filter(None, [experiment.title, groups[0].group, budget]))
    title = f"{where}: all configurations, mean ± deviation"
    return Table(title, headings, [Row("run", row) for row in cells])


def making_table(groups: Sequence[RunGroup]) -> Table:
    """How the numbers of a comparison were made: each seed's number, time, memory, commit, and the command.

    Args:
        groups: runs of one experiment that has a comparison.
    """
    comparison = groups[0].experiment.comparison
    assert comparison is not None
    number = comparison.number
    columns = ("epochs", "best_epoch", "seconds", "peak_memory")
    rows = []
    for runs in groups:
        each = ", ".join(f"{run.seed}: {show(run.numbers.get(number), '.4f')}" for run in runs.runs)
        made = provenance(runs)
        measured = [spread(runs.numbers(name)) for name in columns]
        rows.append(Row("run", [f"`{runs.digest}`", each, *measured, made["commit"], made["command"]]))
    heading = groups[0].experiment.columns.get(number, number)
    headings = ["", f"seed: {heading}", *(_DETAILS[name] for name in columns), "commit", "command"]
    return Table(f"{groups[0].experiment.title}: how the numbers were made", headings, rows)


def sentence(run: Run) -> str:
    """What a run came to, in words."""
    numbers = run.numbers
    counts = numbers.get("multiplicities_complex")
    parts = []
    if isinstance(counts, Mapping):
        copies, off = numbers.get("copies_of_regular"), numbers.get("distance_from_regular")
        near = f"{copies:.1f} × regular" if is_number(copies) else "multiplicities"
        if is_number(copies) and is_number(off):
            if eq.reps.is_near_regular(copies, off):
                near += f", each irrep within {show(off)} copies"
            else:
                near = f"not regular, up to {show(off)} copies away from {near}"
        parts.append(f"{near}: " + ", ".join(f"{name} {show(value, '.2f')}" for name, value in counts.items()))
    for name in ("test_accuracy", "relator_loss", "test_equivariance"):
        if is_number(numbers.get(name)):
            parts.append(f"{_DETAILS[name]} {show(numbers[name])}")
    residual = numbers.get("residual")
    if residual is not None and is_number(residual) and residual > 0.1:
        parts.append(f"the matrices are {show(residual)} away from a representation, so the multiplicities are rough")
    return f"Seed {run.seed}: {'; '.join(parts)}."


def provenance(runs: RunGroup) -> dict[str, str]:
    """Which configuration, code, data and machine made the numbers, and the command that makes them again."""
    records = [run.record for run in runs.runs]
    changed = ", ".join(f"{name} = {value}" for name, value in runs.changed.items())
    data = runs.record.get("data") or {}
    source = str(data.get("source", "not on record"))
    if data.get("stand_in"):
        source += f". STAND-IN: {data['stand_in']}"
    return {
        "configuration": f"`{runs.digest}`: {changed or 'all defaults'}",
        "command": f"`{runs.command}`",
        "commit": ", ".join(_unique(_commit(record.get("commit")) for record in records)),
        "data": source,
        "machine": "; ".join(_unique(_machine(record.get("machine")) for record in records)),
        "versions": "; ".join(_unique(_listed(record.get("versions")) for record in records)),
    }


def slim(record: Mapping[str, Any], every: int = 5) -> dict[str, Any]:
    """The record with a shorter curve: every fifth epoch and the last, with four digits. The numbers stay as they are.

    >>> kept = slim({"seed": 0, "curve": [{"epoch": float(e), "val/loss": 1 / (e + 3)} for e in range(7)]})
    >>> [row["epoch"] for row in kept["curve"]], kept["curve"][0]["val/loss"]
    ([0.0, 5.0, 6.0], 0.3333)
    """
    curve = record.get("curve") or []
    rows = [row for number, row in enumerate(curve) if number % every == 0 or number == len(curve) - 1]
    return {**record, "curve": [{name: float(f"{value:.4g}") for name, value in row.items()} for row in rows]}


def experiment_block(groups: Sequence[RunGroup], shown: Sequence[Picture] = ()) -> str:
    """All tables of one experiment in Markdown, with what made them.

    Args:
        groups: its runs.
        shown: figures of the comparison, which are in the folder ``images``.
    """
    if not groups:
        return "*No runs on record.*"
    comparison = comparison_of(groups)
    if comparison is not None:
        return _comparison_block(groups, comparison, shown)
    parts = [table.markdown() for table in summary_tables(groups)]
    for runs in groups:
        parts.append(result_table(runs).markdown())
        parts += [table.markdown() for table in (multiplicity_table(runs), detail_table(runs)) if table]
        parts.append("\n".join(f"- {escaped(sentence(run))}" for run in runs.runs))
        # Backslashes end the lines, so that they stay lines.
        parts.append("\\\n".join(f"{name}: {escaped(text)}" for name, text in provenance(runs).items()))
    return "\n\n".join(filter(None, parts))


def _comparison_block(groups: Sequence[RunGroup], comparison: Comparison, shown: Sequence[Picture]) -> str:
    parts = []
    for part in by_budget(groups, comparison):
        parts.append(cross_table(part, comparison).markdown())
        parts.append("\n".join(f"- {escaped(said)}" for said in differences(part, comparison)))
        parts += [table.markdown() for table in [*summary_tables(part), *layer_tables(part, comparison)]]
    parts += [f"![{p.title}](images/{p.name}.svg)\n\n*{p.title}. {escaped(p.caption)}*" for p in shown]
    parts.append(making_table(groups).markdown())
    made = [provenance(runs) for runs in groups]
    for name in ("data", "machine", "versions"):
        parts.append(f"{name}: " + escaped("; ".join(_unique(each[name] for each in made))))
    return "\n\n".join(filter(None, parts))


def write_pages(pages: Sequence[Path], records: Path) -> list[LeftOut]:
    """Write the generated parts of pages anew, one for each experiment that they have a place for, and their figures.

    Args:
        pages: Markdown files; figures go into the folder ``images`` beside each.
        records: the folder with the records.

    Returns:
        What was left out.

    Raises:
        BlockError: if there are records of an experiment without a place on any page; then nothing is written.
    """
    runs, left_out = read_runs([records]) if records.is_dir() and any(records.iterdir()) else ([], [])
    groups = group_runs(runs)
    texts = {page: page.read_text("utf-8") for page in pages}
    places = {name for text in texts.values() for name in blocks(text)}
    for name in dict.fromkeys(runs.experiment.name for runs in groups):
        if name not in places:
            raise BlockError(
                f"there are records of {name!r} and no page has a place for them. Put the lines <!-- begin {name} --> and "
                f"<!-- end {name} --> on one of {', '.join(map(str, pages))}, or name another page."
            )
    files: dict[Path, str] = {}
    for page, text in texts.items():
        new = {}
        for name in (name for name in blocks(text) if name in EXPERIMENTS):
            members = [runs for runs in groups if runs.experiment.name == name]
            comparison = comparison_of(members)
            shown = (
                [each for part in by_budget(members, comparison) for each in pictures(part, comparison)]
                if comparison
                else []
            )
            new[name] = experiment_block(members, shown)
            for each in shown:
                # On white: the page may be dark, and lines and letters are black.
                files[page.parent / "images" / f"{each.name}.svg"] = as_svg(each.figure, transparent=False)
        files[page] = replace_blocks(text, new)
    for file, content in files.items():
        write_text(file, content)
    return left_out


def _measured(runs: RunGroup, columns: Mapping[str, str]) -> list[Row]:
    rows = [
        Row("run", [f"seed {run.seed}", *(show(_value_at(run.numbers, name)) for name in columns)]) for run in runs.runs
    ]
    if len(rows) > 1:
        rows.append(Row("mean", [f"mean of {len(rows)}", *(spread(runs.numbers(name)) for name in columns)]))
    return rows


def _value_at(numbers: Mapping[str, Any], name: str) -> Any:
    value: Any = numbers
    for part in name.split("."):
        if isinstance(value, Mapping) and part in value:
            value = value[part]
        elif isinstance(value, list) and part.isdigit() and int(part) < len(value):
            value = value[int(part)]
        else:
            return None
    return value


def _ranges(seeds: Sequence[int]) -> str:
    parts: list[list[int]] = []
    for seed in seeds:
        if parts and parts[-1][-1] == seed - 1:
            parts[-1].append(seed)
        else:
            parts.append([seed])
    return ",".join(f"{part[0]}..{part[-1]}" if len(part) > 2 else ",".join(map(str, part)) for part in parts)


def _real_kinds(runs: RunGroup) -> dict[str, str]:
    group = group_of(runs.group)
    if group is None:
        return {}
    kinds = {rho.name: rho.kind for rho in eq.reps.irreps(group, field="real")}
    return kinds if set(kinds) == set(runs.runs[0].numbers["multiplicities_real"]) else {}


def _commit(commit: Any) -> str:
    text = str(commit) if commit else ""
    return f"`{text[:8]}`" + (" with changes" if text.endswith("+") else "") if text else "not a checkout"


def _machine(machine: Any) -> str:
    if not isinstance(machine, Mapping):
        return "not on record"
    names = ("device", "processor", "cores", "threads")
    said = [f"{name} {machine[name]}" for name in names if name in machine]
    return ", ".join([str(machine.get("system", "")), *said]).strip(", ")


def _listed(values: Any) -> str:
    if not isinstance(values, Mapping):
        return "not on record"
    return ", ".join(f"{name} {value}" for name, value in values.items())


def _unique(texts: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(texts))


def _main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m equilatent.bench.tables", description=__doc__)
    parser.add_argument("runs", nargs="*", type=Path, help="folders of runs whose finished records are kept")
    parser.add_argument("--records", type=Path, default=Path("results/experiments"), help="where records are kept")
    parser.add_argument("--pages", nargs="+", type=Path, default=PAGES, help="the pages with the tables")
    options = parser.parse_args(arguments)
    try:
        runs, left_out = read_runs(options.runs)
        for run in runs:
            name = run.path.name if run.path.is_dir() else run.path.stem
            write_json(options.records / f"{name}.json", slim(run.record))
        left_out += write_pages(options.pages, options.records)
    except (EquilatentError, OSError) as error:
        print(f"equilatent: {error}", file=sys.stderr)
        return 2
    for each in left_out:
        print(f"left out: {each.path}: {each.reason}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(_main())
