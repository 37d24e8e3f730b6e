"""The text of a forward function: the user's own statements, numbered, with the lines that backward needs named."""

from __future__ import annotations

import ast
import keyword
import re
import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from flatgrad.diagnostics import Diagnostic, Refused
from flatgrad.emit.callee import Callee
from flatgrad.emit.claimed import claim_checks
from flatgrad.emit.edits import Edits
from flatgrad.emit.names import Scope
from flatgrad.emit.rebound import rebound_in_arms
from flatgrad.emit.residuals import Residuals
from flatgrad.emit.spell import literal, spell
from flatgrad.frontend.environment import Lowered, Result
from flatgrad.frontend.methods import MARK
from flatgrad.frontend.regions import is_check
from flatgrad.frontend.source import Module, header_end, span_of, text_at
from flatgrad.gates.entry import has_effect
from flatgrad.ir.core import (
    Branch,
    Call,
    Kind,
    Literal,
    Loop,
    Operand,
    Relation,
    Span,
    Stage,
    Value,
    bound_values,
    every_step,
    inner_blocks,
)


@dataclass(frozen=True, slots=True)
class ForwardText:
    """`signature` is what stands between the parentheses; `lines` the body without indentation."""

    signature: str
    docstring: str | None
    lines: tuple[str, ...]
    results: tuple[str, ...]
    returned: tuple[str, ...]


def numbered(lowered: Lowered) -> dict[Stage, int]:
    """A number for each statement that computes something that can carry a gradient."""
    computing = {
        step.stage
        for step in every_step(lowered.function.block)
        if isinstance(step, Relation | Call)
        and not (isinstance(step, Relation) and step.gate in ("collection", "constant") and step.span is None)
        and step.stage is not None
        and any(out.type.dtype.differentiable for out in step.outs)
    }
    numbers: dict[Stage, int] = {}
    for stage in lowered.stages:
        if stage in computing:
            numbers[stage] = len(numbers) + 1
    return numbers


@dataclass(frozen=True, slots=True)
class Labels:
    """What each version of a name is called, what the version before it was, and versions that are kept aside under a
    name of their own before the name is bound again."""

    names: dict[Value, str]
    previous: dict[Value, str]
    aside: dict[Value, str]


def _origins(lowered: Lowered, residuals: Residuals) -> Callable[[Value], Value]:
    """For each value, the one whose object it is: writes into an array leave it what it is."""
    producers = {out: step for step in every_step(lowered.function.block) for out in bound_values(step)}

    def origin(value: Value) -> Value:
        step = producers.get(value)
        match step:
            case Relation(gate="write"):
                base = step.args[0]
                return origin(base) if isinstance(base, Value) else value
            case Relation() if step.attrs.get("into") and value.type.kind is Kind.ARRAY:
                base = step.args[0]
                return origin(base) if isinstance(base, Value) and step.stage not in residuals.apart else value
            case Loop() if value in step.outs:
                position = step.outs.index(value)
                if origin(step.handed[position]) is step.carried[position]:
                    return origin(step.inits[position])
            case Branch():
                position = step.outs.index(value)
                one, other = (origin(arm.results[position]) for arm in step.arms)
                return one if one is other else value
        return value

    return origin


def unread_names(lowered: Lowered) -> frozenset[str]:
    """Names of displays and constants that nothing reads but a result that falls away: `cache = (x, w, b)`."""
    kept = {result.position for result in lowered.results}
    read: set[str] = set()
    bound: dict[str, int] = {}
    plain: dict[str, int] = {}
    for statement in lowered.node.body:
        returned = statement.value if isinstance(statement, ast.Return) else None
        parts: list[ast.AST] = [statement]
        if isinstance(returned, ast.Tuple):
            parts = [element for position, element in enumerate(returned.elts) if position in kept]
        for part in (inner for one in parts for inner in ast.walk(one)):
            if isinstance(part, ast.Name):
                if isinstance(part.ctx, ast.Load):
                    read.add(part.id)
                else:
                    bound[part.id] = bound.get(part.id, 0) + 1
        match statement:
            case ast.Assign(
                targets=[ast.Name(id=name)], value=ast.Tuple() | ast.List() | ast.Dict() | ast.Constant(value=None)
            ):
                if MARK not in name:
                    plain[name] = statement.lineno
    drawn = {step.stage.span.line for step in every_step(lowered.function.block) if step.stage and has_effect(step)}
    return frozenset(
        name for name, line in plain.items() if name not in read and bound[name] == 1 and line not in drawn
    )


def labels(lowered: Lowered, residuals: Residuals, scope: Scope) -> Labels:
    """What each version of a name is called: a later one gets a suffix where an earlier one is still needed.

    In loops and branches names stay what they are: where one of them is bound again there, the version before it that
    is still needed gets another name at once.
    """
    previous: dict[Value, str] = {}
    params = lowered.function.block.params
    found: dict[Value, str] = {param: param.name for param in params}
    current = {param.name: param.name for param in params}
    kept_under: set[str] = {param.name for param in params if param in residuals.kept}
    in_place = {value: stage for stage, value in lowered.rewritten.items()}
    nested: dict[str, list[Value]] = {}
    bound_at: dict[Value, int] = {}
    for position, step in enumerate(lowered.function.block.body):
        bound_at |= dict.fromkeys(bound_values(step), position)
        for inner in (one for block in inner_blocks(step) for one in every_step(block)):
            for value in bound_values(inner):
                nested.setdefault(value.name, []).append(value)
                bound_at[value] = position
        for value in bound_values(step):
            if isinstance(step, Loop | Branch):
                nested.setdefault(value.name, [])
            if MARK in value.name:  # what others see on an object is called what the user calls it, too
                nested.setdefault(value.name, [])
    kept_aside: dict[Value, str] = {}
    origin = _origins(lowered, residuals)
    bearers: dict[str, list[Value]] = {param.name: [param] for param in params}
    for step in lowered.function.block.body:
        for out in bound_values(step):
            if not out.name:
                continue
            bearers.setdefault(out.name, []).append(out)
            label = current.get(out.name)
            previous[out] = label or out.name
            stage = in_place.get(out)
            same_buffer = stage is not None and stage not in residuals.apart and out.type.kind is not Kind.SCALAR
            if label is None or out.name in nested:
                label = out.name
            elif label in kept_under and not same_buffer:
                label = scope.take(out.name)
            current[out.name] = label
            found[out] = label
            if out in residuals.kept:
                kept_under.add(label)
    for name in nested.keys() & bearers.keys():
        for value in bearers[name]:
            # What a loop binds for its own rounds alone is bound for what comes after it all the same.
            again = [one for one in nested[name] if bound_at[one] > bound_at.get(value, -1)]
            others = again if value is bearers[name][-1] else [*bearers[name], *again]
            if value in residuals.kept and any(origin(later) is not origin(value) for later in others):
                kept_aside[value] = scope.take(f"{name}_in" if value in params else f"{name}_first")
    for value in rebound_in_arms(lowered.function.block, residuals.kept, residuals.steps.conditional, origin):
        kept_aside[value] = scope.take(f"{value.name}_first")
    return Labels(found, previous, kept_aside)


@dataclass(frozen=True, slots=True)
class ForwardPlan:
    """What a forward function gains.

    Attributes:
        names: what each named value is called.
        previous: what its name was called before.
        results: the results that are kept, and what they are called.
        calls: for each call that is differentiated, its function and the name of its cache.
        plain_calls: for each other call, how the function is called.
        cache: the names in the cache.
        guards: the lines at its head.
        floating: arrays that must not hold integers when a stage writes into them.
        aside: values that are kept under another name, as theirs is bound again.
        prepared: names in the cache that one way through the function leaves unbound, by the stage that may bind them.
    """

    names: Mapping[Value, str]
    previous: Mapping[Value, str]
    results: tuple[tuple[Result, str], ...]
    calls: Mapping[Call, tuple[Callee, str]]
    plain_calls: Mapping[Call, str]
    cache: tuple[str, ...]
    guards: tuple[str, ...]
    floating: Mapping[Stage, Value]
    aside: Mapping[Value, str]
    prepared: Mapping[Stage, tuple[str, ...]]
    bound_at: Mapping[str, frozenset[Stage]]


def write_forward(module: Module, lowered: Lowered, residuals: Residuals, plan: ForwardPlan) -> ForwardText:
    """Write the forward function."""
    return _ForwardWriter(module, lowered, residuals, plan).write()


class _ForwardWriter:
    def __init__(self, module: Module, lowered: Lowered, residuals: Residuals, plan: ForwardPlan) -> None:
        self.module = module
        self.lowered = lowered
        self.residuals = residuals
        self.plan = plan
        self.names = plan.names
        self.unread = unread_names(lowered)
        self.edits = Edits(module.text)
        self.before: dict[Stage, list[str]] = {}
        self.after: dict[Stage, list[str]] = {}
        self.heads: dict[Stage, list[str]] = {}
        self.tails: dict[Stage, list[str]] = {}
        self.numbers = numbered(lowered)
        self.statements = {
            span_of(module, statement): statement
            for statement in ast.walk(lowered.node)
            if isinstance(statement, ast.stmt)
        }
        self.stages = {stage.span: stage for stage in lowered.stages}
        self.changes = {
            step.stage: step
            for step in every_step(lowered.function.block)
            if isinstance(step, Relation) and step.stage is not None and step.attrs.get("into")
        }

    def write(self) -> ForwardText:
        # `a = b; b += 1` makes of a what b is: where a is called otherwise now, b is what is read.
        self.renamed = {value.name for value, label in self.names.items() if label != value.name}
        for span, value in self.lowered.names.items():
            if self._label(text_at(self.module, span), value) is not None:
                self.edits.replace(span, self.names.get(value, value.name))
        self._edit_strings()
        self._edit_steps()
        self._check_claims()
        for hoist in self.residuals.hoists:
            if hoist.mask is not None:
                self.after.setdefault(hoist.stage, []).append(f"{hoist.name} = {self._mask_text(hoist.mask)}")
        heads = []
        producers = {out: step for step in every_step(self.lowered.function.block) for out in bound_values(step)}
        copies = [
            (value, name, _copied(self.names.get(value, value.name), value))
            for value, name in self.residuals.copies.items()
        ]
        copies += [(value, name, self.names.get(value, value.name)) for value, name in self.plan.aside.items()]
        for value, name, text in copies:
            line = f"{name} = {text}"
            producer = producers.get(value)
            if producer is None or producer.stage is None:
                heads.append(line)
            else:
                self.after.setdefault(producer.stage, []).append(line)
        for stage, value in self.plan.floating.items():
            self.before.setdefault(stage, []).extend(_floating_guard(self.names.get(value, value.name)))
        self._collect()
        lines = [*self.plan.guards, *heads, *self._body()]
        return ForwardText(
            self._signature(),
            ast.get_docstring(self.lowered.node),
            tuple(lines),
            tuple(name for _, name in self.plan.results),
            self.plan.cache,
        )

    def _label(self, name: str, value: Value) -> str | None:
        """What a name in the text is to be called, None if as it is."""
        label = self.names.get(value, value.name)
        return label if label != value.name or (name != value.name and name in self.renamed) else None

    def _edit_strings(self) -> None:
        """Names inside f-strings, which Python does not place well: where one changes, the string is rewritten."""
        for part in ast.walk(self.lowered.node):
            if not isinstance(part, ast.JoinedStr):
                continue
            inner = [one for one in ast.walk(part) if isinstance(one, ast.Name)]
            values = {one.id: self.lowered.names.get(span_of(self.module, one)) for one in inner}
            labels = {name: self._label(name, value) for name, value in values.items() if value is not None}
            changed = {name: label for name, label in labels.items() if label is not None}
            if changed:
                text = _Renaming(changed).visit(ast.parse(ast.unparse(part), mode="eval").body)
                self.edits.replace(span_of(self.module, part), ast.unparse(text))

    def _edit_steps(self) -> None:
        """Calls and hoists, in the order of evaluation: the inner ones are edited before the outer are read."""
        hoists = {hoist.value: hoist for hoist in self.residuals.hoists if hoist.value is not None}
        for step in every_step(self.lowered.function.block):
            if step.span is None or step.stage is None or isinstance(step, Loop):
                continue
            if isinstance(step, Call):
                self._edit_call(step)
            for out in step.outs:
                hoist = hoists.get(out)
                if hoist is None:
                    continue
                if isinstance(step, Relation | Branch):
                    text = self._on_one_line(self.edits.inner(step.span))
                    place = hoist.name
                    if isinstance(step, Relation) and step.gate == "array_of" and text[:1] in "[(":
                        text = f"{self.residuals.names.numpy}.array({text})"
                    if len(step.outs) > 1:
                        text, place = f"{text}[{step.outs.index(out)}]", ""
                    if hoist.copied and self.lowered.roots.get(out) == frozenset((out,)):
                        # The name keeps the value, what is written to later is a copy.
                        place = _copied(hoist.name, out)
                    elif hoist.copied:
                        text, place = _copied(text, out), ""
                    self.before.setdefault(step.stage, []).append(f"{hoist.name} = {text}")
                    if place:
                        self.edits.replace(self._with_parentheses(step.span), place)

    def _check_claims(self) -> None:
        """What is claimed of entries and settings of dicts is checked where they are read."""
        checks = claim_checks(
            self.lowered,
            self.names,
            lambda span: self._on_one_line(self.edits.rendered(span)),
            self.residuals.names.numpy,
        )
        for found, lines in ((checks.before, self.before), (checks.after, self.after)):
            for stage, texts in found.items():
                lines.setdefault(stage, []).extend(texts)

    def _with_parentheses(self, span: Span) -> Span:
        """The span with the parentheses around it, which a name does not need; those of a call are not around it."""
        while span.line == span.end_line:
            line = self.module.lines[span.line - 1]
            before, after = line[: span.column].rstrip(), line[span.end_column :]
            inner = after.lstrip()
            if not (before.endswith("(") and inner.startswith(")")) or _is_called(before[:-1]):
                break
            span = Span(span.line, len(before) - 1, span.line, span.end_column + len(after) - len(inner) + 1)
        return span

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
                self.after.setdefault(step.stage, []).append(f"{name} = {_copied(name, out)}")
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

    def _protect_arguments(self, step: Call) -> None:
        """The callee's cache may hold what it is given: an array that is written to later is handed over as a copy."""
        assert step.span is not None
        written = {value for value in step.operands() if self._written_later(value)}
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
                self.edits.replace(span, _copied(self.edits.rendered(span), value))
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

    def _statement(self, stage: Stage) -> ast.stmt:
        return self.statements[stage.span]

    def _mask_text(self, mask: Relation) -> str:
        def operand(one: Operand) -> ast.expr:
            return literal(one) if isinstance(one, Literal) else ast.Name(self.names.get(one, one.name), ast.Load())

        return ast.unparse(spell(mask, operand, self.residuals.names))

    def _on_one_line(self, text: str) -> str:
        return ast.unparse(ast.parse(f"({text})", mode="eval")) if "\n" in text else text

    # Loops

    def _collect(self) -> None:
        """The lines that keep values of the rounds of loops."""
        steps = self.residuals.steps
        for stage, names in self.plan.prepared.items():
            self.before.setdefault(stage, []).extend(f"{name} = None" for name in names)
        for store in steps.stores:
            around = store.loops[0].stage
            assert around is not None
            empty = f"[{store.begins}]" if store.is_list else "{}"
            self.before.setdefault(around, []).append(f"{store.name} = {empty}")
        for loop, name in steps.counters.items():
            assert loop.stage is not None
            self.before.setdefault(loop.stage, []).append(f"{name} = 0")
            where = self.tails if steps.counts_at_end(loop) else self.heads
            where.setdefault(loop.stage, []).append(f"{name} += 1")
        hoisted = {hoist.name: hoist for hoist in self.residuals.hoists if hoist.value is not None}
        for line in steps.lines:
            if line.head_of is not None:
                assert line.head_of.stage is not None
                self.heads.setdefault(line.head_of.stage, []).append(line.text)
                continue
            assert line.stage is not None
            hoist = hoisted.get(line.hoisted)
            where = self.before if hoist is not None else self.after
            where.setdefault(line.stage, []).append(line.text)
        for loop, name in steps.enumerated.items():
            statement = self.statements[loop.span] if loop.span is not None else None
            assert isinstance(statement, ast.For)
            target, over = span_of(self.module, statement.target), span_of(self.module, statement.iter)
            inner = self.edits.rendered(target)
            inner = f"({inner})" if isinstance(statement.target, ast.Tuple) and not inner.startswith("(") else inner
            self.edits.replace(target, f"{name}, {inner}")
            sequence = statement.iter
            while loop.backwards and isinstance(sequence, ast.Call):
                # The rounds are counted as the sequence runs, not as the loop does.
                called, sequence = sequence.func, sequence.args[0]
                if isinstance(called, ast.Name) and called.id == "reversed":
                    break
            numbered = f"enumerate({self.edits.rendered(span_of(self.module, sequence))})"
            self.edits.replace(over, f"reversed(list({numbered}))" if loop.backwards else numbered)

    # The body

    def _body(self) -> list[str]:
        node = self.lowered.node
        start = 1 if ast.get_docstring(node) is not None else 0
        first = span_of(self.module, node.body[0]).end_line + 1 if start else self._header_end()
        return self._statements(node.body[start:], first)

    def _statements(self, statements: list[ast.stmt], first: int) -> list[str]:
        """Statements of one block with the comments between them; `first` is the line that these may begin at."""
        lines: list[str] = []
        for statement in statements:
            span = span_of(self.module, statement)
            stage = self.stages.get(span)
            if stage is not None or isinstance(statement, ast.Raise):
                # What is said above the user's own backward code goes with it.
                lines.extend(self._between(first, span.line))
            lines.extend(self._statement_lines(statement, span, stage))
            first = span.end_line + 1
        return lines

    def _compound(
        self, statement: ast.For | ast.While | ast.If | ast.With, stage: Stage, keyword: str = ""
    ) -> list[str]:
        """A loop, an `if` or a `with`: its head as it is written, its blocks one level in."""
        span = span_of(self.module, statement)
        line, column = header_end(self.module, statement)
        head = textwrap.dedent(self.edits.rendered(Span(span.line, span.column, line, column)))
        if keyword and not head.startswith(keyword):
            head = keyword + head.partition("if")[2]
        note = self._trailing(line, column, "")
        lines = [*(head + note).split("\n")]
        inner = [*self.heads.get(stage, []), *self._statements(statement.body, line + 1), *self.tails.get(stage, [])]
        lines += _indented(inner or ["pass"])
        if isinstance(statement, ast.With) or not statement.orelse:
            return lines
        end = span_of(self.module, statement.body[-1]).end_line
        other = statement.orelse[0]
        other_span = span_of(self.module, other)
        own_line = self.module.lines[other_span.line - 1][other_span.column :]
        other_stage = self.stages.get(other_span)
        if len(statement.orelse) == 1 and isinstance(other, ast.If) and own_line.startswith("elif") and other_stage:
            if not self.before.get(other_stage) and not self.after.get(other_stage):
                return lines + self._compound(other, other_stage, "elif")
            nested = [*self.before.get(other_stage, []), *self._compound(other, other_stage, "if")]
            return [*lines, "else:", *_indented([*nested, *self.after.get(other_stage, [])])]
        return [*lines, "else:", *_indented(self._statements(statement.orelse, end + 2))]

    def _trailing(self, line: int, column: int, number: str) -> str:
        comment = self.module.comments.get(line)
        note = comment.text.lstrip("#").strip() if comment is not None and comment.column >= column else ""
        tail = " ".join(part for part in (number, note) if part)
        return f"  # {tail}" if tail else ""

    def _header_end(self) -> int:
        arguments = self.lowered.node.args
        last = max(
            [
                self.lowered.node.lineno,
                *(a.end_lineno or 0 for a in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)),
            ]
        )
        return last + 1

    def _between(self, first: int, last: int) -> list[str]:
        """Comments and blank lines between two statements."""
        found = []
        for number in range(first, last):
            line = self.module.lines[number - 1].strip()
            if line.startswith("#") or not line:
                found.append(line)
        return found

    def _statement_lines(self, statement: ast.stmt, span: Span, stage: Stage | None) -> list[str]:
        lines: list[str] = []
        if stage is None or self._is_unread(statement):
            return lines
        number = f"({self.numbers[stage]})" if stage in self.numbers else ""
        trailing = self._trailing(span.end_line, span.end_column, number)
        if isinstance(statement, ast.Return):
            return self._return_lines(trailing, stage)
        if isinstance(statement, ast.Delete):
            return self._delete_lines(statement, trailing)
        lines.extend(self.before.get(stage, []))
        if isinstance(statement, ast.AugAssign) and (change := self._renaming(statement, stage)) is not None:
            lines.append(self._out_of_place(statement, *change) + trailing)
        elif stage in self.lowered.asides:
            lines.extend(self._aside(statement, span))
        elif isinstance(statement, ast.For | ast.While | ast.If | ast.With) and not _is_check(statement):
            lines.extend(self._compound(statement, stage))
        else:
            text = self.edits.rendered(span)
            lines.extend((textwrap.dedent(text) + trailing).split("\n"))
        lines.extend(self.after.get(stage, []))
        return lines

    def _delete_lines(self, statement: ast.Delete, trailing: str) -> list[str]:
        """`del a, b` without the names that are cached: backward needs them."""
        names = [self.edits.rendered(span_of(self.module, target)) for target in statement.targets]
        free = [name for name in names if name not in self.plan.cache]
        return [f"del {', '.join(free)}{trailing}"] if free else []

    def _aside(self, statement: ast.stmt, span: Span) -> list[str]:
        """A branch that returns something else: in place of the other results and of the cache stands None."""
        nothing = ", ".join(["None"] * len(self.plan.results))
        for part in ast.walk(statement):
            if isinstance(part, ast.Return) and part.value is not None:
                place = span_of(self.module, part.value)
                self.edits.replace(place, f"{self.edits.rendered(place)}, {nothing}")
        lines = textwrap.dedent(" " * span.column + self.edits.rendered(span)).split("\n")
        return lines

    def _is_unread(self, statement: ast.stmt) -> bool:
        match statement:
            case ast.Assign(targets=[ast.Name(id=name)]):
                return name in self.unread
        return False

    def _renaming(self, statement: ast.AugAssign, stage: Stage) -> tuple[str, str] | None:
        """The names before and after an augmented assignment, where they are two, or stand for two arrays."""
        step = self.changes.get(stage)
        if step is None:
            return None
        after = self.names.get(step.out, step.out.name)
        before = self.plan.previous.get(step.out, after)
        # What it was is kept under another name: `c_first = c`, and the buffer is not to be written into.
        apart = stage in self.residuals.apart and step.out.type.kind is not Kind.SCALAR
        return (before, after) if before != after or apart else None

    def _out_of_place(self, statement: ast.AugAssign, before: str, after: str) -> str:
        value = ast.parse(self.edits.rendered(span_of(self.module, statement.value)), mode="eval").body
        total = ast.BinOp(ast.Name(before, ast.Load()), statement.op, value)
        assign = ast.Assign([ast.Name(after, ast.Store())], total, lineno=1)
        return ast.unparse(ast.fix_missing_locations(assign))

    def _return_lines(self, trailing: str, stage: Stage) -> list[str]:
        lines: list[str] = []
        body = list(self.before.get(stage, []))
        here = {result.position: result for result in self.lowered.returns.get(stage, ())}
        statement = self._statement(stage)
        several = self.lowered.width > 1 and isinstance(statement, ast.Return) and isinstance(statement.value, ast.Call)
        together: dict[Span, None] = {}
        values: dict[str, str] = {}
        for result, name in self.plan.results:
            span = here.get(result.position, result).span
            if several:  # `return affine(x, w)`
                together[span] = None
                continue
            text = self.edits.rendered(span)
            if text != name and self._keeps_other(result, name):
                values[name] = f"({text})"
            elif text != name:
                text = f"({text})" if "\n" in text else text
                lines.extend(f"{name} = {text}{trailing}".split("\n"))
        for span in together:
            lines.extend(self._unpacked(span, trailing))
        lines = [*body, *lines, *self.after.get(stage, [])]
        cached = self.plan.cache
        if len(self.lowered.returns) > 1:
            before = self._stages_before(stage)
            cached = tuple(
                name if not (at := self.plan.bound_at.get(name)) or at & before else "None" for name in cached
            )
        returned = ", ".join([values.get(name, name) for _, name in self.plan.results])
        lines.append(f"return {returned}, {_tuple_text(cached)}{trailing if values else ''}")
        return lines

    def _keeps_other(self, result: Result, name: str) -> bool:
        """Whether the cache has something else under the name of a result, which one of several returns must leave."""
        return len(self.lowered.returns) > 1 and name in self.plan.cache and result.value not in self.residuals.kept

    def _unpacked(self, span: Span, trailing: str) -> list[str]:
        """What a call gives at once, under the names of the results; `_` for one that falls away."""
        named = {result.position: name for result, name in self.plan.results}
        text = self.edits.rendered(span)
        if text == f"({', '.join(named.get(position, 'None') for position in range(self.lowered.width))})":
            return []
        targets = [named.get(position, "_") for position in range(self.lowered.width)]
        return f"{', '.join(targets)} = {text}{trailing}".split("\n")

    def _stages_before(self, stage: Stage) -> set[Stage]:
        """The stages that lie on the way to a return."""
        found: set[Stage] = set()

        def search(statements: list[ast.stmt]) -> bool:
            seen: list[Stage] = []
            for statement in statements:
                own = self.stages.get(span_of(self.module, statement))
                if own is not None:
                    seen.append(own)
                if own is stage:
                    found.update(seen)
                    return True
                arms = (
                    [statement.body, statement.orelse]
                    if isinstance(statement, ast.If)
                    else [statement.body]
                    if isinstance(statement, ast.With)
                    else []
                )
                if any(search(arm) for arm in arms):
                    found.update(seen)
                    return True
                seen += [
                    inner
                    for part in _running_on(statement)
                    if (inner := self.stages.get(span_of(self.module, part))) is not None
                ]
            return False

        search(self.lowered.node.body)
        return found

    def _signature(self) -> str:
        """The parameters without annotations, their defaults as they were written."""
        node = self.lowered.node.args
        positional = [*node.posonlyargs, *node.args]
        defaults: dict[str, ast.expr] = dict(
            zip([a.arg for a in positional[len(positional) - len(node.defaults) :]], node.defaults, strict=True)
        )
        defaults |= {a.arg: d for a, d in zip(node.kwonlyargs, node.kw_defaults, strict=True) if d is not None}

        def text(argument: ast.arg) -> str:
            default = defaults.get(argument.arg)
            return (
                argument.arg
                if default is None
                else f"{argument.arg}={self.edits.rendered(span_of(self.module, default))}"
            )

        parts = [text(a) for a in node.posonlyargs]
        parts += ["/"] if node.posonlyargs else []
        parts += [text(a) for a in node.args]
        parts += ["*", *(text(a) for a in node.kwonlyargs)] if node.kwonlyargs else []
        return ", ".join(parts)


def _running_on(statement: ast.stmt) -> Iterator[ast.stmt]:
    """A statement and those inside it, without the arms of branches that leave the function."""
    yield statement
    for field in ("body", "orelse"):
        inner: list[ast.stmt] = getattr(statement, field, [])
        if inner and not isinstance(inner[-1], ast.Return | ast.Raise):
            for one in inner:
                yield from _running_on(one)


class _Renaming(ast.NodeTransformer):
    def __init__(self, names: Mapping[str, str]) -> None:
        self.names = names

    def visit_Name(self, node: ast.Name) -> ast.AST:
        return ast.Name(self.names.get(node.id, node.id), node.ctx)


def _indented(lines: list[str]) -> list[str]:
    return [f"    {line}" if line.strip() else line for line in lines] or ["    pass"]


def _is_check(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.If) and is_check(statement)


def _is_called(before: str) -> bool:
    """Whether a parenthesis behind this text opens the arguments of a call."""
    word = re.search(r"(\w+|[)\]])\s*$", before)
    return word is not None and not keyword.iskeyword(word[1])


def _floating_guard(name: str) -> tuple[str, str]:
    """An array of integers would cut down what is written into it, without a word."""
    return f'if {name}.dtype.kind != "f":', f'    raise ValueError("{name} must hold floating-point numbers")'


def _copied(source: str, value: Value) -> str:
    """The text of a copy: a product with 1.0 where a number may stand there as well."""
    node = ast.parse(source, mode="eval").body
    if value.type.kind is Kind.ARRAY:
        return ast.unparse(ast.Call(ast.Attribute(node, "copy", ast.Load()), [], []))
    return ast.unparse(ast.BinOp(ast.Constant(1.0), ast.Mult(), node))


def _tuple_text(names: tuple[str, ...]) -> str:
    if len(names) == 1:
        return names[0]
    return "(" + ", ".join(names) + ")"
