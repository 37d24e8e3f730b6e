"""What is known of the things that a function reads from outside: enough to draw one that it accepts."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from flatgrad.ir.dims import SCALAR, Dim, Shape


class Role(enum.Enum):
    """What a parameter is to the function."""

    REAL = "real"  # floats: an array, or one number where the shape is ()
    LABELS = "labels"  # integers in 0 .. bound - 1
    INTEGER = "integer"  # one Python integer, which is not differentiated: a count, a stride, a seed
    DICT = "dict"  # a dict with constant keys
    LIST = "list"  # a list of arrays or of numbers
    CHOICE = "choice"  # one of a few constants: a string, a flag
    KEPT = "kept"  # nothing is drawn: the default value is right, or nothing is known


class Domain(enum.Enum):
    """Where the numbers of a REAL parameter lie."""

    ANY = "any"  # -1.5 .. 1.5, away from zero
    POSITIVE = "positive"  # 0.5 .. 1.5
    UNIT = "unit"  # 0.2 .. 0.8
    SMALL = "small"  # 0.01 .. 0.5, for strengths and steps
    SPREAD = "spread"  # a symmetric positive definite matrix, well conditioned
    SIMPLEX = "simplex"  # positive, and 1 in sum over the last axis
    SIGNS = "signs"  # -1 or 1
    BITS = "bits"  # 0.0 or 1.0


class Where(enum.Enum):
    """How a value reaches the function: see `flatgrad.checking.inputs`."""

    ARGUMENT = "argument"
    ATTRIBUTE = "attribute"
    CONSTRUCTOR = "constructor"


@dataclass(frozen=True, slots=True)
class Parameter:
    """One thing to draw.

    Attributes:
        name: a parameter (`x`), an entry of a dict (the key), an attribute (`self.W`), a parameter of the constructor
            (`__init__.n_in`).
        role: what it is.
        shape: of a REAL or LABELS one. Its dims are integers, symbols that are shared between parameters, or terms of
            those; unknown dims are possible.
        certain: the shape is said or proven; else its rank is a guess that `fit` may give up.
        bound: LABELS are smaller than this.
        number: what an INTEGER one is equal to, where it is the size of something; None for a number of its own.
        domain: where the numbers of a REAL one lie.
        entries: of a DICT those under each key; of a LIST one for each element.
        choices: of a CHOICE the constants, the preferred one first; of an INTEGER the numbers to choose from.
        optional: it may be left out: it has a default value.
        where: how the value gets there.
        order: a number by which `fit` prefers larger sizes for the shape's dims: 0 for data, 1 for what moves over it.
    """

    name: str
    role: Role = Role.REAL
    shape: Shape = SCALAR
    certain: bool = True
    bound: Dim | None = None
    number: Dim | None = None
    domain: Domain = Domain.ANY
    entries: tuple[Parameter, ...] = ()
    choices: tuple[int | float | str | bool | None, ...] = ()
    optional: bool = False
    where: Where = Where.ARGUMENT
    order: int = 0
