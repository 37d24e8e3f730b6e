"""Constructs that are read as simpler ones: each against differences, and what must not be read so."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from flatgrad.diagnostics import Refused
from tests.support import check_module, compiled

HEAD = "import numpy as np\n\n\n"


def drawn(*shape: int) -> Any:
    return np.random.default_rng(sum(shape) + len(shape)).normal(size=shape)


def params() -> dict[str, Any]:
    return {"W1": drawn(4, 3), "b1": drawn(3), "W2": drawn(3, 2)}


def check(body: str, inputs: dict[str, Any], signature: str, before: str = "", **options: Any) -> str:
    lines = "".join(f"    {line}\n" for line in body.split("\n"))
    source = f"{HEAD}{before}def f({signature}):\n{lines}"
    chosen: dict[str, Any] = {"functions": ("f",), **options}
    check_module(source, inputs, function="f", **chosen)
    return compiled(source, **chosen).text


def refused(body: str, signature: str, before: str = "") -> list[str]:
    lines = "".join(f"    {line}\n" for line in body.split("\n"))
    with pytest.raises(Refused) as found:
        compiled(f"{HEAD}{before}def f({signature}):\n{lines}", functions=("f",))
    return [one.code for one in found.value.diagnostics]


# Sums and comprehensions


@pytest.mark.parametrize(
    "total",
    [
        "sum(np.sum(W**2) for W in params.values())",
        "sum([np.sum(params[k] ** 2) for k in params])",
        'sum(np.sum(params[k] ** 2) for k in sorted(params) if k.startswith("W"))',
        'np.sum([np.sum(W**2) for k, W in params.items() if "b" not in k])',
        "sum((np.sum(W**2) for W in params.values()), 1.5)",
    ],
)
def test_a_sum_over_a_dict(total: str) -> None:
    body = f'h = x @ params["W1"] + params["b1"]\nreturn np.sum(h @ params["W2"]) + 0.5 * reg * {total}'
    text = check(body, {"x": drawn(2, 4), "params": params(), "reg": 0.3}, 'x: "N D", params, reg: float')
    assert "dparams[k" in text


@pytest.mark.parametrize("T", [0, 1, 4])
@pytest.mark.parametrize(
    "body",
    [
        "return sum(np.tanh(x[t] @ w) ** 2 for t in range(x.shape[0]))",
        "s = 1.0\ns -= sum(np.sum((a - w) ** 2) for a in x)\nreturn s",
        "s = np.sum(w)\ns *= sum(a @ w for a in x)\nreturn s",
        "t = w @ w\nreturn t * sum(x[t] @ w for t in range(len(x))) + t",
        "hs = [x[t] @ w for t in range(x.shape[0])]\nhs = [h**2 for h in hs]\nreturn np.sum(np.array(hs))",
        "return sum(x[i] @ x[j] for i in range(len(x)) for j in range(len(x)) if i != j) + np.sum(w)",
    ],
)
def test_over_arrays_and_ranges(body: str, T: int) -> None:
    check(body, {"x": drawn(T, 3), "w": drawn(3)}, 'x: "T D", w: "D"')


def test_a_sum_of_known_arrays_stays_as_it_is() -> None:
    body = "Ws = [W1, W2]\nreturn np.sum(x @ W1 @ W2) + reg * np.sum([np.sum(W * W) for W in Ws])"
    inputs = {"x": drawn(2, 4), "W1": drawn(4, 3), "W2": drawn(3, 2), "reg": 0.3}
    text = check(body, inputs, 'x: "N D", W1: "D M", W2: "M K", reg: float')
    assert "np.sum([np.sum(W * W) for W in Ws])" in text
    assert "dW1 = dout * reg * 2 * W1" in text or "dW1 += dout * reg * 2 * W1" in text


@pytest.mark.parametrize(
    "body",
    [
        # Worked out on one way only.
        "return np.sum(w) if flag else sum(a[0] / w[0] for a in x)",
        "return flag and sum(a @ w for a in x)",
        # What the statement changes before.
        "hs = [w]\nreturn np.sum(hs.pop()) + sum(a @ w for a in x)",
        # The draws of a program stand in their order.
        "return np.random.rand() + sum(a @ w * np.random.rand() for a in x)",
        # Functions that read the variable later.
        "gs = [lambda v: v * k for k in range(len(x))]\nreturn gs[0](w[0]) + gs[1](w[1])",
    ],
)
def test_what_is_not_written_before_its_statement(body: str) -> None:
    assert refused(body, 'x: "T D", w: "D", flag: bool')


@pytest.mark.parametrize(
    "made",
    [
        "{k: 0.5 * v for k, v in params.items()}",
        "{k: np.tanh(params[k]) for k in params}",
        '{k: v * v for k, v in params.items() if not k.startswith("c")}',
        '{k: v if k.startswith("b") else 2 * v for k, v in params.items()}',
    ],
)
def test_a_dict_made_of_another(made: str) -> None:
    body = f'd = {made}\nreturn np.sum(np.tanh(x @ d["W1"] + d["b1"]) @ d["W2"])'
    check(body, {"x": drawn(2, 4), "params": params()}, 'x: "N D", params')


@pytest.mark.parametrize(
    "body",
    [
        'd = {k: 2 * v for k, v in params.items() if k == "b1"}\nreturn np.sum(x @ d["W1"])',
        'd = {k: 2 * v for k, v in params.items()}\nd["W1"] = x.T\nreturn np.sum(x @ d["W1"])',
        'd = {k: 2 * v for k, v in params.items()}\nreturn np.sum(x @ d["W1"]) * len(d)',
        # W3 need not be there.
        'd = {k: 2 * v for k, v in params.items()}\ny = x @ d["W1"]\nif flag:\n    y = y @ d["W3"]\nreturn np.sum(y)',
        'd = {k: 2 * v for k, v in params.items()}\nif flag:\n    return np.sum(x)\nreturn np.sum(x @ d["W3"])',
    ],
)
def test_a_dict_whose_entries_are_not_known(body: str) -> None:
    assert refused(body, 'x: "N D", params, flag: bool = False')


# Returns in loops


@pytest.mark.parametrize("limit", [0.01, 2.0, 1000.0])
@pytest.mark.parametrize(
    "body",
    [
        (
            "s = 0.0\nfor t in range(len(x)):\n    s += np.sum(x[t] ** 2)\n"
            "    if s > limit:\n        return s * x[t, 0]\nreturn s"
        ),
        "s = 0.0\nfor row in x:\n    s += np.sum(row**2)\n    if s > limit:\n        return s\nreturn s",
        (
            "s = 0.0\nfor i in range(len(x)):\n    for j in range(x.shape[1]):\n        s += x[i, j] ** 2\n"
            "        if s > limit:\n            return s * x[i, j]\n"
            "    if s > 0.5 * limit:\n        return -s\nreturn s"
        ),
        "s = np.sum(x**2)\nwhile True:\n    s = 2 * s\n    if s > limit:\n        return s",
        (
            "s = np.sum(x**2)\nwhile True:\n    s = 2 * s\n    if s > 10 * limit:\n        return s**2\n"
            "    if s > limit:\n        return s"
        ),
    ],
)
def test_a_return_in_a_loop(body: str, limit: float) -> None:
    check(body, {"x": drawn(3, 2), "limit": limit}, 'x: "N D", limit: float', wrt=("x",))


# Functions that are known


TABLE = 'ACT = {"tanh": np.tanh, "square": lambda v: v**2}\n\n\n'
RNN = (
    'def rnn(cell, x: "T D", w: "D"):\n    h = 0.0 * w\n    for t in range(x.shape[0]):\n'
    "        h = cell(h + x[t] * w)\n    return h\n\n\n"
)


@pytest.mark.parametrize("T", [0, 1, 3])
@pytest.mark.parametrize(
    ("before", "body"),
    [
        (TABLE, 'return np.sum(ACT["tanh"](x) @ ACT["square"](w))'),
        (TABLE, 'name = "square"\nact = ACT[name]\nreturn np.sum(act(x @ w))'),
        (RNN, "return np.sum(rnn(np.tanh, x, w) * rnn(np.sin, x, w))"),
        (RNN, "return np.sum(rnn(x=x, w=w, cell=lambda v: v**2))"),
        (RNN + TABLE, 'return np.sum(rnn(ACT["tanh"], x, w))'),
    ],
)
def test_functions_by_other_names(before: str, body: str, T: int) -> None:
    check(body, {"x": drawn(T, 3), "w": drawn(3)}, 'x: "T D", w: "D"', before)


def test_a_copy_for_each_function() -> None:
    body = "return np.sum(rnn(np.tanh, x, w) + rnn(np.sin, x, w) * rnn(np.tanh, x, w))"
    text = check(body, {"x": drawn(2, 3), "w": drawn(3)}, 'x: "T D", w: "D"', RNN)
    assert text.count("def rnn_tanh_backward") == text.count("def rnn_sin_backward") == 1


@pytest.mark.parametrize(
    ("before", "body"),
    [
        (TABLE + 'ACT["tanh"] = np.sin\n\n\n', 'return np.sum(ACT["tanh"](x @ w))'),
        (TABLE + 'OTHER = ACT\nOTHER["tanh"] = np.sin\n\n\n', 'return np.sum(ACT["tanh"](x @ w))'),
        (TABLE + "ACT.update(tanh=np.sin)\n\n\n", 'return np.sum(ACT["tanh"](x @ w))'),
        (
            "class F:\n    @staticmethod\n    def act(v):\n        return v * v\n\n\nF.act = np.sin\n\n\n",
            "return np.sum(F.act(x @ w))",
        ),
        (
            "class F:\n    eps = 2.0\n\n    @staticmethod\n    def act(v, eps=eps):\n        return v * eps\n\n\n",
            "return np.sum(F.act(x @ w))",
        ),
        (
            "class F:\n    def act(v):\n        return v * v\n\n\n",
            "F = [x]\nreturn np.sum(F.act(x @ w))",
        ),
    ],
)
def test_functions_that_are_not_known(before: str, body: str) -> None:
    assert refused(body, 'x: "T D", w: "D"', before)


def test_static_methods_of_a_base_that_call_each_other() -> None:
    before = (
        "class Base:\n    @staticmethod\n    def square(v):\n        return v**2\n\n\n"
        "class F(Base):\n    @staticmethod\n    def act(v):\n        return np.tanh(F.square(v))\n\n\n"
    )
    check(
        "return np.sum(F.act(x @ w)) + np.sum(F.square(w))",
        {"x": drawn(2, 3), "w": drawn(3)},
        'x: "T D", w: "D"',
        before,
    )


def test_what_is_made_of_others_is_no_entry() -> None:
    source = (
        f"{HEAD}class F:\n    @staticmethod\n    def act(v):\n        return np.tanh(v)\n\n\n"
        'def f(x: "N"):\n    return np.sum(F.act(x))\n'
    )
    assert [entry.name for entry in compiled(source).entries] == ["f"]


# Normal distributions


@pytest.mark.parametrize("function", ["pdf", "logpdf", "cdf", "sf", "ppf"])
@pytest.mark.parametrize("arguments", ["x, mu, sigma", "x, loc=mu", "x, scale=sigma", "x, mu, scale=sigma"])
@pytest.mark.parametrize("module", ["from scipy.stats import norm", "from scipy import stats", "import scipy.stats"])
def test_a_normal_distribution(function: str, arguments: str, module: str) -> None:
    norm = {"from scipy.stats import norm": "norm", "from scipy import stats": "stats.norm"}.get(
        module, "scipy.stats.norm"
    )
    inputs = {"x": np.array([0.2, 0.5, 0.7]), "mu": 0.3, "sigma": 1.2}
    signature = 'x: "N", mu: float, sigma: float'
    body = f"return np.sum({norm}.{function}({arguments})) + mu * sigma"
    check(body, inputs, signature, f"{module}\n\n\n")


# Layers by their names


LAYERS = (
    "class Square:\n    def forward(self, x):\n        return x * x\n\n\n"
    "class Sine:\n    def forward(self, x):\n        return np.sin(x)\n\n\n"
    'class Net:\n    def __init__(self):\n        self.layers = {"first": Square(), "second": Sine()}\n\n'
)
NAMED = (
    "for name, layer in self.layers.items():\n            x = layer.forward(x)",
    "for name in self.layers:\n            x = self.layers[name].forward(x)",
    "for name in self.layers.keys():\n            x = self.layers[name].forward(x)",
)


@pytest.mark.parametrize("loop", NAMED)
def test_layers_by_their_names(loop: str) -> None:
    source = f"{HEAD}{LAYERS}    def loss(self, x):\n        {loop}\n        return np.sum(x)\n"
    result = compiled(source, functions=("Net.loss",))
    assert "for layer in reversed(self.layers.values()):" in result.text
    names: dict[str, Any] = {}
    exec(result.text, names)
    net, x = names["Net"](), drawn(2, 3)
    np.testing.assert_allclose(net.loss(x), np.sum(np.sin(x * x)))
    np.testing.assert_allclose(net.loss_backward(1.0), np.cos(x * x) * 2 * x)


@pytest.mark.parametrize(
    "loop",
    [
        "for name, layer in self.layers.items():\n            x = layer.forward(x)\n            self.last = name",
        "for name in self.layers:\n            x = self.layers[name].forward(self.layers[name].forward(x))",
    ],
)
def test_layers_that_are_not_gone_through_once(loop: str) -> None:
    source = f"{HEAD}{LAYERS}    def loss(self, x):\n        {loop}\n        return np.sum(x)\n"
    with pytest.raises(Refused):
        compiled(source, functions=("Net.loss",))
