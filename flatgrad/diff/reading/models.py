"""A homework that holds only the backward pass, and the model that has the forward pass: one text that can be run.

What the homework lacks of the model is put behind the homework's own lines, which keep their numbers. A helper that
both define, and differently, gets another name in the model's part.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from dataclasses import replace

from flatgrad.diff.homework import Homework
from flatgrad.diff.reading.pairs import does_something, forward_of, function_pairs, method_pair
from flatgrad.diff.reading.reading import file_places, plain_text, read_file
from flatgrad.diff.reading.scope import Function, methods_of
from flatgrad.frontend.bindings import imported_names
from flatgrad.frontend.liveness import bound_names
from flatgrad.frontend.source import Module, read_module

_SUFFIX = "_of_model"


def read_model_forward(
    model: str,
    text: str,
    filename: str,
    functions: tuple[str, ...] = (),
    names: Mapping[str, str] | None = None,
    model_filename: str = "model.py",
) -> tuple[Homework, ...]:
    """The homeworks of a file whose forward functions stand in a model's file; none if it has no such backward pass.

    Args:
        model: the model's file: Python, or a notebook's JSON.
        text: the homework's.
        filename: the homework's name.
        functions: see `read_homework`.
        names: see `read_homework`.
        model_filename: the model's name.

    Raises:
        Refused: as `read_homework`, for the homework; FG001 and FG002 for the model too.
    """
    own, cells = plain_text(text, filename)
    both = joined(plain_text(model, model_filename)[0], own, model_filename, filename)
    if both == own:
        return ()
    last = own.count("\n") + 1
    reading = read_file(both, filename, functions, names)
    tree = ast.parse(both)
    behind = {one.name for one in tree.body if isinstance(one, ast.FunctionDef | ast.ClassDef) and one.lineno > last}
    found = [one for one in reading.homeworks if one.forward.split(".")[0] in behind and one.backward_lines]
    found = [one for one in found if min(one.backward_lines) <= last]
    places = file_places(both, cells) if cells else ()
    return tuple(replace(one, places=places) for one in found)


def joined(model: str, homework: str, model_filename: str = "model.py", filename: str = "homework.py") -> str:
    """The homework's text and, behind it, what its backward functions need of the model; unchanged if that is nothing.

    Raises:
        Refused: FG001 or FG002 where one of them is not Python.
    """
    ours, theirs = read_module(homework, filename), read_module(model, model_filename)
    wanted = list(_forwards(ours, theirs))
    if not wanted:
        return homework
    own = _definitions(ours)
    definitions = _definitions(theirs)
    needed = _closure(wanted, definitions, own)
    clashes = {
        name: f"{name}{_SUFFIX}"
        for name in needed
        if name in own and name not in wanted and _meaning(own[name]) != _meaning(definitions[name])
    }
    parts: list[str] = []
    seen: set[ast.stmt] = set()
    for name, node in definitions.items():
        if name in needed and node not in seen and (name not in own or name in wanted or name in clashes):
            seen.add(node)
            parts.append(_text(theirs, node, clashes, name in own and isinstance(node, ast.ClassDef)))
    return (
        homework.rstrip("\n")
        + "\n" * (1 + len(homework) - len(homework.rstrip("\n")))
        + "\n\n"
        + "\n\n\n".join(parts)
        + "\n"
    )


def _forwards(ours: Module, theirs: Module) -> Iterator[str]:
    """The names of the model's functions and classes whose backward passes the homework has without a forward pass."""
    functions = {one.name: one for one in ours.tree.body if isinstance(one, ast.FunctionDef)}
    working = {name: one for name, one in functions.items() if does_something(one)}
    others = {one.name: one for one in theirs.tree.body if isinstance(one, ast.FunctionDef) and does_something(one)}
    for pair in function_pairs(working):
        if pair.forward is None:
            forward = forward_of(pair.backward.name, others)
            if forward is not None:
                yield forward.name
    classes = {one.name: one for one in theirs.tree.body if isinstance(one, ast.ClassDef)}
    for owner in ours.tree.body:
        if isinstance(owner, ast.ClassDef) and owner.name in classes and method_pair(owner) is None:
            merged = ast.ClassDef(owner.name, [], [], [*classes[owner.name].body, *owner.body], [])
            if method_pair(merged) is not None:
                yield owner.name


def _definitions(module: Module) -> dict[str, ast.stmt]:
    """What a module binds at its top level, by statements that stand alone."""
    found: dict[str, ast.stmt] = {}
    for one in module.tree.body:
        match one:
            case ast.FunctionDef(name=name) | ast.ClassDef(name=name):
                if not (isinstance(one, ast.FunctionDef) and not does_something(one)):
                    found[name] = one
            case ast.Import() | ast.ImportFrom():
                found |= {name: one for name, _ in imported_names(one)}
            case ast.Assign() | ast.AnnAssign():
                found |= dict.fromkeys(sorted(bound_names([one])), one)
    return found


def _closure(wanted: list[str], definitions: Mapping[str, ast.stmt], own: Mapping[str, ast.stmt]) -> set[str]:
    needed = set(wanted)
    rest = list(wanted)
    while rest:
        name = rest.pop()
        if name in own and name not in wanted and _meaning(own[name]) == _meaning(definitions[name]):
            continue
        for part in ast.walk(definitions[name]):
            if isinstance(part, ast.Name) and part.id in definitions and part.id not in needed:
                needed.add(part.id)
                rest.append(part.id)
    return needed


def _meaning(node: ast.stmt) -> str:
    """What tells two definitions apart; of imports the names, so that `import numpy as np` twice is one."""
    return ast.dump(node)


class _Renamed(ast.NodeTransformer):
    def __init__(self, names: Mapping[str, str]) -> None:
        self.names = names

    def visit_Name(self, node: ast.Name) -> ast.Name:
        return ast.Name(self.names.get(node.id, node.id), node.ctx)

    def visit_FunctionDef(self, node: Function) -> ast.AST:
        node.name = self.names.get(node.name, node.name)
        return self.generic_visit(node)


def _text(module: Module, node: ast.stmt, clashes: Mapping[str, str], derived: bool) -> str:
    """A definition as it is written; with other names, or as a class behind the homework's own, as Python spells it."""
    first = (
        node.decorator_list[0].lineno
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and node.decorator_list
        else node.lineno
    )
    text = "\n".join(module.lines[first - 1 : node.end_lineno])
    if isinstance(node, ast.ClassDef) and derived:
        body = [one for name, one in methods_of(node).items() if "backward" not in name]
        bases: list[ast.expr] = [ast.Name(node.name, ast.Load())]
        made = ast.ClassDef(node.name, bases, [], [*body], [])
        return ast.unparse(ast.fix_missing_locations(_Renamed(clashes).visit(made)))
    used = {part.id for part in ast.walk(node) if isinstance(part, ast.Name)}
    name = node.name if isinstance(node, ast.FunctionDef) else ""
    if clashes.keys() & (used | {name}):
        return ast.unparse(ast.fix_missing_locations(_Renamed(clashes).visit(ast.parse(text))))
    return text
