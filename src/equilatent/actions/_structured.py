"""Inputs and targets of several parts, each with an action of its own."""

from __future__ import annotations

import dataclasses
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from equilatent._structure import named_parts, rebuild
from equilatent.actions._action import FunctionAction, SupportsAction, describe_action
from equilatent.errors import ActionError, EquilatentError
from equilatent.groups import Group

__all__ = ["StructuredAction"]


class StructuredAction(nn.Module):
    """One element acts on all parts of a sample: tensors in dicts, dataclasses, tuples or lists, which may be nested.

    It obeys the laws of an `Action` part by part. The result has the containers of the input: a dict, tuple, named tuple,
    list or dataclass of the same type. Fields of a dataclass that are None count as absent.

    Args:
        group: the group G.
        parts: an action of G for each part: a dict for dicts and dataclasses, a tuple or list for tuples, named tuples and
            lists. A part that has parts itself takes a dict, tuple or list again, or another structured action.

    Attributes:
        group: the group that acts.
        names: the keys or positions of the parts.
    """

    def __init__(self, group: Group, parts: Mapping[Any, Any] | Sequence[Any]) -> None:
        super().__init__()
        if not isinstance(group, Group):
            raise ActionError(f"an action needs a group, such as eq.groups.dihedral(4); got {group!r}.")
        if not _is_container(parts):
            raise ActionError(
                f"parts is a dict, tuple or list of actions, one for each part; got {parts!r}. An action on a single tensor "
                "needs no structure."
            )
        _check_parts(group, parts, "parts")
        self.group = group
        self._is_keyed = isinstance(parts, Mapping)
        items = _items(parts)
        self.names: tuple[Hashable, ...] = tuple(name for name, _ in items)
        self.actions = nn.ModuleList(_as_module(group, part) for _, part in items)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.describe()})"

    def describe(self) -> str:
        """The action in words, on one line."""
        texts = [
            f"({action.describe()})" if isinstance(action, StructuredAction) else describe_action(action)
            for action in self._actions()
        ]
        return ", ".join(f"{name}: {text}" for name, text in zip(self.names, texts, strict=True))

    def forward(self, x: Any, g: Tensor) -> Any:
        """Transform every part of x by g, each sample by its own element.

        Args:
            x: containers as in `parts`, with a tensor [B, …] for each action.
            g: elements, LongTensor [B].

        Returns:
            The same containers with what each action returns. Differentiable with respect to every tensor.

        Raises:
            ActionError: if a part is missing, is not named in `parts`, is no tensor [B, …], or cannot be acted on; if the
                parts do not all hold one sample for each element.
            GroupError: if g holds something that is no element of the group.
        """
        lengths = dict(self._lengths(x, "x"))
        g = self.group.check(g)
        if len(set(lengths.values())) > 1:
            listed = ", ".join(f"{length} in {path}" for path, length in lengths.items())
            raise ActionError(f"all parts of x hold the same samples; got {listed}.")
        batch = next(iter(lengths.values()))
        if g.ndim != 1 or len(g) != batch:
            raise ActionError(f"g holds one element for each sample: expected shape [{batch}], got {list(g.shape)}.")
        return self._transform(x, g, "x")

    def _actions(self) -> list[SupportsAction]:
        return list(self.actions)  # type: ignore[arg-type]

    def _transform(self, x: Any, g: Tensor, path: str) -> Any:
        transformed = {}
        for (name, value), action in zip(self._read(x, path).items(), self._actions(), strict=True):
            place = f"{path}[{name!r}]"
            if isinstance(action, StructuredAction):
                transformed[name] = action._transform(value, g, place)
                continue
            try:
                transformed[name] = action(value, g)
            except EquilatentError as error:
                error.add_note(f"The part that could not be transformed is {place}.")
                raise
        return rebuild(x, transformed)

    def _lengths(self, x: Any, path: str) -> Iterator[tuple[str, int]]:
        """The path to every tensor of x, and the number of its samples."""
        for (name, value), action in zip(self._read(x, path).items(), self._actions(), strict=True):
            place = f"{path}[{name!r}]"
            if isinstance(action, StructuredAction):
                yield from action._lengths(value, place)
            elif not isinstance(value, Tensor) or not value.ndim:
                raise ActionError(f"{place} should be a tensor [B, …]; got {_describe(value)}.")
            else:
                yield place, len(value)

    def _read(self, x: Any, path: str) -> dict[Hashable, Any]:
        """The values of the parts, in the order of `names`."""
        is_dataclass = dataclasses.is_dataclass(x) and not isinstance(x, type)
        if not (isinstance(x, Mapping) or is_dataclass if self._is_keyed else isinstance(x, tuple | list)):
            expected = "dict or a dataclass" if self._is_keyed else "tuple or a list"
            raise ActionError(f"{path} should be a {expected} of {_listed(self.names)}; got {type(x).__name__}.")
        absent = is_dataclass and not isinstance(x, Mapping)  # a field that is None
        values = {name: value for name, value in named_parts(x) if not (absent and value is None)}
        missing = [name for name in self.names if name not in values]
        if missing:
            raise ActionError(
                f"{path} has no part {_listed(missing)}, on which the action acts; it has "
                f"{_listed(values) or 'none'}. Pass it, or make the action without it."
            )
        unnamed = [name for name in values if name not in self.names]
        if unnamed:
            raise ActionError(
                f"{path} has a part {_listed(unnamed)}, for which there is no action; the action names "
                f"{_listed(self.names)}. Name it, with eq.actions.trivial(G) if G leaves it in place."
            )
        return {name: values[name] for name in self.names}


def _listed(names: Iterable[Hashable]) -> str:
    return ", ".join(map(repr, names))


def _describe(value: Any) -> str:
    """What is no batch of tensors, and what to do about it."""
    if isinstance(value, Tensor):
        return "a single number. Give it a batch axis"
    if _is_container(value) or dataclasses.is_dataclass(value):
        return f"{type(value).__name__}. Give its parts actions, in a dict, tuple or list"
    return f"{type(value).__name__}. Leave out what is no tensor"


def _is_container(value: Any) -> bool:
    return isinstance(value, Mapping | tuple | list)


def _items(parts: Any) -> list[tuple[Hashable, Any]]:
    return list(parts.items() if isinstance(parts, Mapping) else enumerate(parts))


def _check_parts(group: Group, parts: Any, path: str) -> None:
    """Refuse what is not made of actions of the group."""
    if _is_container(parts):
        if not parts:
            raise ActionError(f"{path} is an empty {type(parts).__name__}; it needs an action for at least one part.")
        for name, part in _items(parts):
            _check_parts(group, part, f"{path}[{name!r}]")
    elif isinstance(parts, type) or not callable(parts) or not isinstance(getattr(parts, "group", None), Group):
        raise ActionError(
            f"{path} should be an action or a representation of {group.label}, or a dict, tuple or list of them; got "
            f"{parts!r}. Wrap a function with eq.actions.function(G, f)."
        )
    elif parts.group != group:
        raise ActionError(
            f"{path} is an action of {parts.group.label}, but the whole is one of {group.label}. Make all of them "
            "with the same group."
        )


def _as_module(group: Group, part: Any) -> nn.Module:
    if _is_container(part):
        return StructuredAction(group, part)
    return part if isinstance(part, nn.Module) else FunctionAction(group, part)
