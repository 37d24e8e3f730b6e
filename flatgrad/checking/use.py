"""What is read of how a function uses one thing."""

from __future__ import annotations

from dataclasses import dataclass, field

Constant = str | int | float | bool | None


@dataclass(slots=True, eq=False)
class Use:
    """How one thing is used, as far as has been read.

    Attributes:
        rank: the number of dims, where an unpacking of its shape or the like says it; `least`: at least so many;
            `likely`: a guess, of a product for example.
        dims: what dims are called, by position from the front.
        integer, label, flag: it is a count or a place in a shape or a slice; it picks elements; it is tested.
        constants: what it is compared with for equality.
        positive, square, spread: `log` or `sqrt` reads it; it is a square matrix; a covariance.
        keys: of a dict, the entries under constant keys; `optional` ones may be missing.
        prefixes: what keys begin with that are put together when the function runs.
        sequence: it is gone through element by element, side by side with others.
        nullable: it is compared with None.
    """

    rank: int | None = None
    least: int = 0
    likely: int | None = None
    dims: dict[int, str] = field(default_factory=dict)
    integer: bool = False
    label: bool = False
    flag: bool = False
    constants: list[Constant] = field(default_factory=list)
    positive: bool = False
    square: bool = False
    spread: bool = False
    keys: dict[str | int, Use] = field(default_factory=dict)
    optional: set[str | int] = field(default_factory=set)
    prefixes: dict[str, Use] = field(default_factory=dict)
    sequence: bool = False
    nullable: bool = False

    @property
    def is_dict(self) -> bool:
        return bool(self.keys or self.prefixes)

    def absorb(self, other: Use) -> None:
        """Take over what is known of the same thing under another name."""
        self.rank = self.rank if self.rank is not None else other.rank
        self.least = max(self.least, other.least)
        self.likely = self.likely if self.likely is not None else other.likely
        self.integer |= other.integer
        self.label |= other.label
        self.flag |= other.flag
        self.constants += [one for one in other.constants if one not in self.constants]
        self.positive |= other.positive
        self.square |= other.square
        self.spread |= other.spread
        self.sequence |= other.sequence
        self.nullable |= other.nullable
        for key, use in other.keys.items():
            known = key in self.keys
            self.keys.setdefault(key, Use()).absorb(use)
            if not known and key in other.optional:
                self.optional.add(key)
        for prefix, use in other.prefixes.items():
            self.prefixes.setdefault(prefix, Use()).absorb(use)
