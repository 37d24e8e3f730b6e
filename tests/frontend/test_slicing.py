"""The user's own backward code falls away, and nothing that a kept result depends on does.

Every case is also run: the function without what was dropped gives the same kept results as the whole function, and
changes its arguments in the same way.
"""

from __future__ import annotations

import ast
import copy
from collections.abc import Callable, Collection
from dataclasses import dataclass
from textwrap import dedent
from typing import Any

import numpy as np
import pytest

from flatgrad.frontend.memory import Known
from flatgrad.frontend.own_backward import own_backward, own_backward_positions
from flatgrad.frontend.slicing import Slice, slice_function
from flatgrad.frontend.source import Module, read_module
from tests.frontend.slicing_programs import program

RNG = np.random.default_rng(0)


@dataclass(frozen=True)
class Sliced:
    """A function of a module, its slice, and the module's text without what falls away."""

    node: ast.FunctionDef
    ignored: frozenset[ast.expr]
    slice: Slice
    module: Module

    def lines(self, kind: str) -> list[str]:
        """The first lines of the statements of one kind, in order."""
        statements = sorted(getattr(self.slice, kind), key=lambda one: (one.lineno, one.col_offset))
        return [ast.unparse(one).splitlines()[0] for one in statements]

    def text(self, dropped: Collection[ast.stmt]) -> str:
        return ast.unparse(ast.fix_missing_locations(_Without(dropped, self.ignored).visit(self.module.tree)))


class _Without(ast.NodeTransformer):
    def __init__(self, dropped: Collection[ast.stmt], ignored: Collection[ast.expr]) -> None:
        self.dropped = dropped
        self.ignored = ignored

    def generic_visit(self, node: ast.AST) -> ast.AST:
        """A copy of a node, without what is dropped."""
        fields: dict[str, Any] = {}
        for name, value in ast.iter_fields(node):
            if isinstance(value, list):
                kept = [
                    self.visit(one) if isinstance(one, ast.AST) else one for one in value if one not in self.dropped
                ]
                is_body = name == "body" and isinstance(node, ast.stmt)
                fields[name] = kept or ([ast.Pass()] if is_body else [])
            elif isinstance(value, ast.AST):
                fields[name] = self.visit(value)
            else:
                fields[name] = value
        return type(node)(**fields)

    def visit(self, node: ast.AST) -> Any:
        return ast.Constant(None) if node in self.ignored else self.generic_visit(node)


def cut(source: str, name: str = "", ignored: Collection[str] | None = None) -> Sliced:
    """The slice of the last function, or of the named method, without its own backward matter or the given results."""
    module = read_module(dedent(source), "model.py")
    functions = [part for part in ast.walk(module.tree) if isinstance(part, ast.FunctionDef)]
    node = next(one for one in functions if one.name == name) if name else list(module.functions.values())[-1]
    passed = frozenset(own_backward(node))
    if ignored is not None:
        passed = frozenset(
            one
            for part in ast.walk(node)
            if isinstance(part, ast.Return) and isinstance(part.value, ast.Tuple)
            for one in part.value.elts
            if ast.unparse(one) in ignored
        )
    return Sliced(node, passed, slice_function(node, Known(module), passed), module)


def run_both(sliced: Sliced, arguments: Callable[[], tuple[Any, ...]], name: str = "") -> None:
    """The kept results and the arguments afterwards, with and without what falls away."""
    given = arguments()
    for dropped in (sliced.slice.backward, sliced.slice.backward | sliced.slice.unread):
        whole = _outcome(sliced.text(frozenset()), sliced.node.name, given)
        short = _outcome(sliced.text(dropped), sliced.node.name, given)
        assert whole == short


def _outcome(text: str, name: str, arguments: tuple[Any, ...]) -> str:
    space: dict[str, Any] = {"np": np}
    exec(text, space)
    given = copy.deepcopy(arguments)
    np.random.seed(0)
    try:
        result = space[name](*given)
    except ValueError as error:
        result = f"ValueError {error}"
    with np.printoptions(threshold=10**6, precision=17):
        return repr(
            (
                result,
                space.get("TRACE"),
                [vars(one) if hasattr(one, "__dict__") else one for one in given],
                np.random.rand(),
            )
        )


def X(*shape: int) -> Any:
    return RNG.normal(size=shape)


TWO_LAYER_NET = '''
import numpy as np

def loss(X, y, W1, b1, W2, b2, reg=0.0):
    """Loss and gradients of a two-layer net."""
    N, D = X.shape
    h1 = np.maximum(0, X.dot(W1) + b1)
    scores = h1.dot(W2) + b2
    if y is None:
        return scores
    shifted = scores - np.max(scores, axis=1, keepdims=True)
    probs = np.exp(shifted)
    probs /= np.sum(probs, axis=1, keepdims=True)
    loss = -np.sum(np.log(probs[np.arange(N), y])) / N
    loss += reg * np.sum(W1 * W1)
    grads = {}
    dscores = probs
    dscores[range(N), y] -= 1
    dscores /= N
    grads["W2"] = h1.T.dot(dscores) + 2 * reg * W2
    grads["b2"] = np.sum(dscores, axis=0)
    dh1 = dscores.dot(W2.T)
    dh1[h1 <= 0] = 0
    grads["W1"] = X.T.dot(dh1)
    grads["b1"] = dh1.sum(axis=0)
    dX = dh1.dot(W1.T)
    return loss, grads
'''


def net_arguments() -> tuple[Any, ...]:
    return X(4, 3), np.array([0, 1, 1, 0]), X(3, 5), X(5), X(5, 2), X(2), 0.1


def test_two_layer_net() -> None:
    found = cut(TWO_LAYER_NET)
    assert found.lines("needed")[-2:] == ["loss += reg * np.sum(W1 * W1)", "return (loss, grads)"]
    assert found.lines("unread") == []
    assert "return scores" in found.lines("needed")
    assert found.lines("backward") == [
        "grads = {}",
        "dscores = probs",
        "dscores[range(N), y] -= 1",
        "dscores /= N",
        "grads['W2'] = h1.T.dot(dscores) + 2 * reg * W2",
        "grads['b2'] = np.sum(dscores, axis=0)",
        "dh1 = dscores.dot(W2.T)",
        "dh1[h1 <= 0] = 0",
        "grads['W1'] = X.T.dot(dh1)",
        "grads['b1'] = dh1.sum(axis=0)",
        "dX = dh1.dot(W1.T)",
    ]
    run_both(found, net_arguments)
    run_both(found, lambda: (X(4, 3) * 0 + 1, None, np.ones((3, 5)), np.ones(5), np.ones((5, 2)), np.ones(2)))


def test_what_is_changed_in_place_and_needed_again_stays() -> None:
    source = TWO_LAYER_NET.replace("return loss, grads", "loss += probs.sum()\n    return loss, grads")
    found = cut(source)
    changes = ["dscores = probs", "dscores[range(N), y] -= 1", "dscores /= N"]
    assert [line for line in found.lines("needed") if line.startswith("dscores")] == changes
    assert "dh1 = dscores.dot(W2.T)" in found.lines("backward")
    run_both(found, net_arguments)


SVM = """
import numpy as np

def svm_loss_naive(W, X, y, reg):
    dW = np.zeros(W.shape)
    num_classes = W.shape[1]
    num_train = X.shape[0]
    loss = 0.0
    for i in range(num_train):
        scores = X[i].dot(W)
        correct = scores[y[i]]
        count = 0
        for j in range(num_classes):
            if j == y[i]:
                continue
            margin = scores[j] - correct + 1
            if margin > 0:
                loss += margin
                dW[:, j] += X[i]
                count += 1
            else:
                dW[:, j] += 0
        dW[:, y[i]] -= count * X[i]
    loss /= num_train
    loss += reg * np.sum(W * W)
    dW /= num_train
    dW += reg * 2 * W
    return loss, dW
"""


def test_gradients_inside_the_loops_of_the_loss() -> None:
    found = cut(SVM)
    assert found.lines("backward") == [
        "dW = np.zeros(W.shape)",
        "count = 0",
        "dW[:, j] += X[i]",
        "count += 1",
        "dW[:, j] += 0",
        "dW[:, y[i]] -= count * X[i]",
        "dW /= num_train",
        "dW += reg * 2 * W",
    ]
    assert "continue" in found.lines("needed")
    run_both(found, lambda: (X(3, 4), X(5, 3), np.array([0, 1, 2, 3, 0]), 0.1))


def test_a_loop_of_gradients_falls_away_with_its_jumps() -> None:
    found = cut(
        """
        def f(W, x):
            loss = (W * x).sum()
            dW = W * 0
            for i in range(3):
                if x[i] > 0:
                    continue
                if x[i] < -1:
                    break
                while dW[i] < 1:
                    dW[i] += 1
            return loss, dW
        """
    )
    assert len(found.slice.needed) == 2
    run_both(found, lambda: (X(3), X(3)))


def test_a_continue_counts_for_what_follows_it_only() -> None:
    found = cut(
        """
        def f(W, x):
            loss = 0.0
            dW = W * 0
            for i in range(3):
                loss += W[i] * x[i]
                if x[i] > 0:
                    continue
                dW[i] += 1
            for i in range(3):
                if x[i] > 1:
                    break
                if x[i] < 0:
                    dW[i] -= 1
                    continue
                loss += W[i]
            return loss, dW
        """
    )
    assert found.lines("backward") == ["dW = W * 0", "if x[i] > 0:", "continue", "dW[i] += 1", "dW[i] -= 1"]
    assert "break" in found.lines("needed")
    assert "if x[i] < 0:" in found.lines("needed")
    run_both(found, lambda: (X(3), X(3)))


SOFTMAX = """
import numpy as np

def softmax_loss(x, y):
    probs = np.exp(x - np.max(x, axis=1, keepdims=True))
    probs /= np.sum(probs, axis=1, keepdims=True)
    N = x.shape[0]
    loss = -np.sum(np.log(probs[np.arange(N), y])) / N
    dx = probs.copy()
    dx[np.arange(N), y] -= 1
    dx /= N
    return loss, dx

def affine_forward(x, w, b):
    out = x.reshape(x.shape[0], -1).dot(w) + b
    cache = (x, w, b)
    return out, cache

def affine_backward(dout, cache):
    x, w, b = cache
    dx = dout.dot(w.T).reshape(x.shape)
    dw = x.reshape(x.shape[0], -1).T.dot(dout)
    db = dout.sum(axis=0)
    return dx, dw, db

def relu_forward(x):
    out = np.maximum(0, x)
    cache = x
    return out, cache

def relu_backward(dout, cache):
    dx, x = None, cache
    dx = dout
    dx[x <= 0] = 0
    return dx
"""


def test_softmax() -> None:
    found = cut(SOFTMAX, "softmax_loss")
    assert found.lines("backward") == ["dx = probs.copy()", "dx[np.arange(N), y] -= 1", "dx /= N"]
    run_both(found, lambda: (X(3, 4), np.array([1, 0, 2])))


METHOD = (
    SOFTMAX
    + """

class TwoLayerNet:
    def __init__(self, params):
        self.params = params
        self.reg = 0.5

    def scores(self, X):
        return X

    def loss(self, X, y=None):
        scores = None
        W1, b1 = self.params["W1"], self.params["b1"]
        W2, b2 = self.params["W2"], self.params["b2"]
        a, fc_cache = affine_forward(X, W1, b1)
        h, relu_cache = relu_forward(a)
        scores, out_cache = affine_forward(h, W2, b2)
        if y is None:
            return scores
        loss, grads = 0, {}
        loss, dscores = softmax_loss(scores, y)
        loss += 0.5 * self.reg * (np.sum(W1 * W1) + np.sum(W2 * W2))
        dh, dW2, db2 = affine_backward(dscores, out_cache)
        da = relu_backward(dh, relu_cache)
        dx, dW1, db1 = affine_backward(da, fc_cache)
        grads["W1"] = dW1 + self.reg * W1
        grads["b1"] = db1
        grads.update({"W2": dW2 + self.reg * W2, "b2": db2})
        return loss, grads
"""
)


def test_a_method_that_calls_its_helpers() -> None:
    found = cut(METHOD, "loss")
    assert found.lines("unread") == []
    assert found.lines("backward") == [
        "dh, dW2, db2 = affine_backward(dscores, out_cache)",
        "da = relu_backward(dh, relu_cache)",
        "dx, dW1, db1 = affine_backward(da, fc_cache)",
        "grads['W1'] = dW1 + self.reg * W1",
        "grads['b1'] = db1",
        "grads.update({'W2': dW2 + self.reg * W2, 'b2': db2})",
    ]
    idle = {name.id for name in found.slice.idle}
    assert {"grads", "dscores", "fc_cache", "relu_cache", "out_cache"} <= idle
    assert "W1" not in idle


def test_a_method_still_computes_its_loss() -> None:
    found = cut(METHOD, "loss")
    params = {"W1": X(3, 4), "b1": X(4), "W2": X(4, 2), "b2": X(2)}
    x, y = X(5, 3), np.array([0, 1, 1, 0, 1])
    losses = []
    for dropped in (frozenset(), found.slice.backward):
        space: dict[str, Any] = {}
        exec(found.text(dropped), space)
        losses.append(space["TwoLayerNet"](copy.deepcopy(params)).loss(x, y)[0])
    assert losses[0] == losses[1]


def test_a_deep_net_with_a_backward_loop() -> None:
    found = cut(
        SOFTMAX
        + """

def loss(X, y, params, L):
    caches = {}
    out = X
    for l in range(L):
        out, caches[l] = affine_forward(out, params["W%d" % l], params["b" + str(l)])
        if l < L - 1:
            out, caches["r%d" % l] = relu_forward(out)
    loss, dout = softmax_loss(out, y)
    grads = {}
    for l in reversed(range(L)):
        if l < L - 1:
            dout = relu_backward(dout, caches["r%d" % l])
        dout, grads["W%d" % l], grads[f"b{l}"] = affine_backward(dout, caches[l])
    return loss, grads
"""
    )
    assert found.lines("needed")[-2:] == ["loss, dout = softmax_loss(out, y)", "return (loss, grads)"]
    assert "grads = {}" in found.lines("backward")
    assert "for l in reversed(range(L)):" in found.lines("backward")
    params = {"W0": X(3, 4), "b0": X(4), "W1": X(4, 2), "b1": X(2)}
    run_both(found, lambda: (X(2, 3) * 0 + 0.3, np.array([0, 1]), params, 2))


LSTM = """
import numpy as np

def sigmoid(x):
    return 1 / (1 + np.exp(-x))

def lstm_step_forward(x, prev_h, prev_c, Wx, Wh, b):
    H = prev_h.shape[1]
    a = x.dot(Wx) + prev_h.dot(Wh) + b
    i, f, o = sigmoid(a[:, :H]), sigmoid(a[:, H:2*H]), sigmoid(a[:, 2*H:3*H])
    g = np.tanh(a[:, 3*H:])
    next_c = f * prev_c + i * g
    t = np.tanh(next_c)
    next_h = o * t
    cache = (x, prev_h, prev_c, Wx, Wh, i, f, o, g, t)
    return next_h, next_c, cache

def lstm_forward(x, h0, Wx, Wh, b):
    N, T, D = x.shape
    H = h0.shape[1]
    h = np.zeros((N, T, H))
    cache = []
    prev_h, prev_c = h0, np.zeros_like(h0)
    for t in range(T):
        prev_h, prev_c, step_cache = lstm_step_forward(x[:, t], prev_h, prev_c, Wx, Wh, b)
        h[:, t] = prev_h
        cache.append(step_cache)
    return h, cache
"""


def test_the_cache_of_an_lstm() -> None:
    step = cut(LSTM, "lstm_step_forward")
    assert step.lines("backward") == ["cache = (x, prev_h, prev_c, Wx, Wh, i, f, o, g, t)"]
    run_both(step, lambda: (X(2, 3), X(2, 4), X(2, 4), X(3, 16), X(4, 16), X(16)))
    found = cut(LSTM)
    assert found.lines("backward") == ["cache = []", "cache.append(step_cache)"]
    assert {name.id for name in found.slice.idle} == {"D", "step_cache"}
    run_both(found, lambda: (X(2, 5, 3), X(2, 4), X(3, 16), X(4, 16), X(16)))


BATCHNORM = """
import numpy as np

def batchnorm_forward(x, gamma, beta, bn_param):
    mode = bn_param["mode"]
    eps = bn_param.get("eps", 1e-5)
    N, D = x.shape
    running_mean = bn_param.get("running_mean", np.zeros(D, dtype=x.dtype))
    out, cache = None, None
    if mode == "train":
        mu = x.mean(axis=0)
        var = x.var(axis=0)
        std = np.sqrt(var + eps)
        xhat = (x - mu) / std
        out = gamma * xhat + beta
        running_mean = 0.9 * running_mean + 0.1 * mu
        cache = (x, xhat, std, gamma)
    elif mode == "test":
        out = gamma * (x - running_mean) / np.sqrt(1 + eps) + beta
    else:
        raise ValueError("no such mode")
    bn_param["running_mean"] = running_mean
    return out, cache
"""


@pytest.mark.parametrize("mode", ["train", "test", "none"])
def test_batchnorm_keeps_its_running_mean_and_its_error(mode: str) -> None:
    found = cut(BATCHNORM)
    assert found.lines("backward") == ["cache = (x, xhat, std, gamma)"]
    assert "raise ValueError('no such mode')" in found.lines("needed")
    assert "running_mean = 0.9 * running_mean + 0.1 * mu" in found.lines("needed")
    assert {"cache", "N"} <= {name.id for name in found.slice.idle}
    run_both(found, lambda: (X(4, 3) * 0 + 2, np.ones(3), np.ones(3), {"mode": mode}))


TRAPS = {
    "a second name": ("d = p\nd[0] = 5", "p.sum()", "d"),
    "a view": ("d = p[1:]\nd[0] = 5", "p.sum()", "d"),
    "a transpose": ("d = p.T\nd *= 2", "p.sum()", "d"),
    "a reshape": ("d = np.reshape(p, (3, 1))\nd[0] = 5", "p.sum()", "d"),
    "a method that may copy": ("d = p.ravel()\nd[0] = 5", "p.sum()", "d"),
    "an element of a tuple": ("t = (p, p * 2)\nd = t[0]\nd += 1", "p.sum()", "d"),
    "an element of a list that is held": ("hs = []\nhs.append(p)\nd = hs[-1]\nd += 1", "p.sum()", "d"),
    "a dict": ("g = {'p': p}\ng['p'] *= 2\nd = g", "p.sum()", "d"),
    "unpacked": ("d, e = p, x\nd[0] = 5", "p.sum()", "d"),
    "unpacked from a tuple": ("t = p, x * 2\nd, e = t\nd[0] = 5", "p.sum()", "d"),
    "a loop's rows": ("d = 0\nfor row in (p, p):\n    row *= 2", "p.sum()", "d"),
    "zipped": ("d = 0\nfor row, k in zip([p, p], [1, 2]):\n    row *= k", "p.sum()", "d"),
    "enumerated": ("d = 0\nfor k, row in enumerate([p]):\n    row += k + 1", "p.sum()", "d"),
    "a comprehension": ("d = [q for q in [p]]\nd[0][:] = 1", "p.sum()", "d"),
    "a conditional": ("d = p if p[0] > 9 else p\nd[0] = 5", "p.sum()", "d"),
    "an or": ("d = None or p\nd[0] = 5", "p.sum()", "d"),
    "out": ("d = np.exp(p, out=p)", "p.sum()", "d"),
    "out by position": ("d = np.multiply(p, 2, p)", "p.sum()", "d"),
    "fill": ("d = p\nd.fill(0)", "p.sum()", "d"),
    "np.add.at": ("d = p\nnp.add.at(d, [0, 0], 1)", "p.sum()", "d"),
    "np.fill_diagonal": ("d = p[None]\nnp.fill_diagonal(d, 7)", "p.sum()", "d"),
    "np.copyto": ("d = p\nnp.copyto(d, x)", "p.sum()", "d"),
    "a helper": ("d = zero(p)", "p.sum()", "d"),
    "a helper's helper": ("d = zero2(p)", "p.sum()", "d"),
    "a helper that hands back its argument": ("d = same(p)\nd[0] = 5", "p.sum()", "d"),
    "a lambda": ("f = lambda a: a.fill(0)\nd = f(p)", "p.sum()", "d"),
    "a nested function": ("def f(a):\n    a[0] = 5\n    return a\nd = f(p)", "p.sum()", "d"),
    "what a nested function reads": ("def f(a):\n    p[0] = a\n    return a\nd = f(3)", "p.sum()", "d"),
    "asarray": ("d = np.asarray(p)\nd[0] = 5", "p.sum()", "d"),
    "broadcast views": ("d = np.atleast_2d(p)\nd[0, 0] = 5", "p.sum()", "d"),
    "a walrus": ("(d := p).fill(0)", "p.sum()", "d"),
    "a starred tuple": ("d, *r = p, p\nr[0][:] = 2", "p.sum()", "d"),
    "a pop": ("hs = [p * 1, p]\nd = hs.pop()\nd[0] = 4", "p.sum() + len([h for h in [p]])", "d"),
    "list += list": ("hs = []\nhs += [p]\nhs[0][0] = 4\nd = hs", "p.sum()", "d"),
    "list + list": ("hs = [0] + [p]\nd = hs[1]\nd[0] = 4", "p.sum()", "d"),
    "setdefault": ("g = {}\nd = g.setdefault('a', p)\nd[0] = 4", "p.sum()", "d"),
    "a dict's values": ("g = dict(a=p)\nd = 0\nfor v in g.values():\n    v[0] = 4", "p.sum()", "d"),
    "a dict's items": ("g = {'a': p}\nd = 0\nfor k, v in g.items():\n    v[0] = 4", "p.sum()", "d"),
    "map": ("d = list(map(same, [p]))\nd[0][0] = 4", "p.sum()", "d"),
    "with": ("d = p\nwith np.errstate(all='ignore'):\n    d /= 2", "p.sum()", "d"),
    "a list sorted": ("d = [3, 1]\ne = d\ne.sort()", "p.sum() + d[0]", "e"),
    "del of an element": ("d = [3, 1]\ne = d\ndel e[0]", "p.sum() + d[0]", "e"),
    "flat": ("d = p\nd.flat[0] = 6", "p.sum()", "d"),
    "swapped names": ("d = p\ne = x * 1\nd, e = e, d\ne[0] = 9", "p.sum()", "d"),
    "copy of a list": ("hs = [p]\nd = hs.copy()\nd[0][0] = 9", "p.sum()", "d"),
    "round a loop": (
        "d = x * 1\ne = x * 1\nfor k in range(3):\n    e[0] = k\n    e = d\n    d = p",
        "p.sum()",
        "e",
    ),
}


@pytest.mark.parametrize("name", TRAPS)
def test_a_change_of_shared_memory_stays(name: str) -> None:
    body, rest, own = TRAPS[name]
    lines = [*body.splitlines(), f"s = s + {rest}", f"return s, {own}"]
    source = """
import numpy as np

def zero(a):
    a[:] = 0
    return 3

def zero2(a):
    b = a[:2]
    return zero(b)

def same(a):
    return a

def f(x):
    p = np.exp(x)
    s = p.sum()
""" + "\n".join("    " + line for line in lines)
    found = cut(source, "f", ignored=[own])
    run_both(found, lambda: (np.array([0.1, 0.2, 0.3]),))
    # And where nothing reads p afterwards, all of it falls away
    short = cut(source.replace(f"s = s + {rest}\n", "pass\n"), "f", ignored=[own])
    run_both(short, lambda: (np.array([0.1, 0.2, 0.3]),))
    assert short.lines("needed") == ["p = np.exp(x)", "s = p.sum()", "pass", f"return (s, {own})"]


FRESH = [
    "p.copy()",
    "p * 2",
    "-p",
    "p + x",
    "np.zeros_like(p)",
    "p.dot(np.eye(3))",
    "p @ np.eye(3)",
    "np.where(p > 1, p, 0)",
    "np.array(p)",
    "p.astype(float)",
    "np.clip(p, 0, 1)",
    "np.maximum(p, 0)",
    "twice(p)",
    "(lambda a: a * 2)(p)",
    "p.sum(axis=0, keepdims=True)",
    "np.concatenate([p, p])",
]


@pytest.mark.parametrize("text", FRESH)
def test_a_change_of_fresh_memory_falls_away(text: str) -> None:
    source = f"""
    import numpy as np

    def twice(a):
        b = a.copy()
        b -= 2
        return b

    def f(x):
        p = np.exp(x)
        d = {text}
        d[0] = 5
        d *= 2
        s = p.sum()
        return s, d
    """
    found = cut(source, ignored=["d"])
    assert found.lines("needed") == ["p = np.exp(x)", "s = p.sum()", "return (s, d)"]
    run_both(found, lambda: (np.array([0.1, 0.2, 0.3]),))


@pytest.mark.parametrize(
    "text",
    [
        "x[0] = 1",
        "x += 1",
        "d = x\nd[0] = 2",
        "d = x.T\nd *= 2",
        "cfg['m'] = p",
        "cfg.update(m=p)",
        "cfg['a']['b'] = 1",
        "c = cfg['a']\nc['b'] = p.sum()",
        "cfg.setdefault('k', []).append(2)",
        "del cfg['m0']",
        "np.random.seed(3)",
        "r = np.random.rand(2)",
        "np.random.shuffle(cfg['l'])",
        "if p[0] > 0:\n    cfg['m'] = 1",
        "for k in range(2):\n    cfg[k] = k",
        "if p[0] > 100:\n    raise ValueError('p')",
        "if p[0] > 0:\n    raise ValueError('p')",
        "assert p[0] > 0",
        "print(p)",
        "for k in range(2):\n    print(k)",
    ],
)
def test_what_is_seen_outside_stays(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    lines = ["p = np.exp(x)", "s = p.sum()", "dx = p * 1", *text.splitlines(), "return s, dx"]
    found = cut("import numpy as np\ndef f(x, cfg):\n" + "\n".join("    " + line for line in lines))
    assert found.lines("backward") == ["dx = p * 1"]
    assert found.lines("unread") == []
    run_both(found, lambda: (np.array([0.1, 0.2, 0.3]), {"a": {}, "m0": 0, "l": [1, 2, 3]}))
    assert bool(capsys.readouterr().out) is ("print" in text)


@pytest.mark.parametrize(
    "text",
    ["print('gradient', dx.sum())", "assert dx.shape == x.shape", "if dx[0] > 9:\n    raise ValueError(dx)"],
)
def test_what_is_said_of_gradients_falls_away(text: str) -> None:
    lines = ["p = np.exp(x)", "s = p.sum()", "dx = p * 1", *text.splitlines(), "return s, dx"]
    found = cut("import numpy as np\ndef f(x):\n" + "\n".join("    " + line for line in lines))
    assert found.lines("needed") == ["p = np.exp(x)", "s = p.sum()", "return (s, dx)"]
    assert found.lines("unread") == []


def test_plots_and_logs_stay_unless_they_show_gradients() -> None:
    source = """
    import logging
    import matplotlib.pyplot as plt

    log = logging.getLogger()

    def f(x):
        s = x.sum()
        dx = x * 0 + 1
        plt.plot(x)
        plt.plot(dx)
        log.info("%s", s)
        log.info("%s", dx)
        logging.debug("done")
        return s, dx
    """
    found = cut(source)
    assert found.lines("backward") == ["dx = x * 0 + 1", "plt.plot(dx)", "log.info('%s', dx)"]
    assert found.lines("unread") == []


@pytest.mark.parametrize("call", ["list(map(zero, [p]))", "sorted([p], key=zero)", "Net.made(p)", "later(p)"])
def test_functions_that_are_handed_on_or_cannot_be_read(call: str) -> None:
    source = f"""
    import numpy as np
    from elsewhere import *

    def zero(a):
        a[:] = 0
        return 1

    class Net:
        @classmethod
        def made(cls, a):
            a[:] = 0

        def loss(self, x):
            p = np.exp(x)
            own = {call}
            s = p.sum()
            return s, own
    """
    found = cut(source, "loss", ignored=["own"])
    assert len(found.slice.needed) == 4


def test_a_star_import_is_looked_up_by_name() -> None:
    other = read_module("def double(a):\n    return a * 2\n", "other.py")
    module = read_module("from .other import *\ndef f(x):\n    dx = double(x)\n    return x, dx", "model.py")
    node = module.functions["f"]
    asked: list[str] = []

    def imported(path: str) -> tuple[ast.FunctionDef, Module] | None:
        asked.append(path)
        return other.functions[path], other

    assert slice_function(node, Known(module, imported), own_backward(node)).backward == {node.body[0]}
    assert set(asked) == {"double"}


def test_what_is_unknown_stays() -> None:
    source = """
    from elsewhere import change, record

    def f(x, g):
        p = x * 2
        s = p.sum()
        dx = change(p)
        g(s)
        record(s)
        return s, dx
    """
    found = cut(source)
    assert found.lines("backward") == []
    assert len(found.slice.needed) == 6


def test_imported_functions_are_read_where_they_are_found() -> None:
    other = read_module("def change(a):\n    a[0] = 1\n\n\ndef double(a):\n    return a * 2\n", "other.py")
    source = (
        "from .other import change, double\ndef f(x):\n    p = x * 2\n    dx = {}(p)\n    s = p.sum()\n    return s, dx"
    )
    for name, kept in (("change", True), ("double", False)):
        module = read_module(source.format(name), "model.py")
        node = module.functions["f"]

        def imported(path: str) -> tuple[ast.FunctionDef, Module] | None:
            return other.functions[path.rpartition(".")[2]], other

        found = slice_function(node, Known(module, imported), own_backward(node))
        assert (node.body[1] in found.needed) is kept
        gate = slice_function(node, Known(module, pure=lambda path: path == ".other." + "double"), own_backward(node))
        assert (node.body[1] in gate.needed) is kept


def test_gradients_kept_in_an_object_fall_away_unless_they_are_read() -> None:
    source = """
    import numpy as np

    class Net:
        def __init__(self):
            self.W = 2.0
            self.grads = {}
            self.dW = 0

        def norm(self):
            return self.dW

        def loss(self, x):
            h = x * self.W
            self.h = h
            loss = (h * h).sum()
            self.dW = (2 * h * x).sum()
            self.grads["W"] = self.dW
            return loss
    """
    found = cut(source, "loss")
    assert found.lines("backward") == ["self.dW = (2 * h * x).sum()", "self.grads['W'] = self.dW"]
    for read in (
        "loss = loss + self.dW",
        "loss += self.norm()",
        "loss += abs(self.other())",
        "loss += abs(vars(self))",
    ):
        kept = cut(
            source.replace("            return loss\n", f"            {read}\n            return loss\n"), "loss"
        )
        assert "self.dW = (2 * h * x).sum()" in kept.lines("needed"), read


def test_dead_code_apart_from_the_gradients_is_told_apart() -> None:
    found = cut(
        """
        def f(x):
            unused = x * 3
            more = unused + 1
            s = x.sum()
            dx = x * 0 + 1
            dead = dx * 2
            for i in range(3):
                dead = dead + unused
            return s, dx
        """
    )
    assert found.lines("unread") == ["unused = x * 3", "more = unused + 1"]
    assert len(found.lines("backward")) == 4


def test_del_stays_where_its_name_does() -> None:
    found = cut(
        """
        def f(x):
            a = x * 2
            s = a.sum()
            del a
            dx = x * 0
            a = dx
            del a, dx
            dx = x * 0
            b = x * 3
            s = s + b.sum()
            del b
            return s, dx
        """
    )
    assert "del b" in found.lines("needed")
    assert "del a, dx" not in found.lines("needed")
    run_both(found, lambda: (X(3),))


def test_a_while_loop_a_with_and_a_try() -> None:
    found = cut(
        """
        import numpy as np

        def f(x, W):
            n = 0
            s = 0.0
            dW = W * 0
            while n < 3:
                with np.errstate(over="ignore"):
                    s = s + (x * W).sum()
                    dW += x
                try:
                    n += 1
                    dW *= 1
                except KeyError:
                    n = 5
                finally:
                    dW += 0
            return s, dW
        """
    )
    assert found.lines("backward") == ["dW = W * 0", "dW += x", "dW *= 1", "dW += 0"]
    run_both(found, lambda: (X(3), X(3)))


# Which results fall away


@pytest.mark.parametrize(
    ("parameters", "body", "expected"),
    [
        ("x", "return out, cache", {1: "cache"}),
        ("x", "return out, fc_cache, caches", {1: "cache", 2: "cache"}),
        ("x", "return cache", {}),
        ("x", "return cache, out", {}),
        ("x", "return loss, grads", {1: "gradient"}),
        ("x", "return grads", {}),
        ("W", "return loss, dW", {1: "gradient"}),
        ("w", "return loss, dW", {}),
        ("W, dW", "return loss, dW", {}),
        ("theta", "return J, theta_grad", {1: "gradient"}),
        ("theta", "grad = theta * 2\nreturn J, grad.flatten()", {1: "gradient"}),
        ("theta", "return J, grad / m", {1: "gradient"}),
        ("a, b", "grad_a = grad_b = a * b\nreturn J, np.concatenate([grad_a, grad_b])", {1: "gradient"}),
        ("a, b", "grad_a = a * b\nreturn J, np.concatenate([grad_a, b])", {}),
        ("x", "return y, dL_dx, dLdx, d_x", {1: "gradient", 2: "gradient", 3: "gradient"}),
        ("params", "W = params['W1']\nreturn loss, dW1", {1: "gradient"}),
        ("self, x", "h = self.W * x\nreturn h, dW", {1: "gradient"}),
        ("self, x", "return h, self.grads", {1: "gradient"}),
        ("x", "return loss, {'x': x}", {1: "display"}),
        ("x", "return loss, (x, y)", {1: "display"}),
        ("x", "inter = (x, y)\nreturn loss, inter", {1: "display"}),
        ("x", "inter = {}\ninter['a'] = x\nreturn loss, inter", {1: "display"}),
        ("x", "h = (x,)\nh = x * 2\nreturn loss, h", {}),
        ("x", "a, h = x, [x]\nreturn loss, a, h", {2: "display"}),
        ("x", "hs = {}\nreturn loss, hs[3]", {}),
        ("x", "h = x * dWxh\nh = Wxh * x\nreturn loss, dWxh", {1: "gradient"}),
        ("t", "T = t.T\nreturn T, dT", {}),
        ("x", "return loss, *grads", {1: "gradient"}),
    ],
)
def test_results_by_name(parameters: str, body: str, expected: dict[int, str]) -> None:
    lines = "\n".join("    " + line for line in body.splitlines())
    node = ast.parse(f"def f({parameters}):\n{lines}").body[0]
    assert isinstance(node, ast.FunctionDef)
    (found,) = own_backward_positions(node).values()
    assert found == expected


def test_each_return_has_its_own_positions() -> None:
    module = read_module(TWO_LAYER_NET, "model.py")
    early, last = own_backward_positions(module.functions["loss"]).values()
    assert early == {}
    assert last == {1: "gradient"}


def test_another_result_may_be_left_out() -> None:
    source = "def f(x):\n    a = x * 2\n    b = x * 3\n    c = b + 1\n    return a, c"
    assert cut(source, ignored=["c"]).lines("backward") == ["b = x * 3", "c = b + 1"]
    assert cut(source, ignored=["a"]).lines("backward") == ["a = x * 2"]
    assert cut(source, ignored=[]).lines("backward") == []


@pytest.mark.parametrize("block", range(10))
def test_random_functions_keep_their_results(block: int) -> None:
    for seed in range(block * 20, block * 20 + 20):
        found = cut(program(seed), "f", ignored=["own"])
        run_both(found, lambda: (np.array([0.1, -0.2, 0.3]), np.array([0.5, 0.2, -0.4]), {"W": np.ones(3)}))


def test_random_functions_are_cut_down() -> None:
    """The slices are no mere copies: a good part of what is written falls away."""
    slices = [cut(program(seed), "f", ignored=["own"]).slice for seed in range(100)]
    needed, rest = (sum(len(getattr(one, kind)) for one in slices) for kind in ("needed", "backward"))
    unread = sum(len(one.unread) for one in slices)
    assert rest + unread > needed / 4
