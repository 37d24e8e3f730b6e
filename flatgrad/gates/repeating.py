"""Gates that give the same elements several times: broadcast_to, tile, repeat; backward sums over the copies."""

from __future__ import annotations

from flatgrad.gates.entry import Site, gate
from flatgrad.gates.parts import POSITIONS, axis_in, constant, described, integer, length, replaced, tuple_text
from flatgrad.ir.core import Kind, Value
from flatgrad.ir.dims import Dim, Shape

ANY_RANK: list[tuple[tuple[int, ...], ...]] = [((),), ((3,),), ((2, 3),), ((2, 3, 2),)]


def _target(site: Site) -> Shape:
    target = described(site, site.attrs["shape"])
    return target if isinstance(target, Shape) else Shape(tuple(dim or site.fresh_dim() for dim in target))


broadcast_to = gate(
    "np.broadcast_to(x, shape)",
    backward={"x": "unbroadcast(dz, x)"},
    shape=_target,
    dtype="same",
    proof="numpy",
    view=True,
    samples={
        "shapes": [((),), ((3,),), ((2, 1),), ((1, 3),), ((1,),)],
        "attrs": [{"shape": s} for s in ((2, 3), (4, 2, 3), (3,), (2, 1), (1, 3), 3)],
    },
)


def _repetitions(site: Site) -> tuple[int | None, ...] | None:
    """How often tile repeats each of the last axes, None where that is known only to the run."""
    reps = site.attrs["reps"]
    if isinstance(reps, Value) and site.attribute_type(reps).kind is not Kind.SCALAR:
        return None
    return tuple(constant(site, one) for one in (reps if isinstance(reps, tuple) else (reps,)))


def _tiled(site: Site) -> Shape:
    reps, dims = _repetitions(site), site.shape("x").dims
    if reps is None or dims is None:
        return site.unknown()
    rank = max(len(reps), len(dims))
    counts = (*[1] * (rank - len(reps)), *reps)
    lengths = (*[Dim.of(1)] * (rank - len(dims)), *dims)
    return Shape(
        tuple(site.fresh_dim() if count is None else one * count for one, count in zip(lengths, counts, strict=True))
    )


def _tiled_back(site: Site) -> str:
    reps, rank = _repetitions(site), site.rank("x")
    if reps is None or rank is None or None in reps:
        return f"np.reshape(scatter_add((np.size(x),), np.tile({POSITIONS}, reps), dz), np.shape(x))"
    # Every axis that is repeated is split into the copies and the place in each, and summed over the copies.
    split: list[object] = []
    copies: list[int] = []
    for axis in range(-max(len(reps), rank), 0):
        count = reps[axis] if -axis <= len(reps) else 1
        if count != 1:
            copies.append(len(split))
            split.append(count)
        if -axis <= rank:
            split.append(length(site, "x", rank + axis))
    if not copies:
        return "dz" if len(reps) <= rank else "np.reshape(dz, np.shape(x))"
    axes = str(copies[0]) if len(copies) == 1 else tuple_text(copies)
    return f"np.sum(np.reshape(dz, {tuple_text(split)}), axis={axes})"


tile = gate(
    "np.tile(x, reps)",
    backward={"x": _tiled_back},
    shape=_tiled,
    dtype="same",
    proof="numpy",
    samples={
        "shapes": ANY_RANK,
        "attrs": [{"reps": r} for r in (2, 1, 0, (2,), (2, 3), (2, 1), (1, 3), (2, 1, 3), (1, 1), (1, 1, 1, 1))],
    },
)


def _one_number(site: Site) -> bool:
    """One number of repeats, not one for each element."""
    repeats = site.attrs["repeats"]
    return isinstance(repeats, int) or (isinstance(repeats, Value) and site.attribute_type(repeats).kind is Kind.SCALAR)


def _repeated(site: Site) -> Shape:
    repeats, whole = site.attrs["repeats"], site.shape("x")
    axis = 0
    if site.attrs["axis"] is None or whole.is_scalar:
        whole = Shape((whole.size() or site.fresh_dim(),))
    else:
        axis = integer(site, "axis")
    dim, number = whole.dim(axis), site.number(repeats)
    if isinstance(repeats, tuple) and len(repeats) > 1:
        # One for each element: NumPy refuses any other number of them.
        counts = [constant(site, one) for one in repeats]
        many = site.fresh_dim() if None in counts else Dim.of(sum(count or 0 for count in counts))
    else:
        many = site.fresh_dim() if number is None or dim is None or not _one_number(site) else dim * number
    return replaced(whole, axis, many) or site.unknown()


def _repeated_back(site: Site) -> str:
    rank = site.rank("x")
    if not _one_number(site) or rank is None:
        return f"np.reshape(scatter_add((np.size(x),), np.repeat({POSITIONS}, repeats, axis), dz), np.shape(x))"
    repeats = site.attrs["repeats"]
    axis = rank if site.attrs["axis"] is None or rank == 0 else axis_in(site, integer(site, "axis"), rank) + 1
    split = [length(site, "x", k) for k in range(rank)]
    split.insert(axis, str(repeats) if isinstance(repeats, int) else "repeats")
    return f"np.sum(np.reshape(dz, {tuple_text(split)}), axis={axis})"


repeat = gate(
    "np.repeat(x, repeats, axis=None)",
    also=("x.repeat(repeats, axis=None)",),
    backward={"x": _repeated_back},
    shape=_repeated,
    dtype="same",
    proof="numpy",
    samples={
        "shapes": ANY_RANK,
        "attrs": [{"repeats": 2, "axis": a} for a in (None, 0, 1, 2, -1, -2, -3)]
        + [{"repeats": 0}, {"repeats": 1}, {"repeats": (1, 0, 2), "axis": -1}, {"repeats": (2, 3), "axis": 0}],
    },
)
