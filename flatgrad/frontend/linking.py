"""One text of a model and of all that it borrows from other files of its project.

What the model's functions refer to in other files (functions, constants, and what these refer to in their turn) is put
beside them, so that all that comes after reads one file: constants and imports above the model's own text, functions
below it. References are edited where a name would mean something else there: `L.relu(x)` becomes `relu(x)`. A function
with a backward function beside it in its own file stays where it is: see `pairs`.

What cannot be resolved stays as it is written, and is refused where it is used, if it is.
"""

from __future__ import annotations

import ast
import builtins
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from flatgrad.diagnostics import Diagnostic, Refused, SourceFile
from flatgrad.frontend.bindings import BUILTIN, ImportStatement, imported_names
from flatgrad.frontend.borrowed import Absent, Borrowed, Pair
from flatgrad.frontend.pairs import Matched, backward_name, match
from flatgrad.frontend.project import LIBRARIES, Project, Thing, What
from flatgrad.frontend.references import References, chain_of, references
from flatgrad.frontend.source import Module, name_span, read_module, span_of
from flatgrad.gates.entry import BY_PATH
from flatgrad.ir.core import Span

DECLARE = "declare a gate for it, as in docs/your-own-gates.md"


@dataclass(frozen=True, slots=True)
class _Edit:
    """A replacement in one line: what stood at `start` to `end` is `text`."""

    start: int
    end: int
    text: str


@dataclass(frozen=True, slots=True)
class _Line:
    """Where a line of the linked text comes from. `file` is None for the model's own, `line` 0 for what is new."""

    file: SourceFile | None
    line: int
    edits: tuple[_Edit, ...] = ()
    shift: int = 0  # how many characters of the original line are left out before it


@dataclass(frozen=True, slots=True)
class Linked:
    """A module with what it borrows, and where each of its lines comes from."""

    module: Module
    lines: tuple[_Line, ...] = ()

    def placed(self, diagnostics: Iterable[Diagnostic]) -> list[Diagnostic]:
        """The diagnostics with the places that the user knows."""
        return [self._placed(one) for one in diagnostics] if self.lines else list(diagnostics)

    def _placed(self, one: Diagnostic) -> Diagnostic:
        if one.file is not None or one.span is None or not 0 < one.span.line <= len(self.lines):
            return one
        line = self.lines[one.span.line - 1]
        labels = tuple(
            (self._span(span), text) for span, text in one.labels if self.lines[span.line - 1].file == line.file
        )
        return replace(one, span=self._span(one.span) if line.line else None, labels=labels, file=line.file)

    def _span(self, span: Span) -> Span:
        line, column = self._position(span.line, span.column)
        end_line, end_column = self._position(min(span.end_line, len(self.lines)), span.end_column)
        return Span(line, column, max(line, end_line), end_column)

    def _position(self, line: int, column: int) -> tuple[int, int]:
        origin = self.lines[line - 1]
        moved = 0
        for edit in origin.edits:
            start = edit.start + moved
            end = start + len(edit.text)
            if column < start:
                break
            if column < end:
                return origin.line, edit.start + origin.shift
            moved += len(edit.text) - (edit.end - edit.start)
        return origin.line, column - moved + origin.shift


def link(module: Module) -> Linked:
    """A module with what it borrows from the files around it.

    A module that is no file on disk, or imports nothing from its project, is handed back as it is.
    """
    filename = module.filename
    if filename.startswith("<") or not os.path.isfile(filename) or not _may_borrow(module):
        return Linked(module)
    return _Linker(module, Path(filename)).run()


def _may_borrow(module: Module) -> bool:
    for statement in module.import_texts:
        node = statement.node
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module or ""]
        relative = isinstance(node, ast.ImportFrom) and node.level > 0
        if relative or any(name.partition(".")[0] not in LIBRARIES for name in names):
            return True
    return False


@dataclass(slots=True)
class _Reference:
    """A node in the text, and what it leads to."""

    node: ast.expr
    thing: Thing


@dataclass(slots=True)
class _Part:
    """Statements of one file that stand in the linked text: the model's own file, or one definition of another."""

    file: Path
    module: Module
    node: ast.stmt | None
    thing: Thing | None
    references: list[_Reference] = field(default_factory=list)
    locals: set[str] = field(default_factory=set)


class _Linker:
    def __init__(self, module: Module, path: Path) -> None:
        self.module = module
        self.project = Project(module, path)
        self.main = self.project.main
        self.parts: list[_Part] = []
        self.names: dict[Thing, str] = {}
        self.absent: dict[str, Absent] = {}
        self.reasons: dict[Thing, Absent] = {}
        # What the model calls a thing by an import of its own.
        self.aliases: dict[Thing, str] = {}
        # What each import of the model leads to, whether or not it is used there.
        self.imported: dict[str, Thing] = {}
        # For a function with a pair that is called as an attribute, the text and the path of it.
        self.attributes: dict[Thing, tuple[str, str]] = {}
        self.paired: dict[Thing, Matched] = {}
        self.unmatched: dict[Thing, str] = {}
        self.statements: dict[Thing, str] = {}

    def run(self) -> Linked:
        self._own()
        waiting = [ref.thing for ref in self.parts[0].references]
        seen: set[Thing] = set()
        while waiting:
            thing = waiting.pop(0)
            if thing in seen or thing.what not in (What.FUNCTION, What.CONSTANT) or thing.file == self.main:
                continue
            seen.add(thing)
            part = self._part(thing)
            self.parts.append(part)
            waiting += [ref.thing for ref in part.references]
        if len(self.parts) == 1:
            return Linked(replace(self.module, borrowed=Borrowed(absent=self.absent)))
        for name, path in self.module.imports.items():
            if path.partition(".")[0] not in LIBRARIES:
                self.imported[name] = self.project.resolve(self.main, path)
        self._choose_names()
        return self._written()

    # What is referred to

    def _own(self) -> None:
        found = references(_defining(self.module.tree.body))
        part = _Part(self.main, self.module, None, None, locals=found.locals)
        self.parts.append(part)
        for node, chain in found.chains:
            self._refer(part, node, chain)

    def _part(self, thing: Thing) -> _Part:
        assert thing.file is not None
        module = self.project.module(thing.file)
        assert isinstance(module, Module)
        if thing.what is What.FUNCTION:
            node: ast.stmt = module.functions[thing.name]
            if backward_name(thing.name) in module.functions and not thing.name.endswith("_backward"):
                matched = match(module, thing.name, lambda path: self._definition(module, path))
                if isinstance(matched, Matched):
                    self.paired[thing] = matched
                else:
                    self.unmatched[thing] = matched
        else:
            node = next(
                s for s in module.tree.body if isinstance(s, ast.Assign | ast.AnnAssign) and thing.name in _targets(s)
            )
        found: References = references([node])
        part = _Part(thing.file, module, node, thing, locals=found.locals)
        for name_node, chain in found.chains:
            self._refer(part, name_node, chain)
        return part

    def _definition(self, module: Module, path: str) -> tuple[ast.FunctionDef, Module] | None:
        thing = self.project.resolve(self.project.file_of(module), path)
        there = self.project.module(thing.file) if thing.file is not None else None
        if thing.what is not What.FUNCTION or not isinstance(there, Module):
            return None
        return there.functions[thing.name], there

    def _refer(self, part: _Part, node: ast.expr, chain: tuple[str, ...]) -> None:
        """Take down what the shortest part of a chain that is no module leads to."""
        root = chain[0]
        module, file = part.module, part.file
        if root in module.imports:
            path = module.imports[root]
            if path.partition(".")[0] in LIBRARIES:
                self._add(part, _inner(node, 1), Thing(What.LIBRARY, None, path), root)
                return
            for length in range(1, len(chain) + 1):
                whole = ".".join((path, *chain[1:length]))
                if whole in BY_PATH and whole.lstrip(".").count("."):  # not a method, but a declaration of the user's
                    self._add(
                        part, _inner(node, 1), Thing(What.LIBRARY, file if path.startswith(".") else None, path), root
                    )
                    return
                thing = self.project.resolve(file, whole)
                if thing.what is not What.MODULE:
                    self._take(part, _inner(node, length), thing, chain[:length], whole)
                    return
            self._add(part, _inner(node, 1), Thing(What.OTHER, file, root), root)
            return
        if root in module.bound:
            what = What.FUNCTION if root in module.functions else What.OTHER
            what = What.CONSTANT if root in module.constants else what
            self._add(part, _inner(node, 1), Thing(what, file, root), root)
            return
        found = self.project.from_star(file, root)
        if found is not None and found.what is What.MODULE:
            for length in range(2, len(chain) + 1):
                assert found is not None
                if found.what is What.MODULE and found.file is not None:
                    found = self.project.lookup(found.file, chain[length - 1])
                    if found is not None and found.what is not What.MODULE:
                        self._add(part, _inner(node, length), found, "")
                    if found is None or found.what is not What.MODULE:
                        return
            return
        if found is not None:
            self._take(part, _inner(node, 1), found, (root,), root)
        elif hasattr(builtins, root):
            self._add(part, _inner(node, 1), Thing(What.BUILTIN, None, root), root)
        else:
            self._add(part, _inner(node, 1), Thing(What.OTHER, file, root), root)

    def _take(self, part: _Part, node: ast.expr, thing: Thing, chain: tuple[str, ...], path: str) -> None:
        """A reference that leads out of its file."""
        own = part.file == self.main
        reason = self._absence(thing, chain, path)
        if reason is not None:
            unknown = Thing(What.OTHER, part.file, chain[0])
            self.reasons.setdefault(unknown, reason)
            self._add(part, _inner(node, 1), unknown, chain[0])
            if own:
                self.absent.setdefault(path, reason)
            return
        if own and len(chain) == 1:
            self.aliases.setdefault(thing, chain[0])
        elif own and thing.what is What.FUNCTION:
            self.attributes.setdefault(thing, (".".join(chain), path))
        self._add(part, node, thing, chain[0] if len(chain) == 1 else "")

    def _add(self, part: _Part, node: ast.expr, thing: Thing, local: str) -> None:
        part.references.append(_Reference(node, thing))
        if thing.what is What.LIBRARY and local and part.file != self.main:
            self.statements.setdefault(thing, local)

    def _absence(self, thing: Thing, chain: tuple[str, ...], path: str) -> Absent | None:
        spoken = ".".join(chain)
        match thing.what:
            case What.BROKEN if thing.file is not None:
                refused = self.project.module(thing.file)
                assert isinstance(refused, Refused)
                return Absent("FG026", f"{spoken} cannot be read", "", "", refused.diagnostics)
            case What.ABSENT if thing.file is not None:
                where = self.project.shown(thing.file)
                return Absent("FG026", f"{where} does not define {thing.name}", "imported from there", DECLARE)
            case What.ABSENT:
                missing = path.strip(".").split(".")[0]
                return Absent(
                    "FG026", f"where {spoken} comes from is not found", f"there is no file {missing}.py there", DECLARE
                )
            case What.OTHER if thing.file is not None and thing.file != self.main:
                where = self.project.shown(thing.file)
                return Absent(
                    "FG026",
                    f"{spoken} is neither a function nor a constant",
                    f"as {where} defines {thing.name}",
                    "pass it as a parameter, or make it a constant there",
                )
        return None

    # Names

    def _choose_names(self) -> None:
        """A name in the linked text for everything that is referred to."""
        main, *others = self.parts
        fixed: dict[str, Thing] = {name: Thing(What.OTHER, self.main, name) for name in self.module.bound}
        fixed |= {name: Thing(What.LIBRARY, None, path) for name, path in self.module.imports.items()}
        things = dict.fromkeys(ref.thing for part in self.parts for ref in part.references)
        for name, thing in self.imported.items():
            fixed[name] = thing
            if thing in things:
                self.aliases.setdefault(thing, name)
        for part in self.parts:
            for ref in part.references:
                if ref.thing.what is What.BUILTIN:
                    fixed.setdefault(ref.thing.name, ref.thing)
        for ref in main.references:
            chain = chain_of(ref.node)
            if len(chain) == 1:
                fixed[chain[0]] = ref.thing
        hidden = {name for part in others for name in part.locals}
        for thing in things:
            if thing.what is What.BUILTIN or thing.file == self.main:
                self.names[thing] = thing.name
                continue
            wanted = self.aliases.get(thing) or self.statements.get(thing) or thing.name
            for name in _candidates(wanted, thing):
                shown = self.aliases.get(thing) == name
                if name not in hidden and (shown or name not in main.locals) and fixed.get(name, thing) == thing:
                    fixed[name] = thing
                    self.names[thing] = name
                    break
        taken = {name for name, thing in fixed.items() if thing.what is not What.BUILTIN}
        for part in others:
            for ref in part.references:
                if ref.thing.what is What.BUILTIN and ref.thing.name in taken:
                    self.names[ref.thing] = f"{BUILTIN}.{ref.thing.name}"

    # The text

    def _written(self) -> Linked:
        main, *others = self.parts
        pairs = self._pairs()
        texts: list[tuple[str, _Line]] = []
        imports = dict.fromkeys(text for part in others for text in self._imports(part))
        if any(name.startswith(f"{BUILTIN}.") for name in self.names.values()):
            imports[f"import {BUILTIN}"] = None
        texts += [(text, _Line(None, 0)) for text in imports]
        for part in _in_order([p for p in others if p.thing is not None and p.thing.what is What.CONSTANT]):
            texts += self._definition_lines(part)
        texts += self._main_lines(main, pairs)
        for part in others:
            if part.thing is not None and part.thing.what is What.FUNCTION:
                texts += [("", _Line(None, 0)), ("", _Line(None, 0)), *self._definition_lines(part)]
        linked = read_module("\n".join(text for text, _ in texts), self.module.filename)
        functions = {self.names[p.thing] for p in others if p.thing is not None and p.thing.what is What.FUNCTION}
        borrowed = Borrowed(
            frozenset(functions),
            pairs,
            {self.names[thing]: reason for thing, reason in self.unmatched.items()},
            {path: self.names[thing] for thing, (_, path) in self.attributes.items() if thing in self.paired},
            self.absent | {self.names[thing]: one for thing, one in self.reasons.items() if thing.file != self.main},
        )
        return Linked(replace(linked, borrowed=borrowed), tuple(line for _, line in texts))

    def _pairs(self) -> dict[str, Pair]:
        found: dict[str, Pair] = {}
        taken = self.module.bound | set(self.names.values()) | self.parts[0].locals
        taken |= {backward_name(name) for name in self.module.functions}
        taken |= {backward_name(self.names[p.thing]) for p in self.parts if p.thing and p.thing not in self.paired}
        for thing, matched in self.paired.items():
            assert thing.file is not None
            name = self.names[thing]
            back = backward_name(thing.name)
            if thing not in self.aliases and thing in self.attributes:
                text, _ = self.attributes[thing]
                there = f"{text.rpartition('.')[0]}.{back}"
                found[name] = Pair(text, there, "", (), matched.results, matched.gradients, matched.changes)
                continue
            same = Thing(What.FUNCTION, thing.file, back)
            imported = next((own for own, one in self.imported.items() if one == same), None)
            called = imported or next(one for one in _candidates(back, thing) if one not in taken)
            names = ((thing.name, name), (back, called))
            origin = self.project.origin(thing.file)
            found[name] = Pair(name, called, origin, names, matched.results, matched.gradients, matched.changes)
        return found

    def _imports(self, part: _Part) -> Iterator[str]:
        for ref in part.references:
            if ref.thing.what is not What.LIBRARY or ref.thing not in self.names:
                continue
            root = chain_of(ref.node)[0]
            name = self.names[ref.thing]
            for statement in part.module.import_texts:
                yield from self._import(part.file, statement, root, name)

    def _import(self, file: Path, statement: ImportStatement, root: str, name: str) -> Iterator[str]:
        node = statement.node
        for alias, (local, _) in zip(node.names, imported_names(node), strict=True):
            if local != root:
                continue
            if isinstance(node, ast.Import):
                renamed = f"import {alias.name}" + (f" as {name}" if alias.asname else "")
                yield renamed if alias.asname or root == name else f"import {root} as {name}"
            else:
                base = self.project.rebased(file, node.level, node.module or "")
                yield f"from {base} import {alias.name}" + ("" if alias.name == name else f" as {name}")

    def _definition_lines(self, part: _Part) -> list[tuple[str, _Line]]:
        node, module = part.node, part.module
        assert node is not None
        there = SourceFile(module.text, module.filename)
        edits = self._edits(part)
        if isinstance(node, ast.FunctionDef):
            assert part.thing is not None
            if self.names[part.thing] != node.name:
                span = name_span(module, node)
                edits.setdefault(span.line, []).append(_Edit(span.column, span.end_column, self.names[part.thing]))
            first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
            return _lines(module, there, range(first, (node.end_lineno or first) + 1), edits)
        for target in _target_nodes(node):
            thing = Thing(What.CONSTANT, part.file, target.id)
            if self.names.get(thing, target.id) != target.id:
                span = span_of(module, target)
                edits.setdefault(span.line, []).append(_Edit(span.column, span.end_column, self.names[thing]))
        span = span_of(module, node)
        lines = _lines(module, there, range(span.line, span.end_line + 1), edits)
        return _cut(lines, module, span)

    def _edits(self, part: _Part) -> dict[int, list[_Edit]]:
        edits: dict[int, list[_Edit]] = {}
        own = part.file == self.main
        for ref in part.references:
            name = self.names.get(ref.thing)
            text = ".".join(chain_of(ref.node))
            if name is None or name == text:
                continue
            if own and (ref.thing.file == self.main or ref.thing.what in (What.LIBRARY, What.BUILTIN)):
                continue
            as_attribute = self.attributes.get(ref.thing, ("",))[0] == text and ref.thing not in self.aliases
            if own and as_attribute and ref.thing in self.paired:
                continue
            span = span_of(part.module, ref.node)
            if span.line == span.end_line:
                edits.setdefault(span.line, []).append(_Edit(span.column, span.end_column, name))
        return edits

    def _main_lines(self, main: _Part, pairs: Mapping[str, Pair]) -> list[tuple[str, _Line]]:
        module = self.module
        edits = self._edits(main)
        blank: set[int] = set()
        linked = {name for name, thing in self.imported.items() if thing in self.names}
        linked |= {called for pair in pairs.values() for _, called in pair.names}
        for statement in module.import_texts:
            node = statement.node
            if not isinstance(node, ast.ImportFrom):
                continue
            kept = [
                alias
                for alias, name in zip(node.names, statement.names, strict=True)
                if name not in linked and not (name == "*" and self._known_star(node))
            ]
            if len(kept) == len(node.names):
                continue
            text = ast.unparse(ast.ImportFrom(node.module, kept, node.level)) if kept else "pass"
            span = span_of(module, node)
            last = len(module.lines[span.line - 1]) if span.end_line > span.line else span.end_column
            edits.setdefault(span.line, []).append(_Edit(span.column, last, text))
            if span.end_line > span.line:
                blank |= set(range(span.line + 1, span.end_line + 1))
                rest = module.lines[span.end_line - 1][span.end_column :].strip()
                if rest and not rest.startswith("#"):
                    blank.discard(span.end_line)
                    edits.setdefault(span.end_line, []).append(_Edit(0, span.end_column, ""))
        lines = _lines(module, None, range(1, len(module.lines) + 1), edits)
        return [("" if line.line in blank else text, line) for text, line in lines]

    def _known_star(self, node: ast.ImportFrom) -> bool:
        target = self.project.resolve(self.main, "." * node.level + (node.module or ""))
        return target.what is What.MODULE and target.file is not None and self.project.is_known(target.file)


def _in_order(parts: list[_Part]) -> list[_Part]:
    """The definitions of constants, each after those that it reads, no statement twice."""
    found: list[_Part] = []
    known = {part.thing: part for part in parts}

    def visit(part: _Part) -> None:
        if known.pop(part.thing, None) is None:
            return
        for ref in part.references:
            if ref.thing in known:
                visit(known[ref.thing])
        if all(one.node is not part.node for one in found):
            found.append(part)

    for part in parts:
        visit(part)
    return found


def _inner(node: ast.expr, length: int) -> ast.expr:
    """The part of a chain of attributes that has this many names."""
    while len(chain_of(node)) > length and isinstance(node, ast.Attribute):
        node = node.value
    return node


def _defining(statements: Iterable[ast.stmt]) -> Iterator[ast.stmt]:
    for statement in statements:
        if isinstance(statement, ast.FunctionDef | ast.ClassDef | ast.Assign | ast.AnnAssign):
            yield statement


def _target_nodes(statement: ast.stmt) -> list[ast.Name]:
    targets = statement.targets if isinstance(statement, ast.Assign) else []
    targets = [statement.target] if isinstance(statement, ast.AnnAssign) else targets
    return [part for target in targets for part in ast.walk(target) if isinstance(part, ast.Name)]


def _targets(statement: ast.stmt) -> set[str]:
    return {target.id for target in _target_nodes(statement)}


def _candidates(wanted: str, thing: Thing) -> Iterator[str]:
    yield wanted
    stem = thing.file.stem if thing.file is not None and thing.file.stem.isidentifier() else "borrowed"
    yield f"{stem}_{wanted}"
    number = 2
    base = wanted.removesuffix("_forward")
    while True:
        yield f"{stem}_{base}{number}{wanted[len(base) :]}"
        number += 1


def _lines(
    module: Module, file: SourceFile | None, numbers: range, edits: Mapping[int, list[_Edit]]
) -> list[tuple[str, _Line]]:
    found: list[tuple[str, _Line]] = []
    for number in numbers:
        text = module.lines[number - 1]
        made = tuple(sorted(edits.get(number, ()), key=lambda edit: edit.start))
        for edit in reversed(made):
            text = text[: edit.start] + edit.text + text[edit.end :]
        found.append((text, _Line(file, number, made)))
    return found


def _cut(lines: list[tuple[str, _Line]], module: Module, span: Span) -> list[tuple[str, _Line]]:
    """A statement without what stands beside it on its first and last line."""
    tail = len(module.lines[span.end_line - 1]) - span.end_column
    last, line = lines[-1]
    lines[-1] = (last[: len(last) - tail] if tail else last, line)
    first, line = lines[0]
    moved = tuple(replace(e, start=e.start - span.column, end=e.end - span.column) for e in line.edits)
    lines[0] = (first[span.column :], replace(line, edits=moved, shift=span.column))
    return lines
