"""One function's gradients against differences, at arguments that are given or drawn."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from flatgrad.checking.contract import Pair, Unmatched
from flatgrad.checking.gradients import differentiate, forward_results
from flatgrad.checking.inputs import Fitted, NoArguments, Parameter, drawn, fit
from flatgrad.checking.rows import KINKED, OK, UNSURE, WRONG, Row, Settings, Tick, row_of
from flatgrad.checking.state import SELF, get, leaves, spelled
from flatgrad.checking.subject import Fault, Model, State, Unfit, numbers_in, quiet, refreshed, run_model, state_of

# How often arguments are drawn anew where a kink is met, and which sizes are drawn: the first has the first choice of
# each mode, stride and pad, the second another one.
REDRAWS = 6
SIZES = (0, 3)
Extend = Callable[[State], State]


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
    settings, tick = work.settings, work.tick
    rows = [
        row_of(work.model, state, gradients, path, place, settings, tick)
        for place, path in enumerate(gradients.by_path)
    ]
    return Outcome(work.pair.name, tuple(rows), gradients.remarks)


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
