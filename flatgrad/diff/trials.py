"""Mutations of a homework, tried: one program holds many, and a run chooses one of them."""

from __future__ import annotations

import ast
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from flatgrad.diff.closeness import same_gradient
from flatgrad.diff.instrument import instrument
from flatgrad.diff.judge import Case, Group, Judged
from flatgrad.diff.rewriting import Mutation, Place, place_of
from flatgrad.diff.runner import Key, Run
from flatgrad.diff.sites import RECORDER
from flatgrad.diff.surroundings import blocks
from flatgrad.diff.truth import Spec
from flatgrad.diff.verdicts import Outcome
from flatgrad.sandbox.process import SandboxFailure

Floats = np.ndarray[Any, np.dtype[Any]]

# Which mutation a run chooses travels with the gradients that are forced, under a key that is none.
CHOICE: Key = (-1_000_000, (), "")
CHUNK = 80
# Mutations tried for one gradient, and the seconds that this may take.
MOST_TRIED = 500
MOST_SECONDS = 5.0


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
        """The first mutation that makes the gradient right at every draw, and no other one wrong."""
        for start in range(0, len(mutations), CHUNK):
            if self._spent():
                return None
            chunk = mutations[start : start + CHUNK]
            number = self._load(chunk)
            if number is None:
                continue
            for index, mutation in enumerate(chunk):
                if self._spent():
                    return None
                self.tried += 1
                if self._right(number, index):
                    return mutation
        return None

    def _spent(self) -> bool:
        return self.ended or self.tried >= MOST_TRIED or time.monotonic() - self.began > MOST_SECONDS

    def _load(self, chunk: Sequence[Mutation]) -> int | None:
        try:
            program = instrument(self.case.homework, lambda tree: with_choices(tree, chunk))
        except (ValueError, TypeError, RecursionError):
            return None
        return self.case.runner.load(program, self.case.homework)

    def _right(self, number: int, index: int) -> bool:
        order = sorted(range(len(self.case.draws)), key=lambda draw: draw not in self.one.wrong_at)
        for draw in order:
            truths = forced_at(self.case, draw)
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


def forced_at(case: Case, draw: int) -> dict[Key, list[Floats | None]]:
    """The truths that a forced run of a draw is given."""
    truths: dict[Key, list[Floats | None]] = {}
    for key, spec in case.forcing.items():
        rounds = sum(1 for one in case.frees[draw].records if one.key == key)
        values = case.expected(spec, draw, rounds)
        if values is not None:
            truths[key] = list(values)
    return truths


def agrees_in(case: Case, group: Group, spec: Spec, run: Run, draw: int) -> bool:
    values = recorded(run, group)
    truth = case.expected(spec, draw, len(values))
    if truth is None or not values:
        return False
    return all(a is not None and same_gradient(a, b, group.returned) for a, b in zip(values, truth, strict=True))


def recorded(run: Run, group: Group) -> list[Floats | None]:
    """The values of a group; where a mutation has changed which lines make it, of the one that has most of its lines."""
    exact = [one.value for one in run.records if one.key == group.key]
    if exact:
        return exact
    target, lines, entry = group.key
    found = [one for one in run.records if one.key[0] == target and one.key[2] == entry and {*one.key[1]} & {*lines}]
    best = max((len({*one.key[1]} & {*lines}) for one in found), default=0)
    return [one.value for one in found if len({*one.key[1]} & {*lines}) == best]


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
        made = [_placed(one, like) for one in choices[0][1]]
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
