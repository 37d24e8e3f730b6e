"""Inputs for a homework: drawn at several sizes to fit its forward pass, or read from a file."""

from __future__ import annotations

import itertools
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from flatgrad.checking.drawing import every
from flatgrad.checking.fitting import Run as Accepts
from flatgrad.checking.inputs import Fitted, NoArguments, Parameter, Role, describe, drawn, fit
from flatgrad.compiler import Options
from flatgrad.diff.homework import Homework, Style
from flatgrad.diff.runner import Draw, Run, Runner, Tampered
from flatgrad.sandbox.process import SandboxFailure

# Sizes of the draws that a verdict rests on: the strides, pads and dims differ between them.
SIZES = (0, 2, 3, 4)
MOST_DRAWS = 6
# A draw with more numbers than that is replaced by another, a few times.
FEW_NUMBERS = 160
MOST_TRIES = 6
NEXT_TRY = 17


# Seconds that the search for arguments may take, in timeouts of one run.
MOST_TIMEOUTS = 2
# What no other arguments would change.
_HOPELESS = ("NameError", "ImportError", "ModuleNotFoundError", "NotImplementedError", "SystemExit", "KeyboardInterrupt")


class Unjudgeable(Exception):
    """The homework cannot be judged.

    `line` is its own line that is to blame, if one is. `kind`: the name of what it raised.
    """

    def __init__(self, reason: str, line: int | None = None, kind: str = "") -> None:
        super().__init__(reason)
        self.line = line
        self.kind = kind


class Hopeless(Unjudgeable):
    """Nothing is gained by trying other arguments."""


_ENDS = (SandboxFailure, Tampered, Hopeless)


def crashed(run: Run) -> Unjudgeable:
    """What is said of a forward pass that raises."""
    kind = run.crash.partition(":")[0]
    missed = re.search(r"name '(\w+)' is not defined", run.crash)
    causes = [f"line {line} raises {text}" for line, text in run.failed if line is not None]
    why = f" ({causes[0]})" if missed and causes else ""
    made = Hopeless if kind in _HOPELESS else Unjudgeable
    return made(f"the forward pass raises {run.crash}{why}", run.line, kind)


def draws_for(homework: Homework, runner: Runner, number: int, seed: int, inputs: Path | None) -> tuple[Draw, ...]:
    """Arguments for several runs of a homework.

    Raises:
        Unjudgeable: its forward pass accepts nothing that was tried, or not what is given.
        SandboxFailure: it ended its process, or took too long.
    """
    if inputs is not None:
        return (Draw(_given(homework, inputs), seed, 0),)
    if homework.style is Style.SCRIPT:
        return _script_draws(homework, runner, number, seed)
    parameters = _first_modes(describe(homework.text, homework.file, homework.forward, Options()))

    until = time.monotonic() + MOST_TIMEOUTS * runner.timeout

    def accepted(arguments: Mapping[str, Any]) -> None:
        run = runner.run(number, Draw(arguments, seed, 0), {}, forward_only=True)
        if run.crash:
            problem = crashed(run)
            if time.monotonic() > until:
                raise Hopeless(str(problem), problem.line, problem.kind)
            raise problem
        if not all(np.isfinite(one).all() and one.size for one in run.results):
            raise FloatingPointError("the result is not finite, or empty")

    try:
        fitted = fit(parameters, accepted, ends=_ENDS)
        made = [_small(fitted, seed, SIZES[0], accepted)]
        choices = list(_integer_choices(fitted.parameters))
        for place in range(1, max(len(SIZES), min(len(choices), MOST_DRAWS))):
            size = SIZES[place % len(SIZES)]
            chosen = replace(fitted, parameters=_with_integers(fitted.parameters, choices[place % len(choices)]))
            try:
                made.append(_small(chosen, seed + place, size, accepted))
            except NoArguments:
                continue
        return tuple(made)
    except NoArguments as failed:
        last = failed.last
        line = last.line if isinstance(last, Unjudgeable) else None
        said = str(last).removeprefix("the forward pass ")
        raise Unjudgeable(f"no arguments were found that the forward pass accepts: it {said}", line) from None


def _small(fitted: Fitted, seed: int, size: int, accepted: Accepts) -> Draw:
    """A draw of few numbers: each is probed on its own. Raises NoArguments."""
    best: tuple[int, Draw] | None = None
    for attempt in range(MOST_TRIES):
        own = seed + NEXT_TRY * attempt
        draw = Draw(drawn(fitted, own, size, accepted, _ENDS), own, size)
        count = sum(value.size for value in _arrays(draw.arguments) if value.dtype.kind == "f")
        if best is None or count < best[0]:
            best = (count, draw)
        if count <= FEW_NUMBERS:
            break
    assert best is not None
    return best[1]


def _arrays(value: Any) -> Iterator[np.ndarray[Any, np.dtype[Any]]]:
    if isinstance(value, np.ndarray):
        yield value
    elif isinstance(value, Mapping | list | tuple):
        for one in value.values() if isinstance(value, Mapping) else value:
            yield from _arrays(one)


def _first_modes(parameters: Sequence[Parameter]) -> tuple[Parameter, ...]:
    """Modes are not varied: a backward pass belongs to `mode="train"`."""
    found = []
    for one in parameters:
        if one.role is Role.CHOICE and any(isinstance(choice, str) for choice in one.choices):
            one = replace(one, choices=one.choices[:1])
        found.append(replace(one, entries=_first_modes(one.entries)) if one.entries else one)
    return tuple(found)


def _integer_choices(parameters: Sequence[Parameter]) -> Iterator[dict[str, int]]:
    """The combinations of what integers may be: a stride of 2 with and without padding, the most different ones first."""
    integers = [one for one in every(parameters) if one.role is Role.INTEGER and one.number is None and one.choices]
    options = [[choice for choice in one.choices if isinstance(choice, int)] for one in integers]
    combinations = list(itertools.product(*options))
    combinations.sort(key=lambda one: len(set(map(_place_of, one, options))) > 1)
    for one in combinations:
        yield {parameter.name: choice for parameter, choice in zip(integers, one, strict=True)}


def _place_of(choice: int, options: list[int]) -> int:
    return options.index(choice)


def _with_integers(parameters: Sequence[Parameter], chosen: Mapping[str, int]) -> tuple[Parameter, ...]:
    found = []
    for one in parameters:
        if one.role is Role.INTEGER and one.name in chosen:
            one = replace(one, choices=(chosen[one.name],))
        found.append(replace(one, entries=_with_integers(one.entries, chosen)) if one.entries else one)
    return tuple(found)


def _given(homework: Homework, inputs: Path) -> dict[str, Any]:
    try:
        with np.load(inputs, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    except (OSError, ValueError) as error:
        raise Unjudgeable(f"{inputs} cannot be read: {error}") from None
    found: dict[str, Any] = {}
    for name, value in arrays.items():
        parts = name.split("/")
        owner = found
        for part in parts[:-1]:
            owner = owner.setdefault(part, {})
        owner[parts[-1]] = value if value.shape else value.item()
    known = {*homework.parameters, *(f"self.{name}" for name in homework.attributes)}
    constructor = {name for name in found if name.startswith("__init__.")}
    unknown = sorted(set(found) - known - constructor)
    if unknown:
        raise Unjudgeable(f"{inputs} has {', '.join(unknown)}; the forward pass takes {', '.join(sorted(known))}")
    return found


def _script_draws(homework: Homework, runner: Runner, number: int, seed: int) -> tuple[Draw, ...]:
    """A script's own values first; then others about them, where it takes gradients or has floats."""
    first = Draw({}, seed, 0)
    run = runner.run(number, first, {})
    if run.crash and run.stage == "forward":
        raise Unjudgeable(f"the script raises {run.crash}", run.line)
    claimed = set(homework.gradients.values())
    made = [first]
    for place in (1, 2):
        random = np.random.default_rng(seed + place)
        arguments: dict[str, Any] = {}
        for name, value in run.leaves.items():
            if name in claimed or value.dtype.kind == "f":
                other = value * (1 + 0.3 * random.uniform(-1, 1, value.shape))
                arguments[name] = other if value.shape else float(other)
        draw = Draw(arguments, seed + place, 0)
        if not runner.run(number, draw, {}).crash:
            made.append(draw)
    return tuple(made)
