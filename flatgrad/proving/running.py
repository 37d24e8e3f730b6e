"""Spellings of the gate table, run by Python's own `eval`."""

from __future__ import annotations

import ast
import math
from functools import lru_cache
from typing import Any

import numpy as np

from flatgrad.gates.entry import Gate, Spelling

Env = dict[str, Any]


def _scatter_add(shape: tuple[int, ...], index: Any, g: Any) -> Any:
    """The rules' own word for zeros of a shape with g added at an index, where repeated places add up."""
    total = np.zeros(shape, np.asarray(g).dtype)
    np.add.at(total, index, g)
    return total


EVAL_GLOBALS: Env = {
    "np": np,
    "math": math,
    "scatter_add": _scatter_add,
    "unbroadcast": lambda g, x: unbroadcast(g, np.shape(x)),
}


class Disproved(AssertionError):
    """An entry does not keep what it says."""


def check(condition: bool, message: str) -> None:
    """Raises Disproved where the condition does not hold: an `assert` that `python -O` keeps."""
    if not condition:
        raise Disproved(message)


# Running spellings


def scope_of(entry: Gate) -> Env:
    """What the spellings of an entry may name; SciPy is not needed where it is not installed."""
    live = entry.samples.get("scope", {})
    assert isinstance(live, dict)
    return {**EVAL_GLOBALS, **_special(), **live}


@lru_cache(maxsize=1)
def _special() -> Env:
    try:
        import scipy.spatial.distance
        from scipy import special
    except ImportError:
        return {}
    return {"special": special, "scipy": scipy}


def evaluate(entry: Gate, spelling: str, env: Env) -> Any:
    try:
        with np.errstate(all="ignore"):
            return eval(spelling, scope_of(entry), env)
    except SyntaxError as error:
        raise Disproved(f"not an expression: {spelling}") from error


def run_forward(entry: Gate, spelling: Spelling, env: Env, scope: Env | None = None) -> Any:
    """The result of the call with the attributes given; methods get an array."""
    node = ast.parse(spelling.text, mode="eval")
    if isinstance(node.body, ast.Call):
        keywords = []
        for keyword in node.body.keywords:
            assert keyword.arg is not None
            if keyword.arg in env["given"]:
                keywords.append(ast.keyword(keyword.arg, ast.Name(keyword.arg, ast.Load())))
        node.body.keywords = keywords
    if spelling.path.startswith(".") and not entry.effect:
        env = {**env, "x": np.asarray(env["x"])}
    for name in spelling.starred - {"xs"}:
        # `x.transpose(*axes)` spells axes=None as nothing at all, x.reshape(*shape) an integer as itself.
        given = () if env[name] is None else env[name]
        env = {**env, name: given if isinstance(given, tuple) else (given,)}
    code = compile(ast.fix_missing_locations(node), spelling.text, "eval")
    with np.errstate(all="ignore"):
        return eval(code, dict(scope or scope_of(entry)), env)


def results_of(z: Any) -> tuple[Any, ...]:
    return tuple(z) if isinstance(z, tuple | list) else (z,)


def with_results(env: Env, z: Any, dzs: list[Any]) -> Env:
    """The environment of a backward spelling."""
    full = {**env, "z": z, "dz": dzs[0], "dzs": dzs}
    for k, (one, dz) in enumerate(zip(results_of(z), dzs, strict=True)):
        full[f"z{k}"], full[f"dz{k}"] = one, dz
    return full


def upstream(z: Any, seed: int = 1, dtype: type = float) -> list[Any]:
    """A random gradient for each result; zeros for results that are not floating. Scalars are Python floats."""
    rng = np.random.default_rng(seed)
    dzs = []
    for one in results_of(z):
        shape = np.shape(one)
        dz = rng.uniform(0.5, 1.5, size=shape) * rng.choice([-1.0, 1.0], size=shape)
        if np.asarray(one).dtype.kind not in "fO":
            dz = dz * 0.0
        if dtype is np.float32:
            dzs.append(np.float32(dz) if shape == () else dz.astype(np.float32))
        else:
            dzs.append(float(dz) if shape == () else dz)
    return dzs


def unbroadcast(gradient: Any, shape: tuple[int, ...]) -> Any:
    """Sums over the dims along which an operand of this shape was broadcast."""
    g = np.asarray(gradient)
    check(g.ndim >= len(shape), f"a contribution of shape {g.shape} for an operand of shape {shape}")
    g = np.asarray(g.sum(axis=tuple(range(g.ndim - len(shape)))))
    axes = tuple(a for a, n in enumerate(shape) if n == 1 and g.shape[a] != 1)
    g = np.asarray(g.sum(axis=axes, keepdims=True)) if axes else g
    check(np.shape(g) == shape, f"a contribution of shape {np.shape(gradient)} for an operand of shape {shape}")
    return g
