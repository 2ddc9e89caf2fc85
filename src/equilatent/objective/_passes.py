"""Passes of a model: what each returns, and the latents that are read on the way."""

from __future__ import annotations

import contextlib
import weakref
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn

from equilatent._layers import check_latent, evaluating, run_replacing, run_with_layers
from equilatent._structure import batch_size, call, map_tensors, select, tensors
from equilatent.errors import LatentError
from equilatent.objective._terms import latent_label

__all__ = ["Model", "Reads", "Runner", "View"]

#: A module whose latent is a named layer, a module that returns (output, latent), or an (encoder, decoder) pair.
Model: TypeAlias = "nn.Module | Callable[..., Any] | tuple[Callable[..., Tensor], Callable[[Tensor], Any]]"


@dataclass(frozen=True)
class Reads:
    """What is wanted from a pass: the output, and the latents of these layers (None for the one without a name)."""

    output: bool
    layers: tuple[str | None, ...]

    def __bool__(self) -> bool:
        return self.output or bool(self.layers)

    def __or__(self, other: Reads) -> Reads:
        return Reads(self.output or other.output, tuple(dict.fromkeys([*self.layers, *other.layers])))


@dataclass(frozen=True)
class View:
    """What a pass gave: the output (None if it was not wanted) and the latents by layer."""

    output: Any
    latents: Mapping[str | None, Tensor]


class Runner:
    """Runs models of every kind, and looks once at each model for what would make its latents wrong.

    Args:
        unnamed: whether the latent has no name: the model is an (encoder, decoder) pair or returns (output, latent).
        parts: of layers that return several things, which is the latent.
    """

    def __init__(self, unnamed: bool, parts: Mapping[str, str | int | None]) -> None:
        self.unnamed = unnamed
        self.parts = dict(parts)
        self._known = _Known()

    def run(self, model: Model, x: Any, reads: Reads) -> View:
        """One pass over x, no further than what is read needs it."""
        names = [layer for layer in reads.layers if layer is not None]
        if isinstance(model, tuple):
            return self._run_pair(model, x, reads, names)
        with contextlib.ExitStack() as stack:
            check = self._look_for_overwriting(model, stack)
            found: dict[str | None, Tensor] = {}
            if isinstance(model, nn.Module):
                wanted = reads.output or self.unnamed or not self._known.has(model, "runs")
                returned, latents = run_with_layers(
                    model, x, names, batch=batch_size(x, "x"), parts=self.parts, output=wanted
                )
                found.update(latents)
                self._known.add(model, "runs")
            elif names:
                raise LatentError(
                    f"layer={names[0]!r} is looked up in an nn.Module; the model is a {type(model).__name__}."
                )
            else:
                returned = call(model, x)
            if self.unnamed:
                if not isinstance(returned, tuple | list) or len(returned) != 2:
                    raise LatentError(
                        "without layer=, the model returns (output, latent) or is an (encoder, decoder) pair; "
                        f"{type(model).__name__} returned {type(returned).__name__}. Name the layer that is the latent."
                    )
                returned, latent = returned
                check(latent)
                found[None] = check_latent(latent, latent_label(None), batch_size(x, "x"))
        return View(returned if reads.output else None, found)

    def decode(self, model: Model, x: Any, layer: str | None, latent: Tensor) -> Any:
        """The output for a latent in place of the one that x has."""
        latent = latent.clone()  # it may be the kept one itself, where nothing is transformed
        if isinstance(model, tuple):
            return _pair(model)[1](latent)
        if layer is None:
            raise LatentError(
                "a latent is decoded by the decoder of an (encoder, decoder) pair, or by what follows a layer of the model "
                "that layer= names; a model that returns (output, latent) does not show its decoder."
            )
        assert isinstance(model, nn.Module)
        if not torch.compiler.is_compiling() and not self._known.has(model, layer):
            self._check_bottleneck(model, x, layer, latent)
            self._known.add(model, layer)
        return run_replacing(model, x, layer, latent, part=self.parts.get(layer))

    def _run_pair(self, model: tuple[Any, ...], x: Any, reads: Reads, names: Sequence[str]) -> View:
        if names:
            raise LatentError("layer names a layer of one module; for an (encoder, decoder) pair leave it out.")
        encoder, decoder = _pair(model)
        latent = check_latent(call(encoder, x), latent_label(None), batch_size(x, "x"))
        # The decoder may begin with an operation in place, which must not change the latent that is kept.
        kept = latent.clone() if reads.layers and reads.output else latent
        return View(decoder(latent) if reads.output else None, {None: kept} if reads.layers else {})

    def _look_for_overwriting(self, model: Any, stack: contextlib.ExitStack) -> Callable[[Any], None]:
        """A function that refuses a returned latent which a submodule has changed in place; each model is watched once."""
        watched = self.unnamed and isinstance(model, nn.Module) and not isinstance(model, torch.jit.ScriptModule)
        if torch.compiler.is_compiling() or torch.is_inference_mode_enabled() or not watched:
            return _accept
        if self._known.has(model, "overwriting"):
            return _accept
        versions: list[list[tuple[Tensor, int]]] = []
        overwritten: list[tuple[str, Tensor]] = []
        names = {module: name for name, module in model.named_modules() if name}

        def before(module: nn.Module, inputs: Any) -> None:
            versions.append([(tensor, tensor._version) for _, tensor in tensors(inputs)])

        def after(module: nn.Module, inputs: Any, output: Any) -> None:
            returned = {id(tensor) for _, tensor in tensors(output)}
            for tensor, version in versions.pop():
                if tensor._version > version and id(tensor) not in returned:
                    overwritten.append((names[module], tensor))

        def check(latent: Any) -> None:
            for name, tensor in overwritten:
                if tensor is latent:
                    raise LatentError(
                        f"the latent that {type(model).__name__} returns is overwritten by {name!r}, which begins with an "
                        "operation in place such as ReLU(inplace=True). Return a copy that is taken before, latent.clone(), "
                        "or name the layer whose output is the latent with layer=."
                    )
            self._known.add(model, "overwriting")

        for module in names:
            stack.callback(module.register_forward_pre_hook(before).remove)
            stack.callback(module.register_forward_hook(after).remove)
        return check

    def _check_bottleneck(self, model: nn.Module, x: Any, layer: str, latent: Tensor) -> None:
        """Refuse a layer round which something else reaches the output: then it does not decode the latent alone."""
        count = batch_size(x, "x")
        other = select(x, torch.arange(count).roll(1)) if count > 1 else map_tensors(torch.zeros_like, x)
        part = self.parts.get(layer)
        with evaluating(model):
            outputs = [run_replacing(model, inputs, layer, latent.clone(), part=part) for inputs in (x, other)]
            if _close(*outputs):
                return
            again = run_replacing(model, x, layer, latent.clone(), part=part)
        if _close(outputs[0], again):  # else the model is random, and nothing can be said
            raise LatentError(
                f"layer {layer!r} of {type(model).__name__} is no bottleneck: with its output held fixed, the model's "
                "output still depends on x, by a connection round the layer. DecodedTask needs a decoder that is a "
                "function of the latent alone: name a later layer, or give an (encoder, decoder) pair."
            )


class _Known:
    """What is known of models that were seen before. Copies and pickles know nothing."""

    def __init__(self) -> None:
        self._facts: weakref.WeakKeyDictionary[nn.Module, set[str]] = weakref.WeakKeyDictionary()

    def has(self, model: nn.Module, fact: str) -> bool:
        return torch.compiler.is_compiling() or fact in self._facts.get(model, ())

    def add(self, model: nn.Module, fact: str) -> None:
        if not torch.compiler.is_compiling():
            self._facts.setdefault(model, set()).add(fact)

    def __reduce__(self) -> tuple[type[_Known], tuple[()]]:
        return _Known, ()


def _pair(model: tuple[Any, ...]) -> tuple[Callable[..., Any], Callable[..., Any]]:
    if len(model) != 2:
        raise LatentError(f"a model given in parts is an (encoder, decoder) pair; got {len(model)} parts.")
    return model


def _accept(latent: Any) -> None:
    """Nothing is known against this latent."""


def _close(first: Any, second: Any) -> bool:
    pairs = zip(tensors(first), tensors(second), strict=True)
    return all(torch.allclose(a, b, rtol=1e-3, atol=1e-5, equal_nan=True) for (_, a), (_, b) in pairs)
