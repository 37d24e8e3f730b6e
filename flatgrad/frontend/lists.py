"""Parameters that are lists of arrays, or of tuples of arrays: `for W, b in params`, `weights[-1]`, `biases[:-1]`."""

from __future__ import annotations

import ast
import builtins
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from flatgrad.frontend.methods import bare
from flatgrad.ir.core import Block, Relation, Value, every_step

_THROUGH = frozenset({"zip", "enumerate", "reversed", "list", "tuple"})
# What lists of arrays are called in functions that do not annotate them.
_CALLED = re.compile(
    r"(\w+_)?((weight|bias|matrice|layer|kernel|transform)(e?s)|matrices|params|parameters|theta|thetas|[A-Zbw]s)"
    r"|\w+_list|list_of_\w+"
)
# How a matrix is used, by the attribute that is asked of it.
_OF_MATRICES = frozenset({"T", "dot", "transpose"})
_NORMS = frozenset({"square", "norm"})
_PRODUCTS = frozenset({"dot", "matmul", "inner", "tensordot", "einsum"})
_MATRIX = re.compile(r"[A-Z]|w")


def list_parameters(
    node: ast.FunctionDef,
    functions: Mapping[str, ast.FunctionDef],
    described: frozenset[str] = frozenset(),
    around: frozenset[str] = frozenset(),
    everywhere: Mapping[str, ast.FunctionDef] | None = None,
) -> dict[str, int]:
    """The parameters that are lists of arrays, with 2 for those whose elements are tuples or lists of arrays, else 1.

    They are annotated as lists, or called like lists and multiplied or unpacked like matrices and their biases; and
    they are read one element or one part at a time. What NumPy is given as a whole is read as an array, whatever its
    annotation says.

    Args:
        functions: those of the file, by their names: one may hand a list on to another.
        described: the parameters of which a shape is claimed: these are arrays.
        around: the functions that hand one on to this.
        everywhere: all functions of the file, those around this one included; `functions` if None.
    """
    called = {name: other for name, other in functions.items() if name not in around | {node.name}}
    arguments = (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)
    found: dict[str, int] = {}
    guessed: dict[str, _Uses] = {}
    for one in arguments:
        uses = _uses_of(node, one.arg, called, around | {node.name}, everywhere or functions)
        if not uses.names or uses.others or one.arg in described:
            continue
        if one.annotation is not None:
            if _is_list(one.annotation):
                found[one.arg] = _depth(one.annotation) or uses.depth
        elif _is_handed(node, one.arg, everywhere or functions):
            found[one.arg] = uses.depth
        elif _CALLED.fullmatch(bare(one.arg)):
            guessed[one.arg] = uses
    if any(uses.matrices for uses in guessed.values()):
        found |= {name: uses.depth for name, uses in guessed.items()}
    return found


def changed_lists(node: ast.FunctionDef, lists: Mapping[str, int]) -> tuple[ast.arg, ...]:
    """The parameters that are lists by their annotation or default, and with which is done what means something else
    for an array: `ws + ws`, `ws * 2`, `ws[0] = w`, `ws = ws[1:]`."""
    args = (*node.args.posonlyargs, *node.args.args)
    empty = args[len(args) - len(node.args.defaults) :]
    made = {one.arg for one, value in zip(empty, node.args.defaults, strict=True) if isinstance(value, ast.List)}
    return tuple(
        one
        for one in (*args, *node.args.kwonlyargs)
        if one.arg not in lists
        and (_is_list(one.annotation) if one.annotation is not None else one.arg in made)
        and _differs(node, one.arg)
    )


def _differs(node: ast.FunctionDef, name: str) -> bool:
    def is_it(part: ast.expr) -> bool:
        return isinstance(part, ast.Name) and part.id == name

    for part in ast.walk(node):
        match part:
            case ast.BinOp(left=left, op=ast.Add() | ast.Mult(), right=right) if is_it(left) or is_it(right):
                # With anything but another list NumPy makes an array of it.
                other = right if is_it(left) else left
                if is_it(other) or isinstance(other, ast.List | ast.ListComp | ast.Constant | ast.Subscript):
                    return True
            case ast.AugAssign(target=ast.Name() as value) | ast.Assign(value=ast.Name() as value) if is_it(value):
                return True
            case ast.Subscript(value=value, ctx=ast.Store() | ast.Del()) if is_it(value):
                return True
            case ast.Assign(targets=[ast.Name() as target], value=ast.Subscript(value=value, slice=ast.Slice())) if (
                is_it(target) and is_it(value)
            ):
                return True
            case ast.Attribute(value=value, attr="copy") | ast.Starred(value=value) if is_it(value):
                return True
            case ast.Starred(value=ast.List(elts=parts) | ast.Tuple(elts=parts)) if any(map(is_it, parts)):
                return True
            case ast.Call(func=ast.Name(id=called), args=args, keywords=keywords) if not hasattr(builtins, called):
                given = (*args, *(keyword.value for keyword in keywords))
                if any(is_it(one.value if isinstance(one, ast.Subscript) else one) for one in given):
                    return True
    return False


def lists_read(block: Block) -> dict[Value, int]:
    """The values that a function reads as lists of arrays, with how deep they are."""
    return {
        step.args[0]: len(step.args) - 1
        for step in every_step(block)
        if isinstance(step, Relation) and step.gate == "entry" and step.attrs.get("list")
        if isinstance(step.args[0], Value)
    }


def _is_handed(
    node: ast.FunctionDef, name: str, functions: Mapping[str, ast.FunctionDef], seen: frozenset[str] = frozenset()
) -> bool:
    """Whether another function of the file hands a parameter on to this one that is annotated as a list."""
    names = [one.arg for one in (*node.args.posonlyargs, *node.args.args)]
    for other in functions.values():
        if other.name in seen | {node.name}:
            continue
        own = {one.arg: one.annotation for one in (*other.args.posonlyargs, *other.args.args, *other.args.kwonlyargs)}
        for part in ast.walk(other):
            match part:
                case ast.Call(func=ast.Name(id=called), args=args, keywords=keywords) if called == node.name:
                    given = dict(zip(names, args, strict=False)) | {one.arg: one.value for one in keywords if one.arg}
                case _:
                    continue
            match given.get(name):
                case ast.Name(id=passed) if passed in own:
                    annotation = own[passed]
                    if (
                        _is_list(annotation)
                        if annotation is not None
                        else _is_handed(other, passed, functions, seen | {node.name})
                    ):
                        return True
    return False


def _is_list(annotation: ast.expr) -> bool:
    match annotation:
        case ast.Constant(value=str(text)):
            try:
                return _is_list(ast.parse(text, mode="eval").body)
            except SyntaxError:
                return False
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name in ("list", "List")
        case ast.Subscript(value=ast.Name(id=name) | ast.Attribute(attr=name), slice=element):
            return name in ("list", "List", "Sequence") and bool(re.search("ndarray|Array", ast.unparse(element)))
    return False


def _depth(annotation: ast.expr) -> int | None:
    """How deep a list is by its annotation; None where that does not tell."""
    match annotation:
        case ast.Constant(value=str(text)):
            return _depth(ast.parse(text, mode="eval").body)
        case ast.Subscript(slice=ast.Subscript(value=ast.Name(id=name) | ast.Attribute(attr=name))):
            return 2 if name in ("list", "List", "tuple", "Tuple", "Sequence") else 1
        case ast.Subscript():
            return 1
    return None


@dataclass(slots=True)
class _Uses:
    """How a function uses a parameter.

    Attributes:
        names: how often it stands in the text; others: in how many places it is not read as a list.
        leaves: in how many places an element is an array; nested: where one is unpacked or indexed in its turn.
        matrices: an element is multiplied like a matrix, or unpacked into names.
        items, parts: the names that stand for an element, and for the list or a part of it.
        lists: arguments of other functions that take a list there, with how deep that is.
    """

    names: int = 0
    others: int = 0
    leaves: int = 0
    nested: int = 0
    matrices: bool = False
    items: set[str] = field(default_factory=set)
    parts: set[str] = field(default_factory=set)
    lists: dict[ast.expr, int] = field(default_factory=dict)

    @property
    def depth(self) -> int:
        return 2 if self.nested and not self.leaves else 1


def _uses_of(
    function: ast.FunctionDef,
    name: str,
    functions: Mapping[str, ast.FunctionDef],
    around: frozenset[str],
    everywhere: Mapping[str, ast.FunctionDef],
) -> _Uses:
    """What is done with a list, and with its elements, under the names that loops and assignments give them."""
    uses = _Uses(lists=_taken(function, functions, around, everywhere))
    parents = {child: parent for parent in ast.walk(function) for child in ast.iter_child_nodes(parent)}
    named = [part for part in ast.walk(function) if isinstance(part, ast.Name)]
    pending, seen = [name], {name}
    while pending:
        one = pending.pop()
        stored = sum(part.id == one and not isinstance(part.ctx, ast.Load) for part in named)
        uses.others += stored != (one != name)
        for part in named:
            if part.id == one and isinstance(part.ctx, ast.Load):
                uses.names += 1
                _sequence(part, parents, uses)
        pending += sorted(uses.parts - seen)
        seen |= uses.parts
    for part in named:
        if part.id in uses.items and isinstance(part.ctx, ast.Load):
            _element(part, parents, uses)
    return uses


def _taken(
    function: ast.FunctionDef,
    functions: Mapping[str, ast.FunctionDef],
    around: frozenset[str],
    everywhere: Mapping[str, ast.FunctionDef],
) -> dict[ast.expr, int]:
    """The arguments of calls that another function of the file takes for lists."""
    found: dict[ast.expr, int] = {}
    for part in ast.walk(function):
        match part:
            case ast.Call(func=ast.Name(id=name), args=[_, *_] as given) if name in functions:
                other = functions[name]
                lists = list_parameters(other, functions, around=around, everywhere=everywhere)
                names = [one.arg for one in (*other.args.posonlyargs, *other.args.args)]
                found |= {one: lists[n] for one, n in zip(given, names, strict=False) if n in lists}
    return found


def _sequence(node: ast.expr, parents: dict[ast.AST, ast.AST], uses: _Uses) -> None:
    """What is done with the list, or with a part of it."""
    parent = parents[node]
    match parent:
        case ast.Subscript(value=value, slice=ast.Slice(), ctx=ast.Load()) if value is node:
            _sequence(parent, parents, uses)
        case ast.Subscript(value=value, slice=index, ctx=ast.Load()) if (
            value is node and not isinstance(index, ast.Tuple) and not _is_key(index, node, parents)
        ):
            _element(parent, parents, uses)
        case ast.Call(func=ast.Name(id="len"), args=[_]):
            pass
        case ast.Call(func=ast.Name(id="list" | "tuple"), args=[_], keywords=[]) if not isinstance(
            parents[parent], ast.For | ast.comprehension | ast.Call
        ):
            _sequence(parent, parents, uses)
        case ast.Attribute(attr="copy") if isinstance(parents[parent], ast.Call):
            call = parents[parent]
            assert isinstance(call, ast.Call)
            _sequence(call, parents, uses)
        case ast.Call(func=ast.Name(id=called)) if called in _THROUGH and _runs(parent, parents, node, uses):
            pass
        case ast.Call() if node in uses.lists and isinstance(node, ast.Name):
            uses.nested += uses.lists[node] > 1
            uses.matrices = True
        case ast.For(iter=over, target=target) | ast.comprehension(iter=over, target=target) if over is node:
            _target(target, uses)
        case ast.Assign(targets=[ast.Name(id=name)], value=value) if value is node:
            uses.parts.add(name)
        case ast.Assign(targets=[ast.Tuple(elts=targets) | ast.List(elts=targets)], value=value) if value is node:
            for target in targets:
                _target(target, uses)
        case _:
            uses.others += 1


def _is_key(index: ast.expr, node: ast.expr, parents: dict[ast.AST, ast.AST]) -> bool:
    """Whether something that is indexed is a dict: by a string, or by what a loop over it gives."""
    if any(isinstance(part, ast.Constant) and isinstance(part.value, str) for part in ast.walk(index)):
        return True
    given = ast.dump(node)
    names = {part.id for part in ast.walk(index) if isinstance(part, ast.Name)}
    for part in parents:
        match part:
            case ast.Assign(targets=[target], value=value) if names & {
                one.id for one in ast.walk(target) if isinstance(one, ast.Name)
            }:
                if any(isinstance(one, ast.Constant) and isinstance(one.value, str) for one in ast.walk(value)):
                    return True
            case ast.For(iter=over, target=ast.Name(id=name)) | ast.comprehension(iter=over, target=ast.Name(id=name)):
                inner = over.args[0] if isinstance(over, ast.Call) and over.args else over
                if isinstance(index, ast.Name) and name == index.id and ast.dump(inner) == given:
                    return True
    return False


def _runs(call: ast.Call, parents: dict[ast.AST, ast.AST], node: ast.expr, uses: _Uses) -> bool:
    """Whether a loop runs over what `zip`, `enumerate` and their kind make of a list; its target is looked at."""
    place: ast.AST = node
    above: ast.AST = call
    path: list[int | None] = []
    while isinstance(above, ast.Call) and isinstance(above.func, ast.Name) and above.func.id in _THROUGH:
        if above.func.id == "zip":
            path.append(next(k for k, one in enumerate(above.args) if one is place))
        elif above.func.id == "enumerate":
            path.append(1)
        place, above = above, parents[above]
    if not isinstance(above, ast.For | ast.comprehension) or above.iter is not place:
        return False
    target: ast.expr = above.target
    for position in reversed(path):
        if not isinstance(target, ast.Tuple) or position is None or len(target.elts) <= position:
            return False
        target = target.elts[position]
    _target(target, uses)
    return True


def _target(target: ast.expr, uses: _Uses) -> None:
    match target:
        case ast.Name(id=name):
            uses.items.add(name)
        case ast.Starred(value=ast.Name(id=name)):
            uses.parts.add(name)
        case ast.Tuple() | ast.List():
            uses.nested += 1
            names = (part.id for part in ast.walk(target) if isinstance(part, ast.Name))
            uses.matrices = uses.matrices or any(_MATRIX.match(name) for name in names)
        case _:
            uses.others += 1


def _element(node: ast.expr, parents: dict[ast.AST, ast.AST], uses: _Uses) -> None:
    """What is done with an element."""
    parent = parents[node]
    match parent:
        case ast.Subscript(value=value, slice=index, ctx=ast.Load()) if value is node:
            if isinstance(index, ast.Slice | ast.Tuple):
                uses.leaves += 1
            else:
                uses.nested += 1
                _used(parent, parents[parent], uses)
        case ast.Assign(targets=[ast.Tuple() | ast.List() as target], value=value) if value is node:
            _target(target, uses)
        case ast.Assign(targets=[ast.Name(id=name)], value=value) if value is node:
            uses.items.add(name)
        case ast.For(iter=over) | ast.comprehension(iter=over) if over is node:
            uses.nested += 1
        case ast.Call(func=ast.Name(id="len")):
            pass
        case _:
            uses.leaves += 1
            _used(node, parent, uses)


def _used(node: ast.expr, parent: ast.AST, uses: _Uses) -> None:
    """Whether an array is multiplied like a matrix."""
    match parent:
        case ast.BinOp(op=ast.MatMult()):
            uses.matrices = True
        case ast.Assign(targets=[ast.Name(id=name)]) if _MATRIX.match(name):
            uses.matrices = True
        case ast.Attribute(attr=attr):
            uses.matrices = uses.matrices or attr in _OF_MATRICES
        case ast.Call(func=ast.Attribute(attr=attr), args=args) if node in args:
            uses.matrices = uses.matrices or attr in _PRODUCTS | _NORMS
        case ast.BinOp(op=ast.Pow(), right=ast.Constant(value=2)):
            uses.matrices = True
