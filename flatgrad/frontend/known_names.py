"""Names in expressions: variables, constants of the module, imports, and those that nothing binds."""

from __future__ import annotations

import ast
import difflib

from flatgrad.frontend.constants import constant_facts, is_spelled, static_constant
from flatgrad.frontend.environment import Binding, Poison, Static, Structure
from flatgrad.frontend.expression_base import ExpressionBase
from flatgrad.frontend.python2 import python2_name
from flatgrad.frontend.source import dotted_path, star_import
from flatgrad.ir.core import Literal, Operand, Relation, Type, Value


class NameLowering(ExpressionBase):
    """Lowers names."""

    def name_operand(self, node: ast.Name) -> Operand:
        return self.as_operand(self._name(node), node)

    def _name(self, node: ast.Name) -> Binding:
        if node.id in self.environment:
            bound = self.environment[node.id]
            if isinstance(bound, Value):
                self.read_name(node, bound)
            if isinstance(bound, Structure) and bound.once:
                return self.error(
                    "FG030",
                    f"what {node.id} holds can be gone through once only",
                    node,
                    "",
                    f"write `{node.id} = list(...)`",
                )
            return bound
        if node.id in self.module.constants:
            constant = self._module_constant(node)
            if constant is not None:
                return constant
        path = dotted_path(self.module, node, frozenset(self.environment))
        nowhere = self.leads_nowhere(self.module.imports.get(node.id, node.id), node)
        if nowhere is not None:
            return nowhere
        if path is not None or node.id in self.module.functions:
            return Static(path or node.id, node.id)
        old = python2_name(self.module, node)
        if old is not None:
            self.errors.append(old)
            return Poison.at()
        star = star_import(self.module)
        if star is not None:
            return self.error(
                "FG020",
                f"where the name {node.id} comes from is not known",
                node,
                f"`{star.text}` may bind it",
                "import it by name",
            )
        if node.id in self.module.bound:
            return self.error(
                "FG020",
                f"what {node.id} stands for is not known here",
                node,
                "what the head of the module binds it to is known only when the program runs",
                "pass it as a parameter",
            )
        known = [*self.environment, *self.module.constants, *self.module.functions]
        near = difflib.get_close_matches(node.id, known, 1)
        return self.error(
            "FG020",
            f"the name {node.id} is not known here",
            node,
            "bound nowhere in the function or at the head of the module" if not near else "",
            f"did you mean {near[0]}?" if near else "pass it as a parameter",
        )

    def leads_nowhere(self, path: str, node: ast.expr) -> Poison | None:
        """The error for an import that is not found in the project, if it is one."""
        absent = None
        while path and absent is None:
            absent = self.module.borrowed.absent.get(path)
            path = path.rpartition(".")[0]
        if absent is None:
            return None
        if absent.found:
            self.errors.extend(absent.found)
            return Poison.at()
        return self.error(absent.code, absent.message, node, absent.label, absent.help)

    def read_name(self, node: ast.Name, bound: Value) -> None:
        """Take down which value a name in the text denotes."""
        self.names[self._span(node)] = bound

    def _module_constant(self, node: ast.Name) -> Binding | None:
        """A module constant; a number keeps its name as its text, so that the generated line reads the same."""
        expression = self.module.constants[node.id]
        value = static_constant(expression, self.module)
        if value is not None:
            return Literal(value, self.constant_text(node.id, value))
        if isinstance(expression, ast.Dict | ast.Tuple | ast.List) and is_spelled(expression):
            return self.at_top().lower(expression)
        self.constant_text(node.id, None)
        out = Value("", Type.open(node.id))
        self.emit(
            Relation(
                (out,),
                "constant",
                (Literal(None, node.id),),
                constant_facts(self.module, node.id),
                None,
                self.place(node),
            ),
            view=False,
        )
        return out
