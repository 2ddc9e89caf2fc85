"""What the command `equilatent audit` is told, and does."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from equilatent.actions import labels as labels_action
from equilatent.audit._audit import Audit, audit
from equilatent.audit._names import Kind, default_action, named_group
from equilatent.audit._read import read
from equilatent.errors import DataError, EquilatentError
from equilatent.groups import Group

__all__ = ["AuditConfig", "run_audit"]


@dataclass(frozen=True)
class AuditConfig:
    """What is audited."""

    data: Annotated[Path, tyro.conf.Positional]
    """an .npz file with inputs and targets; or a folder with two .npy files, or with a folder of them for each class"""
    group: str
    """C2, C4, D1, D4, klein_four, tetrahedral, octahedral, or one of the last two with +inversion"""
    out: Path = Path("audit.html")
    """the page"""
    kind: Kind | None = None
    """what the samples are, where their shape leaves it open"""
    x: str | None = None
    """the name of the inputs; by default x, images, train_images or data"""
    y: str | None = None
    """the name of the targets; by default y, labels, train_labels or target"""
    labels: tuple[str, ...] = ()
    """how the classes transform, for each generator: s=1,0 for two classes that s exchanges; by default not at all"""
    subgroups: tuple[str, ...] = ()
    """further subgroups, each by its generators: r2,s"""
    score: Literal["accuracy", "balanced_accuracy", "explained", "loss"] | None = None
    """how held-out samples are scored; by default accuracy for classes and explained variance for numbers"""
    margin: float = 0.02
    """the loss in score that does not matter"""
    limit: int = 2000
    """at most so many samples, drawn at random"""
    folds: int = 5
    """into how many parts the samples are parted; each is held out once"""
    repeats: int = 1
    """how often all is done, with other folds and first weights"""
    steps: int = 300
    """how long each small network is fitted"""
    seed: int = 0
    """of everything"""


def run_audit(config: AuditConfig) -> Audit:
    """The audit of the command line, with progress bars.

    Raises:
        EquilatentError: as `audit` does, and where an option cannot be read.
    """
    group = named_group(config.group)
    if config.out.is_dir():
        raise DataError(
            f"--out {str(config.out)!r} is a folder; name the page, such as {str(config.out / 'audit.html')!r}."
        )
    output = None if not config.labels else labels_action(group, _images(config.labels, group))
    x, y = read(config.data, x=config.x, y=config.y, limit=config.limit, seed=config.seed)
    action, x = default_action(group, x, config.kind)
    return audit(
        x,
        y,
        action=action,
        output=output,
        subgroups=[[word for word in some.split(",") if word.strip()] for some in config.subgroups],
        score=config.score,
        margin=config.margin,
        folds=config.folds,
        repeats=config.repeats,
        steps=config.steps,
        seed=config.seed,
        progress=True,
    )


def _images(options: tuple[str, ...], group: Group) -> dict[str, list[int]]:
    """The images of the classes under each generator; generators that are not named leave them as they are."""
    found: dict[str, list[int]] = {}
    for option in options:
        name, equals, images = option.partition("=")
        try:
            found[name.strip()] = [int(image) for image in images.split(",")]
        except ValueError:
            equals = ""
        if not equals or name.strip() not in group.generators:
            raise EquilatentError(
                f"--labels {option!r} should be a generator of {group.label} ({', '.join(group.generators)}) with the class "
                "to which it carries each class, such as s=1,0."
            )
    size = max(map(len, found.values()))
    return {name: found.get(name, list(range(size))) for name in group.generators}
