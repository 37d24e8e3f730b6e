"""The text of one function: forward and backward, with names that fit together."""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Iterator

from flatgrad.emit.backward import draft_backward
from flatgrad.emit.backward_text import BackwardText, backward_text, lines_of
from flatgrad.emit.cached import cached_names, prepared_names
from flatgrad.emit.comments import commented
from flatgrad.emit.docstrings import backward_docstring, forward_docstring
from flatgrad.emit.forward import write_forward
from flatgrad.emit.forward_plan import ForwardPlan, ForwardText, numbered
from flatgrad.emit.labels import labels, unread_names
from flatgrad.emit.names import Scope
from flatgrad.emit.order import leaves
from flatgrad.emit.pinning import pin_effects
from flatgrad.emit.plan import FunctionPlan, FunctionText, ModulePlan
from flatgrad.emit.residuals import Residuals
from flatgrad.emit.schedule import schedule
from flatgrad.emit.spell import Names
from flatgrad.frontend.environment import Result
from flatgrad.frontend.liveness import arguments as bound_arguments
from flatgrad.frontend.source import span_of
from flatgrad.ir.core import Call, Relation, Span, Value, every_step


def write_function(plan: ModulePlan, one: FunctionPlan, names: Names) -> FunctionText:
    lowered, module = one.lowered, plan.module
    own = _own_names(one)
    scope = Scope(own | set(module.bound) | set(names.functions.imports) | {names.unbroadcast})
    results = _result_names(one, scope)
    lines = schedule(one.backward.block)
    uses: dict[Value, int] = {}
    for line in every_step(lines.block):
        if isinstance(line, Relation):
            for value in leaves(line, lines.folded):
                uses[value] = uses.get(value, 0) + 1
    residuals = Residuals(lowered, names, scope, uses, {r.value: name for r, name in results if not r.name})
    caches = _CacheNames(one, scope, plan)
    hints = {gradient: _hint(residuals, value) for gradient, value in one.backward.hints.items()}
    draft = draft_backward(
        lowered,
        one.backward,
        residuals,
        names,
        scope,
        caches.name,
        lambda function: plan.callees[function],
        hints,
    )
    pin_effects(module, residuals, [call for call, _ in draft.calls])
    for value, node in residuals.steps.unchained():
        node.expression = ast.Name(value.name, ast.Load())  # type: ignore[attr-defined]
        residuals.kept.setdefault(value, []).append(node.expression)  # type: ignore[attr-defined]
    versions = labels(lowered, residuals, scope)
    found = versions.names
    residuals.steps.settle(found)
    for result, name in results:
        if not result.name:
            found[result.value] = name
    for value, nodes in residuals.kept.items():
        for node in nodes:
            node.id = versions.aside.get(value) or found.get(value, value.name)
    results = tuple((result, found.get(result.value, name)) for result, name in results)
    text = backward_text(draft, residuals)
    bound_at = cached_names(one, residuals, text, versions)
    cached = tuple(bound_at)
    prepared = prepared_names(plan, one, residuals, bound_at, versions.aside, found, text.calls)
    if one.name in module.methods and module.methods[one.name].receiver:
        prepared = {}  # an attribute need not be bound on every way
    reversed_calls = dict(text.calls)
    calls = {
        step: (plan.callees[step.function], reversed_calls[step])
        for step in every_step(lowered.function.block)
        if isinstance(step, Call) and step in reversed_calls
    }
    plain = {
        step: plan.callees[step.function].plain
        for step in every_step(lowered.function.block)
        if isinstance(step, Call) and step not in reversed_calls
    }
    calls |= {step: (plan.callees[step.function], "_") for step, text in plain.items() if not text}
    forward = write_forward(
        module,
        lowered,
        residuals,
        ForwardPlan(
            found,
            versions.previous,
            results,
            calls,
            plain,
            cached,
            one.guards,
            one.backward.floating,
            versions.aside,
            prepared,
            bound_at,
        ),
    )
    cache = Scope(_backward_names(text) | set(cached)).take("cache")
    return _texts(one, forward, text, cached, cache)


class _CacheNames:
    """The names of the caches of the calls: what the user calls them, or `affine_cache`."""

    def __init__(self, one: FunctionPlan, scope: Scope, plan: ModulePlan) -> None:
        self.scope = scope
        self.names = dict(_user_caches(one, plan))

    def name(self, call: Call) -> str:
        own = self.names.get(call.span) if call.span is not None else None
        return own or self.scope.take(f"{call.function.removesuffix('_forward')}_cache")


def _user_caches(one: FunctionPlan, plan: ModulePlan) -> Iterator[tuple[Span, str]]:
    """The variables that the user's function keeps the caches of its calls in: `a, fc_cache = affine_forward(x, w)`."""
    node = one.lowered.node
    stored = Counter(p.id for p in ast.walk(node) if isinstance(p, ast.Name) and isinstance(p.ctx, ast.Store))
    spans = {step.span: step for step in every_step(one.lowered.function.block) if isinstance(step, Call)}
    for statement in ast.walk(node):
        match statement:
            case ast.Assign(targets=[ast.Tuple(elts=[*_, ast.Name(id=name)]) as target], value=ast.Call() as value):
                step = spans.get(span_of(plan.module, value))
                if step is None or step.span is None or stored[name] > 1 or name in ("_", "cache"):
                    continue
                callee = plan.callees[step.function]
                if step.function not in plan.module.borrowed.pairs and "cache" not in name.lower():
                    continue  # `loss, dscores = softmax_loss(scores, y)`
                if len(target.elts) == callee.width and callee.positions == tuple(range(callee.width - 1)):
                    yield step.span, name


def _own_names(one: FunctionPlan) -> set[str]:
    """Every name that the user's function uses, as a variable or otherwise; not those of its own backward code."""
    names = {part.arg for part in ast.walk(one.lowered.node) if isinstance(part, ast.arg)}
    pending: list[ast.AST] = [one.lowered.node]
    while pending:
        part = pending.pop()
        if part in one.lowered.dropped:
            continue
        if isinstance(part, ast.Name):
            names.add(part.id)
        pending.extend(ast.iter_child_nodes(part))
    return names - unread_names(one.lowered) - _fallen_away(one)


def _fallen_away(one: FunctionPlan) -> set[str]:
    """Names that only the results that fall away still bear."""
    loads = [part.id for part in ast.walk(one.lowered.node) if isinstance(part, ast.Name)]
    inside = [part.id for gone in one.lowered.dropped for part in ast.walk(gone) if isinstance(part, ast.Name)]
    returned = [
        element.id
        for part in ast.walk(one.lowered.node)
        if isinstance(part, ast.Return) and isinstance(part.value, ast.Tuple)
        for element in part.value.elts[1:]
        if isinstance(element, ast.Name)
    ]
    return {
        name
        for name in returned
        if inside.count(name) and inside.count(name) + returned.count(name) == loads.count(name)
    }


def _result_names(one: FunctionPlan, scope: Scope) -> tuple[tuple[Result, str], ...]:
    named = []
    for position, result in enumerate(one.lowered.results):
        if position in one.returned:
            named.append((result, result.name or scope.take("out")))
    return tuple(named)


def _hint(residuals: Residuals, value: Value) -> str:
    return f"d{residuals.described(value)}"


def _backward_names(text: BackwardText) -> set[str]:
    """Every name in the lines of a backward pass."""
    words = re.findall(r"[A-Za-z_]\w*", "\n".join([*lines_of(text.groups), *text.preludes]))
    return {*words, *text.upstream}


def _texts(
    one: FunctionPlan, forward: ForwardText, text: BackwardText, cached: tuple[str, ...], cache: str
) -> FunctionText:
    numbers = numbered(one.lowered)
    lines: list[str] = []
    if cached:
        lines.append(f"{', '.join(cached)} = {cache}")
    lines += text.preludes
    lines += commented(text.groups, one, forward, numbers)
    single = len(one.returned) == 1
    shape = one.lowered.results[one.returned[0]].value.type.shape
    scalar_possible = single and not shape.least_rank
    node = one.lowered.node.args
    return FunctionText(
        forward_name=f"{one.base}_forward",
        backward_name=f"{one.base}_backward",
        value_and_grad_name=f"{one.base}_value_and_grad" if scalar_possible else "",
        forward=forward,
        docstring=forward_docstring(one, forward),
        backward_docstring=backward_docstring(one, text),
        backward_parameters=", ".join([*text.upstream, cache]),
        backward_lines=tuple(lines),
        backward_results=", ".join(text.results),
        gradients=tuple(f"d{value.name}" for value in one.backward.wrt),
        result=Scope({f"{one.base}_forward", f"{one.base}_backward"}).take(forward.results[0]),
        results=forward.results,
        cache_variable=Scope(forward.results + tuple(a.arg for a in bound_arguments(node))).take("cache"),
        arguments=_arguments(one),
        check_scalar=not shape.is_scalar,
        unbroadcasts=text.unbroadcasts,
    )


def _arguments(one: FunctionPlan) -> str:
    node = one.lowered.node.args
    positional = [a.arg for a in (*node.posonlyargs, *node.args)]
    rest = [f"*{node.vararg.arg}"] if node.vararg is not None else []
    named = [
        *(f"{a.arg}={a.arg}" for a in node.kwonlyargs),
        *([f"**{node.kwarg.arg}"] if node.kwarg is not None else []),
    ]
    return ", ".join([*positional, *rest, *named])
