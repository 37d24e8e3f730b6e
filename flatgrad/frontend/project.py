"""The files of a project beside the one that is compiled: found on disk, read, never run.

`from .layers import relu`, `from cs231n.layers import *`, `import layers as L`: the file is looked for next to the
importing one and in the folders around it, up to the root of the project: a folder with `pyproject.toml` or `.git`,
else the first that is no package. What lies elsewhere is a library, and is not read.
"""

from __future__ import annotations

import ast
import enum
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

from flatgrad.diagnostics import Diagnostic, Refused, SourceFile
from flatgrad.frontend.bindings import BUILTIN
from flatgrad.frontend.source import Module, read_module
from flatgrad.reading import read_source

MARKERS = ("pyproject.toml", ".git", "setup.py", "setup.cfg")
LIBRARIES = frozenset({"numpy", "scipy", BUILTIN}) | sys.stdlib_module_names


class What(enum.Enum):
    FUNCTION = "a function"
    CONSTANT = "a constant"
    MODULE = "a module"
    LIBRARY = "something of a library"
    BUILTIN = "a builtin"
    OTHER = "something else that a file defines"
    BROKEN = "something of a file that cannot be read"
    ABSENT = "nothing"


@dataclass(frozen=True, slots=True)
class Thing:
    """What a name leads to. `file` is where it is defined; `name` is its own name there, or a library's path."""

    what: What
    file: Path | None
    name: str


# How a file is imported from the one that is compiled: the number of leading dots, and the parts of its name.
Origin = tuple[int, tuple[str, ...]]


class Project:
    """The files that are reached from one of them, each read once."""

    def __init__(self, main: Module, path: Path) -> None:
        self.main = path.resolve()
        self.filename = main.filename
        self._modules: dict[Path, Module | Refused] = {self.main: main}
        self._shown: dict[Path, str] = {}
        self._origins: dict[Path, Origin] = {}

    def module(self, file: Path) -> Module | Refused:
        """A file as it is read, or what is wrong with it, told with its name."""
        if file not in self._modules:
            folder = os.path.dirname(self.filename)
            shown = os.path.normpath(os.path.join(folder, os.path.relpath(file, self.main.parent)))
            self._shown[file] = shown
            self._modules[file] = _read(file, shown)
        return self._modules[file]

    def shown(self, file: Path) -> str:
        """What a file is called in messages: its path from where the command was given."""
        self.module(file)
        return self._shown.get(file, self.filename)

    def file_of(self, module: Module) -> Path:
        return next(file for file, one in self._modules.items() if one is module)

    def rebased(self, importer: Path, level: int, name: str) -> str:
        """The module of an import in `importer`, as the compiled file would name it."""
        if not level:
            return name
        dots, parts = self._package(importer, level)
        return "." * dots + ".".join((*parts, *([name] if name else [])))

    def origin(self, file: Path) -> str:
        """What the file is called in an import of the compiled one: `.layers`, `cs231n.layers`."""
        dots, parts = self._origins.get(file, (0, (file.stem,)))
        return "." * dots + ".".join(parts)

    # Imports

    def resolve(self, importer: Path, path: str, seen: frozenset[tuple[Path, str]] = frozenset()) -> Thing:
        """What the path of an import leads to, as `bindings.imported_names` gives it: `.layers.relu`."""
        level = len(path) - len(path.lstrip("."))
        parts = tuple(part for part in path[level:].split(".") if part)
        if not level and (not parts or parts[0] in LIBRARIES):
            return Thing(What.LIBRARY, None, path)
        if level:
            folder = importer.parent
            for _ in range(level - 1):
                folder = folder.parent
            package = self._package(importer, level)
            init = folder / "__init__.py"
            if not parts:
                return Thing(What.MODULE, init if init.is_file() else None, path)
            if os.path.isfile(init) and init != importer:
                self._origins.setdefault(init, package)
                found = self.lookup(init, parts[0], seen)
                if found is not None and found.what is not What.MODULE:
                    return self._attribute(found, parts[1:], seen)
            return self._inside(folder, parts, package, seen) or Thing(What.ABSENT, None, path)
        roots = dict.fromkeys((*_roots(importer.parent, parts[0]), *_roots(self.main.parent, parts[0])))
        for root in roots:
            found = self._inside(root, parts, (0, ()), seen)
            if found is not None:
                return found
        return Thing(What.LIBRARY, None, path)

    def _package(self, importer: Path, level: int) -> Origin:
        if importer == self.main:
            return level, ()
        dots, parts = self._origins.get(importer, (0, ()))
        for _ in range(level if importer.name != "__init__.py" else level - 1):
            dots, parts = (dots, parts[:-1]) if parts else (dots + 1, ())
        return dots, parts

    def _inside(
        self, folder: Path, parts: tuple[str, ...], package: Origin, seen: frozenset[tuple[Path, str]]
    ) -> Thing | None:
        """What `parts` are in a folder; None where the first of them is nothing there."""
        head, *others = parts
        rest = tuple(others)
        here = (package[0], (*package[1], head))
        init, file, inner = folder / head / "__init__.py", folder / f"{head}.py", folder / head
        if os.path.isfile(init):
            self._origins.setdefault(init, here)
            if not rest:
                return Thing(What.MODULE, init, head)
            found = self.lookup(init, rest[0], seen)
            if found is None or found.what is What.MODULE:
                deeper = self._inside(inner, rest, here, seen)
                return deeper or Thing(What.ABSENT, init, rest[0])
            return self._attribute(found, rest[1:], seen)
        if os.path.isfile(file):
            self._origins.setdefault(file, here)
            return self._attribute(Thing(What.MODULE, file, head), rest, seen)
        if os.path.isdir(inner):
            return self._inside(inner, rest, here, seen) if rest else Thing(What.MODULE, None, head)
        return None

    def _attribute(self, thing: Thing, rest: tuple[str, ...], seen: frozenset[tuple[Path, str]]) -> Thing:
        if not rest:
            return thing
        match thing.what:
            case What.MODULE if thing.file is not None:
                found = self.lookup(thing.file, rest[0], seen) or Thing(What.ABSENT, thing.file, rest[0])
                return self._attribute(found, rest[1:], seen)
            case What.LIBRARY:
                return replace(thing, name=".".join((thing.name, *rest)))
            case What.BROKEN | What.ABSENT:
                return thing
        return Thing(What.OTHER, thing.file, thing.name)

    # Names of a file

    def lookup(self, file: Path, name: str, seen: frozenset[tuple[Path, str]] = frozenset()) -> Thing | None:
        """What a file binds a name to; None for a name that it does not bind."""
        module = self.module(file)
        if isinstance(module, Refused):
            return Thing(What.BROKEN, file, name)
        if (file, name) in seen:
            return None
        seen |= {(file, name)}
        if name in module.functions:
            return Thing(What.FUNCTION, file, name)
        if name in module.constants:
            return Thing(What.CONSTANT, file, name)
        if name in module.imports:
            return self.resolve(file, module.imports[name], seen)
        if name in module.bound:
            return Thing(What.OTHER, file, name)
        return self.from_star(file, name, seen)

    def from_star(self, file: Path, name: str, seen: frozenset[tuple[Path, str]] = frozenset()) -> Thing | None:
        """What the `from m import *` of a file bind a name to, the last first."""
        module = self.module(file)
        if isinstance(module, Refused):
            return None
        for statement in reversed(module.import_texts):
            node = statement.node
            if "*" not in statement.names or not isinstance(node, ast.ImportFrom):
                continue
            target = self.resolve(file, "." * node.level + (node.module or ""), seen)
            if target.what is not What.MODULE or target.file is None:
                continue
            if isinstance(self.module(target.file), Refused):
                return Thing(What.BROKEN, target.file, name)
            if not self._is_public(target.file, name):
                continue
            found = self.lookup(target.file, name, seen)
            if found is not None:
                return found
        return None

    def is_known(self, file: Path, seen: frozenset[Path] = frozenset()) -> bool:
        """Whether every name that a file binds is known: no star in it leads out of the project."""
        module = self.module(file)
        if isinstance(module, Refused) or file in seen:
            return not isinstance(module, Refused)
        for statement in module.import_texts:
            node = statement.node
            if "*" in statement.names and isinstance(node, ast.ImportFrom):
                target = self.resolve(file, "." * node.level + (node.module or ""))
                if target.what is not What.MODULE or target.file is None:
                    return False
                if not self.is_known(target.file, seen | {file}):
                    return False
        return True

    def _is_public(self, file: Path, name: str) -> bool:
        module = self.module(file)
        if isinstance(module, Refused):
            return False
        for statement in module.tree.body:
            match statement:
                case ast.Assign(targets=[ast.Name(id="__all__")], value=ast.List(elts=parts) | ast.Tuple(elts=parts)):
                    return name in [part.value for part in parts if isinstance(part, ast.Constant)]
        return not name.startswith("_")


def _roots(folder: Path, first: str) -> Iterator[Path]:
    """The folders that an absolute import may start from, the nearest first."""
    yield folder
    around = (folder, *folder.parents)
    marked = next((one for one in around if any(os.path.exists(one / marker) for marker in MARKERS)), None)
    for inner, outer in pairwise(around):
        inside = marked is not None and (outer == marked or marked in outer.parents)
        if not inside and not os.path.isfile(inner / "__init__.py"):
            break
        yield outer
    # `from cs231n.layers import ...` in cs231n/classifiers/, which need not be packages
    yield from (one.parent for one in around if one.name == first)


def _read(file: Path, shown: str) -> Module | Refused:
    text = ""
    try:
        source = read_source(file.read_bytes(), shown)
        text = source.text
        return read_module(text, shown)
    except Refused as refused:
        there = SourceFile(refused.source if refused.source is not None else text, shown)
        return Refused([replace(one, file=there) for one in refused.diagnostics])
    except OSError as error:
        found = Diagnostic("FG026", f"{shown} cannot be read: {error.strerror or error}", None)
        return Refused([replace(found, file=SourceFile("", shown))])
