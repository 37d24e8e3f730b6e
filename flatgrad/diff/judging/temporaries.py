"""The temporaries of a backward pass: `t = dout * x`, `draw = …`. Gradients by their values, whatever they are called.

They are watched like gradients, so that a fault in one is found there and not in all that reads it; a right one is
not told of.
"""

from __future__ import annotations

import ast
from dataclasses import replace

from flatgrad.diff.homework import Homework, Style
from flatgrad.diff.judging.gradients import normal, read_texts, targets_of
from flatgrad.diff.judging.instrument import find_function

_NO_NUMBERS = frozenset({"shape", "dtype", "ndim", "size"})


def with_temporaries(homework: Homework) -> tuple[Homework, frozenset[str]]:
    """The homework with its temporaries among its gradients, and their names."""
    tree = ast.parse(homework.text)
    body = tree.body if homework.style is Style.SCRIPT else find_function(tree, homework.backward).body
    mixed = homework.style in (Style.FLAT, Style.SCRIPT)
    known = {normal(text) for text in homework.gradients} | {name for name in homework.upstream if name}
    forward = _forward_names(body, homework) if mixed else frozenset()
    found: set[str] = set()
    for _ in range(4):
        before = len(found)
        for node in ast.walk(ast.Module(body, [])):
            if not isinstance(node, ast.Assign) or (mixed and node.lineno not in homework.backward_lines):
                continue
            names = [one.id for one in node.targets if isinstance(one, ast.Name)]
            if names and _reads(node.value, known | found):
                found |= {name for name in names if name not in known and name not in forward}
        if len(found) == before:
            break
    if not found:
        return homework, frozenset()
    return replace(homework, gradients={**homework.gradients, **dict.fromkeys(sorted(found), "")}), frozenset(found)


def _reads(node: ast.expr, known: set[str]) -> bool:
    """Whether an expression computes with a gradient, and not only with its shape."""
    targets = {target.text: target for target in targets_of(dict.fromkeys(known, ""))}

    class Values(ast.NodeTransformer):
        def visit_Attribute(self, one: ast.Attribute) -> ast.expr:
            return ast.Constant(0) if one.attr in _NO_NUMBERS else self._inside(one)

        def visit_Call(self, one: ast.Call) -> ast.expr:
            shaped = isinstance(one.func, ast.Name) and one.func.id == "len"
            shaped |= isinstance(one.func, ast.Attribute) and one.func.attr.endswith("_like")
            return ast.Constant(0) if shaped else self._inside(one)

        def visit_Compare(self, one: ast.Compare) -> ast.expr:
            return ast.Constant(0)

        def _inside(self, one: ast.expr) -> ast.expr:
            found = self.generic_visit(one)
            assert isinstance(found, ast.expr)
            return found

    copied = ast.parse(ast.unparse(node), mode="eval").body
    return bool(read_texts(Values().visit(copied), targets))


def _forward_names(body: list[ast.stmt], homework: Homework) -> frozenset[str]:
    """What the forward statements bind, where both passes stand in one body."""
    return frozenset(
        one.id
        for node in ast.walk(ast.Module(body, []))
        if isinstance(node, ast.stmt) and node.lineno not in homework.backward_lines
        for one in _stored(node)
    )


def _stored(node: ast.stmt) -> list[ast.Name]:
    targets = (
        node.targets
        if isinstance(node, ast.Assign)
        else [node.target]
        if isinstance(node, ast.AugAssign | ast.For)
        else []
    )
    return [one for target in targets for one in ast.walk(target) if isinstance(one, ast.Name)]
