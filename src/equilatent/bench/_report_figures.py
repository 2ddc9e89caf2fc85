"""The figures of the report: curves, eigenvalues over the epochs, and what is decoded from moved latents."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from equilatent.bench._page import new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from equilatent.groups import Group

__all__ = [
    "animation",
    "curves",
    "decoded_images",
    "eigenvalue_ends",
    "eigenvalue_strip",
    "eigenvalues_of",
    "latent_images",
    "sample_images",
]

Array = npt.NDArray[Any]

_DOT, _ROOT, _CIRCLE = "#1f6fb4", "#c26a1b", "#c9ccd1"
_SEEDS = ("#1f6fb4", "#c26a1b", "#3b8f5a", "#8a5fb0", "#8a8f98", "#b33f62")
_CURVES = {
    "task": "task loss",
    "error": "share of wrong answers",
    "equivariance": "equivariance loss",
    "centred_error": "equivariance, centred",
    "algebra": "algebra loss",
}
#: Pictures of an animation: more than so many epochs are thinned out.
_FRAMES = 90


def curves(records: Sequence[Mapping[str, Any]]) -> Figure | None:
    """Validation numbers over the epochs, a line for each seed, with a dot at the epoch whose weights were kept."""
    records = [record for record in records if record.get("curve")]
    known = {name for record in records for row in record["curve"] for name in row}
    names = [name for name in _CURVES if f"val/{name}" in known]
    if not names:
        return None
    figure, axes = new_figure(9.6, 2.6, 1, len(names))
    for axis, name in zip(axes[0], names, strict=True):
        lowest = math.inf
        for number, record in enumerate(records):
            points = [(row["epoch"] + 1, row[f"val/{name}"]) for row in record["curve"] if f"val/{name}" in row]
            colour = _SEEDS[number % len(_SEEDS)]
            axis.plot(*zip(*points, strict=True), color=colour, linewidth=1, label=f"seed {record['seed']}")
            best = [point for point in points if point[0] == record["final"].get("best_epoch", -1) + 1]
            axis.plot(*zip(*best, strict=True), ".", color=colour) if best else None
            lowest = min(lowest, *(value for _, value in points))
        axis.set_title(_CURVES[name], fontsize=9)
        axis.set(xlabel="epoch")
        if lowest > 0:
            _logarithmic(axis)
        axis.tick_params(labelsize=7, which="both")
    axes[0, 0].legend(frameon=False, fontsize=7)
    return figure


def _logarithmic(axis: Any) -> None:
    from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

    axis.set_yscale("log")
    low, high = axis.get_ylim()
    if high < 50 * low:  # powers of ten alone would leave the axis with a number or none
        axis.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axis.yaxis.set_major_formatter(StrMethodFormatter("{x:.2g}"))
    axis.yaxis.set_minor_formatter(NullFormatter())


def eigenvalues_of(arrays: Mapping[str, Array]) -> dict[str, Array]:
    """The eigenvalues of each generator's matrix after each epoch, complex [epochs, d]; what has another shape is no
    such thing.
    """
    found = {}
    for name, array in arrays.items():
        if name.startswith("eigenvalues_") and array.ndim == 3 and array.shape[-1] == 2 and 0 not in array.shape:
            found[name.removeprefix("eigenvalues_")] = array[..., 0] + 1j * array[..., 1]
    return found


def eigenvalue_strip(eigenvalues: Mapping[str, Array], orders: Mapping[str, int]) -> Figure:
    """Figure 4: a row for each generator, some epochs from the first to the last, close together at first."""
    epochs = max(len(values) for values in eigenvalues.values())
    # Most of it happens in the first epochs.
    shown = np.unique(np.geomspace(1, epochs, 6).round().astype(int)) - 1
    figure, axes = new_figure(9.6, 1.9 * len(eigenvalues) + 0.2, len(eigenvalues), len(shown))
    for row, (generator, values) in zip(axes, eigenvalues.items(), strict=True):
        limit = _limit(values)
        for axis, epoch in zip(row, shown, strict=True):
            title = f"{generator}, epoch {epoch + 1}"
            _plane(axis, values[min(epoch, len(values) - 1)], orders.get(generator), limit, title)
    return figure


def eigenvalue_ends(runs: Sequence[tuple[str, Mapping[str, Array]]], orders: Mapping[str, int]) -> Figure:
    """The eigenvalues of each run, given with its name, after the last epoch that is given; a row for each generator."""
    generators = list(runs[0][1])
    figure, axes = new_figure(1.7 * len(runs), 1.9 * len(generators) + 0.2, len(generators), len(runs))
    for row, generator in zip(axes, generators, strict=True):
        limit = max(_limit(values[generator][-1:]) for _, values in runs)
        for axis, (name, values) in zip(row, runs, strict=True):
            _plane(axis, values[generator][-1], orders.get(generator), limit, f"{generator}, {name}")
    return figure


def _limit(values: Array) -> float:
    """Half the side of the plane that is shown: at the end nothing is outside, at the start something may be."""
    return float(np.clip(max(np.quantile(abs(values), 0.97), abs(values[-1]).max() * 1.1), 1.25, 2.5))


def _roots(order: int | None) -> Array:
    roots: Array = np.exp(2j * np.pi * np.arange(order or 0) / (order or 1))
    return roots


def _plane(axis: Any, values: Array, order: int | None, limit: float, title: str) -> None:
    from matplotlib.patches import Circle

    axis.add_patch(Circle((0, 0), 1, fill=False, color=_CIRCLE, linewidth=0.8))
    roots = _roots(order)
    axis.plot(roots.real, roots.imag, "+", color=_ROOT, markersize=9, markeredgewidth=1)
    axis.plot(values.real, values.imag, "o", color=_DOT, markersize=3, alpha=0.55, markeredgewidth=0)
    outside = int(((abs(values.real) > limit) | (abs(values.imag) > limit)).sum())
    if outside:
        axis.text(0, -limit * 0.97, f"{outside} outside", fontsize=7, ha="center", color="#5a6270")
    axis.set(xlim=(-limit, limit), ylim=(-limit, limit), xticks=[], yticks=[], aspect="equal")
    axis.spines[:].set_visible(False)
    axis.set_title(title, fontsize=8)


def animation(eigenvalues: Mapping[str, Array], orders: Mapping[str, int], name: str) -> str:
    """Figure 4 in motion: an SVG that plays by itself, in a page or as a file; 0.15 s an epoch and a rest at the end."""
    epochs = min(len(values) for values in eigenvalues.values())
    kept = np.unique(np.linspace(0, epochs - 1, min(epochs, _FRAMES)).round().astype(int))
    rest = 8
    seconds = 0.15 * (len(kept) + rest)
    timing = f'dur="{seconds:.2f}s" repeatCount="indefinite"'
    side, gap = 1000, 60
    width = len(eigenvalues) * (side + gap) - gap
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {side + 120}" role="img" '
        f'aria-label="Eigenvalues over the epochs of {_attribute(name)}" data-seconds="{seconds:.2f}" '
        f'data-frames="{len(kept)}" font-family="system-ui, sans-serif" font-size="40" fill="#1d2229">'
    ]
    for number, (generator, values) in enumerate(eigenvalues.items()):
        limit = _limit(values)
        scale = side / 2 / limit
        left = number * (side + gap)
        lines.append(f'<svg x="{left}" y="120" width="{side}" height="{side}" viewBox="-500 -500 1000 1000">')
        lines.append('<rect x="-500" y="-500" width="1000" height="1000" fill="#fff"/>')
        lines.append(f'<circle r="{scale:.0f}" fill="none" stroke="{_CIRCLE}" stroke-width="4"/>')
        for root in _roots(orders.get(generator)) * scale:
            x, y = round(root.real), round(-root.imag)
            lines.append(f'<path d="M{x - 28} {y}h56M{x} {y - 28}v56" stroke="{_ROOT}" stroke-width="6"/>')
        frames = _tracked(values[kept])
        frames = np.concatenate([frames, np.repeat(frames[-1:], rest, axis=0)])
        # What is far away need not be told exactly, and a file of finite size cannot.
        places = np.clip(np.stack([frames.real, -frames.imag]) * scale, -9999, 9999).round().astype(int)
        for xs, ys in places.transpose(2, 0, 1):
            moves = "".join(
                f'<animate attributeName="{axis}" values="{";".join(map(str, way))}" {timing}/>'
                for axis, way in (("cx", xs), ("cy", ys))
            )
            lines.append(
                f'<circle cx="{xs[-1]}" cy="{ys[-1]}" r="13" fill="{_DOT}" fill-opacity=".55">{moves}</circle>'
            )
        lines.append("</svg>")
        lines.append(f'<text x="{left}" y="60">eigenvalues of {_attribute(generator)}</text>')
    steps = len(kept) + rest - 1
    for number, epoch in enumerate(kept):
        last = number == len(kept) - 1
        times = [0.0, number / steps, 1.0 if last else (number + 1) / steps]
        states, keys = ["hidden", "visible", "hidden"], [f"{time:.5f}" for time in times]
        if number == 0:
            states, keys = states[1:], keys[1:]
        if last:
            states, keys = states[:-1], keys[:-1]
        lines.append(
            f'<text x="{width}" y="60" text-anchor="end" visibility="{"visible" if last else "hidden"}">epoch '
            f'{epoch + 1}<animate attributeName="visibility" calcMode="discrete" values="{";".join(states)}" '
            f'keyTimes="{";".join(keys)}" {timing}/></text>'
        )
    return "\n".join([*lines, "</svg>"])


def _tracked(values: Array) -> Array:
    """The eigenvalues in such an order that each is near to where it was an epoch before: nearest pairs first."""
    ordered = [values[0]]
    for new in values[1:]:
        distances = abs(ordered[-1][:, None] - new[None, :])
        chosen = np.empty(len(new), dtype=int)
        for _ in range(len(new)):
            old, nearest = np.unravel_index(np.argmin(distances), distances.shape)
            chosen[old] = nearest
            distances[old, :] = distances[:, nearest] = np.inf
        ordered.append(new[chosen])
    return np.stack(ordered)


def _attribute(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace('"', "&quot;")


def decoded_images(arrays: Mapping[str, Array], group: Group | None) -> Figure | None:
    """Figure 3: a row for each sample, its image first and then what is decoded from its latent under each element."""
    decoded, images = arrays.get("decoded"), arrays.get("images")
    if decoded is None or 0 in decoded.shape:
        return None
    if images is not None and decoded.ndim == 5 and images.shape == (len(decoded), *decoded.shape[2:]):
        count = decoded.shape[1]
        known = group is not None and group.order == count
        names = [group.name(g) if group is not None and known else str(g) for g in range(count)]
        return _columns([("x", images), *((name, decoded[:, g]) for g, name in enumerate(names))])
    if decoded.ndim == 4 and decoded.shape[1] == 4:
        rows = ("x", "D(E x)", "D(ρ(t) E x)", "t x")
        return _columns([(name, decoded[:, None, number]) for number, name in enumerate(rows)], across=True)
    return None


def _columns(columns: Sequence[tuple[str, Array]], *, across: bool = False) -> Figure:
    """Columns of images [n, C, H, W] with headings; or rows, if that is wider than high."""
    count = len(columns[0][1])
    rows, width = (len(columns), count) if across else (1, len(columns))
    height = 0.95 * len(columns) if across else 0.8 * count + 0.3
    figure, axes = new_figure(min(9.6, 1.1 * width + 0.4), height, rows, 1 if across else width)
    for axis, (name, images) in zip(axes.flat, columns, strict=True):
        pictures = [np.pad(_picture(image), 1, constant_values=0.25) for image in images]
        axis.imshow(np.concatenate(pictures, axis=1 if across else 0), cmap="gray_r", vmin=0, vmax=1)
        axis.set(xticks=[], yticks=[])
        axis.spines[:].set_visible(False)
        if across:
            axis.set_ylabel(name, fontsize=8)
        else:
            axis.set_title(name, fontsize=8)
    return figure


def _picture(image: Array) -> Array:
    """An image [C, H, W] as one of grey: four channels as a square of four, other numbers side by side."""
    if len(image) == 4:
        image = np.concatenate([image[:2], image[2:]], axis=1)
    return np.concatenate(list(image), axis=1)


def latent_images(arrays: Mapping[str, Array]) -> Figure | None:
    """Some latents, and below each what the non-trivial element makes of it."""
    latents = arrays.get("latents")
    if latents is None or latents.ndim != 3 or latents.shape[1] != 2 or 0 in latents.shape:
        return None
    count = min(4, len(latents))
    figure, axes = new_figure(9.6, 0.55 * count + 0.2, count, 1)
    limit = float(abs(latents[:count]).max())
    for axis, pair in zip(axes.flat, latents[:count], strict=True):
        axis.imshow(pair, cmap="RdBu", vmin=-limit, vmax=limit, aspect="auto", interpolation="nearest")
        axis.set(xticks=[], yticks=[0, 1])
        axis.set_yticklabels(["E x", "ρ(t) E x"], fontsize=8)
        axis.tick_params(length=0)
        axis.spines[:].set_visible(False)
    return figure


def sample_images(arrays: Mapping[str, Array]) -> Figure | None:
    """Figure 5: the images that the data are made of [rows, columns, H, W]."""
    samples = arrays.get("samples")
    if samples is None or samples.ndim != 4 or 0 in samples.shape:
        return None
    rows = [np.concatenate([np.pad(image, 1) for image in row], axis=1) for row in samples]
    picture = np.concatenate(rows)
    figure, axes = new_figure(9.6, 9.6 * picture.shape[0] / picture.shape[1])
    axes[0, 0].imshow(picture, cmap="gray_r")
    axes[0, 0].set(xticks=[], yticks=[])
    axes[0, 0].spines[:].set_visible(False)
    return figure
