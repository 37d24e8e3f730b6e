"""Lists: given as parameters, filled by loops, read as a whole, carried; and their traps."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from flatgrad.diagnostics import Refused
from tests.support import check_module, compiled, load

RNG = np.random.default_rng(5)
X, H = RNG.normal(size=(5, 3)), RNG.normal(size=3)
W, U, V = (RNG.normal(size=(3, 3)) for _ in range(3))
PAIRS = [(W, H), (U, 2.0 * H), (V, H - 1.0)]


def source(code: str, parameters: str) -> str:
    lines = "".join(f"    {line}\n" for line in code.strip("\n").split("\n"))
    return f"import numpy as np\n\n\ndef f({parameters}):\n{lines}"


GIVEN = 'ws: list, x: "N D"'
# What is read of a list of matrices that the function is given, for lists of one, two and four.
READ = {
    "a part": "for w in ws[1:]:\n    x = np.tanh(x @ w)\nreturn x",
    "without the last": "for w in ws[:-1]:\n    x = np.tanh(x @ w)\nreturn x @ ws[-1]",
    "the first two": "for w in ws[:2]:\n    x = np.tanh(x @ w)\nreturn x * 2.0",
    "backwards": "for w in ws[::-1]:\n    x = np.tanh(x @ w)\nreturn x",
    "reversed": "for w in reversed(ws):\n    x = np.tanh(x @ w)\nreturn x",
    "numbered backwards": "for k, w in enumerate(reversed(ws)):\n    x = np.tanh(x @ w) * (k + 1)\nreturn x",
    "numbered from 1": "for k, w in enumerate(ws, 1):\n    x = np.tanh(x @ w) * k\nreturn x",
    "a part numbered": "for k, w in enumerate(ws[1:]):\n    x = np.tanh(x @ w) * np.sum(ws[k])\nreturn x * 2.0",
    "beside itself": "for a, b in zip(ws[:-1], ws[1:]):\n    x = np.tanh(x @ a @ b)\nreturn x * 2.0",
    "places": "n = len(ws)\nfor k in range(n):\n    x = np.tanh(x @ ws[n - 1 - k])\nreturn x * np.sum(ws[0])",
    "from behind": "for k in range(1, len(ws) + 1):\n    x = np.tanh(x @ ws[-k])\nreturn x",
    "another name": "vs = ws\nrest = vs[1:]\nfor w in rest:\n    x = np.tanh(x @ w)\nreturn x * np.sum(vs[0])",
    "a copy": "vs = list(ws)\nfor w in vs:\n    x = np.tanh(x @ w)\nreturn x",
    "first and rest": "first, *rest = ws\nfor w in rest:\n    x = np.tanh(x @ w)\nreturn x @ first",
    "every way": (
        "s = np.sum(x @ ws[0]) + 0.5 * sum(np.sum(w ** 2) for w in ws)\n"
        "for w in ws:\n    s = np.sin(s) + np.sum(w[0])\nreturn s + np.sum(ws[-1] ** 2)"
    ),
    "left early": "for w in ws:\n    x = np.tanh(x @ w)\n    if np.sum(x) > 0:\n        break\nreturn x",
    "skipped": "for w in ws:\n    if np.sum(w) < 0:\n        continue\n    x = np.tanh(x @ w)\nreturn x * 2.0",
    "while": "k = 0\nwhile k < len(ws):\n    x = np.tanh(x @ ws[k])\n    k += 1\nreturn x",
}


@pytest.mark.parametrize("count", [1, 2, 4])
@pytest.mark.parametrize("name", READ)
def test_a_list_that_is_given(name: str, count: int) -> None:
    ws = [0.5 * W, U, V, W + U][:count]
    check_module(source(READ[name], GIVEN), {"ws": ws, "x": X}, differentiated=("ws", "x"))


def test_one_array_in_two_places_of_a_list() -> None:
    report = check_module(source(READ["reversed"], GIVEN), {"ws": [W, U], "x": X})
    twice = check_module(source(READ["reversed"], GIVEN), {"ws": [W, W], "x": X})
    assert not np.shares_memory(*twice.gradients["ws"])
    assert len(report.gradients["ws"]) == 2


NESTED = {
    "unpacked": "for A, b in params:\n    x = np.tanh(x @ A + b)\nreturn x",
    "without the last": "for A, b in params[:-1]:\n    x = np.tanh(x @ A + b)\nA, b = params[-1]\nreturn x @ A + b",
    "numbered": "for k, (A, b) in enumerate(params):\n    x = np.tanh(x @ A + b) * (k + 1)\nreturn x",
    "by places": "for k in range(len(params)):\n    x = np.tanh(x @ params[k][0] + params[k][1])\nreturn x",
    "under a name": "for layer in params:\n    A = layer[0]\n    x = np.tanh(x @ A + layer[1])\nreturn x",
    "added up": (
        "s = 0.5 * sum(np.sum(A ** 2) + np.sum(b) for A, b in params)\n"
        "for A, b in params:\n    x = np.tanh(x @ A + b)\nreturn np.sum(x) * s + np.sum(params[0][0] * params[-1][1])"
    ),
}


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("name", NESTED)
def test_a_list_of_tuples_that_is_given(name: str, count: int) -> None:
    inputs = {"params": PAIRS[:count], "x": X}
    check_module(source(NESTED[name], 'params, x: "N D"'), inputs, differentiated=("params", "x"))


HELPERS = """
import numpy as np


def net(ws, x):
    for W in ws:
        x = np.tanh(x @ W)
    return x


def penalty(ws):
    return sum(np.sum(W ** 2) for W in ws)


def loss(weights, x: "N D", y: "N D"):
    return np.sum((net(weights, x) - y) ** 2) + 0.1 * penalty(weights) + np.sum(x @ weights[0])
"""


def test_functions_that_share_a_list_add_to_its_gradient() -> None:
    check_module(HELPERS, {"weights": [W, U, V], "x": X, "y": X + 1.0}, function="loss", functions=("loss",))


def test_an_element_is_held_to_what_is_taken_for_granted() -> None:
    names = load(compiled(source(READ["reversed"], GIVEN)).text)
    with pytest.raises(ValueError, match="must be a matrix"):
        names["f_forward"]([H], X)
    pairs = load(compiled(source(NESTED["unpacked"], 'params, x: "N D"')).text)
    with pytest.raises(ValueError, match="a number for each of its columns"):
        pairs["f_forward"]([(W, H[:1])], X)


@pytest.mark.parametrize(
    "code",
    [
        "ws[0] = ws[0] * 2\nreturn x @ ws[0]",
        "ws[0] *= 2\nreturn x @ ws[0]",
        "w = ws[0]\nw *= 2\nreturn x @ ws[0]",
        "for w in ws:\n    w *= 2\n    x = x @ w\nreturn x",
        "ws.append(ws[0])\nreturn x @ ws[-1]",
        "w = ws.pop()\nreturn x @ w",
        "vs = ws.copy()\nvs[0] = x\nreturn vs[0] @ ws[0]",
    ],
)
def test_a_given_list_that_is_changed_is_refused(code: str) -> None:
    with pytest.raises(Refused):
        compiled(source(code, GIVEN))


STEPS = 'x: "T D", h: "D", W: "D D"'
FILL = "hs = []\nfor t in range(len(x)):\n    h = np.tanh(x[t] + h @ W)\n    hs.append(h)\n"
WHOLE = (
    "np.concatenate(hs)",
    "np.concatenate([hs[0], hs[-1]])",
    "np.vstack(hs)",
    "np.hstack(hs)",
    "np.column_stack(hs)",
    "np.stack(hs, axis=1)",
    "np.stack(hs, axis=-1)",
    "np.array(hs, dtype=np.float64)",
    "np.array(hs).T",
    "np.array(hs[1:]) * np.array(hs[:-1])",
    "np.array(hs[::-1])",
    "np.stack(list(hs))",
    "np.prod(hs, axis=0)",
    "np.max(hs, axis=0)",
    "sum(hs) / len(hs)",
    "sum(np.sum(one ** 2) for one in hs[1:])",
    "np.concatenate([one[None, :] for one in hs])",
    "hs[-2] * hs[len(x) - 1]",
)


@pytest.mark.parametrize("whole", WHOLE)
def test_what_is_made_of_a_list(whole: str) -> None:
    for steps in (2, 5):
        check_module(source(f"{FILL}return {whole}", STEPS), {"x": X[:steps], "h": H, "W": W})


MATRICES = "hs = []\nfor t in range(len(x)):\n    hs.append(np.outer(x[t], h))\n"


JOINED = (
    "concatenate(hs)",
    "concatenate(hs, axis=1)",
    "concatenate(hs[1:], axis=-1)",
    "vstack(hs)",
    "hstack(hs)",
    "column_stack(hs)",
    "dstack(hs)",
)


@pytest.mark.parametrize("joined", JOINED)
def test_matrices_are_joined(joined: str) -> None:
    check_module(source(f"{MATRICES}return np.{joined} ** 2", 'x: "T D", h: "D"'), {"x": X, "h": H})


def test_elements_that_are_joined_must_have_one_shape() -> None:
    code = "hs = []\nfor t in range(len(x)):\n    hs.append(x[t, : t % 2 + 1] ** 2)\nreturn np.concatenate(hs)"
    names = load(compiled(source(code, 'x: "T D"')).text)
    with pytest.raises(ValueError, match="one shape"):
        names["f_forward"](X)


@pytest.mark.parametrize(
    "code",
    [
        f"{FILL}return np.array(hs[1:] + hs[:-1])",
        f"{FILL}part = hs[1:]\npart[0] = h\nreturn np.array(part)",
        f"{FILL}part = hs[1:]\nfirst = part[0]\nfirst *= 2.0\nreturn np.array(part) + np.array(hs)[1:]",
        f"{FILL}part = list(hs)\npart.append(h)\nreturn np.array(part)",
        f"{FILL}hs[0] = h\nreturn np.array(hs)",
    ],
)
def test_a_list_that_is_changed_behind_its_loop_is_refused_or_right(code: str) -> None:
    refused_or_right(code, STEPS, {"x": X, "h": H, "W": W})


def refused_or_right(code: str, parameters: str, inputs: dict[str, Any]) -> None:
    try:
        compiled(source(code, parameters))
    except Refused:
        return
    check_module(source(code, parameters), inputs)


SPELLED = {
    "plus": "hs = []\nfor t in range(len(x)):\n    h = np.tanh(x[t] + h @ W)\n    hs = hs + [h]\nreturn np.array(hs)",
    "extend": (
        "hs = []\nfor t in range(len(x)):\n    h = np.tanh(x[t] + h @ W)\n    hs.extend([h])\nreturn np.array(hs)"
    ),
    "in front": (
        "hs = []\nfor t in range(len(x)):\n    h = np.tanh(x[t] + h @ W)\n    hs.insert(0, h)\nreturn np.array(hs)"
    ),
    "places": (
        "hs = [None] * len(x)\nfor t in range(len(x)):\n    h = np.tanh(x[t] + h @ W)\n    hs[t] = h\n"
        "return np.array(hs)"
    ),
    "from the last place": (
        "T = len(x)\nhs = [None] * T\nfor t in reversed(range(T)):\n    h = np.tanh(x[t] + h @ W)\n    hs[t] = h\n"
        "return np.array(hs)"
    ),
    "counting down": (
        "T = len(x)\nhs = [0] * T\nfor t in range(T - 1, -1, -1):\n    h = np.tanh(x[t] + h @ W)\n    hs[t] = h\n"
        "return np.array(hs)"
    ),
    "the first place before": (
        "T = len(x)\nhs = [None] * (T + 1)\nhs[0] = h\nfor t in range(T):\n"
        "    hs[t + 1] = np.tanh(x[t] + hs[t] @ W)\nreturn np.array(hs)"
    ),
    "length so far": (
        "hs = []\nfor t in range(len(x)):\n    h = np.tanh(x[t] + h @ W) / (len(hs) + 1)\n    hs.append(h)\n"
        "return np.array(hs)"
    ),
}


@pytest.mark.parametrize("steps", [1, 4])
@pytest.mark.parametrize("name", SPELLED)
def test_ways_to_fill_a_list(name: str, steps: int) -> None:
    check_module(source(SPELLED[name], STEPS), {"x": X[:steps], "h": H, "W": W})


@pytest.mark.parametrize(
    "code",
    [
        "T = len(x)\nhs = [None] * T\nfor t in range(T - 1):\n    hs[t] = x[t] ** 2\nreturn np.array(hs[:-1])",
        "T = len(x)\nhs = [0] * T\nfor t in range(T):\n    if t > 1:\n"
        "        hs[t] = np.sum(x[t] ** 2)\nreturn np.array(hs)",
        "hs = []\nold = hs\nfor t in range(len(x)):\n    hs = hs + [x[t] ** 2]\nreturn np.array(hs) + len(old)",
        "hs = [h]\nfor t in range(len(x)):\n    hs.insert(0, x[t] * h)\nreturn np.array(hs)",
        "hs = []\nfor t in range(len(x)):\n    hs.insert(0, x[t] * h)\nhs = hs[::-1]\nreturn np.array(hs)",
        "T = len(x)\nhs = [h] * T\nfor t in range(T):\n    hs[t] = x[t] * hs[t]\nreturn np.array(hs)",
        "T = len(x)\nhs = [None] * T\nfor t in range(T):\n    hs[t] = x[t] * h\nhs[0] = h\nreturn np.array(hs)",
    ],
)
def test_lists_that_are_not_filled_place_by_place(code: str) -> None:
    refused_or_right(code, 'x: "T D", h: "D"', {"x": X, "h": H})


STATES = {
    "put": "st = [h, 2.0 * h]\nfor t in range(len(x)):\n    st[0] = np.tanh(x[t] + st[0] @ W)\n    st[1] = st[0] * st[1]\nreturn st[1]",  # noqa: E501
    "another name": "st = [h, h]\nst2 = st\nst2[0] = x[0]\nreturn st[0] * st[1]",
    "a copy": "st = [h, h]\nst2 = st.copy()\nst2[0] = x[0]\nreturn st[0] * st2[0]",
    "in a dict": "st = [h, h]\nd = {'a': st}\nst[0] = x[0]\nreturn d['a'][0] * st[1]",
    "one array twice": "st = [h, h]\nst[0] += x[0]\nreturn st[0] + st[1]",
    "new list": (
        "st = [h, h]\nfor t in range(len(x)):\n    inp = x[t]\n    new = []\n    for l in range(2):\n"
        "        inp = np.tanh(inp + st[l] @ W)\n        new.append(inp)\n    st = new\nreturn st[0] * st[1]"
    ),
    "in arms": (
        "st = [h, h]\nif np.sum(x) > 0:\n    st[0] = x[0] * h\nelse:\n    st[1] = x[1] * h\na = st[0]\nb = st[1]\n"
        "return a * b"
    ),
    "tuples in arms": (
        "st = [(h, 1.0)]\nfor t in range(len(x)):\n    a, c = st[-1]\n    if t > 2:\n"
        "        st.append((np.tanh(x[t] + a), c * 2))\n    else:\n        st.append((a * 2, c))\n"
        "a, c = st[-1]\nreturn a + c"
    ),
    "tuples changed": (
        "st = [(h, h)]\nfor t in range(len(x)):\n    a, c = st[-1]\n    c *= 0.5\n"
        "    st.append((np.tanh(x[t] + c), c))\n"
        "a, c = st[-1]\nreturn a + c"
    ),
}
ACCEPTED = {"put", "another name", "a copy", "in a dict", "new list", "in arms", "tuples in arms"}


@pytest.mark.parametrize("name", STATES)
def test_lists_of_known_length(name: str) -> None:
    code, inputs = source(STATES[name], STEPS), {"x": X, "h": H, "W": W}
    if name in ACCEPTED:
        check_module(code, inputs, differentiated=("x", "h", "W") if "W" in STATES[name] else ("x", "h"))
    else:
        refused_or_right(STATES[name], STEPS, inputs)
