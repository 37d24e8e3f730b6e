"""Classes: the same class with a backward pass. Numbers against central differences, texts against what a person would
write, and the traps of objects that keep what they were given."""

from __future__ import annotations

import ast
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from flatgrad.diagnostics import Refused
from tests.support import compiled

RNG = np.random.default_rng


def build(source: str, **options: Any) -> dict[str, Any]:
    """The names of the module that the compiler writes for a file."""
    text = compiled(source, "model.py", **options).text
    namespace: dict[str, Any] = {}
    exec(compile(text, "model_grad.py", "exec"), namespace)
    return namespace


def refused(source: str, **options: Any) -> list[str]:
    with pytest.raises(Refused) as caught:
        compiled(source, "model.py", **options)
    return [one.code for one in caught.value.diagnostics]


def numeric(f: Callable[[], Any], array: np.ndarray, weights: np.ndarray | float, step: float = 1e-6) -> np.ndarray:
    """Central differences of `sum(weights * f())` with respect to an array that `f` reads."""
    found = np.zeros_like(array)
    for index in np.ndindex(array.shape):
        kept = array[index]
        array[index] = kept + step
        above = np.sum(weights * f())
        array[index] = kept - step
        below = np.sum(weights * f())
        array[index] = kept
        found[index] = (above - below) / (2 * step)
    return found


def check(
    make: Callable[[], Any], inputs: tuple[np.ndarray, ...], weights: tuple[str, ...], method: str = "forward"
) -> Any:
    """The gradients of an object against central differences; backward twice gives the same bits twice."""
    layer = make()
    before = [array.copy() for array in inputs]
    out = getattr(layer, method)(*inputs)
    dout = RNG(7).normal(size=np.shape(out))
    kept = dout.copy()
    reverse = getattr(layer, "backward" if method in ("forward", "__call__") else f"{method}_backward")
    found = reverse(dout if dout.ndim else float(dout))
    found = found if isinstance(found, tuple) else (found,)
    found = tuple(np.array(one) for one in found if one is not None)
    set_there = [np.array(getattr(layer, f"d{name}")) for name in weights]
    again = reverse(dout if dout.ndim else float(dout))
    again = again if isinstance(again, tuple) else (again,)
    for one, other in zip(found, again, strict=True):
        np.testing.assert_array_equal(one, other)
    for name, one in zip(weights, set_there, strict=True):
        np.testing.assert_array_equal(one, getattr(layer, f"d{name}"))
    np.testing.assert_array_equal(dout, kept)
    for array, old in zip(inputs, before, strict=True):
        np.testing.assert_array_equal(array, old)
    for array, gradient in zip(inputs, found, strict=True):
        expected = numeric(lambda: getattr(make(), method)(*inputs), array, dout)
        np.testing.assert_allclose(gradient, expected, rtol=1e-6, atol=1e-7)
    for name, gradient in zip(weights, set_there, strict=True):
        value = getattr(make(), name)

        def with_value() -> Any:
            other = make()
            setattr(other, name, value)  # noqa: B023
            return getattr(other, method)(*inputs)

        value = np.array(value, dtype=float)
        expected = numeric(with_value, value, dout)
        np.testing.assert_allclose(gradient, expected, rtol=1e-6, atol=1e-7)
    return layer


HEAD = "import numpy as np\n\n\n"

LINEAR = """class Linear:
    def __init__(self, W: "D M", b: "M"):
        self.W = W
        self.b = b

    def forward(self, x: "N D"):
        return x @ self.W + self.b
"""
TANH = """class Tanh:
    def forward(self, x):
        return np.tanh(x)
"""
SEQUENTIAL = """class Sequential:
    def __init__(self, layers):
        self.layers = layers

    def forward(self, x):
        for layer in self.layers:
            x = layer.forward(x)
        return x
"""
STYLE = HEAD + "\n\n".join((LINEAR, TANH, SEQUENTIAL))


def arrays(*shapes: tuple[int, ...], seed: int = 0) -> tuple[np.ndarray, ...]:
    rng = RNG(seed)
    return tuple(rng.normal(size=shape) for shape in shapes)


# The modular style


@pytest.mark.parametrize("rows", [1, 2, 5])
def test_linear(rows: int) -> None:
    made = build(STYLE)
    W, b, x = arrays((3, 4), (4,), (rows, 3))
    check(lambda: made["Linear"](W, b), (x,), ("W", "b"))


@pytest.mark.parametrize("depth", [0, 1, 3])
def test_layers_in_a_list(depth: int) -> None:
    made = build(STYLE)
    weights = [arrays((3, 3), (3,), seed=seed) for seed in range(depth)]

    def make() -> Any:
        return made["Sequential"]([layer for W, b in weights for layer in (made["Linear"](W, b), made["Tanh"]())])

    (x,) = arrays((4, 3), seed=9)
    net = check(make, (x,), ())
    for position, (W, _) in enumerate(weights):
        gradient = net.layers[2 * position].dW
        dout = RNG(7).normal(size=(4, 3))
        np.testing.assert_allclose(gradient, numeric(lambda: make().forward(x), W, dout), rtol=1e-6, atol=1e-7)


def test_forward_twice_differentiates_the_last() -> None:
    made = build(STYLE)
    W, b, x, other = arrays((3, 4), (4,), (2, 3), (5, 3))
    layer = made["Linear"](W, b)
    layer.forward(other)
    layer.forward(x)
    dout = np.ones((2, 4))
    np.testing.assert_array_equal(layer.backward(dout), dout @ W.T)
    np.testing.assert_array_equal(layer.dW, x.T @ dout)


def test_a_wrong_bias_is_an_error() -> None:
    made = build(STYLE)
    W, x = arrays((3, 4), (2, 3))
    with pytest.raises(ValueError, match="b"):
        made["Linear"](W, np.zeros((1, 4))).forward(x)


def test_gradients_own_their_memory() -> None:
    made = build(HEAD + "class Add:\n    def __init__(self, b: 'N M'):\n        self.b = b\n\n"
                 "    def forward(self, x: 'N M'):\n        return x + self.b\n")  # fmt: skip
    (b, x) = arrays((2, 3), (2, 3))
    layer = made["Add"](b)
    layer.forward(x)
    dout = np.ones((2, 3))
    dx = layer.backward(dout)
    assert not np.shares_memory(dx, layer.db)
    assert not np.shares_memory(dx, dout)
    assert not np.shares_memory(layer.db, dout)


# Layers


def test_a_layer_that_stands_twice_in_a_list_is_an_error() -> None:
    made = build(STYLE)
    layer = made["Tanh"]()
    with pytest.raises(ValueError, match="twice"):
        made["Sequential"]([layer, layer]).forward(np.ones((2, 3)))


def test_a_layer_that_is_called_twice_is_refused() -> None:
    body = "        return self.act.forward(self.act.forward(x))\n"
    source = (
        f"{HEAD}class Net:\n    def __init__(self, act):\n        self.act = act\n\n    def forward(self, x):\n{body}"
    )
    assert refused(source) == ["FG044"]


def test_a_layer_in_a_loop_over_something_else_is_refused() -> None:
    source = HEAD + (
        "class Net:\n    def __init__(self, cell):\n        self.cell = cell\n\n    def forward(self, h):\n"
        "        for t in range(3):\n            h = self.cell.forward(h)\n        return h\n"
    )
    assert refused(source) == ["FG044"]


def test_two_names_for_one_layer_are_an_error() -> None:
    source = STYLE + (
        "\n\nclass Two:\n    def __init__(self, first, second):\n"
        "        self.first = first\n        self.second = second\n\n"
        "    def forward(self, x):\n        return self.second.forward(self.first.forward(x))\n"
    )
    made = build(source)
    layer = made["Tanh"]()
    with pytest.raises(ValueError, match="of their own"):
        made["Two"](layer, layer).forward(np.ones((2, 3)))
    (x,) = arrays((2, 3))
    check(lambda: made["Two"](made["Tanh"](), made["Tanh"]()), (x,), ())


def test_the_result_of_a_layer_is_not_changed_in_place() -> None:
    source = HEAD + (
        "class Net:\n    def __init__(self, act):\n        self.act = act\n\n    def forward(self, x):\n"
        "        h = self.act.forward(x)\n        h += 1\n        return h * h\n"
    )
    assert set(refused(source)) == {"FG043"}


def test_the_input_of_a_layer_is_not_changed_in_a_later_round() -> None:
    source = HEAD + (
        "class Net:\n    def __init__(self, layers):\n        self.layers = layers\n\n"
        "    def forward(self, x: 'N D'):\n"
        "        h = x * 1.0\n        out = h * 0\n        for layer in self.layers:\n            h += 1\n"
        "            out = out + layer.forward(h)\n        return out\n"
    )
    assert "FG043" in refused(source)


RESIDUAL = (
    STYLE
    + """

class Residual:
    def __init__(self, n: int):
        self.fc1 = Linear(np.eye(3) * 0.5, np.ones(3) * 0.1)
        self.act = Tanh()
        self.fc2 = Linear(np.eye(3) - 0.3, np.ones(3) * 0.2)

    def forward(self, x: "N D"):
        h = self.act(self.fc1.forward(x))
        return self.fc2.forward(h) * h + x
"""
)


def test_named_layers_and_a_residual() -> None:
    made = build(RESIDUAL.replace("class Tanh:\n    def forward", "class Tanh:\n    def __call__"))
    (x,) = arrays((4, 3))
    net = made["Residual"](3)
    assert not hasattr(made["Tanh"], "forward")
    dout = RNG(7).normal(size=(4, 3))
    out = net.forward(x)
    assert out.shape == dout.shape
    expected = numeric(lambda: made["Residual"](3).forward(x), x, dout)
    np.testing.assert_allclose(net.backward(dout), expected, rtol=1e-6, atol=1e-7)
    W = net.fc1.W
    np.testing.assert_allclose(net.fc1.dW, numeric(lambda: net.forward(x), W, dout), rtol=1e-6, atol=1e-7)


def test_only_the_layers_carry_a_gradient() -> None:
    source = STYLE + (
        '\n\nclass Embed:\n    def __init__(self, V: "K D", fc):\n        self.V = V\n        self.fc = fc\n\n'
        '    def forward(self, idx: "N int"):\n        return self.fc.forward(self.V[idx])\n'
    )
    made = build(source)
    V, W, b = arrays((5, 3), (3, 4), (4,))
    net = made["Embed"](V, made["Linear"](W, b))
    idx = np.array([0, 2, 2])
    dout = RNG(7).normal(size=(3, 4))
    net.forward(idx)
    assert net.backward(dout) is None
    np.testing.assert_allclose(net.dV, numeric(lambda: net.forward(idx), V, dout), rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(net.fc.dW, numeric(lambda: net.forward(idx), W, dout), rtol=1e-6, atol=1e-7)


# Attributes that forward assigns


def method(body: str, init: str = "", parameters: str = "", extra: str = "") -> str:
    lines = "".join(f"        {line}\n" for line in (init or "pass").split("\n"))
    inner = "".join(f"        {line}\n" for line in body.split("\n"))
    head = f"{HEAD}class Layer:\n    def __init__(self{parameters}):\n{lines}\n"
    return f"{head}{extra}    def forward(self, x: 'N D'):\n{inner}"


def check_method(source: str, attributes: dict[str, np.ndarray], weights: tuple[str, ...] = (), rows: int = 3) -> Any:
    made = build(source)

    def make() -> Any:
        layer = made["Layer"].__new__(made["Layer"])
        for name, value in attributes.items():
            setattr(layer, name, value.copy() if isinstance(value, np.ndarray) else value)
        return layer

    (x,) = arrays((rows, 4), seed=5)
    return check_once(make, x, weights)


def check_once(make: Callable[[], Any], x: np.ndarray, weights: tuple[str, ...]) -> Any:
    return check(make, (x,), weights)


def test_an_attribute_that_is_assigned_and_read_again() -> None:
    check_method(method("self.h = np.tanh(x)\nreturn self.h * x + self.h"), {})


def test_the_old_value_of_an_attribute_is_kept() -> None:
    source = method("self.h = np.tanh(x * self.h)\nreturn self.h ** 2 * x", "self.h = h", ", h: 'N D'")
    (h,) = arrays((3, 4), seed=3)
    layer = check_method(source, {"h": h})
    assert not np.array_equal(layer.h, h)


def test_an_attribute_is_another_name_of_an_array() -> None:
    source = method("h = x * 2\nself.h = h\nh += 1\nreturn self.h * h * x")
    layer = check_method(source, {})
    (x,) = arrays((3, 4), seed=5)
    np.testing.assert_allclose(layer.h, 2 * x + 1)


def test_an_alias_that_is_changed_later_is_not_what_backward_reads() -> None:
    check_method(method("h = np.sin(x)\ny = h * h\nself.h = h\nh += 1\nreturn y + self.h"), {})


def test_an_attribute_that_one_arm_assigns() -> None:
    source = method(
        "if self.training:\n    self.scale = np.exp(x)\nreturn x * self.scale",
        "self.training = True\nself.scale = scale",
        ", scale: 'N D'",
    )
    (scale,) = arrays((3, 4), seed=3)
    for training in (True, False):
        check_method(source, {"training": training, "scale": scale})


def test_an_attribute_that_a_loop_carries() -> None:
    source = method(
        "self.h = x * 0\nfor t in range(3):\n    self.h = np.tanh(self.h + x * self.w)\nreturn self.h * x",
        "self.w = w",
        ", w: 'D'",
    )
    (w,) = arrays((4,), seed=3)
    check_method(source, {"w": w}, ("w",))


def test_a_part_of_an_attribute_is_assigned() -> None:
    source = method(
        "self.h = np.zeros((3, 4))\nfor t in range(3):\n    self.h[t] = x[t] * self.w\nreturn np.sin(self.h)",
        "self.w = w",
        ", w: 'D'",
    )
    (w,) = arrays((4,), seed=3)
    check_method(source, {"w": w}, ("w",))


def test_a_count_is_no_matter_of_gradients() -> None:
    source = method("self.calls += 1\nreturn x * self.w", "self.w = w\nself.calls = 0", ", w: 'D'")
    (w,) = arrays((4,), seed=3)
    check_method(source, {"w": w, "calls": 0}, ("w",))


def test_a_setting_has_no_gradient() -> None:
    source = method("return x / (self.eps + self.p) * self.w", "self.w = w\nself.eps = 1e-5\nself.p = p", ", w: 'D', p")
    text = compiled(source, "model.py").text
    assert "self.dw" in text
    assert "self.deps" not in text
    assert "self.dp" not in text
    asked = compiled(source, "model.py", wrt=("p",)).text
    assert "self.dp" in asked
    assert "self.dw" not in asked


def test_names_of_the_class_stay_free() -> None:
    source = method(
        "a = np.exp(x)\nreturn a * a",
        "self.a = 3\nself.x = 4",
        extra="    def read(self):\n        return self.a + self.x\n\n",
    )
    layer = check_method(source, {"a": 3, "x": 4})
    assert layer.read() == 7


def test_a_cache_that_another_method_reads_is_kept() -> None:
    body = "y = np.exp(x)\nself.cache = (x, y)\nself.old = (x, y)\nreturn y"
    text = compiled(method(body, extra="    def size(self):\n        return len(self.cache)\n\n"), "model.py").text
    assert "self.cache = " in text
    assert "self.old = " not in text


W = ("self.w = w", ", w: 'D'")
BODIES = {
    "an array that an attribute holds is changed": (
        "self.buf = x * 1.0\ny = self.buf * self.buf\nself.buf += 1\nreturn y * self.buf * self.w"
    ),
    "twice, with an array": (
        "self.buf = x * 1.0\ny = np.sin(self.buf)\nself.buf *= x\nz = self.buf * y\n"
        "self.buf -= 2\nreturn z * self.buf * self.w"
    ),
    "a test of a flag that changes": (
        "if self.n > 3:\n    y = x * x\nelse:\n    y = np.sin(x)\nself.n = 9\nreturn y * self.w"
    ),
    "in one arm": (
        "self.buf = x * 1.0\ny = np.sin(self.buf)\nif self.n:\n    self.buf += 1\nreturn y * self.buf * self.w"
    ),
    "an early return": "if self.n > 3:\n    return x * 2\ny = np.exp(x)\nreturn y * self.w",
    "a copy of a weight": "v = self.w.copy()\nv *= 2\nreturn x * v * self.w",
    "a local variable called like an attribute": "w = x * 2\ny = w * self.w\nw = np.sin(w)\nreturn y * w",
    "a list": (
        "self.hs = []\nh = x\nfor t in range(3):\n    h = np.tanh(h * self.w)\n"
        "    self.hs.append(h)\nreturn self.hs[-1] * h"
    ),
    "a while loop": "h = x\nn = 0\nwhile n < 3:\n    h = np.tanh(h + self.w)\n    n += 1\nreturn h",
    "two targets": "self.a = b = np.exp(x * self.w)\nreturn self.a * b",
    "a tuple of targets": "self.a, b = np.exp(x), x * 2\nreturn self.a * b * self.w",
    "the parameter is bound again": "x = x * self.w\nx = np.tanh(x)\nreturn x",
    "a closure": "f = lambda t: t * self.w\nreturn f(x) + f(x * x)",
    "an attribute counts": "s = x * 0\nfor self.i in range(3):\n    s = s + x * self.w\nreturn s * s",
    "a string with an attribute": "if x.shape[1] != 4:\n    raise ValueError(f'bad {self.w}')\nreturn x * self.w",
}


@pytest.mark.parametrize("what", BODIES)
@pytest.mark.parametrize("count", [1, 5])
def test_what_forward_does_with_attributes(what: str, count: int) -> None:
    source = method(BODIES[what], W[0] + "\nself.n = 1", W[1])
    (w,) = arrays((4,), seed=3)
    check_method(source, {"w": w, "n": count}, ("w",) if what != "an early return" or count < 4 else ())


def test_what_is_given_is_changed_in_place() -> None:
    source = method("y = x * self.h\nself.h += 1\nreturn y * self.h", "self.h = h", ", h: 'N D'")
    (h,) = arrays((3, 4), seed=3)
    check_method(source, {"h": h})


@pytest.mark.parametrize("options", [{"gates": "primitive"}, {"stages": "relations"}, {"accumulate": "always"}])
def test_the_options_of_functions(options: dict[str, str]) -> None:
    made = build(method("self.out = np.tanh(x * self.w) * x\nreturn self.out", *W), **options)
    w, x = arrays((4,), (3, 4))
    check(lambda: made["Layer"](w), (x,), ("w",))


def test_the_last_binding_is_kept_once() -> None:
    text = compiled(method("a = x * self.w\na = np.exp(a)\nreturn a * a", *W), "model.py").text
    assert text.count("self.a = a") == 1


def test_an_entry_of_a_dict_is_not_kept_again() -> None:
    text = compiled(NET, "model.py", functions=("Net.loss",), wrt=("self.params",)).text
    assert "self.W1" not in text


def test_numpy_draws_say_the_shapes_of_weights() -> None:
    source = (
        HEAD + "class Layer:\n    def __init__(self, n_in, n_out):\n"
        "        self.W = 0.01 * np.random.randn(n_in, n_out)\n        self.b = np.zeros((1, n_out))\n\n"
        "    def forward(self, x):\n        return x.dot(self.W) + self.b\n"
    )
    text = compiled(source, "model.py").text
    assert "self.db = dout.sum(axis=0, keepdims=True)" in text or "self.db = dout.sum(axis=0)[None" in text
    assert "unbroadcast" not in text
    made = build(source)

    def make() -> Any:
        layer = made["Layer"](3, 4)
        layer.W, layer.b = arrays((3, 4), (1, 4), seed=2)
        return layer

    (x,) = arrays((5, 3))
    check(make, (x,), ("W", "b"))


# Methods


def test_a_method_is_written_out() -> None:
    source = method(
        "return self.act(x, 2.0) + x",
        "self.w = w",
        ", w: 'D'",
        extra="    def act(self, a, k):\n        b = a * self.w\n        return np.tanh(b) * k\n\n",
    )
    (w,) = arrays((4,), seed=3)
    check_method(source, {"w": w}, ("w",))


def test_an_attribute_hides_a_method() -> None:
    source = method(
        "return self.act(x)", "self.act = act", ", act", extra="    def act(self, a):\n        return a * 2\n\n"
    )
    assert refused(source) == ["FG022"]


def test_a_method_that_a_subclass_replaces() -> None:
    source = method("return self.act(x)", extra="    def act(self, a):\n        return a * 2\n\n")
    source += "\n\nclass Other(Layer):\n    def act(self, a):\n        return a * 3\n"
    assert refused(source) == ["FG045"]


def test_a_method_of_a_base_class() -> None:
    source = (
        f"{HEAD}class Base:\n    def act(self, a):\n        return np.sin(a) * self.k\n\n\n"
        "class Layer(Base):\n    def __init__(self, k: 'D'):\n        self.k = k\n\n"
        "    def forward(self, x: 'N D'):\n        return self.act(x) * x\n"
    )
    (k,) = arrays((4,), seed=3)
    check_method(source, {"k": k}, ("k",))


def test_a_method_that_assigns_what_is_read() -> None:
    source = method(
        "y = self.act(x)\nreturn y * self.h",
        extra="    def act(self, a):\n        self.h = a\n        return a * 2\n\n",
    )
    check_method(source, {})


@pytest.mark.parametrize(
    "line",
    [
        "__slots__ = ('x',)",
        "def __getattr__(self, name):\n        return 1",
        "def __setattr__(self, name, value):\n        pass",
    ],
)
def test_a_class_that_cannot_be_followed(line: str) -> None:
    assert refused(method("return x * 2", extra=f"    {line}\n\n")) == ["FG045"]


def test_a_name_that_nothing_defines() -> None:
    source = (
        "import numpy as np\nfor SIZE in range(3):\n    pass\n\n\nclass Layer:\n    def __init__(self):\n"
        "        self.n = SIZE\n\n    def forward(self, x):\n        return np.exp(x)\n"
    )
    assert refused(source) == ["FG045"]


# Other methods


NET = """import numpy as np


class Net:
    def __init__(self, params, reg=0.1):
        self.params = params
        self.reg = reg

    def loss(self, X: "N D", y: "N int"):
        W1, b1 = self.params["W1"], self.params["b1"]
        h = np.maximum(0, X @ W1 + b1)
        scores = h @ self.params["W2"] + self.params["b2"]
        shifted = scores - scores.max(axis=1, keepdims=True)
        logp = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
        N = X.shape[0]
        loss = -logp[np.arange(N), y].mean()
        loss += 0.5 * self.reg * (np.sum(W1 * W1) + np.sum(self.params["W2"] ** 2))
        return loss
"""


def test_the_loss_of_a_network_with_its_weights_in_a_dict() -> None:
    made = build(NET, functions=("Net.loss",), wrt=("self.params",))
    X, W1, b1, W2, b2 = arrays((5, 3), (3, 4), (4,), (4, 2), (2,))
    params = {"W1": W1, "b1": b1, "W2": W2, "b2": b2}
    y = np.array([0, 1, 1, 0, 1])
    net = made["Net"](params)
    net.loss(X, y)
    found = net.loss_backward(1.0)
    assert list(found) == list(params)
    for name, value in params.items():
        expected = numeric(lambda: net.loss(X, y), value, 1.0)
        np.testing.assert_allclose(found[name], expected, rtol=1e-5, atol=1e-7)


def test_a_static_pair() -> None:
    source = (
        f"{HEAD}class FC:\n    @staticmethod\n    def forward(x: 'N D', w: 'D M', b: 'M'):\n"
        "        cache = (x, w, b)\n        return x @ w + b, cache\n"
    )
    made = build(source)
    x, w, b, dout = arrays((2, 3), (3, 4), (4,), (2, 4))
    out, cache = made["FC"].forward(x, w, b)
    np.testing.assert_allclose(out, x @ w + b)
    dx, dw, db = made["FC"].backward(dout, cache)
    np.testing.assert_allclose(dx, dout @ w.T)
    np.testing.assert_allclose(dw, x.T @ dout)
    np.testing.assert_allclose(db, dout.sum(axis=0))


def test_a_class_with_a_backward_pass_of_its_own_is_left_to_who_asks_for_it() -> None:
    source = (
        STYLE
        + "\n\nclass Own:\n    def forward(self, x):\n        return np.exp(x)\n\n"
        + "    def backward(self, d):\n        return d\n"
    )
    names = {node.name for node in ast.parse(compiled(source, "model.py").text).body if isinstance(node, ast.ClassDef)}
    assert names == {"Linear", "Tanh", "Sequential"}
    text = compiled(source, "model.py", functions=("Own",)).text
    assert text.count("def backward") == 1
    assert "dout * self.out" in text


def test_an_unknown_method_is_named() -> None:
    assert refused(STYLE, functions=("Linear.predict",)) == ["FG060"]


def test_the_text_is_that_of_a_person() -> None:
    text = compiled(STYLE, "model.py").text
    assert "for layer in reversed(self.layers):" in text
    assert "        self.out = np.tanh(x)  # (1)\n        return self.out\n" in text
    assert (
        "        dx = dout @ self.W.T\n        self.dW = self.x.T @ dout\n        self.db = dout.sum(axis=0)\n" in text
    )


def test_early_return_of_a_product_keeps_its_parentheses() -> None:
    source = """
import numpy as np


class Dropout:
    def __init__(self, on):
        self.on = on
        self.mask = None

    def forward(self, xs):
        if self.on:
            self.mask = (np.sin(np.arange(xs.size)) > 0).reshape(xs.shape) * 2.0
            return xs * self.mask
        else:
            return xs
"""
    names = build(source)
    check(lambda: names["Dropout"](True), (RNG(0).normal(size=(2, 3)),), ())
    check(lambda: names["Dropout"](False), (RNG(0).normal(size=(2, 3)),), ())


def test_product_with_the_transpose_of_a_matrix_of_the_object() -> None:
    source = """
import numpy as np


class Cell:
    def __init__(self, d, h):
        self.W_ih = np.ones((h, d))
        self.b_ih = np.ones(h)

    def forward(self, x):
        return np.tanh(x @ self.W_ih.T + self.b_ih)
"""
    names = build(source)
    check(lambda: names["Cell"](3, 2), (RNG(0).normal(size=(4, 3)) * 0.1,), ("W_ih", "b_ih"))
