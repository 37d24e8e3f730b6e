"""Programs with loops and branches that once were compiled to something wrong, each in its smallest form."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from flatgrad.diagnostics import Refused
from tests.support import check_module, compiled

X = np.array([[0.7, -1.2, 0.4], [1.1, 0.3, -0.6]])
SMALL = np.array([[0.3, 0.2], [0.1, 0.25]])

# The body, the parameters with what they are given, and the differentiated ones.
RIGHT: dict[str, tuple[str, dict[str, Any], tuple[str, ...]]] = {
    "a_dead_loop_binds_a_parameter_again": (
        "v = np.sin(x)\nfor t in range(1, x.shape[0]):\n    x = v\nreturn v",
        {"x": X},
        ("x",),
    ),
    # The dim that the loop alone knows of had the name of another one outside.
    "a_dim_of_a_loop_is_not_one_of_outside": (
        "for t in range(n):\n    z = np.zeros((4, x.shape[-1]))\nq = np.ones(z.shape[-1])\nfor t in range(len(x)):\n"
        "    m = x\n    x = 0.5 * x + np.where(m > q, m, q)\nreturn x",
        {"x": X, "n": 1},
        ("x",),
    ),
    # It is kept under another name, as the loop binds its own: the line behind must not write into what is kept.
    "a_value_that_is_kept_aside_is_not_written_into": (
        "for t in range(n):\n    c = x\nc = y / x\nc *= 0.5\nreturn c",
        {"x": X, "y": X[:1], "n": 1},
        ("x", "y"),
    ),
    "a_size_read_in_an_arm_is_not_read_at_the_head": (
        "if n > 0:\n    return np.sum(y ** 2)\nrows, columns = x.shape\nreturn np.sum(x[rows // 2] * columns)",
        {"x": X[0], "y": X, "n": 1},
        ("y",),
    ),
    "a_loop_does_not_count_with_a_size_that_an_arm_binds": (
        "if n > 0:\n    rows, columns = x.shape\nfor i in range(0, x.shape[0], 2):\n    u = y\nif np.ndim(x) > 1:\n"
        "    return np.sum(np.sin(u))\nreturn y",
        {"x": X, "y": X, "n": 0},
        ("y",),
    ),
    "an_early_return_on_a_flag_is_no_way_out": (
        "if n is True:\n    return np.sum(x ** 2) + np.sum(y)\nreturn np.sum(x[:, 0])",
        {"x": X, "y": X, "n": True},
        ("x", "y"),
    ),
    "an_early_return_has_another_value": (
        "if np.sum(x) > 0.3:\n    return np.sum(y ** 2) + np.sum(x)\nreturn y",
        {"x": X, "y": X[:1]},
        ("x", "y"),
    ),
    "what_only_a_loop_binds": (
        "for t in range(n):\n    m = x[:, t]\nreturn m * m",
        {"x": X, "n": 2},
        ("x",),
    ),
    "what_only_a_loop_binds_is_carried_past_a_test": (
        "for t in range(3, n, -1):\n    u = x\n    if t == 0:\n        h = c\n    else:\n        c = u\nreturn c",
        {"x": X, "n": 1},
        ("x",),
    ),
    "what_only_a_loop_binds_is_not_read": (
        "for t in range(x.shape[0]):\n    if np.sum(x) < 9:\n        continue\n    e = x\nm = np.sin(x)\n"
        "if n > 1:\n    m = e\nelse:\n    e = m\nreturn e",
        {"x": X, "n": 1},
        ("x",),
    ),
    "what_only_a_loop_binds_is_kept_from_its_head_on": (
        "for p in x:\n    h = np.hypot(x + 3, n)\nreturn h",
        {"x": X, "n": 2},
        ("x",),
    ),
    "an_inner_loop_binds_it": (
        "for t in range(n, 4):\n    for u in x:\n        s = x * 3 if n == 1 else 0.5\nreturn s",
        {"x": X, "n": 2},
        ("x",),
    ),
    "one_arm_binds_it_and_another_later_one": (
        "if np.sum(x ** 2) < 4:\n    g = x\nelse:\n    t, g = x, x\nif n > 1:\n    out = g\nelse:\n    t = g\nreturn t",
        {"x": SMALL, "n": 1},
        ("x",),
    ),
    "a_value_of_a_loop_is_changed_after_it": (
        "for t in range(1, x.shape[0]):\n    p = x + x if n > 1 else x * 0.5\np += np.sin(p)\nreturn p",
        {"x": X, "n": 1},
        ("x",),
    ),
    "continue_is_the_last_statement": (
        "for t in range(3, n, -1):\n    u = x\n    c = u\n    if not t:\n        continue\nreturn c",
        {"x": X, "n": 1},
        ("x",),
    ),
    "break_in_a_range_that_does_not_begin_at_0": (
        "s = 0.0\nfor k in range(1, x.shape[1]):\n    s += np.sum(x[:, k] ** 3)\n    if k == n:\n        break\n"
        "return s",
        {"x": X, "n": 1},
        ("x",),
    ),
    "break_in_a_range_that_goes_down": (
        "s = 0.0\nfor k in range(2, -1, -1):\n    s += np.sum(x[:, k] ** 3)\n    if k == n:\n        break\nreturn s",
        {"x": X, "n": 1},
        ("x",),
    ),
    "break_in_a_reversed_range": (
        "s = 0.0\nfor k in reversed(range(x.shape[1])):\n    s += np.sum(x[:, k] ** 3)\n    if k == n:\n        break\n"
        "return s",
        {"x": X, "n": 1},
        ("x",),
    ),
    "break_in_a_range_with_a_step": (
        "s = 0.0\nfor k in range(2, -3, -2):\n    s += np.sum(x[:, k] ** 3)\n    if k == n:\n        break\nreturn s",
        {"x": X, "n": 0},
        ("x",),
    ),
    "copies_of_nested_loops_settle": (
        "z = x\nfor t in range(1, x.shape[0]):\n    m = z\n    while np.sum(np.abs(m)) > 1:\n        m = m * 0.6\n"
        "        z = m\nreturn np.sum(np.sin(m)) + np.sum(np.sin(x))",
        {"x": X},
        ("x",),
    ),
    "a_while_in_an_arm": (
        "if n > 1:\n    u = x\nelse:\n    while np.sum(x ** 2) < 8:\n        x = x * 1.6\nreturn x",
        {"x": X, "n": 2},
        ("x",),
    ),
    "a_call_in_an_arm_that_runs_on": (
        "h = x\nif np.mean(x) < 0:\n    h = blend(h, x * 2)\nreturn h",
        {"x": SMALL},
        ("x",),
    ),
    "a_target_of_rows_that_are_written_before": (
        "h = x + x * x\nfor q in x:\n    h[-1] = np.sin(q)\ns = 0.0\nfor v in h:\n    s += np.sum(np.exp(v) * v)\n"
        "return s",
        {"x": X},
        ("x",),
    ),
    "a_sum_that_waits_for_an_operand_that_stands_twice": (
        "return x + (h + h)",
        {"x": X, "h": X[0]},
        ("x", "h"),
    ),
    "a_sum_that_waits_for_a_square": (
        "return x + np.sin(h * h)",
        {"x": X, "h": X[0]},
        ("x", "h"),
    ),
    "the_shape_of_a_row": (
        "for i in range(n):\n    for q, p in zip(x, x):\n        g = q[-i]\nreturn g",
        {"x": X, "n": 2},
        ("x",),
    ),
}
BLEND = "def blend(a, b):\n    c = a * b\n    return c * a\n\n\n"


def source_of(body: str, inputs: dict[str, Any]) -> str:
    head = ", ".join(f"{name}: int" if isinstance(value, int) else name for name, value in inputs.items())
    lines = "".join(f"    {line}\n" for line in body.splitlines())
    helper = BLEND if "blend(" in body else ""
    return f"import numpy as np\n\n\n{helper}def f({head}):\n{lines}"


def check(name: str) -> None:
    body, inputs, wrt = RIGHT[name]
    check_module(source_of(body, inputs), inputs, function="f", functions=("f",), wrt=wrt)


@pytest.mark.parametrize("name", RIGHT)
def test_right(name: str) -> None:
    check(name)


def test_a_call_that_a_conditional_expression_leaves_out() -> None:
    """Where `n < 0` the helper is not called: it would raise, or never come to its end."""
    source = (
        "import numpy as np\n\n\n"
        "def g(x, n: int):\n    if n < 0:\n        raise ValueError(n)\n    return x * x * n\n\n\n"
        "def f(x, n: int):\n    u = x if n < 0 else g(x, n)\n    return u\n"
    )
    with pytest.raises(Refused) as refused:
        compiled(source, functions=("f",), wrt=("x",))
    assert [one.code for one in refused.value.diagnostics] == ["FG030"]


REFUSED: dict[str, tuple[str, dict[str, Any], str]] = {
    "a_loop_binds_what_was_bound_before": (
        "t = x + x * x\nfor t in range(1, n + 1):\n    q = 0.0\nreturn np.sum(t)",
        {"x": X, "n": 0},
        "FG025",
    ),
    "the_rank_of_an_operand_in_an_arm": (
        'h = x\nif n > 1:\n    h = np.einsum("ij,kj->ik", x, x)\nreturn h',
        {"x": X, "n": 1},
        "FG023",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name: str) -> None:
    body, inputs, code = REFUSED[name]
    with pytest.raises(Refused) as refused:
        check_module(source_of(body, inputs), inputs, function="f", wrt=("x",))
    assert {one.code for one in refused.value.diagnostics} == {code}


def test_an_error_before_a_loop_with_a_break_is_the_only_one() -> None:
    source = source_of(
        "t = n\nwhile t > 0:\n    np.unwrap(x)\n    t -= 1\nfor row in x:\n    if np.sum(row) > 0:\n        break\n"
        "return np.sum(row)",
        {"x": X, "n": 1},
    )
    with pytest.raises(Refused) as refused:
        check_module(source, {"x": X, "n": 1}, wrt=("x",))
    assert all(one.code.startswith("FG0") for one in refused.value.diagnostics)


def test_an_early_return_of_names_that_are_not_known() -> None:
    source = "import numpy as np\ndef f(x):\n    if np.sum(x) > 0.3:\n        return np.sum(x)\n    return np.sum(h)\n"
    with pytest.raises(Refused) as refused:
        check_module(source, {"x": X})
    assert [one.code for one in refused.value.diagnostics] == ["FG020"]


STEPS = """import numpy as np
def f(x: "T D", W: "D D"):
    def sigmoid(v):
        return 1 / (1 + np.exp(-v))

    def step(v, h, c):
        a = sigmoid(v @ W + h)
        b = 1 / (1 + np.exp(-2 * (h @ W)))
        c = a * c + b
        h = a * np.tanh(c)
        return h, c

    h = np.zeros(x.shape[1])
    c = np.ones(x.shape[1])
    for t in range(x.shape[0]):
        h, c = step(x[t], h, c)
    return h
"""


def test_a_sigmoid_that_backward_computes_again_and_a_result_that_another_is_made_of() -> None:
    """The definition of a group lost what it is given; the second result was made of a value that had no name yet."""
    for T in (1, 3):
        rng = np.random.default_rng(T)
        check_module(STEPS, {"x": rng.normal(size=(T, 2)), "W": rng.normal(size=(2, 2))})
