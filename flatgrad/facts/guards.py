"""Guards: the facts that a module relies on and that no executed line enforces, checked once at the head of forward."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import dataclass

from flatgrad.facts.infer import Assumption, Callee, infer, parameter_types
from flatgrad.frontend.environment import Lowered
from flatgrad.ir.core import Type
from flatgrad.ir.dims import Dim, Shape

# Where a symbol can be read off: a parameter and an axis of it.
Place = tuple[str, int]


def guard_lines(
    lowered: Lowered, assumptions: Mapping[str, Assumption], callee: Callee, numpy: str, numbers: frozenset[str]
) -> tuple[str, ...]:
    """The lines of one `if ...: raise ValueError(...)`, or none where the code itself enforces every claim.

    `numbers`: parameters that are changed in place as numbers are; an array, even one without dims, would change its
    other names too.
    """
    if numbers:
        names = [value.name for value in lowered.function.block.params if value.name in numbers]
        tests = " or ".join(f"isinstance({name}, {numpy}.ndarray)" for name in names)
        said = f'"{_listed(names)} must be given as numbers, not as arrays"'
        return (
            f"if {tests}:",
            f"    raise ValueError({said})",
            *guard_lines(lowered, assumptions, callee, numpy, frozenset()),
        )
    relied = {name: one for name, one in assumptions.items() if one.shape is not None and _is_read(lowered, name)}
    if not relied:
        return ()
    bare = {name: _without_shape(one) for name, one in assumptions.items()}
    proven = parameter_types(infer(lowered, bare, callee))
    ranks = {name: _with_rank(one, name) if name in relied else one for name, one in assumptions.items()}
    texts = _Texts(numpy, _used_as_arrays(lowered))
    found = _conditions(lowered, relied, proven, parameter_types(infer(lowered, ranks, callee)), texts)
    # What the whole shapes among them say may make others needless: `h @ W2` after `b1.shape != W1.shape[1:]`.
    sharper = ranks | {
        name: Assumption(shape, ranks[name].dtype, ranks[name].kind) for name, (_, shape) in found.items() if shape
    }
    again = _conditions(lowered, relied, proven, parameter_types(infer(lowered, sharper, callee)), texts)
    kept = {name: found[name] for name in found if name in again or found[name][1] is not None}
    if not kept:
        return ()
    message = _message(list(kept), relied, texts)
    conditions = [again[name][0] if name in again and found[name][1] is None else found[name][0] for name in kept]
    return (f"if {' or '.join(conditions)}:", f"    raise ValueError({message})")


def _used_as_arrays(lowered: Lowered) -> set[str]:
    """The names of which forward itself asks for `x.shape`, `x.T`, `x.sum()`: only an array has those."""
    return {
        part.value.id
        for part in ast.walk(lowered.node)
        if isinstance(part, ast.Attribute) and isinstance(part.value, ast.Name)
    }


@dataclass(frozen=True, slots=True)
class _Texts:
    """How shapes are written: `x.shape` of arrays, `np.shape(y)` of what may come as a list or a number."""

    numpy: str
    arrays: set[str]

    def shape(self, name: str) -> str:
        return f"{name}.shape" if name in self.arrays else f"{self.numpy}.shape({name})"

    def ndim(self, name: str) -> str:
        return f"{name}.ndim" if name in self.arrays else f"{self.numpy}.ndim({name})"


def _conditions(
    lowered: Lowered,
    relied: Mapping[str, Assumption],
    proven: Mapping[str, Type],
    ranked: Mapping[str, Type],
    texts: _Texts,
) -> dict[str, tuple[str, Shape | None]]:
    """For each parameter that needs one its condition, and, where that compares the whole shape, what it says."""
    found: dict[str, tuple[str, Shape | None]] = {}
    places: dict[Dim, Place] = {}
    for name in (value.name for value in lowered.function.block.params):
        if name not in relied:
            continue
        claim = relied[name].shape
        assert claim is not None
        condition, whole = _condition(name, claim, proven[name], ranked, relied, places, texts)
        if condition:
            bound = [places.get(dim) for dim in claim.front]
            said = None
            if whole and all(place is not None for place in bound):
                said = Shape(tuple(Dim.symbol(f"{other}[{axis}]") for other, axis in (b for b in bound if b)))
            found[name] = (condition, said)
        if claim.middle is None:
            for axis, dim in enumerate(claim.front):
                places.setdefault(dim, (name, axis))
    return found


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
    texts: _Texts,
) -> tuple[str, bool]:
    if claim.middle is not None:
        return "", False
    if claim.is_scalar:
        return "" if proven.shape.is_scalar else f"{texts.numpy}.ndim({name}) != 0", False
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
        elif (
            dim.as_symbol is None
            and _expressible(dim, places, claim)
            and dim.substitute(_bindings(dim, places, ranked)) != actual[axis]
        ):
            open_axes.append(axis)
        known.setdefault(dim, actual[axis])
    if not open_axes:
        return "" if rank_known else f"{texts.ndim(name)} != {len(claim.front)}", False
    wanted = [_dim_text(dim, axis, places, claim, name, texts) for axis, dim in enumerate(claim.front)]
    if all(text is not None for text in wanted) and len(open_axes) == len(wanted):
        return f"{texts.shape(name)} != {_shape_text(claim, relied, places, [t or '' for t in wanted], texts)}", True
    parts = [] if rank_known else [f"{texts.ndim(name)} != {len(claim.front)}"]
    parts += [f"{texts.shape(name)}[{axis}] != {wanted[axis]}" for axis in open_axes if wanted[axis] is not None]
    return " or ".join(parts), False


def _expressible(dim: Dim, places: Mapping[Dim, Place], claim: Shape) -> bool:
    return all(Dim.symbol(s) in places or Dim.symbol(s) in claim.front for s in dim.symbols())


def _bindings(dim: Dim, places: Mapping[Dim, Place], ranked: Mapping[str, Type]) -> dict[str, Dim]:
    found: dict[str, Dim] = {}
    for symbol in dim.symbols():
        place = places.get(Dim.symbol(symbol))
        if place is not None:
            found[symbol] = ranked[place[0]].shape.front[place[1]]
    return found


def _dim_text(dim: Dim, axis: int, places: Mapping[Dim, Place], claim: Shape, name: str, texts: _Texts) -> str | None:
    """How a dim is read off an earlier parameter, or off an earlier axis of this one; None where nothing tells."""
    if dim.constant is not None:
        return str(dim.constant)
    if dim in places:
        other, position = places[dim]
        return f"{texts.shape(other)}[{position}]"
    if dim in claim.front[:axis]:
        return f"{texts.shape(name)}[{claim.front.index(dim)}]"
    if dim.as_symbol is None and _expressible(dim, places, claim):
        text = str(dim)
        for symbol in sorted(dim.symbols(), key=len, reverse=True):
            inner = _dim_text(Dim.symbol(symbol), axis, places, claim, name, texts)
            if inner is None:
                return None
            text = text.replace(symbol, inner)
        return text
    return None


def _shape_text(
    claim: Shape, relied: Mapping[str, Assumption], places: Mapping[Dim, Place], wanted: list[str], texts: _Texts
) -> str:
    """A whole shape: `W.shape[1:]` where it is the tail of an earlier one, else a tuple."""
    for name, position in places.values():
        other = relied[name].shape
        assert other is not None
        if other.front[position:] == claim.front:
            return texts.shape(name) + (f"[{position}:]" if position else "")
        if position == 0 and other.front[: len(claim.front)] == claim.front:
            return f"{texts.shape(name)}[:{len(claim.front)}]"
    return "(" + ", ".join(wanted) + ("," if len(wanted) == 1 else "") + ")"


def _message(names: list[str], relied: Mapping[str, Assumption], texts: _Texts) -> str:
    shapes = {name: shape for name in names if (shape := relied[name].shape) is not None}
    scalars = [name for name, shape in shapes.items() if shape.is_scalar]
    if len(scalars) == len(names):
        return f'"{_listed(names)} must be {"scalars" if len(names) > 1 else "a scalar"}"'
    if len(names) == 1:
        return f'f"{names[0]} must have shape {_spoken(shapes[names[0]])}, not {{{texts.shape(names[0])}}}"'
    said = [f"{name} a scalar" if shape.is_scalar else f"{name} {_spoken(shape)}" for name, shape in shapes.items()]
    return f'"shapes must be {_listed(said)}"'


def _spoken(shape: Shape) -> str:
    """A shape for people: a dim that nobody named is an underscore."""
    dims = [str(dim) if all(name.isidentifier() for name in dim.symbols()) else "_" for dim in shape.front]
    return "(" + ", ".join(dims) + ("," if len(dims) == 1 else "") + ")"


def _listed(parts: list[str]) -> str:
    return parts[0] if len(parts) == 1 else ", ".join(parts[:-1]) + " and " + parts[-1]
