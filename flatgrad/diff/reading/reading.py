"""From the text of a homework to what is known of it before it is run, for each backward pass that it holds."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import PurePath

from flatgrad.diagnostics import Cell, Diagnostic, Refused
from flatgrad.diff.homework import Homework
from flatgrad.diff.reading.composed import with_costs, with_method_costs, with_outputs
from flatgrad.diff.reading.flat import read_flat
from flatgrad.diff.reading.names import words
from flatgrad.diff.reading.pairs import Pair, does_something, function_pairs, method_pair, read_pair
from flatgrad.diff.reading.scope import Function, methods_of
from flatgrad.diff.reading.scripts import read_script
from flatgrad.frontend.notebook import is_notebook, read_notebook
from flatgrad.frontend.python2 import python2_name
from flatgrad.frontend.source import Module, name_span, read_module


@dataclass(frozen=True, slots=True)
class Reading:
    """What a file holds.

    Attributes:
        homeworks: what can be judged, in the order of the file.
        problems: the backward functions that cannot be, and why.
    """

    homeworks: tuple[Homework, ...]
    problems: tuple[Diagnostic, ...]


def read_homework(
    text: str, filename: str, functions: tuple[str, ...] = (), names: Mapping[str, str] | None = None
) -> tuple[Homework, ...]:
    """The homeworks of a file.

    Args:
        text: the file: Python, or a notebook's JSON.
        filename: its name, for reports.
        functions: the only functions to judge, as `affine`, `affine_backward`, `Linear`, `TwoLayerNet.loss`.
        names: the homework's name of a gradient (or of the variable in it) and the variable that it is the gradient of.

    Raises:
        Refused: FG001 for a syntax error, FG002 for Python 2, FG004 to FG006 for a notebook, FG060 for one of
            `functions` that is not there, FG100 where there is no backward pass, FG101 for one that cannot be called,
            FG102 for one without its forward function.
    """
    reading = read_file(text, filename, functions, names)
    if reading.problems and (functions or not reading.homeworks):
        raise Refused(reading.problems, plain_text(text, filename)[0], filename, plain_text(text, filename)[1])
    return reading.homeworks


def read_file(
    text: str, filename: str, functions: tuple[str, ...] = (), names: Mapping[str, str] | None = None
) -> Reading:
    """The same, with what cannot be judged beside it: raises Refused as `read_homework` does, FG101 and FG102 apart."""
    source, cells = plain_text(text, filename)
    try:
        module = read_module(source, filename)
        reading = _read(module, filename, functions, names or {})
    except Refused as refused:
        raise Refused(refused.diagnostics, refused.source or source, filename, refused.cells or cells) from None
    if not cells:
        return reading
    found = tuple(replace(one, places=file_places(one.text, cells)) for one in reading.homeworks)
    return Reading(found, reading.problems)


def plain_text(text: str, filename: str) -> tuple[str, tuple[Cell, ...]]:
    """A file as Python text, and the cells of a notebook. Raises Refused: FG004 to FG006."""
    if PurePath(filename).suffix.lower() == ".ipynb" or is_notebook(text):
        notebook = read_notebook(text, filename)
        return notebook.text, notebook.cells
    return text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n"), ()


def file_places(text: str, cells: tuple[Cell, ...]) -> tuple[tuple[int, int], ...]:
    """The cell and the line in it of each line of a notebook's text."""
    found: list[tuple[int, int]] = []
    current = cells[0]
    starts = {cell.line: cell for cell in cells}
    for line in range(1, text.count("\n") + 2):
        current = starts.get(line, current)
        found.append((current.number, line - current.line + 1))
    return tuple(found)


def _read(module: Module, filename: str, asked: tuple[str, ...], names: Mapping[str, str]) -> Reading:
    found: list[tuple[int, Homework]] = []
    helpers: list[tuple[int, Homework]] = []
    problems: list[Diagnostic] = []
    paired: set[Function] = set()
    module, put_together = with_method_costs(with_outputs(module))
    functions = _functions(module)
    module, pairs = with_costs(module, list(function_pairs(functions)), functions)
    functions, classes = _functions(module), _classes(module)
    for owner in classes.values():
        pair = method_pair(owner)
        if pair is not None and owner.name in put_together:
            methods = methods_of(owner) | functions
            name, *inside = put_together[owner.name]
            pair = replace(pair, forward=methods[name], inside=tuple(methods[one] for one in inside))
        pairs += [pair] if pair is not None else []
        pairs += _static_pairs(owner)
    flats = {node for node in functions.values() if read_flat(module, node, None, filename, names, False) is not None}
    for pair in pairs:
        if not _is_asked(asked, pair) or (pair.forward is None and pair.backward in flats):
            continue
        read = _of_pair(module, pair, filename, names, functions)
        if isinstance(read, Homework) and pair.forward is not None:
            paired |= {pair.forward, pair.backward}
            (found if asked or not _is_helper(pair) else helpers).append((pair.backward.lineno, read))
        elif isinstance(read, Diagnostic):
            paired.add(pair.backward)
            problems.append(read)
    for owner_or_none, node in [
        *((None, one) for one in functions.values()),
        *((owner, one) for owner in classes.values() for one in methods_of(owner).values()),
    ]:
        prefix = f"{owner_or_none.name}." if owner_or_none is not None else ""
        chosen = f"{prefix}{node.name}" in asked or (bool(prefix) and prefix[:-1] in asked)
        if node in paired or (asked and not chosen):
            continue
        flat = read_flat(module, node, owner_or_none, filename, names, chosen)
        if flat is not None:
            found.append((node.lineno, flat))
    found = found or helpers
    if asked:
        _check_asked(module, asked, [one for _, one in found], problems)
    if not found and not problems and not asked:
        script = read_script(module, filename, names)
        if script is None:
            raise Refused([_nothing(module)])
        return Reading((script,), ())
    for _, one in found:
        _check_python2(module, one, functions, classes)
    return Reading(tuple(one for _, one in sorted(found, key=lambda one: one[0])), tuple(problems))


def _functions(module: Module) -> dict[str, Function]:
    """The functions of a file that have more to them than `pass`."""
    return {one.name: one for one in module.tree.body if isinstance(one, ast.FunctionDef) and does_something(one)}


def _classes(module: Module) -> dict[str, ast.ClassDef]:
    """The classes of a file; of two with one name, where the later extends the earlier, the methods of both."""
    found: dict[str, ast.ClassDef] = {}
    for one in module.tree.body:
        if isinstance(one, ast.ClassDef):
            earlier = found.get(one.name)
            if earlier is not None and any(isinstance(base, ast.Name) and base.id == one.name for base in one.bases):
                one = ast.copy_location(ast.ClassDef(one.name, [], [], [*earlier.body, *one.body], []), one)
            found[one.name] = one
    return found


def _static_pairs(owner: ast.ClassDef) -> list[Pair]:
    """Pairs among the static methods of a class: `Ops.relu_forward` and `Ops.relu_backward`."""
    methods = {
        name: one
        for name, one in methods_of(owner).items()
        if any(isinstance(mark, ast.Name) and mark.id == "staticmethod" for mark in one.decorator_list)
    }
    return [
        replace(one, base=f"{owner.name}.{one.base}", owner=owner)
        for one in function_pairs(methods)
        if one.forward is not None and one.base not in ("forward", "backward")
    ]


def _of_pair(
    module: Module, pair: Pair, filename: str, names: Mapping[str, str], functions: Mapping[str, Function]
) -> Homework | Diagnostic | None:
    if pair.forward is None:
        message = f"{pair.backward.name} has no forward function beside it"
        help = f"give the file that has it first: flatgrad diff model.py {PurePath(filename).name}"
        return Diagnostic("FG102", message, name_span(module, pair.backward), help=help)
    return read_pair(module, pair, filename, names, functions)


def _is_helper(pair: Pair) -> bool:
    """Whether it is `sigmoid_derivative(x)`, which others call with x or with the sigmoid of x, as they please."""
    loss = {"loss", "cost", "objective", "error", "entropy", "mse"}
    return (
        not pair.certain
        and pair.owner is None
        and pair.forward is not None
        and not loss & set(words(pair.forward.name))
    )


def _is_asked(asked: tuple[str, ...], pair: Pair) -> bool:
    if not asked:
        return True
    prefix = f"{pair.owner.name}." if pair.owner is not None else ""
    spelled = {pair.base, f"{prefix}{pair.backward.name}"}
    spelled |= {f"{prefix}{pair.forward.name}"} if pair.forward is not None else set()
    return bool(spelled & set(asked))


def _check_asked(module: Module, asked: tuple[str, ...], found: list[Homework], problems: list[Diagnostic]) -> None:
    """Refuse names of functions that are not there, or have no backward pass."""
    missing: list[Diagnostic] = []
    spelled = {name for one in found for name in (one.function, one.forward, one.backward, one.forward.split(".")[0])}
    spelled |= {word for one in problems for word in one.message.split()}
    for name in asked:
        if name not in spelled and not any(one.message.startswith(f"{name}_") for one in problems):
            what = f"{PurePath(module.filename).name} has no backward pass by hand for {name}"
            others = ", ".join(dict.fromkeys(one.function for one in _all(module)))
            missing.append(Diagnostic("FG060", what, None, help=f"those that it has: {others}" if others else ""))
    if missing:
        raise Refused(missing)


def _all(module: Module) -> tuple[Homework, ...]:
    try:
        return _read(module, module.filename, (), {}).homeworks
    except Refused:
        return ()


def _check_python2(
    module: Module, homework: Homework, functions: Mapping[str, Function], classes: Mapping[str, ast.ClassDef]
) -> None:
    for name in {homework.forward, homework.backward}:
        owner, _, method = name.rpartition(".")
        node = methods_of(classes[owner]).get(method) if owner else functions.get(name)
        for part in ast.walk(node) if node is not None else ():
            if isinstance(part, ast.Name) and (old := python2_name(module, part)) is not None:
                raise Refused([old])


def _nothing(module: Module) -> Diagnostic:
    what = f"no backward pass by hand is found in {PurePath(module.filename).name}"
    help = (
        "what is looked for: a function that returns a loss and its gradients, `f_forward` with `f_backward`,\n"
        "a class with forward and backward, or statements that assign gradients (`dx = …`)"
    )
    return Diagnostic("FG100", what, None, help=help)
