"""Verdicts with their reasons: by one reading of the gradients, and by another where the first leaves much open."""

from __future__ import annotations

from collections.abc import Mapping

from flatgrad.diff.judging.case import Case, Judged
from flatgrad.diff.judging.judge import judge
from flatgrad.diff.judging.runs import Key
from flatgrad.diff.reasons.at_once import explained_at_once
from flatgrad.diff.reasons.explanation import Explanation
from flatgrad.diff.reasons.repairs import explain_all


def explained_verdicts(
    case: Case, found: tuple[Judged, ...], again: bool
) -> tuple[tuple[Judged, ...], dict[Key, Explanation]]:
    """The verdicts, and why the wrong gradients are wrong.

    Where several are not explained, another reading is tried if `again`: a gradient that two of them read may be at
    fault, though only one of them comes right with its truth, as the other one has a fault of its own.
    """
    found, explained = explained_at_once(case, found, explain_all(case, found))
    if not again or _unexplained(explained)[0] < 2:
        return found, explained
    forcing = case.forcing
    other = judge(case, readers=1)
    if [one.outcome for one in other] != [one.outcome for one in found]:
        other, others = explained_at_once(case, other, explain_all(case, other))
        if _unexplained(others) < _unexplained(explained) and len(others) <= len(explained):
            return other, others
    case.forcing = forcing
    return found, explained


def _unexplained(explained: Mapping[Key, Explanation]) -> tuple[int, int]:
    """How many gradients have no reason that is confirmed, and how many are wrong."""
    return sum(one.reason == "unexplained" for one in explained.values()), len(explained)
