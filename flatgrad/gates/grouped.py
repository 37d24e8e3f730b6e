"""Grouped gates: several relations that people treat as one, with a joint gradient. Nobody calls them: they are
recognised in what is written, in any of its spellings and over any number of statements, by `flatgrad.groups`.
"""

from __future__ import annotations

from collections.abc import Mapping

from flatgrad.gates.axes import expanded, reduced_shape
from flatgrad.gates.entry import TABLE, BackwardRule, DTypeRule, Gate, ShapeRule, Site, Spelling
from flatgrad.gates.parts import unchanged
from flatgrad.gates.special import AXES
from flatgrad.ir.core import Attribute, DType, Kind
from flatgrad.ir.dims import SCALAR, Shape


def group(
    name: str,
    definition: str,
    *,
    operands: tuple[str, ...] = ("x",),
    attributes: Mapping[str, Attribute] | None = None,
    backward: Mapping[str, BackwardRule],
    shape: ShapeRule = "()->()",
    dtype: DTypeRule = DType.FLOAT,
    proof: str | None = None,
    numeric_only: str = "",
    convention: str = "",
    samples: Mapping[str, object] | None = None,
) -> Gate:
    """Declare a group: an entry of the table that no call is looked up in.

    Args:
        definition: what it computes, of its operands and attributes.
        backward: as of any gate. `groups.apply` has the text of those that take several lines.
    """
    known = dict(attributes or {})
    entry = Gate(
        name=f"group.{name}",
        spellings=(Spelling(definition, "", (*operands, *known), known),),
        operands=operands,
        attributes=known,
        backward=dict(backward),
        shape=shape,
        dtype=dtype,
        proof=proof,
        numeric_only=numeric_only,
        convention=convention,
        view=False,
        elementwise=isinstance(shape, str),
        domain=(-2.0, 2.0),
        samples=dict(samples or {}),
    )
    if entry.name in TABLE:
        raise ValueError(f"gate {entry.name}: declared twice")
    TABLE[entry.name] = entry
    return entry


# Sigmoids


def _sigmoid(site: Site) -> str:
    """dz * z * (1 - z) * scale"""
    return "dz * z * (1 - z)" if site.attrs["scale"] == 1 else "dz * z * (1 - z) * scale"


sigmoid = group(
    "sigmoid",
    "1 / (1 + np.exp(-scale * x))",
    attributes={"scale": 1},
    backward={"x": _sigmoid},
    proof="1 / (1 + exp(-x))",
    convention="every fraction of exponentials that equals it, tanh included",
    samples={"attrs": [{}, {"scale": 2}, {"scale": -0.5}]},
)


def _softplus(site: Site) -> str:
    """dz / (1 + np.exp(-x))"""
    # Not dz * np.exp(x - z): where forward overflows to inf that would be 0, not 1. A list has no negative.
    return f"dz / (1 + {'1 / np.exp(x)' if site.type('x').kind is Kind.OPEN else 'np.exp(-x)'})"


softplus = group(
    "softplus",
    "np.log(1 + np.exp(x))",
    backward={"x": _softplus},
    proof="log(1 + exp(x))",
    convention="also np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x))), whose gradient at 0 is 1/2 then",
)

log_sigmoid = group(
    "log_sigmoid",
    "-np.log(1 + np.exp(-x))",
    backward={"x": "dz / (1 + np.exp(x))"},
    proof="-log(1 + exp(-x))",
)


# Kinks

relu = group(
    "relu",
    "(x + np.abs(x)) / 2",
    backward={"x": "dz * np.heaviside(x, 0.5)"},
    numeric_only="piecewise",
    convention="gradient 1/2 at 0, as that of np.abs is 0; of np.maximum(x, 0) and x * (x > 0) it is 0",
)


def _leaky(site: Site) -> str:
    """np.where(x > 0, dz, dz * slope)"""
    test = ">=" if site.attrs["first"] else ">"
    return f"np.where(x {test} 0, dz, dz * slope)"


leaky_relu = group(
    "leaky_relu",
    "np.maximum(x, slope * x)",
    attributes={"slope": 0.01, "first": True},
    backward={"x": _leaky},
    numeric_only="piecewise",
    convention="at 0 the gradient of the operand that np.maximum names first",
    samples={"attrs": [{"slope": 0.2}]},
)


def _steep(site: Site) -> str:
    """np.where(c, dz, dz * y)"""
    return "np.where(c, dz, dz * y)" if site.attrs["above"] else "np.where(c, dz * y, dz)"


def _slope(site: Site) -> str:
    """np.where(c, 0, dz * x)"""
    return "np.where(c, 0, dz * x)" if site.attrs["above"] else "np.where(c, dz * x, 0)"


sloped = group(
    "sloped",
    "np.where(np.equal(c, above), x, y * x)",
    operands=("c", "x", "y"),
    attributes={"above": True},
    backward={"x": _steep, "y": _slope},
    shape="(),(),()->()",
    dtype="promote",
    numeric_only="piecewise",
    convention="np.where(x > 0, x, y * x) and x * (x > 0) + y * x * (x <= 0); the condition decides at 0",
    samples={"attrs": [{}, {"above": False}]},
)


# Softmax


def _softmax(site: Site) -> str:
    """z * (dz - np.sum(dz * z, axis=axis, keepdims=True))"""
    if site.attrs["axis"] is None:
        return "z * (dz - np.sum(dz * z))"
    return "z * (dz - np.sum(dz * z, axis=axis, keepdims=True))"


def _log_softmax(site: Site) -> str:
    """dz - np.exp(z) * np.sum(dz, axis=axis, keepdims=True)"""
    if site.attrs["axis"] is None:
        return "dz - np.exp(z) * np.sum(dz)"
    return "dz - np.exp(z) * np.sum(dz, axis=axis, keepdims=True)"


def _logsumexp(site: Site) -> str:
    """dz * np.exp(x - z), with the axis put back in both"""
    return f"{expanded(site, 'dz')} * np.exp(x - {expanded(site, 'z')})"


SHIFT = "shifted by a maximum or not: x - m gives the same for every m, so that m gets no gradient, exactly"
MANY = "of as many variables as x has elements"

softmax = group(
    "softmax",
    "np.exp(x) / np.sum(np.exp(x), axis=axis, keepdims=True)",
    attributes={"axis": None},
    backward={"x": _softmax},
    shape=unchanged,
    numeric_only=MANY,
    convention=SHIFT,
    samples=AXES,
)

log_softmax = group(
    "log_softmax",
    "x - np.log(np.sum(np.exp(x), axis=axis, keepdims=True))",
    attributes={"axis": None},
    backward={"x": _log_softmax},
    shape=unchanged,
    numeric_only=MANY,
    convention=SHIFT,
    samples=AXES,
)

logsumexp = group(
    "logsumexp",
    "np.log(np.sum(np.exp(x), axis=axis, keepdims=keepdims))",
    attributes={"axis": None, "keepdims": False},
    backward={"x": _logsumexp},
    shape=reduced_shape,
    numeric_only=MANY,
    convention="m + np.log(np.sum(np.exp(x - m))) gives the same for every m, so that m gets no gradient, exactly",
    samples={
        "shapes": [((3,),), ((2, 3),), ((2, 3, 2),)],
        "attrs": [
            {"axis": axis, "keepdims": keepdims} for axis in (None, 0, 1, -1, (0, 1)) for keepdims in (False, True)
        ],
    },
)


# Softmax cross-entropy: the text of these is in groups.apply


def _total(site: Site) -> Shape:
    """One number; the loss of each row has the shape of x without the classes."""
    if not site.attrs["rows"]:
        return SCALAR
    shape, axis = site.shape("x"), site.attrs["axis"]
    if shape.dims is None or not isinstance(axis, int):
        return site.unknown()
    return Shape((*shape.dims[:axis], *shape.dims[axis + 1 :]))


LOSS: dict[str, Attribute] = {"axis": 1, "rows": False}

label_cross_entropy = group(
    "label_cross_entropy",
    "-np.sum(special.log_softmax(x, axis=1)[np.arange(np.shape(x)[0]), i], axis=() if rows else None)",
    operands=("x", "i"),
    attributes=LOSS,
    backward={"x": "dz * (special.softmax(x, axis=1) - np.equal(np.arange(np.shape(x)[1]), i[:, None]))"},
    shape=_total,
    numeric_only=MANY,
    convention="integer labels, one a row; row by row, summed, averaged, or divided by what carries no gradient",
    samples={"shapes": [((3, 4), (3,))], "operands": {"i": "np.array([1, 3, 1])"}},
)

cross_entropy = group(
    "cross_entropy",
    "-np.sum(y * special.log_softmax(x, axis=axis), axis=axis if rows else None)",
    operands=("x", "y"),
    attributes=LOSS,
    backward={
        "x": "dz * (special.softmax(x, axis=axis) * np.sum(y, axis=axis, keepdims=True) - y)",
        "y": "-dz * special.log_softmax(x, axis=axis)",
    },
    shape=_total,
    numeric_only=MANY,
    convention="rows of y need not be one-hot, nor sum to one",
    samples={"shapes": [((3, 4), (3, 4)), ((2, 3, 2), (2, 3, 2))], "lists": False},
)


# Standardisation


def _standardised(site: Site) -> str:
    """(dz - its mean - z * the mean of dz * z) over the deviation"""
    along = "" if site.attrs["axis"] is None else ", axis=axis, keepdims=True"
    deviation = f"np.sqrt(np.var(x{along}) + y)"
    return f"(dz - np.mean(dz{along}) - z * np.mean(dz * z{along})) / {deviation}"


def _epsilon(site: Site) -> str:
    """-0.5 * np.sum(dz * z / (the variance + y))"""
    along = "" if site.attrs["axis"] is None else ", axis=axis, keepdims=True"
    return f"-0.5 * np.sum(dz * z / (np.var(x{along}) + y))"


standardise = group(
    "standardise",
    "(x - np.mean(x, axis=axis, keepdims=True)) / np.sqrt(np.var(x, axis=axis, keepdims=True) + y)",
    operands=("x", "y"),
    attributes={"axis": 0},
    backward={"x": _standardised, "y": _epsilon},
    shape=unchanged,
    numeric_only=MANY,
    convention="batch and layer normalisation before scale and offset; the variance without ddof",
    samples={
        "shapes": [((4,), ()), ((4, 3), ())],
        "attrs": [{"axis": 0}, {"axis": -1}],
        "operands": {"y": "0.1 + abs(y)"},
    },
)
