"""The four steerable networks of DDMNIST, of any width."""

from __future__ import annotations

import dataclasses
from typing import Literal, TypeAlias

from equilatent.bench.architecture import Classifier, Conv
from equilatent.bench.systems.penalised import SteerableNetwork
from equilatent.bench.systems.steerable import PartialConv2d, ResidualPathwayConv2d, SteerableConv2d
from equilatent.bench.systems.steerable_networks import steerable_classifier
from equilatent.bench.tasks.ddmnist import DdmnistConfig, network
from equilatent.groups import Group

Kind: TypeAlias = Literal["scnn", "restriction", "rpp", "pscnn"]
KINDS: tuple[Kind, ...] = ("scnn", "restriction", "rpp", "pscnn")
_CONVOLUTIONS = {"rpp": ResidualPathwayConv2d, "pscnn": PartialConv2d}


def table(features: int = 66, classes: int = 100, *, width: int = 6) -> Classifier:
    """The table of DDMNIST, in which the first layer has 6 fields, with another number of them."""
    paper = network(DdmnistConfig())
    blocks = tuple(
        dataclasses.replace(block, channels=block.channels * width // 6) if isinstance(block, Conv) else block
        for block in paper.blocks
    )
    return dataclasses.replace(paper, blocks=blocks, features=features, classes=classes)


def steerable(kind: Kind, group: Group, features: int = 66, classes: int = 100, *, width: int = 6) -> SteerableNetwork:
    """The network of one of the systems."""
    convolution = _CONVOLUTIONS.get(kind, SteerableConv2d)
    return steerable_classifier(
        table(features, classes, width=width), group, convolution, restricted=kind == "restriction"
    )
