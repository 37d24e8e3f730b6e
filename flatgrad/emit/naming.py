"""The lines that forward gains for parts of expressions, and what these are called."""

from __future__ import annotations

from dataclasses import dataclass

from flatgrad.differentiate.rules import refusal_at
from flatgrad.emit.names import described, place_name
from flatgrad.emit.recomputing import ARITHMETIC, Recomputing
from flatgrad.emit.residual_state import Hoist
from flatgrad.emit.steps import Line
from flatgrad.gates.entry import TABLE
from flatgrad.ir.core import Branch, Call, Kind, Loop, Relation, Stage, Step, Value


@dataclass(slots=True, eq=False)
class Naming(Recomputing):
    """Names parts of expressions."""

    def _hoist(self, value: Value, producer: Step) -> str:
        if value not in self.hoisted:
            assert producer.stage is not None
            if value in self.steps.inline:
                help = "write it as an if statement, with a name for each part"
                raise refusal_at("backward needs a part of a conditional expression", producer.span, help)
            if isinstance(producer, Branch) and producer.span != producer.stage.span:
                self.hoisted[value] = self.scope.take(f"{self._target(producer.stage)}_part")
                self.hoists.append(Hoist(self.hoisted[value], producer.stage, value))
            elif isinstance(producer, Relation) and producer.span is not None:
                target = self._target(producer.stage)
                name = self.scope.take(self._pre(value, producer, target))
                self.hoisted[value] = name
                # A view of a buffer that is written to later is kept as it is now.
                copied = value in self.lowered.overwritten and value.type.kind is not Kind.SCALAR
                self.hoists.append(Hoist(name, producer.stage, value, None, copied))
            elif isinstance(producer, Call):
                self.hoisted[value] = self.scope.take(producer.function.rpartition(".")[2].removesuffix("_forward"))
            elif value in self.lowered.places:
                place = self.lowered.places[value]
                self.hoisted[value] = self.scope.take(place_name(place))
                self.steps.lines.append(Line(f"{self.hoisted[value]} = {place}", producer.stage))
            else:
                raise refusal_at("backward needs a part of this that has no name", producer.span, "give it a name")
        return self.hoisted[value]

    def described(self, value: Value) -> str:
        """What to call a part of an expression."""
        element = self.lowered.elements.get(value)
        if element is not None:
            return element.container.removesuffix("s") or element.container
        if not value.name and value in self.lowered.places:
            return place_name(self.lowered.places[value])
        producer = self._producers.get(value)
        if isinstance(producer, Loop) and value in producer.outs and not value.name:
            return self.described(producer.handed[producer.outs.index(value)])
        if producer is None or producer.stage is None:
            return value.name or "part"
        if isinstance(producer, Call):
            return producer.function.rpartition(".")[2]
        if not isinstance(producer, Relation):
            return value.name or "part"
        if producer.gate == "alias" and not value.name and isinstance(producer.args[0], Value):
            return producer.args[0].name or self.described(producer.args[0])
        return self.hoisted.get(value) or self._pre(value, producer, self._target(producer.stage))

    def _pre(self, value: Value, producer: Relation, target: str) -> str:
        """`h_pre` for what an elementwise function is applied to, else what it is."""
        if value in self.results:
            return self.results[value]
        user = self._users.get(value)
        if user is not None and user.stage is producer.stage and user.gate in TABLE:
            alone = [arg for arg in user.args if isinstance(arg, Value)] == [value]
            function = TABLE[user.gate].elementwise and user.gate not in ARITHMETIC
            if alone and function and target and producer.gate not in ("sum", "mean", "read"):
                if user.out in self.lowered.elements:
                    return f"{self.described(user.out)}_pre"
                whole = user.out.name or user.out in self.results
                return f"{target}_pre" if whole else f"{target}_{user.gate.rpartition('.')[2]}_arg"
        return described(producer, target)

    def _target(self, stage: Stage) -> str:
        return self._targets.get(stage, "out")
