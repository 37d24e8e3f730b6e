"""Checks of a generated module against the contract: values, gradients, types, memory and text.

Everything here sees a module from outside, as its user does: the source of the model, the generated text, arguments.
"""

from __future__ import annotations

import ast
import copy
import functools
import inspect
import itertools
import json
import linecache
import os
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import black
import numpy as np

from flatgrad.compiler import Compiled, compile_source
from flatgrad.options import Options
from tests import oracles
from tests.oracles import Floats, holds_arrays, leaf, leaves, results_of

ROOT = Path(__file__).resolve().parent.parent
EXAMPLES = ROOT / "examples"
GENERATED = ROOT / "generated"
TOLERANCE = 1e-6
LINE_LENGTH = 100
# What rounding in the differences may hide, in units of the larger of 1 and the projected value.
NOISE = 1e-9
# Of NumPy's global generator, before every forward pass.
SEED = 12

_numbers = itertools.count()


class Wrong(AssertionError):
    """The generated module breaks its contract. `kind` is the same for two cases of one defect."""

    def __init__(self, kind: str, detail: str = "") -> None:
        super().__init__(f"{kind}: {detail}" if detail else kind)
        self.kind = kind


class Guarded(Exception):
    """The forward pass refuses, by an exception of its own, arguments that the model itself would take."""


class Inconclusive(Exception):
    """The differences disagree among themselves: a kink or a pole is too near to say who is right."""


@dataclass(frozen=True, slots=True)
class Module:
    """A generated module: its text and its names."""

    text: str
    names: Mapping[str, Any]

    def forward(self, name: str) -> Callable[..., Any]:
        return self.function(f"{name}_forward")

    def backward(self, name: str) -> Callable[..., Any]:
        return self.function(f"{name}_backward")

    def function(self, name: str) -> Callable[..., Any]:
        if name not in self.names:
            raise Wrong("function is missing", f"{name}, there are {sorted(self.names)}")
        found: Callable[..., Any] = self.names[name]
        return found


@dataclass(frozen=True, slots=True)
class Report:
    """What a checked run gave: the results and the gradient of each differentiated parameter."""

    results: tuple[Any, ...]
    gradients: Mapping[str, Any]


def load(text: str, label: str = "generated") -> dict[str, Any]:
    """The names of a module given as text. Its lines are shown in tracebacks."""
    filename = f"<{label} {next(_numbers) % 1000}>"  # long runs load many
    linecache.cache[filename] = (len(text), None, text.splitlines(True), filename)
    names: dict[str, Any] = {"__name__": label}
    exec(compile(text, filename, "exec"), names)
    return names


@contextmanager
def importable(folder: Path) -> Iterator[None]:
    """The modules of a folder can be imported, and are forgotten afterwards: other tests use the same names."""
    before = set(sys.modules)
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        sys.path.remove(str(folder))
        for name in set(sys.modules) - before:
            if Path(getattr(sys.modules[name], "__file__", None) or "").parent == folder:
                del sys.modules[name]


def original(source: str, function: str) -> Callable[..., Any]:
    """The user's own function, by its name or by its base name. It may import examples."""
    with importable(EXAMPLES):
        names = load(source, "model")
    found: Callable[..., Any] = names[function] if function in names else names[f"{function}_forward"]
    return found


def seeded(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function with the same random numbers from NumPy's global generator at every call."""

    @functools.wraps(function)
    def call(*args: Any, **keywords: Any) -> Any:
        np.random.seed(SEED)
        return function(*args, **keywords)

    return call


def compiled(source: str, filename: str = "model.py", **options: Any) -> Compiled:
    return compile_source(source, filename, Options(**options))


def check_module(
    source: str,
    inputs: Mapping[str, Any],
    *,
    function: str = "",
    differentiated: Sequence[str] | None = None,
    select: Callable[[Any], tuple[Any, ...]] = results_of,
    differentiable: bool = True,
    tolerance: float = TOLERANCE,
    seed: int = 0,
    fresh_process: bool = False,
    filename: str = "model.py",
    **options: Any,
) -> Report:
    """Compile `source`, run one entry on `inputs` and check everything that the contract promises.

    Args:
        function: the entry's base name; the only one, if empty.
        differentiated: the parameters that must be the differentiated ones; whatever the compiler says, if None.
        select: the differentiated results among those that the user's function returns.
        differentiable: False where `inputs` make the function return early, without a result to differentiate.
        fresh_process: compile again in a process with another hash seed, too.
        options: fields of the compiler's Options.
    Raises:
        Wrong, Guarded, Inconclusive; diagnostics.Refused where the compiler refuses.
    """
    result = compiled(source, filename, **options)
    check_text(result.text, source)
    if compiled(source, filename, **options).text != result.text:
        raise Wrong("text differs at the second compile")
    if fresh_process and compile_in_fresh_process(source, filename, options) != result.text:
        raise Wrong("text differs in another process")
    entries = {entry.name: entry for entry in result.entries}
    if not function:
        (function,) = entries
    if function not in entries:
        raise Wrong("entry is missing", f"{function}, there are {sorted(entries)}")
    found = tuple(entries[function].wrt)
    if differentiated is not None and found != tuple(differentiated):
        raise Wrong("other parameters are differentiated", f"{found}, not {tuple(differentiated)}")
    module = Module(result.text, load(result.text))
    report = check_run(
        module,
        source,
        function,
        inputs,
        found,
        select=select,
        differentiable=differentiable,
        tolerance=tolerance,
        seed=seed,
        chosen="wrt" in options,
    )
    if differentiable:
        check_float32(module, source, function, inputs, found, select=select, seed=seed)
    return report


def check_run(
    module: Module,
    source: str,
    name: str,
    inputs: Mapping[str, Any],
    wrt: Sequence[str],
    *,
    select: Callable[[Any], tuple[Any, ...]] = results_of,
    differentiable: bool = True,
    tolerance: float = TOLERANCE,
    seed: int = 0,
    chosen: bool = True,
) -> Report:
    """Run forward, backward and value_and_grad of one entry on `inputs` and check all that they promise.

    Args:
        differentiable: there is a gradient; else the cache must be None.
        chosen: the parameters were chosen by the user; else those left out must have no gradient.
    """
    function = seeded(original(source, name))
    check_signature(function, module, name)
    arguments = list(inputs.values())
    if list(inputs) != list(inspect.signature(function).parameters)[: len(inputs)]:
        raise ValueError(f"inputs are named {list(inputs)}")
    mine, theirs = copy.deepcopy(arguments), copy.deepcopy(arguments)
    expected = select(function(*mine))
    drawn = freeze(np.random.get_state())
    results, cache = run_forward(module, name, theirs, len(expected))
    check_values(results, expected)
    if freeze(mine) != freeze(theirs):
        raise Wrong("arguments are not changed as the model changes them", f"{theirs}, not {mine}")
    if freeze(np.random.get_state()) != drawn:
        raise Wrong("forward does not draw the random numbers that the model draws")
    if not differentiable:
        if cache is not None:
            raise Wrong("there is a cache where there is nothing to differentiate", repr(cache)[:200])
        return Report(results, {})
    # A second run on the same numbers must not disturb the cache of the first.
    run_forward(module, name, copy.deepcopy(arguments), len(expected))

    upstream = draw_upstream(results, seed)
    gradients = check_backward(module, name, arguments, theirs, results, cache, upstream, wrt)
    for position, argument in enumerate(arguments):
        parameter = list(inputs)[position]
        if parameter in gradients:
            found = gradients[parameter]
        elif chosen or not is_floating(argument) or has_default(function, parameter):
            continue
        else:
            found = np.zeros(np.shape(argument))  # left out: it must have no gradient
        compare(function, arguments, position, upstream, select, found, f"d{parameter}", tolerance)
    for k in range(len(results)) if len(results) > 1 else ():
        partial = [None if j == k else d for j, d in enumerate(upstream)]
        found = check_backward(module, name, arguments, theirs, results, cache, partial, wrt)
        for parameter in wrt:
            position = list(inputs).index(parameter)
            compare(function, arguments, position, partial, select, found[parameter], f"d{parameter}", tolerance)
    check_value_and_grad(module, name, arguments, results, wrt)
    return Report(results, gradients)


def run_forward(module: Module, name: str, arguments: Sequence[Any], count: int) -> tuple[tuple[Any, ...], Any]:
    """The results and the cache: `out, cache`, or `h, c, cache` for several results."""
    try:
        returned = seeded(module.forward(name))(*arguments)
    except Exception as error:
        # A guard raises, or already fails where it reads `b.shape` of what is not what was claimed.
        raised = traceback.extract_tb(error.__traceback__)[-1].line or ""
        if isinstance(error, ValueError) and raised.startswith("raise "):
            raise Guarded(str(error)) from error
        if isinstance(error, AttributeError) and error.name == "shape":
            raise Guarded(str(error)) from error
        raise Wrong(f"forward raises {type(error).__name__}", str(error)) from error
    if not isinstance(returned, tuple) or len(returned) != count + 1:
        raise Wrong("forward does not return its results and a cache", repr(returned)[:200])
    return returned[:-1], returned[-1]


def run_backward(module: Module, name: str, upstream: Sequence[Any], cache: Any, count: int) -> tuple[Any, ...]:
    try:
        returned = module.backward(name)(*upstream, cache)
    except Exception as error:
        raise Wrong(f"backward raises {type(error).__name__}", str(error)) from error
    if count == 1:
        return (returned,)
    if not isinstance(returned, tuple) or len(returned) != count:
        raise Wrong("backward does not return one gradient per parameter", repr(returned)[:200])
    return returned


def check_signature(function: Callable[..., Any], module: Module, name: str) -> None:
    wanted = [(p.name, p.default) for p in inspect.signature(function).parameters.values()]
    found = [(p.name, p.default) for p in inspect.signature(module.forward(name)).parameters.values()]
    if [n for n, _ in wanted] != [n for n, _ in found] or freeze([d for _, d in wanted]) != freeze(
        [d for _, d in found]
    ):
        raise Wrong("forward has other parameters than the model", f"{found}, not {wanted}")


def check_values(results: Sequence[Any], expected: Sequence[Any]) -> None:
    for found, wanted in zip(results, expected, strict=True):
        a, b = np.asarray(found), np.asarray(wanted)
        if a.shape != b.shape or a.dtype != b.dtype:
            raise Wrong("value has another shape or dtype", f"{a.dtype}{a.shape}, not {b.dtype}{b.shape}")
        if not np.allclose(a, b, rtol=1e-12, atol=1e-300, equal_nan=True):
            raise Wrong("value differs", f"{found}, not {wanted}")


def check_backward(
    module: Module,
    name: str,
    arguments: Sequence[Any],
    used: Sequence[Any],
    results: Sequence[Any],
    cache: Any,
    upstream: Sequence[Any],
    wrt: Sequence[str],
) -> dict[str, Any]:
    """Run backward with every kind of upstream gradient there is for one number; all must give the same.

    `used` are the very objects that forward ran on: neither they nor anything else may be touched now.
    """
    first: list[np.ndarray[Any, Any]] = []
    generator = freeze(np.random.get_state())
    for kind in range(4):
        given = [upstream_as(d, kind) for d in upstream]
        before = freeze([given, cache, list(used), list(results)])
        gradients = run_backward(module, name, given, cache, len(wrt))
        if freeze([given, cache, list(used), list(results)]) != before:
            raise Wrong("backward touches the upstream gradient, the cache, an argument or a result")
        names = list(inspect.signature(module.forward(name)).parameters)
        for parameter, gradient in zip(wrt, gradients, strict=True):
            check_type(parameter, gradient, arguments[names.index(parameter)])
        check_memory(wrt, gradients, given, cache, used, results)
        flat = [part for g in gradients for _, part in leaves(g)]
        first = first or [np.array(part) for part in flat]
        for a, b in zip(flat, first, strict=True):
            # In Fortran order (kind 3) NumPy sums in another order.
            if (
                not np.allclose(a, b, rtol=1e-9, atol=1e-12, equal_nan=True)
                if kind == 3
                else np.asarray(a).tobytes() != b.tobytes()
            ):
                raise Wrong("backward gives something else the second time", "or for another kind of upstream gradient")
    if freeze(np.random.get_state()) != generator:
        raise Wrong("backward draws random numbers")
    return dict(zip(wrt, gradients, strict=True))


def upstream_as(gradient: Any, kind: int) -> Any:
    """An upstream gradient as callers have them; for one number: Python float, 0-d array, NumPy scalar, float again."""
    if gradient is None:
        return None
    array = np.asarray(gradient)
    if array.ndim == 0 and array.dtype == np.float64:
        return (float(array), array.copy(), array[()], float(array))[kind]
    fresh = array.copy(order="F" if kind == 3 else "C")
    fresh.flags.writeable = kind != 2
    return fresh


def check_type(parameter: str, gradient: Any, argument: Any) -> None:
    """A dict has a gradient with its keys, in any order, a list of arrays a list of gradients, and so has a tuple in
    one; an array or a number has one of its shape."""
    if holds_arrays(argument):
        if not isinstance(gradient, list) or len(gradient) != len(argument):
            raise Wrong("gradient is no list of its parameter's length", f"d{parameter} = {gradient!r}"[:200])
        for position, one in enumerate(argument):
            check_type(f"{parameter}[{position}]", gradient[position], one)
        return
    if isinstance(argument, Mapping):
        if not isinstance(gradient, Mapping) or set(gradient) != set(argument):
            raise Wrong("gradient has not the keys of its parameter", f"d{parameter} = {gradient!r}"[:200])
        for key in argument:
            check_type(f"{parameter}[{key!r}]", gradient[key], argument[key])
        return
    array = np.asarray(gradient)
    if array.shape != np.shape(argument):
        raise Wrong("gradient has another shape", f"d{parameter} {array.shape}, not {np.shape(argument)}")
    if array.dtype.kind != "f":
        raise Wrong("gradient is not floating", f"d{parameter} is {array.dtype}")
    if isinstance(gradient, np.ndarray):
        if not gradient.flags.writeable:
            raise Wrong("gradient is read-only", f"d{parameter}")
        if overlaps_itself(gradient):
            raise Wrong("gradient shares memory with itself", f"d{parameter}")


def overlaps_itself(array: np.ndarray[Any, Any]) -> bool:
    """Writing one element changes another, as after `np.broadcast_to`."""
    return array.size > 0 and any(
        stride == 0 and dim > 1 for stride, dim in zip(array.strides, array.shape, strict=True)
    )


def check_memory(
    wrt: Sequence[str],
    gradients: Sequence[Any],
    upstream: Sequence[Any],
    cache: Any,
    arguments: Sequence[Any],
    results: Sequence[Any],
) -> None:
    others = [
        (what, array)
        for what, values in (
            ("the upstream gradient", upstream),
            ("an argument", arguments),
            ("a result", results),
            ("the cache", cache),
        )
        for array in arrays_in(values)
    ]
    for parameter, gradient in zip(wrt, gradients, strict=True):
        for array in arrays_in(gradient):
            for what, other in others:
                if np.shares_memory(array, other):
                    raise Wrong("gradient shares memory", f"d{parameter} with {what}")
            others.append((f"d{parameter}", array))


def check_value_and_grad(
    module: Module, name: str, arguments: Sequence[Any], results: Sequence[Any], wrt: Sequence[str]
) -> None:
    key = f"{name}_value_and_grad"
    if len(results) > 1:
        return
    if np.ndim(results[0]) > 0:
        if key in module.names:
            try:
                module.names[key](*copy.deepcopy(list(arguments)))
            except (ValueError, TypeError):
                return
            raise Wrong("value_and_grad accepts a result that is not a scalar", repr(np.shape(results[0])))
        return
    value, gradients = seeded(module.function(key))(*copy.deepcopy(list(arguments)))
    again, cache = run_forward(module, name, copy.deepcopy(list(arguments)), 1)
    wanted = run_backward(module, name, [1.0], cache, len(wrt))
    if freeze([value, *(results_of(gradients) if len(wrt) > 1 else (gradients,))]) != freeze([again[0], *wanted]):
        raise Wrong("value_and_grad gives something else than forward and backward")


def compare(
    function: Callable[..., Any],
    arguments: Sequence[Any],
    position: int,
    upstream: Sequence[Any],
    select: Callable[[Any], tuple[Any, ...]],
    found: Any,
    label: str,
    tolerance: float,
) -> None:
    """The gradient found against differences and, where those are not sharp enough, the complex step.

    Raises Wrong if they differ, Inconclusive if the differences are not sure of themselves.
    """
    try:
        with np.errstate(divide="raise", invalid="raise"):
            value = oracles.project(select(function(*copy.deepcopy(list(arguments)))), upstream)
    except FloatingPointError as error:
        raise Inconclusive(f"{label}: a pole, {error}") from error
    floor = NOISE * max(1.0, abs(value))
    for path, gradient in leaves(found):
        named = label + "".join(f"[{key!r}]" for key in path)
        compare_leaf(function, arguments, position, path, upstream, select, gradient, named, tolerance, floor)


def compare_leaf(
    function: Callable[..., Any],
    arguments: Sequence[Any],
    position: int,
    path: oracles.Path,
    upstream: Sequence[Any],
    select: Callable[[Any], tuple[Any, ...]],
    found: Any,
    label: str,
    tolerance: float,
    floor: float,
) -> None:
    for steps in (oracles.STEPS[1:2], oracles.STEPS):
        try:
            estimate = oracles.central_difference(function, arguments, position, upstream, select, steps, path)
        except np.exceptions.DTypePromotionError as error:
            raise Inconclusive(f"{label}: differences need floats, {error}") from error
        except TypeError as error:  # a float that is written into an array of integers
            raise Inconclusive(f"{label}: differences need floats, {error}") from error
        if near(found, estimate.value, tolerance, floor):
            return
    exact = oracles.complex_step(function, arguments, position, upstream, select, path)
    if exact is not None and near(found, exact, tolerance, floor):
        return
    if estimate.error > tolerance * float(np.linalg.norm(estimate.value)) + floor:
        raise Inconclusive(f"{label}: the differences are uncertain by {estimate.error}")
    raise Wrong("gradient is wrong", f"{label} = {np.asarray(found).tolist()}, not {estimate.value.tolist()}")


def near(found: Any, expected: Floats, tolerance: float, floor: float) -> bool:
    a = oracles.as_floats(found)
    if not np.all(np.isfinite(a)):
        return False
    size = max(float(np.linalg.norm(a)), float(np.linalg.norm(expected)))
    return float(np.linalg.norm(a - expected)) <= tolerance * size + floor


def check_float32(
    module: Module,
    source: str,
    name: str,
    inputs: Mapping[str, Any],
    wrt: Sequence[str],
    *,
    select: Callable[[Any], tuple[Any, ...]] = results_of,
    seed: int = 0,
    throughout: bool = True,
) -> bool:
    """float32 arrays in: results of the model's own dtype and, where those are float32, gradients in float32.

    Args:
        throughout: nothing in between is float64; else the gradients may be, too.
    Returns:
        Whether the model's results are float32.
    """
    narrow = {k: narrowed(v) for k, v in inputs.items()}
    if not any(is_float_array(array) for array in arrays_in(list(narrow.values()))):
        return False
    function = seeded(original(source, name))
    expected = select(function(*copy.deepcopy(list(narrow.values()))))
    results, cache = run_forward(module, name, copy.deepcopy(list(narrow.values())), len(expected))
    for a, b in zip(results, expected, strict=True):
        if np.asarray(a).dtype != np.asarray(b).dtype:
            raise Wrong("value has another dtype for float32", f"{np.asarray(a).dtype}, not {np.asarray(b).dtype}")
    if any(np.asarray(r).dtype != np.float32 for r in expected):
        return False
    upstream = draw_upstream(results, seed)
    gradients = run_backward(module, name, upstream, cache, len(wrt))
    for parameter, gradient in zip(wrt, gradients, strict=True):
        for path, argument in leaves(narrow[parameter]):
            dtype = np.asarray(leaf(gradient, path)).dtype
            if throughout and is_float_array(argument) and dtype != np.float32:
                raise Wrong("gradient is not float32 where the model is", f"d{parameter}{list(path) or ''} is {dtype}")
    return True


def check_text(text: str, source: str) -> None:
    """The text is stable under black, imports nothing of ours and keeps no trace of our own naming."""
    if black.format_str(text, mode=black.Mode(line_length=LINE_LENGTH)) != text:
        raise Wrong("text is not as black leaves it")
    allowed = {"numpy", "math"} | imported_packages(source)
    extra = imported_packages(text) - allowed
    if extra:
        raise Wrong("module imports more than the model", ", ".join(sorted(extra)))


def imported_packages(text: str) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add((node.module or "").partition(".")[0])
    return found


def compile_in_fresh_process(source: str, filename: str, options: Mapping[str, Any]) -> str:
    """The text that another process, with another hash seed, writes."""
    script = (
        "import json, sys; from flatgrad.compiler import compile_source; from flatgrad.options import Options\n"
        "source, filename, options = json.load(sys.stdin)\n"
        "options = {k: tuple(map(tuple, v)) if k == 'shapes' else tuple(v) if isinstance(v, list) else v"
        " for k, v in options.items()}\n"
        "sys.stdout.write(compile_source(source, filename, Options(**options)).text)\n"
    )
    seed = "1" if os.environ.get("PYTHONHASHSEED") != "1" else "2"
    done = subprocess.run(
        [sys.executable, "-c", script],
        input=json.dumps([source, filename, dict(options)]),
        env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


def draw_upstream(results: Sequence[Any], seed: int) -> list[Any]:
    """A random upstream gradient for each result, of its shape and dtype; not for integers."""
    rng = np.random.default_rng(seed)
    drawn = []
    for result in results:
        array = np.asarray(result)
        dtype = array.dtype if array.dtype.kind == "f" else np.dtype(np.float64)
        numbers = rng.uniform(0.5, 1.5, array.shape[::-1]).T * rng.choice([-1, 1], array.shape)
        drawn.append(np.asarray(numbers, dtype)[()])
    return drawn


def is_float_array(value: Any) -> bool:
    return isinstance(value, np.ndarray) and value.dtype.kind == "f"


def narrowed(value: Any) -> Any:
    """Arrays and NumPy scalars in float32, in a dict, too; a Python float stays."""
    if isinstance(value, Mapping):
        return {key: narrowed(part) for key, part in value.items()}
    if holds_arrays(value):
        return type(value)(narrowed(part) for part in value)
    if is_float_array(value) or isinstance(value, np.floating):
        return value.astype(np.float32)
    return value


def is_floating(value: Any) -> bool:
    return isinstance(value, float) or np.asarray(value).dtype.kind == "f"


def has_default(function: Callable[..., Any], parameter: str) -> bool:
    return inspect.signature(function).parameters[parameter].default is not inspect.Parameter.empty


def arrays_in(value: Any) -> Iterator[np.ndarray[Any, Any]]:
    """Every array in a value made of tuples, lists, dicts and whatever has attributes."""
    if isinstance(value, np.ndarray):
        yield value
    elif isinstance(value, Mapping):
        for part in value.values():
            yield from arrays_in(part)
    elif isinstance(value, (tuple, list)):
        for part in value:
            yield from arrays_in(part)


def freeze(value: Any) -> Any:
    """The value as something that `==` compares by type, shape and bits."""
    if isinstance(value, (np.ndarray, np.generic)):
        array = np.asarray(value)
        return (isinstance(value, np.ndarray), array.dtype.str, array.shape, array.tobytes())
    if isinstance(value, Mapping):
        return ("dict", [(key, freeze(part)) for key, part in value.items()])
    if isinstance(value, (tuple, list)):
        return (type(value).__name__, [freeze(part) for part in value])
    if isinstance(value, np.random.Generator):
        return ("Generator", repr(value.bit_generator.state))
    return (type(value).__name__, repr(value))


def assignments(text: str, function: str) -> int:
    """How many assignments a backward function has, the unpacking of the cache left out."""
    (node,) = (n for n in ast.parse(text).body if isinstance(n, ast.FunctionDef) and n.name == function)
    cache = node.args.args[-1].arg
    count = 0
    for part in ast.walk(node):
        if isinstance(part, (ast.Assign, ast.AugAssign, ast.AnnAssign)):
            unpacks = isinstance(part, ast.Assign) and isinstance(part.value, ast.Name) and part.value.id == cache
            count += not unpacks
    return count
