"""The exact algebra of exponentials, against SymPy."""

from __future__ import annotations

import ast
import itertools
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import pytest
import sympy

from flatgrad.groups import algebra
from flatgrad.groups.algebra import Ratio, TooLarge

x = sympy.Symbol("x", real=True)
Factor = Callable[[Ratio], Fraction | None]

SPELLINGS: tuple[tuple[str, Factor, int | None], ...] = (
    ("1 / (1 + exp(-x))", algebra.sigmoid_factor, 1),
    ("exp(x) / (1 + exp(x))", algebra.sigmoid_factor, 1),
    ("(1 + tanh(x / 2)) / 2", algebra.sigmoid_factor, 1),
    ("1 - 1 / (1 + exp(x))", algebra.sigmoid_factor, 1),
    ("1 / (1 + exp(3 * x))", algebra.sigmoid_factor, -3),
    ("exp(x / 2) / (exp(x / 2) + exp(-x / 2))", algebra.sigmoid_factor, 1),
    ("(exp(x) - exp(-x)) / (exp(x) + exp(-x))", algebra.tanh_factor, 1),
    ("2 / (1 + exp(-2 * x)) - 1", algebra.tanh_factor, 1),
    ("1 + exp(x)", algebra.softplus_factor, 1),
    ("1 / (1 - 1 / (1 + exp(-x)))", algebra.softplus_factor, 1),
    ("(exp(2 * x) - 1) / (exp(x) - 1)", algebra.softplus_factor, 1),
    ("1 / (2 + exp(-x))", algebra.sigmoid_factor, None),
    ("2 / (1 + exp(-x))", algebra.sigmoid_factor, None),
    ("1 / (1 - exp(-x))", algebra.sigmoid_factor, None),
    ("1 / (1 + exp(-x) + exp(-2 * x))", algebra.sigmoid_factor, None),
    ("exp(x) * exp(-x)", algebra.sigmoid_factor, None),
    ("1 - tanh(x)", algebra.tanh_factor, None),
    ("2 + exp(x)", algebra.softplus_factor, None),
    ("exp(x) - 1", algebra.softplus_factor, None),
    ("exp(x) - exp(x) + 2", algebra.softplus_factor, None),
)
DEFINITIONS: dict[Factor, Callable[[Any], Any]] = {
    algebra.sigmoid_factor: lambda c: 1 / (1 + sympy.exp(-c * x)),
    algebra.tanh_factor: lambda c: sympy.tanh(c * x),
    algebra.softplus_factor: lambda c: 1 + sympy.exp(c * x),
}


class _Numbers(ast.NodeTransformer):
    """Numbers become ratios, but for those inside exp and tanh, which belong to the factor."""

    def visit_Call(self, node: ast.Call) -> ast.AST:
        return node

    def visit_Constant(self, node: ast.Constant) -> ast.AST:
        return ast.Call(ast.Name("number", ast.Load()), [node], [])


def evaluated(spelling: str) -> Ratio:
    """The exact form of a spelling; raises TooLarge where it has none."""
    tree = ast.fix_missing_locations(_Numbers().visit(ast.parse(spelling, mode="eval")))
    scope = {
        "number": algebra.of_number,
        "exp": lambda factor: algebra.of_exp(Fraction(factor)),
        "tanh": lambda factor: algebra.of_tanh(Fraction(factor)),
        "x": Fraction(1),
    }
    result = eval(compile(tree, spelling, "eval"), scope)
    assert isinstance(result, Ratio)
    return result


def symbolic(spelling: str) -> Any:
    return sympy.sympify(spelling, locals={"x": x})


def as_sympy(ratio: Ratio) -> Any:
    def total(powers: algebra.Powers) -> Any:
        return sympy.Add(*(sympy.Rational(c) * sympy.exp(sympy.Rational(k) * x) for k, c in powers))

    return total(ratio.top) / total(ratio.bottom)


def is_zero(expression: Any) -> bool:
    """At two points, to forty digits: these are fractions of exponentials."""
    return all(
        abs(sympy.N(expression.subs(x, point), 50)) < sympy.Float("1e-40") for point in (3, sympy.Rational(-5, 7))
    )


@pytest.mark.parametrize(("spelling", "factor", "wanted"), SPELLINGS)
def test_factor(spelling: str, factor: Factor, wanted: int | None) -> None:
    ratio = evaluated(spelling)
    assert is_zero(as_sympy(ratio) - symbolic(spelling))
    assert factor(ratio) == wanted
    if wanted is not None:
        assert is_zero(symbolic(spelling) - DEFINITIONS[factor](wanted))


PARTS = ("1", "2", "0.5", "exp(x)", "exp(-x)", "exp(x / 2)", "tanh(x)", "tanh(x / 2)")
TREES = [
    f"({a} {first} {b}) {second} {c}"
    for (a, b, c), first, second in itertools.product(itertools.product(PARTS, PARTS[:5], PARTS[:4]), "+-/", "*/")
]


@pytest.mark.parametrize("part", range(8))
def test_every_small_expression(part: int) -> None:
    """Where the algebra sees a sigmoid, a tanh or 1 + exp(c * x), there is one; where there is one, it sees it."""
    seen = 0
    for spelling in TREES[part::8]:
        try:
            ratio = evaluated(spelling)
        except (TooLarge, TypeError):
            continue
        expression = symbolic(spelling)
        if expression in (0, sympy.zoo, sympy.nan):
            continue
        for factor, definition in DEFINITIONS.items():
            found = factor(ratio)
            if found is not None:
                seen += 1
                assert is_zero(expression - definition(sympy.Rational(found))), spelling
            else:
                for other in (-2, -1, 1, 2):
                    near = sympy.N((expression - definition(other)).subs(x, 3), 20)
                    assert abs(near) > sympy.Float("1e-15"), spelling
    assert seen > 0


def test_numbers_that_no_fraction_holds_and_sums_that_are_too_long() -> None:
    for number in (float("inf"), float("nan")):
        with pytest.raises(TooLarge):
            algebra.of_number(number)
    with pytest.raises(TooLarge):
        (Ratio(algebra.ONE) + algebra.of_exp(Fraction(1))) ** 9
    with pytest.raises(TooLarge):
        algebra.of_number(1e-80) * algebra.of_number(1e-80)
    with pytest.raises(TooLarge):
        (algebra.of_exp(Fraction(1)) - algebra.of_exp(Fraction(1))).inverse()
