"""Kinks, ties and edges of the elementwise gates: what their conventions say, as numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from flatgrad.gates.entry import TABLE
from flatgrad.ir.core import DType, Kind, Type, Value
from flatgrad.ir.dims import Shape
from flatgrad.proving import concrete_site, drawing, rules, running
from flatgrad.proving.concrete_site import RefusedUse

INF = float("inf")
NAN = float("nan")


def gradients(
    name: str, *operands: Any, literals: tuple[str, ...] = (), dz: Any = 1.0, mode: str = "known", **attrs: Any
) -> dict[str, Any]:
    """The contribution to every operand that is not a literal."""
    entry = TABLE[name]
    env: running.Env = {**entry.attributes, **attrs, "given": tuple(attrs)}
    env |= dict(zip(entry.operands, operands, strict=True))
    site = concrete_site.site_for(entry, env, mode, frozenset(literals))
    rules.apply_shape_rule(entry, site)
    z = running.run_forward(entry, entry.spellings[0], env)
    full = running.with_results(env, z, [dz])
    return {
        operand[0]: rules.contribution(entry, operand, site, full)[0]
        for operand in drawing.differentiable_operands(entry, env)
        if operand[0] not in literals
    }


@pytest.mark.parametrize("name", ["maximum", "fmax", "builtins.max", "minimum", "fmin", "builtins.min"])
@pytest.mark.parametrize("mode", ["known", "unknown"])
def test_ties(name: str, mode: str) -> None:
    assert gradients(name, 1.5, 1.5, mode=mode) == {"x": 1.0, "y": 0.0}
    assert gradients(name, 0.0, 0, literals=("y",), mode=mode) == {"x": 0.0}
    assert gradients(name, 0, 0.0, literals=("x",), mode=mode) == {"y": 0.0}


@pytest.mark.parametrize(
    ("name", "winner"), [("maximum", 2.0), ("fmax", 2.0), ("builtins.max", 2.0), ("minimum", -2.0)]
)
def test_constants_in_either_place(name: str, winner: float) -> None:
    assert gradients(name, winner, 0, literals=("y",)) == {"x": 1.0}
    assert gradients(name, 0, winner, literals=("x",)) == {"y": 1.0}
    assert gradients(name, -winner, 0, literals=("y",)) == {"x": 0.0}
    assert gradients(name, 0, -winner, literals=("x",)) == {"y": 0.0}


def test_two_lists_do_not_compare_as_a_whole() -> None:
    got = gradients("maximum", [1.0, 5.0], [2.0, 3.0], dz=np.ones(2), mode="unknown")
    np.testing.assert_array_equal(got["x"], [0, 1])
    np.testing.assert_array_equal(got["y"], [1, 0])


def test_fmax_passes_nan_over() -> None:
    assert gradients("fmax", NAN, 1.0) == {"x": 0.0, "y": 1.0}
    assert gradients("fmax", 1.0, NAN) == {"x": 1.0, "y": 0.0}


@pytest.mark.parametrize("name", ["abs", "fabs", "math.fabs", "sinc"])
def test_zero_at_zero(name: str) -> None:
    assert gradients(name, 0.0) == {"x": 0.0}


def test_clip_at_its_bounds() -> None:
    x = np.array([-2.0, -1.0, 0.0, 1.0, 2.0])
    got = gradients("clip", x, a_min=-1, a_max=1, dz=np.ones(5))
    np.testing.assert_array_equal(got["x"], [0, 0, 1, 0, 0])
    crossed = gradients("clip", x, a_min=1, a_max=-1, dz=np.ones(5))
    np.testing.assert_array_equal(crossed["x"], np.zeros(5))


@pytest.mark.parametrize(
    ("exponent", "expected"),
    [(0, 0.0), (1, 1.0), (2, 0.0), (3, 0.0), (1.5, 0.0), (0.5, INF), (-1, -INF), (-2, -INF)],
)
def test_constant_powers_at_zero(exponent: float, expected: float) -> None:
    x = np.array([0.0])
    np.testing.assert_array_equal(gradients("power", x, exponent, literals=("y",), dz=np.ones(1))["x"], [expected])


@pytest.mark.parametrize("exponent", [0, 1, 2, 3, 0.5, -0.5, 1.1, -1, -2, -1.25, 2.0, 4.0])
def test_constant_powers(exponent: float) -> None:
    x = np.array([0.7, 1.9])
    got = gradients("power", x, exponent, literals=("y",), dz=np.ones(2))["x"]
    np.testing.assert_allclose(got, exponent * x ** (exponent - 1.0), rtol=1e-14)


def test_variable_powers_at_zero() -> None:
    x, y = np.array([0.0, 0.0, 0.0, 2.0]), np.array([0.0, 1.0, 2.0, 0.0])
    got = gradients("power", x, y, dz=np.ones(4))
    np.testing.assert_array_equal(got["x"], [0, 1, 0, 0])
    np.testing.assert_array_equal(got["y"], [0, 0, 0, np.log(2)])
    whole = gradients("power", np.array([0, 3]), np.array([0, 0]), dz=np.ones(2))
    np.testing.assert_array_equal(whole["x"], [0, 0])


def test_power_of_a_negative_number() -> None:
    got = gradients("power", np.array([-2.0]), np.array([3.0]), dz=np.ones(1))
    np.testing.assert_array_equal(got["x"], [12])
    np.testing.assert_array_equal(got["y"], [NAN])
    assert gradients("power", 0, 2.0, literals=("x",)) == {"y": 0.0}
    with pytest.raises(RefusedUse, match="negative constant"):
        gradients("power", -2, 3.0, literals=("x",))


def test_where_takes_any_condition() -> None:
    c = np.array([2, 0])
    got = gradients("where", c, 1.0, 2.0, dz=np.array([3.0, 4.0]))
    np.testing.assert_array_equal(got["x"], [3, 0])
    np.testing.assert_array_equal(got["y"], [0, 4])


def test_x_log_y_of_zero() -> None:
    assert gradients("xlogy", 0.0, 0.0)["y"] == 0.0
    assert gradients("xlog1py", 0.0, -1.0)["y"] == 0.0


def test_heaviside_takes_y_at_zero() -> None:
    got = gradients("heaviside", np.array([-1.0, 0.0, 1.0]), np.full(3, 0.5), dz=np.array([2.0, 3.0, 4.0]))
    np.testing.assert_array_equal(got["x"], [0, 0, 0])
    np.testing.assert_array_equal(got["y"], [0, 3, 0])


def test_what_nan_to_num_replaces() -> None:
    got = gradients("nan_to_num", np.array([1.0, NAN, INF]), dz=np.ones(3))
    np.testing.assert_array_equal(got["x"], [1, 0, 0])
    with pytest.raises(RefusedUse, match="in place"):
        gradients("nan_to_num", np.ones(3), copy=False)


def test_log_expit_far_out() -> None:
    assert gradients("log_expit", 40.0)["x"] == pytest.approx(np.exp(-40.0), rel=1e-12)
    assert gradients("log_expit", -800.0)["x"] == 1.0


@pytest.mark.parametrize(
    ("name", "operands", "attrs", "said"),
    [
        ("logsumexp", (np.ones(3),), {"b": 2.0}, "without b"),
        ("full", (np.ones(3),), {"shape": (2, 3)}, "single number"),
        ("full", (1.5,), {"shape": 3, "dtype": "int"}, "floating"),
        ("full_like", (np.ones(3, dtype=int), 1.5), {}, "floating"),
        ("linspace", (np.ones(3), 2.0), {"num": 4}, "single number"),
    ],
)
def test_refusals(name: str, operands: tuple[Any, ...], attrs: dict[str, Any], said: str) -> None:
    with pytest.raises(RefusedUse, match=said):
        gradients(name, *operands, **attrs)


def test_clip_bounds_of_unknown_rank_are_refused() -> None:
    entry = TABLE["clip"]
    env: running.Env = {**entry.attributes, "x": np.ones(3), "given": ()}
    site = concrete_site.site_for(entry, {**env, "a_min": 0.0, "a_max": None}, "known")
    low = Value("low", Type(Kind.OPEN, DType.OPEN, Shape.unknown("low")))
    site.attrs = {**site.attrs, "a_min": low}
    with pytest.raises(RefusedUse, match="single number"):
        entry.backward["x"](site)  # type: ignore[operator]


@pytest.mark.parametrize("name", ["math.exp", "math.log", "math.pow", "math.atan2"])
def test_math_proves_that_its_operands_are_numbers(name: str) -> None:
    entry = TABLE[name]
    site = concrete_site.site_for(entry, dict.fromkeys(entry.operands, 1.0), "unknown")
    rules.apply_shape_rule(entry, site)
    assert [site.rank(n) for n in entry.operands] == [0] * len(entry.operands)
