"""Claims about one name that say the same again, and such as cannot both hold."""

from __future__ import annotations

from collections.abc import Iterator

from flatgrad.diagnostics import Diagnostic
from flatgrad.frontend.claim import Claim, Origin
from flatgrad.ir.dims import Dim, Shape


def distinct(claims: list[Claim]) -> list[Claim]:
    """The claims without those that only say again what an earlier one says."""
    kept: list[Claim] = []
    for claim in claims:
        if not any(_adds_nothing(claim, earlier) for earlier in kept):
            kept.append(claim)
    return kept


def _adds_nothing(claim: Claim, earlier: Claim) -> bool:
    return (
        claim.name == earlier.name
        and claim.shape in (None, earlier.shape)
        and claim.dtype in (None, earlier.dtype)
        and claim.kind in (None, earlier.kind)
    )


def contradictions(claims: list[Claim]) -> Iterator[Diagnostic]:
    """FG050 for the first two claims about each name that cannot both hold."""
    vocabulary: dict[Origin, set[str]] = {}
    for claim in claims:
        vocabulary.setdefault(claim.origin, set()).update(_symbols(claim.shape))
    reported: set[str] = set()
    for index, second in enumerate(claims):
        for first in claims[:index]:
            if first.name != second.name or first.name in reported:
                continue
            why = _conflict(first, second, vocabulary)
            if why:
                reported.add(first.name)
                yield _contradiction(first, second, why)


def _contradiction(first: Claim, second: Claim, why: str) -> Diagnostic:
    label = f"the {second.origin} says {_spoken(second)}" if second.origin != "option" else "this parameter"
    message = f"two claims about {first.name} contradict each other: {why}"
    if second.origin == "option":
        message = f"`{second.text}` contradicts the {first.origin} of {first.name}: {why}"
    labels = ((first.span, f"the {first.origin} says {_spoken(first)}"),)
    return Diagnostic("FG050", message, second.span, label, "correct one of them, or take it out", labels=labels)


def _spoken(claim: Claim) -> str:
    what = claim.shape if claim.shape is not None else claim.kind
    return " ".join(str(part) for part in (what, claim.dtype and claim.dtype.value) if part is not None)


def _conflict(first: Claim, second: Claim, vocabulary: dict[Origin, set[str]]) -> str:
    """Why two claims cannot both hold, '' if they can.

    Two names for one dim may be two people's words for it (`N`, `batch_size`), but a name that both use is the same dim
    in both: `N D` here and `(D, N)` there would make every array square.
    """
    if first.dtype is not None and second.dtype is not None and first.dtype is not second.dtype:
        return f"{first.dtype.value} and {second.dtype.value}"
    if first.shape is None or second.shape is None:
        return _kind_conflict(first, second)
    one, two = first.shape, second.shape
    if one.rank is not None and two.rank is not None and one.rank != two.rank:
        return f"{one} has {one.rank} dims, {two} has {two.rank}"
    for fixed, other in ((one, two), (two, one)):
        if fixed.rank is not None and fixed.rank < other.least_rank:
            return f"{fixed} has fewer dims than {other}"
    for a, b in _facing(one, two):
        if a.constant is not None and b.constant is not None and a != b:
            return f"{one} and {two}"
        name, its = a.as_symbol, b.as_symbol
        if name is None or its is None or name == its or "." in name + its:
            continue
        if name in vocabulary[second.origin] or its in vocabulary[first.origin]:
            return f"{one} and {two}"
    return ""


def _facing(one: Shape, two: Shape) -> Iterator[tuple[Dim, Dim]]:
    """The dims of two shapes that stand in one place, from the front and from the back."""
    if one.middle is None and two.middle is None:
        yield from zip(one.front, two.front, strict=True)
        return
    yield from zip(one.front, two.front, strict=False)
    backs = [shape.front if shape.middle is None else shape.back for shape in (one, two)]
    yield from zip(reversed(backs[0]), reversed(backs[1]), strict=False)


def _kind_conflict(first: Claim, second: Claim) -> str:
    kinds = {first.kind, second.kind}
    if kinds in ({"scalar", "array"}, {"scalar", "list"}, {"scalar", "dict"}, {"array", "dict"}):
        return f"{first.kind} and {second.kind}"
    return ""


def _symbols(shape: Shape | None) -> set[str]:
    if shape is None:
        return set()
    return {name for dim in (*shape.front, *shape.back) for name in dim.symbols()}
