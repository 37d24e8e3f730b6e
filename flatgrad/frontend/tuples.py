"""Tuples that a name stands for: what is unpacked from them is what was put into them."""

from __future__ import annotations

import ast
from collections.abc import Sequence

from flatgrad.frontend.flattened import Renamed, stored_in, uses_of


def take_apart(
    block: list[ast.stmt], first: int, behind: Sequence[ast.stmt], whole: ast.FunctionDef | None = None
) -> None:
    """`a, b = cache` where `cache = (x, y)` stands above: a is x where neither is bound again, else `a = x`.

    `whole`: the function, where a may be known outside of the block.
    """
    position = first
    while position < len(block):
        statement = block[position]
        match statement:
            case ast.Assign(targets=[ast.Tuple(elts=targets)], value=ast.Name(id=name)):
                held = held_names(block, position, name)
                if held is None or len(held) != len(targets) or not all(isinstance(t, ast.Name) for t in targets):
                    position += 1
                    continue
                rest = [*block[position + 1 :], *behind]
                names: dict[str, ast.expr] = {}
                kept: list[ast.stmt] = []
                again = stored_in(rest)
                changed = stored_in(block[position + 1 :])
                for target, value in zip(targets, held, strict=True):
                    assert isinstance(target, ast.Name)
                    elsewhere = whole is not None and uses_of(target.id, [whole]) > uses_of(target.id, block[position:])
                    if target.id in changed or value.id in again or target.id in stored_in(behind) or elsewhere:
                        kept.append(ast.copy_location(ast.Assign([target], ast.Name(value.id, ast.Load())), statement))
                    elif target.id != value.id:
                        names[target.id] = ast.Name(value.id, ast.Load())
                block[position : position + 1] = kept
                position += len(kept)
                for later in range(position, len(block)):
                    block[later] = Renamed(names).visit(block[later])
                continue
        position += 1


def held_names(block: Sequence[ast.stmt], position: int, name: str) -> list[ast.Name] | None:
    """The names in the tuple that a name stands for, where they still stand for the same."""
    for before in range(position - 1, -1, -1):
        statement = block[before]
        match statement:
            case ast.Assign(targets=[ast.Name(id=bound)], value=ast.Tuple(elts=values)) if bound == name:
                between = stored_in(block[before + 1 : position])
                names = [value for value in values if isinstance(value, ast.Name)]
                if len(names) < len(values) or any(value.id in between for value in names):
                    return None
                return names
            case ast.Assign(targets=[ast.Name(id=bound)], value=ast.Name(id=other)) if bound == name:
                between = stored_in(block[before + 1 : position])
                return None if other in between else held_names(block, before, other)
        if name in stored_in([statement]):
            return None
    return None
