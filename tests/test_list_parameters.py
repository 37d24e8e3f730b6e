"""Parameters that are lists of arrays: their gradients are lists of the same form."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

from flatgrad.diagnostics import Refused
from tests.support import compiled, load

X = np.array([[0.7, -1.2, 0.4], [1.1, 0.3, -0.6]])

NET = """
import numpy as np


def f_forward(weights: list, biases: list, x: "N D"):
    h = x
    for W, b in zip(weights, biases):
        assert W.ndim == 2 and b.shape == W.shape[1:]
        h = np.tanh(h @ W + b)
    return np.sum(h ** 2)
"""
INDEXED = """
import numpy as np


def f_forward(weights: "list[np.ndarray]", biases: "List[np.ndarray]", x: "N D"):
    h = x
    for i in range(len(weights)):
        assert weights[i].ndim == 2
        assert biases[i].shape == weights[i].shape[1:]
        h = np.sin(h @ weights[i] + biases[i]) * np.sum(weights[-1] ** 2)
    return np.sum(h ** 2) + np.sum(weights[0] ** 3)
"""
NUMBERED = """
import numpy as np


def f_forward(weights: list, biases: list, x: "N D"):
    total = 0.0
    for i, W in enumerate(weights):
        total += (i + 1) * np.sum(W ** 2) * np.sum(biases[i])
    for b in reversed(biases):
        total = total * 0.5 + np.sum(np.sin(b)) + np.sum(x)
    return total
"""


def lists(layers: tuple[int, ...]) -> dict[str, Any]:
    rng = np.random.default_rng(0)
    sizes = list(itertools.pairwise(layers))
    weights = [rng.normal(size=size) for size in sizes]
    return {"weights": weights, "biases": [rng.normal(size=size[1]) for size in sizes], "x": X}


@pytest.mark.parametrize("source", [NET, INDEXED, NUMBERED], ids=["zip", "index", "enumerate"])
@pytest.mark.parametrize("layers", [(3, 4, 2), (3, 3), (3, 2, 5, 1)])
def test_gradients_of_lists(source: str, layers: tuple[int, ...]) -> None:
    given = lists(layers)
    text = compiled(source).text
    names = load(text)
    value = load(source)["f_forward"]
    before = [one.copy() for one in given["weights"]]
    out, gradients = names["f_value_and_grad"](**given)
    assert np.allclose(out, value(**given))
    assert all(np.array_equal(one, other) for one, other in zip(before, given["weights"], strict=True))
    for name, gradient in zip(("weights", "biases"), gradients, strict=False):
        assert isinstance(gradient, list)
        for position, part in enumerate(gradient):
            assert part.shape == given[name][position].shape
            direction = np.random.default_rng(1).normal(size=part.shape)

            def moved(by: float, name: str = name, position: int = position, direction: Any = direction) -> float:
                changed = list(given[name])
                changed[position] = changed[position] + by * direction
                return float(value(**{**given, name: changed}))

            expected = (moved(1e-5) - moved(-1e-5)) / 2e-5
            assert abs(np.sum(part * direction) - expected) < 1e-6 * (1 + abs(expected))


def test_the_text_is_what_one_would_write() -> None:
    text = compiled(NET).text
    assert "dweights = [np.zeros(np.shape(one), np.result_type(one, 0.0)) for one in weights]" in text
    assert "dweights[k] += dW" in text


def test_a_list_that_numpy_is_given_is_an_array() -> None:
    text = compiled("import numpy as np\n\n\ndef f_forward(ws: list):\n    return np.sum(np.sin(ws)) + ws[0]\n").text
    names = load(text)
    _, gradient = names["f_value_and_grad"]([0.5, 0.25])
    assert np.allclose(gradient, np.cos([0.5, 0.25]) + np.array([1.0, 0.0]))


def test_an_element_that_is_changed_in_place_is_refused_or_right() -> None:
    source = (
        "import numpy as np\n\n\ndef f_forward(ws: list):\n    w = ws[0]\n    w *= 2\n    return np.sum(ws[0] ** 2)\n"
    )
    with pytest.raises(Refused):
        compiled(source)
