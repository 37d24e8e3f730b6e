"""Traps of grouped gates and einsum: what only looks like a group, dims of size one, repeated labels."""

from __future__ import annotations

import numpy as np
import pytest

from tests.support import original
from tests.traps import LABELS, SQUARE, V, X, Y, both_gates, drawn, gradients, model, right

# --- groups that must not be taken


LOGITS = "shifted = x - np.max(x, axis=1, keepdims=True); e = np.exp(shifted); p = e / np.sum(e, axis=1, keepdims=True)"


@both_gates
@pytest.mark.parametrize(
    "rest",
    [
        "loss = -np.sum(np.log(p[np.arange(N), y])) / N; return loss",
        "loss = -np.sum(np.log(p[np.arange(N), y])) / N; return loss + np.sum(p**2)",
        "loss = -np.mean(np.log(p[np.arange(N), y])); return loss, p",
        "loss = -np.sum(np.log(p[np.arange(N), y] + 1e-2)) / N; return loss",
        "loss = -np.sum(np.log(p[np.arange(N), y])) / N; return loss + np.sum(e)",
        "loss = -np.sum(np.log(p[np.arange(N), y])) / N; return loss + np.sum(shifted**2)",
        "logp = np.log(p); loss = -np.sum(logp[np.arange(N), y]) / N; return loss",
        "logp = np.log(p); loss = -np.sum(logp[np.arange(N), y]) / N; return loss + np.sum(logp)",
        "t = np.eye(4)[y]; return -np.sum(t * np.log(p)) / N",
        "t = np.eye(4)[y] * 0.9 + 0.025; return -np.sum(t * np.log(p)) / N",
        "t = np.eye(4)[y] * 2.0; return -np.sum(t * np.log(p), axis=1)",
        "q = p[np.arange(N), y]; q *= 0.5; return -np.sum(np.log(q))",
        "p[np.arange(N), y] -= 1; return np.sum(p * x)",
        "p /= 2.0; return -np.sum(np.log(p[np.arange(N), y]))",
        "return -np.sum(np.log(p[np.arange(N), y[::-1]])) / N - np.sum(np.log(p[np.arange(N), y]))",
        "return np.sum(p, axis=1) + np.sum(p * p, axis=1)",
    ],
)
def test_softmax_that_is_used_elsewhere(rest: str, gates: str) -> None:
    body = f"N = x.shape[0]; {LOGITS}; {rest}"
    right(
        body,
        'x: "N C", y: "N int"' if "y" in rest else 'x: "N C"',
        {"x": X, "y": LABELS} if "y" in rest else {"x": X},
        gates=gates,
    )


@both_gates
@pytest.mark.parametrize(
    "body",
    [
        "e = np.exp(x); return e / np.sum(e, axis=0)",
        "e = np.exp(x); return e / np.sum(e, axis=0, keepdims=True)",
        "e = np.exp(x); return e / np.sum(e)",
        "e = np.exp(x); return e / e.sum(axis=1)[:, None]",
        "e = np.exp(2 * x); return e / np.sum(e, axis=1, keepdims=True)",
        "e = np.exp(x); return e / np.sum(np.exp(y), axis=1, keepdims=True)",
        "e = np.exp(x - np.max(y, axis=1, keepdims=True)); return e / np.sum(e, axis=1, keepdims=True)",
        "e = np.exp(x - np.max(x, axis=0, keepdims=True)); return e / np.sum(e, axis=1, keepdims=True)",
        "e = np.exp(x); return e / (1e-2 + np.sum(e, axis=1, keepdims=True))",
        "m = np.max(x, axis=1, keepdims=True); return m + np.log(np.sum(np.exp(x - m), axis=1, keepdims=True))",
        "m = np.max(x, axis=1, keepdims=True); return 2 * m + np.log(np.sum(np.exp(x - m), axis=1, keepdims=True))",
        "m = np.max(y, axis=1, keepdims=True); return m + np.log(np.sum(np.exp(x - m), axis=1, keepdims=True))",
        "return np.log(np.sum(np.exp(x), axis=1))",
        "return x - np.log(np.sum(np.exp(x), axis=1, keepdims=True))",
        "return 1 / (1 + np.exp(-x)) + 1 / (1 + np.exp(x)) * x",
        "return 1 / (2 + np.exp(-x))",
        "return np.exp(x) / (1 + np.exp(x))",
        "return np.exp(x) / (1 + np.exp(y))",
        "return 0.5 * (1 + np.tanh(x / 2))",
        "return np.log(1 + np.exp(x))",
        "return np.log1p(np.exp(-np.abs(x))) + np.maximum(x, 0)",
        "mu = x.mean(axis=0); var = x.var(axis=0); return (x - mu) / np.sqrt(var + 1e-5)",
        "mu = x.mean(axis=0); var = x.var(axis=0); return (x - mu) / np.sqrt(var + 1e-5) + var * mu",
        "mu = x.mean(axis=1, keepdims=True); var = x.var(axis=1, keepdims=True); return (x - mu) / np.sqrt(var + 1e-5)",
        "mu = y.mean(axis=0); var = x.var(axis=0); return (x - mu) / np.sqrt(var + 1e-5)",
        "mu = x.mean(axis=0); xc = x - mu; var = np.mean(xc**2, axis=0); return xc / np.sqrt(var + 1e-5) + xc * var",
        "mu = x.mean(axis=0); xc = x - mu; var = np.sum(xc**2, axis=0) / 2; return xc / np.sqrt(var + 1e-5)",
        "return (x - x.mean()) / x.std()",
        "return (x - x.mean(axis=0)) / (x.std(axis=0) + 1e-2)",
        "return (x - x.mean(axis=0)) / x.std(axis=0, ddof=1)",
        "return np.sum(np.maximum(0, 1 - y * x))",
        "return x * np.tanh(np.log(1 + np.exp(x)))",
        "s = 1 / (1 + np.exp(-x)); return -np.sum((y > 0) * np.log(s) + (1 - (y > 0)) * np.log(1 - s))",
    ],
)
def test_group_and_what_only_looks_like_it(body: str, gates: str) -> None:
    for parameters in ("x, y", 'x: "N D", y: "N D"'):
        with_y = "y" in body
        given = {"x": X, "y": Y} if with_y else {"x": X}
        right(body, parameters if with_y else parameters.split(", y")[0], given, gates=gates)


def test_group_of_large_numbers_does_not_overflow() -> None:
    x = np.array([[800.0, 0.0, -800.0]])
    for body in (
        "m = x - np.max(x, axis=1, keepdims=True); e = np.exp(m); p = e / np.sum(e, axis=1, keepdims=True); return p",
        "return np.logaddexp(0, x)",
        "m = np.max(x, axis=1, keepdims=True); return m + np.log(np.sum(np.exp(x - m), axis=1, keepdims=True))",
    ):
        z = original(model(body, "x"), "f")(x)
        for gates in ("grouped", "primitive"):
            assert np.all(np.isfinite(gradients(model(body, "x"), [x], np.ones(np.shape(z)), gates=gates)))


# --- einsum


@pytest.mark.parametrize(
    ("spec", "shapes"),
    [
        ("ij,ij->ij", ((1, 3), (2, 3))),
        ("ij,ij->ij", ((2, 3), (2, 1))),
        ("ij,ij->i", ((1, 3), (2, 3))),
        ("ij,jk->ik", ((2, 3), (3, 4))),
        ("ij,jk->ik", ((2, 1), (3, 4))),
        ("ij,jk", ((2, 3), (3, 4))),
        ("ij,ij", ((2, 3), (2, 3))),
        ("i,j->ij", ((2,), (3,))),
        ("i,i", ((3,), (3,))),
        ("ij,kj->ki", ((2, 3), (4, 3))),
        ("ij,kl->il", ((2, 3), (4, 2))),
        ("...ij,...jk->...ik", ((5, 2, 3), (3, 4))),
        ("...i,...i", ((2, 3), (2, 3))),
        ("nhd,md->nhm", ((2, 3, 2), (4, 2))),
        ("ii,i->i", ((3, 3), (3,))),
        ("ji,ij->j", ((2, 3), (3, 2))),
    ],
)
@pytest.mark.parametrize("known", [True, False])
def test_einsum_of_two(spec: str, shapes: tuple[tuple[int, ...], tuple[int, ...]], known: bool) -> None:
    x, y = (drawn(shape, seed) for seed, shape in enumerate(shapes))
    parameters = f'x: "{" ".join(map(str, x.shape))}", y: "{" ".join(map(str, y.shape))}"' if known else "x, y"
    right(f'return np.einsum("{spec}", x, y)', parameters, {"x": x, "y": y})


@pytest.mark.parametrize("spec", ["ij->i", "ij->", "ij->ji", "ij", "ji", "ii->i", "ii", "ii->", "ij->j"])
@pytest.mark.parametrize("parameter", ["x", 'x: "N N"'])
def test_einsum_of_one(spec: str, parameter: str) -> None:
    right(f'return np.einsum("{spec}", x) * 2.0', parameter, {"x": SQUARE})


def test_einsum_of_many_and_with_repeated_operands() -> None:
    right('return np.einsum("ij,jk,kl->il", x, y, x)', "x, y", {"x": SQUARE, "y": SQUARE.T.copy()})
    right('return np.einsum("i,ij,j", x, y, x)', "x, y", {"x": V[:3], "y": SQUARE})
    right('return np.einsum("ij,ij,ij->j", x, y, x + y)', 'x: "N D", y: "N D"', {"x": X, "y": Y})
    right('return np.einsum("ij,ij->ij", x, y)', 'x: "M K", y: "N K"', {"x": X[:1], "y": Y})
