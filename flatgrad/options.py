"""What the command line decides of a compile."""

from __future__ import annotations

from dataclasses import dataclass

from flatgrad.gates.entry import Gate


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line decides. Empty: the default of the design."""

    functions: tuple[str, ...] = ()
    wrt: tuple[str, ...] = ()
    output: str = ""
    shapes: tuple[tuple[str, str], ...] = ()
    gates: str = "grouped"
    stages: str = "source"
    accumulate: str = "forks"
    declared: tuple[Gate, ...] = ()
