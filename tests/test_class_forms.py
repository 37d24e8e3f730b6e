"""Classes in the many forms that people write them in: helper methods with tests and loops, functions and objects in
attributes, inherited methods, layers that are made for each step. What the compiled class gives is compared with what
the class as it was written gives, and its gradients with central differences of that."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from flatgrad.diagnostics import Refused
from tests.support import compiled
from tests.test_classes import refused

RNG = np.random.default_rng
HEAD = "import numpy as np\n\n\n"


def arrays(*shapes: tuple[int, ...], seed: int = 0) -> tuple[np.ndarray, ...]:
    rng = RNG(seed)
    return tuple(rng.normal(size=shape) for shape in shapes)


def differences(f: Callable[[], Any], array: np.ndarray, weights: Any, step: float = 1e-6) -> np.ndarray:
    """Central differences of `sum(weights * f())`; `f` reads the array."""
    found = np.zeros(np.shape(array))
    for index in np.ndindex(np.shape(array)):
        kept = array[index]
        array[index] = kept + step
        above = np.sum(weights * f())
        array[index] = kept - step
        below = np.sum(weights * f())
        array[index] = kept
        found[index] = (above - below) / (2 * step)
    return found


def check(
    source: str,
    name: str,
    given: tuple[Any, ...],
    inputs: tuple[Any, ...],
    weights: tuple[str, ...] = (),
    method: str = "forward",
    prepare: Callable[[Any], None] = lambda made: None,
    functions: tuple[str, ...] = (),
) -> str:
    """The text of the module, when its class gives what the class of the source gives, and the gradients of that.

    Args:
        given: what `__init__` takes; `prepare` is called with every object that is made.
        inputs: what the method takes; of those that are arrays backward gives the gradients, in order.
        weights: attributes whose gradients backward sets, each an array or a list of arrays.
    """
    text = compiled(source, "model.py", functions=functions).text
    user: dict[str, Any] = {}
    exec(compile(source, "model.py", "exec"), user)
    module: dict[str, Any] = {}
    exec(compile(text, "model_grad.py", "exec"), module)

    def fresh(names: dict[str, Any]) -> Any:
        np.random.seed(0)
        made = names[name](*copy.deepcopy(given))
        prepare(made)
        return made

    made, original = fresh(module), fresh(user)
    before = copy.deepcopy(inputs)
    out = getattr(made, method)(*inputs)
    np.testing.assert_array_equal(out, getattr(original, method)(*inputs))
    dout: Any = RNG(7).normal(size=np.shape(out))
    dout = dout if np.ndim(out) else float(dout)
    kept = copy.deepcopy(dout)
    reverse = getattr(made, "backward" if method in ("forward", "__call__") else f"{method}_backward")
    first = reverse(dout)
    found = first if isinstance(first, tuple) else (first,)
    again = reverse(dout)
    for one, other in zip(found, again if isinstance(again, tuple) else (again,), strict=True):
        np.testing.assert_array_equal(one, other)
    np.testing.assert_array_equal(dout, kept)
    for one, other in zip(inputs, before, strict=True):
        np.testing.assert_array_equal(one, other)
    floating = [one for one in inputs if isinstance(one, np.ndarray) and one.dtype.kind == "f"]
    for array, gradient in zip(floating, found, strict=False):
        expected = differences(lambda: getattr(fresh(user), method)(*inputs), array, dout)
        np.testing.assert_allclose(gradient, expected, rtol=1e-6, atol=1e-7)
    by_name = dict(zip(weights, found[len(floating) :], strict=False))
    for weight in weights:
        gradients = by_name[weight] if weight in by_name else getattr(made, f"d{weight}")
        held = getattr(fresh(user), weight)
        for position in range(len(held)) if isinstance(held, list) else [None]:
            value = copy.deepcopy(held if position is None else held[position])

            def with_value() -> Any:
                other = fresh(user)
                if position is None:  # noqa: B023
                    setattr(other, weight, value)  # noqa: B023
                else:
                    getattr(other, weight)[position] = value  # noqa: B023
                return getattr(other, method)(*inputs)

            expected = differences(with_value, value, dout)
            gradient = gradients if position is None else gradients[position]
            np.testing.assert_allclose(gradient, expected, rtol=1e-6, atol=1e-7)
    return text


# Methods as functions

LSTM = (
    HEAD
    + '''class LSTM:
    def __init__(self, D, H):
        self.H = H
        self.Wf = np.random.randn(D + H, H)
        self.Wi = np.random.randn(D + H, H)
        self.Wc = np.random.randn(D + H, H)
        self.Wo = np.random.randn(D + H, H)
        self.bf = np.zeros(H)

    def sigmoid(self, x):
        return 1 / (1 + np.exp(-x))

    def step(self, x, h, c):
        """One step."""
        z = np.concatenate([h, x], axis=1)
        f = self.sigmoid(z @ self.Wf + self.bf)  # forget
        i = self.sigmoid(z @ self.Wi)
        g = np.tanh(z @ self.Wc)
        o = self.sigmoid(z @ self.Wo)
        c = f * c + i * g
        h = o * np.tanh(c)
        return h, c

    def forward(self, X):
        N, T, D = X.shape
        h = np.zeros((N, self.H))
        c = np.zeros((N, self.H))
        hs = []
        for t in range(T):
            h, c = self.step(X[:, t], h, c)
            hs.append(h)
        return np.stack(hs, axis=1)
'''
)


@pytest.mark.parametrize("T", [1, 3])
def test_a_step_that_a_loop_calls(T: int) -> None:
    text = check(LSTM, "LSTM", (3, 2), arrays((2, T, 3)), ("Wf", "Wi", "Wc", "Wo", "bf"))
    assert "step_backward(dh, dc, self.step_caches[t])" in "".join(text.split()).replace(",", ", ")
    assert "# forget" in text  # its comments go with it


ACTS = (
    HEAD
    + """class Net:
    def __init__(self, W1, W2, activation="relu"):
        self.W1 = W1
        self.W2 = W2
        self.activation = activation

    def _act(self, z, factor=2.0):
        if self.activation == "relu":
            return factor * np.maximum(0, z)
        return factor * np.tanh(z)

    def forward(self, x):
        h = self._act(x @ self.W1)
        return self._act(h @ self.W2, 3.0) + self._act(h @ self.W2, factor=0.5)
"""
)


@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_a_method_with_a_test_that_is_called_again(activation: str) -> None:
    W1, W2, x = arrays((3, 4), (4, 2), (5, 3))
    text = check(ACTS, "Net", (W1, W2, activation), (x,), ("W1", "W2"))
    assert "def _act" not in text  # nothing calls it any longer


def test_a_static_method_with_loops() -> None:
    source = (
        HEAD
        + """class Pad:
    @staticmethod
    def pad(x, width):
        out = np.zeros((x.shape[0] + width, x.shape[1]))
        for i in range(x.shape[0]):
            out[i + 1] = x[i]
        return out

    def forward(self, x):
        self.padded = self.pad(x, 2)
        return np.sin(self.padded) * 2
"""
    )
    check(source, "Pad", (), arrays((3, 2)))


def test_a_method_that_is_replaced_by_an_heir_is_left_where_it_is() -> None:
    source = (
        ACTS
        + """

class Other(Net):
    def _act(self, z, factor=2.0):
        return factor * z
"""
    )
    assert set(refused(source, functions=("Net",))) & {"FG045", "FG044"}


def test_a_method_that_changes_its_argument_is_left_where_it_is() -> None:
    source = (
        HEAD
        + """class Net:
    def __init__(self, W):
        self.W = W

    def scale(self, z):
        w = self.W
        w *= 2
        return z * w

    def forward(self, x):
        return self.scale(x) + self.scale(2 * x)
"""
    )
    assert refused(source)


def test_attributes_that_change_between_two_calls() -> None:
    source = (
        HEAD
        + """class Net:
    def __init__(self, W):
        self.W = W

    def act(self, z):
        out = z * self.factor
        return np.tanh(out)

    def forward(self, x):
        self.factor = 2.0
        h = self.act(x @ self.W)
        self.factor = np.sum(h)
        return self.act(x @ self.W)
"""
    )
    W, x = arrays((3, 2), (4, 3))
    check(source, "Net", (W,), (x,), ("W",))


def test_an_attribute_that_is_called_like_a_variable_of_the_method() -> None:
    source = (
        HEAD
        + """class Net:
    def __init__(self, W, x):
        self.W = W
        self.x = x

    def act(self, x):
        W = 2 * self.W
        y = x @ W
        return y * self.x

    def forward(self, v):
        return self.act(v) + self.act(v * v)
"""
    )
    W, scale, v = arrays((3, 2), (2,), (4, 3))
    check(source, "Net", (W, scale), (v,), ("W", "x"))


# Methods in the place of a call


def test_a_method_that_sets_what_its_caller_reads() -> None:
    source = (
        HEAD
        + """class Conv:
    def __init__(self, W, b):
        self.W = W
        self.b = b

    def _prepare(self, x):
        N = x.shape[0]
        x = x.reshape(N, -1)
        self.x = x
        self.N = N

    def forward(self, x):
        N = 2.0
        self._prepare(x * N)
        return (self.x @ self.W + self.b) / self.N * N
"""
    )
    W, b, x = arrays((6, 2), (2,), (4, 3, 2))
    check(source, "Conv", (W, b), (x,), ("W", "b"))


def test_an_inherited_method() -> None:
    source = (
        HEAD
        + """class Base:
    def __init__(self, W, b):
        self.W = W
        self.b = b

    def forward(self, x):
        z = x @ self.W
        return z + self.b


class Act(Base):
    def forward(self, x):
        return np.tanh(super().forward(x))


class Twice(Act):
    def forward(self, x):
        z = super().forward(2 * x)
        return z * z
"""
    )
    W, b, x = arrays((3, 2), (2,), (4, 3))
    for name in ("Base", "Act", "Twice"):
        check(source, name, (W, b), (x,), ("W", "b"))


def test_an_inherited_method_that_returns_early() -> None:
    source = (
        HEAD
        + """class Base:
    def __init__(self, W, mode):
        self.W = W
        self.mode = mode

    def forward(self, x):
        if self.mode == "linear":
            return x @ self.W
        h = x @ self.W
        return h * h


class Act(Base):
    def forward(self, x):
        z = super().forward(x)
        return np.sin(z)
"""
    )
    W, x = arrays((3, 2), (4, 3))
    for mode in ("linear", "square"):
        check(source, "Act", (W, mode), (x,), ("W",))


def test_statistics_that_a_helper_makes_when_it_first_runs() -> None:
    source = (
        HEAD
        + """class BatchNorm:
    def __init__(self, gamma, beta, momentum=0.9, running_mean=None, running_var=None):
        self.gamma = gamma
        self.beta = beta
        self.momentum = momentum
        self.running_mean = running_mean
        self.running_var = running_var

    def forward(self, x, train=True):
        self.input_shape = x.shape
        if x.ndim != 2:
            N, C, H = x.shape
            x = x.reshape(N, -1)
        out = self.__forward(x, train)
        return out.reshape(*self.input_shape)

    def __forward(self, x, train):
        if self.running_mean is None:
            N, D = x.shape
            self.running_mean = np.zeros(D)
            self.running_var = np.zeros(D)
        if train:
            mu = x.mean(axis=0)
            xc = x - mu
            var = np.mean(xc ** 2, axis=0)
            xn = xc / np.sqrt(var + 1e-6)
            self.running_mean = self.momentum * self.running_mean + (1 - self.momentum) * mu
            self.running_var = self.momentum * self.running_var + (1 - self.momentum) * var
        else:
            xn = (x - self.running_mean) / np.sqrt(self.running_var + 1e-6)
        return self.gamma * xn + self.beta
"""
    )
    gamma, beta, mean, x, images = arrays((3,), (3,), (3,), (5, 3), (5, 3, 1))
    check(source, "BatchNorm", (gamma, beta), (x, True), ("gamma", "beta"))
    check(source, "BatchNorm", (gamma, beta), (images, True), ("gamma", "beta"))
    text = check(source, "BatchNorm", (gamma, beta, 0.9, mean, mean**2), (x, False), ("gamma", "beta"))
    assert "drunning" not in text.partition("class BatchNorm")[0]


# Functions and objects in attributes

FUNCTIONS = (
    HEAD
    + """def relu(x):
    out = x * 1.0
    out[out < 0] = 0
    return out


def tanh(x):
    return np.tanh(x)


ACT = {"relu": relu, "tanh": tanh, "sin": np.sin}


class Layer:
    def __init__(self, W, activation):
        self.W = W
        SET

    def forward(self, x):
        return self.act(x @ self.W) + self.act(x @ self.W * 2)
"""
)


@pytest.mark.parametrize(
    ("line", "names"),
    [
        ("self.act = relu", ("relu",)),
        ("self.act = np.tanh", ("tanh",)),
        ("self.act = lambda z: z * np.sin(z)", ("sin",)),
        ("self.act = ACT[activation]", ("relu", "tanh", "sin")),
        ('self.act = {"relu": relu, "tanh": np.tanh}[activation]', ("relu", "tanh")),
        ('self.act = relu if activation == "relu" else tanh', ("relu", "tanh")),
    ],
)
def test_functions_in_attributes(line: str, names: tuple[str, ...]) -> None:
    W, x = arrays((3, 2), (4, 3))
    for name in names:
        check(FUNCTIONS.replace("SET", line), "Layer", (W, name), (x,), ("W",))


def test_an_attribute_that_holds_another_function_than_was_known() -> None:
    source = FUNCTIONS.replace("SET", "self.act = ACT[activation]")
    module: dict[str, Any] = {}
    exec(compiled(source, "model.py").text, module)
    W, x = arrays((3, 2), (4, 3))
    layer = module["Layer"](W, "relu")
    layer.act = np.cos
    with pytest.raises(ValueError, match="act must be relu, tanh or"):
        layer.forward(x)


CHANGED = "self.act = relu\n\n    def change(self, act):\n        self.act = act"


@pytest.mark.parametrize("line", ["self.act = activation", CHANGED])
def test_functions_that_are_handed_in_are_not_known(line: str) -> None:
    assert refused(FUNCTIONS.replace("SET", line), functions=("Layer",)) == ["FG022", "FG022"]


OBJECTS = (
    HEAD
    + """class Sigmoid:
    def __call__(self, x):
        return 1 / (1 + np.exp(-x))

    def gradient(self, x):
        return self(x) * (1 - self(x))


class Softmax:
    def __call__(self, x):
        e = np.exp(x - np.max(x, axis=-1, keepdims=True))
        return e / np.sum(e, axis=-1, keepdims=True)

    def gradient(self, x):
        return self(x) * (1 - self(x))  # of the diagonal alone


class LeakyReLU:
    def __init__(self, alpha=0.2):
        self.alpha = alpha

    def __call__(self, x):
        return np.where(x >= 0, x, self.alpha * x)


KINDS = {"sigmoid": Sigmoid, "softmax": Softmax, "leaky": LeakyReLU}


class RNN:
    def __init__(self, W, U, activation):
        self.W = W
        self.U = U
        self.activation = KINDS[activation]()

    def forward(self, x: "N T D"):
        h = np.zeros((x.shape[0], self.W.shape[0]))
        for t in range(x.shape[1]):
            h = self.activation(x[:, t] @ self.U + h @ self.W)
        return h
"""
)


@pytest.mark.parametrize("kind", ["sigmoid", "softmax", "leaky"])
def test_one_of_several_objects_that_a_loop_calls(kind: str) -> None:
    W, U, x = arrays((2, 2), (3, 2), (4, 3, 3))
    check(OBJECTS, "RNN", (W, U, kind), (x,), ("W", "U"), functions=("RNN",))


def test_an_object_with_another_setting() -> None:
    def other(made: Any) -> None:
        made.activation.alpha = 0.7

    W, U, x = arrays((2, 2), (3, 2), (4, 3, 3))
    check(OBJECTS, "RNN", (W, U, "leaky"), (x,), ("W", "U"), functions=("RNN",), prepare=other)


def test_an_object_of_another_class_than_was_known() -> None:
    module: dict[str, Any] = {}
    exec(compiled(OBJECTS, "model.py", functions=("RNN",)).text, module)
    W, U, x = arrays((2, 2), (3, 2), (4, 3, 3))
    made = module["RNN"](W, U, "leaky")
    made.activation = np.tanh
    with pytest.raises(TypeError, match="activation must be of"):
        made.forward(x)


def test_an_object_that_learns_is_no_function() -> None:
    source = OBJECTS.replace("def __init__(self, alpha=0.2)", "def __init__(self, alpha=np.array([0.2]))")
    assert refused(source, functions=("RNN",))


# Properties, constants, class methods


def test_properties_constants_and_class_methods() -> None:
    source = (
        HEAD
        + """class Layer:
    EPS = 1e-2
    SLOPE = -0.5

    def __init__(self, W, log_s):
        self.W = W
        self.log_s = log_s

    @property
    def s(self):
        \"\"\"The scale.\"\"\"
        return np.exp(self.log_s) + 1

    @classmethod
    def act(cls, x):
        return np.tanh(x)

    def forward(self, x):
        return self.act(self.s * (x @ self.W)) / (2 + Layer.EPS) * Layer.SLOPE
"""
    )
    W, log_s, x = arrays((3, 2), (2,), (4, 3))
    check(source, "Layer", (W, log_s), (x,), ("W", "log_s"))


def test_a_constant_of_a_class_that_is_changed_is_none() -> None:
    source = (
        HEAD
        + """class Layer:
    EPS = 1e-2

    def forward(self, x):
        return np.tanh(x) * Layer.EPS


Layer.EPS = 3.0
"""
    )
    assert refused(source)


# Base classes


def test_a_base_class_that_says_what_there_is_to_be() -> None:
    source = (
        HEAD
        + """class Module:
    def __call__(self, *args):
        return self.forward(*args)

    def forward(self, x):
        raise NotImplementedError


class Linear(Module):
    def __init__(self, a, b):
        self.W = np.random.randn(a, b)

    def forward(self, x):
        return x @ self.W


class Tanh(Module):
    def forward(self, x):
        return np.tanh(x)


class Net(Module):
    def __init__(self):
        self.layers = [Linear(3, 4), Tanh(), Linear(4, 2)]
        self.act = Tanh()

    def forward(self, x):
        for layer in self.layers:
            x = layer(x)
        return self.act(x)
"""
    )
    check(source, "Net", (), arrays((4, 3)))


# Layers whose backward passes differ


def test_an_activation_in_a_list_whose_backward_takes_no_gradient() -> None:
    source = (
        HEAD
        + """class Linear:
    def __init__(self, a, b):
        self.W = np.random.randn(a, b)

    def forward(self, x):
        self.x = x
        return x @ self.W

    def backward(self, dout):
        self.dW = self.x.T @ dout
        return dout @ self.W.T


class Tanh:
    def forward(self, x):
        self.out = np.tanh(x)
        return self.out

    def backward(self):
        return 1 - self.out ** 2


class Net:
    def __init__(self):
        self.layers = [Linear(3, 4), Tanh(), Linear(4, 2), Tanh()]

    def forward(self, x):
        LOOP
        return x
"""
    )
    loop = "for layer in self.layers:\n            x = layer.forward(x)"
    text = check(source.replace("LOOP", loop), "Net", (), arrays((4, 3)))
    assert "dx = layer.backward(dx)" in text
    check(source.replace("LOOP", "x = self.layers[1].forward(self.layers[0].forward(x))"), "Net", (), arrays((4, 3)))
    notes = [one.code for one in compiled(source.replace("LOOP", loop), "model.py").notes]
    assert notes == ["FG068"]


# Layers that are made for each step

TIME_RNN = (
    HEAD
    + """class RNN:
    def __init__(self, Wx, Wh, b):
        self.params = [Wx, Wh, b]
        self.grads = [np.zeros_like(Wx), np.zeros_like(Wh), np.zeros_like(b)]
        self.cache = None

    def forward(self, x, h_prev):
        Wx, Wh, b = self.params
        t = np.dot(h_prev, Wh) + np.dot(x, Wx) + b  # before tanh
        h_next = np.tanh(t)
        self.cache = (x, h_prev, h_next)
        return h_next


class TimeRNN:
    def __init__(self, Wx, Wh, b, stateful=False):
        self.params = [Wx, Wh, b]
        self.layers = None
        self.h, self.dh = None, None
        self.stateful = stateful

    def forward(self, xs):
        Wx, Wh, b = self.params
        N, T, D = xs.shape
        D, H = Wx.shape
        self.layers = []
        hs = np.empty((N, T, H))
        if not self.stateful or self.h is None:
            self.h = np.zeros((N, H))
        for t in range(T):
            layer = RNN(*self.params)
            self.h = layer.forward(xs[:, t, :], self.h)
            hs[:, t, :] = self.h
            self.layers.append(layer)
        return hs
"""
)


@pytest.mark.parametrize("T", [1, 4])
def test_a_layer_for_each_step(T: int) -> None:
    Wx, Wh, b, xs = arrays((3, 2), (2, 2), (2,), (5, T, 3))
    text = check(TIME_RNN, "TimeRNN", (Wx, Wh, b), (xs,), ("params",), functions=("TimeRNN",))
    assert "rnn_backward(dh, self.rnn_caches[t])" in text
    assert "# (1) before tanh" in text


def test_a_layer_for_each_step_with_weights_of_its_own_name() -> None:
    source = (
        HEAD
        + """class GRU:
    def __init__(self, Wx, Wh):
        self.Wx, self.Wh = Wx, Wh
        self.scale = 0.5

    def forward(self, x, h_prev):
        H, H2 = self.Wh.shape
        Wx, Wz = self.Wx[:, :H], self.Wx[:, H:]
        z = np.tanh(np.dot(x, Wz) + np.dot(h_prev, self.Wh[:, H:]))
        self.h = np.tanh(np.dot(x, Wx) + np.dot(z * h_prev, self.Wh[:, :H]))
        return (1 - z) * h_prev + z * self.h * self.scale


class TimeGRU:
    def __init__(self, Wx, Wh):
        self.Wx, self.Wh = Wx, Wh

    def forward(self, xs):
        N, T, D = xs.shape
        H, H2 = self.Wh.shape
        layers = []
        h = np.zeros((N, H))
        for t in range(T):
            layer = GRU(self.Wx, self.Wh)
            h = layer.forward(xs[:, t, :], h)
            layers.append(layer)
        return h
"""
    )
    Wx, Wh, xs = arrays((3, 4), (2, 4), (5, 3, 3))
    check(source, "TimeGRU", (Wx, Wh), (xs,), ("Wx", "Wh"), functions=("TimeGRU",))


def test_layers_that_are_read_again_are_kept() -> None:
    source = (
        TIME_RNN
        + """
    def last(self):
        return self.layers[-1]
"""
    )
    assert refused(source, functions=("TimeRNN",))


# Lists of weights


def test_a_net_of_lists() -> None:
    source = (
        HEAD
        + """class MLP:
    def __init__(self, sizes):
        self.L = len(sizes) - 1
        self.W = [np.random.randn(sizes[i], sizes[i + 1]) for i in range(self.L)]
        self.b = [np.zeros((1, sizes[i + 1])) for i in range(self.L)]

    def forward(self, X):
        self.A = [X]
        for i in range(self.L):
            Z = self.A[-1] @ self.W[i] + self.b[i]
            if i < self.L - 1:
                self.A.append(np.tanh(Z))
            else:
                self.A.append(Z)
        return self.A[-1]
"""
    )
    for sizes in ([3, 2], [3, 4, 2]):
        check(source, "MLP", (sizes,), arrays((5, 3)), ("W", "b"))


# What is learnt


def test_a_weight_that_is_called_like_a_setting() -> None:
    source = (
        HEAD
        + """class PReLU:
    def __init__(self, alpha, slope=0.5, eps=0.1):
        self.alpha = alpha
        self.dalpha = None
        self.slope = slope
        self.eps = eps
        self.params = [self.slope]

    def forward(self, x):
        return np.where(x > 0, x, self.alpha * x * self.slope) * self.eps
"""
    )
    (x,) = arrays((4, 3))
    text = check(source, "PReLU", (np.array([0.3]), np.array([0.7])), (x,), ("alpha", "slope"))
    assert "deps" not in text


def test_weights_that_a_base_class_is_given() -> None:
    source = (
        HEAD
        + """class Base:
    def __init__(self, W, gain=2.0):
        self.W = W
        self.gain = gain


class Layer(Base):
    def __init__(self, W, b):
        super().__init__(W)
        self.b = b

    def forward(self, x):
        return np.tanh(x @ self.W + self.b) * self.gain
"""
    )
    W, b, x = arrays((3, 2), (2,), (4, 3))
    text = check(source, "Layer", (W, b), (x,), ("W", "b"))
    assert "dgain" not in text


# Parts of a list of layers

PARTS = (
    HEAD
    + """class Linear:
    def __init__(self, W):
        self.W = W

    def __call__(self, x):
        return self.forward(x)

    def forward(self, x):
        return np.tanh(x @ self.W)


class Net:
    def __init__(self, weights):
        self.layers = [Linear(W) for W in weights]

    def forward(self, x):
        BODY
"""
)


@pytest.mark.parametrize(
    "body",
    [
        "for layer in self.layers[:-1]:\n            x = layer.forward(x)\n        return self.layers[-1].forward(x)",
        "x = self.layers[0](x)\n        for layer in self.layers[1:]:\n            x = layer(x)\n        return x",
        "x = self.layers[-2](self.layers[-1](x))\n        return x",
        "for layer in reversed(self.layers):\n            x = layer.forward(x)\n        return x",
        "for k, layer in enumerate(self.layers[:2]):\n            x = layer.forward(x) * k\n        return x",
    ],
)
def test_parts_of_a_list_of_layers(body: str) -> None:
    weights = list(arrays((3, 3), (3, 3), (3, 3)))
    for count in (3, 2):
        source = PARTS.replace("BODY", body)
        text = compiled(source, "model.py").text
        user: dict[str, Any] = {}
        exec(source, user)
        module: dict[str, Any] = {}
        exec(text, module)
        (x,) = arrays((2, 3), seed=5)
        net, original = module["Net"](weights[:count]), user["Net"](weights[:count])
        out = net.forward(x)
        np.testing.assert_array_equal(out, original.forward(x))
        dout = RNG(7).normal(size=out.shape)
        found = net.backward(dout)
        np.testing.assert_allclose(found, differences(lambda: net.forward(x), x, dout), rtol=1e-6, atol=1e-7)  # noqa: B023
        net.forward(x)
        net.backward(dout)
        for layer in net.layers:
            if hasattr(layer, "dW"):
                expected = differences(lambda: net.forward(x), layer.W, dout)  # noqa: B023
                np.testing.assert_allclose(layer.dW, expected, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize(
    "body",
    [
        "for layer in self.layers[:-1]:\n            x = layer.forward(x)\n        return self.layers[-2].forward(x)",
        "x = self.layers[0].forward(x)\n        return self.layers[-1].forward(x)",
        "for layer in self.layers[1:]:\n            x = layer.forward(x)\n        return self.layers[2].forward(x)",
        "for layer in self.layers[::2]:\n            x = layer.forward(x)\n        return self.layers[1].forward(x)",
        "for layer in self.layers[-2:]:\n            x = layer.forward(x)\n        return self.layers[-1].forward(x)",
    ],
)
def test_parts_of_a_list_that_may_share_a_layer(body: str) -> None:
    assert "FG044" in refused(PARTS.replace("BODY", body))


# What is left where it is


def test_a_base_class_of_several() -> None:
    """Which method comes next hangs on the class of the object."""
    source = (
        HEAD
        + """class A:
    def forward(self, x):
        return np.sin(x)


class B(A):
    def forward(self, x):
        return 2 * super().forward(x)


class C(A):
    def forward(self, x):
        return 3 * x


class D(B, C):
    pass
"""
    )
    assert refused(source, functions=("B",))


def test_private_names_are_those_of_their_class() -> None:
    source = (
        HEAD
        + """class Base:
    def __init__(self, W):
        self.__W = W

    def forward(self, x):
        return x @ self.__W


class Act(Base):
    def __init__(self, W, V):
        super().__init__(W)
        self.__W = V

    def forward(self, x):
        return np.tanh(super().forward(x))
"""
    )
    assert refused(source, functions=("Act",))


def test_a_list_of_weights_that_changes_before_the_layer_is_made() -> None:
    """The names that it was unpacked into are not its elements any longer."""
    emptied = "        self.layers = []\n"
    source = TIME_RNN.replace(emptied, f"{emptied}        self.params[0] = 2 * Wx\n")
    with contextlib.suppress(Refused):
        text = compiled(source, "model.py", functions=("TimeRNN",)).text
        assert "self.params[0], self.params[1], self.params[2]" in text


def test_a_helper_that_may_fall_off_its_end() -> None:
    source = (
        HEAD
        + """class Layer:
    def __init__(self, mode):
        self.mode = mode

    def _first(self, x):
        self.x = x
        if self.mode == "sine":
            return np.sin(self.x)

    def forward(self, x):
        if self.mode != "other":
            return self._first(x)
        return self.x * x
"""
    )
    assert refused(source)
