"""The demo's results: tables for the terminal, a page, and a picture."""

from __future__ import annotations

import base64
import io
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from equilatent.bench._page import render_template
from equilatent.bench.demo._run import Pictures, demo_action
from equilatent.bench.demo._training import AUTOENCODERS, ENCODERS
from equilatent.bench.harness.record import replace_file

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
        "with their labels; it answers in any pose, from one pass. Share right on held-out "
        "images, each in all poses.",
    ),
)


def shown(records: Records, method: str, key: str, digits: int | None = 0) -> str:
    """A final number of a method, ``mean`` or ``mean ± deviation`` over its seeds: in per cent, or plain without digits."""
    values = [record["final"][key] for record in records if record["method"] == method]
    scale, digits, unit = (1, 2, "") if digits is None else (100, digits, "%")
    deviation = f" ± {scale * statistics.stdev(values):.{digits}f}" if len(values) > 1 else ""
    return f"{scale * statistics.fmean(values):.{digits}f}{deviation}{unit}"


def render_tables(records: Records) -> str:
    """Two tables for the terminal: what latents can do, and how good the encoders are at what they were trained for."""
    rows = [
        [label, passes, *(shown(records, name, f"{way}_{task[0]}") for task in TASKS)]
        for name, way, label, passes in ROWS
    ]
    return f"{_aligned([['', 'passes', *(task[1] for task in TASKS)], *rows])}\n\n{_aligned(encoder_table(records))}"


def encoder_table(records: Records) -> list[list[str]]:
    """Headings, and a row for each encoder."""
    table = [["encoder", "accuracy on 0–4", "same answer in all poses", "latent error"]]
    for name, label in ENCODERS.items():
        shares = [shown(records, name, key, 1) for key in ("accuracy", "consistency")]
        table.append([label, *shares, shown(records, name, "latent_error", None)])
    return table


def sentences(records: Records) -> list[str]:
    """What the numbers say: of the pictures, of the latents, of accuracy, and how much they say."""

    def error(name: str, key: str) -> str:
        return shown(records, f"autoencoder {name}", key, None)

    def three(name: str, way: str) -> str:
        return ", ".join(shown(records, name, f"{way}_{task[0]}") for task in TASKS)

    def accuracy(name: str) -> str:
        return shown(records, name, "accuracy", 1)

    seeds = len({record["seed"] for record in records})
    return [
        f"Images decoded from transformed latents are off by {error('term', 'decoded_error')} of the images' variance with "
        f"the latent term and by {error('zero', 'decoded_error')} without it, by {error('zero', 'maps_error')} with linear "
        f"maps fitted afterwards. Transformed images that are encoded themselves: {error('term', 'reconstruction_error')} "
        f"with the term, {error('zero', 'reconstruction_error')} without.",
        f"From one latent an item, right in search, pose and new task: {three('term', 'rho')}. Without the term, the same "
        f"ρ(g)z: {three('zero', 'rho')}; linear maps fitted afterwards: {three('zero', 'maps')}; 8 passes: "
        f"{three('zero', 'passes')}.",
        f"The term is not for accuracy. On the trained task that is {accuracy('term')} with it, {accuracy('zero')} without, "
        f"and {accuracy('plain')} with augmentation alone. Where accuracy is all you want, ask for consistent outputs "
        f'instead ({accuracy("outputs")}): Equivariance("", weight, distance="kl").',
        f"All numbers are of test digits, {'one seed (n = 1)' if seeds == 1 else f'mean ± deviation of {seeds} seeds'}.",
    ]


def render_page(records: Records, pictures: Pictures) -> str:
    """The report: one HTML page with its pictures inside, which asks nothing of a network."""
    config = records[0]["config"]
    group = demo_action().group
    sizes = {"held": config["test_digits"], "few": config["head_digits"]}
    return render_template(
        "demo.html.jinja",
        names=[group.name(g) for g in range(group.order)],
        strips=[[(label, _strip(images[i])) for label, images in _rows(pictures)] for i in range(len(pictures.true))],
        tasks=[
            (title, text.format(**sizes), [_bar(records, task, *row) for row in ROWS]) for task, _, title, text in TASKS
        ],
        encoders=encoder_table(records),
        parameters={r["method"]: r["final"]["parameters"] for r in records if r["method"] in ENCODERS},
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
    figure.subplots_adjust(0.12, 0.02, 0.995, 0.98, 0.04, 0.04)
    for line, (label, images) in zip(axes, rows, strict=True):
        line[0].text(
            -0.25,
            0.5,
            label.replace("with the", "with\nthe"),
            ha="right",
            va="center",
            fontsize=15,
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
    share = shown(records, method, f"{way}_{task}")
    return {
        "label": label,
        "passes": passes,
        "share": share,
        "width": share.split()[0].rstrip("%"),
        "ours": method == "term",
    }


def _aligned(cells: Sequence[Sequence[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in cells]
    return "\n".join([lines[0], "  ".join("─" * width for width in widths), *lines[1:]])
