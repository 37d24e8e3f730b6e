"""The docs on `flatgrad diff` show what it prints, and name every word that it uses."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from flatgrad.diff.verdicts import Outcome
from flatgrad.diff.vocabulary import REASONS
from tests.diff.sessions import PAGES, ROOT, renewed, sessions

STUDENTS, TEACHERS = ((ROOT / "docs" / name).read_text(encoding="utf-8") for name in ("students.md", "teachers.md"))


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_the_sessions_are_what_is_printed(path: Path) -> None:
    page = path.read_text(encoding="utf-8")
    assert page == renewed(page), "run: python -m tests.diff.sessions"


def test_students_see_a_report_and_a_hint() -> None:
    found = sessions(STUDENTS)
    assert list(found) == ["flatgrad diff homework.py", "flatgrad diff homework.py --hint"]
    for verdict in (Outcome.MATCH, Outcome.WRONG, Outcome.FOLLOWS):
        assert f"\n{verdict.value} " in found["flatgrad diff homework.py"]


def test_the_vocabulary_is_the_one_that_is_used() -> None:
    rows = re.findall(r"^\| `([a-z-]+)` \| ([^|]+) \|", TEACHERS, re.MULTILINE)
    assert {word: text for word, text in rows if word in REASONS} == dict(REASONS)


def test_every_verdict_is_explained() -> None:
    for verdict in Outcome:
        assert f"| `{verdict.value}` |" in STUDENTS
        assert f"`{verdict.value}`" in TEACHERS
