"""Dicts that loops fill under keys of their own, `d[i, j] = v`, and checks that prove shapes."""

from __future__ import annotations

import numpy as np
import pytest

from flatgrad.diagnostics import Refused
from tests.support import check_module, compiled

X = np.array([[0.7, -1.2, 0.4], [1.1, 0.3, -0.6]])
HEAD = "import numpy as np\n\n\ndef f_forward(x: 'N D'):\n"
FILL = "d = {}\nfor i in range(2):\n    for j in range(3):\n        d[i, j] = "
READ = "\nt = 0.0\nfor i in range(2):\n    t += np.sum(d[i, 0] ** 2 * d[1, i])\nreturn t"

RIGHT = {
    "numbers": FILL + "x[i, j] ** 2" + READ,
    "rows": FILL + "x[i] * j" + READ,
    "one array under every key": "z = x[0] * 2\n" + FILL + "z" + READ,
    "integers": FILL + "1" + "\nt = 0.0\nfor i in range(2):\n    t += d[i, 0] * x[i, 0]\nreturn t",
    "under another name": FILL + "x[i, j] ** 2" + "\ne = d\nreturn e[0, 1] * d[1, 2]",
    "counted down": FILL.replace("in range(2)", "in reversed(range(2))") + "x[i, j] ** 2" + READ,
    "some rounds only": "d = {}\nfor i in range(2):\n    for j in range(3):\n        if x[i, j] < 0:\n"
    "            continue\n        d[i, j] = x[i, j] ** 3\nt = 0.0\nfor i in range(2):\n    if x[i, 0] > 0:\n"
    "        t += d[i, 0] ** 2\nreturn t",
    "a new dict in every round": "t = 0.0\nfor k in range(2):\n    d = {}\n    for i in range(2):\n"
    "        for j in range(3):\n            d[i, j] = x[i, j] ** (k + 2)\n    t += d[0, 1] * d[1, 2]\nreturn t",
    "arrays of different shapes": "hs = {}\nh = x\nfor t in range(2):\n    hs[t] = h\n    h = h[:, 1:]\ns = 0.0\n"
    "for t in range(2):\n    s += np.sum(hs[t] * np.sum(hs[0])) * (t + 1)\nreturn s",
    "arrays that broadcast": "hs = {}\nh = x\nfor t in range(2):\n    hs[t] = h\n"
    "    h = np.sum(h, axis=0, keepdims=True)\ns = 0.0\nfor t in range(2):\n"
    "    s += np.sum(hs[t] * hs[1] * hs[0])\nreturn s",
    "steps, read again": "hs = {}\nhs[-1] = x[0]\nfor t in range(2):\n    hs[t] = np.sin(hs[t - 1] * x[t])\ns = 0.0\n"
    "for t in range(2):\n    s += np.sum(hs[t] * hs[t - 1])\nreturn s",
    "added to later": FILL
    + "x[i] ** 2\nt = 0.0\nfor i in range(2):\n    t += np.sum(d[i, 0] ** 2)\n    d[i, 0] += x[i, 1]\n"
    "    t += np.sum(d[i, 0] ** 3)\nreturn t",
}

REFUSED = {
    "filled again": (FILL + "x[i, j] ** 2\n" + FILL.removeprefix("d = {}\n") + "x[i, j] ** 3" + READ, "FG030"),
    "an entry written behind": (FILL + "x[i, j] ** 2\nd[0, 0] = x[1, 1] * 3" + READ, "FG030"),
    "filled again in every round around": (
        "d = {}\nt = 0.0\nfor k in range(2):\n    for i in range(2):\n        for j in range(3):\n"
        "            d[i, j] = x[i, j] ** (k + 2)\n    t += d[0, 1]\nreturn t",
        "FG030",
    ),
    "a key without one of the indices": (FILL.replace("d[i, j]", "d[i, 0]") + "x[i, j] ** 2" + READ, "FG030"),
    "what was stored is changed": (
        "d = {}\nfor i in range(2):\n    for j in range(3):\n        v = x[i] * j\n        d[i, j] = v\n        v += 1"
        + READ,
        "FG041",
    ),
    "what is stored shares memory": (FILL + "x[i]\nx[0] = 0" + READ, "FG041"),
    "an entry is changed under a name": (FILL + "x[i] * j\nm = d[0, 1]\nm *= 2" + READ, "FG041"),
    "an entry is taken away": (FILL + "x[i, j] ** 2\ndel d[0, 1]" + READ, "FG030"),
}


def source(body: str) -> str:
    return HEAD + "\n".join(f"    {line}" for line in body.split("\n")) + "\n"


@pytest.mark.parametrize("name", RIGHT)
def test_filled_dicts(name: str) -> None:
    check_module(source(RIGHT[name]), {"x": X})


@pytest.mark.parametrize("name", REFUSED)
def test_dicts_that_are_not_understood(name: str) -> None:
    body, code = REFUSED[name]
    with pytest.raises(Refused) as refused:
        compiled(source(body))
    assert code in [one.code for one in refused.value.diagnostics]


def test_entries_have_their_own_gradients() -> None:
    text = compiled(source(FILL + "x[i, j] ** 2" + READ)).text
    assert "dd = dict.fromkeys(d, 0.0)" in text
    assert "dd[i, 0] += " in text


CHECKS = {
    "if w.ndim != 2 or x.shape[1] != w.shape[0]:\n    raise ValueError('shapes')": True,
    "assert w.ndim == 2 and x.ndim == 2": True,
    "assert x.ndim == 2\nif np.shape(w) != (x.shape[1], 2):\n    raise ValueError('shapes')": True,
    "if not (w.ndim == 2 and np.ndim(x) == 2):\n    raise ValueError('shapes')": True,
    # Either may hold.
    "if w.ndim != 2 and x.ndim != 2:\n    raise ValueError('shapes')": False,
    "assert w.ndim == 2 or x.ndim == 2": False,
    "assert w.ndim != 3": False,
}


@pytest.mark.parametrize("check", CHECKS)
def test_checks_prove_shapes(check: str) -> None:
    body = f"{check}\ny = x @ w\nreturn np.sum(y ** 2)"
    text = source(body).replace("x: 'N D'", "x, w")
    if CHECKS[check]:
        check_module(text, {"x": X, "w": X.T @ X[:, :2]})
        return
    with pytest.raises(Refused) as refused:
        compiled(text)
    assert [one.code for one in refused.value.diagnostics] == ["FG023"]
