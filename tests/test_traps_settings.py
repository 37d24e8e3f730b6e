"""Traps of settings: `d.get("eps", 1e-5)` is taken for one number, and may be an array all the same."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.support import check_module, compiled, load, original
from tests.traps import drawn, outcome

HEAD = "import numpy as np\n\n\n"
NAMED = HEAD + "def f(x, d):\n    eps = d.get('eps', 1e-5)\n    return x * eps\n"
INLINE = HEAD + "def f(x, d):\n    return np.sum(x) * d.get('eps', 1e-5)\n"
POWER = HEAD + "def f(x, d):\n    p = d.get('p', 2)\n    return x ** p\n"
LOOP = HEAD + "def f(x, d):\n    for i in range(3):\n        x = np.tanh(x) + d.get('eps', 1)\n    return x\n"
ARM = HEAD + "def f(x, d=None):\n    e = 1e-5 if d is None else d.get('eps', 1e-5)\n    return x * e\n"
BEHIND = (
    HEAD
    + "def f(x, d):\n    y = np.exp(x)\n    if d.get('scale', 1) > 0:\n        y = y * d.get('eps', 1)\n    return y\n"
)
HELPER = (
    HEAD
    + """def setting(d):
    e = d.get("eps", 1e-5)
    return e


def f(x, d):
    return x * setting(d)
"""
)
CALLEE = (
    HEAD
    + """def scaled(x, d):
    e = d.get("eps", 1e-5)
    z = e * np.ones(2)
    return np.tanh(x) * e, z


def f(x, d):
    y, z = scaled(x, d)
    return y * x + z[0]
"""
)
CLOSURE = HEAD + "def f(x, d):\n    g = lambda z: z * d.get('eps', 1e-5)\n    return g(x)\n"
EVERY = (NAMED, INLINE, POWER, LOOP, ARM, BEHIND, HELPER, CALLEE, CLOSURE)
ROW = np.array([2.0, 3.0, 4.0])


@pytest.mark.parametrize("source", EVERY)
@pytest.mark.parametrize("x", [np.array(1.5), np.array([0.5, 1.5, 2.5]), np.array([[1.5], [0.5]])])
@pytest.mark.parametrize("setting", [ROW, ROW[:1], ROW[:, None], np.array(2.0)], ids=str)
def test_an_array_in_place_of_a_number_is_no_wrong_gradient(source: str, x: Any, setting: Any) -> None:
    given: dict[str, Any] = {"x": x, "d": {"eps": setting, "p": setting}}
    try:
        found = outcome(source, given, function="f")
    except ValueError:
        # The user's own function raises as well.
        with pytest.raises(ValueError, match=r"ambiguous|broadcast"):
            original(source, "f")(**given)
    else:
        assert found in ("right", "guarded")


@pytest.mark.parametrize("source", EVERY)
@pytest.mark.parametrize("settings", [{}, {"eps": 0.5, "p": 3}, {"eps": 2, "p": 1.5}], ids=str)
def test_a_number_is_taken(source: str, settings: dict[str, Any]) -> None:
    check_module(source, {"x": np.abs(drawn(3)) + 0.5, "d": settings}, function="f")


def test_nothing_is_checked_where_nothing_rests_on_it() -> None:
    source = (
        HEAD
        + """def f(x: "N D", d):
    momentum = d.get("momentum", 0.9)
    rounds = d.get("rounds", 2)
    mean = x.mean(axis=0)
    d["mean"] = momentum * d.get("mean", mean) + (1 - momentum) * mean
    z = x - mean
    for i in range(rounds):
        z = np.tanh(z)
    if d.get("threshold", 0.5) > 0.1:
        z = z * x
    return z
"""
    )
    assert "must be a number" not in compiled(source).text


def test_the_check_stands_behind_the_line_and_names_the_key() -> None:
    lines = compiled(NAMED).text.split("\n")
    place = next(k for k, line in enumerate(lines) if "d.get" in line)
    assert lines[place + 1 : place + 3] == [
        "    if np.ndim(eps) != 0:",
        '        raise ValueError("eps must be a number")',
    ]


# As long as the default

MEAN = (
    "import numpy as np\n\n\ndef f(x: 'N D', p):\n    N, D = x.shape\n"
    "    m = p.get('mean', np.zeros(D, dtype=x.dtype))\n    return (x - m) * x\n"
)


def test_a_setting_is_as_long_as_its_default() -> None:
    x = np.random.default_rng(3).normal(size=(4, 3))
    text = compiled(MEAN, wrt=("x",)).text
    assert "    if np.shape(m) != (D,):\n" in text
    assert "unbroadcast" not in text
    for given in ({}, {"mean": np.arange(3.0)}, {"mean": [1.0, 2.0, 3.0]}):
        check_module(MEAN, {"x": x, "p": given}, wrt=("x",))
    forward = load(text)["f_forward"]
    # Each of these is broadcast, and the gradient would have another shape or be summed.
    for other in (2.0, np.ones((4, 3)), np.ones((2, 4, 3)), np.ones(1), np.ones((4, 1))):
        with pytest.raises(ValueError, match="must have shape"):
            forward(x, {"mean": other})


def test_a_setting_whose_length_makes_no_difference_is_not_checked() -> None:
    source = "import numpy as np\n\n\ndef f(x: 'N D', p):\n    N, D = x.shape\n    m = p.get('mean', np.zeros(D))\n"
    source += "    p['mean'] = 0.9 * m + 0.1 * x.mean(axis=0)\n    return np.sum(x * x)\n"
    assert "np.shape(m)" not in compiled(source, wrt=("x",)).text
