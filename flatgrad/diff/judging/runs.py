"""What one run of a homework is given, and what it gives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

Floats = np.ndarray[Any, np.dtype[Any]]
# A gradient that is judged: which target (negative: an expression that is returned), the lines that made it, the key
# of an entry.
Key = tuple[int, tuple[int, ...], str]
Truths = Mapping[Key, Sequence[Floats | None]]


@dataclass(frozen=True, slots=True)
class Draw:
    """Arguments for one run, and the seed of its random numbers."""

    arguments: Mapping[str, Any]
    seed: int
    size: int


@dataclass(frozen=True, slots=True)
class Record:
    """A gradient when it was first read or returned. `value` is None where it has none: `failed` says why.

    `anew`: the line that bound it; `lost`: lines whose values were bound away unread.
    """

    key: Key
    round: int
    value: Floats | None
    failed: str
    anew: tuple[int, ...]
    lost: tuple[int, ...]
    read: int | None
    kind: str


@dataclass(frozen=True, slots=True)
class Listed:
    """A site as a run met it: its shape in each round, and the definition that each round's value comes from."""

    site: int
    key: str
    shapes: tuple[tuple[int, ...], ...]
    owners: tuple[tuple[int, str] | None, ...]


@dataclass(frozen=True, slots=True)
class Crash:
    """What a backward statement raised, and in which line. `statement`: its first line; `targets`: the gradients that
    it assigns."""

    line: int
    text: str
    statement: int
    targets: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Run:
    """What one run gave.

    Attributes:
        crash: what forward (or backward outside any guarded statement) raised, with `line` and `stage`.
        crashes: what single backward statements raised.
        absent: numbers of returned gradients that are not there, and why.
        overwritten: upstream gradients that the backward pass wrote into; `changed`: arguments.
        failed: what statements of the file's top level raised, each with its line; only where forward crashes.
    """

    crash: str
    line: int | None
    stage: str
    records: tuple[Record, ...]
    crashes: tuple[Crash, ...]
    absent: Mapping[int, str]
    results: tuple[Floats, ...]
    upstream: tuple[Floats, ...]
    sites: tuple[Listed, ...]
    overwritten: tuple[str, ...]
    changed: tuple[str, ...]
    leaves: Mapping[str, Floats]
    failed: tuple[tuple[int | None, str], ...]


def run_of(reply: dict[str, Any], arrays: dict[str, Floats]) -> Run:
    """What the service replied to a request to run."""
    if "error" in reply:
        reply = {"crash": reply["error"], "line": reply["line"], "stage": "forward"}
    records: list[Record] = []
    crashes: list[Crash] = []
    absent: dict[int, str] = {}
    for one in reply.get("records", ()):
        if "crash" in one:
            crashes.append(Crash(one["line"], one["crash"], one["statement"], tuple(one["targets"])))
        elif "absent" in one:
            absent[one["absent"]] = one["why"]
        else:
            key = (one["target"], tuple(one["lines"]), one["key"])
            value = arrays.get(f"value{len(records)}")
            records.append(
                Record(
                    key,
                    one["round"],
                    value,
                    one["failed"],
                    tuple(one["anew"]),
                    tuple(one["lost"]),
                    one["read"],
                    one["kind"],
                )
            )
    sites = tuple(
        Listed(
            site,
            key,
            tuple(tuple(entry["shape"]) for entry in entries),
            tuple(None if entry["owner"] is None else (entry["owner"][0], entry["owner"][1]) for entry in entries),
        )
        for site, key, entries in reply.get("sites", ())
    )
    count = range(reply.get("results", 0))
    return Run(
        reply["crash"],
        reply["line"],
        reply["stage"],
        tuple(records),
        tuple(crashes),
        absent,
        tuple(arrays[f"result{index}"] for index in count),
        tuple(arrays[f"upstream{index}"] for index in count),
        sites,
        tuple(reply.get("overwritten", ())),
        tuple(reply.get("changed", ())),
        {name: arrays[f"leaf {name}"] for name in reply.get("leaves", ()) if f"leaf {name}" in arrays},
        tuple((line, text) for line, text in reply.get("failed", ())),
    )
