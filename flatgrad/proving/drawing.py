"""Operands for an entry of the gate table: the cases that are tried, and the numbers drawn for them.

What an entry's `samples` may hold, all of it optional where the entry is elementwise:

- `shapes`: a list of tuples, one shape per operand; the operand `xs` takes a tuple of shapes: `(((2, 3), (4, 3)),)`.
- `attrs`: a list of attribute dicts. Every shape is tried with every dict; what NumPy itself refuses is skipped, but
  every shape and every dict must be good for something.
- `cases`: a list of (operand shapes, attributes) pairs, instead of or besides those two.
- `operands`: what to make of the numbers drawn, by operand: a spelling, `{"x": "x @ x.T + 3 * np.eye(3)"}` or
  `{"i": "np.array([0, 2, 2])"}`. An operand `i` must be given so; `c` is drawn as booleans.
- `lists`: False where the forward call takes lists and the backward rule does not (it raises TypeError then).
- `float64_beside`: the operands that, as Python floats, make float64 of the other's float32 gradient.
- `step`: the step of the central differences, where the default is too small (float32).
- `scope`: for a gate that a user declares, the live functions and modules that its spellings name.
- `open_shape`: True where the shape rule leaves open what NumPy knows (a result whose shape depends on numbers).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from flatgrad.gates.entry import REQUIRED, Gate
from flatgrad.proving.running import Env, check, evaluate, run_forward

DEFAULT_SHAPES: dict[int, list[tuple[Any, ...]]] = {
    0: [()],
    1: [((),), ((3,),), ((2, 3),)],
    2: [((), ()), ((3,), (3,)), ((2, 3), (2, 3))],
    3: [((), (), ()), ((3,), (3,), (3,)), ((2, 3), (2, 3), (2, 3))],
}
BROADCAST_SHAPES: dict[int, list[tuple[Any, ...]]] = {
    2: [((3, 1), (4,)), ((), (2, 3)), ((2, 3), ()), ((1,), (3,)), ((3,), (1, 1)), ((2, 1, 3), (4, 1))],
    3: [((3, 1), (4,), ()), ((), (2, 3), (3,)), ((2, 3), (), (2, 1)), ((2, 1), (3,), (1, 1, 1))],
}


@dataclass(frozen=True, slots=True)
class Case:
    """One use of a gate: the shapes of its operands and the attributes that the call gives."""

    shapes: tuple[Any, ...]
    attrs: Mapping[str, Any]

    def __str__(self) -> str:
        given = ", ".join(f"{name}={value!r}" for name, value in self.attrs.items())
        return f"{self.shapes} {given}"


def cases(entry: Gate, shapes: list[tuple[Any, ...]] | None = None) -> list[Case]:
    """The uses that the entry's samples ask for (or those with these shapes), without those that NumPy refuses."""
    wanted = [] if shapes is not None else [Case(tuple(s), a) for s, a in list_of(entry, "cases")]
    attrs = list_of(entry, "attrs") or [{}]
    if shapes is None and (list_of(entry, "shapes") or not wanted):
        shapes = list_of(entry, "shapes") or DEFAULT_SHAPES[len(entry.operands)]
    product = [Case(tuple(s), a) for s, a in itertools.product(shapes or [], attrs)]
    accepted = [case for case in product if numpy_accepts(entry, case)]
    for shape in shapes or []:
        check(
            any(case.shapes == tuple(shape) for case in accepted), f"{entry.name}: NumPy refuses every use of {shape}"
        )
    for given in attrs if product else []:
        check(any(case.attrs is given for case in accepted), f"{entry.name}: NumPy refuses every use of {given}")
    return wanted + accepted


def list_of(entry: Gate, key: str) -> list[Any]:
    value = entry.samples.get(key, [])
    assert isinstance(value, list), f"{entry.name}: samples[{key!r}] is a list"
    return value


def numpy_accepts(entry: Gate, case: Case) -> bool:
    try:
        run_forward(entry, entry.spellings[0], draw(entry, case))
    except (ValueError, IndexError, np.exceptions.AxisError):
        return False
    return True


# Drawing operands


def draw(entry: Gate, case: Case, seed: int = 0, dtype: type = float, only: str = "") -> Env:
    """The operands (and x0, x1, ... of `xs`) and every attribute, by name; `given` are those that the call names.

    With `dtype=int` the operands (or the `only` one) hold whole numbers of the entry's domain; a KeyError says that it
    has none. A shape of () gives a Python number.
    """
    rng = np.random.default_rng(seed)
    env: Env = {name: value for name, value in entry.attributes.items() if value != REQUIRED}
    env.update(case.attrs)
    env["given"] = tuple(case.attrs)
    missing = set(entry.attributes) - set(env)
    check(not missing, f"{entry.name}: samples give no {sorted(missing)}")
    check(len(case.shapes) == len(entry.operands), f"{entry.name}: {case.shapes} for {entry.operands}")
    for name, shape in zip(entry.operands, case.shapes, strict=True):
        kind = dtype if only in ("", name) else float
        if name == "xs":
            env["xs"] = [_numbers(rng, s, entry.domain, kind) for s in shape]
        elif name == "c":
            env["c"] = rng.random(shape) < 0.5 if shape else bool(rng.random() < 0.5)
        elif name != "i":
            env[name] = _numbers(rng, shape, entry.domain, kind)
    for name, spelling in operand_spellings(entry).items():
        before = env.get(name)
        env[name] = evaluate(entry, spelling, env)
        if dtype is np.float32 and before is not None:
            env[name] = np.asarray(env[name], dtype=np.float32)
    return with_numbered(env)


def with_numbered(env: Env) -> Env:
    """The environment with x0, x1, ... for the operands of `xs`."""
    return {**env, **{f"x{k}": x for k, x in enumerate(env.get("xs", ()))}}


def operand_spellings(entry: Gate) -> Mapping[str, str]:
    value = entry.samples.get("operands", {})
    assert isinstance(value, dict)
    return value


def _numbers(rng: np.random.Generator, shape: Any, domain: tuple[float, float], dtype: type) -> Any:
    low, high = domain
    if dtype is int:
        whole = [n for n in range(math.floor(low), math.ceil(high) + 1) if low < n < high]
        if not whole:
            raise KeyError("no whole number in the domain")
        drawn = rng.choice(np.array(whole), size=shape)
        return int(drawn) if shape == () else drawn
    margin = 0.05 * (high - low)
    drawn = rng.uniform(low + margin, high - margin, size=shape)
    if dtype is np.float32:
        return np.float32(drawn) if shape == () else drawn.astype(np.float32)
    return float(drawn) if shape == () else drawn


def differentiable_operands(entry: Gate, env: Env) -> Iterator[tuple[str, str, int | None]]:
    """(name in the environment, name in the backward table, place in xs) of each operand with a rule."""
    for name in entry.backward:
        if name == "xs":
            for k in range(len(env["xs"])):
                yield f"x{k}", "xs", k
        else:
            yield name, name, None
