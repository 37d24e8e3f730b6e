"""Ways to fill a list in a loop that are read as `hs.append(h)`.

`hs = hs + [h]`, `hs.extend([h])`, `hs.insert(0, h)` with the list turned around behind the loop, and `hs = [None] * T`
whose places the loop fills one after the other: where the list is the function's own and nothing else stands for it.
"""

from __future__ import annotations

import ast
import copy
from collections.abc import Iterator, Sequence
from typing import TypeGuard

from flatgrad.frontend.liveness import MUTATORS


def list_by_appending(function: ast.FunctionDef, node: ast.stmt) -> list[ast.stmt] | None:
    """The statements that stand for one that makes or fills a list; None for all others."""
    made = _extended(function, node) or _emptied(function, node) or _placed(function, node) or _turned(function, node)
    if made is None:
        return None
    for one in made:
        ast.copy_location(one, node)
        for inner in ast.walk(one):
            if isinstance(inner, ast.stmt) and not hasattr(inner, "lineno"):
                ast.copy_location(inner, node)
    return [ast.fix_missing_locations(one) for one in made]


def _append(name: str, item: ast.expr) -> ast.stmt:
    return ast.Expr(ast.Call(ast.Attribute(ast.Name(name, ast.Load()), "append", ast.Load()), [item], []))


def _extended(function: ast.FunctionDef, node: ast.stmt) -> list[ast.stmt] | None:
    """`hs = hs + [h]`, `hs.extend([a, b])`"""
    match node:
        case ast.Assign(
            targets=[ast.Name(id=name)],
            value=ast.BinOp(left=ast.Name(id=other), op=ast.Add(), right=ast.List(elts=[_, *_] as items)),
        ) if name == other:
            pass
        case ast.Expr(
            value=ast.Call(
                func=ast.Attribute(value=ast.Name(id=name), attr="extend"),
                args=[ast.List(elts=[_, *_] as items) | ast.Tuple(elts=[_, *_] as items)],
                keywords=[],
            )
        ):
            pass
        case _:
            return None
    reads = any(_is_named(part, name) for one in items for part in ast.walk(one))
    if not _is_own(function, name) or any(isinstance(one, ast.Starred) for one in items) or (reads and len(items) > 1):
        return None
    return [_append(name, item) for item in items]


def _emptied(function: ast.FunctionDef, node: ast.stmt) -> list[ast.stmt] | None:
    """`hs = [None] * T`, where a loop fills the places from the first to the last."""
    match node:
        case ast.Assign(
            targets=[ast.Name(id=name)], value=ast.BinOp(left=ast.List(elts=[ast.Constant()]), op=ast.Mult())
        ):
            if _filler(function, name) or _from_behind(function, name):
                return [ast.Assign([ast.Name(name, ast.Store())], ast.List([], ast.Load()))]
    return None


def _placed(function: ast.FunctionDef, node: ast.stmt) -> list[ast.stmt] | None:
    """`hs[t] = h`, where hs is an empty list, as `_emptied` has made it: nothing else could write there."""
    match node:
        case ast.Assign(targets=[ast.Subscript(value=ast.Name(id=name))], value=value):
            pass
        case _:
            return None
    made = _made(function, name)
    if made is None or not isinstance(made.value, ast.List) or made.value.elts or not _is_own(function, name):
        return None
    if any(isinstance(part, ast.For) and node in part.body and _falls(part) for part in ast.walk(function)):
        return None  # see `_turned`
    writes = [part for part in ast.walk(function) if _place_of(part, name) is not None]
    grows = _grows(function, name)
    block = next(b for b in _blocks(function) if made in b)
    follows = block[block.index(made) + 1] is node
    # The first place last: until then that the list does not grow tells that it is empty.
    return [_append(name, value)] if (writes == [node] if follows else not grows) else None


def _grows(function: ast.FunctionDef, name: str) -> bool:
    """Whether anything is added to a list."""
    return any(
        (isinstance(part, ast.Attribute) and part.attr in MUTATORS and _is_named(part.value, name))
        or (isinstance(part, ast.AugAssign) and _is_named(part.target, name))
        for part in ast.walk(function)
    )


def _falls(loop: ast.For) -> ast.expr | None:
    """The T of `for t in reversed(range(T))` and `for t in range(T - 1, -1, -1)`; None for any other loop."""
    match loop:
        case ast.For(
            target=ast.Name(),
            iter=ast.Call(
                func=ast.Name(id="reversed"), args=[ast.Call(func=ast.Name(id="range"), args=[whole], keywords=[])]
            ),
        ):
            return whole
        case ast.For(
            target=ast.Name(),
            iter=ast.Call(
                func=ast.Name(id="range"),
                args=[
                    ast.BinOp(left=whole, op=ast.Sub(), right=ast.Constant(value=1)),
                    ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=1)),
                    ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=1)),
                ],
            ),
        ):
            return whole
    return None


def _from_behind(function: ast.FunctionDef, name: str) -> bool:
    """Whether a loop fills all places of `[None] * T` from the last to the first, and reads none of them."""
    made = _made(function, name)
    if made is None or not isinstance(made.value, ast.BinOp) or not _is_own(function, name):
        return False
    for loop in (part for part in ast.walk(function) if isinstance(part, ast.For)):
        whole = _falls(loop)
        if whole is None or ast.unparse(whole) != ast.unparse(made.value.right) or not _is_settled(function, whole):
            continue
        index = loop.target.id if isinstance(loop.target, ast.Name) else ""
        places = [place for one in loop.body if (place := _place_of(one, name)) is not None]
        writes = [part for part in ast.walk(function) if _place_of(part, name) is not None]
        if len(places) == len(writes) == 1 and _shift(places[0], index) == 0 and _is_plain(function, loop, name):
            return True
    return False


def _is_plain(function: ast.FunctionDef, loop: ast.For, name: str) -> bool:
    """Whether a loop that no other loop is around names a list once, and nothing does between the list and the loop."""
    index = loop.target.id if isinstance(loop.target, ast.Name) else ""
    stored = [p for p in ast.walk(loop) if _is_named(p, index) and not isinstance(p.ctx, ast.Load)]
    around = [p for p in ast.walk(function) if isinstance(p, ast.For | ast.While) and p is not loop]
    leaves = any(isinstance(part, ast.Break | ast.Continue | ast.Return) for part in ast.walk(loop))
    return (
        sum(_is_named(part, name) for part in ast.walk(loop)) == 1
        and (not index or len(stored) == 1)
        and not leaves
        and not loop.orelse
        and not any(part is loop for one in around for part in ast.walk(one))
        and _fresh(function, name, loop)
    )


def _filler(function: ast.FunctionDef, name: str) -> ast.For | None:
    """The loop that fills all places of a list that has been made with `[None] * T`, one after the other."""
    made = _made(function, name)
    if made is None or not isinstance(made.value, ast.BinOp) or not _is_own(function, name):
        return None
    length = made.value.right
    block = next(b for b in _blocks(function) if made in b)
    behind = block[block.index(made) + 1 :]
    first = behind[0] if behind and _place_of(behind[0], name) is not None else None
    loops = [one for one in behind if isinstance(one, ast.For) and any(_place_of(s, name) for s in one.body)]
    writes = [part for part in ast.walk(function) if isinstance(part, ast.stmt) and _place_of(part, name) is not None]
    if len(loops) != 1 or len(writes) != 1 + (first is not None):
        return None
    (loop,) = loops
    counted = _counted(loop, name)
    if counted is None or (first is not None and not _is_number(_place_of(first, name), 0)):
        return None
    index, shift, start, stop = counted
    begin = start + shift
    whole = ast.unparse(length)
    ends = (
        {ast.unparse(ast.BinOp(copy.deepcopy(stop), ast.Add(), ast.Constant(shift)))} if shift else {ast.unparse(stop)}
    )
    if begin != (1 if first is not None else 0) or whole not in ends or not _is_settled(function, length):
        return None
    read_before = [one for one in behind[: behind.index(loop)] if one is not first]
    if any(_is_named(part, name) for one in read_before for part in ast.walk(one)):
        return None
    parents = {child: parent for parent in ast.walk(loop) for child in ast.iter_child_nodes(parent)}
    for part in ast.walk(loop):
        if _is_named(part, name) and isinstance(part.ctx, ast.Load):
            parent = parents[part]
            if not isinstance(parent, ast.Subscript) or parent.value is not part:
                return None
            read = _shift(parent.slice, index)
            if isinstance(parent.ctx, ast.Load) and (read is None or read >= shift):
                return None
    return loop


def _counted(loop: ast.For, name: str) -> tuple[str, int, int, ast.expr] | None:
    """The index of a loop over a range whose every round fills one place, how far the place is from it, where the range
    begins and ends."""
    match loop:
        case ast.For(
            target=ast.Name(id=index), iter=ast.Call(func=ast.Name(id="range"), args=[*bounds], keywords=[]), orelse=[]
        ):
            pass
        case _:
            return None
    if len(bounds) not in (1, 2) or any(isinstance(p, ast.Break | ast.Continue | ast.Return) for p in ast.walk(loop)):
        return None
    start = bounds[0] if len(bounds) == 2 else ast.Constant(0)
    if not isinstance(start, ast.Constant) or not isinstance(start.value, int):
        return None
    stored = [part for part in ast.walk(loop) if _is_named(part, index) and not isinstance(part.ctx, ast.Load)]
    places = [place for one in loop.body if (place := _place_of(one, name)) is not None]
    shift = _shift(places[0], index) if len(places) == 1 else None
    if shift is None or shift < 0 or len(stored) != 1:
        return None
    return index, shift, start.value, bounds[-1]


def _turned(function: ast.FunctionDef, node: ast.stmt) -> list[ast.stmt] | None:
    """A loop with `hs.insert(0, h)` in it, or with `hs[t] = h` from the last place to the first: appended to, and
    turned around behind the loop."""
    if not isinstance(node, ast.For):
        return None
    for statement in node.body:
        match statement:
            case ast.Expr(
                value=ast.Call(
                    func=ast.Attribute(value=ast.Name(id=name), attr="insert"),
                    args=[ast.Constant(value=0), item],
                    keywords=[],
                )
            ):
                alone = True
            case ast.Assign(targets=[ast.Subscript(value=ast.Name(id=name), slice=place)], value=item):
                index = node.target.id if isinstance(node.target, ast.Name) else ""
                alone = _falls(node) is not None and _shift(place, index) == 0 and not _grows(function, name)
            case _:
                continue
        made = _made(function, name)
        empty = made is not None and isinstance(made.value, ast.List) and not made.value.elts
        if not alone or not empty or not _is_own(function, name) or not _is_plain(function, node, name):
            continue
        body = [_append(name, item) if one is statement else one for one in node.body]
        made_loop = ast.For(node.target, node.iter, [copy.deepcopy(one) for one in body], [])
        return [made_loop, ast.parse(f"{name} = {name}[::-1]").body[0]]
    return None


def _fresh(function: ast.FunctionDef, name: str, loop: ast.For) -> bool:
    """Whether nothing is done with a list between the statement that makes it and a loop."""
    made = _made(function, name)
    for block in _blocks(function):
        if made in block and loop in block and block.index(made) < block.index(loop):
            between = block[block.index(made) + 1 : block.index(loop)]
            return not any(_is_named(part, name) for one in between for part in ast.walk(one))
    return False


def _made(function: ast.FunctionDef, name: str) -> ast.Assign | None:
    """The one statement that makes a list of the function's own."""
    found = [
        part
        for part in ast.walk(function)
        if isinstance(part, ast.Assign) and any(_is_named(target, name) for target in part.targets)
    ]
    stored = [p for p in ast.walk(function) if _is_named(p, name) and not isinstance(p.ctx, ast.Load)]
    return found[0] if len(found) == len(stored) == 1 and len(found[0].targets) == 1 else None


def _is_own(function: ast.FunctionDef, name: str) -> bool:
    """Whether a name stands for a list that the function makes, and nothing else stands for that list."""
    made = [
        part
        for part in ast.walk(function)
        if isinstance(part, ast.Assign) and any(_is_named(target, name) for target in part.targets)
    ]
    for one in made:
        match one.value:
            case ast.List() | ast.BinOp(left=ast.List(elts=[ast.Constant()]), op=ast.Mult()):
                pass
            case ast.BinOp(left=ast.Name(id=other), op=ast.Add(), right=ast.List()) if other == name:
                pass
            case _:
                return False
    arguments = [part.arg for part in ast.walk(function) if isinstance(part, ast.arg)]
    inner = any(isinstance(p, ast.Lambda | ast.FunctionDef) and p is not function for p in ast.walk(function))
    return bool(made) and name not in arguments and not inner and not _has_alias(function, name)


def _has_alias(function: ast.FunctionDef, name: str) -> bool:
    """Whether the list itself is put into another name or another container."""
    for part in ast.walk(function):
        match part:
            case ast.Assign(value=value) | ast.AnnAssign(value=value):
                parts = value.elts if isinstance(value, ast.Tuple | ast.List) else [value]
                if any(one is not None and _is_named(one, name) for one in parts):
                    return True
            case ast.Call(func=ast.Attribute(attr="append" | "insert" | "extend"), args=args):
                if any(_is_named(one, name) for one in args):
                    return True
            case ast.Dict(values=values) if any(_is_named(one, name) for one in values):
                return True
            case ast.IfExp(body=body, orelse=orelse) if _is_named(body, name) or _is_named(orelse, name):
                return True
    return False


def _place_of(statement: ast.AST, name: str) -> ast.expr | None:
    match statement:
        case ast.Assign(targets=[ast.Subscript(value=ast.Name(id=root), slice=place)]) if root == name:
            return place
    return None


def _shift(place: ast.expr | None, index: str) -> int | None:
    match place:
        case ast.Name(id=name) if name == index:
            return 0
        case ast.BinOp(left=ast.Name(id=name), op=ast.Add(), right=ast.Constant(value=int(by))) if name == index:
            return by
        case ast.BinOp(left=ast.Name(id=name), op=ast.Sub(), right=ast.Constant(value=int(by))) if name == index:
            return -by
    return None


def _is_settled(function: ast.FunctionDef, node: ast.expr) -> bool:
    """Whether an expression is the same wherever the function reads it: its names are bound once."""
    for part in ast.walk(node):
        if isinstance(part, ast.Call) and not (isinstance(part.func, ast.Name) and part.func.id == "len"):
            return False
        if isinstance(part, ast.Name):
            stored = [p for p in ast.walk(function) if _is_named(p, part.id) and not isinstance(p.ctx, ast.Load)]
            if len(stored) > 1:
                return False
    return True


def _is_number(node: ast.expr | None, number: int) -> bool:
    return isinstance(node, ast.Constant) and node.value == number


def _is_named(part: ast.AST, name: str) -> TypeGuard[ast.Name]:
    return isinstance(part, ast.Name) and part.id == name


def _blocks(node: ast.AST) -> Iterator[Sequence[ast.stmt]]:
    for part in ast.walk(node):
        for name in ("body", "orelse", "finalbody"):
            block = getattr(part, name, None)
            if isinstance(block, list):
                yield block
