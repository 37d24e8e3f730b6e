"""Trying: which ranks, sizes and ranges a function accepts, found by running it.

Every symbol gets a size that no other has, a prime, so that the two sizes in a message of NumPy ("size 5 is different
from 3") say which two symbols are one. A symbol that would have to be something else (a product after a `reshape`) is
*dependent*: it is read off a message at each assignment of sizes. Where no message tells, ranks and ranges are tried in
an order that begins with the likeliest, by how far the function gets.
"""

from __future__ import annotations

import heapq
import itertools
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from flatgrad.checking.drawing import PRIMES, Choices, draw_all, every, sizes_for, symbols
from flatgrad.checking.messages import mismatches
from flatgrad.checking.parameters import Domain, Parameter, Role, Where
from flatgrad.ir.dims import SCALAR, Dim, Shape

Ends = tuple[type[Exception], ...]
Run = Callable[[dict[str, Any]], Any]
# How far the state before it came (less is further), what it costs, a number that settles draws, and how it is made.
_Entry = tuple[tuple[int, ...], float, int, Callable[[], "Fitted"]]

MOST_RUNS = 700
PATIENCE = 250  # runs after which nobody hopes for more, if none came further
LONG = 0.1  # seconds: a function that takes longer is tried less often
_MOST_PATCHES = 24
_ATTEMPTS = 60
_DEPENDENT_FROM = 8  # the place in PRIMES of the first size for a dependent symbol


class NoArguments(Exception):
    """Nothing was found that the function accepts. `last` is what it raised at the most promising try."""

    def __init__(self, message: str, last: BaseException | None = None) -> None:
        super().__init__(message)
        self.last = last


@dataclass(frozen=True, slots=True)
class Fitted:
    """Parameters that were accepted; `dependent` symbols have a size that follows from the others."""

    parameters: tuple[Parameter, ...]
    dependent: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class _Outcome:
    error: BaseException | None
    sizes: Mapping[str, int]
    fitted: Fitted


@dataclass(slots=True)
class _Counted:
    """A function that may be run so many times."""

    run: Run
    left: int
    ends: Ends = ()

    def __call__(self, arguments: dict[str, Any]) -> BaseException | None:
        """What it raises, None where it accepts the arguments."""
        if self.left <= 0:
            return NoArguments("tried too often")
        self.left -= 1
        try:
            self.run(arguments)
        except self.ends:
            raise
        except Exception as error:
            return error
        return None

    def raising(self, arguments: dict[str, Any]) -> None:
        """The same, with what it raises raised."""
        error = self(arguments)
        if error is not None:
            raise error


def fit(parameters: Iterable[Parameter], run: Run, most: int = MOST_RUNS, ends: Ends = ()) -> Fitted:
    """Parameters that `run` accepts, as near as possible to those that are given.

    Args:
        most: how often it may be run.
        ends: exceptions of `run` that are no answer, and are raised on: the process that runs it is gone.
    Raises:
        NoArguments: nothing that was tried is accepted.
    """
    start = Fitted(tuple(_tidied(one) for one in parameters))
    counted = _Counted(run, most, ends)
    numbers = itertools.count()
    queue: list[_Entry] = [((), 0.0, next(numbers), lambda: start)]
    seen: set[str] = set()
    best: tuple[tuple[int, ...], BaseException | None] = ((), None)
    patience = counted.left - PATIENCE
    while queue and counted.left > max(patience, 0):
        _, cost, _, move = heapq.heappop(queue)
        state = move()
        mark = repr(state.parameters)
        if mark in seen:
            continue
        seen.add(mark)
        outcome = _accepted(_probe(state, counted), counted)
        if outcome.error is None:
            return _with_choices(outcome.fitted, counted)
        reached = progress(outcome.error)
        if best[1] is None or reached > best[0]:
            best = (reached, outcome.error)
            patience = counted.left - PATIENCE
        # From where the messages led, and from where they began: they lead astray where a rank is wrong.
        for origin, extra in ((state, 0.0), (outcome.fitted, 0.1)):
            for price, onward in _moves(origin, outcome.error, outcome.sizes):
                rank = tuple(-one for one in reached)
                heapq.heappush(queue, (rank, cost + price + extra, next(numbers), onward))
    last = best[1]
    reason = f"{type(last).__name__}: {last}" if last is not None else "nothing was tried"
    raise NoArguments(f"no arguments were found that it accepts; at the best try it raises {reason}", last)


def drawn(fitted: Fitted, seed: int, size: int, run: Run, ends: Ends = ()) -> dict[str, Any]:
    """Arguments of a size that `run` accepts; `ends` as for `fit`. Raises NoArguments."""
    last: BaseException | None = None
    for attempt in range(_ATTEMPTS):
        # The further it goes on, the plainer: no choice but the first, and the smallest demands.
        picked = size if attempt < _ATTEMPTS // 2 else 0
        optional = attempt % 4 != 3
        sizes = sizes_for(fitted.parameters, seed + 1000 * attempt, size if attempt < _ATTEMPTS // 2 else 2)
        places = iter(PRIMES[_DEPENDENT_FROM:])
        sizes |= {name: next(places) for name in sorted(fitted.dependent)}
        for _ in range(_MOST_PATCHES):
            numbers = seed + attempt + 37 * size
            chosen = Choices(sizes, picked, picked, optional)
            last = _Counted(run, 1, ends)(draw_all(fitted.parameters, numbers, replace(chosen, extreme=True)))
            last = last or _Counted(run, 1, ends)(draw_all(fitted.parameters, numbers, chosen))
            if last is None:
                return draw_all(fitted.parameters, numbers, chosen)
            patched = _patched(last, sizes, fitted.dependent)
            if patched is None:
                break
            sizes = patched
    reason = f"{type(last).__name__}: {last}"
    raise NoArguments(f"no arguments of size {size} were found that it accepts; it raises {reason}", last)


def progress(error: BaseException) -> tuple[int, ...]:
    """How far a function came before it raised: an `error.progress` or `error.line` where there is one, else the lines
    in its traceback that are not of this package."""
    said = getattr(error, "progress", getattr(error, "line", None))
    if said is not None:
        return tuple(said) if isinstance(said, tuple | list) else (int(said),)
    lines: list[int] = []
    trace = error.__traceback__
    while trace is not None:
        if "flatgrad/checking" not in trace.tb_frame.f_code.co_filename.replace("\\", "/"):
            lines.append(trace.tb_lineno)
        trace = trace.tb_next
    return tuple(lines[:3])


def _accepted(outcome: _Outcome, run: _Counted) -> _Outcome:
    """The outcome, with an error where small sizes are not accepted that the large ones promised."""
    if outcome.error is None:
        try:
            drawn(outcome.fitted, 0, 0, run.raising, run.ends)
        except NoArguments as error:
            return replace(outcome, error=error.last or error)
    return outcome


def _with_choices(fitted: Fitted, run: _Counted) -> Fitted:
    """What other choices teach besides: in another mode other entries of a dict are read."""
    for picked in (1, 2):
        outcome = _followed(fitted, run, False, picked)
        if outcome.error is None and outcome.fitted.dependent == fitted.dependent:
            fitted = outcome.fitted
    return fitted


# One state: sizes that differ, and what the messages say


def _probe(state: Fitted, run: _Counted) -> _Outcome:
    best: _Outcome | None = None
    for backwards in (False, True):
        outcome = _followed(state, run, backwards)
        if outcome.error is None:
            return outcome
        if best is None or (best.error is not None and progress(outcome.error) > progress(best.error)):
            best = outcome
        if not any(word in str(outcome.error) for word in ("negative dimension", "empty", "zero-size", "identity")):
            break
    assert best is not None
    return best


def _followed(state: Fitted, run: _Counted, backwards: bool, picked: int = 0) -> _Outcome:
    sizes = _distinct(state, backwards)
    error: BaseException | None = None
    for _ in range(_MOST_PATCHES):
        error = run(draw_all(state.parameters, 0, Choices(sizes, picked, extreme=True)))
        if error is None:
            return _Outcome(_unlucky(state, sizes, picked, run), sizes, state)
        changed = _learnt(state, sizes, error)
        if changed is None:
            break
        state, sizes = changed
    return _Outcome(error, sizes, state)


def _unlucky(state: Fitted, sizes: Mapping[str, int], picked: int, run: _Counted) -> BaseException | None:
    """What is raised with other numbers of the same shapes: the range of one that passed once may still be wrong."""
    began = time.monotonic()
    for seed in (1, 2, 3, 4):
        error = run(draw_all(state.parameters, seed, Choices(sizes, picked, extreme=True)))
        if error is not None:
            return error
        if time.monotonic() - began > LONG:
            break
    return None


def _distinct(state: Fitted, backwards: bool) -> dict[str, int]:
    """A prime for each symbol: bounds of labels get the largest, so that one that is too large shows; windows the
    smallest."""
    names = [*symbols(state.parameters)]
    bounds = {name for one in every(state.parameters) if one.bound is not None for name in one.bound.symbols()}
    shaped = {
        name for one in every(state.parameters) for dim in (*one.shape.front, *one.shape.back) for name in dim.symbols()
    }
    late = [name for name in names if name in bounds and name not in shaped]
    windows = [
        name for one in every(state.parameters) if one.order for dim in one.shape.front[2:] for name in dim.symbols()
    ]
    middle = [name for name in names if name not in late and name not in windows]
    ordered = [*dict.fromkeys(windows), *(reversed(middle) if backwards else middle), *late]
    return {name: PRIMES[min(place, len(PRIMES) - 1)] for place, name in enumerate(ordered)}


def _learnt(state: Fitted, sizes: Mapping[str, int], error: BaseException) -> tuple[Fitted, dict[str, int]] | None:
    """What a message adds: two symbols are one, or one follows from the others."""
    bounds = {name for one in every(state.parameters) if one.bound is not None for name in one.bound.symbols()}
    for first, second in mismatches(str(error)):
        if "out of bounds" in str(error) and not any(sizes.get(name) == first for name in bounds):
            # No label: `w[2]` asks for three elements.
            short = [name for name, size in sizes.items() if size == second and name not in bounds]
            if not short:
                return None
            if first > 4 and second > 2:
                return None  # the count of something else: which one is tried
            longer = tuple(_substituted(one, {short[0]: Dim.of(first)}) for one in state.parameters)
            return replace(state, parameters=longer), dict(sizes)
        owners = [[name for name, size in sizes.items() if size == wanted] for wanted in (first, second)]
        free = [[name for name in names if name not in state.dependent] for names in owners]
        if free[0] and free[1]:
            one, other = free[0][0], free[1][0]
            gone, kept = (one, other) if _is_nameless(one) or not _is_nameless(other) else (other, one)
            substituted = tuple(_substituted(p, {gone: Dim.symbol(kept)}) for p in state.parameters)
            merged = replace(state, parameters=substituted)
            return merged, {name: size for name, size in sizes.items() if name != gone}
        for names, size in ((owners[0], second), (owners[1], first)):
            # A dependent symbol that has another value by now was patched before: the messages go round in circles.
            fresh = [name for name in names if name not in state.dependent]
            if fresh:
                marked = replace(state, dependent=state.dependent | {fresh[0]})
                return marked, {**sizes, fresh[0]: size}
    return None


def _patched(error: BaseException, sizes: Mapping[str, int], dependent: frozenset[str]) -> dict[str, int] | None:
    for first, second in mismatches(str(error)):
        for found, wanted in ((first, second), (second, first)):
            names = [name for name in dependent if sizes.get(name) == found and found in PRIMES[_DEPENDENT_FROM:]]
            if names and wanted > 0:
                return {**sizes, names[0]: wanted}
    return None


def _is_nameless(symbol: str) -> bool:
    return not symbol.isidentifier()


def _substituted(parameter: Parameter, known: dict[str, Dim]) -> Parameter:
    shape = parameter.shape
    return replace(
        parameter,
        shape=Shape(
            tuple(dim.substitute(known) for dim in shape.front),
            shape.middle,
            tuple(dim.substitute(known) for dim in shape.back),
        ),
        bound=None if parameter.bound is None else parameter.bound.substitute(known),
        number=None if parameter.number is None else parameter.number.substitute(known),
        entries=tuple(_substituted(one, known) for one in parameter.entries),
    )


def _tidied(parameter: Parameter) -> Parameter:
    """The parameter with a symbol for each dim that holds what no one can choose: `(N - K)//s + 1`."""
    shape = parameter.shape
    dims = tuple(_plain(dim) for dim in (*shape.front, *shape.back))
    return replace(parameter, shape=Shape(dims), entries=tuple(_tidied(one) for one in parameter.entries))


def _plain(dim: Dim) -> Dim:
    opaque = any(sign in name for name in dim.symbols() for sign in "+-/%:(")
    negative = any(coefficient < 0 for _, coefficient in dim.terms)
    return Dim.symbol(f"<{dim}>".replace(" ", "")) if (opaque or negative) and dim.as_symbol is None else dim


# From one state to the next


def _moves(
    state: Fitted, error: BaseException, sizes: Mapping[str, int]
) -> Iterator[tuple[float, Callable[[], Fitted]]]:
    """Other states that may come further, with what they cost; each is made when its turn comes."""
    text, kind = str(error), getattr(error, "kind", type(error).__name__)
    value = isinstance(error, FloatingPointError) or kind in ("FloatingPointError", "LinAlgError")
    value = value or "math domain" in text or "finite" in text
    for price, changed in _changes(state, text, value):
        yield price, partial(replace, state, parameters=changed)
    if kind == "AssertionError":  # of one output unit, mostly, which is the last thing that is read
        for place, gone in enumerate(reversed(symbols(state.parameters))):
            yield 0.9 + 0.05 * place, partial(_renamed, state, gone, Dim.of(1))
    if value or isinstance(error, TypeError) or not _ABOUT_SIZES.search(text):
        return
    present = symbols(state.parameters)
    named = [name for name in present if name.isidentifier()]
    short = {size for _, size in mismatches(text)} if "out of bounds" in text else set()
    for gone in present:
        if short and sizes.get(gone) not in short:
            continue
        for kept in present:
            if kept != gone and (short or not gone.isidentifier() or kept.isidentifier()):
                price = 0.7 if short else 1.4
                price += 0.1 * (gone.isidentifier() + (not kept.isidentifier()))
                yield price, partial(_renamed, state, gone, Dim.symbol(kept))
        if not short and not gone.isidentifier():
            for kept in present:
                for times in (4, 3, 2) if kept != gone else ():
                    yield (
                        1.6 - 0.1 * times + 0.1 * (kept not in named),
                        partial(_renamed, state, gone, Dim.symbol(kept) * times),
                    )


_ABOUT_SIZES = re.compile(r"shape|size|dimension|broadcast|align|bounds|mismatch|match", re.IGNORECASE)


def _renamed(state: Fitted, symbol: str, dim: Dim) -> Fitted:
    changed = tuple(_substituted(one, {symbol: dim}) for one in state.parameters)
    return replace(state, parameters=changed, dependent=state.dependent - {symbol})


def _changes(state: Fitted, text: str, value: bool) -> Iterator[tuple[float, tuple[Parameter, ...]]]:
    parameters = state.parameters
    if value:
        square = any(word in text for word in ("square", "positive definite", "ingular"))
        yield 1.0, tuple(_everywhere(one, lambda p: _ranged(p, Domain.POSITIVE)) for one in parameters)
        if square:
            yield 0.9, tuple(_everywhere(one, _as_spread) for one in parameters)
        yield 1.2, tuple(_everywhere(one, lambda p: _ranged(p, Domain.UNIT)) for one in parameters)
        yield 1.3, tuple(_everywhere(one, lambda p: _ranged(p, Domain.SIMPLEX)) for one in parameters)
    elif "integer" in text:
        # A constructor that is given sizes is mostly given nothing else.
        yield 0.2, tuple(_as_size(one) for one in parameters)
    for place, parameter in enumerate(parameters):
        for price, other in _variants(parameter, text, value):
            yield price, (*parameters[:place], other, *parameters[place + 1 :])


def _as_size(parameter: Parameter) -> Parameter:
    if parameter.where is not Where.CONSTRUCTOR or parameter.role is not Role.REAL or parameter.optional:
        return parameter
    number = Dim.symbol(parameter.name.rpartition(".")[2])
    return replace(parameter, role=Role.INTEGER, shape=SCALAR, choices=(2, 1, 3), number=number)


def _variants(parameter: Parameter, text: str, value: bool) -> Iterator[tuple[float, Parameter]]:
    if parameter.entries:
        for place, entry in enumerate(parameter.entries):
            for price, other in _variants(entry, text, value):
                entries = (*parameter.entries[:place], other, *parameter.entries[place + 1 :])
                yield price, replace(parameter, entries=entries)
        return
    if value:
        if parameter.role is Role.REAL:
            for domain in (Domain.POSITIVE, Domain.UNIT):
                if parameter.domain is not domain:
                    yield 0.5, replace(parameter, domain=domain)
            if parameter.shape.rank == 2 and parameter.domain is not Domain.SPREAD:
                yield 0.6, _as_spread(parameter)
        return
    whole = "integer" in text or "index" in text
    if parameter.role is Role.REAL and whole:
        if parameter.shape.is_scalar:
            made = replace(parameter, role=Role.INTEGER, choices=(2, 1, 3))
            if parameter.where is Where.CONSTRUCTOR:
                yield 0.3, replace(made, number=Dim.symbol(parameter.name.rpartition(".")[2]))
            yield 0.4, made
        else:
            yield 0.4, replace(parameter, role=Role.LABELS, bound=Dim.symbol(f"{parameter.name}:"))
    if parameter.role is Role.INTEGER and parameter.number is None:
        yield 0.8, replace(parameter, number=Dim.symbol(parameter.name.rpartition(".")[2]))
        for choice in parameter.choices[1:]:
            yield 1.5, replace(parameter, choices=(choice, *(one for one in parameter.choices if one != choice)))
    if parameter.role is Role.CHOICE and len(parameter.choices) > 1:
        yield 1.5, replace(parameter, choices=(*parameter.choices[1:], parameter.choices[0]))
    if parameter.role is Role.KEPT and not parameter.optional:
        yield 0.5, replace(parameter, role=Role.REAL, shape=_nameless(parameter.name, 2), certain=False)
    if parameter.role in (Role.REAL, Role.LABELS) and not parameter.certain:
        rank = len(parameter.shape.front)
        for dims in (2, 1, 0, 3, 4):
            if dims != rank:
                yield 1.0 + 0.3 * abs(dims - rank), replace(parameter, shape=_nameless(parameter.name, dims))
        if rank == 2 and "square" in text:
            yield 0.5, replace(parameter, shape=Shape((parameter.shape.front[0],) * 2))


def _nameless(name: str, rank: int) -> Shape:
    return Shape(tuple(Dim.symbol(f"{name}.{rank}{chr(97 + k)}") for k in range(rank))) if rank else SCALAR


def _everywhere(parameter: Parameter, change: Callable[[Parameter], Parameter]) -> Parameter:
    changed = change(parameter)
    return replace(changed, entries=tuple(_everywhere(one, change) for one in parameter.entries))


def _ranged(parameter: Parameter, domain: Domain) -> Parameter:
    if parameter.role is not Role.REAL or parameter.domain is not Domain.ANY:
        return parameter
    return replace(parameter, domain=domain)


def _as_spread(parameter: Parameter) -> Parameter:
    if parameter.role is not Role.REAL or parameter.shape.rank != 2:
        return parameter
    if parameter.certain and parameter.shape.front[0] != parameter.shape.front[1]:
        return parameter
    return replace(parameter, domain=Domain.SPREAD, shape=Shape((parameter.shape.front[0],) * 2))
