"""A Jupyter notebook as one source text: its code cells in order, a blank line between two.

Places are in that text; `Notebook.cells` says in which cell a line stands. Cells are numbered by their position among
the code cells, from 1; the number in `In [7]` says when a cell ran last, and many cells have none.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from flatgrad.diagnostics import Cell, Diagnostic, Refused
from flatgrad.frontend.magics import plain_python
from flatgrad.frontend.source import read_module
from flatgrad.ir.core import Span

_PYTHON = ("python", "python2", "python3", "ipython")
_LONGEST_LINE = 300  # a notebook without line breaks is one line of any length: nothing to draw


@dataclass(frozen=True, slots=True)
class Notebook:
    """What the code cells of a notebook say.

    Attributes:
        text: the cells joined, each as plain Python.
        cells: where each of them begins, in order.
        notes: what there is to say of the notebook itself.
    """

    text: str
    cells: tuple[Cell, ...]
    notes: tuple[Diagnostic, ...]


def is_notebook(text: str) -> bool:
    """Whether a text without a name is a notebook: a JSON object that says its format."""
    if not text.lstrip().startswith("{") or '"nbformat"' not in text:
        return False
    try:
        return "nbformat" in json.loads(text)
    except (ValueError, RecursionError):
        return False


def read_notebook(text: str, filename: str) -> Notebook:
    """Read a notebook of any format since the second; cells that are no code are left out.

    Raises:
        Refused: FG004 for what is no notebook, FG005 for one of another language, FG006 for one without code; for
            cells that are not Python what `read_module` raises, with the places in the joined text.
    """
    document = _document(text, filename)
    found = _code_cells(document)
    if found is None:
        help = "a notebook is a JSON object with a list of cells"
        raise Refused([Diagnostic("FG004", "this is no Jupyter notebook", None, help=help)], "", filename)
    languages = [_language(cell) for cell in found]
    metadata = _table(document.get("metadata"))
    language = _notebook_language(metadata) or next(filter(None, languages), "python")
    if language.lower() not in _PYTHON:
        raise Refused(
            [Diagnostic("FG005", f"the notebook is written in {language}, not in Python", None)], "", filename
        )
    sources = [
        _source(cell) if (own or language).lower() in _PYTHON else ""
        for cell, own in zip(found, languages, strict=True)
    ]
    if not any(source.strip() for source in sources):
        raise Refused([Diagnostic("FG006", "the notebook has no code in its cells", None)], "", filename)
    plain = [plain_python(source) if source.strip() else source for source in sources]
    cells: list[Cell] = []
    line = 1
    for number, source in enumerate(plain, 1):
        cells.append(Cell(number, line))
        line += source.count("\n") + 2
    joined = "\n\n".join(plain) + "\n"
    _check_cells(plain, cells, joined, filename)
    return Notebook(joined, tuple(cells), tuple(_kernel_notes(metadata, joined)))


# The document


def _document(text: str, filename: str) -> Mapping[str, Any]:
    try:
        document = json.loads(text)
    except json.JSONDecodeError as error:
        place = Span(error.lineno, error.colno - 1, error.lineno, error.colno)
        line = text.split("\n")[error.lineno - 1]
        message = f"the notebook is not valid JSON: {error.msg}"
        help = ""
        if line.startswith(("<<<<<<<", "=======", ">>>>>>>")):
            help = "a merge has left its marks: settle it, for instance with nbdime"
        shown = text if len(line) <= _LONGEST_LINE else ""
        raise Refused([Diagnostic("FG004", message, place, help=help)], shown, filename) from None
    except (ValueError, RecursionError) as error:  # a number of too many digits, brackets too deep
        raise Refused([Diagnostic("FG004", f"the notebook cannot be read: {error}", None)], "", filename) from None
    return document if isinstance(document, dict) else {}


def _code_cells(document: Mapping[str, Any]) -> list[Mapping[str, Any]] | None:
    """The code cells, in order; None where the document has no list of cells."""
    sheets: Iterable[Any] = [document]
    if not isinstance(document.get("cells"), list):
        sheets = document.get("worksheets") or ()  # up to nbformat 3
    if not isinstance(sheets, list):
        return None
    cells: list[Mapping[str, Any]] = []
    for sheet in sheets:
        inner = _table(sheet).get("cells")
        if not isinstance(inner, list):
            return None
        cells += [cell for cell in inner if isinstance(cell, dict) and cell.get("cell_type") == "code"]
    return cells


def _source(cell: Mapping[str, Any]) -> str:
    """The text of a cell: a string or a list of lines, called `input` up to nbformat 3."""
    source = cell.get("source", cell.get("input", ""))
    text = "".join(map(str, source)) if isinstance(source, list) else str(source)
    return text.replace("\r\n", "\n").replace("\r", "\n").removesuffix("\n")


def _table(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


# Its language


def _notebook_language(metadata: Mapping[str, Any]) -> str:
    """What the kernel says; '' where nothing does."""
    by_kernel = _table(metadata.get("language_info")).get("name")
    return str(by_kernel or _table(metadata.get("kernelspec")).get("language") or "")


def _language(cell: Mapping[str, Any]) -> str:
    """What a cell says of itself: up to nbformat 3, and in editors that hold several languages in one notebook."""
    editor = _table(_table(cell.get("metadata")).get("vscode"))
    return str(cell.get("language") or editor.get("languageId") or "")


def _kernel_notes(metadata: Mapping[str, Any], text: str) -> Iterable[Diagnostic]:
    version = _table(metadata.get("language_info")).get("version")
    kernel = _table(metadata.get("kernelspec")).get("name")
    old = version.startswith("2.") if isinstance(version, str) else kernel == "python2"
    if old and not re.search(r"^from __future__ import .*\bdivision\b", text, re.MULTILINE):
        message = "the kernel of the notebook is Python 2, the notebook is read as Python 3"
        help = "`/` between integers is no longer rounded down: write `//` where it should be"
        yield Diagnostic("FG002", message, None, help=help, severity="note")


# Its cells


def _check_cells(plain: Iterable[str], cells: Iterable[Cell], joined: str, filename: str) -> None:
    """Read each cell alone: an open bracket must not swallow the next one, and the parser counts lines in the cell."""
    errors: list[Diagnostic] = []
    for source, cell in zip(plain, cells, strict=True):
        try:
            read_module(source, filename)
        except Refused as refused:
            errors += [_moved(diagnostic, cell) for diagnostic in refused.diagnostics]
    # A notebook in Python 2 is converted as a whole: one place is enough.
    errors = [error for error in errors if error.code == "FG002"][:1] or errors
    if errors:
        raise Refused(errors, joined, filename, tuple(cells))


def _moved(diagnostic: Diagnostic, cell: Cell) -> Diagnostic:
    # An error without a place has the whole cell for it.
    span = diagnostic.span or Span(1, 0, 1, 0)
    down = cell.line - 1
    moved = Span(span.line + down, span.column, span.end_line + down, span.end_column)
    return replace(diagnostic, span=moved)
