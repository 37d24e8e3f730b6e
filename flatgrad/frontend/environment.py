"""What a name can stand for while a function is read, and what reading it gives."""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from flatgrad.diagnostics import Diagnostic
from flatgrad.ir.core import Function, Literal, Span, Stage, Step, Type, Value


@dataclass(frozen=True, slots=True, eq=False)
class Poison(Value):
    """Stands for what could not be read, so that one mistake is reported once."""

    @staticmethod
    def at(name: str = "") -> Poison:
        return Poison(name, Type.open(name))


@dataclass(frozen=True, slots=True)
class Structure:
    """A tuple or a list display: known element by element while the function is read."""

    items: tuple[Binding, ...]
    is_list: bool
    span: Span


@dataclass(frozen=True, slots=True)
class Static:
    """A thing with a dotted path that is not a number: a module, a function, a dtype."""

    path: str
    name: str = ""


Binding = Value | Literal | Structure | Static


@dataclass(frozen=True, slots=True)
class Result:
    """One result of the function: its value, its name ('' for an expression), its place in the return statement."""

    value: Value
    name: str
    span: Span
    position: int


@dataclass(frozen=True, slots=True)
class Cover:
    """A group that is written over several statements: which, what it is, and whether it is the whole of the last."""

    stages: tuple[Stage, ...]
    text: str
    whole: bool


@dataclass(frozen=True, slots=True)
class Lowered:
    """One function as IR, and what ties it to its text.

    Attributes:
        names: for each occurrence of a variable in the text, the value that it denotes there.
        roots: for each value, the values whose buffers it may share, itself among them if it has its own.
        overwritten: for each value whose buffer is written to later, the first stage that does so.
        rewritten: for each stage that changes a buffer in place, the new value of that buffer.
        questions: for each in-place statement's target whose meaning hangs on scalar or array, the value before it.
        covers: for the last statement of each group that is written over several, the groups that end there.
    """

    function: Function
    node: ast.FunctionDef
    stages: tuple[Stage, ...]
    names: Mapping[Span, Value]
    results: tuple[Result, ...]
    roots: Mapping[Value, frozenset[Value]]
    overwritten: Mapping[Value, Stage]
    rewritten: Mapping[Stage, Value]
    questions: Mapping[Span, Value]
    notes: tuple[Diagnostic, ...]
    covers: Mapping[Stage, tuple[Cover, ...]] = field(default_factory=dict)


class Emit(Protocol):
    """Takes the steps in order; `view` says that results may share memory with operands."""

    def __call__(self, step: Step, view: bool) -> None: ...


def live_names(statements: Sequence[ast.stmt]) -> dict[int, frozenset[str]]:
    """For each statement that may write in place (by position), the names that are read after it."""
    live: set[str] = set()
    found: dict[int, frozenset[str]] = {}
    for position in range(len(statements) - 1, -1, -1):
        statement = statements[position]
        if _may_write(statement):
            found[position] = frozenset(live)
        loads: set[str] = set()
        stores: set[str] = set()
        for part in ast.walk(statement):
            if isinstance(part, ast.Name):
                (stores if isinstance(part.ctx, ast.Store) else loads).add(part.id)
        if isinstance(statement, ast.AugAssign):
            loads |= stores
        live = (live - stores) | loads
    return found


def _may_write(statement: ast.stmt) -> bool:
    if isinstance(statement, ast.AugAssign):
        return True
    return isinstance(statement, ast.Assign) and any(
        isinstance(part, ast.Subscript) for target in statement.targets for part in ast.walk(target)
    )
