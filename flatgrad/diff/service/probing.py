"""Derivatives of the projected result by differences: at sites, along directions, with other sites held."""

from __future__ import annotations

from typing import Any

import numpy as np

from flatgrad.diff.service.calling import PROGRAMS, Loaded, decoded, forward, results_of
from flatgrad.diff.service.recorder import Recorder

# Five-point differences: the error is h**4 of the fifth derivative plus eps / h of rounding.
STEP = 1e-4


def probe(request: dict[str, Any], arrays: dict[str, np.ndarray]) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """The derivative of `sum_k <result_k, upstream_k>` at sites that move together, by five-point differences.

    `rounds`: each alone (an index), or all together (None). `elements`: first and last plus one of those that are
    measured, in C order. The reply has, for each round, the five-point estimates and the three-point ones: near a kink
    they differ.
    """
    program = PROGRAMS[request["program"]]
    places = frozenset((site, key) for site, key in request["sites"])
    numbers = frozenset(site for site, _ in places)
    shape = tuple(request["shape"])
    first, last = request["elements"]
    found: dict[str, np.ndarray] = {}

    def projected(delta: np.ndarray, round: int | None) -> float:
        recorder = Recorder(live=False, probed=places, numbers=numbers, round=round, delta=delta)
        return projection(program, recorder, request, arrays)

    for number, round in enumerate(request["rounds"]):
        fine, coarse = np.zeros(last - first), np.zeros(last - first)
        for index in range(first, last):
            values = []
            for factor in (-2.0, -1.0, 1.0, 2.0):
                delta = np.zeros(shape)
                delta.reshape(-1)[index] = factor * STEP
                values.append(projected(delta, round))
            fine[index - first] = (values[0] - 8 * values[1] + 8 * values[2] - values[3]) / (12 * STEP)
            coarse[index - first] = (values[2] - values[1]) / (2 * STEP)
        found[f"fine{number}"], found[f"coarse{number}"] = fine, coarse
    return {}, found


def slopes(request: dict[str, Any], arrays: dict[str, np.ndarray]) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """The derivative along directions: `direction0.1` is an array of the sites' shape, for round 1 if `each` has its
    own."""
    program = PROGRAMS[request["program"]]
    places = frozenset((site, key) for site, key in request["sites"])
    numbers = frozenset(site for site, _ in places)
    found = []
    for number in range(request["directions"]):
        values = []
        for factor in (-2.0, -1.0, 1.0, 2.0):
            steps = tuple(arrays[f"direction{number}.{round}"] * (factor * STEP) for round in range(request["rounds"]))
            recorder = Recorder(live=False, probed=places, numbers=numbers)
            if request["each"]:
                recorder.steps = steps
            else:
                recorder.delta = steps[0]
            values.append(projection(program, recorder, request, arrays))
        fine = (values[0] - 8 * values[1] + 8 * values[2] - values[3]) / (12 * STEP)
        found.append([fine, (values[2] - values[1]) / (2 * STEP)])
    return {}, {"slopes": np.array(found)}


def projection(program: Loaded, recorder: Recorder, request: dict[str, Any], arrays: dict[str, np.ndarray]) -> float:
    """`sum_k <result_k, upstream_k>` of a forward pass."""
    called = forward(program, recorder, decoded(request["arguments"], arrays), request["seed"])
    results = results_of(program, called)
    return sum(float(np.sum(one * arrays[f"upstream{index}"])) for index, one in enumerate(results))


def hold(request: dict[str, Any], arrays: dict[str, np.ndarray]) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """The derivative at sites along given directions, while the values of other sites are held, for each of `held` in
    turn.

    The reply's `values`: for each of `held` a list, for each round of the sites (as in `probe`) one with a number for
    each direction; None where the forward pass cannot be run so.
    """
    program = PROGRAMS[request["program"]]
    places = frozenset((site, key) for site, key in request["sites"])
    upstream = [arrays[f"upstream{index}"] for index in range(request["results"])]
    directions = [arrays[f"direction{index}"] for index in range(request["directions"])]

    def projected(recorder: Recorder) -> float:
        called = forward(program, recorder, decoded(request["arguments"], arrays), request["seed"])
        results = results_of(program, called)
        return sum(float(np.sum(one * two)) for one, two in zip(results, upstream, strict=True))

    def moving(delta: np.ndarray, round: int | None, held: dict[tuple[int, str], list[Any]]) -> Recorder:
        numbers = frozenset(site for site, _ in (*places, *held))
        return Recorder(live=False, probed=places, numbers=numbers, round=round, delta=delta, held=held)

    def along(direction: np.ndarray, round: int | None, held: dict[tuple[int, str], list[Any]]) -> float:
        values = [projected(moving(factor * STEP * direction, round, held)) for factor in (-2.0, -1.0, 1.0, 2.0)]
        return (values[0] - 8 * values[1] + 8 * values[2] - values[3]) / (12 * STEP)

    found: list[Any] = []
    for together in request["held"]:
        held: dict[tuple[int, str], list[Any]] = {(site, key): [] for site, key in together}
        try:
            numbers = frozenset(site for site, _ in held)
            projected(Recorder(live=False, numbers=numbers, held=held, keeping=True))
            found.append([[along(one, round, held) for one in directions] for round in request["rounds"]])
        except Exception:
            found.append(None)
    return {"values": found}, {}
