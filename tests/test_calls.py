"""Calls of helpers that return several things, and of functions that hand out a cache of their own."""

from __future__ import annotations

import numpy as np
import pytest

from flatgrad.diagnostics import Refused
from tests.support import check_module, compiled

PAIR = """\
import numpy as np


def affine_forward(x: "N D", w: "D M", b: "M"):
    out = x @ w + b
    cache = (x, w, b)
    return out, cache


def two(x, y):
    a = x * y
    b = np.tanh(x)
    return a, b


"""
RNG = np.random.default_rng(3)
AFFINE = {"x": RNG.normal(size=(2, 4)), "w": RNG.normal(size=(4, 4)), "b": RNG.normal(size=4)}
TWO = {"x": RNG.normal(size=3), "y": RNG.normal(size=3)}


@pytest.mark.parametrize(
    "body",
    [
        "out, fc_cache = affine_forward(x, w, b)\n    return out * out",
        "out, _ = affine_forward(x, w, b)\n    return out * out",
        "out, cache = affine_forward(x, w, b)\n    out, cache = affine_forward(out, w, b)\n    return out",
        "out, keep = affine_forward(x, w, b)\n    pair = (keep, 1)\n    h = out * 2\n    return h",
        "return affine_forward(x, w, b)[0]",
        "out = affine_forward(x, w, b)[0]\n    return out + x",
        "both = affine_forward(x, w, b)\n    return both[0] * 3",
        "return affine_forward(affine_forward(x, w, b)[0], w, b)[0] * x",
        "for t in range(3):\n        x, c = affine_forward(x, w, b)\n    return x",
        "h = x\n    if w[0, 0] > -9:\n        h, c = affine_forward(x, w, b)\n    return h * 2",
    ],
)
def test_a_function_that_hands_out_a_cache(body: str) -> None:
    source = f'{PAIR}def f(x: "N D", w: "D M", b: "M"):\n    {body}\n'
    check_module(source, AFFINE, function="f", functions=("f",))


def test_the_names_of_the_users_caches_stay() -> None:
    body = "out, fc_cache = affine_forward(x, w, b)\n    return out"
    text = compiled(f"{PAIR}def f(x, w, b):\n    {body}\n", functions=("f",)).text
    assert "    out, fc_cache = affine_forward(x, w, b)  # (1)\n    return out, fc_cache\n" in text
    assert "dx, dw, db = affine_backward(dout, fc_cache)" in text


@pytest.mark.parametrize(
    "body",
    [
        "return two(x, y)",
        "return two(two(x, y)[0], y)",
        "p, q = two(x, y)\n    return two(q, p)",
        "if x[0] > 9:\n        return two(x, y)\n    return two(y, x)",
        "if x[0] > 9:\n        return two(x, y)\n    return y * 1, x * 2",
        "p, q = two(x, y)\n    return p * q, q",
    ],
)
def test_several_results(body: str) -> None:
    check_module(f'{PAIR}def f(x: "N", y: "N"):\n    {body}\n', TWO, function="f", functions=("f",))


@pytest.mark.parametrize(
    "body",
    [
        "return np.sum(two(x, y)[0] * x)",
        "q = two(x, y)[1]\n    return np.sum(q * y)",
        "r = two(x, y)\n    return np.sum(r[0] + r[1])",
        "p, _ = two(x, y)\n    return np.sum(p)",
    ],
)
def test_one_of_several(body: str) -> None:
    check_module(f'{PAIR}def f(x: "N", y: "N"):\n    {body}\n', TWO, function="f", functions=("f",))


def test_a_cache_that_is_handed_on_is_left_out() -> None:
    source = f'{PAIR}def f(x: "N D", w: "D M", b: "M"):\n    return affine_forward(x, w, b)\n'
    check_module(source, AFFINE, function="f", functions=("f",), select=lambda results: (results[0],))
    text = compiled(source, functions=("f",)).text
    assert "    out, affine_cache = affine_forward(x, w, b)\n    return out, affine_cache\n" in text


def test_different_numbers_of_results() -> None:
    source = f"{PAIR}def f(x, y):\n    if x[0] > 9:\n        return two(x, y)\n    return x, y, x * y\n"
    with pytest.raises(Refused) as refused:
        compiled(source, functions=("f",))
    assert "FG061" in [one.code for one in refused.value.diagnostics]


def test_what_only_one_way_binds_is_none_on_the_other() -> None:
    source = (
        "import numpy as np\n\n\n"
        "def f(x):\n    if x.shape[0] > 3:\n        t = np.exp(x)\n        return np.sum(t * x)\n"
        "    u = np.tanh(x)\n    return np.sum(u * x)\n"
    )
    for size in (2, 5):
        check_module(source, {"x": RNG.normal(size=size)}, function="f")
