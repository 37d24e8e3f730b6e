"""The report on a file that cannot be read: what the reader's diagnostics say, in the words of a report."""

from __future__ import annotations

from flatgrad.diagnostics import Refused
from flatgrad.diff.verdicts import Report


def unread(name: str, refused: Refused, text: str | None = None) -> Report:
    """A report with the first diagnostic as its problem.

    Args:
        name: the homework's file name, for reports.
        refused: why it cannot be read; may speak of another file, the model.
        text: the homework's text, if it is text at all.
    """
    first = refused.diagnostics[0]
    problem = f"{first.message}: {first.label}" if first.label else first.message
    said = f"{problem}\n{first.help}" if first.help else problem
    shown = refused.source if refused.source is not None else text or ""
    line = first.span.line if first.span is not None else None
    other = first.file.filename if first.file is not None else refused.filename
    if other not in (name, "<source>"):
        place = f"{other}, line {line}" if line is not None else other
        return Report(name, "", (), (), text or "", f"{place}: {said}")
    if not refused.cells:
        return Report(name, "", (), (), shown, said, line)
    from flatgrad.diff.reading.reading import file_places

    return Report(name, "", (), (), shown, said, line, places=file_places(shown, refused.cells))
