"""Entries of dicts that the program is given: `params["W1"]`, `params["W%d" % i]`, `bn_param.get("eps", 1e-5)`.

A parameter is a dict where a string is its index. An entry under a constant key is one value wherever it is read; it is
read at the head of the function, which changes nothing, as the text stays as it is. An entry under a key that is put
together when the program runs is read in its place.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from typing import Protocol

from flatgrad.diagnostics import Diagnostic
from flatgrad.frontend.calls import CallLowering
from flatgrad.frontend.constants import static_number
from flatgrad.frontend.contracts import UNKNOWN, Contract, LayerCall, Unclear, layer_call
from flatgrad.frontend.environment import Binding, Poison, Structure
from flatgrad.frontend.methods import FORWARD, MARK
from flatgrad.frontend.source import span_of
from flatgrad.frontend.statements import Surroundings
from flatgrad.ir.core import (
    Attribute,
    Relation,
    Span,
    Stage,
    Step,
    Type,
    Value,
)


class Surrounding(Protocol):
    """What the expressions ask of the function around them."""

    context: Surroundings
    environment: dict[str, Binding]
    names: dict[Span, Value]
    errors: list[Diagnostic]
    body: list[Step]
    texts: set[Value]
    stage: Stage | None
    changed_dicts: set[Value]
    nested: int
    layers: frozenset[str]
    layer_classes: Mapping[str, frozenset[str]]

    def emit(self, step: Step, view: bool) -> None: ...
    def at_head(self, step: Relation) -> None: ...
    def opaque(self, node: ast.expr) -> Value: ...


def entry_name(base: Value, key: str) -> str:
    return f"{base.name}[{key!r}]"


class EntryLowering(CallLowering):
    """Expressions with entries of dicts in them."""

    def __init__(self, around: Surrounding) -> None:
        context = around.context
        super().__init__(
            context.module,
            context.callee,
            context.inlined,
            around.environment,
            around.names,
            around.emit,
            around.errors,
        )
        self.statements = around
        # Entries by the dict and the key.
        self.entries: dict[tuple[Value, str], Value] = {}
        # Parameters and their entries: what may be a dict that the caller made.
        self.given: set[Value] = set()
        # Parameters that are lists of arrays.
        self.lists: set[Value] = set()
        # Entries that the function writes.
        self.written: dict[tuple[Value, str], bool] = {}

    def _subscript(self, node: ast.Subscript, value: ast.expr, index: ast.expr) -> Binding:
        if self.given and self.is_text(index):
            base = self.lower(value)
            if isinstance(base, Value) and base in self.given:
                return self._entry(node, base, index)
        return super()._subscript(node, value, index)

    def call(self, node: ast.Call) -> Binding:
        match node.func:
            case ast.Name(id=name) if isinstance(base := self.environment.get(name), Value):
                if name in self.statements.layers or self._is_element(base):
                    self.read_name(node.func, base)
                    return self._layer(node, base, node.func)
        return super().call(node)

    def _is_element(self, value: Value) -> bool:
        """Whether something is an element of a list that an object holds: `for layer in self.layers`."""
        for step in reversed(self.statements.body):
            if isinstance(step, Relation) and value in step.outs:
                base = step.args[0]
                return step.gate == "read" and isinstance(base, Value) and base in self.given and MARK in base.name
        return False

    def _layer(self, node: ast.Call, layer: Value, place: ast.expr) -> Binding:
        """A call of a layer: an object with `forward` and `backward` of its own."""
        spoken_place = ast.unparse(place)
        classes = self._classes_of(layer)
        calls: dict[LayerCall, Contract] = {}
        contracts: list[Contract] = []
        changes = False
        for contract in [self.statements.context.contract(name) for name in sorted(classes)] or [UNKNOWN]:
            made = contract if isinstance(contract, Unclear) else layer_call(contract, node)
            if isinstance(made, Unclear):
                return self.error("FG045", f"{spoken_place} cannot be called here", node, made.reason, made.help)
            if isinstance(contract, Contract):
                calls[made] = contract
                contracts.append(contract)
                changes = changes or contract.changes
        if len(calls) > 1:
            one, other = list(calls.values())[:2]
            return self.error(
                "FG045",
                f"{spoken_place} cannot be called here",
                node,
                f"it may be of {one.owner or 'another class'} or {other.owner}, whose backward passes differ",
                "let the backward passes of all of them take and give the same gradients",
            )
        (call,) = calls
        operands = [self.operand(one) for one in (*node.args, *(keyword.value for keyword in node.keywords))]
        if any(isinstance(one, Poison) for one in operands):
            return Poison.at()
        if not any(isinstance(one, Value) for one in operands):
            return self.error("FG034", "a layer is given an array", node.args[0] if node.args else node)
        text = ast.unparse(node.func.value if isinstance(node.func, ast.Attribute) else node.func)
        outs = tuple(Value("", Type.open("layer")) for _ in range(call.results))
        attrs: dict[str, Attribute] = {"text": text, **call.attributes}
        if changes:
            attrs["changes"] = True
        if len(call.gives) > 1 and all(one.owner and not one.own for one in contracts):
            attrs["fresh"] = True
        self.emit(Relation(outs, "layer", (layer, *operands), attrs, None, self.place(node)), view=False)
        return outs[0] if call.results == 1 else Structure(outs, False, self._span(node))

    def _classes_of(self, layer: Value) -> frozenset[str]:
        """The classes of the file that a layer may be of; none where that is not known."""
        known = self.statements.layer_classes
        entries = {out: base for (base, _), out in self.entries.items()}
        steps = {out: step for step in self.statements.body for out in step.outs}
        while MARK not in layer.name:
            step = steps.get(layer)
            if layer in entries:
                layer = entries[layer]
            elif isinstance(step, Relation) and step.gate in ("read", "entry", "alias") and step.args:
                base = step.args[0]
                if not isinstance(base, Value):
                    return frozenset()
                layer = base
            else:
                # Bound outside this block: it may be any of those that there are.
                return frozenset().union(*known.values())
        return known.get(layer.name, frozenset())

    def _method_call(self, node: ast.Call, function: ast.Attribute) -> Binding:
        if function.attr in FORWARD:
            base = self.lower(function.value)
            if isinstance(base, Poison):
                return base
            if isinstance(base, Value):
                return self._layer(node, base, function)
        match node:
            case ast.Call(func=ast.Attribute(attr="get"), args=[key, *default], keywords=[]) if len(default) < 2:
                base = self.lower(function.value)
                if isinstance(base, Value) and base in self.given and self.is_text(key):
                    return self._looked_up(node, default)
        return super()._method_call(node, function)

    def is_text(self, node: ast.expr) -> bool:
        """Whether an expression is a string, as far as its form tells."""
        match node:
            case ast.Constant(value=value):
                return isinstance(value, str)
            case ast.JoinedStr():
                return True
            case ast.BinOp(left=left, op=ast.Add(), right=right):
                return self.is_text(left) or self.is_text(right)
            case ast.BinOp(left=left, op=ast.Mod()):
                return self.is_text(left)
            case ast.Call(func=ast.Attribute(value=receiver, attr="format" | "join")):
                return self.is_text(receiver)
            case ast.Call(func=ast.Name(id="str")):
                return True
            case ast.Name(id=name):
                bound = self.environment.get(name)
                literal = self.static(bound)
                if literal is not None:
                    return isinstance(literal.value, str)
                return isinstance(bound, Value) and bound in self.statements.texts
        return False

    def _entry(self, node: ast.Subscript, base: Value, index: ast.expr) -> Binding:
        known = self.static(self.lower(index)) if not self.runs(index) else None
        if known is not None and isinstance(known.value, str):
            return self.entry(base, known.value)
        key = self.lower(index) if isinstance(index, ast.Name) else self._kept(index)
        if isinstance(key, Poison) or not isinstance(key, Value):
            return Poison.at()
        return self._relation("entry", (base, key), {}, self.place(node), view=True)

    def _kept(self, node: ast.expr) -> Value:
        """An expression that is kept as it is written."""
        return self.name_of_its_own(node) or self.statements.opaque(node)

    def runs(self, index: ast.expr) -> bool:
        """Whether a key is put together when the program runs."""
        names = [part.id for part in ast.walk(index) if isinstance(part, ast.Name)]
        return any(isinstance(bound := self.environment.get(n), Value) and self.static(bound) is None for n in names)

    def entry(self, base: Value, key: str) -> Value:
        """The entry of a dict under a constant key."""
        if (base, key) in self.written:
            now = self.environment.get(entry_name(base, key))
            if isinstance(now, Value):
                return now
            self.errors.append(
                Diagnostic(
                    "FG030",
                    f"{entry_name(base, key)} is read after it may have been written",
                    None if self.statements.stage is None else self.statements.stage.span,
                    "whether it has been hangs on how the program runs",
                    "keep what was written in a variable, and read that",
                )
            )
            return Poison.at()
        if (base, key) not in self.entries:
            name = key if key.isidentifier() else ""
            out = Value(name, Type.open(f"{base.name}[{key}]"))
            self.statements.at_head(Relation((out,), "entry", (base,), {"key": key}))
            self.entries[base, key] = out
            self.given.add(out)
        return self.entries[base, key]

    def entry_changed(self, base: Value, key: str) -> None:
        if self.statements.nested and (base, key) in self.entries:
            self.errors.append(
                Diagnostic(
                    "FG030",
                    f"{entry_name(base, key)} is read and then written in a loop or a branch",
                    None if self.statements.stage is None else self.statements.stage.span,
                    "",
                    "keep it in a variable, and write it once behind",
                )
            )
        self.written[base, key] = True
        self.statements.environment.pop(entry_name(base, key), None)
        self.statements.changed_dicts.add(base)

    def write_entry(self, base: Value, key: str, bound: Binding, for_sure: bool) -> bool:
        """`bn_param["running_mean"] = m`; False where a round may have read the entry before."""
        if not for_sure and (base, key) in self.entries:
            return False
        self.written[base, key] = True
        name = entry_name(base, key)
        self.statements.environment.pop(name, None)
        if for_sure and isinstance(bound, Value):
            self.statements.environment[name] = bound
        return True

    def _looked_up(self, node: ast.Call, default: list[ast.expr]) -> Binding:
        """`d.get(key, default)`: a setting, through which no gradient goes; one number where its default is one."""
        out = self._kept(node)
        if isinstance(out, Poison):
            return out
        number = static_number(default[0], self.module) if default else None
        if default and isinstance(default[0], ast.Constant) and isinstance(default[0].value, str):
            return out
        # Without a number as its default it may be an array as well.
        kind = "anything" if number is None else "integer" if isinstance(number, int) else "number"
        setting = Value("", Type.open("setting"))
        step = self.statements.body.pop()
        assert isinstance(step, Relation)
        attrs: dict[str, Attribute] = {**step.attrs, "holds": kind}
        if isinstance(node.args[0], ast.Constant) and isinstance(node.args[0].value, str):
            attrs["key"] = node.args[0].value
        self.emit(Relation((setting,), "opaque", step.args, attrs, None, span_of(self.module, node)), view=False)
        return setting
