"""Every spelling of every group: recognised, and the same gradient grouped, primitive and by differences."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

from tests.support import check_module, compiled, load, original
from tests.traps import LABELS, drawn, model

X = drawn((3, 4), 5)
ROW = drawn(4, 6)
CUBE = drawn((2, 3, 4), 7)

SIGMOID = (
    "1 / (1 + np.exp(-x))",
    "1.0 / (np.exp(-x) + 1.0)",
    "np.exp(x) / (1 + np.exp(x))",
    "np.exp(x) / (np.exp(x) + 1)",
    "e = np.exp(x); 1 - 1 / (1 + e)",
    "1 - 1 / (1 + np.exp(x))",
    "e = np.exp(-x); t = 1 + e; one = 1.0; one / t",
    "(1 + np.exp(-x)) ** -1",
    "(1 + np.exp(-x)) ** -1.0",
    "np.reciprocal(1 + np.exp(-x))",
    "np.divide(1, np.add(1, np.exp(np.negative(x))))",
    "(1 + np.tanh(x / 2)) / 2",
    "0.5 * (1 + np.tanh(0.5 * x))",
    "0.5 + 0.5 * np.tanh(x * 0.5)",
    "t = np.tanh(x / 2); t = t + 1; t / 2",
    "1 / (2 + np.expm1(-x))",
    "np.exp(x / 2) / (np.exp(x / 2) + np.exp(-x / 2))",
    "s = np.exp(-x); s += 1; 1 / s",
    "n = -x; 1 / (1 + np.exp(n))",
    "1 / (1 + np.exp(-2 * x))",
    "(1 + np.tanh(x)) / 2",
    "1 / (1 + np.exp(x))",
)
SOFTPLUS = (
    "np.log(1 + np.exp(x))",
    "np.log(np.exp(x) + 1)",
    "np.log1p(np.exp(x))",
    "np.logaddexp(0, x)",
    "np.logaddexp(x, 0.0)",
    "np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))",
    "np.log(1 + np.exp(-np.abs(x))) + np.maximum(0, x)",
    "e = np.exp(x); t = 1 + e; np.log(t)",
    "x + np.log(1 + np.exp(-x))",
    "x - np.log(1 / (1 + np.exp(-x)))",
    "np.log1p(np.exp(-x))",
)
LOG_SIGMOID = (
    "s = 1 / (1 + np.exp(-x)); np.log(s)",
    "-np.log(1 + np.exp(-x))",
    "x - np.log1p(np.exp(x))",
    "-np.logaddexp(0, -x)",
    "np.log(1 / (1 + np.exp(-x)))",
)
TANH = (
    "(np.exp(x) - np.exp(-x)) / (np.exp(x) + np.exp(-x))",
    "e = np.exp(2 * x); (e - 1) / (e + 1)",
    "2 / (1 + np.exp(-2 * x)) - 1",
    "1 - 2 / (np.exp(2 * x) + 1)",
)
RELU = ("(x + np.abs(x)) / 2", "0.5 * (abs(x) + x)", "a = np.abs(x); (a + x) * 0.5")
LEAKY = ("np.maximum(0.01 * x, x)", "np.maximum(x, x * 0.2)", "low = 0.1 * x; np.maximum(low, x)")
SLOPED = (
    "np.where(x > 0, x, 0.01 * x)",
    "np.where(x < 0, x * 0.01, x)",
    "mask = x >= 0; low = 0.1 * x; np.where(mask, x, low)",
    "x * (x > 0) + 0.1 * x * (x <= 0)",
    "0.1 * x * (x < 0) + (x >= 0) * x",
    "x * (x > 0) + (0.1 * x) * (x <= 0)",
)

ELEMENTWISE = [
    *(("group.sigmoid", body) for body in SIGMOID),
    *(("group.softplus", body) for body in SOFTPLUS),
    *(("group.log_sigmoid", body) for body in LOG_SIGMOID),
    *(("tanh", body) for body in TANH),
    *(("group.relu", body) for body in RELU),
    *(("group.leaky_relu", body) for body in LEAKY),
    *(("group.sloped", body) for body in SLOPED),
]

SOFTMAX = (
    "np.exp(x) / np.sum(np.exp(x), axis=1, keepdims=True)",
    "e = np.exp(x); e / e.sum(axis=1, keepdims=True)",
    "e = np.exp(x - np.max(x, axis=1, keepdims=True)); e / np.sum(e, axis=1, keepdims=True)",
    "s = x - x.max(); e = np.exp(s); e / e.sum(axis=1)[:, None]",
    "s = x - np.max(x, axis=1)[:, np.newaxis]; e = np.exp(s); e / np.expand_dims(e.sum(axis=1), 1)",
    "s = x - np.amax(x, axis=-1, keepdims=True); e = np.exp(s); p = e / e.sum(axis=-1, keepdims=True); p",
    "e = np.exp(x); s = np.sum(e, axis=1); r = s[:, None]; e / r",
    "e = np.exp(x); e /= e.sum(axis=1, keepdims=True); e",
    "e = np.exp(x); e / e.sum(axis=0)",
    "e = np.exp(x); e / sum(e)",
    "e = np.exp(x - x.max(axis=0)); e / np.sum(e, axis=0, keepdims=True)",
    "np.exp(x) / np.exp(x).sum()",
    "s = x - np.max(x, axis=1, keepdims=True); np.exp(s - np.log(np.sum(np.exp(s), axis=1, keepdims=True)))",
    "m = x.max(axis=1, keepdims=True); np.exp(x - (m + np.log(np.sum(np.exp(x - m), axis=1, keepdims=True))))",
)
LOG_SOFTMAX = (
    # of what may overflow, the softmax is not taken: zeros would look like probabilities
    "np.exp(x - np.log(np.sum(np.exp(x), axis=1, keepdims=True)))",
    "x - np.log(np.sum(np.exp(x), axis=1, keepdims=True))",
    "s = x - np.max(x, axis=1, keepdims=True); s - np.log(np.sum(np.exp(s), axis=1, keepdims=True))",
    "s = x - np.max(x, axis=1, keepdims=True); s - np.log(np.exp(s).sum(axis=1))[:, None]",
    "e = np.exp(x - x.max()); p = e / e.sum(axis=1, keepdims=True); np.log(p)",
    "np.log(np.exp(x) / np.exp(x).sum(axis=0))",
    "m = x.max(axis=1, keepdims=True); x - m - np.log(np.sum(np.exp(x - m), axis=1, keepdims=True))",
    "m = x.max(axis=1, keepdims=True); z = m + np.log(np.sum(np.exp(x - m), axis=1, keepdims=True)); x - z",
    "m = x.max(axis=1); z = m + np.log(np.sum(np.exp(x - m[:, None]), axis=1)); x - z[:, None]",
)
LOGSUMEXP = (
    "np.log(np.sum(np.exp(x), axis=1))",
    "np.log(np.sum(np.exp(x), axis=1, keepdims=True))",
    "np.log(np.sum(np.exp(x), axis=0))",
    "np.log(np.exp(x).sum())",
    "m = np.max(x, axis=1, keepdims=True); m + np.log(np.sum(np.exp(x - m), axis=1, keepdims=True))",
    "m = np.max(x, axis=1, keepdims=True); m[:, 0] + np.log(np.sum(np.exp(x - m), axis=1))",
    "m = np.max(x, axis=1, keepdims=True); np.log(np.sum(np.exp(x - m), axis=1)) + np.squeeze(m, axis=1)",
    "m = np.max(x, axis=1); m + np.log(np.sum(np.exp(x - m[:, None]), axis=1))",
    "m = x.max(); m + np.log(np.exp(x - m).sum())",
    "m = x.max(); np.log(np.exp(x - m).sum(axis=1)) + m",
    "m = x.max(axis=0); m + np.log(np.exp(x - m).sum(axis=0))",
)
STANDARDISE = (
    "mu = x.mean(axis=0); var = x.var(axis=0); (x - mu) / np.sqrt(var + 1e-5)",
    "mu = x.mean(axis=0); xc = x - mu; var = np.mean(xc**2, axis=0); xc / np.sqrt(var + 1e-5)",
    "xc = x - np.mean(x, axis=0); var = (xc * xc).mean(axis=0); std = np.sqrt(1e-5 + var); xc / std",
    "xc = x - np.mean(x, 1, keepdims=True); v = np.mean(np.square(xc), axis=1, keepdims=True); xc * (v + 1e-3) ** -0.5",
    "mu = x.mean(-1, keepdims=True); xc = x - mu; i = 1 / np.sqrt(np.var(x, -1, keepdims=True) + 1e-3); xc * i",
    "mu = x.mean(axis=1); xc = x - mu[:, None]; var = (xc**2).mean(axis=1); xc / np.sqrt(var + 1e-3)[:, None]",
    "(x - x.mean()) / x.std()",
    "(x - x.mean(axis=0)) / x.std(axis=0)",
    "(x - x.mean(axis=1, keepdims=True)) / (x.var(axis=1, keepdims=True) + 1e-3) ** 0.5",
    "N = x.shape[0]; xc = x - np.sum(x, axis=0) / N; var = np.sum(xc**2, axis=0) / N; xc / np.sqrt(var + 1e-3)",
)
ALONG = [
    *(("group.softmax", body) for body in SOFTMAX),
    *(("group.log_softmax", body) for body in LOG_SOFTMAX),
    *(("group.logsumexp", body) for body in LOGSUMEXP),
    *(("group.standardise", body) for body in STANDARDISE),
]

P = "e = np.exp(x - np.max(x, axis=1, keepdims=True)); p = e / e.sum(axis=1, keepdims=True)"
S = "N = x.shape[0]; s = x - np.max(x, axis=1, keepdims=True)"
LABELLED = (
    f"{P}; N = len(x); -np.sum(np.log(p[np.arange(N), y])) / N",
    f"{P}; N = len(x); -np.log(p[np.arange(N), y]).mean()",
    f"{P}; N = len(y); np.mean(-np.log(p[np.arange(N), y]))",
    f"{P}; -np.log(p[np.arange(x.shape[0]), y]).sum()",
    f"{P}; rows = np.arange(len(x)); q = p[rows, y]; logs = np.log(q); loss = -np.sum(logs); loss /= len(x); loss",
    f"{P}; np.sum(np.log(p[np.arange(len(x)), y])) / -3.0",
    f"{P}; -np.log(p[np.arange(len(x)), y])",
    f"{P}; np.log(p[np.arange(len(x)), y])",
    f"{P}; (-1.0 / len(x)) * np.sum(np.log(p[np.arange(len(x)), y]))",
    f"{P}; 2 * -np.mean(np.log(p[np.arange(0, len(x)), y]))",
    f"{P}; logp = np.log(p); -logp[np.arange(len(x)), y].mean()",
    f"{P}; -np.mean(np.log(p[np.arange(len(x)), 2]))",
    f"{S}; logp = s - np.log(np.sum(np.exp(s), axis=1, keepdims=True)); -np.sum(logp[np.arange(N), y]) / N",
    f"{S}; z = np.log(np.exp(s).sum(axis=1)); np.mean(z - s[np.arange(N), y])",
    f"{S}; np.sum(-s[np.arange(N), y] + np.log(np.exp(s).sum(axis=1))) / N",
    "N = len(x); np.mean(np.log(np.exp(x).sum(axis=1)) - x[np.arange(N), y])",
    "-np.mean(special.log_softmax(x, axis=1)[np.arange(len(x)), y])",
    "-np.mean(np.log(special.softmax(x, axis=1)[np.arange(len(x)), y]))",
    "np.mean(special.logsumexp(x, axis=1) - x[np.arange(len(x)), y])",
    "p = np.exp(x) / np.sum(np.exp(x), axis=1, keepdims=True); -np.mean(np.log(p[np.arange(len(x)), y]))",
)
WEIGHTED = (
    f"{P}; -np.sum(Y * np.log(p)) / len(x)",
    f"{P}; logp = np.log(p); -np.sum(logp * Y) / x.shape[0]",
    f"{P}; -np.mean(np.sum(Y * np.log(p), axis=1))",
    f"{P}; -np.sum(Y * np.log(p), axis=1)",
    f"{P}; -np.mean(Y * np.log(p))",
    f"{P}; np.sum(-(Y * np.log(p)))",
    f"{P}; loss = -np.sum(Y * np.log(p), axis=1); loss.mean()",
    f"{S}; logp = s - np.log(np.sum(np.exp(s), axis=1, keepdims=True)); -(Y * logp).sum() / N",
    "-np.mean(np.sum(Y * special.log_softmax(x, axis=1), axis=1))",
)


def statements(body: str) -> str:
    """The body with its last expression returned."""
    lines = body.split("; ")
    return "; ".join([*lines[:-1], f"return {lines[-1]}"])


def gates_of(source: str, **options: Any) -> set[str]:
    """The gates of the forward function."""
    forward = compiled(source, **options).ir.partition("\nbackward ")[0]
    return set(re.findall(r" = (\S+)", forward))


def check(source: str, inputs: dict[str, Any], group: str, **options: Any) -> None:
    assert group in gates_of(source, **options), compiled(source, **options).ir
    assert not any(gate.startswith("group.") for gate in gates_of(source, gates="primitive", **options))
    one = check_module(source, inputs, **options)
    two = check_module(source, inputs, gates="primitive", **options)
    for name, gradient in one.gradients.items():
        np.testing.assert_allclose(gradient, two.gradients[name], rtol=1e-10, atol=1e-13)


HEADER = "import math\n\nimport numpy as np\nfrom scipy import special"


@pytest.mark.parametrize(("group", "body"), ELEMENTWISE)
def test_elementwise(group: str, body: str) -> None:
    check(model(statements(body), "x: float", HEADER), {"x": 0.7}, group)
    check(model(statements(body), 'x: "D"', HEADER), {"x": ROW}, group)
    check(model(f"{statements(body).replace('return ', 'z = ')}; return np.sum(z * z)", "x", HEADER), {"x": X}, group)


@pytest.mark.parametrize(
    "body", ["1.0 / (1 + math.exp(-x))", "math.exp(x) / (math.exp(x) + 1)", "0.5 * (1 + math.tanh(x / 2))"]
)
def test_sigmoid_of_one_number(body: str) -> None:
    check(model(statements(body), "x", HEADER), {"x": 0.7}, "group.sigmoid")
    check(model(statements(body), "x", HEADER), {"x": np.float64(-1.3)}, "group.sigmoid")


@pytest.mark.parametrize(
    ("group", "body"),
    [("group.softplus", "math.log(1 + math.exp(x))"), ("group.softplus", "math.log1p(math.exp(x))")],
)
def test_softplus_of_one_number(group: str, body: str) -> None:
    check(model(statements(body), "x", HEADER), {"x": 0.7}, group)


@pytest.mark.parametrize(("group", "body"), ALONG)
def test_along_an_axis(group: str, body: str) -> None:
    check(model(statements(body), 'x: "N D"', HEADER), {"x": X}, group)
    check(
        model(f"{statements(body).replace('return ', 'z = ')}; return np.sum(z**3)", 'x: "N D"', HEADER),
        {"x": X},
        group,
    )


UNKNOWN = [
    (group, body)
    for group, body in ALONG
    if not any(part in body for part in ("axis=-1", "x.shape[0]", "x.mean(-1", "mu = x.mean(axis=0); var"))
]


@pytest.mark.parametrize(("group", "body"), UNKNOWN)
def test_along_an_axis_of_unknown_rank(group: str, body: str) -> None:
    check(model(statements(body), "x", HEADER), {"x": X}, group)
    check(model(statements(body), "x", HEADER), {"x": CUBE}, group)


@pytest.mark.parametrize("body", LABELLED)
def test_cross_entropy_with_labels(body: str) -> None:
    for shift in ("", "x = 2.0 * x; "):
        source = model(statements(shift + body), 'x: "N C", y: "N int"', HEADER)
        check(source, {"x": X, "y": LABELS}, "group.label_cross_entropy")


@pytest.mark.parametrize("body", LABELLED[:3])
def test_cross_entropy_of_unclaimed_shapes(body: str) -> None:
    source = model(
        statements(f"N, D = a.shape; x = a @ w; {body}".replace("len(x)", "N").replace("len(y)", "N")),
        'a, w: "D C", y',
        HEADER,
    )
    check(source, {"a": X[:, :3], "w": drawn((3, 4)), "y": LABELS}, "group.label_cross_entropy")


def test_cross_entropy_of_one_row() -> None:
    body = "e = np.exp(x - np.max(x)); p = e / np.sum(e); return -np.log(p[y])"
    check(model(body, 'x: "C", y: int', HEADER), {"x": ROW, "y": 2}, "group.label_cross_entropy")


def test_cross_entropy_with_classes_first() -> None:
    body = "e = np.exp(x); p = e / e.sum(axis=0); N = x.shape[1]; return -np.sum(np.log(p[y, np.arange(N)])) / N"
    check(model(body, 'x: "C N", y: "N int"', HEADER), {"x": X.T.copy(), "y": LABELS}, "group.label_cross_entropy")
    body = "N = x.shape[1]; return np.mean(np.log(np.exp(x).sum(axis=0)) - x[y, np.arange(N)])"
    check(model(body, 'x: "C N", y: "N int"', HEADER), {"x": X.T.copy(), "y": LABELS}, "group.label_cross_entropy")


@pytest.mark.parametrize("body", WEIGHTED)
def test_cross_entropy_with_rows_of_probabilities(body: str) -> None:
    source = model(statements(body), 'x: "N C", Y: "N C"', HEADER)
    one_hot = np.eye(4)[LABELS]
    for weights in (one_hot, 0.9 * one_hot + 0.025, 2 * one_hot, np.abs(X)):
        check(source, {"x": X, "Y": weights}, "group.cross_entropy")
        check(source, {"x": X, "Y": weights}, "group.cross_entropy", wrt=("x",))
    check(source, {"x": X, "Y": one_hot.astype(int)}, "group.cross_entropy", wrt=("x",))


def test_cross_entropy_of_sequences() -> None:
    body = "e = np.exp(x); p = e / e.sum(axis=2, keepdims=True); return -np.sum(Y * np.log(p), axis=-1)"
    check(model(body, 'x: "B N C", Y: "B N C"', HEADER), {"x": CUBE, "Y": np.abs(CUBE)}, "group.cross_entropy")


def test_one_hot_rows_made_from_labels() -> None:
    body = f"{P}; Y = np.eye(4)[y]; return -np.sum(Y * np.log(p)) / len(x)"
    check(model(body, 'x: "N 4", y: "N int"', HEADER), {"x": X, "y": LABELS}, "group.cross_entropy")


def test_epsilon_that_is_differentiated() -> None:
    body = "mu = x.mean(axis=0); xc = x - mu; std = np.sqrt(np.mean(xc**2, axis=0) + eps); return xc / std"
    for wrt in (("x",), ("x", "eps"), ("eps",)):
        check(model(body, 'x: "N D", eps: float = 1e-2', HEADER), {"x": X, "eps": 0.3}, "group.standardise", wrt=wrt)
    body = "xc = x - x.mean(axis=0); i = 1 / np.sqrt(x.var(axis=0) + eps); return xc * i"
    check(model(body, 'x: "N D", eps: float', HEADER), {"x": X, "eps": 0.3}, "group.standardise")


def test_slope_that_is_differentiated() -> None:
    check(model("return np.where(x > 0, x, a * x)", 'x: "N D", a: float', HEADER), {"x": X, "a": 0.2}, "group.sloped")
    check(model("return np.where(x > 0, x, a * x)", 'x: "N D", a: "D"', HEADER), {"x": X, "a": ROW}, "group.sloped")
    check(model("return np.where(x > 0, x, a * x)", "x, a", HEADER), {"x": X, "a": ROW}, "group.sloped")


def test_lists() -> None:
    for body in (
        "np.exp(x) / (1 + np.exp(x))",
        "np.log1p(np.exp(x))",
        "np.exp(x) / np.sum(np.exp(x))",
        "np.log(np.sum(np.exp(x)))",
        "m = np.max(x); m + np.log(np.sum(np.exp(x - m)))",
        "(np.abs(x) + x) / 2",
        "(x - np.mean(x)) / np.std(x)",
    ):
        check(model(statements(body), "x"), {"x": [0.5, -1.0, 2.0]}, next(iter(groups_of(body))))


def groups_of(body: str) -> set[str]:
    return {gate for gate in gates_of(model(statements(body), "x")) if gate.startswith("group.")}


@pytest.mark.parametrize("slope", ["0.5", "-1", "-0.25", "1e-3"])
def test_sigmoid_of_a_multiple(slope: str) -> None:
    """Of the multiples of one value the group begins where nothing else leaves it."""
    for body in (
        f"z = {slope} * x; return 1 / (1 + np.exp(-z))",
        f"z = {slope} * x; return z * (1 / (1 + np.exp(-z)))",
        f"z = {slope} * x; return z - 1 / (1 + np.exp(-2 * z))",
        f"z = {slope} * x; e = np.exp(2 * z); return z * (e / (1 + e))",
    ):
        check(model(body, "x"), {"x": X}, "group.sigmoid")


def test_helpers_on_what_they_could_see_through() -> None:
    """A helper of one line is taken in as its relations: they make a group there whatever they are applied to."""
    for helper in ("1 / (1 + np.exp(-2 * t))", "1 / (1 + np.exp(-t))", "np.log1p(np.exp(t))", "np.maximum(0.1 * t, t)"):
        for argument in ("0.5 * x", "-x", "1e-300 * x", "x / 3 / 5 / 7", "np.exp(x)", "np.log(x * x)"):
            source = (
                f"import numpy as np\n\n\ndef helper(t):\n    return {helper}\n\n\n"
                f"def f(x):\n    t = {argument}\n    return np.sum(helper(t) * t) + np.sum(helper(2.0 * t))\n"
            )
            check_module(source, {"x": X}, function="f", functions=("f",))


# Kinks: the same gradient grouped and primitive


@pytest.mark.parametrize(
    "body",
    [
        "np.maximum(x, 0)",
        "np.maximum(0, x)",
        "x * (x > 0)",
        "x * (x >= 0)",
        "np.where(x > 0, x, 0)",
        "np.where(x < 0, 0, x)",
        "np.clip(x, 0, None)",
        *RELU,
        *LEAKY,
        *SLOPED,
    ],
)
def test_ties(body: str) -> None:
    at_zero = np.array([-1.0, 0.0, 2.0, 0.0])
    for parameter in ("x", 'x: "D"'):
        source = model(statements(body), parameter)
        found = []
        for gates in ("grouped", "primitive"):
            names = load(compiled(source, gates=gates).text)
            _, cache = names["f_forward"](at_zero)
            found.append(names["f_backward"](np.array([1.0, 2.0, 3.0, 4.0]), cache))
        np.testing.assert_array_equal(*found)


def test_softplus_at_zero_is_exact() -> None:
    names = load(compiled(model("return np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))", "x")).text)
    _, cache = names["f_forward"](0.0)
    assert names["f_backward"](1.0, cache) == 0.5


@pytest.mark.parametrize("body", ["np.log(1 + np.exp(x))", "np.logaddexp(0, x)", "1 / (1 + np.exp(-x))"])
def test_large_numbers(body: str) -> None:
    source = model(statements(body), "x")
    with np.errstate(over="ignore"):
        x = np.array([-700.0, -30.0, 30.0, 700.0])
        names = load(compiled(source).text)
        z, cache = names["f_forward"](x)
        gradient = names["f_backward"](np.ones(4), cache)
    assert np.all(np.isfinite(z))
    slope = 1 / (1 + np.exp(-x))
    np.testing.assert_allclose(gradient, slope * (1 - slope) if "/ (" in body else slope, rtol=1e-9, atol=1e-13)
    assert np.shape(original(source, "f")(x)) == np.shape(z)
