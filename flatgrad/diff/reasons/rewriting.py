"""Changes to single statements: nodes of the syntax tree replaced, and the text that this makes."""

from __future__ import annotations

import ast
import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

# Where a statement begins: line and column.
Place = tuple[int, int]
Swap = tuple[ast.expr, ast.expr]


@dataclass(frozen=True, slots=True)
class Mutation:
    """Statements that stand in the place of others, and what it means if that makes a gradient right.

    Attributes:
        changes: for the place of each statement that is replaced, what stands there instead.
        reason: a word of the vocabulary.
        detail: one sentence; `hint`: the same without the answer, empty for the words of the vocabulary.
        line: the line that it speaks of.
        repair: gives the statement of that line as it is right, as text.
        cost: how far-fetched it is; the plainest explanation has about 1.
    """

    changes: Mapping[Place, Sequence[ast.stmt]]
    reason: str
    detail: str
    line: int
    repair: Callable[[], str]
    cost: float
    hint: str = ""


def nothing() -> str:
    """The repair of a statement that has to go."""
    return ""


def place_of(statement: ast.stmt) -> Place:
    return statement.lineno, statement.col_offset


def expression(text: str) -> ast.expr:
    return ast.parse(text, mode="eval").body


def statement_of(text: str, like: ast.stmt) -> ast.stmt:
    """A statement that stands where another one does."""
    made = ast.parse(text).body[0]
    for node in ast.walk(made):
        if hasattr(node, "lineno"):
            ast.copy_location(node, like)
    return made


def swapped(statement: ast.stmt, swaps: Sequence[Swap]) -> ast.stmt:
    """A copy of a statement with some of its nodes, given by identity, replaced by others."""
    memo: dict[int, object] = {id(old): new for old, new in swaps}
    return copy.deepcopy(statement, memo)


class Spelling:
    """The homework's text, for statements that are changed in part: what is not changed stays as it is written."""

    def __init__(self, text: str) -> None:
        self._bytes = text.encode()
        self._starts = [0]
        for line in self._bytes.splitlines(keepends=True):
            self._starts.append(self._starts[-1] + len(line))

    def _span(self, node: ast.expr | ast.stmt) -> tuple[int, int]:
        assert node.end_lineno is not None
        assert node.end_col_offset is not None
        return self._starts[node.lineno - 1] + node.col_offset, self._starts[node.end_lineno - 1] + node.end_col_offset

    def of(self, node: ast.expr | ast.stmt) -> str:
        start, end = self._span(node)
        return self._bytes[start:end].decode()

    def changed(self, statement: ast.stmt, swaps: Sequence[Swap]) -> str:
        """The text of `swapped(statement, swaps)`."""
        made = swapped(statement, swaps)
        wanted = ast.dump(ast.parse(ast.unparse(ast.fix_missing_locations(copy.deepcopy(made)))))
        for form in ("{}", "({})"):
            start, end = self._span(statement)
            text = self._bytes[start:end]
            for old, new in sorted(swaps, key=lambda swap: self._span(swap[0]), reverse=True):
                first, last = self._span(old)
                text = text[: first - start] + form.format(self.inside(new)).encode() + text[last - start :]
            try:
                if ast.dump(ast.parse(text)) == wanted:
                    return text.decode()
            except SyntaxError:
                continue
        return ast.unparse(ast.fix_missing_locations(made))

    def inside(self, node: ast.expr) -> str:
        """A new expression as text; what it takes from the homework stays as it is written."""
        kept: dict[str, str] = {}

        class Keep(ast.NodeTransformer):
            def generic_visit(me, one: ast.AST) -> ast.AST:
                if isinstance(one, ast.Call | ast.Subscript | ast.Attribute | ast.BinOp) and getattr(
                    one, "end_lineno", None
                ):
                    name = f"kept_{len(kept)}_"
                    text = self.of(one)
                    kept[name] = f"({text})" if isinstance(one, ast.BinOp) else text
                    return ast.Name(name, ast.Load())
                return super(Keep, me).generic_visit(one)

        text = ast.unparse(ast.fix_missing_locations(Keep().visit(copy.deepcopy(node))))
        for name, original in kept.items():
            bare = original[1:-1] if original.startswith("(") and text in (name, f"-{name}") else original
            text = text.replace(name, bare)
        try:
            same = ast.dump(expression(text)) == ast.dump(expression(ast.unparse(ast.fix_missing_locations(node))))
        except SyntaxError:
            same = False
        return text if same else ast.unparse(node)


def inner(node: ast.AST) -> Iterator[ast.expr]:
    """The expressions in a node, outermost first; no names of keywords, no index of a subscript."""
    for name, value in ast.iter_fields(node):
        if isinstance(node, ast.Subscript) and name == "slice":
            continue
        for one in value if isinstance(value, list) else [value]:
            if isinstance(one, ast.keyword):
                one = one.value
            if isinstance(one, ast.expr):
                yield one
                yield from inner(one)


def value_of(statement: ast.stmt) -> ast.expr | None:
    """What a statement computes: the right side, what is returned, what `np.add.at` adds."""
    match statement:
        case ast.Assign(value=value) | ast.AugAssign(value=value):
            return value
        case ast.AnnAssign(value=ast.expr() as value) | ast.Return(value=ast.expr() as value):
            return value
        case ast.Expr(value=ast.Call(args=[_, _, value])):
            return value
        case _:
            return None


def target_of(statement: ast.stmt) -> ast.expr | None:
    """The one name, attribute or element that a statement writes."""
    match statement:
        case ast.Assign(targets=[ast.Name() | ast.Attribute() | ast.Subscript() as target]):
            return target
        case ast.AugAssign(target=target) | ast.AnnAssign(target=target):
            return target
        case _:
            return None


def terms(value: ast.expr) -> list[ast.expr]:
    """The value, the terms of the sums in it, the elements of a list or tuple, what is summed by a call."""
    found = [value]
    for node in [value, *inner(value)]:
        match node:
            case ast.BinOp(left=left, op=ast.Add() | ast.Sub(), right=right):
                found += [left, right]
            case ast.List(elts=parts) | ast.Tuple(elts=parts):
                found += parts
            case ast.Call() if called(node) in ("sum", "mean") and (argument := argument_of(node)) is not None:
                found.append(argument)
            case _:
                continue
    unique: dict[int, ast.expr] = {}
    for one in found:
        if not isinstance(one, ast.List | ast.Tuple | ast.Slice):
            unique.setdefault(id(one), one)
    return list(unique.values())


def called(node: ast.Call) -> str:
    """The last part of the name of what is called."""
    return node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")


def argument_of(node: ast.Call) -> ast.expr | None:
    """What `np.sum(x, …)` and `x.sum(…)` sum."""
    if isinstance(node.func, ast.Attribute) and not is_module(node.func.value):
        return node.func.value
    return node.args[0] if node.args else None


def is_module(node: ast.expr) -> bool:
    return isinstance(node, ast.Name) and node.id in ("np", "numpy", "math", "jnp", "torch", "cp")


def times(one: ast.expr, other: ast.expr) -> ast.expr:
    return ast.BinOp(one, ast.Mult(), other)


def divided(one: ast.expr, other: ast.expr) -> ast.expr:
    return ast.BinOp(one, ast.Div(), other)


def plus(one: ast.expr, other: ast.expr) -> ast.expr:
    return ast.BinOp(one, ast.Add(), other)


def method(value: ast.expr, name: str, *arguments: ast.expr, **keywords: ast.expr) -> ast.Call:
    return ast.Call(
        ast.Attribute(value, name, ast.Load()),
        list(arguments),
        [ast.keyword(keyword, argument) for keyword, argument in keywords.items()],
    )


def transposed(value: ast.expr) -> ast.expr:
    """`x.T`; of `x.T` it is `x`."""
    if isinstance(value, ast.Attribute) and value.attr == "T":
        return value.value
    return ast.Attribute(value, "T", ast.Load())
