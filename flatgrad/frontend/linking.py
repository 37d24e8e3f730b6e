"""One text of a model and of all that it borrows from other files of its project.

What the model's functions refer to in other files (functions, constants, and what these refer to in their turn) is put
beside them, so that all that comes after reads one file: constants and imports above the model's own text, functions
below it. References are edited where a name would mean something else there: `L.relu(x)` becomes `relu(x)`. A function
with a backward function beside it in its own file stays where it is: see `pairs`.

What cannot be resolved stays as it is written, and is refused where it is used, if it is.
"""

from __future__ import annotations

import ast
import os
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from flatgrad.diagnostics import SourceFile
from flatgrad.frontend.bindings import BUILTIN, ImportStatement, imported_names
from flatgrad.frontend.borrowed import Borrowed, Pair
from flatgrad.frontend.needed import Needed, Part, target_nodes
from flatgrad.frontend.pairs import backward_name
from flatgrad.frontend.places import Edit, Line, Linked, cut, edited
from flatgrad.frontend.project import LIBRARIES, Thing, What
from flatgrad.frontend.references import chain_of
from flatgrad.frontend.source import Module, name_span, read_module, span_of


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


class _Linker(Needed):
    """Writes the one text."""

    def run(self) -> Linked:
        self.gather()
        if len(self.parts) == 1:
            return Linked(replace(self.module, borrowed=Borrowed(absent=self.absent)))
        for name, path in self.module.imports.items():
            if path.partition(".")[0] not in LIBRARIES:
                self.imported[name] = self.project.resolve(self.main, path)
        self._choose_names()
        return self._written()

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
        texts: list[tuple[str, Line]] = []
        imports = dict.fromkeys(text for part in others for text in self._imports(part))
        if any(name.startswith(f"{BUILTIN}.") for name in self.names.values()):
            imports[f"import {BUILTIN}"] = None
        texts += [(text, Line(None, 0)) for text in imports]
        for part in _in_order([p for p in others if p.thing is not None and p.thing.what is What.CONSTANT]):
            texts += self._definition_lines(part)
        texts += self._main_lines(main, pairs)
        for part in others:
            if part.thing is not None and part.thing.what is What.FUNCTION:
                texts += [("", Line(None, 0)), ("", Line(None, 0)), *self._definition_lines(part)]
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
            free = (one for one in _candidates(back, thing) if one not in taken)
            called = imported or self.names.get(same) or next(free)
            names = ((thing.name, name), (back, called))
            origin = self.project.origin(thing.file)
            found[name] = Pair(name, called, origin, names, matched.results, matched.gradients, matched.changes)
        return found

    def _imports(self, part: Part) -> Iterator[str]:
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

    def _definition_lines(self, part: Part) -> list[tuple[str, Line]]:
        node, module = part.node, part.module
        assert node is not None
        there = SourceFile(module.text, module.filename)
        edits = self._edits(part)
        if isinstance(node, ast.FunctionDef):
            assert part.thing is not None
            if self.names[part.thing] != node.name:
                span = name_span(module, node)
                edits.setdefault(span.line, []).append(Edit(span.column, span.end_column, self.names[part.thing]))
            first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
            return edited(module, there, range(first, (node.end_lineno or first) + 1), edits)
        for target in target_nodes(node):
            thing = Thing(What.CONSTANT, part.file, target.id)
            if self.names.get(thing, target.id) != target.id:
                span = span_of(module, target)
                edits.setdefault(span.line, []).append(Edit(span.column, span.end_column, self.names[thing]))
        span = span_of(module, node)
        lines = edited(module, there, range(span.line, span.end_line + 1), edits)
        return cut(lines, module, span)

    def _edits(self, part: Part) -> dict[int, list[Edit]]:
        edits: dict[int, list[Edit]] = {}
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
                edits.setdefault(span.line, []).append(Edit(span.column, span.end_column, name))
        return edits

    def _main_lines(self, main: Part, pairs: Mapping[str, Pair]) -> list[tuple[str, Line]]:
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
            edits.setdefault(span.line, []).append(Edit(span.column, last, text))
            if span.end_line > span.line:
                blank |= set(range(span.line + 1, span.end_line + 1))
                rest = module.lines[span.end_line - 1][span.end_column :].strip()
                if rest and not rest.startswith("#"):
                    blank.discard(span.end_line)
                    edits.setdefault(span.end_line, []).append(Edit(0, span.end_column, ""))
        lines = edited(module, None, range(1, len(module.lines) + 1), edits)
        return [("" if line.line in blank else text, line) for text, line in lines]

    def _known_star(self, node: ast.ImportFrom) -> bool:
        target = self.project.resolve(self.main, "." * node.level + (node.module or ""))
        return target.what is What.MODULE and target.file is not None and self.project.is_known(target.file)


def _in_order(parts: list[Part]) -> list[Part]:
    """The definitions of constants, each after those that it reads, no statement twice."""
    found: list[Part] = []
    known = {part.thing: part for part in parts}

    def visit(part: Part) -> None:
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


def _candidates(wanted: str, thing: Thing) -> Iterator[str]:
    yield wanted
    stem = thing.file.stem if thing.file is not None and thing.file.stem.isidentifier() else "borrowed"
    yield f"{stem}_{wanted}"
    number = 2
    base = wanted.removesuffix("_forward")
    while True:
        yield f"{stem}_{base}{number}{wanted[len(base) :]}"
        number += 1
