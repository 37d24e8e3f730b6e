"""Entries of dicts that the program is given: `params["W1"]`, `params["W%d" % i]`, `bn_param.get("eps", 1e-5)`.

A parameter is a dict where a string is its index. An entry under a constant key is one value wherever it is read; it is
read at the head of the function, which changes nothing, as the text stays as it is. An entry under a key that is put
together when the program runs is read in its place.
"""

from __future__ import annotations

import ast
import copy
from collections.abc import Mapping
from dataclasses import replace

from flatgrad.frontend.contracts import UNKNOWN, Contract, LayerCall, Unclear, layer_call
from flatgrad.frontend.environment import Binding, Dictionary, Listed, Poison, Structure
from flatgrad.frontend.given_dicts import SettingsLowering
from flatgrad.frontend.methods import FORWARD, MARK
from flatgrad.frontend.strings import is_text
from flatgrad.ir.core import (
    Attribute,
    Literal,
    Relation,
    Type,
    Value,
)


class EntryLowering(SettingsLowering):
    """Expressions with entries of dicts in them."""

    def _subscript(self, node: ast.Subscript, value: ast.expr, index: ast.expr) -> Binding:
        if self.given and self.is_text(index):
            base = self.lower(value)
            if isinstance(base, Value) and self.origin(base) in self.given:
                return self._entry(node, base, index)
            if isinstance(base, Value) and not isinstance(base, Poison) and self.static(base) is None:
                return self.error(
                    "FG030",
                    f"which dict {ast.unparse(value)} is here, is known only when the program runs",
                    node,
                    "it is bound in a loop or a branch, or is an element of a list",
                    "read its entries where it is known, and keep them in variables",
                )
        found = super()._subscript(node, value, index)
        if isinstance(index, ast.Slice) and isinstance(value, ast.Name) and MARK in value.id:
            whole = self.environment.get(value.id)
            if isinstance(found, Value) and isinstance(whole, Value) and whole in self.given:
                self.parts.add(found)
        return found

    def call(self, node: ast.Call) -> Binding:
        match node.func:
            case ast.Name(id=name) if isinstance(base := self.environment.get(name), Value):
                if name in self.statements.layers or self._is_element(base):
                    self.read_name(node.func, base)
                    return self._layer(node, base, node.func)
            case ast.Subscript(value=ast.Name(id=name)) if MARK in name:
                layer = self.lower(node.func)
                if isinstance(layer, Value) and not isinstance(layer, Poison) and self._is_element(layer):
                    return self._layer(node, layer, node.func)
        return super().call(node)

    def listed(self, node: ast.expr) -> Listed | None:
        """The list of arrays that an expression is, in part or in whole; None where it is none."""
        raise NotImplementedError

    def _is_element(self, value: Value) -> bool:
        """Whether something is an element of a list that an object holds: `for layer in self.layers`."""
        for step in reversed(self.statements.body):
            if isinstance(step, Relation) and value in step.outs:
                base = step.args[0]
                return step.gate == "read" and isinstance(base, Value) and self._is_held(base)
        return False

    def _is_held(self, value: Value) -> bool:
        """Whether something is an attribute of an object, or a part of one: `self.layers[1:]`."""
        return (value in self.given and MARK in value.name) or value in self.parts

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
                if isinstance(base, Value) and self.origin(base) in self.given and self.is_text(key):
                    return self.looked_up_setting(node, default)
        return super()._method_call(node, function)

    def is_text(self, node: ast.expr) -> bool:
        """Whether an expression is a string, as far as its form tells, and what its names are bound to."""
        return is_text(node, self._is_text)

    def _is_text(self, node: ast.expr) -> bool:
        match node:
            case ast.Call(func=ast.Name(id="str")):
                return True
            case ast.Name(id=name):
                bound = self.environment.get(name)
                literal = self.static(bound)
                if literal is not None:
                    return isinstance(literal.value, str)
                return isinstance(bound, Value) and self.origin(bound) in self.statements.texts
            case ast.Subscript(value=ast.Name(id=name)) if isinstance(
                self.environment.get(name), Structure | Dictionary
            ):
                element = self.aside().lower(node)
                literal = self.static(element)
                if literal is not None:
                    return isinstance(literal.value, str)
                return isinstance(element, Value) and self.origin(element) in self.statements.texts
        return False

    def dynamic_string(self, node: ast.expr) -> Binding:
        """A string that is known only when the program runs is kept as it is written."""
        if self.probing:
            return Poison.at()
        out = self.kept(node)
        self.statements.texts.add(out)
        return out

    def _entry(self, node: ast.Subscript, base: Value, index: ast.expr) -> Binding:
        known = self.static(self.lower(index)) if not self.runs(index) else None
        if known is not None and isinstance(known.value, str):
            return self.held(node, base, known.value)
        key = self.lower(index) if isinstance(index, ast.Name | ast.Subscript) else self.kept(index)
        if isinstance(key, Poison) or not isinstance(key, Value):
            return Poison.at()
        return self._relation("entry", (base, key), {}, self.place(node), view=True)

    def kept(self, node: ast.expr) -> Value:
        """An expression that is kept as it is written."""
        written = self._with_constants(node)
        refused = self.name_of_its_own(written)
        if refused is not None or written is node:
            return refused or self.statements.opaque(node)
        out = self.statements.opaque(written)
        if not isinstance(out, Poison):
            # It has no place of its own in the text.
            step = self.statements.body[-1]
            assert isinstance(step, Relation)
            self.statements.body[-1] = replace(step, span=None)
        return out

    def _with_constants(self, node: ast.expr) -> ast.expr:
        """The expression with what the variables of a comprehension stand for, where that is a constant."""
        users = self._users()
        known: dict[str, Literal] = {}
        for part in ast.walk(node):
            if isinstance(part, ast.Name) and (bound := self.environment.get(part.id)) is not users.get(part.id):
                literal = self.static(bound)
                if literal is not None and isinstance(literal.value, str | int):
                    known[part.id] = literal
        return node if not known else _Written(known).visit(copy.deepcopy(node))

    def runs(self, index: ast.expr) -> bool:
        """Whether a key is put together when the program runs."""
        names = [part.id for part in ast.walk(index) if isinstance(part, ast.Name)]
        return any(isinstance(bound := self.environment.get(n), Value) and self.static(bound) is None for n in names)


class _Written(ast.NodeTransformer):
    """Puts constants in the places of names."""

    def __init__(self, known: Mapping[str, Literal]) -> None:
        self.known = known

    def visit_Name(self, node: ast.Name) -> ast.expr:
        found = self.known.get(node.id)
        return node if found is None else ast.copy_location(ast.Constant(found.value), node)
