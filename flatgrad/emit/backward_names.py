"""The variables of a backward pass: what each gradient is called, and which names are free where."""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping, Sequence

from flatgrad.differentiate.walk import Backward
from flatgrad.emit.callee import Callee
from flatgrad.emit.names import Scope, described, numbered_name
from flatgrad.emit.order import Order
from flatgrad.emit.residuals import Residuals
from flatgrad.emit.rounds import layers_run_over
from flatgrad.emit.schedule import Schedule
from flatgrad.emit.spell import Names
from flatgrad.frontend.environment import Lowered
from flatgrad.ir.core import Call, Relation, Value


class BackwardNames:
    """The state of writing one backward pass: which value each variable holds."""

    def __init__(
        self,
        lowered: Lowered,
        backward: Backward,
        residuals: Residuals,
        names: Names,
        scope: Scope,
        cache_name: Callable[[Call], str],
        callee: Callable[[str], Callee],
        hints: Mapping[Value, str],
    ) -> None:
        self.lowered = lowered
        self.backward = backward
        self.residuals = residuals
        self.names = names
        self.scope = scope
        self.cache_name = cache_name
        self.callee = callee
        self.hints = hints
        self.upstream: list[str] = []
        self.variables: dict[Value, str] = {}
        self.holders: dict[str, Value] = {}
        self.schedule: Schedule
        self.order: Order
        self.apart: frozenset[Relation]
        self.calls: dict[Call, str] = {}
        self.unbroadcasts = False
        self.layers = layers_run_over(lowered.function.block)
        self._key_name = ""
        # What another function returns and goes into an array at once, with the lines that would put it there.
        self.placed: dict[Value, Relation] = {}

    def _bind(self, value: Value, wanted: str, position: int, others: Sequence[str] = ()) -> str:
        """Give a value a variable: the wanted name where no other value that is still read holds it."""
        name = self._target(wanted, position, others)
        self.variables[value] = name
        self.holders[name] = value
        return name

    def _target(self, wanted: str, position: int, others: Sequence[str]) -> str:
        """A variable that is free behind a position."""
        name = numbered_name(wanted, lambda name: self._free(name, position) and name not in others)
        self.scope.taken.add(name)
        return name

    def _free(self, name: str, position: int) -> bool:
        holder = self.holders.get(name)
        if holder is not None:
            return self.order.bound.get(holder, 0) > position or not self.order.read_after(holder, position)
        return name not in self.scope.taken

    def _wanted(self, value: Value, line: Relation) -> str:
        if line.gate == "zeros_for" and isinstance(line.args[0], Value) and self.residuals.is_forward(line.args[0]):
            return value.name or f"d{self.residuals.described(line.args[0])}"
        if line.gate == "copy_of" and isinstance(line.args[0], Value):
            line = self.schedule.folded.get(line.args[0], line)
        if line.gate == "read" and isinstance(line.args[0], Value) and line.args[0].name:
            return value.name or self.hints.get(value) or f"{line.args[0].name}_part"
        return value.name or self.hints.get(value) or described(line, "d")

    def _targets(self, line: Relation, position: int) -> list[ast.expr]:
        """Variables for the several results of a line; those that nobody reads need no name."""
        targets: list[ast.expr] = []
        for out in line.outs:
            if not self.order.uses.get(out):
                targets.append(ast.Name("_", ast.Store()))
            else:
                wanted = out.name or self._wanted(out, line)
                targets.append(ast.Name(self._bind(out, wanted, position), ast.Store()))
        return targets

    def _key(self) -> str:
        """What the keys of a dict are called where its gradient is put together."""
        self._key_name = self._key_name or self.scope.take("key")
        return self._key_name

    def _same_variable(self, line: Relation) -> str:
        base = line.args[0]
        assert isinstance(base, Value)
        name = self.variables[base]
        self.variables[line.out] = name
        self.holders[name] = line.out
        return name
