"""Generated parts of a Markdown page, between the comments ``<!-- begin NAME -->`` and ``<!-- end NAME -->``."""

from __future__ import annotations

import re
from collections.abc import Mapping

from equilatent.errors import EquilatentError

__all__ = ["BlockError", "blocks", "replace_blocks"]


class BlockError(EquilatentError, ValueError):
    """A page has no place, or several, for a generated part."""


def blocks(page: str) -> dict[str, str]:
    r"""The generated parts of a page, by name, as they stand there.

    >>> blocks("above\n<!-- begin a -->\nx\n<!-- end a -->\nbelow")
    {'a': 'x'}
    """
    names = re.findall(r"<!-- begin (\w+) -->", page)
    return {name: match[2].strip() for name in names if (match := _marked(name).search(page))}


def replace_blocks(page: str, new: Mapping[str, str]) -> str:
    """The page with some of its generated parts replaced; all else stays.

    Raises:
        BlockError: if the page has not exactly one place for a part.
    """
    for name, block in new.items():
        parts = _marked(name).split(page)
        count = len(parts) // 4
        if count != 1:
            raise BlockError(
                f"the page has {count} places for {name!r}; it needs one, between the lines <!-- begin {name} --> and "
                f"<!-- end {name} -->."
            )
        page = "".join([parts[0], parts[1], f"\n{block}\n\n", parts[3], parts[4]])
    return page


def _marked(name: str) -> re.Pattern[str]:
    return re.compile(rf"(<!-- begin {name} -->\n)(.*?)(<!-- end {name} -->)", re.DOTALL)
