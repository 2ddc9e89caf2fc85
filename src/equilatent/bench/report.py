"""The report: the runs of some folders as Markdown tables, and as one page that asks nothing of a network."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from equilatent.bench import _report_figures as drawn
from equilatent.bench._page import as_svg, render_template
from equilatent.bench.comparison import by_budget, comparison_of, cross_table, differences, layer_tables, pictures
from equilatent.bench.group_names import group_of
from equilatent.bench.recipe import Experiment
from equilatent.bench.record import write_text
from equilatent.bench.tables import (
    LeftOut,
    Run,
    RunGroup,
    Table,
    detail_table,
    experiment_block,
    group_runs,
    multiplicity_table,
    provenance,
    read_runs,
    result_table,
    sentence,
    summary_tables,
)
from equilatent.errors import EquilatentError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Report", "make_report"]


@dataclass(frozen=True)
class Report:
    """What was found in some folders.

    Attributes:
        groups: finished runs, those together that differ in their seed alone.
        left_out: what is in no table, and why.
    """

    groups: Sequence[RunGroup]
    left_out: Sequence[LeftOut]

    def markdown(self) -> str:
        """All tables for the terminal."""
        parts = []
        for name in _names(self.groups):
            groups = [runs for runs in self.groups if runs.experiment.name == name]
            experiment = groups[0].experiment
            parts += [f"## {experiment.title} ({experiment.table})", experiment_block(groups)]
        if self.left_out:
            lines = [f"- {each.path}: {each.reason}" for each in self.left_out]
            parts += ["## Left out", "\n".join(lines)]
        return "\n\n".join(parts)

    def write(self, page: Path) -> list[Path]:
        """Write the page, and beside it each animation as a file of its own.

        Args:
            page: where the page is written; a page that is there is replaced when the new one is whole.

        Returns:
            The files that were written, the page first.
        """
        sections = [_Section(runs) for runs in self.groups]
        files = {}
        for section in sections:
            if section.animation and section.shown is not None:
                files[page.with_name(f"{page.stem}-{section.shown.path.name}.svg")] = section.animation
        problems = [problem for section in sections for problem in section.problems]
        text = render_template(
            "report.html.jinja",
            experiments=[
                _Chapter([section for section in sections if section.runs.experiment.name == name])
                for name in _names(self.groups)
            ],
            left_out=[*self.left_out, *problems],
            count=sum(len(runs.runs) for runs in self.groups),
        )
        write_text(page, text)
        for file, content in files.items():
            write_text(file, content)
        return [page, *files]


def make_report(folders: Sequence[Path]) -> Report:
    """Read the runs of some folders, or small records of them.

    Args:
        folders: as for `equilatent.bench.tables.read_runs`.

    Raises:
        EquilatentError: if a folder is not there, or if no run in them is finished.
    """
    runs, left_out = read_runs(folders)
    if not runs:
        said = "".join(f"\n  {each.path}: {each.reason}" for each in left_out)
        raise EquilatentError(
            f"there is no finished run in {', '.join(map(str, folders)) or 'no folder'}. Make one: equilatent run "
            f"--help.{said}"
        )
    return Report(group_runs(runs), left_out)


def _names(groups: Sequence[RunGroup]) -> list[str]:
    return list(dict.fromkeys(runs.experiment.name for runs in groups))


@dataclass
class _Chapter:
    """What the page says of an experiment: how its systems compare, and the sections."""

    sections: list[_Section]
    experiment: Experiment = field(init=False)
    tables: list[Table] = field(init=False)
    differences: list[str] = field(init=False, default_factory=list)
    figures: list[tuple[str, str, str]] = field(init=False, default_factory=list)

    def __post_init__(self) -> None:
        groups = [section.runs for section in self.sections]
        self.experiment = groups[0].experiment
        comparison = comparison_of(groups)
        if comparison is None:
            self.tables = summary_tables(groups)
            return
        self.tables = []
        for part in by_budget(groups, comparison):
            self.tables += [cross_table(part, comparison), *summary_tables(part), *layer_tables(part, comparison)]
            self.differences += differences(part, comparison)
            self.figures += [(p.title, p.caption, as_svg(p.figure)) for p in pictures(part, comparison)]


@dataclass
class _Section:
    """What the page says of runs that differ in their seed alone."""

    runs: RunGroup
    tables: list[Table] = field(init=False)
    sentences: list[str] = field(init=False)
    provenance: Mapping[str, str] = field(init=False)
    shown: Run | None = field(init=False, default=None)
    animation: str = field(init=False, default="")
    generators: int = field(init=False, default=0)
    figures: list[tuple[str, str, str]] = field(init=False, default_factory=list)
    problems: list[LeftOut] = field(init=False, default_factory=list)

    def __post_init__(self) -> None:
        runs = self.runs
        self.tables = [t for t in (result_table(runs), multiplicity_table(runs), detail_table(runs)) if t is not None]
        self.sentences = [sentence(run) for run in runs.runs]
        self.provenance = {name: text.replace("`", "") for name, text in provenance(runs).items()}
        arrays = {run.seed: self._arrays(run) for run in runs.runs}
        self.shown = next((run for run in runs.runs if arrays[run.seed]), None)
        self._add(
            "Learning",
            "On the validation samples; a dot marks the epoch whose weights were kept.",
            drawn.curves([run.record for run in runs.runs]),
        )
        if self.shown is None:
            return
        chosen, which = arrays[self.shown.seed], f"Seed {self.shown.seed}."
        orders = {x: len(counts) for x, counts in runs.runs[0].numbers.get("eigenvalue_counts", {}).items()}
        values = {seed: drawn.eigenvalues_of(found) for seed, found in arrays.items()}
        if values[self.shown.seed]:
            strip = drawn.eigenvalue_strip(values[self.shown.seed], orders)
            circle = "Unit circle and roots of unity in grey and orange; of a representation, every eigenvalue is one."
            self._add("Eigenvalues during training", f"{which} {circle} After figure 4 of the paper.", strip)
            self.generators = len(values[self.shown.seed])
            self.animation = drawn.animation(values[self.shown.seed], orders, self.shown.path.name)
            # Up to the epoch whose weights were kept: the numbers of the tables are those of these matrices.
            kept = [
                (
                    f"seed {run.seed}",
                    {x: found[: run.numbers.get("best_epoch")] for x, found in values[run.seed].items()},
                )
                for run in runs.runs
                if list(values[run.seed]) == list(values[self.shown.seed])
            ]
            if len(kept) > 1 and all(len(found) for _, of in kept for found in of.values()):
                ends = drawn.eigenvalue_ends(kept[:8], orders)
                self._add("Eigenvalues that were kept", "At the epoch whose weights were kept, of each seed.", ends)
        group = group_of(runs.group)
        decoded = (
            "Images, and what is decoded from their latents under the learned action. After figure 3 of the paper."
        )
        self._add("Decoded", f"{which} {decoded}", drawn.decoded_images(chosen, group))
        self._add("Latents", f"{which} Four latents, and each under the learned action.", drawn.latent_images(chosen))
        self._add("Samples", "What the data are made of. After figure 5 of the paper.", drawn.sample_images(chosen))

    def _arrays(self, run: Run) -> dict[str, Any]:
        file = run.path / "figures.npz"
        if not file.is_file():
            return {}
        try:
            # Given a name, numpy would leave the file open if it is damaged.
            with file.open("rb") as opened, np.load(opened, allow_pickle=False) as arrays:
                return {name: arrays[name] for name in arrays.files if np.isfinite(arrays[name]).all()}
        except (OSError, ValueError, TypeError, KeyError, EOFError, zipfile.BadZipFile) as error:
            self.problems.append(LeftOut(file, f"damaged: cannot be read ({error}); the numbers are shown without it"))
            return {}

    def _add(self, title: str, caption: str, figure: Figure | None) -> None:
        if figure is not None:
            self.figures.append((title, caption, as_svg(figure)))
