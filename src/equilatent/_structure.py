"""Tensors nested in dicts, tuples, lists and dataclasses: inputs, targets and outputs of more than one part."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable, Hashable, Mapping, MutableMapping
from typing import Any

import torch
from torch import Tensor

from equilatent.errors import ActionError

__all__ = [
    "batch_size",
    "call",
    "concatenate",
    "map_tensors",
    "named_parts",
    "part_of",
    "rebuild",
    "select",
    "split",
    "tensors",
]


def tensors(tree: Any, name: str = "") -> list[tuple[str, Tensor]]:
    """Every tensor in the structure with the path to it, such as ``"y['boxes'][0]"``, in order."""
    return [(path, part) for path, part in _flat(tree, name) if isinstance(part, Tensor)]


def map_tensors(function: Callable[..., Any], tree: Any, *others: Any) -> Any:
    """The same structure with each tensor replaced by what the function makes of it and its counterparts in others.

    What is neither a tensor nor a container (None, a number, a string) stays as it is.

    Raises:
        ActionError: if the structures have different parts.
    """
    if isinstance(tree, Tensor):
        return function(tree, *others)
    paths = [path for path, _ in _parts(tree)]
    for other in others:
        if type(other) is not type(tree) or [path for path, _ in _parts(other)] != paths:
            raise ActionError(f"a {_describe(tree)} and a {_describe(other)} do not have the same parts.")
    if not paths:
        return tree
    columns = zip(*([part for _, part in named_parts(each)] for each in (tree, *others)), strict=True)
    names = [name for name, _ in named_parts(tree)]
    return rebuild(tree, {name: map_tensors(function, *column) for name, column in zip(names, columns, strict=True)})


def batch_size(tree: Any, name: str) -> int:
    """The number of samples, which is the length of every tensor in the structure.

    Raises:
        ActionError: for anything but tensors [B, …] of one length.
    """
    lengths: dict[str, int] = {}
    for path, part in _flat(tree, name):
        if not isinstance(part, Tensor):
            raise ActionError(
                f"{path} should be a tensor [B, …], or a dict, tuple or list of them; got {type(part).__name__}."
            )
        if not part.ndim:
            raise ActionError(f"{path} is a batch [B, …]; got a single number. Give it a batch axis.")
        lengths[path] = len(part)
    if len(set(lengths.values())) > 1:
        listed = ", ".join(f"{length} in {path}" for path, length in lengths.items())
        raise ActionError(f"all parts of {name} hold the same samples; got {listed}.")
    return next(iter(lengths.values()))


def select(tree: Any, rows: Tensor | slice) -> Any:
    """Some samples of every tensor."""
    return map_tensors(lambda tensor: tensor[rows], tree)


def concatenate(first: Any, second: Any) -> Any:
    """Two batches behind each other."""
    return map_tensors(lambda a, b: torch.cat([a, b]), first, second)


def split(tree: Any, count: int, total: int) -> tuple[Any, Any]:
    """The first samples and the rest of a batch of `total`.

    Raises:
        ActionError: for a part that is no tensor [total, …].
    """
    for path, part in _flat(tree, "the output"):
        if part is not None and not (isinstance(part, Tensor) and part.ndim and len(part) == total):
            got = f"shape {list(part.shape)}" if isinstance(part, Tensor) else type(part).__name__
            raise ActionError(
                f"passes='joint' splits the model's output, which should hold tensors [B, …]; {path} has {got}. "
                "Use passes='separate'."
            )
    return select(tree, slice(count)), select(tree, slice(count, None))


def call(model: Callable[..., Any], x: Any) -> Any:
    """The model on x: a dict as keyword arguments, a tuple or a list as positional ones, anything else as it is."""
    if isinstance(x, Mapping):
        return model(**x)
    return model(*x) if isinstance(x, tuple | list) else model(x)


def part_of(tree: Any, part: str | int | None, name: str) -> Any:
    """One part of a structure by its key, field or position; the whole if `part` is None.

    Raises:
        ActionError: if there is no such part; the message lists those that there are.
    """
    if part is None:
        return tree
    keys = dict(named_parts(tree))
    if part not in keys:
        raise ActionError(
            f"{name} is a {type(tree).__name__} and has no part {part!r}; it has {', '.join(map(repr, keys)) or 'none'}."
        )
    return keys[part]


def named_parts(tree: Any) -> list[tuple[Hashable, Any]]:
    """The parts of a container by key, field or position; empty for what is none."""
    if isinstance(tree, Mapping):
        return list(tree.items())
    if dataclasses.is_dataclass(tree) and not isinstance(tree, type):
        return [(field.name, getattr(tree, field.name)) for field in dataclasses.fields(tree) if field.init]
    return list(enumerate(tree)) if isinstance(tree, tuple | list) else []


def rebuild(tree: Any, parts: Mapping[Any, Any]) -> Any:
    """A container like the given one, with other parts; fields of a dataclass that are not given stay as they are."""
    if isinstance(tree, Mapping):
        values = {name: parts[name] for name in tree}
        if type(tree) is dict:
            return values
        if dataclasses.is_dataclass(tree):  # the outputs of transformers are both
            return type(tree)(**values)
        if not isinstance(tree, MutableMapping):
            return type(tree)(values)  # type: ignore[call-arg]
        twin = copy.copy(tree)  # keeps what else it holds, such as the default of a defaultdict
        twin.update(values)
        return twin
    if isinstance(tree, tuple | list):
        return type(tree)(*parts.values()) if hasattr(tree, "_fields") else type(tree)(parts.values())
    return dataclasses.replace(tree, **parts)


def _parts(tree: Any) -> list[tuple[str, Any]]:
    return [(f"[{name!r}]", part) for name, part in named_parts(tree)]


def _flat(tree: Any, name: str) -> list[tuple[str, Any]]:
    """Everything in the structure that is no container, with the path to it."""
    parts = _parts(tree)
    if not parts:
        return [(name, tree)]
    return [found for path, part in parts for found in _flat(part, name + path)]


def _describe(tree: Any) -> str:
    keys = ", ".join(repr(name) for name, _ in named_parts(tree))
    return f"{type(tree).__name__} of {keys}" if keys else type(tree).__name__
