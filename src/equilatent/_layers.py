"""Running a model and reading the output of named layers on the way, without leaving anything behind."""

from __future__ import annotations

import contextlib
import difflib
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from equilatent._structure import call, part_of
from equilatent.errors import LatentError

__all__ = ["evaluating", "find_layer", "run_replacing", "run_with_layers"]

#: Names under which wrappers (DistributedDataParallel, torch.compile) keep the model they wrap.
_WRAPPERS = ("module", "_orig_mod")


class _Reached(BaseException):
    """Ends a forward pass of which nothing more is wanted. Not an Exception, so that no model catches it."""


def find_layer(model: nn.Module, name: str) -> nn.Module:
    """The submodule of that dotted name, also inside a wrapped model.

    Raises:
        LatentError: if there is none; the message lists the nearest names.
    """
    if not isinstance(model, nn.Module):
        raise LatentError(f"layer={name!r} is looked up in an nn.Module; the model is a {type(model).__name__}.")
    if isinstance(model, torch.jit.ScriptModule):
        raise LatentError(
            f"the layers of a scripted model cannot be observed, so that layer={name!r} has no output to read. Pass the "
            "module before torch.jit.script, or let it return (output, latent) and leave layer out."
        )
    inner: nn.Module | None = model
    while inner is not None:
        with contextlib.suppress(AttributeError):
            return inner.get_submodule(name)
        inner = next(
            (part for part in (getattr(inner, wrapper, None) for wrapper in _WRAPPERS) if part is not None), None
        )
    names = [known for known, _ in model.named_modules() if known]
    close = difflib.get_close_matches(name, names, n=5, cutoff=0.4) or names[-5:]
    raise LatentError(
        f"{type(model).__name__} has no layer {name!r}. The nearest names are {', '.join(map(repr, close)) or '(none)'}; "
        "all of them: dict(model.named_modules())."
    )


def run_with_layers(
    model: nn.Module,
    x: Any,
    names: Sequence[str],
    *,
    batch: int | None = None,
    parts: Mapping[str, str | int | None] | None = None,
    output: bool = True,
) -> tuple[Any, dict[str, Tensor]]:
    """The model's output and the output of each named layer, as it was when the layer returned it.

    The latents are copies: an operation in place behind the layer, such as ``ReLU(inplace=True)`` or ``out += identity``,
    changes the tensor that the layer returned, but not them. The hooks are removed whatever happens. A compiled model runs
    uncompiled here, unless the call is itself inside a compiled function.

    Args:
        model: the model.
        x: its input, a tensor, or a structure of them as `call` takes it.
        names: the layers to read.
        batch: the number of samples; that of the tensor x by default.
        parts: of a layer that returns several things, which of them is read; the first by default.
        output: whether the model's output is wanted. If not, it is None, and the forward pass ends behind the last of
            the layers where that is safe (not in a wrapped or compiled model).

    Raises:
        LatentError: if a layer does not exist, does not run exactly once, or returns no tensor of this batch.
    """
    layers = {name: find_layer(model, name) for name in names}
    seen: dict[str, list[Tensor | Any]] = {name: [] for name in names}
    returned: Any = None
    with contextlib.ExitStack() as stack:
        if not torch.compiler.is_compiling() and _is_compiled(model):
            # A compiled graph does not look at hooks that were not there when it was made.
            stack.enter_context(torch.compiler.set_stance("force_eager"))
        stops = bool(names) and not output and _can_stop(model)
        for name in names:
            part = None if parts is None else parts.get(name)
            stack.callback(_hook(layers[name], _Reader(name, part, seen, stops)))
        with contextlib.suppress(_Reached):
            returned = call(model, x)
    latents = {}
    for name, calls in seen.items():
        if len(calls) != 1:
            raise LatentError(
                f"layer {name!r} ran {len(calls)} times in one forward pass; the latent must be a layer that runs once."
            )
        latents[name] = check_latent(calls[0], name, len(x) if batch is None else batch)
    return returned if output else None, latents


def run_replacing(model: nn.Module, x: Any, name: str, latent: Tensor, *, part: str | int | None = None) -> Any:
    """The model's output when the named layer returns the given latent instead of its own.

    Of a layer that returns a tuple or a list the first entry is replaced, or the one at position `part`. A compiled model
    runs uncompiled here.
    """

    def replace(_module: nn.Module, _inputs: Any, output: Any) -> Any:
        if not isinstance(output, tuple | list):
            return latent
        at = part if isinstance(part, int) else 0
        return type(output)([*output[:at], latent, *output[at + 1 :]])

    with contextlib.ExitStack() as stack:
        if not torch.compiler.is_compiling() and _is_compiled(model):
            stack.enter_context(torch.compiler.set_stance("force_eager"))
        stack.callback(_hook(find_layer(model, name), replace))
        return call(model, x)


class _Reader:
    """A forward hook that keeps what a layer returns; it ends the pass when nothing else is waited for."""

    def __init__(self, name: str, part: str | int | None, seen: dict[str, list[Any]], stops: bool) -> None:
        self.name, self.part, self.seen, self.stops = name, part, seen, stops

    def __call__(self, _module: nn.Module, _inputs: Any, output: Any) -> None:
        if self.part is not None:
            output = part_of(output, self.part, f"the output of layer {self.name!r}")
        elif isinstance(output, tuple | list) and output:
            output = output[0]
        elif isinstance(output, Mapping) and output:
            output = next(iter(output.values()))
        # A reference would see what operations in place behind the layer make of it.
        self.seen[self.name].append(output.clone() if isinstance(output, Tensor) else output)
        if self.stops and all(self.seen.values()):
            raise _Reached


def _hook(layer: nn.Module, hook: Callable[[nn.Module, Any, Any], Any]) -> Callable[[], None]:
    """Have the hook called behind the layer, until the function that is returned is called."""
    if not torch.compiler.is_compiling():
        return layer.register_forward_hook(hook).remove
    # A hook's handle counts in a class attribute, which a graph cannot trace, but it can trace the exchange of the hooks.
    # Read from __dict__, the hooks are put back as the object that they were; otherwise as a copy in a plain dict.
    before = layer.__dict__["_forward_hooks"]

    def restore() -> None:
        layer._forward_hooks = before

    layer._forward_hooks = OrderedDict([*before.items(), (id(hook), hook)])
    return restore


def _can_stop(model: nn.Module) -> bool:
    """Whether a forward pass may end early: wrappers and hooks (of DDP, FSDP, the user) have work to do at its end."""
    if torch.compiler.is_compiling() or _is_compiled(model):
        return False
    wrapped = any(isinstance(getattr(model, wrapper, None), nn.Module) for wrapper in _WRAPPERS)
    return not wrapped and not any(part._forward_hooks for part in model.modules())


def _is_compiled(model: nn.Module) -> bool:
    compiled = ("_orig_mod", "_compiled_call_impl")
    return any(getattr(part, name, None) is not None for part in model.modules() for name in compiled)


def check_latent(latent: Any, name: str, batch: int) -> Tensor:
    """The latent itself, refused unless it is a floating tensor [batch, …]."""
    if not isinstance(latent, Tensor):
        raise LatentError(f"the latent {name!r} should be a tensor [B, …]; got {type(latent).__name__}.")
    if latent.ndim < 2 or len(latent) != batch:
        raise LatentError(
            f"the latent {name!r} should be [{batch}, features, …], one row for each sample; its shape is "
            f"{list(latent.shape)}."
        )
    if not latent.is_floating_point() and not latent.is_complex():
        raise LatentError(f"the latent {name!r} should hold floating numbers; its dtype is {latent.dtype}.")
    return latent


@contextlib.contextmanager
def evaluating(*modules: object) -> Iterator[None]:
    """No gradients and evaluation mode inside; each submodule's own mode is restored behind."""
    modes = [(part, part.training) for module in modules if isinstance(module, nn.Module) for part in module.modules()]
    try:
        for part, _ in modes:
            part.training = False
        with torch.no_grad():
            yield
    finally:
        for part, mode in modes:
            part.training = mode
