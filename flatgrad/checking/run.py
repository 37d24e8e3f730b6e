"""A whole check: a model and a module, function by function."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from flatgrad.checking.check import Extend, Given, Outcome, check_drawn, check_given, no_tick
from flatgrad.checking.contract import Pair, pairs, variable_of
from flatgrad.checking.given import Unusable, fitting, from_model, missing
from flatgrad.checking.gradients import differentiate, draw_upstream
from flatgrad.checking.inputs import NoArguments, describe, drawn, fit
from flatgrad.checking.loading import beside, run_module
from flatgrad.checking.rows import Settings, Tick
from flatgrad.checking.second import Twice, compiled_twice
from flatgrad.checking.state import Path as Way
from flatgrad.checking.state import as_floats, get, put
from flatgrad.checking.subject import Model, State, find_model, quiet, run_model, state_of
from flatgrad.diagnostics import Refused

if TYPE_CHECKING:
    from flatgrad.options import Options


@dataclass(frozen=True, slots=True)
class Module:
    """The module whose gradients are checked.

    Attributes:
        label: what reports call it.
        wrt: for each function that the compiler has just written, what it gives gradients for; empty for others.
    """

    text: str
    label: str
    folder: Path
    wrt: Mapping[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Task:
    """One function that is to be checked.

    Attributes:
        required: it is one of those that the user means: what cannot be judged of it is a failure.
    """

    pair: Pair
    model: Model
    required: bool


def check_module(
    source: str,
    filename: str,
    module: Module,
    options: Options,
    settings: Settings,
    given: Any = None,
    origin: str = "",
    begin: Callable[[str], Tick] = lambda name: no_tick,
) -> tuple[Outcome, ...]:
    """Check the functions of a module against the model: both are run.

    Args:
        source: the model's text; `filename` is where it stands, and its imports are found beside it.
        options: as for the compiler: `functions` picks, `shapes` are claims for drawing.
        given: arguments, as `given.fitting` takes them; None to ask the model's `example_inputs()`, else to draw.
        origin: what to call the given ones.
        begin: is called with the name of each function, and gives what is told about its progress.
    Raises:
        NotImported: the model or the module raises when it is run.
        Unusable: the given arguments.
        LookupError: nothing is there to be checked, or a function of `options.functions` is not.
    """
    folder = Path(filename).resolve().parent if not filename.startswith("<") else Path.cwd()
    with beside(folder, module.folder):
        with quiet():
            model = run_module(source, filename, Path(filename).stem if not filename.startswith("<") else "model")
            names = run_module(module.text, module.label, Path(module.label).stem.strip("<>") or "generated")
        tasks = list(_tasks(source, filename, model, names, module, options))
        if given is None:
            given = from_model(model, filename)
            origin = "example_inputs()"
        found: list[Outcome] = []
        for task in tasks:
            tick = begin(task.pair.name)
            outcome = _checked(task, tasks, source, filename, module, names, options, settings, given, origin, tick)
            if outcome is not None:
                found.append(outcome)
    if not found:
        lacking = ", ".join(missing(given, tasks[0].model))
        raise Unusable(f"{origin} does not fit any function" + (f": there is no {lacking}" if lacking else ""))
    return tuple(found)


def _tasks(
    source: str, filename: str, model: Mapping[str, Any], names: Mapping[str, Any], module: Module, options: Options
) -> Iterator[Task]:
    """The functions and classes that both have. Raises LookupError for one that is asked for and is not there."""
    found = pairs(names, module.text)
    wanted = {name.removesuffix("_forward").partition(".")[0] for name in options.functions}
    own = _defined(source)
    entries = _entries(source, filename)
    chosen = 0
    for pair in found:
        subject = find_model(model, pair.name)
        if subject is None or (wanted and pair.name not in wanted):
            continue
        if not wanted and not {pair.name, f"{pair.name}_forward"} & own:
            continue  # a helper that the model imports: it is checked where it stands
        if module.wrt and not wanted and pair.owner is None and pair.name not in module.wrt:
            continue  # a helper of an entry, without a say of its own
        chosen += 1
        yield Task(pair, subject, bool(wanted) or not entries or pair.name in entries)
    absent = wanted - {pair.name for pair in found}
    if absent:
        raise LookupError(f"{module.label} has no {' and no '.join(sorted(absent))} with forward and backward")
    if not chosen:
        raise LookupError(
            f"{module.label} has nothing that {filename} has as well: functions are f_forward with f_backward, or "
            "f_value_and_grad; classes have forward and backward"
        )


def _defined(source: str) -> set[str]:
    import ast

    return {node.name for node in ast.parse(source).body if isinstance(node, ast.FunctionDef | ast.ClassDef)}


def _entries(source: str, filename: str) -> set[str]:
    """What `compile` would write for, by base names; empty where that cannot be told."""
    from flatgrad.frontend.classes import with_methods
    from flatgrad.frontend.source import entry_functions, read_module

    try:
        names = entry_functions(with_methods(read_module(source, filename), ()), ())
    except Refused:
        return set()
    return {name.partition(".")[0].removesuffix("_forward") for name in names}


def _checked(
    task: Task,
    tasks: Sequence[Task],
    source: str,
    filename: str,
    module: Module,
    names: Mapping[str, Any],
    options: Options,
    settings: Settings,
    given: Any,
    origin: str,
    tick: Tick,
) -> Outcome | None:
    """One function's outcome; None where the given arguments are not for it."""
    name = task.pair.name
    own = None
    if given is not None:
        own = fitting(given, name, task.model, [one.pair.name for one in tasks], origin)
        if own is None and (origin != "example_inputs()" or len(tasks) == 1):
            if len(tasks) == 1:
                lacking = ", ".join(missing(given, task.model)) or "of as many arguments as it takes"
                return Outcome(name, problem=f"{origin} does not fit it: there is no {lacking}")
            return None
    fallback = module.wrt.get(name, ())
    if own is not None:
        outcome = check_given(task.pair, task.model, own, settings, fallback, tick)
    else:
        parameters = _parameters(task, source, filename, options)
        outcome = check_drawn(task.pair, task.model, parameters, settings, fallback, tick)
        if outcome.problem and not task.required:
            return Outcome(name, notes=(f"not judged, a helper: {outcome.problem}",))
    if settings.order == 2 and outcome.exit_code == 0:
        second = _second(task, source, filename, module, names, options, settings, own, tick)
        return replace(second, notes=(*outcome.notes, *second.notes))
    return outcome


def _parameters(task: Task, source: str, filename: str, options: Options) -> Any:
    key = f"{task.pair.name}.{task.model.method}" if task.model.is_class else task.pair.name
    function = task.model.function
    if not task.model.is_class and getattr(function, "__name__", "").endswith("_forward"):
        key = function.__name__
    return describe(source, filename, key, options)


# Second derivatives


def _second(
    task: Task,
    source: str,
    filename: str,
    module: Module,
    names: Mapping[str, Any],
    options: Options,
    settings: Settings,
    own: Given | None,
    tick: Tick,
) -> Outcome:
    """Gradients of gradients: the module's, compiled again, against differences of the module's gradients."""
    name = task.pair.name
    if task.pair.backward is None:
        return Outcome(name, problem="second derivatives are checked of functions with forward and backward")
    try:
        parameters = () if own is not None else _parameters(task, source, filename, options)
        with quiet():
            base = _base_state(task, parameters, own, settings)
            results = [run_model(task.model, base)[k] for k in range(task.pair.upstream)]
    except NoArguments as error:
        return Outcome(name, problem=str(error))
    variables = _differentiated(task.pair, base, settings)
    entries = _entries_of(task, base, settings)
    ranks = [np.ndim(result) for result in results]
    try:
        twice = compiled_twice(module.text, module.label, name, variables, options, ranks, entries)
    except Refused as refused:
        return Outcome(name, problem=f"the generated module is not compiled again:\n{refused}".replace(":\n\n", ":\n"))
    with quiet():
        once = run_module(twice.first, f"{module.label} with {twice.function}", "once")
        again = run_module(twice.second.text, f"{module.label} compiled again", "again")
    pair = next(pair for pair in pairs(again, twice.second.text) if pair.name == twice.function)
    subject = find_model(once, twice.function)
    assert subject is not None
    extend = _extended(task, twice, entries, settings.seed)
    fallback = next((entry.wrt for entry in twice.second.entries if entry.name == twice.function), ())
    wanted = replace(settings, wrt=())
    if own is not None:
        outcome = check_given(pair, subject, own, wanted, fallback, tick, extend)
    else:
        outcome = check_drawn(pair, subject, parameters, wanted, fallback, tick, extend)
    return replace(outcome, function=name)


def _entries_of(task: Task, state: State, settings: Settings) -> dict[int, list[Way]]:
    """Of each gradient that is a dict or a list, by its place, the ways to the arrays that it has one of."""
    found: dict[int, list[Way]] = {}
    if not any(isinstance(value, Mapping | list | tuple) for value in state.values()):
        return found
    gradients = differentiate(task.pair, task.model, state, settings.seed)
    for place, name in enumerate(task.pair.gradients):
        variable = variable_of(name, state)
        paths = [path for path in gradients.by_path if path[0] == variable and len(path) > 1]
        if paths:
            found[place] = paths
    return found


def _extended(task: Task, twice: Twice, entries: Mapping[int, Sequence[Way]], seed: int) -> Extend:
    """Adds what the function of gradients takes besides the arguments: upstream gradients, of the shapes that the
    model's results have, and directions, of the parameters' structure."""

    def extend(state: State) -> State:
        # The model itself says what does not fit: the sizes in its errors are what fitting goes by, guards name none.
        results = run_model(task.model, state)
        rng = np.random.default_rng([seed, 6])
        added = {name: draw_upstream(result, rng) for name, result in zip(twice.upstream, results, strict=False)}
        rng = np.random.default_rng([seed, 7])
        for place, paths in entries.items():
            root = str(paths[0][0])
            inside = {root: copy.deepcopy(state[root])}
            for path in paths:
                put(inside, path, draw_upstream(as_floats(get(state, path)), rng))
            added[twice.directions[place]] = inside[root]
        return {**state, **added}

    return extend


def _base_state(task: Task, parameters: Any, own: Given | None, settings: Settings) -> State:
    if own is not None:
        return state_of(task.model, own.arguments)

    def run(arguments: dict[str, Any]) -> None:
        run_model(task.model, state_of(task.model, arguments))

    return state_of(task.model, drawn(fit(parameters, run), settings.seed, 0, run))


def _differentiated(pair: Pair, state: State, settings: Settings) -> tuple[str, ...]:
    found = [variable_of(name, state) for name in pair.gradients]
    return tuple(name for name in found if name is not None and (not settings.wrt or name in settings.wrt))
