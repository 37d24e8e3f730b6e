"""Traps of lists that a loop fills in more than one place, and of what comes after such a loop."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import numpy as np
import pytest

from flatgrad.diagnostics import Refused
from tests.support import check_module
from tests.traps import drawn

RIGHT = {
    "one way or the other": """
hs = []
for t in range(x.shape[0]):
    if x[t, 0] > 0:
        hs.append(x[t] ** 2)
    else:
        hs.append(-x[t])
return np.array(hs)
""",
    "the last one is read": """
hs = [x[0] * 0.5]
for t in range(x.shape[0]):
    if x[t, 0] > 0:
        h = np.tanh(hs[-1] * x[t])
        hs.append(h)
    else:
        hs.append(np.sin(hs[-1]) + x[t])
return np.array(hs) * 2.0
""",
    "stored and carried": """
hs = []
h = x[0] * 0.0
for t in range(x.shape[0]):
    if x[t, 0] > 0:
        h = np.tanh(h + x[t])
        hs.append(h * 1.0)
    elif x[t, 0] > -0.5:
        h = np.sin(h * x[t])
        hs.append(h * 2.0)
    else:
        hs.append(h * h)
return np.sum(np.array(hs) ** 2) + np.sum(h)
""",
    "continue behind the first": """
hs = []
for t in range(x.shape[0]):
    if x[t, 0] > 0:
        hs.append(x[t] * 3.0)
        continue
    z = np.sin(x[t])
    hs.append(z * z)
return np.array(hs)
""",
    "two lists": """
hs, cs = [], []
for t in range(x.shape[0]):
    c = np.exp(x[t])
    if x[t, 0] > 0:
        hs.append(x[t] * c)
        cs.append(c)
    else:
        cs.append(c * c)
        hs.append(c)
return np.array(hs) * np.array(cs)
""",
    "a list that has elements already": """
hs = [x[0], x[-1]]
for t in range(1, x.shape[0]):
    if t % 2 == 0:
        hs.append(hs[-1] * x[t])
    else:
        hs.append(x[t] + hs[-1])
return sum(hs)
""",
    "a list that grows by +=": """
hs = []
for t in range(x.shape[0]):
    hs += [np.sin(x[t])]
return np.array(hs) ** 2
""",
    "gone through afterwards": """
hs = []
for t in range(x.shape[0]):
    hs.append(np.sin(x[t]))
s = 0.0
for h in hs:
    s = s + np.sum(h ** 3)
return s
""",
    "gone through afterwards, with positions": """
hs = []
for t in range(x.shape[0]):
    hs.append(np.sin(x[t]))
s = 0.0
for i, h in enumerate(hs):
    s = s * 0.5 + i * np.sum(h * hs[i])
return s
""",
    "gone through afterwards, beside another": """
hs = []
for t in range(x.shape[0]):
    hs.append(np.sin(x[t]))
s = 0.0
for h, row in zip(hs, x):
    s = np.tanh(s + np.sum(h * row))
return s
""",
    "gone through from its end": """
hs = []
for t in range(x.shape[0]):
    hs.append(np.sin(x[t]))
s = 1.0
for h in reversed(hs):
    s = s * np.sum(h * h) + 1.0
return s
""",
    "every element twice": """
hs = []
for t in range(x.shape[0]):
    hs.append(np.sin(x[t]))
s = 0.0
for h in hs:
    for g in hs:
        s = s + np.sum(h * g)
return s
""",
}
NEVER_WRONG = {
    "only on one way": """
hs = []
for t in range(x.shape[0]):
    if x[t, 0] > 0:
        hs.append(x[t] ** 2)
return sum(hs) + np.sum(x)
""",
    "twice on one way": """
hs = []
for t in range(x.shape[0]):
    if x[t, 0] > 0:
        hs.append(x[t] ** 2)
        hs.append(x[t])
    else:
        hs.append(x[t] ** 3)
return np.array(hs)
""",
    "in an inner loop on one way": """
hs = []
for t in range(x.shape[0]):
    if x[t, 0] > 0:
        hs.append(x[t] ** 2)
    else:
        for i in range(2):
            hs.append(x[t] ** 3)
return np.array(hs)
""",
    "break on one way": """
hs = [x[0]]
for t in range(x.shape[0]):
    if x[t, 0] > 1:
        break
    if x[t, 0] > 0:
        hs.append(x[t] ** 2)
    else:
        hs.append(x[t] ** 3)
return sum(hs) * 2.0
""",
    "two loops": """
hs = []
for t in range(x.shape[0]):
    hs.append(x[t] ** 2)
for t in range(x.shape[0]):
    hs.append(-x[t])
return np.array(hs)
""",
    "one array in both": """
hs = []
h = x[0] * 1.0
for t in range(x.shape[0]):
    h += x[t]
    if x[t, 0] > 0:
        hs.append(h)
    else:
        hs.append(h)
return np.array(hs)
""",
    "an element that is changed where it is gone through": """
hs = []
for t in range(x.shape[0]):
    hs.append(np.sin(x[t]))
for h in hs:
    h *= 2.0
return np.array(hs)
""",
    "a list that grows where it is gone through": """
hs = []
for t in range(x.shape[0]):
    hs.append(np.sin(x[t]))
s = 0.0
for h in hs:
    if len(hs) < 3:
        hs.append(h)
    s = s + np.sum(h)
return s
""",
    "how many there are so far": """
hs = []
for t in range(x.shape[0]):
    hs.append(x[t] * len(hs))
return np.array(hs)
""",
    "a way out": """
s = np.zeros(x.shape[1])
for t in range(x.shape[0]):
    s = s + x[t] * t
    if np.sum(s) > 3:
        return s * 2
return s
""",
}
SIZES = {"some": drawn((4, 3), 1), "one": drawn((1, 3), 2), "positive": np.abs(drawn((3, 2), 3)) + 0.1}
SIZES["negative"] = -SIZES["positive"]


def source(body: str) -> str:
    lines = "".join(f"    {line}\n" for line in body.strip("\n").split("\n"))
    return f"import numpy as np\n\n\ndef f(x: 'T D'):\n{lines}"


@pytest.mark.parametrize("body", RIGHT.values(), ids=RIGHT)
@pytest.mark.parametrize("x", SIZES.values(), ids=SIZES)
def test_right(body: str, x: Any) -> None:
    check_module(source(body), {"x": x})


@pytest.mark.parametrize(
    "body", [RIGHT[name] for name in ("gone through afterwards", "gone through from its end", "every element twice")]
)
def test_no_round(body: str) -> None:
    check_module(source(body), {"x": np.zeros((0, 3))})


@pytest.mark.parametrize("body", NEVER_WRONG.values(), ids=NEVER_WRONG)
@pytest.mark.parametrize("x", SIZES.values(), ids=SIZES)
def test_never_wrong(body: str, x: Any) -> None:
    with suppress(Refused):
        check_module(source(body), {"x": x})
