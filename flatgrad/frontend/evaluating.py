"""What the text alone decides: tests, places and keys made of whole numbers and strings."""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Mapping, Sequence

Plain = int | str | bool | None
# Stands for what is not known.
UNKNOWN = object()

_ARITHMETIC: Mapping[type[ast.operator], Callable[[int, int], int]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
}
_ORDER: Mapping[type[ast.cmpop], Callable[[int, int], bool]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}


class Folding(ast.NodeTransformer):
    """Puts what is known in the place of expressions, and of an `if` the arm that is taken.

    Args:
        length: how many elements the list of a name has, None where that is not known.
        place: what stands at a position of it.
        number: the whole number that a name stands for.
    """

    def __init__(
        self,
        length: Callable[[str], int | None],
        place: Callable[[str, int], ast.expr | None],
        number: Callable[[str], int | None],
    ) -> None:
        self.length = length
        self.place = place
        self.number = number

    def statements(self, body: Sequence[ast.stmt]) -> list[ast.stmt]:
        """Statements with all that is known put in."""
        found: list[ast.stmt] = []
        for statement in body:
            made = self.visit(statement)
            found += made if isinstance(made, list) else [made]
        return [one for one in found if not isinstance(one, ast.Pass)] or [ast.Pass(lineno=1, col_offset=0)]

    def visit_If(self, node: ast.If) -> ast.AST | list[ast.stmt]:
        test = self.value(node.test)
        if test is UNKNOWN:
            self.generic_visit(node)
            return node
        chosen = node.body if test else node.orelse
        return [made for one in chosen for made in _listed(self.visit(one))] or [ast.copy_location(ast.Pass(), node)]

    def visit_IfExp(self, node: ast.IfExp) -> ast.AST:
        test = self.value(node.test)
        if test is UNKNOWN:
            return self.generic_visit(node)
        found: ast.AST = self.visit(node.body if test else node.orelse)
        return found

    def visit_Subscript(self, node: ast.Subscript) -> ast.AST:
        self.generic_visit(node)
        match node:
            case ast.Subscript(value=ast.Name(id=name), ctx=ast.Load()):
                position = self.value(node.slice)
                if isinstance(position, int) and not isinstance(position, bool):
                    found = self.place(name, position)
                    if found is not None:
                        return ast.copy_location(found, node)
        position = self.value(node.slice)
        if isinstance(position, int | str) and not isinstance(node.slice, ast.Constant | ast.UnaryOp):
            node.slice = _constant(position, node.slice)
        return node

    def value(self, node: ast.expr) -> object:
        """The whole number, string, truth value or None that an expression comes to, UNKNOWN for all else."""
        match node:
            case ast.Constant(value=value) if value is None or isinstance(value, int | str):
                return value
            case ast.Name(id=name):
                known = self.number(name)
                return UNKNOWN if known is None else known
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                inner = self.value(operand)
                return UNKNOWN if inner is UNKNOWN else not inner
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                inner = self.value(operand)
                return -inner if _is_whole(inner) else UNKNOWN  # type: ignore[operator]
            case ast.BinOp(left=left, op=op, right=right):
                return self._operated(op, self.value(left), self.value(right))
            case ast.BoolOp(op=op, values=values):
                found = [self.value(one) for one in values]
                if UNKNOWN in found:
                    return UNKNOWN
                # Python gives the operand that decides, not whether it holds: `weights[i or 2]`.
                decides = (one for one in found if bool(one) is isinstance(op, ast.Or))
                return next(decides, found[-1])
            case ast.Compare(left=left, ops=ops, comparators=comparators):
                return self._compared([self.value(one) for one in (left, *comparators)], ops)
            case ast.Call(func=ast.Name(id="len"), args=[ast.Name(id=name)], keywords=[]):
                length = self.length(name)
                return UNKNOWN if length is None else length
            case ast.Call(func=ast.Name(id="str"), args=[argument], keywords=[]):
                inner = self.value(argument)
                return str(inner) if _is_whole(inner) or isinstance(inner, str) else UNKNOWN
            case ast.Call(func=ast.Attribute(value=owner, attr="startswith" | "endswith" as method), args=[argument]):
                text, part = self.value(owner), self.value(argument)
                if isinstance(text, str) and isinstance(part, str) and not node.keywords:
                    return text.startswith(part) if method == "startswith" else text.endswith(part)
            case ast.Call(func=ast.Attribute(value=owner, attr="format"), args=arguments, keywords=[]):
                text, parts = self.value(owner), [self.value(one) for one in arguments]
                if isinstance(text, str) and all(_is_whole(one) or isinstance(one, str) for one in parts):
                    return _formatted(text, parts)
            case ast.JoinedStr(values=pieces):
                return self._joined(pieces)
            case ast.Subscript(value=owner, slice=index):
                text, position = self.value(owner), self.value(index)
                if isinstance(text, str) and _is_whole(position) and -len(text) <= position < len(text):  # type: ignore[operator]
                    return text[position]  # type: ignore[index]
        return UNKNOWN

    def _joined(self, pieces: Sequence[ast.expr]) -> object:
        texts: list[str] = []
        for piece in pieces:
            match piece:
                case ast.Constant(value=str(text)):
                    texts.append(text)
                case ast.FormattedValue(value=inner, conversion=-1, format_spec=None):
                    value = self.value(inner)
                    if not _is_whole(value) and not isinstance(value, str):
                        return UNKNOWN
                    texts.append(str(value))
                case _:
                    return UNKNOWN
        return "".join(texts)

    def _operated(self, op: ast.operator, one: object, other: object) -> object:
        if _is_whole(one) and _is_whole(other) and type(op) in _ARITHMETIC:
            if isinstance(op, ast.FloorDiv | ast.Mod) and not other:
                return UNKNOWN
            return _ARITHMETIC[type(op)](one, other)  # type: ignore[arg-type]
        if isinstance(one, str) and isinstance(other, str) and isinstance(op, ast.Add):
            return one + other
        if isinstance(one, str) and isinstance(op, ast.Mod) and (_is_whole(other) or isinstance(other, str)):
            try:
                return one % other
            except (TypeError, ValueError):
                return UNKNOWN
        return UNKNOWN

    def _compared(self, values: Sequence[object], ops: Sequence[ast.cmpop]) -> object:
        if UNKNOWN in values:
            return UNKNOWN
        for op, one, other in zip(ops, values, values[1:], strict=False):
            if isinstance(op, ast.Eq | ast.NotEq):
                held = (one == other) is isinstance(op, ast.Eq)
            elif isinstance(op, ast.Is | ast.IsNot) and (one is None or other is None):
                held = (one is other) is isinstance(op, ast.Is)
            elif isinstance(op, ast.In | ast.NotIn) and isinstance(one, str) and isinstance(other, str):
                held = (one in other) is isinstance(op, ast.In)
            elif type(op) in _ORDER and _is_whole(one) and _is_whole(other):
                held = _ORDER[type(op)](one, other)  # type: ignore[arg-type]
            else:
                return UNKNOWN
            if not held:
                return False
        return True


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _formatted(text: str, parts: Sequence[object]) -> object:
    try:
        return text.format(*parts)
    except (IndexError, KeyError, ValueError):
        return UNKNOWN


def _constant(value: int | str, place: ast.expr) -> ast.expr:
    if isinstance(value, int) and value < 0:
        return ast.copy_location(ast.UnaryOp(ast.USub(), ast.Constant(-value)), place)
    return ast.copy_location(ast.Constant(value), place)


def _listed(made: object) -> list[ast.stmt]:
    return made if isinstance(made, list) else [made]  # type: ignore[list-item]
