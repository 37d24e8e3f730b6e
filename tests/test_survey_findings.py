"""Forms that code in the wild is written in: each against central differences, and what must not be read so."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from flatgrad.compiler import compile_source
from flatgrad.options import Options
from tests.support import check_module
from tests.support import load as load_names


def load(text: str) -> SimpleNamespace:
    return SimpleNamespace(**load_names(text))


HEAD = "import numpy as np\n\n\n"
RNG = np.random.default_rng(11)


def normal(*shape: int) -> np.ndarray:
    return RNG.normal(size=shape)


def check(source: str, inputs: dict[str, Any], **options: Any) -> str:
    check_module(HEAD + source, inputs, function="f", functions=("f",), **options)
    return compile_source(HEAD + source, "f.py", Options(functions=("f",), **options)).text


# Parameters that are taken and never read


def test_starred_parameters_that_nothing_reads_are_kept() -> None:
    text = check(
        "def f(x, y, *args, scale=2.0, **kwargs):\n    return np.sum(x * y) * scale\n", {"x": normal(3), "y": 1.5}
    )
    assert "def f_forward(x, y, *args, scale=2.0, **kwargs):" in text
    module = load(text)
    plain, (dx, dy) = module.f_value_and_grad(np.ones(2), 3.0, "more", scale=4.0, mode="train")
    assert plain == 24.0
    assert dx.tolist() == [12.0, 12.0]
    assert dy == 8.0


def test_starred_parameters_of_a_method() -> None:
    source = HEAD + (
        "class Scale:\n    def __init__(self, w):\n        self.w = w\n\n"
        "    def forward(self, x, train_mode=True, **kwargs):\n        return np.tanh(x) * self.w\n"
    )
    text = compile_source(source, "f.py", Options()).text
    assert "def forward(self, x, train_mode=True, **kwargs):" in text
    layer = load(text).Scale(np.array([2.0, 3.0]))
    x = np.array([0.5, -0.2])
    layer.forward(x, momentum=0.9)
    np.testing.assert_allclose(layer.backward(np.ones(2)), layer.w * (1 - np.tanh(x) ** 2))
    np.testing.assert_allclose(layer.dw, np.tanh(x))


# A result that is a constant on one way


@pytest.mark.parametrize("s", [2.0, -1.0])
@pytest.mark.parametrize("value", ["np.inf", "-np.inf", "np.nan"])
def test_a_constant_of_numpy_on_one_way(s: float, value: str) -> None:
    source = f"def f(x, s: float):\n    if s <= 0:\n        return {value}\n    return np.sum(x**2) / s\n"
    if s > 0:
        check(source, {"x": normal(3), "s": s})
    else:
        text = compile_source(HEAD + source, "f.py", Options(functions=("f",))).text
        _, (dx, ds) = load(text).f_value_and_grad(np.ones(2), s)
        assert dx.tolist() == [0.0, 0.0]
        assert ds == 0.0


# Several targets, one of them an element

STEP = "def step(x, h, w):\n    n = np.tanh(x * w + h)\n    return n, n * 2\n\n\n"


@pytest.mark.parametrize("count", [0, 1, 4])
def test_an_element_among_the_targets(count: int) -> None:
    loop = (
        'def f(x: "N", h: float, w: float):\n    out = np.zeros(x.shape[0])\n    for t in range(x.shape[0]):\n'
        "        out[t], h = step(x[t], h, w)\n    return np.sum(out**2) + h\n"
    )
    check(STEP + loop, {"x": normal(count), "h": 0.3, "w": 0.7})


def test_two_elements_change_places_as_python_does_it() -> None:
    body = 'def f(x: "3"):\n    y = x.copy()\n    y[0], y[1] = y[1] * 2, y[0] * 3\n    return y\n'
    check(body, {"x": normal(3)})


def test_an_element_whose_place_is_bound_beside_it_is_refused() -> None:
    source = HEAD + 'def f(x: "3", k: int):\n    y = x.copy()\n    k, y[k] = 1, x[0] * 2\n    return y\n'
    with pytest.raises(Exception, match="FG033"):
        compile_source(source, "f.py", Options(functions=("f",)))


# What numba makes of a function


@pytest.mark.parametrize("made", ["jit(leaky, nopython=True)", "njit(leaky)", "numba.njit(leaky)"])
def test_a_call_of_what_numba_makes_of_a_function(made: str) -> None:
    source = (
        "import numba\nimport numpy as np\nfrom numba import jit, njit\n\n\n"
        f"def leaky(x, a):\n    return np.where(x > 0, x, a * x)\n\n\nfast = {made}\n\n\n"
        "def f(x, a):\n    return np.sum(fast(x, a) ** 2)\n"
    )
    text = compile_source(source, "f.py", Options(functions=("f",))).text
    x = np.array([1.5, -2.0])
    _, (dx, da) = load(text).f_value_and_grad(x, 0.5)
    np.testing.assert_allclose(dx, [3.0, 2 * 0.25 * -2.0])
    np.testing.assert_allclose(da, 2 * 0.5 * 4.0)


# Ranks


ATTENTION = (
    "def f(Q, K, V):\n    s = Q @ K.swapaxes(-2, -1) / np.sqrt(Q.shape[-1])\n"
    "    e = np.exp(s - np.max(s, axis=-1, keepdims=True))\n    return (e / e.sum(axis=-1, keepdims=True)) @ V\n"
)


@pytest.mark.parametrize("stack", [(), (2,), (2, 3)])
def test_capitals_in_what_is_written_for_stacks_are_stacks(stack: tuple[int, ...]) -> None:
    check(ATTENTION, {"Q": normal(*stack, 4, 3), "K": normal(*stack, 5, 3), "V": normal(*stack, 5, 2)})


def test_what_is_written_into_an_element_of_a_vector_is_a_product_of_vectors() -> None:
    source = (
        "def f(p, r):\n    s = np.zeros(len(r))\n    s[0:2] = np.var(r)\n    for t in range(2, len(r)):\n"
        "        s[t] = p[0] + p[1:] @ r[t - 2 : t] ** 2\n    return s\n"
    )
    check(source, {"p": normal(3), "r": normal(5)})
    check(source, {"p": normal(3), "r": normal(2)})


def test_numbers_that_are_put_together_come_of_vectors() -> None:
    source = (
        "def f(start, trans, emit, seen):\n    n = len(start)\n"
        "    p = np.array([start[i] * emit[i, seen[0]] for i in range(n)])\n"
        "    for t in range(1, len(seen)):\n        after = np.zeros(len(p))\n        for i in range(n):\n"
        "            after[i] = np.dot(p, trans[:, i]) * emit[i][seen[t]]\n        p = after\n    return np.sum(p)\n"
    )
    inputs = {"start": normal(3), "trans": normal(3, 3), "emit": normal(3, 4)}
    check(source, {**inputs, "seen": np.array([0, 3, 1])})
    check(source, {**inputs, "seen": np.array([2])})


CELL = HEAD + (
    "class Cell:\n    def __init__(self, D, H):\n        self.Wh = np.random.randn(H, H)\n"
    "        self.Wx = np.random.randn(H, D)\n        self.b = np.zeros(H)\n\n"
    "    def forward(self, x, h):\n        return np.tanh(self.Wh @ h + self.Wx @ x + self.b)\n"
)


def test_what_a_vector_is_added_to_is_a_vector() -> None:
    text = compile_source(CELL, "f.py", Options()).text
    cell = load(text).Cell(3, 2)
    x, h = normal(3), normal(2)
    out = cell.forward(x, h)
    dx, dh = cell.backward(np.ones(2))
    np.testing.assert_allclose(dx, cell.Wx.T @ (1 - out**2))
    np.testing.assert_allclose(dh, cell.Wh.T @ (1 - out**2))
    np.testing.assert_allclose(cell.dWx, np.outer(1 - out**2, x))
    with pytest.raises(ValueError, match="shapes must be"):
        cell.forward(normal(3, 2), normal(2, 2))


LATE = HEAD + (
    "class Dense:\n    def __init__(self, units):\n        self.units = units\n        self.weights = None\n"
    "        self.bias = None\n\n    def prepare(self, n):\n        self.weights = np.random.randn(n, self.units)\n"
    "        self.bias = np.zeros((1, self.units))\n\n"
    "    def forward(self, x):\n        return x @ self.weights + self.bias\n"
)


def test_a_bias_that_another_method_makes_may_be_a_row() -> None:
    layer = load(compile_source(LATE, "f.py", Options()).text).Dense(2)
    layer.prepare(3)
    x, dout = normal(4, 3), normal(4, 2)
    layer.forward(x)
    np.testing.assert_allclose(layer.backward(dout), dout @ layer.weights.T)
    np.testing.assert_allclose(layer.dbias, dout.sum(axis=0, keepdims=True))
    np.testing.assert_allclose(layer.dweights, x.T @ dout)


def test_dims_in_brackets_before_the_word_array() -> None:
    source = (
        'def f(A, m, P):\n    """A step.\n\n    Parameters\n    ----------\n    A : [n_state, n_state] array\n'
        "        transitions\n    m : [n_state] array\n        mean\n    P : [n_state, n_state] array\n"
        '        covariance\n    """\n    return A @ m, A @ P @ A.T\n'
    )
    text = check(source, {"A": normal(3, 3), "m": normal(3), "P": normal(3, 3)})
    assert "m (n_state,)" in text


# The pseudo-inverse


@pytest.mark.parametrize("shape", [(1, 1), (3, 3), (2, 4), (4, 2)])
def test_the_pseudo_inverse(shape: tuple[int, int]) -> None:
    check('def f(x: "M N"):\n    return np.linalg.pinv(x)\n', {"x": normal(*shape)})


def test_weights_that_another_method_makes_are_matrices_for_the_dot_method_too() -> None:
    source = LATE.replace("x @ self.weights + self.bias", "X.dot(self.weights)").replace("self, x", "self, X")
    layer = load(compile_source(source, "f.py", Options()).text).Dense(2)
    layer.prepare(3)
    x, dout = normal(4, 3), normal(4, 2)
    layer.forward(x)
    np.testing.assert_allclose(layer.backward(dout), dout @ layer.weights.T)
    np.testing.assert_allclose(layer.dweights, x.T @ dout)
