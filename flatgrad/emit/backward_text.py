"""Statements of a backward pass, grouped by the stage that they reverse, and their text."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from flatgrad.emit.holes import FillHoles
from flatgrad.emit.residuals import Residuals
from flatgrad.emit.rounds import reads_index
from flatgrad.ir.core import Call, Stage


@dataclass(frozen=True, slots=True)
class Nested:
    """A loop or an `if` around lines; the second part is that of an `else`. `over`: the head of the loop where its
    index is not read."""

    stage: Stage | None
    head: ast.stmt
    parts: tuple[tuple[Item, ...], ...]
    over: ast.For | None = None


# A statement of the backward pass, with the stage that it reverses.
Item = tuple[Stage | None, ast.stmt] | Nested


@dataclass(frozen=True, slots=True)
class NestedText:
    """A head line, without its colon, and what stands below it."""

    stage: Stage | None
    head: str
    groups: tuple[Group, ...]


# Lines without indentation that reverse one stage.
Group = tuple[Stage | None, tuple[str, ...]] | NestedText


@dataclass(frozen=True, slots=True)
class BackwardText:
    """Lines without indentation, grouped by stage; `upstream` and `results` are names."""

    groups: tuple[Group, ...]
    preludes: tuple[str, ...]
    upstream: tuple[str, ...]
    results: tuple[str, ...]
    calls: tuple[tuple[Call, str], ...]
    unbroadcasts: bool


@dataclass(frozen=True, slots=True)
class Draft:
    """Statements whose names of forward values are not settled yet."""

    items: tuple[Item, ...]
    results: tuple[str, ...]
    upstream: tuple[str, ...]
    calls: tuple[tuple[Call, str], ...]
    unbroadcasts: bool


def backward_text(draft: Draft, residuals: Residuals) -> BackwardText:
    """The lines as text, once every forward value has its name."""
    fill = FillHoles()
    preludes = _preludes({name: fill.visit(one) for name, one in residuals.preludes.items()}, residuals)
    return BackwardText(
        groups=_groups(draft.items, fill),
        preludes=preludes,
        upstream=draft.upstream,
        results=draft.results,
        calls=draft.calls,
        unbroadcasts=draft.unbroadcasts,
    )


def _preludes(found: Mapping[str, ast.expr], residuals: Residuals) -> tuple[str, ...]:
    """The sizes that backward names: several of one array in one line, as in `N, _, H, W = x.shape`."""
    ranks = {value.name: value.type.shape.rank for value in (*residuals.kept, *residuals.upstream.values())}
    axes: dict[str, dict[int, str]] = {}
    for name, one in found.items():
        match one:
            case ast.Subscript(
                value=ast.Attribute(value=ast.Name(id=array), attr="shape"), slice=ast.Constant(value=int(axis))
            ) if ranks.get(array) is not None and 0 <= axis < (ranks[array] or 0):
                axes.setdefault(array, {})[axis] = name
    lines: list[str] = []
    done: set[str] = set()
    for name, one in found.items():
        if name in done:
            continue
        together = next((group for group in axes.values() if name in group.values() and len(group) > 1), None)
        if together is None:
            lines.append(f"{name} = {ast.unparse(one)}")
            continue
        array = next(key for key, group in axes.items() if group is together)
        last = ranks[array] or 0
        lines.append(f"{', '.join(together.get(axis, '_') for axis in range(last))} = {array}.shape")
        done |= set(together.values())
    return tuple(lines)


def _groups(items: Iterable[Item], fill: FillHoles) -> tuple[Group, ...]:
    groups: list[Group] = []
    stage: Stage | None = None
    lines: list[str] = []

    def close() -> None:
        if lines:
            groups.append((stage, tuple(lines)))
            lines.clear()

    for item in items:
        if isinstance(item, Nested):
            close()
            groups.extend(_nested(item, fill))
            continue
        if item[0] is not stage:
            close()
            stage = item[0]
        lines.extend(_unparsed(item[1], fill).split("\n"))
    close()
    return tuple(groups)


def _nested(item: Nested, fill: FillHoles) -> list[NestedText]:
    head = item.head
    assert isinstance(head, ast.For | ast.If)
    head.body = [ast.Pass()]
    inner = _groups(item.parts[0], fill)
    if item.over is not None and isinstance(head, ast.For) and not reads_index(head, lines_of(inner)):
        head = item.over
        head.body = [ast.Pass()]
    text = _unparsed(head, fill).rpartition(":\n")[0]
    found = [NestedText(item.stage, text, inner)]
    if len(item.parts) > 1:
        match item.parts[1]:
            case (Nested(head=ast.If()) as other,):
                first, *rest = _nested(other, fill)
                found += [replace(first, head=f"el{first.head}"), *rest]
            case others:
                found.append(NestedText(item.stage, "else", _groups(others, fill)))
    return found


def lines_of(groups: tuple[Group, ...]) -> Iterator[str]:
    for group in groups:
        if isinstance(group, NestedText):
            yield group.head
            yield from lines_of(group.groups)
        else:
            yield from group[1]


def _unparsed(statement: ast.stmt, fill: FillHoles) -> str:
    return ast.unparse(ast.fix_missing_locations(fill.visit(statement)))
