"""Bytes to source text, as Python itself would read them."""

from __future__ import annotations

import io
import tokenize

from flatgrad.diagnostics import Diagnostic, Refused
from flatgrad.ir.core import Span


def decode_source(data: bytes) -> str:
    """The text of a source file: its declared encoding or UTF-8, a byte-order mark dropped, line ends as `\\n`.

    Raises Refused where Python could not read the file either.
    """
    try:
        text = data.decode(_encoding(data))
    except UnicodeDecodeError as error:
        before = data[: error.start].decode("utf-8", "replace").replace("\r\n", "\n").replace("\r", "\n")
        line, column = before.count("\n") + 1, len(before) - (before.rfind("\n") + 1)
        shown = data.decode("utf-8", "replace")
        place = Span(line, column, line, column + 1)
        message = f"the file is not valid {error.encoding}: byte 0x{data[error.start]:02x}"
        help = "save it as UTF-8, or declare its encoding in the first line: # -*- coding: latin-1 -*-"
        raise Refused([Diagnostic("FG003", message, place, help=help)], shown) from None
    except (SyntaxError, LookupError) as error:
        raise Refused([Diagnostic("FG003", f"the encoding of the file cannot be used: {error}", None)]) from None
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    if "\0" in text:
        before = text[: text.index("\0")]
        line, column = before.count("\n") + 1, len(before) - (before.rfind("\n") + 1)
        place = Span(line, column, line, column + 1)
        raise Refused([Diagnostic("FG001", "a null byte: this is no text", place)], text)
    return text


def _encoding(data: bytes) -> str:
    """The encoding that a file declares. Raises SyntaxError for one that does not exist."""
    try:
        return tokenize.detect_encoding(io.BytesIO(data).readline)[0]
    except SyntaxError:
        data.decode("utf-8")  # what is wrong in the first two lines is reported without a place: find it
        raise
