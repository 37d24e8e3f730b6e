"""What the command line of `flatgrad diff` decides about a comparison."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

DEFAULT_TIMEOUT = 20.0


@dataclass(frozen=True, slots=True)
class CompareOptions:
    """Empty: every function of the homework, at inputs that are drawn.

    Attributes:
        functions: the only functions to judge, by the names that reports give them.
        names: the homework's name of a gradient, and the variable or gradient that it is, for names that say nothing.
        wrt: the variables whose gradients are required where the homework returns none.
        inputs: an .npz file with the arguments, by their names; None where they are drawn.
        seed: the first seed of what is drawn.
        timeout: seconds that one run of the homework may take.
    """

    functions: tuple[str, ...] = ()
    names: tuple[tuple[str, str], ...] = ()
    wrt: tuple[str, ...] = ()
    inputs: Path | None = None
    seed: int = 0
    timeout: float = DEFAULT_TIMEOUT
