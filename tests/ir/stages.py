"""The stages of a compilation, and each of them run by the reference interpreter."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

import numpy as np

from flatgrad.compiler import Compilation
from flatgrad.differentiate.walk import Backward
from flatgrad.frontend.environment import Lowered
from flatgrad.frontend.linking import link
from flatgrad.frontend.source import entry_functions, read_module
from flatgrad.groups.meaning import GROUP_MEANING
from flatgrad.ir.core import Kind
from flatgrad.ir.instances import Instances
from flatgrad.ir.interpreter import Program, ReversePass, evaluate
from flatgrad.options import Options
from tests.oracles import Path, leaf, leaves, with_leaf
from tests.program_generator import Inputs
from tests.support import SEED, load

STEP = 1e-6


@dataclass(frozen=True, slots=True)
class Stages:
    """Every function of a file that the compiler looked at, and the backward passes of those that are written."""

    lowered: Mapping[str, Lowered]
    backward: Mapping[str, Backward]
    program: Program


@dataclass(frozen=True, slots=True)
class Run:
    """What the IR of one function gives: results, and a gradient for each differentiated parameter.

    Attributes:
        places: where each result stands in what the user's function returns, and how many things that returns.
    """

    results: tuple[Any, ...]
    places: tuple[tuple[int, ...], int]
    upstream: tuple[Any, ...]
    gradients: Mapping[str, Any]


def stages_of(source: str, filename: str = "model.py", **options: Any) -> Stages:
    """`filename`: what the source imports from its project is read from the files beside it.

    Raises diagnostics.Refused where the compiler refuses.
    """
    module = link(read_module(source, filename)).module
    compilation = Compilation(module, Options(**options))
    names = entry_functions(compilation.module, compilation.options.functions)
    chosen = compilation._entries(names)
    compilation._describe_helpers(chosen)
    if compilation.options.presume:
        compilation.presume_ranks(chosen)
    order = compilation._call_order(chosen)
    for name in order:
        compilation._choose_parameters(name, name in chosen)
    backward = {name: compilation._plan(name).backward for name in order if compilation.differentiated[name]}
    values = load("\n".join(module.lines), "model")
    program = Program(
        functions={name: one.function for name, one in compilation.typed.items()},
        reverse={name: ReversePass(one.block, one.calls) for name, one in backward.items()},
        constants={name: values[name] for name in compilation.module.constants if name in values},
        rules=GROUP_MEANING,
        names={name: value for name, value in values.items() if not name.startswith("_")},
    )
    return Stages(dict(compilation.typed), backward, program)


def run_stages(stages: Stages, name: str, inputs: Inputs, seed: int = 0, watched: bool = True) -> Run:
    """Run the forward and then the backward block of a function.

    `watched`: every value is held against its type, kind, dtype and shape.
    """
    lowered, backward = stages.lowered[name], stages.backward[name]
    seen = Instances()
    watch = seen if watched else None
    environment: dict[Any, Any] = {}
    # An array without dims passes for a number: where one may be changed in place, the module refuses it itself.
    arguments = [
        inputs[param.name][()] if np.ndim(inputs[param.name]) == 0 and isinstance(inputs[param.name], np.ndarray)
        and param.type.kind is Kind.SCALAR else copy.deepcopy(inputs[param.name])
        for param in lowered.function.block.params
    ]  # fmt: skip
    np.random.seed(SEED)
    results = evaluate(lowered.function, arguments, environment, stages.program, watch)
    rng = np.random.default_rng(seed)
    upstream = tuple(rng.normal(size=np.shape(results[k]))[()] for k in backward.upstream)
    reverse = stages.program.reverse[name]
    gradients = evaluate(reverse, upstream, environment, stages.program, watch)
    seen.settle()
    places = tuple(result.position for result in lowered.results), lowered.width
    return Run(results, places, upstream, {v.name: g for v, g in zip(backward.wrt, gradients, strict=True)})


def returned(function: Callable[..., Any], inputs: Inputs) -> Any:
    """What the user's function returns, with the random numbers that the stages draw.

    A seed that it sets itself is a statement that is kept as it stands, and no step of any block.
    """
    np.random.seed(SEED)
    with patch.object(np.random, "seed"):
        return function(**copy.deepcopy(inputs))


def selected(found: Any, places: tuple[tuple[int, ...], int]) -> tuple[Any, ...]:
    """The results among what the user's function returned; the others are its cache and gradients."""
    positions, width = places
    everything = found if width > 1 else (found,)
    assert len(everything) == width
    return tuple(everything[position] for position in positions)


def differences(
    function: Callable[..., Any],
    inputs: Inputs,
    path: Path,
    places: tuple[tuple[int, ...], int],
    upstream: Mapping[int, Any],
) -> Any:
    """Central differences of the projected results with respect to every element of one parameter.

    Args:
        path: the parameter, and the keys that lead to what is moved where that is an entry of a dict.
        upstream: by the number of the result.
    """
    given = leaf(inputs, path)
    base = np.asarray(given, float)
    found = np.zeros(base.shape)
    for place in np.ndindex(*base.shape):
        values = []
        for step in (STEP, -STEP):
            moved = np.array(base)
            moved[place] += step
            new = moved if isinstance(given, np.ndarray) else moved.tolist()
            results = selected(returned(function, with_leaf(inputs, path, new)), places)
            values.append(sum(float(np.sum(np.asarray(results[k]) * one)) for k, one in upstream.items()))
        found[place] = (values[0] - values[1]) / (2 * STEP)
    return found


def entries_of(gradient: Any, inputs: Inputs, parameter: str) -> dict[Path, Any]:
    """The gradients of the numbers and arrays of a parameter, by the keys that lead to them.

    A dict of gradients has an entry for all that carries one, and none that its parameter has not.
    """
    found = {(parameter, *path): one for path, one in leaves(gradient)}
    given = {(parameter, *path) for path, _ in leaves(inputs[parameter])}
    assert found.keys() <= given, found.keys() - given
    return found


def same_gradient(found: Any, wanted: Any) -> bool:
    """The same shape, and as near as differences are exact."""
    scale = max(1.0, float(np.max(np.abs(wanted), initial=0.0)))
    return np.shape(found) == np.shape(wanted) and np.allclose(found, wanted, rtol=1e-3, atol=1e-4 * scale)


def evaluated(text: str) -> Any:
    """A Python expression over `np`."""
    return eval(text, {"np": np})
