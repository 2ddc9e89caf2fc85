"""How a group moves tensors: grids, rotations, parts, sets and graphs, channels, labels, structures, own functions."""

from equilatent.actions._action import (
    Action,
    ChannelsAction,
    ComposedAction,
    FunctionAction,
    LabelsAction,
    SupportsAction,
    TrivialAction,
    describe_action,
)
from equilatent.actions._constructors import (
    channels,
    compose,
    function,
    image,
    labels,
    nodes,
    parts,
    periodic,
    rotation,
    sequence,
    sets,
    structured,
    trivial,
    vector_field,
    volume,
)
from equilatent.actions._grid import GridAction
from equilatent.actions._nodes import NodesAction
from equilatent.actions._parts import PartsAction
from equilatent.actions._rotation import LawError, RotationAction
from equilatent.actions._structured import StructuredAction

__all__ = [
    "Action",
    "ChannelsAction",
    "ComposedAction",
    "FunctionAction",
    "GridAction",
    "LabelsAction",
    "LawError",
    "NodesAction",
    "PartsAction",
    "RotationAction",
    "StructuredAction",
    "SupportsAction",
    "TrivialAction",
    "channels",
    "compose",
    "describe_action",
    "function",
    "image",
    "labels",
    "nodes",
    "parts",
    "periodic",
    "rotation",
    "sequence",
    "sets",
    "structured",
    "trivial",
    "vector_field",
    "volume",
]
