"""The report as a page: whole, self-contained, and nothing of a homework in it is markup."""

from __future__ import annotations

from dataclasses import replace
from html.parser import HTMLParser

from flatgrad.diff.report.report_html import as_html
from flatgrad.diff.verdicts import Report
from tests.diff.made import CLEAN, FAILED, PROBLEM, TEXT, WRONG

VOID = {"meta", "link", "br", "img", "hr", "input"}


class Page(HTMLParser):
    """The elements of a page, and the text of each by its class."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[tuple[str, str]] = []
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.texts: list[tuple[str, str]] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in VOID:
            self.open.append((tag, dict(attrs).get("class") or ""))
            self.texts.append((dict(attrs).get("class") or tag, ""))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop()[0] == tag

    def handle_data(self, data: str) -> None:
        if self.texts:
            name, text = self.texts[-1]
            self.texts[-1] = (name, text + data)


def page(*reports: Report) -> Page:
    found = Page(as_html(reports))
    assert not found.open
    return found


def test_it_loads_nothing_and_runs_nothing() -> None:
    found = page(FAILED, CLEAN, PROBLEM)
    assert not {"script", "img", "link", "iframe", "object", "form", "a", "base"} & set(found.tags)
    names = {name for name, _ in found.attributes}
    assert not {name for name in names if name.startswith("on") or name in ("src", "href", "action", "style")}
    text = as_html((FAILED,))
    assert "default-src 'none'" in text
    assert "url(" not in text
    assert "@import" not in text
    assert "prefers-color-scheme: dark" in text
    assert "@media print" in text


def test_it_shows_the_whole_homework_with_its_numbers() -> None:
    numbers = [int(text) for name, text in page(FAILED).texts if name == "number"]
    assert numbers == list(range(1, TEXT.count("\n") + 1))
    text = as_html((FAILED,))
    for line in ("dW2 = h.T @ dscores", "dh[h &lt; 0] = 0", "(1) ", "a term of the forward pass has no gradient here"):
        assert line in text


def test_lines_are_marked_by_their_verdict() -> None:
    text = as_html((FAILED,))
    for mark, line in (
        ("match", "dscores = 2"),
        ("wrong", "dW2 = h.T"),
        ("follows", "dW1 = X.T"),
        ("unknown", "dh = "),
    ):
        assert any(f'class="line {mark}"' in row and f"    {line}" in row for row in text.splitlines())
    assert sum('class="line"' in row for row in text.splitlines()) == 14 - 5


def test_the_notes_stand_beside_their_line() -> None:
    piece = next(part for part in as_html((FAILED,)).split('<div class="piece">') if "regulariser" in part)
    lines, notes = piece.split('<div class="notes">')
    assert '<span class="number">10</span>' in lines
    assert lines.index(">10<") == min(lines.index('<span class="number">') + len('<span class="number">') - 1, 10**9)
    assert "dW2 += h.T @ dscores" in notes
    assert "dW2 = h.T @ dscores + 2 * reg * W2" in notes
    assert "W2 is used in (2) and (4)" in notes


def test_the_graver_verdict_colors_a_line() -> None:
    twice = replace(FAILED, verdicts=(replace(FAILED.verdicts[0], line=10), WRONG))
    assert sum('class="line wrong"' in row for row in as_html((twice,)).splitlines()) == 1
    assert 'class="line match"' not in as_html((twice,))


def test_functions_of_one_file_share_its_text() -> None:
    other = replace(FAILED, function="other")
    assert page(FAILED, other).tags.count("main") == 1
    assert page(FAILED, CLEAN).tags.count("main") == 2
    assert as_html((FAILED, other)).count("import numpy as np") == 1


def test_a_problem_stands_at_its_line_or_above() -> None:
    text = as_html((PROBLEM,))
    assert 'class="line problem"' in text
    assert "the forward pass raises AttributeError" in text
    assert "the forward pass raises" in as_html((replace(PROBLEM, problem_line=99),))
    assert "the forward pass raises" in as_html((replace(PROBLEM, text="", problem_line=None),))


def test_a_homework_is_text_and_nothing_else() -> None:
    for nasty in (
        "<script>alert(1)</script>",
        "</pre></div><img src=x onerror=alert(1)>",
        '"><b onclick="x()">',
        "{{ 7 * 7 }}{% raw %}",
        "<!--",
        "</style><style>*{display:none}",
        "&lt;script&gt;",
    ):
        evil = replace(
            WRONG,
            name=nasty,
            source=nasty,
            detail=nasty,
            reference=nasty,
            repair=nasty,
            expected=nasty,
            actual=nasty,
            variable=nasty,
            reason=nasty,
        )
        lines = "\n".join([nasty] * 14)
        bad = Report(nasty, nasty, (evil,), (nasty,), lines)
        problem = replace(PROBLEM, homework=nasty, problem=nasty, text=lines)
        harmless = page(Report("x", "x", (replace(evil, name="x"),), ("x",), "\n".join(["x"] * 14)))
        found = page(bad, problem)
        assert set(found.tags) <= set(harmless.tags) | {"h1"}
        assert found.tags.count("style") == 1
        shown = "".join(text for _, text in found.texts)
        assert shown.count(nasty) >= 25
        assert {name for name, _ in found.attributes} <= {"lang", "charset", "name", "content", "http-equiv", "class"}


def test_characters_that_turn_text_around_are_replaced() -> None:
    text = as_html((replace(FAILED, text=TEXT + "# \u202e\x1b[31m\x00\n", warnings=("\u2066",)),))
    assert not {"\u202e", "\x1b", "\x00", "\u2066"} & set(text)


def test_a_notebook_numbers_lines_by_cell() -> None:
    notebook = replace(FAILED, places=tuple((1 + k // 8, 1 + k % 8) for k in range(14)))
    assert ("number", "2:2") in page(notebook).texts
    assert "cell 2, line 2" in as_html((notebook,))
