"""The search for what would make a wrong gradient right."""

from __future__ import annotations

from flatgrad.diff.explanation import Explanation
from flatgrad.diff.judge import Case, Judged


def explain(case: Case, one: Judged, every: tuple[Judged, ...]) -> Explanation:
    """Why a gradient is wrong."""
    return Explanation("unexplained", "the value is not that of the derivative", "the value is wrong")
