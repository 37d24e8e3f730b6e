"""What is gathered of forward while the text of backward is written."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from flatgrad.emit.holes import Hole
from flatgrad.emit.names import Scope, place_name
from flatgrad.emit.spell import Names, literal
from flatgrad.emit.steps import Steps
from flatgrad.facts.optional import maybe_none
from flatgrad.facts.unbound import always_read, arms_around, maybe_unbound
from flatgrad.frontend.environment import Lowered
from flatgrad.frontend.lists import lists_read
from flatgrad.gates.entry import TABLE
from flatgrad.ir.core import (
    Block,
    Branch,
    Kind,
    Literal,
    Loop,
    Operand,
    Relation,
    Slice,
    Stage,
    Step,
    Value,
    bound_values,
    every_step,
    inner_blocks,
    values_in,
)
from flatgrad.ir.dims import Dim


@dataclass(frozen=True, slots=True, eq=False)
class Hoist:
    """A line that forward gains: `name = <expression>`. The name replaces a part of a statement, the expression of
    `value`; or it is bound to a new expression, `mask`, behind the stage. `copied`: it must own its memory."""

    name: str
    stage: Stage
    value: Value | None = None
    mask: Relation | None = None
    copied: bool = False


def _slice_ends(block: Block) -> Iterator[Value]:
    for step in every_step(block):
        index = step.attrs.get("index") if isinstance(step, Relation) and step.gate in ("read", "write") else None
        for item in index if isinstance(index, tuple) else ():
            if isinstance(item, Slice):
                yield from values_in(item)


@dataclass(slots=True, eq=False)
class ResidualState:
    """The values that backward reads, and what is known of each; `expression` and `like` say how it gets them."""

    lowered: Lowered
    names: Names
    scope: Scope
    uses: dict[Value, int]
    results: Mapping[Value, str] = field(default_factory=dict)
    hoists: list[Hoist] = field(default_factory=list)
    hoisted: dict[Value, str] = field(default_factory=dict)
    kept: dict[Value, list[ast.Name]] = field(default_factory=dict)
    extra: dict[str, list[ast.Name]] = field(default_factory=dict)
    preludes: dict[str, ast.expr] = field(default_factory=dict)
    apart: dict[Stage, Value] = field(default_factory=dict)
    copies: dict[Value, str] = field(default_factory=dict)
    # Calls that forward makes on a line of their own, for their place in the order of effects alone.
    lifted: dict[Value, str] = field(default_factory=dict)
    _producers: dict[Value, Step] = field(default_factory=dict)
    _pending: list[tuple[Relation, Hole]] = field(default_factory=list)
    _masks: dict[tuple[str, Value, str], str] = field(default_factory=dict)
    _params: frozenset[Value] = frozenset()
    # How many values bear a name: one that is bound again cannot be read off a shape under its name.
    _bearers: dict[str, int] = field(default_factory=dict)
    _users: dict[Value, Relation] = field(default_factory=dict)
    _targets: dict[Stage, str] = field(default_factory=dict)
    _sizes: dict[Dim, str] = field(default_factory=dict)
    _heads: dict[Value, dict[str, ast.expr]] = field(default_factory=dict)
    _settling: bool = False
    _headed: set[Value] = field(default_factory=set)
    # The upstream gradients by name: each has the shape of its result.
    upstream: dict[str, Value] = field(default_factory=dict)
    _shared: set[Value] = field(default_factory=set)
    # Values of loops and branches: names stay what they are there.
    _nested: set[Value] = field(default_factory=set)
    steps: Steps = field(init=False)
    _filled: dict[Value, Stage] = field(default_factory=dict)
    # How often the text binds each name.
    _bound: Counter[str] = field(default_factory=Counter)
    # Values that may stand for nothing where the program does not read them.
    unbound: frozenset[Value] = frozenset()
    arms: dict[Value, tuple[Block, ...]] = field(default_factory=dict)
    # The user's own lists and dicts that are read, with the loops that fill them.
    containers: dict[str, Stage] = field(default_factory=dict)
    # Where slices begin and end: single integers, wherever they are read.
    ends: frozenset[Value] = frozenset()

    def __post_init__(self) -> None:
        self.steps = Steps(self.lowered, self.scope)
        bound = (out for step in every_step(self.lowered.function.block) for out in bound_values(step))
        inner = (value for loop in self.steps.loops for value in loop.body.params)
        for value in (*self.lowered.function.block.params, *bound, *inner):
            self._bearers[value.name] = self._bearers.get(value.name, 0) + 1
        for step in every_step(self.lowered.function.block):
            for out in bound_values(step):
                self._producers[out] = step
                if out.name and step.stage is not None:
                    self._targets.setdefault(step.stage, out.name)
                elif step.stage is not None and (place := self.lowered.stored.get(step.stage)):
                    self._targets.setdefault(step.stage, place_name(place))
                sized = isinstance(step, Relation) and step.gate == "dim" and self._bearers[out.name] == 1
                sized = sized and not self.steps.path(out) and out not in self.steps.conditional
                if sized and out.name and out.type.number is not None:
                    self._sizes.setdefault(out.type.number, out.name)
            for value in step.operands():
                if isinstance(step, Relation):
                    self._users.setdefault(value, step)
            if not isinstance(step, Relation) or step.gate in ("alias", "read", "write") or is_view(step):
                for out in bound_values(step):
                    self._shared |= self.lowered.roots.get(out, frozenset())
        self._nested = {
            value
            for step in self.lowered.function.block.body
            for block in inner_blocks(step)
            for inner in every_step(block)
            for value in bound_values(inner)
        }
        self._params = frozenset(self.lowered.function.block.params)
        parts = (part for part in ast.walk(self.lowered.node) if isinstance(part, ast.Name))
        self._bound = Counter(part.id for part in parts if not isinstance(part.ctx, ast.Load))
        self._filled = self._dicts_filled()
        self.ends = frozenset(_slice_ends(self.lowered.function.block))
        self.arms = arms_around(self.lowered.function.block)
        self.unbound = maybe_unbound(self.lowered.function.block) - always_read(self.lowered.function.block)
        self.unbound |= maybe_none(self.lowered)

    def _dicts_filled(self) -> dict[Value, Stage]:
        """The versions of dicts that loops fill, with the stage behind which each is full: no entry is ever written
        again, so that the dict as it is at the end serves for all of them."""
        found: dict[Value, Stage] = {}
        for step in self.lowered.function.block.body:
            if not isinstance(step, Relation) or step.gate != "container" or step.stage is None:
                continue
            if self._bound[step.out.name] != 1:
                continue
            versions = {step.out}
            for other in every_step(self.lowered.function.block):
                match other:
                    case Relation(gate="put") if other.args[0] in versions:
                        versions.add(other.out)
                    case Loop():
                        for init, param, out in zip(other.inits, other.carried, other.outs, strict=True):
                            if init in versions:
                                versions |= {param, out}
                    case Branch():
                        for out in other.outs:
                            if out.name == step.out.name:
                                versions.add(out)
            found |= dict.fromkeys(versions, step.stage)
        return found

    @property
    def lists(self) -> dict[Value, int]:
        """The parameters that are lists of arrays, with 2 for those whose elements are tuples or lists of arrays."""
        return lists_read(self.lowered.function.block)

    @property
    def params(self) -> frozenset[Value]:
        return self._params

    def is_forward(self, value: Value) -> bool:
        return value in self._producers or value in self._params or self.steps.is_param(value)

    def expression(self, value: Value) -> ast.expr:
        """A forward value, as backward writes it."""
        raise NotImplementedError

    def filled_by(self, value: Value) -> ast.expr | None:
        """The list of which a value is the last element that a loop has put there, where nothing was in it before."""
        raise NotImplementedError

    def like(self, value: Value) -> ast.expr:
        """A value of which only shape and dtype are read: it may have been written to."""
        raise NotImplementedError

    def size(self, relation: Relation) -> ast.expr:
        """A size or a shape: settled at the end, when it is known what is in the cache."""
        raise NotImplementedError

    def index_name(self, index: Value) -> str:
        return self.steps.index_name(index)

    def operand(self, operand: Operand) -> ast.expr:
        if isinstance(operand, Literal):
            return literal(operand)
        return self.expression(operand)

    def like_operand(self, operand: Operand) -> ast.expr:
        return self.operand(operand) if isinstance(operand, Literal) else self.like(operand)

    def _has_name(self, value: Value) -> bool:
        return bool(value.name) or value in self.results

    def _extra(self, name: str) -> ast.Name:
        node = ast.Name(name, ast.Load())
        self.extra.setdefault(name, []).append(node)
        return node


def described_entry(relation: Relation) -> str:
    """An entry of a dict under a constant key, as the text has it."""
    base = relation.args[0]
    return f"{base.name if isinstance(base, Value) else base}[{relation.attrs['key']!r}]"


def one_of(producer: Relation, value: Value, expression: ast.expr) -> ast.expr:
    """One of several results: `np.split(x, 3)[1]`."""
    if len(producer.outs) == 1:
        return expression
    return ast.Subscript(expression, ast.Constant(producer.outs.index(value)), ast.Load())


def is_view(relation: Relation) -> bool:
    if relation.gate == "read":
        index = relation.attrs["index"]
        return isinstance(index, tuple) and not any(
            isinstance(item, Value) and item.type.kind is not Kind.SCALAR for item in index
        )
    return relation.gate in TABLE and TABLE[relation.gate].view
