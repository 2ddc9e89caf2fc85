"""How a group moves tensors: grids, parts, channels, labels, compositions and one's own functions."""

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
    parts,
    sequence,
    trivial,
    vector_field,
    volume,
)
from equilatent.actions._grid import GridAction
from equilatent.actions._parts import PartsAction

__all__ = [
    "Action",
    "ChannelsAction",
    "ComposedAction",
    "FunctionAction",
    "GridAction",
    "LabelsAction",
    "PartsAction",
    "SupportsAction",
    "TrivialAction",
    "channels",
    "compose",
    "describe_action",
    "function",
    "image",
    "labels",
    "parts",
    "sequence",
    "trivial",
    "vector_field",
    "volume",
]
