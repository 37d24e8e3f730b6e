"""Arithmetic: operators and their NumPy names, powers, maximum and minimum, selection, and Python's own numbers."""

from __future__ import annotations

import math
from collections.abc import Callable
from decimal import Decimal

from flatgrad.gates.entry import Site, gate
from flatgrad.ir.core import Attribute, DType, Kind, Value
from flatgrad.ir.dims import SCALAR, Shape

BINARY = "(),()->()"
AWAY_FROM_ZERO = (0.5, 3.0)


add = gate(
    "x + y",
    also=("np.add(x, y)",),
    name="add",
    backward={"x": "dz", "y": "dz"},
    shape=BINARY,
    proof="x + y",
)

subtract = gate(
    "x - y",
    also=("np.subtract(x, y)",),
    name="subtract",
    backward={"x": "dz", "y": "-dz"},
    shape=BINARY,
    proof="x - y",
)

multiply = gate(
    "x * y",
    also=("np.multiply(x, y)",),
    name="multiply",
    backward={"x": "dz * y", "y": "dz * x"},
    shape=BINARY,
    proof="x * y",
)


def _divide_y(site: Site) -> str:
    return "-dz * z**2" if site.constant("x") == 1 else "-dz * z / y"


divide = gate(
    "x / y",
    also=("np.divide(x, y)", "np.true_divide(x, y)"),
    name="divide",
    backward={"x": "dz / y", "y": _divide_y},
    shape=BINARY,
    dtype="float",
    proof="x / y",
    domain=AWAY_FROM_ZERO,
)

negative = gate("-x", also=("np.negative(x)",), name="negative", backward={"x": "-dz"}, proof="-x")

positive = gate("+x", also=("np.positive(x)",), name="positive", backward={"x": "dz"}, proof="x")

conjugate = gate(
    "np.conj(x)",
    also=("np.conjugate(x)", "x.conj()", "x.conjugate()"),
    backward={"x": "dz"},
    proof="x",
    convention="numbers are real: the conjugate is the number itself",
    view=True,
)

floor_divide = gate(
    "x // y",
    also=("np.floor_divide(x, y)",),
    name="floor_divide",
    shape=BINARY,
    convention="piecewise constant: no gradient, not at the jumps either",
    domain=AWAY_FROM_ZERO,
)

mod = gate(
    "x % y",
    also=("np.mod(x, y)", "np.remainder(x, y)"),
    name="mod",
    backward={"x": "dz", "y": "-dz * (x // y)"},
    shape=BINARY,
    numeric_only="piecewise: the derivative is that of x - n * y between two jumps",
    convention="at a jump the gradient of the piece to the right",
    domain=AWAY_FROM_ZERO,
    samples={"lists": False},
)

fmod = gate(
    "np.fmod(x, y)",
    backward={"x": "dz", "y": "-dz * np.trunc(x / y)"},
    shape=BINARY,
    numeric_only="piecewise: the derivative is that of x - n * y between two jumps",
    convention="at a jump the gradient of the piece that the result is on",
    domain=AWAY_FROM_ZERO,
    samples={"lists": False},
)


# Powers. A backward spelling "0" says that no gradient flows to that operand.


def _power_x(site: Site) -> str:
    match site.constant("y"):
        case None | str() | bool():
            # y - (y != 0) is y - 1, and 0 for y = 0: the gradient of x**0 is 0 for x = 0 too, not 0 * inf.
            return "dz * y * x ** (y - (y != 0))"
        case exponent:
            return _constant_power(exponent)


def _constant_power(exponent: int | float) -> str:
    if exponent in (0, 1, 2):
        return ("0", "dz", "dz * 2 * x")[int(exponent)]
    if exponent == -1:
        return "-dz * z**2"
    if exponent == 0.5:
        return "dz * 0.5 / z"
    # In decimals, so that 1.1 - 1 is written 0.1.
    less = Decimal(repr(exponent)) - 1
    return f"{'-' if exponent < 0 else ''}dz * {abs(exponent)} * " + ("x" if less == 1 else f"x**{less}")


def _power_y(site: Site) -> str:
    match site.constant("x"):
        case None | str() | bool():
            # x + (x == 0) is x, and 1 for x = 0: 0**y does not move with y.
            return "dz * z * np.log(x + (x == 0))"
        case base if base > 0:
            return "dz * z * math.log(x)"
        case 0:
            return "0"
    raise site.refuse(
        "a power of a negative constant has no derivative", "the exponent would have to be a whole number"
    )


POWER_CONVENTION = "x**0 has gradient 0 everywhere; 0**y does not move with y; of a negative x, the exponent's is nan"

power = gate(
    "x ** y",
    also=("np.power(x, y)", "pow(x, y)"),
    name="power",
    backward={"x": _power_x, "y": _power_y},
    shape=BINARY,
    proof="x ** y",
    convention=POWER_CONVENTION,
    domain=AWAY_FROM_ZERO,
    samples={"lists": False, "float64_beside": "x"},
)

float_power = gate(
    "np.float_power(x, y)",
    backward={"x": _power_x, "y": _power_y},
    shape=BINARY,
    dtype="float",
    proof="x ** y",
    convention=POWER_CONVENTION,
    domain=AWAY_FROM_ZERO,
    samples={"lists": False},
)


# Kinks


def _absolute(call: str, *also: str, dtype: str = "promote") -> None:
    gate(
        call,
        also=also,
        backward={"x": "dz * np.sign(x)"},
        dtype=dtype,
        proof="abs(x)",
        convention="gradient 0 at 0",
    )


_absolute("np.abs(x)", "np.absolute(x)", "abs(x)", "x.__abs__()")
_absolute("np.fabs(x)", dtype="float")


def _wins(operand: str, beats: str) -> Callable[[Site], str]:
    """The backward rule of `operand` in maximum (`beats` is ">") or minimum ("<")."""

    def rule(site: Site) -> str:
        other = "y" if operand == "x" else "x"
        if site.constant(other) is not None:
            # As good as `x > 0`, and the result is at hand; a list compares with nothing.
            return f"dz * (z {beats} {other})"
        if Kind.OPEN is site.type("x").kind is site.type("y").kind:
            # Two lists would compare as a whole.
            return "dz * (x == z)" if operand == "x" else "dz * (x != z)"
        return f"dz * (x {beats}= y)" if operand == "x" else f"dz * (y {beats} x)"

    return rule


TIES = "of two variables the first wins a tie; against a constant the gradient at a tie is 0, as in relu"
PIECEWISE = "piecewise: the derivative is that of the operand that is chosen"

maximum = gate(
    "np.maximum(x, y)",
    backward={"x": _wins("x", ">"), "y": _wins("y", ">")},
    shape=BINARY,
    numeric_only=PIECEWISE,
    convention=TIES,
)

minimum = gate(
    "np.minimum(x, y)",
    backward={"x": _wins("x", "<"), "y": _wins("y", "<")},
    shape=BINARY,
    numeric_only=PIECEWISE,
    convention=TIES,
)


def _chosen(operand: str, beats: str) -> Callable[[Site], str]:
    """As `_wins`, for fmax and fmin, which pass a nan over: `x >= y` would miss it."""

    def rule(site: Site) -> str:
        other = "y" if operand == "x" else "x"
        if site.constant(other) is not None:
            return f"dz * (z {beats} {other})"
        return "dz * (x == z)" if operand == "x" else "dz * (x != z)"

    return rule


fmax = gate(
    "np.fmax(x, y)",
    backward={"x": _chosen("x", ">"), "y": _chosen("y", ">")},
    shape=BINARY,
    numeric_only=PIECEWISE,
    convention=TIES,
)

fmin = gate(
    "np.fmin(x, y)",
    backward={"x": _chosen("x", "<"), "y": _chosen("y", "<")},
    shape=BINARY,
    numeric_only=PIECEWISE,
    convention=TIES,
)


def _bounds(site: Site) -> list[tuple[str, str, Attribute]]:
    """The bounds that a use of clip has: (comparison, name, value). An infinite one bounds nothing."""
    named = (("z >", "a_min"), ("z >", "min"), ("z <", "a_max"), ("z <", "max"))
    nothing = {"z >": (None, -math.inf), "z <": (None, math.inf)}
    return [(side, name, site.attrs[name]) for side, name in named if site.attrs[name] not in nothing[side]]


def _rank_of(site: Site, bound: Attribute) -> int | None:
    return site.attribute_type(bound).shape.rank if isinstance(bound, Value) else 0


def _clip_shape(site: Site) -> str | Shape:
    # What a bound is may be said by a claim that is not read yet: the backward rule asks again.
    if any(_rank_of(site, bound) is None for _, _, bound in _bounds(site)):
        return site.unknown()
    _check_bounds(site)
    return "()->()"


def _check_bounds(site: Site) -> None:
    for _, name, bound in _bounds(site):
        if _rank_of(site, bound) != 0:
            raise site.refuse(
                f"{name} of clip is not known to be a single number",
                "write np.minimum(np.maximum(x, low), high), or say the bound's shape",
            )


def _clip_dtype(site: Site) -> DType:
    """Whole numbers stay whole between whole bounds; other bounds may make them floating."""
    dtype = site.type("x").dtype
    if dtype is DType.FLOAT or all(type(bound) is int for _, _, bound in _bounds(site)):
        return dtype
    return DType.OPEN


def _clip(site: Site) -> str:
    _check_bounds(site)
    inside = [f"({side} {name})" for side, name, _ in _bounds(site)]
    match inside:
        case []:
            return "dz"
        case [one]:
            return f"dz * {one}"
    return f"dz * ({' & '.join(inside)})"


clip = gate(
    "np.clip(x, a_min=None, a_max=None)",
    also=("x.clip(min=None, max=None)", "np.clip(x, min=None, max=None)"),
    backward={"x": _clip},
    shape=_clip_shape,
    dtype=_clip_dtype,
    numeric_only=PIECEWISE,
    convention="gradient 0 at the bounds, as against any constant",
    samples={
        "shapes": [((),), ((3,),), ((2, 3),)],
        "attrs": [{"a_min": -1, "a_max": 0.5}, {"a_min": 0.25, "a_max": None}, {"a_min": None, "a_max": 0.25}],
    },
)

where = gate(
    "np.where(c, x, y)",
    backward={"x": "np.where(c, dz, 0)", "y": "np.where(c, 0, dz)"},
    shape="(),(),()->()",
    dtype="promote",
    proof="numpy",
    convention="the condition carries no gradient",
)


def _copied(site: Site) -> str:
    if site.attrs["copy"] is not True:
        raise site.refuse("copy=False changes the argument in place", "leave it out and assign the result")
    return "()->()"


nan_to_num = gate(
    "np.nan_to_num(x, copy=True, nan=0.0, posinf=None, neginf=None)",
    backward={"x": "dz * np.isfinite(x)"},
    shape=_copied,
    numeric_only="the identity but for what is replaced",
    convention="what is replaced has gradient 0",
    samples={"shapes": [((),), ((3,),), ((2, 3),)]},
)


# Steps


def _rounded(site: Site) -> DType:
    """Whether whole numbers stay integers depends on NumPy's version."""
    return DType.FLOAT if site.type("x").dtype is DType.FLOAT else DType.OPEN


STEP = "piecewise constant: no gradient, not at the jumps either"

for _call, _also in {
    "np.floor(x)": (),
    "np.ceil(x)": (),
    "np.rint(x)": (),
    "np.trunc(x)": (),
    "np.fix(x)": (),
    "np.sign(x)": (),
    "np.round(x, decimals=0)": ("np.around(x, decimals=0)", "x.round(decimals=0)"),
}.items():
    gate(_call, also=_also, dtype=_rounded, convention=STEP)

heaviside = gate(
    "np.heaviside(x, y)",
    backward={"x": "0", "y": "dz * np.equal(x, 0)"},
    shape=BINARY,
    dtype="float",
    numeric_only="a step",
    convention="the step itself has gradient 0; y, the value at 0, has dz there",
)


# Python's own numbers


def _single(site: Site) -> Shape:
    return site.exact_rank("x", 0)


def _of_two_numbers(site: Site) -> Shape:
    """One of the operands, not both broadcast: Python compares two numbers, or two arrays of one element each."""
    return SCALAR if site.rank("x") == 0 == site.rank("y") else site.unknown()


NUMBERS: dict[str, object] = {"shapes": [((), ())]}

largest = gate(
    "max(x, y)",
    name="builtins.max",
    backward={"x": _wins("x", ">"), "y": _wins("y", ">")},
    shape=_of_two_numbers,
    numeric_only=PIECEWISE,
    convention=TIES,
    view=True,
    samples=NUMBERS,
)

smallest = gate(
    "min(x, y)",
    name="builtins.min",
    backward={"x": _wins("x", "<"), "y": _wins("y", "<")},
    shape=_of_two_numbers,
    numeric_only=PIECEWISE,
    convention=TIES,
    view=True,
    samples=NUMBERS,
)


def _round_dtype(site: Site) -> DType:
    return DType.INT if site.attrs["ndigits"] is None else site.type("x").dtype


rounded = gate(
    "round(x, ndigits=None)",
    name="builtins.round",
    shape=_single,
    dtype=_round_dtype,
    convention=STEP,
    samples={"shapes": [((),)], "attrs": [{}, {"ndigits": 1}]},
)
