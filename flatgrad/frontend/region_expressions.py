"""Expressions among statements with control flow: conditional ones, and elements of what loops collect."""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence

from flatgrad.frontend.branches import BranchLowering
from flatgrad.frontend.closures import Argument
from flatgrad.frontend.entries import EntryLowering
from flatgrad.frontend.environment import Binding, Collected, Filled, Poison
from flatgrad.ir.core import Operand, Value

# What makes an array of a list of arrays of one shape.
STACKED = frozenset({"numpy.array", "numpy.asarray", "numpy.stack", "builtins.sum"})
# What reads a list as an array, and needs nothing but its shape afterwards.
SUMMED = frozenset({"numpy.sum", "numpy.mean"})


class RegionExpressions(EntryLowering):
    """Expressions with conditional ones in them, which are branches."""

    def __init__(self, around: BranchLowering) -> None:
        super().__init__(around)
        self.around = around

    def _subscript(self, node: ast.Subscript, value: ast.expr, index: ast.expr) -> Binding:
        collected = self.environment.get(value.id) if isinstance(value, ast.Name) else None
        if isinstance(collected, Collected):
            return self.around.element(collected, index, node)
        if isinstance(collected, Filled):
            return self.around.entry_of(collected, index, node)
        if isinstance(collected, Value) and collected in self.lists:
            key = self.around.key(index)
            if not isinstance(key, Poison):
                self.read_name(value, collected)  # type: ignore[arg-type]
            return key if isinstance(key, Poison) else self.around.item_of(collected, key, node)
        return super()._subscript(node, value, index)

    def call(self, node: ast.Call) -> Binding:
        match node:
            case ast.Call(
                func=ast.Attribute(value=ast.Name(id="dict"), attr="fromkeys"),
                args=[ast.Name(id=name), ast.Constant(value=float(zero))],
            ) if zero == 0 and isinstance(base := self.environment.get(name), Filled):
                return Filled(self._relation("zeros_for", (base.value,), {}, self.place(node)))
            case ast.Call(func=ast.Name(id="len"), args=[ast.Name(id=name) as given]) if (
                isinstance(base := self.environment.get(name), Value) and base in self.lists
            ):
                self.read_name(given, base)
                return self.around.length_of(base, node)
        first = node.args[0] if node.args else None
        collected = self.environment.get(first.id) if isinstance(first, ast.Name) else None
        path = self._path(node.func)
        if isinstance(collected, Collected) and path in STACKED and len(node.args) == 1:
            return self.around.stacked(collected, node, str(path))
        return super().call(node)

    def as_operand(self, bound: Binding, node: ast.expr) -> Operand:
        if isinstance(bound, Collected):
            every = self.environment.get(bound.every)
            if isinstance(every, Value) and bound.index is None:
                return every
            return self.error("FG030", f"all of {bound.name} at once is not understood here", node)
        return super().as_operand(bound, node)

    def joined(self, node: ast.BinOp, first: Binding, second: Binding) -> Binding | None:
        for bound in (first, second):
            if isinstance(bound, Collected):
                return self.error(
                    "FG034", f"{bound.name} is a list, not an array", node, "", f"write `np.array({bound.name})`"
                )
        return super().joined(node, first, second)

    def _bound_call(
        self,
        node: ast.Call,
        path: str,
        leading: tuple[Operand, ...],
        place: ast.expr,
        given: Sequence[Argument] | None = None,
        named: Mapping[str, Argument] | None = None,
    ) -> Binding:
        for bound, _ in (*(given or ()), *(named or {}).values()):
            if isinstance(bound, Collected) and path not in SUMMED:
                return self.error(
                    "FG034", f"{bound.name} is a list, not an array", node, "", f"write `np.array({bound.name})`"
                )
        return super()._bound_call(node, path, leading, place, given, named)

    def _method_call(self, node: ast.Call, function: ast.Attribute) -> Binding:
        base = self.environment.get(function.value.id) if isinstance(function.value, ast.Name) else None
        if isinstance(base, Collected):
            return self.error("FG030", f"the method {function.attr} of {base.name} is not understood here", node)
        return super()._method_call(node, function)

    def comprehension(self, node: ast.ListComp | ast.GeneratorExp | ast.DictComp) -> Binding:
        """`{key: np.zeros(one.shape) for key, one in params.items()}`: zeros for the entries of a dict."""
        match node:
            case ast.DictComp(
                key=ast.Name(id=key),
                value=ast.Call(func=function) as value,
                generators=[
                    ast.comprehension(
                        target=ast.Tuple(elts=[ast.Name(id=first), ast.Name(id=second)]),
                        iter=ast.Call(func=ast.Attribute(value=ast.Name(id=name), attr="items"), args=[]),
                        ifs=[],
                    )
                ],
            ) if key == first and self._path(function) in ("numpy.zeros", "numpy.zeros_like"):
                base = self.environment.get(name)
                given = base.value if isinstance(base, Filled) else base
                known = isinstance(base, Filled) or (isinstance(given, Value) and given in self.given)
                if isinstance(given, Value) and known and _is_zeros_like(value, second):
                    return Filled(self._relation("zeros_for", (given,), {}, self.place(node)))
        return super().comprehension(node)

    def branch(self, node: ast.IfExp) -> Binding:
        return self.name_of_its_own(node) or self.around.conditional(node)


def _is_zeros_like(node: ast.Call, name: str) -> bool:
    """Whether zeros have the shape of what the name stands for."""
    match node.args[:1]:
        case [ast.Attribute(value=ast.Name(id=one), attr="shape")]:
            return one == name
        case [ast.Call(func=ast.Attribute(attr="shape"), args=[ast.Name(id=one)])]:
            return one == name
        case [ast.Name(id=one)]:
            return one == name and isinstance(node.func, ast.Attribute) and node.func.attr == "zeros_like"
    return False
