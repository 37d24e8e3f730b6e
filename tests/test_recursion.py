"""Functions that call themselves: their backward passes do, each with the cache of its own call."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from flatgrad.diagnostics import Refused
from tests.oracles import central_difference
from tests.support import compiled

RNG = np.random.default_rng(3)
HEAD = "import numpy as np\n\n\n"


def check(source: str, name: str, *arguments: Any, wrt: tuple[int, ...] = (0,)) -> str:
    """The gradients of a function with respect to the arguments at these positions; arguments stay as they were."""
    text = compiled(HEAD + source, "model.py").text
    made: dict[str, Any] = {}
    exec(compile(text, "model_grad.py", "exec"), made)
    user: dict[str, Any] = {}
    exec(compile(HEAD + source, "model.py", "exec"), user)
    kept = [np.copy(one) for one in arguments]
    *results, cache = made[f"{name}_forward"](*arguments)
    expected = user[name](*[np.copy(one) if isinstance(one, np.ndarray) else one for one in arguments])
    expected = expected if isinstance(expected, tuple) else (expected,)
    for one, other in zip(results, expected, strict=True):
        np.testing.assert_allclose(one, other)
    upstream = [RNG.normal(size=np.shape(one)) if np.ndim(one) else 0.7 for one in results]
    before = [np.copy(one) for one in upstream]
    for _ in range(2):
        found = made[f"{name}_backward"](*upstream, cache)
        found = found if isinstance(found, tuple) else (found,)
        assert len(found) == len(wrt)
        for gradient, position in zip(found, wrt, strict=True):
            estimate = central_difference(user[name], arguments, position, upstream)
            np.testing.assert_allclose(gradient, estimate.value, rtol=1e-6, atol=1e-7)
    for one, other in (*zip(arguments, kept, strict=True), *zip(upstream, before, strict=True)):
        np.testing.assert_array_equal(one, other)
    return text


def codes(source: str) -> list[str]:
    with pytest.raises(Refused) as caught:
        compiled(HEAD + source, "model.py")
    return [one.code for one in caught.value.diagnostics]


TREE = """def tree(x: "N D"):
    n = x.shape[0]
    if n == 1:
        return np.sin(x[0])
    m = n // 2
    return tree(x[:m]) * tree(x[m:]) + x[0]
"""
POWER = """def power(A: "N N", n: int):
    if n == 0:
        return np.eye(A.shape[0])
    if n % 2 == 1:
        return A @ power(A, n - 1)
    half = power(A, n // 2)
    return half @ half
"""
RESIDUAL = """def net(x: "N D", W: "D D", depth: int):
    if depth == 0:
        return x
    h = net(x, W, depth - 1)
    return np.tanh(h @ W) + h
"""


@pytest.mark.parametrize("rows", [1, 2, 5, 8])
def test_a_binary_tree(rows: int) -> None:
    check(TREE, "tree", RNG.normal(size=(rows, 3)))


@pytest.mark.parametrize("n", [0, 1, 2, 5, 6])
def test_powers_by_squaring(n: int) -> None:
    text = check(POWER, "power", RNG.normal(size=(3, 3)) / 2, n)
    assert "power_backward(dhalf, " in text
    assert "unbroadcast" not in text  # that the power of a matrix is one is proved


@pytest.mark.parametrize("depth", [0, 1, 4])
def test_a_residual_net_of_any_depth(depth: int) -> None:
    check(RESIDUAL, "net", RNG.normal(size=(2, 3)), RNG.normal(size=(3, 3)), depth, wrt=(0, 1))


@pytest.mark.parametrize("depth", [0, 1, 3])
def test_what_a_call_hands_back_is_changed(depth: int) -> None:
    """At depth 0 the result is the argument itself."""
    source = """def f(x, depth: int):
    if depth == 0:
        return x
    h = f(x, depth - 1)
    y = h * 2.0
    y += h
    return y * x
"""
    check(source, "f", RNG.normal(size=(2, 3)), depth)
    changing = source.replace("y = h * 2.0\n    y += h", "y = h\n    y += 1")
    assert set(codes(changing)) <= {"FG040", "FG041", "FG042", "FG043"}


def test_a_function_that_changes_its_argument() -> None:
    source = """def f(x, depth: int):
    if depth == 0:
        return np.sin(x)
    x += 1
    return f(x, depth - 1) * x
"""
    assert "FG042" in codes(source)


@pytest.mark.parametrize("steps", [0, 1, 3])
def test_a_call_in_a_loop(steps: int) -> None:
    source = """def f(x: "N", depth: int):
    if depth == 0:
        return np.sin(x)
    s = x * 0.5
    for k in range(depth):
        s = s + f(s, k) * x
    return s
"""
    check(source, "f", RNG.normal(size=3), steps)


def test_several_results_that_change_places() -> None:
    source = """def f(a: "N", b: "N", n: int):
    if n == 0:
        return a, b
    p, q = f(b, a * b, n - 1)
    return q + a, p * b
"""
    for n in range(4):
        check(source, "f", RNG.normal(size=3), RNG.normal(size=3), n, wrt=(0, 1))


def test_a_parameter_that_only_a_later_call_reads() -> None:
    source = """def f(a: "N", b: "N", c: "N", n: int):
    if n == 0:
        return a * a
    return f(b, c, a, n - 1)
"""
    for n in range(4):
        check(source, "f", RNG.normal(size=3), RNG.normal(size=3), RNG.normal(size=3), n, wrt=(0, 1, 2))


def test_a_shape_that_changes_from_call_to_call() -> None:
    """Where it does not call itself the result has the shape of x; that is not so in the other arm."""
    source = """def f(x: "N D", n: int):
    if n == 0:
        return np.sin(x)
    return np.sum(f(x, n - 1) * 2.0, axis=0, keepdims=True) * 0.5
"""
    for n in range(3):
        check(source, "f", RNG.normal(size=(4, 3)), n)
    source = """def f(x: "N D", b: "N D", n: int):
    if n == 0:
        return x
    return f(x[:1], b[:1], n - 1) + b
"""
    for n in range(3):
        check(source, "f", RNG.normal(size=(4, 3)), RNG.normal(size=(4, 3)), n, wrt=(0, 1))


def test_a_scalar_recursion() -> None:
    source = """def legendre(x, n: int):
    if n == 0:
        return 1.0
    if n == 1:
        return x
    return ((2 * n - 1) * x * legendre(x, n - 1) - (n - 1) * legendre(x, n - 2)) / n
"""
    for n in range(5):
        if n:
            check(source, "legendre", RNG.normal(size=4), n)
    check(source, "legendre", 0.3, 4)


def test_a_number_that_carries_no_gradient() -> None:
    source = """def fact(n: int):
    if n <= 1:
        return 1
    return n * fact(n - 1)


def exp_forward(x: "N", terms: int):
    s = np.zeros(x.shape[0])
    for k in range(terms):
        s = s + x**k / fact(k)
    return s
"""
    made: dict[str, Any] = {}
    exec(compile(compiled(HEAD + source, "model.py").text, "model_grad.py", "exec"), made)
    x = RNG.normal(size=3)
    _, cache = made["exp_forward"](x, 6)
    expected = sum(k * x ** (k - 1) / np.prod(np.arange(1, k + 1)) for k in range(1, 6))
    np.testing.assert_allclose(made["exp_backward"](np.ones(3), cache), expected)


def test_functions_that_call_each_other() -> None:
    source = """def f(x, n: int):
    if n == 0:
        return x
    return g(x, n - 1) * 2


def g(x, n: int):
    if n == 0:
        return x
    return f(x, n - 1) * 3
"""
    assert set(codes(source)) == {"FG037"}


def test_no_end() -> None:
    assert codes("def f(x):\n    return f(x) * 2\n")
