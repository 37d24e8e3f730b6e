"""A script: forward statements and gradients below them, without a function, as in lecture notes and notebooks.

What the script's leaves are (`x = 3`, `W = np.random.randn(5, 10)`) and what its result is, it does not say. The result
is what gradients are taken of by their names (`dfdx`), what has the gradient 1, what is called a loss, or the last
thing that is computed before the first gradient. Leaves are the inputs whose gradients it computes.

A loop that trains (it updates what it computes the gradients of) is read, and run, as its first round.
"""

from __future__ import annotations

import ast
import copy
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePath
from typing import Any, TypeGuard

from flatgrad.diff.homework import Homework, Returned, Style
from flatgrad.diff.reading.assigned import Backward, targets_of
from flatgrad.diff.reading.flat import whole_lines
from flatgrad.diff.reading.names import LOSS, Kind, Variables, is_container, read_name, without_gradients, words
from flatgrad.diff.reading.scope import variables
from flatgrad.diff.reading.targets import Target
from flatgrad.frontend.liveness import MUTATORS, bound_names, own_statements, reads, root_name, stores
from flatgrad.frontend.memory import Known
from flatgrad.frontend.slicing import slice_function
from flatgrad.frontend.source import Module, read_module, span_of

_NEW = frozenset(
    (
        *("randn", "rand", "random", "normal", "uniform", "standard_normal", "random_sample", "zeros", "ones"),
        *("array", "asarray", "eye", "full", "linspace", "arange", "float64", "float32", "float", "matrix"),
    )
)


@dataclass(frozen=True, slots=True)
class _Script:
    """The statements of a script, loops that train opened, and the targets that are named as gradients."""

    module: Module
    statements: tuple[ast.stmt, ...]
    gradients: tuple[Target, ...]
    given: Mapping[str, str]

    @property
    def every(self) -> list[ast.stmt]:
        return list(own_statements(self.statements))


def read_script(module: Module, filename: str, given: Mapping[str, str]) -> Homework | None:
    """The homework of a file's statements outside functions; None where they assign no gradients."""
    module = _first_round(module)
    script = _script(module, given)
    if script is None:
        return None
    result = _result(script)
    if not result:
        return None
    backward = _backward(script, result)
    if not backward:
        return None
    forward = [one for one in script.every if one not in backward]
    names = tuple(one for one in variables(forward, ()) if one not in {target.name for target in script.gradients})
    known = Variables(names, (result,), False, {}, given)
    read = Backward(module, tuple(one for one in script.every if one in backward), (), known)
    gradients = {text: variable for text, variable in read.gradients().items() if text not in names}
    if not gradients:
        return None
    leaves = _leaves(forward)
    wanted = tuple(dict.fromkeys(one for one in gradients.values() if one in leaves))
    return Homework(
        file=filename,
        text=module.text,
        style=Style.SCRIPT,
        function=PurePath(filename).stem,
        forward="",
        backward="",
        parameters=tuple(one for one in leaves if one in wanted),
        attributes=(),
        loss=(),
        script_result=result,
        upstream=(_upstream(script, result),),
        cache="",
        cache_place=(),
        backward_lines=whole_lines(script.every, frozenset(backward)),
        gradients=gradients,
        returned=tuple(Returned(variable, text, None) for text, variable in gradients.items() if variable in wanted),
        options=(),
    )


def _script(module: Module, given: Mapping[str, str]) -> _Script | None:
    statements = tuple(one for one in module.tree.body if not _defines(one))
    every = list(own_statements(statements))
    bound: dict[str, int] = {}
    for position, one in enumerate(every):
        for name in sorted(_bound_by(one)):
            bound.setdefault(name, position)
    names = without_gradients(bound, True)
    known = Variables(names, names, given=given)
    found: list[Target] = []
    for position, one in enumerate(every):
        for target in targets_of(module, one):
            if is_container(target.name):
                continue
            named = read_name(target.name, known)
            if target.key and is_container(target.holder):
                found.append(target)
            elif named.kind is Kind.GRADIENT and bound.get(named.variable, 0) <= position:
                if named.variable or re.fullmatch(r"(d|grad_)\w+|\w+_(grad|delta)|delta\d*", target.name):
                    found.append(target)
    return _Script(module, statements, tuple(found), given) if found else None


def _defines(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Import | ast.ImportFrom | ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)


def _bound_by(statement: ast.stmt) -> frozenset[str]:
    """The names that a statement itself binds."""
    match statement:
        case ast.Assign(targets=targets):
            return frozenset(name for target in targets for name in stores(target))
        case ast.AnnAssign(target=target) | ast.AugAssign(target=target) | ast.For(target=target):
            return stores(target)
    return frozenset()


# Its result


def _result(script: _Script) -> str:
    every = script.every
    gradients = {target.name for target in script.gradients if not target.key}
    first = min(
        (every.index(target.statement) for target in script.gradients if not _is_blank(target.value)), default=0
    )
    before: list[str] = []  # in the order in which they are bound last
    for one in every[:first]:
        for name in sorted(_bound_by(one) - gradients):
            if not (isinstance(one, ast.For) or (isinstance(one, ast.Assign) and _is_literal(one.value))):
                before = [name_ for name_ in before if name_ != name] + [name]
    numerators = [above for name in gradients for above in _numerators(name, before)]
    if numerators:
        return max(set(numerators), key=before.index)
    known = Variables(tuple(before), given=script.given)
    # What comes first is made of nothing else: `df = 1.0`. A 1 further down is a mistake.
    begun = next((target for target in script.gradients if not _is_blank(target.value)), None)
    if begun is not None and begun.whole and begun.value is not None and _is_one(begun.value) and not begun.key:
        variable = read_name(begun.name, known).variable
        if variable in before:
            return variable
    for name in reversed(before):
        if {"loss", "cost"} & set(words(name)) or name in LOSS:
            return name
    return before[-1] if before else ""


def _numerators(name: str, bound: Sequence[str]) -> Iterator[str]:
    """`f` of `dfdx` and `df_dx`, where both are bound."""
    for place in range(2, len(name) - 1):
        above, below = name[1:place].rstrip("_"), name[place + 1 :].lstrip("_")
        if name[0] == "d" and name[place] == "d" and above in bound and below in bound and name[1:] not in bound:
            yield above


def _is_one(node: ast.expr) -> bool:
    match node:
        case ast.Constant(value=value):
            return type(value) in (int, float) and value == 1
        case ast.Call(func=ast.Attribute(attr="ones_like" | "ones")):
            return True
    return False


def _upstream(script: _Script, result: str) -> str:
    """The gradient of the result where the script makes it up: `dD = np.random.randn(*D.shape)`."""
    known = Variables((result,), given=script.given)
    for target in script.gradients:
        if target.holder or target.value is None or read_name(target.name, known).variable != result:
            continue
        match target.value:
            case ast.Call(func=ast.Attribute(value=ast.Attribute(attr="random"))):
                return target.name
        break
    return ""


# What belongs to what


def _backward(script: _Script, result: str) -> set[ast.stmt]:
    """The statements that the result does not depend on, from the first gradient on or assigning one."""
    statements: list[ast.stmt] = copy.deepcopy(list(script.statements))
    twins = list(own_statements(statements))
    for twin in twins:
        if _shows(twin):
            twin.value = ast.copy_location(ast.Constant(0), twin.value)
    end: list[ast.stmt] = [ast.Return(ast.Name(result, ast.Load()))]
    arguments = ast.arguments([], [], None, [], [], None, [])
    node = ast.FunctionDef("script", arguments, [*statements, *end], [], None)
    sliced = slice_function(ast.fix_missing_locations(node), Known(script.module), ())
    dropped = {one for one, twin in zip(script.every, twins, strict=True) if twin not in sliced.needed}
    gradients = {target.statement for target in script.gradients}
    made: set[str] = {target.name for target in script.gradients} - _needed_names(script, dropped)
    first = min((one.lineno for one in gradients if one in dropped), default=0)
    found = {one for one in dropped if one.lineno >= first or one in gradients}
    # What only prints or plots gradients, and what a call is feared to do to them.
    late = [one for one in script.every if one.lineno >= first and one not in found]
    return found | {one for one in late if isinstance(one, ast.Expr) and reads(one) & made}


def _shows(statement: ast.stmt) -> TypeGuard[ast.Expr | ast.Assign]:
    """Whether a statement prints or plots, which is taken to change nothing."""
    match statement:
        case ast.Expr(value=ast.Call(func=ast.Name())):
            return True
        case ast.Expr(value=ast.Call(func=ast.Attribute(attr=method) as func)):
            return root_name(func) not in ("np", "numpy") and method not in MUTATORS
        case ast.Assign(value=ast.Call(func=func)):
            return root_name(func) in ("plt", "fig", "ax", "pyplot", "matplotlib")
    return False


def _needed_names(script: _Script, dropped: set[ast.stmt]) -> frozenset[str]:
    return bound_names([one for one in script.every if one not in dropped and not isinstance(one, ast.For | ast.If)])


def _is_blank(node: ast.expr | None) -> bool:
    match node:
        case ast.Constant(value=None | 0 | 0.0):
            return True
        case ast.Call(func=ast.Attribute(attr=name)):
            return name in ("zeros", "zeros_like", "empty", "empty_like")
        case ast.BinOp(left=ast.List(), op=ast.Mult()):
            return True
    return False


# Its leaves


def _leaves(forward: Sequence[ast.stmt]) -> list[str]:
    """The names that are bound once, to numbers or arrays that are made of nothing."""
    times: dict[str, int] = {}
    found: list[str] = []
    sizes: set[str] = set()
    for one in forward:
        for name in _bound_by(one):
            times[name] = times.get(name, 0) + 1
        if isinstance(one, ast.Assign):
            for target in one.targets:
                for name, value in _each(target, one.value):
                    if _is_new(value, sizes):
                        found.append(name)
                    if isinstance(value, ast.Constant) and type(value.value) is int:
                        sizes.add(name)
    return [name for name in dict.fromkeys(found) if times[name] == 1]


def _each(target: ast.expr, value: ast.expr) -> Iterator[tuple[str, ast.expr]]:
    match target, value:
        case ast.Name(id=name), _:
            yield name, value
        case ((ast.Tuple(elts=parts)), (ast.Tuple(elts=values) | ast.List(elts=values))) if len(parts) == len(values):
            for part, one in zip(parts, values, strict=True):
                yield from _each(part, one)


def _is_new(node: ast.expr, sizes: set[str]) -> bool:
    if _is_literal(node):
        return True
    called = any(
        isinstance(part, ast.Call) and isinstance(part.func, ast.Attribute | ast.Name) and _called(part.func) in _NEW
        for part in ast.walk(node)
    )
    names = {part.id for part in ast.walk(node) if isinstance(part, ast.Name)}
    modules = {
        part.value.id
        for part in ast.walk(node)
        if isinstance(part, ast.Attribute) and isinstance(part.value, ast.Name) and part.value.id not in sizes
    }
    direct = {part.func.id for part in ast.walk(node) if isinstance(part, ast.Call) and isinstance(part.func, ast.Name)}
    return called and names <= sizes | modules | direct


def _called(func: ast.Attribute | ast.Name) -> str:
    return func.attr if isinstance(func, ast.Attribute) else func.id


def _is_literal(node: ast.expr) -> bool:
    match node:
        case ast.Constant(value=value):
            return type(value) in (int, float)
        case ast.UnaryOp(operand=operand):
            return _is_literal(operand)
        case ast.List(elts=parts) | ast.Tuple(elts=parts):
            return bool(parts) and all(map(_is_literal, parts))
    return False


# Loops that train


def _first_round(module: Module) -> Module:
    """The module with `range(1)`, or `if`, in the head of a loop that trains; each line stays in its place."""
    lines = list(module.lines)
    rest: list[ast.stmt] = list(module.tree.body)
    for statement in rest:
        if not isinstance(statement, ast.For | ast.While) or not _trains(module, statement):
            continue
        rest += statement.body
        if isinstance(statement, ast.For):
            span = span_of(module, statement.iter)
            if span.line == span.end_line and not isinstance(statement.iter, ast.Name):
                line = lines[span.line - 1]
                over = line[span.column : span.end_column]
                once = "range(1)" if isinstance(statement.target, ast.Name) else f"[next(iter({over}))]"
                lines[span.line - 1] = line[: span.column] + once + line[span.end_column :]
        elif not any(isinstance(part, ast.Break | ast.Continue) for part in ast.walk(statement)):
            line = lines[statement.lineno - 1]
            lines[statement.lineno - 1] = line.replace("while ", "if ", 1)
    text = "\n".join(lines)
    return module if text == module.text else _opened(read_module(text, module.filename))


def _trains(module: Module, loop: ast.For | ast.While) -> bool:
    """Whether a loop changes, with their gradients, variables that are bound before it."""
    bound = bound_names([loop])
    outer = bound_names([one for one in module.tree.body if one.lineno < loop.lineno])
    for one in own_statements(loop.body):
        match one:
            case (
                ast.Assign(targets=[ast.Name(id=name)], value=value)
                | ast.AugAssign(target=ast.Name(id=name), value=value)
            ):
                known = Variables((name,))
                used = [read_name(other, known) for other in reads(value) & bound]
                if name in outer and any(named.variable == name for named in used):
                    return True
    return False


def _opened(module: Module) -> Module:
    """The module with loops of one round as an `if`, so that no round follows another."""
    tree: ast.Module = copy.deepcopy(module.tree)
    tree.body = [_open(one) for one in tree.body]
    return replace(module, tree=tree)


def _open(statement: ast.stmt) -> Any:
    if isinstance(statement, ast.For) and ast.unparse(statement.iter) == "range(1)":
        jumps = [one for one in own_statements(statement.body) if isinstance(one, ast.Break | ast.Continue)]
        if not jumps:
            made = ast.If(ast.Constant(True), [_open(one) for one in statement.body], [])
            return ast.copy_location(made, statement)
    return statement
