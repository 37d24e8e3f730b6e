"""Values of the rounds of loops that backward reads: forward keeps one of each for every round.

A list that each round appends to, where every round runs through; else a dict by the indices of the loops around,
which holds what the rounds came to. What a loop carries is one value at the head of a round and the next at its end:
one list serves both.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import dataclass, field

from flatgrad.diagnostics import Diagnostic, Refused
from flatgrad.emit.names import Scope
from flatgrad.facts.unbound import maybe_unbound
from flatgrad.frontend.environment import Lowered
from flatgrad.frontend.leaving import leaves_block
from flatgrad.ir.core import (
    Block,
    Branch,
    Call,
    Kind,
    Loop,
    Span,
    Stage,
    Step,
    Type,
    Value,
    bound_values,
    every_step,
    inner_blocks,
    is_literal,
)


@dataclass(frozen=True, slots=True)
class Store:
    """One collection that forward fills.

    Attributes:
        loops: the loops around, the outermost first; `begins` with a first element, or empty.
        is_list: appended to in each round; else a dict by the indices.
    """

    name: str
    loops: tuple[Loop, ...]
    is_list: bool
    begins: str = ""


@dataclass(frozen=True, slots=True)
class Line:
    """A line that forward gains in a loop: at the head of its rounds, or behind a stage."""

    text: str
    stage: Stage | None = None
    head_of: Loop | None = None
    # The name of the part of the stage that the line keeps, where it has one: it is bound before the stage.
    hoisted: str = ""


@dataclass(slots=True, eq=False)
class Steps:
    """Which values are of rounds, and where they are kept.

    Attributes:
        kept: for each value that backward reads, the places in its text.
        names: what each of them is called in forward.
        counters: for each loop whose rounds are counted, the name of the count.
        inline: values inside conditional expressions, where no line can be put.
        in_arms: loops inside branches, which need not run at all.
        conditional: values of arms, with the outermost branch around that runs to the end of both its arms.
    """

    lowered: Lowered
    scope: Scope
    loops: list[Loop] = field(default_factory=list)
    kept: dict[Value, list[ast.Name]] = field(default_factory=dict)
    names: dict[Value, str] = field(default_factory=dict)
    last: dict[Value, list[ast.Name]] = field(default_factory=dict)
    counters: dict[Loop, str] = field(default_factory=dict)
    stores: list[Store] = field(default_factory=list)
    lines: list[Line] = field(default_factory=list)
    enumerated: dict[Loop, str] = field(default_factory=dict)
    conditional: dict[Value, Branch] = field(default_factory=dict)
    inline: set[Value] = field(default_factory=set)
    in_arms: set[Loop] = field(default_factory=set)
    _paths: dict[Value, tuple[Loop, ...]] = field(default_factory=dict)
    _params: dict[Value, tuple[Loop, int]] = field(default_factory=dict)
    _direct: set[Value] = field(default_factory=set)
    _stages: dict[Value, Stage] = field(default_factory=dict)
    _indices: dict[Value, str] = field(default_factory=dict)
    _ends: set[Branch] = field(default_factory=set)
    _unbound: frozenset[Value] = frozenset()
    # By the line of an `if`, whether it may leave the block that it stands in.
    _leaves: dict[int, bool] = field(default_factory=dict)
    # The lines of the loops whose rounds some statement may end early.
    _left: set[int] = field(default_factory=set)
    _caches: dict[Call, Value] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._unbound = maybe_unbound(self.lowered.function.block)
        tests = (part for part in ast.walk(self.lowered.node) if isinstance(part, ast.If))
        self._leaves.update((part.lineno, leaves_block(part)) for part in tests)
        loops = (part for part in ast.walk(self.lowered.node) if isinstance(part, ast.For | ast.While))
        self._left.update(part.lineno for part in loops if any(leaves_block(one) for one in part.body))
        self._visit(self.lowered.function.block, (), (), True)

    def _visit(self, block: Block, loops: tuple[Loop, ...], branches: tuple[Branch, ...], direct: bool) -> None:
        for step in block.body:
            for value in bound_values(step):
                if loops:
                    self._paths[value] = loops
                if direct:
                    self._direct.add(value)
                if step.stage is not None:
                    self._stages[value] = step.stage
                if branches:
                    self.conditional[value] = branches[0]
            match step:
                case Loop():
                    self.loops.append(step)
                    self.in_arms |= {step} if branches or not direct else set()
                    for position, param in enumerate(step.body.params):
                        self._params[param] = (step, position - 1)
                        self._paths[param] = (*loops, step)
                    for inner in inner_blocks(step):
                        self._visit(inner, (*loops, step), branches, True)
                case Branch():
                    # One that ends its block is left by every way through it: nothing comes after it.
                    if step.stage is not None and step.span != step.stage.span:
                        inline = [
                            value for arm in step.arms for inner in every_step(arm) for value in bound_values(inner)
                        ]
                        self.inline.update(inline)
                    last = step is block.body[-1] and set(step.outs) <= set(block.results) and bool(step.outs)
                    if step.stage is not None and self._leaves.get(step.stage.span.line) is False:
                        last = False
                    if last:
                        self._ends.add(step)
                    for arm in step.arms:
                        self._visit(arm, loops, branches if last else (*branches, step), False)

    def path(self, value: Value) -> tuple[Loop, ...]:
        return self._paths.get(value, ())

    def is_param(self, value: Value) -> bool:
        return value in self._params

    def begins_with(self, param: Value) -> str:
        """The name of what a loop begins with in the place of something that it carries; '' if it has none."""
        loop, position = self._params[param]
        init = loop.inits[position]
        return "" if init in self._params or init in self._paths else init.name

    def is_index(self, value: Value) -> bool:
        return value in self._params and self._params[value][1] < 0

    def loop_of(self, index: Value) -> Loop:
        return self._params[index][0]

    def index_name(self, index: Value) -> str:
        if index not in self._indices:
            loop = self._params[index][0]
            wanted = index.name or ("step" if loop.count is not None and not loop.bounds else "k")
            self._indices[index] = index.name or self.scope.take(wanted)
        return self._indices[index]

    def counter(self, loop: Loop) -> str:
        """The name of the number of rounds that forward counts."""
        if loop not in self.counters:
            self.counters[loop] = self.scope.take("steps")
        return self.counters[loop]

    def counts_at_end(self, loop: Loop) -> bool:
        """Whether every round runs to its end, where it can be counted. A `continue` that changes nothing is a way past
        that end all the same."""
        if loop.stage is not None and loop.stage.span.line in self._left:
            return False
        return not loop.breaks and not any(isinstance(s, Branch) and s in self._ends for s in loop.body.body)

    def cache_of(self, call: Call, name: str) -> Value:
        """What stands for the cache of a call in a loop."""
        if call not in self._caches:
            cache = Value(name, Type.open(name))
            self._caches[call] = cache
            self.names[cache] = name
            first = call.outs[0]
            self._paths[cache] = self._paths[first]
            if first in self._direct:
                self._direct.add(cache)
            if call.stage is not None:
                self._stages[cache] = call.stage
        return self._caches[call]

    # Where things are kept

    def handed_by(self, value: Value, producer: Step | None) -> Value | None:
        """What the last round hands out as this value."""
        if not isinstance(producer, Loop) or value not in producer.outs:
            return None
        return producer.handed[producer.outs.index(value)]

    def unchained(self) -> list[tuple[Value, ast.Name]]:
        """Places of last values whose list would be empty without any rounds: they are read under their own name."""
        found = []
        for value, nodes in self.last.items():
            loop = next(loop for loop in self.loops if value in loop.outs)
            if self._chained(loop.handed[loop.outs.index(value)]) is None:
                found += [(value, node) for node in nodes]
        return found

    def settle(self, labels: Mapping[Value, str]) -> None:
        """Decide the collections, and fill in how backward reads them. `labels`: what forward calls its values."""
        done: set[Value] = set()
        for value in self.kept:
            if value in done:
                continue
            chain = self._chained(value)
            if chain is not None:
                self._keep_chain(*chain, labels)
                done |= {chain[0].carried[chain[1]], chain[0].handed[chain[1]]}
            else:
                self._keep(value, labels)
                done.add(value)

    def _chained(self, value: Value) -> tuple[Loop, int] | None:
        """The loop and the place of a value that is kept both at the head and at the end of a round."""
        for loop in self.loops:
            for position, (param, back) in enumerate(zip(loop.carried, loop.handed, strict=True)):
                if value in (param, back) and param in self.kept and back in self.kept and back is not param:
                    plain = len(self.path(param)) == 1 and self._lists(loop) and back in self._direct
                    if plain and loop.inits[position] not in self._params and self.path(back) == (loop,):
                        return loop, position
        return None

    def _keep_chain(self, loop: Loop, position: int, labels: Mapping[Value, str]) -> None:
        param, back = loop.carried[position], loop.handed[position]
        name = self.scope.take(_plural(self.names[back] or self.names[param]))
        first = labels.get(loop.inits[position], loop.inits[position].name)
        first = first or self.lowered.places.get(param) or self.names[param]
        self.stores.append(Store(name, (loop,), True, self._held(param, param.name or first)))
        held = self._held(back, self.names[back])
        self.lines.append(
            Line(f"{name}.append({held})", self._stages[back], hoisted="" if back.name else self.names[back])
        )
        index = self._position(loop)
        for node in self.kept[param]:
            _fill(node, name, [index])
        following = ast.BinOp(index, ast.Add(), ast.Constant(1))
        for node in self.kept[back]:
            _fill(node, name, [following])
        for node in self.last.get(loop.outs[position], ()):
            _fill(node, name, [ast.UnaryOp(ast.USub(), ast.Constant(1))])

    def _keep(self, value: Value, labels: Mapping[Value, str]) -> None:
        loops = self.path(value)
        place = self.lowered.places.get(value, "")
        if value in self._params and not value.name and not place:
            raise no_name(None if loops[-1].stage is None else loops[-1].stage.span)
        is_list = len(loops) == 1 and self._lists(loops[0]) and (value in self._direct or value in self._params)
        own = self.names[value]
        name = self.scope.take(_plural(own))
        self.stores.append(Store(name, loops, is_list))
        held = self._held(value, place if value in self._params and place else own)
        if is_list:
            text = f"{name}.append({held})"
            indices: list[ast.expr] = [self._position(loops[0])]
        else:
            keys = ", ".join(self._key(loop) for loop in loops)
            text = f"{name}[{keys}] = {held}"
            indices = [self._position(loop) for loop in loops]
        if value in self._params or self._stages.get(value) is loops[-1].stage:
            # What a loop binds to its targets is kept as a round begins, too.
            self.lines.append(Line(text, None, loops[-1]))
        else:
            self.lines.append(Line(text, self._stages[value], hoisted="" if value.name else own))
        for node in self.kept[value]:
            _fill(node, name, indices)

    def _held(self, value: Value, name: str) -> str:
        """What is put into a collection: a copy, where the buffer is written to later."""
        if value not in self.lowered.overwritten or value.type.kind is Kind.SCALAR:
            return name
        copied = f"{name}.copy()" if value.type.kind is Kind.ARRAY else f"1.0 * {name}"
        return f"None if {name} is None else {copied}" if value in self._unbound else copied

    def _lists(self, loop: Loop) -> bool:
        """Whether the rounds of a loop count from 0 by 1."""
        if loop.backwards:
            return False
        return not loop.bounds or (is_literal(loop.bounds[0], 0) and is_literal(loop.bounds[2], 1))

    def _position(self, loop: Loop) -> ast.expr:
        """The index of a round, as backward reads it."""
        return ast.Name(self.index_name(loop.index), ast.Load())

    def _key(self, loop: Loop) -> str:
        """What forward calls the index of a round."""
        if loop.index.name:
            return loop.index.name
        if not loop.bounds:
            return self.counter(loop) if self.counts_at_end(loop) else f"{self.counter(loop)} - 1"
        name = self.index_name(loop.index)
        self.enumerated[loop] = name
        return name


def no_name(span: Span | None) -> Refused:
    """What is refused where forward has no name for what a loop carries."""
    help = "carry it in a variable of its own: `h = ...`, and `hs.append(h)`"
    return Refused((Diagnostic("FG025", "backward needs what was stored last, which has no name", span, "", help),))


def _plural(name: str) -> str:
    return f"{name}_steps" if name.endswith("s") else f"{name}s"


def _fill(node: ast.Name, name: str, indices: list[ast.expr]) -> None:
    index = indices[0] if len(indices) == 1 else ast.Tuple(indices, ast.Load())
    node.expression = ast.Subscript(ast.Name(name, ast.Load()), index, ast.Load())  # type: ignore[attr-defined]
