"""Traps of lists and dicts whose elements are known: what one name changes, every other sees."""

from __future__ import annotations

from contextlib import suppress

import numpy as np
import pytest

from flatgrad.diagnostics import Refused
from tests.support import check_module
from tests.traps import drawn

X, Y = drawn(3, 1), drawn(3, 2)

RIGHT = {
    "a copy of a list": "a = [x]\nb = a.copy()\na.append(y)\nreturn b[0] * len(b) + a[1] * len(a)",
    "a slice of a list": "a = [x]\nb = a[:]\na.append(y)\nreturn b[0] * len(b) + a[1] * len(a)",
    "a copy of a dict": "a = {'x': x}\nb = a.copy()\na['x'] = y\nreturn b['x'] * a['x']",
    "a dict made of a dict": (
        "a = {'x': x}\nb = dict(a)\nc = {**a, 'y': y}\na['x'] = y\nreturn b['x'] * c['x'] * c['y'] ** 2"
    ),
    "a list in a dict": "a = [x]\nd = {'a': a}\na.append(y)\nreturn d['a'][0] * len(d['a']) + d['a'][1]",
    "a list in a tuple": "a = [x]\nt = (a, y)\na.append(y)\nu, v = t\nreturn u[0] * len(u) + v",
    "a list in a list in a dict": "a = [x]\nd = {'a': [a, a]}\na += [y]\nreturn d['a'][1][1] * len(d['a'][0])",
    "two names": "a = [x]\nb = a\nb += [y]\na.extend([x * y, x])\nreturn sum(b) * len(a)",
    "a new list under the old name": "a = [x]\nb = a\na = a + [y]\na.append(x)\nreturn sum(a) * len(b)",
    "tuples do not change": "a = (x,)\nb = a\na = a + (y,)\nreturn sum(a) * len(b)",
    "tuples are made anew by +=": "a = (x,)\nb = a\na += (y,)\nreturn sum(a) * len(b)",
    "extended with itself": "a = [x, y]\na.extend(a)\nreturn sum(a) * a[3]",
    "extended with a copy": "a = [x, y]\nb = [z * 2.0 for z in a]\na.extend(b)\na += (x,)\nreturn sum(a)",
    "pop": "a = [x, y, x * y]\nlast = a.pop()\nfirst = a.pop(0)\nreturn last * first ** 2 + a[0] * len(a)",
    "pop under another name": "a = [x, y]\nb = a\nc = b.pop()\nreturn a[0] * len(a) * c",
    "del": "a = [x, y, x * y]\ndel a[0]\ndel a[-1]\nd = {'x': x, 'y': y}\ndel d['x']\nreturn sum(a) * len(d)",
    "insert and reverse": "a = [x, y]\na.insert(0, x * y)\na.reverse()\nreturn a[0] ** 2 * a[2] + len(a)",
    "clear": "a = [x, y]\nb = a\na.clear()\na.append(y)\nreturn sum(b) * x",
    "update": "a = {'x': x}\nb = a\nb.update({'x': y, 'z': x})\nreturn a['x'] * a['z'] ** 2",
    "pop of a dict": "a = {'x': x, 'y': y}\nb = a\nz = b.pop('x')\nreturn z ** 2 * sum(a.values()) * len(a)",
    "a default": "p = {}\np['a'] = np.exp(x)\nq = p\nq['b'] = p['a'] * y\nreturn p['b'] * len(p)",
    "an element twice": "a = []\na.append(x)\na.append(x)\nreturn a[0] * a[1] * y",
    "an empty list": "a = []\na.extend([])\na += []\nreturn x * y * (len(a) + 1)",
    "a dict in a branch, under two names": """
d = {"k": x}
e = d
if np.sum(x) > 0:
    d["k"] = d["k"] * y
d["k"] = d["k"] + y
return e["k"] ** 2
""",
    "a list in an arm that is known": """
parts = [x]
if len(parts) == 1:
    parts.append(y)
return np.concatenate(parts) * 2.0
""",
}
NEVER_WRONG = {
    "a dict in a loop, under two names": """
d = {"k": x}
e = d
for i in range(2):
    d["k"] = d["k"] * y
d["k"] = d["k"] + 1
return e["k"] ** 2
""",
    "a tuple that a loop carries": """
s = (x, y)
for i in range(3):
    s = (s[1] * s[0], np.sin(s[0]))
return s[0] * s[1] * x
""",
    "a tuple that a loop carries, taken apart": """
h = x * y
c = x + y
s = (h, c)
for i in range(3):
    h, c = s
    c = c * h
    s = (h * np.sin(c), c)
return s[0] * s[1] * x + h
""",
    "a list that a loop carries": """
h = x * y
s = [h, y]
for i in range(3):
    a, b = s
    s = [a * b, np.sin(a)]
return s[0] * s[1] * x + h
""",
    "a dict that a branch changes": """
d = {"k": x}
if np.sum(x) > -100:
    d["k"] = d["k"] * y
return d["k"] ** 2 * x
""",
    "a list of a loop in a tuple": """
a = {"k": x}
t = (a, y)
for i in range(2):
    a["k"] = a["k"] * y
a["k"] = a["k"] + 1
u, v = t
return u["k"] * v
""",
    "a dict in a dict in a branch": """
a = {"k": x}
t = {"a": a}
if np.sum(x) > 0:
    a["k"] = a["k"] * y
a["k"] = a["k"] + 1
return t["a"]["k"] * y
""",
    "pop on one way": "a = [x, y]\nz = a.pop() if np.sum(x) > 0 else x\nreturn z * sum(a)",
    "pop within an expression": "a = [x, y]\nz = a.pop() * a.pop()\nreturn z * len(a) + x",
    "pop in a test": "a = [x, y]\nif np.sum(a.pop()) > 0:\n    return x * len(a)\nreturn y * len(a)",
    "pop in a comprehension": "a = [x, y]\nb = [a.pop() * 2.0 for k in range(2)]\nreturn b[0] + len(a) * x",
    "pop in a loop": "a = [x, y]\nz = x\nfor k in range(2):\n    z = z * a.pop()\nreturn z",
    "append in one arm": "a = [x]\nif np.sum(x) > 0:\n    a.append(y)\nreturn sum(a)",
    "a list is changed by a function of its own": """
a = [x]
def more(z):
    a.append(z)
    return z
w = more(y)
return w * len(a)
""",
    "a list is handed to a lambda": "a = [x]\ng = lambda z: z * len(a)\na.append(y)\nreturn g(x)",
    "a list as a default": "a = [x]\ng = lambda z, b=a: z * len(b)\na.append(y)\nreturn g(x)",
    "a list that grows while it is gone through": (
        "a = [x]\nfor z in a:\n    if len(a) < 3:\n        a.append(y)\nreturn sum(a)"
    ),
}


def source(body: str) -> str:
    return "import numpy as np\n\n\ndef f(x: 'N', y: 'N'):\n" + "".join(
        f"    {line}\n" for line in body.strip("\n").split("\n")
    )


@pytest.mark.parametrize("body", RIGHT.values(), ids=RIGHT)
def test_right(body: str) -> None:
    check_module(source(body), {"x": X, "y": Y})


@pytest.mark.parametrize("body", NEVER_WRONG.values(), ids=NEVER_WRONG)
@pytest.mark.parametrize("sign", [1, -1])
def test_never_wrong(body: str, sign: int) -> None:
    with suppress(Refused):
        check_module(source(body), {"x": sign * np.abs(X), "y": Y})
