"""Layers that a method makes for each step, with the weights that it has itself.

    layer = RNN(*self.params)
    h = layer.forward(x[:, t], h)        is read as        h = rnn_forward(x[:, t], h, Wx, Wh, b)
    self.layers.append(layer)

The layer is there to hold what its backward pass needs of one step; the cache of the function holds that.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from flatgrad.frontend.closures import defaults_of
from flatgrad.frontend.contracts import lineage
from flatgrad.frontend.known_functions import free_name
from flatgrad.frontend.lifting import edited_lines
from flatgrad.frontend.methods import FORWARD
from flatgrad.frontend.rewriting import Moved, rearranged
from flatgrad.frontend.source import Module, header_end, span_of, text_at
from flatgrad.frontend.unfolding import Unfolded
from flatgrad.ir.core import Span

Function = ast.FunctionDef


def without_local_layer(whole: Unfolded, made: dict[str, str]) -> Unfolded | None:
    """The text with one such layer less; None where there is none left. `made`: the function for each class."""
    module = whole.module
    classes = {one.name: one for one in module.tree.body if isinstance(one, ast.ClassDef)}
    for owner in classes.values():
        for method in (one for one in owner.body if isinstance(one, Function)):
            if method.name == "__init__" or method.name.startswith("backward"):
                continue
            for part in ast.walk(method):
                match part:
                    case ast.Assign(targets=[ast.Name(id=name)], value=ast.Call(func=ast.Name(id=kind)) as call):
                        if kind in classes and classes[kind] is not owner:
                            use = _use(owner, method, part, name)
                            step = _step(module, classes, kind)
                            if use is not None and step is not None:
                                found = _rewritten(whole, method, call, use, step, made)
                                if found is not None:
                                    return found
    return None


@dataclass(frozen=True, slots=True)
class _Use:
    """What a method does with a layer that it makes: the one call, and the statements that fall away."""

    call: ast.Call
    gone: tuple[ast.stmt, ...]


def _use(owner: ast.ClassDef, method: Function, made: ast.Assign, name: str) -> _Use | None:
    names = [part for part in ast.walk(method) if isinstance(part, ast.Name) and part.id == name]
    allowed: set[ast.AST] = {made.targets[0]}
    calls: list[ast.Call] = []
    gone: list[ast.stmt] = [made]
    holders: list[ast.expr] = []
    for part in ast.walk(method):
        match part:
            case ast.Call(func=ast.Attribute(value=ast.Name() as layer, attr=called)) if layer in names:
                if called in FORWARD:
                    calls.append(part)
                    allowed.add(layer)
            case ast.Call(func=ast.Name() as layer) if layer in names:
                calls.append(part)
                allowed.add(layer)
            case ast.Expr(value=ast.Call(func=ast.Attribute(value=holder, attr="append"), args=[ast.Name() as layer])):
                if layer in names:
                    gone.append(part)
                    allowed.add(layer)
                    holders.append(holder)
    if len(calls) != 1 or any(one not in allowed for one in names):
        return None
    for holder in holders:
        filled = _filled(owner, method, holder)
        if filled is None:
            return None
        gone += filled
    return _Use(calls[0], tuple(gone))


def _filled(owner: ast.ClassDef, method: Function, holder: ast.expr) -> list[ast.stmt] | None:
    """The statements that empty the list which such layers are put in; None where something else reads it."""
    text = ast.unparse(holder)
    emptied = [
        part
        for part in ast.walk(method)
        if isinstance(part, ast.Assign) and len(part.targets) == 1 and ast.unparse(part.targets[0]) == text
    ]
    if not all(isinstance(one.value, ast.List) and not one.value.elts for one in emptied):
        return None
    match holder:
        case ast.Attribute(value=ast.Name(id=receiver), attr=name) if receiver == method.args.args[0].arg:
            others = [one for one in owner.body if isinstance(one, Function) and not one.name.startswith("backward")]
            reads = sum(
                isinstance(part, ast.Attribute) and part.attr == name and isinstance(part.ctx, ast.Load)
                for one in others
                for part in ast.walk(one)
            )
        case ast.Name(id=name):
            reads = sum(
                isinstance(part, ast.Name) and part.id == name and isinstance(part.ctx, ast.Load)
                for part in ast.walk(method)
            )
        case _:
            return None
    return list(emptied) if reads == 1 and emptied else None


@dataclass(frozen=True, slots=True)
class _Step:
    """The forward method of a class as a function: its parameters, those of `__init__` behind them with other names
    for them and the defaults that they have, and its lines with those that they come from."""

    kind: ast.ClassDef
    parameters: tuple[str, ...]
    given: tuple[str, ...]
    called: Mapping[str, str]
    defaults: Mapping[str, ast.expr]
    lines: tuple[tuple[str, int], ...]


def _step(module: Module, classes: Mapping[str, ast.ClassDef], name: str) -> _Step | None:
    kind = classes[name]
    family, whole = lineage(kind, classes)
    methods = {one.name: one for one in kind.body if isinstance(one, Function)}
    forward = next((methods[one] for one in FORWARD if one in methods), None)
    constructor = methods.get("__init__")
    if forward is None or constructor is None or len(family) > 1 or not whole or kind.decorator_list:
        return None
    for one in (forward, constructor):
        plain = not one.args.vararg and not one.args.kwarg and not one.args.kwonlyargs and not one.args.posonlyargs
        if not plain or one.decorator_list or not one.args.args:
            return None
    if forward.args.defaults or forward.body[0].lineno == forward.lineno:
        return None
    if not all(_only_holds(constructor, one) for one in constructor.body):
        return None  # what else it does would be left out
    if any(one.decorator_list or one.name in _OWN_WAYS for one in methods.values()):
        return None  # an attribute may be a property
    held = _held(constructor)
    given = tuple(one.arg for one in constructor.args.args[1:])
    found = _edits(module, forward, held, given, {})
    called: dict[str, str] = {}
    if found is None:
        # What forward calls like a parameter of `__init__` may be something else.
        names = {part.id for part in ast.walk(forward) if isinstance(part, ast.Name)}
        called = {one: f"{one}_in" for one in given if one in names}
        found = _edits(module, forward, held, given, called)
    if found is None:
        return None
    changed, gone, read = found
    needed = tuple(one for one in given if one in read)
    parameters = tuple(one.arg for one in forward.args.args[1:])
    lines = edited_lines(module, changed)
    dropped = {number for one in gone for number in range(one.lineno, (one.end_lineno or one.lineno) + 1)}
    indent = forward.col_offset
    first, last = header_end(module, forward)[0] + 1, forward.end_lineno or forward.lineno
    body = tuple(
        (line[indent:] if not line[:indent].strip() else line, number)
        for number, line in enumerate(lines[first - 1 : last], first)
        if number not in dropped
    )
    if set(parameters) & {called.get(one, one) for one in needed}:
        return None
    return _Step(kind, parameters, needed, called, defaults_of(constructor), ((("", forward.lineno)), *body))


# Methods that change what making an object, or reading an attribute, does.
_OWN_WAYS = frozenset({"__new__", "__getattr__", "__getattribute__", "__setattr__"})
# What a layer makes for gradients to stand in.
_MAKES = frozenset({"zeros_like", "zeros", "ones_like", "ones", "empty_like", "empty"})


def _only_holds(constructor: Function, statement: ast.stmt) -> bool:
    """Whether a statement of `__init__` does nothing but give attributes of the object what it was given."""
    match statement:
        case ast.Pass() | ast.Expr(value=ast.Constant()):
            return True
        case ast.Assign(targets=targets, value=value):
            ends = [one for target in targets for one in (target.elts if isinstance(target, ast.Tuple) else [target])]
        case ast.AnnAssign(target=target, value=ast.expr() as value):
            ends = [target]
        case _:
            return False
    receiver = constructor.args.args[0].arg
    for part in ast.walk(value):
        match part:
            case ast.Call(func=ast.Attribute(value=ast.Name(id="np" | "numpy"), attr=name)) if name in _MAKES:
                pass
            case ast.Call() | ast.NamedExpr() | ast.Await():
                return False
    return all(
        isinstance(one, ast.Attribute) and isinstance(one.value, ast.Name) and one.value.id == receiver for one in ends
    )


def _held(constructor: Function) -> dict[str, ast.expr]:
    """What the attributes of an object are made of: parameters, constants, lists of parameters."""
    receiver = constructor.args.args[0].arg
    given = {one.arg for one in constructor.args.args[1:]}
    found: dict[str, ast.expr] = {}
    names = [part for part in ast.walk(constructor) if isinstance(part, ast.Name)]
    again = {part.id for part in names if not isinstance(part.ctx, ast.Load)}
    for statement in constructor.body:
        if not isinstance(statement, ast.Assign):
            continue
        for target in statement.targets:
            targets = target.elts if isinstance(target, ast.Tuple) else [target]
            whole = statement.value.elts if isinstance(statement.value, ast.Tuple) and len(targets) > 1 else []
            values = whole if len(whole) == len(targets) else [statement.value] * len(targets)
            for one, value in zip(targets, values, strict=True):
                match one:
                    case ast.Attribute(value=ast.Name(id=base), attr=name) if base == receiver:
                        stored = sum(
                            isinstance(p, ast.Attribute) and p.attr == name and not isinstance(p.ctx, ast.Load)
                            for p in ast.walk(constructor)
                        )
                        parts = value.elts if isinstance(value, ast.List | ast.Tuple) else [value]
                        plain = all(
                            (isinstance(p, ast.Name) and p.id in given - again) or isinstance(p, ast.Constant)
                            for p in parts
                        )
                        if plain and stored == 1 and (len(targets) == 1 or whole):
                            found[name] = value
    return found


def _edits(
    module: Module, forward: Function, held: Mapping[str, ast.expr], given: Sequence[str], called: Mapping[str, str]
) -> tuple[list[tuple[Span, str]], list[ast.stmt], set[str]] | None:
    """What makes a function of the body of forward: the edits, the statements that fall away, and the parameters of
    `__init__` that it reads; None where it cannot be one. `called`: other names for these parameters."""
    receiver = forward.args.args[0].arg
    edits: list[tuple[Span, str]] = []
    gone: list[ast.stmt] = []
    read: set[str] = set()
    own: set[ast.AST] = set()
    attributes = [
        part
        for part in ast.walk(forward)
        if isinstance(part, ast.Attribute) and isinstance(part.value, ast.Name) and part.value.id == receiver
    ]
    stored = {part.attr for part in attributes if not isinstance(part.ctx, ast.Load)}
    loaded = {part.attr for part in attributes if isinstance(part.ctx, ast.Load)}
    local = {part.id for part in ast.walk(forward) if isinstance(part, ast.Name)}
    for statement in forward.body:
        match statement:
            case ast.Assign(targets=[ast.Attribute(value=ast.Name(id=base), attr=name)], value=value) if (
                base == receiver and name not in loaded and _is_names(value, receiver)
            ):
                # `self.cache = (x, h)`
                gone.append(statement)
                own |= set(ast.walk(statement))
            case ast.Assign(targets=[ast.Tuple(elts=targets)], value=ast.Attribute(attr=name) as value) if (
                value in attributes and name in held and name not in stored and isinstance(held[name], ast.List)
            ):
                # `Wx, Wh, b = self.params`
                whole = held[name]
                elements = whole.elts if isinstance(whole, ast.List) else []
                texts = [one.id for one in elements if isinstance(one, ast.Name)]
                if [ast.unparse(one) for one in targets] != texts:
                    return None
                gone.append(statement)
                read.update(texts)
                own |= set(ast.walk(statement))
    for part in attributes:
        if part in own:
            continue
        if part.lineno != part.end_lineno:
            return None
        if part.attr in stored:
            if part.attr in held or part.attr in local | set(given):
                return None
            edits.append((span_of(module, part), part.attr))
            continue
        match held.get(part.attr):
            case ast.Name(id=name):
                read.add(name)
                edits.append((span_of(module, part), called.get(name, name)))
            case ast.Constant() as constant:
                edits.append((span_of(module, part), text_at(module, span_of(module, constant))))
            case _:
                return None
    names = [part for part in ast.walk(forward) if isinstance(part, ast.Name) and part.id == receiver]
    if any(part not in own and not any(one.value is part for one in attributes) for part in names):
        return None
    bound = {
        part.id
        for part in ast.walk(forward)
        if isinstance(part, ast.Name) and not isinstance(part.ctx, ast.Load) and part not in own
    }
    return None if any(name in bound and name not in called for name in read) else (edits, gone, read)


def _is_names(node: ast.expr, receiver: str) -> bool:
    """A name, or a display of names: what only keeps values for backward."""
    parts = node.elts if isinstance(node, ast.Tuple | ast.List) else [node]
    return all(isinstance(one, ast.Name | ast.Constant) for one in parts)


def _arguments(method: Function, call: ast.Call, step: _Step, constructor: Function) -> dict[str, str] | None:
    """What each parameter of `__init__` is given, as text."""
    every = [one.arg for one in constructor.args.args[1:]]
    match call.args:
        case [ast.Starred(value=whole)] if not call.keywords:
            if any(isinstance(part, ast.Call) for part in ast.walk(whole)):
                return None
            text = ast.unparse(whole)
            unpacked = _unpacked(method, text, len(every))
            return dict(zip(every, unpacked or [f"{text}[{k}]" for k in range(len(every))], strict=True))
    if any(isinstance(one, ast.Starred) for one in call.args) or any(one.arg is None for one in call.keywords):
        return None
    if len(call.args) > len(every):
        return None
    found = {name: ast.unparse(one) for name, one in zip(every, call.args, strict=False)}
    found |= {str(one.arg): ast.unparse(one.value) for one in call.keywords}
    for name in step.given:
        default = step.defaults.get(name)
        if name not in found:
            if not isinstance(default, ast.Constant):
                return None
            found[name] = ast.unparse(default)
    plain = all(not any(isinstance(part, ast.Call) for part in ast.walk(one)) for one in call.args)
    return found if plain else None


def _unpacked(method: Function, text: str, count: int) -> list[str] | None:
    """The names that a list is unpacked into at the head of a method, and that nothing binds again."""
    stores = [part.id for part in ast.walk(method) if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store)]
    reads = [part for part in ast.walk(method) if isinstance(part, ast.expr) and ast.unparse(part) == text]
    if any(not isinstance(getattr(part, "ctx", None), ast.Load) for part in reads) or _is_changed(method, reads):
        return None
    for statement in method.body:
        match statement:
            case ast.Assign(targets=[ast.Tuple(elts=targets)], value=value) if ast.unparse(value) == text:
                names = [one.id for one in targets if isinstance(one, ast.Name)]
                if len(names) == len(targets) == count and all(stores.count(one) == 1 for one in names):
                    return names
    return None


def _is_changed(method: Function, reads: Sequence[ast.expr]) -> bool:
    """Whether an element of a list is bound again, or a method of it called."""
    for part in ast.walk(method):
        match part:
            case ast.Subscript(value=value) if value in reads and not isinstance(part.ctx, ast.Load):
                return True
            case ast.Attribute(value=value) if value in reads:
                return True
    return False


def _rewritten(
    whole: Unfolded, method: Function, made: ast.Call, use: _Use, step: _Step, known: dict[str, str]
) -> Unfolded | None:
    module = whole.module
    constructor = next(one for one in step.kind.body if isinstance(one, Function) and one.name == "__init__")
    given = _arguments(method, made, step, constructor)
    call = use.call
    if given is None or not _stay(method, made, call, [ast.parse(one, mode="eval") for one in given.values()]):
        return None
    stars = any(isinstance(one, ast.Starred) for one in call.args) or bool(call.keywords)
    if stars or len(call.args) != len(step.parameters) or not call.args:
        return None
    if call.func.lineno != call.func.end_lineno or not all(_is_alone(module, one) for one in use.gone):
        return None
    name = known.get(step.kind.name)
    moved: list[Moved] = []
    if name is None:
        plain = step.kind.name.lower()
        name = free_name(module, (f"{plain}_forward", f"{plain}_step_forward"))
        if name is None:
            return None
        known[step.kind.name] = name
        (_, head), *body = step.lines
        own = (step.called.get(one, one) for one in step.given)
        moved = [Moved(step.kind, ((f"def {name}({', '.join((*step.parameters, *own))}):", head), *body))]
    end = span_of(module, call)
    more = "".join(f", {given[one]}" for one in step.given)
    edits = [
        (span_of(module, call.func), name),
        (Span(end.end_line, end.end_column - 1, end.end_line, end.end_column - 1), more),
    ]
    return rearranged(whole, edits, moved, use.gone)


def _stay(method: Function, made: ast.Call, call: ast.Call, given: Sequence[ast.AST]) -> bool:
    """Whether what a layer is made with is the same where it is called, in the same block or further in."""
    for block in _blocks(method):
        first = next((k for k, one in enumerate(block) if isinstance(one, ast.Assign) and one.value is made), None)
        if first is None:
            continue
        last = next((k for k, one in enumerate(block) if k > first and call in ast.walk(one)), None)
        if last is None:
            return False
        parts = [part for one in block[first + 1 : last + 1] for part in ast.walk(one)]
        match block[last]:
            case ast.Assign(targets=targets):  # they are bound when the call is over
                ends = {part for one in targets for part in ast.walk(one)}
                parts = [part for part in parts if part not in ends]
        # A method of the object may assign any attribute of it.
        calls = any(isinstance(part, ast.Call) and _is_method(part.func, method) for part in parts)
        attributes = any(isinstance(part, ast.Attribute) for one in given for part in ast.walk(one))
        return not _roots(given) & _changes(parts) and not (calls and attributes)
    return False


def _is_method(called: ast.expr, method: Function) -> bool:
    match called:
        case ast.Attribute(value=ast.Name(id=base)):
            return base == method.args.args[0].arg
    return False


def _blocks(method: Function) -> Iterator[list[ast.stmt]]:
    for part in ast.walk(method):
        for field in ("body", "orelse", "finalbody"):
            block = getattr(part, field, None)
            if isinstance(block, list):
                yield block


def _roots(given: Sequence[ast.AST]) -> set[str]:
    """The names and the attributes that expressions read."""
    parts = [part for one in given for part in ast.walk(one)]
    attributes = {part.attr for part in parts if isinstance(part, ast.Attribute)}
    return attributes | {part.id for part in parts if isinstance(part, ast.Name)} - {"self", "np"}


def _changes(parts: Sequence[ast.AST]) -> set[str]:
    """The names and the attributes that may be other ones, or hold something else, behind these parts."""
    found: set[str] = set()
    for part in parts:
        if isinstance(part, ast.Name | ast.Attribute | ast.Subscript) and not isinstance(part.ctx, ast.Load):
            inner: ast.AST = part
            while isinstance(inner, ast.Subscript | ast.Attribute):
                found |= {inner.attr} if isinstance(inner, ast.Attribute) else set()
                inner = inner.value
            found |= {inner.id} if isinstance(inner, ast.Name) and inner is part else set()
            found |= {inner.id} if isinstance(part, ast.Subscript) and isinstance(inner, ast.Name) else set()
    return found


def _is_alone(module: Module, statement: ast.stmt) -> bool:
    """Whether a statement has its lines to itself."""
    span = span_of(module, statement)
    before = module.lines[span.line - 1][: span.column]
    behind = module.lines[span.end_line - 1][span.end_column :].strip()
    return not before.strip() and (not behind or behind.startswith("#"))
