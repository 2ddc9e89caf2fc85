"""The demo's results: tables for the terminal, a page, and a picture."""

from __future__ import annotations

import base64
import io
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from equilatent.bench._page import render_template
from equilatent.bench.demo._run import Pictures, demo_action
from equilatent.bench.demo._training import AUTOENCODERS, ENCODERS
from equilatent.bench.record import replace_file

__all__ = ["render_page", "render_tables", "sentences", "write_picture"]

Records = Sequence[Mapping[str, Any]]

#: Ways to have a stored item in any pose: encoder, way, what they are called, and passes of the encoder.
ROWS = (
    ("term", "rho", "with the latent term, ρ(g)z", "1"),
    ("zero", "none", "λ = 0, z as it is", "1"),
    ("zero", "rho", "λ = 0, ρ(g)z", "1"),
    ("zero", "maps", "λ = 0, linear maps fitted afterwards", "1"),
    ("zero", "passes", "λ = 0, encoded in all 8 poses", "8"),
    ("invariant", "none", "invariant latent, z as it is", "1"),
    ("outputs", "rho", "consistent outputs, ρ(g)z", "1"),
    ("exact", "rho", "group convolutions, ρ(g)z", "1"),
    ("thumbnail", "rho", "no encoder: thumbnail of 7×7 pixels", "0"),
)

#: What is asked: its key, what a column and a section are called, and what it is.
TASKS = (
    (
        "search",
        "search",
        "Search in any orientation, one latent an item",
        "The index holds one latent for each of {held} upright digits that no training has seen; a query is one of them, "
        "transformed by an unknown g, a little shifted, scaled and noisy. Share of queries whose nearest item is the right "
        "one.",
    ),
    (
        "pose",
        "pose",
        "Relative pose",
        "Which of the 8 elements carries the first image to the second, from their latents? Share right; chance is 12.5%.",
    ),
    (
        "head",
        "new task",
        "A head on stored latents",
        "The encoder knows only the digits 0–4 and is frozen. New task: which of the digits 5–9, and in which of 8 poses; "
        "40 classes, chance 2.5%. A head is trained on {few} images, encoded once and upright, their latents transformed "
        "with their labels; it answers in any pose, from one pass. Share right on {new} images.",
    ),
)

_MEASURES: tuple[tuple[str, Callable[[Spread], str]], ...] = (
    ("accuracy", lambda x: x.percent(1)),
    ("consistency", lambda x: x.percent(1)),
    ("latent_error", lambda x: x.plain()),
    ("parameters", lambda x: f"{round(x.mean):,}"),
)
_HEADINGS = ("encoder", "accuracy on 0–4", "same answer in all poses", "latent error", "parameters")


@dataclass(frozen=True)
class Spread:
    """A number over the seeds."""

    values: Sequence[float]

    @property
    def mean(self) -> float:
        """The mean."""
        return statistics.fmean(self.values)

    def plain(self, scale: float = 1, digits: int = 2) -> str:
        """``mean`` or ``mean ± deviation``."""
        deviation = f" ± {scale * statistics.stdev(self.values):.{digits}f}" if len(self.values) > 1 else ""
        return f"{scale * self.mean:.{digits}f}{deviation}"

    def percent(self, digits: int = 0) -> str:
        """The same in per cent."""
        return self.plain(100, digits) + "%"


def spread(records: Records, method: str, key: str) -> Spread:
    """One final number of a method over its seeds."""
    return Spread([record["final"][key] for record in records if record["method"] == method])


def render_tables(records: Records) -> str:
    """Two tables for the terminal: what latents can do, and how good the encoders are at what they were trained for."""
    answers = [["", "passes", *(name for _, name, _, _ in TASKS)]]
    for method, way, label, passes in ROWS:
        shares = (spread(records, method, f"{way}_{task}").percent() for task, *_ in TASKS)
        answers.append([label, passes, *shares])
    return f"{_aligned(answers)}\n\n{_aligned(encoder_table(records))}"


def encoder_table(records: Records) -> list[list[str]]:
    """Headings, and a row for each encoder."""
    rows = [
        [label, *(form(spread(records, method, key)) for key, form in _MEASURES)] for method, label in ENCODERS.items()
    ]
    return [list(_HEADINGS), *rows]


def sentences(records: Records) -> list[str]:
    """What the numbers say: of the pictures, of the latents, and of accuracy."""

    def decoded(name: str, key: str) -> str:
        return spread(records, f"autoencoder {name}", key).plain()

    def share(method: str, key: str) -> str:
        return spread(records, method, key).percent(1 if key == "accuracy" else 0)

    seeds = sorted({record["seed"] for record in records})
    runs = "one seed (n = 1)" if len(seeds) == 1 else f"mean ± standard deviation over {len(seeds)} seeds"
    return [
        f"Decoded from transformed latents, the error is {decoded('term', 'decoded_error')} of the images' variance with "
        f"the latent term and {decoded('zero', 'decoded_error')} without it; with linear maps fitted afterwards "
        f"{decoded('zero', 'maps_error')}. Encoding the transformed image itself: "
        f"{decoded('term', 'reconstruction_error')} and {decoded('zero', 'reconstruction_error')}.",
        f"From one latent an item, search finds {share('term', 'rho_search')}, pose is right in "
        f"{share('term', 'rho_pose')}, and the new task in {share('term', 'rho_head')}. Without the term the same latents "
        f"give {share('zero', 'rho_search')}, {share('zero', 'rho_pose')} and {share('zero', 'rho_head')}; it takes maps "
        f"fitted afterwards ({share('zero', 'maps_search')}, {share('zero', 'maps_pose')}, {share('zero', 'maps_head')}) "
        f"or 8 passes ({share('zero', 'passes_search')}, {share('zero', 'passes_pose')}, {share('zero', 'passes_head')}).",
        f"The term is not for accuracy: on the trained task it is {share('term', 'accuracy')} with it, "
        f"{share('zero', 'accuracy')} without, and {share('plain', 'accuracy')} with augmentation alone. Where accuracy is "
        f"all you want, ask for consistent outputs ({share('outputs', 'accuracy')}): "
        'Equivariance("", weight, distance="kl").',
        f"All numbers are of test digits, {runs}.",
    ]


def render_page(records: Records, pictures: Pictures) -> str:
    """The report: one HTML page with its pictures inside, which asks nothing of a network."""
    config = records[0]["config"]
    group = demo_action().group
    sizes = {"held": config["test_digits"], "few": 5 * config["examples"], "new": 8 * (config["test_digits"] // 2)}
    return render_template(
        "demo.html.jinja",
        names=[group.name(g) for g in range(group.order)],
        strips=[[(label, _strip(images[i])) for label, images in _rows(pictures)] for i in range(len(pictures.true))],
        tasks=[
            (title, text.format(**sizes), [_bar(records, task, *row) for row in ROWS]) for task, _, title, text in TASKS
        ],
        encoders=encoder_table(records),
        sentences=sentences(records),
        record=records[0],
        seeds=sorted({record["seed"] for record in records}),
        seconds=round(sum(record["seconds"] for record in records)),
    )


def write_picture(path: Path, pictures: Pictures) -> None:
    """Two digits in all poses: true, and decoded from transformed latents with and without the term."""
    from matplotlib.figure import Figure

    digits, rows = pictures.true[:2], _rows(pictures)
    columns = len(digits) * digits.shape[1]
    figure = Figure(figsize=(16, 3.05), dpi=100, facecolor="white")
    axes = figure.subplots(len(rows), columns)
    figure.subplots_adjust(0.115, 0.02, 0.995, 0.98, 0.04, 0.04)
    for line, (label, images) in zip(axes, rows, strict=True):
        line[0].text(
            -0.25,
            0.5,
            label.replace(" the", "\nthe"),
            ha="right",
            va="center",
            fontsize=17,
            transform=line[0].transAxes,
        )
        for axis, image in zip(line, images[: len(digits)].flatten(0, 1), strict=True):
            axis.imshow(image.numpy(force=True), cmap="gray_r", vmin=0, vmax=1)
            axis.axis("off")
    replace_file(path, lambda temporary: figure.savefig(temporary, format="png"))


def _rows(pictures: Pictures) -> list[tuple[str, Tensor]]:
    return [("true", pictures.true), *((label, pictures.decoded[name]) for name, label in AUTOENCODERS.items())]


def _strip(images: Tensor) -> str:
    """Images [n, H, W] side by side as a PNG of black ink on nothing, so that a page can show it light and dark."""
    from matplotlib.image import imsave

    ink = torch.cat([*images], dim=1).clamp(0, 1)[..., None]
    buffer = io.BytesIO()
    imsave(buffer, torch.cat([torch.zeros_like(ink).expand(-1, -1, 3), ink], dim=2).numpy(force=True), format="png")
    return base64.b64encode(buffer.getvalue()).decode()


def _bar(records: Records, task: str, method: str, way: str, label: str, passes: str) -> dict[str, Any]:
    share = spread(records, method, f"{way}_{task}")
    width = f"{100 * share.mean:.1f}"
    return {"label": label, "passes": passes, "width": width, "share": share.percent(), "ours": method == "term"}


def _aligned(cells: Sequence[Sequence[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in cells]
    return "\n".join([lines[0], "  ".join("─" * width for width in widths), *lines[1:]])
