"""Calls of objects that hold nothing but settings: `self.activation(z)`, where `__init__` makes one of several classes.

    def activation(function: object, x):
        if isinstance(function, Sigmoid):
            return sigmoid(x)
        if not isinstance(function, LeakyReLU):
            raise TypeError("activation must be of Sigmoid or LeakyReLU")
        return leaky_relu(x, function.alpha)

Such an object is no layer, which would keep what its last call left on it: it may be called in every step of a loop.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping, Sequence

from flatgrad.frontend.closures import defaults_of
from flatgrad.frontend.contracts import lineage, method_of
from flatgrad.frontend.known_functions import entries_of, free_name
from flatgrad.frontend.lifting import Family
from flatgrad.frontend.rewriting import Moved, rearranged
from flatgrad.frontend.source import Module, span_of, text_at
from flatgrad.frontend.unfolding import Unfolded
from flatgrad.ir.core import Span

Function = ast.FunctionDef
Made = dict[tuple[str, ...], str]


def without_held_object(whole: Unfolded, made: Made) -> Unfolded | None:
    """The text with one such call less; None where there is none left. `made`: the functions written before."""
    module = whole.module
    classes = {one.name: one for one in module.tree.body if isinstance(one, ast.ClassDef)}
    for owner in classes.values():
        for method in (one for one in owner.body if isinstance(one, Function)):
            arguments = [*method.args.posonlyargs, *method.args.args]
            if method.name == "__init__" or method.name.startswith("backward") or not arguments:
                continue
            for part in ast.walk(method):
                match part:
                    case ast.Call(func=ast.Attribute(value=ast.Attribute(value=ast.Name(id=base)) as held, attr=name)):
                        pass
                    case ast.Call(func=ast.Attribute(value=ast.Name(id=base)) as held):
                        name = "__call__"
                    case _:
                        continue
                if base == arguments[0].arg and not name.startswith("backward"):
                    found = _rewritten(whole, classes, owner, part, held, name, made)
                    if found is not None:
                        return found
    return None


def _rewritten(
    whole: Unfolded,
    classes: Mapping[str, ast.ClassDef],
    owner: ast.ClassDef,
    call: ast.Call,
    held: ast.Attribute,
    name: str,
    made: Made,
) -> Unfolded | None:
    module = whole.module
    kinds = _kinds(module, classes, owner, held.attr)
    plain = call.args and not call.keywords and not any(isinstance(one, ast.Starred) for one in call.args)
    if not kinds or not plain or call.func.lineno != call.func.end_lineno or not _apart(kinds, classes):
        return None
    key = (name, *kinds)
    known = made.get(key)
    given = f"{text_at(module, span_of(module, held))}, "
    moved: list[Moved] = []
    if known is None:
        functions: list[tuple[str, str, Sequence[str]]] = []
        taken: set[str] = set()
        for kind in kinds:
            family = Family(module, classes[kind], classes)
            method = family.method(name)
            if method is None or not family.is_pure(method, ()) or defaults_of(method):
                return None
            if len(method.args.args) - 1 != len(call.args):
                return None
            wanted = _snake(kind) if name == "__call__" else f"{_snake(kind)}_{name}"
            lifted = family.with_callees(name, taken, wanted)
            if not all(_is_setting(classes[kind], classes, one) for one in lifted[name].attributes):
                return None
            taken |= {one.name for one in lifted.values()}
            moved += [Moved(owner, one.lines) for one in lifted.values()]
            functions.append((kind, lifted[name].name, list(lifted[name].attributes)))
        if len(functions) == 1 and not functions[0][2]:
            # There is nothing to tell apart, and nothing that the object knows.
            known = functions[0][1]
        else:
            known = free_name(module, (held.attr, f"{owner.name.lower()}_{held.attr}", f"call_{held.attr}"))
            if known is None or known in taken:
                return None
            lines = _chooser(known, held.attr, functions, len(call.args))
            moved.append(Moved(owner, tuple((line, call.lineno) for line in lines)))
        made[key] = known
    start = span_of(module, call.args[0])
    before = Span(start.line, start.column, start.line, start.column)
    edits = [(span_of(module, call.func), known)]
    if len(module.functions[known].args.args if known in module.functions else ()) > len(call.args) or any(
        line.startswith(f"def {known}(function: object") for one in moved for line, _ in one.lines
    ):
        edits.append((before, given))
    return rearranged(whole, edits, moved)


def _chooser(
    name: str, attribute: str, functions: Sequence[tuple[str, str, Sequence[str]]], count: int
) -> Iterator[str]:
    """The lines of the function that tells the objects apart."""
    given = ["x", "y", "z", *(f"x{k}" for k in range(3, count))][:count]
    yield f"def {name}(function: object, {', '.join(given)}):"
    *others, last = functions

    def called(function: str, attributes: Sequence[str]) -> str:
        return f"{function}({', '.join([*given, *(f'function.{one}' for one in attributes)])})"

    for kind, function, attributes in others:
        yield f"    if isinstance(function, {kind}):"
        yield f"        return {called(function, attributes)}"
    kind, function, attributes = last
    said = " or ".join(filter(None, [", ".join(one for one, *_ in others), kind]))
    yield f"    if not isinstance(function, {kind}):"
    yield f'        raise TypeError("{attribute} must be of {said}")'
    yield f"    return {called(function, attributes)}"


def _kinds(module: Module, classes: Mapping[str, ast.ClassDef], owner: ast.ClassDef, attribute: str) -> list[str]:
    """The classes of the file one of which an attribute holds an object of; nothing where that is not known."""
    family = [*lineage(owner, classes)[0], *(one for one in classes.values() if owner in lineage(one, classes)[0])]
    found: list[str] = []
    for one in dict.fromkeys(family):
        for method in (part for part in one.body if isinstance(part, Function)):
            for part in ast.walk(method):
                if not isinstance(part, ast.Assign):
                    continue
                for target in part.targets:
                    if any(isinstance(each, ast.Attribute) and each.attr == attribute for each in ast.walk(target)):
                        made = _made(module, classes, part.value) if isinstance(target, ast.Attribute) else None
                        if made is None or method.name != "__init__":
                            return []
                        found += made
    return list(dict.fromkeys(found)) if found and not _set_elsewhere(module, attribute) else []


def _set_elsewhere(module: Module, attribute: str) -> bool:
    """Whether an attribute of that name is assigned to something that is called otherwise than `self`."""
    for part in ast.walk(module.tree):
        match part:
            case ast.Call(func=ast.Name(id="setattr")):
                return True
            case ast.Attribute(value=ast.Name(id="self")):
                pass
            case ast.Attribute(attr=name) if name == attribute and not isinstance(part.ctx, ast.Load):
                return True
    return False


def _made(module: Module, classes: Mapping[str, ast.ClassDef], value: ast.expr) -> list[str] | None:
    """The classes of the objects that an expression may make; None where that is not known."""
    match value:
        case ast.Call(func=ast.Name(id=name)) if name in classes:
            return [name]
        case ast.Call(func=ast.Subscript(value=table)):
            values = entries_of(module, table.id) if isinstance(table, ast.Name) else []
            values = table.values if isinstance(table, ast.Dict) else values
            names = [one.id for one in values if isinstance(one, ast.Name) and one.id in classes]
            return names if names and len(names) == len(values) else None
        case ast.Subscript(value=ast.Dict(values=values)):
            made = [_made(module, classes, one) for one in values]
        case ast.IfExp(body=body, orelse=orelse):
            made = [_made(module, classes, body), _made(module, classes, orelse)]
        case _:
            return None
    return None if None in made else [name for one in made for name in one or ()]


def _apart(kinds: Sequence[str], classes: Mapping[str, ast.ClassDef]) -> bool:
    """Whether no class of the file inherits from one of these: `isinstance` tells them apart."""
    bases = {base.name for one in classes.values() for base in lineage(one, classes)[0][1:]}
    return not bases & set(kinds) and all(not classes[one].decorator_list for one in kinds)


def _is_setting(owner: ast.ClassDef, classes: Mapping[str, ast.ClassDef], attribute: str) -> bool:
    """Whether an attribute is a number that `__init__` is given, or knows: nothing that is learnt."""
    found = method_of("__init__", lineage(owner, classes)[0])
    if found is None:
        return False
    constants = {name for name, one in defaults_of(found[1]).items() if isinstance(one, ast.Constant)}
    values = [
        part.value
        for part in ast.walk(found[1])
        if isinstance(part, ast.Assign)
        for target in part.targets
        if isinstance(target, ast.Attribute) and target.attr == attribute
    ]
    return len(values) == 1 and all(
        isinstance(one, ast.Constant) or (isinstance(one, ast.Name) and one.id in constants) for one in values
    )


def _snake(name: str) -> str:
    """`LeakyReLU` as `leaky_relu`."""
    return re.sub(r"(?<=[a-z])(?=[A-Z][A-Za-z])", "_", name.replace("ReLU", "Relu")).lower()
