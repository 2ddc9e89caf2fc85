"""The figures of a learned representation: its eigenvalues over the epochs, and what is decoded from transformed latents."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from equilatent.bench.group_names import group_of
from equilatent.bench.harness.task import Drawing
from equilatent.groups import Group

__all__ = ["learned_figures"]

Array = npt.NDArray[Any]
Arrays = Mapping[str, Array]

_DOT, _ROOT, _CIRCLE = "#1f6fb4", "#c26a1b", "#8a8f98"
#: Epochs of a run and seeds that are shown.
_EPOCHS, _SEEDS = 6, 8
_PLANE = (1.6, 1.6)


def learned_figures(arrays: Mapping[int, Arrays], runs: Any) -> list[Drawing]:
    """The figures of runs that differ in their seed alone.

    Args:
        arrays: of each seed, those that `LearnedProblem` kept; what has another shape is left out.
        runs: their rows of the frame of results.
    """
    if not arrays:
        return []
    seed, chosen = next(iter(arrays.items()))
    group = group_of(runs["group"].iloc[0])
    known = {name: eigenvalues_of(found) for name, found in arrays.items()}
    best = dict(zip(runs["seed"], runs["best_epoch"].fillna(-1), strict=True))
    figures = [
        _while_training(known[seed], group, seed),
        _kept({each: found for each, found in known.items() if list(found) == list(known[seed])}, best, group),
        _decoded(chosen, group, seed),
        _latents(chosen, seed),
        _samples(chosen),
    ]
    return [figure for figure in figures if figure is not None]


def eigenvalues_of(arrays: Arrays) -> dict[str, Array]:
    """The eigenvalues of each generator's matrix after each epoch, complex [epochs, d]."""
    found = {}
    for name, array in arrays.items():
        if name.startswith("eigenvalues_") and array.ndim == 3 and array.shape[-1] == 2 and 0 not in array.shape:
            found[name.removeprefix("eigenvalues_")] = array[..., 0] + 1j * array[..., 1]
    return found


def _while_training(eigenvalues: Mapping[str, Array], group: Group | None, seed: int) -> Drawing | None:
    panels = []
    for generator, values in eigenvalues.items():
        # Most of it happens in the first epochs.
        shown = np.unique(np.geomspace(1, len(values), _EPOCHS).round().astype(int)) - 1
        draw = functools.partial(_plane, order=_order(group, generator), limit=_limit(values))
        panels += [
            functools.partial(draw, values=values[epoch], title=f"{generator}, epoch {epoch + 1}") for epoch in shown
        ]
    caption = (
        f"Seed {seed}. Unit circle in grey and roots of unity in orange; of a representation, every eigenvalue is one. "
        "After figure 4 of the paper."
    )
    return (
        Drawing("eigenvalues", "Eigenvalues during training", caption, panels, _PLANE, framed=False) if panels else None
    )


def _kept(known: Mapping[int, Mapping[str, Array]], best: Mapping[int, int], group: Group | None) -> Drawing | None:
    """The eigenvalues of the matrices that the numbers of the tables are of."""
    seeds = list(known)[:_SEEDS]
    panels = []
    for generator in known[seeds[0]] if len(seeds) > 1 else ():
        ends = {seed: known[seed][generator][min(best[seed], len(known[seed][generator]) - 1)] for seed in seeds}
        limit = max(_limit(values[None]) for values in ends.values())
        panels += [
            functools.partial(
                _plane, values=values, order=_order(group, generator), limit=limit, title=f"{generator}, seed {seed}"
            )
            for seed, values in ends.items()
        ]
    caption = "At the epoch whose weights were kept, of each seed."
    return Drawing("kept", "Eigenvalues that were kept", caption, panels, _PLANE, framed=False) if panels else None


def _order(group: Group | None, generator: str) -> int:
    return group.element_order(group.generators[generator]) if group and generator in group.generators else 0


def _limit(values: Array) -> float:
    """Half the side of the plane that is shown: at the end nothing is outside, at the start something may be."""
    return float(np.clip(max(np.quantile(abs(values), 0.97), abs(values[-1]).max() * 1.1), 1.25, 2.5))


def _plane(axis: Any, *, values: Array, order: int, limit: float, title: str) -> None:
    turn = np.exp(2j * np.pi * np.linspace(0, 1, 101))
    axis.plot(turn.real, turn.imag, color=_CIRCLE, linewidth=0.8)
    roots = np.exp(2j * np.pi * np.arange(order) / max(order, 1))
    axis.plot(roots.real, roots.imag, "+", color=_ROOT, markersize=9, markeredgewidth=1)
    axis.plot(values.real, values.imag, "o", color=_DOT, markersize=3, alpha=0.55, markeredgewidth=0)
    outside = int(((abs(values.real) > limit) | (abs(values.imag) > limit)).sum())
    if outside:
        axis.text(0, -limit * 0.97, f"{outside} outside", ha="center")
    axis.set(xlim=(-limit, limit), ylim=(-limit, limit), aspect="equal", title=title)
    axis.set_axis_off()


def _decoded(arrays: Arrays, group: Group | None, seed: int) -> Drawing | None:
    """Figure 3: the image of each sample, and what is decoded from its latent under each element."""
    decoded, images = arrays.get("decoded"), arrays.get("images")
    if decoded is None or 0 in decoded.shape:
        return None
    if images is not None and decoded.ndim == 5 and images.shape == (len(decoded), *decoded.shape[2:]):
        count = decoded.shape[1]
        names = [group.name(g) for g in range(count)] if group and group.order == count else map(str, range(count))
        columns = {"x": images, **{name: decoded[:, g] for g, name in enumerate(names)}}
    elif decoded.ndim == 4 and decoded.shape[1] == 4:
        rows = ("x", "D(E x)", "D(ρ(t) E x)", "t x")
        columns = {name: decoded[:, None, number] for number, name in enumerate(rows)}
    else:
        return None
    panels = [functools.partial(_column, images=some, title=name) for name, some in columns.items()]
    caption = (
        f"Seed {seed}. Images, and what is decoded from their latents under the learned action. After figure 3 of the "
        "paper."
    )
    return Drawing("decoded", "Decoded", caption, panels, (0.8, 0.8 * len(decoded)), framed=False)


def _column(axis: Any, *, images: Array, title: str) -> None:
    """Images [n, C, H, W] below each other."""
    pictures = [np.pad(_picture(image), 1, constant_values=0.25) for image in images]
    axis.imshow(np.concatenate(pictures), cmap="gray_r", vmin=0, vmax=1)
    axis.set(title=title)
    axis.set_axis_off()


def _picture(image: Array) -> Array:
    """An image [C, H, W] as one of grey: four channels as a square of four, other numbers side by side."""
    if len(image) == 4:
        image = np.concatenate([image[:2], image[2:]], axis=1)
    return np.concatenate(list(image), axis=1)


def _latents(arrays: Arrays, seed: int) -> Drawing | None:
    latents = arrays.get("latents")
    if latents is None or latents.ndim != 3 or latents.shape[1] != 2 or 0 in latents.shape:
        return None
    shown = latents[:4]
    limit = float(abs(shown).max())
    panels = [functools.partial(_pair, latents=pair, limit=limit) for pair in shown]
    caption = f"Seed {seed}. Latents, and below each what the learned action of the non-trivial element makes of it."
    return Drawing("latents", "Latents", caption, panels, (2.6, 0.35))


def _pair(axis: Any, *, latents: Array, limit: float) -> None:
    axis.imshow(latents, cmap="RdBu", vmin=-limit, vmax=limit, aspect="auto", interpolation="nearest")
    axis.set(xticks=[], yticks=[0, 1], yticklabels=["E x", "ρ(t) E x"])


def _samples(arrays: Arrays) -> Drawing | None:
    """Figure 5: the images that the data are made of [rows, columns, H, W]."""
    samples = arrays.get("samples")
    if samples is None or samples.ndim != 4 or 0 in samples.shape:
        return None
    halves: Sequence[Array] = np.array_split(samples, max(1, samples.shape[1] // 5), axis=1)
    panels = [functools.partial(_grid, samples=half) for half in halves]
    return Drawing(
        "samples",
        "Samples",
        "What the data are made of. After figure 5 of the paper.",
        panels,
        (3.2, 1.3),
        framed=False,
    )


def _grid(axis: Any, *, samples: Array) -> None:
    rows = [np.concatenate([np.pad(image, 1) for image in row], axis=1) for row in samples]
    axis.imshow(np.concatenate(rows), cmap="gray_r")
    axis.set_axis_off()
