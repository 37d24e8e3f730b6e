"""Mutations of a homework, tried: one program holds many, and a run chooses one of them."""

from __future__ import annotations

import ast
import copy
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from flatgrad.diff.judging.case import Case, Group, Judged
from flatgrad.diff.judging.closeness import same_gradient
from flatgrad.diff.judging.instrument import instrument
from flatgrad.diff.judging.runs import Draw, Key, Run
from flatgrad.diff.judging.sites import RECORDER
from flatgrad.diff.judging.truth import Spec
from flatgrad.diff.reasons.rewriting import Mutation, Place, nothing, place_of
from flatgrad.diff.reasons.surroundings import blocks
from flatgrad.diff.verdicts import Outcome
from flatgrad.sandbox.process import SandboxFailure

Floats = np.ndarray[Any, np.dtype[Any]]

# Which mutation a run chooses travels with the gradients that are forced, under a key that is none.
CHOICE: Key = (-1_000_000, (), "")
CHUNK = 60
# The first request of a chunk asks for a few runs; the others for as many as take about so many seconds.
FEW = 4
REQUEST_SECONDS = 1.0
# Mutations tried for one gradient, and the seconds that this may take.
MOST_TRIED = 800
MOST_SECONDS = 8.0


@dataclass(slots=True)
class Trials:
    """Tries mutations for one wrong gradient; counts them."""

    case: Case
    one: Judged
    truth: Spec
    every: tuple[Judged, ...]
    tried: int = 0
    ended: bool = False
    began: float = field(default_factory=time.monotonic)

    def first_right(self, mutations: Sequence[Mutation]) -> Mutation | None:
        """The first mutation that makes the gradient right at every draw, and no other one wrong.

        With all other gradients forced to their truths; then with those alone forced that are wrong themselves, as a
        mutation may make a gradient be read in another round of a loop.
        """
        looped = any(len(rounds) > 1 for run in self.every for rounds in run.forced)
        for freely in (False, True) if looped else (False,):
            for start in range(0, len(mutations), CHUNK):
                if self._spent():
                    return None
                chunk = mutations[start : start + CHUNK]
                number = self._load(chunk)
                found = None if number is None else self._among(number, chunk, freely)
                if found is not None:
                    return found
        return None

    def _among(self, number: int, chunk: Sequence[Mutation], freely: bool) -> Mutation | None:
        """The first of those that the program `number` holds."""
        draw = min(self.one.wrong_at, key=lambda one: _size(self.case.draws[one]), default=0)
        key = self.one.group.key
        truths = self.case.forced_at(self._forcing(freely), draw)
        wanted = (key[0], key[2])
        start, count = 0, FEW
        while start < len(chunk) and not self._spent():
            choices = range(start, min(start + count, len(chunk)))
            began = time.monotonic()
            try:
                told = self.case.runner.attempts(number, self.case.draws[draw], truths, CHOICE, choices, wanted)
            except SandboxFailure:
                self.ended = True
                return None
            self.tried += len(choices)
            for index, records in zip(choices, told, strict=True):
                if self._is_truth(fitting(records, self.one.group), draw) and self._right(number, index, freely):
                    return chunk[index]
            start = choices.stop
            each = (time.monotonic() - began) / len(choices)
            count = max(1, int(REQUEST_SECONDS / max(each, 1e-6)))
        return None

    def _forcing(self, freely: bool) -> Mapping[Key, Spec]:
        if not freely:
            return self.case.forcing
        wrong = {one.group.key for one in self.every if one.outcome is Outcome.WRONG} - {self.one.group.key}
        return {key: spec for key, spec in self.case.forcing.items() if key in wrong}

    def _is_truth(self, values: Sequence[Floats | None], draw: int) -> bool:
        truth = self.case.expected(self.truth, draw, len(values))
        if truth is None or not values:
            return False
        whole = self.one.group.returned
        return all(a is not None and same_gradient(a, b, whole) for a, b in zip(values, truth, strict=True))

    def without(self, statement: ast.stmt) -> dict[int, list[Floats | None]]:
        """The values, by draw, if a statement were not there."""
        gone = Mutation({place_of(statement): ()}, "unexplained", "", statement.lineno, nothing, 0.0)
        number = self._load([gone])
        found: dict[int, list[Floats | None]] = {}
        for draw in range(len(self.case.draws)) if number is not None else ():
            truths = self.case.forced_at(self.case.forcing, draw)
            truths[CHOICE] = [np.array(0.0)]
            try:
                run = self.case.runner.run(number or 0, self.case.draws[draw], truths)
            except SandboxFailure:
                return {}
            found[draw] = recorded(run, self.one.group)
        return found

    def _spent(self) -> bool:
        return self.ended or self.tried >= MOST_TRIED or time.monotonic() - self.began > MOST_SECONDS

    def _load(self, chunk: Sequence[Mutation]) -> int | None:
        try:
            program = instrument(self.case.homework, lambda tree: with_choices(tree, chunk))
        except (ValueError, TypeError, RecursionError):
            return None
        return self.case.runner.load(program, self.case.homework)

    def _right(self, number: int, index: int, freely: bool) -> bool:
        order = sorted(range(len(self.case.draws)), key=lambda draw: draw not in self.one.wrong_at)
        for draw in order:
            truths = self.case.forced_at(self._forcing(freely), draw)
            truths[CHOICE] = [np.array(float(index))]
            try:
                run = self.case.runner.run(number, self.case.draws[draw], truths)
            except SandboxFailure:
                self.ended = True
                return False
            if not self._right_in(run, draw):
                return False
        return True

    def _right_in(self, run: Run, draw: int) -> bool:
        group = self.one.group
        if self.one.forced[draw] and not agrees_in(self.case, group, self.truth, run, draw):
            return False
        for other in self.every:
            right = other.outcome in (Outcome.MATCH, Outcome.FOLLOWS) and not other.wrong_at
            if other is self.one or not right or other.truth is None or other.group.key not in self.case.forcing:
                continue
            if other.forced and other.forced[draw] and not agrees_in(self.case, other.group, other.truth, run, draw):
                return False
        return True


def _size(draw: Draw) -> int:
    return sum(np.size(value) for value in draw.arguments.values() if isinstance(value, np.ndarray))


def agrees_in(case: Case, group: Group, spec: Spec, run: Run, draw: int) -> bool:
    values = recorded(run, group)
    truth = case.expected(spec, draw, len(values))
    if truth is None or not values:
        return False
    return all(a is not None and same_gradient(a, b, group.returned) for a, b in zip(values, truth, strict=True))


def recorded(run: Run, group: Group) -> list[Floats | None]:
    """The values of a group in a run of a mutated homework."""
    target, _, entry = group.key
    mine = [(one.key[1], one.value) for one in run.records if one.key[0] == target and one.key[2] == entry]
    return fitting(mine, group)


def fitting(records: Sequence[tuple[tuple[int, ...], Floats | None]], group: Group) -> list[Floats | None]:
    """The values of a group; where a mutation has changed which lines make it, those that have most of its lines."""
    lines = group.key[1]
    exact = [value for made, value in records if made == lines]
    if exact:
        return exact
    best = max((len({*made} & {*lines}) for made, _ in records), default=0)
    return [value for made, value in records if best and len({*made} & {*lines}) == best]


def with_choices(tree: ast.Module, mutations: Sequence[Mutation]) -> ast.Module:
    """The homework with all of the mutations in it; a run that chooses none of them is the homework itself."""
    at: dict[Place, list[tuple[int, Sequence[ast.stmt]]]] = {}
    for index, mutation in enumerate(mutations):
        for place, made in mutation.changes.items():
            at.setdefault(place, []).append((index, made))
    for block in blocks(tree):
        made_block: list[ast.stmt] = []
        for node in block:
            choices = at.get(place_of(node)) if not isinstance(node, ast.FunctionDef | ast.ClassDef) else None
            made_block += [node] if choices is None else [_chosen(node, choices)]
        block[:] = made_block
    return tree


def _chosen(node: ast.stmt, choices: list[tuple[int, Sequence[ast.stmt]]]) -> ast.stmt:
    numbers = ast.Tuple([ast.Constant(index) for index, _ in choices], ast.Load())
    test = ast.Compare(_choice(), [ast.In()], [numbers])
    return ast.copy_location(ast.If(test, _among(choices, node), [node]), node)


def _among(choices: list[tuple[int, Sequence[ast.stmt]]], like: ast.stmt) -> list[ast.stmt]:
    if len(choices) == 1:
        made = [_placed(copy.deepcopy(one) if hasattr(one, "body") else one, like) for one in choices[0][1]]
        return made or [ast.copy_location(ast.Pass(), like)]
    middle = len(choices) // 2
    test = ast.Compare(_choice(), [ast.Lt()], [ast.Constant(choices[middle][0])])
    return [ast.copy_location(ast.If(test, _among(choices[:middle], like), _among(choices[middle:], like)), like)]


def _placed(made: ast.stmt, like: ast.stmt) -> ast.stmt:
    """New statements count as standing in the line of the one that they replace."""
    if not hasattr(made, "lineno"):
        ast.copy_location(made, like)
    return made


def _choice() -> ast.expr:
    return ast.parse(f"{RECORDER}.forced[{CHOICE!r}][0]", mode="eval").body
