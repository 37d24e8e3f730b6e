"""What the statements of a backward pass assign, and where its results are found in what it returns."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from flatgrad.diff.reading.names import is_container
from flatgrad.frontend.liveness import own_statements, reads
from flatgrad.frontend.source import Module, span_of, text_at

Place = tuple[int | str, ...]

_SCATTERS = frozenset(("at", "put", "copyto", "place", "putmask", "fill_diagonal"))


@dataclass(frozen=True, slots=True)
class Target:
    """One thing that a statement assigns, or changes in place.

    Attributes:
        text: a name, an entry or an attribute as it is written: `dx`, `grads["W1"]`, `self.dW`.
        name: what it is called there: `dx`, `W1`, `dW`.
        holder: what holds it: `grads`, `self`, empty for a name.
        key: whether `name` is a key of a dict.
        value: what it is given; None where that is a part of something.
        whole: it is bound anew, not changed.
        statement: the statement.
    """

    text: str
    name: str
    holder: str
    key: bool
    value: ast.expr | None
    whole: bool
    statement: ast.stmt


def targets(module: Module, statements: Iterable[ast.stmt]) -> Iterator[Target]:
    """The targets of statements, nested ones included, in the order of the text."""
    for statement in own_statements(statements):
        yield from _of_statement(module, statement)


def _of_statement(module: Module, statement: ast.stmt) -> Iterator[Target]:
    match statement:
        case ast.Assign(targets=given, value=value):
            for one in given:
                yield from _of(module, one, value, True, statement)
        case ast.AnnAssign(target=one, value=ast.expr() as value):
            yield from _of(module, one, value, True, statement)
        case ast.AugAssign(target=one, value=value):
            yield from _of(module, one, value, False, statement)
        case ast.Expr(value=ast.Call() as call):
            yield from _of_call(module, call, statement)


def _of_call(module: Module, call: ast.Call, statement: ast.stmt) -> Iterator[Target]:
    match call:
        case ast.Call(func=ast.Attribute(attr=method), args=[first, *rest]) if method in _SCATTERS:
            yield from _of(module, first, rest[-1] if rest else None, False, statement)
        case ast.Call(func=ast.Attribute(value=ast.Name() | ast.Attribute() as holder, attr="update")):
            for entry in call.args[:1]:
                if isinstance(entry, ast.Dict):
                    for key, value in zip(entry.keys, entry.values, strict=True):
                        if isinstance(key, ast.Constant) and isinstance(key.value, str):
                            base = _text(module, holder)
                            yield Target(f"{base}[{_text(module, key)}]", key.value, base, True, value, True, statement)
    for keyword in call.keywords:
        if keyword.arg == "out":
            yield from _of(module, keyword.value, call, False, statement)


def _of(module: Module, node: ast.expr, value: ast.expr | None, whole: bool, statement: ast.stmt) -> Iterator[Target]:
    match node:
        case ast.Tuple(elts=parts) | ast.List(elts=parts):
            given: Sequence[ast.expr | None] = [None] * len(parts)
            if isinstance(value, ast.Tuple | ast.List) and len(value.elts) == len(parts):
                given = value.elts
            for part, one in zip(parts, given, strict=True):
                yield from _of(module, part, one, whole, statement)
        case ast.Starred(value=inner):
            yield from _of(module, inner, None, whole, statement)
        case _:
            found = locate(module, node)
            if found is not None:
                text, name, holder, key, exact = found
                yield Target(text, name, holder, key, value, whole and exact, statement)


def locate(module: Module, node: ast.expr) -> tuple[str, str, str, bool, bool] | None:
    """What an expression is, or is a part of: text, name, holder, whether the name is a key, whether it is all of it.

    None for what is no name, entry or attribute.
    """
    match node:
        case ast.Name(id=name):
            return name, name, "", False, True
        case ast.Attribute(value=ast.Name() | ast.Attribute() as holder, attr=name):
            return _text(module, node), name, _text(module, holder), False, True
        case ast.Subscript(value=ast.Name() | ast.Attribute() as holder, slice=ast.Constant(value=str(key))):
            return _text(module, node), key, _text(module, holder), True, True
        case ast.Subscript(value=ast.Name() | ast.Attribute() as holder, slice=ast.Constant(value=int(number))):
            text = _text(module, holder)
            if is_container(text.rpartition(".")[2]):
                return _text(module, node), str(number), text, True, True
            inner = locate(module, holder)
            return None if inner is None else (*inner[:4], False)
        case ast.Subscript(value=ast.Name() | ast.Attribute() as holder, slice=key) if _makes_key(key):
            return _text(module, node), "", _text(module, holder), True, True
        case ast.Subscript(value=value):
            inner = locate(module, value)
            return None if inner is None else (*inner[:4], False)
    return None


def _makes_key(node: ast.expr) -> bool:
    """Whether an index is a key that is put together: `"W" + str(i)`, `f"W{i}"`, `"W%d" % i`."""
    match node:
        case ast.JoinedStr():
            return True
        case ast.BinOp(left=left, right=right):
            return any(
                (isinstance(one, ast.Constant) and isinstance(one.value, str)) or _makes_key(one)
                for one in (left, right)
            )
        case ast.Call(func=ast.Attribute(value=ast.Constant(value=str()), attr="format")):
            return True
    return False


def _text(module: Module, node: ast.expr) -> str:
    return text_at(module, span_of(module, node))


# What is returned


@dataclass(frozen=True, slots=True)
class Element:
    """A part of what a function returns: where it is, and the expression; `key` is that of an entry of a dict.

    `text` is the target that it is, as written; empty for an expression.
    """

    place: Place
    node: ast.expr
    key: str = ""
    text: str = ""

    @property
    def name(self) -> str:
        """What it is called: a name, an attribute, a key; empty for an expression."""
        match self.node:
            case ast.Name(id=name) | ast.Attribute(attr=name):
                return name
            case ast.Subscript(slice=ast.Constant(value=str(name))):
                return name
        return self.key


@dataclass(frozen=True, slots=True)
class Row:
    """What one `return` gives. `single`: it is one value, not a tuple."""

    statement: ast.Return
    elements: tuple[Element, ...]
    single: bool


def rows(module: Module, body: Sequence[ast.stmt]) -> list[Row]:
    """Every `return` with a value. What a name stands for is looked up where it is bound once, to a tuple."""
    bound = _displays(body)
    found: list[Row] = []
    for statement in own_statements(body):
        if not isinstance(statement, ast.Return) or statement.value is None:
            continue
        value: ast.expr = statement.value
        if isinstance(value, ast.Name) and isinstance(bound.get(value.id), ast.Tuple | ast.List):
            value = bound[value.id]
        if isinstance(value, ast.Constant) and value.value is None:
            continue
        if isinstance(value, ast.Tuple | ast.List):
            parts = [Element((position,), part, "", _spelled(module, part)) for position, part in enumerate(value.elts)]
            found.append(Row(statement, tuple(parts), False))
        else:
            found.append(Row(statement, (Element((), value, "", _spelled(module, value)),), True))
    return found


def entries(module: Module, element: Element, body: Sequence[ast.stmt]) -> list[Element]:
    """The parts of a dict or a tuple that is returned, as far as the text shows them; none for an array."""
    node: ast.expr = element.node
    name = node.id if isinstance(node, ast.Name) else _spelled(module, node)
    bound = _displays(body)
    found: dict[str, Element] = {}
    if isinstance(node, ast.Name) and node.id in bound:
        node = bound[node.id]
    match node:
        case ast.Tuple(elts=parts) | ast.List(elts=parts):
            return [
                Element((*element.place, position), part, "", _spelled(module, part))
                for position, part in enumerate(parts)
            ]
        case ast.Dict(keys=keys, values=values):
            for key, value in zip(keys, values, strict=True):
                if isinstance(key, ast.Constant) and isinstance(key.value, str):
                    found[key.value] = Element((*element.place, key.value), value, key.value, _spelled(module, value))
        case ast.Call(func=ast.Name(id="dict"), keywords=keywords):
            for keyword in keywords:
                if keyword.arg:
                    found[keyword.arg] = Element(
                        (*element.place, keyword.arg), keyword.value, keyword.arg, _spelled(module, keyword.value)
                    )
    for target in targets(module, body):
        if target.key and target.holder == name and target.name and not target.name.isdigit():
            found.setdefault(
                target.name,
                Element((*element.place, target.name), element.node, target.name, target.text),
            )
    return list(found.values())


def _spelled(module: Module, node: ast.expr) -> str:
    """The text of a name, an attribute or an entry by a string; empty for an expression."""
    found = locate(module, node)
    return found[0] if found is not None and found[4] else ""


def _displays(body: Sequence[ast.stmt]) -> dict[str, ast.expr]:
    """The names that are bound once, to a tuple, a list or a dict as it is written out."""
    found: dict[str, ast.expr] = {}
    times: dict[str, int] = {}
    for statement in own_statements(body):
        match statement:
            case ast.Assign(targets=given, value=value):
                for one in given:
                    if isinstance(one, ast.Name):
                        times[one.id] = times.get(one.id, 0) + 1
                        if isinstance(value, ast.Tuple | ast.List | ast.Dict) or _is_dict(value):
                            found[one.id] = value
                    elif isinstance(one, ast.Tuple | ast.List):
                        pairs = value.elts if isinstance(value, ast.Tuple | ast.List) else []
                        for position, part in enumerate(one.elts):
                            if isinstance(part, ast.Name):
                                times[part.id] = times.get(part.id, 0) + 1
                                if len(pairs) == len(one.elts) and isinstance(pairs[position], ast.Dict | ast.Tuple):
                                    found[part.id] = pairs[position]
            case ast.AugAssign(target=ast.Name(id=name)):
                times[name] = times.get(name, 0) + 1
    return {name: value for name, value in found.items() if times[name] == 1}


def _is_dict(node: ast.expr) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "dict"


def expressions(statement: ast.stmt) -> Iterator[ast.expr]:
    """The expressions of a statement itself, not those of statements inside it."""
    for part in ast.iter_child_nodes(statement):
        if isinstance(part, ast.expr):
            yield part


def names_read(statement: ast.stmt) -> frozenset[str]:
    """The names that a statement reads itself, those inside it not."""
    return frozenset(name for part in expressions(statement) for name in reads(part))
