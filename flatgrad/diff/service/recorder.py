"""What an instrumented program calls while it runs: values moved, held, listed; gradients noted, and replaced."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from flatgrad.diff.service.values import as_array, deepcopy, is_a, kind_of, line_of, moved, numeric, said, shape_of


@dataclass(slots=True)
class Instance:
    """A gradient that has been assigned and not been read yet: by which lines, and which lines' values it has lost
    again."""

    lines: list[int]
    anew: list[int]
    crashed: str = ""
    lost: list[int] = field(default_factory=list)


@dataclass(slots=True)
class Recorder:
    """What the instrumented program calls. One for each run."""

    live: bool = True
    # Probing
    probed: frozenset[tuple[int, str]] = frozenset()
    numbers: frozenset[int] = frozenset()
    round: int | None = None
    steps: tuple[np.ndarray, ...] = ()
    delta: np.ndarray | None = None
    # Paths that count as constant: the values of these sites, noted in one run (`keeping`), stand in the others.
    held: dict[tuple[int, str], list[Any]] | None = None
    keeping: bool = False
    # Listing
    listing: dict[tuple[int, str], list[Any]] | None = None
    rounds: dict[tuple[int, str], int] = field(default_factory=dict)
    owners: dict[str, tuple[int, str]] = field(default_factory=dict)
    definitions: dict[int, str] = field(default_factory=dict)
    uses: dict[int, str] = field(default_factory=dict)
    # Judging
    forced: dict[tuple[int, tuple[int, ...], str], list[np.ndarray | None]] = field(default_factory=dict)
    pending: dict[int, Instance] = field(default_factory=dict)
    counts: dict[tuple[int, tuple[int, ...], str], int] = field(default_factory=dict)
    records: list[dict[str, Any]] = field(default_factory=list)
    values: list[np.ndarray | None] = field(default_factory=list)
    leaves: dict[str, Any] = field(default_factory=dict)
    found_leaves: dict[str, Any] = field(default_factory=dict)

    # Forward

    def at(self, site: int, value: Any, key: str = "") -> Any:
        if self.listing is None and site not in self.numbers:
            return value
        place = (site, key)
        if self.held is not None and place in self.held:
            value = self._held(place, value)
        if self.listing is None and place not in self.probed:
            return value
        count = self.rounds.get(place, 0)
        self.rounds[place] = count + 1
        if self.listing is not None:
            self._list(place, value)
        elif self.round is None or count == self.round:
            delta = self.delta
            if self.steps:
                if count >= len(self.steps):
                    return value
                delta = self.steps[count]
            if delta is not None and numeric(value) and shape_of(value) == delta.shape:
                return moved(value, delta)
        return value

    def _held(self, place: tuple[int, str], value: Any) -> Any:
        assert self.held is not None
        if self.keeping:
            self.held[place].append(deepcopy(value))
            return value
        count = self.counts.get((place[0], (), place[1]), 0)
        self.counts[place[0], (), place[1]] = count + 1
        return deepcopy(self.held[place][count])

    def item(self, site: int, container: Any, index: Any) -> Any:
        value = container[index]
        if isinstance(container, dict):
            return self.at(site, value, index if isinstance(index, str) else "")
        return self.at(site, value)

    def _list(self, place: tuple[int, str], value: Any) -> None:
        assert self.listing is not None
        site, key = place
        if site in self.definitions:
            self.owners[self.definitions[site]] = place
        if numeric(value):
            owner = self.owners.get(key or self.uses.get(site, ""))
            entry = {"shape": list(shape_of(value)), "owner": list(owner) if owner is not None else None}
            self.listing.setdefault(place, []).append(entry)

    def leaf(self, name: str, value: Any) -> Any:
        self.found_leaves[name] = value
        return self.leaves.get(name, value)

    # Backward

    def assigned(self, target: int, line: int, anew: bool) -> None:
        instance = self.pending.setdefault(target, Instance([], []))
        if anew:
            lost = [one for one in (*instance.lost, *instance.lines) if one != line]
            instance = self.pending[target] = Instance([], [line], lost=list(dict.fromkeys(lost)))
        if line not in instance.lines:
            instance.lines.append(line)

    def crashed(self, error: Exception, line: int, *targets: int) -> None:
        place = line_of(error) or line
        text = said(error)
        self.records.append({"crash": text, "line": place, "targets": list(targets), "statement": line})
        for target in targets:
            instance = self.pending.setdefault(target, Instance([], []))
            instance.crashed = text
            if line not in instance.lines:
                instance.lines.append(line)

    def seen(self, target: int, thunk: Any, line: int, quiet: bool = False) -> Any:
        """The value of a gradient that is read; `quiet`: None where it has none, instead of an error."""
        instance = self.pending.pop(target, None)
        if instance is None:
            try:
                return thunk()
            except Exception:
                if quiet:
                    return None
                raise
        value, failed = None, instance.crashed
        if not failed:
            try:
                value = thunk()
            except Exception as error:
                failed = said(error)
        return self.judged(target, instance, value, failed, line, quiet=quiet)

    def judged(
        self,
        target: int,
        instance: Instance,
        value: Any,
        failed: str,
        line: int | None,
        entry: str = "",
        quiet: bool = False,
    ) -> Any:
        """Note the value of an instance; gives what takes its place."""
        key = (target, tuple(instance.lines), entry)
        count = self.counts.get(key, 0)
        self.counts[key] = count + 1
        array = None if failed else as_array(value) if numeric(value) or is_a(value, np.ndarray) else None
        if array is None and not failed and (value is None or is_a(value, (dict, str, bool))):
            return value
        record = {
            "target": target,
            "key": entry,
            "lines": list(instance.lines),
            "anew": list(instance.anew),
            "lost": list(instance.lost),
            "round": count,
            "failed": failed if array is not None or failed else f"no numbers: {kind_of(value)}",
            "read": line,
            "kind": kind_of(value),
        }
        self.records.append(record)
        self.values.append(array)
        forced = self.forced.get(key)
        if forced and (truth := forced[min(count, len(forced) - 1)]) is not None:
            if is_a(value, (float, int)) and truth.shape == ():
                return float(truth)
            return truth.tolist() if is_a(value, list) else truth.copy()
        if failed and not quiet:
            raise NameError(f"this gradient has no value: {failed}")
        return value
