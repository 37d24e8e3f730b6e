"""The text of a module with its attributes marked: `self.W` is one name there, in as many characters."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from flatgrad.diagnostics import Diagnostic, Refused
from flatgrad.frontend.method_parts import own_methods, receiver_of
from flatgrad.frontend.methods import MARK, VALUES
from flatgrad.frontend.source import Module, span_of


def marked(module: Module) -> str:
    """The text of the module with `self.W` as one name, in as many characters."""
    if MARK in module.text:
        raise Refused([Diagnostic("FG030", f"the letter {MARK} in a source is not understood", None)])
    lines = [list(line) for line in module.lines]
    changed = False
    for owner in (one for one in module.tree.body if isinstance(one, ast.ClassDef)):
        for method in own_methods(owner).values():
            receiver = receiver_of(method)
            for node in ast.walk(method) if receiver else ():
                match node:
                    case ast.Attribute(value=ast.Name(id=name), attr=attribute) if name == receiver:
                        begin = span_of(module, node.value)
                        end = begin.column + len(name)
                        text = module.lines[begin.line - 1]
                        if text[begin.column : end + 1 + len(attribute)] == f"{name}.{attribute}":
                            lines[begin.line - 1][end] = MARK
                            changed = True
                    case ast.For(iter=over):
                        for called in _values_of(over, receiver, node):
                            span = span_of(module, called)
                            text = module.lines[span.line - 1][: span.end_column]
                            if span.line == span.end_line and text.endswith(".values()"):
                                lines[span.line - 1][span.end_column - len(VALUES) : span.end_column] = VALUES
    return "\n".join("".join(line) for line in lines) if changed else module.text


def _values_of(over: ast.expr, receiver: str, loop: ast.For) -> Iterator[ast.Call]:
    """`self.layers.values()` in the head of a loop that calls what it runs over."""
    match over:
        case ast.Call(func=ast.Name(id="enumerate" | "list" | "zip"), args=parts):
            for part in parts:
                yield from _values_of(part, receiver, loop)
        case ast.Call(func=ast.Attribute(value=ast.Attribute(value=ast.Name(id=name)), attr="values"), args=[]):
            targets = {part.id for part in ast.walk(loop.target) if isinstance(part, ast.Name)}
            called = {root for part in ast.walk(loop) if (root := _called_layer(part)) is not None}
            if name == receiver and targets & called:
                yield over


def _called_layer(node: ast.AST) -> str | None:
    """The name that is called as a layer: `layer.forward(x)`, `layer(x)`."""
    match node:
        case ast.Call(func=ast.Attribute(value=ast.Name(id=name), attr="forward" | "__call__")):
            return name
        case ast.Call(func=ast.Name(id=name)):
            return name
    return None


def marked_shapes(shapes: tuple[tuple[str, str], ...]) -> tuple[tuple[str, str], ...]:
    """`--shape self.W=N,D` for the name that the attribute has here."""
    return tuple((name.replace(".", MARK), text) for name, text in shapes)
