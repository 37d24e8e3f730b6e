"""Attributes in generated text: what stood for them while functions were written becomes `self.W` again."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from flatgrad.diagnostics import Diagnostic, Refused
from flatgrad.emit.edits import Edits
from flatgrad.emit.plan import ModulePlan
from flatgrad.emit.variables import span_in
from flatgrad.frontend.contracts import lineage, method_of
from flatgrad.frontend.methods import MARK, spoken
from flatgrad.ir.core import Span

_STRING = re.compile(r"""(?<!\w)([fF][rR]?|[rR][fF])?("(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*')""")


def with_own_results(plan: ModulePlan, text: str) -> str:
    """The text of a module whose calls of static methods get what the user's own returned: where a cache has come
    behind the results, they leave it out.

    Raises:
        Refused: FG045 where such a method is handed on, so that who calls it is not known.
    """
    pairs = {
        (method.owner.name, method.name): len(one.lowered.results)
        for one in plan.functions
        if (method := plan.module.methods.get(one.name)) is not None and not method.receiver
        if [result.position for result in one.lowered.results] == list(range(one.lowered.width))
    }
    if not pairs:
        return text
    tree = ast.parse(text)
    lines = text.split("\n")
    edits = Edits(text)
    called: set[ast.expr] = set()
    for owner, node in _named_parts(tree):
        match node:
            case ast.Call(func=ast.Attribute() as function) if _static(function, owner, tree) in pairs:
                called.add(function)
                end = span_in(lines, node)
                count = pairs[_static(function, owner, tree)]
                edits.replace(
                    Span(end.end_line, end.end_column, end.end_line, end.end_column), "[0]" if count == 1 else "[:-1]"
                )
            case ast.Attribute() if node not in called and _static(node, owner, tree) in pairs:
                name = ".".join(_static(node, owner, tree))
                message = f"{name} returns its cache as well now, and it is handed on"
                raise Refused((Diagnostic("FG045", message, None, "", "call it where it is needed"),))
    return edits.rendered(Span(1, 0, len(lines), len(lines[-1])))


def _named_parts(tree: ast.Module) -> Iterator[tuple[str, ast.AST]]:
    """All parts of a module, calls before what is called, with the class in which each stands or ''."""
    for statement in tree.body:
        owner = statement.name if isinstance(statement, ast.ClassDef) else ""
        yield from ((owner, part) for part in ast.walk(statement))


def _static(node: ast.Attribute, owner: str, tree: ast.Module) -> tuple[str, str]:
    """The class and the name of what `Linear.forward` and, inside its class, `self.forward` mean."""
    if not isinstance(node.value, ast.Name):
        return "", ""
    classes = {one.name: one for one in tree.body if isinstance(one, ast.ClassDef)}
    first = owner if node.value.id in ("self", "cls") else node.value.id
    if first not in classes:
        return "", ""
    found = method_of(node.attr, lineage(classes[first], classes)[0])
    return (found[0].name, node.attr) if found is not None else ("", "")


def unmarked(text: str) -> str:
    """A text with its attributes as Python spells them; what a string says of them goes without their object."""

    def plain(match: re.Match[str]) -> str:
        whole = match.group(0)
        if MARK not in whole:
            return whole
        if not match.group(1):
            return re.sub(rf"\w+{MARK}", "", whole)
        parts = re.split(r"(\{[^{}]*\})", whole)
        return "".join(spoken(p) if p.startswith("{") else re.sub(rf"[^\W{MARK}]+{MARK}", "", p) for p in parts)

    return spoken(_STRING.sub(plain, text))
