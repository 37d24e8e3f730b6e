"""What gave wrong numbers without a word in other tools and in drafts of this one: each trap, and its neighbours."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from flatgrad.diagnostics import Refused
from tests.support import Module, check_float32, check_module, compiled, load, original
from tests.traps import (
    COLUMN,
    LABELS,
    POSITIVE,
    ROW,
    V,
    W,
    X,
    Y,
    annotated,
    both_gates,
    drawn,
    gradients,
    model,
    never_wrong,
    outcome,
    right,
)

# --- e / np.sum(e, axis=1, keepdims=True); x ** k with k broadcast; x[[0, 1, 1]]; np.mean(x, axis=0)


@both_gates
@pytest.mark.parametrize("parameter", ["x", 'x: "N D"'])
@pytest.mark.parametrize("e", ["np.exp(x)", "x**2", "np.exp(x - np.max(x, axis=1, keepdims=True))"])
def test_division_by_its_own_row_sums(e: str, parameter: str, gates: str) -> None:
    right(f"e = {e}; return e / np.sum(e, axis=1, keepdims=True)", parameter, {"x": X}, gates=gates)


@pytest.mark.parametrize("expression", ["x ** k", "np.power(x, k)", "np.multiply(x, k)", "x * k", "np.divide(x, k)"])
@pytest.mark.parametrize("k", [POSITIVE[0], POSITIVE[:, :1], POSITIVE[:1], 2.5, np.float64(2.5), np.array(2.5)])
def test_second_operand_broadcast(expression: str, k: Any) -> None:
    right(f"return {expression}", "x, k", {"x": POSITIVE, "k": k})
    right(f"return {expression}", "k, x", {"k": k, "x": POSITIVE})


def test_second_operand_broadcast_with_known_shapes() -> None:
    right("return x ** k", 'x: "N D", k: "D"', {"x": POSITIVE, "k": POSITIVE[0]})
    right("return x ** k", 'x: "N D", k: "N 1"', {"x": POSITIVE, "k": POSITIVE[:, :1]})
    right("return np.multiply(x, k)", 'x: "N D", k: float', {"x": POSITIVE, "k": 2.5})


def test_first_operand_broadcast() -> None:
    right("return k - x", 'k: "D", x: "N D"', {"k": ROW, "x": X})
    right("return x / y", "x, y", {"x": ROW, "y": 2 + POSITIVE}, {"x": COLUMN, "y": 2 + POSITIVE[:1]})
    right("return x * y", 'x: "N 1", y: "D"', {"x": COLUMN, "y": ROW})


def test_a_claimed_dim_that_happens_to_be_one() -> None:
    """(N, D) with D = 1 broadcasts against (H,): nothing that merely fits may be taken for proven."""
    given = {"x": X[:, :1], "y": ROW}
    for body in ("return x * y", "return np.sum(x * y)", "return np.maximum(x, y)", "return np.where(x > y, x, y)"):
        never_wrong(body, 'x: "N D", y: "H"', given, allowed=("right", "refused", "guarded"))
        never_wrong(body, "x, y", given, allowed=("right", "guarded"))
    never_wrong("return x * y", 'x: "N D", y: "N D"', {"x": X[:1], "y": Y}, allowed=("guarded",))


@pytest.mark.parametrize("k", [2, 3, 1, 0.5, -1, -2, 0])
def test_constant_powers(k: float) -> None:
    right(f"return x ** {k} + x", "x", {"x": POSITIVE}, {"x": 1.7})


def test_power_at_zero_has_no_nan() -> None:
    base = np.array([0.0, 1.0, 2.0])
    for k in (1, 2, 3):
        dx = gradients(model(f"return np.sum(x ** {k})", "x"), [base])
        assert np.allclose(dx, k * base ** (k - 1))
    dx, dk = gradients(model("return np.sum(x ** k)", "x, k"), [base, 2.0])
    assert np.allclose(dx, 2 * base)
    assert np.isclose(dk, 4 * np.log(2))


@pytest.mark.parametrize("parameter", ["x", 'x: "N D"'])
@pytest.mark.parametrize(
    "index", ["[0, 1, 1]", "np.array([0, 1, 1])", "[0, -1, 2]", "[[0, 0], [2, 0]]", "[True, False, True]"]
)
def test_fancy_read_with_repeats(index: str, parameter: str) -> None:
    right(f"return np.sum(x[{index}] ** 2) + np.sum(x)", parameter, {"x": X})


@pytest.mark.parametrize("claims", [("W", "i"), ('W: "V D"', 'i: "N int"'), ('W: "V D"', 'i: "N T int"')])
def test_embedding_rows_read_more_than_once(claims: tuple[str, str]) -> None:
    index = np.array([1, 0, 1, 1, -1])
    index = index if " T " not in claims[1] else np.array([[1, 0], [1, 1]])
    right("return W[i] * 2", ", ".join(claims), {"W": X, "i": index})


def test_index_that_may_be_integer_slice_or_mask() -> None:
    for index in (1, np.int64(-1), np.array([2, 2, 0]), np.array([True, False, True])):
        assert outcome(model("return np.sum(x[i] ** 2)", "x, i"), {"x": X, "i": index}) in ("right", "refused")


def test_labels_picked_from_scores() -> None:
    body = "N = p.shape[0]; picked = p[np.arange(N), y]; return np.sum(picked**2) + np.sum(p * p[0])"
    right(body, 'p: "N C", y: "N int"', {"p": X, "y": LABELS})
    right(body, "p, y", {"p": X, "y": LABELS})


@pytest.mark.parametrize("parameter", ["x", 'x: "N D"', 'x: "N D K"'])
@pytest.mark.parametrize(
    "axis", ["axis=0", "axis=1", "axis=-1", "axis=(0, 1)", "axis=(-1, 0)", "axis=0, keepdims=True", "0", "axis=None"]
)
@pytest.mark.parametrize("reduce", ["np.mean(x, {})", "x.sum({})", "np.max(x, {})", "np.var(x, {})", "x.std({})"])
def test_reduction_over_an_axis(reduce: str, axis: str, parameter: str) -> None:
    if "(" in axis and "max" in reduce and parameter == "x":
        axis = "axis=0"
    x = X if "K" not in parameter else drawn((2, 3, 4))
    right(f"return {reduce.format(axis)} * 2.0", parameter, {"x": x})


def test_reduction_used_against_its_own_argument() -> None:
    right("return x - np.mean(x, axis=0)", "x", {"x": X}, {"x": V}, {"x": drawn((2, 3, 2))})
    right("return x * np.sum(x, axis=-1, keepdims=True)", "x", {"x": X}, {"x": V})
    right("return (x - x.mean(axis=0)) / x.std(axis=0)", 'x: "N D"', {"x": X})


# --- dh = dout then dh += …, broadcast views added to, the Python float that starts it all


@annotated
@pytest.mark.parametrize(
    "body",
    [
        "h = x + y; return h + x",
        "h = x + y; return h + h * x",
        "h = x * 2; out = h + y; return out - np.tanh(h)",
        "return x",
        "return x + x",
        "return x + y",
        "h = x; return h + y * h",
        "return -x - y",
        "h = x.T; return h.T + h.T * y",
        "h = x.reshape(-1); g = h.reshape(x.shape); return g + y + x",
    ],
)
def test_upstream_gradient_is_never_written_nor_handed_out(body: str, parameters: str) -> None:
    if "y" not in body:
        parameters = parameters.split(", y")[0]
    right(body, parameters, {"x": X, "y": Y} if "y" in parameters else {"x": X})


@pytest.mark.parametrize("parameters", ["x, y", "x: float, y: float"])
@pytest.mark.parametrize("kind", [float, np.float64, np.array])
@pytest.mark.parametrize(
    "body", ["return x + y", "h = x + y; return h + h * x", "h = x; return h + y", "return x * y + y"]
)
def test_upstream_gradient_of_a_number(body: str, parameters: str, kind: Any) -> None:
    right(body, parameters, {"x": kind(1.5), "y": kind(-0.7)})


def test_identity_of_a_number() -> None:
    right("return x", "x: float", {"x": 2.0}, {"x": np.float64(2.0)})


@pytest.mark.parametrize("parameter", ["x", 'x: "N D"'])
@pytest.mark.parametrize(
    "body",
    [
        "h = x * 2; return np.sum(h) + np.sum(h * h)",
        "h = x * 2; return np.sum(h * h) + np.sum(h)",
        "h = x * 2; return np.mean(h) + np.mean(h, axis=0).sum() + np.max(h)",
        "return np.sum(x) + np.sum(x)",
        "return np.sum(x)",
        "s = np.sum(x, axis=0, keepdims=True); return np.sum(s) + np.sum(s * x)",
        "b = np.broadcast_to(x, (2, 3, 4)); return np.sum(b) + np.sum(b * b)",
        "b = np.broadcast_to(x, (2, 3, 4)); c = b + 1; c += x; return c",
        "return np.diag(x[:, :3]) * np.trace(x)",
        "d = np.sum(x); d += np.sum(x * d); return d",
    ],
)
def test_broadcast_gradient_is_made_owned_before_it_is_added_to(body: str, parameter: str) -> None:
    right(body, parameter, {"x": X})


def test_python_float_has_no_copy() -> None:
    right("h = x * y; return h + h * y + np.sin(h)", "x, y", {"x": 0.3, "y": 1.2}, {"x": X, "y": Y}, {"x": X, "y": 2.0})
    right("h = np.sum(x); return h + h * h", "x", {"x": X}, {"x": 0.4})


def test_several_results_some_without_upstream_gradient() -> None:
    right("h = np.tanh(x); return h, np.sum(h * h)", 'x: "N D"', {"x": X})
    right("h = x + y; return h, h", "x, y", {"x": X, "y": Y})
    right("h = x * y; c = h + x; return h, c", "x, y", {"x": X, "y": ROW})
    right("return x, y", "x, y", {"x": X, "y": Y})
    right("return x * 2, np.sum(y)", "x, y", {"x": X, "y": Y})


# --- dtypes and kinds of what comes in


def test_integer_and_one_hot_inputs() -> None:
    onehot = np.eye(4, dtype=int)[LABELS]
    right("return np.sum((x @ w) ** 2)", 'x: "N D", w: "D M"', {"x": onehot, "w": W})
    never_wrong("return np.sum((x @ w) ** 2)", "x, w", {"x": onehot, "w": W})
    right("return x * y + x[0]", 'x: "N D", y: "N D"', {"x": onehot, "y": Y})
    right("h = x[1:] - x[:-1]; return np.sum(h * h * 0.5) + np.sum(x[[0, 0]])", "x", {"x": np.arange(5)})
    right("return x / 4 + np.sqrt(x)", "x", {"x": np.array([1, 4, 9])}, {"x": 4}, {"x": np.int64(4)})
    right("return x ** 2 + np.max(x) + np.mean(x)", "x", {"x": np.array([1, 4, 9])}, {"x": 3})
    right("return np.maximum(x, 2.5) * np.cumsum(x)", "x", {"x": np.array([1, 4, 9])})


def test_lists_of_weights() -> None:
    body = "s = w[0] * x[0] + w[1] * x[1] + w[2]; return 1.0 / (1 + np.exp(-s))"
    right(body, "w, x", {"w": [2.0, -3.0, -3.0], "x": [-1.0, -2.0]}, {"w": [2, -3, -3], "x": [-1, -2]})
    dw, dx = gradients(model(body, "w, x"), [[2, -3, -3], [-1, -2]])
    assert np.allclose(dw, [-0.19661193, -0.39322387, 0.19661193])
    assert np.allclose(dx, [0.39322387, -0.58983580])
    never_wrong("return np.dot(w, x)", "w, x", {"w": [2, -3], "x": V[:2]}, allowed=("guarded",))
    right("return np.sum(np.array(w) * x)", "w, x", {"w": [2, -3], "x": V[:2]})
    right("return np.asarray(w) * w[0]", "w", {"w": [2, -3, 4]})


def test_boolean_mask_as_a_number() -> None:
    right("return x * (x > 0) + (x > 1).astype(float) * x", "x", {"x": X})
    right("return np.sum(x * m) / np.sum(m)", 'x: "N D", m: "N D bool"', {"x": X, "m": X > 0})
    right("return np.mean((x > 0) * x**2)", "x", {"x": X})


FLOAT32 = (
    ("return np.tanh(x) * y", "x, y"),
    ("h = x * 2; h += y; return h / (1 + np.exp(-h))", 'x: "N D", y: "N D"'),
    ("return np.mean(x, axis=0) * np.pi + y[0]", "x, y"),
    ("return np.sum(x[[0, 1, 1]] * y) / x.shape[0]", 'x: "N D", y: "N D"'),
    ("h = np.zeros_like(x); h[0] = y[1]; return h * x", 'x: "N D", y: "N D"'),
    ("return np.sum(np.max(x, axis=1)) + np.var(y) * 0.5", "x, y"),
    ("e = np.exp(x); p = e / np.sum(e, axis=1, keepdims=True); return -np.log(p) * y", "x, y"),
    ("return x[1:] * y[:-1]", "x, y"),
    ("return np.sum(x) * 3 + np.sum(y * y)", 'x: "N D", y: "N D"'),
    ("return np.concatenate([x, y]).reshape(-1)", "x, y"),
    ("return np.linalg.norm(x) * np.abs(y) ** 1.5", "x, y"),
    ("return x @ y.T", 'x: "N D", y: "M D"'),
)


@both_gates
@pytest.mark.parametrize("accumulate", ["forks", "always"])
@pytest.mark.parametrize(("body", "parameters"), FLOAT32)
def test_float32_stays_float32(body: str, parameters: str, accumulate: str, gates: str) -> None:
    source = model(body, parameters)
    written = compiled(source, gates=gates, accumulate=accumulate)
    module = Module(written.text, load(written.text))
    assert check_float32(module, source, "f", {"x": X, "y": Y}, written.entries[0].wrt), "the model itself is float64"


def test_arrays_of_one_element_in_scalar_code() -> None:
    one = np.array([0.5])
    source = model("s = 1.0 / (1 + np.exp(-y)); return (x + s) * (x + y) ** 2")
    for x, y in ((one, np.array([2.0])), (one, 2.0), (0.5, one), (np.array([[0.5]]), one)):
        check_module(source, {"x": x, "y": y})
        with pytest.raises((ValueError, TypeError)):
            load(compiled(source).text)["f_value_and_grad"](x, y)


def test_array_of_one_element_where_a_float_was_claimed() -> None:
    source = model("return (x + y) * x", "x: float, y: float")
    for x, y in ((np.array([0.5]), 2.0), (0.5, np.array([2.0])), (np.ones((1, 1)), np.ones(1)), (X, 2.0), (2.0, X)):
        assert outcome(source, {"x": x, "y": y}) in ("right", "guarded")


@pytest.mark.parametrize("kind", [float, np.float64, np.array, lambda number: np.array([number])])
@pytest.mark.parametrize(
    "body",
    ["return x * y + x", "h = x + y; h = h * h; return h + x", "h = x * y; h += x; return h", "return x ** y + y"],
)
def test_kinds_of_a_number(body: str, kind: Any) -> None:
    never_wrong(
        body, "x, y", {"x": kind(1.5), "y": kind(0.7)}, allowed=("right", "refused") if "+=" in body else ("right",)
    )
    right(body, "x: float, y: float", {"x": float(kind(1.5).item() if hasattr(kind(1.5), "item") else 1.5), "y": 0.7})


def test_zero_dimensional_arrays_where_floats_were_claimed() -> None:
    """A 0-d array is changed in place by `+=`, a float is not."""
    for body in ("t = x; t += y; return t * x", "x += y; return x * y", "h = x * y; t = h; t += x; return t * h"):
        source = model(body, "x: float, y: float")
        assert outcome(source, {"x": np.array(2.0), "y": np.array(3.0)}) in ("right", "guarded", "refused")
        check_module(source, {"x": np.float64(2.0), "y": np.float64(3.0)})


# --- claims that are not true


@pytest.mark.parametrize("b", [ROW[None, :2], 1.5, np.array(1.5), ROW[:1], np.ones((3, 2)), np.ones((3, 1))])
@pytest.mark.parametrize(
    ("body", "parameters"),
    [
        ("return x @ w + b", 'x: "N D", w: "D H", b: "H"'),
        ("h = x @ w; h += b; return h", 'x: "N D", w: "D H", b: "H"'),
        ("return np.sum(np.tanh(x @ w - b))", 'x: "N D", w: "D H", b: "H"'),
    ],
)
def test_bias_of_another_shape_than_claimed(body: str, parameters: str, b: Any) -> None:
    source = model(body, parameters)
    check_module(source, {"x": X, "w": W, "b": ROW[:2]})
    assert outcome(source, {"x": X, "w": W, "b": b}) in ("guarded", "right")


def test_bias_of_another_shape_than_documented() -> None:
    doc = '"""x: array of shape (N, D)\n\n    w: of shape (D, H)\n    b: biases, of shape (H,)\n    """'
    source = model("return x @ w + b", "x, w, b").replace("    return", f"    {doc}\n    return")
    check_module(source, {"x": X, "w": W, "b": ROW[:2]})
    assert outcome(source, {"x": X, "w": W, "b": ROW[None, :2]}) in ("guarded", "right")


@pytest.mark.parametrize(
    "claimed", ['x: "N D", y: "N D"', 'x: "N D", y: "D"', 'x: "N D", y: float', 'x: "N 4", y: "4"']
)
@pytest.mark.parametrize(
    "body", ["return x * y", "return np.sum((x - y) ** 2)", "h = x * 2; h -= y; return h", "return np.maximum(x, y)"]
)
def test_any_shape_against_a_claim(body: str, claimed: str) -> None:
    source = model(body, claimed)
    seen = set()
    for x in (X, X[:1], X[:, :1], ROW):
        for y in (Y, Y[:1], COLUMN, 0.7 * ROW, 0.7 * ROW[:1], 1.5, np.array(1.5)):
            try:
                original(source, "f")(x.copy(), y)
            except ValueError:
                continue
            seen.add(outcome(source, {"x": x, "y": y}))
    assert "right" in seen
    assert seen <= {"right", "guarded"}


def test_claims_that_contradict_each_other_or_the_code() -> None:
    for body, parameters in (
        ("N, D, K = x.shape; return x * D", 'x: "N D"'),
        ("return x @ y", 'x: "N 3", y: "4 M"'),
        ("return x[0, 0, 0] * 2", 'x: "N D"'),
    ):
        with pytest.raises(Refused):
            compiled(model(body, parameters))


# --- kinks


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("return np.maximum(x, 0)", 0.0),
        ("return np.maximum(0, x)", 0.0),
        ("h = np.maximum(x, 0.0); return h", 0.0),
        ("return x * (x > 0)", 0.0),
        ("return (x > 0) * x", 0.0),
        ("return np.where(x > 0, x, 0)", 0.0),
        ("return np.where(x >= 0, x, 0)", 1.0),
        ("return np.minimum(x, 0)", 0.0),
        ("return np.abs(x)", 0.0),
        ("return np.maximum(x, x)", 1.0),
    ],
)
def test_tie_is_the_same_grouped_and_primitive(body: str, expected: float) -> None:
    for parameter, zero in (("x", np.zeros(3)), ("x", 0.0), ('x: "N"', np.zeros(3)), ("x: float", 0.0)):
        found = [
            gradients(model(body, parameter), [zero], np.ones(np.shape(zero)), gates=gates, stages=stages)
            for gates in ("grouped", "primitive")
            for stages in ("source", "relations")
        ]
        for dx in found:
            assert np.array_equal(dx, np.full(np.shape(zero), expected)), (parameter, found)


@pytest.mark.parametrize(
    "body",
    [
        "return np.maximum(0.1 * x, x)",
        "return np.maximum(x, 0.1 * x)",
        "return np.where(x > 0, x, 0.1 * x)",
        "return np.clip(x, 0, 1)",
    ],
)
def test_leaky_tie_is_the_same_grouped_and_primitive(body: str) -> None:
    grouped, primitive = (
        gradients(model(body, "x"), [np.zeros(3)], np.ones(3), gates=g) for g in ("grouped", "primitive")
    )
    assert np.array_equal(grouped, primitive)


def test_ties_between_variables_and_over_an_axis() -> None:
    for body in ("return np.maximum(x, y)", "return np.minimum(x, y)"):
        dx, dy = gradients(model(body), [np.ones(2), np.ones(2)], np.ones(2))
        assert np.array_equal(dx, [1, 1])
        assert np.array_equal(dy, [0, 0])
    dx = gradients(model("return np.max(x, axis=1)", "x"), [np.array([[1.0, 1.0, 0.0]])], np.ones(1))
    assert np.allclose(dx, [[0.5, 0.5, 0.0]])


def test_where_does_not_let_nan_through() -> None:
    x = np.array([-1.0, 4.0])
    with np.errstate(invalid="ignore"):
        dx = gradients(model("return np.where(x > 0, np.sqrt(np.maximum(x, 1e-9)), 0.0)", "x"), [x], np.ones(2))
    assert np.allclose(dx, [0.0, 0.25])
