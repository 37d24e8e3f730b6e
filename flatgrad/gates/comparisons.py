"""Comparisons, logic and bits: true or false, or whole numbers, which carry no gradient."""

from __future__ import annotations

from collections.abc import Mapping

from flatgrad.gates.entry import Site, gate
from flatgrad.ir.core import DType
from flatgrad.ir.dims import SCALAR, Shape

_TRUTHS: Mapping[str, str] = {"x": "np.asarray(x) > 0", "y": "np.asarray(y) > 0"}


def _compares(name: str, call: str, *also: str, shape: str = "(),()->()") -> None:
    gate(call, also=also, name=name, shape=shape, dtype=DType.BOOL)


_compares("equal", "x == y", "np.equal(x, y)")
_compares("not_equal", "x != y", "np.not_equal(x, y)")
_compares("less", "x < y", "np.less(x, y)")
_compares("less_equal", "x <= y", "np.less_equal(x, y)")
_compares("greater", "x > y", "np.greater(x, y)")
_compares("greater_equal", "x >= y", "np.greater_equal(x, y)")
_compares("logical_and", "np.logical_and(x, y)")
_compares("logical_or", "np.logical_or(x, y)")
_compares("logical_xor", "np.logical_xor(x, y)")
_compares("logical_not", "np.logical_not(x)", shape="()->()")
_compares("isfinite", "np.isfinite(x)", shape="()->()")
_compares("isnan", "np.isnan(x)", shape="()->()")
_compares("isinf", "np.isinf(x)", shape="()->()")
_compares("signbit", "np.signbit(x)", shape="()->()")
_compares("isclose", "np.isclose(x, y, rtol=1e-05, atol=1e-08, equal_nan=False)")

for _call in ("np.allclose(x, y, rtol=1e-05, atol=1e-08, equal_nan=False)", "np.array_equal(x, y, equal_nan=False)"):
    gate(_call, shape=lambda site: SCALAR, dtype=DType.BOOL)

negation = gate(
    "not x",
    name="not",
    shape=lambda site: SCALAR,
    dtype=DType.BOOL,
    samples={"shapes": [((),)]},
)


def _one_truth(site: Site) -> Shape:
    """`x and y` is one of its operands: they must be truth values, or it is no comparison but a choice."""
    for name in ("x", "y"):
        if site.type(name).dtype is not DType.BOOL:
            raise site.refuse(
                "`and` and `or` give back one of their operands, and here one may be no truth value",
                "write it as an if statement, or ask for `x > 0`",
            )
    scalars = all(site.shape(name).is_scalar for name in ("x", "y"))
    return SCALAR if scalars else site.unknown()


for _word in ("and", "or"):
    gate(
        f"x {_word} y",
        name=_word,
        shape=_one_truth,
        dtype=DType.BOOL,
        convention="of truth values",
        view=True,
        samples={"shapes": [((), ())], "operands": {"x": "x > 0", "y": "y > 0"}},
    )

# Of containers and of None: never differentiated.
for _name, _call in {"in": "x in y", "not_in": "x not in y"}.items():
    gate(_call, name=_name, shape=lambda site: SCALAR, dtype=DType.BOOL, samples={"shapes": [((), (3,))]})
for _name, _call in {"is": "x is y", "is_not": "x is not y"}.items():
    gate(_call, name=_name, shape=lambda site: SCALAR, dtype=DType.BOOL, samples={"shapes": [((), ())]})

# Bits: on booleans the logical operations, on integers those of the bits.
for _call, _also in {
    "x & y": "np.bitwise_and(x, y)",
    "x | y": "np.bitwise_or(x, y)",
    "x ^ y": "np.bitwise_xor(x, y)",
}.items():
    gate(
        _call,
        also=(_also,),
        name=_also[3:].partition("(")[0],
        shape="(),()->()",
        convention="whole numbers and truth values: no gradient",
        samples={"operands": _TRUTHS},
    )

invert = gate(
    "~x",
    also=("np.invert(x)", "np.bitwise_not(x)"),
    name="invert",
    convention="whole numbers and truth values: no gradient",
    samples={"operands": {"x": _TRUTHS["x"]}},
)
