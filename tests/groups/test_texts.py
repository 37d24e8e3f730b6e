"""What is written for groups: the lines of a careful person, and comments that say which statements they cover."""

from __future__ import annotations

import ast

import numpy as np
import pytest

from tests.support import EXAMPLES, assignments, check_module, compiled
from tests.traps import LABELS, drawn, gradients, model

X = drawn((3, 4), 5)
W = drawn((4, 4), 6)


def backward(text: str, name: str = "f") -> str:
    """The lines of a backward function after the cache has been unpacked, without indentation."""
    (node,) = (n for n in ast.parse(text).body if isinstance(n, ast.FunctionDef) and n.name == f"{name}_backward")
    lines = [line.strip() for line in text.split("\n")[node.lineno - 1 : node.end_lineno]]
    start = next((k for k, line in enumerate(lines) if line.endswith("= cache")), 0)
    return "\n".join(lines[start + 1 :])


def test_two_layer_net() -> None:
    source = (EXAMPLES / "two_layer_net.py").read_text()
    text = compiled(source, "two_layer_net.py", wrt=("W1", "b1", "W2", "b2")).text
    assert assignments(text, "two_layer_net_backward") <= 14
    assert """\
# (4)-(7) softmax cross-entropy of scores against y
dscores = p.copy()
dscores[np.arange(N), y] -= 1
dscores *= ddata_loss / N
# (3) scores = h @ W2 + b2
""" in backward(text, "two_layer_net")
    assert "return loss, (X, y, W1, W2, reg, h, p)" in text


def test_staged() -> None:
    source = (EXAMPLES / "staged.py").read_text()
    text = compiled(source, "staged.py").text
    lines = [line for line in backward(text).split("\n") if not line.startswith(("#", "return"))]
    assert lines == [
        "dnum = dout * invden",
        "dinvden = dout * num",
        "dden = -dinvden * invden**2",
        "dsigx = dden",
        "dxpysqr = dden",
        "dxpy = dxpysqr * 2 * xpy",
        "dx = dxpy",
        "dy = dxpy",
        "dx += dsigx * sigx * (1 - sigx)",
        "dx += dnum",
        "dsigy = dnum",
        "dy += dsigy * sigy * (1 - sigy)",
    ]
    assert "import numpy" not in text


def test_batch_normalisation() -> None:
    text = compiled((EXAMPLES / "layers.py").read_text(), "layers.py").text
    assert """\
# (1)-(5) standardisation of x
dx = (dxhat - dxhat.mean(axis=0) - xhat * (dxhat * xhat).mean(axis=0)) / std
""" in backward(text, "batchnorm")


SCORES = "scores = X @ W; "
P = "e = np.exp(scores); p = e / e.sum(axis=1, keepdims=True); "
BY_BODY = {
    # (5) and (6): two statements divide and add; the group ends with the first
    f"N = len(X); {SCORES}{P}loss = -np.log(p[np.arange(N), y]).sum(); loss /= N; "
    "loss += 0.1 * np.sum(W * W); return loss": """\
# (6) loss += 0.1 * np.sum(W * W)
dW = dloss * 0.2 * W
# (2)-(5) softmax cross-entropy of scores against y
dscores = p.copy()
dscores[np.arange(N), y] -= 1
dscores *= dloss / N""",
    # The group is a part of its last statement
    f"{SCORES}{P}return np.mean(-np.log(p[np.arange(len(X)), y])) + np.sum(W)": """\
# (4) out = np.mean(-np.log(p[np.arange(len(X)), y])) + np.sum(W)
# (2)-(4) softmax cross-entropy of scores against y
dscores = p.copy()
dscores[np.arange(N), y] -= 1
dscores *= dout / N""",
    # The labels are named, not what counts the rows
    f"{SCORES}{P}rows = np.arange(len(X)); return -np.log(p[rows, y]).sum()": """\
# (2)-(4) softmax cross-entropy of scores against y
dscores = p.copy()
dscores[rows, y] -= 1
dscores *= dout""",
    # Row by row, and of the positive sign
    f"{SCORES}{P}return np.log(p[np.arange(len(X)), y])": """\
# (2)-(4) softmax cross-entropy of scores against y
dscores = p.copy()
dscores[np.arange(X.shape[0]), y] -= 1
dscores *= -dout[:, None]""",
    # Without a name, the logits
    "p = np.exp(X @ W) / np.exp(X @ W).sum(axis=1, keepdims=True); return -np.log(p[np.arange(len(X)), y]).sum()": """\
# (1)-(2) softmax cross-entropy
dlogits = p.copy()
dlogits[np.arange(X.shape[0]), y] -= 1
dlogits *= dout""",
    # From the logarithms there is nothing to be copied
    f"{SCORES}s = scores - scores.max(axis=1, keepdims=True); logp = s - np.log(np.exp(s).sum(axis=1, keepdims=True)); "
    "loss = -logp[np.arange(len(X)), y].mean(); return loss": """\
# (2)-(4) softmax cross-entropy of scores against y
dscores = np.exp(logp)
dscores[np.arange(N), y] -= 1
dscores *= dloss / N""",
    # Exponentials that may overflow are divided by their sum: nan, and no zeros that look like probabilities
    f"{SCORES}e = np.exp(scores); s = e.sum(axis=1); return np.log(s) - scores[np.arange(len(X)), y]": """\
# (2)-(4) softmax cross-entropy of scores against y
dscores = e / s[:, None]
dscores[np.arange(X.shape[0]), y] -= 1
dscores *= dout[:, None]""",
    # Statements that have no part in a group stand between those that have
    f"{SCORES}e = np.exp(scores); r = np.sum(W * W); p = e / e.sum(axis=1, keepdims=True); "
    "return np.sum(p * p) + r": """\
# (2), (4) softmax of scores
dscores = p * (dp - (dp * p).sum(axis=1, keepdims=True))""",
    f"{SCORES}{P}return p": """\
# (2)-(3) softmax of scores
dscores = p * (dp - (dp * p).sum(axis=1, keepdims=True))""",
}


@pytest.mark.parametrize("body", BY_BODY)
def test_backward_text(body: str) -> None:
    source = model(body, 'X: "N D", W: "D C", y: "N int"')
    text = compiled(source).text
    assert BY_BODY[body] in backward(text), text
    check_module(source, {"X": X, "W": W, "y": LABELS})


def test_groups_within_one_statement_keep_its_comment() -> None:
    text = compiled(model("s = 1 / (1 + np.exp(-x)); return np.sum(s * s)", 'x: "N"')).text
    assert "# (1) s = 1 / (1 + np.exp(-x))\ndx = ds * s * (1 - s)" in backward(text)


def test_groups_over_statements_are_named() -> None:
    expected = {
        "e = np.exp(-x); s = 1 / (1 + e); return s * s": "# (1)-(2) sigmoid of x\ndx = ds * s * (1 - s)",
        "e = np.exp(x); z = np.log(1 + e); return z * z": "# (1)-(2) softplus of x\ndx = dz / (1 + np.exp(-x))",
        "a = np.abs(x); r = (x + a) / 2; return r * r": "# (1)-(2) ReLU of x\ndx = dr * np.heaviside(x, 0.5)",
        "low = 0.1 * x; h = np.maximum(low, x); return h * h": "# (1)-(2) leaky ReLU of x\n"
        "dx = np.where(x > 0, dh, dh * 0.1)",
        "m = x > 0; h = np.where(m, x, 0.1 * x); return h * h": "dx = np.where(m, dh, dh * 0.1)",
        "e = np.exp(x); z = np.log(np.sum(e)); return z": "# (1)-(2) logsumexp of x\ndx = dz / e_sum * e",
    }
    for body, lines in expected.items():
        text = compiled(model(body, 'x: "N"')).text
        assert lines in backward(text), text


def test_primitive_gates_show_every_step() -> None:
    source = model(f"{SCORES}{P}return -np.log(p[np.arange(len(X)), y]).sum()", 'X: "N D", W: "D C", y: "N int"')
    text = compiled(source, gates="primitive").text
    assert "softmax" not in text
    for name in ("dp", "de", "dscores"):
        assert f"{name} = " in text or f"{name} += " in text
    assert "--gates primitive" in text


def test_an_augmented_assignment_at_the_end_of_a_group() -> None:
    body = "p = np.exp(x); p /= p.sum(axis=1, keepdims=True); return p * p"
    text = compiled(model(body, 'x: "N D"')).text
    assert "# (1)-(2) softmax of x\ndx = p * (dp - (dp * p).sum(axis=1, keepdims=True))" in backward(text)
    assert "p /= p.sum(axis=1, keepdims=True)" in text
    # The values before and after it are both read backward
    for more in ("q = np.tanh(p); p += 1.0; ", "p *= 2.0; ", "k = p; p -= 0.5; "):
        for given in (f"x = 1.0 * x; {body}", f"p = np.exp(x); p /= p.sum(axis=1, keepdims=True); {more}return p * p"):
            check_module(model(given, 'x: "N D"'), {"x": X})
    check_module(model("s = np.exp(-x); s += 1; z = 1 / s; z *= 3; return z * x", 'x: "N D"'), {"x": X})


def test_helpers_of_one_line_become_gates() -> None:
    source = """import numpy as np


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def f(x, w):
    h = sigmoid(x @ w)
    return np.sum(sigmoid(h) ** 2)
"""
    text = compiled(source.replace("x, w):", 'x: "N D", w: "D C"):'), functions=("f",)).text
    assert "sigmoid_forward" not in text
    assert "* h * (1 - h)" in text
    check_module(source.replace("x, w):", 'x: "N D", w: "D C"):'), {"x": X, "w": W}, function="f", functions=("f",))


def test_the_text_can_be_compiled_again() -> None:
    """What is written for a group is in the language that the compiler reads."""
    source = model(f"{SCORES}{P}return -np.log(p[np.arange(len(X)), y]).mean()", 'X: "N D", W: "D C", y: "N int"')
    text = backward(compiled(source).text).replace("return dX, dW", "return np.sum(dW**2)")
    parameters = 'dout: float, X: "N D", W: "D C", y: "N int", p: "N C"'
    body = "; ".join(line for line in text.split("\n") if not line.startswith("#"))
    inputs = {"dout": 0.7, "X": X, "W": W, "y": LABELS, "p": np.abs(X)}
    check_module(model(body, parameters), inputs)


OVERFLOWING = (
    "return np.sum(np.log(np.sum(np.exp(x), axis=1)))",
    "logp = x - np.log(np.sum(np.exp(x), axis=1, keepdims=True)); return np.sum(logp * logp)",
    "return np.sum(np.exp(x - np.log(np.sum(np.exp(x), axis=1, keepdims=True))) ** 2)",
    "p = np.exp(x) / np.sum(np.exp(x), axis=1, keepdims=True); return -np.mean(np.log(p[np.arange(2), y]))",
    "return np.mean(np.log(np.exp(x).sum(axis=1)) - x[np.arange(2), y])",
    "logp = x - np.log(np.exp(x).sum(axis=1))[:, None]; return -np.mean(logp[np.arange(2), y])",
)


@pytest.mark.parametrize("body", OVERFLOWING)
def test_what_overflows_is_not_silently_wrong(body: str) -> None:
    """Where the forward pass overflows, the gradient holds nan, as that of the single steps does."""
    source = model(body, 'x: "2 C", y: "2 int"' if "y]" in body else 'x: "2 C"')
    x = np.array([[1000.0, 0.0, 999.0], [1.0, 2.0, 3.0]])
    with np.errstate(all="ignore"):
        found = gradients(source, [x, np.array([0, 1])] if "y]" in body else [x])
    assert np.any(np.isnan(found[0]))


@pytest.mark.parametrize(
    ("body", "slope"),
    [
        ("return np.log(1 + np.exp(x))", 1.0),
        ("return -np.log(1 + np.exp(-x))", 0.0),
        ("return 1 / (1 + np.exp(-x))", 0.0),
    ],
)
def test_saturated_functions_are_right(body: str, slope: float) -> None:
    with np.errstate(all="ignore"):
        found = gradients(model(body, "x"), [np.array([1000.0, -1000.0])], np.ones(2))
    np.testing.assert_array_equal(found, [slope, 1 - slope if "log" in body else 0.0])


def test_large_scores_do_not_overflow() -> None:
    body = (
        f"{SCORES}s = scores - scores.max(axis=1, keepdims=True); e = np.exp(s); p = e / e.sum(axis=1, keepdims=True); "
    )
    source = model(body + "return -np.log(p[np.arange(len(X)), y]).mean()", 'X: "N D", W: "D C", y: "N int"')
    check_module(source, {"X": X, "W": W, "y": LABELS})
    found = gradients(source, [1000 * np.sign(X), np.eye(4), X.argmax(axis=1)])
    assert all(np.all(np.isfinite(gradient)) for gradient in found)
