"""What backward needs of forward, and how it gets it: from the cache, from a line that forward gains, or once more.

A value that bears a name is cached under it. A part of an expression is computed again where that costs nothing or
little, else forward gains a line that names it. Sizes are read off whatever is in the cache anyway.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import dataclass, field

from flatgrad.analysis import augmented
from flatgrad.differentiate.rules import refusal_at
from flatgrad.emit.names import Scope, described, is_identifier
from flatgrad.emit.spell import Names, literal, spell
from flatgrad.emit.steps import Steps, no_name
from flatgrad.facts.unbound import always_read, maybe_unbound
from flatgrad.frontend.environment import Element, Lowered
from flatgrad.frontend.methods import MARK
from flatgrad.gates.entry import TABLE, has_effect
from flatgrad.ir.core import (
    Branch,
    Call,
    DType,
    Kind,
    Literal,
    Loop,
    Operand,
    Relation,
    Span,
    Stage,
    Step,
    Value,
    bound_values,
    every_step,
    inner_blocks,
)
from flatgrad.ir.dims import Dim

CHEAP = frozenset({"add", "subtract", "multiply", "divide", "negative", "square"})
FREE = frozenset(
    {"dim", "shape", "ndim", "size", "subshape", "dtype", "transpose", "arange", "constant", "expand_dims", "entry"}
)
ARITHMETIC = frozenset({"add", "subtract", "multiply", "divide", "negative", "power", "floor_divide", "mod"})
DEPTH = 2


@dataclass(frozen=True, slots=True, eq=False)
class Hoist:
    """A line that forward gains: `name = <expression>`. The name replaces a part of a statement, the expression of
    `value`; or it is bound to a new expression, `mask`, behind the stage. `copied`: it must own its memory."""

    name: str
    stage: Stage
    value: Value | None = None
    mask: Relation | None = None
    copied: bool = False


@dataclass(slots=True, eq=False)
class Residuals:
    """Collects what backward reads while its text is written; `finish` settles it."""

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
    shape_only: set[Value] = field(default_factory=set)
    _producers: dict[Value, Step] = field(default_factory=dict)
    _pending: list[tuple[Relation, _Hole]] = field(default_factory=list)
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
    # Values that may stand for nothing where the program does not read them.
    unbound: frozenset[Value] = frozenset()
    # The user's own lists and dicts that are read, with the loops that fill them.
    containers: dict[str, Stage] = field(default_factory=dict)

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
                sized = isinstance(step, Relation) and step.gate == "dim" and self._bearers[out.name] == 1
                sized = sized and not self.steps.path(out) and out not in self.steps.conditional
                if sized and out.name and out.type.number is not None:
                    self._sizes.setdefault(out.type.number, out.name)
            for value in step.operands():
                if isinstance(step, Relation):
                    self._users.setdefault(value, step)
            if not isinstance(step, Relation) or step.gate in ("alias", "read", "write") or _is_view(step):
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
        self._filled = self._dicts_filled()
        self.unbound = maybe_unbound(self.lowered.function.block) - always_read(self.lowered.function.block)

    def _dicts_filled(self) -> dict[Value, Stage]:
        """The versions of dicts that loops fill, with the stage behind which each is full: no entry is ever written
        again, so that the dict as it is at the end serves for all of them."""
        found: dict[Value, Stage] = {}
        for step in self.lowered.function.block.body:
            if not isinstance(step, Relation) or step.gate != "container" or step.stage is None:
                continue
            bound = [
                part
                for part in ast.walk(self.lowered.node)
                if isinstance(part, ast.Name) and not isinstance(part.ctx, ast.Load) and part.id == step.out.name
            ]
            if len(bound) != 1:
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
    def lists(self) -> set[Value]:
        """The parameters that are lists of arrays."""
        return {
            step.args[0]
            for step in every_step(self.lowered.function.block)
            if isinstance(step, Relation) and step.gate == "entry" and step.attrs.get("list")
            if isinstance(step.args[0], Value)
        }

    @property
    def params(self) -> frozenset[Value]:
        return self._params

    def is_forward(self, value: Value) -> bool:
        return value in self._producers or value in self._params or self.steps.is_param(value)

    # Values

    def expression(self, value: Value) -> ast.expr:
        """A forward value, as backward writes it."""
        producer = self._producers.get(value)
        if value in self._filled:
            self.containers.setdefault(value.name, self._filled[value])
            return ast.Name(value.name, ast.Load())
        element = self.lowered.elements.get(value)
        if element is not None and self._keeps(element) and value not in self.lowered.overwritten:
            return self._element(element)
        if self.steps.path(value) or self.steps.is_param(value):
            return self._of_step(value, producer)
        if isinstance(producer, Loop) and value is producer.count:
            return self._extra(self.steps.counter(producer))
        if self._bearers.get(value.name) == 1 and isinstance(producer, Relation) and producer.gate == "dim":
            return self.size(producer)
        if isinstance(producer, Relation) and producer.gate == "entry" and len(producer.args) == 1:
            if (producer.args[0], producer.attrs["key"]) in self.lowered.written:
                message = f"{described_entry(producer)} is written in forward, and backward needs it as it was"
                raise refusal_at(message, None, "keep it in a variable before it is written")
            return spell(producer, self.operand, self.names)
        if self._has_name(value):
            return self._named(value)
        written = self._written_out(value)
        if written is not None:
            return self._named(written)
        assert producer is not None
        inline = value in self.steps.inline and not any(arg in self.lowered.overwritten for arg in producer.operands())
        if isinstance(producer, Relation) and inline and not has_effect(producer):
            # No line can be put into a conditional expression: the same arm of backward computes it once more.
            return _one_of(producer, value, spell(producer, self.operand, self.names))
        if isinstance(producer, Relation) and self.hoisted.get(value) is None and self._recomputed(value, 0):
            if producer.gate in ("dim", "size", "shape", "ndim"):
                return self.size(producer)
            return _one_of(producer, value, spell(producer, self.operand, self.names))
        return self._extra(self._hoist(value, producer))

    def operand(self, operand: Operand) -> ast.expr:
        if isinstance(operand, Literal):
            return literal(operand)
        return self.expression(operand)

    def _written_out(self, value: Value) -> Value | None:
        """The array that holds a value as `np.exp(x, out=y)` has written it, while nothing else is written there."""
        user = self._users.get(value)
        if user is None or user.gate != "write" or user.args[1] is not value or "mode" in user.attrs:
            return None
        same = user.out.type.shape == value.type.shape and user.out.type.kind is Kind.ARRAY
        whole = user.attrs["index"] == (Ellipsis,) and user.out not in self.lowered.overwritten
        made = self._producers.get(value)
        return user.out if same and whole and made is not None and made.span is None else None

    # Values of one round of a loop

    def _keeps(self, element: Element) -> bool:
        """Whether the user's own list or dict is there at the end: its name is bound once, in no loop and no branch."""
        bound = [
            part
            for part in ast.walk(self.lowered.node)
            if isinstance(part, ast.Name) and not isinstance(part.ctx, ast.Load) and part.id == element.container
        ]
        alone = len(self.steps.path(element.index)) == 1
        return len(bound) == 1 and alone and self.steps.loop_of(element.index) not in self.steps.in_arms

    def _element(self, element: Element) -> ast.expr:
        """What a loop of the user's own has collected: `hs[t - 1]`."""
        loop = self.steps.loop_of(element.index)
        assert loop.stage is not None
        self.containers.setdefault(element.container, loop.stage)
        index: ast.expr = ast.Name(self.steps.index_name(element.index), ast.Load())
        if element.shift:
            op = ast.Add() if element.shift > 0 else ast.Sub()
            index = ast.BinOp(index, op, ast.Constant(abs(element.shift)))
        return ast.Subscript(ast.Name(element.container, ast.Load()), index, ast.Load())

    def index_name(self, index: Value) -> str:
        return self.steps.index_name(index)

    def heads_of(self, index: Value) -> list[ast.stmt]:
        """The lines that a round of the backward loop begins with: parts of arrays that forward has a name for."""
        found = self._heads.get(index, {})
        self._headed.add(index)
        return [ast.Assign([ast.Name(name, ast.Store())], value) for name, value in found.items()]

    def cache_of(self, call: Call, name: str) -> ast.expr:
        """The cache of a call, as backward hands it on."""
        if not self.steps.path(call.outs[0]):
            return ast.Name(name, ast.Load())
        hole = _Hole()
        self.steps.kept.setdefault(self.steps.cache_of(call, name), []).append(hole)
        return hole

    def _of_step(self, value: Value, producer: Step | None) -> ast.expr:
        if self.steps.is_index(value):
            return ast.Name(self.steps.index_name(value), ast.Load())
        if isinstance(producer, Relation) and self._again(value, producer):
            expression = _one_of(producer, value, spell(producer, self.operand, self.names))
            # What sizes are read from is found when the heads of the rounds stand already.
            alone = self._settling or self._bearers[value.name] > 1 or value.type.kind is Kind.SCALAR
            if not value.name or alone:
                return expression
            index = self.steps.path(value)[-1].index
            heads = self._heads.setdefault(index, {})
            if value.name not in heads:
                if index in self._headed:
                    return expression  # a shape: they are settled when the loop has been written
                heads[value.name] = expression
            return ast.Name(value.name, ast.Load())
        if isinstance(producer, Loop) and value is producer.count:
            name = self.steps.counter(producer)
        elif producer is not None and not value.name:
            name = self._hoist(value, producer)
        elif producer is None and not value.name:
            # A part of a tuple or a dict that is carried: kept with what the rounds hand on, or not at all.
            name = self.steps.begins_with(value)
            if not name or self._bearers[name] != 1:
                raise no_name(self._loop_span(value))
        else:
            name = value.name
        hole = _Hole()
        self.steps.kept.setdefault(value, []).append(hole)
        self.steps.names.setdefault(value, name)
        return hole

    def _loop_span(self, value: Value) -> Span | None:
        """Where the loop of a carried value stands."""
        stage = self.steps.path(value)[-1].stage
        return None if stage is None else stage.span

    def _again(self, value: Value, producer: Relation) -> bool:
        """Whether backward computes a value of a round again rather than have forward keep it for each round."""
        if has_effect(producer) or self._of_changed_dict(producer):
            return False
        if not value.name and producer.stage is not None and self._recomputed(value, 0):
            return True
        if value in self.steps.inline and not any(arg in self.lowered.overwritten for arg in producer.operands()):
            return True
        counts = value.type.dtype is DType.INT and value.type.kind is Kind.SCALAR and producer.gate in ARITHMETIC
        free = producer.gate in FREE or producer.gate == "alias" or counts or _is_view(producer)
        sizes = producer.gate in ("dim", "shape", "size", "ndim")
        return free and all(sizes or arg not in self.lowered.overwritten for arg in producer.operands())

    def _named(self, value: Value) -> ast.expr:
        stage = self.lowered.overwritten.get(value)
        if stage is not None and value.type.kind is not Kind.SCALAR:
            return self._kept_before(value, stage)
        node = ast.Name(value.name, ast.Load())
        self.kept.setdefault(value, []).append(node)
        return node

    def _has_name(self, value: Value) -> bool:
        return bool(value.name) or value in self.results

    def _extra(self, name: str) -> ast.Name:
        node = ast.Name(name, ast.Load())
        self.extra.setdefault(name, []).append(node)
        return node

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
            else:
                raise refusal_at("backward needs a part of this that has no name", producer.span, "give it a name")
        return self.hoisted[value]

    def _pre(self, value: Value, producer: Relation, target: str) -> str:
        """`h_pre` for what an elementwise function is applied to, else what it is."""
        if value in self.results:
            return self.results[value]
        user = self._users.get(value)
        if user is not None and user.stage is producer.stage and user.gate in TABLE:
            alone = [arg for arg in user.args if isinstance(arg, Value)] == [value]
            function = TABLE[user.gate].elementwise and user.gate not in ARITHMETIC
            if alone and function and target and producer.gate not in ("sum", "mean", "read"):
                whole = user.out.name or user.out in self.results
                return f"{target}_pre" if whole else f"{target}_{user.gate.rpartition('.')[2]}_arg"
        return described(producer, target)

    def described(self, value: Value) -> str:
        """What to call a part of an expression."""
        element = self.lowered.elements.get(value)
        if element is not None:
            return element.container.removesuffix("s") or element.container
        producer = self._producers.get(value)
        if isinstance(producer, Loop) and value in producer.outs and not value.name:
            return self.described(producer.handed[producer.outs.index(value)])
        if producer is None or producer.stage is None:
            return value.name or "part"
        if isinstance(producer, Call):
            return producer.function.rpartition(".")[2]
        if not isinstance(producer, Relation):
            return value.name or "part"
        return self.hoisted.get(value) or self._pre(value, producer, self._target(producer.stage))

    def _target(self, stage: Stage) -> str:
        return self._targets.get(stage, "out")

    def _recomputed(self, value: Value, depth: int) -> bool:
        """Whether backward computes a part of an expression again rather than having it named and cached."""
        producer = self._producers.get(value)
        if not isinstance(producer, Relation) or has_effect(producer) or self._of_changed_dict(producer):
            return False
        if producer.span is None:
            return True
        free = (
            producer.gate in FREE
            or producer.gate == "negative"
            or (value.type.kind is Kind.SCALAR and all(isinstance(arg, Literal) for arg in producer.args))
            or _is_view(producer)
            or (producer.gate == "array_of" and all(isinstance(arg, Literal) for arg in producer.args))
        )
        cheap = (
            producer.gate in CHEAP
            or (producer.gate == "opaque" and not _has_call(producer) and not self._reads_changed(producer))
            or (producer.gate == "power" and isinstance(producer.args[1], Literal) and producer.args[1].value == 2)
            or (producer.out.type.dtype is DType.BOOL and producer.gate != "opaque")
        )
        small = value.type.kind is Kind.SCALAR
        if not free and not (cheap and depth < DEPTH and (self.uses.get(value, 0) <= 1 or small)):
            return False
        for arg in producer.operands():
            if arg in self.lowered.overwritten and producer.gate not in ("dim", "shape", "size", "ndim"):
                return False
            if not arg.name and not self._recomputed(arg, depth + (not free)):
                if free and depth == 0 and producer.gate in ("transpose", "dim", "shape"):
                    continue
                return False
        return True

    # Sizes and shapes

    def size(self, relation: Relation) -> ast.expr:
        """A size or a shape: settled at the end, when it is known what is in the cache."""
        hole = _Hole()
        self._pending.append((relation, hole))
        return hole

    def simplest_like(self, value: Value) -> Value:
        """What has the shape of a part of an expression and can be had more easily: x for `x * 2`."""
        while not self._has_name(value):
            producer = self._producers.get(value)
            if not isinstance(producer, Relation) or producer.gate not in TABLE or not TABLE[producer.gate].elementwise:
                break
            arrays = [arg for arg in producer.args if isinstance(arg, Value) and arg.type.kind is not Kind.SCALAR]
            if len(arrays) != 1 or arrays[0].type.shape != value.type.shape or arrays[0] in self.lowered.overwritten:
                break
            value = arrays[0]
        return value

    def like(self, value: Value) -> ast.expr:
        """A value of which only shape and dtype are read: it may have been written to."""
        if self.steps.path(value) or self.steps.is_param(value) or value in self._filled:
            return self.expression(value)
        loop = self._producers.get(value)
        if isinstance(loop, Loop) and value in loop.outs and not value.name:
            # What a loop carries begins with the shape that it ends with, where that is known to stay.
            init = loop.inits[loop.outs.index(value)]
            if init.type.shape == value.type.shape and init.type.kind is Kind.ARRAY:
                return self.like(init)
        handed = self.steps.handed_by(value, self._producers.get(value))
        if handed is not None and handed in self.steps.kept:
            # The last of what the rounds handed on is kept anyway.
            hole = _Hole()
            self.steps.last.setdefault(value, []).append(hole)
            return hole
        if self._has_name(value) and not self._is_entry(value):
            stage = self.lowered.overwritten.get(value)
            if stage is not None and value.type.kind is Kind.OPEN:
                # `h += y` leaves the shape of an array as it is, but not that of a number
                return self._kept_before(value, stage)
            node = ast.Name(value.name, ast.Load())
            self.kept.setdefault(value, []).append(node)
            return node
        producer = self._producers.get(value)
        if isinstance(producer, Relation) and (producer.span is None or _is_view(producer) or producer.gate in FREE):
            return _one_of(producer, value, spell(producer, self.like_operand, self.names))
        assert producer is not None
        return self._extra(self._hoist(value, producer))

    def _reads_changed(self, producer: Relation) -> bool:
        """Whether an opaque expression reads a dict that the pass writes to: it may not give the same again."""
        return any(arg in self.lowered.changed_dicts for arg in producer.args)

    def _of_changed_dict(self, producer: Relation) -> bool:
        """Whether this is an entry, under a key that is put together when the program runs, of a dict that changes."""
        return producer.gate == "entry" and len(producer.args) > 1 and producer.args[0] in self.lowered.changed_dicts

    def _is_entry(self, value: Value) -> bool:
        producer = self._producers.get(value)
        return isinstance(producer, Relation) and producer.gate == "entry" and len(producer.args) == 1

    def settle_sizes(self) -> None:
        """Fill in the sizes that were left open."""
        counts: dict[Dim, int] = {}
        for relation, _ in self._pending:
            if relation.gate == "dim" and relation.out.type.number is not None:
                counts[relation.out.type.number] = counts.get(relation.out.type.number, 0) + 1
        settled: dict[tuple[str, object], ast.expr] = {}
        self._settling = True
        for relation, hole in self._pending:
            match relation.gate:
                case "dim":
                    hole.expression = self._dim(relation, counts, settled)
                case _:
                    hole.expression = self._whole_shape(relation)

    def _dim(self, relation: Relation, counts: dict[Dim, int], settled: dict[tuple[str, object], ast.expr]) -> ast.expr:
        number = relation.out.type.number
        if number is not None and number.constant is not None:
            return ast.Constant(number.constant)
        own = relation.out.name if self._bearers.get(relation.out.name) == 1 else ""
        named = own or self._user_name(number)
        base = relation.args[0]
        if isinstance(base, Value) and (self.steps.path(base) or self.steps.is_param(base)):
            return spell(Relation((relation.out,), "dim", (base,), relation.attrs), self.like_operand, self.names)
        key = ("dim", number if number is not None else relation.out)
        if key in settled:
            return settled[key]
        source = self._source(relation, number)
        if source is None and named:
            value = next(
                v for v in self._producers if v.name == named and (v is relation.out or v.type.number == number)
            )
            expression: ast.expr = self._named(value)
        elif source is None:
            base = relation.args[0]
            assert isinstance(base, Value)
            expression = spell(Relation((relation.out,), "dim", (base,), relation.attrs), self.like_operand, self.names)
        elif relation.out in self.steps.conditional:
            # What stands in an arm need not have this rank the other way.
            return source
        elif named:
            self.preludes[named] = source
            self.scope.taken.add(named)
            expression = ast.Name(named, ast.Load())
        elif (
            number is not None
            and counts.get(number, 0) > 1
            and (symbol := number.as_symbol)
            and is_identifier(symbol)
            and symbol not in self.scope.taken
        ):
            self.preludes[symbol] = source
            self.scope.taken.add(symbol)
            expression = ast.Name(symbol, ast.Load())
        else:
            expression = source
        settled[key] = expression
        return expression

    def like_operand(self, operand: Operand) -> ast.expr:
        return self.operand(operand) if isinstance(operand, Literal) else self.like(operand)

    def _user_name(self, number: Dim | None) -> str:
        return "" if number is None else self._sizes.get(number, "")

    def _source(self, relation: Relation, number: Dim | None) -> ast.expr | None:
        """Something in the cache to read a size from: the array itself, else one that is known to agree."""
        base = relation.args[0]
        if isinstance(base, Value) and base in self.kept:
            return spell(Relation((relation.out,), "dim", (base,), relation.attrs), self.like_operand, self.names)
        if number is None:
            return None
        for value in list(self.kept):
            for axis, dim in enumerate(value.type.shape.front):
                if dim == number and value.type.kind is Kind.ARRAY and value not in self.unbound:
                    read = Relation((relation.out,), "dim", (value,), {"axis": axis})
                    return spell(read, self.like_operand, self.names)
        for name, gradient in self.upstream.items():
            for axis, dim in enumerate(gradient.type.shape.front):
                if dim == number and gradient.type.kind is Kind.ARRAY:
                    shape = ast.Attribute(ast.Name(name, ast.Load()), "shape", ast.Load())
                    return ast.Subscript(shape, ast.Constant(axis), ast.Load())
        return None

    def _whole_shape(self, relation: Relation) -> ast.expr:
        base = relation.args[0]
        assert isinstance(base, Value)
        base = self.simplest_like(base)
        if base not in self.kept and base not in self.hoisted:
            for value in list(self.kept):
                same = value.type.shape == base.type.shape and value.type.kind is Kind.ARRAY
                if same and value not in self.unbound:
                    base = value
                    break
            else:
                for name, gradient in self.upstream.items():
                    same = gradient.type.shape == base.type.shape and gradient.type.kind is Kind.ARRAY
                    if same and relation.gate == "shape":
                        return ast.Attribute(ast.Name(name, ast.Load()), "shape", ast.Load())
        return spell(Relation(relation.outs, relation.gate, (base,), relation.attrs), self.like_operand, self.names)

    # Values that forward writes over

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


def described_entry(relation: Relation) -> str:
    """An entry of a dict under a constant key, as the text has it."""
    base = relation.args[0]
    return f"{base.name if isinstance(base, Value) else base}[{relation.attrs['key']!r}]"


def _has_call(relation: Relation) -> bool:
    """Whether an opaque expression calls something: it may cost, and it may not give the same again."""
    tree = ast.parse(str(relation.attrs["text"]), mode="eval")
    calls = [part.func for part in ast.walk(tree) if isinstance(part, ast.Call)]
    return not all(_is_harmless(call) for call in calls)


def _is_harmless(call: ast.expr) -> bool:
    match call:
        case ast.Name(id=name):
            return name in ("len", "isinstance", "min", "str")
        case ast.Attribute(value=ast.Constant(value=str()), attr="format"):
            return True
        case ast.Attribute(attr="startswith" | "endswith"):
            return True  # of strings, the keys of a dict
    return False


def _one_of(producer: Relation, value: Value, expression: ast.expr) -> ast.expr:
    """One of several results: `np.split(x, 3)[1]`."""
    if len(producer.outs) == 1:
        return expression
    return ast.Subscript(expression, ast.Constant(producer.outs.index(value)), ast.Load())


class _Hole(ast.Name):
    """A place in an expression that is filled in later."""

    def __init__(self) -> None:
        super().__init__("_", ast.Load())
        self.expression: ast.expr = ast.Name("_", ast.Load())


class FillHoles(ast.NodeTransformer):
    """Replaces holes by what was found for them."""

    def visit__Hole(self, node: _Hole) -> ast.AST:
        found = self.visit(node.expression)
        assert isinstance(found, ast.AST)
        return found


def _is_view(relation: Relation) -> bool:
    if relation.gate == "read":
        index = relation.attrs["index"]
        return isinstance(index, tuple) and not any(
            isinstance(item, Value) and item.type.kind is not Kind.SCALAR for item in index
        )
    return relation.gate in TABLE and TABLE[relation.gate].view
