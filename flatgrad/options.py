"""What the command line decides of a compile."""

from __future__ import annotations

from dataclasses import dataclass

from flatgrad.gates.entry import Gate


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line decides. Empty: the default of the design.

    `presume`: take parameters for matrices where a product needs their ranks and nothing tells them; not where a call
    with arguments is at hand, which tells.
    """

    functions: tuple[str, ...] = ()
    wrt: tuple[str, ...] = ()
    output: str = ""
    shapes: tuple[tuple[str, str], ...] = ()
    gates: str = "grouped"
    stages: str = "source"
    accumulate: str = "forks"
    declared: tuple[Gate, ...] = ()
    presume: bool = True
