"""Arguments that are drawn: from what the compiler knows, and for code that it refuses, by reading and by trial."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest

from flatgrad.checking.inputs import NoArguments, describe, draw, draw_until, drawn, fit, placed, split
from flatgrad.checking.messages import mismatches
from flatgrad.options import Options

# The compiler has no gate for it: what follows is drawn by reading and by trial alone.
REFUSED = "    np.unwrap(np.zeros(3))\n"
HEAD = "import numpy as np\n"


def shapes(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: shapes(one) for name, one in value.items()}
    return np.shape(value)


def accepted(source: str, function: str = "f", size: int = 0, seed: int = 0) -> dict[str, Any]:
    """Arguments that the function takes without an exception, and gives something finite for."""
    names: dict[str, Any] = {}
    exec(compile(source, "m.py", "exec"), names)
    name, _, method = function.partition(".")

    def run(arguments: dict[str, Any]) -> None:
        given = copy.deepcopy(arguments)
        if isinstance(names[name], type):
            parts = split(given)
            result = getattr(placed(names[name], parts), method or "forward")(**parts.arguments)
        else:
            result = names[name](**given)
        first = result[0] if isinstance(result, tuple) else result
        if not np.size(first) or not np.all(np.isfinite(first)):
            raise FloatingPointError("not finite")

    with np.errstate(all="ignore"):
        found = draw_until(describe(source, "m.py", function, Options()), seed, size, run)
        run(found)
    return found


NETWORK = (
    HEAD + "def f(X, y, W1, b1, W2, b2, reg):\n" + REFUSED + "    h = np.maximum(0, X.dot(W1) + b1)\n"
    "    scores = h.dot(W2) + b2\n    p = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)\n"
    "    loss = -np.log(p[range(X.shape[0]), y]).mean() + reg * np.sum(W1 * W1)\n    return loss, {}\n"
)


@pytest.mark.parametrize("size", [0, 1, 2, 3])
def test_a_network_that_the_compiler_refuses(size: int) -> None:
    found = accepted(NETWORK, size=size)
    (N, D), (H, C) = found["X"].shape, found["W2"].shape
    assert {name: np.shape(value) for name, value in found.items()} == {
        "X": (N, D), "y": (N,), "W1": (D, H), "b1": (H,), "W2": (H, C), "b2": (C,), "reg": ()
    }  # fmt: skip
    assert found["y"].dtype.kind == "i"
    assert 0 <= found["y"].min() <= found["y"].max() < C
    if size == 0:
        assert len({N, D, H, C}) == 4


def test_gates_side_by_side_in_one_matrix() -> None:
    source = (
        HEAD + "def f(x, prev_h, prev_c, Wx, Wh, b):\n" + REFUSED + "    H = prev_h.shape[1]\n"
        "    a = x.dot(Wx) + prev_h.dot(Wh) + b\n    i, f = a[:, :H], a[:, H : 2 * H]\n"
        "    o, g = a[:, 2 * H : 3 * H], np.tanh(a[:, 3 * H :])\n    c = f * prev_c + i * g\n"
        "    return o * np.tanh(c), c\n"
    )
    found = accepted(source)
    (N, D), H = found["x"].shape, found["prev_h"].shape[1]
    assert shapes(found) == {
        "x": (N, D), "prev_h": (N, H), "prev_c": (N, H), "Wx": (D, 4 * H), "Wh": (H, 4 * H), "b": (4 * H,)
    }  # fmt: skip


def test_windows_strides_and_pads() -> None:
    source = (
        HEAD + "def f(x, w, b, conv_param):\n" + REFUSED + "    N, C, H, W = x.shape\n    F, C, HH, WW = w.shape\n"
        "    s, p = conv_param['stride'], conv_param['pad']\n"
        "    xp = np.pad(x, ((0, 0), (0, 0), (p, p), (p, p)))\n"
        "    out = np.zeros((N, F, 1 + (H + 2 * p - HH) // s, 1 + (W + 2 * p - WW) // s))\n"
        "    for i in range(out.shape[2]):\n        for j in range(out.shape[3]):\n            for k in range(F):\n"
        "                window = xp[:, :, i * s : i * s + HH, j * s : j * s + WW]\n"
        "                out[:, k, i, j] = np.sum(window * w[k], axis=(1, 2, 3)) + b[k]\n    return out\n"
    )
    geometry = set()
    for size in range(6):
        found = accepted(source, size=size)
        assert found["x"].shape[1] == found["w"].shape[1]
        assert found["b"].shape == found["w"].shape[:1]
        geometry.add((found["conv_param"]["stride"], found["conv_param"]["pad"]))
    assert {stride for stride, _ in geometry} == {1, 2}
    assert {pad for _, pad in geometry} == {0, 1}


def test_modes_and_what_they_read() -> None:
    source = (
        HEAD + "def f(x, gamma, beta, bn_param):\n" + REFUSED + "    eps = bn_param.get('eps', 1e-5)\n"
        "    if bn_param['mode'] == 'train':\n        m, v = x.mean(axis=0), x.var(axis=0)\n"
        "    elif bn_param['mode'] == 'test':\n        m, v = bn_param['running_mean'], bn_param['running_var']\n"
        "    return gamma * (x - m) / np.sqrt(v + eps) + beta\n"
    )
    first, other = accepted(source, size=0), accepted(source, size=3)
    assert first["bn_param"]["mode"] == "train"
    assert other["bn_param"]["mode"] == "test"
    D = other["x"].shape[1]
    assert other["bn_param"]["running_var"].shape == other["gamma"].shape == (D,)
    assert other["bn_param"]["running_var"].min() > 0


def test_ranges_that_only_a_trial_shows() -> None:
    source = HEAD + "def f(x, q):\n" + REFUSED + "    z = np.sum(np.log(1 - q)) + np.sum(x**0.5)\n    return z\n"
    found = accepted(source)
    assert np.all(np.asarray(found["x"]) > 0)
    assert np.all(np.asarray(found["q"]) < 1)


def test_covariances() -> None:
    source = (
        HEAD + "def f(x, mu, Sigma):\n" + REFUSED + "    L = np.linalg.cholesky(Sigma)\n"
        "    d = np.linalg.solve(L, x - mu)\n    return np.sum(d * d) + np.log(np.diag(L)).sum()\n"
    )
    spread = accepted(source)["Sigma"]
    np.testing.assert_array_equal(spread, spread.T)
    assert np.linalg.eigvalsh(spread).min() > 0.1


def test_what_docstrings_say_in_their_own_words() -> None:
    source = HEAD + (
        'def f(w, b, X, Y, t):\n    """\n    w -- weights, an array of size (num_px * 3, 1)\n    b -- bias, a scalar\n'
        "    X -- data of size (num_px * 3, number of examples)\n"
        '    Y -- true "label" vector (0 if no, 1 if yes) of size (1, number of examples)\n'
        '    t: one-hot targets of shape (number of examples, C)\n    """\n'
    )
    source += REFUSED + "    A = np.tanh(np.dot(w.T, X) + b)\n    return np.sum((A - Y) ** 2) + np.sum(A @ t)\n"
    found = accepted(source)
    n, m = found["X"].shape
    assert shapes(found) == {"w": (n, 1), "b": (), "X": (n, m), "Y": (1, m), "t": (m, found["t"].shape[1])}


def test_one_hot_labels_by_comparison() -> None:
    source = HEAD + "def f(s, y):\n" + REFUSED + "    return np.sum(s * (np.arange(s.shape[1]) == y[:, None]))\n"
    found = accepted(source)
    assert found["y"].dtype.kind == "i"
    assert found["y"].shape == found["s"].shape[:1]


LINEAR = (
    "class Linear:\n    def __init__(self, n_in, n_out):\n        self.W = np.random.randn(n_in, n_out)\n"
    "        self.b = np.zeros(n_out)\n\n    def forward(self, x):\n        return x @ self.W + self.b\n"
)


def test_a_class_by_its_constructor_and_attributes() -> None:
    found = accepted(HEAD + LINEAR, "Linear")
    n, m = found["self.W"].shape
    assert (found["__init__.n_in"], found["__init__.n_out"]) == (n, m)
    assert found["self.b"].shape == (m,)
    assert found["x"].shape[1] == n
    parts = split(found)
    names: dict[str, Any] = {}
    exec(HEAD + LINEAR, names)
    made = placed(names["Linear"], parts)
    assert made.W is parts.attributes["W"]


def test_a_class_that_is_refused_is_made_by_its_constructor() -> None:
    source = HEAD + LINEAR.replace("        return x @", "        np.unwrap(np.zeros(3))\n        return x @")
    found = accepted(source, "Linear.forward")
    assert found["x"].shape[1] == found["__init__.n_in"]
    assert not any(name.startswith("self.") for name in found)


def test_a_class_without_a_constructor() -> None:
    source = HEAD + "class Scale:\n    def forward(self, x):\n        return x @ self.W\n"
    found = accepted(source, "Scale")
    assert found["x"].shape[1] == found["self.W"].shape[0]


def test_keys_that_are_put_together() -> None:
    source = (
        HEAD + "def f(params, X, y):\n" + REFUSED + "    L = len(params) // 2\n    h = X\n"
        "    for i in range(1, L + 1):\n        h = np.tanh(h @ params['W' + str(i)] + params[f'b{i}'])\n"
        "    return h[np.arange(len(y)), y].sum()\n"
    )
    found = accepted(source)
    params = found["params"]
    assert sorted(params) == ["W1", "W2", "W3", "b1", "b2", "b3"]
    assert params["W1"].shape[1] == params["W2"].shape[0]
    assert params["b3"].shape == params["W3"].shape[1:]


def test_the_same_seed_draws_the_same() -> None:
    parameters = describe(NETWORK, "m.py", "f", Options())
    first, again, other = draw(parameters, 1, 0), draw(parameters, 1, 0), draw(parameters, 2, 0)
    np.testing.assert_array_equal(first["X"], again["X"])
    assert first["reg"] != other["reg"]


def test_what_nothing_fits_is_said_with_its_own_exception() -> None:
    def never(arguments: dict[str, Any]) -> None:
        raise ValueError("no such thing")

    with pytest.raises(NoArguments, match="ValueError: no such thing") as caught:
        fit(describe(NETWORK, "m.py", "f", Options()), never)
    assert isinstance(caught.value.last, ValueError)


def test_a_fit_is_used_for_many_sizes() -> None:
    names: dict[str, Any] = {}
    exec(NETWORK, names)
    runs = 0

    def run(arguments: dict[str, Any]) -> None:
        nonlocal runs
        runs += 1
        names["f"](**arguments)

    fitted = fit(describe(NETWORK, "m.py", "f", Options()), run)
    tried = runs
    for size in range(4):
        drawn(fitted, 0, size, run)
    assert runs - tried <= 12


@pytest.mark.parametrize(
    "operation",
    [
        lambda: np.zeros((2, 3)) @ np.zeros((5, 7)),
        lambda: np.zeros((2, 3)).dot(np.zeros((5, 7))),
        lambda: np.zeros((2, 3)) + np.zeros((2, 5)),
        lambda: np.zeros((2, 3)).__iadd__(np.zeros(5)),
        lambda: np.concatenate([np.zeros((2, 3)), np.zeros((2, 5))], axis=0),
        lambda: np.zeros((2, 3)).__setitem__(0, np.zeros(5)),
        lambda: np.zeros((2, 3))[:, np.zeros(5, bool)],
    ],
)
def test_numpy_says_which_two_sizes_do_not_fit(operation: Any) -> None:
    with pytest.raises((ValueError, IndexError)) as caught:
        operation()
    assert set(mismatches(str(caught.value))[0]) == {3, 5}, caught.value


def test_an_index_tells_the_bound() -> None:
    with pytest.raises(IndexError) as caught:
        np.zeros((2, 3))[[0, 1], [0, 6]]
    assert mismatches(str(caught.value)) == ((7, 3),)
    assert mismatches("something else") == ()
