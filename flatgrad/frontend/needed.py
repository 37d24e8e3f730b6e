"""What a model refers to in other files of its project, and what that refers to in its turn."""

from __future__ import annotations

import ast
import builtins
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from flatgrad.diagnostics import Refused
from flatgrad.frontend.borrowed import Absent
from flatgrad.frontend.pairs import Matched, backward_name, match
from flatgrad.frontend.project import LIBRARIES, Project, Thing, What
from flatgrad.frontend.references import References, chain_of, references
from flatgrad.frontend.source import Module
from flatgrad.gates.entry import BY_PATH

DECLARE = "declare a gate for it, as in docs/your-own-gates.md"


@dataclass(slots=True)
class Reference:
    """A node in the text, and what it leads to."""

    node: ast.expr
    thing: Thing


@dataclass(slots=True)
class Part:
    """Statements of one file that stand in the linked text: the model's own file, or one definition of another."""

    file: Path
    module: Module
    node: ast.stmt | None
    thing: Thing | None
    references: list[Reference] = field(default_factory=list)
    locals: set[str] = field(default_factory=set)


class Needed:
    """The model's own file and every definition that it needs of others, as `parts`.

    Attributes:
        absent: for the path of an import that leads nowhere, why; `reasons`: the same for the names of other files.
        aliases: what the model calls a thing by an import of its own.
        imported: what each import of the model leads to, whether or not it is used there.
        attributes: for a function that is called as an attribute of its module, the text and the path of that.
        paired, unmatched: functions with a backward function beside them that can be called, or cannot.
        statements: what a library's thing is called in the file that uses it.
    """

    def __init__(self, module: Module, path: Path) -> None:
        self.module = module
        self.project = Project(module, path)
        self.main = self.project.main
        self.parts: list[Part] = []
        self.names: dict[Thing, str] = {}
        self.absent: dict[str, Absent] = {}
        self.reasons: dict[Thing, Absent] = {}
        self.aliases: dict[Thing, str] = {}
        self.imported: dict[str, Thing] = {}
        self.attributes: dict[Thing, tuple[str, str]] = {}
        self.paired: dict[Thing, Matched] = {}
        self.unmatched: dict[Thing, str] = {}
        self.statements: dict[Thing, str] = {}

    def gather(self) -> None:
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

    # What is referred to

    def _own(self) -> None:
        found = references(_defining(self.module.tree.body))
        part = Part(self.main, self.module, None, None, locals=found.locals)
        self.parts.append(part)
        for node, chain in found.chains:
            self._refer(part, node, chain)

    def _part(self, thing: Thing) -> Part:
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
        part = Part(thing.file, module, node, thing, locals=found.locals)
        for name_node, chain in found.chains:
            self._refer(part, name_node, chain)
        return part

    def _definition(self, module: Module, path: str) -> tuple[ast.FunctionDef, Module] | None:
        file = self.project.file_of(module)
        thing = self.project.resolve(file, path) if "." in path else self.project.lookup(file, path)
        if thing is None:
            return None
        there = self.project.module(thing.file) if thing.file is not None else None
        if thing.what is not What.FUNCTION or not isinstance(there, Module):
            return None
        return there.functions[thing.name], there

    def _refer(self, part: Part, node: ast.expr, chain: tuple[str, ...]) -> None:
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

    def _take(self, part: Part, node: ast.expr, thing: Thing, chain: tuple[str, ...], path: str) -> None:
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

    def _add(self, part: Part, node: ast.expr, thing: Thing, local: str) -> None:
        part.references.append(Reference(node, thing))
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


def _inner(node: ast.expr, length: int) -> ast.expr:
    """The part of a chain of attributes that has this many names."""
    while len(chain_of(node)) > length and isinstance(node, ast.Attribute):
        node = node.value
    return node


def _defining(statements: Iterable[ast.stmt]) -> Iterator[ast.stmt]:
    for statement in statements:
        if isinstance(statement, ast.FunctionDef | ast.ClassDef | ast.Assign | ast.AnnAssign):
            yield statement


def target_nodes(statement: ast.stmt) -> list[ast.Name]:
    targets = statement.targets if isinstance(statement, ast.Assign) else []
    targets = [statement.target] if isinstance(statement, ast.AnnAssign) else targets
    return [part for target in targets for part in ast.walk(target) if isinstance(part, ast.Name)]


def _targets(statement: ast.stmt) -> set[str]:
    return {target.id for target in target_nodes(statement)}
