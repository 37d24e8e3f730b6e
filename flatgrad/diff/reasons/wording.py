"""What is said of a wrong gradient."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from flatgrad.diff.judging.case import Case, Judged
from flatgrad.diff.reasons.explanation import Explanation
from flatgrad.diff.reasons.rewriting import Mutation
from flatgrad.diff.reasons.values import Fact, inputs_of
from flatgrad.diff.vocabulary import REASONS, joined


def from_fact(fact: Fact) -> Explanation:
    return Explanation(fact.reason, fact.detail, fact.hint or REASONS[fact.reason], uses=fact.lines)


def from_mutation(mutation: Mutation, fact: Fact | None, compatible: Mapping[str, Sequence[str]]) -> Explanation:
    """The line and the repair are the mutation's; the words are the fact's where both say the same."""
    reason, detail, hint = mutation.reason, mutation.detail, mutation.hint
    lines: tuple[int, ...] = ()
    if fact is not None:
        lines = fact.lines
        weak = reason == "unexplained" or (fact.reason in compatible and reason not in compatible[fact.reason])
        same_path = fact.reason in ("missing-path", "missing-term") and reason in (fact.reason, "missing-path")
        if weak or same_path:
            reason, detail, hint = fact.reason, fact.detail, fact.hint
    return Explanation(reason, detail, hint or REASONS[reason], mutation.line, mutation.repair(), lines)


def partly(case: Case, one: Judged) -> Explanation | None:
    """A gradient that is right at some of the draws: what tells these apart."""
    right = [draw for draw, rounds in enumerate(one.forced) if rounds and draw not in one.wrong_at]
    if not right or not one.wrong_at:
        return None
    told = []
    for name, values in inputs_of(case).items():
        at_wrong = {values[draw] for draw in one.wrong_at}
        at_right = {values[draw] for draw in right}
        if len(at_wrong) == 1 and not at_wrong & at_right and (value := next(iter(at_wrong))) is not None:
            told.append((name, f"{name} = {value:g}"))
    settings = [text for name, text in told if ".shape" not in name]
    if not settings:
        # Sizes of arrays differ between draws anyway: that tells nothing.
        return None
    detail = f"it is right for some sizes only, and wrong with {joined(settings[:3])}"
    return Explanation("geometry", detail, REASONS["geometry"])


def plain(case: Case, one: Judged) -> Explanation:
    """What is known where nothing was confirmed."""
    if one.of_model:
        said = "it is right for the forward pass of the homework, which is not the model's"
        return Explanation("unexplained", said, "the forward pass is another one than the model's")
    if one.failed:
        return Explanation("shape", f"the statement raises {one.failed}", "the statement raises")
    shapes = {
        (value.shape, case.truths[draw].shape(one.truth))
        for draw, rounds in enumerate(one.forced)
        for value in rounds
        if value is not None and one.truth is not None
    }
    for actual, expected in sorted(shapes, key=str):
        if (
            expected is not None
            and actual != expected
            and tuple(n for n in actual if n != 1) != tuple(n for n in expected if n != 1)
        ):
            detail = f"its shape is {actual}, and that of the right gradient {expected}"
            return Explanation("shape", detail, REASONS["shape"])
    return Explanation("unexplained", "the value is not that of the derivative", REASONS["unexplained"])
