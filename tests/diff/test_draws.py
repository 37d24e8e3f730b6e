"""Shapes that a homework means, where nothing says: found without excusing a mistake."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from flatgrad.diff.compare import compare, make_case
from flatgrad.diff.judging.runner import Runner
from flatgrad.diff.options import CompareOptions
from flatgrad.diff.reading.reading import read_homework
from flatgrad.diff.verdicts import Outcome
from tests.diff.reading_samples import SAMPLES

ROWS = """
import numpy as np
def dense_forward(x, W, b):
    return x @ W + b, (x, W)
def dense_backward(dout, cache):
    x, W = cache
    return dout @ W.T, x.T @ dout, {db}
"""
COLUMNS = """
import numpy as np
def linear_forward(A, W, b):
    return W.dot(A) + b, (A, W)
def linear_backward(dZ, cache):
    A, W = cache
    return W.T.dot(dZ), dZ.dot(A.T), {db}
"""
LOGISTIC = """
import numpy as np
def log_reg(w, b, X, y):
    z = X @ w + b
    p = 1 / (1 + np.exp(-z))
    loss = -np.mean(y * np.log(p) + (1 - y) * np.log(1 - p))
    dz = (p - y) / len(y)
    dw = X.T @ dz
    db = {db}
    return loss, dw, db
"""
SCALE = """
import numpy as np
def scale_forward(x, gamma):
    return x * gamma, (x, gamma)
def scale_backward(dout, cache):
    x, gamma = cache
    return dout * gamma, {dgamma}
"""
GATES = next(one.text for one in SAMPLES if one.name == "lstm step")
DISTRIBUTION = """
import numpy as np
def softmax_loss(x, t):
    e = np.exp(x - x.max(axis=1, keepdims=True))
    y = e / e.sum(axis=1, keepdims=True)
    loss = -np.sum(t * np.log(y)) / len(x)
    dx = (y - t) / len(x)
    return loss, dx
"""
SINGLE = """
import numpy as np
def tanh_forward(x):
    out = np.tanh(x.astype(np.float32))
    return out, out
def tanh_backward(dout, cache):
    return dout * (1 - cache ** 2)
"""


def shapes(text: str) -> dict[str, tuple[int, ...]]:
    (homework,) = read_homework(text, "homework.py", ())
    with Runner(20) as runner:
        arguments: dict[str, Any] = dict(make_case(homework, runner, CompareOptions()).draws[0].arguments)
    return {name: np.shape(value) for name, value in arguments.items()}


def outcomes(text: str) -> dict[str, Outcome]:
    (report,) = compare(text, "homework.py", None, CompareOptions())
    assert not report.problem
    return {one.variable: one.outcome for one in report.verdicts if one.required}


def test_a_bias_beside_rows_is_a_row() -> None:
    found = shapes(ROWS.format(db="dout.sum(axis=0)"))
    assert found["b"] == found["W"][1:]


def test_a_bias_beside_columns_is_a_column_whatever_the_backward_pass_does() -> None:
    for db in ("dZ.sum(axis=1, keepdims=True)", "dZ.sum(axis=0)", "dZ", "dZ.sum()"):
        found = shapes(COLUMNS.format(db=db))
        assert found["b"] == (found["W"][0], 1)


def test_one_score_for_each_row_has_a_scalar_bias() -> None:
    found = shapes(LOGISTIC.format(db="np.sum(dz)"))
    assert (len(found["w"]), len(found["y"]), found["b"]) == (1, 1, ())


def test_a_pre_activation_of_several_gates() -> None:
    found = shapes(GATES)
    assert found["b"] == (4 * found["prev_h"][1],)


def test_labels_of_a_cross_entropy_sum_to_one() -> None:
    assert set(outcomes(DISTRIBUTION).values()) == {Outcome.MATCH}


def test_single_precision_is_judged() -> None:
    assert set(outcomes(SINGLE).values()) == {Outcome.MATCH}


@pytest.mark.parametrize(
    ("text", "name", "good", "bad"),
    [
        (ROWS, "db", "dout.sum(axis=0)", ("dout", "dout.sum()", "dout.sum(axis=1)", "dout.mean(axis=0)")),
        (COLUMNS, "db", "dZ.sum(axis=1, keepdims=True)", ("dZ", "dZ.sum()", "dZ.sum(axis=0)")),
        (LOGISTIC, "db", "np.sum(dz)", ("dz", "np.mean(dz)")),
        (SCALE, "dgamma", "(dout * x).sum(axis=0)", ("dout * x", "(dout * x).sum()", "(dout * x).sum(axis=1)")),
    ],
    ids=["rows", "columns", "logistic", "scale"],
)
def test_no_shape_excuses_a_mistake(text: str, name: str, good: str, bad: tuple[str, ...]) -> None:
    variable = name.removeprefix("d")
    assert set(outcomes(text.format(**{name: good})).values()) == {Outcome.MATCH}
    for one in bad:
        found = outcomes(text.format(**{name: one}))
        assert found[variable] is Outcome.WRONG, one
        assert all(outcome is Outcome.MATCH for other, outcome in found.items() if other != variable), one
