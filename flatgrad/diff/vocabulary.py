"""The words of a report: what each verdict and each reason is called, and what it means.

docs/teachers.md shows the same table; a test holds them together.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from flatgrad.diff.verdicts import Outcome

# The kind of a mistake, said without its answer.
REASONS: Mapping[str, str] = MappingProxyType(
    {
        "missing-path": "a contribution is missing",
        "overwritten": "= overwrites an earlier contribution",
        "sign": "the sign is wrong",
        "factor": "a constant factor is wrong",
        "transposed": "a transpose is missing, or one too many",
        "wrong-axis": "summed over the wrong axis",
        "not-summed": "not summed over an axis that the forward pass broadcasts over",
        "mean-for-sum": "a mean where a sum belongs",
        "upstream": "the upstream gradient is not multiplied in",
        "wrong-point": "the local derivative is taken at another variable",
        "wrong-gradient": "the gradient of another variable is used",
        "missing-term": "a term of the forward pass has no gradient here",
        "scatter": "= where indices repeat: only the last one counts",
        "mask": "a mask of the forward pass is not applied",
        "geometry": "right for some sizes only",
        "shape": "the shape is wrong",
        "unexplained": "the value is wrong",
    }
)

OUTCOMES: Mapping[Outcome, str] = MappingProxyType(
    {
        Outcome.MATCH: "right",
        Outcome.WRONG: "this line is at fault",
        Outcome.FOLLOWS: "this step is right, but it was handed a wrong value",
        Outcome.MISSING: "never computed",
        Outcome.UNKNOWN: "nothing to hold it against",
    }
)


def joined(words: list[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    return " and ".join(filter(None, (", ".join(words[:-1]), *words[-1:])))
