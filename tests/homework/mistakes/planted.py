"""What a planted mistake is."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

CORRECT = Path(__file__).parent.parent / "correct"


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong.

    Attributes:
        at: what stands in the lines that may be named as at fault, most fitting first: a part of each line as it is in
            the homework with the mistake in it.
        reasons: words of the vocabulary that are right, best first.
        missing: the variable whose gradient is never computed, where the verdict is `missing` and there is no line.
    """

    at: tuple[str, ...]
    reasons: tuple[str, ...]
    missing: str = ""


@dataclass(frozen=True, slots=True)
class Mistake:
    """A homework with a mistake.

    Attributes:
        name: of the mistake, unique.
        homework: the correct file that it is made from.
        function: the function whose report must show it.
        changes: pairs of old and new text; each old text stands exactly once in the homework.
        faults: what must be found. Every other line may at most be said to follow.
    """

    name: str
    homework: str
    function: str
    changes: tuple[tuple[str, str], ...]
    faults: tuple[Fault, ...]

    def text(self) -> str:
        """The homework with the mistake in it."""
        text = (CORRECT / self.homework).read_text(encoding="utf-8")
        for old, new in self.changes:
            if text.count(old) != 1:
                raise ValueError(f"{self.name}: {old!r} stands {text.count(old)} times in {self.homework}")
            text = text.replace(old, new)
        return text

    def lines(self, fault: Fault, text: str | None = None) -> frozenset[int]:
        """The lines that may be named for a fault, in `text` where the judge reads another one (a notebook's code)."""
        lines = (self.text() if text is None else text).splitlines()
        found: set[int] = set()
        for part in fault.at:
            hits = [number for number, line in enumerate(lines, 1) if part in line]
            if not hits:
                raise ValueError(f"{self.name}: no line has {part!r}")
            found.update(hits)
        return frozenset(found)


def planted(
    name: str,
    function: str,
    old: str | tuple[tuple[str, str], ...],
    new: str,
    reasons: str,
    at: str | tuple[str, ...] = "",
    missing: str = "",
) -> Mistake:
    """`function` is `file:function`; `reasons` are separated by spaces; `at` is the new text where nothing is given."""
    homework, _, function = function.partition(":")
    changes = ((old, new),) if isinstance(old, str) else old
    at = at or ("" if missing else new.strip())
    places = (at,) if isinstance(at, str) else at
    fault = Fault(tuple(place for place in places if place), tuple(reasons.split()), missing)
    return Mistake(name, homework, function, changes, (fault,))


def both(first: Mistake, second: Mistake) -> Mistake:
    """A homework with both."""
    if (first.homework, first.function) != (second.homework, second.function):
        raise ValueError(f"{first.name} and {second.name} are not of one function")
    changes = (*first.changes, *second.changes)
    name = f"{first.name}+{second.name}"
    return Mistake(name, first.homework, first.function, changes, (*first.faults, *second.faults))
