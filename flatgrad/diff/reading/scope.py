"""The variables of a forward pass, as gradients are named after them, and what it caches under which name."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping, Sequence

from flatgrad.frontend.liveness import arguments, own_statements, root_name, stores

Function = ast.FunctionDef


def parameters(node: Function, method: bool) -> tuple[str, ...]:
    """The parameters that are arguments; of a method without its object."""
    names = tuple(one.arg for one in [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs])
    return names[1:] if method and not is_static(node) else names


def required(node: Function, method: bool) -> tuple[str, ...]:
    """The parameters that have no default value."""
    given = [*node.args.posonlyargs, *node.args.args]
    optional = {one.arg for one in given[len(given) - len(node.args.defaults) :]} if node.args.defaults else set()
    optional |= {
        one.arg for one, value in zip(node.args.kwonlyargs, node.args.kw_defaults, strict=True) if value is not None
    }
    return tuple(name for name in parameters(node, method) if name not in optional)


def is_static(node: Function) -> bool:
    return any(isinstance(one, ast.Name) and one.id == "staticmethod" for one in node.decorator_list)


def receiver(node: Function) -> str:
    """What a method calls its object; empty for a static one."""
    given = arguments(node.args)
    return given[0].arg if given and not is_static(node) else ""


def variables(statements: Sequence[ast.stmt], given: Iterable[str], receiver: str = "") -> tuple[str, ...]:
    """What forward statements name: parameters first, then names, attributes and the keys of dicts.

    Left out is what carries no gradient for certain: sizes, the variable of a `for` over a range, caches.

    Args:
        statements: the statements, each looked at without those inside it.
        given: the parameters.
        receiver: what a method calls its object.
    """
    found: dict[str, None] = dict.fromkeys(given)
    sizes = {name for statement in statements for name in _sizes(statement)}
    roots = {receiver, *given}
    for statement in statements:
        for part in _own_parts(statement):
            match part:
                case ast.Name(id=name, ctx=ast.Store()):
                    found.setdefault(name)
                case ast.Attribute(value=ast.Name(id=root), attr=name) if root == receiver:
                    found.setdefault(name)
                case ast.Subscript(value=holder, slice=ast.Constant(value=str(key)), ctx=ctx):
                    if root_name(holder) in roots | found.keys() or isinstance(ctx, ast.Store):
                        found.setdefault(key)
    left_out = sizes - set(given)
    return tuple(name for name in found if name and name not in left_out and not is_cache(name) and name != receiver)


def unpacked(statements: Iterable[ast.stmt], roots: Iterable[str]) -> set[str]:
    """The names that stand for parts of what is given: `W, b = self.params`, `W1 = params["W1"]`."""
    given = set(roots)
    found: set[str] = set()
    for one in statements:
        match one:
            case ast.Assign(targets=[ast.Tuple(elts=parts)], value=ast.Tuple(elts=values)) if len(parts) == len(values):
                for part, value in zip(parts, values, strict=True):
                    if root_name(value) in given:
                        found |= stores(part)
            case ast.Assign(targets=targets, value=ast.Subscript() | ast.Attribute() | ast.Name() as value):
                if root_name(value) in given:
                    found |= {name for target in targets for name in stores(target)}
    return found


def is_cache(name: str) -> bool:
    """Whether a name is that of what the forward pass keeps for the backward pass."""
    words = name.lower().strip("_").split("_")
    return words[-1] in (
        "cache",
        "caches",
        "memory",
        "ctx",
        "context",
        "saved",
        "tape",
        "meta",
        "intermediates",
        "store",
    ) or (words[0] in ("cache", "cached") or name.lower() in ("fwd", "forward_pass", "tmp_cache", "values_cache"))


def _own_parts(statement: ast.stmt) -> Iterator[ast.AST]:
    for part in ast.iter_child_nodes(statement):
        if isinstance(part, ast.expr):
            yield from ast.walk(part)


def _sizes(statement: ast.stmt) -> Iterator[str]:
    match statement:
        case ast.Assign(targets=targets, value=value) if _is_size(value):
            for target in targets:
                yield from stores(target)
                if isinstance(target, ast.Attribute):
                    yield target.attr
        case ast.Assign(targets=[ast.Tuple(elts=parts)], value=ast.Tuple(elts=values)) if len(parts) == len(values):
            for part, value in zip(parts, values, strict=True):
                if _is_size(value):
                    yield from stores(part)
        case ast.For(target=target, iter=ast.Call(func=ast.Name(id="range" | "reversed" | "xrange" | "trange"))):
            yield from stores(target)
        case ast.For(target=ast.Tuple(elts=[ast.Name(id=name), *_]), iter=ast.Call(func=ast.Name(id="enumerate"))):
            yield name


def _is_size(node: ast.expr) -> bool:
    match node:
        case ast.Attribute(attr="shape" | "size" | "ndim" | "dtype"):
            return True
        case ast.Subscript(value=value):
            return _is_size(value)
        case ast.Call(func=ast.Name(id="len")):
            return True
        case ast.Call(func=ast.Attribute(attr="shape")):  # np.shape(x)
            return True
        case ast.Call(func=ast.Name(id="int"), args=[value]):
            return True
        case ast.BinOp(left=left, op=ast.FloorDiv()):
            return True
        case ast.Tuple(elts=parts):
            return bool(parts) and all(map(_is_size, parts))
        case ast.BinOp(left=left, right=right):
            return _is_size(left) and isinstance(right, ast.Constant)
    return False


# What backward calls the things that forward keeps


def aliases(
    forward: Sequence[ast.stmt], kept: ast.expr | None, backward: Sequence[ast.stmt], cache: str, receiver: str = ""
) -> dict[str, str]:
    """For each name that the backward pass binds to a variable of the forward pass, that variable's name.

    Args:
        forward: the forward statements.
        kept: the expression that they return as the cache.
        backward: the backward statements.
        cache: the parameter that takes the cache.
        receiver: what methods call their object: `W, b = self.W, self.b`.
    """
    found: dict[str, str] = {}
    shapes: dict[str, ast.expr] = {}
    for statement in own_statements(forward):
        if isinstance(statement, ast.Assign):
            for target in statement.targets:
                if isinstance(target, ast.Name):
                    shapes[target.id] = statement.value
    seen: ast.expr | None = kept
    while isinstance(seen, ast.Name) and seen.id in shapes and not isinstance(shapes[seen.id], ast.Name):
        seen = shapes.pop(seen.id)
    for statement in own_statements(backward):
        if isinstance(statement, ast.Assign):
            for target in statement.targets:
                found |= _paired(target, statement.value, seen, cache, receiver)
    return {name: to for name, to in found.items() if name != to}


def _paired(target: ast.expr, value: ast.expr, kept: ast.expr | None, cache: str, receiver: str) -> Mapping[str, str]:
    match target, value:
        case ((ast.Tuple(elts=parts) | ast.List(elts=parts)), ast.Name(id=name)) if name == cache:
            values = kept.elts if isinstance(kept, ast.Tuple | ast.List) else []
            if len(values) != len(parts):
                return {}
            return _named(parts, values, receiver)
        case ((ast.Tuple(elts=parts)), ast.Tuple(elts=values)) if len(parts) == len(values):
            found: dict[str, str] = {}
            for part, one in zip(parts, values, strict=True):
                found |= _paired(part, one, kept, cache, receiver)
            return found
        case ast.Name(id=name), ast.Name(id=other) if other == cache:
            if isinstance(kept, ast.Name):
                return {name: kept.id}
        case ast.Name(id=name), ast.Subscript(value=ast.Name(id=other), slice=ast.Constant(value=key)):
            if other != cache:
                return {}
            if (
                isinstance(key, int)
                and isinstance(kept, ast.Tuple | ast.List)
                and -len(kept.elts) <= key < len(kept.elts)
            ):
                return _named([target], [kept.elts[key]], receiver)
            if isinstance(key, str) and isinstance(kept, ast.Dict):
                for label, given in zip(kept.keys, kept.values, strict=True):
                    if isinstance(label, ast.Constant) and label.value == key:
                        return _named([target], [given], receiver)
            if isinstance(key, str):
                return {name: key}
        case ast.Name(id=name), ast.Attribute(value=ast.Name(id=root), attr=other) if root == receiver and receiver:
            return {name: other}
    return {}


def _named(parts: Sequence[ast.expr], values: Sequence[ast.expr], receiver: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for part, value in zip(parts, values, strict=True):
        match part, value:
            case ast.Name(id=name), ast.Name(id=other):
                found[name] = other
            case ast.Name(id=name), ast.Attribute(value=ast.Name(id=root), attr=other) if root == receiver and receiver:
                found[name] = other
            case ((ast.Tuple(elts=inner)), (ast.Tuple(elts=given))) if len(inner) == len(given):
                found |= _named(inner, given, receiver)
    return found


# Attributes of the object


def methods_of(owner: ast.ClassDef) -> dict[str, Function]:
    return {one.name: one for one in owner.body if isinstance(one, ast.FunctionDef)}


def reached(owner: ast.ClassDef | None, node: Function, functions: Mapping[str, Function]) -> list[Function]:
    """A function and the others of its file or class that it calls, in the order in which they are met."""
    methods = methods_of(owner) if owner is not None else {}
    found = [node]
    for one in found:
        me = receiver(one) if owner is not None else ""
        for part in ast.walk(one):
            called: Function | None = None
            match part:
                case ast.Call(func=ast.Attribute(value=ast.Name(id=root), attr=name)) if root == me and me:
                    called = methods.get(name) or methods.get(f"_{owner.name if owner else ''}{name}")
                case ast.Call(func=ast.Name(id=name)):
                    called = functions.get(name)
            if called is not None and called not in found:
                found.append(called)
    return found


def attributes_read(owner: ast.ClassDef, node: Function) -> tuple[str, ...]:
    """The attributes that a method and those that it calls read and do not assign; methods and objects left out."""
    methods = methods_of(owner)
    loaded: dict[str, tuple[int, int]] = {}
    stored: set[str] = set()
    for one in reached(owner, node, {}):
        me = receiver(one)
        for part in ast.walk(one):
            match part:
                case ast.Attribute(value=ast.Name(id=root), attr=name, ctx=ctx) if root == me and me:
                    if isinstance(ctx, ast.Load):
                        here = (part.lineno, part.col_offset)
                        loaded[name] = min(loaded.get(name, here), here)
                    else:
                        stored.add(name)
    constants = {
        name for one in owner.body if isinstance(one, ast.Assign) for target in one.targets for name in stores(target)
    }
    gone = stored | methods.keys() | constants | objects(owner)
    return tuple(sorted(loaded.keys() - gone, key=lambda name: loaded[name]))


def objects(owner: ast.ClassDef) -> set[str]:
    """The attributes that hold objects of classes, or lists of them: `self.linear = Linear(…)`."""
    found: set[str] = set()
    for method in methods_of(owner).values():
        me = receiver(method)
        for part in ast.walk(method):
            match part:
                case ast.Assign(targets=targets, value=value) if _makes_objects(value):
                    for target in targets:
                        match target:
                            case ast.Attribute(value=ast.Name(id=root), attr=name) if root == me:
                                found.add(name)
                            case ast.Subscript(value=ast.Attribute(value=ast.Name(id=root), attr=name)) if root == me:
                                found.add(name)
                case ast.Call(
                    func=ast.Attribute(
                        value=ast.Attribute(value=ast.Name(id=root), attr=name), attr="forward" | "backward"
                    )
                ) if root == me:
                    found.add(name)
                case ast.For(iter=ast.Attribute(value=ast.Name(id=root), attr=name), target=ast.Name(id=one)) if (
                    root == me
                ):
                    if _called_on(one, part):
                        found.add(name)
    return found


def _called_on(name: str, loop: ast.For) -> bool:
    for part in ast.walk(loop):
        match part:
            case ast.Call(func=ast.Attribute(value=ast.Name(id=root), attr="forward" | "backward")) if root == name:
                return True
            case ast.Call(func=ast.Name(id=root)) if root == name:
                return True
    return False


def _makes_objects(node: ast.expr) -> bool:
    match node:
        case ast.Call(func=ast.Name(id=name)):
            return name[:1].isupper() and name not in ("OrderedDict",)
        case ast.List(elts=parts) | ast.Tuple(elts=parts):
            return bool(parts) and all(map(_makes_objects, parts))
        case ast.ListComp(elt=inner):
            return _makes_objects(inner)
    return False
