"""What a name stands for as the values in it, and back: how tuples, lists and dicts pass through loops and branches."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from flatgrad.frontend.environment import Binding, Dictionary, Filled, Poison, Structure
from flatgrad.ir.core import Literal, Value

Leaf = Value | Literal


def leaves(binding: Binding) -> Iterator[Leaf] | None:
    """The values and literals in a binding, in order; None where it holds something else."""
    found: list[Leaf] = []
    return iter(found) if _collect(binding, found) else None


def _collect(binding: Binding, found: list[Leaf]) -> bool:
    match binding:
        case Value() | Literal():
            found.append(binding)
            return True
        case Filled(value=value):
            found.append(value)
            return True
        case Structure(items=items, once=False):
            return all(_collect(item, found) for item in items)
        case Dictionary(items=pairs):
            return all(_collect(item, found) for _, item in pairs)
        case _:
            return False


def rebuilt(binding: Binding, fresh: Iterator[Leaf], made: dict[int, Binding] | None = None) -> Binding:
    """The same form with other leaves. `made`: what lists and dicts have become, by their identity: one that has two
    names, or is inside of two things, stays one."""
    known = made if made is not None else {}
    if id(binding) in known:
        for _ in leaves(binding) or ():
            next(fresh)
        return known[id(binding)]
    found: Binding
    match binding:
        case Structure(items=items):
            found = replace(binding, items=tuple(rebuilt(item, fresh, known) for item in items))
        case Dictionary(items=pairs):
            found = replace(binding, items=tuple((key, rebuilt(item, fresh, known)) for key, item in pairs))
        case Filled():
            leaf = next(fresh)
            return replace(binding, value=leaf) if isinstance(leaf, Value) else leaf
        case _:
            return next(fresh)
    if changes(binding):
        known[id(binding)] = found
    return found


def places_in(text: str, binding: Binding) -> Iterator[tuple[Value, str]]:
    """The values in a tuple, a list or a dict that has a name, with how a program reads them: `state["h"]`."""
    parts: Iterable[tuple[object, Binding]] = ()
    match binding:
        case Structure(items=items, once=False):
            parts = enumerate(items)
        case Dictionary(items=items):
            parts = items
    for key, item in parts:
        place = f"{text}[{key!r}]"
        if isinstance(item, Value):
            yield item, place
        yield from places_in(place, item)


def changes(binding: Binding) -> bool:
    """Whether something is an object that can be changed and have several names: a list or a dict."""
    return isinstance(binding, Dictionary) or (isinstance(binding, Structure) and binding.is_list)


def sharing(bindings: Iterable[Binding]) -> tuple[int, ...]:
    """Which of the lists and dicts in some bindings are one, in order: for each the number of the first that it is."""
    first: dict[int, int] = {}
    found: list[int] = []

    def visit(binding: Binding) -> None:
        if changes(binding):
            found.append(first.setdefault(id(binding), len(found)))
        items: Iterable[Binding] = ()
        match binding:
            case Structure():
                items = binding.items
            case Dictionary():
                items = (item for _, item in binding.items)
        for item in items:
            visit(item)

    for binding in bindings:
        visit(binding)
    return tuple(found)


def same_form(one: Binding, other: Binding) -> bool:
    """Whether two bindings differ in their leaves only."""
    if isinstance(one, Dictionary) or isinstance(other, Dictionary):
        return (
            isinstance(one, Dictionary)
            and isinstance(other, Dictionary)
            and [key for key, _ in one.items] == [key for key, _ in other.items]
            and all(same_form(a, b) for (_, a), (_, b) in zip(one.items, other.items, strict=True))
        )
    if isinstance(one, Structure) or isinstance(other, Structure):
        return (
            isinstance(one, Structure)
            and isinstance(other, Structure)
            and one.is_list == other.is_list
            and len(one.items) == len(other.items)
            and all(same_form(a, b) for a, b in zip(one.items, other.items, strict=True))
        )
    if isinstance(one, Filled) or isinstance(other, Filled):
        return isinstance(one, Filled) and isinstance(other, Filled)
    return isinstance(one, Value | Literal) and isinstance(other, Value | Literal)


def is_poisoned(binding: Binding) -> bool:
    if isinstance(binding, Structure):
        return any(is_poisoned(item) for item in binding.items)
    if isinstance(binding, Dictionary):
        return any(is_poisoned(item) for _, item in binding.items)
    return isinstance(binding, Poison)
