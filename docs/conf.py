"""Sphinx configuration: Markdown pages (myst), the furo theme, API pages from docstrings. Builds without the network."""

from __future__ import annotations

import re
from typing import Any

from docutils import nodes
from sphinx.ext.napoleon.docstring import GoogleDocstring

import equilatent

project = "equilatent"
author = "The equilatent maintainers"
project_copyright = "2026, The equilatent maintainers"
release = version = equilatent.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.viewcode"]
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = f"equilatent {version}"
myst_heading_anchors = 3
myst_enable_extensions = ["deflist"]

# Docstrings have Google's sections; names in single backticks are links.
default_role = "py:obj"
napoleon_numpy_docstring = False
napoleon_use_ivar = True
autodoc_default_options = {"members": True, "show-inheritance": True}
autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
autodoc_type_aliases = {"npt.ArrayLike": "ArrayLike", "Points": "Points", "Model": "Model"}
maximum_signature_line_length = 100
python_use_unqualified_type_names = True

nitpicky = True
nitpick_ignore_regex = [
    # There is no inventory of other projects at hand: their names stay plain text.
    (r"py:.*", r"(torch|pytorch_lightning|pathlib|nn|np|npt|numpy|collections|typing|fractions|types)(\..*)?"),
    (r"py:.*", r"(Tensor|ArrayLike|Any|Callable|ABC|abc\.ABC|Protocol|Module)"),
    # Types that show in a signature or two and are no part of the public interface.
    (r"py:.*", r"equilatent(\.\w+)*\._\w+\..*"),
    (r"py:.*", r"Law|SpanningTree|Points|Word|_\w+"),
]


def _public_name(app: Any, env: Any, node: Any, contnode: Any) -> Any:
    """Find an object under the name by which it is imported.

    Annotations say ``equilatent.groups._group.Group`` and prose says ``actions.trivial``, or ``GroupError`` in a module
    that imports it; all are documented under one public name. A lower-case word that is none is a parameter or an
    attribute, and stays as it is.
    """
    if node.get("refdomain") != "py":
        return None
    target = node.get("reftarget", "")
    public = ".".join(part for part in target.split(".") if not part.startswith("_"))
    objects = env.domains["py"].objects
    found = [name for name in (public, f"equilatent.{public}") if name in objects]
    if not found and public and "." not in public:
        found = [name for name in objects if re.fullmatch(rf"equilatent\.\w+\.{re.escape(public)}", name)]
    if len(found) == 1:
        return env.domains["py"].resolve_xref(env, node["refdoc"], app.builder, "obj", found[0], node, contnode)
    return contnode if node.get("reftype") == "obj" and re.fullmatch(r"[a-z_]+", target) else None


def _prepare_docstring(app: Any, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """Before napoleon: keep |G| and [*shape] from being markup, and read the sections of properties too."""
    for number, line in enumerate(lines):
        if not line.lstrip().startswith((">>>", "...")):
            lines[number] = re.sub(r"\|G\||\[\*", lambda match: re.sub(r"([|*])", r"\\\1", match[0]), line)
    if what == "property":
        # Napoleon would take what stands before a colon in the first line for a type; an empty comment stops it.
        parsed = GoogleDocstring(lines, app.config, app, "method", name, obj, options).lines()
        lines[:] = ["..", "", *parsed]


def _plain_aliases(*arguments: Any) -> tuple[str, str] | None:
    """Type aliases by their names, where autodoc leaves the repr of its placeholder."""
    signature, returns = arguments[-2:]
    if signature is None:
        return None
    return tuple(re.sub(r"TypeAliasForwardRef\('([\w.]+)'\)", r"\1", text or "") for text in (signature, returns))


def _trim_blocks(_app: Any, doctree: nodes.document) -> None:
    """Drop the empty line that ends the last expected output of a doctest."""
    for block in doctree.findall(nodes.literal_block):
        block.rawsource = block.astext().rstrip()
        block.children = [nodes.Text(block.rawsource)]


def setup(app: Any) -> None:
    """Connect the handlers above."""
    app.connect("missing-reference", _public_name)
    app.connect("autodoc-process-docstring", _prepare_docstring, priority=100)
    app.connect("autodoc-process-signature", _plain_aliases)
    app.connect("doctree-read", _trim_blocks)
