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


# Names that go over to lists, dicts and functions


STEPS = "hs = []\nfor t in range(x.shape[0]):\n    hs.append(np.tanh(x[t] @ w))\n"
OVER = {
    "a list of others": "h = np.tanh(x)\ns = np.sum(h**2)\nh = [w, x]\nreturn s * np.sum(h[0])",
    "a list of itself": "h = np.tanh(x)\ng = [h, w]\nh = g\nreturn np.sum(h[0] ** 2)",
    "what a loop collects": f"h = np.tanh(x)\ns = np.sum(h**2)\n{STEPS}h = hs\nreturn s * np.sum(np.array(h) ** 2)",
    "what another loop collects": (
        f"{STEPS}gs = []\nfor t in range(x.shape[0]):\n    gs.append(hs[t] ** 2)\n"
        "hs = gs\nreturn np.sum(np.array(hs) ** 2)"
    ),
    "one of several": (
        f"{STEPS}gs = []\nfor t in range(x.shape[0]):\n    gs.append(hs[t] ** 2)\n"
        "hs, k = gs, 3\nreturn k * np.sum(np.array(hs))"
    ),
    "a dict with several indices": (
        "d = {}\nfor i in range(2):\n    for j in range(3):\n        d[i, j] = np.tanh(x[i, j])\n"
        "e = {}\nfor i in range(2):\n    for j in range(3):\n        e[i, j] = d[i, j] ** 2\n"
        "d = e\ns = np.sum(w)\nfor i in range(2):\n    for j in range(3):\n        s += d[i, j] ** 2\nreturn s"
    ),
    "a function": f"{STEPS}s = np.sum(np.array(hs) ** 2)\nhs = np.sin\nreturn hs(s)",
}


@pytest.mark.parametrize("body", OVER.values(), ids=OVER)
def test_a_name_that_goes_over_to(body: str) -> None:
    lines = "".join(f"    {line}\n" for line in body.split("\n"))
    source = f'import numpy as np\n\n\ndef f(x: "T D", w: "D"):\n{lines}'
    check_module(source, {"x": X[:2, :3], "w": X[0, :3] + 0.5}, function="f")
