"""Adjoints while they are collected: who has which gradient so far, inside and outside of loops and branches."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from flatgrad.analysis import differentiable_operands, useful, varied
from flatgrad.differentiate.builder import Builder
from flatgrad.facts.unbound import maybe_unbound
from flatgrad.frontend.environment import Lowered
from flatgrad.ir.core import (
    Attribute,
    Block,
    Call,
    DType,
    Loop,
    Operand,
    Relation,
    Stage,
    Step,
    Type,
    Value,
    bound_values,
    every_step,
    inner_blocks,
    is_constant_entry,
)


@dataclass(slots=True, eq=False)
class Scope:
    """The adjoints of one block while it is reversed.

    A value from outside of a loop accumulates: its adjoint is carried from round to round, and `accumulated` has the
    value that the rounds carry. An arm of a branch goes on from what there is outside.
    """

    block: Block
    parent: Scope | None = None
    is_loop: bool = False
    adjoints: dict[Value, Operand] = field(default_factory=dict)
    accumulated: dict[Value, Value] = field(default_factory=dict)
    defined: frozenset[Value] = frozenset()
    # Steps of the block outside that are reversed in an arm, as no gradient reaches them any other way.
    sunk: set[Step] = field(default_factory=set)

    def __post_init__(self) -> None:
        bound = {value for step in self.block.body for value in bound_values(step)}
        self.defined = frozenset(bound | set(self.block.params))

    @property
    def counter(self) -> str:
        """The name of the index of the innermost loop around; '' outside of loops."""
        if self.is_loop:
            return self.block.params[0].name
        return "" if self.parent is None else self.parent.counter

    def provided(self, value: Value) -> Operand | None:
        """The adjoint of a value so far, fetched from outside where the value is from there."""
        found = self.adjoints.get(value)
        if found is not None or self.parent is None or value in self.defined:
            return found
        if self.is_loop:
            entering = Value(gradient_name(value), gradient_type(value.type))
            self.accumulated[value] = entering
            self.adjoints[value] = entering
            return entering
        found = self.parent.provided(value)
        if found is not None:
            self.adjoints[value] = found
        return found


class Contributions:
    """What the reverse walk knows and does whatever step it is at."""

    def __init__(self, lowered: Lowered, wrt: tuple[Value, ...], upstream: tuple[int, ...], always: bool) -> None:
        self.lowered = lowered
        self.function = lowered.function.block
        self.wrt = wrt
        self.upstream = upstream
        self.always = always
        self.build = Builder()
        self.scope = Scope(self.function)
        self.calls: dict[Value, Call] = {}
        self.floating: dict[Stage, Value] = {}
        # For a gradient without a name, the forward value that it is the gradient of.
        self.hints: dict[Value, Value] = {}
        self.upstream_gradients: list[Value] = []
        # Those of them that are differentiated, zeros where the caller gives None.
        self.arrived: list[Value] = []
        results = frozenset(lowered.results[position].value for position in upstream)
        self.varied = varied(self.function, frozenset(wrt))
        self.active = self.varied & useful(self.function, results)
        self.producers: dict[Value, Step] = {}
        self.block_of: dict[Step, Block] = {}
        self.pending: dict[Value, int] = {}
        self.loops: list[Loop] = [step for step in every_step(self.function) if isinstance(step, Loop)]
        # Dicts of which an entry is read under a key that is no constant.
        self.keyed_at_run_time = {
            step.args[0]
            for step in every_step(self.function)
            if isinstance(step, Relation) and step.gate == "entry" and len(step.args) > 1
            if isinstance(step.args[0], Value)
        }
        self.lists: dict[Value, int] = {}
        # Dicts whose gradient is added up entry by entry, and the keys that it has; None for those of the dict itself.
        self.added_up: dict[Value, tuple[str, ...] | None] = dict.fromkeys(self.keyed_at_run_time)
        self._place(self.function)
        # `W1 = params["W1"]`: one variable, one gradient.
        self.same: dict[Value, Value] = {
            step.out: source
            for step in self.function.body
            if isinstance(step, Relation)
            and step.gate == "alias"
            and isinstance(source := step.args[0], Value)
            and self._is_entry(source, step.out)
        }
        self.done: set[Step] = set()
        self.unbound = maybe_unbound(self.function)
        # What is not bound before its loop has no shape in the first round: zeros for it are like what comes back.
        self.handed_back: dict[Value, tuple[Loop, int, Value]] = {}
        for step in every_step(self.function):
            if isinstance(step, Relation):
                for out in step.outs:
                    self.build.definitions.setdefault(out, step)

    def _place(self, block: Block) -> None:
        for step in block.body:
            self.block_of[step] = block
            for out in bound_values(step):
                self.producers[out] = step
            if any(out in self.active for out in bound_values(step)):
                for value in dict.fromkeys(differentiable_operands(step)):
                    if value in self.active:
                        self.pending[value] = self.pending.get(value, 0) + 1
            for inner in inner_blocks(step):
                self._place(inner)

    def _is_entry(self, source: Value, name: Value) -> bool:
        producer = self.producers.get(source)
        return is_constant_entry(producer) and source.name == name.name and name not in self.lowered.overwritten

    @property
    def adjoints(self) -> dict[Value, Operand]:
        return self.scope.adjoints

    def reverse(self, step: Step) -> None:
        raise NotImplementedError

    def rule(self, step: Relation, name: str) -> Operand | None:
        raise NotImplementedError

    def adjoint(self, out: Value) -> Operand:
        if out in self.adjoints:
            return self.adjoints[out]
        # One of several results that nothing differentiable reads
        return self.build.value("zeros_for", out)

    def visited(self, operand: Value) -> None:
        """A part of an expression is reversed as soon as its last use has been: lines come in reading order."""
        if operand not in self.scope.defined:
            return
        self.pending[operand] = self.pending.get(operand, 1) - 1
        if not operand.name and self.pending[operand] == 0:
            producer = self.producers.get(operand)
            if producer is not None and len(producer.outs) == 1 and not isinstance(producer, Loop):
                stage = self.build.stage
                self.reverse(producer)
                self.build.stage = stage

    # Contributions

    def zeros_for(self, value: Value, *like: Value, name: str = "") -> Value:
        """Zeros like a forward value; of a dict, for each key that its gradient has."""
        keys = self.added_up.get(value)
        attrs: dict[str, Attribute] = {} if keys is None else {"keys": keys}
        return self.build.value("zeros_for", value, *like, attrs=attrs, name=name)

    def hint(self, adjoints: Mapping[Value, Operand]) -> None:
        """What unnamed gradients are called after. `x @ w + b` and `x @ w` have one: it is called after the whole."""
        for value, adjoint in adjoints.items():
            if isinstance(adjoint, Value) and not value.name and not adjoint.name:
                self.hints.setdefault(adjoint, value)

    def contribute(self, value: Value, gradient: Operand) -> None:
        """Add a gradient of the value's own shape to what has come so far."""
        value = self.same.get(value, value)
        so_far = self.scope.provided(value)
        name = gradient_name(value)
        if so_far is None and self.always and value.name and not _bears(gradient, name):
            so_far = self.build.value("zeros_for", value, gradient, name=name)
        if value in self.added_up:
            if so_far is None and _bears(gradient, name):
                self.adjoints[value] = gradient
                return
            # What another function gives need not have all of the keys.
            depth = self.lists.get(value)
            if depth is not None:
                attrs: dict[str, Attribute] = {"list": depth}
                if so_far is not None:
                    gradient = self.build.value("dict_add", so_far, gradient, attrs=attrs, name=name)
                self.adjoints[value] = gradient
                return
            begun = self.zeros_for(value, name=name) if so_far is None else so_far
            self.adjoints[value] = self.build.value("dict_add", begun, gradient, name=name)
            return
        if so_far is None:
            if name and not _bears(gradient, name):
                gradient = self.build.add("let", gradient, name=name)
            self.adjoints[value] = gradient
        elif name:
            self.adjoints[value] = self.build.add(
                "update", so_far, bare(self.build, gradient), attrs={"op": "+"}, name=name
            )
        else:
            self.adjoints[value] = self.build.add("add", so_far, gradient)


def bare(build: Builder, gradient: Operand) -> Operand:
    """What is added need not be spread first: `dx += dmu / N`."""
    if isinstance(gradient, Value) and not gradient.name:
        definition = build.definitions.get(gradient)
        if definition is not None and definition.gate == "spread":
            return definition.args[0]
    return gradient


def _bears(gradient: Operand, name: str) -> bool:
    return isinstance(gradient, Value) and gradient.name == name


def gradient_name(value: Value) -> str:
    return f"d{value.name}" if value.name else ""


def gradient_type(one: Type) -> Type:
    return Type(one.kind, DType.FLOAT, one.shape)


def type_of(value: Value) -> Type:
    return value.type
