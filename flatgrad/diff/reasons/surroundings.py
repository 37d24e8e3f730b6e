"""The backward statements of a homework, and what is in scope at each: names with the values that they have there."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from flatgrad.diff.homework import Homework, Style
from flatgrad.diff.judging.case import Case
from flatgrad.diff.judging.gradients import normal
from flatgrad.diff.judging.instrument import find_function, instrument
from flatgrad.diff.judging.sites import RECORDER
from flatgrad.diff.reasons.rewriting import Place, Spelling, called, place_of

Floats = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True, slots=True)
class Code:
    """A homework's syntax tree.

    Attributes:
        backward: the statements of the backward pass, nested ones too, in the order of the text.
        body: the function (or script) that they stand in.
        forward: the function (or script) of the forward pass.
        gradients: the texts of what holds gradients, upstream ones too.
        atoms: the texts of the names, attributes and entries that may stand in a statement.
        loops: for the place of each statement of the backward pass, the loops that it stands in, outermost first.
    """

    homework: Homework
    tree: ast.Module
    backward: tuple[ast.stmt, ...]
    body: ast.Module | ast.FunctionDef
    forward: ast.Module | ast.FunctionDef
    gradients: frozenset[str]
    atoms: tuple[str, ...]
    loops: Mapping[Place, tuple[ast.For, ...]]
    spelling: Spelling
    numpy: str

    @property
    def counters(self) -> frozenset[str]:
        """The names that loops bind."""
        return frozenset(
            one.id
            for node in ast.walk(self.tree)
            if isinstance(node, ast.For)
            for one in ast.walk(node.target)
            if isinstance(one, ast.Name)
        )

    @property
    def constants(self) -> frozenset[str]:
        """The names that the file binds at its top."""
        return frozenset(
            one.id
            for node in self.tree.body
            if isinstance(node, ast.Assign)
            for one in node.targets
            if isinstance(one, ast.Name)
        )

    def neighbours(self, text: str) -> frozenset[str]:
        """The names that forward statements compute from this one, and those that it is computed from."""
        found: set[str] = set()
        for node in ast.walk(self.forward):
            if isinstance(node, ast.Assign):
                bound = {ast.unparse(one) for one in node.targets}
                read = {ast.unparse(one) for one in ast.walk(node.value) if isinstance(one, ast.expr)}
                found |= (bound if text in read else set()) | (read if text in bound else set())
        return frozenset(found)

    def selected(self) -> frozenset[str]:
        """What the forward pass takes only some entries of: the arguments of `maximum`, `where`, of comparisons."""
        found: set[str] = set()
        for node in ast.walk(self.forward):
            if isinstance(node, ast.Call) and called(node) in ("maximum", "minimum", "where", "abs", "clip"):
                found |= {ast.unparse(one) for one in node.args}
            elif isinstance(node, ast.Compare):
                found |= {ast.unparse(one) for one in (node.left, *node.comparators)}
        return frozenset(found)

    def carrying(self) -> frozenset[str]:
        """What holds gradients: those known by name, and what the backward pass computes from such."""
        found = set(self.gradients)
        for node in (*self.backward, *self.backward):
            match node:
                case (
                    ast.Assign(targets=[ast.Name(id=name)], value=value)
                    | ast.AugAssign(target=ast.Name(id=name), value=value)
                ):
                    if any(isinstance(one, ast.expr) and ast.unparse(one) in found for one in ast.walk(value)):
                        found.add(name)
                case _:
                    continue
        return frozenset(found)

    def assigned(self) -> frozenset[str]:
        """The texts that the backward pass assigns."""
        found: set[str] = set()
        for node in self.backward:
            for one in ast.walk(node):
                if isinstance(one, ast.Name | ast.Attribute | ast.Subscript) and isinstance(one.ctx, ast.Store):
                    found.add(ast.unparse(one))
        return frozenset(found)

    def reads(self, text: str) -> int:
        """How often the backward pass reads it."""
        return sum(
            isinstance(one, ast.expr) and isinstance(getattr(one, "ctx", None), ast.Load) and ast.unparse(one) == text
            for node in self.backward
            if not hasattr(node, "body")
            for one in ast.walk(node)
        )


def code_of(homework: Homework, silent: frozenset[str] = frozenset()) -> Code:
    """The tree of a homework. `silent`: temporaries of the backward pass that may be no gradients, by text."""
    tree = ast.parse(homework.text)
    body: ast.Module | ast.FunctionDef = tree
    forward: ast.Module | ast.FunctionDef = tree
    if homework.style is not Style.SCRIPT:
        body, forward = find_function(tree, homework.backward), find_function(tree, homework.forward)
    mixed = homework.style in (Style.FLAT, Style.SCRIPT)
    loops: dict[Place, tuple[ast.For, ...]] = {}
    backward = tuple(_statements(body.body, homework.backward_lines if mixed else None, (), loops))
    gradients = ({normal(one) for one in homework.gradients} - silent) | {one for one in homework.upstream if one}
    aliases = [
        one.asname or one.name
        for node in ast.walk(tree)
        if isinstance(node, ast.Import)
        for one in node.names
        if one.name == "numpy"
    ]
    return Code(
        homework,
        tree,
        backward,
        body,
        forward,
        frozenset(gradients),
        tuple(dict.fromkeys([*_atoms(homework, tree, body), *_atoms(homework, tree, forward)])),
        loops,
        Spelling(homework.text),
        aliases[0] if aliases else "np",
    )


def _statements(
    body: Sequence[ast.stmt],
    lines: frozenset[int] | None,
    loops: tuple[ast.For, ...],
    found: dict[Place, tuple[ast.For, ...]],
) -> Iterator[ast.stmt]:
    for node in body:
        inside = lines is None or node.lineno in lines
        if inside or isinstance(node, ast.Return):
            found[place_of(node)] = loops
            yield node
        deeper = (*loops, node) if isinstance(node, ast.For) else loops
        for name in ("body", "orelse"):
            if not isinstance(node, ast.FunctionDef | ast.ClassDef):
                yield from _statements(getattr(node, name, []), None if inside else lines, deeper, found)


def _atoms(homework: Homework, tree: ast.Module, body: ast.Module | ast.FunctionDef) -> Iterator[str]:
    for node in tree.body:
        if isinstance(node, ast.Assign):
            yield from (one.id for one in node.targets if isinstance(one, ast.Name))
    if isinstance(body, ast.FunctionDef):
        yield from (one.arg for one in body.args.args if one.arg != "self")
    scope: list[ast.AST] = [body]
    if "." in homework.backward:
        name = homework.backward.partition(".")[0]
        scope += [node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == name]
    for place, outer in enumerate(scope):
        for one in ast.walk(outer):
            match one:
                case ast.Name(id=text) if place == 0 and text != "self":
                    yield text
                case ast.Attribute(value=ast.Name(id="self"), attr=attribute):
                    yield f"self.{attribute}"
                case ast.Subscript(slice=index) if place == 0 and not any(
                    isinstance(part, ast.Slice) for part in ast.walk(index)
                ):
                    yield ast.unparse(one)
                case _:
                    continue


@dataclass(frozen=True, slots=True)
class Scope:
    """What has a value where a statement begins: for each text, its value at each draw, None where it has none."""

    values: Mapping[str, tuple[Floats | None, ...]]

    def shape(self, text: str) -> tuple[int, ...] | None:
        return next((one.shape for one in self.values.get(text, ()) if one is not None), None)

    def scalars(self) -> list[str]:
        """Numbers, the same kind at every draw."""
        return [text for text in self.values if self.shape(text) == ()]

    def integer(self, text: str) -> bool:
        return all(one is None or one.dtype.kind in "iub" for one in self.values.get(text, ()))

    def arrays(self) -> list[str]:
        return [text for text in self.values if self.shape(text) not in ((), None)]

    def mask(self, text: str) -> bool:
        """An array of truth values, or of zeros and one other number, as in dropout."""
        found = [one for one in self.values.get(text, ()) if one is not None]
        kinds = all(one.ndim and (one.dtype == np.int8 or one.dtype.kind == "f") for one in found)
        some = any(one.any() and not one.all() for one in found)
        return kinds and some and all(len(np.unique(one[one != 0])) <= 1 for one in found)

    def index(self, text: str) -> bool:
        """An array of integers that may be indices."""
        return self.integer(text) and self.shape(text) not in ((), None) and not self.mask(text)


def scopes(case: Case, code: Code, places: Sequence[Place]) -> dict[Place, Scope]:
    """What is in scope at some statements of the backward pass: in the forced run, the last time each is reached."""
    listed = {place: number for number, place in enumerate(places)}

    def edit(tree: ast.Module) -> ast.Module:
        for block in blocks(tree):
            made: list[ast.stmt] = []
            for node in block:
                number = listed.get(place_of(node))
                if number is not None:
                    made += [_noted(text, f"{number} {text}", node) for text in code.atoms]
                made.append(node)
            block[:] = made
        return tree

    number = case.runner.load(instrument(case.homework, edit), case.homework)
    runs = case.forced_runs(case.forcing, number)
    found: dict[Place, Scope] = {}
    for place, key in listed.items():
        values: dict[str, tuple[Floats | None, ...]] = {}
        for text in code.atoms:
            got = tuple(run.leaves.get(f"{key} {text}") for run in runs)
            if any(one is not None for one in got):
                values[text] = got
        found[place] = Scope(values)
    return found


def _noted(text: str, name: str, like: ast.stmt) -> ast.stmt:
    """Notes the value that an expression has, where it has one: a copy, as it may be written into later.

    Truth values become numbers of a byte, by which they are known again.
    """
    made = ast.parse(
        f"try:\n"
        f"    {RECORDER}.found_leaves[{name!r}] = "
        f"({text}).astype('int8') if getattr({text}, 'dtype', None) == bool else {text} + 0\n"
        f"except Exception:\n"
        f"    pass"
    ).body[0]
    for node in ast.walk(made):
        if hasattr(node, "lineno"):
            ast.copy_location(node, like)
    return made


def blocks(node: ast.AST) -> Iterator[list[ast.stmt]]:
    """The lists of statements in a tree, innermost first."""
    for one in ast.iter_child_nodes(node):
        yield from blocks(one)
    for name in ("body", "orelse", "finalbody"):
        block = getattr(node, name, None)
        if isinstance(block, list) and not isinstance(node, ast.Lambda):
            yield block
