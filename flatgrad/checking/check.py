"""One function's gradients against differences, at arguments that are given or drawn."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from flatgrad.checking.contract import Pair, Unmatched
from flatgrad.checking.differences import STEP, TOLERANCE, Finding, Look, central, closer, rounding
from flatgrad.checking.inputs import Fitted, NoArguments, Parameter, drawn, fit
from flatgrad.checking.state import SELF, Floats, Path, as_floats, get, leaves, spelled
from flatgrad.checking.subject import (
    Fault,
    Gradients,
    Model,
    State,
    Unfit,
    along,
    differentiate,
    forward_results,
    magnitude,
    numbers_in,
    quiet,
    refreshed,
    run_model,
    state_of,
)

OK, WRONG, KINKED, UNSURE = "ok", "wrong", "kink", "unsure"
# How often arguments are drawn anew where a kink is met, and which sizes are drawn: the first has the first choice of
# each mode, stride and pad, the second another one.
REDRAWS = 6
SIZES = (0, 3)
# A direction that does not agree is looked at again with other steps: so many of one variable, the worst first.
MOST_LOOKS = 40
# Smallest relative error that must show above rounding.
WEAK = 1e-4

Tick = Callable[[int, int], None]
Extend = Callable[[State], State]


@dataclass(frozen=True, slots=True)
class Settings:
    """What the command line decides.

    Attributes:
        directions: how many random projections of each variable are compared instead of every element; 0 for all.
        wrt: only these variables.
        seed: of the arguments that are drawn, of upstream gradients and directions.
        order: 1, or 2 for gradients of gradients.
    """

    directions: int = 0
    wrt: tuple[str, ...] = ()
    seed: int = 0
    order: int = 1


@dataclass(frozen=True, slots=True)
class Row:
    """One variable.

    Attributes:
        max_relative_error: the largest `|a - b| / max(1e-8, |a| + |b|)` over elements (or directions).
        norm_relative_error: `|a - b|` over the larger of `|a|` and `|b|`, in norms; 0 where rounding explains it all.
        verdict: `ok`, `wrong`, `kink` (all of it is at kinks) or `unsure` (the differences do not agree among
            themselves).
        compared: how many elements or directions were compared, kinks left out.
        kinks: what is said of each kink.
        detail: more about a wrong one: a shape, the worst element.
        weak: the gradient is so small beside the result that a factor of 1.001 would be lost in rounding: zero, mostly.
    """

    name: str
    shape: tuple[int, ...]
    max_relative_error: float
    norm_relative_error: float
    verdict: str
    compared: int
    kinks: tuple[str, ...] = ()
    detail: str = ""
    weak: bool = False


@dataclass(frozen=True, slots=True)
class Outcome:
    """What is said of one function or class.

    Attributes:
        rows: its variables.
        faults: what is wrong besides gradients: another value, a backward pass that raises.
        problem: why it could not be judged; empty if it was.
        notes: what else there is to say.
        inputs: what the arguments were, in words.
    """

    function: str
    rows: tuple[Row, ...] = ()
    faults: tuple[str, ...] = ()
    problem: str = ""
    notes: tuple[str, ...] = ()
    inputs: tuple[str, ...] = ()

    @property
    def is_wrong(self) -> bool:
        return bool(self.faults) or any(row.verdict == WRONG for row in self.rows)

    @property
    def exit_code(self) -> int:
        """1 where something is wrong, 2 where it cannot be judged, 0 else; a kink is no error."""
        if self.is_wrong:
            return 1
        return 2 if self.problem or any(row.verdict == UNSURE for row in self.rows) else 0


@dataclass(frozen=True, slots=True)
class Given:
    """Arguments by name, and what to call where they come from."""

    arguments: Mapping[str, Any]
    origin: str


@dataclass(frozen=True, slots=True)
class _Work:
    """What is done with one function."""

    pair: Pair
    model: Model
    settings: Settings
    fallback: tuple[str, ...]
    tick: Tick
    extend: Extend

    def state(self, arguments: Mapping[str, Any]) -> State:
        """The state for these arguments, with what is added to it."""
        return self.extend(state_of(self.model, arguments))


def unextended(state: State) -> State:
    """For those who add nothing to a state."""
    return state


def no_tick(done: int, expected: int) -> None:
    """For those who want no progress shown."""


def check_given(
    pair: Pair,
    model: Model,
    given: Given,
    settings: Settings,
    fallback: tuple[str, ...] = (),
    tick: Tick = no_tick,
    extend: Extend = unextended,
) -> Outcome:
    """Check at given arguments. Kinks are said: there is nothing else to try."""
    work = _Work(pair, model, settings, fallback, tick, extend)
    with quiet():
        try:
            state = work.state(given.arguments)
            _forward(work, state, check_module=False)
        except Exception as error:
            return Outcome(pair.name, problem=f"{given.origin}: the model raises {type(error).__name__}: {error}")
        outcome = _at(work, state)
    return replace(outcome, inputs=(f"{given.origin}: {_summary(state)}",))


def check_drawn(
    pair: Pair,
    model: Model,
    parameters: tuple[Parameter, ...],
    settings: Settings,
    fallback: tuple[str, ...] = (),
    tick: Tick = no_tick,
    extend: Extend = unextended,
) -> Outcome:
    """Check at arguments that are drawn to fit: two sizes, and others where the first are at a kink.

    Args:
        fallback: the variables that are differentiated, in order, where that is known.
        tick: is told how many derivatives have been compared since the last call, and how many more are to come than
            was known before.
        extend: adds to a state what is not drawn.
    """
    work = _Work(pair, model, settings, fallback, tick, extend)
    with quiet():
        try:
            fitted = _fitted(work, parameters)
        except NoArguments as error:
            return Outcome(
                pair.name, problem=f"{error}; give some with --inputs, or with an example_inputs() in the model"
            )
        outcomes: list[Outcome] = []
        told: list[str] = []
        for size in SIZES:
            found = _drawn_outcome(work, fitted, size)
            if found is None:
                continue
            outcome, state = found
            outcomes.append(outcome)
            told.append(_summary(state))
            if outcome.exit_code == 1:
                break
    if not outcomes:
        return Outcome(pair.name, problem="no arguments were found at which it is finite")
    return replace(_merged(outcomes), inputs=tuple(dict.fromkeys(told)))


def _fitted(work: _Work, parameters: tuple[Parameter, ...]) -> Fitted:
    """Arguments that both the model and the module take; those of the model alone if the module takes none."""
    try:
        return fit(parameters, lambda arguments: _forward(work, work.state(arguments), check_module=True))
    except NoArguments:
        return fit(parameters, lambda arguments: _forward(work, work.state(arguments), check_module=False))


def _forward(work: _Work, state: State, check_module: bool) -> None:
    """Run the model, and the module's forward pass. Raises what they raise, Unfit where the result says nothing."""
    count = max(work.pair.upstream, 1)
    results = run_model(work.model, state)
    try:
        for result in results[:count]:
            numbers_in(result)
        if check_module:
            for result in forward_results(work.pair, state)[0]:
                numbers_in(result)
    except Unfit as error:
        raise FloatingPointError(str(error)) from None


def _drawn_outcome(work: _Work, fitted: Fitted, size: int) -> tuple[Outcome, State] | None:
    """The outcome at drawn arguments of a size, the first without a kink; None where none of that size fit."""
    best: tuple[Outcome, State] | None = None
    for redraw in range(REDRAWS):
        seed = work.settings.seed + 7919 * redraw

        def run(arguments: dict[str, Any]) -> None:
            _forward(work, refreshed(work.state(arguments), seed), check_module=False)  # noqa: B023

        try:
            arguments = drawn(fitted, seed, size, run)
        except NoArguments:
            return best
        state = refreshed(work.state(arguments), seed)
        outcome = _at(work, state)
        if outcome.exit_code == 1 or outcome.problem or not any(_doubts(outcome)):
            return outcome, state
        if best is None or _doubts(outcome) < _doubts(best[0]):
            best = outcome, state
        elif redraw >= 2 and not any(_doubts(best[0])[:2]):
            break  # a gradient that is zero again and again is zero
    return best


def _doubts(outcome: Outcome) -> tuple[int, int, int]:
    """What other arguments may do better: variables that could not be told, kinks, gradients that are zero."""
    return (
        sum(row.verdict == UNSURE for row in outcome.rows),
        sum(len(row.kinks) for row in outcome.rows),
        sum(row.weak for row in outcome.rows),
    )


def _merged(outcomes: Sequence[Outcome]) -> Outcome:
    """One outcome of several: of each variable the worst."""
    rows: dict[str, Row] = {}
    order = (OK, KINKED, UNSURE, WRONG)
    for outcome in outcomes:
        for row in outcome.rows:
            known = rows.get(row.name)
            if known is None:
                rows[row.name] = row
                continue
            # What is at a kink in one draw is judged by the other.
            first, second = known, row
            if KINKED in (known.verdict, row.verdict):
                rows[row.name] = second if first.verdict == KINKED else first
                continue
            if first.weak != second.weak and first.verdict == second.verdict == OK:
                rows[row.name] = replace(second if first.weak else first, shape=first.shape)
                continue
            worse = max((first, second), key=lambda one: (order.index(one.verdict), one.norm_relative_error))
            rows[row.name] = replace(
                worse,
                shape=first.shape,
                max_relative_error=max(first.max_relative_error, second.max_relative_error),
                compared=first.compared + second.compared,
                kinks=(*first.kinks, *second.kinks),
            )
    faults = tuple(dict.fromkeys(fault for outcome in outcomes for fault in outcome.faults))
    problem = next((outcome.problem for outcome in outcomes if outcome.problem), "")
    return Outcome(outcomes[0].function, tuple(rows.values()), faults, problem)


# At one state


def _at(work: _Work, state: State) -> Outcome:
    try:
        gradients = differentiate(work.pair, work.model, state, work.settings.seed, work.settings.wrt, work.fallback)
    except Fault as fault:
        return Outcome(work.pair.name, faults=(str(fault),))
    except Unmatched as error:
        return Outcome(work.pair.name, problem=str(error))
    sizes = [int(np.size(get(state, path))) for path in gradients.by_path]
    most = work.settings.directions
    work.tick(0, sum(min(size, most) if most else size for size in sizes))
    rows = [_row(work, state, gradients, path, place) for place, path in enumerate(gradients.by_path)]
    return Outcome(work.pair.name, tuple(rows), gradients.remarks)


def _row(work: _Work, state: State, gradients: Gradients, path: Path, place: int) -> Row:
    name, value = spelled(path), as_floats(get(state, path))
    try:
        claimed = as_floats(gradients.by_path[path])
    except (TypeError, ValueError):
        return Row(name, value.shape, np.inf, np.inf, WRONG, 0, detail="its gradient is no array of numbers")
    if claimed.shape != value.shape:
        detail = f"its gradient has the shape {claimed.shape}"
        return Row(name, value.shape, np.inf, np.inf, WRONG, 0, detail=detail)
    if not np.all(np.isfinite(claimed)):
        return Row(name, value.shape, np.inf, np.inf, WRONG, 0, detail="its gradient is not finite")
    directions = _directions(value.shape, work.settings, place)
    results = run_model(work.model, state)
    size = magnitude([results[k] for k in gradients.positions], gradients.upstream)
    scale = max(1.0, float(np.max(np.abs(value), initial=0.0)))
    a = np.array([float(np.sum(claimed * direction)) for direction in directions])
    b = np.empty(len(directions))
    functions: list[Callable[[float], float]] = []
    for number, direction in enumerate(directions):
        function = along(work.model, state, path, direction, gradients.positions, gradients.upstream)
        functions.append(function)
        b[number] = central(function, STEP * scale)
        work.tick(1, 0)
    return _judged(name, value.shape, a, b, functions, size, scale, bool(work.settings.directions))


def _directions(shape: tuple[int, ...], settings: Settings, place: int) -> list[Floats]:
    """The unit vectors, or random directions of length 1 where fewer are wanted than there are elements."""
    count = int(np.prod(shape))
    if settings.directions and settings.directions < count:
        rng = np.random.default_rng([settings.seed, 5, place])
        drawn = [rng.standard_normal(shape) for _ in range(settings.directions)]
        return [np.asarray(one / np.linalg.norm(one)) for one in drawn]
    found: list[Floats] = []
    for index in np.ndindex(shape):
        unit = np.zeros(shape)
        unit[index] = 1.0
        found.append(unit)
    return found


def _judged(
    name: str,
    shape: tuple[int, ...],
    a: Floats,
    b: Floats,
    functions: Sequence[Callable[[float], float]],
    size: float,
    scale: float,
    projected: bool,
) -> Row:
    """The row of one variable: claimed derivatives `a`, differences `b`."""
    floor = rounding(size, STEP * scale)
    judged = np.ones(len(a), bool)
    looks: dict[int, Look] = {}
    while not _agree(a[judged], b[judged], floor) and len(looks) < min(MOST_LOOKS, len(a)):
        gaps = np.where(judged, np.abs(a - b), -1.0)
        gaps[~np.isfinite(b) & judged] = np.inf
        gaps[list(looks)] = -1.0
        worst = int(np.argmax(gaps))
        if gaps[worst] < 0:
            break
        look = closer(_in_units(functions[worst], scale), a[worst] * scale, size)
        looks[worst] = look
        b[worst] = look.value / scale
        if look.finding is Finding.KINK:
            judged[worst] = False
        sure = np.array([place in looks and looks[place].finding is Finding.WRONG for place in range(len(a))])
        if sure.sum() >= 2 and np.linalg.norm((a - b)[sure]) > TOLERANCE * _size(a[judged], b[judged]):
            break  # these alone make it wrong
    kinks = [
        _kink_text(name, shape, place, look, projected, a[place])
        for place, look in sorted(looks.items())
        if look.finding is Finding.KINK
    ]
    one, other = a[judged], b[judged]
    if _agree(one, other, floor):
        verdict = OK if judged.any() or not len(a) else KINKED
    else:
        verdict = WRONG if any(look.finding is Finding.WRONG for look in looks.values()) else UNSURE
    detail = ""
    if verdict == WRONG:
        first = max((k for k in range(len(a)) if judged[k]), key=lambda k: abs(a[k] - b[k]))
        detail = f"{_element(name, shape, first, projected)}: {a[first]:.6g}, by differences {b[first]:.6g}"
    return Row(
        name,
        shape,
        _largest(one, other),
        _norm_error(one, other, floor),
        verdict,
        int(judged.sum()),
        tuple(kinks),
        detail,
        bool(judged.any()) and WEAK * _size(one, other) <= floor * np.sqrt(len(one)),
    )


def _in_units(function: Callable[[float], float], scale: float) -> Callable[[float], float]:
    return lambda step: function(step * scale)


def _agree(a: Floats, b: Floats, floor: float) -> bool:
    return bool(np.all(np.isfinite(b))) and _norm_error(a, b, floor) <= TOLERANCE


def _norm_error(a: Floats, b: Floats, floor: float) -> float:
    if not len(a):
        return 0.0
    gap, size = float(np.linalg.norm(a - b)), _size(a, b)
    if gap <= floor * np.sqrt(len(a)):
        return gap / size if 0.0 < gap <= TOLERANCE * size else 0.0
    return gap / size


def _size(a: Floats, b: Floats) -> float:
    return max(float(np.linalg.norm(a)), float(np.linalg.norm(b)))


def _largest(a: Floats, b: Floats) -> float:
    if not len(a):
        return 0.0
    return float(np.max(np.abs(a - b) / np.maximum(1e-8, np.abs(a) + np.abs(b))))


def _element(name: str, shape: tuple[int, ...], place: int, projected: bool) -> str:
    if projected:
        return f"{name} along direction {place + 1}"
    if not shape:
        return name
    return f"{name}[{', '.join(str(int(one)) for one in np.unravel_index(place, shape))}]"


def _kink_text(name: str, shape: tuple[int, ...], place: int, look: Look, projected: bool, claimed: float) -> str:
    element = _element(name, shape, place, projected)
    return f"{element}: slope {look.left:.4g} below, {look.right:.4g} above; the module says {claimed:.4g}"


def _summary(state: State) -> str:
    """What the arguments are, in one line: shapes of arrays, numbers, words."""
    parts: list[str] = []
    for name, value in state.items():
        if name == SELF:
            inner = [f"{spelled(path)} {_kind(one)}" for path, one in leaves(value, (SELF,))]
            parts += inner
        else:
            parts.append(f"{name} {_kind(value)}")
    return ", ".join(parts)


def _kind(value: Any) -> str:
    if isinstance(value, np.ndarray):
        integers = " int" if value.dtype.kind in "iu" else ""
        return f"{value.shape}{integers}"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key} {_kind(one)}" for key, one in value.items()) + "}"
    if isinstance(value, float | np.floating):
        return f"{float(value):.3g}"
    return repr(value) if len(repr(value)) < 30 else type(value).__name__
