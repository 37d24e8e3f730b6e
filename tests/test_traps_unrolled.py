"""Traps of loops over lists that are written out: each round is a statement of its own."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import numpy as np
import pytest

from flatgrad.diagnostics import Refused
from tests.support import check_module, compiled
from tests.traps import drawn

A, B, C = drawn((3, 3), 1), drawn((3, 3), 2), drawn((3, 3), 3)
V = drawn(3, 4)

# Bodies of `f(x, a, b)`, all of one shape.
RIGHT = {
    "an element that a round binds again": """
for w in [a, b]:
    a = w * x
    x = x + a
return x * a
""",
    "an element that a round changes in place": """
y = 1.0 * a
for w in [y, b]:
    y += w * x
return y
""",
    "the target is changed in place, and so is the element": """
y = x * a
for w in [y, x * b]:
    w *= 2.0
    x = x + w
return x * y
""",
    "the target is bound again": """
s = 0.0
for w in (a, b, a):
    w = w * w
    s = s + np.sum(w * x)
return s
""",
    "one element twice": """
for w in [a, b, a]:
    x = np.tanh(x @ w)
return x
""",
    "elements that are expressions are worked out before the loop": """
for w in [x * a, np.sin(x), b]:
    x = x * w + 1
return x
""",
    "elements that name the target": """
w = a
for v, w in [(w, b), (b, w)]:
    x = x * v + np.sin(w)
return x
""",
    "the target is read behind the loop": """
for w in [a, b]:
    x = x * w
return x + w
""",
    "the list is read behind the loop": """
ws = [a, b]
for w in ws:
    x = x * w
return x + ws[0] * len(ws)
""",
    "an element of the list is bound again": """
ws = [a, b]
a = a * 3.0
for w in ws:
    x = np.tanh(x) * w + a
return x
""",
    "loops in loops": """
for v in [a, b]:
    for w in (v, b):
        x = np.tanh(x * w) + v
return x
""",
    "a loop over a range inside": """
for w in [a, b]:
    for i in range(3):
        x[i] = np.tanh(x[i] * w[i])
return x
""".replace("for w", "x = x * 1.0\nfor w", 1),
    "a list written out in a loop": """
for i in range(2):
    for w in [a, b]:
        x = np.tanh(x * w) + i
return x
""",
    "positions": """
ws = [a, b, a * b]
for i in range(len(ws) - 1):
    x = np.tanh(x * ws[i]) + ws[i + 1]
return x
""",
    "a part of a list": """
ws = [a, b, a * b]
for w in ws[:-1]:
    x = np.tanh(x * w)
for v, w in zip(ws[:-1], ws[1:]):
    x = x * v + w
return x * ws[-1]
""",
    "the number of elements has a name": """
ws = [a, b]
L = len(ws)
for i in range(L):
    x = x @ ws[i]
    if i != L - 1:
        x = np.tanh(x)
return x
""",
    "keys of a dict that the loop fills": """
cache = {}
h = x
for i in range(1, 3):
    z = h @ a
    h = np.tanh(z)
    cache["z" + str(i)] = z
    cache[f"h{i}"] = h
return h * cache["z1"] + cache["h2"] * cache["h1"]
""",
    "positions from the end": """
ws = (a, b)
for i in range(1, 3):
    x = np.tanh(x * ws[-i])
return x
""",
    "positions decide": """
ws = [a, b]
for i, w in enumerate(ws):
    x = x @ w
    if i == 0:
        continue_with = np.sin(x)
        x = continue_with
    elif i < len(ws) - 1:
        x = np.cos(x)
    else:
        x = x * 3.0
return x
""",
    "in reverse": """
for i, w in enumerate(reversed([a, b]), 1):
    x = np.tanh(x @ w) * i
return x
""",
    "zip stops at the shortest": """
for v, w in zip([a, b, x], (b, a)):
    x = x * v + np.sin(w)
return x
""",
    "functions": """
for f in [np.tanh, np.sin]:
    x = f(x * a) + b
return x
""",
    "names": """
p = {"W1": a, "W2": b}
for k in ["W1", "W2"]:
    x = np.tanh(x * p[k])
for k, v in p.items():
    x = x + v * len(k)
for v in p.values():
    x = x * v
for k in p:
    if k.startswith("W"):
        x = x + p[k] ** 2
return x
""",
    "keys that are put together": """
p = {"W1": a, "W2": b}
for i in (1, 2):
    x = np.tanh(x * p["W" + str(i)])
return x
""",
    "a way out": """
for w in [a, b]:
    x = x * w
    if np.sum(x) > 1e3:
        return x * 2.0
return x
""",
    "break is no round": """
for w in [1.0, 2.0, 3.0]:
    x = x * w
    if np.sum(x) > 3:
        break
return x * a + b
""",
    "a function that reads the target later": """
fs = []
for w in [a, b]:
    g = lambda z: z * w
    x = g(x)
return g(x)
""",
    "a comprehension with the same name": """
for w in [a, b]:
    x = x + sum([w * 2.0 for w in (b, a)]) * 0.5
return x
""",
    "an empty list": """
for w in []:
    x = x * w
return x * a + b
""",
}
NEVER_WRONG = {
    "an element of the list is changed in place": """
a = a * 1.0
ws = [a, b]
a += 1.0
for w in ws:
    x = np.tanh(x) * w + a
return x
""",
    "the list grows behind the loop's back": """
ws = [a]
ws.append(b)
for w in ws:
    x = x * w
return x
""",
    "the number of elements changes": """
ws = [a, b]
L = len(ws)
for k in range(2):
    L = L - k
    for i in range(L):
        x = x * ws[i]
return x
""",
    "the number is that of another list": """
ws = [a, b]
if np.sum(x) > 0:
    L = 1
else:
    L = 2
for i in range(L):
    x = x * ws[i]
return x
""",
    "numbers that name each other": """
ws = [a, b]
for i in range(L):
    x = x * ws[i]
    L = M
    M = L
return x
""",
    "the list has two names": """
ws = [a, b]
vs = ws
vs[0] = x
for w in ws:
    x = x * w
return x
""",
    "the list is changed in the loop": """
ws = [a, b]
for i, w in enumerate(ws):
    ws[1] = x
    x = x * w
return x
""",
    "the list is bound in one arm": """
if np.sum(x) > 0:
    ws = [a, b]
else:
    ws = [b, a, a]
for w in ws:
    x = x * w
return x
""",
    "the list is bound behind": """
for i in range(2):
    if i > 0:
        for w in ws:
            x = x * w
    ws = [a, b]
return x
""",
    "the list changes while a round goes on": """
for i in range(2):
    ws = [x, a]
    for w in ws:
        x = x * w + b
return x
""",
    "an element is a view": """
y = x * 1.0
for row in [y[0], y[1]]:
    y[1] = row * 2.0
return y * a
""",
    "elements of different forms": """
for v in [(a, b), a]:
    x = x * v[0]
return x
""",
    "else": """
for w in [a, b]:
    x = x * w
else:
    x = x + 1
return x
""",
}


def source(body: str) -> str:
    lines = "".join(f"    {line}\n" for line in body.strip("\n").split("\n"))
    return f"import numpy as np\n\n\ndef f(x, a, b):\n{lines}"


@pytest.mark.parametrize("body", RIGHT.values(), ids=RIGHT)
@pytest.mark.parametrize("given", [{"x": A, "a": B, "b": C}, {"x": -A, "a": C, "b": A}], ids=("some", "others"))
def test_rounds_are_right(body: str, given: dict[str, Any]) -> None:
    annotated = source(body).replace("x, a, b", 'x: "N N", a: "N N", b: "N N"')
    check_module(annotated, given)


@pytest.mark.parametrize("body", NEVER_WRONG.values(), ids=NEVER_WRONG)
def test_never_wrong(body: str) -> None:
    annotated = source(body).replace("x, a, b", 'x: "N N", a: "N N", b: "N N"')
    with suppress(Refused):
        check_module(annotated, {"x": A, "a": B, "b": C})


def test_places_in_the_text_stay_true() -> None:
    text = source("for w in [a, b]:\n    x = x * w\n    x = foo(x)\nreturn bar(x)")
    with pytest.raises(Refused) as caught:
        compiled(text)
    lines = sorted({one.span.line for one in caught.value.diagnostics if one.span})
    assert [text.split("\n")[line - 1].strip() for line in lines] == ["x = foo(x)", "return bar(x)"]


def test_numbers_stay_as_they_are_written() -> None:
    text = compiled(source("for w in [a, b]:\n    x = x * w + 1e-5\nreturn x")).text
    assert "1e-5" in text
    assert "1e-05" not in text


def test_attributes_of_an_object() -> None:
    text = """import numpy as np


class Net:
    def __init__(self, W1, b1, W2, b2):
        self.W1, self.b1, self.W2, self.b2 = W1, b1, W2, b2

    def forward(self, x: "N D"):
        h = x
        for W, b in [(self.W1, self.b1), (self.W2, self.b2)]:
            h = np.tanh(h @ W + b)
        return h
"""
    from tests.support import load

    net = load(compiled(text).text)["Net"](A, V, B, V * 2)
    out = net.forward(C)
    dx = net.backward(np.ones_like(out))
    h = 1e-6
    moved = [np.sum(net.forward(C + s * h * A)) for s in (1, -1)]
    assert np.isclose((moved[0] - moved[1]) / (2 * h), np.sum(dx * A))
