"""Traps of helpers: what they write into, what they are given twice, sizes that they give, functions that are known
under other names."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from flatgrad.diagnostics import Refused
from tests.support import check_module, compiled
from tests.traps import outcome

RNG = np.random.default_rng(11)
V, W, M = RNG.normal(size=4), RNG.normal(size=4), RNG.normal(size=(3, 4))
NORM = "def norm(x):\n    x -= np.mean(x)\n    return np.tanh(x)\n\n\n"
RATE = 'def rate(y, p):\n    return y * p["b"] + p["c"]\n\n\n'


def source_of(helpers: str, head: str, body: str) -> str:
    lines = "".join(f"    {line}\n" for line in body.split("; "))
    return f"import numpy as np\n\n\n{helpers}def f({head}):\n{lines}"


def right(helpers: str, head: str, body: str, *runs: dict[str, Any]) -> None:
    source = source_of(helpers, head, body)
    for inputs in runs:
        check_module(source, inputs, function="f", functions=("f",))


def codes(helpers: str, head: str, body: str, **options: Any) -> set[str]:
    with pytest.raises(Refused) as refused:
        compiled(source_of(helpers, head, body), functions=("f",), **options)
    return {one.code for one in refused.value.diagnostics}


# --- a helper that writes into what it is given


@pytest.mark.parametrize(
    "body",
    [
        "return np.sum(norm(z * w) * w)",
        "s = np.exp(z); p = norm(s); return np.sum(p * w)",  # what backward of exp reads is kept before
        "return np.sum(norm(np.exp(z)) * w)",
        "p = norm(z); return np.sum(p * p * w)",  # an argument of f changes too
        "s = np.exp(z * w); return np.sum(norm(s[1:]) * w[1:])",
        "return np.sum(norm(np.exp(z)) * norm(np.exp(z) * w))",
    ],
)
def test_what_is_given_away_may_be_changed(body: str) -> None:
    right(NORM, 'z: "N", w: "N"', body, {"z": V, "w": W})


def test_given_away_in_a_loop() -> None:
    body = "t = 0.0\n    for row in z:\n        t = t + np.sum(norm(row * w) * w)\n    return t"
    right(NORM, 'z: "T N", w: "N"', body, {"z": M, "w": V}, {"z": M[:0], "w": V})


def test_what_comes_back_is_what_was_given() -> None:
    helper = "def double(x):\n    x *= 2.0\n    return x\n\n\n"
    right(helper, 'z: "N", w: "N"', "p = double(np.exp(z)); return np.sum(p * p * w)", {"z": V, "w": W})
    assert codes(helper, 'z: "N", w: "N"', "p = double(np.exp(z)); p += w; return np.sum(p * p)") == {"FG043"}


@pytest.mark.parametrize(
    "body",
    [
        "s = z * w; p = norm(s); return np.sum(p * s)",
        "s = z * w; r = s; p = norm(s); return np.sum(p * r)",
        "s = z * w; p = norm(s[1:]); return np.sum(p) + s[2]",
        "s = z * w; p = norm(s.T); return np.sum(p) + s[2]",
        "s = z * w; return np.sum(s * norm(s))",
        "s = z * w; return np.sum(norm(s) * s)",
        "s = z * w; h = [s, z]; p = norm(s); return np.sum(h[0] * p)",
        "s = z * w; h = (s, z); p = norm(h[0]); return np.sum(h[0] * p)",
        "s = z * w\n    for _ in range(3):\n        w = w + norm(s)\n    return np.sum(w)",
        "hs = []\n    for _ in range(3):\n        s = z * w\n        hs.append(s)\n        w = norm(s)\n"
        "    return np.sum(np.array(hs) * w)",
        "s = z * w; g = lambda: np.sum(s); p = norm(s); return g() * np.sum(p)",
    ],
)
def test_what_is_read_afterwards_may_not(body: str) -> None:
    assert codes(NORM, 'z: "N", w: "N"', body) <= {"FG041", "FG042", "FG039"}


# --- a dict that several calls are given


@pytest.mark.parametrize(
    "body",
    [
        "return rate(rate(y, p), p)",
        "return rate(y, p) * p['b'] + p['d']",
        "for _ in range(3):\n        y = rate(y, p)\n    return y",
        "for _ in range(0):\n        y = rate(y, p)\n    return y",
        "if flag:\n        y = rate(y, p)\n    else:\n        y = y * p['b']\n    return y",
        "W = p['b']\n    for _ in range(2):\n        y = rate(y * W, p)\n    return y * W",
    ],
)
@pytest.mark.parametrize("flag", [True, False])
def test_the_gradients_of_a_dict_add_up(body: str, flag: bool) -> None:
    p = {"b": V, "c": 0.3}
    right(RATE, 'y: "N", p, flag', body, {"y": W, "p": p | ({"d": W} if "'d'" in body else {}), "flag": flag})


def test_dicts_in_a_dict() -> None:
    body = "y = rate(y, p['l1']); y = rate(y, p['l2']); return rate(y, p['l1'])"
    right(RATE, 'y: "N", p', body, {"y": V, "p": {one: {"b": W, "c": V} for one in ("l1", "l2")}})


def test_keys_that_are_known_at_run_time() -> None:
    helper = "def layer(y, p, i):\n    return y * p['W' + str(i)]\n\n\n"
    body = "for i in range(2):\n        y = layer(y, p, i)\n    return y * p['W0']"
    right(helper, 'y: "N", p', body, {"y": V, "p": {"W0": W, "W1": V}})


def test_a_dict_that_is_handed_on_twice() -> None:
    helpers = "def h(y, p):\n    return np.tanh(y * p['a'])\n\n\ndef g(y, p):\n    return h(h(y, p), p) * p['b']\n\n\n"
    right(helpers, 'y: "N", p', "return g(g(y, p), p)", {"y": V, "p": {"a": W, "b": 0.4}})


# --- helpers that give sizes

HALVES = "def halves(k):\n    return (k // 2, k - k // 2), (0, k)\n\n\n"


def test_sizes_carry_no_gradient() -> None:
    body = "a, b = halves(k); return np.sum(np.pad(x, (a, b)) * a[1])"
    right(HALVES, 'x: "N M", k: int', body, {"x": M, "k": 3}, {"x": M, "k": 0})
    assert codes(HALVES, 'x: "N M", k', body, wrt=("x", "k")) == {"FG025"}
    assert codes(HALVES.replace("(0, k)", "(0, k * 0.5)"), 'x: "N M", k', body) == {"FG061"}


def test_a_way_that_nobody_asks_for() -> None:
    helper = """def act(z, kind):
    if kind == "relu":
        return np.maximum(z, 0)
    elif kind == "tanh":
        return np.tanh(z)


"""
    body = "return np.sum(act(x * 2, kind) * x)"
    right(helper, 'x: "N", kind', body, {"x": V, "kind": "relu"}, {"x": V, "kind": "tanh"})
    raising = helper.rstrip() + "\n    raise ValueError(kind)\n\n\n"
    right(raising, 'x: "N", kind', body, {"x": V, "kind": "relu"}, {"x": V, "kind": "tanh"})
    text = compiled(source_of(helper, 'x: "N", kind', body), functions=("f",)).text
    names: dict[str, Any] = {}
    exec(text, names)
    with pytest.raises(TypeError):
        names["f_forward"](V, "sine")
    by_data = helper.replace('kind == "tanh"', "np.sum(z) > 0")
    assert codes(by_data, 'x: "N", kind', body) == {"FG061"}


def test_one_way_of_a_helper_does_not_fit() -> None:
    helper = """def total(x):
    if len(x.shape) > 1:
        return np.sum(x * x, axis=1)
    return x * x


"""
    right(helper, 'x: "N"', "return np.sum(total(x) * x)", {"x": V})


# --- functions inside functions


@pytest.mark.parametrize(
    "body",
    [
        "scale = 2.0; a = act(x, 3); scale = 0.5; return np.sum(act(a, 2) * x)",  # read when it is called
        "scale = 1.0; return np.sum(act(act(x, 2), 1))",
        "scale = 1.0; return sum(np.sum(act(x * k, 2)) for k in (1.0, 2.0))",
    ],
)
def test_what_a_nested_function_reads(body: str) -> None:
    inner = "def act(z, n):\n        for _ in range(n):\n            z = np.tanh(z * w) * scale\n        return z"
    right("", 'x: "N", w: "N"', f"{inner}; {body}", {"x": V, "w": W})


def test_a_nested_function_of_a_name_that_is_taken() -> None:
    inner = "def act(z):\n        for _ in range(2):\n            z = np.tanh(z + w)\n        return z"
    helper = "def act(x):\n    return np.sin(x)\n\n\n"
    right(helper, 'x: "N", w: "N"', f"{inner}; return np.sum(act(x))", {"x": V, "w": W})


def test_a_name_of_its_own_in_the_text_that_is_written_out() -> None:
    inner = "def put(t):\n        v = np.tanh(x[t])\n        out[t] = v"
    body = f"out = np.zeros(4); v = np.sin(w); {inner}; put(0); put(2); return np.sum(out * v * v)"
    right("", 'x: "N", w: "N"', body, {"x": V, "w": W})


@pytest.mark.parametrize("inner", ["s = z\n        s += 1.0", "s = z.T\n        s += 1.0", "s = w\n        s += z"])
def test_a_change_in_a_nested_function_that_others_see(inner: str) -> None:
    body = f"def g(z):\n        {inner}\n        return s\n    return np.sum(g(x) * x * w)"
    assert outcome(source_of("", 'x: "N M", w: "N M"', body), {"x": M, "w": 2 * M}) in ("right", "refused")


# --- several targets, names in tests


@pytest.mark.parametrize(
    "body",
    [
        "b = np.zeros((2, 4)); a = b[0] = x * y; a = a * y; return np.sum(b * x) + np.sum(a)",
        "b = np.zeros((2, 4)); b[0] = b[1] = x; b[1] *= y; return np.sum(b * b)",
        "b = np.zeros(4); i = 1; b[i] = i = 2; return np.sum(b * x) * i",
        "b = np.zeros(4); i = b[1] = 2; return np.sum(b * x * y) * i",
        "s = (n := np.sum(x)) * n + np.sum(y); return s * n",
    ],
)
def test_statements_that_do_several_things(body: str) -> None:
    right("", 'x: "N", y: "N"', body, {"x": V, "y": W})


def test_an_overlapping_part_in_a_chain() -> None:
    body = "b = x * 1.0; b[0:2] = b[1:3] = b[2:4]; return np.sum(b * y)"
    assert outcome(source_of("", 'x: "N", y: "N"', body), {"x": V, "y": W}) in ("right", "refused")


def test_through_the_transpose() -> None:
    right("", 'x: "N M", e', "e.T[0] = x[:, 1]; e.T[1, 1:] *= 2.0; return np.sum(e * e)", {"x": M, "e": 2 * M})
    body = "d = x * 2; g = d.T; d.T[1] = x[:, 0]; return np.sum(g * g)"
    assert codes("", 'x: "N M"', body) == {"FG041"}


# --- functions that are looked up

TABLE = 'ACT = {"tanh": np.tanh, "relu": lambda v: np.maximum(v, 0), "id": lambda v: v}\n\n\n'


@pytest.mark.parametrize("kind", ["tanh", "relu", "id"])
@pytest.mark.parametrize(
    "body",
    [
        "return np.sum(ACT[kind](x * w) * x)",
        "g = ACT[kind]; h = g(x * w); return np.sum(g(h) * h)",
        "acts = {'tanh': np.tanh, 'relu': lambda v: v * (v > 0), 'id': lambda v: 2 * v}; "
        "return np.sum(acts[kind](x) * w)",
    ],
)
def test_a_function_under_a_key(body: str, kind: str) -> None:
    right(TABLE, 'x: "N", w: "N", kind', body, {"x": V, "w": W, "kind": kind})


def test_a_key_that_changes_is_refused() -> None:
    body = "g = ACT[kind]; kind = 'id'; return np.sum(g(x))"
    assert codes(TABLE, 'x: "N", kind', body)


@pytest.mark.parametrize("a", ["a", "0.3"])
def test_a_partial_function(a: str) -> None:
    helpers = "import functools\n\n\ndef leaky(x, a, b=1.0):\n    return np.where(x > 0, x, a * x) * b\n\n\n"
    body = f"act = functools.partial(leaky, a={a}); return np.sum(act(x) * act(x, b=2.0))"
    right(helpers, 'x: "N", a: float', body, {"x": V, "a": 0.2})
    # A name that is bound again later was another thing when the function was made.
    changing = "act = functools.partial(leaky, a=a); a = a * 2; return np.sum(act(x)) * a"
    assert codes(helpers, 'x: "N", a: float', changing)


# --- results that differ


def test_more_results_on_one_way() -> None:
    body = "h = a * x; s = np.sum(h * h)\n    if full:\n        return s, h\n    return s"
    source = source_of("", 'x: "N", a: float, full=False', body)
    for full in (False, True):
        inputs = {"x": V, "a": 0.3, "full": full}
        check_module(source, inputs, select=lambda value: value[:1] if isinstance(value, tuple) else (value,))
    caller = source.replace("def f(", "def g(") + '\n\ndef f(x: "N", a: float):\n    return g(x, a) * 2\n'
    with pytest.raises(Refused) as refused:
        compiled(caller, functions=("f",))
    assert {one.code for one in refused.value.diagnostics} == {"FG061"}
