"""The demo's results as a table for the terminal and as one self-contained page."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

import equilatent as eq
from equilatent.bench._page import as_svg, new_figure, render_template
from equilatent.bench.demo import METHODS, DemoConfig, DemoData, DemoRun, pair_action

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["render_page", "render_table", "verdict"]

_COLOURS = {"plain": "#8a8f98", "augmented": "#c26a1b", "ours": "#1f6fb4", "before": "#c9ccd1"}


@dataclass(frozen=True)
class Row:
    """One method over its seeds."""

    method: str
    runs: Sequence[DemoRun]

    def mean(self, key: str) -> float:
        """Mean of a final number over the seeds."""
        return statistics.fmean(run.final[key] for run in self.runs)

    def deviation(self, key: str) -> float | None:
        """Standard deviation over the seeds; None for one seed."""
        return statistics.stdev(run.final[key] for run in self.runs) if len(self.runs) > 1 else None

    @property
    def seconds(self) -> float:
        """Mean training time."""
        return statistics.fmean(run.seconds for run in self.runs)

    def spread(self, key: str, digits: int = 3) -> str:
        """``mean ± deviation``."""
        deviation = self.deviation(key)
        return f"{self.mean(key):.{digits}f}" + ("" if deviation is None else f" ± {deviation:.{digits}f}")


_COLUMNS = (
    ("method", lambda row: METHODS[row.method]),
    ("test accuracy", lambda row: row.spread("test_accuracy")),
    ("answers that stay", lambda row: row.spread("consistency")),
    ("latent error", lambda row: row.spread("latent_error")),
    ("parameters", lambda row: f"{round(row.mean('parameters')):,}"),
    ("seconds", lambda row: f"{row.seconds:.1f}"),
)


def rows_of(runs: Sequence[DemoRun]) -> list[Row]:
    """The runs by method."""
    return [Row(method, [run for run in runs if run.method == method]) for method in METHODS]


def render_table(runs: Sequence[DemoRun]) -> str:
    """The table for the terminal."""
    cells = [[name for name, _ in _COLUMNS]]
    cells += [[show(row) for _, show in _COLUMNS] for row in rows_of(runs)]
    widths = [max(len(line[i]) for line in cells) for i in range(len(_COLUMNS))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in cells]
    return "\n".join([lines[0], "  ".join("─" * width for width in widths), *lines[1:]])


def verdict(runs: Sequence[DemoRun]) -> list[str]:
    """What the numbers say, in sentences made from them."""
    by_method = {row.method: row for row in rows_of(runs)}
    ours, augmented = by_method["ours"], by_method["augmented"]
    return [
        _compare("equivariance error of the latent", ours, augmented, "latent_error", percent=False),
        _compare("share of answers that stay under the group", ours, augmented, "consistency", percent=True),
        _compare("test accuracy", ours, augmented, "test_accuracy", percent=True),
    ]


def _compare(name: str, ours: Row, other: Row, key: str, *, percent: bool) -> str:
    scale, sign, unit = (100, "%", " points") if percent else (1, "", "")
    differences = [
        (mine.final[key] - theirs.final[key]) * scale for mine, theirs in zip(ours.runs, other.runs, strict=True)
    ]
    mean = statistics.fmean(differences)
    text = (
        f"The {name} is {ours.mean(key) * scale:.3g}{sign} with the latent term and "
        f"{other.mean(key) * scale:.3g}{sign} without: "
        f"a difference of {mean:+.3g}{unit}"
    )
    if len(differences) < 2:
        return f"{text} (one seed: no spread to compare it with)."
    spread = statistics.stdev(differences)
    if abs(mean) > 2 * spread:
        return f"{text}, {abs(mean) / max(spread, 1e-12):.1f} times the spread of the seeds ({spread:.2g})."
    return f"{text}, which is within twice the spread of the seeds ({spread:.2g}): no difference is shown."


def render_page(runs: Sequence[DemoRun], data: DemoData, config: DemoConfig, records: Sequence[dict[str, Any]]) -> str:
    """The report: one HTML page with its pictures inside, which asks nothing of a network."""
    group, action = pair_action(config.group)
    rho = eq.reps.padded_regular(group, config.features)
    figures = [
        ("Pairs", "Training pairs, and the same pairs moved by an element of the group.", _samples(data, action)),
        ("Learning", "Validation accuracy and latent error, mean over the seeds; the band spans them.", _curves(runs)),
        (
            "Equivariance, element by element",
            f"Error of the latent for each of the {group.order} elements, before and after training; "
            "0 is exactly equivariant, 1 as large as what tells samples apart.",
            _elements(runs),
        ),
        (
            "The latent moving",
            "One test pair. If the latent is equivariant, the second and the third strip of a network agree.",
            _latents(runs, data, action, rho),
        ),
    ]
    return render_template(
        "demo.html.jinja",
        table=[[name for name, _ in _COLUMNS]] + [[show(row) for _, show in _COLUMNS] for row in rows_of(runs)],
        sentences=verdict(runs),
        figures=[(title, caption, as_svg(figure)) for title, caption, figure in figures],
        group=group.label,
        order=group.order,
        latent=rho.label,
        data=data,
        config=config,
        seeds=sorted({run.seed for run in runs}),
        record=records[0],
    )


def _samples(data: DemoData, action: eq.actions.Action) -> Figure:
    count = 5
    x, y = data.train.images[:count].cpu(), data.train.labels[:count].tolist()
    g = action.group.sample(count, generator=torch.Generator().manual_seed(1), identity=False)
    figure, axes = new_figure(9, 2.6, 2, count)
    for row, images in enumerate((x, action(x, g))):
        for column in range(count):
            axis = axes[row, column]
            axis.imshow(images[column, 0].numpy(), cmap="gray_r")
            axis.axvline(images.shape[-1] / 2 - 0.5, color="#c9ccd1", linewidth=0.8)
            axis.set(xticks=[], yticks=[])
            axis.spines[:].set_visible(False)
            title = f"{y[column]:02d}" if row == 0 else f"moved by {action.group.name(int(g[column]))}"
            axis.set_title(title, fontsize=8)
    return figure


def _curves(runs: Sequence[DemoRun]) -> Figure:
    figure, axes = new_figure(9, 3, 1, 2)
    for row in rows_of(runs):
        for axis, key in zip(axes[0], ("validation_accuracy", "centred_error"), strict=True):
            curves = [[point[key] for point in run.curve] for run in row.runs if run.curve and key in run.curve[0]]
            if curves:
                epochs = range(1, len(curves[0]) + 1)
                columns = list(zip(*curves, strict=True))
                axis.plot(epochs, [statistics.fmean(c) for c in columns], color=_COLOURS[row.method], label=row.method)
                low, high = [min(c) for c in columns], [max(c) for c in columns]
                axis.fill_between(epochs, low, high, color=_COLOURS[row.method], alpha=0.2, linewidth=0)
    axes[0, 0].set(xlabel="epoch", ylabel="validation accuracy")
    axes[0, 1].set(xlabel="epoch", ylabel="centred error of the latent, last batch", yscale="log")
    axes[0, 0].legend(frameon=False)
    return figure


def _elements(runs: Sequence[DemoRun]) -> Figure:
    figure, axes = new_figure(9, 3)
    axis = axes[0, 0]
    for row in rows_of(runs):
        errors = [run.after.centred for run in row.runs if run.after is not None]
        if errors:
            mean = torch.stack(errors).mean(0).tolist()
            axis.plot(range(1, len(mean)), mean[1:], ".-", color=_COLOURS[row.method], linewidth=0.8, label=row.method)
    before = [run.before.centred for run in runs if run.before is not None]
    if before:
        mean = torch.stack(before).mean(0).tolist()
        axis.plot(range(1, len(mean)), mean[1:], ".-", color=_COLOURS["before"], linewidth=0.8, label="before training")
    axis.set(xlabel="element (the identity, whose error is 0, is left out)", ylabel="error of the latent", yscale="log")
    axis.legend(frameon=False, ncols=4, loc="lower center", bbox_to_anchor=(0.5, 1))
    return figure


@torch.no_grad()
def _latents(runs: Sequence[DemoRun], data: DemoData, action: eq.actions.Action, rho: eq.reps.Representation) -> Figure:
    group = action.group
    g = group.sample(1, generator=torch.Generator().manual_seed(2), identity=False)
    copies = min(4, rho.dim // group.order)
    shown = [next(run for run in runs if run.method == method) for method in ("augmented", "ours")]
    figure, axes = new_figure(9, 3.2, 3, len(shown))
    for column, run in enumerate(shown):
        x = data.test.images[:1].cpu()
        network = run.network.cpu().eval()
        encoder = torch.nn.Sequential(network.get_submodule("encoder"), network.get_submodule("norm"))
        plain, moved = encoder(x), encoder(action(x, g))
        strips = [(plain, "E(x)"), (rho(plain, g), f"ρ(g) E(x), g = {group.name(int(g))}"), (moved, "E(gx)")]
        limit = float(torch.stack([strip.abs().max() for strip, _ in strips]).max())
        for row, (strip, name) in enumerate(strips):
            axis = axes[row, column]
            picture = strip[0, : copies * group.order].view(copies, group.order)
            axis.imshow(picture.numpy(), cmap="RdBu", vmin=-limit, vmax=limit, aspect="auto", interpolation="nearest")
            axis.set(xticks=[], yticks=[])
            axis.set_title(f"{run.method}: {name}", fontsize=8)
    return figure
