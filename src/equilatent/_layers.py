"""Running a model and reading the output of named layers on the way, without leaving anything behind."""

from __future__ import annotations

import contextlib
import difflib
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from equilatent.errors import LatentError

__all__ = ["evaluating", "find_layer", "run_replacing", "run_with_layers"]

#: Names under which wrappers (DistributedDataParallel, torch.compile) keep the model they wrap.
_WRAPPERS = ("module", "_orig_mod")


def find_layer(model: nn.Module, name: str) -> nn.Module:
    """The submodule of that dotted name, also inside a wrapped model.

    Raises:
        LatentError: if there is none; the message lists the nearest names.
    """
    if not isinstance(model, nn.Module):
        raise LatentError(f"layer={name!r} is looked up in an nn.Module; the model is a {type(model).__name__}.")
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


def run_with_layers(model: nn.Module, x: Tensor, names: Sequence[str]) -> tuple[Any, dict[str, Tensor]]:
    """The model's output and the output of each named layer.

    The hooks are removed whatever happens. Of a layer that returns a tuple the first entry is taken. A compiled model
    runs uncompiled here, unless the call is itself inside a compiled function.

    Raises:
        LatentError: if a layer does not exist, does not run exactly once, or returns no tensor of this batch.
    """
    layers = {name: find_layer(model, name) for name in names}
    seen: dict[str, list[Any]] = {name: [] for name in names}
    with contextlib.ExitStack() as stack:
        if not torch.compiler.is_compiling() and _is_compiled(model):
            # A compiled graph does not look at hooks that were not there when it was made.
            stack.enter_context(torch.compiler.set_stance("force_eager"))
        for name in names:
            stack.callback(_watch(layers[name], seen[name]))
        output = model(x)
    latents = {}
    for name, calls in seen.items():
        if len(calls) != 1:
            raise LatentError(
                f"layer {name!r} ran {len(calls)} times in one forward pass; the latent must be a layer that runs once."
            )
        latent = calls[0][0] if isinstance(calls[0], tuple | list) and calls[0] else calls[0]
        latents[name] = check_latent(latent, name, len(x))
    return output, latents


def run_replacing(model: nn.Module, x: Tensor, name: str, latent: Tensor) -> Any:
    """The model's output when the named layer returns the given latent instead of its own.

    Of a layer that returns a tuple or a list the first entry is replaced. A compiled model runs uncompiled here.
    """

    def replace(_module: nn.Module, _inputs: Any, output: Any) -> Any:
        if isinstance(output, list):
            return [latent, *output[1:]]
        return (latent, *output[1:]) if isinstance(output, tuple) else latent

    with contextlib.ExitStack() as stack:
        if not torch.compiler.is_compiling() and _is_compiled(model):
            stack.enter_context(torch.compiler.set_stance("force_eager"))
        stack.callback(find_layer(model, name).register_forward_hook(replace).remove)
        return model(x)


def _watch(layer: nn.Module, calls: list[Any]) -> Callable[[], None]:
    """Have every output of the layer appended to `calls`, until the function that is returned is called."""

    def append(_module: nn.Module, _inputs: Any, output: Any) -> None:
        calls.append(output)

    if not torch.compiler.is_compiling():
        return layer.register_forward_hook(append).remove
    # A hook's handle counts in a class attribute, which a graph cannot trace, but it can trace the exchange of the hooks.
    # Read from __dict__, the hooks are put back as the object that they were; otherwise as a copy in a plain dict.
    before = layer.__dict__["_forward_hooks"]

    def restore() -> None:
        layer._forward_hooks = before

    layer._forward_hooks = OrderedDict([*before.items(), (id(calls), append)])
    return restore


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
