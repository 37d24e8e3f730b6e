"""Why a line is wrong, as far as it was confirmed."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Explanation:
    """What makes a gradient wrong, and where.

    Attributes:
        reason: a word of `flatgrad.diff.vocabulary`.
        detail: one sentence that says what is wrong and what would make it right; never more than was confirmed.
        hint: the same without the answer.
        line: the line at fault, None where it is the last one that makes the gradient.
        repair: the statement of that line as it is right, empty if none was found.
        uses: the lines of the forward statements that the explanation speaks of.
    """

    reason: str
    detail: str
    hint: str
    line: int | None = None
    repair: str = ""
    uses: tuple[int, ...] = ()
