"""Traps of names, imports and of what is differentiated; what is refused."""

from __future__ import annotations

import numpy as np
import pytest

from flatgrad.diagnostics import Refused
from tests.support import check_module, compiled, load
from tests.traps import ROW, V, X, Y, drawn, model, outcome, right

# --- names


@pytest.mark.parametrize(
    ("body", "parameters"),
    [
        ("dx = x * 2; dy = dx * y; return dy * dx", "x, y"),
        ("da = x + y; d = da * x; a = d * d; return a + da", "x, y"),
        ("cache = x * y; return cache * x, np.sum(cache)", "x, y"),
        ("np_ = x * y; return np_ * np_ * x", "x, y"),
        ("dout = x * y; out = dout * x; return out * dout", "x, y"),
        ("out = x * y; res = out + y; return out * res", "x, y"),
        ("d = x * y; dd = d * x; ddd = dd * d; return ddd + d + dd", "x, y"),
        ("h = x * y; h_ = h * x; h_1 = h_ + h; h = h * h_1; return h * h_", "x, y"),
        ("lambda_ = x * 2; return lambda_ * y * lambda_", "x, y"),
        ("unbroadcast = x * y; return unbroadcast * x", "x, y"),
        ("sum = np.sum(x * y); len = sum * 2; max = len * sum; return max", "x, y"),
        ("f = x * y; f_backward = f * x; f_forward = f_backward * f; return f_forward", "x, y"),
        ("out_ = x * 2; return out_ * y", "x, y"),
        ("_ = x * y; return _ * x", "x, y"),
        ("l = x * y; O = l * x; return O * l", "x, y"),
        ("x_max = np.max(x); return x * x_max * y", "x, y"),
        ("é = x * y; return é * x", "x, y"),
        ("dx1 = x * y; dx_1 = dx1 * x; return dx_1 * dx1", "x, y"),
        ("z = x * out; return z * out", "x, out"),
        ("z = cache * dout; return z * cache", "cache, dout"),
        ("return dx * x + np.sin(dx)", "x, dx"),
        ("return np_ * d + np.sin(d)", "d, np_"),
        ("return dloss * loss ** 2", "loss, dloss"),
        ("loss = x * dloss; return loss * x", "x, dloss"),
        ("t = a * da; return t * dt", "a, da, dt"),
        ("h = gradients * f; return h * f", "f, gradients"),
        ("return sum * len + range", "sum, len, range"),
    ],
)
@pytest.mark.parametrize("accumulate", ["forks", "always"])
@pytest.mark.parametrize("stages", ["source", "relations"])
def test_names_do_not_clash(body: str, parameters: str, accumulate: str, stages: str) -> None:
    inputs = {name: 0.5 + np.abs(drawn((3, 4), len(name))) for name in parameters.split(", ")}
    # A result called `cache` would be the user's own backward matter, and so would `d<param>`.
    right(body, parameters, inputs, accumulate=accumulate, stages=stages)


def test_function_and_helper_names_do_not_clash() -> None:
    source = """
import numpy as np


def d(x):
    return x * x


def da(d, x):
    return d + x


def cache(x, y):
    a = d(x)
    b = da(a, y)
    return b * a
"""
    check_module(source, {"x": X, "y": Y}, function="cache")


@pytest.mark.parametrize(
    ("header", "call"),
    [
        ("import numpy", "numpy.exp(x) * numpy.sum(x, axis=0)"),
        ("import numpy as N", "N.exp(x) * N.sum(x, axis=0)"),
        ("from numpy import exp, sum", "exp(x) * sum(x, axis=0)"),
        ("from numpy import exp as e, sum as s", "e(x) * s(x, axis=0)"),
        ("import numpy as np_", "np_.exp(x) * np_.sum(x, axis=0)"),
        ("from numpy import linalg as la, exp", "exp(x) * la.norm(x)"),
        ("import numpy.linalg\nimport numpy as np", "np.exp(x) * np.linalg.norm(x)"),
        ("from scipy import special\nimport numpy as np", "special.expit(x) * np.sum(x, axis=0)"),
        ("from scipy.special import expit\nfrom numpy import sum", "expit(x) * sum(x, axis=0)"),
        ("import scipy.special as sp", "sp.erf(x) * x"),
    ],
)
def test_imports_in_any_alias(header: str, call: str) -> None:
    check_module(model(f"t = {call}; return t * x + t[0]", "x", header), {"x": X})


def test_numpy_under_a_name_that_the_model_uses_otherwise() -> None:
    check_module(model("np = exp(x); return np * np", "x", "from numpy import exp"), {"x": X})
    check_module(model("return exp(np) * np", "np", "from numpy import exp"), {"np": X})
    check_module(model("math = exp(x); return math * x", "x", "from math import exp"), {"x": 0.5})


# --- what is differentiated


def test_parameters_with_and_without_a_gradient() -> None:
    right("return x * y", "x, y, scale=2.0", {"x": X, "y": Y}, differentiated=("x", "y"))
    right("return x * scale", "x, y, scale=2.0", {"x": X, "y": Y}, differentiated=("x",))
    right("return x[:n] * 2", "x, n: int", {"x": X, "n": 2}, differentiated=("x",))
    right("return x * np.argmax(y)", "x, y", {"x": X, "y": Y}, differentiated=("x",))
    right("return x * (y > 0)", "x, y", {"x": X, "y": Y}, differentiated=("x",))
    right("a = np.zeros((3, 4)); a[0] = y[0]; a[0] = x[0]; return a * x", 'x: "N D", y: "N D"', {"x": X, "y": Y})


def test_unused_parameter_named_in_wrt_gets_zeros() -> None:
    source = model("return x * 2", "x, y")
    for y in (Y, ROW, 1.5, np.array([1, 2]), [1, 2]):
        names = load(compiled(source, wrt=("x", "y")).text)
        _, cache = names["f_forward"](X, y)
        dx, dy = names["f_backward"](np.ones_like(X), cache)
        assert np.shape(dy) == np.shape(y)
        assert np.asarray(dy).dtype.kind == "f"
        assert not np.any(dy)
        assert np.allclose(dx, 2)


@pytest.mark.parametrize(
    "body",
    [
        "return 1.0",
        "return np.argmax(x)",
        "return x.shape[0]",
        "return np.zeros(3)",
        "return x > 0",
        "y = 2 * x; return 3",
    ],
)
def test_constant_result_is_an_error(body: str) -> None:
    with pytest.raises(Refused):
        compiled(model(body, "x"))


def test_caches_and_gradients_of_the_users_own_fall_away() -> None:
    check_module(model("out = x * y; cache = (x, y); return out, cache"), {"x": X, "y": Y}, select=lambda r: (r[0],))
    check_module(
        model("loss = np.sum(x * y); dx = y * 1.0; return loss, dx"), {"x": X, "y": Y}, select=lambda r: (r[0],)
    )


def test_output_chooses() -> None:
    source = model("h = x * y; loss = np.sum(h * h); return loss, h")
    check_module(source, {"x": X, "y": Y}, output="loss", select=lambda r: (r[0],))


def test_module_constants_and_defaults() -> None:
    header = "import numpy as np\n\nEPS = 1e-3\nSCALE = np.array([1.0, 2.0, 3.0, 4.0])\nK = 2 * EPS"
    check_module(model("return np.log(x * x + EPS) * SCALE * K", "x", header), {"x": X})
    right("return x * eps + k", "x, eps=1e-3, k=-2", {"x": X}, {"x": X, "eps": 2.0}, {"x": X, "eps": 2.0, "k": 1.0})


def test_integer_arithmetic_of_shapes() -> None:
    right(
        "N, D = x.shape; h = D // 2; return x[:, :h] * N - x[:, h : 2 * h] / D",
        "x",
        {"x": X},
        {"x": drawn((2, 5))},
    )
    right("n = len(x); k = n % 2 + 1; return x[:k] * x.size / x.ndim", "x", {"x": X}, {"x": V})
    right(
        "a = x.reshape(x.shape[0], -1); b = a.reshape(-1, 2); return b * b",
        'x: "N C H"',
        {"x": drawn((2, 2, 2))},
    )


# --- what is not understood is refused, all of it at once


@pytest.mark.parametrize(
    "statement",
    [
        "t = np.unwrap(x)", "t = [v for v in x]", "t = (lambda v: np.unwrap(v))(x)", "t = unknown(x)",
        "t = x.frobnicate()",
        "t = np.add.reduce(x)", "t = eval('x')", "import os",
        "with open('f'): pass",
        "t = {1: x}", "t = await_(x)", "t = np.fft.fft(x)", "t = x.__class__(x)",
        "t = f'{x}'", "t = np.vectorize(abs)(x)",
    ],
)  # fmt: skip
def test_refused_and_never_a_crash(statement: str) -> None:
    body = f"{statement}; return x * y" + (" + t" if statement.startswith("t =") else "")
    assert outcome(model(body), {"x": X, "y": Y}) == "refused"


def test_every_finding_in_one_run() -> None:
    with pytest.raises(Refused) as caught:
        compiled(model("a = np.unwrap(x); b = y * 2; c = np.trim_zeros(b); return a + b + c"))
    spans = [diagnostic.span for diagnostic in caught.value.diagnostics]
    assert len(spans) >= 2
    assert sorted(spans, key=lambda span: (span.line, span.column) if span else (0, 0)) == spans


@pytest.mark.parametrize(
    "text",
    [
        "",
        "def f(x:\n",
        "x = 1\n",
        "def f(x):\n    pass\n",
        "def f(*x):\n    return x[0] * 2\n",
        "\x00",
        "class A: pass\n",
    ],
)
def test_sources_without_a_function_to_differentiate(text: str) -> None:
    with pytest.raises(Refused):
        compiled(text)
