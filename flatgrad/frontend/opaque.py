"""Expressions that stay as they are written, as no gradient passes them: tests, keys of dicts, what an error says."""

from __future__ import annotations

import ast
from collections.abc import Sequence

from flatgrad.frontend.blocks import BlockLowering
from flatgrad.frontend.environment import (
    Binding,
    Closure,
    Collected,
    Dictionary,
    Filled,
    Listed,
    Poison,
    Static,
    Structure,
)
from flatgrad.frontend.source import span_of, stage_text
from flatgrad.ir.core import Attribute, Literal, Operand, Relation, Stage, Type, Value


class OpaqueLowering(BlockLowering):
    """Lowers expressions whose text is kept, with the values that they read."""

    def test(self, node: ast.expr) -> Value | Literal:
        """A test: folded where its outcome is known, else an opaque expression over the values that it reads.

        No gradient passes a test, so nothing of it need be understood but the names in it.
        """
        folded = self._folded(node)
        if folded is not None:
            return folded
        return self.opaque(node)

    def _folded(self, node: ast.expr) -> Literal | None:
        """What a test comes to, where the text tells."""
        decided = self.expressions.decided(node)
        return None if decided is None else Literal(decided, repr(decided))

    def opaque(self, node: ast.expr) -> Value:
        """An expression that is kept as it is written: its value has no gradient."""
        args: list[Value] = []
        text = _Placeholders(self, args).text(node)
        if text is None:
            return Poison.at()
        if not self.changes_nothing(node):
            return Poison.at()
        out = Value("", Type.open("opaque"))
        attrs: dict[str, Attribute] = {"text": text, "effect": True} if self.has_effects(node) else {"text": text}
        self.emit(Relation((out,), "opaque", tuple(args), attrs, None, span_of(self.module, node)), view=False)
        return out

    def key(self, node: ast.expr) -> Operand:
        """A key of a dict that loops fill, as it is written."""
        text = not isinstance(node, ast.Name) and self.expressions.is_text(node) and self.expressions.runs(node)
        known = None
        if not text and not isinstance(node, ast.Tuple):
            known = self.expressions.static(self.expressions.lower(node))
        if known is not None:
            return known
        bound = self.environment.get(node.id) if isinstance(node, ast.Name) else None
        return bound if isinstance(bound, Value) else self.opaque(node)

    def kept_as_written(self, statements: Sequence[ast.stmt]) -> None:
        """Statements that stay in forward as they are, as no gradient comes through them."""
        for statement in statements:
            self.stages.append(Stage(span_of(self.module, statement), stage_text(self.module, statement)))
            for part in ast.walk(statement):
                bound = self.environment.get(part.id) if isinstance(part, ast.Name) else None
                if isinstance(bound, Value) and not isinstance(bound, Poison):
                    self.names[span_of(self.module, part)] = bound


class _Placeholders(ast.NodeTransformer):
    """An expression with `_0`, `_1`, ... in the places of the values that it reads."""

    def __init__(self, lowering: OpaqueLowering, args: list[Value]) -> None:
        self.lowering = lowering
        self.args = args
        self.failed = False
        # Entries of dicts that loops fill, by their text.
        self.entries: dict[str, Binding] = {}

    def text(self, node: ast.expr) -> str | None:
        for part in ast.walk(node):
            match part:
                case ast.Subscript(value=ast.Name(id=name)) if isinstance(
                    self.lowering.environment.get(name), Filled | Collected
                ):
                    self.entries[ast.unparse(part)] = self.lowering.expressions.lower(part)
        copied = self.visit(ast.parse(ast.unparse(node), mode="eval").body)
        for part in ast.walk(node):
            bound = self.lowering.environment.get(part.id) if isinstance(part, ast.Name) else None
            if isinstance(part, ast.Name) and isinstance(bound, Value):
                self.lowering.names[span_of(self.lowering.module, part)] = bound
            if isinstance(part, ast.NamedExpr | ast.Await | ast.Yield | ast.Lambda | ast.ListComp | ast.GeneratorExp):
                self.failed = True
        if self.failed:
            self.lowering.error("FG030", "this test is not understood", node, "", "name what it compares first")
            return None
        return ast.unparse(copied)

    def visit_Subscript(self, node: ast.Subscript) -> ast.AST:
        entry = self.entries.get(ast.unparse(node))
        if entry is None:
            return self.generic_visit(node)
        if not isinstance(entry, Value) or isinstance(entry, Poison):
            self.failed = True
            return node
        self.args.append(entry)
        return ast.Name(f"_{len(self.args) - 1}", ast.Load())

    def visit_Name(self, node: ast.Name) -> ast.AST:
        bound = self.lowering.environment.get(node.id)
        match bound:
            case Value():
                if isinstance(bound, Poison):
                    self.failed = True
                if bound not in self.args:
                    self.args.append(bound)
                return ast.Name(f"_{self.args.index(bound)}", ast.Load())
            case Literal(text=text):
                return ast.parse(text, mode="eval").body
            case Structure() | Dictionary() | Closure() | Filled() | Listed():
                self.failed = True
            case Static(path=path) if not path:
                self.failed = True
        return node
