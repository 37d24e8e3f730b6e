"""Statements that bind names and change values: assignments, augmented ones, writes into arrays."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from typing import Protocol

from flatgrad.diagnostics import Diagnostic
from flatgrad.frontend.buffers import Buffers, Roots
from flatgrad.frontend.calls import CallLowering
from flatgrad.frontend.contracts import Contract, Unclear
from flatgrad.frontend.environment import (
    Binding,
    Closure,
    Collected,
    Dictionary,
    Element,
    Filled,
    Lowered,
    Poison,
    Static,
    Structure,
    values_of,
)
from flatgrad.frontend.source import Module, span_of
from flatgrad.ir.core import (
    UNBOUND,
    Attribute,
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
    Type,
    Value,
    bound_values,
)
from flatgrad.ir.rewrite import mapped


class Surroundings(Protocol):
    """What lowering may ask for: the module, the other functions of the file, and what earlier rounds found out.

    `kinds` answers the questions of an earlier round: what is the value that a statement changes in place?
    """

    @property
    def module(self) -> Module: ...
    @property
    def inlined(self) -> frozenset[str]: ...
    @property
    def kinds(self) -> Mapping[Span, Type]: ...
    def callee(self, name: str) -> Lowered: ...
    @property
    def described(self) -> frozenset[str]: ...
    def contract(self, name: str) -> Contract | Unclear: ...


class StatementLowering:
    """The state of one function while it is lowered, and the statements that are no control flow.

    Attributes:
        body: the steps of the block that is being filled.
        environment: what each name stands for at this point.
        live: the names that are read after the statement at hand.
        kept_unnamed: parts of a display that has a name of its own: naming one must not take it from the display.
    """

    def __init__(self, context: Surroundings) -> None:
        self.context = context
        self.module = context.module
        self.statement_at_hand: ast.stmt | None = None
        self.body: list[Step] = []
        self.environment: dict[str, Binding] = {}
        self.names: dict[Span, Value] = {}
        self.stages: list[Stage] = []
        self.buffers = Buffers()
        self.rewritten: dict[Stage, Value] = {}
        self.questions: dict[Span, Value] = {}
        self.kept_unnamed: set[Value] = set()
        # What the loop at hand collects in, and where the values are that it collects.
        self.collecting: frozenset[str] = frozenset()
        self.elements: dict[Value, Element] = {}
        self.errors: list[Diagnostic] = []
        self.stage: Stage | None = None
        self.live: frozenset[str] = frozenset()
        self.expressions = self.reader()

    def reader(self) -> CallLowering:
        """What reads the expressions of the statements."""
        context = self.context
        return CallLowering(
            context.module, context.callee, context.inlined, self.environment, self.names, self.emit, self.errors
        )

    def emit(self, step: Step, view: bool) -> None:
        """Append a step; `view` says that its results may share memory with its operands: that of a relation with the
        first one, those of a call as its own results do with its parameters."""
        step = replace(step, stage=self.stage)
        self.body.append(step)
        match step:
            case Call():
                self.buffers.call(step, self.context.callee(step.function))
            case Relation():
                self.buffers.relation(step, view)
            case Loop() | Branch():
                pass  # what they hand out is told where they are made

    def constant(self, literal: Literal, name: str = "", span: Span | None = None) -> Value:
        """A literal as a value."""
        value = Value(name, Type.open(name))
        self.emit(Relation((value,), "constant", (literal,), {}, None, span), view=False)
        return value

    # Binding

    def bind(self, target: ast.expr, bound: Binding, value: ast.expr) -> None:
        match target:
            case ast.Name(id=name):
                self._bind_name(target, name, bound, value)
            case ast.Tuple(elts=targets) | ast.List(elts=targets):
                items = self.expressions.unpack_into(bound, targets, value)
                counts = Counter(one for item in items for one in values_of(item))
                self.kept_unnamed |= {one for one, count in counts.items() if count > 1 and not one.name}
                for one, item in zip(targets, items, strict=True):
                    self.bind(one.value if isinstance(one, ast.Starred) else one, item, value)
            case ast.Subscript(value=ast.Name(id=name)) if isinstance(
                self.environment.get(name), Collected | Dictionary | Filled
            ):
                self.stored_at(target, self.environment[name], bound)
            case ast.Subscript(value=ast.Name(id=name), slice=index) if isinstance(
                self.environment.get(name), Structure
            ) and self.put_in_list(target, name, index, bound):
                pass
            case ast.Subscript(value=ast.Subscript(value=ast.Name(id=name)) as element, slice=index) if isinstance(
                self.environment.get(name), Collected | Dictionary
            ):
                self.written_inside(target, element, self.environment[name], index, bound)
            case ast.Subscript(value=ast.Name() as base, slice=index) if self.written_entry(target, base, index, bound):
                pass
            case ast.Subscript(slice=index) if self.expressions.is_text(index):
                self.no_dict(target)
            case ast.Subscript(value=ast.Name(id=name) as base, slice=index):
                template = self.expressions.index(index)
                if template is not None:
                    self._write(target, base, name, template, bound)
            case ast.Subscript(value=ast.Attribute(value=ast.Name() as base, attr="T"), slice=index) if self._is_array(
                base
            ):
                template = self.expressions.index(index)
                if template is not None:
                    self._write(target, base, base.id, template, bound, turned=self._turned(base))
            case ast.Subscript() if (array := self._array_of(target)) is not None:
                template = self._chained(target)
                if template is not None:
                    self._write(target, array, array.id, template, bound)
            case _:
                self.error(
                    "FG033",
                    "this target of an assignment is not understood",
                    target,
                    "",
                    "assign to a name, or to a part of an array that has a name: `a[i] = v`",
                )

    def _is_array(self, node: ast.Name) -> bool:
        return isinstance(self.environment.get(node.id), Value)

    def _turned(self, base: ast.Name) -> Value | None:
        """`x.T`, of which a part is written to."""
        old = self.expressions.name_operand(base)
        return self.expressions.transposed(old) if isinstance(old, Value) else None

    def put_in_list(self, target: ast.Subscript, name: str, index: ast.expr, bound: Binding) -> bool:
        """`states[0] = h`, of a list whose elements are known; False where it is not known which."""
        raise NotImplementedError

    def _array_of(self, target: ast.Subscript) -> ast.Name | None:
        """The array that `a[i][j]` is an element of."""
        node: ast.expr = target
        while isinstance(node, ast.Subscript):
            node = node.value
        known = self.environment.get(node.id) if isinstance(node, ast.Name) else None
        return node if isinstance(node, ast.Name) and isinstance(known, Value) else None

    def _chained(self, target: ast.Subscript) -> tuple[Attribute, ...] | None:
        """The index `i, j` that `a[i][j]` writes at. That is so for integers: `a[rows]` may be a copy, which the write
        would not leave, and of a slice `[j]` counts from its start."""
        inner = target.value
        if not isinstance(inner, ast.Subscript):
            return self.expressions.index(target.slice)
        before, last = self._chained(inner), self.expressions.index(target.slice)
        if before is None or last is None:
            return None
        nodes = inner.slice.elts if isinstance(inner.slice, ast.Tuple) else [inner.slice]
        own = before[len(before) - len(nodes) :]
        if not all(self._is_integer(item, node) for item, node in zip(own, nodes, strict=True)):
            self.error(
                "FG033",
                "this target of an assignment is not understood",
                inner,
                "it may be a copy, or count from elsewhere: only an index of integers is surely an element",
                "write one index: `a[i, j] = v`",
            )
            return None
        return (*before, *last)

    def _is_integer(self, item: Attribute, node: ast.expr) -> bool:
        if not isinstance(item, Value):
            return isinstance(item, int) and not isinstance(item, bool)
        span = span_of(self.module, node)
        self.questions[span] = item
        known = self.context.kinds.get(span)
        # Nothing is known of it in the first round, which asks.
        return not self.context.kinds or (known is not None and known.kind is Kind.SCALAR and known.dtype is DType.INT)

    def _bind_name(self, target: ast.Name, name: str, bound: Binding, value: ast.expr) -> None:
        before = self.environment.get(name)
        if not isinstance(bound, Value | Literal) and isinstance(before, Value | Collected | Filled):
            # No value takes the name over: what had it has it no longer.
            taken, span = Value(name, Type.open(name)), span_of(self.module, value)
            self.emit(Relation((taken,), "constant", (UNBOUND,), {"taken": True}, None, span), view=False)
        if isinstance(bound, Value):
            if (bound.name or bound in self.kept_unnamed) and not isinstance(bound, Poison):
                # `t = x`: one buffer under two names
                alias = Value(name, Type.open(name))
                self.emit(Relation((alias,), "alias", (bound,), {}, None, span_of(self.module, value)), view=True)
                self.buffers.alias(alias, bound)
                if bound in self.expressions.known:
                    self.expressions.known[alias] = self.expressions.known[bound]
                bound = alias
            else:
                bound = self.named(bound, name)
            self.names[span_of(self.module, target)] = bound
        elif isinstance(bound, Literal):
            constant = self.constant(bound, name, span_of(self.module, value))
            self.names[span_of(self.module, target)] = constant
            self.expressions.known[constant] = bound
            bound = constant
        elif isinstance(bound, Static):
            bound = Static(bound.path, name)
        elif isinstance(bound, Structure | Dictionary | Closure):
            self.kept_unnamed |= {item for item in values_of(bound) if not item.name}
        self.environment[name] = bound

    def named(self, value: Value, name: str) -> Value:
        """The value that the last steps computed, under the name that the user gives it."""
        if isinstance(value, Poison):
            return value
        named = Value(name, value.type)
        self.expressions.renamed(value, named)
        for position in range(len(self.body) - 1, -1, -1):
            step = self.body[position]
            if value in bound_values(step):
                outs = tuple(named if out is value else out for out in step.outs)
                self.body[position] = replace(step, outs=outs)
                # `h, c = step(h, c)`: what one result is made of may be the other one.
                for later in range(position + 1, len(self.body)):
                    reader = self.body[later]
                    if not isinstance(reader, Relation | Call) or value in reader.operands():
                        self.body[later] = mapped(reader, lambda one: named if one is value else one)
                break
        self.buffers.renamed(value, named)
        return named

    # Statements that change a value in place

    def augment(self, statement: ast.AugAssign) -> None:
        if isinstance(statement.target, ast.Name) and self.lengthened(statement, statement.target.id):
            return
        if self.changed_entry(statement):
            return
        right = self.expressions.operand(statement.value)
        gate = type(statement.op).__name__
        span = Span(
            span_of(self.module, statement.target).line,
            span_of(self.module, statement.target).column,
            span_of(self.module, statement.value).end_line,
            span_of(self.module, statement.value).end_column,
        )
        match statement.target:
            case (ast.Name(id=name) | ast.Subscript(value=ast.Name(id=name))) as target if isinstance(
                self.environment.get(name), Structure
            ):
                self.error(
                    "FG034",
                    f"{name} is a list or a tuple, not an array",
                    target,
                    "",
                    "make it an array: `np.array(...)`",
                )
            case ast.Subscript(value=ast.Name(id=name)) as target if isinstance(
                filled := self.environment.get(name), Filled
            ):
                self.added(target, filled, right, statement.op)
            case ast.Name(id=name) as target:
                old = self.expressions.name_operand(target)
                if isinstance(old, Poison) or isinstance(right, Poison):
                    self.environment[name] = Poison.at(name)
                    return
                new = self.expressions.apply_operator(gate, (old, right), span, into=True)
                if not isinstance(new, Value) or isinstance(new, Poison):
                    self.environment[name] = new
                    return
                named = self.named(new, name)
                if isinstance(old, Value):
                    self._changes(target, name, old, named)
                self.names[span_of(self.module, target)] = named
                self.environment[name] = named
            case ast.Subscript(value=ast.Attribute(value=ast.Name() as base, attr="T"), slice=index) as target if (
                self._is_array(base)
            ):
                template, turned = self.expressions.index(index), self._turned(base)
                if template is None or turned is None or isinstance(turned, Poison) or isinstance(right, Poison):
                    return
                read = self.expressions.read(turned, template)
                total = self.expressions.apply_operator(gate, (read, right), None, into=False)
                self._write(target, base, base.id, template, total, span, turned=turned)
            case ast.Subscript(slice=index) as target if self.expressions.is_text(index):
                self.no_dict(target)
            case ast.Subscript() as target if (array := self._array_of(target)) is not None:
                # Neither the element nor the sum stands in the text as an expression that could be named.
                template = self._chained(target)
                name, old = array.id, self.expressions.name_operand(array)
                if (
                    template is None
                    or not isinstance(old, Value)
                    or isinstance(old, Poison)
                    or isinstance(right, Poison)
                ):
                    return
                read = self.expressions.read(old, template)
                total = self.expressions.apply_operator(gate, (read, right), None, into=False)
                self._write(target, array, name, template, total, span)
            case _:
                self.error(
                    "FG033",
                    "this target of an assignment is not understood",
                    statement.target,
                    "",
                    "assign to a name, or to a part of an array that has a name: `a[i] += v`",
                )

    def _write(
        self,
        target: ast.expr,
        base: ast.Name,
        name: str,
        template: tuple[Attribute, ...],
        bound: Binding,
        span: Span | None = None,
        mode: str = "",
        turned: Value | None = None,
    ) -> None:
        """`name[template] = bound`. `mode`: added to what is there (`add`, `subtract`, where an element that the index
        names twice is changed twice), or put on the `diagonal`. `turned`: the index is one of `name.T`, which this is.
        """
        if isinstance(self.environment.get(name), Structure):
            self.error(
                "FG034", f"{name} is a list or a tuple, not an array", base, "", "make it an array: `np.array(...)`"
            )
            return
        old = self.expressions.name_operand(base)
        if isinstance(old, Poison) or isinstance(bound, Poison):
            return
        if not isinstance(old, Value):
            self.error(
                "FG034",
                f"{name} is not an array",
                base,
                "a part of it is written to",
                "make it an array first: `np.array(...)`",
            )
            return
        if isinstance(bound, Structure):
            bound = self.expressions.as_operand(bound, target)
        if not isinstance(bound, Value | Literal):
            self.error("FG034", "this cannot be written into an array", target, "", "")
            return
        new = Value(name, Type.open(name))
        attrs: dict[str, Attribute] = {"index": template, "mode": mode} if mode else {"index": template}
        span = span or span_of(self.module, target)
        if turned is None:
            self.emit(Relation((new,), "write", (old, bound), attrs, None, span), view=False)
        else:
            written = Value("", Type.open(name))
            self.emit(Relation((written,), "write", (turned, bound), attrs, None, None), view=False)
            new = self.named(self.expressions.transposed(written), name)
        self._changes(base, name, old, new, always_array=True)
        self.names[span_of(self.module, base)] = old
        self.environment[name] = new

    def _changes(self, target: ast.Name, name: str, old: Value, new: Value, always_array: bool = False) -> None:
        """`old`'s buffer now holds `new`: tell every other name that sees the same buffer, or refuse."""
        assert self.stage is not None
        span = span_of(self.module, target)
        known = self.context.kinds.get(span)
        scalar = known is not None and known.kind is Kind.SCALAR
        array = always_array or (known is not None and known.kind is Kind.ARRAY)
        self.questions[span] = old
        if scalar:
            return
        roots = self.buffers.of(old)
        lender = next((self.buffers.lent[root] for root in roots if root in self.buffers.lent), None)
        if lender is not None and (array or known is not None or self.context.kinds):
            self.error(
                "FG043",
                f"this changes what {lender} was given and handed back",
                target,
                f"the backward pass of {lender} may need it as it was",
                f"write `{name} = {name}.copy()` before, or compute a new array instead",
            )
        # What is stored in a dict that the program is given goes under a name that no text has: `d['h']`.
        entries = {other for other in self.environment if other.endswith(("']", '"]'))}
        for other in sorted((self.live | entries) - {name}):
            value = self.environment.get(other)
            if isinstance(value, Collected) and self._collects(value, roots) and (array or known or self.context.kinds):
                self.error(
                    "FG041",
                    f"this changes what {other} holds as well",
                    target,
                    f"{name} is collected in {other}, round by round, and changed in place: it may be one array, stored"
                    " more than once",
                    f"collect a copy, `{name}.copy()`, or compute a new array instead: `{name} = {name} + ...`",
                )
            if isinstance(value, Structure | Dictionary | Closure | Filled) and self.buffers.held(value, roots):
                self.error(
                    "FG041",
                    f"this changes what {other} holds as well",
                    target,
                    f"{name} is in {other}, which is read afterwards",
                    f"write `{name} = {name}.copy()` before, or compute a new array instead",
                )
            if not isinstance(value, Value) or not roots & self.buffers.of(value):
                continue
            if not self.buffers.same(old, value):
                if not array and known is None and not self.context.kinds:
                    continue  # the next round knows whether it is a number, which nothing changes
                self.error(
                    "FG041",
                    f"this changes {other} as well",
                    target,
                    f"{name} and {other} may share memory, and {other} is read afterwards",
                    f"write `{name} = {name}.copy()` before, or compute a new array instead",
                )
            elif array:
                self.environment[other] = new
            elif known is not None or self.context.kinds:
                self.error(
                    "FG040",
                    f"whether this changes {other} as well depends on what {name} is",
                    target,
                    f"{name} and {other} are one array, or two numbers",
                    f'say what it is, as in `{name}: float` or `{name}: "N"`, or write `{name} = {name} + ...`',
                )
        self.buffers.written(old, new, self.stage)
        self.rewritten[self.stage] = new

    def given_away(self, value: Value) -> bool:
        """Whether a function that writes into a value may be given it, which is overwritten then: no name that is read
        afterwards sees its buffer, and none that the statement reads twice."""
        assert self.stage is not None
        roots = self.buffers.of(value)
        if any(root in self.buffers.lent for root in roots):
            return False
        for name, bound in self.environment.items():
            held = self._collects(bound, roots) if isinstance(bound, Collected) else self.buffers.held(bound, roots)
            if held and (name in self.live or self._reads_of(name) > 1 or not isinstance(bound, Value)):
                return False
        self.buffers.written(value, Value("", value.type), self.stage)
        return True

    def _reads_of(self, name: str) -> int:
        """How often the statement at hand reads a name."""
        assert self.statement_at_hand is not None
        return sum(
            isinstance(part, ast.Name) and part.id == name and isinstance(part.ctx, ast.Load)
            for part in ast.walk(self.statement_at_hand)
        )

    def _collects(self, binding: Collected, roots: Roots) -> bool:
        """Whether something that a loop has collected may share memory with these."""
        entries = (self.environment.get(entry) for entry in (binding.last, binding.before, binding.every))
        return any(self.buffers.held(entry, roots) for entry in entries if entry is not None)

    def no_dict(self, target: ast.Subscript) -> None:
        self.error(
            "FG030",
            f"{ast.unparse(target)} is an entry of a dict that cannot be followed here",
            target,
            "which dict this is, or what is in it, is known only when the program runs",
            "keep what is stored in a variable, and store it once, in no loop and no branch",
        )

    def lengthened(self, statement: ast.AugAssign, name: str) -> bool:
        raise NotImplementedError

    def changed_entry(self, statement: ast.AugAssign) -> bool:
        raise NotImplementedError

    def stored_at(self, target: ast.Subscript, binding: Binding, bound: Binding) -> None:
        raise NotImplementedError

    def added(self, target: ast.Subscript, base: Filled, change: Operand, op: ast.operator) -> None:
        raise NotImplementedError

    def written_entry(self, target: ast.Subscript, base: ast.Name, index: ast.expr, bound: Binding) -> bool:
        raise NotImplementedError

    def written_inside(
        self, target: ast.Subscript, element: ast.Subscript, binding: Binding, index: ast.expr, bound: Binding
    ) -> None:
        raise NotImplementedError

    # Errors

    def error(self, code: str, message: str, node: ast.AST, label: str, help: str) -> None:
        span = span_of(self.module, node)
        if span.end_line > span.line:
            first = self.module.lines[span.line - 1]
            span = Span(span.line, span.column, span.line, len(first.rstrip()))
        self.errors.append(Diagnostic(code, message, span, label, help))
