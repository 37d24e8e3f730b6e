"""The backward half of the instrumentation: when a gradient is assigned, and when it is first read.

    dW = X.T @ dh      becomes      try:
                                        dh = seen(2, lambda: dh, 31)
                                        dW = X.T @ dh
                                        assigned(5, 31, True)
                                    except Exception as error:
                                        crashed(error, 31, 5)

`seen` notes the value that a gradient has when it is first read, and gives it back or, in a forced run, the true one
in its place. A statement that raises is noted, and its targets are without a value until a forced run gives them the
true one.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from flatgrad.diff.judging.sites import RECORDER, bound_targets, call, loaded


@dataclass(frozen=True, slots=True)
class Target:
    """A gradient that the backward pass assigns: its text, normalised, and the variable that its name speaks of, or
    empty."""

    index: int
    text: str
    variable: str


def normal(text: str) -> str:
    """The text of an expression without differences of quotes and spaces."""
    return ast.unparse(ast.parse(text, mode="eval"))


def targets_of(gradients: Mapping[str, str]) -> tuple[Target, ...]:
    found = {normal(text): variable for text, variable in gradients.items()}
    return tuple(Target(index, text, variable) for index, (text, variable) in enumerate(found.items()))


def base_of(target: ast.expr, known: Mapping[str, Target]) -> Target | None:
    """The gradient that a store writes to: itself, or the array of which it is an element or a part."""
    node = target
    while True:
        found = known.get(ast.unparse(node))
        if found is not None:
            return found
        if not isinstance(node, ast.Subscript | ast.Attribute):
            return None
        node = node.value


def assigned_targets(node: ast.stmt, known: Mapping[str, Target]) -> Iterator[tuple[Target, bool]]:
    """The gradients that a simple statement writes; True where it binds them anew without reading them."""
    match node:
        case ast.Assign(targets=targets, value=value):
            for one in bound_targets(targets):
                if (found := base_of(one, known)) is not None:
                    anew = known.get(ast.unparse(one)) is found and found.text not in read_texts(value, known)
                    yield found, anew
        case ast.AnnAssign(target=target, value=ast.expr()):
            if (found := base_of(target, known)) is not None:
                yield found, known.get(ast.unparse(target)) is found
        case ast.AugAssign(target=target):
            if (found := base_of(target, known)) is not None:
                yield found, False
        case ast.Expr(value=ast.Call(func=func, args=args, keywords=keywords)):
            # np.add.at(dW, …), dx.fill(0), np.multiply(dx, mask, out=dx)
            written = [keyword.value for keyword in keywords if keyword.arg == "out"]
            if isinstance(func, ast.Attribute) and func.attr in ("at", "copyto", "put", "fill_diagonal") and args:
                written.append(args[0])
            elif isinstance(func, ast.Attribute):
                written.append(func.value)
            for one in written:
                if (found := base_of(one, known)) is not None:
                    yield found, False
        case _:
            return


def read_texts(node: ast.AST, known: Mapping[str, Target]) -> set[str]:
    """The gradients that an expression or statement reads, by text."""
    found: set[str] = set()
    for one in ast.walk(node):
        if isinstance(one, ast.Name | ast.Attribute | ast.Subscript) and isinstance(one.ctx, ast.Load):
            text = ast.unparse(one)
            if text in known:
                found.add(text)
    return found


class BackwardSteps:
    """Instruments backward statements; `known` are the gradients by text.

    `skipped`: in a run that probes, backward statements are left out (they stand among the forward ones).
    """

    def __init__(self, targets: tuple[Target, ...], skipped: bool) -> None:
        self.known = {target.text: target for target in targets}
        self.skipped = skipped

    def statement(self, node: ast.stmt) -> list[ast.stmt]:
        made = self._judged(node)
        if not self.skipped:
            return made
        return [ast.If(ast.Attribute(ast.Name(RECORDER, ast.Load()), "live", ast.Load()), made, [])]

    def block(self, body: list[ast.stmt]) -> list[ast.stmt]:
        return [made for node in body for made in self._judged(node)]

    def _judged(self, node: ast.stmt) -> list[ast.stmt]:
        match node:
            case ast.For() | ast.While() | ast.If():
                node.body = self.block(node.body) or [ast.Pass()]
                node.orelse = self.block(node.orelse)
                return [node] if isinstance(node, ast.If) and node.orelse else [self._guarded([node], node, ())]
            case ast.With():
                node.body = self.block(node.body)
                return [node]
            case ast.Assign() | ast.AugAssign() | ast.AnnAssign() | ast.Expr() | ast.Return():
                written = dict(assigned_targets(node, self.known))
                own = {target.text for target in written}
                read = sorted(read_texts(node, self.known) - own)
                # What is returned without a value is noted; the rest is returned all the same.
                quiet = isinstance(node, ast.Return)
                seen = [self._seen(self.known[text], node.lineno, quiet) for text in read]
                after: list[ast.stmt] = [
                    ast.Expr(call("assigned", target.index, node.lineno, ast.Constant(anew)))
                    for target, anew in written.items()
                ]
                if not (seen or after) and not isinstance(node, ast.Assign | ast.AugAssign):
                    return [node]
                return [self._guarded([*seen, node, *after], node, tuple(written))]
            case _:
                return [node]

    def _seen(self, target: Target, line: int, quiet: bool) -> ast.stmt:
        expression = loaded(ast.parse(target.text, mode="eval").body)
        thunk = ast.Lambda(ast.arguments([], [], None, [], [], None, []), expression)
        store = ast.parse(f"{target.text} = None").body[0]
        assert isinstance(store, ast.Assign)
        return ast.Assign(store.targets, call("seen", target.index, thunk, line, ast.Constant(quiet)))

    def _guarded(self, body: list[ast.stmt], node: ast.stmt, written: tuple[Target, ...]) -> ast.stmt:
        noted = call("crashed", ast.Name("__error__", ast.Load()), node.lineno, *(one.index for one in written))
        handler = ast.ExceptHandler(ast.Name("Exception", ast.Load()), "__error__", [ast.Expr(noted)])
        return ast.Try(body, [handler], [], [])
