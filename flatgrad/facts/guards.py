"""Guards: the facts that a module relies on and that no executed line enforces, checked once at the head of forward."""

from __future__ import annotations

from collections.abc import Mapping

from flatgrad.facts.infer import Assumption, Callee, infer, parameter_types
from flatgrad.frontend.environment import Lowered
from flatgrad.ir.core import Type
from flatgrad.ir.dims import Dim, Shape

# Where a symbol can be read off: a parameter and an axis of it.
Place = tuple[str, int]


def guard_lines(lowered: Lowered, assumptions: Mapping[str, Assumption], callee: Callee, numpy: str) -> tuple[str, ...]:
    """The lines of one `if ...: raise ValueError(...)`, or none where the code itself enforces every claim."""
    relied = {name: one for name, one in assumptions.items() if one.shape is not None and _is_read(lowered, name)}
    if not relied:
        return ()
    bare = {name: _without_shape(one) for name, one in assumptions.items()}
    proven = parameter_types(infer(lowered, bare, callee))
    ranked = {
        name: _with_rank(one, name) if name in relied else one
        for name, one in assumptions.items()
    }
    with_ranks = parameter_types(infer(lowered, ranked, callee))
    conditions: list[str] = []
    named: list[str] = []
    places: dict[Dim, Place] = {}
    for name in (value.name for value in lowered.function.block.params):
        if name not in relied:
            continue
        claim = relied[name].shape
        assert claim is not None
        condition = _condition(name, claim, proven[name], with_ranks, relied, places, numpy)
        if condition:
            conditions.append(condition)
            named.append(name)
        if claim.middle is None:
            for axis, dim in enumerate(claim.front):
                places.setdefault(dim, (name, axis))
    if not conditions:
        return ()
    message = _message(named, relied, lowered, numpy)
    return (f"if {' or '.join(conditions)}:", f"    raise ValueError({message})")


def _is_read(lowered: Lowered, name: str) -> bool:
    (value,) = (value for value in lowered.function.block.params if value.name == name)
    return any(value in step.operands() for step in lowered.function.block.body)


def _without_shape(one: Assumption) -> Assumption:
    return Assumption(None, one.dtype, None)


def _with_rank(one: Assumption, name: str) -> Assumption:
    """The rank that is claimed, with dims of which nothing is known."""
    if one.shape is None or one.shape.middle is not None:
        return _without_shape(one)
    dims = tuple(Dim.symbol(f"{name}[{axis}]") for axis in range(len(one.shape.front)))
    return Assumption(Shape(dims), one.dtype, one.kind)


def _condition(
    name: str,
    claim: Shape,
    proven: Type,
    ranked: Mapping[str, Type],
    relied: Mapping[str, Assumption],
    places: Mapping[Dim, Place],
    numpy: str,
) -> str:
    if claim.middle is not None:
        return ""
    if claim.is_scalar:
        return "" if proven.shape.is_scalar else f"{numpy}.ndim({name}) != 0"
    rank_known = proven.shape.rank == len(claim.front)
    actual = ranked[name].shape.front
    open_axes = []
    known: dict[Dim, Dim] = {}
    for axis, dim in enumerate(claim.front):
        if dim.constant is not None:
            if actual[axis].constant != dim.constant:
                open_axes.append(axis)
            continue
        place = places.get(dim)
        if place is not None:
            other, position = place
            if ranked[other].shape.front[position] != actual[axis]:
                open_axes.append(axis)
        elif dim in known:
            if known[dim] != actual[axis]:
                open_axes.append(axis)
        elif dim.as_symbol is None and _expressible(dim, places, claim, name):
            if dim.substitute(_bindings(dim, places, ranked)) != actual[axis]:
                open_axes.append(axis)
        known.setdefault(dim, actual[axis])
    if not open_axes:
        return "" if rank_known else f"{_ndim(name, numpy)} != {len(claim.front)}"
    wanted = [_dim_text(dim, axis, places, claim, name, numpy) for axis, dim in enumerate(claim.front)]
    if all(text is not None for text in wanted) and len(open_axes) == len(wanted):
        return f"{_shape(name, numpy)} != {_shape_text(claim, relied, places, [t or '' for t in wanted], numpy)}"
    parts = [] if rank_known else [f"{_ndim(name, numpy)} != {len(claim.front)}"]
    parts += [f"{_shape(name, numpy)}[{axis}] != {wanted[axis]}" for axis in open_axes if wanted[axis] is not None]
    return " or ".join(parts)


def _expressible(dim: Dim, places: Mapping[Dim, Place], claim: Shape, name: str) -> bool:
    return all(Dim.symbol(s) in places or Dim.symbol(s) in claim.front for s in dim.symbols())


def _bindings(dim: Dim, places: Mapping[Dim, Place], ranked: Mapping[str, Type]) -> dict[str, Dim]:
    found: dict[str, Dim] = {}
    for symbol in dim.symbols():
        place = places.get(Dim.symbol(symbol))
        if place is not None:
            found[symbol] = ranked[place[0]].shape.front[place[1]]
    return found


def _dim_text(dim: Dim, axis: int, places: Mapping[Dim, Place], claim: Shape, name: str, numpy: str) -> str | None:
    """How a dim is read off an earlier parameter, or off an earlier axis of this one; None where nothing tells."""
    if dim.constant is not None:
        return str(dim.constant)
    if dim in places:
        other, position = places[dim]
        return f"{_shape(other, numpy)}[{position}]"
    if dim in claim.front[:axis]:
        return f"{_shape(name, numpy)}[{claim.front.index(dim)}]"
    if dim.as_symbol is None and _expressible(dim, places, claim, name):
        text = str(dim)
        for symbol in sorted(dim.symbols(), key=len, reverse=True):
            inner = _dim_text(Dim.symbol(symbol), axis, places, claim, name, numpy)
            if inner is None:
                return None
            text = text.replace(symbol, inner)
        return text
    return None


def _shape_text(
    claim: Shape, relied: Mapping[str, Assumption], places: Mapping[Dim, Place], wanted: list[str], numpy: str
) -> str:
    """A whole shape: `W.shape[1:]` where it is the tail of an earlier one, else a tuple."""
    for name, position in places.values():
        other = relied[name].shape
        assert other is not None
        if other.front[position:] == claim.front:
            return _shape(name, numpy) + (f"[{position}:]" if position else "")
        if position == 0 and other.front[: len(claim.front)] == claim.front:
            return f"{_shape(name, numpy)}[:{len(claim.front)}]"
    return "(" + ", ".join(wanted) + ("," if len(wanted) == 1 else "") + ")"


def _shape(name: str, numpy: str) -> str:
    return f"{numpy}.shape({name})"


def _ndim(name: str, numpy: str) -> str:
    return f"{numpy}.ndim({name})"


def _message(names: list[str], relied: Mapping[str, Assumption], lowered: Lowered, numpy: str) -> str:
    shapes = []
    for name in names:
        shape = relied[name].shape
        assert shape is not None
        shapes.append("a scalar" if shape.is_scalar else str(shape))
    if len(set(shapes)) == 1 and shapes[0] == "a scalar":
        plural = "scalars" if len(names) > 1 else "a scalar"
        return f'"{_listed(names)} must be {plural}"'
    found = [f"{name} {{{_shape(name, numpy)}}}" for name in names]
    return f'f"{_listed(found)} must be {_listed(shapes)}"'


def _listed(parts: list[str]) -> str:
    return parts[0] if len(parts) == 1 else ", ".join(parts[:-1]) + " and " + parts[-1]


