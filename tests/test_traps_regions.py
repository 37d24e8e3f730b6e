"""Traps of loops, branches, containers and early returns: a gradient that is right here by luck is wrong elsewhere."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from flatgrad.diagnostics import Refused
from tests.support import check_module, compiled, load
from tests.traps import Inputs, drawn, outcome

X = drawn((4, 3), 5)
UP = np.abs(X)
ROW = drawn(4, 6)
EMPTY = X[:0]
ONE = X[:1]


def function(body: str, parameters: str = "x: 'T D'", above: str = "") -> str:
    lines = "".join(f"    {line}\n" for line in body.strip("\n").split("\n"))
    return f"import numpy as np\n\n\n{above}def f({parameters}):\n{lines}"


def right(body: str, *inputs: Inputs, parameters: str = "x: 'T D'", above: str = "", **options: Any) -> None:
    for given in inputs:
        check_module(function(body, parameters, above), given, **options)


def refused(body: str, given: Inputs, code: str, parameters: str = "x: 'T D'", above: str = "", **options: Any) -> None:
    with pytest.raises(Refused) as caught:
        check_module(function(body, parameters, above), given, **options)
    assert code in [one.code for one in caught.value.diagnostics]


def never_wrong(body: str, *inputs: Inputs, parameters: str = "x: 'T D'", **options: Any) -> None:
    for given in inputs:
        assert outcome(function(body, parameters), given, **options) in ("right", "refused")


# Per-step values


@pytest.mark.parametrize("x", [ROW, np.abs(ROW), -np.abs(ROW), ROW[:0]], ids=("some", "all", "none", "empty"))
def test_per_step_values_behind_a_continue(x: Any) -> None:
    body = """
s = 0.0
for t in range(x.shape[0]):
    z = np.sin(x[t]) + 2
    if x[t] < 0:
        continue
    w = np.cos(z * s)
    s += w * z
    s = np.tanh(s) * w
return s
"""
    right(body, {"x": x}, parameters="x: 'T'")


@pytest.mark.parametrize("x", [np.abs(ROW), -np.abs(ROW), ROW, ROW[:0]], ids=("first", "never", "some", "empty"))
def test_break_in_the_first_step(x: Any) -> None:
    body = """
s = 1.0
y = 0.0
for i in range(x.shape[0]):
    if x[i] > 0:
        break
    y = np.exp(x[i])
    s += y * s
return s * x.sum() + y
"""
    right(body, {"x": x}, parameters="x: 'T'")


def test_a_while_that_never_runs() -> None:
    body = "y = x\nwhile y > 100:\n    z = np.sin(y)\n    y = y / 3 * z\nreturn y * x"
    right(body, {"x": 2.3}, {"x": 120.0}, parameters="x: float")


def test_a_loop_variable_used_after_its_loop() -> None:
    right("for i in range(x.shape[0]):\n    pass\nreturn np.sum(x[i] ** 2)", {"x": X}, {"x": ONE})
    body = "s = 0.0\nfor row in x:\n    s += np.tanh(row @ w)\nreturn s * (row @ w)"
    right(body, {"x": X, "w": ROW[:3]}, {"x": ONE, "w": ROW[:3]}, parameters="x: 'T D', w: 'D'")
    right("i = 2\ns = x[i, 0]\nfor i in range(0):\n    s = s * 2\nreturn s * x[i, 1]", {"x": X})


def test_a_loop_variable_bound_again_inside_its_loop() -> None:
    body = """
s = 0.0
for i in range(x.shape[0]):
    s += np.exp(x[i, 0])
    i = 1
    s = s * x[i, 1]
return s * x[i, 2]
"""
    right(body, {"x": X})


def test_rows_that_are_run_over_are_written_to() -> None:
    body = "y = x * 2\ns = 0.0\nfor row in y:\n    row *= {0}\n    s += np.sin(row).sum()\nreturn s + (y ** 2).sum()"
    refused(body.format("3"), {"x": X}, "FG041")
    refused("for row in x:\n    row -= row.max()\nreturn np.exp(x)", {"x": X}, "FG041")
    right(body.replace("row *= {0}", "row = row * 3"), {"x": X}, {"x": EMPTY})


def test_rows_from_the_last_to_the_first() -> None:
    body = """
s = 0.1
for v in reversed(x):
    h = np.tanh(v * s)
    s += (h * h).sum()
return s
"""
    right(body, {"x": X}, {"x": ONE})
    right(body.replace("reversed(x)", "list(reversed(x))"), {"x": X})


# Lists and dicts that loops fill


@pytest.mark.parametrize(
    "body",
    [
        # one array stored T times
        "h = np.zeros(3)\nhs = []\nfor t in range(4):\n    h += x[t] ** 2\n    hs.append(h)\nreturn np.stack(hs)",
        "h = np.zeros(3)\nhs = []\nfor t in range(4):\n    h[:] = x[t] ** 2\n    hs.append(h)\nreturn np.stack(hs)",
        # changed after it was stored
        "hs = []\nfor t in range(4):\n    h = np.sin(x[t])\n    hs.append(h)\n    h *= 2\nreturn np.stack(hs)",
        "hs = []\nh = x[0]\nfor t in range(4):\n    h = x[t] * h\n    hs.append(h)\nh *= 2\nreturn np.stack(hs)",
        # parts of an array that is changed
        "y = x * 2\nhs = []\nfor t in range(4):\n    hs.append(y[t])\ny *= 2\nreturn np.stack(hs)",
        "y = x * 2\nhs = []\nfor t in range(4):\n    hs.append(y[0])\n    y[0] = y[0] * x[t]\nreturn np.stack(hs)",
        # the element under another name
        "hs = []\nfor t in range(4):\n    hs.append(np.sin(x[t]))\nh = hs[1]\nh *= 2\nreturn np.stack(hs)",
        "hs = {-1: x[0] * 2}\ns = 0.0\nfor t in range(4):\n    h = hs[t - 1]\n    h *= np.sin(x[t])\n    hs[t] = h\n"
        "    s += (hs[t - 1] * hs[t]).sum()\nreturn s",
        "y = x * 2\nhs = {}\ns = 0.0\nfor t in range(4):\n    hs[t] = y[t]\n    hs[t][0] = s\n    s += hs[t].sum()\n"
        "return s * y",
    ],
)
def test_arrays_that_are_collected_and_changed_in_place(body: str) -> None:
    refused(body, {"x": X}, "FG041")


def test_a_dict_of_steps_is_changed_through_two_of_its_keys() -> None:
    body = """
hs = {-1: np.zeros(3)}
s = 0.0
for t in range(x.shape[0]):
    hs[t] = hs[t - 1]
    hs[t][0] = s + x[t, 0]
    s += np.sin((hs[t] * hs[t - 1]).sum())
return s
"""
    refused(body, {"x": X}, "FG041")


@pytest.mark.parametrize(
    "rounds",
    [
        "range(T)",
        "range(1, T)",
        "range(k, T)",
        "reversed(range(T))",
        "reversed(range(1, T))",
        "range(T - 1, -1, -1)",
        "range(k, -1, -1)",
    ],
)
def test_the_place_of_an_element_is_not_the_index_of_its_round(rounds: str) -> None:
    body = f"""
T = x.shape[0]
hs = [{{0}}]
s = 0.0
for t in {rounds}:
    h = np.exp(x[t])
    hs.append(h)
    s += (h * h).sum()
return s * np.stack(hs)
"""
    for begins in ("", "x[0] * 2", "x[0], x[2]"):
        right(body.format(begins), {"x": X, "k": 2}, parameters="x: 'T D', k: int", wrt=("x",))


def test_a_step_that_leaves_out_rounds() -> None:
    never_wrong("hs = []\nfor t in range(0, 4, 2):\n    hs.append(x[t] * 2)\nreturn np.stack(hs)", {"x": X})


@pytest.mark.parametrize("way", ["continue", "break"])
def test_rounds_that_store_nothing(way: str) -> None:
    body = f"""
hs = {{0}}
s = 0.0
for t in range(x.shape[0]):
    h = np.exp(x[t])
    s += h * h
    if h > 1:
        {way}
    {{1}}
return s * np.sum({{2}})
"""
    for parts in (("[]", "hs.append(h)", "hs"), ("{}", "hs[t] = h", "x")):
        for x in (ROW, -np.abs(ROW), np.abs(ROW)):
            never_wrong(body.format(*parts), {"x": x}, parameters="x: 'T'")


def test_one_list_under_two_names() -> None:
    body = "hs = []\nys = hs\nfor t in range(4):\n    hs.append(np.sin(x[t]))\n    {0}\nreturn hs[0] * ys[1]"
    refused(body.format("ys.append(x[t])"), {"x": X}, "FG030")
    refused(body.format("pass"), {"x": X}, "FG030")
    refused(body.format("zs = hs\n    zs.append(x[t])"), {"x": X}, "FG030")


def test_lists_are_no_arrays() -> None:
    body = "hs = []\nfor t in range(x.shape[0]):\n    hs.append(np.sin(x[t]).sum())\nreturn {0}"
    for expression in ("np.array(hs + hs)", "sum(hs * 2)", "np.dot(hs, x[:, 0])", "np.array(hs.copy() * 2)"):
        never_wrong(body.format(expression), {"x": X})
    refused(body.format("np.array(hs + hs)"), {"x": X}, "FG034")
    right(body.format("np.array(hs) + np.array(hs)"), {"x": X})


def test_a_list_that_is_made_anew_in_each_round() -> None:
    body = """
s = 0.0
for k in range(2):
    hs = []
    h = x[0] * k
    for t in range(x.shape[0]):
        h = np.tanh(x[t] + h)
        hs.append(h)
    ys = np.stack(hs)
    s = s + np.sum(ys ** 2)
return s
"""
    right(body, {"x": X}, {"x": ONE})


@pytest.mark.parametrize("flag", [True, False])
def test_a_list_that_one_arm_makes(flag: bool) -> None:
    body = """
s = 0.0
if flag:
    hs = []
    for t in range(x.shape[0]):
        h = np.exp(x[t])
        hs.append(h)
        s += (h * h).sum()
return s * x[0]
"""
    right(body, {"x": X, "flag": flag}, parameters="x: 'T D', flag: bool", wrt=("x",))


def test_a_list_that_is_deleted_or_bound_again() -> None:
    body = """
hs = []
s = 0.0
for t in range(x.shape[0]):
    h = np.exp(x[t])
    hs.append(h)
    s += (h * h).sum()
{0}
return s * x[0]
"""
    for after in ("del hs", "hs = 3", "hs = []"):
        right(body.format(after), {"x": X}, {"x": ONE})


def test_a_dict_of_steps_read_at_t_minus_1_and_at_minus_1() -> None:
    body = """
hs = {{}}
hs[-1] = np.copy(h0)
s = 0.0
for t in range(len(x)):
    hs[t] = np.tanh(x[t] + hs[t - 1])
    s += (hs[t] * hs[t - 1]).sum()
return s * {0}
"""
    inputs = [{"x": rows, "h0": ROW[:3]} for rows in (X, ONE, EMPTY)]
    right(body.format("1"), *inputs, parameters="x: 'T D', h0: 'D'")
    never_wrong(body.format("np.sin(hs[-1]).sum()"), *inputs, parameters="x: 'T D', h0: 'D'")


def test_the_last_key_of_a_dict_is_not_what_the_last_round_stored() -> None:
    body = "hs = {{{0}}}\nT = x.shape[0]\nfor t in range({1}T):\n    hs[t] = np.exp(x[t])\n{2}\nreturn hs[T - 1] * 2"
    right(body.format("0: x[0] * 3", "1, ", "pass"), {"x": X}, {"x": ONE})
    never_wrong(body.format("0: x[0] * 3", "2, ", "pass"), {"x": ONE}, {"x": X})
    never_wrong(body.format("", "", "T = 2"), {"x": X})
    never_wrong("hs = {}\nfor t in range(2):\n    t = t * 2\n    hs[t] = np.exp(x[t])\nreturn hs[2 - 1]", {"x": X})


def test_keys_that_are_there_already() -> None:
    body = "hs = {0: x[0], 1: x[1], 2: x[2] * 3}\ns = 0.0\nfor t in range(2):\n"
    body += "    s += (hs[t] * x[t]).sum()\n    hs[t + 1] = hs[t] * np.sin(x[t])\nreturn s + hs[2].sum()"
    never_wrong(body, {"x": X})


def test_two_lists_of_lists() -> None:
    body = """
hs = []
for t in range(x.shape[0]):
    row = []
    for i in range(x.shape[1]):
        row.append(np.sin(x[t, i]))
    hs.append(row)
return np.array(hs)
"""
    right(body, {"x": X}, {"x": ONE})
    flat = "hs = []\nfor t in range(4):\n    for i in range(3):\n        hs.append(x[t, i])\nreturn np.array(hs)"
    never_wrong(flat, {"x": X})


def test_the_last_two_elements_of_a_list() -> None:
    body = (
        "hs = [x[0], x[1]]\nfor t in range(x.shape[0]):\n    hs.append(hs[-1] * hs[-2] * x[t])\nreturn hs[-1] * hs[0]"
    )
    right(body, {"x": X}, {"x": X[:2]})


def test_a_tuple_is_carried() -> None:
    body = """
st = (x[0], x[1] * 2)
for t in range(x.shape[0]):
    a, b = st
    st = (np.sin(b) + x[t], a * b)
return st[0] * st[1]
"""
    never_wrong(body, {"x": X})


# Indices


@pytest.mark.parametrize("rounds", ["range(-2, 2)", "range(k, k + 4)", "range(0, -4, -1)", "range(1, -3, -1)"])
def test_two_rounds_name_one_element(rounds: str) -> None:
    """In three rows x[-2] is x[1]."""
    read = f"s = 0.0\nfor i in {rounds}:\n    s += np.sin(x[i]).sum() * (i + 7)\nreturn s"
    write = f"y = np.zeros(x.shape)\nfor i in {rounds}:\n    y[i] = np.sin(x[i]) * (i + 7)\nreturn y"
    inputs = [{"x": X[:rows], "k": -2} for rows in (3, 4)]
    right(read, *inputs, parameters="x: 'T D', k: int", wrt=("x",))
    right(write, *inputs, parameters="x: 'T D', k: int", wrt=("x",))


@pytest.mark.parametrize("index", ["t, t", "t % 2", "t // 2", "0, t % 3", "t, 0", "-1 - t", "t : t + 2", "[t, 0]"])
def test_elements_that_a_round_reads(index: str) -> None:
    right(f"s = 0.0\nfor t in range(3):\n    s += np.sum(np.sin(x[{index}]) * (t + 1))\nreturn s", {"x": X})


# Branches and returns


def test_a_value_bound_in_one_arm() -> None:
    body = "if n > 1:\n    z = np.exp(x)\nif n > 1:\n    return z * z\nreturn x"
    right(body, {"x": 2.3, "n": 1}, {"x": 1.2, "n": 3}, parameters="x: float, n: int", wrt=("x",))


def test_an_early_return_leaves_values_unbound() -> None:
    body = """
if n > 2:
    return x * x
z = np.exp(x)
for i in range(n):
    y = np.sin(z) * i
    z = z * y
return z
"""
    inputs = [{"x": 0.3, "n": n} for n in (0, 2, 3)]
    right(body, *inputs, parameters="x: float, n: int", wrt=("x",))


@pytest.mark.parametrize("sign", [1, -1])
def test_two_returns_keep_different_values_under_one_name(sign: int) -> None:
    body = """
y = np.exp(x)
if x[0, 0] > 0:
    y = y * 2
    return np.sin(y).sum()
y = np.cos(y)
y = y * x
return (y * y).sum()
"""
    right(body, {"x": sign * UP})
    right(body.replace("y = y * 2", "y *= 2").replace("y = y * x", "y *= x"), {"x": sign * UP})


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize(
    "body",
    [
        "s = x * 1.0\nif x[0, 0] > 0:\n    y = np.exp(x)\n    y *= 2\n    s = y * s\nreturn s",
        "y = np.exp(x)\ns = x * 1.0\nif x[0, 0] > 0:\n    y *= 2\n    s = y * s\nreturn s",
        "y = np.exp(x)\nif x[0, 0] > 0:\n    return (y * y).sum()\ny *= 2\nz = y * y\nz += y\nreturn z.sum()",
        "y = x * 2\nif x[0, 0] > 0:\n    y *= np.sin(x)\nelse:\n    y[0] = np.cos(x[1])\nreturn (y * y).sum()",
    ],
)
def test_changes_in_place_in_arms(body: str, sign: int) -> None:
    right(body, {"x": sign * UP})


# Dicts that the pass changes


def test_a_test_reads_a_dict_that_the_pass_changes() -> None:
    body = "if {0}:\n    y = np.sin(x)\nelse:\n    y = x * x\nd['n'] = 0\nreturn (y * y).sum()"
    for test, dicts in (("d['n'] > 0", ({"n": 1}, {"n": -1})), ("'n' in d", ({"n": 1}, {}))):
        for one in dicts:
            right(body.format(test), {"x": ROW, "d": one}, parameters="x, d", wrt=("x",))
    body = "y = x\nfor i in range(3):\n    y = np.sin(y) if d['n'] > 1 else y * y\n    d['n'] = d['n'] - 1\nreturn y"
    never_wrong(body, {"x": ROW, "d": {"n": 3}}, parameters="x, d", wrt=("x",))


def test_an_entry_is_needed_as_it_was() -> None:
    body = "y = x * p['w']\np['w'] = y * 2\nreturn (y * p['w']).sum()"
    refused(body, {"x": ROW, "p": {"w": ROW}}, "FG025", parameters="x, p", wrt=("x",))
    body = "w = p['w']\ny = x * w\np['w'] = y\nreturn (y * y).sum()"
    right(body, {"x": ROW, "p": {"w": ROW}}, parameters="x, p", wrt=("x",))
    body = "y = x\nfor i in range(2):\n    y = y * p['w%d' % i]\np['w0'] = 0.0\nreturn (y * y).sum()"
    right(body, {"x": ROW, "p": {"w0": ROW, "w1": ROW + 1}}, parameters="x, p", wrt=("x",))


def test_a_helper_changes_an_entry() -> None:
    above = "def g(x, d):\n    y = x * 2\n    d['n'] = 3.0\n    return y\n\n\n"
    body = "a = x * d['n']\ny = g(x, d)\nreturn (a * y * d['n']).sum()"
    source = function(body, "x, d", above)
    given = {"x": ROW, "d": {"n": 2.0}}
    assert outcome(source, given, wrt=("x",), functions=("f",)) in ("right", "refused")


# Randomness and calls


def test_random_numbers_are_never_drawn_again() -> None:
    body = """
np.random.seed(3)
s = 0.0
for i in range(x.shape[0]):
    m = (np.random.rand(*x[i].shape) < 0.5) / 0.5
    z = x[i] * m * np.random.rand()
    s += (z * z).sum()
    if np.random.rand() < 0.5:
        s = np.sin(s)
return s
"""
    right(body, {"x": X})
    names = load(compiled(function(body)).text)
    _, cache = names["f_forward"](X)
    before = np.random.get_state()[1].tobytes()  # type: ignore[index]
    names["f_backward"](1.0, cache)
    assert np.random.get_state()[1].tobytes() == before  # type: ignore[index]


@pytest.mark.parametrize(
    ("above", "body"),
    [
        ("return a", "z = x * 2\ny = g(z)\ny *= 2\nreturn (y * z).sum()"),
        ("return a[1:]", "z = x * 2\ny = g(z)\ny *= y\nreturn (y * z[1:]).sum()"),
        ("y = np.exp(a)\n    return y, y", "y, z = g(x)\ny += 1\nreturn (y * z).sum()"),
        ("y = np.exp(a)\n    return y, y[0]", "y, z = g(x)\ny += 1\nreturn (y * z).sum()"),
    ],
)
def test_a_callee_hands_out_one_array_twice(above: str, body: str) -> None:
    refused(body, {"x": ROW}, "FG041", parameters="x", above=f"def g(a):\n    {above}\n\n\n", functions=("f",))


def test_a_callee_hands_out_what_its_cache_holds() -> None:
    above = "def g(a):\n    y = np.exp(a)\n    return y\n\n\n"
    body = "y = g(x)\ny += 1\nreturn (y * x).sum()"
    right(body, {"x": ROW}, parameters="x", above=above, functions=("f",))
    above = "def g(a, b):\n    h = np.tanh(a * b)\n    return h\n\n\n"
    body = "h = x * 2\ns = 0.0\nfor i in range(3):\n    h = g(h, w)\n    h += x\n    s += (h * h).sum()\nreturn s"
    right(body, {"x": ROW, "w": ROW + 1}, parameters="x, w", above=above, functions=("f",))


def test_second_derivatives_through_a_function_that_calls_another() -> None:
    """A generated module is a module like any other: it is understood, or refused with a reason."""
    source = """import numpy as np


def g(a: "N", b: "N"):
    h = np.tanh(a * b)
    return h


def f(x: "N", w: "N"):
    h = g(x, w)
    h = g(h, x)
    return np.sum(h * h)
"""
    again = (
        compiled(source, functions=("f",)).text
        + """

def hvp(x: "N", w: "N", v: "N"):
    _, cache = f_forward(x, w)
    dx, dw = f_backward(1.0, cache)
    return np.sum(dx * v) + np.sum(dw * w)
"""
    )
    given = {"x": ROW, "w": ROW[::-1].copy(), "v": ROW + 1}
    assert outcome(again, given, functions=("hvp",)) in ("right", "refused")
