"""Traps of lists, of module constants that another name changes, and of imports inside functions."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from flatgrad.diagnostics import Refused
from tests.support import check_module, compiled
from tests.traps import drawn, outcome

HEAD = "import numpy as np\n\n"
X, ROW, SQUARE = drawn((3, 4)), drawn(4), drawn((4, 4), 5)


def model(body: str, parameters: str, before: str = "") -> str:
    lines = "".join(f"    {line}\n" for line in body.split("\n"))
    return f"{HEAD}{before}\n\ndef f({parameters}):\n{lines}"


CHANGED = {
    "another name": "K = np.arange(4.0)\nJ = K\nJ[0] = 9.0\n",
    "another name added to": "K = np.arange(4.0)\nJ = K\nJ += 9.0\n",
    "both at once": "K = J = np.zeros(4)\nJ[0] = 2.0\n",
    "a part": "K = np.arange(4.0)\nJ = K[1:]\nJ[0] = 9.0\n",
    "another form": "K = np.arange(4.0)\nJ = K.reshape(2, 2)\nJ[0] = 9.0\n",
    "in a list": "K = np.arange(4.0)\nJ = [K]\nJ[0][0] = 9.0\n",
    "gone through": "T = np.zeros((2, 4))\nfor k in T:\n    k[0] = 3.0\nK = T[0]\n",
    "a comprehension": "T = np.zeros((2, 4))\n[r.fill(2.0) for r in T]\nK = T[0]\n",
    "third operand": "K = np.zeros(4)\nnp.add(K, 1.0, K)\n",
    "setattr": "K = np.zeros(4)\nsetattr(K, 'flat', 3.0)\n",
    "a function": "def fill(z):\n    z[0] = 5.0\n\n\nK = np.zeros(4)\nfill(K)\n",
    "a function of a function": (
        "def fill(z):\n    z[0] = 5.0\n\n\ndef again(z):\n    fill(z[1:])\n\n\nK = np.zeros(4)\nagain(K)\n"
    ),
    "what a function returns": "def same(z):\n    return z[1:]\n\n\nK = np.zeros(4)\nJ = same(K)\nJ[0] = 1.0\n",
}


@pytest.mark.parametrize("name", CHANGED)
def test_a_constant_that_is_changed_by_another_name(name: str) -> None:
    assert outcome(model("return x * K", 'x: "N D"', CHANGED[name]), {"x": X}) == "refused"


CHANGED_DICTS = (
    "K = {'a': 2.0}\nK.update(a=3.0)\n",
    "K = {'a': 2.0}\nJ = K\nJ['a'] = 3.0\n",
    "K = {'a': 2.0}\n\n\ndef change(c):\n    c['a'] = 5.0\n\n\nchange(K)\n",
)


@pytest.mark.parametrize("before", CHANGED_DICTS)
def test_a_dict_of_constants_that_is_changed(before: str) -> None:
    assert outcome(model("return x * K['a']", 'x: "N D"', before), {"x": X}) == "refused"


def test_a_dict_of_constants_that_the_function_changes_by_another_name() -> None:
    body = "e = K\ne['a'] = w\nreturn x * e['a'] * K['a']"
    assert outcome(model(body, 'x: "N D", w: "D"', "K = {'a': 2.0}\n"), {"x": X, "w": ROW}) == "refused"


UNCHANGED = (
    ("K = np.arange(4.0)\n", "y = x * K\ny += 1.0\nreturn y"),
    ("K = np.arange(4.0)\n", "y = K.copy()\ny += 1.0\nreturn x * y * K"),
    ("K = {'a': 2.0}\n", "s = K['a']\ns += 1.0\nreturn x * s * K['a']"),
    ("K = (2.0, 3.0)\n", "s = 0.0\nfor k in K:\n    s += k\nreturn x * s"),
    ("def add(z):\n    z = z + 1.0\n    return z\n\n\nK = np.arange(4.0)\n", "return x * add(K) * K"),
)


@pytest.mark.parametrize(("before", "body"), UNCHANGED)
def test_a_constant_that_stays(before: str, body: str) -> None:
    check_module(model(body, 'x: "N D"', before), {"x": X}, function="f", functions=("f",))


@pytest.mark.parametrize(
    ("before", "factor"),
    [
        ("K = np.uint8(200)\n", "(K * 2)"),
        ("K = np.array([200], np.uint8)\n", "(K * 2)"),
        ("K = np.array([200], dtype='uint8')\n", "(K[0] * 2)"),
        ("J = np.int8(100)\nK = J + 1\n", "(2 * K)"),
    ],
)
def test_narrow_integers_of_the_module_wrap_around(before: str, factor: str) -> None:
    with np.errstate(over="ignore"):
        check_module(model(f"return x * {factor}", 'x: "N D"', before), {"x": X})


@pytest.mark.parametrize(
    "body", ["y = np.tanh(x)\nimport numpy as np\nreturn y", "y = exp(0.1)\nfrom math import exp\nreturn x * y"]
)
def test_an_import_behind_what_reads_it_is_no_import_at_the_head(body: str) -> None:
    with pytest.raises(Refused):
        compiled(model(body, 'x: "N D"'))


PACKED = "outs = []\nfor t in range(len(x)):\n    h = np.tanh(h @ W + x[t])\n    outs.append((h, {part}))\n"


@pytest.mark.parametrize("part", ["h ** 2", "W"])
@pytest.mark.parametrize(
    "read",
    [
        "return outs[1] * 2",
        "return outs[1] + outs[0]",
        "return outs[-1]",
        "return outs[-1][1] * h",
        "a, b = outs[-1]\nreturn a * b",
        "s = 0.0\nfor c in outs:\n    s = s + np.sum(c * 2)\nreturn s",
    ],
)
def test_a_tuple_of_a_list_of_tuples_is_no_array(part: str, read: str) -> None:
    source = model(PACKED.format(part=part) + read, 'x: "T D", h: "D", W: "D D"')
    with pytest.raises(Refused):
        compiled(source)


HELPERS = """
def layer(a, w):
    assert w.ndim == 2
    return np.tanh(a @ w)


def net(ws, a):
    for w in ws:
        a = layer(a, w)
    return a


def grow(ws, a):
    ws = ws + [ws[0]]
    return net(ws, a)


def rest(ws, a):
    if len(ws) == 0:
        return a
    return rest(ws[1:], layer(a, ws[0]))


def kept(a, hs=[]):
    hs = hs + [a]
    return a * len(hs)
"""
HANDED = {
    "return net(ws, x)": "right",
    "return net(ws, x) * net(ws, x * 2)": "right",
    "return net(ws=ws, a=x)": "any",
    "vs = ws\nreturn net(vs, x)": "any",
    "return grow(ws, x)": "refused",
    "return net(ws + ws, x)": "refused",
    "return net(ws * 2, x)": "refused",
    "return net(ws[1:], x)": "refused",
    "return net(ws.copy(), x)": "refused",
    "return net(*[ws, x])": "refused",
    "g = net\nreturn g(ws, x)": "refused",
    "return rest(ws, x)": "refused",
    "for k in range(len(ws)):\n    ws[k] = ws[k] * 2\nreturn net(ws, x)": "refused",
    "while ws:\n    x = layer(x, ws[0])\n    ws = ws[1:]\nreturn x": "refused",
    "return kept(x) + kept(x) * np.sum(ws[0])": "refused",
}


@pytest.mark.parametrize("body", HANDED)
@pytest.mark.parametrize("twice", [False, True])
def test_a_list_by_its_annotation_is_one_in_every_function(body: str, twice: bool) -> None:
    source = model(body, 'ws: "list[np.ndarray]", x: "N D"', HELPERS)
    inputs: dict[str, Any] = {"ws": [SQUARE, SQUARE if twice else 2 * SQUARE], "x": X}
    found = outcome(source, inputs, function="f", functions=("f",))
    assert HANDED[body] in ("any", found)
