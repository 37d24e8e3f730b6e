"""Guards of layers: an object that stood twice among those of a pass would keep what its last call left on it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations

from flatgrad.frontend.environment import Lowered
from flatgrad.frontend.layers import lists_of_layers, single_layers
from flatgrad.frontend.methods import bare
from flatgrad.ir.core import Relation, Value


@dataclass(frozen=True, slots=True)
class _Layers:
    """The attributes that hold the layers of one function: lists of them, and single ones."""

    lists: tuple[str, ...]
    single: tuple[str, ...]


def layer_guards(lowered: Lowered, distinct: frozenset[str], called: Iterable[Lowered]) -> tuple[str, ...]:
    """The lines at the head of forward.

    Args:
        distinct: attributes with layers that are known to be objects of their own.
        called: the methods that run in the same pass, which look after their own layers.
    """
    own = _layers(lowered)
    parts = [own, *(_layers(one) for one in called)]
    lists = list(dict.fromkeys(name for part in parts for name in part.lists))
    single = list(dict.fromkeys(name for part in parts for name in part.single))
    lines: list[str] = []
    for name in own.lists:
        lines += [
            f"if len(set(map(id, {name}))) != len({name}):",
            f'    raise ValueError("a layer stands twice in {bare(name)}")',
        ]
    if _meet(single, parts) and not _apart(single, distinct):
        lines += [
            f"if len({{{', '.join(f'id({name})' for name in single)}}}) != {len(single)}:",
            f'    raise ValueError("{", ".join(_said(name) for name in single)} must be objects of their own")',
        ]
    for name in lists:
        for other in single:
            if _meet([name, other], parts) and not _apart((name, other), distinct):
                lines += [
                    f"if {other} in {name}:",
                    f'    raise ValueError("{_said(other)} stands in {bare(name)} as well")',
                ]
    for name, other in combinations(lists, 2):
        if _meet([name, other], parts) and not _apart((name, other), distinct):
            lines += [
                f"if set(map(id, {name})) & set(map(id, {other})):",
                f'    raise ValueError("a layer stands in both {bare(name)} and {bare(other)}")',
            ]
    return tuple(lines)


def _layers(lowered: Lowered) -> _Layers:
    block = lowered.function.block
    names = {param: param.name for param in block.params}
    for step in block.body:
        match step:
            case Relation(gate="entry", args=(Value() as base,)) if base in names:
                names[step.out] = f'{names[base]}["{step.attrs["key"]}"]'
    lists = tuple(names[value] for value in lists_of_layers(block) if value in names)
    return _Layers(lists, tuple(names[value] for value in single_layers(block) if value in names))


def _meet(names: Sequence[str], parts: Sequence[_Layers]) -> bool:
    """Whether no method that is called looks after all these attributes together already."""
    return len(names) > 1 and not any(set(names) <= {*part.lists, *part.single} for part in parts[1:])


def _apart(names: Sequence[str], distinct: frozenset[str]) -> bool:
    """Whether attributes, or entries of them, are known to hold objects of their own."""
    return all(name.partition("[")[0] in distinct for name in names)


def _said(name: str) -> str:
    """An attribute or an entry of one, as it stands in a message between quotes."""
    base, bracket, rest = name.partition("[")
    return bare(base) + bracket + rest.replace('"', "'")
