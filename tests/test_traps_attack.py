"""Traps found by hostile programs: keys and places worked out from the text, lists and tuples that are given, layers
that change what they are given, recursion in modules that are read again."""

from __future__ import annotations

import ast

import numpy as np
import pytest

from flatgrad.diagnostics import Refused
from flatgrad.frontend.in_place import changed_argument
from tests.support import compiled, load
from tests.test_classes import refused
from tests.test_layers import LAYERS, SIGMOID, check_net, net
from tests.traps import drawn, outcome

X, Y = drawn((3, 3), 1), drawn((3, 3), 2)


def function(body: str, parameters: str = "x, y") -> str:
    lines = "".join(f"    {line}\n" for line in body.split("\n"))
    return f"import numpy as np\n\n\ndef f({parameters}):\n{lines}"


# What the text decides


@pytest.mark.parametrize("place", ["i or 2", "i and 2", "i or 0 or 1", "1 and i", "i and (i or 1)", "i > 0"])
def test_a_place_is_the_operand_that_decides(place: str) -> None:
    ends = ("t = t + np.sum(ws[{}] * (i + 1))", "t = t + np.sum(x[{}] * ws[i])")
    for end in ends:
        body = f"ws = [x, y, x * y]\nt = 0.0\nfor i in range(3):\n    {end.format(place)}\nreturn t"
        assert outcome(function(body), {"x": X, "y": Y}) == "right"


KEYS = [("'a'", "'b'", "'a'"), ("1", "True", "0"), ("0", "False", "'0'"), ("'a'", "'b'", "'c'")]


@pytest.mark.parametrize("keys", KEYS, ids=str)
@pytest.mark.parametrize(
    "loop",
    [
        "for k, w in ps.items():\n    t = t * 2 + np.sum(w * ps[k])",
        "for k in ps:\n    t = t * 2 + np.sum(ps[k] ** 2)",
        "for i, w in enumerate(ps.values()):\n    t = t * 2 + i * np.sum(w ** 2)",
        "for k in ps:\n    t = t + len(ps) * np.sum(x)",
    ],
)
def test_keys_of_a_display_that_are_one_key(keys: tuple[str, ...], loop: str) -> None:
    display = ", ".join(f"{key}: {value}" for key, value in zip(keys, ("x", "y", "x * y"), strict=True))
    found = outcome(function(f"ps = {{{display}}}\nt = 0.0\n{loop}\nreturn t"), {"x": X, "y": Y})
    assert found in (("right",) if keys == KEYS[-1] else ("right", "refused"))


# Lists and tuples that are given


@pytest.mark.parametrize("test", ["np.sum(w) > 0", "w.sum() > 0", "w.ndim == 2", "w.shape[0] > 2"])
def test_a_list_of_which_a_test_reads_an_element_has_a_gradient(test: str) -> None:
    text = (
        "import numpy as np\n\n\n"
        'def f(ws: list, x: "N D"):\n    s = x\n    for w in ws:\n'
        f"        if {test}:\n            s = s * 2.0\n        s = s * w\n    return s\n"
    )
    made = compiled(text)
    assert made.entries[0].wrt == ("ws", "x")
    names = load(made.text)
    given = [X, -X, np.abs(Y)]
    _, cache = names["f_forward"](given, Y)
    dws, _ = names["f_backward"](np.ones((3, 3)), cache)
    user = load(text)["f"]
    for position, one in enumerate(dws):
        moved = [w * (1 + 1e-6 * (k == position)) for k, w in enumerate(given)]
        back = [w * (1 - 1e-6 * (k == position)) for k, w in enumerate(given)]
        expected = np.sum(user(moved, Y) - user(back, Y)) / 2e-6
        assert abs(np.sum(one * given[position]) - expected) < 1e-6 * (1 + abs(expected))


@pytest.mark.parametrize("said", ["tuple", "Tuple", "'Tuple[np.ndarray, np.ndarray]'", "'tuple[float, float]'"])
@pytest.mark.parametrize(
    "body",
    ["w, b = pair\n    return x * w + b", "return x * pair[0] + pair[1]", "w, b = pair\n    return np.dot(x, w)"],
)
def test_a_tuple_may_hold_arrays(said: str, body: str) -> None:
    source = f"import numpy as np\nfrom typing import Tuple\n\n\ndef f(pair: {said}, x):\n    {body}\n"
    for pair in ((X, Y), (0.5, 2.0), (X[:1], 3.0)):
        for x in (X, X[0], X[:, :1], X[:1]):
            try:
                found = outcome(source, {"pair": pair, "x": x}, wrt=("x",))
            except ValueError:
                continue  # shapes that do not fit the user's own function
            assert found in ("right", "refused", "guarded")


# Layers

DOUBLE = "    def forward(self, x):\n        {}\n        return {}\n"
CHANGES = {
    "augmented": "x *= 2",
    "through a view": "y = x.reshape(-1)\n        y *= 2",
    "out": "np.multiply(x, 2, out=x)",
    "out by position": "np.multiply(x, 2, x)",
    "elements": "x[:] = 2 * x",
    "in an arm": "if x.ndim:\n            x *= 2",
    "sorted": "x.sort()",
    "filled": "np.fill_diagonal(x, 0)",
}
INIT = "self.act = Double()\nself.first = Sigmoid()\nself.fc1 = Linear(W1, b1)"
CALL = (
    "def forward(self, x):\n    h = self.fc1.forward(x)\n    g = self.first.forward(h)\n"
    "    return self.act.forward(g) * g"
)


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
@pytest.mark.parametrize("own", [True, False])
def test_a_layer_that_changes_what_it_is_given(change: str, own: bool) -> None:
    """The layer before may have kept it: its backward pass would read another value."""
    layer = "class Double:\n" + DOUBLE.format(change, "x")
    layer += "\n    def backward(self, dout):\n        return 2 * dout\n" if own else ""
    source = net(INIT, CALL, layers=f"{LAYERS}\n\n{layer}")
    found = refused(source, functions=("Net.forward",))
    assert any(code in found for code in ("FG045", "FG041", "FG030"))


@pytest.mark.parametrize(
    "lines",
    [
        "x = x * 1.0\n        x *= 2",
        "y = x.copy()\n        y *= 2\n        x = y",
        "y = np.zeros_like(x)\n        y[:] = 2 * x\n        x = y",
        "n = x.shape[0]\n        n += 1\n        x = 2 * x",
    ],
)
def test_a_layer_that_changes_its_own_arrays(lines: str) -> None:
    layer = "class Double:\n" + DOUBLE.format(lines, "x")
    layer += "\n    def backward(self, dout):\n        return 2 * dout\n"
    check_net(net(INIT, CALL, layers=f"{LAYERS}\n\n{layer}"), "forward", ())


@pytest.mark.parametrize(
    ("body", "name"),
    [
        ("x = x.T\nx += 1", "x"),
        ("for k in range(2):\n    x[k] = 0", "x"),
        ("np.add.at(x, 0, 1)", "x"),
        ("y = np.ravel(x)\ny[0] = 1", "x"),
        ("y = x[0]\ny += 1", "x"),
        ("y = x + 1\ny += 1", ""),
        ("np.sort(x)", ""),
        ("np.multiply(x, x)", ""),
        ("p += 1", ""),
    ],
)
def test_what_is_seen_of_a_change(body: str, name: str) -> None:
    lines = "".join(f"    {line}\n" for line in body.split("\n"))
    (method,) = ast.parse(f"def forward(self, x, p=1):\n{lines}").body
    assert isinstance(method, ast.FunctionDef)
    assert changed_argument(method) == name


BACKWARD = {
    "out by position": "np.multiply(dout, self.state * (1 - self.state), dout)\n        return dout",
    "a method": (
        "self.scale(dout)\n        return dout\n\n    def scale(self, d):\n        d *= self.state * (1 - self.state)"
    ),
    "a function": "return scaled(dout, self.state * (1 - self.state))\n\n\ndef scaled(a, b):\n    a *= b\n    return a",
}


@pytest.mark.parametrize("change", BACKWARD.values(), ids=BACKWARD)
@pytest.mark.parametrize("end", ["g", "g + 2 * h", "g * g"])
def test_a_backward_that_changes_its_gradient_by_way_of_others(change: str, end: str) -> None:
    layer = SIGMOID.replace("def backward(self):", "def backward(self, dout):")
    layer = layer.replace("return self.state * (1 - self.state)", change)
    method = f"def forward(self, x):\n    h = self.fc1.forward(x)\n    g = self.act.forward(h)\n    return {end}"
    init = "self.act = Sigmoid()\nself.fc1 = Linear(W1, b1)"
    check_net(net(init, method, layers=LAYERS.replace(SIGMOID, layer)), "forward", ())


# Modules that are read again


def test_a_backward_pass_that_calls_itself_is_not_written_out() -> None:
    source = (
        "import numpy as np\n\n\ndef f(x: 'N', n: int):\n    if n == 0:\n        return np.sum(x**3)\n"
        "    return f(np.sin(x), n - 1) * np.sum(x)\n"
    )
    again = compiled(source).text + "\n\ndef g(x, n):\n    out, dx = f_value_and_grad(x, n)\n    return np.sum(dx**2)\n"
    with pytest.raises(Refused):
        compiled(again, functions=("g",))
