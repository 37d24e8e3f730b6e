"""Proofs of the groups along an axis: definition and backward rule on arrays of symbols, to forty digits.

The elementwise groups are proved with the rest of the table, in tests/gates.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import sympy

from flatgrad.gates.entry import TABLE, Gate
from flatgrad.proving import concrete_site, drawing, rules
from flatgrad.proving.drawing import Case

PROVED = ("softmax", "log_softmax", "logsumexp", "label_cross_entropy", "cross_entropy", "standardise")


def each(function: Any) -> Any:
    """A function of one symbol as one of arrays of them."""

    def apply(x: Any) -> Any:
        return np.vectorize(function, otypes=[object])(x) if np.ndim(x) else function(x)

    return apply


def _var(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    return np.mean((x - np.mean(x, axis=axis, keepdims=True)) ** 2, axis=axis, keepdims=keepdims)


def _softmax(x: Any, axis: Any = None) -> Any:
    return NUMPY.exp(x) / np.sum(NUMPY.exp(x), axis=axis, keepdims=True)


NUMPY = SimpleNamespace(
    **{name: getattr(np, name) for name in ("sum", "mean", "arange", "shape", "expand_dims")},
    exp=each(sympy.exp),
    log=each(sympy.log),
    sqrt=each(sympy.sqrt),
    var=_var,
    equal=lambda a, b: np.equal(a, b).astype(int),
)
SPECIAL = SimpleNamespace(softmax=_softmax, log_softmax=lambda x, axis=None: NUMPY.log(_softmax(x, axis)))


def symbols(name: str, like: Any) -> Any:
    if np.ndim(like) == 0:
        return sympy.Symbol(name, real=True)
    made = np.empty(np.shape(like), dtype=object)
    for index in np.ndindex(made.shape):
        made[index] = sympy.Symbol(name + "_".join(map(str, index)), real=True)
    return made


def is_zero(expression: Any, all_symbols: list[Any]) -> bool:
    rng = np.random.default_rng(3)
    for _ in range(3):
        point = {s: sympy.Rational(int(rng.integers(1, 400)), 211) for s in all_symbols}
        if abs(sympy.N(sympy.sympify(expression).subs(point), 50)) > sympy.Float("1e-40"):
            return False
    return True


def flat(value: Any) -> list[Any]:
    return list(np.ravel(np.asarray(value, dtype=object)))


def small(entry: Gate) -> list[Case]:
    """The uses with few symbols: the proof of each element is the same."""
    return [case for case in drawing.cases(entry) if np.prod([np.prod(s or (1,)) for s in case.shapes]) <= 150][:12]


@pytest.mark.parametrize("name", PROVED)
def test_backward_is_the_derivative(name: str) -> None:
    entry = TABLE[f"group.{name}"]
    proved = 0
    for case in small(entry):
        env = drawing.draw(entry, case)
        site = concrete_site.site_for(entry, env, "known")
        rules.apply_shape_rule(entry, site)
        scope = {"np": NUMPY, "special": SPECIAL}
        operands = {n: symbols(n, env[n]) for n in entry.operands if n != "i"}
        symbolic = {**env, **operands}
        z = eval(entry.spellings[0].text, dict(scope), symbolic)
        dz = symbols("dz", z)
        total = sympy.Add(*(a * b for a, b in zip(flat(z), flat(dz), strict=True)))
        every = [s for value in (*operands.values(), dz) for s in flat(value)]
        for operand in entry.backward:
            spelling = rules.backward_spelling(entry, operand, None, site)
            got = eval(spelling, dict(scope), {**symbolic, "z": z, "dz": dz})
            got = np.broadcast_to(np.asarray(got, dtype=object), np.shape(operands[operand]))
            for found, symbol in list(zip(flat(got), flat(operands[operand]), strict=True))[:4]:
                assert is_zero(found - sympy.diff(total, symbol), every), f"{case}: {spelling}"
                proved += 1
    assert proved > 3


@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
def test_a_shift_gets_no_gradient(name: str) -> None:
    """Of x - m for an m that is constant along the axis nothing depends on m: no gradient flows to a maximum."""
    x, m = symbols("x", np.zeros((2, 3))), symbols("m", np.zeros((2, 1)))
    function = getattr(SPECIAL, name)
    shifted = function(x - m, axis=1)
    for one, other in zip(flat(shifted), flat(function(x, axis=1)), strict=True):
        assert is_zero(one - other, [*flat(x), *flat(m)])
        assert all(is_zero(sympy.diff(one, s), [*flat(x), *flat(m)]) for s in flat(m))


def test_a_logsumexp_moves_with_its_shift() -> None:
    x, m = symbols("x", np.zeros(3)), symbols("m", 0.0)
    shifted = m + NUMPY.log(np.sum(NUMPY.exp(x - m)))
    assert is_zero(shifted - NUMPY.log(np.sum(NUMPY.exp(x))), [*flat(x), m])
    assert is_zero(sympy.diff(shifted, m), [*flat(x), m])
