"""What `flatgrad check` says: a table for each function, or JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from typing import Any

from flatgrad.checking.check import Outcome
from flatgrad.checking.differences import TOLERANCE
from flatgrad.checking.rows import KINKED, OK, UNSURE, WRONG, Row, Settings

_COLORS = {OK: "32", WRONG: "31", KINKED: "33", UNSURE: "33"}
_HEADS = ("variable", "shape", "max rel. error", "norm rel. error", "verdict")


def as_text(model: str, module: str, outcomes: Sequence[Outcome], settings: Settings, color: bool = False) -> str:
    """The report for a terminal."""
    lines: list[str] = []
    for outcome in outcomes:
        lines += [*_function(outcome, module, settings, color), ""]
    lines.append(_last_line(outcomes))
    return "\n".join(lines) + "\n"


def _function(outcome: Outcome, module: str, settings: Settings, color: bool) -> Iterator[str]:
    order = "second derivatives of " if settings.order == 2 else ""
    yield _painted(f"{order}{outcome.function}", "1", color) + f"  ({module})"
    for words in outcome.inputs:
        yield f"  at {words}"
    if outcome.rows:
        yield from _table(outcome.rows, settings, color)
    for row in outcome.rows:
        if row.detail:
            yield f"  {_painted('wrong', _COLORS[WRONG], color)}: {row.name}: {row.detail}"
        if row.kinks:
            yield from _kinks(row, color)
        if row.verdict == UNSURE:
            yield f"  {row.name}: the differences do not agree among themselves: who is right cannot be told here"
    for fault in outcome.faults:
        yield f"  {_painted('wrong', _COLORS[WRONG], color)}: {fault}"
    if outcome.problem:
        yield f"  {_painted('not judged', _COLORS[UNSURE], color)}: {outcome.problem}"
    for note in outcome.notes:
        yield f"  note: {note}"


def _kinks(row: Row, color: bool) -> Iterator[str]:
    word = _painted("kink", _COLORS[KINKED], color)
    count = len(row.kinks)
    yield f"  {word}: {row.name} has {count} element{'s' if count > 1 else ''} at a kink or a tie, left out"
    for text in row.kinks[:3]:
        yield f"        {text}"
    if count > 3:
        yield f"        and {count - 3} more"


def _table(rows: Sequence[Row], settings: Settings, color: bool) -> Iterator[str]:
    cells = [_HEADS, *(_cells(row) for row in rows)]
    widths = [max(len(line[k]) for line in cells) for k in range(len(_HEADS))]
    for number, line in enumerate(cells):
        padded = [
            text.ljust(width) if k in (0, 1, 4) else text.rjust(width)
            for k, (text, width) in enumerate(zip(line, widths, strict=True))
        ]
        if number:
            padded[-1] = _painted(line[-1], _COLORS[rows[number - 1].verdict], color)
        yield ("  " + "  ".join(padded)).rstrip()


def _cells(row: Row) -> tuple[str, ...]:
    shape = f"({', '.join(str(dim) for dim in row.shape)}{',' if len(row.shape) == 1 else ''})"
    return row.name, shape, _number(row.max_relative_error), _number(row.norm_relative_error), row.verdict


def _number(value: float) -> str:
    return f"{value:.1e}" if math.isfinite(value) else "-"


def _last_line(outcomes: Sequence[Outcome]) -> str:
    wrong = [row.name for outcome in outcomes for row in outcome.rows if row.verdict == WRONG]
    faults = sum(len(outcome.faults) for outcome in outcomes)
    rows = sum(len(outcome.rows) for outcome in outcomes)
    open_ones = [outcome.function for outcome in outcomes if outcome.problem]
    open_ones += [row.name for outcome in outcomes for row in outcome.rows if row.verdict == UNSURE]
    if wrong or faults:
        words = [f"{len(wrong)} of {rows} gradients wrong: {', '.join(wrong)}"] if wrong else []
        words += [f"{faults} other fault{'s' if faults > 1 else ''}"] if faults else []
        return "; ".join(words)
    if open_ones:
        return f"not judged: {', '.join(open_ones)}"
    agreed = sum(row.verdict == OK for outcome in outcomes for row in outcome.rows)
    said = f"{agreed} gradient{'' if agreed == 1 else 's'} agree{'s' if agreed == 1 else ''} with differences"
    kinked = rows - agreed
    return said + (f"; {kinked} at kinks" if kinked else "") + f" (norm-wise, to {TOLERANCE:.0e})"


def _painted(text: str, code: str, color: bool) -> str:
    return f"\x1b[{code}m{text}\x1b[0m" if color else text


def as_json(model: str, module: str, outcomes: Sequence[Outcome], settings: Settings) -> str:
    """The report for a program; what is not finite is null."""
    document = {
        "model": model,
        "module": module,
        "ok": all(outcome.exit_code == 0 for outcome in outcomes),
        "order": settings.order,
        "seed": settings.seed,
        "directions": settings.directions or None,
        "tolerance": TOLERANCE,
        "functions": [_json_function(outcome) for outcome in outcomes],
    }
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def _json_function(outcome: Outcome) -> dict[str, Any]:
    return {
        "function": outcome.function,
        "ok": outcome.exit_code == 0,
        "inputs": list(outcome.inputs),
        "variables": [
            {
                "name": row.name,
                "shape": list(row.shape),
                "max_relative_error": _finite(row.max_relative_error),
                "norm_relative_error": _finite(row.norm_relative_error),
                "verdict": row.verdict,
                "compared": row.compared,
                "kinks": list(row.kinks),
                "detail": row.detail,
            }
            for row in outcome.rows
        ],
        "faults": list(outcome.faults),
        "problem": outcome.problem,
        "notes": list(outcome.notes),
    }


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
