"""Classes and helpers that were once compiled into something else than what they say."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.support import check_module, compiled
from tests.test_class_forms import arrays, check
from tests.test_classes import refused

HEAD = "import numpy as np\n\n\n"
W, X = arrays((4, 4), (2, 3, 4))
(BIAS,) = arrays((4,), seed=1)
(ROWS,) = arrays((3, 4), seed=2)

CELL = """class Cell:
    def __init__(self, W, s=2.0):
        self.W = W
        self.s = s

    def forward(self, x, h):
        return np.tanh(x + h @ self.W * self.s)


"""
STEPS = """class Net:
    def __init__(self, W):
        self.W = W

    def forward(self, xs):
        N, T, H = xs.shape
        h = np.zeros((N, H))
        V = self.W
        s = 1
BODY
        return h

    def halve(self):
        self.W = self.W / 2
"""


def steps(body: str, cell: str = CELL) -> str:
    return HEAD + cell + STEPS.replace("BODY", "\n".join(f"        {line}" for line in body.split("\n")))


# Layers that are made for each step


@pytest.mark.parametrize(
    "body",
    [
        "for t in range(T):\n    layer = Cell(V)\n    V = V * 2\n    h = layer.forward(xs[:, t], h)",
        "for t in range(T):\n    layer = Cell(V, s)\n    s += 1\n    h = layer.forward(xs[:, t], h)",
        "for t in range(T):\n    layer = Cell(V, h)\n    h = h + 1\n    h = layer.forward(xs[:, t], h)",
        "for t in range(T):\n    layer = Cell(self.W)\n    self.W = self.W / 2\n    h = layer.forward(xs[:, t], h)",
        "for t in range(T):\n    layer = Cell(self.W)\n    self.halve()\n    h = layer.forward(xs[:, t], h)",
        "layer = Cell(V)\nfor t in range(T):\n    h = layer.forward(xs[:, t], h)\n    V = V / 2",
        "for t in range(T):\n    layer = Cell(V, s)\n    h = layer.forward(xs[:, t] * (s := s + 1), h)",
    ],
)
def test_what_a_layer_is_made_with_is_not_read_later(body: str) -> None:
    assert refused(steps(body), functions=("Net",))


@pytest.mark.parametrize(
    "body",
    [
        "layer = Cell(V)\nfor t in range(T):\n    h = layer.forward(xs[:, t], h)",
        "for t in range(T):\n    layer = Cell(self.W[:, ::-1], s + t)\n    h = layer.forward(xs[:, t], h)",
        "for t in range(T):\n    layer = Cell(V)\n    h = layer.forward(xs[:, t], h)\n    V = V * 0.5",
    ],
)
def test_a_layer_whose_weights_stay(body: str) -> None:
    check(steps(body), "Net", (W,), (X,), ("W",), functions=("Net",))


@pytest.mark.parametrize(
    "line",
    [
        'if W.shape[0] == 4:\n            raise ValueError("four")',
        "assert W.shape[0] != 4",
        "W[0] = 0",
        "self.W[0] = 3.0",
        'setattr(self, "W", W * 2)',
        "self.__dict__.update(W=W * 2)",
        "self.prepare()",
        "print(W.shape)",
    ],
)
def test_what_else_making_a_layer_does_is_not_left_out(line: str) -> None:
    cell = CELL.replace("        self.s = s\n", f"        self.s = s\n        {line}\n")
    body = "for t in range(T):\n    layer = Cell(V)\n    h = layer.forward(xs[:, t], h)"
    assert refused(steps(body, cell), functions=("Net",))


# Layers in a list

LINEAR = """class Linear:
    def __init__(self, W: "D D"):
        self.W = W

    def forward(self, x: "N D"):
        return np.tanh(x @ self.W)


class Net:
    def __init__(self, W):
        self.layers = [Linear(W), Linear(W * 2), Linear(W * 3)]

    def forward(self, x, n):
        for i in range(RANGE):
            x = self.layers[i].forward(x)
        return x
"""


@pytest.mark.parametrize("over", ["-2, 2", "-2, 3", "1, -2, -1", "n, 3", "-n, n", "2, n, -1", "2, -3, -n"])
def test_positions_that_may_count_from_both_ends(over: str) -> None:
    assert "FG044" in refused(HEAD + LINEAR.replace("RANGE", over), functions=("Net", "Linear"))


@pytest.mark.parametrize(
    "over", ["3", "n", "-2, 0", "-1, -3, -1", "2, -1, -1", "0, 3, n", "len(self.layers) - 1, -1, -1"]
)
def test_positions_that_count_from_one_end(over: str) -> None:
    check(HEAD + LINEAR.replace("RANGE", over), "Net", (W,), (ROWS, 2), functions=("Net", "Linear"))


# Attributes

NET = """class Net:
    K = 2.0

    def __init__(self, W, b=None):
INIT

    def forward(self, x):
BODY
"""


def net(init: str, body: str) -> str:
    parts = {"INIT": init, "BODY": body}
    found = NET
    for name, text in parts.items():
        found = found.replace(name, "\n".join(f"        {line}" for line in text.split("\n")))
    return HEAD + found


@pytest.mark.parametrize("b", [None, BIAS])
@pytest.mark.parametrize("init", ["self.b = b", "self.b = None if b is None else 1 * b"])
def test_an_attribute_that_may_be_none(init: str, b: np.ndarray | None) -> None:
    body = "h = x @ self.W\nif self.b is not None:\n    h = h + self.b\nreturn np.tanh(h)"
    source = net(f"self.W = W\n{init}", body)
    check(source, "Net", (W, b), (ROWS,), ("W",) if b is None else ("W", "b"))


@pytest.mark.parametrize("init", ["self.V = W", "self.V = self.W", "self.V = [self.W]"])
def test_one_array_under_two_attributes(init: str) -> None:
    change = "self.V[0] += 1.0"
    source = net(f"self.W = W\n{init}", f"h = x @ self.W\n{change}\nreturn h * h")
    assert "FG045" in refused(source, functions=("Net",))


@pytest.mark.parametrize("init", ["self.W = W", "self.W = W\nself.K = 3.0"])
def test_a_number_that_is_called_like_a_matrix(init: str) -> None:
    check(net(init, "a = (x @ self.W) * self.K\nreturn a * ((a @ self.W) * self.K)"), "Net", (W,), (ROWS,), ("W",))


def test_an_attribute_that_only_a_loop_assigns() -> None:
    body = "for t in range(3):\n    self.h = np.tanh(x @ self.W)\n    x = x + self.h\nreturn x * self.h"
    assert "FG045" in refused(net("self.W = W", body), functions=("Net",))


def test_the_index_of_a_loop_that_is_read_behind_it() -> None:
    """backward goes through the loop with the variable, and leaves what forward kept as it is."""
    body = "h = x @ self.W\nfor i in range(3):\n    h = np.sin(h * (i + 1))\nreturn h * i"
    check(net("self.W = W", body), "Net", (W,), (ROWS,), ("W",))


def test_a_call_with_a_comma_behind_its_last_argument() -> None:
    source = (
        HEAD
        + """class Net:
    def __init__(self, W):
        self.W = W

    def act(self, z):
        s = z @ self.W
        return np.tanh(s)

    def forward(self, x):
        h = self.act(
            x,
        )
        return self.act(
            h,  # again, with a comma
        ) + self.act(
            h  # (h, h)
        )
"""
    )
    check(source, "Net", (W,), (ROWS,), ("W",))


# Helpers


def test_a_helper_that_is_not_given_something() -> None:
    source = (
        HEAD
        + """def g(a, b=None):
    if b is None:
        return a * 2
    return a * b


def f(x, y):
    return g(x) * g(x, y) + g(y, None)
"""
    )
    check_module(source, {"x": ROWS[0], "y": BIAS}, function="f", functions=("f",))


def test_the_gradient_of_a_bias_that_is_not_given() -> None:
    source = (
        HEAD
        + """def f(x, W, b=None):
    h = x @ W
    if b is not None:
        h = h + b
    return np.tanh(h)
"""
    )
    names: dict[str, Any] = {}
    exec(compiled(source, wrt=("x", "W", "b")).text, names)
    out, cache = names["f_forward"](ROWS, W)
    dx, dW, _ = names["f_backward"](np.ones_like(out), cache)
    d = 1 - out**2
    np.testing.assert_allclose(dx, d @ W.T)
    np.testing.assert_allclose(dW, ROWS.T @ d)
