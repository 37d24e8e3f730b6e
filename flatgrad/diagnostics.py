"""What the compiler has to say about a place in the source: data first, drawn last.

error[FG021]: no gate for np.unwrap
  --> model.py:7:13
   |
 7 |     phase = np.unwrap(angles)
   |             ^^^^^^^^^ its gradient is not known to flatgrad
   = help: `flatgrad gates` lists what is; a gate of your own is declared as in docs/gates.md

In a notebook the place is `model.ipynb, cell 3, line 7, column 13`, and lines are numbered as in their cell.
"""

from __future__ import annotations

import os
import re
import sys
import unicodedata
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TextIO

from flatgrad.ir.core import Span

# FG0xx reading, FG02x names and gates, FG03x constructs, FG04x aliasing and writing in place, FG05x shapes,
# FG06x results and parameters, FG07x gates that users declare, FG08x configuration, FG09x functions given to the
# library, FG10x homework.
CATALOGUE: dict[str, str] = {
    "FG001": "the source is not valid Python",
    "FG002": "the source is Python 2",
    "FG003": "the bytes of the file are not text in its encoding",
    "FG004": "a notebook that cannot be read",
    "FG005": "a notebook in another language",
    "FG006": "a notebook without code",
    "FG020": "a name that is bound nowhere",
    "FG021": "a function, a method or an operator that has no gate",
    "FG022": "a call of something that is no function flatgrad can see",
    "FG023": "a gate is known, but not with these arguments",
    "FG024": "a call of a function of the same file with arguments that it does not take",
    "FG025": "a gate's gradient is not known for these ranks or arguments",
    "FG026": "an import from a file of the project that is not there, or does not define the name",
    "FG027": "a backward function beside an imported forward function that flatgrad cannot call",
    "FG030": "a construct that is not understood yet",
    "FG031": "code after return",
    "FG032": "parameters that are not understood: *args and **kwargs",
    "FG033": "a target of an assignment that is not understood",
    "FG034": "something that is not a number stands where a number is needed",
    "FG035": "something cannot be unpacked into these names",
    "FG036": "calls are nested too deeply",
    "FG037": "a function calls itself",
    "FG038": "an element, a key or an index that is not there",
    "FG039": "a lambda, a nested function or a comprehension that cannot be written out where it stands",
    "FG040": "whether a change in place changes another name too cannot be told",
    "FG041": "a change in place changes another name too",
    "FG042": "a helper changes its argument",
    "FG043": "a change in place of what a helper was given and handed back",
    "FG044": "a layer that is called twice in one pass",
    "FG045": "a class whose attributes or methods cannot be followed",
    "FG050": "shapes do not fit together",
    "FG051": "a shape that cannot be read",
    "FG052": "a shape for something that is no parameter",
    "FG053": "a number of dimensions is presumed, and checked when forward runs (a note)",
    "FG060": "a function that is asked for is not there",
    "FG061": "a function returns nothing that can be differentiated",
    "FG062": "a result that depends on no parameter by a floating path",
    "FG063": "a parameter of --wrt that is not there",
    "FG064": "a file with nothing to differentiate",
    "FG065": "a result is left out of the differentiation (a note)",
    "FG066": "a result of --output that is not there",
    "FG067": "two functions would have one name in the module",
    "FG068": "a backward pass of the user's that is written anew, to be called as those of other layers are (a note)",
    "FG070": "a file of declared gates holds something else: it is read, and not run",
    "FG071": "a field of a declared gate that does not exist, is missing, or has a wrong value",
    "FG072": "a call that no gate can be declared for",
    "FG073": "a backward rule of a declared gate that is not understood",
    "FG074": "a shape of a declared gate that is no signature for its operands",
    "FG081": "pyproject.toml cannot be read as TOML",
    "FG082": "a key in [tool.flatgrad] that flatgrad does not have",
    "FG083": "a value in [tool.flatgrad] of the wrong type, or not one of the choices",
    "FG091": "the source of a function cannot be found",
    "FG092": "an object that is not a function with a name of its own",
    "FG093": "a helper that its module has replaced, by a decorator or an assignment",
    "FG100": "a homework without a backward pass by hand",
    "FG101": "a backward pass by hand that cannot be called: what one of its parameters is cannot be told",
    "FG102": "a backward pass by hand whose forward pass is not there",
}

TAB_WIDTH = 4
LINES_OF_A_SPAN = 4  # a longer span is drawn as its first two lines and its last


@dataclass(frozen=True, slots=True)
class SourceFile:
    """A file that a diagnostic is about, where that is another one than the model's own."""

    text: str
    filename: str


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """One finding. `label` stands under the caret, `labels` are further places that explain it.

    All places are in `file`, or in the model's own file where that is None.
    """

    code: str
    message: str
    span: Span | None
    label: str = ""
    help: str = ""
    severity: str = "error"
    labels: tuple[tuple[Span, str], ...] = ()
    file: SourceFile | None = None

    def spoken(self, text: Callable[[str], str]) -> Diagnostic:
        """The same finding with its words in another spelling."""
        labels = tuple((span, text(label)) for span, label in self.labels)
        return replace(self, message=text(self.message), label=text(self.label), help=text(self.help), labels=labels)


@dataclass(frozen=True, slots=True)
class Cell:
    """A code cell of a notebook: its number, from 1, and the line of the source text in which it begins."""

    number: int
    line: int


class Refused(Exception):
    """The source is not accepted. `diagnostics` holds every reason, sorted by place.

    With `source` and `filename`, and the `cells` of a notebook, the message of the exception is what
    `flatgrad compile` would have drawn.
    """

    def __init__(
        self,
        diagnostics: Iterable[Diagnostic],
        source: str | None = None,
        filename: str = "<source>",
        cells: tuple[Cell, ...] = (),
    ):
        self.diagnostics: tuple[Diagnostic, ...] = tuple(sorted(diagnostics, key=_place))
        self.source = source
        self.filename = filename
        self.cells = cells
        super().__init__(self.diagnostics)

    def __str__(self) -> str:
        if self.source is None:
            return "\n".join(_one_line(diagnostic) for diagnostic in self.diagnostics)
        drawn = (render(diagnostic, self.source, self.filename, cells=self.cells) for diagnostic in self.diagnostics)
        return "\n" + "\n\n".join(drawn)

    def __reduce__(self) -> tuple[type[Refused], tuple[tuple[Diagnostic, ...], str | None, str, tuple[Cell, ...]]]:
        return type(self), (self.diagnostics, self.source, self.filename, self.cells)


def render(diagnostic: Diagnostic, source: str, filename: str, color: bool = False, cells: Sequence[Cell] = ()) -> str:
    """Draw one diagnostic with its source lines and carets, without a newline at the end.

    A place outside `source`, or none at all, is drawn without lines. Columns that are shown count from 1; with the
    `cells` of a notebook, in order, lines count from 1 in each of them.
    """
    if diagnostic.file is not None:
        source, filename, cells = diagnostic.file.text, diagnostic.file.filename, ()
    paint = _Paint(diagnostic.severity, color)
    head = f"{diagnostic.severity}[{diagnostic.code}]" if diagnostic.code else diagnostic.severity
    out = [paint.primary(head) + paint.bold(f": {diagnostic.message}")]
    lines = _source_lines(source)
    marks = list(_marks(diagnostic, lines))
    numbers = _Numbers(tuple(cells))
    width = len(str(max((numbers.shown(mark.line) for mark in marks), default=1)))
    out.append(f"{' ' * (width + 1)}{paint.frame('-->')} {numbers.place(diagnostic.span, filename)}")
    bar = " " * (width + 2) + paint.frame("|")
    if marks:
        out.append(bar)
        out.extend(_drawn_lines(marks, lines, numbers, width, bar, paint))
    if diagnostic.help:
        first, *rest = diagnostic.help.splitlines()
        out.append(f"{' ' * (width + 2)}{paint.frame('=')} {paint.bold('help')}: {first}")
        out.extend(" " * (width + 10) + line for line in rest)
    return "\n".join(out)


def wants_color(stream: TextIO) -> bool:
    """Whether to write colors to a stream: a terminal that knows them, and no NO_COLOR (https://no-color.org)."""
    return not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb" and stream.isatty()


def report(
    diagnostics: Iterable[Diagnostic],
    source: str,
    filename: str,
    stream: TextIO | None = None,
    color: bool | None = None,
    cells: Sequence[Cell] = (),
) -> None:
    """Write diagnostics to a stream (stderr by default), a blank line after each."""
    stream = sys.stderr if stream is None else stream
    color = wants_color(stream) if color is None else color
    for diagnostic in diagnostics:
        stream.write(_encodable(render(diagnostic, source, filename, color, cells), stream) + "\n\n")


def _place(diagnostic: Diagnostic) -> tuple[bool, str, Span, str]:
    span = diagnostic.span or Span(0, 0, 0, 0)
    return diagnostic.span is not None, diagnostic.file.filename if diagnostic.file else "", span, diagnostic.code


def _one_line(diagnostic: Diagnostic) -> str:
    place = f"line {diagnostic.span.line}: " if diagnostic.span else ""
    if diagnostic.file is not None:
        place = f"{diagnostic.file.filename}, {place}" if place else f"{diagnostic.file.filename}: "
    return f"{place}{diagnostic.severity}[{diagnostic.code}]: {diagnostic.message}"


def _encodable(text: str, stream: TextIO) -> str:
    # A source line with a letter that the terminal's encoding lacks must not turn an error into another one.
    encoding = stream.encoding or "utf-8"
    return text.encode(encoding, "replace").decode(encoding, "replace")


@dataclass(frozen=True, slots=True)
class _Numbers:
    """How lines of the source are called: by their number in the file, or in the cell of a notebook."""

    cells: tuple[Cell, ...]

    def cell(self, line: int) -> Cell | None:
        at = bisect_right(self.cells, line, key=lambda cell: cell.line)
        return self.cells[at - 1] if at else None

    def shown(self, line: int) -> int:
        cell = self.cell(line)
        return line if cell is None else line - cell.line + 1

    def place(self, span: Span | None, filename: str) -> str:
        if span is None:
            return filename
        cell = self.cell(span.line)
        if cell is None:
            return f"{filename}:{span.line}:{span.column + 1}"
        return f"{filename}, cell {cell.number}, line {self.shown(span.line)}, column {span.column + 1}"


@dataclass(frozen=True, slots=True)
class _Mark:
    """Part of a label in one source line: characters `start` to `end`; no text but in the label's last line."""

    line: int
    start: int
    end: int
    text: str
    primary: bool


def _source_lines(source: str) -> list[str]:
    # Not str.splitlines: that also breaks at form feeds and other characters at which Python's own reader does not.
    return re.split(r"\r\n|\r|\n", source)


def _marks(diagnostic: Diagnostic, lines: list[str]) -> Iterator[_Mark]:
    if diagnostic.span is not None:
        yield from _marks_of(diagnostic.span, diagnostic.label, True, lines)
    for span, text in diagnostic.labels:
        yield from _marks_of(span, text, False, lines)


def _marks_of(span: Span, text: str, primary: bool, lines: list[str]) -> Iterator[_Mark]:
    last = span.end_line
    if last > span.line and span.end_column == 0:  # the end is excluded: nothing of that line belongs to the span
        last -= 1
    if not 1 <= span.line <= len(lines):
        return
    last = min(max(last, span.line), len(lines))
    for number in range(span.line, last + 1):
        if last - span.line >= LINES_OF_A_SPAN and span.line + 2 <= number < last:
            continue
        line = lines[number - 1]
        indent = len(line) - len(line.lstrip())
        start = span.column if number == span.line else indent
        end = span.end_column if number == span.end_line else len(line.rstrip())
        if end <= start and number not in (span.line, last):  # a blank line inside a span
            continue
        yield _Mark(number, start, max(end, start + 1), text if number == last else "", primary)


def _drawn_lines(
    marks: list[_Mark], lines: list[str], numbers: _Numbers, width: int, bar: str, paint: _Paint
) -> Iterator[str]:
    previous = None
    several = len({numbers.cell(mark.line) for mark in marks}) > 1
    for number in sorted({mark.line for mark in marks}):
        cell = numbers.cell(number)
        if several and cell is not None and (previous is None or numbers.cell(previous) is not cell):
            yield f"{' ' * (width + 1)}{paint.frame(':::')} cell {cell.number}"
        elif previous is not None and number == previous + 2:
            yield _source_line(lines[previous], numbers.shown(previous + 1), width, paint)
        elif previous is not None and number > previous + 2:
            yield " " + paint.frame("...")
        line = lines[number - 1]
        yield _source_line(line, numbers.shown(number), width, paint)
        here = [mark for mark in marks if mark.line == number]
        for mark in sorted(here, key=lambda mark: (not mark.primary, mark.start)):
            before = _columns(line[: mark.start]) + max(0, mark.start - len(line))
            under = max(_columns(line[: mark.end]) - _columns(line[: mark.start]), 1)
            color = paint.primary if mark.primary else paint.frame
            signs = color(("^" if mark.primary else "-") * under)
            text = f" {color(mark.text)}" if mark.text else ""
            yield f"{bar} {' ' * before}{signs}{text}"
        previous = number


def _source_line(line: str, number: int, width: int, paint: _Paint) -> str:
    text = printable(line).rstrip()
    return f"{paint.frame(f' {number:>{width}} |')}{' ' if text else ''}{text}"


def printable(text: str) -> str:
    """A line as it is printed: tabs at their stops; no character that moves the cursor or turns the text around."""
    out = ""
    for character in text:
        if character == "\t":
            out += " " * (TAB_WIDTH - width_of(out) % TAB_WIDTH)
        elif character == "\f":
            out += " "
        elif unicodedata.category(character) in ("Cc", "Cf", "Cs"):
            out += "\N{REPLACEMENT CHARACTER}"
        else:
            out += character
    return out


def _columns(text: str) -> int:
    """How many columns of a terminal the first part of a line takes."""
    return width_of(printable(text))


def width_of(shown: str) -> int:
    """How many columns of a terminal a printable text takes."""
    return sum(
        0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in ("W", "F") else 1 for c in shown
    )


@dataclass(frozen=True, slots=True)
class _Paint:
    severity: str
    color: bool

    def primary(self, text: str) -> str:
        return self._escape("1;31" if self.severity == "error" else "1;36", text)

    def frame(self, text: str) -> str:
        return self._escape("1;34", text)

    def bold(self, text: str) -> str:
        return self._escape("1", text)

    def _escape(self, code: str, text: str) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if self.color else text
