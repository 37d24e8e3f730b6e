"""A homework held against a model: another forward pass of the same function, in a process of its own.

Arguments are the homework's, by name or by position; results are matched by value. Where no result of the model is
the homework's, its forward pass computes something else, and what it returns is held against the model's gradients.
"""

from __future__ import annotations

import ast
from dataclasses import replace

from flatgrad.diff.homework import Homework, Style
from flatgrad.diff.judging.case import Case, Judged
from flatgrad.diff.judging.closeness import same_gradient
from flatgrad.diff.judging.instrument import find_function, instrument
from flatgrad.diff.judging.runner import Runner
from flatgrad.diff.judging.runs import Draw, Run
from flatgrad.diff.judging.truth import Sites, Truth
from flatgrad.diff.options import CompareOptions
from flatgrad.diff.verdicts import Outcome
from flatgrad.sandbox.process import SandboxFailure

_PLACES: tuple[tuple[int | str, ...], ...] = ((), (0,), (1,), (2,))


def against_model(
    case: Case, found: tuple[Judged, ...], model: tuple[str, str], options: CompareOptions
) -> tuple[tuple[Judged, ...], list[str]]:
    """The verdicts, where the model's forward pass is another one: what the homework returns against the model's
    gradients."""
    forward = _forward_of(case.homework, model[0])
    if forward is None:
        return found, [
            f"{model[1]} has no function for {case.homework.function}: it was judged by its own forward pass"
        ]
    name, parameters = forward
    with Runner(options.timeout) as runner:
        try:
            truths = _truths(case, model, name, parameters, runner)
        except SandboxFailure as failure:
            return found, [f"{model[1]} cannot be run: {failure.detail}"]
        if isinstance(truths, str):
            return found, [truths]
        if truths is None:
            return found, []
        said = [f"the forward pass gives another result than {name} of {model[1]}"]
        return tuple(_held_against(case, one, truths, parameters) for one in found), said


def _forward_of(homework: Homework, model: str) -> tuple[str, tuple[str, ...]] | None:
    """The model's function for a homework and its parameters: of the same name, or the only one."""
    tree = ast.parse(model)
    base = homework.forward.removesuffix("_forward").removeprefix("forward_")
    functions = [node.name for node in tree.body if isinstance(node, ast.FunctionDef)]
    names = [homework.forward, f"{base}_forward", f"forward_{base}", base, homework.function]
    if "." not in homework.forward and len([one for one in functions if not one.startswith("_")]) == 1:
        names += [one for one in functions if not one.startswith("_")]
    for name in names:
        try:
            node = find_function(tree, name)
        except LookupError:
            continue
        return name, tuple(one.arg for one in (*node.args.posonlyargs, *node.args.args) if one.arg != "self")
    return None


def _as_homework(case: Case, model: tuple[str, str], name: str, parameters: tuple[str, ...]) -> Homework:
    """The model's forward pass, as something to run and to probe."""
    return replace(
        case.homework,
        file=model[1],
        text=model[0],
        style=Style.FLAT,
        forward=name,
        backward=name,
        parameters=parameters,
        loss=((),),
        upstream=("",),
        backward_lines=frozenset(),
        gradients={},
        returned=(),
    )


def _truths(
    case: Case, model: tuple[str, str], name: str, parameters: tuple[str, ...], runner: Runner
) -> tuple[Sites, tuple[Truth, ...]] | str | None:
    """The model's forward pass at the draws; None where it gives the homework's results, a text where it cannot be
    run."""
    draws = tuple(_translated(draw, case.homework, parameters) for draw in case.draws)
    problem = ""
    for places in _places(len(case.frees[0].results)):
        homework = replace(_as_homework(case, model, name, parameters), loss=places, upstream=("",) * len(places))
        program = instrument(homework)
        number = runner.load(program, homework)
        runs = [runner.run(number, draw, {}, listing=True) for draw in draws]
        crash = next((run for run in runs if run.crash), None)
        if crash is not None:
            problem = problem or crash.crash
            continue
        if all(_same_results(mine, theirs) for mine, theirs in zip(runs, case.frees, strict=True)):
            return None
        if all(_same_shapes(mine, theirs) for mine, theirs in zip(runs, case.frees, strict=True)):
            upstreamed = [replace(run, upstream=free.upstream) for run, free in zip(runs, case.frees, strict=True)]
            truths = tuple(Truth(runner, number, draw, run) for draw, run in zip(draws, upstreamed, strict=True))
            return Sites(program.sites, runs[0].sites), truths
    return f"{name} of {model[1]} was not compared: {problem or 'it gives results of other shapes'}"


def _places(count: int) -> list[tuple[tuple[int | str, ...], ...]]:
    if count == 1:
        return [(place,) for place in _PLACES]
    return [tuple((index,) for index in range(count))]


def _translated(draw: Draw, homework: Homework, parameters: tuple[str, ...]) -> Draw:
    """The arguments by the model's names: the same ones, else those in the same places."""
    if set(homework.parameters) <= set(parameters):
        return draw
    if len(homework.parameters) != len(parameters):
        return draw
    names = dict(zip(homework.parameters, parameters, strict=True))
    return replace(draw, arguments={names.get(name, name): value for name, value in draw.arguments.items()})


def _same_results(one: Run, other: Run) -> bool:
    return _same_shapes(one, other) and all(
        same_gradient(a, b, True) for a, b in zip(one.results, other.results, strict=True)
    )


def _same_shapes(one: Run, other: Run) -> bool:
    return [a.shape for a in one.results] == [b.shape for b in other.results]


def _held_against(
    case: Case, one: Judged, model: tuple[Sites, tuple[Truth, ...]], parameters: tuple[str, ...]
) -> Judged:
    """A returned gradient against the model's; others stay as they are."""
    if not one.group.returned or not one.group.variable:
        return one
    sites, truths = model
    names = dict(zip(case.homework.parameters, parameters, strict=False))
    variable = one.group.variable
    specs = sites.wholes(variable, True) or sites.wholes(names.get(variable, variable), True)
    if not specs:
        return one
    wrong: list[int] = []
    for draw, rounds in enumerate(one.free):
        expected = truths[draw].of(specs[0])
        right = expected is not None and len(rounds) == 1 and rounds[0] is not None
        if not right or expected is None or rounds[0] is None or not same_gradient(rounds[0], expected[0], True):
            wrong.append(draw)
    if not wrong:
        return replace(one, outcome=Outcome.MATCH, wrong_at=())
    if one.outcome is Outcome.MATCH:
        return replace(one, outcome=Outcome.WRONG, wrong_at=tuple(wrong), of_model=True)
    return one
