"""Inputs for a homework: drawn at several sizes to fit its forward pass, or read from a file."""

from __future__ import annotations

import ast
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
from flatgrad.checking.inputs import Domain, Fitted, NoArguments, Parameter, Role, Where, describe, drawn, fit
from flatgrad.diff.homework import Homework, Style
from flatgrad.diff.judging.gradients import normal, targets_of
from flatgrad.diff.judging.instrument import find_function
from flatgrad.diff.judging.meaning import MISFIT, meant
from flatgrad.diff.judging.runner import Runner, Tampered
from flatgrad.diff.judging.runs import Draw, Run
from flatgrad.diff.judging.sites import bound_targets
from flatgrad.ir.dims import Dim, Shape
from flatgrad.options import Options
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
_HOPELESS = (
    "NameError",
    "ImportError",
    "ModuleNotFoundError",
    "NotImplementedError",
    "SystemExit",
    "KeyboardInterrupt",
)


_LABELS = r"[yYtT]|[yY]_?(true|hot|onehot|one_hot)|targ(?:et)?s?|labels?"
_CROSS_ENTROPY = re.compile(rf"\b(?:{_LABELS})\s*\*\s*np\.log|np\.log\([^\n]*\)\s*\*\s*(?:self\.)?(?:{_LABELS})\b")
_BINARY = re.compile(rf"\b1(?:\.0?)?\s*-\s*(?:self\.)?(?:{_LABELS})\b")


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
    if _CROSS_ENTROPY.search(homework.text) and not _BINARY.search(homework.text):
        parameters = tuple(map(_as_distribution, parameters))

    until = time.monotonic() + MOST_TIMEOUTS * runner.timeout

    def accepted(arguments: Mapping[str, Any]) -> None:
        run = runner.run(number, Draw(arguments, seed, 0), {}, forward_only=True)
        if run.crash:
            if (problem := crashed(run)).kind in _HOPELESS:
                raise problem
            # The text alone: what NumPy says of shapes is read.
            raise Unjudgeable(run.crash, run.line, problem.kind)
        if not all(np.isfinite(one).all() and one.size for one in run.results):
            raise FloatingPointError("the result is not finite, or empty")

    def tried(arguments: Mapping[str, Any]) -> None:
        try:
            accepted(arguments)
        except Unjudgeable as problem:
            if time.monotonic() > until:
                raise Hopeless(_nothing(problem), problem.line) from None
            raise

    try:
        fitted = _meant(homework, runner, number, parameters, tried)
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
        raise Unjudgeable(_nothing(last), line) from None


def _meant(
    homework: Homework, runner: Runner, number: int, parameters: tuple[Parameter, ...], tried: Accepts
) -> Fitted:
    """What the forward pass accepts, of the shapes that the homework means. Raises NoArguments."""

    def fitting(described: tuple[Parameter, ...]) -> Fitted:
        return fit(described, tried, ends=_ENDS)

    def complaints(fitted: Fitted) -> int:
        arguments = drawn(fitted, 0, 0, tried, _ENDS)
        return _unfitting(homework, runner.run(number, Draw(arguments, 0, 0), {}), arguments)

    function = find_function(ast.parse(homework.text), homework.forward)
    first: NoArguments | None = None
    for described in _starts(function, homework, parameters):
        try:
            return meant(described, fitting, complaints, not any(homework.upstream), ast.unparse(function))
        except NoArguments as failed:
            first = failed
    assert first is not None
    raise first


def _starts(
    function: ast.FunctionDef, homework: Homework, parameters: tuple[Parameter, ...]
) -> Iterator[tuple[Parameter, ...]]:
    """Where the search for shapes begins: what is the likeliest first, the parameters as they are last."""
    made = _made_by_constructor(homework)
    own = tuple(
        one for one in parameters if one.name.removeprefix("self.") not in made or one.where is not Where.ATTRIBUTE
    )
    text = ast.get_docstring(function) or ""
    likely = _with_channels(tuple(_of_any_rank(one, text) for one in own))
    for described in dict.fromkeys((likely, own, parameters)):
        gates = _gates(function)
        if gates is not None:
            yield tuple(_with_gates(one, *gates) for one in described)
        yield described


def _as_distribution(parameter: Parameter) -> Parameter:
    """Labels of a cross entropy `t * np.log(y)`: rows that sum to 1, without which `y - t` is not its gradient."""
    if parameter.role is not Role.REAL or not re.fullmatch(_LABELS, parameter.name):
        return parameter
    rank = len(parameter.shape.front)
    dims = tuple(Dim.symbol(f"{parameter.name}.class{place}") for place in range(2))
    shape = parameter.shape if parameter.certain or rank > 1 else Shape(dims)
    return replace(parameter, domain=Domain.SIMPLEX if shape.front else parameter.domain, shape=shape)


def _with_channels(parameters: tuple[Parameter, ...]) -> tuple[Parameter, ...]:
    """`x` of shape (N, C, H, W) and its filters (F, C, HH, WW) have the same channels."""
    reals = [one for one in parameters if one.role is Role.REAL and len(one.shape.front) in (3, 4)]
    if len(reals) != 2 or len(reals[0].shape.front) != len(reals[1].shape.front):
        return parameters
    filters = [
        one for one in reals if re.fullmatch(r"([Ww]|.*(weights?|kernels?|filters?))\d?", one.name.rpartition(".")[2])
    ]
    data = [one for one in reals if one not in filters]
    if len(filters) != 1:
        return parameters
    front = list(filters[0].shape.front)
    front[1] = data[0].shape.front[1]
    return tuple(replace(one, shape=Shape(tuple(front))) if one is filters[0] else one for one in parameters)


def _of_any_rank(parameter: Parameter, text: str) -> Parameter:
    """`x: of shape (N, d_1, ..., d_k)`: three dims, so that a gradient that is not put in shape again shows."""
    said = rf"^[ \t\-*]*{re.escape(parameter.name)}\b[^\n(]*(\n[^\n(:]*)?\([^()]*(\.\.\.|d_k)"
    if parameter.role is not Role.REAL or len(parameter.shape.front) != 2 or not re.search(said, text, re.M):
        return parameter
    dims = (parameter.shape.front[0], *(Dim.symbol(f"{parameter.name}.any{place}") for place in (0, 1)))
    return replace(parameter, shape=Shape(dims))


def _made_by_constructor(homework: Homework) -> frozenset[str]:
    """The attributes that a constructor makes by a call, or of its parameters: they have the shapes that it means."""
    if "." not in homework.forward:
        return frozenset()
    try:
        constructor = find_function(ast.parse(homework.text), f"{homework.forward.partition('.')[0]}.__init__")
    except LookupError:
        return frozenset()
    return frozenset(
        target.attr
        for node in ast.walk(constructor)
        if isinstance(node, ast.Assign)
        and (isinstance(node.value, ast.Name) or any(isinstance(part, ast.Call) for part in ast.walk(node.value)))
        for target in bound_targets(node.targets)
        if isinstance(target, ast.Attribute)
    )


def _gates(function: ast.FunctionDef) -> tuple[str, int] | None:
    """`H` and 4, where a pre-activation is cut in parts `[:, :H]`, `[:, H:2 * H]` … `[:, 3 * H:]`."""
    found: dict[str, int] = {}
    for node in ast.walk(function):
        if isinstance(node, ast.Slice):
            for bound, more in ((node.lower, 1), (node.upper, 0)):
                match bound:
                    case ast.BinOp(ast.Constant(value=int(times)), ast.Mult(), ast.Name(id=name)) | ast.BinOp(
                        ast.Name(id=name), ast.Mult(), ast.Constant(value=int(times))
                    ):
                        found[name] = max(found.get(name, 0), times + more)
    return max(found.items(), key=lambda one: one[1], default=None)


def _with_gates(parameter: Parameter, size: str, count: int) -> Parameter:
    """A weight or a bias of all gates together: its last dim is that of a gate, so many times."""
    parameter = replace(parameter, entries=tuple(_with_gates(one, size, count) for one in parameter.entries))
    if parameter.role is not Role.REAL or parameter.certain or not parameter.shape.front:
        return parameter
    if not re.fullmatch(r"[WUb]\w?|[Ww]_\w+|b_\w+|\w*(weights?|bias)", parameter.name.rpartition(".")[2]):
        return parameter
    return replace(parameter, shape=Shape((*parameter.shape.front[:-1], Dim.symbol(size) * count)))


def _unfitting(homework: Homework, run: Run, arguments: Mapping[str, Any]) -> int:
    """How many returned gradients have not their variable's shape, times `MISFIT`, and how many statements raise."""
    numbers = {target.text: target.index for target in targets_of(homework.gradients)}
    last = {record.key[0]: record for record in run.records}
    count = len(run.crashes) + bool(run.crash)
    for place, one in enumerate(homework.returned):
        record = last.get(numbers.get(normal(one.target), -1 - place) if one.target else -1 - place)
        shape = _shape_of(arguments, one.variable)
        if shape is not None and (record is None or record.value is None or not _alike(record.value.shape, shape)):
            count += MISFIT
    return count


def _shape_of(arguments: Mapping[str, Any], variable: str) -> tuple[int, ...] | None:
    for name in (variable, f"self.{variable}"):
        if isinstance(value := arguments.get(name), np.ndarray | float):
            return np.shape(value)
    for value in arguments.values():
        if isinstance(value, Mapping) and (found := _shape_of(value, variable)) is not None:
            return found
    return None


def _alike(one: tuple[int, ...], other: tuple[int, ...]) -> bool:
    return [n for n in one if n != 1] == [n for n in other if n != 1]


def _nothing(last: BaseException | None) -> str:
    return f"no arguments were found that the forward pass accepts; at the best try: {last}"


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
    """The combinations of what integers may be: a stride of 2 with and without padding, the most different ones
    first."""
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
        raise Unjudgeable(str(crashed(run)).replace("forward pass", "script", 1), run.line)
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
