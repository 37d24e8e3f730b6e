"""Calls of other differentiated functions in forward: they hand out a cache besides their results."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence

from flatgrad.diagnostics import Diagnostic, Refused
from flatgrad.emit.callee import Callee
from flatgrad.emit.forward_plan import ForwardWriting, copy_text
from flatgrad.frontend.source import span_of
from flatgrad.ir.core import Call, Kind, Operand, Relation, Span, Stage, Value, every_step


class CallEditing(ForwardWriting):
    """Edits calls."""

    def _edit_call(self, step: Call) -> None:
        assert step.span is not None
        assert step.stage is not None
        if step in self.plan.plain_calls:
            self._rename_call(step.span, self.plan.plain_calls[step])
            own = self.residuals.lifted | self.residuals.hoisted
            (name,) = [own.get(out) for out in step.outs] if len(step.outs) == 1 else [None]
            if name is not None:
                self.before.setdefault(step.stage, []).append(
                    f"{name} = {self._on_one_line(self.edits.rendered(step.span))}"
                )
                self.edits.replace(step.span, name)
            return
        if step not in self.plan.calls:
            return
        callee, cache = self.plan.calls[step]
        named_results = {result.position: name for result, name in self.plan.results}
        returned = {one.value: one.position for one in self.lowered.returns.get(step.stage, ())}
        outs = [
            self.residuals.hoisted.get(out)
            or self.names.get(out, out.name)
            or (named_results.get(returned[out], "") if out in returned else "")
            for out in step.outs
        ]
        self._protect_arguments(step)
        text = self._call_text(step.span, callee.forward)
        for out, name in zip(step.outs, outs, strict=True):
            if name and self._written_later(out):
                self.after.setdefault(step.stage, []).append(f"{name} = {copy_text(name, out)}")
        statement = self._statement(step.stage)
        whole = (
            isinstance(statement, ast.Assign)
            and span_of(self.module, statement.value) == step.span
            and len(statement.targets) == 1
        )
        if whole and isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name | ast.Tuple):
            target = statement.targets[0]
            parts = target.elts if isinstance(target, ast.Tuple) else [target]
            fitting = len(parts) == callee.width and isinstance(target, ast.Tuple) == (callee.width > 1)
            if fitting and all(isinstance(part, ast.Name) for part in parts):
                kept = [self.edits.rendered(span_of(self.module, parts[k])) for k in callee.positions]
                names = ", ".join([*kept, cache])
                self._keep_cache(parts, callee, cache, step.stage)
                if self.edits.rendered(span_of(self.module, target)).strip("()") != names:
                    self.edits.replace(span_of(self.module, target), names)
                self.edits.replace(step.span, text)
                return
        hidden = self.residuals.scope
        for subscript, position in self._elements(step.span):
            match statement:
                case ast.Assign(targets=[ast.Name() as target], value=ast.Subscript() as taken) if (
                    span_of(self.module, taken) == subscript and position in callee.positions
                ):
                    named = [out or "_" for out in outs]
                    named[callee.positions.index(position)] = self.edits.rendered(span_of(self.module, target))
                    self.edits.replace(span_of(self.module, target), ", ".join([*named, cache]))
                    self.edits.replace(subscript, text)
                    return
        named = [out or hidden.take(step.function.removesuffix("_forward")) for out in outs]
        self.before.setdefault(step.stage, []).append(f"{', '.join(named)}, {cache} = {self._on_one_line(text)}")
        if callee.width == 1:
            self.edits.replace(step.span, named[0])
            return
        for subscript, position in self._elements(step.span):
            if position in callee.positions:
                self.edits.replace(subscript, named[callee.positions.index(position)])
                return
        items = ["None"] * callee.width
        for position, name in zip(callee.positions, named, strict=True):
            items[position] = name
        self.edits.replace(step.span, f"({', '.join(items)})")

    def _keep_cache(self, parts: Sequence[ast.expr], callee: Callee, cache: str, stage: Stage) -> None:
        """The user's own variable of a cache that gets another name, where a statement that stays reads it."""
        old = parts[-1]
        if not isinstance(old, ast.Name) or callee.width - 1 in callee.positions or old.id == cache:
            return
        for statement in self.lowered.node.body:
            if isinstance(statement, ast.Return) or self._is_unread(statement):
                continue
            reads = [part for part in ast.walk(statement) if isinstance(part, ast.Name) and part.id == old.id]
            if any(isinstance(part.ctx, ast.Load) for part in reads):
                self.after.setdefault(stage, []).append(f"{old.id} = {cache}")
                return

    def _elements(self, call: Span) -> Iterator[tuple[Span, int]]:
        """`f(x)[0]`, where one element is taken of what a call returns at once: the whole, and the position."""
        for node in ast.walk(self.lowered.node):
            match node:
                case ast.Subscript(value=ast.Call() as inner, slice=ast.Constant(value=int() as position)):
                    if span_of(self.module, inner) == call:
                        yield span_of(self.module, node), position

    def _written_later(self, value: Value) -> bool:
        return value in self.lowered.overwritten and value.type.kind is not Kind.SCALAR

    def _changed_first_by(self, value: Operand, step: Call) -> bool:
        return isinstance(value, Value) and self.lowered.overwritten.get(value) is step.stage

    def _protect_arguments(self, step: Call) -> None:
        """The callee's cache may hold what it is given: an array that is written to later is handed over as a copy."""
        assert step.span is not None
        # What this call itself changes is looked after by the function that does.
        callee, _ = self.plan.calls[step]
        changed = {step.args[k] for k in callee.changes if self._changed_first_by(step.args[k], step)}
        written = {value for value in step.operands() if self._written_later(value)} - changed
        if not written:
            return
        start, end = self.edits.bounds(step.span)
        found: set[Value] = set()
        places = dict(self.lowered.names)
        steps = every_step(self.lowered.function.block)
        places |= {s.span: s.out for s in steps if isinstance(s, Relation) and s.span}
        for span, value in places.items():
            low, high = self.edits.bounds(span)
            if value in written and start < low and high <= end and self._is_argument(step.span, span):
                self.edits.replace(span, copy_text(self.edits.rendered(span), value))
                found.add(value)
        if written - found:
            # `f(*args)`: what is written to later has no place in the call.
            raise Refused(
                (
                    Diagnostic(
                        "FG043",
                        f"what {step.function} is given here is changed in place later",
                        step.span,
                        f"the backward pass of {step.function} may need it as it was",
                        "write the arguments out, one by one",
                    ),
                )
            )

    def _is_argument(self, call: Span, argument: Span) -> bool:
        for node in ast.walk(self.lowered.node):
            if isinstance(node, ast.Call) and span_of(self.module, node) == call:
                given = [*node.args, *(keyword.value for keyword in node.keywords)]
                return any(span_of(self.module, one) == argument for one in given)
        return False

    def _call_text(self, span: Span, function: str) -> str:
        text = self.edits.inner(span)
        return function + text[text.index("(") :]

    def _rename_call(self, span: Span, function: str) -> None:
        text = self.edits.inner(span)
        opening = text.index("(")
        name, bracket, part = function.partition("[")
        if text[:opening].strip() != function:
            self.edits.replace(span, name + text[opening:] + bracket + part)
