"""Spellings of groups with some parts changed at random: whatever is taken, the gradients are the primitive ones.

`python -m tests.groups.test_mutations 10000` runs many more.
"""

from __future__ import annotations

import random
import re
import sys
import warnings
from typing import Any

import numpy as np
import pytest

from flatgrad.diagnostics import Refused
from tests.groups.test_spellings import ALONG, ELEMENTWISE, HEADER, LABELLED, WEIGHTED
from tests.support import compiled, load

BODIES = (*LABELLED, *LABELLED, *WEIGHTED, *(body for _, body in ALONG), *(body for _, body in ELEMENTWISE))
CHANGES = (
    ("axis=1", "axis=0"),
    ("axis=1", "axis=-1"),
    ("axis=1, ", ""),
    ("axis=0", "axis=(0,)"),
    (", keepdims=True", ""),
    ("[:, None]", ""),
    ("[:, None]", "[None]"),
    ("np.max", "np.min"),
    ("np.max", "np.mean"),
    ("np.sum", "np.mean"),
    (".sum(", ".mean("),
    ("np.log(", "np.log(1e-8 + "),
    ("np.log(", "np.log1p("),
    ("np.exp(", "np.exp(2 * "),
    ("np.exp(", "np.exp(-"),
    ("-", ""),
    ("+", "-"),
    ("/", "*"),
    ("N)", "N - 1)"),
    (" y]", " y - 1]"),
    ("y]", "y[::-1]]"),
    ("x", "(2 * x)"),
    ("x", "(x * x)"),
    ("s)", "x)"),
    ("p[", "(p * p)["),
    ("1", "2"),
    ("0.1", "Y"),
)
BEFORE = ("", "", "x = 2.0 * x; ", "x = x @ np.ones((x.shape[1], 4)) * 0.3 + x[:, :1]; ")
PARAMETERS = (*['x: "N C", y: "N int", Y: "N C"'] * 4, "x, y, Y", 'x: "N C", y, Y')


def mutated(seed: int) -> tuple[str, dict[str, Any], dict[str, Any]]:
    """A model, its arguments, and options."""
    rng = random.Random(seed)
    body = rng.choice(BODIES)
    for _ in range(rng.choice((0, 1, 1, 2, 3))):
        old, new = rng.choice(CHANGES)
        places = [match.start() for match in re.finditer(re.escape(old), body)]
        if places:
            place = rng.choice(places)
            body = body[:place] + new + body[place + len(old) :]
    names = re.findall(r"(?:^|; )(\w+) =", body) or ["out"]
    *steps, last = (rng.choice(BEFORE) + body).split("; ")
    result = rng.choice(("np.sum(out)", "np.sum(out * out)"))
    result += rng.choice(("", "", "", f" + np.sum({rng.choice(names)} ** 2)", f", {rng.choice(names)} * 1.0"))
    lines = [*steps, f"out = {last}", f"return {result}"]
    source = f"{HEADER}\n\n\ndef f({rng.choice(PARAMETERS)}):\n" + "".join(f"    {line}\n" for line in lines)
    shape = rng.choice(((3, 4), (4, 4), (4, 4)))
    numbers = np.random.default_rng(seed)
    arguments = {
        "x": numbers.normal(size=shape),
        "y": numbers.integers(0, 3, shape[0]),
        "Y": numbers.random(shape),
    }
    uses_weights = re.search(r"\bY\b", "\n".join(lines))
    options = {
        "wrt": rng.choice((("x",), ("x", "Y"))) if uses_weights else ("x",),
        "accumulate": rng.choice(("forks", "always")),
        "stages": rng.choice(("source", "source", "relations")),
    }
    return source, arguments, options


def runs(source: str, arguments: dict[str, Any]) -> bool:
    """Whether the model itself accepts the arguments, and gives numbers."""
    try:
        names = load(source, "model")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            result = names["f"](*(np.copy(value) for value in arguments.values()))
    except Exception:  # a change may make nonsense of a model
        return False
    results = result if isinstance(result, tuple) else (result,)
    return all(np.all(np.isfinite(one)) and np.asarray(one).dtype.kind == "f" for one in results)


def gradients(source: str, arguments: dict[str, Any], options: dict[str, Any], gates: str) -> list[Any]:
    names = load(compiled(source, gates=gates, **options).text)
    *results, cache = names["f_forward"](*(np.copy(value) for value in arguments.values()))
    upstream = [np.random.default_rng(1).normal(size=np.shape(result)) for result in results]
    found = names["f_backward"](*upstream, cache)
    return list(found) if len(options["wrt"]) > 1 else [found]


def compare(seed: int) -> bool:
    """Whether the mutation of this seed could be compared; asserts that the gradients agree."""
    source, arguments, options = mutated(seed)
    if not runs(source, arguments):
        return False
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            one, two = (gradients(source, arguments, options, gates) for gates in ("grouped", "primitive"))
        except Refused:
            return False
    for first, second in zip(one, two, strict=True):
        size = float(np.max(np.abs(second)))
        # Of what the primitive steps lose to overflow or to cancellation nothing can be said.
        if np.isfinite(size) and size < 1e8:
            np.testing.assert_allclose(first, second, rtol=1e-8, atol=1e-10 * max(1.0, size), err_msg=source)
    return True


@pytest.mark.parametrize("start", range(0, 300, 50))
def test_mutations(start: int) -> None:
    assert sum(compare(seed) for seed in range(start, start + 50)) > 15


if __name__ == "__main__":
    count = int(sys.argv[1])
    print(sum(compare(seed) for seed in range(count)), "of", count, "compared")
