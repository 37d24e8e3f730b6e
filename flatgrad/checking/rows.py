"""One gradient against differences: a row of the table."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from flatgrad.checking.differences import STEP, TOLERANCE, Finding, Look, central, closer, rounding
from flatgrad.checking.gradients import Gradients
from flatgrad.checking.state import Floats, Path, as_floats, get, spelled
from flatgrad.checking.subject import Model, State, along, magnitude, run_model

OK, WRONG, KINKED, UNSURE = "ok", "wrong", "kink", "unsure"
# A direction that does not agree is looked at again with other steps: so many of one variable, the worst first.
MOST_LOOKS = 40
# Smallest relative error that must show above rounding.
WEAK = 1e-4

# How many derivatives have been compared since the last call, and how many more are to come than was known before.
Tick = Callable[[int, int], None]


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


def row_of(
    model: Model, state: State, gradients: Gradients, path: Path, place: int, settings: Settings, tick: Tick
) -> Row:
    """Compare one gradient, the `place`th of all, with differences. `tick` is told of each derivative."""
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
    directions = _directions(value.shape, settings, place)
    results = run_model(model, state)
    size = magnitude([results[k] for k in gradients.positions], gradients.upstream)
    scale = max(1.0, float(np.max(np.abs(value), initial=0.0)))
    a = np.array([float(np.sum(claimed * direction)) for direction in directions])
    b = np.empty(len(directions))
    functions: list[Callable[[float], float]] = []
    for number, direction in enumerate(directions):
        function = along(model, state, path, direction, gradients.positions, gradients.upstream)
        functions.append(function)
        b[number] = central(function, STEP * scale)
        tick(1, 0)
    projected = len(directions) != value.size
    return _judged(name, value.shape, a, b, functions, size, scale, projected, _unit(gradients.upstream))


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
    unit: float,
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
        _kink_text(_element(name, shape, place, projected), look, a[place] * scale, unit * scale)
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
        element = _element(name, shape, first, projected)
        detail = f"{element}: {a[first] / unit:.6g}, by differences {b[first] / unit:.6g}"
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


def _kink_text(element: str, look: Look, claimed: float, unit: float) -> str:
    sides = f"slope {look.left / unit + 0.0:.4g} below, {look.right / unit + 0.0:.4g} above"
    return f"{element}: {sides}; the module says {claimed / unit + 0.0:.4g}"


def _unit(upstream: Sequence[Any]) -> float:
    """The upstream gradient of a result that is one number: slopes are told for 1."""
    return float(upstream[0]) if len(upstream) == 1 and upstream[0] is not None and not np.ndim(upstream[0]) else 1.0
