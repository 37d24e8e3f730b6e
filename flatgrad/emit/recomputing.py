"""Which values backward computes once more rather than have forward keep them."""

from __future__ import annotations

import ast
from dataclasses import dataclass

from flatgrad.emit.residual_state import ResidualState, is_view
from flatgrad.gates.entry import has_effect
from flatgrad.ir.core import DType, Kind, Literal, Relation, Value

CHEAP = frozenset({"add", "subtract", "multiply", "divide", "negative", "square"})
FREE = frozenset(
    {"dim", "shape", "ndim", "size", "subshape", "dtype", "transpose", "arange", "constant", "expand_dims", "entry"}
)
ARITHMETIC = frozenset({"add", "subtract", "multiply", "divide", "negative", "power", "floor_divide", "mod"})
DEPTH = 2


@dataclass(slots=True, eq=False)
class Recomputing(ResidualState):
    """Decides what costs little."""

    def _recomputed(self, value: Value, depth: int) -> bool:
        """Whether backward computes a part of an expression again rather than having it named and cached."""
        if value in self.lowered.places:
            return False  # `state["loss"] += e` has written over what it was computed from
        producer = self._producers.get(value)
        if not isinstance(producer, Relation) or has_effect(producer) or self._of_changed_dict(producer):
            return False
        if producer.span is None:
            return True
        free = (
            producer.gate in FREE
            or producer.gate == "negative"
            or (value.type.kind is Kind.SCALAR and all(isinstance(arg, Literal) for arg in producer.args))
            or is_view(producer)
            or (producer.gate == "array_of" and all(isinstance(arg, Literal) for arg in producer.args))
        )
        cheap = (
            producer.gate in CHEAP
            or (producer.gate == "opaque" and not _has_call(producer) and not self._reads_changed(producer))
            or (producer.gate == "power" and isinstance(producer.args[1], Literal) and producer.args[1].value == 2)
            or (producer.out.type.dtype is DType.BOOL and producer.gate != "opaque")
        )
        small = value.type.kind is Kind.SCALAR
        if not free and not (cheap and depth < DEPTH and (self.uses.get(value, 0) <= 1 or small)):
            return False
        for arg in producer.operands():
            if arg in self.lowered.overwritten and producer.gate not in ("dim", "shape", "size", "ndim"):
                return False
            if not arg.name and not self._recomputed(arg, depth + (not free)):
                if free and depth == 0 and producer.gate in ("transpose", "dim", "shape"):
                    continue
                return False
        return True

    def _again(self, value: Value, producer: Relation) -> bool:
        """Whether backward computes a value of a round again rather than have forward keep it for each round."""
        if has_effect(producer) or self._of_changed_dict(producer) or value in self.lowered.places:
            return False
        if not value.name and producer.stage is not None and self._recomputed(value, 0):
            return True
        if value in self.steps.inline and not any(arg in self.lowered.overwritten for arg in producer.operands()):
            return True
        counts = value.type.dtype is DType.INT and value.type.kind is Kind.SCALAR
        counts = (counts or value in self.ends) and producer.gate in ARITHMETIC
        free = producer.gate in FREE or producer.gate == "alias" or counts or is_view(producer)
        sizes = producer.gate in ("dim", "shape", "size", "ndim")
        return free and all(sizes or arg not in self.lowered.overwritten for arg in producer.operands())

    def _reads_changed(self, producer: Relation) -> bool:
        """Whether an opaque expression reads a dict that the pass writes to: it may not give the same again."""
        return any(arg in self.lowered.changed_dicts for arg in producer.args)

    def _of_changed_dict(self, producer: Relation) -> bool:
        """Whether this is an entry, under a key that is put together when the program runs, of a dict that changes."""
        return producer.gate == "entry" and len(producer.args) > 1 and producer.args[0] in self.lowered.changed_dicts


def _has_call(relation: Relation) -> bool:
    """Whether an opaque expression calls something: it may cost, and it may not give the same again."""
    tree = ast.parse(str(relation.attrs["text"]), mode="eval")
    calls = [part.func for part in ast.walk(tree) if isinstance(part, ast.Call)]
    return not all(_is_harmless(call) for call in calls)


def _is_harmless(call: ast.expr) -> bool:
    match call:
        case ast.Name(id=name):
            return name in ("len", "isinstance", "min", "str")
        case ast.Attribute(value=ast.Constant(value=str()), attr="format"):
            return True
        case ast.Attribute(attr="startswith" | "endswith"):
            return True  # of strings, the keys of a dict
    return False
