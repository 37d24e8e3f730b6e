"""Characters with their places in the source, and what they say of one name."""

from __future__ import annotations

from dataclasses import dataclass

from flatgrad.frontend.shapetext import KindName
from flatgrad.ir.core import DType, Span
from flatgrad.ir.dims import Shape


@dataclass(frozen=True, slots=True)
class Mention:
    """What a text says of one name; `certain` is False for a scalar that is only described as one."""

    name: str
    shape: Shape | None
    dtype: DType | None
    kind: KindName | None
    span: Span
    text: str
    is_result: bool = False
    certain: bool = True


@dataclass(frozen=True, slots=True)
class Text:
    """Characters with their places in the source (line, column), so that joined lines keep them."""

    characters: str
    places: tuple[tuple[int, int], ...]

    @staticmethod
    def at(characters: str, line: int, column: int) -> Text:
        return Text(characters, tuple((line, column + index) for index in range(len(characters))))

    def part(self, start: int, end: int | None = None) -> Text:
        return Text(self.characters[start:end], self.places[start:end])

    def stripped(self) -> Text:
        start = len(self.characters) - len(self.characters.lstrip())
        return self.part(start, max(start, len(self.characters.rstrip())))

    def then(self, other: Text) -> Text:
        """This text, a line end, and the other one."""
        if not self.characters or not other.characters:
            return self if self.characters else other
        return Text(f"{self.characters}\n{other.characters}", (*self.places, other.places[0], *other.places))

    def span(self, start: int = 0, end: int | None = None) -> Span:
        places = self.places[start:end]
        line, column = places[0]
        end_line, end_column = places[-1]
        return Span(line, column, end_line, end_column + 1)
