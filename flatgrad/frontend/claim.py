"""A claim: what somebody wrote about the shape of one name."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from typing import Literal

from flatgrad.frontend.shapetext import KindName
from flatgrad.ir.core import DType, Span
from flatgrad.ir.dims import Shape

Origin = Literal["annotation", "docstring", "comment", "option"]


@dataclass(frozen=True, slots=True)
class Claim:
    """What somebody wrote about one name; whatever is None is not said.

    Attributes:
        shape: symbols are those of the text; nameless dims are `x.1`, nameless dims of unknown number `x.dims`.
        dtype: INT and BOOL, and FLOAT where an annotation says so in so many words.
        kind: `scalar` is one number (it may come as a 0-d array), `array` an np.ndarray, `other` a string, a tuple,
            a function.
        span: the place of the words that say it; of an option, the parameter.
        text: those words, for messages.
        statement: the assignment that a claim about a local variable stands at.
        unless_none: it holds where the parameter is given; its default is None.
    """

    name: str
    shape: Shape | None
    dtype: DType | None
    kind: KindName | None
    span: Span
    origin: Origin
    text: str
    statement: ast.stmt | None = None
    unless_none: bool = False
