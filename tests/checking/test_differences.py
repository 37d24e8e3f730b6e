"""What a closer look at one direction finds: each kind of function on which a plain central difference fails."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest

from flatgrad.checking.differences import TOLERANCE, Finding, central, closer, rounding


def shifted(function: Callable[[float], float], at: float) -> Callable[[float], float]:
    return lambda step: function(at + step)


SMOOTH: dict[str, tuple[Callable[[float], float], float, float]] = {
    "square": (lambda x: x * x, 0.7, 1.4),
    "steep": (lambda x: math.exp(100 * x), 0.0, 100.0),
    "oscillating": (lambda x: math.sin(300 * x), 0.1, 300 * math.cos(30)),
    "far from zero": (lambda x: 1e6 + x**3, 0.5, 0.75),
}


@pytest.mark.parametrize("name", SMOOTH)
def test_the_right_derivative_of_a_smooth_function_agrees(name: str) -> None:
    function, at, slope = SMOOTH[name]
    along = shifted(function, at)
    assert closer(along, slope, max(1.0, abs(along(0.0)))).finding is Finding.AGREES


@pytest.mark.parametrize("name", ["square", "steep", "oscillating"])
@pytest.mark.parametrize("factor", [1 + 1e-3, 1 - 1e-3, 2.0, -1.0, 0.0])
def test_a_wrong_derivative_of_a_smooth_function_is_wrong(name: str, factor: float) -> None:
    function, at, slope = SMOOTH[name]
    along = shifted(function, at)
    assert closer(along, slope * factor, max(1.0, abs(along(0.0)))).finding is Finding.WRONG


@pytest.mark.parametrize("claimed", [0.0, 0.3, 1.0])
def test_a_kink_is_told_with_the_slopes_on_its_sides(claimed: float) -> None:
    look = closer(lambda step: max(0.0, step), claimed, 1.0)
    assert look.finding is Finding.KINK
    assert look.left == pytest.approx(0.0, abs=1e-6)
    assert look.right == pytest.approx(1.0, rel=1e-6)


def test_a_tie_of_a_maximum_is_a_kink() -> None:
    look = closer(lambda step: max(1.0 + step, 1.0 - 2 * step), 1.0, 1.0)
    assert look.finding is Finding.KINK
    assert (round(look.left, 3), round(look.right, 3)) == (-2.0, 1.0)


@pytest.mark.parametrize("distance", [3e-6, -4e-6, 8e-6])
def test_a_kink_within_the_step_does_not_hide_a_right_derivative(distance: float) -> None:
    slope = 0.0 if distance > 0 else 1.0
    look = closer(lambda step: max(0.0, step - distance), slope, 1.0)
    assert look.finding is Finding.AGREES
    assert look.near


@pytest.mark.parametrize("distance", [3e-6, -4e-6, 8e-6])
def test_a_kink_within_the_step_does_not_excuse_another_derivative(distance: float) -> None:
    assert closer(lambda step: max(0.0, step - distance), 5.0, 1.0).finding is not Finding.AGREES


def test_a_jump_is_no_agreement() -> None:
    assert closer(lambda step: float(step > 0), 0.0, 1.0).finding is Finding.KINK


def test_a_function_that_is_not_finite_beside_the_point_cannot_be_judged() -> None:
    look = closer(lambda step: math.nan if step > 0 else 0.0, 1.0, 1.0)
    assert look.finding in (Finding.KINK, Finding.UNSURE)


def test_rounding_bounds_what_a_difference_of_a_constant_is_off_by() -> None:
    assert abs(central(lambda step: 1e6 + 0.1 * step) - 0.1) <= rounding(1e6)
    assert rounding(1.0) < TOLERANCE
