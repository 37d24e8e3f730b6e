"""Bytes to source text: a Python file as Python itself would read it, a notebook as the text of its code cells."""

from __future__ import annotations

import io
import tokenize
from dataclasses import dataclass
from pathlib import PurePath

from flatgrad.diagnostics import Cell, Diagnostic, Refused
from flatgrad.ir.core import Span

NOTEBOOK = ".ipynb"


@dataclass(frozen=True, slots=True)
class Source:
    """A model as it is compiled. `cells` are those of a notebook, none for a Python file; `notes` what to say of it."""

    text: str
    filename: str
    cells: tuple[Cell, ...] = ()
    notes: tuple[Diagnostic, ...] = ()


def read_source(data: bytes, filename: str) -> Source:
    """Read a model: a notebook by its name, or without a name (`<stdin>`) by what it holds.

    Raises Refused, with the text as far as it can be shown, for what is neither Python text nor a notebook.
    """
    named = PurePath(filename).suffix.lower() == NOTEBOOK
    try:
        text = _decode_notebook(data) if named else decode_source(data)
    except Refused as refused:
        raise Refused(refused.diagnostics, refused.source, filename) from None
    if not named and not filename.startswith("<"):
        return Source(text, filename)
    from flatgrad.frontend.notebook import is_notebook, read_notebook

    if not named and not is_notebook(text):
        return Source(text, filename)
    notebook = read_notebook(text, filename)
    return Source(notebook.text, filename, notebook.cells, notebook.notes)


def decode_source(data: bytes) -> str:
    """The text of a source file: its declared encoding or UTF-8, a byte-order mark dropped, line ends as `\\n`.

    Raises Refused where Python could not read the file either.
    """
    try:
        text = data.decode(_encoding(data))
    except UnicodeDecodeError as error:
        help = "save it as UTF-8, or declare its encoding in the first line: # -*- coding: latin-1 -*-"
        raise _undecodable(data, error, help) from None
    except (SyntaxError, LookupError) as error:
        raise Refused([Diagnostic("FG003", f"the encoding of the file cannot be used: {error}", None)]) from None
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    if "\0" in text:
        before = text[: text.index("\0")]
        line, column = before.count("\n") + 1, len(before) - (before.rfind("\n") + 1)
        place = Span(line, column, line, column + 1)
        raise Refused([Diagnostic("FG001", "a null byte: this is no text", place)], text)
    return text


def _decode_notebook(data: bytes) -> str:
    try:
        return data.decode("utf-8-sig").replace("\r\n", "\n").replace("\r", "\n")
    except UnicodeDecodeError as error:
        raise _undecodable(data, error, "save it as UTF-8, as notebooks are") from None


def _undecodable(data: bytes, error: UnicodeDecodeError, help: str) -> Refused:
    before = data[: error.start].decode("utf-8", "replace").replace("\r\n", "\n").replace("\r", "\n")
    line, column = before.count("\n") + 1, len(before) - (before.rfind("\n") + 1)
    shown = data.decode("utf-8", "replace")
    place = Span(line, column, line, column + 1)
    message = f"the file is not valid {error.encoding}: byte 0x{data[error.start]:02x}"
    return Refused([Diagnostic("FG003", message, place, help=help)], shown)


def _encoding(data: bytes) -> str:
    """The encoding that a file declares. Raises SyntaxError for one that does not exist."""
    try:
        return tokenize.detect_encoding(io.BytesIO(data).readline)[0]
    except SyntaxError:
        data.decode("utf-8")  # what is wrong in the first two lines is reported without a place: find it
        raise
