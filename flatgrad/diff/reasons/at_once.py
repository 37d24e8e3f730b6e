"""One change that makes all that is returned right: a loop that runs in the wrong direction.

The gradients in such a loop are read in other rounds than their truths belong to, so that no run in which they are
forced tells anything: the changed homework is run freely.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from flatgrad.diff.judging.case import Case, Judged
from flatgrad.diff.judging.instrument import instrument
from flatgrad.diff.judging.runs import Key
from flatgrad.diff.reasons.explanation import Explanation
from flatgrad.diff.reasons.mutate_statements import turned
from flatgrad.diff.reasons.rewriting import Mutation
from flatgrad.diff.reasons.surroundings import code_of
from flatgrad.diff.reasons.trials import CHOICE, agrees_in, with_choices
from flatgrad.diff.reasons.wording import from_mutation
from flatgrad.diff.verdicts import Outcome
from flatgrad.sandbox.process import SandboxFailure


def explained_at_once(
    case: Case, every: tuple[Judged, ...], explained: Mapping[Key, Explanation]
) -> tuple[tuple[Judged, ...], dict[Key, Explanation]]:
    """The verdicts and their explanations, where a wrong gradient has none that is confirmed: if turning a loop round
    makes all that is returned right, the first gradient that is wrong in it says so, and the others only follow."""
    wrong = [one for one in every if one.outcome is Outcome.WRONG]
    unexplained = [one for one in wrong if explained[one.group.key].reason == "unexplained"]
    if not unexplained:
        return every, dict(explained)
    for mutation in turned(code_of(case.homework, case.silent)):
        if not _all_right(case, every, mutation):
            continue
        inside = [one for one in wrong if one.group.last > mutation.line]
        blamed = (inside or wrong)[0].group.key
        gone = {one.group.key for one in wrong} - {blamed}
        following = tuple(replace(one, outcome=Outcome.FOLLOWS) if one.group.key in gone else one for one in every)
        return following, {blamed: from_mutation(mutation, None, {})}
    return every, dict(explained)


def _all_right(case: Case, every: tuple[Judged, ...], mutation: Mutation) -> bool:
    """Whether the changed homework, run freely, returns nothing but true gradients."""
    returned = [one for one in every if one.group.returned]
    try:
        program = instrument(case.homework, lambda tree: with_choices(tree, [mutation]))
        number = case.runner.load(program, case.homework)
        for draw, arguments in enumerate(case.draws):
            run = case.runner.run(number, arguments, {CHOICE: [np.array(0.0)]})
            if not all(
                one.truth is not None and agrees_in(case, one.group, one.truth, run, draw)
                for one in returned
                if one.free[draw]
            ):
                return False
    except (SandboxFailure, ValueError, TypeError, RecursionError):
        return False
    return bool(returned)
