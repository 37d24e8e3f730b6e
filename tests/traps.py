"""Arrays, models and verdicts for the tests of traps.

A case is right (every check of `check_module` holds), refused (a diagnostic when compiling) or guarded (a ValueError
from forward). Where the language leaves no doubt only `right` is allowed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from flatgrad.diagnostics import Refused
from tests.support import Guarded, Report, check_module, compiled, load

Inputs = dict[str, Any]


def drawn(shape: int | tuple[int, ...], seed: int = 0) -> Any:
    """An array in general position, the same for the same shape and seed."""
    dims = (shape,) if isinstance(shape, int) else shape
    return np.random.default_rng([7, seed, *dims]).normal(size=shape)


# Copied by every check, never written.
X = drawn((3, 4), 1)
Y = drawn((3, 4), 2)
ROW = drawn(4)
COLUMN = drawn((3, 1))
V = drawn(5)
POSITIVE = 0.5 + np.abs(drawn((3, 4), 3))
SQUARE = drawn((3, 3))
W = drawn((4, 2))
LABELS = np.array([1, 3, 1])


def model(body: str, parameters: str = "x, y", header: str = "import numpy as np") -> str:
    """A model of one function `f` with the given body, its lines separated by semicolons."""
    return f"{header}\n\n\ndef f({parameters}):\n" + "".join(f"    {line.strip()}\n" for line in body.split(";"))


def outcome(source: str, inputs: Inputs, **keywords: Any) -> str:
    """`right`, `refused` or `guarded`. Raises Wrong where it is none of them."""
    try:
        check_module(source, inputs, **keywords)
    except Refused:
        return "refused"
    except Guarded:
        return "guarded"
    return "right"


def right(body: str, parameters: str, *inputs: Inputs, **keywords: Any) -> Report:
    """The model is accepted and right for each of the inputs; the report of the last."""
    for given in inputs[:-1]:
        check_module(model(body, parameters), given, **keywords)
    return check_module(model(body, parameters), inputs[-1], **keywords)


def never_wrong(body: str, parameters: str, *inputs: Inputs, allowed: Sequence[str] = ("right", "refused")) -> None:
    for given in inputs:
        assert outcome(model(body, parameters), given) in allowed


def gradients(source: str, arguments: Sequence[Any], upstream: Any = 1.0, **options: Any) -> Any:
    """The gradients alone, unchecked: for points where differences do not exist."""
    names = load(compiled(source, **options).text)
    _, cache = names["f_forward"](*arguments)
    return names["f_backward"](upstream, cache)


both_gates = pytest.mark.parametrize("gates", ["grouped", "primitive"])
annotated = pytest.mark.parametrize("parameters", ["x, y", 'x: "N D", y: "N D"'], ids=("open", "annotated"))
