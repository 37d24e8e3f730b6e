"""Gates that take an array apart, or put a border around it: split and its relatives, pad."""

from __future__ import annotations

from itertools import pairwise

from flatgrad.gates.entry import Site, gate
from flatgrad.gates.parts import POSITIONS, axis_in, constant, grown, integer, length, replaced
from flatgrad.ir.core import Attribute, Kind, Value, values_in
from flatgrad.ir.dims import Dim, Shape

# How many results there are is how many shapes the rule gives.


def _pieces(site: Site, whole: Dim | None, equal: bool) -> list[Dim]:
    """How long each piece is; `equal` where NumPy refuses pieces of different length."""
    sections = site.attrs["sections"]
    if isinstance(sections, tuple):
        ends = [Dim.of(0), *(site.number(part) or site.fresh_dim() for part in sections)]
        return _cuts(site, whole, ends)
    count = constant(site, sections)
    if count is None or count < 1:
        raise site.refuse("into how many pieces must be a constant, or where to cut a tuple")
    number = None if whole is None else whole.constant
    if whole is None:
        return [site.fresh_dim() for _ in range(count)]
    if number is None:
        exact = equal or all(c % count == 0 for _, c in whole.terms)
        return [whole // count if exact else site.fresh_dim() for _ in range(count)]
    return [Dim.of(number // count + (k < number % count)) for k in range(count)]


def _cuts(site: Site, whole: Dim | None, ends: list[Dim]) -> list[Dim]:
    """The pieces between some places. A place beyond the end, or one from the end, is as Python's slices have it."""
    if whole is not None:
        numbers = [end.constant for end in ends]
        if whole.constant is not None and None not in numbers:
            span = range(whole.constant)
            places = [*(n for n in numbers if n is not None), None]
            return [Dim.of(len(span[a:b])) for a, b in pairwise(places)]
        # In the multiples of one thing, 4*H cut at H and 2*H, nothing is beyond the end: 4*H is not negative.
        counts = [_multiple(end, whole) for end in (*ends, whole)]
        rising = [c for c in counts if c is not None]
        if len(rising) == len(counts) and rising == sorted(rising):
            return [b - a for a, b in zip(ends, (*ends[1:], whole), strict=True)]
    return [site.fresh_dim() for _ in ends]


def _multiple(dim: Dim, whole: Dim) -> int | None:
    if not dim.terms:
        return 0
    same = len(dim.terms) == len(whole.terms) == 1 and dim.terms[0][0] == whole.terms[0][0]
    return dim.terms[0][1] if same else None


def _split(site: Site, axis: int | None, equal: bool = False) -> tuple[Shape, ...]:
    if axis is None:
        return tuple(site.unknown() for _ in _pieces(site, None, equal))
    shape = grown(site, "x", axis)
    if shape.dims is not None:
        axis_in(site, axis, len(shape.dims))
    pieces = _pieces(site, shape.dim(axis), equal)
    return tuple(replaced(shape, axis, piece) or site.unknown() for piece in pieces)


def _side_by_side(site: Site) -> tuple[Shape, ...]:
    rank = site.rank("x")
    return _split(site, None if rank is None else 0 if rank == 1 else 1, _is_count(site))


def _is_count(site: Site) -> bool:
    return not isinstance(site.attrs["sections"], tuple)


SECTIONS: list[Attribute] = [2, (1,), (1, 3), (2, 2, 9), (-1,), ()]

split = gate(
    "np.split(x, sections, axis=0)",
    backward={"x": "np.concatenate(dzs, axis=axis)"},
    shape=lambda site: _split(site, integer(site, "axis"), _is_count(site)),
    dtype="same",
    proof="numpy",
    view=True,
    samples={
        "shapes": [((4,),), ((4, 2),), ((3, 4),), ((2, 4, 2),)],
        "attrs": [{"sections": s, "axis": a} for s in SECTIONS for a in (0, 1, -1, -2)],
    },
)

array_split = gate(
    "np.array_split(x, sections, axis=0)",
    backward={"x": "np.concatenate(dzs, axis=axis)"},
    shape=lambda site: _split(site, integer(site, "axis")),
    dtype="same",
    proof="numpy",
    view=True,
    samples={
        "shapes": [((4,),), ((5, 2),)],
        "attrs": [{"sections": s, "axis": a} for s in (3, 2, 7, (1, 3)) for a in (0, 1, -1)],
    },
)

hsplit = gate(
    "np.hsplit(x, sections)",
    backward={"x": "np.hstack(dzs)"},
    shape=_side_by_side,
    dtype="same",
    proof="numpy",
    view=True,
    samples={"shapes": [((4,),), ((3, 4),), ((2, 4, 2),)], "attrs": [{"sections": 2}, {"sections": (1, 3)}]},
)

vsplit = gate(
    "np.vsplit(x, sections)",
    backward={"x": "np.concatenate(dzs, axis=0)"},
    shape=lambda site: _split(site, 0, _is_count(site)),
    dtype="same",
    proof="numpy",
    view=True,
    samples={"shapes": [((4, 2),), ((2, 4, 2),)], "attrs": [{"sections": 2}, {"sections": (1, 3)}]},
)

dsplit = gate(
    "np.dsplit(x, sections)",
    backward={"x": "np.concatenate(dzs, axis=2)"},
    shape=lambda site: _split(site, 2, _is_count(site)),
    dtype="same",
    proof="numpy",
    view=True,
    samples={"shapes": [((2, 1, 4),), ((1, 2, 4, 2),)], "attrs": [{"sections": 2}, {"sections": (1, 3)}]},
)


# pad

MODES = ("constant", "edge", "reflect", "symmetric", "wrap")
End = tuple[Attribute, str]  # how many, and the text that says so


def _mode(site: Site) -> str:
    mode = site.attrs["mode"]
    if not isinstance(mode, str) or mode not in MODES:
        raise site.refuse(f"only these modes of np.pad are understood: {', '.join(MODES)}")
    if any(site.attribute_type(value).dtype.differentiable for value in values_in(site.attrs["constant_values"])):
        raise site.refuse("the gradient of constant_values is not known to flatgrad")
    return mode


def _ends(site: Site, rank: int | None) -> list[tuple[End, End]] | None:
    """What is put before and after each axis; None where that cannot be told axis by axis."""
    width = site.attrs["pad_width"]
    if not isinstance(width, tuple):
        if rank is None or (isinstance(width, Value) and site.attribute_type(width).kind is not Kind.SCALAR):
            return None
        return [(_end(width, "pad_width"),) * 2] * rank
    nested: list[tuple[Attribute, str]]
    nested = [(part, f"pad_width[{k}]") for k, part in enumerate(width) if isinstance(part, tuple)]
    pairs = any(isinstance(row, tuple) and len(row) == 2 for row, _ in nested)
    known = Kind.SHAPE if pairs else Kind.SCALAR
    if any(isinstance(part, Value) and site.attribute_type(part).kind is not known for part in width):
        return None
    if pairs:
        # Beside a pair, what is no number is a pair as well.
        nested = [(part, f"pad_width[{k}]") for k, part in enumerate(width) if isinstance(part, tuple | Value)]
    rows: list[tuple[End, End]] = []
    for row, text in nested or [(width, "pad_width")]:
        if isinstance(row, Value) and pairs:
            rows.append(((row, f"{text}[0]"), (row, f"{text}[1]")))
            continue
        if not isinstance(row, tuple) or len(row) not in (1, 2):
            return None
        rows.append((_end(row[0], f"{text}[0]"), _end(row[-1], f"{text}[{len(row) - 1}]")))
    if len(rows) == 1 and rank is not None:
        return rows * rank
    return rows if len(rows) == rank or len(rows) > 1 else None


def _end(attribute: Attribute, text: str) -> End:
    return attribute, str(attribute) if isinstance(attribute, int) else text


def _padded(site: Site) -> Shape:
    _mode(site)
    ends = _ends(site, site.rank("x"))
    if ends is None:
        return site.unknown()
    shape = site.exact_rank("x", len(ends))
    dims = []
    for dim, ((before, _), (after, _)) in zip(shape.front, ends, strict=True):
        first, last = site.integer(before), site.integer(after)
        dims.append(site.fresh_dim() if first is None or last is None else dim + first + last)
    return Shape(tuple(dims))


def _pad_back(site: Site) -> str:
    if _mode(site) != "constant":
        # Where each element of z comes from; what is there several times is summed.
        return f"np.reshape(scatter_add((np.size(x),), np.pad({POSITIONS}, pad_width, mode), dz), np.shape(x))"
    ends = _ends(site, site.rank("x"))
    if ends is None:
        return "np.reshape(dz[np.pad(np.ones(np.shape(x), dtype=bool), pad_width)], np.shape(x))"
    parts = [_inner(site, axis, before, after) for axis, (before, after) in enumerate(ends)]
    while parts and parts[-1] == ":":
        parts.pop()
    return f"dz[{', '.join(parts)}]" if parts else "dz"


def _inner(site: Site, axis: int, before: End, after: End) -> str:
    start, stop = before[1], after[1]
    if stop == "0":
        return ":" if start == "0" else f"{start}:"
    if isinstance(after[0], int):
        return f":-{stop}" if start == "0" else f"{start}:-{stop}"
    # Not -stop: that would be wrong where the run says 0.
    if start == "0":
        return f":{length(site, 'x', axis)}"
    return f"{start}:{start} + {length(site, 'x', axis)}"


pad = gate(
    "np.pad(x, pad_width, mode='constant', constant_values=0)",
    backward={"x": _pad_back},
    shape=_padded,
    dtype="same",
    proof="numpy",
    samples={
        "shapes": [((3,),), ((2, 3),), ((2, 3, 2),)],
        "attrs": [
            *(
                {"pad_width": width}
                for width in (1, 0, (2,), (1, 2), ((1, 2),), ((1, 0), (0, 2)), ((1,), (2,)), ((0, 0), (0, 0), (1, 1)))
            ),
            {"pad_width": 1, "constant_values": 3},
            *({"pad_width": width, "mode": mode} for mode in MODES[1:] for width in (1, 3, (2, 5), ((1, 0), (0, 4)))),
        ],
    },
)
