"""What flatgrad derives for a forward pass, by variable: the lines to show beside those of a homework.

The forward pass is compiled, and the text of the backward function is read again: a line belongs to the variable whose
gradient it assigns or adds to, and to the forward statement in whose group it stands. Where a group of statements has
one joint rule (softmax cross-entropy), the variables within it have no line of their own; those come from the module
with every single step.
"""

from __future__ import annotations

import ast
import copy
import io
import re
import textwrap
import tokenize
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from flatgrad.diff.homework import Homework, Style

_HEADING = re.compile(r"# \(\d+\)")
_JOINT = re.compile(r"# \(\d+\)-\(\d+\) ")
_STEP = re.compile(r"# \((\d+)\)")


@dataclass(frozen=True, slots=True)
class Step:
    """A forward statement as the generated module numbers it. `line` is its line in the source, None if not found."""

    number: int
    line: int | None
    text: str


@dataclass(frozen=True, slots=True)
class Reference:
    """What flatgrad derives for one function.

    Attributes:
        text: the generated module, empty where the forward pass is refused.
        reason: why it is refused, one line; empty where it is not.
        line: the line of the source that is refused, if one is at fault.
        steps: the numbered forward statements, in order.
        lines: for a variable, the generated lines that assign its gradient or add to it, in their order, below the
            heading of the forward statement where each comes from: `# (3) sigx = 1.0 / (1 + math.exp(-x))`.
            An entry `params["W1"]` and an attribute `self.W1` are `W1`.
    """

    text: str
    reason: str = ""
    line: int | None = None
    steps: tuple[Step, ...] = ()
    lines: Mapping[str, str] = field(default_factory=dict)

    def of(self, variable: str) -> str:
        """The lines for a variable, empty if there are none."""
        return self.lines.get(variable, "")

    @property
    def numbers(self) -> tuple[tuple[int, int], ...]:
        """The line of each numbered forward statement, and its number."""
        return tuple((step.line, step.number) for step in self.steps if step.line is not None)


def reference_for(homework: Homework, derive: Callable[[str, str, str], Reference] | None = None) -> Reference:
    """What flatgrad derives for the forward pass that a homework holds itself, by `derive` or in this process."""
    derive = reference_lines if derive is None else derive
    if homework.style is not Style.SCRIPT:
        return derive(homework.text, homework.file, homework.forward)
    wrapped = script_function(homework)
    found = derive(wrapped.text, homework.file, wrapped.name)
    steps = tuple(replace(step, line=wrapped.line(step.line)) for step in found.steps)
    return replace(found, steps=steps, line=wrapped.line(found.line))


def reference_lines(source: str, filename: str, function: str, wrt: tuple[str, ...] = ()) -> Reference:
    """Compile one function and sort the lines of its backward pass by variable. Nothing is raised for a bad source.

    Args:
        function: `affine_forward`, `Linear.forward`.
        wrt: the parameters to differentiate; empty: those that the compiler takes by itself.
    """
    grouped = _compiled(source, filename, function, wrt, "grouped")
    if isinstance(grouped, Reference):
        return grouped
    tree = ast.parse(source)
    own = _function(tree, function)
    names = _names(own) if own is not None else frozenset()
    lines = _by_variable(grouped, function, names)
    if any(_JOINT.match(line.strip()) for line in grouped.splitlines()):
        single = _compiled(source, filename, function, wrt, "primitive")
        if not isinstance(single, Reference):
            lines = {**_by_variable(single, function, names), **lines}
    steps = tuple(_steps(grouped, function, own))
    return Reference(grouped, steps=steps, lines=MappingProxyType(lines))


def _compiled(source: str, filename: str, function: str, wrt: tuple[str, ...], gates: str) -> str | Reference:
    """The module's text, or why there is none."""
    from flatgrad.compiler import compile_source
    from flatgrad.diagnostics import Refused
    from flatgrad.options import Options

    try:
        return compile_source(source, filename, Options(functions=(function,), wrt=wrt, gates=gates)).text
    except Refused as refused:
        first = refused.diagnostics[0]
        reason = f"{first.message} ({first.code})"
        line = first.span.line if first.span is not None and first.file is None else None
        return Reference("", f"{reason}: {first.label}" if first.label else reason, line)
    except (RecursionError, MemoryError):
        return Reference("", "its expressions are nested too deeply")
    except Exception as error:
        # The judgement does not rest on these lines: a defect here must not take it away.
        return Reference("", f"an internal error of flatgrad ({type(error).__name__}: {error})")


# Scripts


@dataclass(frozen=True, slots=True)
class Wrapped:
    """The forward statements of a script as a function. `origins[k - 1]` is the script's line of line k, 0 if none."""

    name: str
    text: str
    origins: tuple[int, ...]

    def line(self, line: int | None) -> int | None:
        """The line of the script that a line of this text comes from."""
        if line is None or not 1 <= line <= len(self.origins):
            return None
        return self.origins[line - 1] or None


def script_function(homework: Homework) -> Wrapped:
    """Write the forward statements of a script into a function of its leaves that returns its result."""
    name = re.sub(r"\W", "_", homework.function) or "script"
    name = name if name.isidentifier() and not name[0].isdigit() else f"script_{name}"
    tree = ast.parse(homework.text)
    source = homework.text.splitlines()
    leaves = set(homework.parameters)
    top: list[tuple[str, int]] = []
    body: list[tuple[str, int]] = []
    for statement in tree.body:
        if statement.lineno in homework.backward_lines:
            continue
        if isinstance(statement, ast.Import | ast.ImportFrom | ast.FunctionDef | ast.ClassDef):
            top += _copied(statement, source, "")
        elif (names := _bound_names(statement)) and names <= leaves:
            leaves -= names
        elif _holds(statement, homework.backward_lines):
            text = ast.unparse(_without(statement, homework.backward_lines))
            body += [(f"    {line}", statement.lineno) for line in text.splitlines()]
        else:
            body += _copied(statement, source, "    ")
    head = [("", 0), (f"def {name}({', '.join(homework.parameters)}):", 0)]
    lines = [*top, *head, *body, (f"    return {homework.script_result}", 0)]
    return Wrapped(name, "\n".join(line for line, _ in lines) + "\n", tuple(origin for _, origin in lines))


def _copied(statement: ast.stmt, source: Sequence[str], indent: str) -> list[tuple[str, int]]:
    first = min([statement.lineno, *(d.lineno for d in getattr(statement, "decorator_list", ()))])
    last = statement.end_lineno or first
    own = "\n".join(source[first - 1 : last])
    simple = not isinstance(statement, ast.For | ast.While | ast.If | ast.With | ast.FunctionDef | ast.ClassDef)
    if simple and (first < last or ";" in own):
        # A string over several lines must not be indented, and a statement behind a semicolon has no line.
        return [(f"{indent}{line}", first) for line in ast.unparse(statement).splitlines()]
    return [(f"{indent}{line}" if line else line, first + k) for k, line in enumerate(source[first - 1 : last])]


def _bound_names(statement: ast.stmt) -> set[str]:
    if not isinstance(statement, ast.Assign | ast.AnnAssign):
        return set()
    targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
    found: set[str] = set()
    for target in targets:
        parts = target.elts if isinstance(target, ast.Tuple | ast.List) else [target]
        found |= {ast.unparse(part) for part in parts}
    return found


def _holds(statement: ast.stmt, lines: frozenset[int]) -> bool:
    return any(isinstance(part, ast.stmt) and part.lineno in lines for part in ast.walk(statement))


def _without(statement: ast.stmt, lines: frozenset[int]) -> ast.stmt:
    """A compound statement without the statements that begin in these lines."""

    class Filter(ast.NodeTransformer):
        def visit(self, node: ast.AST) -> ast.AST | None:
            if isinstance(node, ast.stmt) and node.lineno in lines:
                return None
            kept = self.generic_visit(node)
            if isinstance(kept, ast.stmt) and getattr(kept, "body", None) == []:
                kept.body = [ast.Pass()]  # type: ignore[attr-defined]
            return kept

    found = Filter().visit(copy.deepcopy(statement))
    return ast.fix_missing_locations(found) if isinstance(found, ast.stmt) else statement


# Lines by variable


@dataclass(frozen=True, slots=True)
class _Item:
    """One statement of the backward function: what it assigns and reads, where it stands, whether it is no update."""

    targets: frozenset[str]
    reads: frozenset[str]
    lines: tuple[str, ...]
    heading: tuple[str, ...]
    enclosing: tuple[str, ...]
    first: bool


def _by_variable(text: str, function: str, names: frozenset[str]) -> dict[str, str]:
    owner, _, name = function.rpartition(".")
    if owner:
        wanted = f"{owner}.backward" if name in ("forward", "__call__") else f"{owner}.{name}_backward"
    else:
        wanted = f"{name.removesuffix('_forward')}_backward"
    backward = _function(ast.parse(text), wanted)
    if backward is None:
        return {}
    items = tuple(_items(backward.body, text.splitlines(), ()))
    gradients = dict.fromkeys(target for item in items for target in sorted(item.targets))
    found: dict[str, list[str]] = {}
    for target in gradients:
        variable = _variable(target, names)
        if variable:
            found.setdefault(variable, []).append(target)
    return {variable: _shown(items, frozenset(targets), names) for variable, targets in found.items()}


def _variable(target: str, names: frozenset[str]) -> str:
    """What a name is the gradient of; of a name that is bound again, `dp2` belongs to `p` too. Empty if of none."""
    variable = target[1:].removeprefix("_")
    if target[:1] != "d" or not variable:
        return ""
    if variable in names:
        return variable
    bare = variable.rstrip("0123456789").rstrip("_")
    return bare if bare in names else ""


def _items(body: Iterable[ast.stmt], text: Sequence[str], enclosing: tuple[str, ...]) -> Iterator[_Item]:
    heading: tuple[str, ...] = ()
    for statement in body:
        above = []
        row = statement.lineno - 2
        while row >= 0 and text[row].lstrip().startswith("#"):
            above.append(text[row].strip())
            row -= 1
        if above:
            heading = tuple(line for line in reversed(above) if _HEADING.match(line))
        if isinstance(statement, ast.For | ast.While | ast.If | ast.With):
            head = ast.unparse(statement).splitlines()[0]
            yield from _items(statement.body, text, (*enclosing, head))
            otherwise = getattr(statement, "orelse", [])
            if otherwise:
                yield from _items(otherwise, text, (*enclosing, f"else:  # of {head}"))
            continue
        targets = frozenset(_targets(statement))
        if targets:
            lines = textwrap.dedent("\n".join(text[statement.lineno - 1 : statement.end_lineno])).splitlines()
            reads = frozenset(part.id for part in ast.walk(statement) if isinstance(part, ast.Name))
            first = isinstance(statement, ast.Assign) and all(isinstance(t, ast.Name) for t in statement.targets)
            yield _Item(targets, reads - targets, tuple(lines), heading, enclosing, first)


def _targets(statement: ast.stmt) -> Iterator[str]:
    """The names that a statement assigns or adds to; an entry under a constant key as the gradient of the key."""
    parts: list[ast.expr] = []
    if isinstance(statement, ast.Assign):
        parts = [e for t in statement.targets for e in (t.elts if isinstance(t, ast.Tuple) else [t])]
    elif isinstance(statement, ast.AugAssign | ast.AnnAssign):
        parts = [statement.target]
    elif isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Call):
        call = statement.value  # np.add.at(dW, idx, dout), dhs.append(dh)
        parts = call.args[:1]
        if isinstance(call.func, ast.Attribute) and call.func.attr == "append":
            parts = [call.func.value]
    for part in parts:
        while isinstance(part, ast.Subscript):
            key = part.slice
            if isinstance(key, ast.Constant) and isinstance(key.value, str):
                part = ast.Name(f"d{key.value}")
                break
            part = part.value
        if isinstance(part, ast.Attribute):
            yield part.attr
        elif isinstance(part, ast.Name):
            yield part.id


def _made(items: tuple[_Item, ...], name: str, here: int) -> Iterator[int]:
    """The statements that make a temporary that one reads: its last assignment in the same group, and its updates."""
    group = (items[here].heading, items[here].enclosing)
    if not name.startswith("d"):
        return  # what the cache holds
    for k in range(here - 1, -1, -1):
        if (items[k].heading, items[k].enclosing) != group:
            return
        if name in items[k].targets:
            yield k
            if items[k].first:
                return


def _shown(items: tuple[_Item, ...], wanted: frozenset[str], names: frozenset[str]) -> str:
    """The lines that assign some names, with those of the temporaries that they read, under their headings."""
    chosen = {k for k, item in enumerate(items) if item.targets & wanted}
    known = frozenset(f"d{name}" for name in names)
    waiting = sorted(chosen)
    while waiting:
        here = waiting.pop()
        for name in items[here].reads - known:
            for k in _made(items, name, here):
                if k not in chosen:
                    chosen.add(k)
                    waiting.append(k)
    out: list[str] = []
    inside: tuple[str, ...] = ()
    heading: tuple[str, ...] = ()
    for k in sorted(chosen):
        item = items[k]
        if item.enclosing != inside:
            kept = 0
            while kept < min(len(inside), len(item.enclosing)) and inside[kept] == item.enclosing[kept]:
                kept += 1
            for depth in range(kept, len(item.enclosing)):
                out.append("    " * depth + item.enclosing[depth])
            inside, heading = item.enclosing, ()
        indent = "    " * len(inside)
        if item.heading != heading:
            out += [indent + line for line in item.heading]
            heading = item.heading
        out += [indent + line for line in item.lines]
    return "\n".join(out)


# The source's own function


def _function(tree: ast.Module, name: str) -> ast.FunctionDef | None:
    """A function of the file by its qualified name; of two with one name the later, as Python binds it."""
    body: Sequence[ast.stmt] = tree.body
    *owners, last = name.split(".")
    for owner in owners:
        found = next((s for s in reversed(body) if isinstance(s, ast.ClassDef) and s.name == owner), None)
        if found is None:
            return None
        body = found.body
    return next((s for s in reversed(body) if isinstance(s, ast.FunctionDef) and s.name == last), None)


def _names(function: ast.FunctionDef) -> frozenset[str]:
    """The variables of a function: its parameters, what it binds, keys that it reads, attributes."""
    found = {a.arg for a in (*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs)}
    for part in ast.walk(function):
        if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store):
            found.add(part.id)
        elif isinstance(part, ast.Attribute) and isinstance(part.value, ast.Name):
            found.add(part.attr)
        elif isinstance(part, ast.Subscript) and isinstance(part.slice, ast.Constant):
            if isinstance(part.slice.value, str):
                found.add(part.slice.value)
    return frozenset(found)


def _steps(text: str, function: str, own: ast.FunctionDef | None) -> Iterator[Step]:
    """The numbered statements of the generated forward function, and where the source has each."""
    owner, _, name = function.rpartition(".")
    made = f"{owner}.{name}" if owner else f"{name.removesuffix('_forward')}_forward"
    forward = _function(ast.parse(text), made)
    if forward is None:
        return
    tokens = tokenize.generate_tokens(io.StringIO(text).readline)
    numbers = {t.start[0]: found for t in tokens if t.type == tokenize.COMMENT and (found := _STEP.match(t.string))}
    numbered: list[tuple[int, ast.stmt]] = []
    for statement in _statements(forward.body):
        last = statement.body[0].lineno - 1 if hasattr(statement, "body") else statement.end_lineno
        number = next((numbers[row] for row in range(statement.lineno, (last or 0) + 1) if row in numbers), None)
        if number is not None:
            numbered.append((int(number[1]), statement))
    waiting = list(_statements(own.body)) if own is not None else []
    for step, statement in numbered:
        at = _place(statement, waiting, statement is numbered[-1][1])
        if at is None:
            yield Step(step, None, _first_line(statement))
            continue
        yield Step(step, waiting[at].lineno, _first_line(waiting[at]))
        waiting = waiting[at + 1 :]


def _statements(body: Iterable[ast.stmt]) -> Iterator[ast.stmt]:
    for statement in body:
        yield statement
        for part in ("body", "orelse"):
            if not isinstance(statement, ast.FunctionDef | ast.ClassDef):
                yield from _statements(getattr(statement, part, ()))


def _place(statement: ast.stmt, waiting: Sequence[ast.stmt], last: bool) -> int | None:
    """Which of the source's statements a generated one is: the same, one with its target; of the last the return."""
    whole, key = _first_line(statement), _key(statement)
    same = [k for k, one in enumerate(waiting) if _first_line(one) == whole]
    alike = [k for k, one in enumerate(waiting) if _key(one) == key]
    returned = [k for k, one in enumerate(waiting) if last and isinstance(one, ast.Return)]
    return next(iter((*same, *alike, *returned[-1:])), None)


def _key(statement: ast.stmt) -> str:
    """What a statement assigns first: what a call hands out beside it may differ."""
    if isinstance(statement, ast.Assign):
        target = statement.targets[0]
        return ast.unparse(target.elts[0] if isinstance(target, ast.Tuple) and target.elts else target)
    if isinstance(statement, ast.AugAssign | ast.AnnAssign):
        return ast.unparse(statement.target)
    return _first_line(statement)


def _first_line(statement: ast.stmt) -> str:
    return ast.unparse(statement).splitlines()[0]
