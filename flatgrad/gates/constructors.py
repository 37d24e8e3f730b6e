"""New arrays from shapes and numbers: zeros, ones, full, eye, arange, linspace and their like."""

from __future__ import annotations

from collections.abc import Callable

from flatgrad.gates.entry import Site, gate
from flatgrad.gates.parts import described, dtype_named, unchanged
from flatgrad.ir.core import Attribute, DType, Value
from flatgrad.ir.dims import Dim, Shape

# A backward spelling "0" says that no gradient flows to that operand.


def _dim(site: Site, attribute: Attribute) -> Dim:
    number = site.number(attribute)
    return site.fresh_dim() if number is None else number


def _asked_shape(site: Site) -> Shape:
    """The shape that the attribute `shape` describes: an integer, a tuple of them, or `x.shape`."""
    shape = described(site, site.attrs["shape"], sizes=True)
    if isinstance(shape, Shape):
        return shape
    return Shape(tuple(site.fresh_dim() if dim is None else dim for dim in shape))


def _floating_unless_said(site: Site) -> DType:
    dtype = site.attrs["dtype"]
    return DType.FLOAT if dtype is None else dtype_named(site, dtype)


def _like_x_unless_said(site: Site) -> DType:
    dtype = site.attrs["dtype"]
    return site.type("x").dtype if dtype is None else dtype_named(site, dtype)


_SHAPES: list[dict[str, object]] = [{"shape": 3}, {"shape": (2, 3)}, {"shape": ()}]

for _name in ("zeros", "ones", "empty"):
    gate(
        f"np.{_name}(shape, dtype=None)",
        shape=_asked_shape,
        dtype=_floating_unless_said,
        convention="a constant",
        samples={
            "attrs": [*_SHAPES, {"shape": 2, "dtype": "int"}, {"shape": 2, "dtype": "bool"}],
            "uninitialised": _name == "empty",
        },
    )
    gate(
        f"np.{_name}_like(x, dtype=None)",
        shape=unchanged,
        dtype=_like_x_unless_said,
        convention="a constant",
        samples={"attrs": [{}, {"dtype": "int"}, {"dtype": "float32"}], "uninitialised": _name == "empty"},
    )


# A value in every place


def _filled(name: str) -> Callable[[Site], str]:
    """The backward rule of the fill value, operand `name`."""

    def rule(site: Site) -> str:
        # Left to itself, np.full takes the value as it is; np.full_like cuts it down for an array of integers.
        cuts = name == "y" or site.attrs["dtype"] is not None
        if cuts and _like_x_unless_said(site) is not DType.FLOAT:
            raise site.refuse(
                "the array is not known to be floating, and would cut the value down to whole numbers",
                "give it dtype=np.float64",
            )
        if site.rank(name) != 0:
            raise site.refuse("the fill value is not known to be a single number", "write np.ones(shape) * value")
        return "np.sum(dz)"

    return rule


full = gate(
    "np.full(shape, x, dtype=None)",
    backward={"x": _filled("x")},
    shape=_asked_shape,
    dtype=_like_x_unless_said,
    numeric_only="an array of symbols is filled with one object",
    samples={"shapes": [((),)], "attrs": [*_SHAPES, {"shape": (2, 3), "dtype": "float64"}]},
)

full_like = gate(
    "np.full_like(x, y, dtype=None)",
    backward={"x": "0", "y": _filled("y")},
    shape=unchanged,
    dtype=_like_x_unless_said,
    numeric_only="an array of symbols is filled with one object",
    samples={"shapes": [((), ()), ((3,), ()), ((2, 3), ())]},
)


# Matrices


def _eye_shape(site: Site) -> Shape:
    rows, columns = site.attrs["N"], site.attrs["M"]
    first = _dim(site, rows)
    return Shape((first, first if columns is None else _dim(site, columns)))


for _name in ("eye", "tri"):
    gate(
        f"np.{_name}(N, M=None, k=0, dtype=None)",
        shape=_eye_shape,
        dtype=_floating_unless_said,
        convention="a constant",
        samples={"attrs": [{"N": 3}, {"N": 2, "M": 3}, {"N": 2, "k": 1}, {"N": 2, "dtype": "int"}]},
    )


def _identity_shape(site: Site) -> Shape:
    size = _dim(site, site.attrs["n"])
    return Shape((size, size))


identity = gate(
    "np.identity(n, dtype=None)",
    shape=_identity_shape,
    dtype=_floating_unless_said,
    convention="a constant",
    samples={"attrs": [{"n": 3}, {"n": 2, "dtype": "int"}]},
)


# Sequences


def _arange_dtype(*names: str) -> Callable[[Site], DType]:
    def rule(site: Site) -> DType:
        if site.attrs["dtype"] is not None:
            return dtype_named(site, site.attrs["dtype"])
        dtypes = [_attribute_dtype(site, site.attrs[name]) for name in names]
        return next(dtype for dtype in (DType.FLOAT, DType.OPEN, DType.INT) if dtype in dtypes)

    return rule


def _attribute_dtype(site: Site, attribute: Attribute) -> DType:
    match attribute:
        case int():
            return DType.INT
        case float():
            return DType.FLOAT
        case Value():
            dtype = site.attribute_type(attribute).dtype
            return dtype if dtype in (DType.INT, DType.FLOAT) else DType.OPEN
    return DType.OPEN


def _range_shape(site: Site) -> Shape:
    start, stop, step = (site.number(site.attrs[name]) for name in ("start", "stop", "step"))
    if start is not None and stop is not None and step is not None:
        if start.constant is not None and stop.constant is not None and step.constant:
            return Shape.of(len(range(start.constant, stop.constant, step.constant)))
        if start.constant == 0 and step.constant == 1:
            return Shape((stop,))
    # A difference of dims may be negative, and the length 0.
    return Shape((site.fresh_dim(),))


ARANGE = "a constant: start, stop and step carry no gradient"

range_from = gate(
    "np.arange(start, stop, step=1, dtype=None)",
    name="arange with a start",
    shape=_range_shape,
    dtype=_arange_dtype("start", "stop", "step"),
    convention=ARANGE,
    samples={
        "attrs": [
            {"start": 0, "stop": 4},
            {"start": 1, "stop": 4},
            {"start": 5, "stop": 1},
            {"start": 7, "stop": 0, "step": -2},
            {"start": 1, "stop": 4, "dtype": "float"},
        ]
    },
)


def _arange_shape(site: Site) -> Shape:
    stop = site.number(site.attrs["stop"])
    if stop is not None and stop.constant is not None:
        return Shape.of(max(0, stop.constant))
    return Shape((site.fresh_dim() if stop is None else stop,))


arange = gate(
    "np.arange(stop, dtype=None)",
    shape=_arange_shape,
    dtype=_arange_dtype("stop"),
    convention=ARANGE,
    samples={"attrs": [{"stop": 4}, {"stop": 0}, {"stop": 3, "dtype": "float"}]},
)


def _between_numbers(site: Site) -> bool:
    return site.rank("x") == 0 == site.rank("y")


def _linspace_shape(site: Site) -> Shape:
    return Shape((_dim(site, site.attrs["num"]),)) if _between_numbers(site) else site.unknown()


def _weighed(weights: str) -> Callable[[Site], str]:
    """The backward rule of an end: each number's share of it, from 1 to 0 or from 0 to 1."""

    def rule(site: Site) -> str:
        if not _between_numbers(site):
            raise site.refuse(
                "the ends of linspace are not known to be single numbers",
                "write start + (stop - start) * np.linspace(0, 1, num)",
            )
        end = "" if site.attrs["endpoint"] is True else ", endpoint=endpoint"
        return f"dz @ np.linspace({weights}, num{end}, dtype=dz.dtype)"

    return rule


linspace = gate(
    "np.linspace(x, y, num=50, endpoint=True)",
    backward={"x": _weighed("1, 0"), "y": _weighed("0, 1")},
    shape=_linspace_shape,
    dtype="float",
    numeric_only="linspace takes no symbols",
    samples={
        "shapes": [((), ())],
        "attrs": [{"num": 5}, {"num": 1}, {"num": 4, "endpoint": False}, {}],
    },
)
