"""The report for a terminal."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from flatgrad.diagnostics import width_of
from flatgrad.diff.report.report_text import as_text
from tests.diff.made import CLEAN, FAILED, FAULTY, PROBLEM, WRONG

WHOLE = """\
hw.py: net

match     dscores  line 9
wrong     dW2      line 10: a term of the forward pass has no gradient here

    homework                   flatgrad
    10 | dW2 = h.T @ dscores   # (4) loss = np.sum((scores - y) ** 2) / N + reg * np.sum(W2 * W2)
                               dW2 = reg * 2 * W2
                               # (2) scores = h @ W2
                               dW2 += h.T @ dscores

    the gradient of the regulariser in line 8 is not added.
    right would be:
        dW2 = h.T @ dscores + 2 * reg * W2
    Its largest relative error is 0.25.
    W2 is used in (2) and (4):
        (2) line 7  scores = h @ W2
        (4) line 8  loss = np.sum((scores - y) ** 2) / N + reg * np.sum(W2 * W2)

wrong     dh       line 12: the value is wrong

    homework             flatgrad
    12 | dh[h < 0] = 0   # (2) scores = h @ W2
                         dh = dscores @ W2.T

    expected:
        [[0.125 0.25]]
    it is:
        [[0.5 0.75]]
    Its shape is (5, 4), it should be (4, 5).
    h is used in (2):
        (2) line 7  scores = h @ W2

follows   dW1      line 13: right, given what it was handed; it follows from dh (line 12)
missing   dX       never computed, and required

    X is used in (1):
        (1) line 6  h = np.maximum(0, X @ W1)

unknown   dtmp     line 11: nothing to hold it against

warning: dout is overwritten in line 12

1 right, 2 wrong, 1 follows from them, 1 missing, 1 not judged
"""


def test_the_whole_text() -> None:
    assert as_text((FAILED,)) == WHOLE


def test_what_is_right_takes_one_line() -> None:
    assert as_text((CLEAN,)) == (
        "clean.py: net\n\nmatch     dscores  line 9\nmatch     dW2      line 10\n\nall 2 right\n"
    )


def test_a_problem_is_shown_with_its_line() -> None:
    assert as_text((PROBLEM,)) == (
        "bad.py: net\n\ncannot be judged: the forward pass raises AttributeError\n\n    2 | y = x.foo\n"
    )
    assert as_text((replace(PROBLEM, function="", problem_line=None),)) == (
        "bad.py\n\ncannot be judged: the forward pass raises AttributeError\n"
    )


def test_several_reports_end_with_a_line_for_each() -> None:
    table = "clean.py: net  all 2 right\nbad.py: net    cannot be judged\n"
    assert as_text((CLEAN, PROBLEM)) == f"{as_text((CLEAN,))}\n\n{as_text((PROBLEM,))}\n\n{table}"


@pytest.mark.parametrize("width", [50, 60, 80, 100, 140])
def test_the_words_keep_to_the_width(width: int) -> None:
    long = replace(FAILED, warnings=("word " * 60,), verdicts=(replace(WRONG, detail="word " * 60), FAULTY))
    text = as_text((long,), width)
    for line in text.splitlines():
        if "word" in line or "line 10:" in line:
            assert width_of(line) <= width


def test_a_narrow_terminal_has_one_below_the_other() -> None:
    narrow = as_text((FAILED,), 70)
    assert "homework                   flatgrad" not in narrow
    assert "    10 | dW2 = h.T @ dscores\n    flatgrad:\n        # (4) loss" in narrow


def test_a_statement_over_several_lines_has_every_number() -> None:
    long = replace(WRONG, source="dW2 = (\n        h.T\n        @ dscores\n    )", line=98, reference="")
    text = as_text((replace(FAILED, verdicts=(long,)),))
    assert "     98 | dW2 = (\n     99 |         h.T\n    100 |         @ dscores\n    101 |     )\n" in text


def test_colors_only_when_asked_for() -> None:
    plain, colored = as_text((FAILED,)), as_text((FAILED,), color=True)
    assert "\x1b" not in plain
    assert "\x1b[31m" in colored
    assert re.sub(r"\x1b\[[0-9;]*m", "", colored) == plain


def test_nothing_of_a_homework_reaches_the_terminal_as_it_is() -> None:
    nasty = "\x1b[2J\u202e\x07\x9b"
    evil = replace(
        WRONG,
        name=f"d{nasty}",
        target=nasty,
        source=f"x = '{nasty}'",
        detail=nasty,
        reference=nasty,
        repair=nasty,
        expected=nasty,
        actual=nasty,
        hint=nasty,
        variable=nasty,
    )
    lines = "\n".join(f"line('{nasty}')" for _ in range(20))
    bad = replace(FAILED, homework=nasty, function=nasty, verdicts=(evil,), warnings=(nasty,), text=lines)
    text = as_text((bad, replace(PROBLEM, problem=nasty, text=lines)))
    assert not set(nasty) - set("[2J") & set(text)
    assert text.count("\N{REPLACEMENT CHARACTER}") > 20


def test_wide_letters_are_counted_as_wide() -> None:
    wide = replace(WRONG, source="dW2 = 重み @ x", reference="dW2 = 1\ndW2 += 2")
    lines = as_text((replace(FAILED, verdicts=(wide,)),)).splitlines()
    first = next(line for line in lines if "10 | " in line)
    second = lines[lines.index(first) + 1]
    assert width_of(first[: first.index("dW2 = 1")]) == width_of(second[: second.index("dW2 += 2")])
