"""Names of the generated text: the user's own wherever they are free, and never one that is taken."""

from __future__ import annotations

import builtins
import keyword
import re
from collections.abc import Callable, Iterable

from flatgrad.ir.core import Literal, Relation, Value


class Scope:
    """The names of one function; `take` hands out the wanted one or the next that is free."""

    def __init__(self, taken: Iterable[str] = ()) -> None:
        self.taken = set(taken)

    def take(self, wanted: str) -> str:
        name = numbered_name(
            wanted, lambda name: name not in self.taken and not keyword.iskeyword(name) and not hasattr(builtins, name)
        )
        self.taken.add(name)
        return name


def numbered_name(wanted: str, is_free: Callable[[str], bool]) -> str:
    """The wanted name if it is free, else the first free one of `x2`, `x3`, ... (`x1_2`, `x1_3`, ... for `x1`)."""
    name, number = wanted, 2
    while not is_free(name):
        name = f"{wanted}{number}" if not wanted[-1].isdigit() else f"{wanted}_{number}"
        number += 1
    return name


# How the value of a gate is called after its operand.
_SUFFIX = {
    "max": "max",
    "min": "min",
    "sum": "sum",
    "mean": "mean",
    "exp": "exp",
    "log": "log",
    "sqrt": "sqrt",
    "power": "pow",
    "square": "sq",
    "transpose": "T",
    "shape": "shape",
    "divide": "ratio",
    "subtract": "diff",
    "multiply": "prod",
    "add": "total",
    "matmul": "product",
    "dot": "product",
    "negative": "neg",
    "greater": "mask",
    "less": "mask",
    "read": "part",
    "opaque": "test",
    "c_": "columns",
    "r_": "joined",
}


def described(relation: Relation, target: str) -> str:
    """A name for a part of an expression, from what it computes and what it is computed from: `scores_max`, `h_pre`."""
    key = relation.attrs.get("key")
    if relation.gate == "opaque" and isinstance(key, str) and is_identifier(key):
        return key
    suffix = _SUFFIX.get(relation.gate, relation.gate.rpartition(".")[2].partition(" ")[0])
    if relation.gate == "read":
        index = relation.attrs["index"]
        parts = (
            [item.name for item in index if isinstance(item, Value) and item.name] if isinstance(index, tuple) else []
        )
        source = relation.args[0]
        if parts and isinstance(source, Value) and source.name:
            return f"{source.name}_{parts[-1]}"
    named = [arg.name for arg in relation.args if isinstance(arg, Value) and arg.name]
    if len(named) == 1 and len([a for a in relation.args if not isinstance(a, Literal)]) == 1:
        return f"{named[0]}_{suffix}"
    if target:
        return f"{target}_{suffix}"
    return suffix


def is_identifier(text: str) -> bool:
    return text.isidentifier() and not keyword.iskeyword(text)


def place_name(text: str) -> str:
    """What to call `state["h"]`: `state_h`."""
    return re.sub(r"\W+", "_", text).strip("_")
