"""Places in expressions that are filled in when all that backward reads is known."""

from __future__ import annotations

import ast


class Hole(ast.Name):
    """A place in an expression that is filled in later."""

    def __init__(self) -> None:
        super().__init__("_", ast.Load())
        self.expression: ast.expr = ast.Name("_", ast.Load())


class FillHoles(ast.NodeTransformer):
    """Replaces holes by what was found for them."""

    def visit_Hole(self, node: Hole) -> ast.AST:
        found = self.visit(node.expression)
        assert isinstance(found, ast.AST)
        return found
