"""What only looks like a group, or is one of which something leaves: not taken, and the gradient right."""

from __future__ import annotations

import numpy as np
import pytest

from tests.groups.test_spellings import HEADER, P, S, check, gates_of, statements
from tests.support import check_module, compiled
from tests.traps import LABELS, drawn, model

X = drawn((3, 4), 5)
SQUARE = drawn((4, 4), 8)
OTHER = drawn((3, 4), 9)


def check_without(source: str, inputs: dict[str, object], *groups: str) -> None:
    """Right, and none of the groups is taken; of no group, where none is named."""
    taken = {gate for gate in gates_of(source) if gate.startswith("group.")}
    assert not (taken & set(groups) if groups else taken), taken
    check_module(source, inputs)


@pytest.mark.parametrize(
    "body",
    [
        "1 / (2 + np.exp(-x))",
        "1 / (1 - np.exp(-x))",
        "2 / (1 + np.exp(-x))",
        "1 / (1 + 2 * np.exp(-x))",
        "np.exp(x) / (1 + np.exp(-x))",
        "np.exp(x) / (1 + np.exp(2 * x))",
        "1 / (1 + np.exp(-x) ** 2 + np.exp(-x))",
        "(1 + np.exp(-x)) ** -2",
        "np.exp(x) / (1 + np.exp(x + 1))",
        "(1 + np.tanh(x)) / 3",
        "(2 + np.tanh(x)) / 2",
        "np.log(2 + np.exp(x))",
        "np.log(3 * (1 + np.exp(x)))",
        "np.log1p(np.exp(x) + 1)",
        "np.logaddexp(1, x)",
        "np.logaddexp(2, x)",
        "np.maximum(x, 1) + np.abs(x)",
        "np.exp(x) - np.exp(-x)",
        "np.exp(x) * np.exp(-x)",
        "(x + np.abs(x)) / 3",
        "(x - np.abs(x)) / 2",
        "(2 * x + np.abs(x)) / 2",
        "np.maximum(x, 2 * x)",
        "np.maximum(x, -0.5 * x)",
        "np.where(x > 1, x, 0.1 * x)",
        "np.where(x > 0, x, 0.1 * x + 1)",
        "x * (x > 0) + 0.1 * x * (x > 0)",
        "x * (x > 0) + 0.1 * x * (x < 0)",
        "x * (x > 0.5) + 0.1 * x * (x <= 0.5)",
        "np.log(np.sum(np.exp(x)) + 1)",
        "np.log(np.mean(np.exp(x)))",
        "np.log(np.sum(np.exp(x) ** 2))",
        "e = np.exp(x); e / (1e-2 + np.sum(e, axis=1, keepdims=True))",
        "e = np.exp(x); e / np.max(e, axis=1, keepdims=True)",
        "e = np.exp(x); e * np.sum(e, axis=1, keepdims=True)",
        "e = np.exp(x); np.sum(e, axis=1, keepdims=True) / e",
        "e = np.exp(x); e / np.sum(2 * e, axis=1, keepdims=True)",
        "e = np.exp2(x); e / np.sum(e, axis=1, keepdims=True)",
        "x - np.log(np.sum(np.exp(2 * x), axis=1, keepdims=True) + 1)",
        "(x - x.mean(axis=0)) / (x.std(axis=0) + 1e-2)",
        "(x - x.mean(axis=0)) / x.std(axis=0, ddof=1)",
        "(x - x.mean(axis=0)) / x.var(axis=0)",
        "(x - x.mean(axis=0)) / np.sqrt(x.var(axis=1, keepdims=True) + 1e-2)",
        "(x + x.mean(axis=0)) / np.sqrt(x.var(axis=0) + 1e-2)",
        "(x - x.mean(axis=0)) / np.sqrt(2 * x.var(axis=0) + 1e-2)",
        "xc = x - x.mean(axis=0); xc / np.sqrt(np.sum(xc**2, axis=0) + 1e-2)",
        "xc = x - x.mean(axis=0); xc / np.sqrt(np.sum(xc**2, axis=0) / x.shape[1] + 1e-2)",
        "xc = x - x.mean(axis=0); xc / np.sqrt(np.mean(x**2, axis=0) + 1e-2)",
        "xc = x - x.max(axis=0); xc / np.sqrt(np.mean(xc**2, axis=0) + 1e-2)",
        "xc = x - x.mean(axis=0); xc * np.sqrt(np.mean(xc**2, axis=0) + 1e-2)",
        "xc = x - x.mean(axis=0); xc / (np.mean(xc**2, axis=0) + 1e-2) ** 0.4",
    ],
)
def test_no_group(body: str) -> None:
    check_without(model(statements(body), 'x: "N D"', HEADER), {"x": X + 0.01})


@pytest.mark.parametrize(
    ("body", "groups"),
    [
        ("e = np.exp(x); e / np.sum(e, axis=1)", ("group.softmax",)),
        ("e = np.exp(x); e / e.sum(axis=-1)", ("group.softmax",)),
        ("e = np.exp(x); e / np.sum(e, axis=1)[None, :]", ("group.softmax",)),
        ("x - np.log(np.sum(np.exp(x), axis=1))", ("group.log_softmax",)),
        ("(x - x.mean(axis=1)) / x.std(axis=1)", ()),
        ("(x - x.mean(axis=0)) / x.std(axis=1)", ()),
        ("(x - x.mean(axis=1, keepdims=True)) / x.std(axis=1)", ()),
    ],
)
def test_no_group_though_a_square_would_fit(body: str, groups: tuple[str, ...]) -> None:
    """Without keepdims the sums of the rows stand against the columns, where there are as many."""
    for parameter in ('x: "N N"', "x"):
        source = model(statements(body), parameter, HEADER)
        check_without(source, {"x": SQUARE}, *groups)


@pytest.mark.parametrize(
    "body",
    [
        "m = x.max(axis=1, keepdims=True); m + np.log(np.exp(x - m).sum(axis=1))",
        "m = x.max(axis=1); m + np.log(np.exp(x - m).sum(axis=1))",
        "m = x.max(axis=1, keepdims=True); 2 * m + np.log(np.exp(x - m).sum(axis=1, keepdims=True))",
        "m = x.max(1, keepdims=True); k = x.min(1, keepdims=True); k + np.log(np.exp(x - m).sum(1))[:, None]",
        "m = x.max(axis=0); m + np.log(np.exp(x - m).sum(axis=1))",
    ],
)
def test_another_shift_outside_than_inside(body: str) -> None:
    for parameter in ('x: "N N"', "x"):
        source = model(statements(body), parameter, HEADER)
        # The sum of exponentials is a logsumexp, of x - m; its sum with something else is none of x.
        assert "group.logsumexp x " not in compiled(source).ir
        check(source, {"x": SQUARE}, "group.logsumexp")


@pytest.mark.parametrize(
    ("body", "inner"),
    [
        # Something inside has another use
        (f"{P}; loss = -np.log(p[np.arange(len(x)), y]).sum(); loss + np.sum(p**2)", "group.softmax"),
        (f"{P}; logp = np.log(p); -logp[np.arange(len(x)), y].sum() + np.sum(logp**2)", "group.log_softmax"),
        (f"{P}; -np.log(p[np.arange(len(x)), y]).sum() + np.sum(np.log(p))", "group.softmax"),
        # Not the logarithm of a softmax
        (f"{P}; -np.log(p[np.arange(len(x)), y] + 1e-8).sum()", "group.softmax"),
        (f"{P}; -np.log(np.maximum(p, 1e-3)[np.arange(len(x)), y]).sum()", "group.softmax"),
        (f"{P}; -np.log2(p[np.arange(len(x)), y]).sum()", "group.softmax"),
        (f"{S}; e = np.exp(s); np.mean(np.log(e.sum(axis=1)) - x[np.arange(N), y])", "group.logsumexp"),
        (f"{S}; e = np.exp(s); np.mean(np.log(e.sum(axis=1)) + s[np.arange(N), y])", "group.logsumexp"),
        # Not one label for each row, or not a class
        (f"{P}; -np.log(p[np.arange(3), [1, 3, 1]]).sum()", "group.softmax"),
        (f"{P}; -np.log(p[y % 3, y]).sum()", "group.softmax"),
        (f"{P}; -np.log(p[np.arange(len(x))[::-1], y]).sum()", "group.softmax"),
        (f"{P}; -np.log(p[np.arange(2), y[:2]]).sum()", "group.softmax"),
        ("e = np.exp(x); p = e / e.sum(axis=0); -np.log(p[np.arange(len(x)), y]).sum()", "group.softmax"),
        # A shift that is used elsewhere: the softmax of what is shifted
        (f"{S}; e = np.exp(s); p = e / e.sum(axis=1, keepdims=True); np.sum(p**2) + np.sum(s**2)", "group.softmax"),
    ],
)
def test_a_smaller_group(body: str, inner: str) -> None:
    source = model(statements(body), 'x: "N C", y: "N int"', HEADER)
    assert "group.label_cross_entropy" not in gates_of(source)
    check(source, {"x": X, "y": LABELS}, inner)


@pytest.mark.parametrize(
    "body",
    [
        "e = np.exp(x); p = e / e.sum(axis=1, keepdims=True); np.sum(p**2) + np.sum(e)",
        "e = np.exp(-x); s = 1 / (1 + e); s + e",
        "e = np.exp(x); np.log(1 + e) + e",
        "mu = x.mean(axis=0); (x - mu) / np.sqrt(x.var(axis=0) + 1e-2) + mu",
        "var = x.var(axis=0); (x - x.mean(axis=0)) / np.sqrt(var + 1e-2) + var",
        "xc = x - x.mean(axis=0); np.sum(xc / np.sqrt(np.mean(xc**2, axis=0) + 1e-2)) + np.sum(xc**3)",
        "low = 0.1 * x; np.maximum(low, x) + low",
        "a = np.abs(x); (x + a) / 2 + a",
        "m = x.max(axis=1, keepdims=True); m + np.log(np.sum(np.exp(x - m), axis=1, keepdims=True)) + m * m",
    ],
)
def test_no_group_of_which_something_leaves(body: str) -> None:
    source = model(statements(body), 'x: "N D"', HEADER)
    taken = {gate for gate in gates_of(source) if gate.startswith("group.")}
    assert not taken or taken == {"group.logsumexp"}
    check_module(source, {"x": X})


@pytest.mark.parametrize(
    ("body", "group"),
    [
        # What leaves carries no gradient, or goes nowhere
        ("e = np.exp(x); p = e / e.sum(axis=1, keepdims=True); k = np.argmax(e); np.sum(p**2) + k", "group.softmax"),
        ("e = np.exp(-x); unused = e * 2; 1 / (1 + e)", "group.sigmoid"),
        ("e = np.exp(-x); big = e > 1; s = 1 / (1 + e); np.where(big, s, x)", "group.sigmoid"),
    ],
)
def test_a_group_of_which_no_gradient_leaves(body: str, group: str) -> None:
    check(model(statements(body), 'x: "N D"', HEADER), {"x": X}, group)


def test_results_inside_a_group_are_used_elsewhere() -> None:
    body = f"{P}; loss = -np.log(p[np.arange(len(x)), y]).sum(); return loss, p"
    source = model(body, 'x: "N C", y: "N int"', HEADER)
    assert "group.label_cross_entropy" not in gates_of(source)
    check(source, {"x": X, "y": LABELS}, "group.softmax")
    body = "s = 1 / (1 + np.exp(-x)); return np.log(s), s"
    assert "group.log_sigmoid" not in gates_of(model(body, "x"))
    check(model(body, "x"), {"x": X}, "group.sigmoid")


def test_weights_of_another_shape() -> None:
    body = f"{P}; return -np.sum(w * np.log(p))"
    for parameters, w in (('x: "N C", w: "C"', OTHER[0]), ('x: "N C", w', OTHER), ('x: "N C", w: "N 1"', OTHER[:, :1])):
        source = model(body, parameters, HEADER)
        assert "group.cross_entropy" not in gates_of(source)
        check(source, {"x": X, "w": w}, "group.log_softmax")


def test_two_arrays_of_the_module_are_not_one() -> None:
    header = HEADER + "\n\nA = [[1.0, 2.0], [3.0, 4.0]]\nB = [[4.0, 3.0], [2.0, 1.0]]"
    body = "return np.exp(x * A) / np.sum(np.exp(x * B), axis=1, keepdims=True)"
    check_without(model(body, 'x: "2 2"', header), {"x": X[:2, :2]})
    body = "return np.exp(x * A) / np.sum(np.exp(x * A), axis=1, keepdims=True)"
    check(model(body, 'x: "2 2"', header), {"x": X[:2, :2]}, "group.softmax")


def test_different_arguments_are_not_one() -> None:
    for body in (
        "return np.exp(x) / (1 + np.exp(y))",
        "return np.exp(x) / np.sum(np.exp(y), axis=1, keepdims=True)",
        "return x - np.log(np.sum(np.exp(y), axis=1, keepdims=True))",
        "return np.maximum(x, 0.1 * y)",
        "return (x + np.abs(y)) / 2",
        "return np.where(x > 0, x, 0.1 * y)",
        "return np.where(y > 0, x, 0.1 * x)",
        "return (x - y.mean(axis=0)) / x.std(axis=0)",
        "return (x - x.mean(axis=0)) / y.std(axis=0)",
    ):
        check_without(
            model(body, 'x: "N D", y: "N D"', HEADER),
            {"x": X, "y": OTHER},
            *("group.sigmoid", "group.softmax", "group.log_softmax", "group.relu", "group.leaky_relu"),
            *("group.sloped", "group.standardise", "group.softplus"),
        )
    # Of this, the second part is a softplus, of -abs(y)
    body = "return np.maximum(x, 0) + np.log1p(np.exp(-np.abs(y)))"
    check(model(body, 'x: "N D", y: "N D"', HEADER), {"x": X, "y": OTHER}, "group.softplus")


def test_a_shift_by_another_array() -> None:
    body = "e = np.exp(x - np.max(y, axis=1, keepdims=True)); return e / np.sum(e, axis=1, keepdims=True)"
    check(model(body, 'x: "N D", y: "N D"', HEADER), {"x": X, "y": OTHER}, "group.softmax")
    # x of one row stands against every row of y here: what is shifted is larger than x
    check(model(body, "x, y", HEADER), {"x": X[:1], "y": OTHER}, "group.softmax")
    check(model(body, "x, y", HEADER), {"x": X[0], "y": OTHER}, "group.softmax")


def test_a_shift_along_another_axis() -> None:
    body = "e = np.exp(x - np.max(x, axis=0, keepdims=True)); return e / np.sum(e, axis=1, keepdims=True)"
    check(model(body, 'x: "N D"', HEADER), {"x": X}, "group.softmax")


def test_equal_maxima() -> None:
    """The gradient of a softmax goes round the maximum, so that ties make no difference."""
    x = np.array([[1.0, 1.0, 0.0], [2.0, 2.0, 2.0]])
    body = "e = np.exp(x - np.max(x, axis=1, keepdims=True)); p = e / np.sum(e, axis=1, keepdims=True); return p**2"
    check(model(body, 'x: "N D"', HEADER), {"x": x}, "group.softmax")
