"""Values that forward writes over: a comparison, a copy, or a statement that is printed out of place."""

from __future__ import annotations

import ast
from dataclasses import dataclass

from flatgrad.analysis import augmented
from flatgrad.emit.naming import Naming
from flatgrad.emit.residual_state import Hoist
from flatgrad.emit.spell import literal, spell
from flatgrad.frontend.methods import MARK
from flatgrad.ir.core import DType, Kind, Literal, Relation, Stage, Value


@dataclass(slots=True, eq=False)
class Overwritten(Naming):
    """Keeps values as they were."""

    def _named(self, value: Value) -> ast.expr:
        stage = self.lowered.overwritten.get(value)
        if stage is not None and value.type.kind is not Kind.SCALAR:
            return self._kept_before(value, stage)
        node = ast.Name(value.name, ast.Load())
        self.kept.setdefault(value, []).append(node)
        return node

    def mask(self, relation: Relation) -> ast.expr | None:
        """A comparison of a value that forward writes over: forward keeps the comparison instead."""
        if relation.out.type.dtype is not DType.BOOL:
            return None
        written = [arg for arg in relation.args if isinstance(arg, Value) and arg in self.lowered.overwritten]
        if len(written) != 1 or not all(isinstance(arg, Literal) or arg is written[0] for arg in relation.args):
            return None
        value = written[0]
        producer = self._producers.get(value)
        if not value.name or producer is None or producer.stage is None or value.type.kind is Kind.SCALAR:
            return None
        if self.steps.path(value):
            return None
        text = ast.unparse(
            spell(
                relation,
                lambda o: ast.Name(o.name, ast.Load()) if isinstance(o, Value) else literal(o),
                self.names,
            )
        )
        key = (relation.gate, value, text)
        if key not in self._masks:
            name = self.scope.take("active" if relation.gate == "greater" else f"{value.name}_mask")
            self._masks[key] = name
            self.hoists.append(Hoist(name, producer.stage, None, relation))
        return self._extra(self._masks[key])

    def _kept_before(self, value: Value, stage: Stage) -> ast.expr:
        """The value as it was before `stage` wrote over it: the statement is printed out of place where nobody else
        sees the buffer, else forward keeps a copy."""
        rewritten = self.lowered.rewritten.get(stage)
        if rewritten is not None and rewritten not in self._nested and self._alone(value, rewritten):
            self.apart[stage] = rewritten
            node = ast.Name(value.name, ast.Load())
            self.kept.setdefault(value, []).append(node)
            return node
        if value not in self.copies:
            self.copies[value] = self.scope.take(f"{value.name or self.results.get(value) or 'value'}_before")
        return self._extra(self.copies[value])

    def _alone(self, value: Value, rewritten: Value) -> bool:
        producer = self._producers.get(rewritten)
        if not isinstance(producer, Relation) or producer.gate == "write" or value.name != rewritten.name:
            return False
        if MARK in value.name:
            return False  # an attribute keeps its name, and whoever else holds the array sees it change
        # Out of place NumPy may choose a wider dtype: only a constant leaves it as it is.
        if not producer.attrs.get("into") or isinstance(augmented(producer)[1], Value):
            return False
        roots = self.lowered.roots.get(value, frozenset())
        if roots & self._params:
            return False
        # Through a view, an alias or a call somebody else may see the buffer.
        return not roots & self._shared
