"""The judge's side of the sandbox: programs loaded, run at drawn arguments, probed.

A process that dies is replaced, and what it had loaded is loaded again.
"""

from __future__ import annotations

import ast
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

from flatgrad.diff.homework import Homework, Style
from flatgrad.diff.judging.gradients import normal
from flatgrad.diff.judging.instrument import Program, find_function
from flatgrad.diff.judging.sites import Role
from flatgrad.sandbox.process import Sandbox, SandboxFailure

_BINDING = (Role.PARAMETER, Role.DEFINITION)
# So many elements are probed before it is known how long one takes.
_FIRST_PART = 4
SERVICE = Path(__file__).with_name("service.py")

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


class Tampered(Exception):
    """The homework has changed what the judge shares with it: `names`, as in `numpy.sum`."""

    def __init__(self, names: Sequence[str]) -> None:
        super().__init__(", ".join(names))
        self.names = tuple(names)


class Overtime(SandboxFailure):
    """All runs together have taken too long."""

    def __init__(self, seconds: float) -> None:
        super().__init__("timeout", f"its runs take longer than {seconds:g} seconds altogether")


def encoded(value: Any, arrays: dict[str, Floats]) -> Any:
    """An argument as data for the service, its arrays apart."""
    if isinstance(value, np.ndarray):
        name = f"argument{len(arrays)}"
        arrays[name] = value
        return {"array": name}
    if isinstance(value, dict):
        return {"dict": [[key, encoded(one, arrays)] for key, one in value.items()]}
    if isinstance(value, tuple | list):
        kind = "tuple" if isinstance(value, tuple) else "list"
        return {kind: [encoded(one, arrays) for one in value]}
    return value.item() if isinstance(value, np.generic) else value


def _forced(forced: Truths, arrays: dict[str, Floats]) -> list[Any]:
    """Truths as data for the service, the arrays apart."""
    data = []
    for (target, lines, key), truths in forced.items():
        names: list[str | None] = []
        for truth in truths:
            names.append(None if truth is None else f"truth{len(arrays)}")
            if truth is not None:
                arrays[f"truth{len(arrays)}"] = truth
        data.append([target, list(lines), key, names])
    return data


class Runner:
    """A sandboxed homework. `timeout`: seconds for one request; `total`: for all of them.

    Raises (in its methods):
        SandboxFailure: the process gave no answer; the next request starts another one. Overtime: `total` is spent.
        Tampered: what the homework did to the process makes its answers worthless.
    """

    def __init__(self, timeout: float, total: float = math.inf) -> None:
        self._timeout = timeout
        self._total = total
        self._spent = 0.0
        self._box: Sandbox | None = None
        self._programs: list[tuple[Program, dict[str, Any]]] = []
        self._numbers: dict[int, int] = {}

    @property
    def timeout(self) -> float:
        """Seconds for one request."""
        return self._timeout

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()

    def load(self, program: Program, homework: Homework) -> int:
        """Take a program; gives its number for the other requests."""
        self._programs.append((program, plan_of(homework, program)))
        return len(self._programs) - 1

    def run(self, number: int, draw: Draw, forced: Truths, *, listing: bool = False, forward_only: bool = False) -> Run:
        """Forward and backward once."""
        arrays: dict[str, Floats] = {}
        data = _forced(forced, arrays)
        request = {
            "op": "run",
            "arguments": self._arguments(draw, arrays),
            "seed": draw.seed,
            "forced": data,
            "listing": listing,
            "forward_only": forward_only,
        }
        reply, found = self._ask(number, request, arrays)
        try:
            return _run_of(reply, found)
        except (KeyError, IndexError, TypeError, ValueError):
            # The service gives no such answer: homework has got at it.
            raise SandboxFailure("garbled", "its process gave an answer that makes no sense") from None

    def probe(
        self,
        number: int,
        draw: Draw,
        upstream: Sequence[Floats],
        sites: Sequence[tuple[int, str]],
        shapes: Sequence[tuple[int, ...]],
        rounds: Sequence[int | None],
    ) -> tuple[tuple[Floats, ...], float]:
        """The derivative at sites that move together, one array for each round asked for, and how much a kink
        disturbs it.

        Raises:
            ArithmeticError: the forward pass raises where it is probed.
        """
        arrays: dict[str, Floats] = {f"upstream{index}": value for index, value in enumerate(upstream)}
        request = {
            "op": "probe",
            "arguments": self._arguments(draw, arrays),
            "seed": draw.seed,
            "sites": [list(one) for one in sites],
        }
        found: list[Floats] = []
        worst = 0.0
        for shape, round in zip(shapes, rounds, strict=True):
            own = {**request, "shape": list(shape), "rounds": [round]}
            fine, coarse = self._probed(number, own, arrays, int(np.prod(shape)))
            scale = max(float(np.linalg.norm(fine)), 1e-6)
            worst = max(worst, float(np.linalg.norm(fine - coarse)) / scale)
            found.append(fine.reshape(shape))
        return tuple(found), worst

    def slopes(
        self,
        number: int,
        draw: Draw,
        upstream: Sequence[Floats],
        sites: Sequence[tuple[int, str]],
        directions: Sequence[Sequence[Floats]],
        each: bool,
    ) -> Floats:
        """The derivative along directions, five-point and three-point: shape (directions, 2). Raises as `probe`.

        A direction is an array for each round if `each`, else one array.
        """
        arrays: dict[str, Floats] = {f"upstream{index}": value for index, value in enumerate(upstream)}
        for index, steps in enumerate(directions):
            arrays |= {f"direction{index}.{round}": value for round, value in enumerate(steps)}
        request = {
            "op": "slopes",
            "arguments": self._arguments(draw, arrays),
            "seed": draw.seed,
            "sites": [list(one) for one in sites],
            "directions": len(directions),
            "rounds": len(directions[0]),
            "each": each,
        }
        reply, found = self._ask(number, request, arrays)
        if "error" in reply:
            raise ArithmeticError(reply["error"])
        return found["slopes"]

    def _probed(
        self, number: int, request: Mapping[str, Any], arrays: dict[str, Floats], count: int
    ) -> tuple[Floats, Floats]:
        """All elements, a part at a time: one request must not take as long as a homework that never ends."""
        fine, coarse = np.zeros(count), np.zeros(count)
        first, part = 0, _FIRST_PART
        while first < count:
            last = min(count, first + part)
            began = time.monotonic()
            reply, found = self._ask(number, {**request, "elements": [first, last]}, arrays)
            if "error" in reply:
                raise ArithmeticError(reply["error"])
            fine[first:last], coarse[first:last] = found["fine0"], found["coarse0"]
            spent = max(time.monotonic() - began, 1e-4)
            part = max(1, min(count, int((last - first) * self._timeout / (8 * spent))))
            first = last
        return fine, coarse

    def attempts(
        self, number: int, draw: Draw, forced: Truths, choice: Key, choices: Sequence[int], wanted: tuple[int, str]
    ) -> list[list[tuple[tuple[int, ...], Floats | None]]]:
        """Forced runs of a program that holds many mutations: for each choice the lines and the values of one gradient.

        `wanted` is its target and entry; each run is told its choice as the truth of the key `choice`.
        """
        arrays: dict[str, Floats] = {}
        request = {
            "op": "attempts",
            "arguments": self._arguments(draw, arrays),
            "seed": draw.seed,
            "forced": _forced(forced, arrays),
            "listing": False,
            "forward_only": False,
            "choice": [choice[0], list(choice[1]), choice[2]],
            "choices": list(choices),
            "wanted": list(wanted),
        }
        reply, found = self._ask(number, request, arrays)
        told = reply.get("records", [[] for _ in choices])
        return [
            [(tuple(lines), found.get(f"{one}.{place}")) for place, lines in enumerate(records)]
            for one, records in zip(choices, told, strict=True)
        ]

    def hold(
        self,
        number: int,
        draw: Draw,
        upstream: Sequence[Floats],
        sites: Sequence[tuple[int, str]],
        held: Sequence[Sequence[tuple[int, str]]],
        directions: Sequence[Floats],
        rounds: Sequence[int | None],
    ) -> list[list[list[float]] | None]:
        """The derivative at sites that move together, along directions, while some other sites count as constant.

        For each of `held`, for each round: one number for each direction; None where the forward pass does not run so.
        """
        arrays: dict[str, Floats] = {f"upstream{index}": value for index, value in enumerate(upstream)}
        arrays |= {f"direction{index}": value for index, value in enumerate(directions)}
        request = {
            "op": "hold",
            "arguments": self._arguments(draw, arrays),
            "seed": draw.seed,
            "results": len(upstream),
            "sites": [list(one) for one in sites],
            "held": [[list(one) for one in together] for together in held],
            "directions": len(directions),
            "rounds": list(rounds),
        }
        reply, _ = self._ask(number, request, arrays)
        values: list[list[list[float]] | None] = reply.get("values", [None] * len(held))
        return values

    def _arguments(self, draw: Draw, arrays: dict[str, Floats]) -> dict[str, Any]:
        return {name: encoded(value, arrays) for name, value in draw.arguments.items()}

    def _ask(
        self, number: int, request: dict[str, Any], arrays: dict[str, Floats]
    ) -> tuple[dict[str, Any], dict[str, Floats]]:
        if request.get("arguments") is not None:
            request["arguments"] = {"dict": [[name, value] for name, value in request["arguments"].items()]}
        try:
            if self._box is None:
                self._box = Sandbox(SERVICE)
                self._box.__enter__()
            if number not in self._numbers:
                program, plan = self._programs[number]
                load = {
                    "op": "load",
                    "tree": program.tree,
                    "plan": plan,
                    "recorded": program.recorded,
                    "definitions": {str(s.index): s.variable for s in program.sites if s.role in _BINDING},
                    "uses": {str(s.index): s.variable for s in program.sites if s.role not in _BINDING and s.variable},
                }
                reply, _ = self._call(self._box, load, {})
                if "error" in reply:
                    return reply, {}
                self._numbers[number] = reply["program"]
            return self._call(self._box, {**request, "program": self._numbers[number]}, arrays)
        except (SandboxFailure, Tampered):
            self._close()
            raise

    def _call(
        self, box: Sandbox, request: dict[str, Any], arrays: dict[str, Floats]
    ) -> tuple[dict[str, Any], dict[str, Floats]]:
        left = self._total - self._spent
        began = time.monotonic()
        try:
            if left <= 0:
                raise Overtime(self._total)
            reply, found = box.call(request, arrays, min(self._timeout, left))
        except SandboxFailure as failure:
            if failure.kind == "timeout" and left < self._timeout:
                raise Overtime(self._total) from None
            raise
        finally:
            self._spent += time.monotonic() - began
        if "patched" in reply:
            raise Tampered(reply["patched"])
        return reply, found

    def _close(self) -> None:
        if self._box is not None:
            self._box.__exit__(None, None, None)
        self._box = None
        self._numbers = {}


def plan_of(homework: Homework, program: Program) -> dict[str, Any]:
    """How the service calls a homework."""
    numbers = {target.text: target.index for target in program.targets}
    line = _return_line(homework)
    returned = [
        {
            "target": numbers.get(normal(one.target)) if one.target else None,
            "place": None if one.place is None else list(one.place),
            "text": one.target,
            "line": line,
        }
        for one in homework.returned
    ]
    return {
        "style": homework.style.value,
        "forward": homework.forward,
        "backward": homework.backward,
        "attributes": list(homework.attributes),
        "loss": [list(place) for place in homework.loss],
        "script_result": homework.script_result,
        "upstream": list(homework.upstream),
        "cache": homework.cache,
        "cache_place": list(homework.cache_place),
        "options": list(homework.options),
        "sources": dict(homework.sources),
        "constants": dict(homework.constants),
        "passed": {name: list(place) for name, place in homework.passed.items()},
        "returned": returned,
    }


def _return_line(homework: Homework) -> int:
    """The line of the last return of the backward function."""
    if homework.style is Style.SCRIPT:
        return len(homework.text.splitlines())
    function = find_function(ast.parse(homework.text), homework.backward)
    lines = [node.lineno for node in ast.walk(function) if isinstance(node, ast.Return)]
    return max(lines, default=function.lineno)


def _run_of(reply: dict[str, Any], arrays: dict[str, Floats]) -> Run:
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
