"""What classes write in ways of their own, spelled as anything else is.

self.act(z)     where `__init__` sets `self.act = np.tanh`: np.tanh(z); where it sets one of several functions, a
                function that is given the attribute and z, and calls the one that it is
self.scale      where that is a property: the expression that it returns
Net.EPS         a constant of a class: the constant
@classmethod    a method that does nothing with its class: a static one
"""

from __future__ import annotations

import ast
import copy
from collections.abc import Iterator
from dataclasses import dataclass

from flatgrad.frontend.contracts import lineage
from flatgrad.frontend.known_functions import entries_of, free_name, is_function
from flatgrad.frontend.rewriting import Moved, edited, inserted, rearranged
from flatgrad.frontend.source import Module, span_of, text_at
from flatgrad.frontend.unfolding import Unfolded
from flatgrad.ir.core import Span

Function = ast.FunctionDef


def plain_class(whole: Unfolded, chosen: dict[tuple[str, ...], str]) -> Unfolded | None:
    """The text with one such spelling less; None where there is none left. `chosen`: functions written before."""
    module = whole.module
    classes = {one.name: one for one in module.tree.body if isinstance(one, ast.ClassDef)}
    for owner in classes.values():
        for method in _methods(owner):
            found = _without_class(whole, method)
            if found is not None:
                return found
            reader = _Class(module, owner, classes, chosen)
            receiver = _receiver(method)
            for part in ast.walk(method) if receiver and method.name != "__init__" else ():
                match part:
                    case ast.Call(func=ast.Attribute(value=ast.Name(id=base)) as called):
                        if base == receiver and called.lineno == called.end_lineno:
                            found = reader.function(whole, part, called)
                    case ast.Attribute(value=ast.Name(id=base), attr=name, ctx=ast.Load()):
                        if base == receiver and part.lineno == part.end_lineno:
                            text = reader.property(name, receiver)
                            found = None if text is None else edited(whole, part, text)
                if found is not None:
                    return found
    for node in ast.walk(module.tree):
        match node:
            case ast.Attribute(value=ast.Name(id=name), attr=attribute, ctx=ast.Load()) if name in classes:
                text = _Class(module, classes[name], classes, chosen).constant(attribute)
                if text is not None and node.lineno == node.end_lineno:
                    return edited(whole, node, text)
    return None


def _methods(owner: ast.ClassDef) -> Iterator[Function]:
    yield from (one for one in owner.body if isinstance(one, Function))


def _decorators(method: Function) -> list[str]:
    return [ast.unparse(one) for one in method.decorator_list]


def _receiver(method: Function) -> str:
    arguments = [*method.args.posonlyargs, *method.args.args]
    static = {"staticmethod", "classmethod"} & set(_decorators(method))
    return arguments[0].arg if arguments and not static else ""


def _without_class(whole: Unfolded, method: Function) -> Unfolded | None:
    """A class method that does not read its class, as a static one."""
    arguments = method.args.args
    if _decorators(method) != ["classmethod"] or not arguments or method.args.posonlyargs:
        return None
    if any(isinstance(part, ast.Name) and part.id == arguments[0].arg for part in ast.walk(method)):
        return None
    first = span_of(whole.module, arguments[0])
    end = span_of(whole.module, arguments[1]) if len(arguments) > 1 else None
    if end is not None and (end.line != first.line or len(method.args.defaults) == len(arguments)):
        return None
    column = first.end_column if end is None else end.column
    decorator = span_of(whole.module, method.decorator_list[0])
    gone = Span(first.line, first.column, first.line, column)
    return rearranged(whole, [(decorator, "staticmethod"), (gone, "")], ())


@dataclass(frozen=True, slots=True)
class _Class:
    """A class of a file with those that it inherits from, and that inherit from it. `chosen`: the functions that have
    been written for attributes which hold one of several."""

    module: Module
    owner: ast.ClassDef
    classes: dict[str, ast.ClassDef]
    chosen: dict[tuple[str, ...], str]

    def _family(self) -> list[ast.ClassDef]:
        ancestors, _ = lineage(self.owner, self.classes)
        heirs = [one for one in self.classes.values() if self.owner in lineage(one, self.classes)[0]]
        return list(dict.fromkeys((*ancestors, *heirs)))

    def _stored(self, name: str) -> list[tuple[Function | None, ast.expr | None]]:
        """All that is assigned to an attribute of that name anywhere in the file, with the `__init__` of the family
        that does it; None for another place, or for a value that cannot be told."""
        constructors = [one for owner in self._family() for one in _methods(owner) if one.name == "__init__"]
        inside: set[ast.AST] = set()
        found: list[tuple[Function | None, ast.expr | None]] = []
        for method in constructors:
            for part in ast.walk(method):
                if isinstance(part, ast.Assign | ast.AnnAssign):
                    targets = part.targets if isinstance(part, ast.Assign) else [part.target]
                    for target in targets:
                        if isinstance(target, ast.Attribute) and target.attr == name:
                            inside.add(target)
                            found.append((method, part.value))
        for part in ast.walk(self.module.tree):
            match part:
                case ast.Attribute(attr=attribute) if attribute == name and not isinstance(part.ctx, ast.Load):
                    if part not in inside:
                        found.append((None, None))
                case ast.Call(func=ast.Name(id="setattr")):
                    found.append((None, None))
        return found

    def _is_bound(self, name: str) -> bool:
        """Whether a class of the family binds a name in its body."""
        for statement in (one for owner in self._family() for one in owner.body):
            if isinstance(statement, Function):
                if statement.name == name:
                    return True
            elif any(isinstance(one, ast.Name) and one.id == name for one in ast.walk(statement)):
                return True
        return False

    # Functions in attributes

    def function(self, whole: Unfolded, call: ast.Call, called: ast.Attribute) -> Unfolded | None:
        """The call of an attribute that holds one function, or one of several that are told apart when it is called."""
        name = called.attr
        stored = self._stored(name)
        if self._is_bound(name) or not stored:
            return None
        given: list[ast.expr] = []
        for method, value in stored:
            found = None if method is None or value is None else self._functions(method, value)
            if found is None:
                return None
            given += found
        texts = list(dict.fromkeys(map(ast.unparse, given)))
        if len(texts) > 1:
            return self._chosen(whole, call, called, texts) if _by_name(given) else None
        if not isinstance(given[0], ast.Lambda):
            return edited(whole, called, texts[0])
        known = free_name(self.module, (name, f"{self.owner.name.lower()}_{name}"))
        if known is None:
            return None
        body = ast.copy_location(ast.Return(copy.deepcopy(given[0].body)), given[0])
        made = Function(known, copy.deepcopy(given[0].args), [body], [], None)
        return inserted(edited(whole, called, known), self.owner, [ast.copy_location(made, given[0])])

    def _functions(self, method: Function, value: ast.expr) -> list[ast.expr] | None:
        """The functions that a value may be: `np.tanh`, `{"relu": relu, "tanh": np.tanh}[name]`."""
        own = {part.arg for part in ast.walk(method.args) if isinstance(part, ast.arg)}
        names = [part for part in ast.walk(method) if isinstance(part, ast.Name)]
        own |= {part.id for part in names if not isinstance(part.ctx, ast.Load)}
        match value:
            case ast.IfExp(body=body, orelse=orelse):
                parts = [self._functions(method, body), self._functions(method, orelse)]
            case ast.Subscript(value=ast.Dict(values=values)):
                parts = [self._functions(method, one) for one in values]
            case ast.Subscript(value=ast.Name(id=name)) if (table := entries_of(self.module, name)) and name not in own:
                parts = [self._functions(method, one) for one in table]
            case ast.Lambda() | ast.Name() | ast.Attribute():
                return [value] if is_function(self.module, value) and not own & _names(value) else None
            case _:
                return None
        return None if None in parts else [one for part in parts for one in part or ()]

    def _chosen(self, whole: Unfolded, call: ast.Call, called: ast.Attribute, texts: list[str]) -> Unfolded | None:
        """The call of a function that calls the one which the attribute holds."""
        plain = [one for one in call.args if not isinstance(one, ast.Starred)]
        if call.keywords or not plain or len(plain) < len(call.args):
            return None
        given = ", ".join(["x", "y", "z"][: len(plain)])
        known = self.chosen.get((called.attr, *texts))
        if len(plain) > 3:
            return None
        start = span_of(self.module, plain[0])
        held = f"{text_at(self.module, span_of(self.module, called))}, "
        before = Span(start.line, start.column, start.line, start.column)
        edits = [(span_of(self.module, called), known or ""), (before, held)]
        if known is not None:
            return rearranged(whole, edits, ())
        known = free_name(self.module, (called.attr, f"{self.owner.name.lower()}_{called.attr}", f"call_{called.attr}"))
        if known is None:
            return None
        self.chosen[(called.attr, *texts)] = known
        *others, last = texts
        lines = [f"def {known}(function, {given}):"]
        for one in others:
            lines += [f"    if function is {one}:", f"        return {one}({given})"]
        said = " or ".join([", ".join(others), last])
        lines += [f"    if function is not {last}:", f'        raise ValueError("{called.attr} must be {said}")']
        lines += [f"    return {last}({given})"]
        edits[0] = (edits[0][0], known)
        return rearranged(whole, edits, [Moved(self.owner, tuple((one, called.lineno) for one in lines))])

    # Properties and constants

    def property(self, name: str, receiver: str) -> str | None:
        """What a property of one expression returns, for an object that is called `receiver`."""
        family = self._family()
        found = [one for owner in family for one in _methods(owner) if one.name == name]
        if len(found) != 1 or _decorators(found[0]) != ["property"] or not lineage(self.owner, self.classes)[1]:
            return None
        method = found[0]
        body = [one for one in method.body if not (isinstance(one, ast.Expr) and isinstance(one.value, ast.Constant))]
        match body:
            case [ast.Return(value=ast.expr() as value)] if not any(
                isinstance(part, ast.Lambda | ast.comprehension | ast.NamedExpr) for part in ast.walk(value)
            ):
                copied = copy.deepcopy(value)
                for part in ast.walk(copied):
                    if isinstance(part, ast.Name) and part.id == _receiver(method):
                        part.id = receiver
                plain = isinstance(copied, ast.Name | ast.Attribute | ast.Call | ast.Subscript | ast.Constant)
                return ast.unparse(copied) if plain else f"({ast.unparse(copied)})"
        return None

    def constant(self, name: str) -> str | None:
        """A number or a text that the body of the class binds a name to, and that nothing binds again."""
        found: list[ast.expr] = []
        for owner in lineage(self.owner, self.classes)[0]:
            for statement in owner.body:
                match statement:
                    case ast.Assign(targets=[ast.Name(id=bound)], value=value) if bound == name:
                        found.append(value)
                    case ast.AnnAssign(target=ast.Name(id=bound), value=ast.expr() as value) if bound == name:
                        found.append(value)
        rebound = any(
            isinstance(part, ast.Attribute) and part.attr == name and not isinstance(part.ctx, ast.Load)
            for part in ast.walk(self.module.tree)
        )
        match found:
            case [ast.Constant(value=bool() | int() | float() | str()) as value] if not rebound:
                return text_at(self.module, span_of(self.module, value))
            case [ast.UnaryOp(op=ast.USub(), operand=ast.Constant()) as value] if not rebound:
                return f"({text_at(self.module, span_of(self.module, value))})"
        return None


def _names(node: ast.expr) -> set[str]:
    return {part.id for part in ast.walk(node) if isinstance(part, ast.Name)}


def _by_name(functions: list[ast.expr]) -> bool:
    """Whether functions are told apart by what they are called."""
    return not any(isinstance(one, ast.Lambda) for one in functions)
