"""A whole module: its functions, imports, constants and helpers, laid out by a template and formatted by black."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterable, Mapping

from flatgrad.emit.backward import BackwardText, backward_text, draft_backward
from flatgrad.emit.docstrings import backward_docstring, forward_docstring, notes, table, title
from flatgrad.emit.forward import ForwardPlan, ForwardText, labels, numbered, unread_names, write_forward
from flatgrad.emit.names import Scope
from flatgrad.emit.plan import FunctionPlan, FunctionText, ModulePlan
from flatgrad.emit.residuals import Residuals
from flatgrad.emit.schedule import leaves, schedule
from flatgrad.emit.spell import Names
from flatgrad.frontend.environment import Result
from flatgrad.frontend.source import Module
from flatgrad.ir.core import Call, Stage, Value


def write_module(plan: ModulePlan) -> str:
    """The text of the module."""
    import black
    import jinja2

    from flatgrad.resources import template

    names = import_names(plan.module, [one.name for one in plan.functions])
    functions = tuple(_function(plan, one, names) for one in plan.functions)
    helpers = _helpers(plan.module, functions)
    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(template), trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined
    )
    layout = environment.get_template("module.py.jinja")
    context = {
        "title": title(plan),
        "table": table(functions),
        "notes": notes(functions),
        "functions": functions,
        "helpers": helpers,
        "unbroadcasts": any(one.unbroadcasts for one in functions),
        "numpy": names.numpy,
        "unbroadcast": names.unbroadcast,
        "imports": (),
        "constants": (),
    }
    body = layout.render(context)
    used = _used_names(body)
    constants = _constants(plan.module, used)
    used |= _used_names("\n".join(constants))
    text = layout.render(context | {"imports": _imports(plan.module, used, names), "constants": constants})
    return black.format_str(text, mode=black.Mode(line_length=100))


# Names at the head of the module


def import_names(module: Module, functions: Iterable[str]) -> Names:
    """What the module calls its imports: as the user does, unless one of the functions has a variable of that name."""
    bound = {name for function in functions for name in _bound_names(module.functions[function])}
    local = {path: name for name, path in module.imports.items() if name not in bound}

    def free(path: str, wanted: str) -> str:
        return local.get(path) or Scope(module.bound | bound).take(wanted)

    return Names(
        free("numpy", "np"), free("math", "math"), free("scipy.special", "special"), free("unbroadcast", "unbroadcast")
    )


def _bound_names(node: ast.FunctionDef) -> set[str]:
    stored = {p.id for p in ast.walk(node) if isinstance(p, ast.Name) and isinstance(p.ctx, ast.Store)}
    return stored | {part.arg for part in ast.walk(node) if isinstance(part, ast.arg)}


def _imports(module: Module, used: frozenset[str], names: Names) -> tuple[str, ...]:
    kept = [text for one in module.import_texts if (text := one.keeping(used))]
    bound = {name for one in module.import_texts for name in one.names}
    extra = []
    for name, statement in (
        (names.math, "import math"),
        (names.numpy, "import numpy as np"),
        (names.special, "from scipy import special"),
    ):
        if name in used and name not in bound:
            plain = statement.split()[-1]
            extra.append(statement if name == plain else f"{statement.removesuffix(' as np')} as {name}")
    lines = list(dict.fromkeys([*kept, *extra]))
    standard = [line for line in lines if line.split()[1].partition(".")[0] in sys.stdlib_module_names]
    others = [line for line in lines if line not in standard]
    return (*standard, *([""] if standard and others else []), *others)


def _constants(module: Module, used: frozenset[str]) -> tuple[str, ...]:
    """The module constants that are read, in order, with those that they are made of."""
    wanted = set(used)
    for name in reversed(list(module.constants)):
        if name in wanted:
            wanted |= {part.id for part in ast.walk(module.constants[name]) if isinstance(part, ast.Name)}
    return tuple(
        f"{name} = {ast.unparse(expression)}" for name, expression in module.constants.items() if name in wanted
    )


def _used_names(text: str) -> frozenset[str]:
    return frozenset(part.id for part in ast.walk(ast.parse(text)) if isinstance(part, ast.Name))


def _helpers(module: Module, functions: tuple[FunctionText, ...]) -> tuple[str, ...]:
    """The functions that forward calls as they are: those that stand for a gate, those that carry no gradient."""
    wanted: list[str] = []
    pending = [f"def header({one.forward.signature}): pass" for one in functions]
    pending += ["\n".join(line for one in functions for line in one.forward.lines if not line.startswith("return "))]
    while pending:
        for name in sorted(_called_names(pending.pop()) & set(module.functions) - set(wanted)):
            wanted.append(name)
            pending.append(_plain_text(module, name))
    written = {one.forward_name for one in functions}
    return tuple(_plain_text(module, name) for name in module.functions if name in wanted and name not in written)


def _called_names(text: str) -> frozenset[str]:
    calls = [part.func for part in ast.walk(ast.parse(text)) if isinstance(part, ast.Call)]
    return frozenset(function.id for function in calls if isinstance(function, ast.Name))


def _plain_text(module: Module, name: str) -> str:
    node = module.functions[name]
    first = min([node.lineno, *(d.lineno for d in node.decorator_list)])
    return "\n".join(module.lines[first - 1 : node.end_lineno])


# One function


def _function(plan: ModulePlan, one: FunctionPlan, names: Names) -> FunctionText:
    lowered, module = one.lowered, plan.module
    own = _own_names(one)
    scope = Scope(own | set(module.bound))
    results = _result_names(one, scope)
    uses: dict[Value, int] = {}
    lines = schedule(one.backward.block)
    for line in lines.lines:
        for value in leaves(line, lines.folded):
            uses[value] = uses.get(value, 0) + 1
    residuals = Residuals(lowered, names, scope, uses, {r.value: name for r, name in results if not r.name})
    caches = _CacheNames(one, scope)
    hints = {gradient: _hint(residuals, value) for gradient, value in one.backward.hints.items()}
    draft = draft_backward(
        lowered,
        one.backward,
        residuals,
        names,
        scope,
        caches.name,
        lambda f: f"{f.removesuffix('_forward')}_backward",
        hints,
    )
    versions = labels(lowered, residuals, scope)
    found = versions.names
    for result, name in results:
        if not result.name:
            found[result.value] = name
    for value, nodes in residuals.kept.items():
        for node in nodes:
            node.id = found.get(value, value.name)
    results = tuple((result, found.get(result.value, name)) for result, name in results)
    text = backward_text(draft, residuals)
    cached = _cached_names(one, residuals, text, found)
    reversed_calls = dict(text.calls)
    calls = {
        step: (f"{step.function.removesuffix('_forward')}_forward", reversed_calls[step])
        for step in lowered.function.block.body
        if isinstance(step, Call) and step in reversed_calls
    }
    plain = {
        step: _plain_call(step)
        for step in lowered.function.block.body
        if isinstance(step, Call) and step not in reversed_calls
    }
    forward = write_forward(
        module,
        lowered,
        residuals,
        ForwardPlan(found, versions.previous, results, calls, plain, cached, one.guards, one.backward.floating),
    )
    cache = Scope(own | set(text.upstream)).take("cache")
    return _texts(one, forward, text, cached, cache)


class _CacheNames:
    """The names of the caches of the calls: `affine_cache`."""

    def __init__(self, one: FunctionPlan, scope: Scope) -> None:
        self.scope = scope

    def name(self, call: Call) -> str:
        return self.scope.take(f"{call.function.removesuffix('_forward')}_cache")


def _own_names(one: FunctionPlan) -> set[str]:
    """Every name that the user's function uses, as a variable or otherwise."""
    names = {part.id for part in ast.walk(one.lowered.node) if isinstance(part, ast.Name)}
    names |= {part.arg for part in ast.walk(one.lowered.node) if isinstance(part, ast.arg)}
    return names - unread_names(one.lowered)


def _result_names(one: FunctionPlan, scope: Scope) -> tuple[tuple[Result, str], ...]:
    named = []
    for position, result in enumerate(one.lowered.results):
        if position in one.returned:
            named.append((result, result.name or scope.take("out")))
    return tuple(named)


def _hint(residuals: Residuals, value: Value) -> str:
    return f"d{residuals.described(value)}"


def _plain_call(step: Call) -> str:
    """How forward calls a function without differentiating it: a pair hands out its cache as well."""
    if not step.function.endswith("_forward"):
        return step.function
    return f"{step.function}[0]" if len(step.outs) == 1 else f"{step.function}[:-1]"


def _cached_names(
    one: FunctionPlan, residuals: Residuals, text: BackwardText, found: dict[Value, str]
) -> tuple[str, ...]:
    """The names in the cache: parameters first, then in the order of the forward statements."""
    names: list[str] = []
    for param in one.lowered.function.block.params:
        if param in residuals.kept:
            names.append(found[param])
    extra = residuals.hoisted
    masks: dict[Stage, list[str]] = {}
    for hoist in residuals.hoists:
        if hoist.value is None:
            masks.setdefault(hoist.stage, []).append(hoist.name)
    copies = residuals.copies
    names += [copies[p] for p in one.lowered.function.block.params if p in copies]
    caches = dict(text.calls)
    stage: Stage | None = None
    for step in one.lowered.function.block.body:
        if step.stage is not stage and stage is not None:
            names += masks.pop(stage, [])
        stage = step.stage
        for out in step.outs:
            if out in residuals.kept:
                names.append(found.get(out, out.name))
            if out in extra:
                names.append(extra[out])
            if out in copies:
                names.append(copies[out])
        if isinstance(step, Call) and step in caches:
            names.append(caches[step])
    for rest in masks.values():
        names += rest
    return tuple(dict.fromkeys(names))


def _texts(
    one: FunctionPlan, forward: ForwardText, text: BackwardText, cached: tuple[str, ...], cache: str
) -> FunctionText:
    numbers = numbered(one.lowered)
    lines: list[str] = []
    if cached:
        lines.append(f"{', '.join(cached)} = {cache}")
    lines += text.preludes
    for stage, group in text.groups:
        if stage is not None and stage in numbers:
            covers = one.lowered.covers.get(stage, ())
            if not any(cover.whole for cover in covers):
                lines.append(f"# ({numbers[stage]}) {_stage_text(stage, forward)}")
            lines += [f"# {_numbers(cover.stages, numbers)} {cover.text}" for cover in covers]
        lines += group
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
        cache_variable=Scope(
            forward.results + tuple(a.arg for a in (*node.posonlyargs, *node.args, *node.kwonlyargs))
        ).take("cache"),
        arguments=_arguments(one),
        check_scalar=not shape.is_scalar,
        unbroadcasts=text.unbroadcasts,
    )


def _numbers(stages: tuple[Stage, ...], numbers: Mapping[Stage, int]) -> str:
    """`(4)-(7)`, `(4), (6)`, `(2), (4)-(6)`"""
    runs: list[list[int]] = []
    for number in (numbers[stage] for stage in stages if stage in numbers):
        if runs and runs[-1][-1] == number - 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return ", ".join(f"({run[0]})" if len(run) == 1 else f"({run[0]})-({run[-1]})" for run in runs)


def _stage_text(stage: Stage, forward: ForwardText) -> str:
    if stage.text.startswith("return "):
        value = stage.text.removeprefix("return ")
        plain = len(forward.results) != 1 or forward.results[0] == value
        return stage.text if plain else f"{forward.results[0]} = {value}"
    return stage.text


def _arguments(one: FunctionPlan) -> str:
    node = one.lowered.node.args
    positional = [a.arg for a in (*node.posonlyargs, *node.args)]
    return ", ".join([*positional, *(f"{a.arg}={a.arg}" for a in node.kwonlyargs)])
