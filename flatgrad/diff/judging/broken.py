"""Statements of a backward pass that raise and assign no gradient: an unpacked cache, an assertion, `raise`."""

from __future__ import annotations

import ast
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from flatgrad.diff.judging.case import Case, Judged
from flatgrad.diff.judging.runs import Run
from flatgrad.diff.verdicts import Outcome

# What the recorder raises where a gradient has no value: the statement that left it so is judged itself.
_NO_VALUE = "NameError: this gradient has no value"
_UNBOUND = re.compile(r"(?:NameError|UnboundLocalError): [^']*'(\w+)'")


@dataclass(frozen=True, slots=True)
class Broken:
    """A statement that raises, even with the right gradients in the place of all that it reads.

    Attributes:
        line: where the error is raised.
        text: kind and text of the error.
        binds: the names that the statement would have bound.
        ends: nothing after it is run.
    """

    line: int
    text: str
    binds: frozenset[str]
    ends: bool = False


def broken_statements(case: Case) -> tuple[Broken, ...]:
    """The statements without a gradient that raise at one of the draws, each once; not those that only follow from
    another."""
    if not any(_raises(run) for run in case.frees):
        return ()
    tree = ast.parse(case.homework.text)
    found: dict[int, Broken] = {}
    for run in case.forced_runs(case.forcing):
        for one in _in_run(run, tree):
            found.setdefault(one.line, one)
    return tuple(found[line] for line in sorted(found))


def following(one: Judged, broken: Sequence[Broken]) -> Judged:
    """A wrong gradient whose statement only lacks a name that a broken one would have bound: it follows."""
    lacking = _lacks(one.failed)
    if one.outcome is Outcome.WRONG and lacking and any(lacking in other.binds for other in broken):
        return replace(one, outcome=Outcome.FOLLOWS)
    return one


def _raises(run: Run) -> bool:
    return bool(run.crash) or any(not crash.targets for crash in run.crashes)


def _in_run(run: Run, tree: ast.Module) -> list[Broken]:
    found: list[Broken] = []
    for crash in run.crashes:
        if not crash.targets and not crash.text.startswith(_NO_VALUE):
            found.append(Broken(crash.line, crash.text, _bound(tree, crash.statement)))
    if run.crash and run.stage == "backward" and not run.crash.startswith(_NO_VALUE):
        found.append(Broken(run.line or 0, run.crash, frozenset(), True))
    return [
        one for place, one in enumerate(found) if not any(_lacks(one.text) in other.binds for other in found[:place])
    ]


def _lacks(text: str) -> str:
    """The name that an error says has no value; empty if it says something else."""
    match = _UNBOUND.match(text)
    return match[1] if match else ""


def _bound(tree: ast.Module, line: int) -> frozenset[str]:
    """The names that the statement at a line binds, with all that it holds."""
    return frozenset(
        part.id
        for node in ast.walk(tree)
        if isinstance(node, ast.stmt) and node.lineno == line
        for part in ast.walk(node)
        if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store)
    )
