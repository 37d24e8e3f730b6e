"""What a function goes through, where that is written out: displays, names that stand for one throughout, and what is
made of them with `zip`, `enumerate`, `reversed` and `range`."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from flatgrad.frontend.evaluating import Folding

# More rounds are not written out.
MOST_ROUNDS = 16
# Functions that read a list and leave it as it is.
READERS = frozenset({"len", "zip", "enumerate", "reversed", "range", "list", "tuple", "sum", "min", "max"})
VIEWS = frozenset({"items", "keys", "values", "get"})


@dataclass(slots=True)
class Displays:
    """The displays that a function holds when one of its loops is reached."""

    function: ast.FunctionDef
    loop: ast.For
    # The names whose numbers are being worked out.
    asked: set[str] = field(default_factory=set)

    def elements(self, node: ast.expr) -> list[ast.expr] | None:
        """What an expression gives element by element."""
        match node:
            case ast.List(elts=items) | ast.Tuple(elts=items):
                return None if any(isinstance(one, ast.Starred) for one in items) else list(items)
            case ast.Dict():
                keys = [key for key in node.keys if key is not None]
                return keys if len(keys) == len(node.keys) and _are_distinct(keys) else None
            case ast.Name(id=name):
                known = self.display(name)
                if known is None:
                    return None
                statement, display = known
                if isinstance(display, ast.Dict):
                    return self.elements(display)
                return [self._element(name, statement, k, one) for k, one in enumerate(display.elts)]
            case ast.Call(func=ast.Name(id="list" | "tuple"), args=[inner], keywords=[]):
                return self.elements(inner)
            case ast.Subscript(value=ast.Name() as inner, slice=ast.Slice(lower=lower, upper=upper, step=step)):
                found = self.elements(inner)
                asked = (lower, upper, step)
                ends = [None if one is None else self.number(one) for one in asked]
                if found is None or any(end is None and one is not None for end, one in zip(ends, asked, strict=True)):
                    return None
                known = self.display(inner.id)
                in_order = known is not None and not isinstance(known[1], ast.Dict) and ends[2] != 0
                return found[slice(*ends)] if in_order else None
            case ast.Call(func=ast.Name(id="reversed"), args=[inner], keywords=[]):
                found = self.elements(inner)
                return None if found is None else found[::-1]
            case ast.Call(func=ast.Name(id="enumerate"), args=[inner, *start], keywords=[]) if len(start) < 2:
                found, first = self.elements(inner), self.number(start[0]) if start else 0
                if found is None or first is None:
                    return None
                return [_pair(ast.Constant(k), one) for k, one in enumerate(found, first)]
            case ast.Call(func=ast.Name(id="zip"), args=[_, *_] as inner_ones, keywords=[]):
                parts = [self.elements(one) for one in inner_ones]
                if any(part is None for part in parts):
                    return None
                return [_pair(*ones) for ones in zip(*(part for part in parts if part is not None), strict=False)]
            case ast.Call(func=ast.Name(id="range"), args=[_, *_] as bounds, keywords=[]):
                numbers = [self.number(bound) for bound in bounds]
                whole = [number for number in numbers if number is not None]
                if len(whole) < len(numbers) or len(whole) > 3 or (len(whole) == 3 and not whole[2]):
                    return None
                steps = range(*whole)
                return [_integer(k) for k in steps] if len(steps) <= MOST_ROUNDS else None
            case ast.Call(
                func=ast.Attribute(value=ast.Name(id=name), attr="items" | "keys" | "values" as view), args=[]
            ):
                known = self.display(name)
                if known is None or not isinstance(known[1], ast.Dict) or None in known[1].keys:
                    return None
                pairs = [(key, self._entry(name, key)) for key in known[1].keys if key is not None]
                if view == "items":
                    return [_pair(key, value) for key, value in pairs]
                return [key if view == "keys" else value for key, value in pairs]
        return None

    def number(self, node: ast.expr) -> int | None:
        found = self.folding().value(node)
        return found if isinstance(found, int) and not isinstance(found, bool) else None

    def folding(self) -> Folding:
        return Folding(self.length, self.place, self._named_number)

    def _named_number(self, name: str) -> int | None:
        """The whole number that a name stands for throughout: `L = len(weights)`."""
        bound = self.bound_once(name)
        if bound is None or name in self.asked or not self._comes_before(bound):
            return None
        self.asked.add(name)
        found = self.number(bound.value)
        self.asked.discard(name)
        return found

    def length(self, name: str) -> int | None:
        known = self.display(name)
        if known is None:
            return None
        display = known[1]
        return len(display.keys if isinstance(display, ast.Dict) else display.elts)

    def place(self, name: str, position: int) -> ast.expr | None:
        """What stands at a place of a list, where another name may stand for it."""
        known = self.display(name)
        if known is None or isinstance(known[1], ast.Dict) or not -len(known[1].elts) <= position < len(known[1].elts):
            return None
        position %= len(known[1].elts)
        return self._element(name, known[0], position, known[1].elts[position])

    def bound_once(self, name: str) -> ast.Assign | None:
        """The one statement that binds a name of the function's own."""
        arguments = self.function.args
        given = (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, arguments.vararg, arguments.kwarg)
        stored = [
            part
            for part in ast.walk(self.function)
            if isinstance(part, ast.Name) and part.id == name and not isinstance(part.ctx, ast.Load)
        ]
        if len(stored) != 1 or any(one is not None and one.arg == name for one in given):
            return None
        for part in ast.walk(self.function):
            if isinstance(part, ast.Assign) and len(part.targets) == 1 and part.targets[0] is stored[0]:
                return part
        return None

    def display(self, name: str) -> tuple[ast.Assign, ast.List | ast.Tuple | ast.Dict] | None:
        """The list, tuple or dict display that a name stands for throughout, with the statement that binds it."""
        arguments = self.function.args
        if any(one.arg == name for one in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)):
            return None
        bound: list[ast.Assign] = []
        allowed: set[ast.expr] = set()
        uses: list[ast.Name] = []
        for part in ast.walk(self.function):
            match part:
                case ast.Assign(targets=[ast.Name(id=other)]) if other == name:
                    bound.append(part)
                    allowed.add(part.targets[0])
                case ast.Name(id=other) if other == name:
                    uses.append(part)
                case ast.For(iter=ast.Name() as read) | ast.comprehension(iter=ast.Name() as read):
                    allowed.add(read)
                case ast.Subscript(value=ast.Name() as read, ctx=ast.Load()):
                    allowed.add(read)
                case ast.Call(func=ast.Name(id=called), args=args) if called in READERS:
                    allowed |= set(args)
                case ast.Call(func=ast.Attribute(value=ast.Name() as read, attr=method)) if method in VIEWS:
                    allowed.add(read)
                case ast.Return(value=ast.Name() as read):
                    allowed.add(read)
                case ast.Return(value=ast.Tuple(elts=elements)):
                    allowed |= set(elements)
        if len(bound) != 1 or any(one not in allowed for one in uses):
            return None
        (statement,) = bound
        display = statement.value
        if not isinstance(display, ast.List | ast.Tuple | ast.Dict) or not self._comes_before(statement):
            return None
        items = list(display.keys) if isinstance(display, ast.Dict) else display.elts
        fixed = (ast.Constant,) if isinstance(display, ast.Dict) else (ast.expr,)
        if any(not isinstance(one, fixed) or isinstance(one, ast.Starred) for one in items):
            return None
        if isinstance(display, ast.Dict) and not _are_distinct([key for key in display.keys if key is not None]):
            return None
        return statement, display

    def _comes_before(self, statement: ast.stmt) -> bool:
        """Whether a statement has been run whenever the loop is: it stands above it, in its block or one around."""
        for block in _blocks(self.function):
            if statement in block:
                rest = block[block.index(statement) + 1 :]
                return any(part is self.loop for one in rest for part in ast.walk(one))
        return False

    def _element(self, name: str, statement: ast.stmt, position: int, element: ast.expr) -> ast.expr:
        """An element of a list that has a name: its own name, where that still stands for it."""
        if isinstance(element, ast.Constant) or (isinstance(element, ast.Name) and self._stays(element.id, statement)):
            return element
        if isinstance(element, ast.Tuple) and element.elts:
            place = ast.Subscript(ast.Name(name, ast.Load()), ast.Constant(position), ast.Load())
            return ast.Tuple(
                [
                    one
                    if isinstance(one, ast.Constant) or (isinstance(one, ast.Name) and self._stays(one.id, statement))
                    else ast.Subscript(place, ast.Constant(k), ast.Load())
                    for k, one in enumerate(element.elts)
                ],
                ast.Load(),
            )
        return ast.Subscript(ast.Name(name, ast.Load()), ast.Constant(position), ast.Load())

    def _entry(self, name: str, key: ast.expr) -> ast.expr:
        return ast.Subscript(ast.Name(name, ast.Load()), key, ast.Load())

    def _stays(self, name: str, statement: ast.stmt) -> bool:
        """Whether a name is not bound again once a statement has been run; what is no local name never is."""
        again = [
            part
            for part in ast.walk(self.function)
            if isinstance(part, ast.Name) and part.id == name and not isinstance(part.ctx, ast.Load)
        ]
        around = [
            part
            for part in ast.walk(self.function)
            if isinstance(part, ast.For | ast.While) and any(one is statement for one in ast.walk(part))
        ]
        first = min([statement.lineno, *(one.lineno for one in around)])
        return all(part.lineno < first for part in again)


def _pair(*items: ast.expr) -> ast.expr:
    return ast.Tuple(list(items), ast.Load())


def _integer(number: int) -> ast.expr:
    return ast.Constant(number) if number >= 0 else ast.UnaryOp(ast.USub(), ast.Constant(-number))


def _blocks(node: ast.AST) -> Iterator[list[ast.stmt]]:
    for part in ast.walk(node):
        for name in ("body", "orelse", "finalbody"):
            block = getattr(part, name, None)
            if isinstance(block, list):
                yield block


def _are_distinct(keys: Sequence[ast.expr]) -> bool:
    """Whether the keys of a dict display are constants, of which no two are one key: 1 and True are."""
    values = [key.value for key in keys if isinstance(key, ast.Constant)]
    return len(set(values)) == len(keys)
