"""Names that are bound again in an arm of a branch, after an early return, and beside another name of theirs."""

from __future__ import annotations

import pytest

from tests.support import check_module, compiled
from tests.traps import ROW, X

HEAD = "import numpy as np\n\n\ndef f(x, r, flag=False):\n"
BODIES = {
    "in one arm": """
    if np.sum(x) > -50:
        h = np.tanh(x)
        h = h * h
        h = h * r
    else:
        h = x
    return h
""",
    "after an early return": """
    if flag:
        return x * r
    h = np.tanh(x)
    h = h * h
    h = h * r
    return h
""",
    "bound before, in the arm and after it": """
    h = x * 2
    if np.sum(x) > -50:
        h = np.tanh(h)
        h = np.tanh(h) * h
    h = h * r
    return h * x
""",
    "in an arm that is not run": """
    h = np.exp(x)
    if np.sum(x) > 50:
        h = np.tanh(h)
        h = h * h
    return h * r
""",
    "in arms inside an arm": """
    h = np.exp(x)
    if np.sum(x) > -50:
        h = np.tanh(h)
        if np.sum(r) > -50:
            h = h * h
            h = np.sin(h)
        else:
            h = np.cos(h)
    return h * r
""",
    "in an arm and in a loop behind it": """
    h = np.exp(x)
    if np.sum(x) > -50:
        h = np.tanh(h)
    for t in range(2):
        h = h * h * r
    return h
""",
    "written to in an arm": """
    h = np.exp(x)
    if np.sum(x) > -50:
        h[0] = h[1] * r
        h = h * h
    return h
""",
    "an augmented element before an arm that does without": """
    h = x * 2
    h[0] *= r
    if np.sum(x) > -50:
        h = x.copy()
    return h * x
""",
    "an augmented element before an arm that is not run": """
    h = x * 2
    h[0] *= r
    if np.sum(x) > 50:
        h = x.copy()
    return h * x
""",
    "changed under another name": """
    a = np.exp(x)
    b = x * 2
    c = a * a
    a = b
    b[1:] *= r
    print(f"{a.shape}")
    return c * a
""",
    "carried through a loop unchanged": """
    h = np.exp(x)
    g = h * h
    h = np.sin(g)
    for t in range(2):
        g = np.tanh(g * h)
        print(h.shape)
    return g * h * r
""",
}


@pytest.mark.parametrize("parameters", ["x, r", 'x: "N D", r: "D"'])
@pytest.mark.parametrize("body", BODIES.values(), ids=list(BODIES))
def test_bound_again(body: str, parameters: str) -> None:
    check_module(HEAD.replace("x, r", parameters) + body.strip("\n") + "\n", {"x": X, "r": ROW})


def test_what_nothing_binds_again_keeps_its_name() -> None:
    body = """
    if np.sum(x) > -50:
        h = np.tanh(x)
    else:
        h = np.exp(x)
    return h * r
"""
    text = compiled(HEAD + body.strip("\n") + "\n").text
    assert "h_first" not in text
    assert "h = None" not in text
