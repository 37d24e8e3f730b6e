"""Traps of loops over a dict that the program is given."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest

from flatgrad.diagnostics import Refused
from tests.support import check_module
from tests.traps import drawn

X = drawn((3, 3), 1)
PARAMS = {"W1": drawn((3, 3), 2), "b1": drawn(3, 3), "W2": drawn((3, 3), 4), "gamma": drawn((2, 2), 5)}

RIGHT = {
    "items": "for k, W in params.items():\n    loss += reg * np.sum(W * W)",
    "items, and the key is read": "for k, W in params.items():\n    loss += reg * np.sum(W * params[k])",
    "values": "for W in params.values():\n    loss = loss + reg * np.sum(np.sin(W))",
    "keys": "for k in params.keys():\n    loss += reg * np.sum(params[k] ** 3)",
    "the dict itself": "for k in params:\n    loss += reg * np.sum(params[k] ** 2)",
    "in order": "for k in sorted(params):\n    loss = np.tanh(loss + reg * np.sum(params[k] ** 2))",
    "in order, entries": "for k, v in sorted(params.items()):\n    loss = np.tanh(loss * 0.1 + reg * np.sum(v ** 2))",
    "some of them": "for k in params:\n    if k.startswith('W'):\n        loss += reg * np.sum(params[k] ** 2)",
    "with continue": (
        "for k, v in params.items():\n    if 'b' in k:\n        continue\n    loss += reg * np.sum(v ** 2)"
    ),
    "with break": "for k, v in params.items():\n    loss = loss * np.sum(v ** 2)\n    if k == 'W2':\n        break",
    "each hands on to the next": (
        "s = 1.0\nfor k, v in params.items():\n    s = np.sin(s * np.sum(v)) + loss\nloss = loss * s"
    ),
    "collected": (
        "found = []\nfor k, v in params.items():\n    found.append(np.sum(v ** 2))\nloss = loss + reg * sum(found)"
    ),
    "nested": "for k, v in params.items():\n    for i in range(2):\n        loss = loss + reg * np.sum(v ** 2) * i",
    "in an arm": "if reg > 0:\n    for k, v in params.items():\n        loss += reg * np.sum(v ** 2)",
    "twice": """
for v in params.values():
    loss += reg * np.sum(v ** 2)
for k, v in params.items():
    loss += reg * np.sum(np.cos(v))
""",
}
NEVER_WRONG = {
    "the last is read behind the loop": (
        "for k, v in params.items():\n    loss += np.sum(v)\nloss = loss * np.sum(v ** 2)"
    ),
    "an entry is changed in place": "for k, v in params.items():\n    v *= 2.0\n    loss += np.sum(v ** 2)",
    "an entry is put in": "for k in params:\n    params[k] = params[k] * 2.0\nloss += np.sum(params['W2'])",
    "an entry is changed": "for k in params:\n    params[k] += 1.0\nloss += np.sum(params['W2'] ** 2)",
    "a new dict": "q = {}\nfor k, v in params.items():\n    q[k] = v * 2.0\nloss += np.sum(q['W2'] ** 2)",
    "a sum in one line": "loss += reg * sum(np.sum(v ** 2) for v in params.values())",
    "a list of the entries": "vs = list(params.values())\nloss += np.sum(vs[0] ** 2)",
    "with numbers": "for i, (k, v) in enumerate(params.items()):\n    loss += i * np.sum(v ** 2)",
    "by pairs": "for (k, v), i in zip(params.items(), range(9)):\n    loss += i * np.sum(v ** 2)",
    "the entry is bound again": "for k, v in params.items():\n    v = v * 2.0\n    loss += np.sum(v ** 2)",
    "the key is bound again": "for k, v in params.items():\n    k = 'W1'\n    loss += np.sum(v * params[k][0, 0])",
    "two dicts": "for k in params:\n    loss += np.sum(params[k]) * np.sum(other[k] ** 2)",
}


def source(body: str) -> str:
    lines = "".join(f"    {line}\n" for line in body.strip("\n").split("\n"))
    head = "def f(params, x: 'N D', reg: float, other):\n    h = np.tanh(x @ params['W1'] + params['b1'])\n"
    return f"import numpy as np\n\n\n{head}    loss = np.sum(h @ params['W2'])\n{lines}    return loss\n"


def inputs() -> dict[str, Any]:
    return {"params": PARAMS, "x": X, "reg": 0.3, "other": {key: value * 0.5 for key, value in PARAMS.items()}}


@pytest.mark.parametrize("body", RIGHT.values(), ids=RIGHT)
def test_right(body: str) -> None:
    given = inputs()
    check_module(source(body).replace(", other)", ")"), {k: v for k, v in given.items() if k != "other"})


@pytest.mark.parametrize("body", NEVER_WRONG.values(), ids=NEVER_WRONG)
def test_never_wrong(body: str) -> None:
    with suppress(Refused):
        check_module(source(body), inputs())


def test_an_empty_dict() -> None:
    text = """import numpy as np


def f(params, x):
    y = np.sum(x)
    for v in params.values():
        y += np.sum(v ** 2)
    return y
"""
    check_module(text, {"params": {}, "x": X})
