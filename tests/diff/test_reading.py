"""Homeworks in many styles: read, then run as the reading says."""

from __future__ import annotations

import json

import numpy as np
import pytest

from flatgrad.diagnostics import Refused
from flatgrad.diff.reading.models import joined, read_model_forward
from flatgrad.diff.reading.reading import read_homework
from tests.diff.reading_driver import check
from tests.diff.reading_samples import SAMPLES, Sample


@pytest.mark.parametrize("sample", SAMPLES, ids=[one.name for one in SAMPLES])
def test_a_sample_is_read_and_runs_as_read(sample: Sample) -> None:
    (homework,) = [one for one in read_homework(sample.text, "homework.py") if one.function == sample.function]
    assert homework.style is sample.style
    assert {text: homework.gradients.get(text) for text in sample.gradients} == sample.gradients
    assert not homework.gradients.keys() & set(sample.absent)
    if sample.upstream is not None:
        assert homework.upstream == sample.upstream
    assert check(homework, sample.arguments, sample.make) == sample.variables


AFFINE_BACKWARD = """import numpy as np


def affine_backward(dout, cache):
    x, w, b = cache
    dx = dout.dot(w.T)
    dw = x.T.dot(dout)
    db = helper(dout)
    return dx, dw, db


def helper(dout):
    return dout.sum(axis=0)
"""
AFFINE_FORWARD = """import numpy as np
import math

SCALE = 1.0
UNUSED = 3


def helper(x, w):
    return SCALE * x.dot(w)


def other(x):
    return x


def affine_forward(x, w, b):
    out = helper(x, w) + b
    return out, (x, w, b)
"""
AFFINE = {"x": np.ones((2, 3)), "w": np.arange(6.0).reshape(3, 2), "b": np.zeros(2)}


def refused(text: str, filename: str = "homework.py", functions: tuple[str, ...] = ()) -> list[str]:
    with pytest.raises(Refused) as caught:
        read_homework(text, filename, functions)
    return [f"{one.code} {one.message}" for one in caught.value.diagnostics]


def test_what_cannot_be_read_is_refused() -> None:
    assert refused("def f(:\n") == ["FG001 not valid Python: invalid syntax"]
    assert refused("print 3\n") == ["FG002 this is Python 2: the print statement"]
    assert refused("x = 3\ny = x * 2\n") == ["FG100 no backward pass by hand is found in homework.py"]
    assert refused("") == ["FG100 no backward pass by hand is found in homework.py"]
    assert refused("{", "homework.ipynb")[0].startswith("FG004")
    assert refused(AFFINE_BACKWARD) == ["FG102 affine_backward has no forward function beside it"]
    text = "def f_forward(x):\n    return 2 * x\n\ndef f_backward(dout, mask, rows):\n    return 2 * dout\n"
    assert refused(text) == ["FG101 nothing says what mask and rows of f_backward are"]


def test_python_2_that_is_valid_python_3_is_refused() -> None:
    text = "def f(W):\n    loss, dW = 0.0, 0 * W\n    for i in xrange(3):\n        loss += W[i]\n        dW[i] = 1\n"
    assert refused(f"{text}    return loss, dW\n") == ["FG002 this is Python 2: `xrange`"]


TWO = """
def f_forward(x):
    return 2 * x

def f_backward(dout):
    return 2 * dout

class Scale:
    def forward(self, x):
        return 3 * x

    def backward(self, dout):
        dx = 3 * dout
        return dx
"""


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ((), ["f", "Scale"]),
        (("f",), ["f"]),
        (("f_forward",), ["f"]),
        (("f_backward",), ["f"]),
        (("Scale",), ["Scale"]),
        (("Scale.backward",), ["Scale"]),
        (("Scale", "f"), ["f", "Scale"]),
    ],
)
def test_functions_are_chosen(asked: tuple[str, ...], found: list[str]) -> None:
    assert [one.function for one in read_homework(TWO, "homework.py", asked)] == found


def test_a_function_that_is_not_there() -> None:
    assert refused(TWO, functions=("g",)) == ["FG060 homework.py has no backward pass by hand for g"]


def test_names_that_the_user_says() -> None:
    text = "def f(w, x):\n    loss = w * x\n    u = x\n    rate = w\n    return loss, {'w': u, 'x': rate}\n"
    (homework,) = read_homework(text, "homework.py", (), {"u": "w", "rate": "x"})
    assert homework.gradients == {"u": "w", "rate": "x"}
    assert check(homework, {"w": 2.0, "x": 3.0}) == {"w", "x"}


def test_a_helper_that_differentiates_is_left_alone_beside_homework() -> None:
    text = "def s(x):\n    return x * x\n\ndef s_derivative(x):\n    return 2 * x\n"
    assert [one.function for one in read_homework(text, "homework.py")] == ["s"]
    assert [one.function for one in read_homework(text + TWO, "homework.py")] == ["f", "Scale"]
    assert [one.function for one in read_homework(text + TWO, "homework.py", ("s",))] == ["s"]


def test_a_notebook_says_where_its_lines_are() -> None:
    cells = ["%matplotlib inline\nimport numpy as np", TWO.strip(), "!ls\nf_forward(3)"]
    document = {"cells": [{"cell_type": "code", "source": one} for one in cells], "nbformat": 4, "metadata": {}}
    first, second = read_homework(json.dumps(document), "homework.ipynb")
    line = first.text.split("\n").index("def f_backward(dout):")
    assert first.places[line] == (2, 4)
    assert len(first.places) >= first.text.count("\n")
    assert {first.places[one - 1] for one in first.backward_lines} == {(2, 5)}
    assert check(first, {"x": 2.0}) == {"x"}
    assert check(second, {"x": 2.0}, "Scale()") == {"x"}


def test_forward_and_backward_statements_of_one_loop_are_told_apart() -> None:
    text = next(one.text for one in SAMPLES if one.name == "svm naive")
    (homework,) = read_homework(text, "homework.py")
    lines = text.split("\n")
    assert {lines[one - 1].strip().split(" #")[0] for one in homework.backward_lines} == {
        "dW = np.zeros(W.shape)",
        "dW[:,j] += X[i,:].T",
        "dW[:,y[i]] -= X[i,:].T",
        "dW /= num_train",
        "dW += 2 * reg * W",
    }


def test_a_loop_that_trains_is_run_once() -> None:
    text = next(one.text for one in SAMPLES if one.name == "script that trains")
    (homework,) = read_homework(text, "homework.py")
    changed = [one for one, other in zip(homework.text.split("\n"), text.split("\n"), strict=True) if one != other]
    assert changed == ["for epoch in range(1):"]
    assert homework.script_result == "loss"


def test_an_upstream_gradient_that_a_script_makes_up() -> None:
    text = "import numpy as np\nW = np.random.randn(5, 10)\nX = np.random.randn(10, 3)\nD = W.dot(X)\n"
    text += "dD = np.random.randn(*D.shape)\ndW = dD.dot(X.T)\ndX = W.T.dot(dD)\n"
    (homework,) = read_homework(text, "homework.py")
    assert (homework.script_result, homework.upstream, homework.parameters) == ("D", ("dD",), ("W", "X"))
    assert [one.variable for one in homework.returned] == ["W", "X"]


def test_a_forward_pass_that_is_put_together_says_of_what() -> None:
    texts = {one.function: one.text for one in SAMPLES}
    (functions,) = read_homework(texts["propagation"], "homework.py")
    assert functions.inside == ("forward_propagation", "compute_cost")
    assert functions.text.startswith(texts["propagation"].rstrip())
    (methods,) = read_homework(texts["NeuralNetwork"], "homework.py")
    assert methods.inside == ("NeuralNetwork.forward", "NeuralNetwork.compute_loss")
    assert methods.text.startswith(texts["NeuralNetwork"].rstrip())


def test_keys_that_are_made_at_run_time() -> None:
    text = """
def f(params, x):
    loss = 0.0
    for i in range(2):
        loss = loss + params['W' + str(i)] * x
    grads = {}
    for i in range(2):
        grads['W' + str(i)] = x
    return loss, grads
"""
    (homework,) = read_homework(text, "homework.py")
    assert homework.gradients == {"grads['W' + str(i)]": ""}
    assert [(one.variable, one.target, one.place) for one in homework.returned] == [("", "grads", (1,))]


def test_a_name_that_is_no_number_on_the_way_is_no_gradient() -> None:
    text = """
import numpy as np

def f_forward(x, w):
    return x @ w, (x, w)

def f_backward(dout, cache):
    x, w = cache
    dim = dout.shape[0]
    dtype = dout.dtype
    dist = dout.mean()
    diff = dout - dist
    dtmp = dout * 1.0
    dother = 3.0
    dx = dtmp @ w.T
    dw = x.T @ dtmp
    return dx, dw
"""
    (homework,) = read_homework(text, "homework.py")
    assert homework.gradients == {"dtmp": "", "dx": "x", "dw": "w"}


# With the forward pass of a model


def test_a_backward_function_with_the_model_s_forward_function() -> None:
    (homework,) = read_model_forward(AFFINE_FORWARD, AFFINE_BACKWARD, "homework.py")
    assert homework.text.startswith(AFFINE_BACKWARD)
    assert "UNUSED" not in homework.text
    assert "def other" not in homework.text
    assert homework.text.count("import numpy") == 1
    assert max(homework.backward_lines) <= AFFINE_BACKWARD.count("\n")
    assert check(homework, AFFINE) == {"x", "w", "b"}


def test_a_forward_function_that_is_a_blank_to_be_filled_in_is_the_model_s() -> None:
    text = "def affine_forward(x, w, b):\n    '''Forward.'''\n    pass\n\n\n" + AFFINE_BACKWARD
    (homework,) = read_model_forward(AFFINE_FORWARD, text, "homework.py")
    assert check(homework, AFFINE) == {"x", "w", "b"}


def test_a_class_with_the_model_s_forward_method() -> None:
    model = """class Scale:
    def __init__(self, w):
        self.w = w

    def forward(self, x):
        self.x = x
        return self.w * x
"""
    text = """class Scale:
    def backward(self, dout):
        self.dw = (dout * self.x).sum()
        return dout * self.w
"""
    (homework,) = read_model_forward(model, text, "homework.py")
    assert homework.attributes == ("w",)
    assert check(homework, {"x": np.ones(3)}, "Scale(2.0)") == {"x", "w"}


def test_a_homework_with_its_own_forward_pass_takes_nothing_of_the_model() -> None:
    text = AFFINE_FORWARD + "\n\n" + AFFINE_BACKWARD.replace("helper", "total")
    assert joined(AFFINE_FORWARD, text) == text
    assert read_model_forward(AFFINE_FORWARD, text, "homework.py") == ()


def test_weights_that_are_updated_in_place_are_no_part_of_the_loss() -> None:
    text = """
import numpy as np

def train_step(X, y, W, learning_rate=0.1):
    loss = np.sum((X @ W - y) ** 2)
    grad_pred = 2 * (X @ W - y)
    grad_W = X.T @ grad_pred
    W -= learning_rate * grad_W
    return loss, grad_W
"""
    (homework,) = read_homework(text, "homework.py")
    assert homework.backward_lines == {6, 7, 8}
    assert homework.gradients == {"grad_pred": "", "grad_W": "W"}


def test_a_gradient_that_forgets_the_upstream_one_is_one_all_the_same() -> None:
    text = """
import numpy as np

def f_forward(x, W):
    h = np.tanh(x @ W)
    return h, (x, W, h)

def f_backward(dout, cache):
    x, W, h = cache
    dlocal = 1 - h**2
    dtmp = dout * dlocal
    dlost = 1 - h**2
    dx = dlost @ W.T
    dW = x.T @ dtmp
    return dx, dW
"""
    (homework,) = read_homework(text, "homework.py")
    assert homework.gradients == {"dtmp": "", "dlost": "", "dx": "x", "dW": "W"}
