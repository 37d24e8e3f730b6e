"""Guards of layers: an object that stood twice among those of a pass would keep what its last call left on it."""

from __future__ import annotations

from flatgrad.frontend.environment import Lowered
from flatgrad.frontend.layers import lists_of_layers, single_layers
from flatgrad.frontend.methods import bare


def layer_guards(lowered: Lowered, distinct: frozenset[str]) -> tuple[str, ...]:
    """The lines at the head of forward; `distinct`: layers that are known to be objects of their own."""
    params = frozenset(lowered.function.block.params)
    lists = [value.name for value in lists_of_layers(lowered.function.block) if value in params]
    single = [value.name for value in single_layers(lowered.function.block) if value in params]
    lines: list[str] = []
    for name in lists:
        lines += [
            f"if len(set(map(id, {name}))) != len({name}):",
            f'    raise ValueError("a layer stands twice in {bare(name)}")',
        ]
    unknown = [name for name in single if name not in distinct]
    if unknown and len(single) > 1:
        lines += [
            f"if len({{{', '.join(f'id({name})' for name in single)}}}) != {len(single)}:",
            f'    raise ValueError("{", ".join(bare(name) for name in single)} must be objects of their own")',
        ]
    return tuple(lines)
