"""Gradients that loops add up: where every element is added once, one sum; elsewhere the loops. Numbers decide."""

from __future__ import annotations

import pytest

from tests.support import check_module, compiled
from tests.traps import drawn

HEAD = "import numpy as np\n\n\n"


def model(element: str, n: str = "range(N)", f: str = "range(F)", after: str = "") -> str:
    return f"""{HEAD}def f(x: "N F", b: "F", c: "N"):
    N, F = x.shape
    out = np.zeros((N, F))
    for n in {n}:
        for f in {f}:
            out[n, f] = {element}
    {after or "pass"}
    return out
"""


ONCE = {
    "columns": (model("x[n, f] ** 2 + b[f]"), "db = dout.sum(axis=0)"),
    "rows": (model("x[n, f] ** 2 + c[n]"), "dc = dout.sum(axis=1)"),
    "backwards": (model("x[n, f] ** 2 + c[n]", "reversed(range(N))"), "dc = dout.sum(axis=1)"),
}


@pytest.mark.parametrize(("source", "line"), ONCE.values(), ids=ONCE)
def test_a_sum_over_all_there_is(source: str, line: str) -> None:
    assert line in compiled(source).text
    for shape in ((3, 4), (1, 1), (0, 3), (2, 0)):
        check_module(source, {"x": drawn(shape, 1), "b": drawn(shape[1], 2), "c": drawn(shape[0], 3)})


NOT_ALL = {
    "the first rounds only": model("x[n, f] + b[f]", "range(N - 1)"),
    "the last rounds only": model("x[n, f] + b[f]", "range(1, N)"),
    "every other round": model("x[n, f] + b[f]", "range(0, N, 2)"),
    "not all columns": model("x[n, f] + b[f]", "range(N)", "range(F - 1)"),
    "a triangle": model("x[n, f] + b[f]", "range(N)", "range(n, F)"),
    "rounds of another dim": model("x[n, f] + b[f]", "range(N)", "range(min(N, F))"),
    "times a number": model("x[n, f] + 2 * b[f]"),
    "times an element": model("x[n, f] * b[f]"),
    "from the end": model("x[n, f] + b[-f]"),
    "twice": model("x[n, f] + b[f] + b[0]"),
    "also elsewhere": model("x[n, f] + b[f]", after="out = out * b"),
    "written over": model("x[n, f] + b[f]", after="out[0] = x[1]"),
    "the next one": model("x[n, f] + b[(f + 1) % F]"),
    "behind a test": model("x[n, f] + (b[f] if x[n, f] > 0 else 0.0)"),
}


@pytest.mark.parametrize("source", NOT_ALL.values(), ids=NOT_ALL)
def test_what_is_no_sum_over_all_there_is(source: str) -> None:
    for shape in ((3, 4), (2, 1), (4, 2)):
        check_module(source, {"x": drawn(shape, 1), "b": drawn(shape[1], 2), "c": drawn(shape[0], 3)})


MORE = {
    "a round that is not in the index": """for _ in range(3):
        for t in range(x.shape[0]):
            out[t] = out[t] + x[t] + b""",
    "the diagonal": """for t in range(x.shape[0]):
        out[t, t] = x[t, t] + b[t]""",
    "a row": """for t in range(x.shape[0]):
        out[t] = x[t] * 2 + b""",
    "a column": """for t in range(x.shape[1]):
        out[:, t] = x[:, t] * 2 + b""",
    "until it is large": """for t in range(x.shape[0]):
        if x[t, 0] > 100:
            break
        out[t] = x[t] * 2 + b""",
    "some rows": """for t in range(x.shape[0]):
        if t == 1:
            continue
        out[t] = x[t] * 2 + b""",
    "one row after the other": """h = np.zeros(3)
    for t in range(x.shape[0]):
        h = np.tanh(h) + x[t] + b
        out[t] = h""",
}


@pytest.mark.parametrize("lines", MORE.values(), ids=MORE)
def test_rounds_and_rows(lines: str) -> None:
    source = f"""{HEAD}def f(x: "N N", b: "N"):
    out = np.zeros(x.shape)
    {lines}
    return out
"""
    check_module(source, {"x": drawn((3, 3), 1), "b": drawn(3, 2)})


@pytest.mark.parametrize("shape", [(1, 3), (3, 1), (1,), (3,)])
def test_what_is_broadcast(shape: tuple[int, ...]) -> None:
    """Of `b` nothing is known: it may be broadcast in each round."""
    source = f"""{HEAD}def f(x, b):
    out = np.zeros((2, 3, 3))
    for t in range(2):
        out[t] = x[t] + b
    return out
"""
    check_module(source, {"x": drawn((2, 3, 3), 1), "b": drawn(shape, 2)})


def test_only_the_sum_is_asked_for() -> None:
    source = model("x[n, f] ** 2 + b[f]")
    text = compiled(source, wrt=("b",)).text
    assert "for" not in text[text.index("def f_backward") :].split('"""')[-1]
    check_module(source, {"x": drawn((2, 3), 1), "b": drawn(3, 2), "c": drawn(2, 3)}, wrt=("b",))
