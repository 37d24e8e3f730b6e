"""What every form of a report says: summaries, places, causes, and what a hint leaves out."""

from __future__ import annotations

from dataclasses import replace

import pytest

from flatgrad.diff.report.report_html import as_html
from flatgrad.diff.report.report_json import as_json
from flatgrad.diff.report.report_text import as_text
from flatgrad.diff.report.shown import (
    causes,
    hinted,
    line_of,
    place_of,
    said,
    shapes,
    source_lines,
    summary,
    uses,
    worst,
)
from flatgrad.diff.verdicts import Outcome, Report, Verdict
from flatgrad.diff.vocabulary import OUTCOMES, REASONS, joined
from tests.diff.made import CLEAN, FAILED, FAULTY, FOLLOWS, MATCH, MISSING, PROBLEM, TEXT, UNKNOWN, WRONG


def report(*verdicts: Verdict) -> Report:
    return Report("hw.py", "net", verdicts, (), TEXT)


@pytest.mark.parametrize(
    ("verdicts", "text"),
    [
        ((), "no gradient is assigned here"),
        ((MATCH,), "1 right"),
        ((MATCH, MATCH), "all 2 right"),
        ((MATCH, MATCH, MATCH, WRONG, FOLLOWS, FOLLOWS), "3 right, 1 wrong, 2 follow from it"),
        ((WRONG, WRONG, FOLLOWS), "2 wrong, 1 follows from them"),
        ((MATCH, MISSING, UNKNOWN), "1 right, 1 missing, 1 not judged"),
        ((MISSING, FOLLOWS), "1 follows, 1 missing"),
    ],
)
def test_summary(verdicts: tuple[Verdict, ...], text: str) -> None:
    assert summary(report(*verdicts)) == text


def test_the_summary_of_what_cannot_be_judged() -> None:
    assert summary(PROBLEM) == "cannot be judged"


def test_every_outcome_and_every_reason_has_words() -> None:
    assert set(OUTCOMES) == set(Outcome)
    for reason in REASONS:
        assert said(report(replace(WRONG, reason=reason)), replace(WRONG, reason=reason)) == REASONS[reason]


@pytest.mark.parametrize(
    ("words", "text"), [([], ""), (["a"], "a"), (["a", "b"], "a and b"), (list("abc"), "a, b and c")]
)
def test_joined(words: list[str], text: str) -> None:
    assert joined(words) == text


def test_a_cause_is_what_the_statement_reads() -> None:
    assert causes(FAILED, FOLLOWS) == (FAULTY,)


def test_a_cause_is_found_through_others() -> None:
    between = replace(FOLLOWS, name="dz", target="dz", source="dz = dh * 2")
    last = replace(FOLLOWS, source="dW1 = X.T @ dz")
    assert causes(report(WRONG, FAULTY, between, last), last) == (FAULTY,)


def test_a_cause_is_what_an_update_adds_to() -> None:
    first = replace(WRONG, name="dx", target="dx", source="dx = 2 * dout")
    more = replace(FOLLOWS, name="dx", target="dx", source="dx += dy")
    assert causes(report(WRONG, first, more), more) == (first,)


def test_entries_and_attributes_are_causes() -> None:
    for target in ('grads["W2"]', "self.dW"):
        first = replace(WRONG, target=target)
        second = replace(FOLLOWS, source=f"dx = {target} * 2".replace('"', "'"))
        other = replace(FAULTY, target="dz")
        assert causes(report(other, first, second), second) == (first,)


def test_without_a_cause_that_is_read_all_earlier_mistakes_are() -> None:
    blind = replace(FOLLOWS, source="f(")
    assert causes(report(WRONG, FAULTY, blind, replace(WRONG, name="dq")), blind) == (WRONG, FAULTY)


def test_what_follows_names_where_it_comes_from() -> None:
    assert said(FAILED, FOLLOWS) == "right, given what it was handed; it follows from dh (line 12)"
    assert said(FAILED, replace(FOLLOWS, detail="off because of dh")) == "off because of dh"


def test_uses_by_number_and_by_line() -> None:
    sentence, found = uses(FAILED, WRONG)
    assert sentence == "W2 is used in (2) and (4)"
    assert [(use.number, use.place, use.text) for use in found] == [
        (2, "line 7", "scores = h @ W2"),
        (4, "line 8", "loss = np.sum((scores - y) ** 2) / N + reg * np.sum(W2 * W2)"),
    ]
    assert uses(replace(FAILED, steps=((7, 2),)), WRONG)[0] == "W2 is used in lines 7 and 8"
    assert uses(report(MISSING), MISSING)[0] == "X is used in line 6"
    assert uses(FAILED, MATCH) == ("", ())


def test_places_in_a_notebook_are_told_by_cell() -> None:
    notebook = replace(FAILED, places=tuple((1 + k // 8, 1 + k % 8) for k in range(14)))
    assert place_of(notebook, 10) == "cell 2, line 2"
    assert uses(replace(notebook, steps=()), WRONG)[0] == "W2 is used in cell 1, line 7 and cell 1, line 8"
    assert place_of(notebook, 99) == "line 99"


def test_lines_are_those_of_python() -> None:
    text = "a = '\x0c\u2028\x85'\nb = 1\n"
    assert source_lines(text) == ["a = '\x0c\u2028\x85'", "b = 1"]
    assert line_of(replace(CLEAN, text=text), 2) == "b = 1"
    assert line_of(CLEAN, 99) == ""


def test_shapes_are_told_where_they_differ() -> None:
    assert shapes(WRONG) == ""
    assert shapes(FAULTY) == "Its shape is (5, 4), it should be (4, 5)."
    assert shapes(replace(FAULTY, actual_shape=None)) == ""


def test_the_exit_code_is_the_worst() -> None:
    assert [worst(found) for found in ((), (CLEAN,), (CLEAN, FAILED), (PROBLEM, FAILED, CLEAN))] == [0, 0, 1, 2]


def test_a_hint_has_place_and_kind_and_no_answer() -> None:
    found = (hinted(FAILED),)
    for text in (as_text(found), as_json(found), as_html(found)):
        assert "a term of the loss reads W2 too" in text
        assert "missing-term" in text or "a term of the forward pass has no gradient here" in text
        for answer in ("dW2 += ", "2 * reg * W2", "reg * 2", "0.125", "is not added", "it should be", "is used in"):
            assert answer not in text.replace("h.T @ dscores + 2", "")
    for verdict, before in zip(hinted(FAILED).verdicts, FAILED.verdicts, strict=True):
        assert (verdict.line, verdict.outcome, verdict.reason) == (before.line, before.outcome, before.reason)
    assert '"expected_shape": [' not in as_json(found)
