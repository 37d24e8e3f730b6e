"""A homework as an instrumented program: sites in its forward statements, gradients watched in its backward ones.

The program is a syntax tree, sent as data, so that the lines of the homework stay what they are.
"""

from __future__ import annotations

import ast
import builtins
import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from flatgrad.diff.homework import Homework, Style
from flatgrad.diff.judging.gradients import BackwardSteps, Target, targets_of
from flatgrad.diff.judging.sites import RECORDER, ForwardSites, Site, call


@dataclass(frozen=True, slots=True)
class Program:
    """An instrumented homework: the tree as data (see `as_data`), and what its numbers stand for.

    One that is not `recorded` is the homework as it stands.
    """

    tree: Any
    sites: tuple[Site, ...]
    targets: tuple[Target, ...]
    recorded: bool = True


def instrument(homework: Homework, edit: Callable[[ast.Module], ast.Module] | None = None) -> Program:
    """Instrument a homework. `edit` changes its tree first: a repair that is to be tried.

    Raises:
        SyntaxError: the text cannot be parsed.
    """
    tree = ast.parse(homework.text)
    if edit is not None:
        tree = edit(tree)
    tree = _Doubled().visit(tree)
    targets = targets_of(homework.gradients)
    sites = ForwardSites(_known(tree))
    mixed = homework.style in (Style.FLAT, Style.SCRIPT)
    backward = BackwardSteps(targets, mixed)
    if homework.style is Style.SCRIPT:
        leaves = set(homework.parameters)
        tree.body = _forward_block(_with_leaves(tree.body, leaves), homework, sites, backward)
    else:
        tree.body = [one for one in tree.body if _defines(one)]
        forward = find_function(tree, homework.forward)
        forward.decorator_list = _plain(forward.decorator_list)
        heads = sites.parameters(forward)
        forward.body = [*heads, *_forward_block(forward.body, homework, sites, backward)]
        for part in _parts(tree, homework, forward):
            part.body = [*sites.parameters(part), *_forward_block(part.body, homework, sites, backward)]
        if not mixed:
            function = find_function(tree, homework.backward)
            function.decorator_list = _plain(function.decorator_list)
            function.body = backward.block(function.body)
    ast.fix_missing_locations(tree)
    return Program(as_data(tree), tuple(sites.sites), targets)


def uninstrumented(homework: Homework, targets: tuple[Target, ...]) -> Program:
    """A homework as it stands; not for a script. `targets`: the numbers that its gradients have."""
    tree = ast.parse(homework.text)
    tree.body = [one for one in tree.body if _defines(one)]
    for name in (homework.forward, homework.backward):
        function = find_function(tree, name)
        function.decorator_list = _plain(function.decorator_list)
    return Program(as_data(tree), (), targets, recorded=False)


def _parts(tree: ast.Module, homework: Homework, forward: ast.FunctionDef) -> list[ast.FunctionDef]:
    """Other functions that hold forward statements: `inside`, and methods that forward calls and that read attributes.

    One that the backward pass calls as well is none of them: what it does there is no part of the result.
    """
    found = {name: find_function(tree, name) for name in homework.inside}
    owner = homework.forward.partition(".")[0] if "." in homework.forward else ""
    again = _called_methods(find_function(tree, homework.backward)) if homework.backward != homework.forward else set()
    todo = [forward, *found.values()] if owner else []
    for function in todo:
        for name in sorted(_called_methods(function) - again):
            qualified = f"{owner}.{name}"
            try:
                method = find_function(tree, qualified)
            except LookupError:
                continue
            if qualified not in (homework.forward, homework.backward, *found) and _reads_attributes(method):
                found[qualified] = method
                todo.append(method)
    return list(found.values())


def _called_methods(function: ast.FunctionDef) -> set[str]:
    return {
        node.func.attr
        for node in ast.walk(function)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and isinstance(node.func.value, ast.Name)
        and node.func.value.id == "self"
    }


def _reads_attributes(method: ast.FunctionDef) -> bool:
    called = {id(node.func) for node in ast.walk(method) if isinstance(node, ast.Call)}
    return any(
        isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id == "self"
        and id(node) not in called
        for node in ast.walk(method)
    )


_SINGLES = frozenset({"float32", "single", "float16", "half"})


class _Doubled(ast.NodeTransformer):
    """Numbers of single precision as double ones: differences are lost in their rounding, and the gradients are the
    same."""

    def visit_Attribute(self, node: ast.Attribute) -> ast.expr:
        self.generic_visit(node)
        if node.attr in _SINGLES and isinstance(node.value, ast.Name) and node.value.id in ("np", "numpy"):
            node.attr = "float64"
        return node

    def visit_keyword(self, node: ast.keyword) -> ast.keyword:
        self.generic_visit(node)
        if node.arg == "dtype" and _is_single(node.value):
            node.value = ast.copy_location(ast.Constant("float64"), node.value)
        return node

    def visit_Call(self, node: ast.Call) -> ast.expr:
        self.generic_visit(node)
        if (
            isinstance(node.func, ast.Attribute)
            and node.func.attr == "astype"
            and node.args
            and _is_single(node.args[0])
        ):
            node.args[0] = ast.copy_location(ast.Constant("float64"), node.args[0])
        return node


def _is_single(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value in ("f", "f4", "f2", "<f4", "e", *_SINGLES)


def _defines(node: ast.stmt) -> bool:
    """What a file has to run before its functions can be called: no training loops, no prints."""
    return not isinstance(node, ast.Expr | ast.For | ast.While | ast.With | ast.Delete | ast.Assert)


def _plain(decorators: list[ast.expr]) -> list[ast.expr]:
    kept = ("staticmethod", "classmethod", "property")
    return [one for one in decorators if isinstance(one, ast.Name) and one.id in kept]


def _known(tree: ast.Module) -> frozenset[str]:
    """The names that stand for modules, functions and classes."""
    found: set[str] = set()
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names) | ast.ImportFrom(names=names):
                found |= {(one.asname or one.name).partition(".")[0] for one in names}
            case ast.ClassDef(name=name):
                found.add(name)
    found |= {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
    return frozenset(found | set(vars(builtins))) - _bound(tree)


def _bound(tree: ast.Module) -> set[str]:
    """What is bound as a variable somewhere: `input` and `max` are no functions then."""
    stored = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    return stored | {node.arg for node in ast.walk(tree) if isinstance(node, ast.arg)}


def find_function(tree: ast.Module, qualified: str) -> ast.FunctionDef:
    """The function of that name, `Class.method` too.

    Raises:
        LookupError: there is none.
    """
    body: list[ast.stmt] = tree.body
    found: ast.stmt | None = None
    names = qualified.split(".")
    for place, name in enumerate(names):
        # A function that is defined twice is what it was defined as last; a class may be extended under its own name.
        named = [n for n in body if isinstance(n, ast.FunctionDef | ast.ClassDef) and n.name == name]
        if not named:
            raise LookupError(f"no function {qualified}")
        inner = names[place + 1 : place + 2]
        having = [n for n in named if not inner or any(getattr(one, "name", "") == inner[0] for one in n.body)]
        found = (having or named)[-1]
        body = found.body
    if not isinstance(found, ast.FunctionDef):
        raise LookupError(f"{qualified} is no function")
    return found


def _with_leaves(body: list[ast.stmt], leaves: set[str]) -> list[ast.stmt]:
    """A script whose leaves (`x = 3`) the judge may give other values."""
    for node in body:
        match node:
            case ast.Assign(targets=[ast.Name(id=name)], value=value) if name in leaves:
                node.value = ast.copy_location(call("leaf", name, value), value)
                leaves.discard(name)
            case ast.Assign(targets=[ast.Tuple(elts=names)], value=ast.Tuple(elts=values)) if len(names) == len(values):
                for place, (one, value) in enumerate(zip(names, values, strict=True)):
                    if isinstance(one, ast.Name) and one.id in leaves:
                        values[place] = ast.copy_location(call("leaf", one.id, value), value)
                        leaves.discard(one.id)
    return body


def _forward_block(
    body: list[ast.stmt], homework: Homework, sites: ForwardSites, backward: BackwardSteps
) -> list[ast.stmt]:
    made: list[ast.stmt] = []
    mixed = homework.style in (Style.FLAT, Style.SCRIPT)
    for node in body:
        if mixed and node.lineno in homework.backward_lines and not isinstance(node, ast.Return):
            made += backward.statement(node)
            continue
        match node:
            case ast.For():
                heads = sites.loop_head(node)
                node.body = [*heads, *_forward_block(node.body, homework, sites, backward)]
                node.orelse = _forward_block(node.orelse, homework, sites, backward)
                made.append(node)
            case ast.While() | ast.If():
                node.body = _forward_block(node.body, homework, sites, backward)
                node.orelse = _forward_block(node.orelse, homework, sites, backward)
                made.append(node)
            case ast.With() | ast.Try():
                node.body = _forward_block(node.body, homework, sites, backward)
                made.append(node)
            case ast.Return() if mixed:
                made += _mixed_return(node, homework, sites, backward)
            case _:
                made += sites.statement(node)
    return made


def _mixed_return(node: ast.Return, homework: Homework, sites: ForwardSites, backward: BackwardSteps) -> list[ast.stmt]:
    """A return of loss and gradients: a run that probes returns the loss alone, as nothing has bound the gradients."""
    judged = backward.block([copy.deepcopy(node)])
    probed = ast.Return(node.value)
    kept = {place[0] for place in homework.loss if place}
    if isinstance(node.value, ast.Tuple):
        parts = [part if index in kept else ast.Constant(None) for index, part in enumerate(node.value.elts)]
        probed = ast.Return(ast.Tuple(parts, ast.Load()))
    elif isinstance(node.value, ast.Dict):
        keys = [key.value if isinstance(key, ast.Constant) else None for key in node.value.keys]
        parts = [part if key in kept else ast.Constant(None) for key, part in zip(keys, node.value.values, strict=True)]
        probed = ast.Return(ast.Dict(node.value.keys, parts))
    ast.copy_location(probed, node)
    live = ast.Attribute(ast.Name(RECORDER, ast.Load()), "live", ast.Load())
    return [ast.If(live, judged, list(sites.statement(probed)))]


def as_data(node: Any) -> Any:
    """A syntax tree as lists, strings and numbers: `["Name", {"id": "x", …}]`; constants as `["=", kind, text]`."""
    match node:
        case ast.AST():
            fields: Mapping[str, Any] = {
                name: as_data(getattr(node, name, None)) for name in (*node._fields, *_places(node))
            }
            return [type(node).__name__, fields]
        case list():
            return ["[]", [as_data(one) for one in node]]
        case None | bool() | int() | float() | str() if not isinstance(node, int) or abs(node) < 2**53:
            return node
        case _:
            return ["=", repr(node)]


def _places(node: ast.AST) -> tuple[str, ...]:
    return tuple(name for name in ("lineno", "col_offset", "end_lineno", "end_col_offset") if hasattr(node, name))
