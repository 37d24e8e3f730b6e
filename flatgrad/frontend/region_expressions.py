"""Expressions among statements with control flow: conditional ones, and elements of what loops collect."""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence

from flatgrad.frontend.branches import BranchLowering
from flatgrad.frontend.closures import Argument
from flatgrad.frontend.entries import EntryLowering
from flatgrad.frontend.environment import Binding, Collected, Filled, Listed, Poison
from flatgrad.frontend.gathered import SUMMED
from flatgrad.ir.core import Operand, Value


class RegionExpressions(EntryLowering):
    """Expressions with conditional ones in them, which are branches."""

    def __init__(self, around: BranchLowering) -> None:
        super().__init__(around)
        self.around = around

    def _subscript(self, node: ast.Subscript, value: ast.expr, index: ast.expr) -> Binding:
        collected = self.environment.get(value.id) if isinstance(value, ast.Name) else None
        whole = collected if isinstance(collected, Collected) else self.around.collected(value)
        if whole is not None and isinstance(index, ast.Slice) and whole.is_list and whole.index is None:
            return self.around.part_of(whole, index, node) or Poison.at()
        if whole is not None:
            return self.around.element(whole, index, node)
        if isinstance(collected, Filled):
            return self.around.entry_of(collected, index, node)
        listed = self.listed(value)
        if listed is not None:
            return self.around.element_of(listed, index, node)
        return super()._subscript(node, value, index)

    def listed(self, node: ast.expr) -> Listed | None:
        """The list of arrays that an expression is, in part or in whole; None where it is none."""
        match node:
            case ast.Name(id=name):
                bound = self.environment.get(name)
                found = self.around.listed(bound)
                if isinstance(bound, Value) and found is not None:
                    self.read_name(node, bound)
                return found
            case ast.Subscript(value=value, slice=index) if (inner := self.listed(value)) is not None:
                if isinstance(index, ast.Slice) or len(inner.keys) + 1 < inner.depth:
                    return self.around.listed(self.around.element_of(inner, index, node))
            case (
                ast.Call(func=ast.Name(id="list" | "tuple" as called), args=[value], keywords=[])
                | ast.Call(func=ast.Attribute(value=value, attr="copy" as called), args=[], keywords=[])
            ) if called not in self.environment and called not in self.module.bound:
                return self.listed(value)
        return None

    def unpack(self, bound: Binding, count: int, node: ast.expr, starred: bool) -> tuple[Binding, ...]:
        listed = self.around.listed(bound)
        if listed is None:
            return super().unpack(bound, count, node, starred)
        return tuple(self.around.item_at(listed, position, node) for position in range(count))

    def unpack_into(self, bound: Binding, targets: list[ast.expr], node: ast.expr) -> tuple[Binding, ...]:
        listed = self.around.listed(bound)
        starred = [position for position, target in enumerate(targets) if isinstance(target, ast.Starred)]
        items = None
        if listed is not None and starred:
            items = self.around.items_of(listed, starred[0], len(targets) - starred[0] - 1)
        return super().unpack_into(bound, targets, node) if items is None else items

    def is_alone(self, value: Value, others: Sequence[Binding]) -> bool:
        buffers, around = self.around.buffers, self.around.environment
        roots = buffers.of(value)
        return roots == {value} and not any(buffers.held(bound, roots) for bound in (*others, *around.values()))

    def may_change(self, value: Value) -> bool:
        return self.probing or self.around.given_away(value)

    def call(self, node: ast.Call) -> Binding:
        copied = self.listed(node)
        if copied is not None:
            return copied
        match node:
            case ast.Call(
                func=ast.Attribute(value=ast.Name(id="dict"), attr="fromkeys"),
                args=[ast.Name(id=name), ast.Constant(value=float(zero))],
            ) if zero == 0 and isinstance(base := self.environment.get(name), Filled):
                return Filled(self._relation("zeros_for", (base.value,), {}, self.place(node)))
            case ast.Call(func=ast.Name(id="len"), args=[given], keywords=[]) if (
                listed := self.listed(given)
            ) is not None:
                return self.around.length_of(listed, node)
        first = node.args[0] if node.args else None
        collected = None if first is None else self.around.collected(first)
        if collected is not None:
            made = self.around.gathered(collected, node, str(self._path(node.func)))
            if made is not None:
                return made
            if (whole := self.around.collected(node)) is not None:
                return whole
            if self._path(node.func) == "builtins.len" and len(node.args) == 1 and not node.keywords:
                return self.around.length_so_far(collected, node)
        return super().call(node)

    def as_operand(self, bound: Binding, node: ast.expr) -> Operand:
        if isinstance(bound, Collected):
            every = self.environment.get(bound.every)
            if isinstance(every, Value) and bound.index is None:
                return every
            return self.error("FG030", f"all of {bound.name} at once is not understood here", node)
        if isinstance(bound, Listed):
            return self.error(
                "FG034", f"{ast.unparse(node)} is a list of arrays, not an array", node, "", "read its elements"
            )
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
        if isinstance(base, Collected) and (whole := self.around.collected(node)) is not None:
            return whole
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
