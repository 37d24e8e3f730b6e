"""What the attributes of an object are, by what the methods of its class assign to them."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from flatgrad.frontend.contracts import classes_held, is_layer_class, stored_in
from flatgrad.frontend.method_parts import assignments, class_names, defaults_by_name, parameters_of
from flatgrad.frontend.methods import MARK, Role, bare
from flatgrad.frontend.source import Module, dotted_path
from flatgrad.gates.entry import BY_PATH

# What is assigned to an attribute, by the method that does it, and where.
Source = tuple[ast.FunctionDef, ast.expr, ast.AST]

_NUMBERS = frozenset(f"builtins.{name}" for name in ("int", "float", "bool", "str", "len", "round", "tuple"))
# What `__init__` makes of its sizes.
_OF_NUMBERS = frozenset(f"numpy.{name}" for name in ("sqrt", "log", "exp", "floor", "ceil", "prod", "square", "power"))


def sources_of(others: Iterable[ast.FunctionDef]) -> dict[str, list[Source]]:
    """For each attribute what the methods assign to it; those of `__init__` first."""
    found: dict[str, list[Source]] = {}
    for method in sorted(others, key=lambda one: one.name != "__init__"):
        for target, value in assignments(method):
            if isinstance(target, ast.Name) and MARK in target.id:
                found.setdefault(bare(target.id), []).append((method, value, target))
    return found


def learnt(names: Iterable[str], methods: Sequence[ast.FunctionDef]) -> frozenset[str]:
    """The attributes that the class itself takes for weights, whatever they are called: it has a gradient of theirs
    (`self.dalpha`), or counts them among its parameters (`self.params = [self.alpha]`)."""
    parts = [part for one in methods for part in ast.walk(one) if isinstance(part, ast.Name) and MARK in part.id]
    there = {bare(part.id) for part in parts}
    counted = {
        part.id
        for one in methods
        for target, value in assignments(one)
        if isinstance(target, ast.Name) and bare(target.id).strip("_") in ("params", "parameters", "weights")
        if isinstance(value, ast.List | ast.Tuple | ast.Dict)
        for part in ast.walk(value)
        if isinstance(part, ast.Name)
    }
    forms = ("d{}", "d_{}", "{}_grad", "grad_{}")
    return frozenset(name for name in names if name in counted or there & {form.format(bare(name)) for form in forms})


@dataclass(frozen=True, slots=True)
class Roles:
    """Tells what attributes are, in a module with these classes."""

    module: Module
    classes: Mapping[str, ast.ClassDef]

    def layers(self, names: Iterable[str], methods: Sequence[ast.FunctionDef]) -> dict[str, frozenset[str]]:
        """The classes of the file whose objects attributes hold, where that is known."""
        stored = [(bare(name), one, value) for one in methods for name, value in stored_in(one) if MARK in name]
        layers = {name: owner for name, owner in self.classes.items() if is_layer_class(owner, self.classes)}
        found = {
            name: classes_held([(one, value) for other, one, value in stored if other == bare(name)], layers)
            for name in names
        }
        return {name: classes for name, classes in found.items() if classes}

    def role(self, name: str, sources: Sequence[Source], lineage: Sequence[ast.ClassDef]) -> Role:
        roles = [self._role_of(method, value) for method, value, _ in sources]
        known = [role for role in roles if role is not None]
        if known:
            return known[0]
        if not roles and bare(name) in class_names(lineage):
            return Role.SETTING
        return Role.GIVEN

    def _role_of(self, method: ast.FunctionDef, value: ast.expr) -> Role | None:
        """What one assignment makes of an attribute; None where it says nothing: `self.W = None`."""
        match value:
            case ast.Constant(value=None):
                return None
            case ast.Constant() | ast.UnaryOp(operand=ast.Constant()) | ast.JoinedStr() | ast.Tuple() | ast.Compare():
                return Role.SETTING
            case ast.Name(id=name) if name in parameters_of(method):
                default = defaults_by_name(method).get(name)
                if isinstance(default, ast.Constant) and default.value is None:
                    return Role.GIVEN
                scalar = _annotated_as_setting(parameters_of(method)[name])
                return Role.SETTING if default is not None or scalar else Role.GIVEN
            case ast.List(elts=elements) if elements and all(self._is_object(one) for one in elements):
                return Role.LAYERS
            case ast.Call() if self._is_object(value):
                return Role.LAYERS
            case ast.BinOp(left=left, right=right):
                roles = [self._role_of(method, part) for part in (left, right)]
                if isinstance(value.op, ast.FloorDiv | ast.Mod):
                    return Role.SETTING
                if Role.WEIGHT in roles:
                    return Role.WEIGHT
                return Role.GIVEN if Role.GIVEN in roles else Role.SETTING
            case ast.Call(func=function):
                path = dotted_path(self.module, function, frozenset(parameters_of(method)))
                if path is not None and path.startswith("builtins."):
                    return Role.SETTING if path in _NUMBERS else Role.GIVEN
                if path is not None and (path.startswith("math.") or path in _OF_NUMBERS):
                    return Role.SETTING
                return Role.WEIGHT
        return Role.GIVEN

    def _is_object(self, node: ast.expr) -> bool:
        """Whether an expression makes an object of a class: `Linear(3, 4)`, `nn.Tanh()`."""
        match node:
            case ast.Call(func=ast.Name(id=name)):
                return name in self.classes or (name[:1].isupper() and name not in self.module.functions)
            case ast.Call(func=ast.Attribute(attr=name) as function):
                path = dotted_path(self.module, function, frozenset())
                return name[:1].isupper() and path not in BY_PATH and not (path or "").startswith("numpy.")
        return False

    def distinct(self, names: Iterable[str], methods: Sequence[ast.FunctionDef]) -> frozenset[str]:
        """Attributes whose layers are made where they are assigned: nothing else has them."""
        stored = [(bare(name), value) for one in methods for name, value in stored_in(one) if MARK in name]
        values = {name: [value for other, value in stored if other == bare(name)] for name in names}
        return frozenset(name for name, found in values.items() if found and all(map(self._is_fresh, found)))

    def _is_fresh(self, node: ast.expr) -> bool:
        match node:
            case ast.List(elts=parts) | ast.Tuple(elts=parts) | ast.Dict(values=parts):
                return all(map(self._is_fresh, parts))
            case ast.ListComp(elt=part) | ast.DictComp(value=part):
                return self._is_fresh(part)
            case ast.Constant(value=None):
                return True
        return self._is_object(node)


def _annotated_as_setting(argument: ast.arg) -> bool:
    match argument.annotation:
        case ast.Name(id="int" | "float" | "bool" | "str" | "tuple"):
            return True
    return False
