"""An audit as a page that stands alone."""

from __future__ import annotations

import base64
import importlib.resources
import struct
import zlib
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from equilatent.audit._refits import Refit
from equilatent.audit._table import Table, conclusions, element_table, orbit_table, subgroup_table
from equilatent.errors import MissingDependencyError

if TYPE_CHECKING:
    from equilatent.audit._audit import Audit

__all__ = ["as_page", "picture"]


def as_page(report: Audit) -> str:
    """The page as text.

    Raises:
        MissingDependencyError: if jinja2 is not installed.
    """
    try:
        import jinja2
    except ImportError as error:
        raise MissingDependencyError(
            "the page is made with jinja2, which is not installed. Install it: pip install jinja2."
        ) from error
    text = importlib.resources.files("equilatent.audit").joinpath("page.html.jinja").read_text("utf-8")
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    sources = [picture(sample, report.orbit) for sample in report.orbit]
    pictures = [(name, source) for name, source in zip(report.group.names, sources, strict=True) if source]
    more: list[tuple[str, Table]] = []
    if report.changes is not None:
        more.append(("Averaging the model over orbits", orbit_table(report)))
        if report.changes.loss_by_class is not None and report.changes.changed_by_class is not None:
            more.append(("The model's loss by class", _class_table(report, report.changes.loss_by_class)))
            more.append(("Predictions that change, by class", _class_table(report, report.changes.changed_by_class)))
    return environment.from_string(text).render(
        group=report.group.label,
        said=conclusions(report),
        score=report.refits.score_name,
        margin=f"{report.refits.margin:g}",
        subgroups=subgroup_table(report),
        bars=["", *_bars(report.refits.subgroups, report.refits.margin)],
        elements=element_table(report),
        pictures=pictures,
        slices=report.orbit.ndim == 5,
        more=more,
    )


def _class_table(report: Audit, values: Tensor) -> Table:
    heading = ["element", *(str(number) for number in range(values.shape[1]))]
    return heading, [
        [name, *(f"{float(value):.2f}" for value in row)] for name, row in zip(report.group.names, values, strict=True)
    ]


def _bars(refits: tuple[Refit, ...], margin: float) -> list[str]:
    """The interval of each gain as a line, all to one scale, with 0 and the margin marked."""
    low = min(-margin, *(refit.gain.low for refit in refits))
    high = max(margin, *(refit.gain.high for refit in refits))

    def at(value: float) -> str:
        return f"{4 + 192 * (value - low) / (high - low):.1f}"

    drawn = []
    for refit in refits:
        gain = refit.gain
        colour = {"helps": "var(--good)", "hurts": "var(--bad)"}.get(refit.verdict, "var(--faint)")
        drawn.append(
            f'<svg width="200" height="16" role="img" aria-label="{gain}">'
            f'<line x1="{at(-margin)}" x2="{at(-margin)}" y1="0" y2="16" stroke="var(--line)"/>'
            f'<line x1="{at(0)}" x2="{at(0)}" y1="0" y2="16" stroke="var(--ink)"/>'
            f'<line x1="{at(gain.low)}" x2="{at(gain.high)}" y1="8" y2="8" stroke="{colour}" stroke-width="2"/>'
            f'<circle cx="{at(gain.mean)}" cy="8" r="3.5" fill="{colour}"/></svg>'
        )
    return drawn


def picture(sample: Tensor, orbit: Tensor) -> str:
    """An image [C, H, W], or the middle slices of a volume [C, D, H, W], as a data URI; empty for anything else.

    Three channels are red, green and blue; of other numbers the mean is shown. Grey values go from the smallest to the
    largest of the orbit.
    """
    if sample.ndim not in (3, 4):
        return ""
    low, high = float(orbit.min()), float(orbit.max())
    values = ((sample.double() - low) / max(high - low, 1e-12) * 255).round().to(torch.uint8)
    if len(values) != 3:
        values = values.double().mean(0, keepdim=True).round().to(torch.uint8)
    if values.ndim == 4:
        _, depth, height, width = values.shape
        slices = [values[:, depth // 2], values[:, :, height // 2], values[:, :, :, width // 2]]
        tall = max(piece.shape[1] for piece in slices)
        padded = [torch.nn.functional.pad(piece, (0, 1, 0, tall - piece.shape[1]), value=255) for piece in slices]
        values = torch.cat(padded, 2)[:, :, :-1]
    return "data:image/png;base64," + base64.b64encode(_png(values)).decode()


def _png(values: Tensor) -> bytes:
    """An uncommented PNG of bytes [1 or 3, H, W]."""
    channels, height, width = values.shape
    rows = values.permute(1, 2, 0).reshape(height, width * channels)
    # Each row is preceded by the number of its filter, 0 for none.
    raw = torch.cat([torch.zeros(height, 1, dtype=torch.uint8), rows], 1).contiguous().numpy().tobytes()

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 0 if channels == 1 else 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(raw, 9)) + chunk(b"IEND", b"")
