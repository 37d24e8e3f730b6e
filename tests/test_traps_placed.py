"""Gradients that another function returns and that go into an array at once, `dx[t], dh = step_backward(...)`: where
the array or what is put into it is read in between, they must not. Checked with numbers.
"""

from __future__ import annotations

import pytest

from tests.support import check_module, compiled
from tests.traps import drawn

STEP = """import numpy as np


def step(x: "D", h: "D", w: "D"):
    return np.tanh(x * w + h)


def both(a: "D", b: "D"):
    return a * b, a + b


"""


def model(body: str) -> str:
    lines = "".join(f"    {line}\n" for line in body.split("\n"))
    head = 'def f(x: "T D", w: "D"):\n    h = np.zeros(x.shape[1])\n    out = np.zeros(x.shape)\n'
    return f"{STEP}{head}{lines}    return out\n"


AT_ONCE = "for t in range(x.shape[0]):\n    h = step(x[t], h, w)\n    out[t] = h"
OTHERWISE = {
    "read twice": "for t in range(x.shape[0]):\n    h = step(x[t], h, w) + x[t]\n    out[t] = h",
    "both are rows of it": "for t in range(1, x.shape[0]):\n    a, b = both(x[t], x[t - 1])\n    out[t] = a * b",
    "the same row twice": "for t in range(x.shape[0]):\n    a, b = both(x[t], x[t])\n    out[t] = a * b",
    "the row as well": "for t in range(x.shape[0]):\n    z = x[t]\n    h = step(z, h, w)\n    out[t] = h * z",
    "the first row always": "for t in range(x.shape[0]):\n    h = step(x[0], h, w)\n    out[t] = h",
    "the whole afterwards": "for t in range(x.shape[0]):\n    h = step(x[t], h, w)\n    out[t] = h\nout = out * x",
    "the whole before": (
        "x = x**2\nfor t in range(x.shape[0]):\n    h = step(x[t], h, w)\n    out[t] = h\nout = out * x"
    ),
    "the row before": "h = x[0]\nfor t in range(1, x.shape[0]):\n    x[t] = step(x[t], x[t - 1], w)\n    out[t] = x[t]",
    "in one of two ways": (
        "for t in range(x.shape[0]):\n    if t % 2:\n        h = step(x[t], h, w)\n"
        "    else:\n        h = step(h, x[t], w)\n    out[t] = h"
    ),
    "an index of its own": "for t in range(x.shape[0]):\n    k = (t * 2) % 3\n    h = step(x[k], h, w)\n    out[k] = h",
    "the same array twice": "for t in range(x.shape[0]):\n    h = step(x[t], h, x[-1])\n    out[t] = h",
}


def test_a_row_of_its_own_in_each_round() -> None:
    assert "dx[t], dh, dw_t = step_backward(" in compiled(model(AT_ONCE), functions=("f",)).text
    for rows in (0, 1, 4):
        check_module(model(AT_ONCE), {"x": drawn((rows, 3), 1), "w": drawn(3, 2)}, function="f", functions=("f",))


@pytest.mark.parametrize("body", OTHERWISE.values(), ids=OTHERWISE)
def test_rows_that_are_read_elsewhere(body: str) -> None:
    for rows in (1, 3):
        check_module(model(body), {"x": drawn((rows, 3), 1), "w": drawn(3, 2)}, function="f", functions=("f",))


@pytest.mark.parametrize(
    "line",
    [
        "y += step(y, y, w)",
        "y *= step(y, y, w)",
        "y[:2] = step(y[1:], w[1:], w[:2])",
        "y[1:] = step(y[1:], w[1:], w[:-1])",
    ],
)
def test_a_call_is_written_over_by_its_own_statement(line: str) -> None:
    """What the callee keeps of its arguments must not be what the statement then writes into them."""
    source = f'{STEP}def f(x: "D", w: "D"):\n    y = x * 2.0\n    {line}\n    {line}\n    return y\n'
    check_module(source, {"x": drawn(3, 1), "w": drawn(3, 2)}, function="f", functions=("f",))
