"""An audit in words and tables of text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch

from equilatent.audit._refits import Refit

if TYPE_CHECKING:
    from equilatent.audit._audit import Audit

__all__ = ["Table", "as_text", "conclusions", "element_table", "orbit_table", "subgroup_table"]

#: A heading and rows of text.
Table = tuple[list[str], list[list[str]]]


def as_text(report: Audit) -> str:
    """The whole audit, for ``print``."""
    tables = [subgroup_table(report), element_table(report)]
    if report.changes is not None:
        tables.append(orbit_table(report))
    return "\n\n".join([*conclusions(report), *map(_aligned, tables)])


def conclusions(report: Audit) -> list[str]:
    """What was found, in sentences."""
    found, group = report.refits, report.group
    said = [f"{report.count} samples, {report.acting}: {group.order} elements."]
    for what, check in (("The action", report.check), ("The action on the targets", report.output_check)):
        if not check.holds:
            said.append(f"{what} is no action of {group.label}: {' '.join(check.problems)}")
    if report.check.holds and report.output_check.holds:
        said.append(f"It is an action: the identity changes nothing, and elements compose as in {group.label}.")
    if found.learnt is not None and found.learnt.low <= 0:
        said.append(
            f"The probe hardly learns without augmentation: its {found.score_name} is {found.plain:.3f}, which differs from "
            f"that of the best constant answer by {found.learnt}. So nothing can be called harmless; give more steps or "
            "samples, another probe, or another score."
        )
    broken = [refit for refit in found.subgroups if refit.verdict == "hurts"]
    if broken:
        worst = min(broken, key=lambda refit: refit.gain.mean)
        said.append(
            f"Augmentation hurts under {len(broken)} of {len(found.subgroups)} subgroups, most under {worst.name}: "
            f"{found.score_name} {worst.gain}."
        )
    largest = found.largest
    if largest is None:
        undecided = [refit for refit in found.subgroups if refit.verdict == "too little data"]
        if undecided:
            said.append(f"No subgroup is known not to hurt by {found.margin:g}{_more(undecided, report.count)}")
        else:
            said.append(
                "Every subgroup hurts: train without augmentation by this group, or say how the targets transform."
            )
    else:
        said.append(
            f"The largest subgroup that does not hurt is {largest.name} with {largest.subgroup.order} elements: "
            f"{largest.verdict}, {found.score_name} {largest.gain}."
        )
    if report.labels is not None:
        moved = [
            group.name(g)
            for g in range(1, group.order)
            if not torch.equal(report.labels.images[g], report.labels.images[0])
            and report.labels.agreement[g].nanmean() > 0.8 * report.labels.agreement[0].nanmean()
        ]
        if moved:
            said.append(
                f"Other labels explain nearly all predictions on samples transformed by {', '.join(moved[:8])}"
                f"{' and others' if len(moved) > 8 else ''}: see the column labels, and audit again with them as output."
            )
    return said


def _more(undecided: Sequence[Refit], count: int) -> str:
    least = min((refit.enough for refit in undecided if refit.enough is not None), default=0)
    if not least:
        return "."
    return (
        f": there are too little data to tell for {len(undecided)} of them; about {max(least, count)} samples may do."
    )


def subgroup_table(report: Audit) -> Table:
    """What augmentation by each subgroup does."""
    found = report.refits
    heading = ["subgroup", "order", found.score_name, "gain", "interval", "verdict"]
    rows = [["none", "1", f"{found.plain:.3f}", "", "", ""]]
    for refit in found.subgroups:
        gain = refit.gain
        verdict = refit.verdict if refit.enough is None else f"{refit.verdict} (about {refit.enough} samples would do)"
        rows.append(
            [
                refit.name,
                str(refit.subgroup.order),
                f"{refit.score:.3f}",
                f"{gain.mean:+.3f}",
                f"[{gain.low:+.3f}, {gain.high:+.3f}]",
                verdict,
            ]
        )
    return heading, rows


def element_table(report: Audit) -> Table:
    """What each element does: to the data, to the labels, to a model."""
    group, alike, labels, changes = report.group, report.likeness, report.labels, report.changes
    heading = ["element", "x from g·x", "inputs are"]
    heading += ["pairs"] if alike.pairs is not None else []
    heading += ["labels", "agreement"] if labels is not None else []
    heading += ["loss", "changed"] if changes is not None else []
    heading += ["latent error"] if changes is not None and changes.latent is not None else []
    rows = []
    for g in range(group.order):
        row = [group.name(g), f"{alike.inputs[g].mean:.2f}", alike.word(g)]
        if alike.pairs is not None:
            row.append(f"{alike.pairs[g].mean:.2f}")
        if labels is not None:
            row += [cycles(labels.images[g].tolist()), f"{float(labels.agreement[g].nanmean()):.2f}"]
        if changes is not None:
            row += [f"{float(changes.loss[g]):.3f}", f"{float(changes.changed[g]):.3f}"]
            if changes.latent is not None:
                row.append(f"{float(changes.latent.centred[g]):.3f}")
        rows.append(row)
    return heading, rows


def orbit_table(report: Audit) -> Table:
    """What averaging the model over each subgroup gains."""
    changes = report.changes
    assert changes is not None
    heading = ["orbit average", changes.score_name, "gain", "interval"]
    rows = [["none", f"{changes.plain:.3f}", "", ""]]
    for orbit in changes.orbits:
        gain = orbit.gain
        rows.append([orbit.name, f"{orbit.score:.3f}", f"{gain.mean:+.3f}", f"[{gain.low:+.3f}, {gain.high:+.3f}]"])
    return heading, rows


def cycles(images: Sequence[int]) -> str:
    """A permutation in cycles, such as (6 9); "as they are" for the identity.

    >>> cycles([0, 2, 1, 4, 3]), cycles([0, 1])
    ('(1 2)(3 4)', 'as they are')
    """
    found, seen = "", set[int]()
    for start in range(len(images)):
        cycle, at = [], start
        while at not in seen:
            seen.add(at)
            cycle.append(at)
            at = images[at]
        if len(cycle) > 1:
            found += f"({' '.join(map(str, cycle))})"
    return found or "as they are"


def _aligned(table: Table) -> str:
    heading, rows = table
    widths = [max(len(row[column]) for row in [heading, *rows]) for column in range(len(heading))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in [heading, *rows]]
    lines.insert(1, "  ".join("-" * width for width in widths))
    return "\n".join(line.rstrip() for line in lines)
