"""What is said of text that is no Python, or Python 2."""

from __future__ import annotations

import re
from pathlib import PurePath

from flatgrad.diagnostics import Diagnostic
from flatgrad.ir.core import Span


def invalid_python(message: str, span: Span | None, help: str = "") -> Diagnostic:
    return Diagnostic("FG001", f"not valid Python: {message}", span, help=help)


def syntax_diagnostic(error: SyntaxError, lines: tuple[str, ...], filename: str) -> Diagnostic:
    message = error.msg
    if error.lineno is None:
        return invalid_python(message, None)
    line = min(max(error.lineno, 1), len(lines))
    text = lines[line - 1]
    if isinstance(error, IndentationError):  # its column is the end of the indentation, or nowhere
        start = len(text) - len(text.lstrip())
        return invalid_python(message, span_within(lines, line, start, line, len(text.rstrip())))
    column = max((error.offset or 1) - 1, 0)
    end_line = error.end_lineno or line
    end_column = (error.end_offset or 0) - 1
    if (end_line, end_column) <= (line, column):
        end_line, end_column = line, column + 1
    span = span_within(lines, line, column, end_line, end_column)
    looked_at = {"message": message, "line": text.strip(), "place": text[span.column :]}
    for where, pattern, what, old, new in _PYTHON2_SYNTAX:
        if re.match(pattern, looked_at[where]):
            return python2_diagnostic(what, old, new, span, filename)
    if text.lstrip().startswith(("%", "!")) and not filename.endswith(".ipynb"):
        return invalid_python(message, span, "a notebook's own commands have to be taken out first")
    return invalid_python(message, span)


# Where to look (in what the parser says, at the head of the line, at the place of the error) and for what; what it is;
# how it is written in Python 2 and in 3.
# Where to look (in what the parser says, at the head of the line, at the place of the error) and for what; what it is;
# how it is written in Python 2 and in 3.
_PYTHON2_SYNTAX: tuple[tuple[str, str, str, str, str], ...] = (
    ("message", r"Missing parentheses in call to 'print'", "the print statement", "print x", "print(x)"),
    ("message", r"Missing parentheses in call to 'exec'", "the exec statement", "exec code", "exec(code)"),
    ("message", r"multiple exception types must be", "`except E, e`", "except E, e", "except E as e"),
    ("message", r"leading zeros in decimal integer", "an octal number", "0777", "0o777"),
    ("message", r"Function parameters cannot be", "a tuple as a parameter", "def f((a, b))", "def f(ab)"),
    ("message", r"Lambda expression parameters cannot be", "a tuple as a parameter", "lambda (a, b)", "lambda ab"),
    ("line", r"raise\s+[\w.]+\s*,", "`raise E, message`", "raise E, message", "raise E(message)"),
    ("place", r"<>", "the operator `<>`", "a <> b", "a != b"),
    ("place", r"`", "a backquoted expression", "`x`", "repr(x)"),
    ("place", r"\d*[lL]\b", "a long integer", "10L", "10"),
)


def python2_diagnostic(what: str, old: str, new: str, span: Span, filename: str) -> Diagnostic:
    name = PurePath(filename).name
    if filename.endswith(".ipynb"):
        help = f"make it a file first, `jupyter nbconvert --to script {name}`,\nand convert that, for instance with"
    else:
        help = f"convert {name if filename.endswith('.py') else 'the file'} first, for instance with"
    return Diagnostic(
        "FG002",
        f"this is Python 2: {what}",
        span,
        f"`{old}` is written `{new}` now",
        f"{help} `2to3 -w`, which comes with Python up to 3.12",
    )


def span_within(lines: tuple[str, ...], line: int, column: int, end_line: int, end_column: int) -> Span:
    """A span inside the text: Python 3.11 places what stands inside an f-string of several lines beyond its lines."""
    line = min(max(line, 1), len(lines))
    end_line = min(max(end_line, line), len(lines))
    column = min(max(column, 0), len(lines[line - 1]))
    end_column = min(max(end_column, 0), len(lines[end_line - 1]))
    return Span(line, column, end_line, max(end_column, column) if end_line == line else end_column)
