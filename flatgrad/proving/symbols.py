"""Proof of backward rules: by SymPy for smooth elementwise gates, by running spellings on symbols for others."""

from __future__ import annotations

import ast
import math
import re
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from types import CodeType, SimpleNamespace
from typing import Any

import numpy as np
import sympy

from flatgrad.gates.entry import REQUIRED, Gate
from flatgrad.proving import concrete_site, drawing, rules, running
from flatgrad.proving.drawing import Case
from flatgrad.proving.running import Disproved, Env, check


def _log2(x: Any) -> Any:
    return sympy.log(x) / sympy.log(2)


def _log10(x: Any) -> Any:
    return sympy.log(x) / sympy.log(10)


def _expit(x: Any) -> Any:
    return 1 / (1 + sympy.exp(-x))


def _where(condition: Any, first: Any, second: Any) -> Any:
    return first if condition else second


# What a spelling may call on one symbol.
ELEMENTWISE: dict[str, Callable[..., Any]] = {
    **{
        name: getattr(sympy, name)
        for name in ("exp", "log", "sqrt", "cbrt", "sin", "cos", "tan", "sinh", "cosh", "tanh", "sign", "floor")
    },
    "arcsin": sympy.asin,
    "arccos": sympy.acos,
    "arctan": sympy.atan,
    "arctan2": sympy.atan2,
    "arcsinh": sympy.asinh,
    "arccosh": sympy.acosh,
    "arctanh": sympy.atanh,
    "expm1": lambda x: sympy.exp(x) - 1,
    "exp2": lambda x: 2**x,
    "log1p": lambda x: sympy.log(1 + x),
    "log2": _log2,
    "log10": _log10,
    "square": lambda x: x**2,
    "power": lambda x, y: x**y,
    "float_power": lambda x, y: x**y,
    "reciprocal": lambda x: 1 / x,
    "hypot": lambda x, y: sympy.sqrt(x**2 + y**2),
    "where": _where,
    "logaddexp": lambda x, y: sympy.log(sympy.exp(x) + sympy.exp(y)),
    "abs": sympy.Abs,
    "absolute": sympy.Abs,
    "equal": lambda x, y: sympy.S.Zero,
    "add": lambda x, y: x + y,
    "subtract": lambda x, y: x - y,
    "deg2rad": lambda x: x * sympy.pi / 180,
    "rad2deg": lambda x: x * 180 / sympy.pi,
}
NUMPY = SimpleNamespace(**ELEMENTWISE, pi=sympy.pi, e=sympy.E, asarray=lambda x: x)
MATH = SimpleNamespace(
    **{name: ELEMENTWISE[name] for name in ("exp", "log", "sqrt", "cbrt", "sin", "cos", "tan", "sinh", "cosh", "tanh")},
    **{name: ELEMENTWISE[name] for name in ("expm1", "exp2", "log1p", "log2", "log10", "hypot", "floor")},
    pow=lambda x, y: x**y,
    pi=sympy.pi,
    e=sympy.E,
    erf=sympy.erf,
    erfc=sympy.erfc,
    gamma=sympy.gamma,
    lgamma=sympy.loggamma,
)
SPECIAL = SimpleNamespace(
    expit=_expit,
    logit=lambda x: sympy.log(x / (1 - x)),
    erf=sympy.erf,
    erfc=sympy.erfc,
    gamma=sympy.gamma,
    gammaln=sympy.loggamma,
    digamma=sympy.digamma,
    psi=sympy.digamma,
    zeta=sympy.zeta,
    xlogy=lambda x, y: x * sympy.log(y),
    xlog1py=lambda x, y: x * sympy.log(1 + y),
    ndtr=lambda x: (1 + sympy.erf(x / sympy.sqrt(2))) / 2,
    i0=lambda x: sympy.besseli(0, x),
    i1=lambda x: sympy.besseli(1, x),
)
SYMBOLIC: Env = {
    "np": NUMPY,
    "math": MATH,
    "special": SPECIAL,
    "__builtins__": {"abs": sympy.Abs, "pow": pow, "float": lambda x: x},
}


class Unprovable(Exception):
    """Symbols cannot say whether an entry is right."""


def prove_expression(entry: Gate, known: Env | None = None) -> None:
    """The backward spellings against the derivative of `proof`, with z replaced by it, for every sample of attributes.

    Args:
        known: what the spellings may name besides NumPy's functions, on symbols: see `known_functions`.

    Raises:
        Disproved: the rules and the proof do not agree, or the proof is not that of the call.
        Unprovable: a spelling holds what symbols do not decide, or that SymPy does not know.
    """
    samples = drawing.list_of(entry, "attrs") or [{}]
    # A proof that names no attribute is that of the first sample.
    general = any(re.search(rf"\b{name}\b", entry.proof or "") for name in entry.attributes)
    for attrs in samples if general else samples[:1]:
        _prove_with(entry, attrs, known or {})


def known_functions(gates: Iterable[Gate]) -> Env:
    """The functions of these gates on symbols, by their `proof`, as they are named in spellings: `mylib.swish`."""
    found: dict[str, Any] = {}
    for gate in gates:
        if gate.proof in (None, "numpy"):
            continue
        for spelling in gate.spellings:
            *packages, name = spelling.text.partition("(")[0].split(".")
            place = found
            for package in packages:
                place = place.setdefault(package, {})
            place[name] = partial(_of_proof, gate)
    return {name: _namespace({**vars(SYMBOLIC.get(name, SimpleNamespace())), **part}) for name, part in found.items()}


def _of_proof(gate: Gate, *args: Any, **attrs: Any) -> Any:
    given = {
        **{n: v for n, v in gate.attributes.items() if v != REQUIRED},
        **dict(zip(gate.spellings[0].names, args, strict=False)),
    }
    names = {name: sympy.Symbol(name, real=True) for name in gate.spellings[0].names}
    proof = sympy.sympify(gate.proof, locals=names, rational=True)
    return proof.subs({names[name]: value for name, value in {**given, **attrs}.items()}, simultaneous=True)


def _namespace(part: Any) -> Any:
    return SimpleNamespace(**{n: _namespace(p) for n, p in part.items()}) if isinstance(part, dict) else part


def _prove_with(entry: Gate, attrs: Mapping[str, Any], known: Env) -> None:
    symbols = {name: sympy.Symbol(name, real=True) for name in entry.operands}
    dz = sympy.Symbol("dz", real=True)
    numbers = {
        name: sympy.Rational(value) if isinstance(value, float) else value
        for name, value in {**entry.attributes, **attrs}.items()
        if value != REQUIRED
    }
    try:
        proof = sympy.sympify(entry.proof, locals={**symbols, **numbers}, rational=True)
    except (sympy.SympifyError, TypeError, AttributeError) as error:
        raise Unprovable(f"{entry.proof} cannot be read: {error}") from None
    check(proof.free_symbols <= set(symbols.values()), f"{entry.name}: {entry.proof} holds {proof.free_symbols}")
    shapes = tuple(() for _ in entry.operands)
    case = Case(shapes, attrs)
    env = drawing.draw(entry, case)
    _check_the_proof(entry, proof, symbols, env)
    site = concrete_site.site_for(entry, env, "known")
    rules.apply_shape_rule(entry, site)
    symbolic = {name: value for name, value in env.items() if name not in symbols}
    symbolic |= {**numbers, **symbols, "z": proof, "dz": dz}
    for name in entry.backward:
        spelling = rules.backward_spelling(entry, name, None, site)
        try:
            got = eval(_at_a_general_point(spelling), {**SYMBOLIC, **known}, symbolic)
        except (NameError, AttributeError, TypeError) as error:
            raise Unprovable(f"{spelling}: {error}") from None
        expected = dz * sympy.diff(proof, symbols[name])
        if not _is_zero(got - expected, entry, [*symbols.values(), dz]):
            raise Disproved(f"{entry.name}, {name}: {got} is not {expected}")


class _Generic(ast.NodeTransformer):
    """`x == 0` is 0 and `x != 0` is 1: a proof speaks of points where no two things happen to be equal."""

    def visit_Compare(self, node: ast.Compare) -> ast.expr:
        if not isinstance(node.ops[0], ast.Eq | ast.NotEq):
            raise Unprovable("a comparison, which symbols do not decide")
        return ast.copy_location(ast.Constant(int(isinstance(node.ops[0], ast.NotEq))), node)


def _at_a_general_point(spelling: str) -> CodeType:
    tree = ast.fix_missing_locations(_Generic().visit(ast.parse(spelling, mode="eval")))
    return compile(tree, spelling, "eval")


def _check_the_proof(entry: Gate, proof: Any, symbols: dict[str, Any], env: Env) -> None:
    """The proof speaks of the function that the call computes."""
    value = float(running.run_forward(entry, entry.spellings[0], env))
    claimed = complex(proof.subs({symbols[n]: sympy.Float(env[n], 30) for n in symbols}).evalf(20))
    near = math.isclose(value, claimed.real, rel_tol=1e-10, abs_tol=1e-12) and abs(claimed.imag) < 1e-12
    check(near, f"{entry.name}: {entry.proof} is {claimed.real:.12g} where the call gives {value:.12g}")


def _is_zero(difference: Any, entry: Gate, symbols: list[Any]) -> bool:
    """By algebra; else by value at points of the domain, to forty digits."""
    difference = sympy.sympify(difference)
    if difference == 0 or sympy.expand(difference) == 0:
        return True
    if not difference.has(sympy.Piecewise) and sympy.count_ops(difference) < 60 and sympy.simplify(difference) == 0:
        return True
    rng = np.random.default_rng(5)
    low, high = entry.domain
    for _ in range(8):
        point = {s: sympy.Rational(float(rng.uniform(low, high))) for s in symbols}
        value = difference.subs(point).evalf(50)
        if not value.is_number or abs(sympy.N(value, 50)) > sympy.Float("1e-40"):
            return False
    return True


def prove_on_symbols(entry: Gate, case: Case) -> None:
    """Forward and backward spellings run on arrays of symbols, against the derivatives of sum(dz * z)."""
    env = drawing.draw(entry, case)
    site = concrete_site.site_for(entry, env, "known")
    rules.apply_shape_rule(entry, site)
    symbolic = dict(env)
    for name in entry.operands:
        if name == "xs":
            symbolic["xs"] = [symbols_like(x, f"x{k}_") for k, x in enumerate(env["xs"])]
            symbolic |= {f"x{k}": x for k, x in enumerate(symbolic["xs"])}
        elif name not in ("c", "i"):
            symbolic[name] = symbols_like(env[name], name)
    scope: Env = {**running.scope_of(entry), "__builtins__": __builtins__}
    z = running.run_forward(entry, entry.spellings[0], symbolic, scope)
    dzs = [symbols_like(one, f"dz{k}_") for k, one in enumerate(running.results_of(z))]
    full = running.with_results(symbolic, z, dzs)
    pairs = zip(running.results_of(z), dzs, strict=True)
    total = sympy.Add(*(a * b for one, dz in pairs for a, b in zip(np.ravel(one), np.ravel(dz), strict=True)))
    for operand in drawing.differentiable_operands(entry, env):
        value, spelling = rules.contribution(entry, operand, site, full)
        got = running.unbroadcast(value, np.shape(symbolic[operand[0]]))
        for index in np.ndindex(np.shape(symbolic[operand[0]])):
            expected = sympy.diff(total, np.asarray(symbolic[operand[0]])[index])
            difference = sympy.nsimplify(sympy.expand(got[index] - expected), rational=True)
            where = f"{entry.name} {case}, {operand[0]}{list(index)} by {spelling}"
            if sympy.simplify(difference) != 0:  # what stands in the message takes long to print
                raise Disproved(f"{where}: {got[index]} is not {expected}")


def symbols_like(value: Any, name: str) -> Any:
    """An object array of symbols; one symbol for a scalar."""
    shape = np.shape(value)
    if shape == ():
        return sympy.Symbol(name, positive=True)
    symbols = np.empty(shape, dtype=object)
    for index in np.ndindex(shape):
        symbols[index] = sympy.Symbol(name + "_".join(map(str, index)), positive=True)
    return symbols
