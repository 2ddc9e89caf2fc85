"""Finished runs as one pandas frame: a row a run, a column for each setting and each number."""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
import json
import math
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from equilatent.bench.harness.config import RunConfig, digest_of
from equilatent.bench.harness.record import read_record
from equilatent.bench.harness.task import Task
from equilatent.errors import EquilatentError

__all__ = ["changes", "command", "config_of", "load", "words_of"]

#: Columns that every frame has.
_KEYS = ("task", "system", "group", "seed", "protocol", "digest", "changes", "budget", "name")
_REST = ("commit", "seconds", "peak_memory", "data.digest", "path")


def load(folders: Iterable[str | Path], tasks: Mapping[str, Task]) -> pd.DataFrame:
    """Finished runs, a row each, in the order of the tasks, groups, budgets and systems.

    The columns are ``task``, ``system``, ``group``, ``seed``, ``protocol``, ``digest``; ``changes``, the fields that differ
    from the defaults of the system, as text, but for those in ``budget``; ``budget``, the settings of the task, and what is
    less than the default budget; ``name``, the system with its changes, and its data where those of one budget differ; the
    final numbers, those in mappings and lists under dotted names such as ``eigenvalue_counts.r.0``; every field as
    ``config.…``; ``commit``, ``version.…``, ``machine.…``, ``seconds``, ``peak_memory``, ``selected.…``, ``data.…``
    (``data.digest`` tells data apart) and ``path``, the file of the record. What a run lacks is missing.

    Args:
        folders: run folders, folders of these, records, or folders of records; a folder may hold several kinds.
        tasks: by name. They say what a configuration was before fields were added, and in which order rows stand.

    Returns:
        The frame. ``attrs["left_out"]`` says of what else was found, by its path, why it is not in it.

    Raises:
        EquilatentError: for a folder that is not there.
    """
    rows: dict[tuple[Any, ...], dict[str, Any]] = {}
    left_out: dict[str, str] = {}
    for folder in map(Path, folders):
        if not folder.exists():
            raise EquilatentError(f"{folder} is not there. Name a folder of runs, such as the --out of equilatent run.")
        for path, reason in _look(folder, 2):
            if reason:
                left_out[str(path)] = reason
                continue
            try:
                row = _row(path, read_record(path), tasks)
            except EquilatentError as error:
                left_out[str(path)] = str(error).removeprefix(f"{path} ").rstrip(".")
                continue
            same = ("task", "protocol", "digest", "data.digest", "seed")
            known = rows.setdefault(tuple(row[name] for name in same), row)
            if Path(known["path"]).resolve() != path.resolve():
                left_out[str(path)] = f"the same configuration and seed as {known['path']}, which is shown"
    frame = _as_frame(sorted(rows.values(), key=lambda row: _place(row, tasks)))
    # A name is to tell apart whatever is not to be averaged.
    for other, within in (
        ("data", ["task", "protocol", "budget"]),
        ("", ["task", "protocol", "budget", "group", "name"]),
    ):
        digests = frame[f"{other}.digest" if other else "digest"]
        several = frame.groupby(within)[digests.name].transform("nunique") > 1
        frame["name"] = frame["name"].where(~several, frame["name"] + f", {other or 'digest'} " + digests)
    frame.attrs["left_out"] = left_out
    return frame


def config_of(run: Mapping[str, Any]) -> dict[str, Any]:
    """The configuration of a row of the frame: its fields, None where it has none."""
    fields: dict[str, Any] = {}
    for name, value in run.items():
        if name.startswith("config."):
            plain = value.item() if hasattr(value, "item") else value  # not NumPy's, which JSON has no word for
            fields[name.removeprefix("config.")] = None if pd.isna(plain) else plain
    return fields


def changes(config: Mapping[str, Any], task: Task, protocol: int | None = None) -> dict[str, Any]:
    """The fields of a configuration, other than method, group and settings, that differ from the defaults of these.

    The defaults are those of the given protocol, or of the task's own.
    """
    defaults = _defaults(config, task, protocol).identity
    return {
        name: value
        for name, value in config.items()
        if (value != defaults[name] if name in defaults else value is not None)
    }


def _defaults(config: Mapping[str, Any], task: Task, protocol: int | None) -> RunConfig:
    """The configuration that differs from the default in the method, the group and the settings of the task alone."""
    chosen = {name: config[name] for name in ("method", "group", *task.settings) if name in config}
    usual = task.usual.get(protocol or task.protocol, {})
    return task.config(**{**usual, **chosen}).resolved()


def command(config: Mapping[str, Any], task: Task, seeds: Iterable[int], protocol: int | None = None) -> str:
    """The command that carries out runs of a configuration.

    Args:
        config: its fields.
        task: the task.
        seeds: of the runs.
        protocol: on which it is carried out; by default the task's own.
    """
    words = ["equilatent run", task.name, "--method", config["method"], "--group", config["group"]]
    words += ["--seed", _ranges(sorted(seeds))]
    usual = task.config().identity
    settings = {name: config[name] for name in task.settings if name in config and config[name] != usual[name]}
    for name, value in {**settings, **changes(config, task, protocol)}.items():
        option = name.replace("_", "-")
        if isinstance(value, bool):
            words.append(f"--{option if value else f'no-{option}'}")
        else:
            words.append(f"--{option} {shlex.quote(str(value))}")
    return " ".join(words)


def _look(path: Path, depth: int) -> Iterator[tuple[Path, str]]:
    """Every file that may hold a record, and what holds none with the reason."""
    if path.is_file():
        yield path, ""
    elif (path / "record.json").is_file():
        yield path / "record.json", ""
    elif (path / "config.json").is_file():
        yield path, f"not finished: {_epochs_so_far(path)}"
    else:
        inner = sorted(p for p in path.iterdir() if not p.name.startswith(".") and (p.is_dir() or p.suffix == ".json"))
        if not inner or not depth:
            yield path, "holds no run" if depth else "not looked into: too deep"
        for each in inner if depth else ():
            yield from _look(each, depth - 1)


def _epochs_so_far(folder: Path) -> str:
    try:
        rows = len((folder / "metrics.csv").read_text("utf-8").splitlines()) - 1
    except (OSError, UnicodeDecodeError):
        rows = 0
    return f"{rows} epoch{'s' * (rows != 1)} so far"


def _row(path: Path, record: Mapping[str, Any], tasks: Mapping[str, Task]) -> dict[str, Any]:
    """The row of a record.

    Raises:
        EquilatentError: if it is of no known task, or one of its values is of another kind than the task has it.
    """
    task = tasks.get(record["experiment"])
    if task is None:
        raise EquilatentError(f"is of the task {record['experiment']!r}, which is none of {', '.join(tasks)}")
    config = task.config.filled({**record["config"], "method": record["method"], "group": record["group"]})
    numbers = _flat(record["final"])
    wrong = _of_another_kind(config, numbers, task)
    if wrong:
        raise EquilatentError(f"is damaged: {', '.join(wrong)}")
    first = task.quantities[0].name
    if not any(name == first or name.startswith(f"{first}.") for name in numbers):
        numbers[first] = None  # what runs are compared by is always a column
    protocol = record["protocol"]
    changed, usual = changes(config, task, protocol), _defaults(config, task, protocol)
    less = [name for name in task.budget if name in changed and _is_less(changed[name], getattr(usual, name))]
    budget = {name: config[name] for name in (*task.settings, *less) if name in config}
    text = words_of({name: value for name, value in changed.items() if name not in budget})
    data = json.dumps(record["data"], sort_keys=True)
    return {
        "task": task.name,
        "system": record["method"],
        "group": record["group"],
        "seed": record["seed"],
        "protocol": record["protocol"],
        "digest": digest_of(task.config, config, record["protocol"]),
        "changes": text,
        "budget": words_of(budget),
        "name": f"{record['method']}, {text}" if text else record["method"],
        **numbers,
        **{f"config.{name}": value for name, value in config.items()},
        "commit": record.get("commit"),
        **_flat(record["versions"], "version."),
        **_flat(record["machine"], "machine."),
        "seconds": float(record["seconds"]),
        "peak_memory": record.get("peak_memory"),
        **_flat(record["selected"], "selected."),
        "data.digest": hashlib.sha256(data.encode()).hexdigest()[:8],
        **_flat(record["data"], "data."),
        "path": str(path),
    }


def words_of(fields: Mapping[str, Any]) -> str:
    """Fields and their values, as budgets and changes are told."""
    return ", ".join(f"{name} = {value}" for name, value in fields.items())


def _of_another_kind(config: Mapping[str, Any], numbers: Mapping[str, Any], task: Task) -> list[str]:
    """What a table could not use, in words."""
    defaults = {field.name: field.default for field in dataclasses.fields(task.config)}
    wrong = [
        f"{name} of its configuration is {value!r}"
        for name, value in config.items()
        if (_is_number(defaults.get(name)) or name in task.budget) and value is not None and not _is_number(value)
    ]
    known = [quantity.name for quantity in (*task.quantities, *task.details)] + [*task.by_element, *task.by_layer]
    for name, value in numbers.items():
        if any(name == each or name.startswith(f"{each}.") for each in known) and not _is_number(value):
            wrong.append(f"{name} is {value!r}, no number")
        if name in (*_KEYS, *_REST) or name.startswith(("config.", "version.", "machine.", "selected.", "data.")):
            wrong.append(f"a final number is called {name}, which is a column of its own")
    return wrong


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _is_less(value: Any, default: Any) -> bool:
    """Whether this is a smaller budget than the default, or than no bound."""
    return value is not None and (default is None or value < default)


def _flat(values: Any, prefix: str = "") -> dict[str, Any]:
    """The leaves of mappings and lists, under dotted names."""
    flat: dict[str, Any] = {}
    for key, value in values.items() if isinstance(values, Mapping) else enumerate(values):
        flat |= _flat(value, f"{prefix}{key}.") if isinstance(value, Mapping | list) else {f"{prefix}{key}": value}
    return flat


def _place(row: Mapping[str, Any], tasks: Mapping[str, Task]) -> tuple[Any, ...]:
    """Where a row stands: tasks, groups and systems in their own order, unknown ones last, few changes first."""
    task = tasks[row["task"]]
    group, system = (
        (list(known).index(row[name]) if row[name] in known else len(known), row[name])
        for name, known in (("group", task.groups), ("system", task.systems))
    )
    stands_in = bool(row.get("data.stand_in"))
    changed = (row["changes"].count(" = "), row["changes"], stands_in, row["data.digest"], row["seed"])
    return (list(tasks).index(row["task"]), -row["protocol"], row["budget"], group, system, *changed)


def _as_frame(rows: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    names = list(_KEYS)
    for row in [*rows, dict.fromkeys(_REST)]:
        for before, name in itertools.pairwise([names[-1], *row]):
            if name not in names:  # entries of a mapping stay together
                names.insert(names.index(before) + 1, name)
    return pd.DataFrame({name: _column([row.get(name) for row in rows]) for name in names})


def _column(values: Sequence[Any]) -> pd.Series:
    """Whole numbers stay whole where some are missing, which pandas would not do by itself."""
    kinds = {type(value) for value in values if value is not None}
    if kinds and kinds <= {int, float}:
        return pd.Series(values, dtype="Int64" if kinds == {int} else "float64")
    return pd.Series(values, dtype="boolean" if kinds == {bool} else "object")


def _ranges(seeds: Sequence[int]) -> str:
    """Seeds as on the command line.

    >>> _ranges([0, 1, 2, 4, 5])
    '0..2,4,5'
    """
    parts: list[list[int]] = []
    for seed in seeds:
        if parts and parts[-1][-1] == seed - 1:
            parts[-1].append(seed)
        else:
            parts.append([seed])
    return ",".join(f"{part[0]}..{part[-1]}" if len(part) > 2 else ",".join(map(str, part)) for part in parts)
