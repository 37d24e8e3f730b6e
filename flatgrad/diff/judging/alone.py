"""The last look: what a homework returns where nothing is recorded, and what its forward pass really does.

The verdicts rest on runs of an instrumented homework, and homework can find the instruments. So what is found right
is held
against runs of the homework as it stands, in a process of its own: what it returns must be what was judged, and that
must be the
derivative of its forward pass, by differences of the arguments.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from flatgrad.diff.homework import Style
from flatgrad.diff.judging.case import Case, Floats, Judged
from flatgrad.diff.judging.closeness import same_gradient
from flatgrad.diff.judging.instrument import uninstrumented
from flatgrad.diff.judging.runner import Runner
from flatgrad.diff.judging.runs import Draw, Key, Run
from flatgrad.diff.verdicts import Outcome

STEP = 1e-4
# Of the largest part of a sum; three and five points that differ by more have met a kink, and say nothing.
TOLERANCE = 1e-4
MOST_KINK = 1e-5
MOST_DRAWS = 2

_Path = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Alone:
    """What the last look found: the gradients that are returned otherwise; whether they are not the derivative."""

    other: frozenset[Key] = frozenset()
    deceived: bool = False


def look_alone(case: Case, found: Sequence[Judged], timeout: float, total: float) -> Alone:
    """Hold the returned gradients that match against runs of the homework as it stands.

    Args:
        timeout: seconds for one run; `total`: for all of them.
    Raises:
        SandboxFailure, Tampered: as a Runner.
    """
    homework = case.homework
    judged = [one for one in found if one.group.returned and one.outcome is Outcome.MATCH]
    if homework.style is Style.SCRIPT or not judged:
        return Alone()
    other: set[Key] = set()
    deceived = False
    with Runner(timeout, total) as runner:
        number = runner.load(uninstrumented(homework, case.program.targets), homework)
        for draw, free in list(zip(case.draws, case.frees, strict=True))[:MOST_DRAWS]:
            run = runner.run(number, draw, {})
            given = _returned(run)
            for one in judged:
                value = _returned(free).get(_place(one.group.key))
                now = given.get(_place(one.group.key))
                if value is not None and (now is None or not same_gradient(now, value, True)):
                    other.add(one.group.key)
            if not other and not _is_derivative(runner, number, draw, free, judged):
                deceived = True
    return Alone(frozenset(other), deceived)


def _place(key: Key) -> tuple[int, str]:
    return key[0], key[2]


def _returned(run: Run) -> dict[tuple[int, str], Floats | None]:
    """The last value of each gradient."""
    return {_place(one.key): one.value for one in run.records}


def _is_derivative(runner: Runner, number: int, draw: Draw, free: Run, judged: Sequence[Judged]) -> bool:
    """Whether the gradients are those of the forward pass along one direction of all arguments together.

    True where nothing is told: no argument has the variable's name, or a kink lies near.
    """
    random = np.random.default_rng([draw.seed, 7])
    values = _returned(free)
    steps: dict[_Path, Floats] = {}
    parts: list[float] = []
    for one in judged:
        value = values.get(_place(one.group.key))
        paths = [path for path in _paths(draw.arguments) if path[-1].removeprefix("self.") == one.group.variable]
        if value is None or len(paths) != 1 or paths[0] in steps:
            continue
        argument = _at(draw.arguments, paths[0])
        if [n for n in value.shape if n != 1] != [n for n in argument.shape if n != 1]:
            continue
        steps[paths[0]] = random.standard_normal(argument.shape)
        parts.append(float(np.sum(value.reshape(argument.shape) * steps[paths[0]])))
    if not steps:
        return True
    points: list[float] = []
    for factor in (-2.0, -1.0, 1.0, 2.0):
        moved = {path: factor * STEP * step for path, step in steps.items()}
        run = runner.run(number, replace(draw, arguments=_moved(draw.arguments, moved)), {}, forward_only=True)
        shapes = [one.shape for one in run.results]
        if run.crash or shapes != [one.shape for one in free.upstream]:
            return True
        points.append(sum(float(np.sum(a * b)) for a, b in zip(run.results, free.upstream, strict=True)))
    fine = (points[0] - 8 * points[1] + 8 * points[2] - points[3]) / (12 * STEP)
    coarse = (points[2] - points[1]) / (2 * STEP)
    scale = max(*map(abs, parts), abs(fine), 1e-3)
    return not abs(fine - coarse) <= MOST_KINK * scale or abs(fine - sum(parts)) <= TOLERANCE * scale


def _paths(value: Mapping[str, Any], before: _Path = ()) -> Iterator[_Path]:
    """Where the arguments have arrays of floats: by name, in dicts by key too."""
    for name, one in value.items():
        if isinstance(one, np.ndarray) and one.dtype.kind == "f":
            yield (*before, name)
        elif isinstance(one, Mapping):
            yield from _paths(one, (*before, name))


def _at(value: Any, path: _Path) -> Any:
    for name in path:
        value = value[name]
    return value


def _moved(value: Mapping[str, Any], steps: Mapping[_Path, Floats], before: _Path = ()) -> dict[str, Any]:
    """The arguments, with what stands at some places moved."""
    found: dict[str, Any] = {}
    for name, one in value.items():
        path = (*before, name)
        if path in steps:
            found[name] = one + steps[path]
        else:
            found[name] = _moved(one, steps, path) if isinstance(one, Mapping) else one
    return found
