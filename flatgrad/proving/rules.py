"""The rules of an entry on a concrete site, and the differences that its gradients are held against."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np

from flatgrad.gates.entry import Gate
from flatgrad.ir.core import DType
from flatgrad.ir.dims import Dim, Shape
from flatgrad.proving.concrete_site import ConcreteSite
from flatgrad.proving.running import Env, check, evaluate, results_of, run_forward

# The shape and dtype rules


def apply_shape_rule(entry: Gate, site: ConcreteSite) -> tuple[Shape | tuple[Shape, ...], str | None]:
    """The shape of the result, and the gufunc signature where the rule is one or gives one."""
    rule = entry.shape if isinstance(entry.shape, str) else entry.shape(site)
    if not isinstance(rule, str):
        site.result = rule if isinstance(rule, Shape) else rule[0]
        return rule, None
    site.result = gufunc_shape(rule, entry, site)
    return site.result, rule


def parse_signature(signature: str) -> tuple[list[list[str]], list[list[str]]]:
    """The core dims of each operand and of each result."""
    sides = signature.replace(" ", "").split("->")
    check(len(sides) == 2, f"not a gufunc signature: {signature}")
    operands, results = ([_labels(part) for part in re.findall(r"\(([^()]*)\)", side)] for side in sides)
    return operands, results


def _labels(part: str) -> list[str]:
    return [label for label in part.split(",") if label]


def gufunc_shape(signature: str, entry: Gate, site: ConcreteSite) -> Shape:
    operand_dims, result_dims = parse_signature(signature)
    bound: dict[str, Dim] = {}
    loops = []
    names = list(site.operands)
    check(len(operand_dims) == len(names), f"{entry.name}: {signature} for {names}")
    for name, core in zip(names, operand_dims, strict=True):
        shape = site.grow_back(name, len(core)) if core else site.shape(name)
        dims = shape.front if shape.middle is None else shape.back
        split = len(dims) - len(core)
        for label, dim in zip(core, dims[split:], strict=True):
            site.same_dim(bound.setdefault(label, dim), dim)
        rest = dims[:split]
        loops.append(Shape(rest) if shape.middle is None else Shape(shape.front, shape.middle, rest))
    loop = site.broadcast(*loops)
    inner = tuple(bound[label] for label in result_dims[0])
    return Shape(loop.front + inner) if loop.middle is None else Shape(loop.front, loop.middle, loop.back + inner)


def dtype_claim(entry: Gate, site: ConcreteSite) -> DType:
    types = [site.type(name).dtype for name in site.operands]
    match entry.dtype:
        case DType():
            return entry.dtype
        case "promote":
            order = (DType.FLOAT, DType.OPEN, DType.INT, DType.BOOL)
            return next((t for t in order if t in types), DType.NONE)
        case "float":
            return DType.FLOAT
        case "same":
            return types[0]
    assert callable(entry.dtype), f"{entry.name}: dtype rule {entry.dtype}"
    return entry.dtype(site)


def check_dtype(claim: DType, z: Any, what: str) -> None:
    found = np.asarray(results_of(z)[0]).dtype
    allowed = {DType.FLOAT: "f", DType.INT: "iu", DType.BOOL: "b", DType.OPEN: "fiub", DType.NONE: "fiubOU"}[claim]
    check(found.kind in allowed, f"{what}: the dtype rule says {claim.value}, the result is {found}")


# Backward rules


def backward_spelling(entry: Gate, name: str, k: int | None, site: ConcreteSite) -> str:
    rule: Any = entry.backward[name]
    if isinstance(rule, str):
        return rule
    call: Callable[..., str] = rule
    return call(site) if k is None else call(site, k)


def contribution(entry: Gate, operand: tuple[str, str, int | None], site: ConcreteSite, env: Env) -> tuple[Any, str]:
    """The value of the backward spelling for an operand, not yet summed down, and the spelling."""
    _, name, k = operand
    spelling = backward_spelling(entry, name, k, site)
    if spelling == "0":
        # No gradient flows here: zeros of the right shape and dtype.
        return env["dz"] * 0, spelling
    try:
        return evaluate(entry, spelling, env), spelling
    except Exception as error:
        error.add_note(f"gate {entry.name}, backward of {operand[0]}: {spelling}")
        raise


def loop_and_core(
    signature: str | None, entry: Gate, site: ConcreteSite, env: Env, name: str
) -> tuple[int, ...] | None:
    """The shape of a contribution before it is summed down: loop dims broadcast, core dims the operand's."""
    if signature is None:
        return None
    operand_dims, _ = parse_signature(signature)
    loops = []
    core: tuple[int, ...] = ()
    for other, labels in zip(site.operands, operand_dims, strict=True):
        shape = np.shape(env[other])
        split = len(shape) - len(labels)
        loops.append(shape[:split])
        if other == name:
            core = shape[split:]
    return np.broadcast_shapes(*loops) + core


# Numeric derivatives


def numeric_gradient(entry: Gate, env: Env, name: str, dzs: list[Any]) -> Any:
    """Differences of sum(dz * z) with respect to one operand."""

    def total(operand: Any) -> float:
        return weighted_sum(run_forward(entry, entry.spellings[0], replaced(env, name, operand)), dzs)

    return central_differences(total, env[name], step_of(entry))


def step_of(entry: Gate) -> float:
    return float(str(entry.samples.get("step", 1e-4)))


def central_differences(value: Callable[[Any], float], at: Any, step: float) -> Any:
    """Five-point central differences of a function of one array or number."""
    base = np.array(at, dtype=float)
    gradient = np.zeros(base.shape)
    weights = ((-2, 1 / 12), (-1, -8 / 12), (1, 8 / 12), (2, -1 / 12))
    for index in np.ndindex(base.shape):
        for offset, weight in weights:
            moved = base.copy()
            moved[index] += offset * step
            gradient[index] += weight * value(float(moved) if base.ndim == 0 else moved) / step
    return gradient


def replaced(env: Env, name: str, value: Any) -> Env:
    env = {**env, name: value}
    if name[0] == "x" and name[1:].isdigit():
        xs = list(env["xs"])
        xs[int(name[1:])] = value
        env["xs"] = xs
    return env


def weighted_sum(z: Any, dzs: list[Any]) -> float:
    return float(sum(np.sum(np.asarray(one) * dz) for one, dz in zip(results_of(z), dzs, strict=True) if np.any(dz)))
