"""Guards: the facts that a module relies on and that no executed line enforces, checked once at the head of forward."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from flatgrad.facts.infer import Assumption, Callee, given_values, infer, parameter_types
from flatgrad.frontend.environment import Lowered
from flatgrad.frontend.methods import MARK
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
    sharper = ranks | {name: replace(ranks[name], shape=shape) for name, (_, shape) in found.items() if shape}
    again = _conditions(lowered, relied, proven, parameter_types(infer(lowered, sharper, callee)), texts)
    kept = {name: found[name] for name in found if name in again or found[name][1] is not None}
    if not kept:
        return ()
    message = _message(list(kept), relied, texts)
    conditions = [again[name][0] if name in again and found[name][1] is None else found[name][0] for name in kept]
    if len(conditions) > 1:
        conditions = [f"({one})" if " and " in one else one for one in conditions]
    return (f"if {' or '.join(conditions)}:", f"    raise ValueError({message})")


def _used_as_arrays(lowered: Lowered) -> set[str]:
    """The names of which forward itself asks for `x.shape`, `x.T`, `x.sum()`: only an array has those. What an object
    holds is an array where it has a shape."""
    asked = {
        part.value.id
        for part in ast.walk(lowered.node)
        if isinstance(part, ast.Attribute) and isinstance(part.value, ast.Name)
    }
    return asked | {value.name for value in lowered.function.block.params if MARK in value.name}


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
    given = given_values(lowered).values()
    claims = {name: shape for name in given if name in relied and (shape := relied[name].shape) is not None}
    # What may be None is compared with what never is.
    sure = [name for name in claims if not relied[name].unless_none]
    everywhere = _places({name: claims[name] for name in sure})
    found: dict[str, tuple[str, Shape | None]] = {}
    for name, claim in claims.items():
        places = everywhere if name in sure else {**_places({name: claim}), **everywhere}
        condition, whole = _condition(name, claim, proven[name], ranked, relied, places, texts)
        condition = " or ".join(
            filter(None, (condition, _middle_text(name, claim, {n: claims[n] for n in sure}, texts)))
        )
        if condition and name not in sure:
            one = f"({condition})" if " or " in condition else condition
            condition = f"{name} is not None and {one}"
        if condition:
            said = [places[dim] for dim in claim.front if dim in places]
            shape = Shape(tuple(Dim.symbol(f"{other}[{axis}]") for other, axis in said)) if whole else None
            found[name] = (condition, shape if len(said) == len(claim.front) else None)
    return found


def _axes(claim: Shape) -> list[tuple[int, Dim]]:
    """The dims that a claim names, by axis: from the front, and from the end behind unknown ones."""
    back = [(axis - len(claim.back), dim) for axis, dim in enumerate(claim.back)]
    return [*enumerate(claim.front), *back]


def _places(claims: Mapping[str, Shape]) -> dict[Dim, Place]:
    """Where each dim is read off: the first axis that is just it."""
    every = [(dim, (name, axis)) for name, claim in claims.items() for axis, dim in _axes(claim)]
    places: dict[Dim, Place] = {}
    for dim, place in every:
        if dim.constant is None:
            places.setdefault(dim, place)
    return places


def _is_read(lowered: Lowered, name: str) -> bool:
    found = [value for value, text in given_values(lowered).items() if text == name]
    return any(value in step.operands() for value in found for step in lowered.function.block.body)


def _without_shape(one: Assumption) -> Assumption:
    return Assumption(None, one.dtype, None, one.unless_none)


def _with_rank(one: Assumption, name: str) -> Assumption:
    """The rank that is claimed, with dims of which nothing is known."""
    if one.shape is None:
        return _without_shape(one)
    front = tuple(Dim.symbol(f"{name}[{axis}]") for axis in range(len(one.shape.front)))
    back = tuple(Dim.symbol(f"{name}[{axis - len(one.shape.back)}]") for axis in range(len(one.shape.back)))
    middle = None if one.shape.middle is None else f"{name}[...]"
    return Assumption(Shape(front, middle, back), one.dtype, one.kind, one.unless_none)


def _condition(
    name: str,
    claim: Shape,
    proven: Type,
    ranked: Mapping[str, Type],
    relied: Mapping[str, Assumption],
    places: Mapping[Dim, Place],
    texts: _Texts,
) -> tuple[str, bool]:
    if claim.is_scalar:
        return "" if proven.shape.is_scalar else f"{texts.numpy}.ndim({name}) != 0", False
    if claim.middle is None:
        rank = "" if proven.shape.rank == len(claim.front) else f"{texts.ndim(name)} != {len(claim.front)}"
    else:
        rank = "" if proven.shape.least_rank >= claim.least_rank else f"{texts.ndim(name)} < {claim.least_rank}"
    wanted = {axis: _dim_text(name, axis, dim, ranked, places, texts) for axis, dim in _axes(claim)}
    differing = {axis: text for axis, text in wanted.items() if text}
    if claim.middle is None and differing and len(differing) == len(claim.front) and not _has_remainder(differing):
        whole = _shape_text(name, claim, relied, places, list(differing.values()), texts)
        return f"{texts.shape(name)} != {whole}", True
    parts = [rank] if rank else []
    for axis, text in differing.items():
        parts.append(text if _has_remainder({axis: text}) else f"{texts.shape(name)}[{axis}] != {text}")
    return " or ".join(parts), False


def _middle_text(name: str, claim: Shape, claims: Mapping[str, Shape], texts: _Texts) -> str:
    """The comparison of open dims that two claims call alike, `*batch`: `k.shape[:-2] != q.shape[:-2]`."""
    if claim.middle is None or name not in claims:
        return ""
    first = next(other for other, shape in claims.items() if shape.middle == claim.middle)
    return "" if first == name else f"{_open(name, claim, texts)} != {_open(first, claims[first], texts)}"


def _open(name: str, claim: Shape, texts: _Texts) -> str:
    ends = (str(len(claim.front) or ""), f"-{len(claim.back)}" if claim.back else "")
    return texts.shape(name) + (f"[{':'.join(ends)}]" if any(ends) else "")


def _has_remainder(texts: Mapping[int, str]) -> bool:
    return any(" % " in text for text in texts.values())


def _dim_text(
    name: str, axis: int, dim: Dim, ranked: Mapping[str, Type], places: Mapping[Dim, Place], texts: _Texts
) -> str:
    """What the size along an axis is to be compared with; '' where executed lines prove it, or where it is what others
    are compared with. A size that must only be divisible is a test of its own: `x.shape[1] % 4 != 0`."""
    actual = ranked[name].shape.dim(axis)
    if dim.constant is not None:
        return "" if actual is not None and actual.constant == dim.constant else str(dim.constant)
    other, position = places[dim]
    if (other, position) != (name, axis):
        return (
            ""
            if actual is not None and ranked[other].shape.dim(position) == actual
            else f"{texts.shape(other)}[{position}]"
        )
    if dim.as_symbol is not None:
        return ""
    symbols = sorted(dim.symbols(), key=len, reverse=True)
    if all(Dim.symbol(symbol) in places for symbol in symbols):
        bound = {
            symbol: ranked[places[Dim.symbol(symbol)][0]].shape.dim(places[Dim.symbol(symbol)][1]) for symbol in symbols
        }
        known = {symbol: found for symbol, found in bound.items() if found is not None}
        if len(known) == len(symbols) and dim.substitute(known) == actual:
            return ""
        text = str(dim)
        for symbol in symbols:
            place, position = places[Dim.symbol(symbol)]
            text = re.sub(rf"\b{re.escape(symbol)}\b", f"{texts.shape(place)}[{position}]", text)
        return text
    if len(dim.terms) == 1 and dim.terms[0][1] > 1:
        return f"{texts.shape(name)}[{axis}] % {dim.terms[0][1]} != 0"
    return ""


def _shape_text(
    own: str,
    claim: Shape,
    relied: Mapping[str, Assumption],
    places: Mapping[Dim, Place],
    wanted: list[str],
    texts: _Texts,
) -> str:
    """A whole shape: `W.shape[1:]` where it is the tail of another, else a tuple."""
    for name, position in places.values():
        other = relied[name].shape
        if name == own or other is None or position < 0 or other.middle is not None:
            continue
        if other.front[position:] == claim.front:
            return texts.shape(name) + (f"[{position}:]" if position else "")
        if position == 0 and other.front[: len(claim.front)] == claim.front:
            return f"{texts.shape(name)}[:{len(claim.front)}]"
    return "(" + ", ".join(wanted) + ("," if len(wanted) == 1 else "") + ")"


def _message(names: list[str], relied: Mapping[str, Assumption], texts: _Texts) -> str:
    shapes = {name: shape for name in names if (shape := relied[name].shape) is not None}
    scalars = [name for name, shape in shapes.items() if shape.is_scalar]
    if len(scalars) == len(names):
        return f'"{_listed([_called(name) for name in names])} must be {"scalars" if len(names) > 1 else "a scalar"}"'
    if len(names) == 1:
        return f'f"{_called(names[0])} must have shape {_spoken(shapes[names[0]])}, not {{{texts.shape(names[0])}}}"'
    letters = _letters(shapes.values())
    said = [
        f"{_called(name)} a scalar" if shape.is_scalar else f"{_called(name)} {_spoken(shape, letters)}"
        for name, shape in shapes.items()
    ]
    return f'"shapes must be {_listed(said)}"'


def _called(name: str) -> str:
    """An entry of a dict by its key, without what would end or fill the string that it stands in."""
    if not name.endswith("]"):
        return name
    return re.sub(r"[\\\"'{}]", "_", name.rpartition("[")[2].strip("]'"))


def _letters(shapes: Iterable[Shape]) -> dict[str, str]:
    """Letters for the dims that nobody named and that stand in several shapes."""
    dims = [dim.as_symbol for shape in shapes for dim in (*shape.front, *shape.back)]
    shared = [name for name in dict.fromkeys(dims) if name and not name.isidentifier() and dims.count(name) > 1]
    free = [letter for letter in "nmkpqrs" if letter not in dims]
    return dict(zip(shared, free, strict=False))


def _spoken(shape: Shape, letters: Mapping[str, str] = MappingProxyType({})) -> str:
    """A shape for people: a dim that nobody named is a letter where it stands in several shapes, else an underscore."""

    def spoken(dim: Dim) -> str:
        known = all(name.isidentifier() for name in dim.symbols())
        return str(dim) if known else letters.get(dim.as_symbol or "", "_")

    front, back = ([spoken(dim) for dim in dims] for dims in (shape.front, shape.back))
    dims = front if shape.middle is None else [*front, "...", *back]
    return "(" + ", ".join(dims) + ("," if len(dims) == 1 else "") + ")"


def _listed(parts: list[str]) -> str:
    return parts[0] if len(parts) == 1 else ", ".join(parts[:-1]) + " and " + parts[-1]
