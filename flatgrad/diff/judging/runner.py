"""The judge's side of the sandbox: programs loaded, run at drawn arguments, probed.

A process that dies is replaced, and what it had loaded is loaded again.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

from flatgrad.diff import service
from flatgrad.diff.homework import Homework
from flatgrad.diff.judging.instrument import Program
from flatgrad.diff.judging.requests import encoded, plan_of, truths_as_data
from flatgrad.diff.judging.runs import Draw, Floats, Key, Run, Truths, run_of
from flatgrad.diff.judging.sites import Role
from flatgrad.sandbox.process import Sandbox, SandboxFailure

_BINDING = (Role.PARAMETER, Role.DEFINITION)
# So many elements are probed before it is known how long one takes.
_FIRST_PART = 4
_FOLDER = Path(service.__file__).parent
SERVICE = _FOLDER / "service.py"
# What the service imports, each behind what it imports itself.
PARTS = {
    f"{service.__name__}.{name}": _FOLDER / f"{name}.py"
    for name in ("values", "recorder", "calling", "running", "probing")
}


class Tampered(Exception):
    """The homework has changed what the judge shares with it: `names`, as in `numpy.sum`."""

    def __init__(self, names: Sequence[str]) -> None:
        super().__init__(", ".join(names))
        self.names = tuple(names)


class Overtime(SandboxFailure):
    """All runs together have taken too long."""

    def __init__(self, seconds: float) -> None:
        super().__init__("timeout", f"its runs take longer than {seconds:g} seconds altogether")


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
        data = truths_as_data(forced, arrays)
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
            return run_of(reply, found)
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
            "forced": truths_as_data(forced, arrays),
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
                self._box = Sandbox(SERVICE, parts=PARTS)
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
