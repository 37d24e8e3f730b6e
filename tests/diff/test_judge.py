"""What is said of each gradient: right, at fault, following, missing, unknown."""

from __future__ import annotations

import textwrap

import pytest

from flatgrad.diff.compare import compare
from flatgrad.diff.options import CompareOptions
from flatgrad.diff.verdicts import Outcome, Report

HEAD = "import numpy as np\n\n\n"


def judged(text: str, **options: object) -> Report:
    reports = compare(HEAD + textwrap.dedent(text).lstrip(), "homework.py", None, CompareOptions(**options))  # type: ignore[arg-type]
    assert len(reports) == 1
    assert reports[0].problem == ""
    return reports[0]


def outcomes(report: Report) -> dict[str, str]:
    """Verdicts by target, in order; `missing` ones by name."""
    return {verdict.target or verdict.name: verdict.outcome.value for verdict in report.verdicts}


MLP = '''
def net(X, y, W1, b1, W2, b2):
    """X (N, D), y (N, C), W1 (D, H), b1 (H,), W2 (H, C), b2 (C,)"""
    N = X.shape[0]
    h = np.maximum(0, X @ W1 + b1)
    scores = h @ W2 + b2
    loss = np.sum((scores - y) ** 2) / N
    {0}
    dW2 = h.T @ dscores
    db2 = dscores.sum(axis=0)
    dh = dscores @ W2.T
    {1}
    dW1 = X.T @ dh
    db1 = dh.sum(axis=0)
    return loss, {{"W1": dW1, "b1": db1, "W2": dW2, "b2": db2}}
'''


def test_all_that_is_right_matches_in_the_order_of_the_homework() -> None:
    report = judged(MLP.format("dscores = 2 * (scores - y) / N", "dh[h <= 0] = 0"))
    assert list(outcomes(report).items()) == [
        ("dscores", "match"),
        ("dW2", "match"),
        ("db2", "match"),
        ("dh", "match"),
        ("dW1", "match"),
        ("db1", "match"),
    ]
    assert report.exit_code == 0


def test_one_line_is_at_fault_and_all_that_reads_it_follows() -> None:
    report = judged(MLP.format("dscores = (scores - y) / N", "dh[h <= 0] = 0"))
    assert outcomes(report) == {
        "dscores": "wrong",
        "dW2": "follows",
        "db2": "follows",
        "dh": "follows",
        "dW1": "follows",
        "db1": "follows",
    }
    (wrong,) = [verdict for verdict in report.verdicts if verdict.outcome is Outcome.WRONG]
    assert (wrong.line, wrong.reason) == (10, "factor")
    assert report.exit_code == 1


def test_a_mask_that_is_missing_is_blamed_once_and_not_on_all_that_reads_the_gradient() -> None:
    report = judged(MLP.format("dscores = 2 * (scores - y) / N", "pass"))
    assert outcomes(report) == {
        "dscores": "match",
        "dW2": "match",
        "db2": "match",
        "dh": "wrong",
        "dW1": "follows",
        "db1": "follows",
    }


def test_a_gradient_that_is_scaled_only_later_is_no_fault() -> None:
    report = judged(
        """
        def loss(W, X, y):
            '''W (D, C), X (N, D), y (N, C)'''
            scores = X @ W
            loss = np.sum((scores - y) ** 2) / X.shape[0]
            dscores = 2 * (scores - y)
            dW = X.T @ dscores / X.shape[0]
            return loss, dW
        """
    )
    assert outcomes(report) == {"dscores": "unknown", "dW": "match"}
    assert report.ok


def test_where_the_scale_comes_later_the_reader_without_it_is_at_fault() -> None:
    report = judged(
        """
        def loss(W, b, X, y):
            '''W (D, C), b (C,), X (N, D), y (N, C)'''
            N = X.shape[0]
            scores = X @ W + b
            loss = np.sum((scores - y) ** 2) / N
            dscores = 2 * (scores - y)
            dW = X.T @ dscores / N
            db = np.sum(dscores, axis=0)
            return loss, dW, db
        """
    )
    assert outcomes(report) == {"dscores": "unknown", "dW": "match", "db": "wrong"}


def test_a_name_that_stands_for_the_gradient_before_the_activation_is_no_fault() -> None:
    report = judged(
        """
        def f_forward(x, w):
            '''x (N, D), w (D, M)'''
            z = x @ w
            a = np.tanh(z)
            return a, (x, w, a)

        def f_backward(dout, cache):
            x, w, a = cache
            da = dout * (1 - a ** 2)
            return da @ w.T, x.T @ da
        """
    )
    assert report.ok
    assert outcomes(report)["da"] == "match"


def test_parts_of_a_sum_are_the_contributions_that_they_are() -> None:
    text = """
    def f_forward(x, a):
        '''x (N, D), a (N, D)'''
        p = x * a
        q = np.sin(x)
        out = p * q
        return out, (x, a, p, q)

    def f_backward(dout, cache):
        x, a, p, q = cache
        dp = dout * q
        dq = dout * p
        dx1 = dp * a
        dx2 = {}
        dx = dx1 + dx2
        da = dp * x
        return dx, da
    """
    right = outcomes(judged(text.format("dq * np.cos(x)")))
    assert set(right.values()) == {"match"}
    wrong = outcomes(judged(text.format("dq * np.sin(x)")))
    assert wrong["dx1"] == "match"
    assert wrong["dx2"] == "wrong"
    assert wrong["dx"] == "follows"


def test_a_total_is_at_fault_if_its_own_line_is() -> None:
    report = judged(
        """
        def f_forward(x, a):
            '''x (N, D), a (N, D)'''
            p = x * a
            out = p * np.sin(x)
            return out, (x, a, p)

        def f_backward(dout, cache):
            x, a, p = cache
            dp = dout * np.sin(x)
            dx1 = dp * a
            dx2 = dout * p * np.cos(x)
            dx = dx1 - dx2
            return dx, dp * x
        """
    )
    assert outcomes(report)["dx1"] == outcomes(report)["dx2"] == "match"
    assert outcomes(report)["dx"] == "wrong"


def test_a_temporary_is_told_of_only_if_it_is_at_fault() -> None:
    text = """
    def f_forward(x, w, b):
        '''x (N, D), w (D, M), b (M,)'''
        out = np.tanh(x @ w + b)
        return out, (x, w, out)

    def f_backward(dout, cache):
        x, w, out = cache
        t = dout * {}
        return t @ w.T, x.T @ t, t.sum(axis=0)
    """
    right = judged(text.format("(1 - out ** 2)"))
    assert right.ok
    assert "t" not in outcomes(right)
    wrong = judged(text.format("(1 + out ** 2)"))
    assert outcomes(wrong)["t"] == "wrong"
    assert [verdict.outcome.value for verdict in wrong.verdicts].count("wrong") == 1


def test_a_statement_that_raises_is_at_fault_and_the_rest_is_judged() -> None:
    report = judged(
        """
        def f_forward(x, w, b):
            '''x (N, D), w (D, M), b (M,)'''
            return x @ w + b, (x, w)

        def f_backward(dout, cache):
            x, w = cache
            dx = dout @ w
            dw = x.T @ dout
            db = dout.sum(axis=0)
            return dx, dw, db
        """
    )
    assert outcomes(report) == {"dx": "wrong", "dw": "match", "db": "match"}
    assert report.verdicts[0].actual_shape is None
    assert report.verdicts[0].reason == "transposed"


RNN = """
def rnn_forward(x, h0, W, U):
    '''x (N, T, D), h0 (N, H), W (D, H), U (H, H)'''
    N, T, D = x.shape
    hs = np.zeros((N, T, U.shape[0]))
    h = h0
    for t in range(T):
        h = np.tanh(x[:, t] @ W + h @ U)
        hs[:, t] = h
    return hs, (x, h0, W, U, hs)


def rnn_backward(dhs, cache):
    x, h0, W, U, hs = cache
    dx, dW, dU = np.zeros_like(x), np.zeros_like(W), np.zeros_like(U)
    dh = np.zeros_like(h0)
    for t in reversed(range(x.shape[1])):
        dh = {0}
        da = dh * (1 - hs[:, t] ** 2)
        dx[:, t] = da @ W.T
        dW += x[:, t].T @ da
        prev = hs[:, t - 1] if t > 0 else h0
        dU += {1}
        dh = da @ U.T
    return dx, dh, dW, dU
"""


def test_the_rounds_of_a_loop_are_held_against_the_rounds_of_the_forward_loop() -> None:
    report = judged(RNN.format("dhs[:, t] + dh", "prev.T @ da"))
    assert report.ok
    assert outcomes(report)["da"] == "match"


def test_a_contribution_that_is_dropped_in_each_round() -> None:
    report = judged(RNN.format("dhs[:, t]", "prev.T @ da"))
    wrong = [verdict for verdict in report.verdicts if verdict.outcome is Outcome.WRONG]
    assert [verdict.line for verdict in wrong] == [20]


def test_an_accumulator_is_judged_when_the_loop_is_done() -> None:
    report = judged(RNN.format("dhs[:, t] + dh", "hs[:, t].T @ da"))
    wrong = [verdict for verdict in report.verdicts if verdict.outcome is Outcome.WRONG]
    assert [(verdict.target, verdict.line) for verdict in wrong] == [("dU", 25)]


def test_an_entry_of_a_dict_without_its_gradient_is_missing() -> None:
    report = judged(
        """
        def net(params, X, y):
            '''params: W1 (D, H), W2 (H, C); X (N, D), y (N, C)'''
            W1, W2 = params["W1"], params["W2"]
            h = np.tanh(X @ W1)
            scores = h @ W2
            loss = np.sum((scores - y) ** 2)
            grads = {}
            dscores = 2 * (scores - y)
            grads["W2"] = h.T @ dscores
            return loss, grads
        """
    )
    assert outcomes(report)["dW1"] == "missing"
    assert report.exit_code == 1


def test_of_a_script_what_wrt_names_is_required() -> None:
    text = """
    x = 3.0
    y = -4.0
    q = x + y
    f = q * x
    dq = x
    dx = q + dq
    """
    assert judged(text).ok
    assert outcomes(judged(text, wrt=("x", "y"))) == {"dq": "match", "dx": "match", "dy": "missing"}


@pytest.mark.parametrize("tie", ["np.maximum(x, 0)", "np.abs(x)"])
def test_kinks_are_kept_away_from(tie: str) -> None:
    local = "(x > 0)" if "maximum" in tie else "np.sign(x)"
    report = judged(
        f"""
        def f_forward(x):
            '''x (N, D)'''
            return {tie}, x

        def f_backward(dout, cache):
            return dout * {local.replace("x", "cache")}
        """
    )
    assert report.ok


def test_an_upstream_gradient_that_is_overwritten_is_a_warning() -> None:
    report = judged(
        """
        def f_forward(x):
            '''x (N, D)'''
            return np.maximum(x, 0), x

        def f_backward(dout, cache):
            dx = dout
            dx[cache <= 0] = 0
            return dx
        """
    )
    assert report.ok
    assert any("dout" in warning for warning in report.warnings)


MODEL = """
import numpy as np


def affine_forward(x, w, b):
    '''x (N, D), w (D, M), b (M,)'''
    out = x @ w + b
    return out, (x, w, b)
"""


def test_a_homework_without_a_forward_pass_is_run_on_the_models() -> None:
    text = HEAD + (
        "def affine_backward(dout, cache):\n    x, w, b = cache\n    return dout @ w.T, x.T @ dout, dout.sum(axis=1)\n"
    )
    (report,) = compare(text, "homework.py", (MODEL, "model.py"), CompareOptions())
    assert [verdict.outcome.value for verdict in report.verdicts] == ["match", "match", "wrong"]
    assert report.verdicts[2].line == 6


def test_a_forward_pass_that_is_not_the_models_is_said_and_held_against_it() -> None:
    text = HEAD + (
        "def affine_forward(x, w, b):\n"
        "    '''x (N, D), w (D, M), b (M,)'''\n"
        "    return 2 * x @ w + b, (x, w)\n\n\n"
        "def affine_backward(dout, cache):\n"
        "    x, w = cache\n"
        "    dx = 2 * dout @ w.T\n"
        "    dw = 2 * x.T @ dout\n"
        "    db = dout.sum(axis=0)\n"
        "    return dx, dw, db\n"
    )
    (alone,) = compare(text, "homework.py", None, CompareOptions())
    assert alone.ok
    (report,) = compare(text, "homework.py", (MODEL, "model.py"), CompareOptions())
    assert any("another result" in warning for warning in report.warnings)
    assert outcomes(report) == {"dx": "wrong", "dw": "wrong", "db": "match"}


def test_other_names_and_stages_are_no_other_forward_pass() -> None:
    text = HEAD + (
        "def affine(inputs, weights, bias):\n"
        "    '''inputs (N, D), weights (D, M), bias (M,)'''\n"
        "    product = inputs.dot(weights)\n"
        "    return product + bias, (inputs, weights)\n\n\n"
        "def affine_backward(dout, cache):\n"
        "    inputs, weights = cache\n"
        "    dinputs = dout @ weights.T\n"
        "    dweights = inputs.T @ dout\n"
        "    dbias = dout.sum(axis=0)\n"
        "    return dinputs, dweights, dbias\n"
    )
    (report,) = compare(text, "homework.py", (MODEL, "model.py"), CompareOptions())
    assert report.ok
    assert report.warnings == ()
