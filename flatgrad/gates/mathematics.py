"""Python's `math`: functions of single numbers. A line that calls one proves that its operands have no dimensions."""

from __future__ import annotations

from flatgrad.gates.entry import BackwardRule, Site, gate
from flatgrad.ir.core import DType
from flatgrad.ir.dims import SCALAR, Shape


def _one_number(site: Site) -> Shape:
    site.exact_rank("x", 0)
    return SCALAR


def _two_numbers(site: Site) -> Shape:
    site.exact_rank("x", 0)
    site.exact_rank("y", 0)
    return SCALAR


def _function(
    call: str,
    backward: BackwardRule,
    proof: str,
    domain: tuple[float, float] = (-2.0, 2.0),
    convention: str = "",
) -> None:
    gate(
        call,
        name=call.partition("(")[0],
        backward={"x": backward},
        shape=_one_number,
        dtype=DType.FLOAT,
        proof=proof,
        domain=domain,
        convention=convention,
        samples={"shapes": [((),)]},
    )


def _function_of_two(
    call: str,
    x: BackwardRule,
    y: BackwardRule,
    proof: str | None,
    domain: tuple[float, float] = (0.5, 3.0),
    name: str = "",
    convention: str = "",
    numeric_only: str = "",
) -> None:
    gate(
        call,
        name=name or call.partition("(")[0],
        backward={"x": x, "y": y},
        shape=_two_numbers,
        dtype=DType.FLOAT,
        proof=proof,
        numeric_only=numeric_only,
        domain=domain,
        convention=convention,
        samples={"shapes": [((), ())]},
    )


POSITIVE = (0.2, 4.0)
INSIDE = (-0.9, 0.9)

_function("math.exp(x)", "dz * z", "exp(x)")
_function("math.expm1(x)", "dz * (z + 1)", "exp(x) - 1")
_function("math.exp2(x)", "dz * z * math.log(2)", "2**x")
_function("math.log(x)", "dz / x", "log(x)", POSITIVE)
_function("math.log1p(x)", "dz / (1 + x)", "log(1 + x)", (-0.8, 4.0))
_function("math.log2(x)", "dz / (math.log(2) * x)", "log(x) / log(2)", POSITIVE)
_function("math.log10(x)", "dz / (math.log(10) * x)", "log(x) / log(10)", POSITIVE)
_function("math.sqrt(x)", "dz * 0.5 / z", "sqrt(x)", POSITIVE, "infinite at 0")
_function("math.cbrt(x)", "dz / (3 * z**2)", "x**Rational(1, 3)", POSITIVE, "infinite at 0")
_function("math.fabs(x)", "dz * np.sign(x)", "abs(x)", convention="gradient 0 at 0")
_function("math.sin(x)", "dz * math.cos(x)", "sin(x)")
_function("math.cos(x)", "-dz * math.sin(x)", "cos(x)")
_function("math.tan(x)", "dz * (1 + z**2)", "tan(x)", (-1.2, 1.2))
_function("math.asin(x)", "dz / math.sqrt(1 - x**2)", "asin(x)", INSIDE)
_function("math.acos(x)", "-dz / math.sqrt(1 - x**2)", "acos(x)", INSIDE)
_function("math.atan(x)", "dz / (1 + x**2)", "atan(x)")
_function("math.sinh(x)", "dz * math.cosh(x)", "sinh(x)")
_function("math.cosh(x)", "dz * math.sinh(x)", "cosh(x)")
_function("math.tanh(x)", "dz * (1 - z**2)", "tanh(x)")
_function("math.asinh(x)", "dz / math.sqrt(x**2 + 1)", "asinh(x)")
_function("math.acosh(x)", "dz / math.sqrt(x**2 - 1)", "acosh(x)", (1.2, 4.0))
_function("math.atanh(x)", "dz / (1 - x**2)", "atanh(x)", INSIDE)
_function("math.radians(x)", "dz * (math.pi / 180)", "pi * x / 180")
_function("math.degrees(x)", "dz * (180 / math.pi)", "180 * x / pi")
_function("math.erf(x)", "dz * (2 / math.sqrt(math.pi)) * math.exp(-(x**2))", "erf(x)")
_function("math.erfc(x)", "-dz * (2 / math.sqrt(math.pi)) * math.exp(-(x**2))", "erfc(x)")
_function("math.gamma(x)", "dz * z * special.digamma(x)", "gamma(x)", (0.3, 4.0))
_function("math.lgamma(x)", "dz * special.digamma(x)", "loggamma(x)", (0.3, 4.0))

_function_of_two(
    "math.log(x, y)",
    "dz / (math.log(y) * x)",
    "-dz * z / (math.log(y) * y)",
    "log(x) / log(y)",
    (1.2, 4.0),
    name="math.log with a base",
)
_function_of_two(
    "math.pow(x, y)",
    "dz * y * math.pow(x, y - (y != 0))",
    "dz * z * np.log(x + (x == 0))",
    "x**y",
    convention="as for x ** y",
)
_function_of_two("math.hypot(x, y)", "dz * x / z", "dz * y / z", "sqrt(x**2 + y**2)", convention="fails at the origin")
_function_of_two(
    "math.atan2(x, y)",
    "dz * y / (x**2 + y**2)",
    "-dz * x / (x**2 + y**2)",
    "atan2(x, y)",
    (0.3, 3.0),
    convention="fails at the origin",
)
_function_of_two(
    "math.fmod(x, y)",
    "dz",
    "-dz * math.trunc(x / y)",
    None,
    numeric_only="piecewise: the derivative is that of x - n * y between two jumps",
    convention="at a jump the gradient of the piece that the result is on",
)

for _call in ("math.floor(x)", "math.ceil(x)", "math.trunc(x)"):
    gate(
        _call,
        name=_call.partition("(")[0],
        shape=_one_number,
        dtype=DType.INT,
        convention="piecewise constant: no gradient, not at the jumps either",
        samples={"shapes": [((),)]},
    )

for _call in ("math.isfinite(x)", "math.isnan(x)", "math.isinf(x)"):
    gate(_call, name=_call.partition("(")[0], shape=_one_number, dtype=DType.BOOL, samples={"shapes": [((),)]})
