"""Entries of dicts, which loops read and write under keys that are known when they run."""

from __future__ import annotations

import ast

from flatgrad.frontend.changing import change_all
from flatgrad.frontend.environment import Binding, Dictionary, Filled, Poison, Structure, values_of
from flatgrad.frontend.filling import container_of, filled_with
from flatgrad.frontend.opaque import OpaqueLowering
from flatgrad.frontend.source import span_of
from flatgrad.ir.core import Kind, Operand, Relation, Type, Value


class StoredLowering(OpaqueLowering):
    """Lowers reads and writes of single entries."""

    def written_entry(self, target: ast.Subscript, base: ast.Name, index: ast.expr, bound: Binding) -> bool:
        """`bn_param["running_mean"] = m` stays where it is, and carries no gradient; False for writes into arrays."""
        given = self.environment.get(base.id)
        text = isinstance(index, ast.Constant) and isinstance(index.value, str)
        key = self.expressions.static(self.expressions.lower(index)) if text else None
        if not isinstance(given, Value) or self.buffers.origin(given) not in self.expressions.given or key is None:
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
        return True

    def changed_entry(self, statement: ast.AugAssign) -> bool:
        """`state["loss"] += e`, of an element that is known; False for anything else."""
        match statement.target:
            case ast.Subscript(value=ast.Name(id=name) as base, slice=index) as target:
                bound = self.environment.get(name)
            case _:
                return False
        key = None if isinstance(index, ast.Slice | ast.Tuple) else self.expressions.aside().lower(index)
        known = None if key is None else self.expressions.static(key)
        match bound:
            case Dictionary() | Structure(is_list=True) if known is not None:
                pass
            case Value() if known is not None and isinstance(known.value, str) and self.expressions.given_dict(base):
                if self.nested:
                    message = "an entry of this dict is changed in place in a loop or a branch"
                    self.error("FG030", message, target, "", "keep it in a variable, and store it behind")
                    return True
            case _:
                return False
        old = self.expressions.operand(ast.copy_location(ast.Subscript(base, index, ast.Load()), target))
        right = self.expressions.operand(statement.value)
        if isinstance(old, Poison) or isinstance(right, Poison):
            return True
        new = self.expressions.apply_operator(type(statement.op).__name__, (old, right), None, into=True)
        if isinstance(new, Poison):
            return True
        if isinstance(old, Value) and isinstance(new, Value):
            self._element_changes(target, name, old, new)
        if isinstance(new, Value):
            self.places[new] = ast.unparse(target)
        self.bind(target, new, statement.value)
        return True

    def _element_changes(self, target: ast.Subscript, name: str, old: Value, new: Value) -> None:
        """The buffer of an element now holds `new`, if it is an array: nothing else may see that."""
        assert self.stage is not None
        span = span_of(self.module, target)
        known = self.context.kinds.get(span)
        self.questions[span] = old
        if known is not None and known.kind is Kind.SCALAR:
            return
        container, roots = self.environment[name], self.buffers.of(old)
        held = [] if isinstance(container, Value) else list(values_of(container))
        inside = [one for one in held if one is not old or held.count(old) > 1]
        others = [self.environment[other] for other in sorted(self.live - {name}) if other in self.environment]
        shared = [one for one in (*inside, *others) if one is not container and self.buffers.held(one, roots)]
        if shared and (known is not None or self.context.kinds):
            self.error(
                "FG041",
                "this changes something else as well",
                target,
                f"{ast.unparse(target)} may share memory with it",
                f"store a new array: `{ast.unparse(target)} = {ast.unparse(target)} + ...`",
            )
        unchanged = self.buffers.overwritten.keys() - {old}
        self.buffers.written(old, new, self.stage)
        for root in roots & self.expressions.given:
            # A dict is not one of the arrays in it.
            if root not in unchanged:
                self.buffers.overwritten.pop(root, None)
        self.rewritten[self.stage] = new

    def settled(self, call: ast.Call) -> bool:
        """`d.setdefault("mode", "train")`, `d.update(e)`, `d.update(mode="train")`; False for any other call."""
        match call:
            case ast.Call(func=ast.Attribute(value=ast.Name(id=name) as base, attr=method), args=args, keywords=named):
                bound = self.environment.get(name)
            case _:
                return False
        if any(one.arg is None for one in named) or any(isinstance(one, ast.Starred) for one in args):
            return False
        given = None if isinstance(bound, Dictionary) else self.expressions.given_dict(base)
        match method, args:
            case "setdefault", [ast.Constant(value=str() as key), value] if given is not None and not named:
                self.expressions.perhaps_set(given, key, self.expressions.lower(value))
            case "update", [] | [_] if isinstance(bound, Dictionary) or given is not None:
                return self._updated(call, name, bound, given)
            case _:
                return False
        self.expressions.lower(base)
        return True

    def _updated(self, call: ast.Call, name: str, bound: Binding | None, given: Value | None) -> bool:
        pairs = [(str(one.arg), self.expressions.lower(one.value)) for one in call.keywords]
        other = self.expressions.lower(call.args[0]) if call.args else None
        if isinstance(other, Poison) or any(isinstance(item, Poison) for _, item in pairs):
            return True
        if isinstance(other, Dictionary):
            pairs = [*((str(key), item) for key, item in other.items), *pairs]
        base = self.buffers.origin(other) if isinstance(other, Value) else None
        if (base is not None and base not in self.expressions.given) or isinstance(other, Structure):
            return False
        if isinstance(bound, Dictionary) and base is None:
            self._become(bound, Dictionary(tuple((dict(bound.items) | dict(pairs)).items()), bound.span))
        elif isinstance(bound, Dictionary):
            assert isinstance(other, Value)
            found = self.expressions.merged(name, bound, other, dict(pairs), call)
            if not isinstance(found, Poison):
                change_all(self.environment, {id(bound): found})
        elif given is not None:
            if base is not None:
                self.expressions.set_from(given, base, call)
            for key, item in pairs:
                if not self.expressions.write_entry(given, key, item, not self.nested):
                    self.error("FG030", f"{name}[{key!r}] is read and then written in a loop or a branch", call, "", "")
            self.expressions.lower(call.func.value)  # type: ignore[attr-defined]
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
