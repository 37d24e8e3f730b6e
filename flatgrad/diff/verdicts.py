"""The outcome of a comparison, as data: one `Verdict` for each gradient that a homework assigns, in its own order."""

from __future__ import annotations

import enum
from dataclasses import dataclass


class Outcome(enum.Enum):
    """What is said of one gradient."""

    MATCH = "match"  # right
    WRONG = "wrong"  # this line is at fault
    FOLLOWS = "follows"  # off, but right given what it was handed
    MISSING = "missing"  # never computed
    UNKNOWN = "unknown"  # nothing to hold it against


@dataclass(frozen=True, slots=True)
class Verdict:
    """One gradient.

    Attributes:
        name: `d` + the variable; the target's own name where the variable is not known (`dtmp`).
        variable: the forward variable, or empty.
        target: the target as the homework writes it.
        line: the line of the statement that is judged (for a wrong one: the line at fault), None for a missing
            gradient.
        outcome: the verdict.
        reason: a word of the vocabulary in docs/teachers.md; empty unless the outcome is wrong.
        detail: one sentence that says what is wrong and what would make it right; never more than was confirmed.
        hint: the same without the answer.
        expected_shape: the shape of the right gradient, None if not known.
        actual_shape: the shape of the homework's, None where the statement raises.
        max_relative_error: the largest `|a - b| / max(1e-8, |a| + |b|)` over all that was tried; None without a
            value on both sides.
        source: the homework's statement.
        reference: the generated lines for the variable, empty if there are none.
        uses: the lines of the forward statements that use the variable, where each contribution comes from.
        repair: the statement as it would be right, if a repair of the statement was confirmed.
        expected: some of the right values and `actual` of the homework's, as text, for a wrong one without a reason.
        actual: see `expected`.
        required: the homework returns it, or `--wrt` names it.
    """

    name: str
    variable: str
    target: str
    line: int | None
    outcome: Outcome
    reason: str = ""
    detail: str = ""
    hint: str = ""
    expected_shape: tuple[int, ...] | None = None
    actual_shape: tuple[int, ...] | None = None
    max_relative_error: float | None = None
    source: str = ""
    reference: str = ""
    uses: tuple[int, ...] = ()
    repair: str = ""
    expected: str = ""
    actual: str = ""
    required: bool = False


@dataclass(frozen=True, slots=True)
class Report:
    """All that is said of one function of a homework.

    Attributes:
        problem: why it cannot be judged (a syntax error, a crash in the forward pass, a timeout), with the
            homework's own line in `problem_line`; empty if it was judged.
        text: the homework's text, for excerpts.
        warnings: what is right but should be known: an upstream gradient that is overwritten, a forward pass that
            flatgrad refuses.
        tried: how many runs at different inputs the verdicts rest on.
        steps: the lines of forward statements of the homework that the reference numbers, each with its number.
    """

    homework: str
    function: str
    verdicts: tuple[Verdict, ...]
    warnings: tuple[str, ...]
    text: str
    problem: str = ""
    problem_line: int | None = None
    tried: int = 0
    places: tuple[tuple[int, int], ...] = ()
    steps: tuple[tuple[int, int], ...] = ()

    @property
    def ok(self) -> bool:
        """Nothing is wrong or missing, and it could be judged."""
        bad = (Outcome.WRONG, Outcome.FOLLOWS, Outcome.MISSING)
        return not self.problem and all(verdict.outcome not in bad for verdict in self.verdicts)

    @property
    def exit_code(self) -> int:
        """0 when all that is judged matches, 1 when something is wrong or missing, 2 when it cannot be judged."""
        return 2 if self.problem else 0 if self.ok else 1
