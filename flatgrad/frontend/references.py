"""Which names of a file's functions refer to what the file binds at its top level, and which are local."""

from __future__ import annotations

import ast
from collections.abc import Iterable
from dataclasses import dataclass, field

from flatgrad.frontend.liveness import arguments, bound_names

Comprehension = ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp


@dataclass(slots=True)
class References:
    """References in some statements: names that are global there, or chains of attributes that begin with one.

    Attributes:
        chains: the outermost node of each, with its parts: `L.relu` is ("L", "relu").
        locals: every name that is local to some function.
    """

    chains: list[tuple[ast.expr, tuple[str, ...]]] = field(default_factory=list)
    locals: set[str] = field(default_factory=set)


def references(statements: Iterable[ast.AST]) -> References:
    visitor = _Visitor()
    for statement in statements:
        visitor.visit(statement)
    return visitor.found


def chain_of(node: ast.expr) -> tuple[str, ...]:
    """The parts of a dotted name; none for anything else."""
    match node:
        case ast.Name(id=name):
            return (name,)
        case ast.Attribute(value=value, attr=attribute):
            before = chain_of(value)
            return (*before, attribute) if before else ()
    return ()


class _Visitor(ast.NodeVisitor):
    def __init__(self) -> None:
        self.scopes: list[frozenset[str]] = []
        self.found = References()

    def _within(self, names: Iterable[str], parts: Iterable[ast.AST]) -> None:
        scope = frozenset(names)
        self.found.locals |= scope
        self.scopes.append(scope)
        for part in parts:
            self.visit(part)
        self.scopes.pop()

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        outside = [*node.decorator_list, *node.args.defaults, *node.args.kw_defaults]
        for part in outside:
            if part is not None:
                self.visit(part)
        outer = {name for part in ast.walk(node) if isinstance(part, ast.Global) for name in part.names}
        own = {argument.arg for argument in arguments(node.args)} | bound_names(node.body)
        self._within(own - outer, node.body)

    def visit_Lambda(self, node: ast.Lambda) -> None:
        for part in (*node.args.defaults, *node.args.kw_defaults):
            if part is not None:
                self.visit(part)
        self._within((argument.arg for argument in arguments(node.args)), [node.body])

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        for part in (*node.decorator_list, *node.bases, *node.keywords):
            self.visit(part)
        # The names of a class body are not seen by its methods.
        inner = [part for part in node.body if not isinstance(part, ast.FunctionDef)]
        self._within(bound_names(inner), inner)
        for part in node.body:
            if isinstance(part, ast.FunctionDef):
                self.visit(part)

    def _comprehension(self, node: Comprehension) -> None:
        targets = {part.id for one in node.generators for part in ast.walk(one.target) if isinstance(part, ast.Name)}
        self._within(targets, ast.iter_child_nodes(node))

    visit_ListComp = visit_SetComp = visit_DictComp = visit_GeneratorExp = _comprehension

    def visit_Attribute(self, node: ast.Attribute) -> None:
        parts = chain_of(node)
        if not parts:
            self.generic_visit(node)
        elif not any(parts[0] in scope for scope in self.scopes):
            self.found.chains.append((node, parts))

    def visit_Name(self, node: ast.Name) -> None:
        if isinstance(node.ctx, ast.Load) and not any(node.id in scope for scope in self.scopes):
            self.found.chains.append((node, (node.id,)))

    def visit_arg(self, node: ast.arg) -> None:
        """Annotations are read by themselves, and refer to nothing that is computed."""
