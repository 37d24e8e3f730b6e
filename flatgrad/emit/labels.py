"""What each version of a name is called in forward, and which names nothing reads any more."""

from __future__ import annotations

import ast
from collections.abc import Callable
from dataclasses import dataclass

from flatgrad.emit.names import Scope
from flatgrad.emit.rebound import rebound_in_arms
from flatgrad.emit.residuals import Residuals
from flatgrad.frontend.environment import Lowered
from flatgrad.frontend.methods import MARK
from flatgrad.gates.entry import has_effect
from flatgrad.ir.core import Branch, Kind, Loop, Relation, Value, bound_values, every_step, inner_blocks


@dataclass(frozen=True, slots=True)
class Labels:
    """What each version of a name is called, what the version before it was, and versions that are kept aside under a
    name of their own before the name is bound again."""

    names: dict[Value, str]
    previous: dict[Value, str]
    aside: dict[Value, str]


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
            if isinstance(step, Relation) and step.attrs.get("taken"):  # by a list or a function, which has no label
                nested.setdefault(value.name, []).append(value)
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
