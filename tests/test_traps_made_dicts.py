"""Traps of dicts that the function puts together, fills or writes to: what is read of them is right or refused."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support import Wrong, check_module, compiled, original
from tests.traps import drawn, outcome

HEAD = "import numpy as np\n\n\n"
X, ROW, SQUARE = drawn((3, 4)), drawn(4), drawn((4, 4), 5)
SETTINGS: tuple[dict[str, Any], ...] = ({}, {"mode": "test"}, {"eps": 0.5, "mode": "train"}, {"eps": 2})

# What makes `made` of the parameter `d`.
MAKING = (
    'made = {"mode": "train", **d}',
    'made = {**d, "mode": "train"}',
    'made = {"mode": "test", **d, **{"mode": "train"}}',
    'made = dict(d, mode="train")',
    'made = dict(d); made["mode"] = "train"',
    'made = d.copy(); made["mode"] = "train"',
    'made = d | {"mode": "train"}',
    'made = {"mode": "train"} | d',
    'd.setdefault("mode", "train"); made = d',
    'd.update({"mode": "train"}); made = d',
    'd.update(mode="train"); made = d',
    'made = {"mode": "test"}; made.update(d); made.update({"mode": "train"})',
    'd["mode"] = "train"; made = d',
)
# What gives a dict where none is given.
DEFAULTS = (
    "if d is None: d = {}",
    "d = d or {}",
    "d = {} if d is None else d",
    "d = d if d is not None else {}",
    'if d is None: d = {"eps": 0.25}',
    'if not d: d = {"eps": 0.25}',
)


def lines(*parts: str) -> str:
    return "".join(f"    {line.strip()}\n" for part in parts for line in part.split(";"))


@pytest.mark.parametrize("made", MAKING)
@pytest.mark.parametrize("inside", [False, True])
def test_made_of_another(made: str, inside: bool) -> None:
    reading = lines('if made["mode"] == "train": x = x * w', 'return np.tanh(x) * made.get("eps", 0.1) + x ** 2')
    if inside:
        source = f'{HEAD}def g(x: "N D", w: "D", made):\n{reading}\n\n'
        source += f'def f(x: "N D", w: "D", d):\n{lines(made, "return g(x, w, made)")}'
    else:
        source = f'{HEAD}def f(x: "N D", w: "D", d):\n{lines(made)}{reading}'
    for settings in SETTINGS:
        check_module(source, {"x": X, "w": ROW, "d": settings}, function="f", functions=("f",))


@pytest.mark.parametrize("default", DEFAULTS)
def test_in_the_place_of_none(default: str) -> None:
    body = lines(
        default, 'mode = d.get("mode", "train")', 'if mode == "train": x = x * w', 'return x ** 2 * d.get("eps", 0.1)'
    )
    source = f'{HEAD}def f(x: "N D", w: "D", d=None):\n{body}'
    for settings in (None, *SETTINGS):
        check_module(source, {"x": X, "w": ROW, "d": settings})


def test_a_copy_of_a_dict_of_arrays_has_its_gradients() -> None:
    for made in ("p = dict(params)", "p = params.copy()", "p = {**params}", "p = params"):
        for more in ("", '; p["W"] = p["W"] * 2', '; p = {**p, "b": p["b"] ** 2}'):
            source = f'{HEAD}def f(x: "N D", params):\n' + lines(
                made + more, 'return np.sum(np.tanh(x @ p["W"] + p["b"]))'
            )
            found = outcome(source, {"x": X, "params": {"W": SQUARE, "b": ROW}})
            assert found == "right" or (made == "p = params" and found == "refused")


# What may carry a gradient through a dict, and comes back as none: it is refused, or right.
HIDING = (
    'd["s"] = w * 2; return x * d.get("s", 1.0)',
    'd["s"] = w * 2; return g(x, d)',
    'd["s"] = w * 2; e = {**d, "a": 1.0}; return x * e["s"]',
    'd["s"] = w * 2; e = {"s": 1.0, **d}; return x * e["s"]',
    'd["s"] = w * 2; e = dict(d); return g(x, e)',
    'e = d; e["s"] = w * 2; return g(x, d)',
    'e = d or {}; e["s"] = w * 2; return x * d["s"]',
    'e = {**d, "s": w * 2}; return g(x, e)',
    'e = {"s": w * 2, **d}; return x * e["s"]',
    'd.setdefault("s", w * 2); return x * d["s"]',
    'd.update({"s": w * 2}); return x * d["s"]',
    "d.update(s=w * 2); return g(x, d)",
    'e = {"s": w * 2}; e.update(d); return x * e["s"]',
    'e = {"s": w * 2}; d.update(e); return g(x, d)',
    'h(w, d); return x * d["s"]',
    "y = h(w, d); return g(x, d) + y",
)
AROUND = "def g(x, d):\n    return x * d['s']\n\n\ndef h(w, d):\n    d['s'] = w * 2\n    return w * 1.5\n\n\n"


@pytest.mark.parametrize("body", HIDING)
@pytest.mark.parametrize("given", [{"s": 3.0}, {}])
def test_no_gradient_is_lost_in_a_dict(body: str, given: dict[str, Any]) -> None:
    source = f'{HEAD}{AROUND}def f(x: "N D", w: "D", d):\n{lines(body)}'
    inputs = {"x": X, "w": ROW, "d": given}
    try:
        outcome(source, inputs, function="f", functions=("f",))
    except Wrong:
        # A key that is not there: the user's own function raises as well.
        with pytest.raises(KeyError):
            original(source, "f")(**inputs)


def test_a_write_that_the_next_round_reads() -> None:
    body = ["for t in range(3):", "    x = x * d.get('s', 2.0)", "    d['s'] = w * 2", "return x"]
    source = f'{HEAD}def f(x: "N D", w: "D", d):\n' + "".join(f"    {line}\n" for line in body)
    assert outcome(source, {"x": X, "w": ROW, "d": {}}) == "refused"


# Changes in place of what a dict holds.
IN_PLACE = {
    "d = {'a': w * 2, 'b': x}; d['a'] += w; return d['a'] * d['b']": "right",
    "d = {'a': w * 2, 'b': x}; y = d['a'] ** 2; d['a'] *= w; return d['a'] * y * x": "right",
    "d = {'a': w * 2, 'b': x}; d['a'] += d['a'] * d['a']; d['a'] -= w; return d['a'] ** 2": "right",
    "d = {'n': 0, 'l': 0.0}; d['l'] += np.sum(x * w); d['n'] += 2; return d['l'] ** 2 * d['n']": "right",
    "d = {'a': w}; d['a'] += x[0]; return d['a'] ** 2": "right",
    "g = w * 2; d = {'a': g}; d['a'] += w; return d['a'] * g": "refused",
    "g = w * 2; d = {'a': g, 'b': g}; d['a'] += w; return d['a'] * d['b']": "refused",
    "d = {'a': w * 2}; y = d['a']; d['a'] *= w; return d['a'] * y": "refused",
    "d = {'a': w * 2}; e = dict(d); d['a'] += w; return d['a'] * e['a']": "refused",
}


@pytest.mark.parametrize("body", IN_PLACE)
def test_an_entry_is_changed_in_place(body: str) -> None:
    source = f'{HEAD}def f(x: "N D", w: "D"):\n{lines(body)}'
    assert outcome(source, {"x": X, "w": ROW}) == IN_PLACE[body]


GIVEN_IN_PLACE = (
    "d['a'] += 1.0; return x * d['a']",
    "d['a'] += 1.0; return x * d['b']",
    "s = d['a'] * 2; d['a'] += 1.0; return x * d['a'] * s",
    "s = d['a']; y = x * s; d['a'] *= 3.0; return y",
    "h = x * 2; d['h'] = h; h += 1; return d['h'] * x",
    "h = d.get('b'); y = x * h; k = d.get('b'); k += 1.0; return y * x * h",
    "h = d.get('c', w); y = x * h; h += 1.0; return y * x * w",
)


@pytest.mark.parametrize("body", GIVEN_IN_PLACE)
@pytest.mark.parametrize("entry", [2.0, ROW], ids=["number", "array"])
def test_an_entry_of_a_given_dict_is_changed_in_place(body: str, entry: Any) -> None:
    source = f'{HEAD}def f(x: "N D", w: "D", d):\n{lines(body)}'
    outcome(source, {"x": X, "w": ROW, "d": {"a": entry, "b": drawn(4, 3)}})


STATES = (
    'state = {"h": h, "c": c}; for t in range(x.shape[0]):;+state["h"] = np.tanh(x[t] + state["h"] @ W) * state["c"]'
    ';+state["c"] = state["c"] * state["h"];return state["h"] + state["c"]',
    'state = {"h": h * 1, "c": c}; for t in range(x.shape[0]):;+state["h"] += np.tanh(x[t] + state["h"] @ W)'
    ';return state["h"] * state["c"]',
    "state = (h, c); for t in range(x.shape[0]):;+state = (np.tanh(x[t] + state[0] @ W), state[1] * state[0])"
    ";return state[0] + state[1]",
    'state = {"h": h, "c": c}; for t in range(x.shape[0]):;+if t % 2 == 0:'
    ';++state["h"] = np.tanh(x[t] + state["h"] @ W);+else:'
    ';++state["c"] = state["c"] * state["h"] ** 2;return state["h"] * state["c"]',
    'state = {"h": h, "c": c}; for t in range(x.shape[0]):;+old = state'
    ';+state = {"h": np.tanh(x[t] + old["h"] @ W) * old["c"], "c": old["c"] * old["h"]};return state["h"] * state["c"]',
    'state = {"h": h, "c": c}; for t in range(x.shape[0]):;+for k in range(2):'
    ';++state["h"] = np.tanh(x[t] + state["h"] @ W) * state["c"];+state["c"] = state["c"] * state["h"]'
    ';return state["h"] * state["c"]',
    'state = {"h": h, "c": c}; for t in range(x.shape[0]):;+state["h"] = np.tanh(x[t] + state["h"] @ W) * state["c"]'
    ';+if t == 1:;++break;+state["c"] = state["c"] * state["h"];return state["h"] * state["c"]',
    'state_h = h * 3;state = {"h": h, "c": c}; for t in range(x.shape[0]):'
    ';+state["h"] = np.tanh(x[t] + state["h"] @ W) * state_h;return state["h"] * state_h',
    'state = {"h": h, "c": c};if np.sum(h) > 0:;+state["g"] = h * 2;else:;+state["g"] = c;'
    'return state["h"] * state["g"] ** 2',
)


@pytest.mark.parametrize("body", STATES)
def test_a_state_is_carried(body: str) -> None:
    text = "".join("    " + "    " * line.count("+", 0, 2) + line.lstrip("+ ") + "\n" for line in body.split(";"))
    source = f'{HEAD}def f(x: "T N", h: "N", c: "N", W: "N N"):\n{text}'
    for rounds in (0, 1, 4):
        check_module(source, {"x": drawn((rounds, 4)), "h": ROW, "c": drawn(4, 2), "W": SQUARE})


def test_an_entry_that_one_arm_reads_has_its_gradient() -> None:
    source = f'{HEAD}def f(x: "N D", params, t):\n' + lines(
        'h = x @ params["W"]', 'if t: h = h + params["b"]', "return h"
    )
    for flag in (True, False):
        check_module(source, {"x": X, "params": {"W": SQUARE, "b": ROW}, "t": flag})


def test_a_dict_without_a_gradient_is_told() -> None:
    source = f'{HEAD}def f(x: "N D", params):\n' + lines(
        'if params["kind"] == "a": x = x * 2', 'return np.sum(x @ params["W"])'
    )
    notes = [note for note in compiled(source).notes if note.code == "FG065"]
    assert [note.message for note in notes] == ["params is not differentiated"]
    given = {"x": X, "params": {"W": SQUARE, "kind": "a"}}
    assert check_module(source, given).gradients.keys() == {"x"}


def test_numbers_and_odd_keys() -> None:
    source = f'{HEAD}def f(x: "N D", params):\n    s = 0.0\n    for key, v in params.items():\n'
    source += "        s = s + np.sum(x) * v\n    return s\n"
    check_module(source, {"x": X, "params": {"a": 1.5, "b": 2.0}})
    source = f'{HEAD}def f(x: "N D", p):\n    return np.sum(x @ p[\'a\\\'b"\'] * p["c d"] * p["f{{x}}"])\n'
    check_module(source, {"x": X, "p": {"a'b\"": SQUARE, "c d": 1.0, "f{x}": 3.0}})


def test_integers_that_wrap_around() -> None:
    for body in ("return x ** 2 * (m * 2)", "return -x * (m * 2) - x ** 3 / -m", "return (m - x) ** 2 * (3 * m)"):
        source = f'{HEAD}def f(x: "N", n: int):\n    m = np.uint8(n)\n    {body}\n'
        check_module(source, {"x": ROW, "n": 200}, wrt=("x",))


def test_words_about_shapes_that_a_call_contradicts() -> None:
    source = f'''{HEAD}def scaled(x, gamma):
    """x: (N, D), gamma: of shape (D,)"""
    return np.tanh(x) * gamma


def f(x: "N D", gamma: "D"):
    return scaled(x.T, np.atleast_2d(gamma).T)
'''
    check_module(source, {"x": X, "gamma": ROW}, function="f", functions=("f",))


def test_several_at_least() -> None:
    source = f"{HEAD}def f(a, b):\n    [a, b] = np.atleast_2d(a, b)\n    return np.sum(np.sin(a) * b)\n"
    for a, b in ((1.5, 2.5), (ROW, 0.5), (ROW, X)):
        check_module(source, {"a": a, "b": b})
