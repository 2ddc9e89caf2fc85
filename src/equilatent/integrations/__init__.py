"""The objective inside other people's training loops. Each part needs a package of its own, and is imported when used."""

import importlib
from types import ModuleType

__all__ = ["lightning"]


def __getattr__(name: str) -> ModuleType:
    if name in __all__:
        return importlib.import_module(f"equilatent.integrations.{name}")
    raise AttributeError(f"module 'equilatent.integrations' has no attribute {name!r}")
