"""Reductions where their rules are delicate: ties, zeros, empty deviations, scalars, types."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from flatgrad.gates.entry import TABLE, Gate
from flatgrad.proving import concrete_site, drawing, rules, running
from flatgrad.proving.checks import check_env
from flatgrad.proving.drawing import Case

Env = dict[str, Any]
TIES = np.array([[3.0, 1.0, 3.0], [2.0, 2.0, 2.0]])


def gradient(name: str, x: Any, attrs: dict[str, Any] | None = None, mode: str = "known", dz: Any = None) -> Any:
    """The contribution to x for this upstream gradient, ones by default, and the shape of x."""
    entry = TABLE[name]
    env = {**drawing.draw(entry, Case((np.shape(x),), attrs or {})), "x": x}
    site = concrete_site.site_for(entry, env, mode)
    rules.apply_shape_rule(entry, site)
    z = running.run_forward(entry, entry.spellings[0], env)
    dz = np.ones(np.shape(z), np.asarray(z).dtype) if dz is None else dz
    value, _ = rules.contribution(entry, ("x", "x", None), site, running.with_results(env, z, [dz]))
    return value


@pytest.mark.parametrize("mode", concrete_site.MODES)
@pytest.mark.parametrize("name", ["max", "min"])
def test_equal_elements_share(name: str, mode: str) -> None:
    x = TIES if name == "max" else -TIES
    np.testing.assert_array_equal(gradient(name, x, {"axis": 1}, mode), [[1 / 2, 0, 1 / 2], [1 / 3, 1 / 3, 1 / 3]])
    np.testing.assert_array_equal(gradient(name, x, {"axis": 0}, mode), [[1, 0, 1], [0, 1, 0]])
    np.testing.assert_array_equal(gradient(name, x, {}, mode), [[1 / 2, 0, 1 / 2], [0, 0, 0]])
    np.testing.assert_array_equal(gradient(name, x, {"axis": (0, 1)}, mode), [[1 / 2, 0, 1 / 2], [0, 0, 0]])
    np.testing.assert_array_equal(gradient(name, x, {"keepdims": True}, mode), [[1 / 2, 0, 1 / 2], [0, 0, 0]])


@pytest.mark.parametrize("mode", concrete_site.MODES)
def test_ptp_of_equal_elements(mode: str) -> None:
    np.testing.assert_array_equal(gradient("ptp", TIES, {"axis": 1}, mode), [[1 / 2, -1, 1 / 2], [0, 0, 0]])
    np.testing.assert_array_equal(gradient("ptp", TIES, {}, mode), [[1 / 2, -1, 1 / 2], [0, 0, 0]])


@pytest.mark.parametrize("name", ["max", "min", "ptp"])
@pytest.mark.parametrize("axis", [None, 0, 1])
def test_shares_stay_float32(name: str, axis: int | None) -> None:
    x = TIES.astype(np.float32)
    for mode in concrete_site.MODES:
        assert gradient(name, x, {"axis": axis}, mode).dtype == np.float32


def test_many_equal_small_integers() -> None:
    """The number of shares is not counted in the dtype of x."""
    np.testing.assert_array_equal(
        gradient("max", np.zeros((300, 1), np.int8), {"axis": 0}, dz=np.array([3.0])), np.full((300, 1), 0.01)
    )
    np.testing.assert_array_equal(gradient("max", np.zeros(300, np.int8), dz=3.0), np.full(300, 0.01))


ZEROS = [
    np.array([2.0, 0.0, 3.0]),
    np.array([0.0, 0.0, 3.0]),
    np.array([[0.0, 2.0, 3.0], [0.5, 0.0, 0.0], [2.0, 1.5, -1.0]]),
    np.array([[[0.0, 2.0], [1.5, 0.0]], [[2.0, -1.0], [0.5, 3.0]]]),
]


@pytest.mark.parametrize("mode", concrete_site.MODES)
@pytest.mark.parametrize("name", ["prod", "cumprod"])
@pytest.mark.parametrize("x", ZEROS, ids=lambda x: str(x.shape))
def test_products_of_zeros(name: str, x: Any, mode: str) -> None:
    entry = TABLE[name]
    axes: list[Any] = [None, *range(-x.ndim, x.ndim)]
    if name == "prod" and x.ndim == 3:
        axes += [(0, 1), (2, 0), (-1, 1)]
    checked = 0
    for axis in axes:
        env = {**drawing.draw(entry, Case((x.shape,), {"axis": axis})), "x": x}
        checked += check_env(entry, env, mode)
    assert checked or mode == "unknown"


def test_product_that_underflows() -> None:
    np.testing.assert_allclose(gradient("prod", np.array([1e-200, 1e-200, 1e200])), [1.0, 1.0, 0.0])


@pytest.mark.parametrize("mode", concrete_site.MODES)
def test_deviation_of_equal_elements(mode: str) -> None:
    x = np.array([[2.0, 2.0], [1.0, 4.0]])
    np.testing.assert_array_equal(gradient("std", np.ones(3), {}, mode), np.zeros(3))
    np.testing.assert_allclose(gradient("std", x, {"axis": 1}, mode), [[0.0, 0.0], [-0.5, 0.5]])


@pytest.mark.parametrize("mode", ["known", "ranks", "unknown"])
@pytest.mark.parametrize("order", [None, 1, 2, 3, 1.5, math.inf, -math.inf])
def test_norm_of_zeros(order: float | None, mode: str) -> None:
    x = np.array([[0.0, 0.0], [3.0, 0.0]])
    expected = np.array([[0, 0], [0 if order == -math.inf else 1, 0]])
    got = gradient("norm", x, {"ord": order, "axis": 1}, mode)
    np.testing.assert_allclose(got, expected, rtol=1e-14)


def test_equal_magnitudes_share_an_inf_norm() -> None:
    np.testing.assert_array_equal(gradient("norm", np.array([-2.0, 2.0, 1.0]), {"ord": math.inf}), [-0.5, 0.5, 0])


@pytest.mark.parametrize(
    ("name", "attrs"),
    [
        ("norm", {"ord": 2}),
        ("norm", {"ord": 1}),
        ("norm", {"ord": "nuc"}),
        ("norm", {"ord": -1, "axis": (0, 1)}),
        ("norm", {"ord": 0.5, "axis": 0}),
        ("sum", {"dtype": "int"}),
        ("sum", {"out": np.zeros(())}),
        ("average", {"weights": np.ones(4)}),
    ],
)
def test_refused(name: str, attrs: dict[str, Any]) -> None:
    entry = TABLE[name]
    env = drawing.draw(entry, Case(((2, 2),), attrs))
    site = concrete_site.site_for(entry, env, "known")
    with pytest.raises(concrete_site.RefusedUse):
        run_the_rules(entry, site)


def run_the_rules(entry: Gate, site: concrete_site.ConcreteSite) -> None:
    rules.apply_shape_rule(entry, site)
    rules.dtype_claim(entry, site)
    rules.backward_spelling(entry, "x", None, site)


def test_spellings_are_what_one_would_write() -> None:
    def spelling(name: str, shape: tuple[int, ...], attrs: dict[str, Any]) -> str:
        entry = TABLE[name]
        site = concrete_site.site_for(entry, drawing.draw(entry, Case((shape,), attrs)), "known")
        rules.apply_shape_rule(entry, site)
        return rules.backward_spelling(entry, "x", None, site)

    assert spelling("sum", (2, 3), {"axis": 0}) == "np.broadcast_to(dz, np.shape(x))"
    assert spelling("sum", (2, 3), {"axis": -1}) == "np.broadcast_to(dz[:, None], np.shape(x))"
    assert spelling("sum", (2, 3, 4), {"axis": (0, 2)}) == "np.broadcast_to(dz[:, None], np.shape(x))"
    assert spelling("mean", (2, 3), {"axis": 0}) == "np.broadcast_to(dz / np.shape(x)[0], np.shape(x))"
    assert spelling("mean", (2, 3), {}) == "np.broadcast_to(dz / np.size(x), np.shape(x))"
    assert spelling("norm", (3,), {}) == "(dz / (z + (z == 0))) * x"


@pytest.mark.parametrize(
    ("name", "axis", "rank"),
    [
        *((name, axis, 0) for name in ("sum", "max", "prod", "ptp", "all", "argmax", "cumsum") for axis in (0, -1)),
        *((name, axis, 1) for name in ("mean", "var", "std", "norm") for axis in (0, -1)),
        *((name, axis, 2) for name in ("sum", "max", "mean", "cumsum") for axis in (1, -2)),
        ("sum", (0,), 1),
    ],
)
def test_only_what_numpy_demands_is_taken_for_a_fact(name: str, axis: Any, rank: int) -> None:
    """The sum of a number over its axis 0 is that number; its mean over axis 0 is an error."""
    entry = TABLE[name]
    site = concrete_site.site_for(entry, drawing.draw(entry, Case(((2, 3),), {"axis": axis})), "unknown")
    rules.apply_shape_rule(entry, site)
    assert site.shape("x").least_rank == rank
    for shape in ((), (3,), (2, 3)):
        env = {**drawing.draw(entry, Case(((2, 3),), {"axis": axis})), "x": np.ones(shape)[()]}
        try:
            running.run_forward(entry, entry.spellings[0], env)
        except np.exceptions.AxisError:
            assert len(shape) < rank
        else:
            assert len(shape) >= rank
