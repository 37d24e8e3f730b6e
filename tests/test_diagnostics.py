"""Diagnostics: what they look like, in any source line."""

from __future__ import annotations

import io
import pickle
import re
from pathlib import Path
from unittest.mock import Mock

import pytest

import flatgrad
from flatgrad.diagnostics import CATALOGUE, Diagnostic, Refused, render, report, wants_color
from flatgrad.ir.core import Span

PACKAGE = Path(flatgrad.__file__).parent


def drawn(text: str) -> str:
    return text.strip("\n")


def test_drawn_as_in_the_design() -> None:
    source = "\n" * 6 + "    phase = np.unwrap(angles)\n"
    diagnostic = Diagnostic(
        "FG021",
        "no gate for np.unwrap",
        Span(7, 12, 7, 21),
        "its gradient is not known to flatgrad",
        "`flatgrad gates` lists what is; a gate of your own is declared as in docs/gates.md",
    )
    assert render(diagnostic, source, "model.py") == drawn("""
error[FG021]: no gate for np.unwrap
  --> model.py:7:13
   |
 7 |     phase = np.unwrap(angles)
   |             ^^^^^^^^^ its gradient is not known to flatgrad
   = help: `flatgrad gates` lists what is; a gate of your own is declared as in docs/gates.md
""")


def test_several_labels_in_the_order_of_the_lines() -> None:
    source = "def f(x, b):  # x (N, D)\n    N, D = b.shape\n    pass\n    pass\n    return x + b\n"
    diagnostic = Diagnostic(
        "FG050",
        "D is two things",
        Span(5, 11, 5, 16),
        "added here",
        labels=((Span(1, 14, 1, 24), "claimed here"), (Span(5, 15, 5, 16), "and b")),
    )
    assert render(diagnostic, source, "m.py") == drawn("""
error[FG050]: D is two things
  --> m.py:5:12
   |
 1 | def f(x, b):  # x (N, D)
   |               ---------- claimed here
 ...
 5 |     return x + b
   |            ^^^^^ added here
   |                - and b
""")


def test_lines_one_apart_are_shown_without_a_gap_sign() -> None:
    diagnostic = Diagnostic("FG041", "m", Span(1, 0, 1, 1), labels=((Span(3, 0, 3, 1), "l"),))
    assert [line[:5] for line in render(diagnostic, "a\nb\nc\n", "m.py").splitlines()[3:]] == [
        " 1 | ", "   | ", " 2 | ", " 3 | ", "   | ",
    ]  # fmt: skip


def test_a_span_over_lines_is_underlined_in_each_of_them() -> None:
    source = "x = f(\n    a,\n\n    b,\n)  # end\n"
    text = render(Diagnostic("FG030", "m", Span(1, 4, 5, 1), "here"), source, "m.py")
    assert text == drawn("""
error[FG030]: m
  --> m.py:1:5
   |
 1 | x = f(
   |     ^^
 ...
 5 | )  # end
   | ^ here
""").replace(" ...", " 2 |     a,\n   |     ^^\n ...")


def test_a_span_that_ends_before_a_line_leaves_that_line_out() -> None:
    text = render(Diagnostic("FG030", "m", Span(1, 0, 2, 0), "here"), "abc\ndef\n", "m.py")
    assert text.splitlines()[3:] == [" 1 | abc", "   | ^^^ here"]


def test_the_gutter_is_as_wide_as_the_largest_number() -> None:
    diagnostic = Diagnostic("FG030", "m", Span(100, 0, 100, 1), labels=((Span(9, 0, 9, 1), ""),))
    lines = render(diagnostic, "x\n" * 100, "m.py").splitlines()
    assert lines[1:] == ["    --> m.py:100:1", "     |", "   9 | x", "     | -", " ...", " 100 | x", "     | ^"]


@pytest.mark.parametrize(
    ("line", "column", "shown", "before"),
    [
        ("\tx = y", 5, "    x = y", 8),
        ("ab\tx", 3, "ab  x", 4),
        ("s = '漢字' + y", 11, "s = '漢字' + y", 13),
        ("e\u0301 = y", 5, "e\u0301 = y", 4),
        ("\x0cx = y", 5, " x = y", 5),
        ("s = '\x1b[31m' + y", 14, "s = '\ufffd[31m' + y", 14),
        ("s = '\u202e' + y", 10, "s = '\ufffd' + y", 10),
    ],
)
def test_the_caret_stands_under_its_character(line: str, column: int, shown: str, before: int) -> None:
    lines = render(Diagnostic("FG030", "m", Span(1, column, 1, column + 1)), line, "m.py").splitlines()
    assert lines[3] == f" 1 | {shown}"
    assert lines[4] == f"   | {' ' * before}^"


@pytest.mark.parametrize("separator", ["\x0c", "\x1c", "\u2028", "\x85"])
def test_lines_are_those_of_python(separator: str) -> None:
    # str.splitlines breaks at these, Python's reader does not.
    source = f"s = 'a{separator}b'\ny = 2\n"
    assert " 2 | y = 2" in render(Diagnostic("FG030", "m", Span(2, 0, 2, 1)), source, "m.py")


@pytest.mark.parametrize("span", [None, Span(9, 0, 9, 1), Span(0, 0, 0, 1)])
def test_without_a_place_in_the_source_there_are_no_lines(span: Span | None) -> None:
    lines = render(Diagnostic("FG091", "m", span, "label", "do\nthat"), "x = 1\n", "m.py").splitlines()
    assert lines[0] == "error[FG091]: m"
    assert lines[1].startswith("  --> m.py")
    assert lines[2:] == ["   = help: do", "           that"]


def test_an_empty_span_gets_one_caret_even_behind_the_line() -> None:
    lines = render(Diagnostic("FG001", "m", Span(1, 3, 1, 3)), "x =\n", "m.py").splitlines()
    assert lines[4] == "   |    ^"


def test_colors_are_only_added() -> None:
    diagnostic = Diagnostic("FG030", "m", Span(1, 0, 1, 1), "l", "h", labels=((Span(1, 2, 1, 3), "k"),))
    plain = render(diagnostic, "x = 1", "m.py")
    colored = render(diagnostic, "x = 1", "m.py", color=True)
    assert "\x1b" not in plain
    assert colored != plain
    assert re.sub(r"\x1b\[[0-9;]*m", "", colored) == plain


def test_color_is_for_terminals_that_want_it(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Mock(isatty=lambda: True)
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    assert wants_color(terminal)
    assert not wants_color(io.StringIO())
    monkeypatch.setenv("TERM", "dumb")
    assert not wants_color(terminal)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("NO_COLOR", "1")
    assert not wants_color(terminal)
    monkeypatch.setenv("NO_COLOR", "")  # by no-color.org: present and not empty
    assert wants_color(terminal)


def test_a_terminal_without_the_letters_gets_question_marks() -> None:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii")
    report([Diagnostic("FG030", "m", Span(1, 0, 1, 1))], "ü = 1", "m.py", stream)
    stream.flush()
    assert b" 1 | ? = 1" in raw.getvalue()


def test_refused_sorts_by_place() -> None:
    late, early = Diagnostic("FG030", "late", Span(3, 0, 3, 1)), Diagnostic("FG030", "early", Span(1, 2, 1, 3))
    nowhere = Diagnostic("FG060", "nowhere", None)
    assert Refused([late, early, nowhere]).diagnostics == (nowhere, early, late)


def test_the_message_of_refused_shows_the_places_when_it_can() -> None:
    diagnostic = Diagnostic("FG030", "no loops", Span(2, 4, 2, 7), "here")
    assert str(Refused([diagnostic])) == "line 2: error[FG030]: no loops"
    with_source = str(Refused([diagnostic], "def f():\n    for\n", "m.py"))
    assert "--> m.py:2:5" in with_source
    assert "^^^ here" in with_source


def test_refused_travels_between_processes() -> None:
    refused = Refused([Diagnostic("FG030", "m", Span(1, 0, 1, 1))], "x = 1", "m.py")
    again = pickle.loads(pickle.dumps(refused))
    assert (again.diagnostics, again.source, again.filename) == (refused.diagnostics, "x = 1", "m.py")
    assert str(again) == str(refused)


def test_the_catalogue_is_that_of_the_code() -> None:
    used = {
        code
        for path in PACKAGE.rglob("*.py")
        for code in re.findall(r'"(FG\d{3})"', path.read_text(encoding="utf-8"))
        if path.name != "diagnostics.py"
    }
    assert used == set(CATALOGUE)
    assert list(CATALOGUE) == sorted(CATALOGUE)
