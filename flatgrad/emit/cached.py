"""The names in the cache, and what becomes of those that one way through the function leaves unbound."""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence

from flatgrad.emit.backward_text import BackwardText
from flatgrad.emit.labels import Labels
from flatgrad.emit.plan import FunctionPlan, ModulePlan
from flatgrad.emit.residuals import Residuals
from flatgrad.frontend.source import span_of
from flatgrad.ir.core import UNBOUND, Branch, Call, Loop, Relation, Stage, Step, Value, bound_values, every_step


def cached_names(
    one: FunctionPlan, residuals: Residuals, text: BackwardText, versions: Labels
) -> dict[str, frozenset[Stage]]:
    """The names in the cache, each with the stages that bind it, none where it is always bound: parameters first, then
    in the order of forward."""
    names: dict[str, frozenset[Stage]] = {}

    def bound(name: str, stage: Stage | None) -> None:
        names[name] = names.get(name, frozenset()) | ({stage} if stage is not None else frozenset())

    params = one.lowered.function.block.params
    steps, copies, aside = residuals.steps, residuals.copies, versions.aside
    for param in params:
        if param in residuals.kept:
            bound(aside.get(param) or versions.names[param], None)
    names |= {copies[p]: frozenset() for p in params if p in copies}
    masks: dict[Stage, list[str]] = {}
    for hoist in residuals.hoists:
        if hoist.value is None:
            masks.setdefault(hoist.stage, []).append(hoist.name)
    caches = dict(text.calls)
    stores: dict[Step, list[str]] = {}
    for store in steps.stores:
        stores.setdefault(store.loops[0], []).append(store.name)
    stage: Stage | None = None
    for step in every_step(one.lowered.function.block):
        if step.stage is not stage and stage is not None:
            for name in masks.pop(stage, []):
                bound(name, stage)
        stage = step.stage
        for out in bound_values(step):
            if steps.path(out):
                continue
            if out in residuals.kept:
                bound(aside.get(out) or versions.names.get(out, out.name), stage)
            if out in residuals.hoisted:
                bound(residuals.hoisted[out], stage)
            if out in copies:
                bound(copies[out], stage)
        if isinstance(step, Call) and step in caches and not any(steps.path(out) for out in step.outs):
            bound(caches[step], stage)
        if isinstance(step, Loop):
            filled = [name for name, filler in residuals.containers.items() if filler is step.stage]
            for name in (*filled, *stores.get(step, [])):
                bound(name, stage)
            if step in steps.counters and not any(steps.path(out) for out in bound_values(step)):
                bound(steps.counters[step], stage)
    for rest in masks.values():
        names |= dict.fromkeys(rest, frozenset())
    return names


def _binds_always(statements: Sequence[ast.stmt], name: str) -> bool:
    """Whether every way through statements binds a name, or ends in an error."""
    for statement in statements:
        if isinstance(statement, ast.If):
            if _binds_always(statement.body, name) and _binds_always(statement.orelse, name):
                return True
            continue
        if isinstance(statement, ast.Raise):
            return True
        if isinstance(statement, ast.For | ast.While):
            continue
        parts = ast.walk(statement)
        if any(isinstance(p, ast.Name) and isinstance(p.ctx, ast.Store) and p.id == name for p in parts):
            return True
    return False


def prepared_names(
    plan: ModulePlan,
    one: FunctionPlan,
    residuals: Residuals,
    cached: Mapping[str, frozenset[Stage]],
    aside: Mapping[Value, str],
    found: Mapping[Value, str],
    calls: tuple[tuple[Call, str], ...],
) -> dict[Stage, tuple[str, ...]]:
    """The names in the cache that are bound in one arm of a branch only, by the stage of the branch."""
    prepared: dict[Stage, list[str]] = {}
    last = {}
    caches = dict(calls)
    for step in every_step(one.lowered.function.block):
        for value in bound_values(step):
            branch = residuals.steps.conditional.get(value)
            names = [residuals.hoisted.get(value, ""), residuals.copies.get(value, ""), aside.get(value, "")]
            if value in residuals.kept and value not in aside:
                names.append(found.get(value, value.name))
            if isinstance(step, Call):
                names.append(caches.get(step, ""))
            if branch is None or branch.stage is None:
                continue
            for name in names:
                if name and name in cached:
                    last[name] = branch.stage
        if isinstance(step, Loop):
            for store in residuals.steps.stores:
                branch = residuals.steps.conditional.get(step.outs[0]) if step.outs else None
                if store.loops[0] is step and branch is not None and branch.stage is not None:
                    last[store.name] = branch.stage
            counter = residuals.steps.counters.get(step, "")
            branch = residuals.steps.conditional.get(bound_values(step)[0]) if bound_values(step) else None
            if counter in cached and branch is not None and branch.stage is not None:
                last[counter] = branch.stage
    for name, stage in _begun(one, residuals).items():
        prepared.setdefault(stage, []).append(name)
    statements = {span_of(plan.module, part): part for part in ast.walk(one.lowered.node) if isinstance(part, ast.stmt)}
    for name, stage in last.items():
        if _binds_always([statements[stage.span]], name):
            continue
        prepared.setdefault(stage, []).append(name)
    return {stage: tuple(names) for stage, names in prepared.items()}


def _begun(one: FunctionPlan, residuals: Residuals) -> dict[str, Stage]:
    """The names that a loop or an arm binds for the first time, by chance not at all, and that are kept anyway."""
    begun: dict[str, Stage] = {}
    kept = {value.name for value in (*residuals.kept, *residuals.steps.kept) if value in residuals.unbound}
    unbound = {
        step.out
        for step in every_step(one.lowered.function.block)
        if isinstance(step, Relation) and step.gate == "constant" and step.span is None and step.args[0] == UNBOUND
    }
    for step in every_step(one.lowered.function.block):
        if isinstance(step, Loop) and step.stage is not None:
            for init, param in zip(step.inits, step.carried, strict=True):
                if init in unbound and param.name and param.name in kept:
                    begun.setdefault(param.name, step.stage)
        if isinstance(step, Branch) and step.stage is not None:
            for out, *ends in zip(step.outs, step.then.results, step.orelse.results, strict=True):
                if out.name and out.name in kept and any(end in unbound for end in ends):
                    begun.setdefault(out.name, step.stage)
    return begun
