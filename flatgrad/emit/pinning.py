"""Effects stay in their order: what draws at random, prints or calls what does.

A line that forward gains stands before the statement that it is a part of. Where it takes an effect along, the effects
that come before it in the same statement go first, on lines of their own; nothing is drawn twice.
"""

from __future__ import annotations

import ast
from collections.abc import Collection

from flatgrad.diagnostics import Diagnostic, Refused
from flatgrad.emit.residual_state import Hoist
from flatgrad.emit.residuals import Residuals
from flatgrad.frontend.source import Module, span_of
from flatgrad.gates.entry import has_effect
from flatgrad.ir.core import Call, Span, Stage, Step, bound_values, every_step


def pin_effects(module: Module, residuals: Residuals, reversed_calls: Collection[Call]) -> None:
    """Add the lines that keep the effects of each statement in order.

    Raises:
        Refused: FG039, where an effect would be run that may not be, or twice.
    """
    steps = list(every_step(residuals.lowered.function.block))
    effects: dict[Stage, list[Step]] = {}
    for step in steps:
        if has_effect(step) and step.stage is not None and step.span is not None:
            effects.setdefault(step.stage, []).append(step)
    if not effects:
        return
    producers = {out: step for step in steps for out in bound_values(step)}
    moved: dict[Stage, list[Span]] = {}
    for hoist in residuals.hoists:
        if hoist.value is None:
            continue
        made = producers[hoist.value]
        if made.span is None:
            continue
        moved.setdefault(hoist.stage, []).append(made.span)
        twice = len(bound_values(made)) > 1 or (
            hoist.copied and residuals.lowered.roots.get(hoist.value) != frozenset((hoist.value,))
        )
        for effect in effects.get(hoist.stage, ()) if twice else ():
            if _within(effect.span, made.span):
                raise _refused(effect, "this would be run twice: backward needs a part of what it stands in")
    for step in steps:
        if isinstance(step, Call) and step.span is not None and step.stage is not None:
            if step in reversed_calls or any(out in residuals.hoisted for out in step.outs):
                moved.setdefault(step.stage, []).append(step.span)
    maybe = _conditional(module, residuals.lowered.node)
    for stage, places in moved.items():
        found = effects.get(stage, [])
        goes = [any(_within(effect.span, place) for place in places) for effect in found]
        for position, effect in enumerate(found):
            if goes[position] or not any(goes[position:]):
                continue
            if any(_within(effect.span, place) for place in maybe) or len(bound_values(effect)) > 1:
                raise _refused(effect, "what backward needs of this statement would be run before it")
            _lift(residuals, effect, stage)


def _lift(residuals: Residuals, effect: Step, stage: Stage) -> None:
    (out,) = bound_values(effect)
    if isinstance(effect, Call):
        residuals.lifted[out] = residuals.scope.take(effect.function.rpartition(".")[2].removesuffix("_forward"))
        return
    residuals.hoists.append(Hoist(residuals.scope.take(residuals.described(out)), stage, out))


def _within(inner: Span | None, outer: Span) -> bool:
    if inner is None:
        return False
    begins = (outer.line, outer.column) <= (inner.line, inner.column)
    return begins and (inner.end_line, inner.end_column) <= (outer.end_line, outer.end_column)


def _conditional(module: Module, node: ast.FunctionDef) -> list[Span]:
    """The parts of expressions that may not be run at all."""
    parts: list[ast.expr] = []
    for part in ast.walk(node):
        match part:
            case ast.IfExp(body=body, orelse=orelse):
                parts += [body, orelse]
            case ast.BoolOp(values=[_, *rest]) | ast.Compare(comparators=[_, *rest]):
                parts += rest
            case ast.Lambda(body=body):
                parts.append(body)
    return [span_of(module, part) for part in parts]


def _refused(effect: Step, why: str) -> Refused:
    found = Diagnostic(
        "FG039", "what is run here cannot keep its place", effect.span, why, "give it a statement of its own, before"
    )
    return Refused((found,))
