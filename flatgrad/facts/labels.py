"""What an index beside a running count says: in `p[np.arange(N), y]` y is taken for one integer a row."""

from __future__ import annotations

from collections.abc import Mapping

from flatgrad.facts.infer import Assumption
from flatgrad.frontend.environment import Lowered
from flatgrad.ir.core import DType, Relation, Value
from flatgrad.ir.dims import Shape


def label_assumptions(typed: Lowered, assumptions: Mapping[str, Assumption]) -> dict[str, Assumption]:
    """Shapes for parameters that are used as labels: a claim like any other, held to by a guard."""
    params = set(typed.function.block.params)
    counters = {
        step.out: step.out.type.shape
        for step in typed.function.block.body
        if isinstance(step, Relation) and step.gate == "arange"
    }
    readable = {dim for p in params if p.type.shape.dims is not None for dim in p.type.shape.front}
    found: dict[str, Assumption] = {}
    for step in typed.function.block.body:
        if not isinstance(step, Relation) or step.gate not in ("read", "write"):
            continue
        index = step.attrs["index"]
        assert isinstance(index, tuple)
        shapes = [counters[item] for item in index if isinstance(item, Value) and item in counters]
        for item in index:
            if not isinstance(item, Value) or item not in params or not shapes:
                continue
            known = assumptions.get(item.name, Assumption())
            shape: Shape = shapes[0]
            if known.shape is None and item.type.shape.rank is None and shape.rank == 1 and shape.front[0] in readable:
                found[item.name] = Assumption(shape, known.dtype or DType.INT, known.kind)
    return found
