"""Names and methods of Python 2 in text that Python 3 can read, too."""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from types import MappingProxyType

from flatgrad.diagnostics import Diagnostic
from flatgrad.frontend.source import Module, span_of
from flatgrad.frontend.syntax_errors import python2_diagnostic
from flatgrad.ir.core import Span

# What Python 2 called it, and what to write now.
PYTHON2_NAMES: Mapping[str, str] = MappingProxyType(
    {
        "xrange": "range",
        "raw_input": "input",
        "unicode": "str",
        "basestring": "str",
        "long": "int",
        "unichr": "chr",
    }
)
PYTHON2_METHODS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "iteritems": ("d.iteritems()", "d.items()"),
        "iterkeys": ("d.iterkeys()", "d.keys()"),
        "itervalues": ("d.itervalues()", "d.values()"),
        "has_key": ("d.has_key(k)", "k in d"),
    }
)


def python2_name(module: Module, node: ast.Name) -> Diagnostic | None:
    """What to say of a name that is not known here because it is Python 2's (`xrange`); None for any other."""
    if node.id not in PYTHON2_NAMES or node.id in module.bound:
        return None
    modern = PYTHON2_NAMES[node.id]
    return python2_diagnostic(f"`{node.id}`", node.id, modern, span_of(module, node), module.filename)


def python2_source(module: Module, found: Sequence[Diagnostic]) -> Diagnostic | None:
    """The one thing to say of a refused file, where what was found comes of its being Python 2; else None.

    That is what is FG002 already, or a name or method of Python 2 alone in a function that something was found in.
    """
    first = next((diagnostic for diagnostic in found if diagnostic.code == "FG002"), None)
    if first is not None:
        return first
    lines = {diagnostic.span.line for diagnostic in found if diagnostic.span is not None}
    for statement in module.tree.body:
        if not any(statement.lineno <= line <= (statement.end_lineno or 0) for line in lines):
            continue
        own = {node.arg for node in ast.walk(statement) if isinstance(node, ast.arg)}
        own |= {n.id for n in ast.walk(statement) if isinstance(n, ast.Name) and not isinstance(n.ctx, ast.Load)}
        old: list[Diagnostic] = []
        for node in ast.walk(statement):
            match node:
                case ast.Name(id=name) if name not in own and (named := python2_name(module, node)) is not None:
                    old.append(named)
                case ast.Call(func=ast.Attribute(attr=method)) if method in PYTHON2_METHODS:
                    before, now = PYTHON2_METHODS[method]
                    old.append(
                        python2_diagnostic(f"`.{method}()`", before, now, span_of(module, node), module.filename)
                    )
        if old:
            return min(old, key=lambda one: one.span or Span(0, 0, 0, 0))
    return None
