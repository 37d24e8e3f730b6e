"""How the functions of a module call each other."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Callee:
    """How a function is called by the others.

    Attributes:
        forward, backward: what the two halves of the pair are called.
        plain: how it is called where nothing is differentiated; '' where the call must be taken apart.
        positions: for each result, its place among the things that the user's function returns.
        width: how many these are.
        held: of a method, for each gradient the attribute that backward leaves it on, or '' where it returns it; of a
            function, None. A method keeps what a cache would hold on its object.
        changes: the arguments that it changes in place, by position.
    """

    forward: str
    backward: str
    plain: str
    positions: tuple[int, ...]
    width: int
    held: tuple[str, ...] | None = None
    changes: frozenset[int] = frozenset()
