"""Variables in syntax trees of generated text, and their places."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence

from flatgrad.ir.core import Span


def variables(tree: ast.AST) -> Iterator[ast.Name]:
    return (part for part in ast.walk(tree) if isinstance(part, ast.Name))


def stores(tree: ast.AST) -> Iterator[ast.Name]:
    return (part for part in variables(tree) if not isinstance(part.ctx, ast.Load))


def binds_any(tree: ast.AST, name: str) -> bool:
    return any(part.id == name for part in stores(tree))


def span_in(lines: Sequence[str], node: ast.expr | ast.stmt) -> Span:
    """The place of a node in characters."""
    assert node.end_lineno is not None
    assert node.end_col_offset is not None

    def column(line: int, offset: int) -> int:
        return len(lines[line - 1].encode()[:offset].decode(errors="ignore"))

    begin, end = column(node.lineno, node.col_offset), column(node.end_lineno, node.end_col_offset)
    return Span(node.lineno, begin, node.end_lineno, end)
