"""What gradients belong to, in modules as people write them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from flatgrad.checking.contract import Unmatched, gradients_of, pairs, variable_of


def names_of(text: str) -> dict[str, Any]:
    names: dict[str, Any] = {}
    exec(text, names)
    return names


@pytest.mark.parametrize(
    ("gradient", "variable"),
    [
        ("dW1", "W1"),
        ("d_W1", "W1"),
        ("dLdW1", "W1"),
        ("dL_dW1", "W1"),
        ("dloss_dW1", "W1"),
        ("grad_W1", "W1"),
        ("W1_grad", "W1"),
        ("W1", "W1"),
        ("delta", None),
        ("ddelta", "delta"),
        ("dx2", None),
    ],
)
def test_the_variable_that_a_gradient_is_named_for(gradient: str, variable: str | None) -> None:
    assert variable_of(gradient, ["x", "W1", "delta"] if gradient != "delta" else ["x", "W1"]) == variable


def test_pairs_of_a_module() -> None:
    text = (
        "def f_forward(x, w):\n    return x * w, (x, w)\n\n"
        "def f_backward(dout, cache):\n    x, w = cache\n    return dout * w, dout * x\n\n"
        "def g_forward(x):\n    return x, x\n\n"
        "def h_value_and_grad(x):\n    return x * x, 2 * x\n\n"
        "class A:\n    def forward(self, x):\n        return x\n    def backward(self, dout):\n        return dout\n\n"
        "class B:\n    def forward(self, x):\n        return x\n"
    )
    found = pairs(names_of(text), text)
    assert [(pair.name, pair.upstream) for pair in found] == [("f", 1), ("h", 0), ("A", 1)]
    assert found[0].gradients == ("", "")


def test_the_head_of_a_generated_module_tells_gradients_that_the_return_statement_does_not() -> None:
    text = (
        '"""Written.\n\nf_forward(x, w)          -> y, cache\nf_backward(dy, cache)    -> dx, dw\n"""\n'
        "def f_forward(x, w):\n    return x * w, (x, w)\n"
        "def f_backward(dy, cache):\n    x, w = cache\n    dx2, dw = dy * w, dy * x\n    return dx2, dw\n"
    )
    assert pairs(names_of(text), text)[0].gradients == ("dx", "dw")


X, W, B = np.zeros((2, 3)), np.zeros((3, 4)), np.zeros(4)
VARIABLES = {"x": X, "w": W, "b": B}


def test_gradients_by_the_names_in_the_return_statement() -> None:
    assert list(gradients_of((W, X), ("dw", "dx"), VARIABLES)) == ["w", "x"]


def test_gradients_in_a_dict() -> None:
    assert list(gradients_of({"dw": W, "x": X}, (), VARIABLES)) == ["w", "x"]


def test_gradients_of_the_entries_of_a_parameter() -> None:
    params = {"W1": W, "b1": B}
    assert gradients_of({"W1": W, "b1": B}, ("grads",), {"params": params, "x": X}) == {"params": {"W1": W, "b1": B}}
    found = gradients_of({"W1": W, "b1": B}, ("dparams",), {"params": params})
    assert found == {"params": {"W1": W, "b1": B}}


def test_gradients_without_names_by_their_shapes() -> None:
    assert list(gradients_of((B, X), ("", ""), VARIABLES)) == ["b", "x"]
    assert list(gradients_of((X, W, B), ("", "", ""), VARIABLES)) == ["x", "w", "b"]


def test_gradients_that_could_belong_to_two_are_not_guessed() -> None:
    with pytest.raises(Unmatched, match="gradient 1 of 2"):
        gradients_of((X, B), ("", ""), {"x": X, "y": X, "b": B})
    with pytest.raises(Unmatched, match="two of the gradients"):
        gradients_of((X, X), ("dx", "d_x"), VARIABLES)
