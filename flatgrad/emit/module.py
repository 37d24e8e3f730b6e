"""A whole module: its functions, imports, constants and helpers, laid out by a template and formatted by black."""

from __future__ import annotations

import ast
import re
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence

from flatgrad.emit.backward import BackwardText, Group, NestedText, backward_text, draft_backward
from flatgrad.emit.classes import class_rows, class_texts, unmarked, with_own_results
from flatgrad.emit.docstrings import backward_docstring, forward_docstring, notes, table, title
from flatgrad.emit.forward import ForwardPlan, ForwardText, Labels, labels, numbered, unread_names, write_forward
from flatgrad.emit.libraries import functions_of
from flatgrad.emit.names import Scope
from flatgrad.emit.order import leaves
from flatgrad.emit.pinning import pin_effects
from flatgrad.emit.plan import FunctionPlan, FunctionText, ModulePlan
from flatgrad.emit.residuals import Residuals
from flatgrad.emit.schedule import schedule
from flatgrad.emit.spell import Names
from flatgrad.frontend.environment import Result
from flatgrad.frontend.regions import UNBOUND
from flatgrad.frontend.source import Module, span_of
from flatgrad.gates.declared import declared_paths
from flatgrad.gates.entry import BY_PATH, OWN
from flatgrad.ir.core import Branch, Call, Loop, Relation, Span, Stage, Step, Value, bound_values, every_step


def write_module(plan: ModulePlan) -> str:
    """The text of the module."""
    import black
    import jinja2

    from flatgrad.resources import template

    names = import_names(plan.module, [one.name for one in plan.functions])
    everything = {one.name: _function(plan, one, names) for one in plan.functions}
    functions = tuple(one for name, one in everything.items() if name not in plan.module.methods)
    classes = class_texts(plan, everything)
    helpers = _helpers(plan.module, tuple(everything.values()), [one.plain for one in classes])
    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(template), trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined
    )
    layout = environment.get_template("module.py.jinja")
    context = {
        "title": title(plan),
        "table": [*table(functions), *class_rows(plan, classes)],
        "notes": notes(tuple(everything.values()), plan.module.borrowed.pairs.values()),
        "functions": functions,
        "classes": classes,
        "helpers": helpers,
        "unbroadcasts": any(one.unbroadcasts for one in everything.values()),
        "numpy": names.numpy,
        "unbroadcast": names.unbroadcast,
        "imports": (),
        "constants": (),
    }
    body = with_own_results(plan, unmarked(layout.render(context)))
    used = _used_names(body)
    constants = _constants(plan.module, used)
    used |= _used_names("\n".join(constants))
    text = unmarked(layout.render(context | {"imports": _imports(plan.module, used, names), "constants": constants}))
    text = with_own_results(plan, text)
    return black.format_str(text, mode=black.Mode(line_length=100))


def function_text(plan: ModulePlan, one: FunctionPlan) -> FunctionText:
    """The text of one function of a module."""
    return _function(plan, one, import_names(plan.module, [one.name]))


# Names at the head of the module


def import_names(module: Module, functions: Iterable[str]) -> Names:
    """What the module calls its imports: as the user does, unless one of the functions has a variable of that name."""
    bound = {name for function in functions for name in _bound_names(module.functions[function])}
    local = {path: name for name, path in module.imports.items() if name not in bound}

    def free(path: str, wanted: str) -> str:
        return local.get(path) or Scope(module.bound | bound).take(wanted)

    return Names(
        free("numpy", "np"),
        free("math", "math"),
        free("scipy.special", "special"),
        free("unbroadcast", "unbroadcast"),
        functions_of(module, (*declared_paths(), *_library_paths()), frozenset(bound)),
    )


def _library_paths() -> tuple[str, ...]:
    """The functions of the table that are called by the names of their own packages."""
    return tuple(path for path in BY_PATH if path.startswith("scipy.") and not path.startswith("scipy.special."))


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
    extra += [statement for name, statement in names.functions.imports.items() if name in used]
    extra += _pair_imports(module, used)
    lines = list(dict.fromkeys([*kept, *extra]))
    standard = [line for line in lines if line.split()[1].partition(".")[0] in sys.stdlib_module_names]
    others = [line for line in lines if line not in standard]
    return (*standard, *([""] if standard and others else []), *others)


def _pair_imports(module: Module, used: frozenset[str]) -> list[str]:
    """The functions that come from other files with their backward functions."""
    names: dict[str, dict[str, str]] = {}
    for pair in module.borrowed.pairs.values():
        names.setdefault(pair.origin, {}).update((called, name) for name, called in pair.names if called in used)
    return [
        f"from {origin} import {', '.join(n if n == called else f'{n} as {called}' for called, n in chosen.items())}"
        for origin, chosen in names.items()
        if chosen
    ]


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


def _helpers(module: Module, functions: tuple[FunctionText, ...], plain: Sequence[str]) -> tuple[str, ...]:
    """The functions that forward, or a `plain` text, calls as they are: those that stand for a gate, those that carry
    no gradient."""
    wanted: list[str] = []
    plain_names = frozenset(name for text in plain for name in _read_names(text))
    pending = [f"def header({one.forward.signature}): pass" for one in functions]
    pending += [f"{name}()" for name in sorted(plain_names)]
    pending += ["\n".join(line for one in functions for line in one.forward.lines if not line.startswith("return "))]
    # Backward calls its own pairs, and of the user's functions only those with a declared gate.
    declared = [path.removeprefix(f"{OWN}.") for path in declared_paths() if path.startswith(f"{OWN}.")]
    if declared:
        called = _read_names("\n".join(line for one in functions for line in one.backward_lines))
        pending += [f"{name}()" for name in declared if name in called]
    imported = {called for pair in module.borrowed.pairs.values() for _, called in pair.names}
    while pending:
        own = set(module.functions) - imported - set(module.borrowed.pairs)
        for name in sorted(_read_names(pending.pop()) & own - set(wanted)):
            wanted.append(name)
            pending.append(_plain_text(module, name))
    written = {one.forward_name for one in functions}
    return tuple(_plain_text(module, name) for name in module.functions if name in wanted and name not in written)


def _read_names(text: str) -> frozenset[str]:
    parts = [part for part in ast.walk(ast.parse(text)) if isinstance(part, ast.Name)]
    return frozenset(part.id for part in parts if isinstance(part.ctx, ast.Load))


def _plain_text(module: Module, name: str) -> str:
    node = module.functions[name]
    first = min([node.lineno, *(d.lineno for d in node.decorator_list)])
    return "\n".join(module.lines[first - 1 : node.end_lineno])


# One function


def _function(plan: ModulePlan, one: FunctionPlan, names: Names) -> FunctionText:
    lowered, module = one.lowered, plan.module
    own = _own_names(one)
    scope = Scope(own | set(module.bound) | set(names.functions.imports))
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
    bound_at = _cached_names(one, residuals, text, versions)
    cached = tuple(bound_at)
    prepared = _prepared(plan, one, residuals, bound_at, versions.aside, found, text.calls)
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


def _cached_names(
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


def _backward_names(text: BackwardText) -> set[str]:
    """Every name in the lines of a backward pass."""

    def lines(groups: tuple[Group, ...]) -> Iterator[str]:
        for group in groups:
            if isinstance(group, NestedText):
                yield group.head
                yield from lines(group.groups)
            else:
                yield from group[1]

    words = re.findall(r"[A-Za-z_]\w*", "\n".join([*lines(text.groups), *text.preludes]))
    return {*words, *text.upstream}


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


def _prepared(
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
                if init in unbound and param.name in kept:
                    begun.setdefault(param.name, step.stage)
        if isinstance(step, Branch) and step.stage is not None:
            for out, *ends in zip(step.outs, step.then.results, step.orelse.results, strict=True):
                if out.name in kept and any(end in unbound for end in ends):
                    begun.setdefault(out.name, step.stage)
    return begun


def _texts(
    one: FunctionPlan, forward: ForwardText, text: BackwardText, cached: tuple[str, ...], cache: str
) -> FunctionText:
    numbers = numbered(one.lowered)
    lines: list[str] = []
    if cached:
        lines.append(f"{', '.join(cached)} = {cache}")
    lines += text.preludes
    lines += _commented(text.groups, one, forward, numbers)
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


def _commented(
    groups: tuple[Group, ...],
    one: FunctionPlan,
    forward: ForwardText,
    numbers: Mapping[Stage, int],
    said: Stage | None = None,
) -> list[str]:
    """The lines of backward, each group below the statement that it reverses; `said` stands above already."""
    lines: list[str] = []
    for group in groups:
        stage = group.stage if isinstance(group, NestedText) else group[0]
        if stage is not None and stage in numbers and stage is not said:
            said = stage
            covers = one.lowered.covers.get(stage, ())
            if not any(cover.whole for cover in covers):
                lines.append(f"# ({numbers[stage]}) {_stage_text(stage, forward)}")
            lines += [f"# {_numbers(cover.stages, numbers)} {cover.text}" for cover in covers]
        if isinstance(group, NestedText):
            lines.append(f"{group.head}:")
            lines += [f"    {line}" for line in _commented(group.groups, one, forward, numbers, said) or ["pass"]]
        else:
            lines += group[1]
    return lines


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
