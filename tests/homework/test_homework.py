"""`flatgrad diff` on the test sets: no false alarm; mistakes are found, with their line and their reason.

Of the mistakes and the harmless changes a part is judged here, some of every kind; `python -m tests.homework.score`
judges all.
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.homework.judging import alarms, finding, judged
from tests.homework.mistakes import MISTAKES, Mistake
from tests.homework.pairs import PAIRS, Pair
from tests.homework.runs import RUNS, original
from tests.homework.variants import VARIANTS

FILES = sorted({run.file for run in RUNS})
OF_EACH_KIND = 4
# Found, but not told as well as a teacher would.
NOT_YET = {
    "softmax-no-regulariser+softmax-stray-division": "two faults in the lines of one gradient: no single repair",
}
# Told by another reading of what a gradient is of, or by one change that makes all of it right.
HARD = ("two-layer-relu-not-masked+two-layer-reg-missing-W1", "rnn-time-not-reversed")


def of_every_kind() -> list[Mistake]:
    """Some mistakes for each reason, evenly from the list, some with two faults, and the hard ones."""
    kinds: dict[str, list[Mistake]] = {}
    for mistake in MISTAKES:
        kind = mistake.faults[0].reasons[0] if len(mistake.faults) == 1 else "two faults"
        kinds.setdefault(kind, []).append(mistake)
    some = [one for found in kinds.values() for one in found[:: max(1, len(found) // OF_EACH_KIND)][:OF_EACH_KIND]]
    return [*some, *(one for one in MISTAKES if one.name in HARD and one not in some)]


def test_the_mistakes_that_are_judged_are_of_every_kind() -> None:
    reasons = {fault.reasons[0] for mistake in of_every_kind() for fault in mistake.faults}
    assert reasons >= {fault.reasons[0] for mistake in MISTAKES for fault in mistake.faults if len(mistake.faults) == 1}


@pytest.mark.parametrize("file", FILES)
def test_correct_homework(file: str) -> None:
    functions = tuple(run.function for run in RUNS if run.file == file)
    assert alarms(judged(original(file), file), functions) == []


@pytest.mark.parametrize("variant", VARIANTS[::3], ids=lambda variant: variant.name)
def test_harmless_change(variant: Mistake) -> None:
    assert alarms(judged(variant.text(), variant.homework), (variant.function,)) == []


@pytest.mark.parametrize("pair", PAIRS[::2], ids=lambda pair: f"{pair.homework}:{pair.function}")
def test_correct_homework_with_its_model(pair: Pair) -> None:
    reports = judged(original(pair.homework), pair.homework, pair.model_file(), pair.names)
    assert alarms(reports, (pair.function,)) == []


def test_overwritten_upstream_gradient_is_a_warning() -> None:
    (report,) = judged(original("relu_inplace.py"), "relu_inplace.py")
    assert report.ok
    assert any("dout" in warning and "overwrit" in warning for warning in report.warnings)


def marked(mistake: Mistake) -> Any:
    reason = NOT_YET.get(mistake.name)
    marks = [] if reason is None else [pytest.mark.xfail(reason=reason, strict=True)]
    return pytest.param(mistake, id=mistake.name, marks=marks)


@pytest.mark.parametrize("mistake", [marked(mistake) for mistake in of_every_kind()])
def test_mistake(mistake: Mistake) -> None:
    result = finding(mistake, judged(mistake.text(), mistake.homework))
    assert result.found, result.notes
    assert all(result.lines), result.notes
    assert all(result.reasons), result.notes
    assert not result.blamed
