"""Lists and dicts that a statement changes: `parts.append(x)`, `parts += [x]`, `del parts[0]`, `d["W1"] = w`.

A list is one object under all its names, and in all that holds it: a change is one of all of these.
"""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping, Sequence
from dataclasses import dataclass, replace

from flatgrad.frontend.environment import Binding, Closure, Dictionary, Key, Structure

Container = Structure | Dictionary


@dataclass(frozen=True, slots=True)
class Change:
    """What a method makes of a list or a dict, and what it gives."""

    container: Container
    result: Binding | None = None


def change_everywhere(environment: MutableMapping[str, Binding], old: Container, new: Container) -> None:
    """Put the changed list or dict in the place of what it was, under all names and in all that holds it."""
    change_all(environment, {id(old): new})


def change_all(environment: MutableMapping[str, Binding], made: Mapping[int, Binding]) -> None:
    """The same for several, by their identity."""
    _change_names(environment, dict(made), set())


def _change_names(names: MutableMapping[str, Binding], made: dict[int, Binding], seen: set[int]) -> None:
    if id(names) in seen:
        return
    seen.add(id(names))
    for name, bound in list(names.items()):
        changed = _changed(bound, made, seen)
        if changed is not bound:
            names[name] = changed


def _changed(bound: Binding, made: dict[int, Binding], seen: set[int]) -> Binding:
    if id(bound) in made:
        return made[id(bound)]
    found: Binding = bound
    match bound:
        case Structure(items=items):
            parts = [_changed(item, made, seen) for item in items]
            if any(part is not item for part, item in zip(parts, items, strict=True)):
                found = replace(bound, items=tuple(parts))
        case Dictionary(items=pairs):
            values = [_changed(item, made, seen) for _, item in pairs]
            if any(value is not item for value, (_, item) in zip(values, pairs, strict=True)):
                found = replace(bound, items=tuple((key, v) for (key, _), v in zip(pairs, values, strict=True)))
        case Closure(defaults=defaults, frames=frames):
            for names in (defaults, *frames):
                if isinstance(names, dict):
                    _change_names(names, made, seen)
    if isinstance(bound, Container):
        made[id(bound)] = found
    return found


def method_change(
    base: Container, method: str, arguments: Sequence[Binding], numbers: Sequence[Key | complex | None]
) -> Change | None:
    """What a method that changes a list or a dict does; None where that is not known.

    `numbers`: for each argument its constant value, None where it has none.
    """
    match base, method, len(arguments):
        case Structure(is_list=True, items=items), "append", 1:
            return Change(replace(base, items=(*items, arguments[0])))
        case Structure(is_list=True, items=items), "extend", 1:
            more = gone_through(arguments[0])
            return None if more is None else Change(replace(base, items=(*items, *more)))
        case Structure(is_list=True, items=items), "insert", 2 if isinstance(numbers[0], int):
            longer = list(items)
            longer.insert(numbers[0], arguments[1])
            return Change(replace(base, items=tuple(longer)))
        case Structure(is_list=True, items=items), "reverse", 0:
            return Change(replace(base, items=items[::-1]))
        case Structure(is_list=True), "clear", 0:
            return Change(replace(base, items=()))
        case Structure(is_list=True, items=items), "pop", 0 | 1:
            place = numbers[0] if numbers else -1
            if not isinstance(place, int) or not -len(items) <= place < len(items):
                return None
            rest = list(items)
            taken = rest.pop(place)
            return Change(replace(base, items=tuple(rest)), taken)
        case Dictionary(), "update", 1 if isinstance(arguments[0], Dictionary):
            return Change(replace(base, items=tuple((dict(base.items) | dict(arguments[0].items)).items())))
        case Dictionary(), "clear", 0:
            return Change(replace(base, items=()))
        case Dictionary(), "pop", 1 | 2 if not isinstance(numbers[0], complex):
            found = dict(base.items)
            if numbers[0] not in found:
                return None
            taken = found.pop(numbers[0])
            return Change(replace(base, items=tuple(found.items())), taken)
    return None


def without(base: Container, key: Key | complex) -> Container | None:
    """`del parts[0]`, `del d["W1"]`; None where there is no such element."""
    if isinstance(base, Dictionary):
        kept = [(other, value) for other, value in base.items if other != key]
        return replace(base, items=tuple(kept)) if len(kept) < len(base.items) else None
    if not isinstance(key, int) or not base.is_list or not -len(base.items) <= key < len(base.items):
        return None
    rest = list(base.items)
    del rest[key]
    return replace(base, items=tuple(rest))


def gone_through(bound: Binding) -> tuple[Binding, ...] | None:
    """The elements that `extend` takes of something."""
    return bound.items if isinstance(bound, Structure) else None
