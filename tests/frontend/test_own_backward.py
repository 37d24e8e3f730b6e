"""Which results are a function's own backward matter, by their names and by what they are made of."""

from __future__ import annotations

import ast

import pytest

from flatgrad.frontend.own_backward import own_backward


def dropped(text: str) -> list[str]:
    (node,) = ast.parse(text).body
    assert isinstance(node, ast.FunctionDef)
    return [ast.unparse(one) for one in own_backward(node)]


def function(*lines: str) -> str:
    return "def f(x, w):\n" + "\n".join(f"    {line}" for line in lines)


@pytest.mark.parametrize(
    "lines",
    [
        ("dx = x - x.mean()", "m = dx ** 2", "return np.sum(m), dx"),
        ("dx = x - x.mean()", "s = 0", "for i in range(3):", "    s += dx[i]", "return s, dx"),
        ("dx = np.diff(x)", "return np.sum(x), np.sum(dx * dx)"),
        ("dx = np.diff(x)", "return x.sum(), dx.mean()"),
        ("dw = w * 2", "if dw.sum() > 0:", "    y = x * dw", "else:", "    y = x", "return y.sum(), dw"),
    ],
)
def test_forward_values_with_the_name_of_a_gradient(lines: tuple[str, ...]) -> None:
    assert dropped(function(*lines)) == []


@pytest.mark.parametrize(
    ("lines", "gone"),
    [
        (("loss = np.sum(x @ w)", "dw = x.T @ np.ones(3)", "return loss, dw"), ["dw"]),
        (("loss = np.sum(x @ w)", "dw = x.T @ np.ones(3)", "w = w - 0.1 * dw", "return loss, dw"), ["dw"]),
        (("loss = np.sum(x @ w)", "dw = x.sum()", "return loss, dw, np.sum(dw)"), ["dw", "np.sum(dw)"]),
        (("dw, s = 0 * w, 0", "for i in range(3):", "    s += x[i] @ w", "    dw += x[i]", "return s, dw"), ["dw"]),
        (("out = x @ w", "dx, dw = g(out)", "return out.sum(), np.sum(dw, axis=0)"), ["np.sum(dw, axis=0)"]),
        (("out = x @ w", "cache = (x, w)", "return out, cache"), ["cache"]),
        (("out = x @ w", "grads = {'w': x}", "return out, grads"), ["grads"]),
    ],
)
def test_the_functions_own_gradients(lines: tuple[str, ...], gone: list[str]) -> None:
    assert dropped(function(*lines)) == gone
