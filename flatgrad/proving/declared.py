"""Checks of gates that a user has declared. This runs the user's own functions: nothing else of flatgrad does."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from flatgrad.diagnostics import Refused
from flatgrad.gates.entry import OWN, Gate
from flatgrad.gates.written_calls import spelled
from flatgrad.ir.solver import Contradiction
from flatgrad.proving import checks, concrete_site, drawing, rules, running, symbols
from flatgrad.proving.running import Env, check

OK, WRONG, OPEN = "ok", "wrong", "cannot be judged"
_ROWS = [(), (2,), (3, 2)]  # loop dims


@dataclass(frozen=True, slots=True)
class Verdict:
    """What one check says of one gate: OK, WRONG or OPEN, and why."""

    gate: str
    check: str
    outcome: str
    reason: str = ""


def verdicts(gates: Sequence[Gate], models: Sequence[Path], folders: Sequence[Path]) -> Iterator[Verdict]:
    """Every check of every gate.

    Args:
        models: the files that define the functions which are declared without a dot. They are run.
        folders: where modules are looked for besides the usual places.
    """
    with _importable([*folders, *(model.resolve().parent for model in models)]):
        live = _Live(models)
        known = symbols.known_functions(gates)
        for gate in gates:
            name = spelled(gate.name)
            try:
                entry = prepared(gate, live.scope(gate, gates))
                for case in drawing.cases(entry):
                    running.run_forward(entry, entry.spellings[0], drawing.draw(entry, case))
            except (Exception, SystemExit) as error:
                yield Verdict(name, "runs", OPEN, _message(error))
                continue
            yield Verdict(name, "runs", OK)
            for what, run in _checks(entry, known, gates, live):
                yield _verdict(name, what, run)


def _verdict(name: str, what: str, run: Callable[[], None]) -> Verdict:
    try:
        run()
    except symbols.Unprovable as error:
        return Verdict(name, what, OPEN, f"{error}: leave the proof out, numbers will do")
    except (AssertionError, Contradiction) as error:
        return Verdict(name, what, WRONG, _message(error))
    except Refused as refused:
        return Verdict(name, what, WRONG, refused.diagnostics[0].message)
    except (Exception, SystemExit) as error:
        return Verdict(name, what, WRONG, f"{type(error).__name__}: {_message(error)}")
    return Verdict(name, what, OK)


def _message(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return "; ".join(lines[:6]) or type(error).__name__


def _checks(entry: Gate, known: Env, gates: Sequence[Gate], live: _Live) -> Iterator[tuple[str, Callable[[], None]]]:
    if entry.backward and entry.proof == "numpy":
        yield "proof", lambda: checks.proved(entry)
    elif entry.backward and entry.proof is not None:
        yield "proof", lambda: symbols.prove_expression(entry, known)
    if entry.backward:
        yield "differences", lambda: checks.agrees_with_differences(entry, "known")
    else:
        yield "no gradient", lambda: without_a_rule(entry)
    yield "shape", lambda: shape(entry)
    yield "dtype", lambda: checks.dtype_rule(entry)
    if isinstance(entry.shape, str):
        yield "rows", lambda: row_by_row(entry)
        if entry.backward and len(entry.operands) > 1:
            yield "broadcast", lambda: broadcasts(entry)
    yield "memory", lambda: leaves_alone(entry)
    if entry.backward:
        yield "float32", lambda: checks.float32_stays(entry)
        yield "integers", lambda: checks.whole_numbers(entry)
        if wrt(entry):
            yield "compiled", lambda: used_twice(entry, gates, live.source(entry))


# What a gate is tried with


def prepared(gate: Gate, scope: Mapping[str, Any]) -> Gate:
    """The gate with live functions in its scope, and with the shapes that its signature suggests if it names none."""
    samples = {**gate.samples, "scope": dict(scope)}
    if "shapes" not in samples:
        samples["shapes"] = default_shapes(gate)
    return replace(gate, samples=samples)


def default_shapes(gate: Gate) -> list[tuple[tuple[int, ...], ...]]:
    if not isinstance(gate.shape, str):
        rest = ((),) * (len(gate.operands) - 1)
        return [((3,), *rest), ((2, 3), *rest)]
    cores = _cores(gate)
    return [tuple(loop + core for core in cores) for loop in (_ROWS if gate.elementwise else _ROWS[:2])]


def _cores(gate: Gate) -> list[tuple[int, ...]]:
    """The core dims of each operand, each label of a size of its own."""
    assert isinstance(gate.shape, str)
    operands, _ = rules.parse_signature(gate.shape)
    labels = list(dict.fromkeys(label for operand in operands for label in operand))
    return [tuple(3 + labels.index(label) for label in operand) for operand in operands[: len(gate.operands)]]


def wrt(entry: Gate) -> list[str]:
    """The operands that a gradient flows to."""
    rules = {name: getattr(rule, "spelling", rule) for name, rule in entry.backward.items()}
    return [name for name in entry.operands if rules.get(name, "0") != "0"]


# Checks that the built-in table is not in need of


def without_a_rule(entry: Gate) -> None:
    """The result of a gate that carries no gradient does not move with its operands."""
    for case in drawing.cases(entry):
        env = drawing.draw(entry, case)
        z = running.run_forward(entry, entry.spellings[0], env)
        if np.asarray(z).dtype.kind == "f":
            for name in (n for n in entry.operands if n not in ("c", "i")):
                moved = rules.numeric_gradient(entry, env, name, running.upstream(z))
                check(not np.any(np.abs(moved) > 1e-6), f"{case}: the result moves with {name}")


def shape(entry: Gate) -> None:
    """The shape rule says what NumPy does, with all known of the operands, little, and nothing."""
    for mode in concrete_site.MODES:
        checks.shape_rule(entry, mode)


def row_by_row(entry: Gate) -> None:
    """The dims that the signature does not name are loops: each step alone gives what all give at once."""
    cores = _cores(entry)
    for case in drawing.cases(entry):
        env = drawing.draw(entry, case)
        z = np.asarray(running.run_forward(entry, entry.spellings[0], env))
        arrays = {name: np.asarray(env[name]) for name in entry.operands}
        ranks = {name: len(core) for name, core in zip(entry.operands, cores, strict=True)}
        loop = np.broadcast_shapes(*(a.shape[: a.ndim - ranks[name]] for name, a in arrays.items()))
        wide = {n: np.broadcast_to(a, loop + a.shape[a.ndim - ranks[n] :]) for n, a in arrays.items()}
        for index in np.ndindex(loop):
            step: Env = {n: a[index] if ranks[n] else a[index].item() for n, a in wide.items()}
            try:
                alone = running.run_forward(entry, entry.spellings[0], {**env, **step})
            except (TypeError, AttributeError, ValueError, IndexError):
                continue  # takes no single numbers
            same = np.shape(alone) == z[index].shape and np.allclose(alone, z[index], rtol=1e-9, atol=1e-12)
            check(same, f"{case}: at {index} the result is not what the operands there give alone")


def broadcasts(entry: Gate) -> None:
    """Operands whose loop dims differ: the gradients are right once they are summed down."""
    cores = _cores(entry)
    for loops in ([(2, 1), (3,)], [(), (2, 3)], [(2, 3), ()]):
        padded = [*loops, *[()] * len(cores)][: len(cores)]
        shapes = tuple(loop + core for loop, core in zip(padded, cores, strict=True))
        for case in drawing.cases(entry, [shapes]):
            check(checks.check_numbers(entry, case, "known"), f"{case}: refused")


def leaves_alone(entry: Gate) -> None:
    """The function changes no operand, gives the same twice, and an array with no dims only where it says `view`."""
    checks.views_are_declared(entry)
    for case in drawing.cases(entry):
        env = drawing.draw(entry, case)
        before = {name: np.array(env[name]) for name in entry.operands}
        first = running.run_forward(entry, entry.spellings[0], env)
        second = running.run_forward(entry, entry.spellings[0], env)
        for name, value in before.items():
            np.testing.assert_array_equal(env[name], value, err_msg=f"the function changes {name}")
        np.testing.assert_array_equal(first, second, err_msg=f"{case}: called twice, the function gives two results")
        check(not isinstance(first, list | tuple), f"{case}: the result is a {type(first).__name__}, not one array")
        number = not isinstance(first, np.ndarray) or first.ndim > 0
        check(number or entry.view, f"{case}: the result is an array without dims, which can be written to")
    if entry.backward:
        checks.same_bits_twice(entry)


def used_twice(entry: Gate, gates: Iterable[Gate], model: str) -> None:
    """A function that calls it twice with the same operands, compiled, run, and compared with differences."""
    from flatgrad.compiler import compile_source
    from flatgrad.options import Options

    for case in drawing.cases(entry):
        env = drawing.draw(entry, case)
        source = f"{model}\n\n{_uses(entry, env)}"
        shapes = tuple((n, ", ".join(map(str, np.shape(env[n])))) for n in entry.operands if n not in ("c", "i"))
        options = Options(("used_twice",), tuple(wrt(entry)), shapes=shapes, declared=tuple(gates))
        text = compile_source(source, "used_twice.py", options).text
        written: dict[str, Any] = {"__name__": "used_twice_grad"}
        exec(compile(text, "used_twice_grad.py", "exec", dont_inherit=True), written)
        given: dict[str, Any] = {"__name__": "used_twice"}
        exec(compile(source, "used_twice.py", "exec", dont_inherit=True), given)
        arguments = [env[name] for name in entry.operands]
        _, cache = written["used_twice_forward"](*arguments)
        found = written["used_twice_backward"](1.0, cache)
        for name, got in zip(wrt(entry), found if len(wrt(entry)) > 1 else (found,), strict=True):
            value = partial(_moved, given["used_twice"], arguments, entry.operands.index(name))
            expected = rules.central_differences(value, env[name], rules.step_of(entry))
            np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-6, err_msg=f"{case}: d{name} of two uses")


def _moved(function: Callable[..., Any], arguments: list[Any], position: int, x: Any) -> float:
    return float(function(*(x if k == position else one for k, one in enumerate(arguments))))


def _uses(entry: Gate, env: Env) -> str:
    spelling = entry.spellings[0]
    root = spelling.text.partition("(")[0].rpartition(".")[0]
    imports = {"np": "", "": "", "special": "from scipy import special\n"}.get(root, f"import {root}\n")
    call = ast.parse(spelling.text, mode="eval").body
    assert isinstance(call, ast.Call)
    for position, argument in enumerate(call.args):
        assert isinstance(argument, ast.Name)
        if argument.id in entry.attributes:
            call.args[position] = ast.parse(repr(env[argument.id]), mode="eval").body
    for keyword in call.keywords:
        keyword.value = ast.parse(repr(env[str(keyword.arg)]), mode="eval").body
    text = ast.unparse(call)
    return (
        f"import numpy as np\n{imports}\n\ndef used_twice({', '.join(entry.operands)}):\n"
        f"    first = {text}\n    second = {text}\n    return np.sum(first * second + first)\n"
    )


# Live functions


@contextmanager
def _importable(folders: Iterable[Path]) -> Iterator[None]:
    before = list(sys.path)
    sys.path[:0] = [str(folder) for folder in dict.fromkeys(folders)]
    try:
        yield
    finally:
        sys.path[:] = before


class _Live:
    """The modules that declared functions come from, imported once each."""

    def __init__(self, models: Sequence[Path]) -> None:
        self.models = models
        self.modules: dict[Path, Any] = {}

    def scope(self, gate: Gate, gates: Sequence[Gate]) -> dict[str, Any]:
        """What the spellings of a gate name. Raises ImportError, LookupError, and whatever the imported code raises."""
        rules = [getattr(rule, "spelling", rule) for rule in gate.backward.values()]
        found: dict[str, Any] = {}
        for other in gates:
            for spelling in other.spellings:
                function = spelling.text.partition("(")[0]
                named = any(re.search(rf"(?<![\w.]){re.escape(function)}\b", str(rule)) for rule in rules)
                if other.name == gate.name or named:
                    self._add(found, spelling.path)
        return found

    def _add(self, scope: dict[str, Any], path: str) -> None:
        package, _, function = path.rpartition(".")
        if package == OWN:
            scope[function] = getattr(self._defining(function), function)
        elif package in ("numpy", "math", "scipy.special"):
            getattr(importlib.import_module(package), function)
        else:
            module = importlib.import_module(package)
            getattr(module, function)
            scope[package.partition(".")[0]] = sys.modules[package.partition(".")[0]]

    def _defining(self, function: str) -> Any:
        path = self._file(function)
        if path not in self.modules:
            spec = importlib.util.spec_from_file_location(path.stem, path)
            if spec is None or spec.loader is None:
                raise ImportError(f"{path} is no Python file")
            module = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(module)
            self.modules[path] = module
        return self.modules[path]

    def _file(self, function: str) -> Path:
        for model in self.models:
            tree = ast.parse(model.read_bytes())
            if any(isinstance(one, ast.FunctionDef) and one.name == function for one in tree.body):
                return model
        raise LookupError(f"{function} is a function of a model file: name the file, `flatgrad gates --test model.py`")

    def source(self, gate: Gate) -> str:
        """The text of the model file that defines the function; '' where a library does."""
        package, _, function = gate.name.rpartition(".")
        return self._file(function).read_text(encoding="utf-8") if package == OWN else ""
