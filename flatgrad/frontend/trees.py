"""What a name stands for as the values in it, and back: how tuples, lists and dicts pass through loops and branches."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from flatgrad.frontend.environment import Binding, Dictionary, Poison, Structure
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
        case Structure(items=items, once=False):
            return all(_collect(item, found) for item in items)
        case Dictionary(items=pairs):
            return all(_collect(item, found) for _, item in pairs)
        case _:
            return False


def rebuilt(binding: Binding, fresh: Iterator[Leaf]) -> Binding:
    """The same form with other leaves."""
    if isinstance(binding, Structure):
        return replace(binding, items=tuple(rebuilt(item, fresh) for item in binding.items))
    if isinstance(binding, Dictionary):
        return replace(binding, items=tuple((key, rebuilt(item, fresh)) for key, item in binding.items))
    if isinstance(binding, Dictionary):
        return Dictionary(tuple((key, rebuilt(item, fresh)) for key, item in binding.items), binding.span)
    return next(fresh)


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
    if isinstance(one, Dictionary) or isinstance(other, Dictionary):
        return (
            isinstance(one, Dictionary)
            and isinstance(other, Dictionary)
            and [key for key, _ in one.items] == [key for key, _ in other.items]
            and all(same_form(a, b) for (_, a), (_, b) in zip(one.items, other.items, strict=True))
        )
    return isinstance(one, Value | Literal) and isinstance(other, Value | Literal)


def is_poisoned(binding: Binding) -> bool:
    if isinstance(binding, Structure):
        return any(is_poisoned(item) for item in binding.items)
    if isinstance(binding, Dictionary):
        return any(is_poisoned(item) for _, item in binding.items)
    if isinstance(binding, Dictionary):
        return any(is_poisoned(item) for _, item in binding.items)
    return isinstance(binding, Poison)
