"""Entries of dicts and of lists of arrays, which loops read and write under keys that are known when they run."""

from __future__ import annotations

import ast

from flatgrad.frontend.environment import Binding, Dictionary, Filled, Poison
from flatgrad.frontend.filling import container_of, filled_with
from flatgrad.frontend.opaque import OpaqueLowering
from flatgrad.ir.core import Attribute, Operand, Relation, Type, Value


class StoredLowering(OpaqueLowering):
    """Lowers reads and writes of single entries."""

    def written_entry(self, target: ast.Subscript, base: ast.Name, index: ast.expr, bound: Binding) -> bool:
        """`bn_param["running_mean"] = m` stays where it is, and carries no gradient; False for writes into arrays."""
        given = self.environment.get(base.id)
        text = isinstance(index, ast.Constant) and isinstance(index.value, str)
        key = self.expressions.static(self.expressions.lower(index)) if text else None
        if not isinstance(given, Value) or given not in self.expressions.given or key is None:
            return False
        if not isinstance(key.value, str):
            return False
        if not self.expressions.write_entry(given, key.value, bound, not self.nested):
            self.error(
                "FG030",
                f"{ast.unparse(target)} is read and then written in a loop or a branch",
                target,
                "",
                "keep it in a variable, and write it once behind",
            )
        self.changed_dicts.add(given)
        return True

    def put(self, target: ast.Subscript, binding: Filled, bound: Binding) -> None:
        """`margins[i, j] = margin`"""
        if target is not binding.store:
            self.error(
                "FG030",
                f"an entry of {ast.unparse(target.value)} may be written again here",
                target,
                "a dict that a loop fills is filled in one place, under keys of their own",
                "fill another dict",
            )
            return
        key = self.key(target.slice)
        value = self.expressions.as_operand(bound, target)
        if isinstance(value, Poison) or isinstance(key, Poison):
            return
        assert isinstance(target.value, ast.Name)
        self.environment[target.value.id] = filled_with(self, binding, key, value)

    def added(self, target: ast.Subscript, base: Filled, change: Operand, op: ast.operator) -> None:
        """`dparams[key] += dW`"""
        key = self.key(target.slice)
        if isinstance(key, Poison) or isinstance(change, Poison):
            return
        if not isinstance(op, ast.Add | ast.Sub):
            self.error("FG030", "an entry of a dict is changed in place", target, "", "store a new value instead")
            return
        if isinstance(op, ast.Sub):
            negative = Value("", Type.open("negative"))
            self.emit(Relation((negative,), "negative", (change,)), view=False)
            change = negative
        assert isinstance(target.value, ast.Name)
        name = target.value.id
        new = Value(name, Type.open(name))
        self.emit(Relation((new,), "item_add", (base.value, change, key)), view=False)
        self.buffers.joined(new, (base.value,))
        self._changes(target.value, name, base.value, new, always_array=True)
        self.environment[name] = Filled(new, base.store)

    def contained(self, name: str, binding: Dictionary) -> Filled | None:
        return container_of(self, name, binding)

    def fuller(self, container: Filled, key: Value, value: Value) -> Filled:
        return filled_with(self, container, key, value)

    def entry_of(self, container: Filled, index: ast.expr, node: ast.expr) -> Binding:
        """`margins[i, j]`"""
        key = self.key(index)
        if isinstance(key, Poison):
            return key
        out = Value("", Type.open("entry"))
        place = self.expressions.place(node)
        self.emit(Relation((out,), "entry", (container.value, key), {"element": True}, None, place), view=True)
        return out

    def length_of(self, sequence: Value, node: ast.expr | None) -> Value:
        """`len(weights)`, of a list of arrays."""
        size = Value("", Type.open("length"))
        place = None if node is None else self.expressions.place(node)
        attrs: dict[str, Attribute] = {"text": "len(_0)", "holds": "count"}
        self.emit(Relation((size,), "opaque", (sequence,), attrs, None, place), view=False)
        return size

    def item_of(self, sequence: Value, key: Operand, node: ast.expr | None) -> Value:
        """`weights[i]`, of a list of arrays: what a check proves of it holds where it is read again."""
        for step in self.body:
            if isinstance(step, Relation) and step.gate == "entry" and step.args == (sequence, key):
                return step.out
        out = Value("", Type.open("item"))
        place = None if node is None else self.expressions.place(node)
        self.emit(Relation((out,), "entry", (sequence, key), {"list": True}, None, place), view=True)
        return out
