"""Traps of names that share memory: aliases, views, arguments, cached values, helpers that hand one array out twice."""

from __future__ import annotations

import numpy as np
import pytest

from tests.support import check_module, compiled, load
from tests.traps import COLUMN, ROW, V, W, X, Y, both_gates, drawn, model, never_wrong, outcome, right

# --- t = x; t += y; return t * x


def test_alias_changed_in_place_of_open_kind() -> None:
    source = model("t = x; t += y; return t * x")
    outcomes = {outcome(source, given) for given in ({"x": 2.0, "y": 3.0}, {"x": X, "y": Y})}
    assert outcomes in ({"refused"}, {"right"})


def test_alias_changed_in_place_of_known_kind() -> None:
    report = right("t = x; t += y; return t * x", "x: float, y: float", {"x": 2.0, "y": 3.0})
    assert report.results[0] == 10.0
    report = right("t = x; t += y; return t * x", 'x: "N", y: "N"', {"x": np.array([2.0]), "y": np.array([3.0])})
    assert report.results[0] == 25.0
    right("N, D = x.shape; t = x; t += y; return t * x", "x, y", {"x": X, "y": Y})
    right("h = x @ y; t = h; t *= 2; return t * h", 'x: "N D", y: "D N"', {"x": X, "y": Y.T})


VIEWS = (
    "h.T",
    "h.reshape(-1)",
    "h.reshape(h.shape)",
    "np.reshape(h, (2, -1))",
    "h.ravel()",
    "np.ravel(h)",
    "np.asarray(h)",
    "h[:]",
    "h[1:]",
    "h[0]",
    "h[:, 1]",
    "h[::-1]",
    "h[..., None]",
    "h[None]",
    "np.transpose(h)",
    "h.transpose()",
    "np.swapaxes(h, 0, 1)",
    "np.squeeze(h)",
    "np.expand_dims(h, 0)",
    "np.atleast_2d(h)",
    "np.moveaxis(h, 0, 1)",
    "h.T.reshape(-1)",
    "h[1:][0]",
    "h.astype(float, copy=False)",
    "np.flip(h, 0)",
)
COPIES = (
    "h.copy()",
    "np.array(h)",
    "h.flatten()",
    "h[[0, 1]]",
    "h[h > 0]",
    "h + 0",
    "+h",
    "h * 1",
    "np.copy(h)",
    "np.concatenate([h, h])",
    "h.astype(float)",
    "np.roll(h, 1, axis=0)",
    "np.tile(h, 2)",
    "np.where(h > 0, h, h)",
)


@pytest.mark.parametrize("statement", ["t += 1.5", "t *= x.sum()", "t[0] = 0.0", "t[...] = 2.0 * t", "t -= t.mean()"])
@pytest.mark.parametrize("view", [*VIEWS, *COPIES])
def test_view_changed_in_place(view: str, statement: str) -> None:
    """`h` and its view are one buffer: both change, or the model is refused."""
    allowed = ("right",) if view in COPIES and statement == "t += 1.5" else ("right", "refused")
    never_wrong(
        f"h = np.tanh(x); t = {view}; {statement}; return np.sum(h**3) + np.sum(t * t)",
        'x: "N D"',
        {"x": X},
        allowed=allowed,
    )


@pytest.mark.parametrize("view", [*VIEWS, *COPIES])
def test_buffer_changed_under_a_view(view: str) -> None:
    body = f"h = np.tanh(x); t = {view}; h *= 2.0; h[0] = x[1]; return np.sum(h**3) + np.sum(t * t)"
    never_wrong(body, 'x: "N D"', {"x": X})


@pytest.mark.parametrize("view", [*VIEWS, *COPIES])
def test_view_of_an_argument_changed_in_place(view: str) -> None:
    never_wrong(f"h = x; t = {view}; t += 1.5; return np.sum(h**3) + np.sum(t * t)", 'x: "N D"', {"x": X})
    never_wrong(f"h = x; t = {view}; t += 1.5; return np.sum(h**3) + np.sum(t * t)", "x", {"x": X})


def test_names_for_one_buffer() -> None:
    right("a = b = x * 2.0; a += y; return a * b", 'x: "N D", y: "N D"', {"x": X, "y": Y})
    right("a = x * 2.0; b = a; a = a + y; return a * b", "x, y", {"x": X, "y": Y}, {"x": 2.0, "y": 3.0})
    right("a, b = x * 2.0, y * 2.0; a, b = b, a; a += 1.0; return a - b * b", 'x: "N D", y: "N D"', {"x": X, "y": Y})
    right("x, y = y, x; return x - y * y", "x, y", {"x": X, "y": ROW}, {"x": 1.0, "y": 2.0})
    right("a = x * 2.0; b = a; b = b + 1.0; b += a; return a * b", "x", {"x": X})


def test_augmented_assignment_with_broadcasting() -> None:
    right("h = x * 2.0; h += y; return h * h", 'x: "N D", y: "D"', {"x": X, "y": ROW})
    right("h = x * 2.0; h *= y; h -= y; h /= 2.0 + y * y; return h", 'x: "N D", y: "N 1"', {"x": X, "y": COLUMN})
    never_wrong(
        "h = x * 2.0; h += y; return h * h", "x, y", {"x": X, "y": ROW}, {"x": 1.0, "y": 2.0}, {"x": 2.0, "y": X}
    )
    right("s = 0.0; s += np.sum(x); s += np.sum(x * x); s /= 2; return s", "x", {"x": X}, {"x": 0.5})
    never_wrong("s = 0.0; s += x; s += x * x; return s", "x", {"x": X}, {"x": 0.5})


# --- a cached result changed later; an argument changed; a result that is its argument


@pytest.mark.parametrize(
    "gate",
    [
        "np.maximum(0, x)", "np.maximum(x, 0)", "np.exp(x)", "np.tanh(x)", "1 / (1 + np.exp(-x))", "np.sqrt(x * x + 1)",
        "x * (x > 0)", "np.where(x > 0, x, 0.1 * x)", "np.abs(x)", "x ** 2", "x / (1 + x * x)", "np.cumsum(x, axis=0)",
        "np.max(x, axis=0)", "x @ x.T", "np.exp(x) / np.sum(np.exp(x), axis=1, keepdims=True)",
    ],
)  # fmt: skip
@pytest.mark.parametrize("change", ["h *= m", "h += m", "h[0] = 0.0", "h[h > 0.5] = 0.0", "h -= h.max()", "h[:1] *= m"])
@both_gates
def test_cached_result_is_changed_later(gate: str, change: str, gates: str) -> None:
    parameters = 'x: "N D", m: float'
    right(f"h = {gate}; {change}; return np.sum(h * h) + m", parameters, {"x": X, "m": 1.7}, gates=gates)


def test_cached_operand_is_changed_later() -> None:
    right("a = x * 2.0; b = a * y; a += 1.0; return b * a", 'x: "N D", y: "N D"', {"x": X, "y": Y})
    right("a = x * 2.0; b = np.sin(a); a[0] = 5.0; a[1] = b[1]; return np.sum(b) + np.sum(a**2)", 'x: "N D"', {"x": X})
    right("a = x * 2.0; b = a @ y; a *= 3.0; c = a @ y; return b * c", 'x: "N D", y: "D"', {"x": X, "y": ROW})
    right("i = np.array([0, 1]); a = x[i]; i += 1; b = x[i]; return a * b", 'x: "N D"', {"x": X})
    right("m = x > 0; a = x * m; m[0] = False; return a * x * m", 'x: "N D"', {"x": X})


@pytest.mark.parametrize(
    "body",
    [
        "x -= x.max(); return np.exp(x)",
        "x -= np.max(x, axis=1, keepdims=True); return np.sum(np.exp(x) * y)",
        "x *= y; return x * x",
        "x += y; x *= x; return x",
        "x[0] = y[0]; return np.sum(x * x)",
        "x[x > 0] = 0.0; return np.sum(x * y)",
        "z = x * y; x *= 2.0; return z * x",
        "x *= 2.0; return x",
        "t = y * x; y += t; return y * t",
    ],
)
def test_argument_is_changed_as_the_model_changes_it(body: str) -> None:
    right(body, 'x: "N D", y: "N D"' if "y" in body else 'x: "N D"', {"x": X, "y": Y} if "y" in body else {"x": X})
    never_wrong(body, "x, y" if "y" in body else "x", {"x": X, "y": Y} if "y" in body else {"x": X})


def test_two_arguments_are_one_array() -> None:
    """`f(a, a)` where the first is changed in place: the gradient belongs to the values that were there."""
    source = model("z = x * y; return z + x")
    shared = X.copy()
    names = load(compiled(source).text)
    _, cache = names["f_forward"](shared, shared)
    dx, dy = names["f_backward"](np.ones_like(X), cache)
    assert np.allclose(dx, X + 1)
    assert np.allclose(dy, X)
    assert not np.shares_memory(dx, dy)


def test_result_is_the_argument_or_another_result() -> None:
    right("return x", 'x: "N D"', {"x": X})
    right("t = x; return t, t", "x", {"x": X})
    right("h = x * 2.0; return h, h.T", 'x: "N D"', {"x": X})
    right("return x.T, x * y", "x, y", {"x": X, "y": Y})
    right("return x.reshape(-1)", "x", {"x": X}, {"x": 2.0 * V})
    right("return x[1:], x[:-1]", 'x: "N D"', {"x": X})


# --- helpers


HELPERS = """
import numpy as np


def add(x, b):
    return x + b


def same(a):
    return a


def view(a):
    return a.T


def double(a, factor=2.0):
    t = a * factor
    return t


def both(a, b):
    s = a + b
    return s, s * a


def bump(a: "N D"):
    a += 1.0
    return a * a


def sigmoid(t):
    return 1 / (1 + np.exp(-t))


def outer(a, b):
    return add(double(a), double(b))


def f_forward({parameters}):
"""


def helped(body: str, parameters: str = "x, y") -> str:
    lines = [line.strip() for line in body.split(";")]
    return HELPERS.replace("{parameters}", parameters).lstrip() + "".join(f"    {line}\n" for line in lines)


@pytest.mark.parametrize("parameters", ["x, y", 'x: "N D", y: "N D"'])
@pytest.mark.parametrize(
    "body",
    [
        "s = add(x, y); return s * x",
        "s = add(x, y); return s + x + y * s",
        "s = add(x, x); return s * y",
        "h = x * y; s = add(h, h); return s + h",
        "s = add(add(x, y), add(y, x)); return s * s",
        "s = same(x); return s * y + x",
        "s = same(x); return s",
        "s = same(x) + same(x); return s * y",
        "s, t = both(x, y); return s + t",
        "s, t = both(x, y); return t * y",
        "s, t = both(x, x); return s * y",
        "return double(x, factor=y) + double(a=y)",
        "return sigmoid(x) * sigmoid(x + y)",
        "return outer(x, y) * outer(b=x, a=y)",
        "t = view(x); return t.T * y + x",
        "a = sigmoid(x); a = sigmoid(a); a = sigmoid(a * y); return a",
    ],
)
def test_helper_hands_one_array_to_two(body: str, parameters: str) -> None:
    inputs = {"x": X, "y": Y} if "y" in body else {"x": X}
    check_module(helped(body, parameters if "y" in body else parameters.split(", y")[0]), inputs, function="f")


@pytest.mark.parametrize(
    "body",
    [
        "h = x * 2.0; r = bump(h); return r * h",
        "r = bump(x); return r * x",
        "h = x * y; r = bump(h); return r + h * y",
        "h = same(x); h += y; return h * x",
        "h = view(x * y); h += 1.0; return h",
        "t = x * y; h = view(t); h += 1.0; return h * t.T",
        "t = x * y; h = same(t); h += y; return h * t",
        "h = x * y; s = add(h, y); h += 1.0; return h * s",
        "h = x * y; s = sigmoid(h); s *= 2.0; h -= 1.0; return h * s",
        "s, t = both(x, y); s += 1.0; return s * t",
    ],
)
def test_helper_and_change_in_place(body: str) -> None:
    parameters = 'x: "N D", y: "N D"' if "y" in body else 'x: "N D"'
    source = helped(body, parameters)
    assert outcome(source, {"x": X, "y": Y} if "y" in body else {"x": X}, function="f") in ("right", "refused")


def test_helper_cache_survives_a_change_by_the_caller() -> None:
    source = """
import numpy as np


def relu_forward(x):
    return np.maximum(0, x)


def layer_forward(x: "N D", w: "D M", m: "M"):
    h = relu_forward(x @ w)
    h *= m
    return h
"""
    check_module(source, {"x": X, "w": W, "m": drawn(2)}, function="layer")
    check_module(source, {"x": X}, function="relu")
