"""Lists and dicts of tuples, as one list or dict for each part of the tuples; and what nobody reads, taken away.

`caches.append((x, h))` and `x, h = caches[t]` become `xs.append(x)`, `hs.append(h)` and `x = xs[t]`, `h = hs[t]`.
"""

from __future__ import annotations

import ast
import copy
import keyword
from collections.abc import Sequence

from flatgrad.frontend.flattened import blocks_of
from flatgrad.frontend.liveness import root_name
from flatgrad.frontend.tuples import held_names


def split_containers(node: ast.FunctionDef) -> bool:
    """A list or a dict of tuples as one for each of their parts; False where there is none."""
    made = {
        statement.targets[0].id: statement
        for block in blocks_of(node)
        for statement in block
        if isinstance(statement, ast.Assign)
        and isinstance(statement.targets[0], ast.Name)
        and isinstance(statement.value, ast.List | ast.Dict)
        and not ast.unparse(statement.value).strip("[]{}")
    }
    for name, begin in made.items():
        parts = _parts_of(node, name)
        if parts is not None:
            _split(node, name, begin, parts)
            return True
    return False


def _parts_of(node: ast.FunctionDef, name: str) -> list[str] | None:
    """What to call the parts of what a list or a dict holds; None where that is anything else than tuples of names,
    or where more is done with it than to store them and to read them one at a time."""
    parts: list[str] | None = None
    uses = sum(isinstance(part, ast.Name) and part.id == name for part in ast.walk(node))
    seen = 1
    for block in blocks_of(node):
        for position, statement in enumerate(block):
            match statement:
                case ast.Expr(value=ast.Call(func=ast.Attribute(value=ast.Name(id=root), attr="append"), args=[
                    ast.Name(id=held)
                ])) | ast.Assign(targets=[ast.Subscript(value=ast.Name(id=root))], value=ast.Name(id=held)) if (
                    root == name
                ):  # fmt: skip
                    values = held_names(block, position, held)
                    if values is None or parts is not None:
                        return None
                    parts = [value.id for value in values]
                    seen += 1
                case ast.Assign(targets=[ast.Name()], value=ast.Subscript(value=ast.Name(id=root))) if root == name:
                    seen += 1
    return parts if seen == uses else None


def _split(node: ast.FunctionDef, name: str, begin: ast.Assign, parts: Sequence[str]) -> None:
    taken = {part.id for part in ast.walk(node) if isinstance(part, ast.Name)}
    taken |= {argument.arg for argument in node.args.args}

    def free(wanted: str) -> str:
        number = 2
        found = wanted
        while found in taken or keyword.iskeyword(found):
            found, number = f"{wanted}{number}", number + 1
        taken.add(found)
        return found

    containers = [free(_plural(part)) for part in parts]
    for block in blocks_of(node):
        for position in range(len(block) - 1, -1, -1):
            statement = block[position]
            new: list[ast.stmt] | None = None
            if statement is begin:
                new = [ast.Assign([ast.Name(one, ast.Store())], copy.deepcopy(begin.value)) for one in containers]
            match statement:
                case ast.Expr(value=ast.Call(func=ast.Attribute(value=ast.Name(id=root), attr="append"))) if (
                    root == name
                ):
                    new = [
                        ast.Expr(
                            ast.Call(
                                ast.Attribute(ast.Name(one, ast.Load()), "append", ast.Load()),
                                [ast.Name(part, ast.Load())],
                                [],
                            )
                        )
                        for one, part in zip(containers, parts, strict=True)
                    ]
                case ast.Assign(targets=[ast.Subscript(value=ast.Name(id=root), slice=key)]) if root == name:
                    new = [
                        ast.Assign(
                            [ast.Subscript(ast.Name(one, ast.Load()), copy.deepcopy(key), ast.Store())],
                            ast.Name(part, ast.Load()),
                        )
                        for one, part in zip(containers, parts, strict=True)
                    ]
                case ast.Assign(
                    targets=[ast.Name() as target], value=ast.Subscript(value=ast.Name(id=root), slice=key)
                ) if root == name:
                    names = [free(f"{part}_step") for part in parts]
                    new = [
                        ast.Assign(
                            [ast.Name(own, ast.Store())],
                            ast.Subscript(ast.Name(one, ast.Load()), copy.deepcopy(key), ast.Load()),
                        )
                        for own, one in zip(names, containers, strict=True)
                    ]
                    held = ast.Tuple([ast.Name(own, ast.Load()) for own in names], ast.Load())
                    new.append(ast.Assign([target], held))
            if new is not None:
                block[position : position + 1] = [ast.copy_location(one, statement) for one in new]


def _filled_only(node: ast.FunctionDef) -> set[str]:
    """The lists and dicts that are filled with names and never read."""
    made: set[str] = set()
    uses: dict[str, int] = {}
    for part in ast.walk(node):
        match part:
            case ast.Assign(targets=[ast.Name(id=name)], value=ast.List(elts=[]) | ast.Dict(keys=[])):
                made.add(name)
                uses[name] = uses.get(name, 0) - 1
            case ast.Expr(
                value=ast.Call(func=ast.Attribute(value=ast.Name(id=name), attr="append"), args=[ast.Name()])
            ):
                uses[name] = uses.get(name, 0) - 1
            case ast.Assign(targets=[ast.Subscript(value=ast.Name(id=name))], value=ast.Name()):
                uses[name] = uses.get(name, 0) - 1
            case ast.Name(id=name):
                uses[name] = uses.get(name, 0) + 1
    return {name for name in made if uses[name] == 0}


def _plural(name: str) -> str:
    return f"{name}_steps" if name.endswith("s") else f"{name}s"


def drop_idle(node: ast.FunctionDef) -> None:
    """Take away tuples of names that nobody reads any more."""
    while True:
        read = {part.id for part in ast.walk(node) if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Load)}
        read |= {root_name(part.target) for part in ast.walk(node) if isinstance(part, ast.AugAssign)}
        gone = False
        idle = _filled_only(node)
        for block in blocks_of(node):
            for statement in list(block):
                match statement:
                    case ast.Assign(targets=[ast.Name(id=name)], value=ast.Tuple() | ast.Name() | ast.Subscript()) if (
                        name not in read
                    ):
                        block.remove(statement)
                        gone = True
                    case (
                        ast.Expr(value=ast.Call(func=ast.Attribute(value=ast.Name(id=name), attr="append")))
                        | ast.Assign(targets=[ast.Subscript(value=ast.Name(id=name))])
                        | ast.Assign(targets=[ast.Name(id=name)], value=ast.List() | ast.Dict())
                    ) if name in idle:
                        block.remove(statement)
                        gone = True
            if not block:
                block.append(ast.Pass())
        if not gone:
            return
