"""What a message of NumPy says of sizes that do not fit together."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise, zip_longest

Pair = tuple[int, int]

_SHAPE = r"\(((?:\d+|newaxis|-1)?(?:, ?(?:\d+|newaxis|-1))*,?)\)"
_TWO_SIZES = (
    re.compile(r"size (\d+) is different from (\d+)"),
    re.compile(r"not aligned: (\d+) \(dim \d+\) != (\d+) \(dim \d+\)"),
    re.compile(r"size of axis is (\d+) but size of corresponding boolean axis is (\d+)"),
    re.compile(r"at index \d+ has size (\d+) and the array at index \d+ has size (\d+)"),
    re.compile(r"dimension is (\d+) but corresponding boolean dimension is (\d+)"),
    re.compile(r"operand has a mismatch .* (\d+) vs (\d+)"),
)
_INDEX = re.compile(r"index (-?\d+) is out of bounds for (?:axis \d+ with )?size (\d+)")
_RESHAPE = re.compile(rf"cannot reshape array of size (\d+) into shape {_SHAPE}")


def mismatches(message: str) -> tuple[Pair, ...]:
    """Pairs of sizes that the message says should be one; the first is the size at fault where that can be told.

    An index that is out of bounds is the pair of the bound that would allow it and the size that there is.
    """
    return tuple(dict.fromkeys(pair for pair in _pairs(message) if pair[0] != pair[1]))


def _pairs(message: str) -> Iterator[Pair]:
    found = _INDEX.search(message)
    if found is not None:
        if int(found[1]) >= 0:
            yield int(found[1]) + 1, int(found[2])
        return
    for pattern in _TWO_SIZES:
        found = pattern.search(message)
        if found is not None:
            yield int(found[1]), int(found[2])
            return
    found = _RESHAPE.search(message)
    if found is not None:
        yield from _reshaped(int(found[1]), _numbers(found[2]))
        return
    if "broadcast" in message or "shape" in message:
        shapes = [_numbers(one) for one in re.findall(_SHAPE, message)]
        for first, second in pairwise(shapes):
            for a, b in zip_longest(reversed(first), reversed(second)):
                if a is not None and b is not None and a > 0 and b > 0 and a != b and 1 not in (a, b):
                    yield a, b


def _reshaped(size: int, shape: list[int]) -> Iterator[Pair]:
    """What one of the dims of a new shape would have to be."""
    total = 1
    for dim in shape:
        total *= abs(dim)
    for dim in shape:
        if dim > 1 and total and (size * dim) % total == 0:
            yield dim, size * dim // total


def _numbers(text: str) -> list[int]:
    parts = [part.strip() for part in text.split(",")]
    return [-1 if part in ("newaxis", "-1") else int(part) for part in parts if part]
