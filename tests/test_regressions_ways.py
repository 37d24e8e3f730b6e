"""What random programs have found where one way through a function leaves values unbound that another reads."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from flatgrad.diagnostics import Refused
from tests.support import check_module, compiled, load

RNG = np.random.default_rng(11)
A = RNG.normal(size=(3, 3))
Y = RNG.normal(size=4)
ROWS = RNG.normal(size=(2, 4))
RELATIONS = {"stages": "relations"}

RIGHT: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {
    # The shape of a gradient was read off what only the other way through the function keeps.
    "a_shape_after_an_early_return": (
        "def f(a: 'N D', n: int):\n    z = a\n    s = z\n    g = s\n    z = g\n    if n > 0:\n        return s\n"
        "    return np.sum(z) + np.sum(np.sin(g)) + np.sum(s ** 2)\n",
        {"a": A, "n": 4},
        {"accumulate": "always", **RELATIONS},
    ),
    # The count of a loop was kept as a floating-point number.
    "a_count_that_another_name_changes": (
        "def f(x: 'N D', n):\n    for i in range(n):\n        x = x[::-1]\n    t = n\n    t -= 1\n    return x\n",
        {"x": A, "n": 2},
        {},
    ),
    "a_count_that_is_a_value_too": (
        "def f(y: 'D', n):\n    for j in range(n):\n        d = n\n    z = y + np.maximum(d, y)\n    step = n\n"
        "    step -= 1\n    return z\n",
        {"y": Y, "n": 1},
        {},
    ),
    # A name that no way has bound was copied, or asked for its dtype.
    "a_copy_of_what_is_not_bound": (
        "def f(b, x):\n    if np.sum(x) > 99:\n        q = x\n    if np.sum(b) < 99:\n        return np.sum(x)\n"
        "    for t in range(1, 5, 3):\n        q[t] = np.var(q, axis=0)\n    return q\n",
        {"b": ROWS, "x": A},
        {},
    ),
    "the_dtype_of_what_is_not_bound": (
        "def f(y, w, steps: int, mode: str):\n    for r, row in zip(y, y[::-1]):\n        if mode == 'a':\n"
        "            continue\n        g = w\n    if steps > 0:\n        return np.sum(w)\n    return g\n",
        {"y": Y, "w": Y[:2], "steps": 2, "mode": "a"},
        {},
    ),
    # Backward began its round with a part of what an arm binds.
    "a_part_that_only_an_arm_reads": (
        "def f(out: 'N D', w: 'N D'):\n    for j in range(w.shape[0] - 1, -1, -1):\n        e = out\n"
        "        if j > 0:\n            m = w[:, [0, 0]] / (2 + out ** 2)\n            out = np.sum(m[j:])\n"
        "    return e\n",
        {"out": ROWS[:, :1], "w": ROWS[:, 1:2]},
        RELATIONS,
    ),
    # The module's own function was called by the name that the second value of the user's variable had been given.
    "a_variable_called_unbroadcast": (
        "def f(x: 'N D'):\n    unbroadcast = x\n    p = x\n"
        "    unbroadcast = np.dot(unbroadcast[unbroadcast.shape[0] // 2 :], unbroadcast)\n    return unbroadcast - p\n",
        {"x": A[:2, :2]},
        {},
    ),
    # The rounds were counted behind a `continue` that changes nothing: none was reversed.
    "a_continue_at_the_end_of_a_while": (
        "def f(h: 'N D'):\n    m = h\n    while np.sum(m ** 2) < 80:\n        m = m * 1.6\n        continue\n"
        "    return m\n",
        {"h": A},
        {},
    ),
    "a_continue_in_an_arm_at_the_end_of_a_while": (
        "def f(h: 'N D'):\n    m = h\n    while np.sum(m ** 2) < 80:\n        for t in range(2):\n"
        "            m = m * np.exp(0.01 * m)\n            continue\n"
        "        if m[0, 0] > 0:\n            continue\n    return m\n",
        {"h": 3.0 * np.abs(A)},
        {},
    ),
    # What an earlier round has bound was taken for unbound: the gradients of the later rounds were lost.
    "a_name_that_only_the_first_round_binds": (
        "def f(k: 'N N', n: int):\n    s = 0.0\n    for t in range(n):\n        if t == 0:\n            u = k * 2\n"
        "        s = s + np.sum(u)\n    return s\n",
        {"k": A, "n": 3},
        {},
    ),
    "a_name_that_some_rounds_bind_anew": (
        "def f(k: 'N N', n: int):\n    s = 0.0\n    for t in range(n):\n        if t % 2 == 0:\n"
        "            u = k * (t + 2)\n        s = s + np.sum(u ** 2)\n    return s\n",
        {"k": A, "n": 4},
        {},
    ),
    # A shape was read off `dh`, which stood for another gradient by then.
    "an_upstream_gradient_whose_name_is_used_again": (
        "def f(a):\n    d = a[a.shape[0] // 2 :]\n    h = np.diff(np.exp(d) / (1 + np.exp(d)), axis=0)\n    a = h[-1]\n"
        "    h = a + d\n    return h\n",
        {"a": A},
        {},
    ),
    # Each copy asked for another one.
    "a_buffer_that_two_loops_hand_on": (
        "def f(d, k):\n    for t, p in enumerate(d):\n        v = np.zeros(d.shape)\n"
        "        for row, r in zip(d, d[::-1]):\n            v[t] = np.tanh(v[t - 1] + np.abs(row))\n"
        "            if t == 0:\n                break\n"
        "    return np.sum(v ** 2) + np.sum(r ** 2) + np.sum(np.sin(k))\n",
        {"d": RNG.normal(size=(5, 1)), "k": 1.2},
        {},
    ),
}


@pytest.mark.parametrize("name", RIGHT)
def test_right(name: str) -> None:
    source, inputs, options = RIGHT[name]
    check_module(f"import numpy as np\n\n\n{source}", inputs, function="f", **options)


def test_an_element_of_a_number_is_refused() -> None:
    source = "import numpy as np\n\n\ndef f(x):\n    m = np.mean(x ** 3)\n    return np.sum(m[m > 0.1])\n"
    with pytest.raises(Refused) as refused:
        check_module(source, {"x": Y})
    assert [(one.code, one.span.line if one.span else 0) for one in refused.value.diagnostics] == [("FG025", 6)]


def test_a_raise_behind_elif_stays_in_forward() -> None:
    """What an `elif` without an `else` only checks has no value, and is kept all the same."""
    source = (
        "import numpy as np\n\n\ndef f(x, a=None):\n    n, m = x.shape\n    if a is None:\n"
        "        a = np.zeros((n, m))\n"
        "    elif a.shape != (n, m):\n        raise ValueError('a')\n    return np.sum(x * a)\n"
    )
    module = load(compiled(source).text)
    with pytest.raises(ValueError, match=r"^a$"):
        module["f_forward"](A, Y)
    check_module(source, {"x": A, "a": 2.0 * A})


def test_a_list_of_results_takes_a_list_of_gradients() -> None:
    source = "def f(y):\n    a, b = y\n    return [b, 2.0 * a]\n"
    module = load(compiled(source).text)
    y = RNG.normal(size=(2, 3))
    out, cache = module["f_forward"](y)
    assert isinstance(out, list)
    dy = module["f_backward"]([A[0], A[1]], cache)
    np.testing.assert_allclose(dy, np.array([2.0 * A[1], A[0]]))


def test_gradients_in_a_dict_are_the_callers_own() -> None:
    """No entry shares memory with another one, with another gradient or with the upstream one."""
    source = (
        "def f(x: 'N D', params):\n    a, b = params['a'], params['b']\n    assert a.shape == x.shape\n"
        "    assert b.shape == x.shape\n    return a + b + x\n"
    )
    names = load(compiled(source, wrt=("x", "params")).text)
    _, cache = names["f_forward"](A, {"a": A.copy(), "b": A.copy()})
    upstream = np.ones_like(A)
    dx, dparams = names["f_backward"](upstream, cache)
    every = [upstream, dx, dparams["a"], dparams["b"]]
    assert not any(np.shares_memory(one, other) for k, one in enumerate(every) for other in every[:k])
