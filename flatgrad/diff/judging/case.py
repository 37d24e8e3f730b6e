"""A homework that runs: its draws, its runs, what it assigns; and the judgement on each gradient, as data.

A `Group` is a gradient that the homework assigns, over all draws and rounds of a loop; a `Case` is all that is asked
to judge one.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from flatgrad.diff.homework import Homework
from flatgrad.diff.judging.gradients import normal
from flatgrad.diff.judging.instrument import Program
from flatgrad.diff.judging.runner import Runner
from flatgrad.diff.judging.runs import Draw, Key, Record, Run
from flatgrad.diff.judging.truth import Sites, Spec, Truth
from flatgrad.diff.verdicts import Outcome

Floats = np.ndarray[Any, np.dtype[Any]]
# By draw, a value for each round; None where a statement raised.
Values = tuple[tuple[Floats | None, ...], ...]


@dataclass(frozen=True, slots=True)
class Group:
    """A gradient that the homework assigns, over all draws and rounds: the unit that gets a verdict.

    Attributes:
        key: target, lines and entry.
        target: as the homework writes it; empty for an expression that is returned.
        variable: what its name says that it is the gradient of.
        returned: it is (also) what the homework returns for that variable.
        lost: earlier lines that assigned it, and whose values were bound away before anything read them.
    """

    key: Key
    target: str
    variable: str
    returned: bool
    lost: tuple[int, ...] = ()

    @property
    def lines(self) -> tuple[int, ...]:
        """The lines that have to do with it: those whose values were lost first."""
        return (*self.lost, *self.key[1])

    @property
    def last(self) -> int:
        """The line after which it is judged."""
        return max(self.key[1], default=0)


@dataclass(frozen=True, slots=True)
class Judged:
    """A group and what was found of it.

    Attributes:
        truth: what it should be; None if nothing is known to hold it against.
        meant: what its value is the gradient of, where it is right in another sense than its name's.
        free, forced: its values in the two runs, by draw, a value for each round.
        failed: why it has no value, empty if it has one.
        wrong_at: the draws at which its forced value is not right.
        reads: the lines of the statements that first read it.
        copies: the other gradient that it is assigned from as it is, if it is.
        of_model: it is right for the homework's own forward pass, which is not the model's.
    """

    group: Group
    outcome: Outcome
    truth: Spec | None
    meant: Spec | None = None
    free: Values = ()
    forced: Values = ()
    failed: str = ""
    wrong_at: tuple[int, ...] = ()
    reads: tuple[int, ...] = ()
    copies: str = ""
    of_model: bool = False


@dataclass(slots=True)
class Case:
    """A homework that runs, at several draws: what the judge asks of it. The truths that are decided so far stand in
    `forcing`."""

    homework: Homework
    program: Program
    runner: Runner
    number: int
    draws: tuple[Draw, ...]
    frees: tuple[Run, ...]
    truths: tuple[Truth, ...]
    sites: Sites
    groups: tuple[Group, ...]
    silent: frozenset[str] = frozenset()
    forcing: dict[Key, Spec] = field(default_factory=dict)

    def values(self, runs: Sequence[Run], key: Key) -> Values:
        """The values of a group, by draw, a value for each round."""
        return tuple(tuple(one.value for one in run.records if one.key == key) for run in runs)

    def expected(self, spec: Spec, draw: int, rounds: int) -> tuple[Floats, ...] | None:
        """The truth for each of `rounds` rounds at a draw; None where the draw has none, or not as many."""
        found = self.truths[draw].of(spec)
        return found if found is not None and len(found) == rounds else None

    def agrees(self, spec: Spec, values: Values, whole: bool) -> bool:
        """Whether the values are this gradient at every draw that has them, and at one at least."""
        reached = [(draw, rounds) for draw, rounds in enumerate(values) if rounds]
        return bool(reached) and all(self.agrees_at(spec, draw, rounds, whole) for draw, rounds in reached)

    def agrees_at(self, spec: Spec, draw: int, rounds: Sequence[Floats | None], whole: bool) -> bool:
        """Whether the values of a draw, one for each round, are this gradient."""
        known = [value for value in rounds if value is not None]
        return len(known) == len(rounds) and self.truths[draw].agrees(spec, known, whole)

    def forced_at(self, forcing: Mapping[Key, Spec], draw: int) -> dict[Key, list[Floats | None]]:
        """The truths that a forced run of a draw is given, for each gradient one for each round."""
        truths: dict[Key, list[Floats | None]] = {}
        for key, spec in forcing.items():
            rounds = sum(1 for one in self.frees[draw].records if one.key == key)
            values = self.expected(spec, draw, rounds)
            if values is not None:
                truths[key] = list(values)
        return truths

    def forced_runs(
        self, forcing: dict[Key, Spec], number: int | None = None, draws: Sequence[int] | None = None
    ) -> tuple[Run, ...]:
        """The runs in which these gradients are replaced by their truths when they are first read.

        `number`: another program than the homework itself, one with a repair in it. `draws`: only these, the first
        ones.
        """
        program = self.number if number is None else number
        return tuple(
            self.runner.run(program, self.draws[draw], self.forced_at(forcing, draw))
            for draw in (draws if draws is not None else range(len(self.draws)))
        )


def groups_of(
    homework: Homework, program: Program, frees: Sequence[Run], silent: frozenset[str] = frozenset()
) -> tuple[Group, ...]:
    """The gradients that were read or returned, in the homework's order. `silent`: temporaries, which may be no
    gradients."""
    first: dict[Key, tuple[int, int]] = {}
    returns = {node.lineno for node in ast.walk(ast.parse(homework.text)) if isinstance(node, ast.Return)}
    for run in frees:
        for place, one in enumerate(run.records):
            temporary = one.key[0] >= 0 and program.targets[one.key[0]].text in silent
            if temporary and not one.kind.startswith("float"):
                continue
            if one.key not in first and not _initial(one, returns):
                first[one.key] = (min(one.key[1], default=0), place)
    found = []
    last: dict[int, Key] = {}
    for key in sorted(first, key=lambda one: first[one]):
        if key[0] >= 0:
            last[key[0]] = key
    returned = {normal(one.target): one.variable for one in homework.returned if one.target}
    for key in sorted(first, key=lambda one: first[one]):
        number, _, entry = key
        if number < 0:
            found.append(Group(key, "", entry or homework.returned[-1 - number].variable, True))
            continue
        target = program.targets[number]
        is_returned = target.text in returned and last[number] == key
        lost = {line for run in frees for one in run.records if one.key == key for line in one.lost}
        variable = (returned[target.text] or target.variable) if is_returned else target.variable
        found.append(Group(key, target.text, entry or variable, is_returned, tuple(sorted(lost - {*key[1]}))))
    return tuple(found)


def _initial(one: Record, returns: set[int]) -> bool:
    """Zeros to add to, or to hand to the first round: not a gradient yet."""
    if one.value is None or one.value.any() or one.read is None or one.read in returns or len(one.key[1]) != 1:
        return False
    return one.anew == one.key[1]
