"""From a call as written to a gate of the table: which argument is which operand, which is which attribute."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from flatgrad.gates.entry import ALPHABET, BY_PATH, Gate, Spelling

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Bound(Generic[T]):
    """A call matched with a spelling: `operands` and `attributes` by name, `rest` what a starred name takes."""

    gate: Gate
    spelling: Spelling
    operands: Mapping[str, T]
    attributes: Mapping[str, T]
    rest: Sequence[T]


class Unbindable(Exception):
    """No spelling takes these arguments; the message says what is in the way."""


def bind(path: str, positional: Sequence[T], keywords: Mapping[str, T], is_display: Callable[[T], bool]) -> Bound[T]:
    """Match arguments with the first spelling of `path` that takes them; `xs` takes a list or tuple display.

    Raises:
        KeyError: no gate has this path.
        Unbindable: there is one, but not with these arguments.
    """
    reason = ""
    for gate, spelling in BY_PATH[path]:
        try:
            return _bind(gate, spelling, positional, keywords, is_display)
        except Unbindable as error:
            reason = reason or str(error)
    raise Unbindable(reason)


def _bind(
    gate: Gate,
    spelling: Spelling,
    positional: Sequence[T],
    keywords: Mapping[str, T],
    is_display: Callable[[T], bool],
) -> Bound[T]:
    given: dict[str, T] = {}
    rest: list[T] = []
    names = list(spelling.names)
    for index, argument in enumerate(positional):
        if names and names[0] in spelling.starred:
            rest.append(argument)
        elif names:
            given[names.pop(0)] = argument
        else:
            raise Unbindable(f"{spelling.text} takes {len(spelling.names)} arguments, not {index + 1} or more")
    for name, argument in keywords.items():
        if name in given or name not in spelling.names:
            raise Unbindable(f"the argument {name}= is not understood in {spelling.text}")
        given[name] = argument
    for name in spelling.names:
        if name not in given and name not in spelling.defaults and name not in spelling.starred:
            raise Unbindable(f"{spelling.text} needs {name}")
    if "xs" in given and not is_display(given["xs"]):
        raise Unbindable(f"{spelling.text} is understood on a list or tuple that is written out: `[a, b]`")
    # A gate that a user declares may call its operands as it likes.
    named = {*ALPHABET, *gate.operands}
    operands = {name: value for name, value in given.items() if name in named}
    attributes = {name: value for name, value in given.items() if name not in named}
    return Bound(gate, spelling, operands, attributes, rest)
