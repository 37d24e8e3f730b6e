"""Nets of layers: what their classes say of how they are called, loss layers, several arguments and results, layers in
dicts, methods that are steps of their own. Numbers against central differences."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest

from tests.support import compiled
from tests.test_classes import HEAD, arrays, build, numeric, refused

RNG = np.random.default_rng

LINEAR = """class Linear:
    def __init__(self, W, b):
        self.W = W
        self.b = b

    def forward(self, x):
        self.x = x
        return x @ self.W + self.b

    def backward(self, dout):
        self.dW = self.x.T @ dout
        self.db = dout.sum(axis=0)
        return dout @ self.W.T
"""
SIGMOID = """class Sigmoid:
    def forward(self, x):
        self.state = 1 / (1 + np.exp(-x))
        return self.state

    def backward(self):
        return self.state * (1 - self.state)
"""
RELU = """class Relu:
    def forward(self, x):
        self.mask = x <= 0
        out = x.copy()
        out[self.mask] = 0
        return out

    def backward(self, dout):
        dout[self.mask] = 0
        return dout
"""
LOSS = """class SoftmaxLoss:
    def forward(self, x, y):
        self.y = y
        e = np.exp(x - x.max(axis=1, keepdims=True))
        self.p = e / e.sum(axis=1, keepdims=True)
        return -np.log(self.p[np.arange(len(y)), y]).mean()

    def backward(self):
        d = self.p.copy()
        d[np.arange(len(self.y)), self.y] -= 1
        return d / len(self.y)
"""
LAYERS = HEAD + "\n\n".join((LINEAR, SIGMOID, RELU, LOSS))


def net(init: str, *methods: str, layers: str = LAYERS) -> str:
    """A file with a net: the lines of its `__init__`, and its methods."""
    lines = "".join(f"        {line}\n" for line in init.split("\n"))
    texts = "\n".join("".join(f"    {line}\n" for line in one.split("\n")) for one in methods)
    return f"{layers}\n\nclass Net:\n    def __init__(self, W1, b1, W2, b2):\n{lines}\n{texts}"


def weights() -> tuple[np.ndarray, ...]:
    return arrays((3, 4), (4,), (4, 2), (2,), seed=2)


Y = np.array([0, 1, 1, 0, 1])


def check_net(
    source: str, call: str = "loss", given: tuple[Any, ...] = (Y,), seed: float = 0.7, **options: Any
) -> tuple[Any, str]:
    """The gradients of a net's layers and input against central differences, for an upstream gradient that is not 1."""
    text = compiled(source, "model.py", functions=(f"Net.{call}",), **options).text
    namespace: dict[str, Any] = {}
    exec(compile(text, "model_grad.py", "exec"), namespace)
    kept = weights()
    made = namespace["Net"](*kept)
    (x,) = arrays((5, 3))

    def value() -> Any:
        return getattr(namespace["Net"](*kept), call)(x, *given)

    out = getattr(made, call)(x, *given)
    dout: Any = seed if np.ndim(out) == 0 else RNG(7).normal(size=np.shape(out))
    before = copy.deepcopy(dout)
    reverse = getattr(made, "backward" if call == "forward" else f"{call}_backward")
    found = reverse(dout)
    np.testing.assert_array_equal(dout, before)
    found = found[0] if isinstance(found, tuple) else found
    np.testing.assert_allclose(found, numeric(value, x, dout), rtol=1e-6, atol=1e-8)
    for layer in linear_layers(made):
        np.testing.assert_allclose(layer.dW, numeric(value, layer.W, dout), rtol=1e-6, atol=1e-8)
        np.testing.assert_allclose(layer.db, numeric(value, layer.b, dout), rtol=1e-6, atol=1e-8)
    return made, text


def linear_layers(made: Any) -> list[Any]:
    found = []
    for value in vars(made).values():
        inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else [value]
        found += [one for one in inner if type(one).__name__ == "Linear"]
    assert found
    return found


NAMED = "self.fc1 = Linear(W1, b1)\nself.act = Sigmoid()\nself.fc2 = Linear(W2, b2)\nself.criterion = SoftmaxLoss()"
SCORES = "def scores(self, x):\n    return self.fc2.forward(self.act.forward(self.fc1.forward(x)))"


# What backward takes


def test_a_loss_layer_and_an_activation_whose_backward_takes_no_gradient() -> None:
    source = net(NAMED, SCORES, "def loss(self, x, y):\n    return self.criterion.forward(self.scores(x), y)")
    _, text = check_net(source)
    assert "dout * self.criterion.backward()" in text
    assert "* self.act.backward()" in text


def test_a_backward_that_never_reads_its_gradient() -> None:
    ignoring = LAYERS.replace("def backward(self):\n        d = ", "def backward(self, dout=1):\n        d = ")
    source = net(NAMED, SCORES, "def loss(self, x, y):\n    return self.criterion.forward(self.scores(x), y)",
                 layers=ignoring)  # fmt: skip
    _, text = check_net(source)
    assert "dout * self.criterion.backward()" in text
    needing = ignoring.replace("dout=1", "dout")
    method = "def loss(self, x, y):\n    return 3 * self.criterion.forward(self.scores(x), y)"
    _, text = check_net(net(NAMED, SCORES, method, layers=needing))
    assert "self.criterion.backward(dout_layer)" in text


@pytest.mark.parametrize(
    "forward",
    [
        "return -np.log(self.p[np.arange(len(y)), y])",  # one loss for each row
        "return self.p / len(y)",  # a matrix, and not elementwise
    ],
)
def test_a_local_backward_that_cannot_be_multiplied(forward: str) -> None:
    layers = LAYERS.replace("return -np.log(self.p[np.arange(len(y)), y]).mean()", forward)
    method = "def loss(self, x, y):\n    return np.sum(self.criterion.forward(self.scores(x), y))"
    assert refused(net(NAMED, SCORES, method, layers=layers), functions=("Net.loss",)) == ["FG045"]


def test_an_activation_that_is_not_elementwise() -> None:
    layers = LAYERS.replace("self.state = 1 / (1 + np.exp(-x))", "self.state = x / x.mean()")
    assert refused(net(NAMED, SCORES, layers=layers), functions=("Net.scores",)) == ["FG045"]


def test_a_layer_that_takes_more_than_its_gradient() -> None:
    given = "def backward(self, {}):\n        self.dW"
    layers = LAYERS.replace(given.format("dout"), given.format("dout, lr"))
    assert refused(net(NAMED, SCORES, layers=layers), functions=("Net.scores",)) == ["FG045"]


def test_a_backward_that_writes_into_its_gradient() -> None:
    init = "self.fc1 = Linear(W1, b1)\nself.act = Relu()"
    source = net(init, "def forward(self, x):\n    h = self.fc1.forward(x)\n    return self.act.forward(h) + h * h")
    _, text = check_net(source, "forward", ())
    assert "self.act.backward(np.copy(" in text


# Several arguments, several results

CELL = """class Cell:
    def forward(self, x, h, c):
        self.x, self.h, self.c = x, h, c
        n = np.tanh(x * h)
        return n + c, c * x

    def backward(self, dn, dc_next):
        t = np.tanh(self.x * self.h)
        g = dn * (1 - t**2)
        dx = g * self.h + dc_next * self.c
        dh = g * self.x
        dc = dn + dc_next * self.x
        return dx, dh, dc
"""
PLAIN_CELL = CELL[: CELL.index("    def backward")]


@pytest.mark.parametrize("cell", [CELL, PLAIN_CELL])
@pytest.mark.parametrize(
    "body",
    [
        "h, c = self.cell.forward(a, x[:, :2], x[:, 1:])\nreturn h * c",
        "h, _ = self.cell.forward(a, x[:, :2], x[:, 1:])\nreturn h * h",
        "h, c = self.cell.forward(a, c=x[:, 1:], h=a)\nreturn h + c",
        "h, c = self.first.forward(a, x[:, :2], x[:, 1:])\nh, c = self.cell.forward(a, h, c)\nreturn h * c + a",
    ],
)
def test_a_cell_with_several_arguments_and_results(cell: str, body: str) -> None:
    init = "self.fc = Linear(W1[:, :2], b2)\nself.cell = Cell()\nself.first = Cell()"
    lines = "a = self.fc.forward(x)\n" + body
    method = "def forward(self, x):\n" + "".join(f"    {line}\n" for line in lines.split("\n"))
    check_net(net(init, method.rstrip("\n"), layers=f"{LAYERS}\n\n{cell}"), "forward", ())


def test_what_no_gradient_is_given_for() -> None:
    cell = CELL.replace("return dx, dh, dc", "return dx, dh, None")
    init = "self.fc = Linear(W1[:, :2], b2)\nself.cell = Cell()"
    body = "def forward(self, x):\n    a = self.fc.forward(x)\n    h, c = self.cell.forward({})\n    return h * c"
    layers = f"{LAYERS}\n\n{cell}"
    assert refused(net(init, body.format("a, a, a"), layers=layers), functions=("Net",)) == ["FG025"]
    check_net(net(init, body.format("a, a, 2.0"), layers=layers), "forward", ())


def test_gradients_whose_names_say_nothing() -> None:
    cell = CELL.replace("return dx, dh, dc", "return dx * 1, dh * 1, dc * 1")
    init = "self.fc = Linear(W1[:, :2], b2)\nself.cell = Cell()"
    body = "def forward(self, x):\n    a = self.fc.forward(x)\n    h, c = self.cell.forward(a, a, a)\n    return h * c"
    assert refused(net(init, body, layers=f"{LAYERS}\n\n{cell}"), functions=("Net",)) == ["FG045"]


def test_several_arguments_of_an_unknown_layer() -> None:
    source = HEAD + (
        "class Net:\n    def __init__(self, cell):\n        self.cell = cell\n\n"
        "    def forward(self, x, h):\n        return self.cell.forward(x, h)\n"
    )
    assert refused(source) == ["FG045"]


# Layers in lists and dicts

DICT = (
    "self.layers = OrderedDict()\nself.layers['fc1'] = Linear(W1, b1)\nself.layers['act'] = Relu()\n"
    "self.layers['fc2'] = Linear(W2, b2)\nself.last = SoftmaxLoss()"
)
PREDICT = "def predict(self, x):\n    for layer in self.layers.values():\n        x = layer.forward(x)\n    return x"
LAST = "def loss(self, x, y):\n    return self.last.forward(self.predict(x), y)"
ORDERED = LAYERS.replace("import numpy as np\n", "from collections import OrderedDict\n\nimport numpy as np\n")


def test_layers_in_a_dict_and_a_method_as_a_step() -> None:
    _, text = check_net(net(DICT, PREDICT, LAST, layers=ORDERED))
    assert "for layer in reversed(self.layers.values()):" in text
    assert "dx = self.predict_backward(dout * self.last.backward())" in text
    assert "as well" not in text  # no guard: each of them is an object of its own


def test_two_losses_over_one_prediction() -> None:
    both = "def loss(self, x, y):\n    s = self.predict(x)\n    return self.last.forward(s, y) + 0.1 * np.sum(s * s)"
    check_net(net(DICT, PREDICT, both, layers=ORDERED))


@pytest.mark.parametrize(
    "body",
    [
        "s = self.predict(x)\nt = self.predict(s)\nreturn self.last.forward(t, y)",
        "s = x\nfor k in range(3):\n    s = self.predict(s)\nreturn self.last.forward(s, y)",
    ],
)
def test_a_method_that_runs_twice(body: str) -> None:
    method = "def loss(self, x, y):\n" + "\n".join(f"    {line}" for line in body.split("\n"))
    assert refused(net(DICT, PREDICT, method, layers=ORDERED), functions=("Net.loss",)) == ["FG044"]


def test_a_layer_that_two_methods_call() -> None:
    loop = "    for layer in self.layers.values():\n        s = layer.forward(s)\n"
    method = f"def loss(self, x, y):\n    s = self.predict(x)\n{loop}    return s"
    assert refused(net(DICT, PREDICT, method, layers=ORDERED), functions=("Net.loss",)) == ["FG044"]


def test_a_layer_that_stands_in_the_list_as_well() -> None:
    init = "self.first = Linear(np.eye(3), 0 * W1[:, 0])\nself.layers = [self.first]"
    loop = "    for layer in self.layers:\n        x = layer.forward(x)\n"
    method = f"def forward(self, x):\n{loop}    return self.first.forward(x)"
    made = build(net(init, method), functions=("Net",))
    with pytest.raises(ValueError, match="first stands in layers as well"):
        made["Net"](*weights()).forward(np.ones((2, 3)))


def test_the_same_across_methods() -> None:
    init = "self.first = Linear(np.eye(3), 0 * W1[:, 0])\nself.layers = [self.first]"
    predict = PREDICT.replace(".values()", "")
    method = "def loss(self, x):\n    return np.sum(self.predict(self.first.forward(x)))"
    made = build(net(init, predict, method), functions=("Net.loss",))
    with pytest.raises(ValueError, match="first stands in layers as well"):
        made["Net"](*weights()).loss(np.ones((2, 3)))


def test_layers_that_are_called_in_different_ways() -> None:
    """The backward pass that takes no gradient is written anew, as the others are called."""
    init = "self.layers = [Linear(W1, b1), Sigmoid(), Linear(W2, b2)]"
    _, text = check_net(net(init, PREDICT.replace(".values()", "")), "predict", ())
    assert "layer.backward(dx)" in text


# Methods that are steps of their own

POWERS = "def powers(self, x):\n    h = x\n    for k in range(self.n):\n        h = np.tanh(h @ self.A)\n    return h"
SQUARE = "self.n = 3\nself.A = W1[:, :3]\nself.fc = Linear(W1, b1)"


def check_method(source: str, call: str, names: tuple[str, ...]) -> str:
    """What a method's backward pass returns, for the input and the attributes of these names."""
    text = compiled(source, "model.py", functions=(f"Net.{call}",)).text
    namespace: dict[str, Any] = {}
    exec(compile(text, "model_grad.py", "exec"), namespace)
    kept = weights()
    (x,) = arrays((5, 3))
    made = namespace["Net"](*kept)
    out = getattr(made, call)(x)
    dout: Any = 0.7 if np.ndim(out) == 0 else RNG(7).normal(size=np.shape(out))
    found = getattr(made, f"{call}_backward")(dout)
    for name, gradient in zip(("x", *names), found, strict=True):
        array = x if name == "x" else getattr(made, name)
        expected = numeric(lambda: getattr(made, call)(x), array, dout)
        np.testing.assert_allclose(gradient, expected, rtol=1e-6, atol=1e-8)
    again = getattr(made, f"{call}_backward")(dout) if not array.size else None
    assert again is None
    return text


def test_a_method_with_a_loop_is_a_step() -> None:
    method = "def loss(self, x):\n    h = self.powers(x)\n    return np.sum(h * h) + 0.5 * np.sum(self.A * self.A)"
    text = check_method(net(SQUARE, POWERS, method), "loss", ("A",))
    assert "self.powers_backward(" in text


def test_forward_with_a_loop_is_a_step() -> None:
    method = "def loss(self, x):\n    h = self.forward(x)\n    return np.sum(h * h) + 0.5 * np.sum(self.A * self.A)"
    text = check_method(net(SQUARE, POWERS.replace("powers", "forward"), method), "loss", ("A",))
    assert "self.backward(2 * dout * self.h), self.dA" in text or "self.dA" in text


def test_attributes_of_two_methods_are_kept_apart() -> None:
    method = "def loss(self, x):\n    h = np.exp(x)\n    h = self.powers(h) * h\n    return np.sum(h * np.sin(h))"
    check_method(net(SQUARE, POWERS, method), "loss", ("A",))


def test_a_method_that_calls_a_method_that_calls_a_method() -> None:
    loop = "    for k in range(2):\n        s = s + x * k\n"
    twice = f"def outer(self, x):\n    s = x * 0\n{loop}    return self.powers(s)"
    method = "def loss(self, x):\n    return np.sum(self.outer(x * x) * x)"
    check_method(net(SQUARE, POWERS, twice, method), "loss", ("A",))


@pytest.mark.parametrize(
    "body",
    [
        "h = self.powers(x)\nself.A = self.A * 2\nreturn np.sum(h * h)",
        "h = self.powers(x)\nself.A *= 2\nreturn np.sum(h * h)",
        "h = self.powers(x)\nself.A[0] = 2\nreturn np.sum(h * h)",
        "h = self.powers(x)\nA = self.A\nA += 2\nreturn np.sum(h * h)",
        "h = self.powers(x)\nself.n = 2\nreturn np.sum(h * h)",
    ],
)
def test_an_attribute_that_changes_behind_a_step(body: str) -> None:
    method = "def loss(self, x):\n" + "\n".join(f"    {line}" for line in body.split("\n"))
    assert set(refused(net(SQUARE, POWERS, method), functions=("Net.loss",))) <= {"FG045", "FG043", "FG042"}


def test_a_step_that_assigns_what_is_read() -> None:
    powers = POWERS.replace("    return h", "    self.h = h\n    return h")
    method = "def loss(self, x):\n    h = self.powers(x)\n    return np.sum(h * self.h)"
    assert "powers_backward" not in check_method(net(SQUARE, powers, method), "loss", ("A",))


# The classes of the layers


def test_the_classes_of_the_layers_are_written_too() -> None:
    plain = HEAD + "\n\n".join((LINEAR[: LINEAR.index("    def backward")], SIGMOID[: SIGMOID.index("    def back")]))
    init = "self.fc1 = Linear(W1, b1)\nself.act = Sigmoid()\nself.fc2 = Linear(W2, b2)"
    source = net(init, SCORES.replace("scores", "forward"), layers=plain)
    _, text = check_net(source, "forward", ())
    assert text.count("def backward(self, d") == 3


def test_a_layer_of_a_layer_without_backward() -> None:
    plain = HEAD + "\n\n".join((LINEAR[: LINEAR.index("    def backward")], SIGMOID[: SIGMOID.index("    def back")]))
    block = (
        "class Block:\n    def __init__(self, W, b):\n        self.fc = Linear(W, b)\n        self.act = Sigmoid()\n\n"
        "    def __call__(self, x):\n        return self.act.forward(self.fc.forward(x))\n"
    )
    source = net("self.block = Block(W1, b1)", "def forward(self, x):\n    return self.block(x) * 2",
                 layers=f"{plain}\n\n{block}")  # fmt: skip
    text = compiled(source, "model.py", functions=("Net",)).text
    assert text.count("def backward(self, d") == 4
    namespace: dict[str, Any] = {}
    exec(compile(text, "model_grad.py", "exec"), namespace)
    made = namespace["Net"](*weights())
    (x,) = arrays((5, 3))
    dout = RNG(7).normal(size=made.forward(x).shape)
    dx = made.backward(dout)
    fc = made.block.fc
    for array, found in ((x, dx), (fc.W, fc.dW), (fc.b, fc.db)):
        np.testing.assert_allclose(found, numeric(lambda: made.forward(x), array, dout), rtol=1e-6, atol=1e-8)


# Static methods


STATIC = """import numpy as np


class Linear:
    def __init__(self, w):
        self.w = w

    @staticmethod
    def forward(x: "N D", w: "D M"):
        return np.tanh(x @ w)

    def __call__(self, x):
        return Linear.forward(x, self.w)

    def predict(self, x):
        return self.forward(x, self.w) + 1


class Sub(Linear):
    def twice(self, x):
        return Sub.forward(x, self.forward(x, self.w))
"""


def test_callers_of_a_static_method_get_what_they_got() -> None:
    text = compiled(STATIC, "model.py", functions=("Linear",)).text
    old: dict[str, Any] = {}
    exec(compile(STATIC, "model.py", "exec"), old)
    new: dict[str, Any] = {}
    exec(compile(text, "model_grad.py", "exec"), new)
    x, w = arrays((3, 3), (3, 3))
    assert isinstance(new["Linear"].forward(x, w), tuple)
    for call in ("__call__", "predict"):
        np.testing.assert_array_equal(getattr(new["Linear"](w), call)(x), getattr(old["Linear"](w), call)(x))


def test_a_static_method_that_is_handed_on() -> None:
    source = STATIC.replace("return self.forward(x, self.w) + 1", "return list(map(self.forward, x))")
    assert refused(source, functions=("Linear",)) == ["FG045"]


# Loops over some of the layers

STACKED = {
    "a": "Linear(W1[:, :3], b1[:3])",
    "b": "Linear(W1[:, 1:], b1[1:])",
    "c": "Linear(W2[[0, 1, 3]][:, [0, 1, 1]], b1[:3])",
}
OF_ALL = [
    "for layer, k in zip(self.layers, [1.0, 2.0]):\n    x = layer.forward(x) * k",
    "for k, layer in enumerate(self.layers):\n    x = layer.forward(x) * (k + 1)",
    "for layer in self.layers:\n    x = layer.forward(x)\n    if x.shape[0] > 1:\n        break",
]
BY_PLACE = [
    "for i in range(2):\n    layer = self.layers[i]\n    x = layer.forward(x)",
    "for i in range(1, 3):\n    layer = self.layers[i]\n    x = layer.forward(x) * i",
    "for layer in reversed(self.layers):\n    x = layer.forward(x)",
]


@pytest.mark.parametrize(
    ("body", "in_dict"), [*((body, False) for body in (*OF_ALL, *BY_PLACE)), *((body, True) for body in OF_ALL)]
)
def test_a_loop_over_some_of_the_layers(body: str, in_dict: bool) -> None:
    made_of = ", ".join(f"{key!r}: {made}" if in_dict else made for key, made in STACKED.items())
    init = f"self.layers = {{{made_of}}}" if in_dict else f"self.layers = [{made_of}]"
    body = body.replace("self.layers", "self.layers.values()") if in_dict else body
    method = "def forward(self, x):\n" + "".join(f"    {line}\n" for line in body.split("\n")) + "    return x"
    text = compiled(net(init, method), "model.py", functions=("Net",)).text
    namespace: dict[str, Any] = {}
    exec(compile(text, "model_grad.py", "exec"), namespace)
    made = namespace["Net"](*weights())
    (x,) = arrays((5, 3))
    dout = RNG(7).normal(size=made.forward(x).shape)
    found = made.backward(dout)
    np.testing.assert_allclose(found, numeric(lambda: made.forward(x), x, dout), rtol=1e-6, atol=1e-8)


def test_one_layer_under_two_keys() -> None:
    init = "fc = Linear(W1[:, :3], b1[:3])\nself.layers = {'a': fc, 'b': fc}"
    method = "def forward(self, x):\n    x = self.layers['a'].forward(x)\n    return self.layers['b'].forward(x)"
    made = build(net(init, method), functions=("Net",))
    with pytest.raises(ValueError, match="must be objects of their own"):
        made["Net"](*weights()).forward(np.ones((2, 3)))


def test_a_subclass_with_other_layers() -> None:
    """Its forward method is inherited, and so is the backward pass: that fits the layers of both."""
    body = "def loss(self, x, y):\n    return self.criterion.forward(self.scores(x), y)"
    heir = "\n\nclass Other(Net):\n    def __init__(self, W1, b1, W2, b2):\n        self.act = Relu()\n"
    _, text = check_net(net(NAMED, SCORES, body) + heir)
    assert "self.act.backward()" not in text


def test_a_layer_that_comes_from_outside() -> None:
    """It may be of any class: it is called as layers are."""
    setter = "def use(self, act):\n    self.act = act"
    text = compiled(net(NAMED, SCORES, setter), "model.py", functions=("Net.scores",)).text
    assert "self.act.backward(self.fc2.backward(dout))" in text
