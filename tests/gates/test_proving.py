"""The tests made from the table fail where an entry is wrong: mistakes that people make, in entries that are right."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest

from flatgrad.gates.entry import TABLE, Gate
from flatgrad.ir.core import DType
from flatgrad.ir.dims import Shape
from flatgrad.ir.solver import Contradiction
from flatgrad.proving import checks, drawing, symbols


def changed(name: str, **fields: Any) -> Gate:
    return dataclasses.replace(TABLE[name], **fields)


def with_matrices(check: Callable[[Gate, drawing.Case], Any]) -> Callable[[Gate], None]:
    def run(entry: Gate) -> None:
        for case in drawing.cases(entry, [((2, 3),) * len(entry.operands)]):
            check(entry, case)

    return run


NUMBERS = with_matrices(lambda entry, case: checks.check_numbers(entry, case, "known"))
SYMBOLS = with_matrices(symbols.prove_on_symbols)

MISTAKES: dict[str, tuple[Callable[[Gate], None], Gate]] = {
    "a factor, by numbers": (NUMBERS, changed("tanh", backward={"x": "dz * (1 - z)"})),
    "a factor, by proof": (symbols.prove_expression, changed("tanh", backward={"x": "dz * (1 - z)"})),
    "a sign, by proof": (symbols.prove_expression, changed("divide", backward={"x": "dz / y", "y": "dz * z / y"})),
    "the proof of another function": (
        symbols.prove_expression,
        changed("sin", proof="cos(x)", backward={"x": "-dz * z"}),
    ),
    "swapped operands": (NUMBERS, changed("subtract", backward={"x": "-dz", "y": "dz"})),
    "swapped arms": (SYMBOLS, changed("where", backward={"x": "np.where(c, 0, dz)", "y": "np.where(c, dz, 0)"})),
    "a gradient of the wrong shape": (NUMBERS, changed("multiply", backward={"x": "np.sum(dz * y)", "y": "dz * x"})),
    "an upstream gradient written to": (NUMBERS, changed("exp", backward={"x": "np.multiply(dz, z, out=dz)"})),
    "an operand written to": (NUMBERS, changed("exp", backward={"x": "dz * np.exp(x, out=x)"})),
    "float64 for float32": (checks.float32_stays, changed("exp2", backward={"x": "dz * z * np.log(2)"})),
    "whole numbers cut down": (
        checks.whole_numbers,
        changed("exp", backward={"x": "np.add(dz * z, np.zeros_like(x)).astype(np.asarray(x).dtype)"}),
    ),
    "lists compared as a whole": (
        checks.list_operands,
        changed("fmax", backward={"x": "dz * (x >= y)", "y": "dz * (x < y)"}),
    ),
    "a shape too many": (
        lambda e: checks.shape_rule(e, "known"),
        changed("exp", shape=lambda s: Shape.of(2, 3)),
    ),
    "a rank that is not demanded": (
        lambda e: checks.shape_rule(e, "unknown"),
        changed("exp", shape=lambda s: s.exact_rank("x", 1)),
    ),
    "an integer that is floating": (checks.dtype_rule, changed("exp", dtype=DType.INT)),
    "a gradient of an integer": (checks.dtype_rule, changed("floor", dtype=DType.BOOL)),
    "a view that is not declared": (checks.views_are_declared, changed("conj", view=False)),
    "no proof and no reason": (checks.complete, changed("exp", proof=None)),
    "two spellings of two functions": (
        checks.spellings_agree,
        changed("exp", spellings=(*TABLE["exp"].spellings, *TABLE["expm1"].spellings)),
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes_are_found(mistake: str) -> None:
    check, entry = MISTAKES[mistake]
    with pytest.raises((AssertionError, Contradiction)):
        check(entry)
