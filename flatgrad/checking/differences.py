"""Directional derivatives by differences, and what a difference that does not agree means: an error, a kink, a tie.

A function here takes the length of a step along one direction and gives a number. Steps are in units of the largest of
1 and the size of what is changed.
"""

from __future__ import annotations

import enum
import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass

Along = Callable[[float], float]

STEP = 1e-5
TOLERANCE = 1e-5
EPSILON = 2.0**-52
# Rounding in one evaluation, in units of the last place of the sum that it ends with.
ULPS = 8.0
# A slope on the left and one on the right that differ by less than this, relatively, are one slope.
KINK = 1e-4


class Finding(enum.Enum):
    """What a closer look at one direction finds."""

    AGREES = "agrees"  # with a better difference than the first
    WRONG = "wrong"  # the differences agree among themselves, and not with the gradient
    KINK = "kink"  # the slopes on the two sides differ, however small the step
    UNSURE = "unsure"  # the differences do not agree among themselves


@dataclass(frozen=True, slots=True)
class Look:
    """The outcome of a closer look.

    Attributes:
        value: the best estimate of the derivative.
        left, right: the slopes on both sides, of a kink.
        near: a kink is within the first step, though not at the point itself.
    """

    finding: Finding
    value: float
    left: float = math.nan
    right: float = math.nan
    near: bool = False


def central(along: Along, step: float = STEP) -> float:
    """The central difference: its error is step**2 / 6 of the third derivative, and rounding over the step."""
    return (along(step) - along(-step)) / (2 * step)


def rounding(size: float, step: float = STEP) -> float:
    """How far rounding may move a central difference of sums whose parts are `size` together."""
    return ULPS * EPSILON * size / step


def closer(along: Along, claimed: float, size: float, tolerance: float = TOLERANCE) -> Look:
    """Find out why a central difference does not agree with a derivative.

    Args:
        along: the function along the direction.
        claimed: the derivative that is on trial.
        size: of the parts of the sum that `along` ends with, for rounding.
        tolerance: relative.
    """
    at = along(0.0)
    fives = [_five_point(along, step) for step in (1e-3, 2e-4, 4e-5)]
    for value, step in zip(fives, (1e-3, 2e-4, 4e-5), strict=True):
        others = [other for other in fives if other is not value]
        # One that agrees with the claim by chance is no proof: a second one must agree with it.
        if _near(value, claimed, tolerance, rounding(size, step)) and any(
            _near(value, other, 10 * tolerance, 10 * rounding(size, 4e-5)) for other in others
        ):
            return Look(Finding.AGREES, value)
    sides = {step: ((at - along(-step)) / step, (along(step) - at) / step) for step in (1e-4, 1e-5, 1e-6, 1e-7)}
    wide = abs(sides[1e-4][1] - sides[1e-4][0])
    # With the smallest step that rounding leaves anything of.
    for step in (1e-7, 1e-6):
        left, right = sides[step]
        jump, steep, noise = abs(right - left), max(abs(left), abs(right)), 4 * rounding(size, step)
        if not math.isfinite(jump) or (jump > 0.2 * wide and jump > KINK * steep + noise):
            return Look(Finding.KINK, claimed, left, right)
        if noise < 1e-3 * steep or not steep:
            break
    # A kink within the first step shows in how the difference depends on the step.
    for step in (1e-6, 1e-7):
        below, above = sides[step]
        small, first = (below + above) / 2, sum(sides[1e-5]) / 2
        moved = abs(first - small) > KINK * max(abs(first), abs(small)) + 10 * rounding(size, step)
        smooth = abs(above - below) <= KINK * max(abs(above), abs(below)) + 10 * rounding(size, step)
        if moved and smooth and _near(small, claimed, 10 * tolerance, rounding(size, step)):
            return Look(Finding.AGREES, claimed, near=True)
    gaps = [(abs(a - b), b) for a, b in itertools.pairwise(fives) if math.isfinite(a - b)]
    if not gaps:
        return Look(Finding.UNSURE, claimed)
    gap, value = min(gaps)
    settled = gap <= 0.1 * abs(value - claimed) + rounding(size, 4e-5)
    return Look(Finding.WRONG if settled else Finding.UNSURE, value)


def _five_point(along: Along, step: float) -> float:
    values = [along(factor * step) for factor in (-2, -1, 1, 2)]
    return (values[0] - 8 * values[1] + 8 * values[2] - values[3]) / (12 * step)


def _near(a: float, b: float, tolerance: float, floor: float) -> bool:
    return abs(a - b) <= tolerance * max(abs(a), abs(b)) + floor
