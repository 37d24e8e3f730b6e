"""Numbers of dims that products need and nothing tells: presumed, said in a note, and held to when forward runs."""

from __future__ import annotations

import numpy as np
import pytest

from flatgrad.compiler import compile_source
from flatgrad.options import Options
from tests.support import Guarded, check_module, load

HEAD = "import numpy as np\n\n\n"
RNG = np.random.default_rng(7)


def normal(*shape: int) -> np.ndarray:
    return RNG.normal(size=shape)


AFFINE = HEAD + "def f(x, w, b):\n    return np.dot(x, w) + b\n"
ATTENTION = HEAD + (
    "def f(q, k, v, mask=None):\n"
    "    s = np.matmul(q, k.swapaxes(-1, -2)) / np.sqrt(q.shape[-1])\n"
    "    if mask is not None:\n"
    "        s = np.where(mask == 0, -1e9, s)\n"
    "    e = np.exp(s - np.max(s, axis=-1, keepdims=True))\n"
    "    p = e / e.sum(axis=-1, keepdims=True)\n"
    "    return np.matmul(p, v)\n"
)
HEADS = ATTENTION.replace("k.swapaxes(-1, -2)", "k.transpose(0, 1, 3, 2)")
QUADRATIC = HEAD + "def f(x, mu, a):\n    d = x - mu\n    return d.T @ np.linalg.inv(a) @ d\n"
SCALED = HEAD + "def f(x, Z, scale):\n    xs = x / scale\n    zs = Z / scale\n    return np.dot(xs, zs.T)\n"
COLUMNS = HEAD + "def f(x, h, wx, wh, bh):\n    h1 = np.tanh(wx.dot(x) + wh.dot(h) + bh)\n    return wh.dot(h1)\n"
LOOP = HEAD + "def f(h, w, n):\n    for t in range(n):\n        h = np.tanh(np.dot(h, w))\n    return h\n"
HELPER = HEAD + (
    "def layer(a, w, b):\n    return np.maximum(np.dot(a, w) + b, 0)\n\n\n"
    "def f(x, w1, b1, w2, b2):\n    return layer(layer(x, w1, b1), w2, b2)\n"
)
ENTRY = HEAD + 'def f(x, params):\n    return np.dot(np.tanh(np.dot(x, params["u"]) + params["c"]), params["v"])\n'


@pytest.mark.parametrize(
    ("source", "inputs"),
    [
        pytest.param(AFFINE, {"x": normal(4, 3), "w": normal(3, 2), "b": normal(2)}, id="affine"),
        pytest.param(AFFINE, {"x": normal(1, 3), "w": normal(3, 1), "b": normal(1)}, id="one-row"),
        pytest.param(
            ATTENTION, {"q": normal(4, 3), "k": normal(5, 3), "v": normal(5, 2), "mask": None}, id="attention"
        ),
        pytest.param(
            ATTENTION,
            {"q": normal(2, 4, 3), "k": normal(2, 5, 3), "v": normal(2, 5, 2), "mask": RNG.random((4, 5)) > 0.3},
            id="masked",
        ),
        pytest.param(
            HEADS,
            {"q": normal(2, 2, 4, 3), "k": normal(2, 2, 4, 3), "v": normal(2, 2, 4, 3), "mask": np.tri(4)[None, None]},
            id="heads",
        ),
        pytest.param(QUADRATIC, {"x": normal(3), "mu": normal(3), "a": np.eye(3) + 0.1}, id="quadratic"),
        pytest.param(SCALED, {"x": normal(4, 3), "Z": normal(5, 3), "scale": 1.3}, id="scaled"),
        pytest.param(
            COLUMNS,
            {"x": normal(3, 1), "h": normal(2, 1), "wx": normal(2, 3), "wh": normal(2, 2), "bh": normal(2, 1)},
            id="columns",
        ),
        pytest.param(LOOP, {"h": normal(2, 3), "w": normal(3, 3), "n": 3}, id="loop"),
        pytest.param(LOOP, {"h": normal(2, 3), "w": normal(3, 3), "n": 0}, id="no-round"),
        pytest.param(
            HELPER,
            {"x": normal(4, 3), "w1": normal(3, 2), "b1": normal(2), "w2": normal(2, 2), "b2": normal(2)},
            id="helper",
        ),
        pytest.param(
            ENTRY, {"x": normal(4, 3), "params": {"u": normal(3, 2), "c": normal(2), "v": normal(2, 2)}}, id="entry"
        ),
    ],
)
def test_what_is_presumed_gives_right_gradients(source: str, inputs: dict[str, object]) -> None:
    check_module(source, inputs, function="f", functions=("f",))


@pytest.mark.parametrize(
    ("source", "inputs"),
    [
        pytest.param(AFFINE, {"x": normal(3), "w": normal(3, 2), "b": normal(2)}, id="a-vector"),
        pytest.param(AFFINE, {"x": normal(2, 4, 3), "w": normal(3, 2), "b": normal(2)}, id="a-stack"),
        pytest.param(AFFINE, {"x": normal(4, 3), "w": normal(3), "b": normal(1)}, id="vector-of-weights"),
        # The heads of q are repeated for those of k: dq would have to be summed.
        pytest.param(
            ATTENTION, {"q": normal(4, 3), "k": normal(2, 5, 3), "v": normal(2, 5, 2), "mask": None}, id="repeated"
        ),
        pytest.param(
            ATTENTION,
            {"q": normal(2, 4, 3), "k": normal(1, 5, 3), "v": normal(1, 5, 2), "mask": None},
            id="repeated-once",
        ),
        pytest.param(SCALED, {"x": normal(4, 3), "Z": normal(5, 3), "scale": normal(3)}, id="several-scales"),
        pytest.param(QUADRATIC, {"x": normal(3, 1), "mu": normal(3, 1), "a": np.eye(3)}, id="a-column"),
    ],
)
def test_where_it_does_not_hold_forward_says_so(source: str, inputs: dict[str, object]) -> None:
    with pytest.raises(Guarded, match="must"):
        check_module(source, inputs, function="f", functions=("f",))


def test_stacks_that_are_claimed_alike_are_compared() -> None:
    """`*B` twice is one stack, whoever says it: k must not be repeated for the rows of q."""
    text = compile_source(ATTENTION, "f.py", Options(shapes=(("q", "*B,T,D"), ("k", "*B,S,D"), ("v", "*B,S,E")))).text
    forward = load(text)["f_forward"]
    with pytest.raises(ValueError, match="shapes must be"):
        forward(normal(2, 4, 3), normal(1, 5, 3), normal(2, 5, 2))
    forward(normal(2, 4, 3), normal(2, 5, 3), normal(2, 5, 2))


@pytest.mark.parametrize(
    ("source", "said"),
    [
        (AFFINE, ["x and w are taken for matrices"]),
        (ATTENTION, ["k and q are taken for stacks of matrices", "v is taken for a stack of matrices"]),
        (QUADRATIC, ["x and mu are taken for vectors, a is taken for a matrix"]),
        (SCALED, ["x is taken for a matrix, scale is taken for a number"]),
        # Told or unpacked: nothing is left to presume.
        (AFFINE.replace("    return", "    N, D = x.shape\n    D, M = w.shape\n    return"), []),
        (AFFINE.replace("x, w, b", 'x: "N D", w: "D M", b: "M"'), []),
        # Nothing of it is differentiated.
        (HEAD + "def f(x, a, b):\n    s = np.argmax(np.dot(a, b))\n    return x * s\n", []),
    ],
)
def test_a_note_says_what_is_presumed(source: str, said: list[str]) -> None:
    notes = compile_source(source, "f.py", Options()).notes
    assert [note.message for note in notes if note.code == "FG053"] == said


def test_what_is_presumed_never_contradicts_the_code() -> None:
    """w is unpacked to be a vector: only x is left to presume."""
    source = HEAD + "def f(x, w):\n    (D,) = w.shape\n    return np.dot(x, w)\n"
    check_module(source, {"x": normal(4, 3), "w": normal(3)}, function="f")
