"""Claims that are used where they can be, and held to by a line of forward: of parameters that may be None, of entries
under keys that are put together at run time, of helpers that only their callers describe."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from flatgrad.diagnostics import Refused
from tests.support import check_module, compiled, load
from tests.traps import drawn

MASKED = '''import numpy as np


def f(x, W, mask=None):
    """Scores.

    - x: data of shape (N, D)
    - W: weights of shape (D, M)
    - mask: which scores count, of shape (N, M)
    """
    s = x @ W
    BODY
    return np.tanh(s)
'''
SELECT = "if mask is not None:\n        s = np.where(mask == 0, -1.0, s)"


def masked(body: str) -> str:
    return MASKED.replace("BODY", body)


def test_a_claim_holds_unless_none() -> None:
    text = compiled(masked(SELECT)).text
    assert "mask is not None and np.shape(mask) != (x.shape[0], W.shape[1])" in " ".join(text.split()).replace(
        "np.shape(x)", "x.shape"
    ).replace("np.shape(W)", "W.shape")
    assert "unbroadcast" not in text
    given = {"x": drawn((3, 4)), "W": drawn((4, 2))}
    check_module(masked(SELECT), given, differentiated=["x", "W"])
    check_module(masked(SELECT), {**given, "mask": np.array([[1, 0], [0, 1], [1, 1]])}, differentiated=["x", "W"])
    forward = load(text)["f_forward"]
    with pytest.raises(ValueError, match=r"mask \(N, M\)"):
        forward(given["x"], given["W"], np.ones(2))


@pytest.mark.parametrize(
    ("body", "claimed"),
    [
        (SELECT, True),
        ("if mask is None:\n        s = s * 2\n    else:\n        s = np.where(mask == 0, -1.0, s)", True),
        ("if not (mask is None):\n        s = np.where(mask == 0, -1.0, s)", True),
        ("if mask is None:\n        mask = np.ones((x.shape[0], W.shape[1]))\n    s = s * mask", True),
        ("s = s * mask", True),  # fails on None
        ("s = np.where(mask == 0, -1.0, s)", False),  # does not: None == 0 is False
        ("if len(x) > 2:\n        s = np.where(mask == 0, -1.0, s)", False),
        ("if mask is not None:\n        s = s * 2\n    else:\n        s = np.where(mask == 0, -1.0, s)", False),
        ("if mask is not None and len(x) > 2:\n        s = np.where(mask == 0, -1.0, s)", True),
        ("if mask is not None or len(x) > 2:\n        s = np.where(mask == 0, -1.0, s)", False),
    ],
)
def test_a_claim_falls_where_none_may_be_read(body: str, claimed: bool) -> None:
    """What NumPy makes of None has another shape than the claim says."""
    assert ("mask is not None and" in compiled(masked(body)).text.partition("raise")[0]) is claimed


def test_what_only_parameters_that_may_be_none_share_is_not_compared() -> None:
    source = '''import numpy as np


def f(x, a=None, b=None):
    """Scores.

    - x: data of shape (N,)
    - a: of shape (N, K)
    - b: of shape (K, N)
    """
    if a is not None:
        x = x * np.sum(np.tanh(a), axis=1)
    if b is not None:
        x = x + np.sum(np.tanh(b), axis=0)
    return x
'''
    x, a, b = drawn(3), drawn((3, 2)), drawn((5, 3))
    for given in ({"x": x}, {"x": x, "a": a}, {"x": x, "a": None, "b": b}, {"x": x, "a": a, "b": b}):
        check_module(source, given)
    forward = load(compiled(source).text)["f_forward"]
    with pytest.raises(ValueError, match="shapes must be"):
        forward(x, a[:2])
    with pytest.raises(ValueError, match="shapes must be"):
        forward(x, None, b[:, :2])


# Entries under keys that are put together

DEEP = '''import numpy as np


def f(params, x):
    """- x: data of shape (N, D)"""
    for i in range(1, 3):
        LINES
    return x
'''
NAMED = 'W, b = params["W" + str(i)], params["b" + str(i)]\n        x = np.tanh(x.dot(W) + b)'
UNNAMED = 'x = np.tanh(x @ params[f"W{i}"] + params[f"b{i}"])'


def numbers(params: dict[str, Any], x: Any, forward: Any, upstream: Any) -> dict[str, Any]:
    """Central differences with respect to every entry."""
    found = {}
    for key, entry in params.items():
        found[key] = np.zeros_like(entry)
        for place in np.ndindex(entry.shape):
            ends = []
            for step in (1e-6, -1e-6):
                moved = entry.copy()
                moved[place] += step
                ends.append(np.sum(forward({**params, key: moved}, x)[0] * upstream))
            found[key][place] = (ends[0] - ends[1]) / 2e-6
    return found


@pytest.mark.parametrize("lines", [NAMED, UNNAMED])
def test_entries_are_taken_for_matrices_and_biases(lines: str) -> None:
    text = compiled(DEEP.replace("LINES", lines), wrt=("params",)).text
    names = load(text)
    assert "unbroadcast" not in text
    # Each round has columns of its own.
    params = {"W1": drawn((4, 3)), "b1": drawn(3), "W2": drawn((3, 5)), "b2": drawn(5)}
    x, upstream = drawn((2, 4)), drawn((2, 5))
    _, cache = names["f_forward"](params, x)
    gradients = names["f_backward"](upstream, cache)
    for key, expected in numbers(params, x, names["f_forward"], upstream).items():
        np.testing.assert_allclose(gradients[key], expected, rtol=1e-6, atol=1e-8)
    for wrong in ({"W2": drawn((3, 5, 1))}, {"b2": drawn((2, 5))}, {"b2": drawn(1)}):
        with pytest.raises(ValueError, match=r"must be a matrix, and b.* a number for each of its columns"):
            names["f_forward"](params | wrong, x)


def test_a_bias_with_another_key_is_not_compared() -> None:
    lines = 'x = np.tanh(x @ params[f"W{i}"] + params[f"b{3 - i}"])'
    names = load(compiled(DEEP.replace("LINES", lines), wrt=("params",)).text)
    params = {"W1": drawn((4, 3)), "b2": drawn(3), "W2": drawn((3, 5)), "b1": drawn((2, 1))}
    x, upstream = drawn((2, 4)), drawn((2, 5))
    _, cache = names["f_forward"](params, x)
    gradients = names["f_backward"](upstream, cache)
    for key, expected in numbers(params, x, names["f_forward"], upstream).items():
        np.testing.assert_allclose(gradients[key], expected, rtol=1e-6, atol=1e-8)


def test_an_entry_that_may_not_be_read_is_not_looked_at_before() -> None:
    lines = 'x = x @ params[f"W{i}"] if i < 2 else np.tanh(x)'
    try:
        text = compiled(DEEP.replace("LINES", lines), wrt=("params",)).text
    except Refused:
        return
    assert load(text)["f_forward"]({"W1": drawn((4, 3))}, drawn((2, 4)))[0].shape == (2, 3)


# Helpers that only their callers describe

HELPER = '''import numpy as np


def mixed(memory, k):
    return np.tanh(memory @ k)


def f(x, w, v):
    """
    - x: of shape (N, D)
    - w: of shape (D,)
    - v: of shape (N,)
    """
    BODY
'''


def helper(body: str) -> str:
    return HELPER.replace("BODY", body)


def test_a_helper_has_the_shapes_of_its_calls() -> None:
    source = helper("a = mixed(x, w)\n    b = mixed(x * 2, w + 1)\n    return a * b * v")
    given = {"x": drawn((3, 4)), "w": drawn(4), "v": drawn(3)}
    check_module(source, given, function="f", functions=("f",))
    forward = load(compiled(source, functions=("f",)).text)["mixed_forward"]
    with pytest.raises(ValueError, match="memory"):
        forward(drawn((2, 3, 4)), drawn(4))


def test_a_helper_that_is_given_different_things_is_described_where_they_agree() -> None:
    """A matrix once, then a vector: either is right."""
    source = helper("a = mixed(x, w)\n    b = mixed(v, v)\n    return a * b")
    check_module(source, {"x": drawn((3, 4)), "w": drawn(4), "v": drawn(3)}, function="f", functions=("f",))
    assert "k must have shape" in compiled(source, functions=("f",)).text


def test_a_helper_that_is_given_nothing_alike_is_not_described() -> None:
    source = helper("a = mixed(x.T, x)\n    b = mixed(v, v)\n    return a * b")
    with pytest.raises(Refused) as caught:
        compiled(source, functions=("f",))
    assert caught.value.diagnostics[0].code == "FG023"


def test_dims_that_are_the_same_at_one_call_only() -> None:
    """The first call is given a square matrix, the second none."""
    source = helper("a = mixed(x.T @ x, w)\n    b = mixed(x, w)\n    return np.sum(a) * b * v")
    check_module(source, {"x": drawn((3, 4)), "w": drawn(4), "v": drawn(3)}, function="f", functions=("f",))


# One dict for a helper and for its caller

SHARED = '''import numpy as np


def inner(x, head):
    return np.tanh(x * head["k"])


def f(x, head):
    """- x: of shape (N,)"""
    BODY
'''


@pytest.mark.parametrize(
    "body", ['return inner(x, head) * head["g"]', 'y = inner(x, head)\n    return y * head["g"] * x']
)
def test_entries_that_a_helper_reads_and_others(body: str) -> None:
    names = load(compiled(SHARED.replace("BODY", body), functions=("f",), wrt=("head",)).text)
    head, x, upstream = {"k": drawn(3), "g": drawn(3, 1)}, drawn(3, 2), drawn(3, 3)
    _, cache = names["f_forward"](x, head)
    gradients = names["f_backward"](upstream, cache)
    found = numbers(head, x, lambda params, x: names["f_forward"](x, params), upstream)
    assert list(gradients) == ["k", "g"]
    for key, expected in found.items():
        np.testing.assert_allclose(gradients[key], expected, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize(
    "body",
    ['y = inner(x, head)\n    return y * head["k"]', "y = inner(x, head)\n    return inner(y, head)"],
)
def test_an_entry_that_is_read_in_two_functions(body: str) -> None:
    names = load(compiled(SHARED.replace("BODY", body), functions=("f",), wrt=("head",)).text)
    head, x, upstream = {"k": drawn(3, 1)}, drawn(3, 2), drawn(3, 2)
    _, cache = names["f_forward"](x, head)
    gradients = names["f_backward"](upstream, cache)
    found = numbers(head, x, lambda params, x: names["f_forward"](x, params), upstream)
    assert list(gradients) == ["k"]
    np.testing.assert_allclose(gradients["k"], found["k"], rtol=1e-6, atol=1e-8)
